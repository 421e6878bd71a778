//! What `aictl audit` prints.

use serde::Serialize;

use crate::{
    audit::{Decision, Outcome},
    run,
};

/// Calls of the helper.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Audit<'a> {
    /// The calls, in the order of their begin.
    pub calls: Vec<Call<'a>>,
}

/// One call, or several that are told of together.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Call<'a> {
    /// When it was recorded, as ISO 8601 in UTC.
    pub time: Option<String>,
    /// The identifier of the call.
    pub request_id: Option<&'a str>,
    /// Interface and member that were called.
    pub method: Option<&'a str>,
    /// The caller's uid.
    pub caller_uid: Option<u32>,
    /// The caller's name; the uid where that has none.
    pub caller: Option<String>,
    /// The caller's process.
    pub caller_pid: Option<u32>,
    /// The systemd unit that the caller ran in.
    pub caller_unit: Option<&'a str>,
    /// The service that was asked about.
    pub service: Option<&'a str>,
    /// That service's systemd unit.
    pub unit: Option<&'a str>,
    /// What was to be done to the unit.
    pub verb: Option<&'a str>,
    /// Whether the call was allowed.
    pub decision: Option<Decision>,
    /// What came of it.
    pub result: Option<Outcome>,
    /// The name of the error that the caller was given.
    pub error: Option<&'a str>,
    /// How long the call took, in microseconds.
    pub duration_usec: Option<u64>,
    /// How many calls this stands for.
    pub count: u64,
    /// Whether the call has ended.
    pub finished: bool,
    /// The run that was asked about: the identifier of the call that began it.
    pub about_run: Option<&'a str>,
    /// The run that the call began, or would have begun; `null` for all other calls.
    pub run: Option<Run<'a>>,
}

/// A run of a script: what was run, and, once it has ended, how and at what cost.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run<'a> {
    /// SHA-256 of the script, in hexadecimal digits.
    pub code_sha256: Option<&'a str>,
    /// The size of the script in bytes.
    pub code_bytes: Option<u64>,
    /// How strictly it is isolated.
    pub profile: Option<&'a str>,
    /// How many arguments the script was given.
    pub arguments: Option<u64>,
    /// Whether there is a record of its end. One that was not begun has none.
    pub finished: bool,
    /// How it ended.
    pub outcome: Option<run::Outcome>,
    /// The script's exit code, if it ended by itself.
    pub exit_code: Option<i32>,
    /// The name of the error that there was instead of an end.
    pub error: Option<&'a str>,
    /// How long it took, its wait for its turn included, in microseconds.
    pub duration_usec: Option<u64>,
    /// The CPU time of all its processes, in microseconds.
    pub cpu_usec: Option<u64>,
    /// The most memory that it was seen to use, in bytes.
    pub peak_memory_bytes: Option<u64>,
}
