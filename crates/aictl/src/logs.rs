//! `aictl logs`: the log of a service, from the helper or from the journal itself.

use std::{
    fmt,
    io::{self, stdout},
    os::fd::OwnedFd,
};

use aictl_api::{error::CallError, exit, service::Scope};
use aictl_core::{
    helper::{Helper, LogOptions},
    journal::read::{JournalReader, LogLine, LogQuery, LogStream, ReadError},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::unix::pipe::Receiver,
};

use crate::{
    args::{
        Global,
        services::{Logs, MAX_LINES},
    },
    async_output,
    color::{Paint, Style},
    config,
    message::{self, plain},
    runtime::{self, Stopped},
    services::{Asking, Backend, Circumstances, NoBackend, no_backend, on_error},
    time::Moment,
};

/// How many lines are printed where nothing else is asked for.
const LINES: u32 = 100;
/// The most bytes of a line of the helper's.
const MAX_LINE: u64 = 1 << 20;
/// So many bytes are printed at once, where nobody waits for each line.
const BATCH: usize = 32 * 1024;

/// Why there is no log to show, or no more of it.
#[derive(Debug)]
enum LogsError {
    /// There is nobody to ask.
    Backend(NoBackend),
    /// The helper, or the catalogue, does not give it.
    Call(CallError),
    /// The journal does not.
    Journal(ReadError),
    /// What the helper sends cannot be read.
    Pipe(io::Error),
    /// The helper ended a log that was to be followed.
    Ended,
    /// The output cannot be written.
    Output(io::Error),
}

/// Runs the command; returns the exit code.
pub fn main(global: &Global, args: &Logs) -> u8 {
    let mut asking = Some(Asking::new(global));
    let ended = runtime::run(show(global, args, &mut asking));
    let no_agent = asking.take().and_then(|asking| asking.no_agent);
    let error = match ended {
        Ok(Ok(())) => return exit::OK,
        Ok(Err(error)) => error,
        Err(stopped @ Stopped::Signal(_)) => return stopped.exit_code(),
        Err(stopped) => return message::fail(global, stopped.exit_code(), &stopped.to_string()),
    };
    let (code, text) = match &error {
        LogsError::Backend(error) => no_backend(global, error),
        LogsError::Call(error) => {
            let config = config::load(global.config.as_deref()).ok();
            let about = Circumstances {
                service: &args.service,
                verb: None,
                config: config.as_ref(),
                scope: scope(global),
                helper: !global.embedded && !global.user,
                no_agent: no_agent.as_deref(),
            };
            let advice = on_error(error, about).map(|advice| format!("; {advice}"));
            (error.exit_code(), format!("{error}{}", advice.unwrap_or_default()))
        }
        LogsError::Journal(error) => {
            let code = match error {
                ReadError::NotAllowed => exit::REFUSED,
                ReadError::TimedOut(_) => exit::TIMED_OUT,
                _ => exit::INTERNAL,
            };
            (code, error.to_string())
        }
        LogsError::Pipe(error) => {
            (exit::INTERNAL, format!("what the helper sends cannot be read: {error}"))
        }
        LogsError::Ended => {
            (exit::INTERNAL, "the helper ended, and the log with it: run it again".to_owned())
        }
        LogsError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return exit::OK,
        LogsError::Output(error) => {
            message::error(format_args!("the output cannot be written: {error}"));
            return exit::INTERNAL;
        }
    };
    message::fail(global, code, &text)
}

fn scope(global: &Global) -> Scope {
    if global.user { Scope::User } else { Scope::System }
}

async fn show(global: &Global, args: &Logs, asking: &mut Option<Asking>) -> Result<(), LogsError> {
    let lines = args.lines.unwrap_or(if args.since.is_some() { MAX_LINES } else { LINES });
    let options =
        LogOptions { lines, follow: args.follow, since_usec: args.since.map(Moment::micros) };
    let interactive = asking.as_ref().is_some_and(|asking| asking.interactive);
    let mut lines = open(global, &args.service, options, interactive).await?;
    // The question is answered, and the terminal is the log's.
    if let Some(asking) = asking {
        asking.end();
    }
    let shown = async {
        match (global.json, args.follow) {
            (true, false) => document(&args.service, &mut lines).await,
            (true, true) => {
                each(&mut lines, true, |line| {
                    serde_json::to_string(&Entry::from(line)).unwrap_or_default()
                })
                .await
            }
            (false, follow) => {
                let paint = Paint::new(global.color, &stdout());
                each(&mut lines, follow, |line| human(line, paint)).await
            }
        }
    };
    tokio::select! {
        biased;
        shown = shown => shown,
        // Whoever waits for the next line would not notice that nobody reads it.
        () = async_output::closed() => Ok(()),
    }
}

/// Finds the log of a service.
async fn open(
    global: &Global,
    service: &str,
    options: LogOptions,
    interactive: bool,
) -> Result<Lines, LogsError> {
    let config = if global.user || global.embedded {
        // The journal needs no message bus.
        config::load(global.config.as_deref())
            .map_err(|error| LogsError::Backend(NoBackend::Config(error)))?
    } else {
        match Backend::find(global, interactive).await.map_err(LogsError::Backend)? {
            Backend::Helper(helper) => {
                let pipe = helper.logs(service, options).await.map_err(LogsError::Call)?;
                return Lines::from_helper(helper, pipe, options.follow).map_err(LogsError::Pipe);
            }
            Backend::Direct(direct) => direct.config,
        }
    };
    let no_such = || CallError::NoSuchService("no such service in the catalogue".to_owned());
    let found = config.services().get(service).ok_or_else(no_such).map_err(LogsError::Call)?;
    let query = LogQuery {
        unit: found.unit.clone(),
        scope: scope(global),
        lines: options.lines,
        since_usec: options.since_usec,
        follow: options.follow,
    };
    let stream = JournalReader::default().logs(&query).map_err(LogsError::Journal)?;
    Ok(Lines::Journal(Box::new(stream)))
}

/// Where lines come from.
enum Lines {
    /// From the helper, to which the connection must stay.
    Helper { pipe: BufReader<Receiver>, follow: bool, _helper: Helper },
    /// From the journal.
    Journal(Box<LogStream>),
}

impl Lines {
    fn from_helper(helper: Helper, pipe: OwnedFd, follow: bool) -> io::Result<Self> {
        let pipe = BufReader::new(Receiver::from_owned_fd(pipe)?);
        Ok(Self::Helper { pipe, follow, _helper: helper })
    }

    /// The next line; `None` after the last.
    async fn next(&mut self) -> Result<Option<LogLine>, LogsError> {
        let (pipe, follow) = match self {
            Self::Journal(stream) => return stream.next().await.map_err(LogsError::Journal),
            Self::Helper { pipe, follow, .. } => (pipe, follow),
        };
        let mut line = Vec::new();
        pipe.take(MAX_LINE).read_until(b'\n', &mut line).await.map_err(LogsError::Pipe)?;
        if line.is_empty() {
            return if *follow { Err(LogsError::Ended) } else { Ok(None) };
        }
        let sent: Sent = serde_json::from_slice(&line)
            .map_err(|error| LogsError::Pipe(io::Error::other(error)))?;
        Ok(Some(sent.into()))
    }
}

/// A line as the helper sends it; it may gain keys.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    time_usec: u64,
    priority: u8,
    pid: Option<u32>,
    identifier: String,
    message: String,
}

impl From<Sent> for LogLine {
    fn from(sent: Sent) -> Self {
        let Sent { time_usec, priority, pid, identifier, message } = sent;
        Self { time_usec, priority, pid, identifier, message }
    }
}

/// A line in a document.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    /// ISO 8601, in UTC.
    time: Option<String>,
    priority: u8,
    pid: Option<u32>,
    identifier: &'a str,
    message: &'a str,
}

impl<'a> From<&'a LogLine> for Entry<'a> {
    fn from(line: &'a LogLine) -> Self {
        Self {
            time: Moment::from_micros(line.time_usec).iso(),
            priority: line.priority,
            pid: line.pid,
            identifier: &line.identifier,
            message: &line.message,
        }
    }
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    service: &'a str,
    lines: Vec<Entry<'a>>,
}

/// All lines as one document.
async fn document(service: &str, lines: &mut Lines) -> Result<(), LogsError> {
    let mut all = Vec::new();
    while let Some(line) = lines.next().await? {
        all.push(line);
    }
    let document = Document { service, lines: all.iter().map(Entry::from).collect() };
    let text =
        serde_json::to_string_pretty(&document).map_err(|error| LogsError::Output(error.into()))?;
    async_output::write_all((text + "\n").into_bytes()).await.map_err(LogsError::Output)
}

/// Each line as `text` shows it; at once if somebody waits for it.
async fn each(
    lines: &mut Lines,
    at_once: bool,
    text: impl Fn(&LogLine) -> String,
) -> Result<(), LogsError> {
    let mut batch = String::new();
    loop {
        let line = lines.next().await;
        if let Ok(Some(line)) = &line {
            batch += &text(line);
            batch.push('\n');
            if !at_once && batch.len() < BATCH {
                continue;
            }
        }
        let bytes = std::mem::take(&mut batch).into_bytes();
        async_output::write_all(bytes).await.map_err(LogsError::Output)?;
        if line?.is_none() {
            return Ok(());
        }
    }
}

/// `2026-11-22 12:00:30 ollama[4242]: …`
fn human(line: &LogLine, paint: Paint) -> String {
    let style = match line.priority {
        0..=3 => Style::Bad,
        4 => Style::Warning,
        7 => Style::Faint,
        _ => Style::Plain,
    };
    let pid = line.pid.map_or(String::new(), |pid| format!("[{pid}]"));
    let time = Moment::from_micros(line.time_usec).local();
    let identifier = match line.identifier.as_str() {
        "" => "-".to_owned(),
        identifier => plain(identifier),
    };
    let message = paint.text(style, &plain(&line.message));
    format!("{} {identifier}{pid}: {message}", paint.text(Style::Faint, &time))
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Helper { .. } => "Helper",
            Self::Journal(_) => "Journal",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::When;

    fn line(priority: u8) -> LogLine {
        LogLine {
            time_usec: 1_700_000_000_000_000,
            priority,
            pid: Some(42),
            identifier: "ollama".to_owned(),
            message: "a\x1b[2Jb".to_owned(),
        }
    }

    #[test]
    fn a_line_says_when_who_and_what_in_a_colour_for_how_important_it_is() {
        let plain = Paint::new(When::Never, &stdout());
        let text = human(&line(6), plain);
        assert!(text.ends_with(" ollama[42]: ab"), "{text}");
        let nobody = LogLine { pid: None, identifier: String::new(), ..line(6) };
        assert!(human(&nobody, plain).ends_with(" -: ab"));
        let colour = Paint::new(When::Always, &stdout());
        for (priority, code) in [(0, "31"), (3, "31"), (4, "33"), (7, "2")] {
            let text = human(&line(priority), colour);
            assert!(text.ends_with(&format!("\x1b[{code}mab\x1b[0m")), "{text:?}");
        }
        assert!(human(&line(5), colour).ends_with(": ab"));
    }

    #[test]
    fn a_line_of_the_helpers_may_have_more_and_less() {
        let sent: Sent = serde_json::from_str(r#"{"message":"x","new":[1],"pid":null}"#).unwrap();
        let line = LogLine::from(sent);
        assert_eq!((line.message.as_str(), line.pid, line.time_usec), ("x", None, 0));
        let entry = serde_json::to_value(Entry::from(&line)).unwrap();
        assert_eq!(entry["time"], "1970-01-01T00:00:00.000000Z");
    }
}
