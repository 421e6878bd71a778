//! The records that the helper answers with: `a{sv}` on the bus, whose keys may become more and
//! never fewer. Here are the keys and the types; how they get onto the bus and off it is
//! `aictl-core`'s.

use crate::service::Scope;

#[cfg(test)]
mod tests;

/// The keys of a [`ServiceRecord`], in the order of its fields.
pub mod service_key {
    /// `s`: the service's name.
    pub const NAME: &str = "name";
    /// `s`: its name for people.
    pub const DISPLAY: &str = "display";
    /// `s`: its unit.
    pub const UNIT: &str = "unit";
    /// `s`: `system`, or `user`.
    pub const SCOPE: &str = "scope";
    /// `b`: whether something is wrong while it is not active.
    pub const REQUIRED: &str = "required";
    /// `as`: the verbs that it allows.
    pub const VERBS: &str = "verbs";
    /// `s`: whether systemd has the unit: `loaded`, `not-found`, `masked`, `error`, and more.
    pub const LOAD_STATE: &str = "load_state";
    /// `s`: `active`, `inactive`, `failed`, `activating`, and more.
    pub const ACTIVE_STATE: &str = "active_state";
    /// `s`: the state in detail: `running`, `dead`, `auto-restart`, and more.
    pub const SUB_STATE: &str = "sub_state";
    /// `s`: the state of the unit file: `enabled`, `disabled`, `static`, and more; empty if there
    /// is none.
    pub const ENABLED: &str = "enabled";
    /// `u`: the main process; 0 if there is none.
    pub const MAIN_PID: &str = "main_pid";
    /// `t`: since when it is active, in microseconds of the real-time clock; 0 if unknown.
    pub const SINCE_USEC: &str = "since_usec";
    /// `u`: how often systemd has restarted it by itself.
    pub const RESTARTS: &str = "restarts";
    /// `s`: how it ended last: `success`, `exit-code`, `signal`, `timeout`, and more.
    pub const RESULT: &str = "result";

    /// Every key.
    pub const ALL: [&str; 14] = [
        NAME,
        DISPLAY,
        UNIT,
        SCOPE,
        REQUIRED,
        VERBS,
        LOAD_STATE,
        ACTIVE_STATE,
        SUB_STATE,
        ENABLED,
        MAIN_PID,
        SINCE_USEC,
        RESTARTS,
        RESULT,
    ];
}

/// The keys of an [`ActionRecord`], in the order of its fields.
pub mod action_key {
    /// `s`: how systemd's job ended; the words of [`JobResult`](super::JobResult).
    pub const JOB_RESULT: &str = "job_result";
    /// `s`: as in a service's record, after the action.
    pub const ACTIVE_STATE: &str = super::service_key::ACTIVE_STATE;
    /// `s`: as in a service's record, after the action.
    pub const SUB_STATE: &str = super::service_key::SUB_STATE;
    /// `s`: as in a service's record, after the action.
    pub const ENABLED: &str = super::service_key::ENABLED;
    /// `s`: as in a service's record, after the action.
    pub const RESULT: &str = super::service_key::RESULT;
    /// `as`: the last lines of the unit's log, redacted; only if the action failed.
    pub const LOG: &str = "log";
    /// `s`: the identifier under which the call stands in the journal.
    pub const REQUEST_ID: &str = "request_id";

    /// Every key.
    pub const ALL: [&str; 7] =
        [JOB_RESULT, ACTIVE_STATE, SUB_STATE, ENABLED, RESULT, LOG, REQUEST_ID];
}

/// The keys of a [`HealthRecord`], in the order of its fields.
pub mod health_key {
    /// `s`: the helper's version.
    pub const VERSION: &str = "version";
    /// `u`: the helper's process.
    pub const PID: &str = "pid";
    /// `t`: for how long it has been running, in microseconds.
    pub const UPTIME_USEC: &str = "uptime_usec";
    /// `s`: `ok`, or what is wrong with the configuration's files.
    pub const CONFIG: &str = "config";
    /// `u`: how many configurations have been in force since the start, this one included.
    pub const CONFIG_GENERATION: &str = "config_generation";
    /// `b`: whether the journal takes records.
    pub const JOURNAL: &str = "journal";
    /// `b`: whether polkit answers.
    pub const POLKIT: &str = "polkit";
    /// `b`: whether systemd answers.
    pub const SYSTEMD: &str = "systemd";
    /// `u`: how many calls are being worked on, this one included.
    pub const CALLS_IN_FLIGHT: &str = "calls_in_flight";

    /// Every key.
    pub const ALL: [&str; 9] = [
        VERSION,
        PID,
        UPTIME_USEC,
        CONFIG,
        CONFIG_GENERATION,
        JOURNAL,
        POLKIT,
        SYSTEMD,
        CALLS_IN_FLIGHT,
    ];
}

/// The value of [`health_key::CONFIG`] where nothing is wrong.
pub const CONFIG_OK: &str = "ok";

/// The state of one service; the meaning of each field is that of its key in [`service_key`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field has the name of its key, which says what it is")]
pub struct ServiceRecord {
    pub name: String,
    pub display: String,
    pub unit: String,
    pub scope: Scope,
    pub required: bool,
    pub verbs: Vec<String>,
    pub load_state: String,
    pub active_state: String,
    pub sub_state: String,
    pub enabled: String,
    pub main_pid: u32,
    pub since_usec: u64,
    pub restarts: u32,
    pub result: String,
}

/// What came of an action on a service; the meaning of each field is that of its key in
/// [`action_key`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field has the name of its key, which says what it is")]
pub struct ActionRecord {
    pub job_result: JobResult,
    pub active_state: String,
    pub sub_state: String,
    pub enabled: String,
    pub result: String,
    pub log: Vec<String>,
    pub request_id: String,
}

/// How the helper is; the meaning of each field is that of its key in [`health_key`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field has the name of its key, which says what it is")]
pub struct HealthRecord {
    pub version: String,
    pub pid: u32,
    pub uptime_usec: u64,
    pub config: String,
    pub config_generation: u32,
    pub journal: bool,
    pub polkit: bool,
    pub systemd: bool,
    pub calls_in_flight: u32,
}

/// How systemd's job ended (org.freedesktop.systemd1(5), "JobRemoved"), or that it has not yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobResult {
    /// As it should.
    Done,
    /// It failed; also for what is in no record, since silence is no success, and for every other
    /// word of systemd's.
    #[default]
    Failed,
    /// Another job took its place.
    Canceled,
    /// Its time was up, by the unit's own settings.
    Timeout,
    /// A unit that this one needs failed.
    Dependency,
    /// It does not apply to the unit in its state.
    Skipped,
    /// It is in systemd's queue, and the caller does not wait for its end.
    Queued,
}

impl JobResult {
    /// Every result.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Canceled,
        Self::Timeout,
        Self::Dependency,
        Self::Skipped,
        Self::Queued,
    ];

    /// The result as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Dependency => "dependency",
            Self::Skipped => "skipped",
            Self::Queued => "queued",
        }
    }

    /// The result that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.name() == word)
    }

    /// Whether what was asked for is done or on its way.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Done | Self::Queued)
    }
}
