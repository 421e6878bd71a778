//! Standard output and error, written at once: nothing waits in a buffer of ours.

use std::{io, os::fd::AsFd};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};

/// Writes what can be written without waiting, and at least a part of it; returns how much.
///
/// # Errors
/// `WouldBlock` if that is nothing, `BrokenPipe` if the reader is gone; else what write(2) says.
pub fn write_now(to: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let mut fds = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO)?;
    if !fds[0].any().unwrap_or(false) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let part = bytes.get(..NEVER_BLOCKS).unwrap_or(bytes);
    match write(to, part) {
        Err(Errno::EINTR | Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
        other => Ok(other?),
    }
}

/// What a pipe takes without waiting once it takes anything (`PIPE_BUF`, pipe(7)).
const NEVER_BLOCKS: usize = 4096;

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
