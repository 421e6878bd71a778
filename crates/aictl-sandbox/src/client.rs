//! The client's side: starts or reaches a sandboxd, hands it a job, and reads what comes back.

use std::{
    fmt, fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{MsgFlags, Shutdown, shutdown},
        wait::waitpid,
    },
    unistd::Pid,
};

use crate::{
    interpreter::Interpreter,
    protocol::{Job, Offer, ProtocolError, Reply, Request},
    sandboxd, socket, sys,
};

/// Why there is no answer from a sandboxd.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// It could not be started.
    Start(io::Error),
    /// The connection failed.
    Connection(io::Error),
    /// It ended without an answer.
    Ended,
    /// It answered what is no reply.
    Protocol(ProtocolError),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "the sandbox's keeper cannot be started: {error}"),
            Self::Connection(error) => {
                write!(f, "the connection to the sandbox's keeper failed: {error}")
            }
            Self::Ended => {
                write!(f, "the sandbox's keeper ended without an answer: was it killed?")
            }
            Self::Protocol(error) => write!(f, "the sandbox's keeper sent {error}"),
        }
    }
}

impl std::error::Error for ClientError {}

/// A connection to a sandboxd, for one run.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    /// The sandboxd that belongs to this connection alone.
    child: Option<Pid>,
}

impl Connection {
    /// Starts a sandboxd for one run, as a child process with the caller's own rights that keeps
    /// nothing else of the caller: no descriptor, no environment. The caller must have one thread.
    ///
    /// Until it is [offered](Self::offer) an interpreter it waits, and prepares what it can.
    ///
    /// # Errors
    /// If the caller has more threads, or no process can be made.
    pub fn embedded() -> Result<Self, ClientError> {
        // A copy of one thread of many might wait for ever for a lock that another one held.
        let threads = fs::read_dir("/proc/self/task").map_err(ClientError::Start)?.count();
        if threads != 1 {
            return Err(ClientError::Start(io::Error::other("the caller has several threads")));
        }
        let (ours, theirs) = socket::pair().map_err(ClientError::Connection)?;
        let child = sys::fork_single_threaded(sandboxd::serve_embedded, theirs)
            .map_err(|errno| ClientError::Start(errno.into()))?;
        Ok(Self { socket: ours, child: Some(child) })
    }

    /// Tells an embedded sandboxd which interpreter to use, before the job.
    ///
    /// # Errors
    /// If it cannot be sent; that sandboxd is gone shows when its reply is received.
    pub fn offer(&self, interpreter: &Interpreter) -> Result<(), ClientError> {
        let exe = interpreter.exe().to_owned();
        let offer = Offer { runtime: interpreter.runtime(), exe };
        self.send(&offer.encode(), &[])
    }

    /// Sends a packet.
    fn send(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), ClientError> {
        match socket::send(self.socket.as_fd(), packet, fds) {
            // It has ended already, and may have left a reply that says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(ClientError::Connection),
        }
    }

    /// Uses a socket that is connected to a sandboxd already.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self { socket, child: None }
    }

    /// Hands over the job: its script as a sealed memfd, and a pipe for standard input.
    ///
    /// # Errors
    /// If it cannot be sent; that sandboxd is gone shows when its reply is received.
    pub fn submit(
        &self,
        job: &Job,
        script: BorrowedFd<'_>,
        stdin: Option<BorrowedFd<'_>>,
    ) -> Result<(), ClientError> {
        let fds: Vec<BorrowedFd<'_>> = [script].into_iter().chain(stdin).collect();
        let packet = Request::Run(Box::new(job.clone())).encode();
        self.send(&packet, &fds)
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
        let receive = || socket::receive(self.socket.as_fd(), MsgFlags::empty());
        let packet = match receive() {
            // It ended before it read all that was sent; its last reply is still there (unix(7)).
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => receive(),
            other => other,
        }
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
        if let Some(child) = self.child {
            // The end of the connection is what makes it end; a run in progress is cancelled.
            let _closed = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
            while waitpid(child, None) == Err(Errno::EINTR) {}
        }
    }
}
