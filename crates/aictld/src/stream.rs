//! Streams between the helper and one caller: what comes out of the helper by the bit, and what a
//! script reads.
//!
//! They are sockets, and no pipes: whoever has one end of a pipe can wait with the pipe's lock in
//! hand (splice(2) to a socket that is full is one way), and whoever reads or writes at the other end
//! waits for that lock, even if he asked not to. The two ends of a socket have no such lock in
//! common.
//!
//! What a socket has, and a pipe has not, are descriptors that are sent along. To close one can take
//! as long as whoever made it wants (SO_LINGER in socket(7) is one way), and who closes the end that
//! they were sent to closes them.

use std::{
    io::{self, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
};

use rustix::net::{RecvFlags, recv};
use tokio::{io::Interest, net::UnixStream};

use crate::porter;

/// A new stream out of the helper: the caller's end, and ours, which never waits. Nothing can be
/// sent to that.
///
/// # Errors
/// If there are no descriptors left.
pub fn outward() -> io::Result<(OwnedFd, Outward)> {
    let (theirs, ours) = StdStream::pair()?;
    ours.shutdown(Shutdown::Read)?;
    ours.set_nonblocking(true)?;
    Ok((theirs.into(), Outward::Unwatched(ours)))
}

/// The helper's end of a stream out of it. What is watched tells each time that the reader has read;
/// so it is watched from when there is no room for the first time.
#[derive(Debug)]
pub enum Outward {
    /// Nobody watches it.
    Unwatched(StdStream),
    /// It tells when there is room.
    Watched(UnixStream),
}

impl Outward {
    /// Writes what there is room for.
    ///
    /// # Errors
    /// `WouldBlock` if there is none; what send(2) says.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unwatched(end) => (&*end).write(bytes),
            Self::Watched(end) => end.try_write(bytes),
        }
    }

    /// Waits until there is room.
    ///
    /// # Errors
    /// If it cannot be watched.
    pub async fn writable(self) -> io::Result<Self> {
        let end = match self {
            Self::Unwatched(end) => UnixStream::from_std(end)?,
            Self::Watched(end) => end,
        };
        end.writable().await?;
        Ok(Self::Watched(end))
    }
}

fn unwaiting(ours: StdStream) -> io::Result<UnixStream> {
    ours.set_nonblocking(true)?;
    UnixStream::from_std(ours)
}

/// A stream out of the helper whose end can be waited for, too. Something can be sent to it: of an
/// end that nothing can be sent to, poll(2) does not tell when the other one is closed.
#[derive(Debug)]
pub struct Watched(Option<UnixStream>);

/// A new one: the caller's end, and ours.
///
/// # Errors
/// If there are no descriptors left.
pub fn watched() -> io::Result<(OwnedFd, Watched)> {
    let (theirs, ours) = StdStream::pair()?;
    // If not, it is looked at as it is closed.
    let _bytes_alone = take_bytes_alone(&ours);
    Ok((theirs.into(), Watched(Some(unwaiting(ours)?))))
}

impl Watched {
    /// Our end.
    ///
    /// # Errors
    /// None, while there is one.
    pub fn end(&self) -> io::Result<&UnixStream> {
        self.0.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Waits until the caller has closed its end, whether or not something is written; or says
    /// something, which is not waited with either.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn closed(&self) -> io::Result<()> {
        let end = self.end()?;
        // What is there is looked at where it is: to take it would be to close what comes along.
        let look = || {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            Ok(recv(end, &mut [0_u8; 1][..], flags).map(drop)?)
        };
        end.async_io(Interest::READABLE, look).await
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(Ok(end)) = self.0.take().map(UnixStream::into_std) {
            porter::hang_up(end);
        }
    }
}

/// Has only bytes sent to this end; returns whether the kernel knows of such a thing. If not, whoever
/// reads and closes it has to bear what is sent along.
fn take_bytes_alone(end: &StdStream) -> bool {
    aictl_sandbox::take_no_descriptors(end.as_fd()).is_ok()
}

/// The end of a stream that a script's standard input is read from, until somebody reads it.
#[derive(Debug)]
pub struct Inward {
    end: Option<StdStream>,
    bytes_alone: bool,
}

/// A new stream for standard input: the caller's end, and ours.
///
/// # Errors
/// If there are no descriptors left.
pub fn inward() -> io::Result<(OwnedFd, Inward)> {
    let (theirs, ours) = StdStream::pair()?;
    let bytes_alone = take_bytes_alone(&ours);
    Ok((theirs.into(), Inward { end: Some(ours), bytes_alone }))
}

impl Inward {
    /// The end, to hand a copy of it over.
    #[must_use]
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }

    /// Leaves it to whoever has got a copy.
    pub fn leave(mut self) {
        if let (Some(end), false) = (self.end.take(), self.bytes_alone) {
            // He may have closed that already, and what was sent along is closed with ours.
            porter::let_go(end.into());
        }
    }
}

impl Drop for Inward {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            porter::hang_up(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read, Write},
        time::Duration,
    };

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn that_nobody_reads_any_more_is_noticed_without_a_write() {
        let (theirs, ours) = watched().unwrap();
        let mut waiting = std::pin::pin!(ours.closed());
        let early = timeout(Duration::ZERO, &mut waiting).await;
        assert!(early.is_err(), "somebody could still read");
        drop(theirs);
        waiting.await.unwrap();
        let (theirs, ours) = watched().unwrap();
        StdStream::from(theirs).write_all(b"x").unwrap();
        ours.closed().await.unwrap();
    }

    #[tokio::test]
    async fn what_comes_out_is_all_that_can_be_done_with_a_stream_out() {
        let (theirs, ours) = outward().unwrap();
        let mut theirs = StdStream::from(theirs);
        assert_eq!(theirs.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let ours = ours.writable().await.unwrap();
        assert_eq!(ours.try_write(b"out").unwrap(), 3);
        drop(ours);
        let mut came = String::new();
        theirs.read_to_string(&mut came).unwrap();
        assert_eq!(came, "out");
    }

    #[test]
    fn who_writes_standard_input_that_nobody_will_read_is_told_so() {
        for written in [&b""[..], b"x"] {
            let (theirs, ours) = inward().unwrap();
            let mut theirs = StdStream::from(theirs);
            theirs.write_all(written).unwrap();
            let copy = ours.end().unwrap().try_clone_to_owned().unwrap();
            ours.leave();
            theirs.write_all(b"y").unwrap();
            drop(Inward { end: Some(copy.into()), bytes_alone: true });
            assert_eq!(theirs.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
    }
}
