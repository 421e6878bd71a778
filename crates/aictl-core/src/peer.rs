//! The helper at its own socket, for whoever has one thing to ask and waits for nothing else but what
//! comes of it: without a runtime, a bus between, or a turn of its own for each step.
//!
//! Who we are is said as soon as there is a connection, and what the helper answers is awaited before
//! the first call (D-Bus specification, "Authentication Protocol"): whoever has something to do
//! meanwhile does not wait.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    num::NonZeroU32,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use aictl_api::authorisation::{BUS_NAME, Interface, OBJECT_PATH};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket,
        sockopt::PeerPidfd,
    },
    unistd::geteuid,
};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use zbus::{DynamicType, Message, connection::socket::ReadHalf, export::async_trait::async_trait};

/// The part of a message that says how long it is.
pub const START: usize = 16;
/// The most bytes of a message (D-Bus specification, "Message Format").
const MAX_MESSAGE: usize = 128 << 20;
/// How long the helper may take to make room for what it is sent.
const SEND_TIME: Duration = Duration::from_secs(10);
/// How much is read at one time.
const CHUNK: usize = 4096;
/// The most descriptors that come with a message of the helper's.
const MAX_FDS: usize = 4;

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

/// A connection to the helper at its own socket.
#[derive(Debug)]
pub struct Peer {
    socket: UnixStream,
    /// What has come and is not yet a whole message.
    came: Came,
    /// Whether the helper has said that it takes us.
    is_taken: bool,
}

/// Bytes and descriptors, as they come.
#[derive(Debug, Default)]
struct Came {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// A call that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent(NonZeroU32);

/// Why nothing more comes of a connection.
#[derive(Debug)]
pub enum Broken {
    /// It ended before the helper took us: it takes no more connections, or is no helper. Whatever was
    /// called was not done.
    NotTaken,
    /// What the helper sent is no message, or it has gone.
    Bus(zbus::Error),
}

impl Peer {
    /// Connects to the helper that listens at `path`. `None` where it does not listen, or could not
    /// tell polkit who is there; the bus may know more.
    #[must_use]
    pub fn connect(path: &Path) -> Option<Self> {
        // Where so many wait that there is no place for one more, it is not waited with them.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path).ok()?).ok()?;
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(false).ok()?;
        // Without it (before Linux 6.5) the helper refuses whatever needs polkit's word.
        if getsockopt(&socket, PeerPidfd).is_err_and(|errno| errno == Errno::ENOPROTOOPT) {
            return None;
        }
        socket.set_write_timeout(Some(SEND_TIME)).ok()?;
        let peer = Self { socket, came: Came::default(), is_taken: false };
        peer.send(greeting(geteuid().as_raw()).as_bytes(), &[]).ok()?;
        Some(peer)
    }

    /// Whether the helper has said that it takes us: then it can be called.
    ///
    /// # Errors
    /// [`Broken::NotTaken`], whatever is wrong.
    pub fn is_taken(&mut self) -> Result<bool, Broken> {
        while !self.is_taken {
            match end_of_welcome(&self.came.bytes).map_err(|()| Broken::NotTaken)? {
                Some(end) => {
                    self.came.bytes.drain(..end);
                    self.is_taken = true;
                }
                None => match self.came.more(&self.socket) {
                    Ok(0) => return Err(Broken::NotTaken),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(_) => return Err(Broken::NotTaken),
                },
            }
        }
        Ok(true)
    }

    /// Calls a method of the helper, which has [taken](Self::is_taken) us.
    ///
    /// # Errors
    /// If the call cannot be sent. That the helper has gone shows when its reply is received.
    pub fn call<B>(&self, interface: Interface, member: &str, body: &B) -> zbus::Result<Sent>
    where
        B: Serialize + DynamicType,
    {
        let call = Message::method_call(OBJECT_PATH, member);
        let call = call.destination(BUS_NAME).interface(interface.name()).build(body)?;
        let data = call.data();
        let fds: Vec<_> = data.fds().iter().map(AsFd::as_fd).collect();
        match self.send(data, &fds) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
        Ok(Sent(call.primary_header().serial_num()))
    }

    fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut left = bytes;
        while !left.is_empty() {
            match sendmsg(&self.socket, &[IoSlice::new(left)], &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => left = left.get(sent..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            // They go with the first bytes.
            control.clear();
        }
        Ok(())
    }

    /// The next message from the helper, with the call that it replies to; `None` if none has come.
    ///
    /// # Errors
    /// If nothing more comes.
    pub fn receive(&mut self) -> Result<Option<(Sent, Message)>, Broken> {
        loop {
            while let Some(message) = self.came.message().map_err(Broken::Bus)? {
                // Nothing else was asked for.
                if let Some(call) = message.header().reply_serial() {
                    return Ok(Some((Sent(call), message)));
                }
            }
            match self.came.more(&self.socket) {
                Ok(0) => {
                    let end = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(Broken::Bus(end.into()));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(Broken::Bus(error.into())),
            }
        }
    }
}

impl AsFd for Peer {
    /// What can be read when there may be something to [receive](Peer::receive).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a client says to be known as this user, and to be sent descriptors.
fn greeting(uid: u32) -> String {
    let claim: String = uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
    format!("\0AUTH EXTERNAL {claim}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
}

/// Where the answers to that end, and messages begin; `None` if they are not all here yet.
///
/// # Errors
/// If they are others.
fn end_of_welcome(came: &[u8]) -> Result<Option<usize>, ()> {
    let mut end = 0;
    for expected in [&b"OK "[..], b"AGREE_UNIX_FD"] {
        let rest = came.get(end..).unwrap_or_default();
        let known = rest.len().min(expected.len());
        if rest.get(..known) != expected.get(..known) {
            return Err(());
        }
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        end += line + 2;
    }
    Ok(Some(end))
}

impl Came {
    /// Reads what there is, without waiting; 0 at the end.
    fn more(&mut self, socket: &UnixStream) -> io::Result<usize> {
        let mut bytes = [0; CHUNK];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        self.bytes.extend_from_slice(bytes.get(..received.bytes).unwrap_or_default());
        Ok(received.bytes)
    }

    /// Takes the first message, if it is whole.
    fn message(&mut self) -> zbus::Result<Option<Message>> {
        let Some(&start) = self.bytes.first_chunk() else { return Ok(None) };
        let size = lengths(start)
            .and_then(|(fields, body)| START.checked_add(fields)?.checked_add(body))
            .filter(|size| *size <= MAX_MESSAGE)
            .ok_or(zbus::Error::ExcessData)?;
        if self.bytes.len() < size {
            return Ok(None);
        }
        let mut nothing = Nothing;
        let mut read = pin!(nothing.receive_message(0, &mut self.bytes, &mut self.descriptors));
        match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(message) => message.map(Some),
            // It reads nothing but what is here.
            Poll::Pending => Err(zbus::Error::InvalidReply),
        }
    }
}

/// Where nothing more comes from.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl ReadHalf for Nothing {
    async fn recvmsg(&mut self, _buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        Ok((0, Vec::new()))
    }
}
