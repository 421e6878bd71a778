//! `aictl logs`: the log of a service, from the helper or from the journal itself.

mod lines;

use std::{
    fs,
    io::{self, stdout},
    path::Path,
};

use aictl_api::{
    document::logs::{Line, Log},
    error::CallError,
    exit,
    service::Scope,
};
use aictl_core::journal::read::{JournalReader, LogLine, ReadError};

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
    services::{Asking, Backend, Circumstances, NoBackend, no_backend, no_such_service, on_error},
    time::Moment,
};

use lines::{Lines, Wanted};

/// How many lines are printed where nothing else is asked for.
const LINES: u32 = 100;
/// So many bytes are printed at once, where nobody waits for each line.
const BATCH: usize = 32 * 1024;

/// Where journald keeps the journal.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// What there is to say where it keeps none.
pub const NO_JOURNAL: &str = "there is no journal on this machine";

/// Whether there is a journal on this machine, as far as it can be seen: journalctl calls it a
/// success to read none.
#[must_use]
pub fn is_there_a_journal() -> bool {
    JOURNALS.iter().any(|path| holds_a_journal(Path::new(path)))
}

/// Whether there are journals in this directory's directories; what cannot be read may hold some.
fn holds_a_journal(path: &Path) -> bool {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    entries.flatten().any(|machine| match fs::read_dir(machine.path()) {
        Ok(mut files) => files.next().is_some(),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    })
}

/// Why there is no log to show, or no more of it.
#[derive(Debug)]
enum LogsError {
    /// There is nobody to ask.
    Backend(NoBackend),
    /// The helper, or the catalogue, does not give it.
    Call(CallError),
    /// The journal does not.
    Journal(ReadError),
    /// There is no journal.
    NoJournal,
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
    if let LogsError::Output(error) = &error {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return exit::OK;
        }
        message::error(format_args!("the output cannot be written: {error}"));
        return exit::INTERNAL;
    }
    let (code, text) = explain(global, &args.service, &error, no_agent.as_deref());
    message::fail(global, code, &text)
}

/// The exit code and the words for the user where there is no log to show.
fn explain(
    global: &Global,
    service: &str,
    error: &LogsError,
    no_agent: Option<&str>,
) -> (u8, String) {
    match error {
        LogsError::Backend(error) => match no_such_service(global, service, error) {
            Some((error, advice)) => {
                let advice = advice.map(|advice| format!("; {advice}"));
                (error.exit_code(), format!("{error}{}", advice.unwrap_or_default()))
            }
            None => {
                let (code, text) = no_backend(global, error);
                let own = match (error, global.embedded || global.user) {
                    (NoBackend::Bus(_), false) => {
                        "; `aictl --embedded logs` reads the journal with your own rights"
                    }
                    _ => "",
                };
                (code, format!("{text}{own}"))
            }
        },
        LogsError::Call(error) => {
            let config = config::load(global.config.as_deref()).ok();
            let about = Circumstances {
                service,
                verb: None,
                config: config.as_ref(),
                scope: scope(global),
                helper: !global.embedded && !global.user,
                no_agent,
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
        LogsError::NoJournal => (exit::INTERNAL, NO_JOURNAL.to_owned()),
        LogsError::Pipe(error) => {
            (exit::INTERNAL, format!("what the helper sends cannot be read: {error}"))
        }
        LogsError::Ended => {
            (exit::INTERNAL, "the helper ended, and the log with it: run it again".to_owned())
        }
        LogsError::Output(error) => {
            (exit::INTERNAL, format!("the output cannot be written: {error}"))
        }
    }
}

fn scope(global: &Global) -> Scope {
    if global.user { Scope::User } else { Scope::System }
}

async fn show(global: &Global, args: &Logs, asking: &mut Option<Asking>) -> Result<(), LogsError> {
    let lines = args.lines.unwrap_or(if args.since.is_some() { MAX_LINES } else { LINES });
    let wanted = Wanted { lines, follow: args.follow, since: args.since, priority: args.priority };
    let interactive = asking.as_ref().is_some_and(|asking| asking.interactive);
    let mut lines = open(global, &args.service, wanted, interactive).await?;
    // The question is answered, and the terminal is the log's.
    if let Some(asking) = asking {
        asking.end();
    }
    if matches!(lines, Lines::Journal { .. }) && !is_there_a_journal() {
        return Err(LogsError::NoJournal);
    }
    if wanted.follow && matches!(lines.why_empty().await, Err(ReadError::NotAllowed)) {
        message::note(global, "you see what your own journal has: the system's you may not read");
    }
    let shown = async {
        match (global.json, args.follow) {
            (true, false) => document(&args.service, &mut lines).await,
            (true, true) => {
                each(&mut lines, true, |line| {
                    serde_json::to_string(&entry(line)).unwrap_or_default()
                })
                .await
            }
            (false, follow) => {
                let paint = Paint::new(global.color, &stdout());
                each(&mut lines, follow, |line| human(line, paint)).await
            }
        }
    };
    let count = tokio::select! {
        biased;
        shown = shown => shown?,
        // Whoever waits for the next line would not notice that nobody reads it.
        () = async_output::closed() => return Ok(()),
    };
    if count == 0 && wanted.lines > 0 && !global.json {
        message::note(global, format_args!("the journal has no such line of {}", args.service));
    }
    Ok(())
}

/// The last lines of a service's log, as `aictl logs` prints them; nobody is asked for a password.
///
/// # Errors
/// Why there are none, in words for the user.
pub async fn last_lines(
    global: &Global,
    service: &str,
    lines: u32,
) -> Result<Vec<LogLine>, String> {
    let wanted = Wanted { lines, follow: false, since: None, priority: None };
    let all = async {
        let mut lines = open(global, service, wanted, false).await?;
        lines.all().await
    };
    all.await.map_err(|error| explain(global, service, &error, None).1)
}

/// Finds the log of a service.
async fn open(
    global: &Global,
    service: &str,
    wanted: Wanted,
    interactive: bool,
) -> Result<Lines, LogsError> {
    let config = if global.user || global.embedded {
        // The journal needs no message bus.
        config::load(global.config.as_deref())
            .map_err(|error| LogsError::Backend(NoBackend::Config(error)))?
    } else {
        match Backend::find(global, interactive).await.map_err(LogsError::Backend)? {
            Backend::Helper(helper) => return Lines::of_helper(helper, service, wanted).await,
            Backend::Direct(direct) => direct.config,
        }
    };
    let no_such = || CallError::NoSuchService("no such service in the catalogue".to_owned());
    let found = config.services().get(service).ok_or_else(no_such).map_err(LogsError::Call)?;
    Lines::of_journal(JournalReader::default(), found.unit.clone(), scope(global), wanted)
}

/// A line as it stands in a document.
fn entry(line: &LogLine) -> Line<'_> {
    Line {
        time: Moment::from_micros(line.time_usec).iso(),
        priority: line.priority,
        pid: line.pid,
        identifier: &line.identifier,
        message: &line.message,
    }
}

/// All lines as one document; returns how many there are.
async fn document(service: &str, lines: &mut Lines) -> Result<usize, LogsError> {
    let all = lines.all().await?;
    let document = Log { service, lines: all.iter().map(entry).collect() };
    let text =
        serde_json::to_string_pretty(&document).map_err(|error| LogsError::Output(error.into()))?;
    async_output::write_all((text + "\n").into_bytes()).await.map_err(LogsError::Output)?;
    Ok(all.len())
}

/// Each line as `text` shows it, at once if somebody waits for it; returns how many there were.
async fn each(
    lines: &mut Lines,
    at_once: bool,
    text: impl Fn(&LogLine) -> String,
) -> Result<usize, LogsError> {
    let mut count = 0;
    let mut batch = String::new();
    loop {
        let line = lines.next().await;
        if let Ok(Some(line)) = &line {
            count += 1;
            batch += &text(line);
            batch.push('\n');
            if !at_once && batch.len() < BATCH {
                continue;
            }
        }
        let bytes = std::mem::take(&mut batch).into_bytes();
        async_output::write_all(bytes).await.map_err(LogsError::Output)?;
        if line?.is_none() {
            if count == 0 {
                lines.why_empty().await.map_err(LogsError::Journal)?;
            }
            return Ok(count);
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
    fn a_journal_is_a_file_in_a_directory_of_a_machine() {
        let path = std::env::temp_dir().join(format!("aictl-journal-{}", std::process::id()));
        assert!(!holds_a_journal(&path));
        fs::create_dir_all(path.join("4f0c")).unwrap();
        assert!(!holds_a_journal(&path));
        fs::write(path.join("4f0c/system.journal"), "").unwrap();
        assert!(holds_a_journal(&path));
        fs::remove_dir_all(&path).unwrap();
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
    fn a_documents_line_has_its_time_for_programs() {
        let entry = serde_json::to_value(entry(&line(6))).unwrap();
        assert_eq!(entry["time"], "2023-11-14T22:13:20.000000Z");
    }
}
