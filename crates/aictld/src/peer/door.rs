//! A connection with a stranger: who reads and closes it closes no descriptor that came over it.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustix::net::sockopt::set_socket_oobinline;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::UnixStream,
    sync::Semaphore,
};

use crate::{
    descriptors::{Next, look},
    porter::{self, Came, Taken, Taker},
};

/// How far ahead it is looked, in bytes.
const AHEAD: usize = 8192;

/// The connection. Dropped with something left in it, it is closed elsewhere.
#[derive(Debug)]
pub struct Door(Option<UnixStream>);

impl Door {
    /// The door that this stream is.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        // A byte out of band would be dropped where it stands, with the descriptors it has. A kernel
        // that knows of no such bytes on a unix socket (before Linux 5.15) has none.
        let _inline = set_socket_oobinline(&stream, true);
        Self(Some(stream))
    }

    /// The stream.
    ///
    /// # Errors
    /// None, while there is one.
    pub fn stream(&self) -> io::Result<&UnixStream> {
        self.0.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(Ok(end)) = self.0.take().map(UnixStream::into_std) {
            porter::hang_up(end);
        }
    }
}

/// What a connection has for as long as it is there, or anything that came over it.
pub type Held = Arc<dyn fmt::Debug + Send + Sync>;

/// The bytes of a connection; to read where descriptors come along is an error.
#[derive(Debug)]
pub struct Bytes {
    door: Arc<Door>,
    /// So many of the next have none.
    clear: usize,
    /// Bytes that were read and not asked for yet: who reads a line reads one after the other.
    ahead: VecDeque<u8>,
    taking: Option<Taking>,
    /// Who took something last.
    taker: Option<Taker>,
    /// Whose turn it is to have something taken: that of one read after the other.
    turn: Arc<Semaphore>,
    held: Held,
}

/// Bytes that are taken elsewhere.
struct Taking(Pin<Box<dyn Future<Output = io::Result<Taken>> + Send + Sync>>);

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taking")
    }
}

impl Bytes {
    /// Of this connection, which nobody else reads. What is `held` is let go once all is closed that
    /// came over it.
    #[must_use]
    pub fn new(door: Door, held: Held) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        let (ahead, taking, taker) = (VecDeque::new(), None, None);
        Self { door: Arc::new(door), clear: 0, ahead, taking, taker, turn, held }
    }

    /// The connection.
    #[must_use]
    pub const fn door(&self) -> &Arc<Door> {
        &self.door
    }

    /// Waits for bytes, and reads so many at the most, with what comes along.
    ///
    /// # Errors
    /// What recvmsg(2) says.
    pub async fn with_all(&mut self, most: usize) -> io::Result<Taken> {
        poll_fn(|context| self.poll_take(context, most)).await
    }

    fn poll_take(&mut self, context: &mut Context<'_>, most: usize) -> Poll<io::Result<Taken>> {
        if self.taking.is_none() {
            if !self.ahead.is_empty() {
                let most = most.min(self.ahead.len());
                let bytes = self.ahead.drain(..most).collect();
                return Poll::Ready(Ok(Taken::of(bytes)));
            }
            let next = ready!(self.poll_next(context))?;
            if !next.descriptors {
                let mut bytes = vec![0; most.min(next.bytes)];
                self.read_clear(&mut bytes)?;
                return Poll::Ready(Ok(Taken::of(bytes)));
            }
            let (door, turn) = (Arc::clone(&self.door), Arc::clone(&self.turn));
            let held = Arc::clone(&self.held);
            // The one before need not wait for more any more.
            self.taker = None;
            self.taking = Some(Taking(Box::pin(async move {
                let turn = turn.acquire_owned().await.map_err(io::Error::other)?;
                porter::take(door.stream()?, most, (turn, held)).await
            })));
        }
        let Some(taking) = &mut self.taking else { return Poll::Pending };
        let mut taken = ready!(taking.0.as_mut().poll(context));
        self.taking = None;
        // He stays for a moment; and no longer than this connection.
        self.taker = taken.as_mut().ok().and_then(|taken| taken.taker.take());
        Poll::Ready(taken)
    }

    /// Waits for bytes, and looks far ahead for descriptors.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
        let stream = self.door.stream()?;
        while self.clear == 0 {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_io(Interest::READABLE, || look(stream, &mut [0; AHEAD])) {
                Ok(next) if next.descriptors || next.bytes == 0 => return Poll::Ready(Ok(next)),
                Ok(next) => self.clear = next.bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(Next { bytes: self.clear, descriptors: false }))
    }

    /// Reads bytes that were looked at: they are there, and nothing comes with them.
    fn read_clear(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let read = self.door.stream()?.try_read(bytes)?;
        self.clear -= read;
        match read == bytes.len() {
            true => Ok(()),
            // Somebody else reads.
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl AsyncRead for Bytes {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.taking.is_none() && this.ahead.is_empty() && this.clear > 0 {
            let count = this.clear;
            if count <= buffer.remaining() {
                this.read_clear(buffer.initialize_unfilled_to(count))?;
                buffer.advance(count);
                return Poll::Ready(Ok(()));
            }
            let mut bytes = vec![0; count];
            this.read_clear(&mut bytes)?;
            this.ahead = bytes.into();
        }
        let taken = ready!(this.poll_take(context, buffer.remaining().min(AHEAD)))?;
        match taken.came {
            Came::Nothing => buffer.put_slice(&taken.bytes),
            Came::One(_) | Came::Many => {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.door.stream()?;
        loop {
            ready!(stream.poll_write_ready(context))?;
            match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends bytes, with a descriptor of one's own.
    fn post(to: &UnixStream, bytes: &[u8], flags: MsgFlags) {
        let raw = [to.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&raw)];
        let bytes = [io::IoSlice::new(bytes)];
        sendmsg::<()>(to.as_raw_fd(), &bytes, &rights, flags, None).unwrap();
    }

    fn door() -> (UnixStream, Bytes) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        (theirs, Bytes::new(Door::new(ours), Arc::new(())))
    }

    #[tokio::test]
    async fn bytes_are_read_up_to_where_descriptors_come_along_and_no_further() {
        let table = [(MsgFlags::empty(), 6), (MsgFlags::MSG_OOB, 6), (MsgFlags::empty(), 1)];
        for ((flags, before), at_once) in table.into_iter().flat_map(|row| [(row, 1), (row, 6)]) {
            let (mut theirs, mut bytes) = door();
            theirs.write_all(&b"before"[..before]).await.unwrap();
            post(&theirs, b"x", flags);
            theirs.write_all(b"after").await.unwrap();
            let mut read = [0; 6];
            for part in read[..before].chunks_mut(at_once) {
                bytes.read_exact(part).await.unwrap();
            }
            assert_eq!(&read[..before], &b"before"[..before]);
            let error = bytes.read(&mut read).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn descriptors_are_taken_with_the_bytes_that_they_came_with() {
        let (mut theirs, mut bytes) = door();
        theirs.write_all(b"before").await.unwrap();
        post(&theirs, b"with", MsgFlags::empty());
        theirs.write_all(b"after").await.unwrap();
        let mut came = Vec::new();
        let mut first = [0; 1];
        bytes.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"b");
        for most in [3, 2, 4, 5] {
            let taken = bytes.with_all(most).await.unwrap();
            came.push((taken.bytes, matches!(taken.came, Came::One(_))));
        }
        let expected = [("efo", false), ("re", false), ("with", true), ("after", false)];
        assert_eq!(came, expected.map(|(text, some)| (text.as_bytes().to_vec(), some)));
    }

    #[tokio::test]
    async fn all_that_comes_is_read_to_its_end() {
        let (mut theirs, mut bytes) = door();
        let sent: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
        let written = sent.clone();
        let write = tokio::spawn(async move { theirs.write_all(&written).await.unwrap() });
        let mut read = Vec::new();
        bytes.read_to_end(&mut read).await.unwrap();
        assert!(read == sent, "{} bytes", read.len());
        write.await.unwrap();
        assert!(bytes.with_all(1).await.unwrap().bytes.is_empty());
    }
}
