//! Writing to the journal, by journald's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), with
//! an error where a record was not taken.
//!
//! Every value goes with its length before it, so that no value can end its field and begin
//! another one.

use std::{
    fmt, io,
    io::{IoSlice, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aictl_api::authorisation::AuditField;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        socket::{ControlMessage, MsgFlags, sendmsg},
    },
};
use tokio::{io::Interest, net, time::timeout};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// The most bytes of a value that are sent; of a longer one the beginning is.
pub const MAX_VALUE: usize = 16 * 1024;
/// How long a journal may be too busy for one more record.
const BUSY_TIME: Duration = Duration::from_secs(2);

/// How important an entry is (syslog(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Something failed.
    Error = 3,
    /// Something is not as it should be.
    Warning = 4,
    /// Normal, but of interest.
    Notice = 5,
    /// For the record.
    Info = 6,
    /// For those who look for a fault.
    Debug = 7,
}

/// The name of a field of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldName(&'static str);

impl FieldName {
    /// The text for people.
    pub const MESSAGE: Self = Self("MESSAGE");
    /// The kind of the entry, by which the journal's catalogue explains it.
    pub const MESSAGE_ID: Self = Self("MESSAGE_ID");
    /// How important it is: see [`Priority`].
    pub const PRIORITY: Self = Self("PRIORITY");
    /// What it comes from, in the words of syslog.
    pub const SYSLOG_IDENTIFIER: Self = Self("SYSLOG_IDENTIFIER");

    /// The field of this name; `None` if journald would not take it: 1 to 64 of `A-Z`, `0-9` and
    /// `_`, the first a letter, since names that begin with `_` are journald's own.
    #[must_use]
    pub const fn new(name: &'static str) -> Option<Self> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > 64 || !bytes[0].is_ascii_uppercase() {
            return None;
        }
        let mut at = 0;
        while at < bytes.len() {
            if !matches!(bytes[at], b'A'..=b'Z' | b'0'..=b'9' | b'_') {
                return None;
            }
            at += 1;
        }
        Some(Self(name))
    }
}

impl From<AuditField> for FieldName {
    fn from(field: AuditField) -> Self {
        Self(field.name())
    }
}

/// An entry for the journal.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As it is sent.
    bytes: Vec<u8>,
}

impl Entry {
    /// An entry with a text for people.
    #[must_use]
    pub fn new(priority: Priority, message: &str) -> Self {
        Self { bytes: Vec::new() }
            .with(FieldName::PRIORITY, (priority as u8).to_string())
            .with(FieldName::MESSAGE, message)
    }

    /// The entry with one more field. A field may be given more than once. Of a value with more
    /// than [`MAX_VALUE`] bytes the beginning is kept.
    #[must_use]
    pub fn with(mut self, name: impl Into<FieldName>, value: impl AsRef<[u8]>) -> Self {
        let value = beginning(value.as_ref());
        self.bytes.extend(name.into().0.as_bytes());
        self.bytes.push(b'\n');
        self.bytes.extend((value.len() as u64).to_le_bytes());
        self.bytes.extend(value);
        self.bytes.push(b'\n');
        self
    }

    /// The entry as it is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// At most [`MAX_VALUE`] bytes, and no part of a character.
fn beginning(value: &[u8]) -> &[u8] {
    let Some(cut) = value.get(..MAX_VALUE).filter(|_| value.len() > MAX_VALUE) else {
        return value;
    };
    match std::str::from_utf8(cut) {
        Err(error) if error.error_len().is_none() => &cut[..error.valid_up_to()],
        _ => cut,
    }
}

/// Why the journal did not take an entry.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// Nobody listens.
    Absent(io::Error),
    /// It is too busy.
    Busy,
    /// It cannot be sent.
    Failed(io::Error),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(error) => write!(f, "the journal is not there: {error}"),
            Self::Busy => write!(f, "the journal took no entry for {BUSY_TIME:?}"),
            Self::Failed(error) => write!(f, "the journal does not take an entry: {error}"),
        }
    }
}

impl std::error::Error for JournalError {}

/// A journal to write to.
#[derive(Debug, Clone)]
pub struct JournalSocket {
    path: PathBuf,
    /// The socket of the last entry, for the next.
    last: Arc<Mutex<Option<UnixDatagram>>>,
}

impl Default for JournalSocket {
    fn default() -> Self {
        Self::at(SOCKET)
    }
}

impl JournalSocket {
    /// The journal that listens on the socket at `path`, in tests; the system's is the default.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), last: Arc::default() }
    }

    /// Whether somebody listens.
    ///
    /// # Errors
    /// [`JournalError::Absent`] if nobody does.
    pub fn ping(&self) -> Result<(), JournalError> {
        self.connect().map(drop)
    }

    /// Sends an entry, and waits a little where the journal is busy.
    ///
    /// # Errors
    /// If it was not taken.
    pub async fn send(&self, entry: &Entry) -> Result<(), JournalError> {
        match self.try_send(entry) {
            Err(JournalError::Busy) => {}
            other => return other,
        }
        let socket = self.connect()?;
        let sent = async {
            let socket = net::UnixDatagram::from_std(socket)?;
            socket.async_io(Interest::WRITABLE, || Ok(send(&socket, entry)?)).await
        };
        match timeout(BUSY_TIME, sent).await {
            Ok(sent) => sent.map_err(JournalError::Failed),
            Err(_elapsed) => Err(JournalError::Busy),
        }
    }

    /// Sends an entry now or not at all.
    ///
    /// # Errors
    /// If it was not taken.
    pub fn try_send(&self, entry: &Entry) -> Result<(), JournalError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = &*last {
            match send(socket, entry) {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN) => return Err(JournalError::Busy),
                // It does not outlive its other side; another may be there now.
                Err(_) => *last = None,
            }
        }
        let socket = last.insert(self.connect()?);
        match send(socket, entry) {
            Err(Errno::EAGAIN) => Err(JournalError::Busy),
            other => other.map_err(|errno| JournalError::Failed(errno.into())),
        }
    }

    fn connect(&self) -> Result<UnixDatagram, JournalError> {
        let socket = UnixDatagram::unbound().map_err(JournalError::Failed)?;
        socket.set_nonblocking(true).map_err(JournalError::Failed)?;
        socket.connect(&self.path).map_err(JournalError::Absent)?;
        Ok(socket)
    }
}

fn send(socket: &impl AsRawFd, entry: &Entry) -> Result<(), Errno> {
    let send = |bytes: &[u8], descriptors: &[ControlMessage<'_>]| {
        // The signal of a socket whose other side is gone is for programs that look at no error.
        let flags = MsgFlags::MSG_NOSIGNAL;
        loop {
            let bytes = [IoSlice::new(bytes)];
            match sendmsg::<()>(socket.as_raw_fd(), &bytes, descriptors, flags, None) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    };
    match send(&entry.bytes, &[]) {
        // Too large for a datagram: then the entry is a file, and the datagram brings that.
        Err(Errno::EMSGSIZE | Errno::ENOBUFS) => {
            let file = sealed(&entry.bytes)?;
            send(&[], &[ControlMessage::ScmRights(&[file.as_raw_fd()])])
        }
        other => other,
    }
}

/// The seals without which journald takes no file: nothing about it can change any more.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE)
    .union(SealFlag::F_SEAL_SEAL);

/// A file in memory that nobody can change any more.
fn sealed(bytes: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC;
    let mut file = std::fs::File::from(memfd_create(c"aictl-journal", flags)?);
    file.write_all(bytes).map_err(|_full| Errno::ENOSPC)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::{IoSliceMut, Read, Seek},
        process,
        sync::atomic::{AtomicU32, Ordering},
    };

    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    /// A socket that nobody reads unless the test does.
    struct Journald {
        path: PathBuf,
        socket: UnixDatagram,
    }

    impl Journald {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("aictl-journal-{}-{count}", process::id());
            let path = std::env::temp_dir().join(name);
            let socket = UnixDatagram::bind(&path).unwrap();
            Self { path, socket }
        }

        fn receive(&self) -> Vec<u8> {
            let mut bytes = vec![0; 1 << 20];
            let length = self.socket.recv(&mut bytes).unwrap();
            bytes.truncate(length);
            bytes
        }
    }

    impl Drop for Journald {
        fn drop(&mut self) {
            let _gone = fs::remove_file(&self.path);
        }
    }

    /// As journald reads an entry: fields with their values.
    fn parse(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let line = &bytes[..end];
            bytes = &bytes[end + 1..];
            if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
                let name = String::from_utf8(line[..equals].to_vec()).unwrap();
                fields.push((name, line[equals + 1..].to_vec()));
            } else {
                let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                let length = usize::try_from(length).unwrap();
                let name = String::from_utf8(line.to_vec()).unwrap();
                fields.push((name, bytes[8..8 + length].to_vec()));
                assert_eq!(bytes[8 + length], b'\n');
                bytes = &bytes[9 + length..];
            }
        }
        fields
    }

    fn field(name: &str, value: impl AsRef<[u8]>) -> (String, Vec<u8>) {
        (name.to_owned(), value.as_ref().to_vec())
    }

    #[test]
    fn no_value_forges_a_field() {
        let table = [
            "\n_UID=0",
            "x\nAICTL_DECISION=allowed\n",
            "\u{1b}[2J\u{1b}]0;x\u{7}",
            "PRIORITY=0",
            "=\n=\n",
            "",
            "MESSAGE\n\u{1}\0\0\0\0\0\0\0x\n",
        ];
        for value in table {
            let entry = Entry::new(Priority::Info, value)
                .with(AuditField::Service, value)
                .with(FieldName::MESSAGE_ID, "0");
            assert_eq!(
                parse(entry.as_bytes()),
                [
                    field("PRIORITY", "6"),
                    field("MESSAGE", value),
                    field("AICTL_SERVICE", value),
                    field("MESSAGE_ID", "0"),
                ],
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_huge_value_is_cut_between_characters() {
        let table = [
            ("x".repeat(MAX_VALUE), MAX_VALUE),
            ("x".repeat(1 << 20), MAX_VALUE),
            ("€".repeat(1 << 20), MAX_VALUE / 3 * 3),
        ];
        for (value, length) in table {
            let entry = Entry::new(Priority::Info, &value);
            let fields = parse(entry.as_bytes());
            assert_eq!(fields[1].1.len(), length);
            assert!(std::str::from_utf8(&fields[1].1).is_ok());
        }
        assert_eq!(beginning(&[0xff; MAX_VALUE + 1]).len(), MAX_VALUE);
    }

    #[test]
    fn a_name_is_one_that_journald_takes() {
        let long = "A".repeat(65);
        let long: &'static str = Box::leak(long.into_boxed_str());
        for name in ["", "_UID", "1A", "a", "A B", "A=B", "A\nB", "Ä", long] {
            assert_eq!(FieldName::new(name), None, "{name}");
        }
        assert_eq!(FieldName::new(&long[1..]).map(|name| name.0.len()), Some(64));
        assert_eq!(FieldName::new("AICTL_X1"), Some(FieldName("AICTL_X1")));
        for name in [FieldName::MESSAGE, FieldName::MESSAGE_ID, FieldName::PRIORITY] {
            assert_eq!(FieldName::new(name.0), Some(name));
        }
        assert_eq!(
            FieldName::new(FieldName::SYSLOG_IDENTIFIER.0).map(|name| name.0.len()),
            Some(17)
        );
        for field in AuditField::OF_EVERY_CALL {
            assert_eq!(FieldName::new(field.name()), Some(field.into()));
        }
    }

    #[tokio::test]
    async fn an_entry_arrives() {
        let journald = Journald::new();
        let journal = JournalSocket::at(&journald.path);
        journal.ping().unwrap();
        let entry = Entry::new(Priority::Notice, "one\ntwo");
        journal.send(&entry).await.unwrap();
        assert_eq!(journald.receive(), entry.as_bytes());
        journal.try_send(&entry).unwrap();
        assert_eq!(journald.receive(), entry.as_bytes());
    }

    #[tokio::test]
    async fn a_large_entry_arrives_as_a_sealed_file() {
        let journald = Journald::new();
        let mut entry = Entry::new(Priority::Notice, "large");
        for _ in 0..100 {
            entry = entry.with(AuditField::Service, "x".repeat(MAX_VALUE));
        }
        JournalSocket::at(&journald.path).send(&entry).await.unwrap();
        let mut space = nix::cmsg_space!([i32; 1]);
        let mut bytes = [0; 16];
        let mut bytes = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<()>(
            journald.socket.as_raw_fd(),
            &mut bytes,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .unwrap();
        assert_eq!(message.bytes, 0);
        let Some(ControlMessageOwned::ScmRights(files)) = message.cmsgs().unwrap().next() else {
            panic!("no file");
        };
        // Opened by its number here, since taking it over would need unsafe code.
        let mut file = File::open(format!("/proc/self/fd/{}", files[0])).unwrap();
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).unwrap();
        // The four that journald wants.
        assert_eq!(SealFlag::from_bits_truncate(seals), SEALS);
        file.rewind().unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert!(content == entry.as_bytes());
        nix::unistd::close(files[0]).unwrap();
    }

    #[tokio::test]
    async fn a_journal_that_was_started_anew_is_found() {
        let mut journald = Journald::new();
        let journal = JournalSocket::at(&journald.path);
        for message in ["first", "second", "third", "fourth"] {
            let entry = Entry::new(Priority::Info, message);
            match message {
                "first" | "third" => journal.send(&entry).await.unwrap(),
                _ => journal.try_send(&entry).unwrap(),
            }
            let fields = parse(&journald.receive());
            assert!(fields.contains(&field("MESSAGE", message)), "{fields:?}");
            if message != "first" {
                let path = journald.path.clone();
                fs::remove_file(&path).unwrap();
                journald.socket = UnixDatagram::bind(&path).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_journal_that_is_gone_is_an_error() {
        let journald = Journald::new();
        let path = journald.path.clone();
        let journal = JournalSocket::at(&path);
        let entry = Entry::new(Priority::Info, "x");
        drop(journald);
        assert!(matches!(journal.send(&entry).await, Err(JournalError::Absent(_))));
        assert!(matches!(journal.try_send(&entry), Err(JournalError::Absent(_))));
        assert!(matches!(journal.ping(), Err(JournalError::Absent(_))));
        // The file of a socket that nobody listens on any more.
        drop(UnixDatagram::bind(&path).unwrap());
        assert!(matches!(journal.send(&entry).await, Err(JournalError::Absent(_))));
        fs::remove_file(&path).unwrap();
    }

    /// Sends until the other side's queue is full.
    fn fill(journal: &JournalSocket, entry: &Entry) -> usize {
        (0..1_000_000).find(|_| journal.try_send(entry).is_err()).unwrap()
    }

    #[tokio::test]
    async fn a_busy_journal_is_waited_for() {
        let journald = Journald::new();
        let journal = JournalSocket::at(&journald.path);
        let entry = Entry::new(Priority::Info, "x");
        let sent = fill(&journal, &entry);
        assert!(matches!(journal.try_send(&entry), Err(JournalError::Busy)));
        let read = async {
            // Once the other has begun to wait.
            tokio::task::yield_now().await;
            (0..sent).for_each(|_| drop(journald.receive()));
        };
        let (sent, ()) = tokio::join!(journal.send(&entry), read);
        sent.unwrap();
        assert_eq!(journald.receive(), entry.as_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_journal_is_not_waited_for_without_end() {
        let journald = Journald::new();
        let journal = JournalSocket::at(&journald.path);
        let entry = Entry::new(Priority::Info, "x");
        fill(&journal, &entry);
        assert!(matches!(journal.send(&entry).await, Err(JournalError::Busy)));
    }
}
