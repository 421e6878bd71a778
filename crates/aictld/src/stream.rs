//! What comes out of the helper by the bit: a stream for one caller.
//!
//! It is a socket, and no pipe: whoever has one end of a pipe can wait with the pipe's lock in hand
//! (splice(2) to a socket that is full is one way), and whoever writes to the other end waits for
//! that lock, even if he asked not to. The two ends of a socket have no such lock in common.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
};

use tokio::net::UnixStream;

/// A new stream: the caller's end, and ours, which never waits. Nothing is to be said by the
/// caller.
///
/// # Errors
/// If there are no descriptors left.
pub fn pair() -> io::Result<(OwnedFd, UnixStream)> {
    let (theirs, ours) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((theirs.into(), UnixStream::from_std(ours)?))
}

/// Waits until the caller has closed its end, whether or not something is written.
pub async fn closed(stream: &UnixStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Or says something, which is not waited with either.
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn that_nobody_reads_any_more_is_noticed_without_a_write() {
        let (theirs, ours) = pair().unwrap();
        let mut waiting = std::pin::pin!(closed(&ours));
        let early = timeout(Duration::ZERO, &mut waiting).await;
        assert!(early.is_err(), "somebody could still read");
        drop(theirs);
        waiting.await.unwrap();
    }
}
