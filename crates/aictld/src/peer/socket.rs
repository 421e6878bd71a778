//! The two halves of a connection of our own socket, as zbus takes them.
//!
//! Two things are done here that zbus leaves to a friendly world: a message has a largest size,
//! known before room is made for it, and descriptors are not received at all, but for the few of
//! the one call that takes some ([`wire`]). (Read without room for them, they are closed by the
//! kernel: unix(7).)

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use zbus::{
    Message,
    connection::socket::{BoxedSplit, ReadHalf, Split, WriteHalf},
    export::async_trait::async_trait,
};

use crate::{
    call::MAX_RUN_BODY,
    descriptors,
    wire::{self, MAX_RUN_DESCRIPTORS},
};

/// The most bytes of a message: header and arguments.
pub const MAX_MESSAGE: usize = 8 * 1024 + MAX_RUN_BODY;
/// The part of a message that says how long it is.
pub const START: usize = 16;

/// The halves of a connection after its handshake.
#[must_use]
pub fn halves(stream: UnixStream, descriptors: bool) -> BoxedSplit {
    let (read, write) = stream.into_split();
    let reader = Bounded(Reader { half: read, descriptors });
    Split::new(Box::new(reader), Box::new(Writer::new(write, descriptors)))
}

/// Bytes as they come.
#[derive(Debug)]
struct Reader {
    half: OwnedReadHalf,
    descriptors: bool,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let read = self.half.read(buffer).await?;
        Ok((read, Vec::new()))
    }

    fn can_pass_unix_fd(&self) -> bool {
        self.descriptors
    }
}

impl Reader {
    /// Reads into the whole buffer; returns the descriptors that came along.
    async fn fill(&mut self, buffer: &mut [u8]) -> io::Result<Vec<OwnedFd>> {
        let mut descriptors = Vec::new();
        let mut filled = 0;
        while filled < buffer.len() {
            let read = match self.descriptors {
                false => self.half.read(&mut buffer[filled..]).await?,
                true => {
                    let (read, more) = self.receive(&mut buffer[filled..]).await?;
                    descriptors.extend(more);
                    read
                }
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
        }
        Ok(descriptors)
    }

    /// Reads bytes with descriptors: one more than any call has shows that there are too many.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_RUN_DESCRIPTORS + 1))];
        descriptors::receive(self.half.as_ref(), buffer, &mut space).await
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
        // They come with a message's first bytes.
        let came = self.0.fill(&mut start).await?;
        let (fields, _) = lengths(start).ok_or(zbus::Error::ExcessData)?;
        if size(start).is_none_or(|size| size > MAX_MESSAGE) {
            return Err(zbus::Error::ExcessData);
        }
        let mut header = vec![0; fields];
        self.0.fill(&mut header).await?;
        match wire::may_have(&header, start[0], came.len()) {
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

/// How long a message says it is after its fixed start (D-Bus specification, "Message Format"):
/// its header's fields, up to a multiple of 8, and its body. `None` for one that is no message.
#[must_use]
pub fn lengths(start: [u8; START]) -> Option<(usize, usize)> {
    let [endian, _, _, _, b0, b1, b2, b3, _, _, _, _, f0, f1, f2, f3] = start;
    let (body, fields) = ([b0, b1, b2, b3], [f0, f1, f2, f3]);
    let (body, fields) = match endian {
        b'l' => (u32::from_le_bytes(body), u32::from_le_bytes(fields)),
        b'B' => (u32::from_be_bytes(body), u32::from_be_bytes(fields)),
        _ => return None,
    };
    let fields = usize::try_from(fields).ok()?.checked_next_multiple_of(8)?;
    Some((fields, usize::try_from(body).ok()?))
}

/// Bytes as they go, with descriptors.
#[derive(Debug)]
pub struct Writer {
    half: OwnedWriteHalf,
    descriptors: bool,
}

impl Writer {
    /// A half to write to, whose other end takes descriptors or does not.
    #[must_use]
    pub const fn new(half: OwnedWriteHalf, descriptors: bool) -> Self {
        Self { half, descriptors }
    }
}

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        if fds.is_empty() {
            return self.half.write(buffer).await;
        }
        let stream: &UnixStream = self.half.as_ref();
        let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let send = || {
            let rights = [ControlMessage::ScmRights(&raw)];
            let bytes = [IoSlice::new(buffer)];
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            sendmsg::<()>(stream.as_raw_fd(), &bytes, &rights, flags, None).map_err(io::Error::from)
        };
        stream.async_io(Interest::WRITABLE, send).await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }

    fn can_pass_unix_fd(&self) -> bool {
        self.descriptors
    }
}

#[cfg(test)]
mod tests {
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
        let (mut read, _) = halves(server, false).take();
        let mut bytes = Vec::new();
        let error = read.receive_message(1, &mut bytes, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, zbus::Error::ExcessData), "{error}");
        assert!(bytes.is_empty());
    }
}
