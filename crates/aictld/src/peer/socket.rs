//! The two halves of a connection of our own socket, as zbus takes them.
//!
//! Two things are done here that zbus leaves to a friendly world: a message has a largest size,
//! known before room is made for it, and descriptors are received elsewhere ([`super::door`]), where they
//! come with a message's first bytes; anywhere else they end the connection. Of them all, one gets
//! here, if it may be a script and comes with the one call that takes some ([`wire`]).

use std::{
    io::{self, IoSlice},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncReadExt, Interest};
use zbus::{
    Message,
    connection::socket::{BoxedSplit, ReadHalf, Split, WriteHalf},
    export::async_trait::async_trait,
};

use aictl_core::peer::{START, lengths};

use super::door::{Bytes, Door};
use crate::{
    call::MAX_RUN_BODY,
    porter::{Came, Taken},
    wire,
};

/// The most bytes of a message: header and arguments.
pub const MAX_MESSAGE: usize = 8 * 1024 + MAX_RUN_BODY;
/// The halves of a connection after its handshake.
#[must_use]
pub fn halves(bytes: Bytes, descriptors: bool) -> BoxedSplit {
    let writer = Writer::new(Arc::clone(bytes.door()), descriptors);
    let reader = Reader { bytes, descriptors };
    Split::new(Box::new(Bounded(reader)), Box::new(writer))
}

/// Bytes as they come.
#[derive(Debug)]
struct Reader {
    bytes: Bytes,
    descriptors: bool,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let read = self.bytes.read(buffer).await?;
        Ok((read, Vec::new()))
    }

    fn can_pass_unix_fd(&self) -> bool {
        self.descriptors
    }
}

impl Reader {
    /// Reads the first bytes of a message; returns what may be a script of what came along.
    async fn first(&mut self, start: &mut [u8; START]) -> io::Result<Option<OwnedFd>> {
        if !self.descriptors {
            self.bytes.read_exact(start).await?;
            return Ok(None);
        }
        let Taken { bytes, came, .. } = self.bytes.with_all(START).await?;
        let (first, rest) = start.split_at_mut(bytes.len());
        first.copy_from_slice(&bytes);
        // At the end, this says so.
        self.bytes.read_exact(rest).await?;
        Ok(match came {
            Came::One(script) => Some(script),
            Came::Nothing | Came::Many => None,
        })
    }
}

/// Messages of a bounded size.
#[derive(Debug)]
struct Bounded(Reader);

#[async_trait]
impl ReadHalf for Bounded {
    async fn receive_message(
        &mut self,
        seq: u64,
        bytes: &mut Vec<u8>,
        descriptors: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        let mut start = [0; START];
        let came = self.0.first(&mut start).await?;
        let (fields, _) = lengths(start).ok_or(zbus::Error::ExcessData)?;
        if size(start).is_none_or(|size| size > MAX_MESSAGE) {
            return Err(zbus::Error::ExcessData);
        }
        let mut header = vec![0; fields];
        self.0.bytes.read_exact(&mut header).await?;
        match wire::may_have(&header, start[0], came.iter().count()) {
            true => descriptors.extend(came),
            false => {
                drop(came);
                wire::forget_descriptors(&mut header, start[0]);
            }
        }
        bytes.extend_from_slice(&start);
        bytes.extend_from_slice(&header);
        self.0.receive_message(seq, bytes, descriptors).await
    }

    fn can_pass_unix_fd(&self) -> bool {
        self.0.can_pass_unix_fd()
    }
}

/// The size that a message says it has: `None` for one that is no message.
fn size(start: [u8; START]) -> Option<usize> {
    let (fields, body) = lengths(start)?;
    START.checked_add(fields)?.checked_add(body)
}

/// Bytes as they go, with descriptors.
#[derive(Debug)]
pub struct Writer {
    door: Arc<Door>,
    descriptors: bool,
}

impl Writer {
    /// A half to write to, whose other end takes descriptors or does not.
    #[must_use]
    pub const fn new(door: Arc<Door>, descriptors: bool) -> Self {
        Self { door, descriptors }
    }
}

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let stream = self.door.stream()?;
        let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let send = || {
            let rights = [ControlMessage::ScmRights(&raw)];
            let control = if raw.is_empty() { &[][..] } else { &rights[..] };
            let bytes = [IoSlice::new(buffer)];
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            sendmsg::<()>(stream.as_raw_fd(), &bytes, control, flags, None).map_err(io::Error::from)
        };
        stream.async_io(Interest::WRITABLE, send).await
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(shutdown(self.door.stream()?, Shutdown::Write)?)
    }

    fn can_pass_unix_fd(&self) -> bool {
        self.descriptors
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::UnixStream};

    use super::*;

    #[test]
    fn a_message_says_how_long_it_is_in_its_own_byte_order() {
        let start = |endian: u8, body: [u8; 4], fields: [u8; 4]| {
            let mut start = [0; START];
            start[0] = endian;
            start[4..8].copy_from_slice(&body);
            start[12..].copy_from_slice(&fields);
            size(start)
        };
        assert_eq!(start(b'l', [5, 0, 0, 0], [9, 0, 0, 0]), Some(16 + 16 + 5));
        assert_eq!(start(b'B', [0, 0, 1, 0], [0, 0, 0, 8]), Some(16 + 8 + 256));
        assert_eq!(start(b'l', [0; 4], [0; 4]), Some(16));
        assert_eq!(start(b'x', [0; 4], [0; 4]), None);
        // Nothing overflows, and all of it is too much.
        assert!(start(b'l', [0xff; 4], [0xff; 4]).is_none_or(|size| size > MAX_MESSAGE));
    }

    #[tokio::test]
    async fn no_room_is_made_for_a_huge_message() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let mut start = [0; START];
        start[0] = b'l';
        start[4..8].copy_from_slice(&(100u32 << 20).to_le_bytes());
        client.write_all(&start).await.unwrap();
        let bytes = Bytes::new(Door::new(server), Arc::new(()));
        let (mut read, _) = halves(bytes, false).take();
        let mut bytes = Vec::new();
        let error = read.receive_message(1, &mut bytes, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, zbus::Error::ExcessData), "{error}");
        assert!(bytes.is_empty());
    }
}
