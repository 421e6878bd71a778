//! The records that the helper answers with: `a{sv}` on the bus, whose keys may become more and
//! never fewer. Here are the keys and the types; how they get onto the bus and off it is
//! `aictl-core`'s.

use serde::{Deserialize, Serialize};

use crate::{
    layer::Layer,
    run::{Outcome, Start},
    service::Scope,
    strict::Finding,
};

#[cfg(test)]
mod tests;

/// A key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub key: &'static str,
    /// The type of its value on the bus.
    pub signature: &'static str,
    /// What it means.
    pub about: &'static str,
}

/// A module with a constant for each key of a record, all of them, and the record's fields.
macro_rules! keys {
    ($(#[$doc:meta])* $module:ident {
        $($name:ident = $key:literal, $signature:literal, $about:literal;)+
    }) => {
        $(#[$doc])*
        pub mod $module {
            use super::Field;

            $(
                #[doc = concat!("`", $signature, "`: ", $about)]
                pub const $name: &str = $key;
            )+

            /// Every key.
            pub const ALL: [&str; [$($key),+].len()] = [$($key),+];

            /// Every key with its type and meaning.
            pub const FIELDS: [Field; ALL.len()] =
                [$(Field { key: $key, signature: $signature, about: $about }),+];
        }
    };
}

keys! {
    /// The keys of a [`ServiceRecord`], in the order of its fields.
    service_key {
        NAME = "name", "s", "The service's name.";
        DISPLAY = "display", "s", "Its name for people.";
        UNIT = "unit", "s", "Its unit.";
        SCOPE = "scope", "s", "Whose units: system, or user.";
        REQUIRED = "required", "b", "Whether something is wrong while it is not active.";
        VERBS = "verbs", "as", "The verbs that it allows.";
        LOAD_STATE = "load_state", "s",
            "Whether systemd has the unit: loaded, not-found, masked, error, and more.";
        ACTIVE_STATE = "active_state", "s",
            "The state: active, inactive, failed, activating, and more.";
        SUB_STATE = "sub_state", "s", "The state in detail: running, dead, auto-restart, and more.";
        ENABLED = "enabled", "s",
            "The state of the unit file: enabled, disabled, static, and more; empty if there is \
            none.";
        MAIN_PID = "main_pid", "u", "The main process; 0 if there is none.";
        SINCE_USEC = "since_usec", "t",
            "Since when it is active, in microseconds of the real-time clock; 0 if unknown.";
        RESTARTS = "restarts", "u", "How often systemd has restarted it by itself.";
        RESULT = "result", "s", "How it ended last: success, exit-code, signal, timeout, and more.";
    }
}

keys! {
    /// The keys of an [`ActionRecord`], in the order of its fields.
    action_key {
        JOB_RESULT = "job_result", "s",
            "How systemd's job ended: done, failed, canceled, timeout, dependency, skipped; or \
            queued, where the caller does not wait.";
        ACTIVE_STATE = "active_state", "s", "As in a service's record, after the action.";
        SUB_STATE = "sub_state", "s", "As in a service's record, after the action.";
        ENABLED = "enabled", "s", "As in a service's record, after the action.";
        RESULT = "result", "s", "As in a service's record, after the action.";
        LOG = "log", "as", "The last lines of the unit's log, redacted; only if the action failed.";
        REQUEST_ID = "request_id", "s",
            "The identifier under which the call stands in the journal.";
    }
}

keys! {
    /// The keys of a GPU's record, in the order of the fields of [`crate::gpu::Gpu`]; those of
    /// which nothing is known are left out.
    gpu_key {
        INDEX = "index", "u", "Its place in the list, from 0.";
        VENDOR = "vendor", "s", "Who made it: nvidia, amd, or intel.";
        STATE = "state", "s",
            "Whether it can be asked: awake; sleeping, and not woken for this; or lost, which does \
            not answer any more.";
        NAME = "name", "s", "Its name, for people.";
        UUID = "uuid", "s", "What identifies it, the same after each boot.";
        PCI_ADDRESS = "pci_address", "s", "Where it sits, such as 0000:01:00.0.";
        DRIVER = "driver", "s", "The kernel driver's name: nvidia, amdgpu, i915, xe, and more.";
        DRIVER_VERSION = "driver_version", "s", "The driver's version.";
        MEMORY_TOTAL_BYTES = "memory_total_bytes", "t", "Memory that it can use.";
        MEMORY_USED_BYTES = "memory_used_bytes", "t", "Memory in use.";
        MEMORY_SHARED = "memory_shared", "b", "Whether its memory is the host's own memory.";
        UTILISATION_PERCENT = "utilisation_percent", "d", "How much of the time it computes.";
        MEMORY_UTILISATION_PERCENT = "memory_utilisation_percent", "d",
            "How much of the time its memory is read or written.";
        TEMPERATURE_CELSIUS = "temperature_celsius", "d", "Its temperature.";
        POWER_WATTS = "power_watts", "d", "The power that it draws.";
        POWER_LIMIT_WATTS = "power_limit_watts", "d", "The most that it may draw.";
        CLOCK_GRAPHICS_MHZ = "clock_graphics_mhz", "u", "Clock of its cores.";
        CLOCK_MEMORY_MHZ = "clock_memory_mhz", "u", "Clock of its memory.";
        FAN_PERCENT = "fan_percent", "u", "Speed of its fan, of the highest.";
        FAN_RPM = "fan_rpm", "u", "Speed of its fan, in turns a minute.";
        PCIE_GENERATION = "pcie_generation", "u", "PCI Express generation of its link now.";
        PCIE_GENERATION_MAX = "pcie_generation_max", "u",
            "The highest generation that the link can have.";
        PCIE_WIDTH = "pcie_width", "u", "Lanes of its PCI Express link now.";
        PCIE_WIDTH_MAX = "pcie_width_max", "u", "The most lanes that the link can have.";
        THROTTLING = "throttling", "as",
            "Why it is slowed down, each reason in plain words; empty if it is not.";
        ECC_ENABLED = "ecc_enabled", "b", "Whether its memory corrects errors.";
        ECC_CORRECTED = "ecc_corrected", "t",
            "Memory errors that were corrected since the driver was loaded.";
        ECC_UNCORRECTED = "ecc_uncorrected", "t",
            "Memory errors that could not be corrected since the driver was loaded.";
        MIG_ENABLED = "mig_enabled", "b",
            "Whether it is divided into instances (Multi-Instance GPU).";
        PROCESSES = "processes", "aa{sv}",
            "What runs on it, a record for each process; left out if that cannot be listed.";
        PROCESSES_HIDDEN = "processes_hidden", "b",
            "Whether there may be more of them, which may not be looked at.";
        NOTES = "notes", "as", "What else there is to know, each in one sentence.";
    }
}

keys! {
    /// The keys of the record of a process on a GPU, in the order of the fields of
    /// [`crate::gpu::GpuProcess`]; those of which nothing is known are left out.
    gpu_process_key {
        PID = "pid", "u", "The process.";
        NAME = "name", "s", "Its name.";
        UNIT = "unit", "s", "The systemd unit that it belongs to.";
        SERVICE = "service", "s", "The service of the catalogue that has that unit.";
        MEMORY_BYTES = "memory_bytes", "t", "Memory of this GPU that it uses.";
    }
}

keys! {
    /// The keys of a [`RunRecord`], in the order of its fields; what is unknown is left out.
    run_key {
        OUTCOME = "outcome", "s",
            "How it ended: exited, signaled, timed-out, out-of-memory, output-limit, \
            process-limit, refused, or cancelled.";
        EXIT_CODE = "exit_code", "i", "The script's exit code, if it ended by itself.";
        SIGNAL = "signal", "i", "The signal that killed it.";
        MESSAGE = "message", "s", "Why it ended so, where the outcome does not tell all.";
        STDOUT_TRUNCATED = "stdout_truncated", "b", "Whether standard output was cut.";
        STDERR_TRUNCATED = "stderr_truncated", "b", "Whether standard error was cut.";
        RESULT = "result", "s", "The script's variable result, as JSON.";
        RESULT_ERROR = "result_error", "s", "Why there is none although the script set one.";
        WALL_USEC = "wall_usec", "t", "Time of the sandbox, in microseconds.";
        AUTHORISED_USEC = "authorised_usec", "t",
            "How long it took until the call was allowed, in microseconds.";
        QUEUED_USEC = "queued_usec", "t", "How long it waited for its turn, in microseconds.";
        ENGINE_USEC = "engine_usec", "t",
            "From its turn until the keeper of the sandboxes had told its end, in microseconds.";
        START_USEC = "start_usec", "t",
            "How much of wall_usec had gone by when the script's program began, in microseconds.";
        CPU_USEC = "cpu_usec", "t", "CPU time of all processes, in microseconds.";
        PEAK_MEMORY_BYTES = "peak_memory_bytes", "t", "The most memory that it was seen to use.";
        CODE_SHA256 = "code_sha256", "s", "SHA-256 of the script, in hexadecimal digits.";
        PROFILE = "profile", "s", "The profile that it ran under.";
        START = "start", "s",
            "How its interpreter was started: cold, warm, or forked; left out if nothing was.";
        ISOLATION = "isolation", "as", "The layers around it.";
        MISSING = "missing", "as", "The layers that this machine could not provide.";
        REFUSALS = "refusals", "aa{sv}",
            "Why it was refused before anything was started, a record for each reason, in the order \
            of the text; left out if it was not.";
        REQUEST_ID = "request_id", "s",
            "The identifier under which the run stands in the journal.";
    }
}

keys! {
    /// The keys of the record of a [`Finding`], in the order of its fields.
    finding_key {
        LINE = "line", "u", "Line in the script, from 1.";
        COLUMN = "column", "u", "Column in the line in characters, from 1.";
        RULE = "rule", "s",
            "What it is about: check (which could not be done), source, size, syntax, nodes, depth, \
            import, module, name, attribute, format, or number.";
        MESSAGE = "message", "s", "What is refused.";
        INSTEAD = "instead", "s", "What to write instead; left out if there is nothing.";
    }
}

keys! {
    /// The keys of a [`ListedRun`], in the order of its fields.
    listed_run_key {
        RUN = "run", "s", "The run.";
        CALLER_UID = "caller_uid", "u", "Whose it is.";
        STATE = "state", "s", "The word queued or running.";
        RUNTIME = "runtime", "s", "What runs it: python, bash or node.";
        PROFILE = "profile", "s", "How strictly it is isolated.";
        CODE_SHA256 = "code_sha256", "s", "SHA-256 of the script, in hexadecimal digits.";
        AGE_USEC = "age_usec", "t", "How long ago it was accepted, in microseconds.";
    }
}

keys! {
    /// The keys of a [`HealthRecord`], in the order of its fields.
    health_key {
        VERSION = "version", "s", "The helper's version.";
        PID = "pid", "u", "The helper's process.";
        UPTIME_USEC = "uptime_usec", "t", "For how long it has been running, in microseconds.";
        CONFIG = "config", "s", "The word ok, or what is wrong with the configuration's files.";
        CONFIG_GENERATION = "config_generation", "u",
            "How many configurations have been in force since the start, this one included.";
        JOURNAL = "journal", "b", "Whether the journal takes records.";
        POLKIT = "polkit", "b", "Whether polkit answers.";
        SYSTEMD = "systemd", "b", "Whether systemd answers.";
        SANDBOX = "sandbox", "s",
            "The word ok, or why no script can be run: one was tried, some seconds ago at the most.";
        CALLS_IN_FLIGHT = "calls_in_flight", "u",
            "How many calls are being worked on, this one included.";
    }
}

/// The value of [`health_key::CONFIG`] where nothing is wrong.
pub const CONFIG_OK: &str = "ok";

/// The value of [`health_key::SANDBOX`] where a script has run.
pub const SANDBOX_OK: &str = "ok";

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

/// What a run came to; the meaning of each field is that of its key in [`run_key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field has the name of its key, which says what it is")]
pub struct RunRecord {
    pub outcome: Outcome,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub message: Option<String>,
    pub stdout_truncated: bool,
    pub stderr_truncated: bool,
    pub result: Option<serde_json::Value>,
    pub result_error: Option<String>,
    pub wall_usec: u64,
    pub times: RunTimes,
    pub cpu_usec: u64,
    pub peak_memory_bytes: Option<u64>,
    pub code_sha256: String,
    pub profile: String,
    pub start: Option<Start>,
    pub isolation: Vec<Layer>,
    pub missing: Vec<Layer>,
    pub refusals: Vec<Finding>,
    pub request_id: String,
}

impl RunRecord {
    /// The record of a run that nothing was started for: no memory was used, and there are no
    /// layers.
    #[must_use]
    pub fn never_begun(
        outcome: Outcome,
        request_id: &str,
        profile: &str,
        code_sha256: String,
    ) -> Self {
        Self {
            outcome,
            exit_code: None,
            signal: None,
            message: None,
            stdout_truncated: false,
            stderr_truncated: false,
            result: None,
            result_error: None,
            wall_usec: 0,
            times: RunTimes::default(),
            cpu_usec: 0,
            peak_memory_bytes: None,
            code_sha256,
            profile: profile.to_owned(),
            start: None,
            isolation: Vec::new(),
            missing: Vec::new(),
            refusals: Vec::new(),
            request_id: request_id.to_owned(),
        }
    }
}

/// Where the time of a run went, as far as it is known; the meaning of each field is that of its key
/// in [`run_key`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field has the name of its key, which says what it is")]
pub struct RunTimes {
    pub authorised_usec: Option<u64>,
    pub queued_usec: Option<u64>,
    pub engine_usec: Option<u64>,
    pub start_usec: Option<u64>,
}

/// A run that has not ended; the meaning of each field is that of its key in [`listed_run_key`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field has the name of its key, which says what it is")]
pub struct ListedRun {
    pub run: String,
    pub caller_uid: u32,
    pub state: String,
    pub runtime: String,
    pub profile: String,
    pub code_sha256: String,
    pub age_usec: u64,
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
    pub sandbox: String,
    pub calls_in_flight: u32,
}

/// How systemd's job ended (org.freedesktop.systemd1(5), "JobRemoved"), or that it has not yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
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
