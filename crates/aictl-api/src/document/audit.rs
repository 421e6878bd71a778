//! What `aictl audit` prints.

use serde::Serialize;

use crate::audit::{Decision, Outcome};

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
}
