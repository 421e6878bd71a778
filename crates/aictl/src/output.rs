//! Standard output and error, written at once: nothing waits in a buffer of ours.

use std::{io, os::fd::AsFd};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};

/// Writes all of `bytes`, waiting where the descriptor does not take them yet.
///
/// # Errors
/// `BrokenPipe` if the reader is gone; else what write(2) says.
pub fn write_all(to: &impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
                poll(&mut fds, PollTimeout::NONE)?;
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
