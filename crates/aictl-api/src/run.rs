//! What a sandboxed run ends in: the document that `aictl run --json` prints.

use serde::{Deserialize, Serialize};

use crate::{exit, layer::Layer};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The program ended by itself; `exit_code` says how.
    Exited,
    /// A signal that the sandbox did not send killed the program; `signal` says which.
    Signaled,
    /// The wall-clock or the CPU limit was reached; everything in the sandbox was killed.
    TimedOut,
    /// The memory limit was reached; everything in the sandbox was killed.
    OutOfMemory,
    /// One of the output streams passed its limit; everything in the sandbox was killed.
    OutputLimit,
    /// More processes and threads than allowed; everything in the sandbox was killed.
    ProcessLimit,
    /// Nothing was run, because policy forbids it; `refusals` says why.
    Refused,
    /// The caller ended the run, or went away.
    Cancelled,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Exited,
        Self::Signaled,
        Self::TimedOut,
        Self::OutOfMemory,
        Self::OutputLimit,
        Self::ProcessLimit,
        Self::Refused,
        Self::Cancelled,
    ];

    /// The outcome as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Signaled => "signaled",
            Self::TimedOut => "timed-out",
            Self::OutOfMemory => "out-of-memory",
            Self::OutputLimit => "output-limit",
            Self::ProcessLimit => "process-limit",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }

    /// The outcome that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == word)
    }

    /// The exit code of `aictl run` for this outcome.
    ///
    /// `code` and `signal` are those of the program; `Cancelled` counts as ended by `signal` if
    /// there is one (the signal that aictl got), else by SIGINT.
    #[must_use]
    pub fn exit_code(self, code: Option<i32>, signal: Option<i32>) -> u8 {
        match self {
            Self::Exited => code.and_then(|c| u8::try_from(c).ok()).unwrap_or(exit::INTERNAL),
            Self::Signaled => signal.map_or(exit::INTERNAL, exit::from_signal),
            Self::TimedOut => exit::TIMED_OUT,
            Self::OutOfMemory | Self::OutputLimit | Self::ProcessLimit => exit::from_signal(9),
            Self::Refused => exit::REFUSED,
            Self::Cancelled => exit::from_signal(signal.unwrap_or(2)),
        }
    }
}

/// How the interpreter of a run was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// It was executed for the run.
    #[default]
    Cold,
    /// It had been executed before, and waited in its sandbox for the one run that it got.
    Warm,
    /// It was copied, into a sandbox of its own, from an interpreter that runs nothing itself.
    Forked,
}

impl Start {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Cold, Self::Warm, Self::Forked];

    /// The way as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::Forked => "forked",
        }
    }

    /// The way that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|start| start.name() == word)
    }
}

/// One reason why a script was refused before it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Line in the script, from 1.
    pub line: u32,
    /// Column in the line in characters, from 1.
    pub column: u32,
    /// The rule's name, such as `import`.
    pub rule: String,
    /// What was found and what to write instead.
    pub message: String,
}

/// What a run left behind: the document of `aictl run --json`.
///
/// Unknown is `null`, never 0. Fields are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunReport {
    /// The request's id, the same in the helper's journal: 32 hexadecimal digits.
    pub request_id: String,
    /// How the run ended.
    pub outcome: Outcome,
    /// The program's exit code, 0 to 255, if it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that killed the program.
    pub signal: Option<i32>,
    /// Why the run ended as it did, in one sentence, where `outcome` does not tell all.
    pub message: Option<String>,
    /// Standard output; bytes that are not UTF-8 are replaced by U+FFFD.
    pub stdout: String,
    /// Standard error; bytes that are not UTF-8 are replaced by U+FFFD.
    pub stderr: String,
    /// Whether standard output was cut at its limit.
    pub stdout_truncated: bool,
    /// Whether standard error was cut at its limit.
    pub stderr_truncated: bool,
    /// The script's top-level variable `result`, if JSON can hold it.
    pub result: Option<serde_json::Value>,
    /// Why the script was refused before it ran.
    pub refusals: Vec<Refusal>,
    /// Wall-clock time of the sandbox in milliseconds, its making and its end included.
    pub wall_ms: f64,
    /// CPU time of all processes in the sandbox, in milliseconds.
    pub cpu_ms: f64,
    /// The most memory that the whole sandbox was seen to use, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// SHA-256 of the script, in hexadecimal digits.
    pub code_sha256: String,
    /// The profile it ran under.
    pub profile: String,
    /// How its interpreter was started, if anything was.
    pub start: Option<Start>,
    /// The layers around the run.
    pub isolation: Vec<Layer>,
    /// The layers that this machine could not provide.
    pub missing: Vec<Layer>,
    /// Where the time went; there only with `--timings`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<RunTimings>,
}

/// Where the time of a run went, in microseconds. The parts add up to the whole; one that there is
/// not on the way that the run took is `null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunTimings {
    /// The start of the program aictl: its CPU time until it begins its work.
    pub start_usec: Option<u64>,
    /// Reading the command line, the configuration and the script, and checking them.
    pub arguments_usec: Option<u64>,
    /// Connecting to the helper, as far as that was not done while the script was read.
    pub connection_usec: Option<u64>,
    /// Until the helper knew that the call is allowed; polkit's answer is nearly all of it.
    pub authorisation_usec: Option<u64>,
    /// Waiting for its turn, where more runs are wanted than may be made at one time.
    pub queue_usec: Option<u64>,
    /// The helper's other work: messages there and back, and the journal's records.
    pub helper_usec: Option<u64>,
    /// Between the helper and the sandboxes, there and back.
    pub handover_usec: Option<u64>,
    /// Making the sandbox, until the program in it was let start.
    pub sandbox_usec: Option<u64>,
    /// The program in the sandbox, the interpreter's own start and the sandbox's end included.
    pub run_usec: Option<u64>,
    /// From the end of the run until all of its output was written.
    pub output_usec: Option<u64>,
    /// All of it.
    pub total_usec: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_become_documented_exit_codes() {
        let table = [
            (Outcome::Exited, Some(0), None, 0),
            (Outcome::Exited, Some(42), None, 42),
            (Outcome::Exited, Some(255), None, 255),
            (Outcome::Exited, None, None, 125),
            (Outcome::Exited, Some(256), None, 125),
            (Outcome::Signaled, None, Some(11), 139),
            (Outcome::Signaled, None, None, 125),
            (Outcome::TimedOut, None, Some(9), 124),
            (Outcome::OutOfMemory, None, Some(9), 137),
            (Outcome::OutputLimit, None, Some(9), 137),
            (Outcome::ProcessLimit, None, Some(9), 137),
            (Outcome::Refused, None, None, 126),
            (Outcome::Cancelled, None, None, 130),
            (Outcome::Cancelled, None, Some(15), 143),
        ];
        for (outcome, code, signal, expected) in table {
            assert_eq!(
                outcome.exit_code(code, signal),
                expected,
                "{outcome:?} {code:?} {signal:?}"
            );
        }
    }

    #[test]
    fn outcomes_have_the_documented_words() {
        let words = [
            (Outcome::Exited, "exited"),
            (Outcome::Signaled, "signaled"),
            (Outcome::TimedOut, "timed-out"),
            (Outcome::OutOfMemory, "out-of-memory"),
            (Outcome::OutputLimit, "output-limit"),
            (Outcome::ProcessLimit, "process-limit"),
            (Outcome::Refused, "refused"),
            (Outcome::Cancelled, "cancelled"),
        ];
        for (outcome, word) in words {
            assert_eq!(serde_json::to_value(outcome).unwrap(), word);
            assert_eq!((outcome.name(), Outcome::from_name(word)), (word, Some(outcome)));
        }
    }
}
