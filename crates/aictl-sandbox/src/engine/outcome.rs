//! From what was seen of a run to its outcome.

use aictl_api::{limits::Limits, run::Outcome};
use nix::libc;

use crate::protocol::Stream;

/// Why sandboxd ended a run before the program did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The wall-clock limit.
    Wall,
    /// The CPU limit.
    Cpu,
    /// The memory limit.
    Memory,
    /// The limit on processes.
    Processes,
    /// The limit on one of the streams.
    Output(Stream),
    /// The client asked for it, or went away.
    Cancelled,
}

/// How the program's own process ended, from its wait status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl End {
    /// Reads a wait status (wait(2)).
    #[must_use]
    pub fn from_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Signal(libc::WTERMSIG(status))
        } else {
            Self::Code(libc::WEXITSTATUS(status))
        }
    }
}

/// All that was seen of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Why sandboxd killed it, if it did.
    pub stop: Option<Stop>,
    /// How the program ended; `None` if it was still running when all was killed.
    pub end: Option<End>,
    /// Whether the kernel killed one of its processes for want of memory.
    pub oom_kill: bool,
    /// Whether the kernel refused it a process.
    pub process_refused: bool,
    /// Whether the CPU time of all its processes has reached the limit.
    pub cpu_used_up: bool,
}

/// An outcome with what belongs to it in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome.
    pub outcome: Outcome,
    /// The program's exit code, if it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why, in one sentence, where the outcome does not tell all.
    pub message: Option<String>,
}

/// Decides what a run ended in.
#[must_use]
pub fn decide(seen: &Seen, limits: &Limits) -> Verdict {
    let failed = !matches!(seen.end, Some(End::Code(0)));
    let outcome = match (seen.stop, seen.end) {
        // Output was cut, whether or not the program ended meanwhile.
        (Some(Stop::Output(_)), _) => Outcome::OutputLimit,
        (_, Some(End::Signal(libc::SIGKILL))) if seen.oom_kill => Outcome::OutOfMemory,
        (_, Some(_)) if failed && seen.process_refused => Outcome::ProcessLimit,
        (_, Some(End::Signal(libc::SIGXCPU))) if seen.cpu_used_up => Outcome::TimedOut,
        (_, Some(End::Signal(libc::SIGKILL))) if seen.cpu_used_up => Outcome::TimedOut,
        // The program was faster than the kill.
        (_, Some(End::Code(_))) => Outcome::Exited,
        (_, Some(End::Signal(_))) => Outcome::Signaled,
        (Some(Stop::Wall | Stop::Cpu), None) => Outcome::TimedOut,
        (Some(Stop::Memory), None) => Outcome::OutOfMemory,
        (Some(Stop::Processes), None) => Outcome::ProcessLimit,
        (Some(Stop::Cancelled), None) => Outcome::Cancelled,
        // Only the kernel's memory killer takes the sandbox's first process too.
        (None, None) if seen.oom_kill => Outcome::OutOfMemory,
        (None, None) => Outcome::Signaled,
    };
    let (exit_code, signal) = match (outcome, seen.end) {
        (Outcome::Exited, Some(End::Code(code))) => (Some(code), None),
        (Outcome::Signaled, Some(End::Signal(signal))) => (None, Some(signal)),
        (Outcome::Cancelled, _) => (None, None),
        _ => (None, Some(libc::SIGKILL)),
    };
    Verdict { outcome, exit_code, signal, message: message(outcome, seen, limits) }
}

fn message(outcome: Outcome, seen: &Seen, limits: &Limits) -> Option<String> {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    Some(match (outcome, seen.stop) {
        (Outcome::TimedOut, Some(Stop::Wall)) => {
            format!("stopped after {} s, the limit of --timeout", limits.wall().as_secs_f64())
        }
        (Outcome::TimedOut, _) => {
            format!(
                "stopped after {} s of CPU time, the limit of --cpu",
                limits.cpu().as_secs_f64()
            )
        }
        (Outcome::OutOfMemory, _) => {
            format!("stopped at {} of memory, the limit of --memory", mib(limits.memory()))
        }
        (Outcome::ProcessLimit, _) => {
            format!(
                "stopped with more than {} processes and threads, the limit of --max-processes",
                limits.processes()
            )
        }
        (Outcome::OutputLimit, Some(Stop::Output(stream))) => {
            let stream = match stream {
                Stream::Stdout => "standard output",
                Stream::Stderr => "standard error",
            };
            format!(
                "stopped after {} bytes on {stream}, the limit of --max-output",
                limits.output()
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Seen =
        Seen { stop: None, end: None, oom_kill: false, process_refused: false, cpu_used_up: false };

    #[test]
    fn what_was_seen_becomes_an_outcome() {
        use Outcome::*;
        let code = |n| Some(End::Code(n));
        let signal = |n| Some(End::Signal(n));
        let table = [
            (Seen { end: code(0), ..NOTHING }, Exited, Some(0), None),
            (Seen { end: code(3), ..NOTHING }, Exited, Some(3), None),
            (Seen { end: signal(11), ..NOTHING }, Signaled, None, Some(11)),
            // A program that kills itself is no victim of a limit.
            (Seen { end: signal(9), ..NOTHING }, Signaled, None, Some(9)),
            (Seen { stop: Some(Stop::Wall), ..NOTHING }, TimedOut, None, Some(9)),
            (Seen { stop: Some(Stop::Cpu), ..NOTHING }, TimedOut, None, Some(9)),
            (Seen { stop: Some(Stop::Memory), ..NOTHING }, OutOfMemory, None, Some(9)),
            (Seen { stop: Some(Stop::Processes), ..NOTHING }, ProcessLimit, None, Some(9)),
            (Seen { stop: Some(Stop::Cancelled), ..NOTHING }, Cancelled, None, None),
            (
                Seen { stop: Some(Stop::Output(Stream::Stdout)), end: code(0), ..NOTHING },
                OutputLimit,
                None,
                Some(9),
            ),
            // Ended by itself just before the kill.
            (Seen { stop: Some(Stop::Wall), end: code(0), ..NOTHING }, Exited, Some(0), None),
            (Seen { end: signal(9), oom_kill: true, ..NOTHING }, OutOfMemory, None, Some(9)),
            (Seen { oom_kill: true, ..NOTHING }, OutOfMemory, None, Some(9)),
            // One of its processes died for memory, the program itself lived on.
            (Seen { end: code(0), oom_kill: true, ..NOTHING }, Exited, Some(0), None),
            (Seen { end: code(1), process_refused: true, ..NOTHING }, ProcessLimit, None, Some(9)),
            (Seen { end: code(0), process_refused: true, ..NOTHING }, Exited, Some(0), None),
            (Seen { end: signal(24), cpu_used_up: true, ..NOTHING }, TimedOut, None, Some(9)),
            (Seen { end: signal(24), ..NOTHING }, Signaled, None, Some(24)),
            (NOTHING, Signaled, None, Some(9)),
        ];
        for (seen, outcome, exit_code, signal) in table {
            let verdict = decide(&seen, &Limits::default());
            assert_eq!(
                (verdict.outcome, verdict.exit_code, verdict.signal),
                (outcome, exit_code, signal),
                "{seen:?}"
            );
        }
    }

    #[test]
    fn limits_are_named_with_their_option() {
        let limits = Limits::default();
        for (stop, words) in [
            (Stop::Wall, "30 s, the limit of --timeout"),
            (Stop::Cpu, "20 s of CPU time, the limit of --cpu"),
            (Stop::Memory, "512 MiB of memory, the limit of --memory"),
            (Stop::Processes, "64 processes and threads, the limit of --max-processes"),
            (Stop::Output(Stream::Stderr), "1048576 bytes on standard error"),
        ] {
            let message = decide(&Seen { stop: Some(stop), ..NOTHING }, &limits).message.unwrap();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn wait_statuses_are_read() {
        assert_eq!(End::from_status(0), End::Code(0));
        assert_eq!(End::from_status(42 << 8), End::Code(42));
        assert_eq!(End::from_status(9), End::Signal(9));
        assert_eq!(End::from_status(11 | 0x80), End::Signal(11));
    }
}
