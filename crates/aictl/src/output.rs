//! Standard output and error, written at once: nothing waits in a buffer of ours.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};

/// Where a script's output goes, for who waits for other things too.
#[derive(Debug)]
pub struct Output(OwnedFd);

impl Output {
    /// This one of ours, whose own flags stay as they are: others share them.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn to(own: &(impl AsFd + IsTerminal)) -> io::Result<Self> {
        let fd = own.as_fd();
        // A terminal says that it has room where it has some for a part, and waits with the rest. One
        // of another user's (su(1)) cannot be opened.
        let opened = own.is_terminal().then(|| {
            let mut how = OpenOptions::new();
            how.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
            how.open(format!("/proc/self/fd/{}", fd.as_raw_fd()))
        });
        match opened {
            Some(Ok(terminal)) => Ok(Self(terminal.into())),
            _ => Ok(Self(fd.try_clone_to_owned()?)),
        }
    }

    /// Writes what can be written without waiting, and at least a part of it; returns how much.
    ///
    /// # Errors
    /// `WouldBlock` if that is nothing, `BrokenPipe` if the reader is gone; else what write(2) says.
    pub fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, PollTimeout::ZERO)?;
        if !fds[0].any().unwrap_or(false) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let part = bytes.get(..NEVER_BLOCKS).unwrap_or(bytes);
        match write(self, part) {
            Err(Errno::EINTR | Errno::EAGAIN) => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other?),
        }
    }
}

impl AsFd for Output {
    /// What can be written when there is room.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use nix::{
        fcntl::{FcntlArg, OFlag, fcntl},
        pty::openpty,
    };

    use super::*;

    #[test]
    fn a_terminal_that_nobody_reads_is_not_waited_for() {
        let pty = openpty(None, None).unwrap();
        let terminal = File::from(pty.slave);
        let output = Output::to(&terminal).unwrap();
        // Of the last part it takes some, and less than all: a blocking one would wait here.
        let text = [b'x'; NEVER_BLOCKS];
        while output.write_now(&text).is_ok() {}
        let flags = |fd: BorrowedFd<'_>| fcntl(fd, FcntlArg::F_GETFL).unwrap();
        let mode = OFlag::from_bits_retain(flags(terminal.as_fd()));
        assert!(!mode.contains(OFlag::O_NONBLOCK), "that of others is as it was");
        drop(pty.master);
    }

    #[test]
    fn a_pipe_takes_what_it_has_room_for_and_tells_that_its_reader_is_gone() {
        let (reader, writer) = io::pipe().unwrap();
        let output = Output::to(&File::from(OwnedFd::from(writer))).unwrap();
        let mut written = 0;
        let full = loop {
            match output.write_now(&[b'x'; 10_000]) {
                Ok(count) => written += count,
                Err(error) => break error.kind(),
            }
        };
        assert_eq!((written, full), (65_536, io::ErrorKind::WouldBlock));
        drop(reader);
        assert_eq!(output.write_now(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
