//! Exit codes of the `aictl` command.
//!
//! `aictl run` ends with the script's own exit code, or with one of these; all other commands end
//! with one of these only.

/// Everything asked for was done.
pub const OK: u8 = 0;
/// The action failed.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// `status`: a required service is not active.
pub const NOT_ACTIVE: u8 = 3;
/// The run was stopped because its time was up.
pub const TIMED_OUT: u8 = 124;
/// aictl itself failed.
pub const INTERNAL: u8 = 125;
/// Refused: by policy, by an allowlist, or because the script is not something that can be run.
pub const REFUSED: u8 = 126;
/// No such script, service or interpreter.
pub const NOT_FOUND: u8 = 127;
/// The exit code of a program that was killed by a signal is this plus the signal's number, as in
/// a shell (128 + 9 = 137 also stands for out of memory).
pub const SIGNAL_BASE: u8 = 128;

/// The exit code that a shell reports for a program killed by `signal` (1 to 64).
#[must_use]
pub fn from_signal(signal: i32) -> u8 {
    u8::try_from(signal).ok().and_then(|n| SIGNAL_BASE.checked_add(n)).unwrap_or(INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_become_shell_exit_codes() {
        for (signal, code) in [(1, 129), (9, 137), (15, 143), (64, 192), (-1, 125), (200, 125)] {
            assert_eq!(from_signal(signal), code, "signal {signal}");
        }
    }
}
