//! The signals that somebody who waits for a run heeds, as a descriptor.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use aictl_sandbox::ignores_signal;
use nix::sys::{
    signal::{SigSet, SigmaskHow, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use tokio::net::unix::pipe::Receiver;

/// Signals that are events for as long as this is there, in this thread and those that it starts; but
/// for those that are ignored, and that must stay so.
pub struct Signals {
    events: SignalFd,
    /// What this thread heeded before.
    before: SigSet,
}

impl Signals {
    /// Has these of them be events.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new(all: &[Signal]) -> io::Result<Self> {
        let heeded = all.iter().copied().filter(|signal| !ignores_signal(*signal as i32));
        let set: SigSet = heeded.collect();
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let events = SignalFd::with_flags(&set, flags)?;
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { events, before })
    }

    /// Waits for the next, where there is a runtime.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub async fn wait(&self) -> io::Result<i32> {
        // That it is no pipe is nothing to who waits until it can be read.
        let readable =
            Receiver::from_owned_fd_unchecked(self.events.as_fd().try_clone_to_owned()?)?;
        loop {
            readable.readable().await?;
            let next = || self.next().ok_or_else(|| io::ErrorKind::WouldBlock.into());
            match readable.try_io(next) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                next => return next,
            }
        }
    }

    /// The next that has come, if one has.
    #[must_use]
    pub fn next(&self) -> Option<i32> {
        let info = self.events.read_signal().ok().flatten()?;
        i32::try_from(info.ssi_signo).ok()
    }
}

impl AsFd for Signals {
    /// What can be read when one has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Drop for Signals {
    /// What came and was not heeded does now what it would have done.
    fn drop(&mut self) {
        let _as_before = self.before.thread_set_mask();
    }
}
