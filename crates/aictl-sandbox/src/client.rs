//! The client's side: starts or reaches a sandboxd, hands it a job, and reads what comes back.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::sys::socket::MsgFlags;

use crate::{
    interpreter::Interpreter,
    protocol::{Job, ProtocolError, Reply, Request},
    socket,
};

/// The program's file name.
pub const PROGRAM: &str = "aictl-sandboxd";
/// Where a package installs it.
const INSTALLED: &str = "/usr/libexec/aictl/aictl-sandboxd";

/// Why there is no answer from a sandboxd.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The program is not where it should be.
    NotInstalled {
        /// The places that were looked at.
        looked_at: Vec<PathBuf>,
    },
    /// It could not be started.
    Start(PathBuf, io::Error),
    /// The connection failed.
    Connection(io::Error),
    /// It ended without an answer; what it had to say stands on standard error.
    Ended,
    /// It answered what is no reply.
    Protocol(ProtocolError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled { looked_at } => {
                let places: Vec<_> = looked_at.iter().map(|p| p.display().to_string()).collect();
                write!(
                    f,
                    "{PROGRAM} is missing (looked at {}): install aictl again, or build it with \
                     `cargo build --release`",
                    places.join(" and ")
                )
            }
            Self::Start(path, error) => write!(f, "{} cannot be started: {error}", path.display()),
            Self::Connection(error) => write!(f, "the connection to {PROGRAM} failed: {error}"),
            Self::Ended => write!(f, "{PROGRAM} ended without an answer"),
            Self::Protocol(error) => write!(f, "{PROGRAM} sent {error}: is it another version?"),
        }
    }
}

impl std::error::Error for ClientError {}

/// Finds the program that belongs to the executable `beside`: in the same directory, else where
/// a package installs it.
///
/// # Errors
/// If it is in neither place.
pub fn locate(beside: &Path) -> Result<PathBuf, ClientError> {
    let looked_at = vec![beside.with_file_name(PROGRAM), PathBuf::from(INSTALLED)];
    match looked_at.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(ClientError::NotInstalled { looked_at }),
    }
}

/// A connection to a sandboxd, for one run.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    /// The sandboxd that belongs to this connection alone.
    child: Option<Child>,
}

impl Connection {
    /// Starts a sandboxd for one run, with the caller's own rights and a known environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn embedded(program: &Path, interpreter: &Interpreter) -> Result<Self, ClientError> {
        let (ours, theirs) = socket::pair().map_err(ClientError::Connection)?;
        let mut offer = std::ffi::OsString::from(format!("{}=", interpreter.runtime()));
        offer.push(interpreter.exe());
        let mut command = Command::new(program);
        command.arg("--embedded").arg("--interpreter").arg(offer).env_clear();
        #[cfg(feature = "weaken")]
        if let Some(value) = std::env::var_os("AICTL_WEAKEN") {
            command.env("AICTL_WEAKEN", value);
        }
        let child = command
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| ClientError::Start(program.to_owned(), error))?;
        Ok(Self { socket: ours, child: Some(child) })
    }

    /// Uses a socket that is connected to a sandboxd already.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self { socket, child: None }
    }

    /// Hands over the job: its script as a sealed memfd, and a pipe for standard input.
    ///
    /// # Errors
    /// If sandboxd is gone.
    pub fn submit(
        &self,
        job: &Job,
        script: BorrowedFd<'_>,
        stdin: Option<BorrowedFd<'_>>,
    ) -> Result<(), ClientError> {
        let fds: Vec<BorrowedFd<'_>> = [script].into_iter().chain(stdin).collect();
        let packet = Request::Run(Box::new(job.clone())).encode();
        socket::send(self.socket.as_fd(), &packet, &fds).map_err(ClientError::Connection)
    }

    /// Asks for the run's end; the outcome still comes. A sandboxd that is gone is no error.
    pub fn cancel(&self) {
        let _gone = socket::send(self.socket.as_fd(), &Request::Cancel.encode(), &[]);
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    /// If sandboxd ended without one, or sent what is none.
    pub fn receive(&self) -> Result<Reply, ClientError> {
        let packet = socket::receive(self.socket.as_fd(), MsgFlags::empty())
            .map_err(ClientError::Connection)?;
        if packet.bytes.is_empty() {
            return Err(ClientError::Ended);
        }
        Reply::decode(&packet.bytes).map_err(ClientError::Protocol)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Waits for the sandboxd of this connection, so that nothing of a run is left.
impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // The end of the connection is what makes it end; a run in progress is cancelled.
            let _closed = nix::sys::socket::shutdown(
                std::os::fd::AsRawFd::as_raw_fd(&self.socket),
                nix::sys::socket::Shutdown::Both,
            );
            let _reaped = child.wait();
        }
    }
}
