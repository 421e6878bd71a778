//! The signals that end what is going on: those of them that whoever started this program has not
//! had it ignore, as nohup(1) and a shell's `&` do.

use std::{fs, future::poll_fn, io, task::Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What this process ignores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored(u64);

impl Ignored {
    /// What it ignores now. Where that cannot be seen, nothing.
    #[must_use]
    pub fn now() -> Self {
        fs::read_to_string("/proc/self/status").map_or_else(|_| Self::default(), |text| of(&text))
    }

    /// Whether this signal is ignored.
    #[must_use]
    pub fn has(self, signal: i32) -> bool {
        let bit = u32::try_from(signal).ok().and_then(|signal| signal.checked_sub(1));
        bit.and_then(|bit| self.0.checked_shr(bit)).is_some_and(|rest| rest & 1 == 1)
    }
}

/// What the text of a process's status says that it ignores (proc_pid_status(5), `SigIgn`).
fn of(status: &str) -> Ignored {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    Ignored(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0))
}

/// Signals that end what is going on, as they come.
pub struct Signals(Vec<(SignalKind, Signal)>);

impl Signals {
    /// Listens to these, but for those that are ignored; there must be a runtime.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn listen(to: &[SignalKind]) -> io::Result<Self> {
        let ignored = Ignored::now();
        let heeded = to.iter().filter(|kind| !ignored.has(kind.as_raw_value()));
        let listen = |kind: &SignalKind| signal(*kind).map(|signal| (*kind, signal));
        heeded.map(listen).collect::<io::Result<_>>().map(Self)
    }

    /// The next of them.
    pub async fn next(&mut self) -> SignalKind {
        poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            let came = signals
                .find_map(|(kind, signal)| signal.poll_recv(context).is_ready().then_some(*kind));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_stands_in_the_status() {
        let table: [(&str, &[i32]); 6] = [
            ("Name:\tx\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000000002\n", &[1]),
            ("SigIgn:\t0000000000001003\n", &[1, 2, 13]),
            ("SigIgn:\t8000000000000000\n", &[64]),
            ("SigIgn:\t0000000000000000\n", &[]),
            ("SigIgn:\tnonsense\n", &[]),
            ("", &[]),
        ];
        for (status, expected) in table {
            let ignored = of(status);
            let has: Vec<_> = (-1..200).filter(|signal| ignored.has(*signal)).collect();
            assert_eq!(has, expected, "{status}");
        }
    }
}
