//! Standard output for commands that wait for other things too: a reader that pauses holds up
//! nothing but the output, and one that goes is noticed.

use std::{
    io::{self, Stdout},
    os::fd::AsFd,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::{Interest, unix::AsyncFd};

use crate::output;

/// What a pipe takes without waiting once it takes anything (`PIPE_BUF`, pipe(7)).
const NEVER_BLOCKS: usize = 4096;

/// Standard output.
#[derive(Debug)]
pub struct Output {
    /// To wait for it; `None` for what never makes anyone wait, such as a file.
    waiting: Option<AsyncFd<Stdout>>,
}

impl Output {
    /// Standard output, which is left in the mode that it is in: others may share it.
    #[must_use]
    pub fn new() -> Self {
        let interest = Interest::WRITABLE | Interest::ERROR;
        Self { waiting: AsyncFd::with_interest(io::stdout(), interest).ok() }
    }

    /// Writes all of `bytes`, waiting where the reader does not take them yet.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone; else what write(2) says.
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(NEVER_BLOCKS) {
            if let Some(waiting) = &self.waiting {
                wait(waiting, Interest::WRITABLE, PollFlags::POLLOUT).await?;
            }
            output::write_all(&io::stdout(), part)?;
        }
        Ok(())
    }

    /// Waits until the reader is gone; for ever, where that cannot be seen.
    pub async fn closed(&self) {
        if let Some(waiting) = &self.waiting
            && wait(waiting, Interest::ERROR, PollFlags::empty()).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// Waits until one of `flags` holds, or the other end is gone.
async fn wait(fd: &AsyncFd<Stdout>, interest: Interest, flags: PollFlags) -> io::Result<()> {
    loop {
        let mut ready = fd.ready(interest).await?;
        // The mode is not ours to change, so that no call tells when it is no longer ready.
        let mut fds = [PollFd::new(fd.get_ref().as_fd(), flags)];
        poll(&mut fds, PollTimeout::ZERO)?;
        if fds[0].any().unwrap_or(false) {
            return Ok(());
        }
        ready.clear_ready();
    }
}
