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
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use zbus::{DynamicType, Message, connection::socket::ReadHalf, export::async_trait::async_trait};

use crate::header_fields::descriptors;

/// The part of a message that says how long it is.
pub const START: usize = 16;
/// The most bytes of a message (D-Bus specification, "Message Format").
const MAX_MESSAGE: usize = 128 << 20;
/// How long the helper may take to make room for what it is sent.
const SEND_TIME: Duration = Duration::from_secs(10);
/// How much is read at one time.
const CHUNK: usize = 4096;
/// The most bytes that the helper says before messages begin: twice what it needs.
const MAX_WELCOME: usize = 256;
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
                None if self.came.bytes.len() > MAX_WELCOME => return Err(Broken::NotTaken),
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

    /// Calls a method of the helper, which has [taken](Self::is_taken) us. `None` if it has gone
    /// before it got the whole of the call: nothing was done then.
    ///
    /// # Errors
    /// If the call cannot be sent.
    pub fn call<B>(
        &self,
        interface: Interface,
        member: &str,
        body: &B,
    ) -> zbus::Result<Option<Sent>>
    where
        B: Serialize + DynamicType,
    {
        let call = Message::method_call(OBJECT_PATH, member);
        let call = call.destination(BUS_NAME).interface(interface.name()).build(body)?;
        let data = call.data();
        let fds: Vec<_> = data.fds().iter().map(AsFd::as_fd).collect();
        match self.send(data, &fds) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(None),
            other => other?,
        }
        Ok(Some(Sent(call.primary_header().serial_num())))
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
        if received.flags.contains(ReturnFlags::CTRUNC) {
            // Some that came found no place among those that we may have open.
            return Err(Errno::EMFILE.into());
        }
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
        let sizes = lengths(start).and_then(|(fields, body)| {
            let header = START.checked_add(fields)?;
            Some((header, header.checked_add(body)?))
        });
        let (header, size) =
            sizes.filter(|(_, size)| *size <= MAX_MESSAGE).ok_or(zbus::Error::ExcessData)?;
        if self.bytes.len() < size {
            return Ok(None);
        }
        let bytes: Vec<u8> = self.bytes.drain(..size).collect();
        let said = descriptors(bytes.get(START..header).unwrap_or_default(), start[0]);
        // They come with a message's first byte, and so are here; those behind them may have come
        // with another. zbus counts on there being as many.
        if said > self.descriptors.len() {
            return Err(zbus::Error::MissingParameter("descriptors"));
        }
        whole(bytes, self.descriptors.drain(..said).collect()).map(Some)
    }
}

/// Reads a message that is all here, with its descriptors.
fn whole(mut bytes: Vec<u8>, mut descriptors: Vec<OwnedFd>) -> zbus::Result<Message> {
    let mut nothing = Nothing;
    let mut read = pin!(nothing.receive_message(0, &mut bytes, &mut descriptors));
    match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(message) => message,
        // It reads nothing but what is here.
        Poll::Pending => Err(zbus::Error::InvalidReply),
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

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        os::unix::net::UnixListener,
    };

    use super::*;

    /// A peer, and what stands in for the helper at the other end.
    fn pair(bytes: &[u8]) -> (Peer, UnixStream) {
        let (socket, mut helper) = UnixStream::pair().unwrap();
        helper.write_all(bytes).unwrap();
        (Peer { socket, came: Came::default(), is_taken: false }, helper)
    }

    fn taken() -> (Peer, UnixStream) {
        let (mut peer, helper) = pair(b"OK 1234\r\nAGREE_UNIX_FD\r\n");
        assert!(peer.is_taken().unwrap());
        (peer, helper)
    }

    /// The call that the helper gets.
    fn received(helper: &mut UnixStream) -> Message {
        let mut came = Came::default();
        loop {
            if let Some(message) = came.message().unwrap() {
                return message;
            }
            helper.set_nonblocking(false).unwrap();
            let mut byte = [0];
            helper.read_exact(&mut byte).unwrap();
            came.bytes.extend(byte);
        }
    }

    #[test]
    fn the_helper_is_told_who_is_there_at_once() {
        let place = std::env::temp_dir().join(format!("aictl-peer-{}", std::process::id()));
        let listener = UnixListener::bind(&place).unwrap();
        let peer = Peer::connect(&place);
        std::fs::remove_file(&place).unwrap();
        let mut told = vec![0; greeting(geteuid().as_raw()).len()];
        listener.accept().unwrap().0.read_exact(&mut told).unwrap();
        assert_eq!(told, greeting(geteuid().as_raw()).as_bytes());
        assert!(peer.is_some());
        assert_eq!(greeting(1000), "\0AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
        assert!(Peer::connect(&place).is_none(), "nobody listens");
    }

    #[test]
    fn it_has_taken_us_once_it_has_said_all_of_that() {
        let welcome = b"OK 1234\r\nAGREE_UNIX_FD\r\n";
        for length in 0..welcome.len() {
            assert_eq!(end_of_welcome(&welcome[..length]), Ok(None), "{length}");
        }
        let more = [&welcome[..], b"l\x02"].concat();
        assert_eq!(end_of_welcome(&more), Ok(Some(welcome.len())));
        let (mut endless, mut helper) = pair(b"OK ");
        helper.write_all(&[b'1'; 300]).unwrap();
        assert!(matches!(endless.is_taken(), Err(Broken::NotTaken)));
        for other in ["REJECTED EXTERNAL\r\n", "X", "OK 1234\r\nERROR\r\n", "OK 1\r\nl\x02"] {
            assert_eq!(end_of_welcome(other.as_bytes()), Err(()), "{other}");
        }
        let (mut peer, mut helper) = pair(&welcome[..12]);
        assert!(!peer.is_taken().unwrap());
        helper.write_all(&welcome[12..]).unwrap();
        assert!(peer.is_taken().unwrap());
        for (said, then_it_goes) in [("OK 1234\r\n", true), ("REJECTED EXTERNAL\r\n", false)] {
            let (mut peer, helper) = pair(said.as_bytes());
            let _stays = (!then_it_goes).then_some(helper);
            assert!(matches!(peer.is_taken(), Err(Broken::NotTaken)), "{said}");
        }
    }

    #[test]
    fn answers_come_with_the_calls_that_they_are_to_and_with_their_descriptors() {
        let (mut peer, mut helper) = taken();
        let first = peer.call(Interface::Sandbox, "Wait", &("x",)).unwrap().unwrap();
        let second = peer.call(Interface::Sandbox, "Cancel", &("x",)).unwrap().unwrap();
        assert!(peer.receive().unwrap().is_none());
        let calls = [received(&mut helper), received(&mut helper)];
        let header = calls[0].header();
        assert_eq!(header.member().unwrap().as_str(), "Wait");
        assert_eq!(header.interface().unwrap().as_str(), Interface::Sandbox.name());
        // The second is answered first, and with a descriptor; and something comes unasked.
        let null = zbus::OwnedFd::from(OwnedFd::from(File::open("/dev/null").unwrap()));
        let signal = Message::signal("/", "org.example.X", "Y").build(&()).unwrap();
        helper.write_all(signal.data()).unwrap();
        let answer = Message::method_return(&calls[1].header()).build(&(null,)).unwrap();
        let ends = Peer { socket: helper, came: Came::default(), is_taken: true };
        let fds: Vec<_> = answer.data().fds().iter().map(AsFd::as_fd).collect();
        let (start, rest) = answer.data().split_at(20);
        ends.send(start, &fds).unwrap();
        assert!(peer.receive().unwrap().is_none());
        ends.send(rest, &[]).unwrap();
        let (of, answer) = peer.receive().unwrap().unwrap();
        assert_eq!(of, second);
        let _null: (zbus::OwnedFd,) = answer.body().deserialize().unwrap();
        let error = Message::error(&calls[0].header(), "org.example.Odd");
        ends.send(error.build(&("why",)).unwrap().data(), &[]).unwrap();
        assert_eq!(peer.receive().unwrap().unwrap().0, first);
        drop(ends);
        assert!(matches!(peer.receive(), Err(Broken::Bus(_))));
        assert!(peer.call(Interface::Sandbox, "Wait", &("x",)).unwrap().is_none(), "it has gone");
    }

    #[test]
    fn an_answer_with_fewer_descriptors_than_it_says_is_the_end() {
        let (mut peer, helper) = taken();
        let null = || zbus::OwnedFd::from(OwnedFd::from(File::open("/dev/null").unwrap()));
        let call = Message::method_call("/", "Run").build(&()).unwrap();
        let answer = Message::method_return(&call.header()).build(&(null(), null())).unwrap();
        let ends = Peer { socket: helper, came: Came::default(), is_taken: true };
        let one = null();
        ends.send(answer.data(), &[one.as_fd()]).unwrap();
        assert!(matches!(peer.receive(), Err(Broken::Bus(_))));
    }

    #[test]
    fn what_is_no_message_is_the_end() {
        let huge = [b"l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\0\0\0\0".as_slice()].concat();
        for odd in [b"0123456789abcdef".to_vec(), huge] {
            let (mut peer, mut helper) = taken();
            helper.write_all(&odd).unwrap();
            assert!(matches!(peer.receive(), Err(Broken::Bus(_))), "{odd:?}");
        }
    }
}
