//! Standard output for commands that wait for other things too: a reader that pauses holds up
//! nothing but the output, and one that goes is noticed.
//!
//! Others may share standard output, so that its mode is not ours to change: what may wait is done
//! by a thread.

use std::{
    io::{self, stdout},
    os::fd::AsFd,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tokio::task::spawn_blocking;

use crate::output;

/// Writes all of `bytes`, waiting where the reader does not take them yet.
///
/// # Errors
/// `BrokenPipe` if the reader is gone; else what write(2) says.
pub async fn write_all(bytes: Vec<u8>) -> io::Result<()> {
    spawn_blocking(move || output::write_all(&stdout(), &bytes))
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Waits until the reader is gone; for ever, if there is none that could go.
pub async fn closed() {
    let gone = spawn_blocking(|| {
        let stdout = stdout();
        loop {
            // The end of the other side is told unasked.
            let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                other => return other.is_ok(),
            }
        }
    });
    if !gone.await.unwrap_or(false) {
        std::future::pending::<()>().await;
    }
}
