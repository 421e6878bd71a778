//! Where the lines of a log come from: the helper, or the journal itself.

use std::{
    collections::VecDeque,
    fmt, io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
};

use aictl_api::service::{Scope, UnitName};
use aictl_core::{
    helper::{Helper, LogOptions},
    journal::read::{JournalReader, LogLine, LogQuery, LogStream, ReadError},
};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::UnixStream,
};

use super::LogsError;
use crate::{args::services::MAX_LINES, time::Moment};

/// The most bytes of a line of the helper's.
const MAX_LINE: u64 = 1 << 20;

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The last so many.
    pub lines: u32,
    /// Go on with new ones as they come.
    pub follow: bool,
    /// Only from then on.
    pub since: Option<Moment>,
    /// Only these and more important ones.
    pub priority: Option<u8>,
}

impl Wanted {
    fn is_important(&self, line: &LogLine) -> bool {
        self.priority.is_none_or(|priority| line.priority <= priority)
    }
}

/// Where lines come from.
pub enum Lines {
    /// From the helper, to which the connection must stay.
    Helper { pipe: BufReader<UnixStream>, wanted: Wanted, _helper: Helper },
    /// They are there already.
    Kept(VecDeque<LogLine>),
    /// From the journal.
    Journal { stream: Box<LogStream>, reader: JournalReader, scope: Scope },
}

impl Lines {
    /// Asks the helper, which knows no priorities: what is not wanted is left out here.
    ///
    /// # Errors
    /// If it gives no log, or one that cannot be read.
    pub async fn of_helper(
        helper: Helper,
        service: &str,
        wanted: Wanted,
    ) -> Result<Self, LogsError> {
        let choose = wanted.priority.is_some() && !wanted.follow;
        let options = LogOptions {
            lines: if choose { MAX_LINES } else { wanted.lines },
            follow: wanted.follow,
            since_usec: wanted.since.map(Moment::micros),
        };
        let pipe = helper.logs(service, options).await.map_err(LogsError::Call)?;
        let mut lines = Self::from_helper(helper, pipe, wanted).map_err(LogsError::Pipe)?;
        if !choose {
            return Ok(lines);
        }
        let most = usize::try_from(wanted.lines).unwrap_or(usize::MAX);
        let mut kept = VecDeque::new();
        while let Some(line) = lines.next().await? {
            kept.push_back(line);
            if kept.len() > most {
                kept.pop_front();
            }
        }
        Ok(Self::Kept(kept))
    }

    fn from_helper(helper: Helper, pipe: OwnedFd, wanted: Wanted) -> io::Result<Self> {
        let stream = StdStream::from(pipe);
        stream.set_nonblocking(true)?;
        let pipe = BufReader::new(UnixStream::from_std(stream)?);
        Ok(Self::Helper { pipe, wanted, _helper: helper })
    }

    /// Asks the journal.
    ///
    /// # Errors
    /// If journalctl cannot be started.
    pub fn of_journal(
        reader: JournalReader,
        unit: UnitName,
        scope: Scope,
        wanted: Wanted,
    ) -> Result<Self, LogsError> {
        let query = LogQuery {
            unit,
            scope,
            lines: wanted.lines,
            since_usec: wanted.since.map(Moment::micros),
            follow: wanted.follow,
            priority: wanted.priority,
        };
        let stream = Box::new(reader.logs(&query).map_err(LogsError::Journal)?);
        Ok(Self::Journal { stream, reader, scope })
    }

    /// The next line; `None` after the last.
    ///
    /// # Errors
    /// If it cannot be read; there are no more lines then.
    pub async fn next(&mut self) -> Result<Option<LogLine>, LogsError> {
        match self {
            Self::Journal { stream, .. } => stream.next().await.map_err(LogsError::Journal),
            Self::Kept(lines) => Ok(lines.pop_front()),
            Self::Helper { pipe, wanted, .. } => loop {
                match sent(pipe).await? {
                    None if wanted.follow => return Err(LogsError::Ended),
                    Some(line) if !wanted.is_important(&line) => {}
                    line => return Ok(line),
                }
            },
        }
    }

    /// Whether there can be lines that are not shown: journalctl leaves out what the user may not
    /// see, and calls that a success.
    ///
    /// # Errors
    /// That the user may not read the system's journal, or that nobody can say.
    pub async fn why_empty(&self) -> Result<(), ReadError> {
        match self {
            Self::Journal { reader, scope: Scope::System, .. } => reader.may_read_system().await,
            _ => Ok(()),
        }
    }

    /// All lines.
    ///
    /// # Errors
    /// As [`Self::next`] and, where there is none, [`Self::why_empty`].
    pub async fn all(&mut self) -> Result<Vec<LogLine>, LogsError> {
        let mut all = Vec::new();
        while let Some(line) = self.next().await? {
            all.push(line);
        }
        if all.is_empty() {
            self.why_empty().await.map_err(LogsError::Journal)?;
        }
        Ok(all)
    }
}

/// The next line that the helper sends; `None` after the last.
async fn sent(pipe: &mut BufReader<UnixStream>) -> Result<Option<LogLine>, LogsError> {
    let mut line = Vec::new();
    pipe.take(MAX_LINE).read_until(b'\n', &mut line).await.map_err(LogsError::Pipe)?;
    if line.is_empty() {
        return Ok(None);
    }
    let sent: Sent =
        serde_json::from_slice(&line).map_err(|error| LogsError::Pipe(io::Error::other(error)))?;
    Ok(Some(sent.into()))
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

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Helper { .. } => "Helper",
            Self::Kept(_) => "Kept",
            Self::Journal { .. } => "Journal",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::PathBuf,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    /// A log whose journalctl is this script.
    fn journal(script: &str, scope: Scope) -> (Lines, PathBuf) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("aictl-logs-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        aictl_fakes::shell_script(&path, script);
        let wanted = Wanted { lines: 9, follow: false, since: None, priority: None };
        let unit = UnitName::parse("ollama.service").unwrap();
        let reader = JournalReader::with_program(&path);
        (Lines::of_journal(reader, unit, scope, wanted).unwrap(), path)
    }

    /// journalctl of someone with a journal of their own: it shows that, and says nothing of the
    /// system's unless it is asked for that alone.
    const OWN_JOURNAL: &str = "case \"$*\" in *--system*) \
        echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1;; esac";

    #[tokio::test]
    async fn who_is_shown_nothing_is_told_why() {
        let line = r#"echo '{"MESSAGE":"x"}'"#;
        for (script, scope, expected) in [
            (OWN_JOURNAL.to_owned(), Scope::System, "Err(Journal(NotAllowed))"),
            // One's own services write to one's own journal.
            (OWN_JOURNAL.to_owned(), Scope::User, "Ok(0)"),
            ("exit 0".to_owned(), Scope::System, "Ok(0)"),
            // A system's service that runs as the user writes there too.
            (format!("{OWN_JOURNAL}; {line}"), Scope::System, "Ok(1)"),
        ] {
            let (mut lines, path) = journal(&script, scope);
            let all = lines.all().await.map(|lines| lines.len());
            assert_eq!(format!("{all:?}"), expected, "{script}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_line_of_the_helpers_may_have_more_and_less() {
        let sent: Sent = serde_json::from_str(r#"{"message":"x","new":[1],"pid":null}"#).unwrap();
        let line = LogLine::from(sent);
        assert_eq!((line.message.as_str(), line.pid, line.time_usec), ("x", None, 0));
    }
}
