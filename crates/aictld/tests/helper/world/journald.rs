//! A socket in the journal's place.

use std::{
    collections::HashMap,
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use aictl_api::audit;

/// Takes records, and shows them.
pub struct Journald {
    path: PathBuf,
    socket: Arc<Mutex<Socket>>,
}

/// The kernel holds only a few datagrams: they are taken off as they come.
struct Socket {
    socket: UnixDatagram,
    entries: Vec<Entry>,
    is_open: bool,
    /// Whether it takes nothing off for a while.
    is_busy: bool,
}

impl Socket {
    fn drain(&mut self) {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            self.entries.push(parse(&bytes[..length]));
        }
    }
}

/// The fields of a record.
pub type Entry = HashMap<String, String>;

impl Journald {
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("aictld-journal-{}-{count}", process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = Socket { socket, entries: Vec::new(), is_open: true, is_busy: false };
        let socket = Arc::new(Mutex::new(socket));
        let drained = Arc::clone(&socket);
        thread::spawn(move || {
            while drained.lock().is_ok_and(|mut socket| {
                if !socket.is_busy {
                    socket.drain();
                }
                socket.is_open
            }) {
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { path, socket }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Is there no more.
    pub fn go(&self) {
        fs::remove_file(&self.path).unwrap();
        let mut socket = self.socket.lock().unwrap();
        socket.drain();
        socket.socket = UnixDatagram::unbound().unwrap();
        socket.socket.set_nonblocking(true).unwrap();
    }

    /// Has no room for a record, until it is told that it is no longer `busy`.
    pub fn set_busy(&self, busy: bool) {
        self.socket.lock().unwrap().is_busy = busy;
        if busy {
            let sender = UnixDatagram::unbound().unwrap();
            sender.set_nonblocking(true).unwrap();
            while sender.send_to(b"MESSAGE_ID=of nobody\n", &self.path).is_ok() {}
        }
    }

    /// The records that came since it was last asked.
    pub fn take(&self) -> Vec<Entry> {
        let mut socket = self.socket.lock().unwrap();
        socket.drain();
        std::mem::take(&mut socket.entries)
    }

    /// The records of finished calls that came since it was last asked.
    pub fn calls(&self) -> Vec<Entry> {
        let mut entries = self.take();
        entries.retain(|entry| entry["MESSAGE_ID"] == audit::CALL);
        entries
    }

    /// The record of the one finished call that came since it was last asked.
    pub fn call(&self) -> Entry {
        let [call] = <[Entry; 1]>::try_from(self.calls()).unwrap();
        call
    }

    /// The messages of the log, which are no records, that came since it was last asked.
    pub fn log(&self) -> Vec<String> {
        let mut entries = self.take();
        entries.retain(|entry| entry["MESSAGE_ID"].is_empty());
        entries.into_iter().map(|mut entry| entry.remove("MESSAGE").unwrap()).collect()
    }

    /// Waits for the record of a finished call.
    pub async fn next_call(&self) -> Entry {
        loop {
            if let Some(call) = self.calls().pop() {
                return call;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        if let Ok(mut socket) = self.socket.lock() {
            socket.is_open = false;
        }
        let _gone = fs::remove_file(&self.path);
    }
}

/// As journald reads an entry (systemd.io/JOURNAL_NATIVE_PROTOCOL). A field given twice is a
/// mistake.
fn parse(mut bytes: &[u8]) -> Entry {
    let mut fields = Entry::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let line = std::str::from_utf8(&bytes[..end]).unwrap().to_owned();
        bytes = &bytes[end + 1..];
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => {
                let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                let length = usize::try_from(length).unwrap();
                let value = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
                bytes = &bytes[9 + length..];
                (line, value)
            }
        };
        assert_eq!(fields.insert(name, value), None, "a field twice");
    }
    // A line of the log, which is no record, is of no kind.
    fields.entry("MESSAGE_ID".to_owned()).or_default();
    fields
}
