//! The helper's connection to the bus, by a reader of our own: anybody may send the helper messages
//! of many megabytes with descriptors, and zbus would keep all of it for every one of them.
//!
//! Arguments that no call has are dropped as they come: the call itself is left, with the types of
//! its arguments and without their bytes, and is answered like any other. Descriptors that come
//! with a call are received elsewhere ([`porter`]), and one gets here, if it may be a script and
//! comes with the one call that takes some ([`wire`]); answers to the helper's own calls may have
//! some, such as the bus's word of who a caller is.

use std::{
    io,
    mem::MaybeUninit,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixStream as StdStream},
        },
    },
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use aictl_core::{
    peer::{START, lengths},
    systemd::Bus,
};
use tokio::{io::Interest, net::UnixStream, sync::Semaphore, time};
use zbus::{
    Address, Connection, Message,
    address::transport::{Transport, UnixSocket},
    connection::{
        Builder,
        socket::{BoxedSplit, ReadHalf, Split},
    },
    export::async_trait::async_trait,
};

use crate::{
    call::MAX_BODY,
    descriptors::{self, look},
    peer::{door::Door, socket::Writer},
    porter::{self, Came},
    wire,
};

/// The most bytes of the header's fields, such as path and names: the bus bounds the names, but not
/// the path.
const MAX_FIELDS: usize = 8 * 1024;
/// The most descriptors that are received with an answer: more than the bus lets through
/// (dbus-daemon(1), max_message_unix_fds). The kernel closes what is beyond.
const MAX_DESCRIPTORS: usize = 64;
/// How much is dropped at one time.
const DROP: usize = 16 * 1024;
/// The most messages at one time whose descriptors are not all closed yet.
const MAX_UNCLOSED: usize = 32;
/// How long to wait for the machine to have a thread for them.
const TAKE_PAUSE: Duration = Duration::from_millis(100);

/// Connects to the bus. Calls that are dropped whole are counted in `dropped`: a path as long as
/// that is no object of ours, and who calls is not known before the end of the header.
///
/// # Errors
/// If there is no bus, or it does not let us in.
pub async fn connect(bus: &Bus, dropped: Arc<AtomicU64>) -> zbus::Result<Connection> {
    let stream = stream(bus).await?;
    Builder::socket(halves(stream, dropped)).build().await
}

/// Connects to the bus once more, to call others and hear their signals. Nobody can send descriptors
/// to it: the bus passes none on to who has not agreed to it.
///
/// # Errors
/// If there is no bus, or it does not let us in.
pub async fn connect_plainly(bus: &Bus) -> zbus::Result<Connection> {
    let door = Arc::new(Door::new(stream(bus).await?));
    let writer = Writer::new(Arc::clone(&door), false);
    let halves: BoxedSplit = Split::new(Box::new(Plain(Bytes(door))), Box::new(writer));
    Builder::socket(halves).build().await
}

/// Connects to the bus's socket.
async fn stream(bus: &Bus) -> zbus::Result<UnixStream> {
    let address = match bus {
        Bus::System => Address::system()?,
        Bus::User => Address::session()?,
        Bus::At(address) => address.parse()?,
    };
    match address.transport() {
        Transport::Unix(unix) => match unix.path() {
            UnixSocket::File(path) => Ok(UnixStream::connect(path).await?),
            UnixSocket::Abstract(name) => {
                let address = SocketAddr::from_abstract_name(name.as_bytes())?;
                let stream = StdStream::connect_addr(&address)?;
                stream.set_nonblocking(true)?;
                Ok(UnixStream::from_std(stream)?)
            }
            _ => Err(zbus::Error::Unsupported),
        },
        _ => Err(zbus::Error::Unsupported),
    }
}

fn halves(stream: UnixStream, dropped: Arc<AtomicU64>) -> BoxedSplit {
    let door = Arc::new(Door::new(stream));
    let writer = Writer::new(Arc::clone(&door), true);
    let room = Arc::new(Semaphore::new(MAX_UNCLOSED));
    let reader = Reader { bytes: Bytes(door), room, dropped };
    Split::new(Box::new(reader), Box::new(writer))
}

/// Bytes as they come.
#[derive(Debug, Clone)]
struct Bytes(Arc<Door>);

/// What comes over a connection that nobody can send descriptors to.
#[derive(Debug)]
struct Plain(Bytes);

#[async_trait]
impl ReadHalf for Plain {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        self.0.receive(buffer).await
    }

    fn can_pass_unix_fd(&self) -> bool {
        false
    }
}

impl Bytes {
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        descriptors::receive(self.0.stream()?, buffer, &mut space).await
    }

    /// Fills the buffer: first with what was read early, with the end of the handshake. Returns the
    /// descriptors that came with it.
    async fn fill(&self, early: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<Vec<OwnedFd>> {
        let mut filled = early.len().min(buffer.len());
        buffer[..filled].copy_from_slice(&early[..filled]);
        early.drain(..filled);
        let mut descriptors = Vec::new();
        while filled < buffer.len() {
            let (read, more) = self.receive(&mut buffer[filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            descriptors.extend(more);
        }
        Ok(descriptors)
    }

    /// Drops this many bytes.
    async fn drop(&mut self, early: &mut Vec<u8>, count: usize) -> io::Result<()> {
        let mut left = count;
        let mut buffer = vec![0; DROP.min(count)];
        while left > 0 {
            let part = left.min(DROP);
            self.fill(early, &mut buffer[..part]).await?;
            left -= part;
        }
        Ok(())
    }
}

/// Messages of a bounded size.
#[derive(Debug)]
struct Reader {
    bytes: Bytes,
    /// Room for messages whose descriptors are not all closed yet.
    room: Arc<Semaphore>,
    dropped: Arc<AtomicU64>,
}

impl Reader {
    /// Reads the first bytes of a message, with the descriptors that come along: all that come with
    /// an answer, and what may be a script of those that anybody sends.
    async fn first(
        &self,
        early: &mut Vec<u8>,
        start: &mut [u8; START],
    ) -> io::Result<Vec<OwnedFd>> {
        if !early.is_empty() {
            return self.bytes.fill(early, start).await;
        }
        let stream = self.bytes.0.stream()?;
        loop {
            let mut seen = [0; START];
            let next = stream.async_io(Interest::READABLE, || look(stream, &mut seen)).await?;
            // The bus lets nobody answer but whom the helper has asked.
            if !next.descriptors || is_answer(seen) {
                return self.bytes.fill(early, start).await;
            }
            let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
            let Ok(taken) = porter::take(stream, START, room).await else {
                // It is still there, or it is the end of the connection.
                time::sleep(TAKE_PAUSE).await;
                continue;
            };
            early.extend(taken.bytes);
            self.bytes.fill(early, start).await?;
            return Ok(match taken.came {
                Came::One(script) => vec![script],
                Came::Nothing | Came::Many => Vec::new(),
            });
        }
    }
}

#[async_trait]
impl ReadHalf for Reader {
    async fn receive_message(
        &mut self,
        seq: u64,
        early: &mut Vec<u8>,
        descriptors: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        loop {
            let mut start = [0; START];
            // They come with a message's first bytes.
            let came = self.first(early, &mut start).await?;
            let (fields, body) = lengths(start).ok_or(zbus::Error::ExcessData)?;
            let is_call = is_call(start);
            if is_answer(start) {
                descriptors.extend(came);
                early.splice(0..0, start);
                return Plain(self.bytes.clone()).receive_message(seq, early, descriptors).await;
            }
            if fields > MAX_FIELDS || (body > MAX_BODY && !is_call) {
                drop(came);
                self.dropped.fetch_add(u64::from(is_call), SeqCst);
                self.bytes.drop(early, fields.saturating_add(body)).await?;
                continue;
            }
            let mut header = vec![0; START + fields];
            self.bytes.fill(early, &mut header[START..]).await?;
            let most = wire::most_bytes(&header[START..], start[0]);
            if is_call && body <= most && wire::may_have(&header[START..], start[0], came.len()) {
                descriptors.extend(came);
            } else {
                drop(came);
                wire::forget_descriptors(&mut header[START..], start[0]);
            }
            if body > most {
                self.bytes.drop(early, body).await?;
                start[BODY_LENGTH].fill(0);
            }
            header[..START].copy_from_slice(&start);
            early.splice(0..0, header);
            return Plain(self.bytes.clone()).receive_message(seq, early, descriptors).await;
        }
    }

    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        self.bytes.receive(buffer).await
    }

    /// So that the bus passes on those that the helper sends.
    fn can_pass_unix_fd(&self) -> bool {
        true
    }
}

/// Where a message says how long its body is (D-Bus specification, "Message Format").
const BODY_LENGTH: std::ops::Range<usize> = 4..8;

/// Whether it calls a method.
const fn is_call(start: [u8; START]) -> bool {
    start[1] == 1
}

/// Whether it is the answer to a call, or an error instead.
const fn is_answer(start: [u8; START]) -> bool {
    matches!(start[1], 2 | 3)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use zbus::message::Type;

    use super::*;

    fn call(path: &str, name: &str) -> Message {
        Message::method_call(path, "Get").build(&(name,)).unwrap()
    }

    fn path_of(message: &Message) -> String {
        message.header().path().unwrap().as_str().to_owned()
    }

    /// What comes out of a reader that gets these messages, the first bytes of them early.
    async fn read(messages: &[Message], early: usize) -> (Vec<Message>, u64) {
        let (mut client, server) = UnixStream::pair().unwrap();
        let bytes: Vec<u8> = messages.iter().flat_map(|m| m.data().to_vec()).collect();
        let (early, late) = bytes.split_at(early);
        let (mut early, late) = (early.to_vec(), late.to_vec());
        let dropped = Arc::new(AtomicU64::new(0));
        let (mut reader, _writer) = halves(server, Arc::clone(&dropped)).take();
        let write = tokio::spawn(async move { client.write_all(&late).await.unwrap() });
        let mut read = Vec::new();
        while let Ok(message) = reader.receive_message(1, &mut early, &mut Vec::new()).await {
            read.push(message);
        }
        write.await.unwrap();
        let dropped = dropped.load(SeqCst);
        (read, dropped)
    }

    #[tokio::test]
    async fn of_a_huge_call_nothing_but_its_header_is_kept_and_the_next_one_is_whole() {
        let messages = [
            call("/a", "x"),
            call("/b", &"x".repeat(3 << 20)),
            call("/c", &"x".repeat(MAX_BODY)),
            call("/d", "y"),
        ];
        for early in [0, 1, START, 100, messages[0].data().len() + 20, (1 << 20) + 3] {
            let (read, dropped) = read(&messages, early).await;
            let paths: Vec<String> = read.iter().map(path_of).collect();
            assert_eq!(paths, ["/a", "/b", "/c", "/d"], "{early}");
            let serials = |messages: &[Message]| -> Vec<u32> {
                messages.iter().map(|m| m.primary_header().serial_num().get()).collect()
            };
            assert_eq!(serials(&read), serials(&messages));
            for (message, body) in read.iter().zip(["x", "", "", "y"]) {
                assert_eq!(message.body().signature().to_string_no_parens(), "s");
                assert!(message.data().len() < 4096);
                let found = message.body();
                assert_eq!(found.deserialize::<(&str,)>().map_or("", |(text,)| text), body);
            }
            assert_eq!(dropped, 0);
        }
    }

    #[tokio::test]
    async fn a_huge_path_and_a_huge_signal_are_dropped_and_an_answer_is_not() {
        let path = format!("/{}", "x".repeat(1 << 20));
        let huge = "x".repeat(1 << 20);
        let asked = call("/a", "x");
        let header = asked.header();
        let messages = [
            call(&path, &huge),
            Message::signal("/s", "a.b", "C").build(&huge).unwrap(),
            Message::method_return(&header).build(&huge).unwrap(),
            call("/z", "x"),
        ];
        let (read, dropped) = read(&messages, 7).await;
        let types: Vec<Type> = read.iter().map(Message::message_type).collect();
        assert_eq!(types, [Type::MethodReturn, Type::MethodCall]);
        assert_eq!(read[0].body().deserialize::<&str>().unwrap(), huge);
        assert_eq!(dropped, 1);
    }

    /// A real pair of sockets, for descriptors go no other way.
    #[tokio::test]
    async fn descriptors_of_calls_are_closed_at_once_and_those_of_answers_are_kept() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let body = (zbus::Fd::from(&null), zbus::Fd::from(&null));
        let plain = call("/a", "x");
        let mut messages = Vec::new();
        for endian in [zbus::wire::Endian::Little, zbus::wire::Endian::Big] {
            let call = Message::method_call("/a", "Get").sender(":1.7").endian(endian);
            messages.push(call.build(&body).unwrap());
            let answer = Message::method_return(&plain.header()).endian(endian);
            messages.push(answer.build(&body).unwrap());
        }
        messages.push(plain);
        let (client, server) = UnixStream::pair().unwrap();
        let (_reader, mut writer) = halves(client, Arc::default()).take();
        let (mut reader, _writer) = halves(server, Arc::default()).take();
        for sent in &messages {
            writer.send_message(sent).await.unwrap();
            let read = reader.receive_message(1, &mut Vec::new(), &mut Vec::new()).await.unwrap();
            assert_eq!(read.message_type(), sent.message_type());
            let is_answer = sent.message_type() == Type::MethodReturn;
            let expected = if is_answer { 2 } else { 0 };
            assert_eq!(read.data().fds().len(), expected, "{read:?}");
            assert_eq!(read.header().unix_fds().unwrap_or(0) as usize, expected);
            assert_eq!(read.body().signature(), sent.body().signature());
        }
    }
}
