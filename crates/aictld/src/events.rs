//! What the helper says of itself, beside its records of calls: as much of it, and in such a form,
//! as table `[log]` of the configuration wants. Nobody relies on a line: one that the journal does
//! not take is lost.

use std::fmt;

use aictl_api::{
    authorisation::AuditField,
    config::{Log, LogFormat, LogLevel},
    error::CallError,
};
use aictl_core::{
    journal::send::{Entry, Priority},
    plain_text::plain_text,
    redact::redact,
};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::answer::Refusal;

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The system bus cannot be reached, for this reason.
    NoBus(&'a str),
    /// systemd cannot be reached, for this reason.
    NoSystemd(&'a str),
    /// The helper ends as it should.
    Ends(Why),
    /// A call was not answered with what it asked for. Its record has the error's name alone.
    Refused {
        /// The call.
        request_id: &'a str,
        /// The error, with the words that its caller is told.
        refusal: &'a Refusal,
    },
}

/// Why the helper ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nobody has called it for a while.
    Idle,
    /// It was told to.
    Told,
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBus(reason) => {
                write!(f, "the system bus cannot be reached, and every call is refused: {reason}")
            }
            Self::NoSystemd(reason) => write!(f, "systemd cannot be reached: {reason}"),
            Self::Ends(Why::Idle) => f.write_str("nobody has called for a while"),
            Self::Ends(Why::Told) => f.write_str("told to end"),
            Self::Refused { request_id, refusal } => {
                write!(f, "call {request_id}: {}: {}", refusal.dbus_name(), refusal.message())
            }
        }
    }
}

impl Event<'_> {
    /// The event as a word, for programs.
    const fn name(&self) -> &'static str {
        match self {
            Self::NoBus(_) => "no-bus",
            Self::NoSystemd(_) => "no-systemd",
            Self::Ends(_) => "ends",
            Self::Refused { .. } => "refused",
        }
    }

    /// How important it is: what is wrong with the machine more than what is wrong with a call.
    const fn level(&self) -> LogLevel {
        match self {
            Self::NoBus(_) => LogLevel::Error,
            Self::NoSystemd(_) => LogLevel::Warning,
            Self::Ends(_) => LogLevel::Info,
            Self::Refused { refusal, .. } => match refusal {
                Refusal::Call(
                    CallError::Unavailable(_)
                    | CallError::AuthorizationUnavailable(_)
                    | CallError::TimedOut(_)
                    | CallError::Failed(_),
                ) => LogLevel::Warning,
                Refusal::Call(_) | Refusal::Standard(_) => LogLevel::Debug,
            },
        }
    }

    /// The entry for the journal; `None` if it is not important enough.
    #[must_use]
    pub fn entry(&self, log: Log, time: Timestamp) -> Option<Entry> {
        let level = self.level();
        if level > log.level {
            return None;
        }
        let text = self.to_string();
        let text = redact(&plain_text(&text)).into_owned();
        let message = match log.format {
            LogFormat::Text => text,
            LogFormat::Json => self.json(level, text, time),
        };
        let entry = Entry::new(priority(level), &message);
        Some(match self {
            Self::Refused { request_id, .. } => entry.with(AuditField::RequestId, request_id),
            _ => entry,
        })
    }

    /// One object on one line, which says all by itself: what passes lines on leaves out the
    /// journal's fields.
    fn json(&self, level: LogLevel, text: String, time: Timestamp) -> String {
        let time = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let mut object = Map::new();
        let mut set = |key: &str, value: String| object.insert(key.to_owned(), value.into());
        set("time", time);
        set("level", level.name().to_owned());
        set("event", self.name().to_owned());
        if let Self::Refused { request_id, refusal } = self {
            set("request_id", (*request_id).to_owned());
            set("error", refusal.dbus_name().to_owned());
        }
        set("message", text);
        Value::Object(object).to_string()
    }
}

const fn priority(level: LogLevel) -> Priority {
    match level {
        LogLevel::Error => Priority::Error,
        LogLevel::Warning => Priority::Warning,
        LogLevel::Notice => Priority::Notice,
        LogLevel::Info => Priority::Info,
        LogLevel::Debug => Priority::Debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The field of an entry, as [`Entry::with`] writes it.
    fn field(entry: &Entry, name: &str) -> Option<String> {
        let (name, bytes) = (format!("{name}\n"), entry.as_bytes());
        let at = bytes.windows(name.len()).position(|window| window == name.as_bytes())?;
        let (length, rest) = bytes[at + name.len()..].split_first_chunk().unwrap();
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        Some(String::from_utf8(rest[..length].to_vec()).unwrap())
    }

    #[test]
    fn what_is_written_is_as_important_as_the_configuration_says() {
        let refusal = |error| Refusal::Call(error);
        let silent = refusal(CallError::AuthorizationUnavailable("polkit is silent".to_owned()));
        let unknown = refusal(CallError::no_such_service());
        let of = |refusal| Event::Refused { request_id: "5a", refusal };
        // Each event, and how many levels there are at which it is not written.
        let table = [
            (Event::NoBus("gone"), 0, "3"),
            (Event::NoSystemd("gone"), 1, "4"),
            (of(&silent), 1, "4"),
            (Event::Ends(Why::Idle), 3, "6"),
            (Event::Ends(Why::Told), 3, "6"),
            (of(&unknown), 4, "7"),
        ];
        for (event, not_at, number) in table {
            for (index, level) in LogLevel::ALL.into_iter().enumerate() {
                let log = Log { level, ..Log::default() };
                let entry = event.entry(log, Timestamp::UNIX_EPOCH);
                assert_eq!(entry.is_some(), index >= not_at, "{event:?} at {level:?}");
                if let Some(entry) = entry {
                    assert_eq!(field(&entry, "PRIORITY").as_deref(), Some(number), "{event:?}");
                }
            }
        }
    }

    #[test]
    fn a_line_is_a_text_or_an_object_with_its_time_in_utc() {
        let refusal = Refusal::Call(CallError::Failed("password=hunter2hunter2\u{1b}[2J\n".into()));
        let event = Event::Refused { request_id: "5a", refusal: &refusal };
        let time = Timestamp::from_microsecond(1_795_348_830_123_456).unwrap();
        let message = |format| {
            let entry = event.entry(Log { level: LogLevel::Debug, format }, time).unwrap();
            assert_eq!(field(&entry, "AICTL_REQUEST_ID").as_deref(), Some("5a"));
            field(&entry, "MESSAGE").unwrap()
        };
        let text = message(LogFormat::Text);
        assert!(text.starts_with("call 5a: org.aictl1.Error.Failed: password="), "{text}");
        let json = message(LogFormat::Json);
        for line in [&text, &json] {
            assert!(!line.contains("hunter2") && !line.contains(char::is_control), "{line:?}");
        }
        let object: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object["time"], "2026-11-22T12:00:30.123456Z");
        assert_eq!(object["message"], text);
        let of = |key: &str| object[key].as_str().unwrap().to_owned();
        let rest = ["level", "event", "request_id", "error"].map(of);
        assert_eq!(rest, ["warning", "refused", "5a", "org.aictl1.Error.Failed"]);
        let told = Event::Ends(Why::Told);
        let log = Log { level: LogLevel::Info, format: LogFormat::Json };
        let told = field(&told.entry(log, time).unwrap(), "MESSAGE").unwrap();
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap().get("request_id"), None);
    }
}
