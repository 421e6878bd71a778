//! The pipes between a sandbox and sandboxd: the program's streams, bounded while they flow.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::{pipe2, read},
};

use crate::protocol::MAX_CHUNK;

/// A pipe whose one end is ours, without waiting, and whose other end is the program's.
pub struct Pipe {
    /// Our end.
    pub ours: OwnedFd,
    /// The program's end.
    pub theirs: OwnedFd,
}

/// A pipe out of the sandbox.
pub fn outward() -> io::Result<Pipe> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    no_wait(&ours)?;
    Ok(Pipe { ours, theirs })
}

/// A pipe into the sandbox.
pub fn inward() -> io::Result<Pipe> {
    let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
    no_wait(&ours)?;
    Ok(Pipe { ours, theirs })
}

fn no_wait(fd: &OwnedFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(())
}

/// What one read from a stream brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes within the limit.
    Bytes(Vec<u8>),
    /// The last bytes within the limit, and more behind them: the stream is over its limit.
    Over(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// No writer is left.
    End,
}

/// How much the first read of a stream takes, in bytes.
const FIRST_ROOM: usize = 4096;

/// One of the program's output streams, read up to its limit.
pub struct Output {
    fd: Option<OwnedFd>,
    left: u64,
    /// How much one read takes: most streams bring a line or two, for which nobody needs the room of
    /// a large chunk.
    room: usize,
    /// Whether more came than the limit allows.
    pub truncated: bool,
}

impl Output {
    /// Reads from `fd`, `limit` bytes at most.
    #[must_use]
    pub fn new(fd: OwnedFd, limit: u64) -> Self {
        Self { fd: Some(fd), left: limit, room: FIRST_ROOM, truncated: false }
    }

    /// The descriptor to wait for, while there is anything to come.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().filter(|_| !self.truncated).map(AsFd::as_fd)
    }

    /// How much may still come, and whether any can: changes whenever something was read.
    #[must_use]
    pub fn state(&self) -> (u64, bool) {
        (self.left, self.fd().is_some())
    }

    /// Reads what is there, one chunk at most.
    pub fn read(&mut self) -> Read {
        // A stream that was cut stays open, so that the program does not see it break.
        let Some(fd) = self.fd() else { return Read::End };
        let mut chunk = vec![0; self.room];
        match read(fd, &mut chunk) {
            Err(Errno::EAGAIN | Errno::EINTR) => Read::Nothing,
            Ok(0) | Err(_) => {
                self.fd = None;
                Read::End
            }
            Ok(count) => {
                if count == self.room {
                    self.room = (self.room * 2).min(MAX_CHUNK);
                }
                let keep = usize::try_from(self.left).unwrap_or(usize::MAX).min(count);
                chunk.truncate(keep);
                self.left -= keep as u64;
                if keep == count {
                    return Read::Bytes(chunk);
                }
                self.truncated = true;
                Read::Over(chunk)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::unistd::write;

    use super::*;

    #[test]
    fn a_stream_is_cut_at_its_limit_and_not_before() {
        for (limit, written, expected) in [
            (5, &b"12345"[..], Read::Bytes(b"12345".to_vec())),
            (5, b"123456", Read::Over(b"12345".to_vec())),
            (0, b"1", Read::Over(Vec::new())),
        ] {
            let pipe = outward().unwrap();
            let mut output = Output::new(pipe.ours, limit);
            assert_eq!(output.read(), Read::Nothing);
            write(&pipe.theirs, written).unwrap();
            assert_eq!(output.read(), expected, "limit {limit}");
            assert_eq!(output.truncated, written.len() as u64 > limit);
            drop(pipe.theirs);
            assert_eq!(output.read(), Read::End);
        }
    }
}
