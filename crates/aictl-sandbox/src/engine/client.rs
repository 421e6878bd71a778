//! Whom a run is for: it takes the output as it comes, and may end the run.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::MsgFlags,
};

use crate::{
    protocol::{Reply, Request, Stream},
    socket,
};

/// What a client wants of a run that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nothing new.
    GoOn,
    /// The run is to end.
    Cancel,
    /// The run is to stand still while the client does ([`Client::pause`]).
    Pause,
}

/// Whom a run is for.
pub trait Client {
    /// A descriptor that becomes readable when the client has something to say.
    fn events(&self) -> BorrowedFd<'_>;

    /// What the client says; called when [`events`](Self::events) is readable. Does not wait.
    fn hear(&mut self) -> Wish;

    /// Takes output without waiting; returns how much of it, all or a part.
    ///
    /// # Errors
    /// `WouldBlock` if the client takes nothing now; anything else ends the run.
    fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<usize>;

    /// A descriptor that becomes writable when there is room for output of `stream` again.
    fn room(&self, stream: Stream) -> BorrowedFd<'_>;

    /// Whether output that there is no room for is to be left out once the run is over.
    fn hurries(&self) -> bool {
        false
    }

    /// Stands still, until somebody wants it to go on.
    fn pause(&mut self) {}
}

/// A client at the other end of a packet socket.
pub struct Remote<'a>(pub BorrowedFd<'a>);

impl Client for Remote<'_> {
    fn events(&self) -> BorrowedFd<'_> {
        self.0
    }

    /// Whatever comes, or comes no more, ends the run: there is nothing else to say.
    fn hear(&mut self) -> Wish {
        match socket::receive(self.0, MsgFlags::MSG_DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Wish::GoOn,
            Err(_) => Wish::Cancel,
            Ok(packet) => match Request::decode(&packet.bytes) {
                // A second job on the same connection makes no sense.
                Ok(Request::Cancel | Request::Run(_)) | Err(_) => Wish::Cancel,
            },
        }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<usize> {
        socket::try_send(self.0, &Reply::encode_output(stream, bytes))?;
        Ok(bytes.len())
    }

    fn room(&self, _: Stream) -> BorrowedFd<'_> {
        self.0
    }
}

/// Waits for room for output of `stream`, until `deadline` or until the client wants the end.
///
/// # Errors
/// `TimedOut`, or `Interrupted` by the client.
pub fn wait_for_room(client: &mut dyn Client, stream: Stream, deadline: Instant) -> io::Result<()> {
    loop {
        let left = match client.hurries() {
            true => Duration::ZERO,
            false => deadline.saturating_duration_since(Instant::now()),
        };
        let (room, heard) = {
            let mut fds = [
                PollFd::new(client.room(stream), PollFlags::POLLOUT),
                PollFd::new(client.events(), PollFlags::POLLIN),
            ];
            poll(&mut fds, timeout(left))?;
            (fds[0].any().unwrap_or(false), fds[1].any().unwrap_or(false))
        };
        if room {
            return Ok(());
        }
        if heard {
            match client.hear() {
                Wish::GoOn => {}
                Wish::Cancel => return Err(io::ErrorKind::Interrupted.into()),
                Wish::Pause => client.pause(),
            }
        } else if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// A time as poll(2) takes it: a millisecond more, so that it has passed when poll returns.
pub fn timeout(left: Duration) -> PollTimeout {
    let millis = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

/// Sends a packet, waiting for room until `deadline`.
///
/// # Errors
/// EPIPE if the other side is gone; `TimedOut`.
pub fn send_by(socket: BorrowedFd<'_>, packet: &[u8], deadline: Instant) -> io::Result<()> {
    loop {
        match socket::try_send(socket, packet) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        poll(&mut fds, timeout(left))?;
    }
}
