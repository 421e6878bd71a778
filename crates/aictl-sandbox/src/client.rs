//! The client's side of a connection to sandboxd: hands it a job, and reads what comes back.

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, socket as new_socket,
};

use crate::{
    protocol::{Job, ProtocolError, Reply, Request},
    socket,
};

/// Why there is no answer from sandboxd.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
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
}

impl Connection {
    /// Sends a packet.
    fn send(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), ClientError> {
        match socket::send(self.socket.as_fd(), packet, fds) {
            // It has ended already, and may have left a reply that says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(ClientError::Connection),
        }
    }

    /// Connects to the sandboxd that listens at `path`. Nothing that is done with this connection
    /// waits: [`try_receive`](Self::try_receive) is for it.
    ///
    /// # Errors
    /// If nobody listens there, or so many wait already that one more has no place now (EAGAIN).
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = new_socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(Self { socket })
    }

    /// Uses a socket that is connected to a sandboxd already.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Hands over the job: its script as a sealed memfd, and for standard input the end of a stream
    /// that nobody else has.
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
        let _gone = socket::try_send(self.socket.as_fd(), &Request::Cancel.encode());
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    /// If sandboxd ended without one, or sent what is none.
    pub fn receive(&self) -> Result<Reply, ClientError> {
        self.receive_with(MsgFlags::empty()).map_err(ClientError::Connection)?
    }

    /// The next reply, if it has come.
    ///
    /// # Errors
    /// `WouldBlock` if it has not; within, as [`receive`](Self::receive).
    pub fn try_receive(&self) -> io::Result<Result<Reply, ClientError>> {
        match self.receive_with(MsgFlags::MSG_DONTWAIT) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                Ok(Err(ClientError::Connection(error)))
            }
            other => other,
        }
    }

    fn receive_with(&self, flags: MsgFlags) -> io::Result<Result<Reply, ClientError>> {
        let receive = || socket::receive(self.socket.as_fd(), flags);
        let packet = match receive() {
            // It ended before it read all that was sent; its last reply is still there (unix(7)).
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => receive(),
            other => other,
        }?;
        if packet.bytes.is_empty() {
            return Ok(Err(ClientError::Ended));
        }
        Ok(Reply::decode(&packet.bytes).map_err(ClientError::Protocol))
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
