//! Reading the journal, through `journalctl`: only that knows its files.
//!
//! journalctl is started by its path with fixed arguments, an environment of its own and nothing
//! open but its output, and is gone when nobody reads that any more.

use std::{
    convert::Infallible,
    fmt,
    future::pending,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use aictl_api::{
    audit,
    authorisation::AuditField,
    service::{Scope, UnitName},
};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use crate::{plain_text::plain_text, redact::redact};

/// Where journalctl is.
const PROGRAMS: [&str; 2] = ["/usr/bin/journalctl", "/bin/journalctl"];
/// The most bytes of an entry that are read; a larger one is left out, and said to be.
const MAX_ENTRY: usize = 1 << 20;
/// The most bytes of journalctl's complaints that are kept.
const MAX_COMPLAINT: usize = 4096;
/// How long journalctl may look for the next entry, where it does not wait for new ones.
const READ_TIME: Duration = Duration::from_secs(30);
/// The unit that writes audit records. By it, which journald itself notes, they are told from
/// what others send with the same fields.
const HELPER_UNIT: &str = "aictld.service";

/// Which lines of a unit's log are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The unit.
    pub unit: UnitName,
    /// Whose unit.
    pub scope: Scope,
    /// The last so many.
    pub lines: u32,
    /// None before this time: microseconds since 1970.
    pub since_usec: Option<u64>,
    /// Also those that are still to come.
    pub follow: bool,
    /// Only those of this priority and more important ones: 0 to 7 (syslog(3)); `None` for all.
    pub priority: Option<u8>,
}

/// Which audit records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// The last so many; `None` for all.
    pub records: Option<u32>,
    /// None before this time: microseconds since 1970.
    pub since_usec: Option<u64>,
}

/// A line of a log, plain and redacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// When it was written: microseconds since 1970.
    pub time_usec: u64,
    /// How important it is: 0 to 7 (syslog(3)).
    pub priority: u8,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// What that calls itself.
    pub identifier: String,
    /// What it says.
    pub message: String,
}

/// An audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// When it was written: microseconds since 1970.
    pub time_usec: u64,
    /// Its kind: one of [`audit::MESSAGE_IDS`].
    pub message_id: String,
    /// What it says for people.
    pub message: String,
    fields: Vec<(AuditField, String)>,
}

impl AuditLine {
    /// The value of a field, plain.
    #[must_use]
    pub fn get(&self, field: AuditField) -> Option<&str> {
        self.fields.iter().find(|(name, _)| *name == field).map(|(_, value)| value.as_str())
    }
}

/// Why the journal cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// journalctl is not there.
    NoJournalctl,
    /// journalctl cannot be started, or what it says cannot be read.
    Io(io::Error),
    /// The user may not read the journal.
    NotAllowed,
    /// journalctl found nothing for this long, and did not end either.
    TimedOut(Duration),
    /// journalctl failed, with these words: plain and redacted.
    Failed(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJournalctl => f.write_str("journalctl is not installed"),
            Self::Io(error) => write!(f, "journalctl cannot be run: {error}"),
            Self::NotAllowed => f.write_str(
                "you may not read the journal: members of the group systemd-journal may",
            ),
            Self::TimedOut(time) => write!(f, "journalctl found nothing within {time:?}"),
            Self::Failed(words) if words.is_empty() => f.write_str("journalctl failed"),
            Self::Failed(words) => write!(f, "journalctl failed: {words}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads the journal.
#[derive(Debug, Clone)]
pub struct JournalReader {
    program: Option<PathBuf>,
}

impl Default for JournalReader {
    fn default() -> Self {
        let program = PROGRAMS.iter().map(Path::new).find(|path| path.exists());
        Self { program: program.map(Path::to_owned) }
    }
}

impl JournalReader {
    /// Reads through another program than the system's journalctl, in tests.
    #[must_use]
    pub fn with_program(program: impl Into<PathBuf>) -> Self {
        Self { program: Some(program.into()) }
    }

    /// Begins to read a unit's log, from its beginning on.
    ///
    /// # Errors
    /// If journalctl cannot be started.
    pub fn logs(&self, query: &LogQuery) -> Result<LogStream, ReadError> {
        Ok(LogStream(self.start(&log_arguments(query), query.follow)?))
    }

    /// The lines of a unit's log that there are now.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn log_lines(&self, query: &LogQuery) -> Result<Vec<LogLine>, ReadError> {
        let query = LogQuery { follow: false, ..query.clone() };
        let mut stream = self.logs(&query)?;
        let mut lines = Vec::new();
        while let Some(line) = stream.next().await? {
            lines.push(line);
        }
        Ok(lines)
    }

    /// Whether the user may read the system's journal. journalctl shows what the user may see, and
    /// says nothing of the rest where there is a journal of the user's own: who was shown nothing
    /// asks here for the reason.
    ///
    /// # Errors
    /// [`ReadError::NotAllowed`] if the user may not; else if journalctl cannot say.
    pub async fn may_read_system(&self) -> Result<(), ReadError> {
        let mut arguments = common_arguments(None);
        arguments.extend(["--system", "--lines=0"].map(Into::into));
        self.start(&arguments, false)?.next().await.map(drop)
    }

    /// Begins to read audit records, from the oldest on.
    ///
    /// # Errors
    /// If journalctl cannot be started.
    pub fn audit(&self, query: &AuditQuery) -> Result<AuditStream, ReadError> {
        Ok(AuditStream(self.start(&audit_arguments(query), false)?))
    }

    fn start(&self, arguments: &[String], follow: bool) -> Result<Entries, ReadError> {
        let program = self.program.as_ref().ok_or(ReadError::NoJournalctl)?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            // Its complaints in the language in which they are looked at.
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => ReadError::NoJournalctl,
                _ => ReadError::Io(error),
            })?;
        let output = child.stdout.take().ok_or(ReadError::NoJournalctl)?;
        let complaints = child.stderr.take().ok_or(ReadError::NoJournalctl)?;
        let output = BufReader::new(output);
        let complaints = Complaints { from: complaints, words: Vec::new() };
        Ok(Entries { child, output, complaints, follow, line: Vec::new() })
    }
}

/// The arguments for a unit's log.
fn log_arguments(query: &LogQuery) -> Vec<String> {
    let mut arguments = common_arguments(query.since_usec);
    // Only what journald itself says is the unit's, or what systemd says about it.
    arguments.push(match query.scope {
        Scope::System => format!("--unit={}", query.unit),
        Scope::User => format!("--user-unit={}", query.unit),
    });
    arguments.push(format!("--lines={}", query.lines));
    arguments.push("--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_COMM,_PID".to_owned());
    if let Some(priority) = query.priority {
        arguments.push(format!("--priority=0..{priority}"));
    }
    if query.follow {
        arguments.push("--follow".to_owned());
    }
    arguments
}

/// The arguments for audit records.
fn audit_arguments(query: &AuditQuery) -> Vec<String> {
    let mut arguments = common_arguments(query.since_usec);
    // The helper's user is a system user. Without this, who has a journal of their own and may not
    // read the system's would be shown nothing, and no complaint.
    arguments.push("--system".to_owned());
    if let Some(records) = query.records {
        arguments.push(format!("--lines={records}"));
    }
    // Values of one field are alternatives, and each field must match.
    arguments.push(format!("_SYSTEMD_UNIT={HELPER_UNIT}"));
    arguments.extend(audit::MESSAGE_IDS.map(|id| format!("MESSAGE_ID={id}")));
    arguments
}

fn common_arguments(since_usec: Option<u64>) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["--output=json", "--no-pager", "--all"].map(Into::into).into();
    if let Some(usec) = since_usec {
        arguments.push(format!("--since=@{}.{:06}", usec / 1_000_000, usec % 1_000_000));
    }
    arguments
}

/// Lines of a log as they come.
#[derive(Debug)]
pub struct LogStream(Entries);

impl LogStream {
    /// The next line; `None` after the last. Whoever follows waits for it as long as it takes.
    ///
    /// # Errors
    /// If the journal cannot be read; there are no more lines then.
    pub async fn next(&mut self) -> Result<Option<LogLine>, ReadError> {
        Ok(self.0.next().await?.map(|entry| log_line(&entry)))
    }
}

/// Audit records as they come.
#[derive(Debug)]
pub struct AuditStream(Entries);

impl AuditStream {
    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// If the journal cannot be read; there are no more records then.
    pub async fn next(&mut self) -> Result<Option<AuditLine>, ReadError> {
        Ok(self.0.next().await?.map(|entry| audit_line(&entry)))
    }
}

/// An entry's fields.
type Fields = Map<String, Value>;

/// What journalctl writes.
#[derive(Debug)]
struct Entries {
    child: Child,
    output: BufReader<ChildStdout>,
    complaints: Complaints,
    follow: bool,
    line: Vec<u8>,
}

impl Entries {
    async fn next(&mut self) -> Result<Option<Fields>, ReadError> {
        if self.follow {
            return self.wait().await;
        }
        timeout(READ_TIME, self.wait()).await.unwrap_or(Err(ReadError::TimedOut(READ_TIME)))
    }

    async fn wait(&mut self) -> Result<Option<Fields>, ReadError> {
        loop {
            let read = tokio::select! {
                biased;
                read = read_line(&mut self.output, &mut self.line, MAX_ENTRY) => read,
                never = self.complaints.hear() => match never {},
            };
            match read {
                Ok(Line::Whole) => {
                    // Beside entries there are words for people, such as "-- No entries --".
                    if let Ok(Value::Object(fields)) = serde_json::from_slice(&self.line) {
                        return Ok(Some(fields));
                    }
                }
                Ok(Line::TooLong) => return Ok(Some(Fields::new())),
                Ok(Line::End) => return self.end().await.map(|()| None),
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
    }

    /// What became of journalctl.
    async fn end(&mut self) -> Result<(), ReadError> {
        let words = self.complaints.rest().await.map_err(ReadError::Io)?;
        // It may have more to say than anybody reads.
        self.child.start_kill().or_else(|error| match error.kind() {
            io::ErrorKind::InvalidInput => Ok(()),
            _ => Err(ReadError::Io(error)),
        })?;
        let status = self.child.wait().await.map_err(ReadError::Io)?;
        verdict(status.success(), &words)
    }
}

/// What journalctl says on its standard error.
#[derive(Debug)]
struct Complaints {
    from: ChildStderr,
    /// The beginning of what it has said, at most [`MAX_COMPLAINT`].
    words: Vec<u8>,
}

impl Complaints {
    /// Listens as long as it is polled: journalctl would wait for room in its pipe. May be dropped
    /// at any moment.
    async fn hear(&mut self) -> Infallible {
        while self.next().await.is_ok_and(|bytes| bytes > 0) {}
        pending().await
    }

    /// The beginning of all that it has said, once it says no more or more than is kept.
    async fn rest(&mut self) -> io::Result<String> {
        while self.words.len() < MAX_COMPLAINT && self.next().await? > 0 {}
        Ok(String::from_utf8_lossy(&self.words).into_owned())
    }

    /// How many bytes it has said now; 0 if it says no more.
    async fn next(&mut self) -> io::Result<usize> {
        let mut said = [0; MAX_COMPLAINT];
        let bytes = self.from.read(&mut said).await?;
        let room = MAX_COMPLAINT - self.words.len();
        self.words.extend(&said[..bytes.min(room)]);
        Ok(bytes)
    }
}

/// Whether journalctl did what it was asked for, by its end and its complaints.
fn verdict(succeeded: bool, complaints: &str) -> Result<(), ReadError> {
    // It shows what the user may see, which may be nothing, and calls that a success.
    let not_allowed = ["insufficient permissions", "You are currently not seeing messages"];
    if not_allowed.iter().any(|words| complaints.contains(words)) {
        Err(ReadError::NotAllowed)
    } else if succeeded {
        Ok(())
    } else {
        Err(ReadError::Failed(clean(complaints.trim())))
    }
}

/// A line that was read.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// All of it.
    Whole,
    /// It is longer than anything that is read, and was skipped.
    TooLong,
    /// There are no more.
    End,
}

/// Reads a line of at most `most` bytes into `line`, without its end.
async fn read_line(
    from: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    most: usize,
) -> io::Result<Line> {
    line.clear();
    let mut is_too_long = false;
    let mut is_empty = true;
    loop {
        let bytes = from.fill_buf().await?;
        if bytes.is_empty() {
            break;
        }
        is_empty = false;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if line.len() + part.len() > most {
            is_too_long = true;
            line.clear();
        } else if !is_too_long {
            line.extend(part);
        }
        let used = part.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(match (is_empty, is_too_long) {
        (true, _) => Line::End,
        (_, true) => Line::TooLong,
        _ => Line::Whole,
    })
}

fn log_line(entry: &Fields) -> LogLine {
    let number = |name: &str| text(entry, name).and_then(|text| text.parse().ok());
    LogLine {
        time_usec: time(entry),
        priority: number("PRIORITY").filter(|priority| *priority <= 7).unwrap_or(6),
        pid: text(entry, "_PID").and_then(|text| text.parse().ok()),
        identifier: text(entry, "SYSLOG_IDENTIFIER")
            .or_else(|| text(entry, "_COMM"))
            .map(|text| clean(&text))
            .unwrap_or_default(),
        message: message(entry),
    }
}

fn audit_line(entry: &Fields) -> AuditLine {
    let fields = AuditField::ALL.into_iter().filter_map(|field| {
        let value = text(entry, field.name())?;
        Some((field, plain_text(&value).into_owned()))
    });
    AuditLine {
        time_usec: time(entry),
        message_id: text(entry, "MESSAGE_ID").unwrap_or_default(),
        message: message(entry),
        fields: fields.collect(),
    }
}

fn time(entry: &Fields) -> u64 {
    text(entry, "__REALTIME_TIMESTAMP").and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn message(entry: &Fields) -> String {
    match text(entry, "MESSAGE") {
        Some(message) => clean(&message),
        None => "(too long, or empty)".to_owned(),
    }
}

/// Plain first: an escape code in its middle must not hide a secret.
fn clean(text: &str) -> String {
    redact(&plain_text(text)).into_owned()
}

/// The text of a field, the first if it is given more than once: as journalctl writes texts, bytes
/// that are none, and `null` for what is too large.
fn text(entry: &Fields, name: &str) -> Option<String> {
    first_text(entry.get(name)?)
}

fn first_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => match bytes(values) {
            Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            // A field given twice; the values of one can be bytes, but no lists.
            None => values.iter().find_map(|value| match value {
                Value::Array(values) => {
                    bytes(values).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                }
                Value::String(text) => Some(text.clone()),
                _ => None,
            }),
        },
        _ => None,
    }
}

fn bytes(values: &[Value]) -> Option<Vec<u8>> {
    values.iter().map(|value| value.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
}

#[cfg(test)]
mod tests;
