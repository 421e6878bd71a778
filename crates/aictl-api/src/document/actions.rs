//! What `aictl start`, `stop`, `restart`, `reload`, `enable` and `disable` print.

use serde::Serialize;

use crate::{authorisation::Verb, record::JobResult};

/// What came of a command that acts on services.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Actions<'a> {
    /// An entry for each service, in the order of the command line.
    pub actions: Vec<Action<'a>>,
}

/// What came of one action.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Action<'a> {
    /// The service, as it was named.
    pub service: &'a str,
    /// What was to be done.
    pub verb: Verb,
    /// Whether it is done, or on its way where nobody waits.
    pub ok: bool,
    /// How systemd's job ended.
    pub job_result: Option<JobResult>,
    /// systemd's state of the unit after it: `active`, `inactive`, `failed`, and more.
    pub active_state: Option<&'a str>,
    /// The state in detail: `running`, `dead`, and more.
    pub sub_state: Option<&'a str>,
    /// The state of the unit's file after it: `enabled`, `disabled`, `static`, and more.
    pub enabled: Option<&'a str>,
    /// How the unit ended last: `success`, `exit-code`, `signal`, `timeout`, and more.
    pub result: Option<&'a str>,
    /// The last lines of the unit's log, redacted; only if the action failed.
    pub log: &'a [String],
    /// The identifier of the call in the journal.
    pub request_id: Option<&'a str>,
    /// Why nothing came of it.
    pub error: Option<ActionError<'a>>,
    /// What the user can do about it, in plain words.
    pub advice: Option<&'a str>,
}

/// Why nothing came of an action.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActionError<'a> {
    /// The error's name on the bus, such as `org.aictl1.Error.NotAuthorized`.
    pub name: &'static str,
    /// The error in words.
    pub message: &'a str,
    /// After how long it can be tried again, in milliseconds, where a limit was the reason.
    pub retry_after_ms: Option<u64>,
}
