//! A real keeper of sandboxes.

use std::{
    fs,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::fs::PermissionsExt,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

use aictl_sandbox::protocol::MAX_MESSAGE;
use nix::{
    sys::socket::{
        AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, listen, recv,
        send, socket,
    },
    unistd::close,
};

/// A keeper of sandboxes with a socket of its own, which outlives it as systemd's does.
pub struct Keeper {
    child: Option<Child>,
    listener: OwnedFd,
    directory: PathBuf,
}

/// Beside the tests of the same build.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("aictl-sandboxd");
    assert!(path.is_file(), "no {}: run `cargo build -p aictl-sandbox`", path.display());
    path
}

impl Keeper {
    /// Makes the socket, and starts the program.
    pub fn start() -> Self {
        let mut keeper = Self::idle();
        keeper.begin();
        keeper
    }

    /// Makes the socket alone.
    pub fn idle() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("aictld-keeper-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let kind = SockType::SeqPacket;
        let listener = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let address = UnixAddr::new(&directory.join("socket")).unwrap();
        bind(listener.as_raw_fd(), &address).unwrap();
        listen(&listener, Backlog::new(128).unwrap()).unwrap();
        Self { child: None, listener, directory }
    }

    /// Waits for a connection and for what is said on it first, in the program's place; then it
    /// hangs up.
    pub fn hear(&self) -> Vec<u8> {
        let connection = accept(self.listener.as_raw_fd()).unwrap();
        let mut packet = vec![0; MAX_MESSAGE];
        let length = recv(connection, &mut packet, MsgFlags::empty()).unwrap();
        packet.truncate(length);
        close(connection).unwrap();
        packet
    }

    /// Waits for a connection, and answers whatever is said on it with this; it stays connected
    /// until what is returned is dropped.
    pub fn answer(&self, reply: &[u8]) -> impl Sized + use<> {
        let connection = Connected(accept(self.listener.as_raw_fd()).unwrap());
        recv(connection.0, &mut vec![0; MAX_MESSAGE], MsgFlags::empty()).unwrap();
        send(connection.0, reply, MsgFlags::empty()).unwrap();
        connection
    }

    /// Starts the program, as systemd does for the next connection.
    pub fn begin(&mut self) {
        // As systemd passes it: descriptor 3, and the process's own id.
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 0</dev/null";
        let child = Command::new("/bin/sh")
            .args(["-c", script, program().to_str().unwrap()])
            .args(["--interpreter", "python=/usr/bin/python3", "--interpreter", "bash=/bin/bash"])
            // Where the machine lacks a layer, these tests are about everything else.
            .arg("--allow-missing")
            .env_clear()
            .stdin(Stdio::from(self.listener.try_clone().unwrap()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Kills it; its socket stays.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }
}

/// A connection that was accepted.
struct Connected(RawFd);

impl Drop for Connected {
    fn drop(&mut self) {
        close(self.0).unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
        let _removed = fs::remove_dir_all(&self.directory);
    }
}
