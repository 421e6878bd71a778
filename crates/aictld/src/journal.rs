//! Where records go: the journal, by a sender that says whether a record was taken.

use std::path::PathBuf;

use aictl_api::authorisation::AuditField;
use aictl_core::journal::send::{Entry, FieldName, JournalError, JournalSocket};

use crate::audit::Record;

/// What the records come from, in the words of syslog.
const IDENTIFIER: &str = "aictld";

/// The journal.
#[derive(Debug, Clone)]
pub struct Journal(JournalSocket);

impl Journal {
    /// The machine's.
    #[must_use]
    pub fn system() -> Self {
        Self(JournalSocket::default())
    }

    /// The one that listens at this path.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(JournalSocket::at(path))
    }

    /// Writes a record; where the journal is busy, waits a little.
    ///
    /// # Errors
    /// If it is not taken.
    pub async fn write(&self, record: &Record) -> Result<(), JournalError> {
        self.0.send(&entry(record)).await
    }

    /// Writes a record now or not at all.
    ///
    /// # Errors
    /// If it is not taken.
    pub fn try_write(&self, record: &Record) -> Result<(), JournalError> {
        self.0.try_send(&entry(record))
    }

    /// Writes a line of the helper's log now or not at all.
    ///
    /// # Errors
    /// If it is not taken.
    pub fn try_log(&self, line: Entry) -> Result<(), JournalError> {
        self.0.try_send(&line.with(FieldName::SYSLOG_IDENTIFIER, IDENTIFIER))
    }

    /// Whether somebody takes records.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.ping().is_ok()
    }
}

fn entry(record: &Record) -> Entry {
    let entry = Entry::new(record.priority, &record.message)
        .with(FieldName::MESSAGE_ID, record.message_id)
        .with(FieldName::SYSLOG_IDENTIFIER, IDENTIFIER);
    let entry = record.fields.iter().fold(entry, |entry, (field, value)| entry.with(*field, value));
    match record.calls {
        Some(calls) => entry.with(AuditField::Count, calls.to_string()),
        None => entry,
    }
}
