//! Packets with descriptors over a unix socket (unix(7)).

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

use nix::{
    cmsg_space,
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv,
        recvmsg, sendmsg, socketpair,
    },
};

use crate::{
    protocol::{MAX_FDS, MAX_MESSAGE},
    sys,
};

/// The most descriptors that the kernel passes in one packet: room for all, since one that does
/// not fit would be lost open.
const SCM_MAX_FD: usize = 253;

/// A received packet.
#[derive(Debug)]
pub struct Packet {
    /// Its bytes; empty at the end of the connection.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// A connected pair of packet sockets, close-on-exec.
///
/// # Errors
/// EMFILE.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one packet with descriptors, waiting for room.
///
/// # Errors
/// EPIPE if the other side is gone; EMSGSIZE if the packet does not fit.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with(socket, bytes, fds, MsgFlags::empty())
}

/// Sends one packet if there is room for it now.
///
/// # Errors
/// EAGAIN if there is not; else as [`send`].
pub fn try_send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    send_with(socket, bytes, &[], MsgFlags::MSG_DONTWAIT)
}

fn send_with(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: MsgFlags,
) -> io::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    loop {
        match sendmsg::<()>(
            socket.as_raw_fd(),
            &[IoSlice::new(bytes)],
            control,
            flags | MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// Receives one packet, waiting for it unless `flags` say otherwise.
///
/// # Errors
/// EAGAIN with `MSG_DONTWAIT`; `InvalidData` if the packet or its descriptors were cut, in which
/// case what came of them is closed.
pub fn receive(socket: BorrowedFd<'_>, flags: MsgFlags) -> io::Result<Packet> {
    receive_with(socket, flags, MAX_FDS)
}

/// As above, with `most` descriptors at the most.
///
/// # Errors
/// As there.
pub fn receive_with(socket: BorrowedFd<'_>, flags: MsgFlags, most: usize) -> io::Result<Packet> {
    // Its length first: most are short, and room for the longest takes longer than all the rest.
    let length = loop {
        match recv(socket.as_raw_fd(), &mut [], flags | MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut bytes = vec![0; length.min(MAX_MESSAGE)];
    let mut control = cmsg_space!([RawFd; SCM_MAX_FD]);
    let (length, fds, cut) = {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = loop {
            match recvmsg::<()>(
                socket.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                flags | MsgFlags::MSG_CMSG_CLOEXEC,
            ) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        let cut = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
        let mut fds = Vec::new();
        for part in message.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(raw) = part {
                fds.extend(raw.into_iter().map(sys::own_received));
            }
        }
        (message.bytes, fds, cut)
    };
    if cut || fds.len() > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the packet was cut"));
    }
    bytes.truncate(length);
    Ok(Packet { bytes, fds })
}

/// Waits for the end of the process behind a descriptor (pidfd_open(2)), for ever.
pub fn wait_for_end(pidfd: BorrowedFd<'_>) {
    while poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], PollTimeout::NONE) == Err(Errno::EINTR)
    {
    }
}

/// Waits until there is something to receive, or the connection has ended; `false` if neither
/// happens within `patience`.
#[must_use]
pub fn wait_readable(socket: BorrowedFd<'_>, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let mut fds = [PollFd::new(socket, PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => {}
            other => return matches!(other, Ok(1..)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn packets_keep_their_bounds_and_descriptors() {
        let (a, b) = pair().unwrap();
        send(a.as_fd(), b"one", &[a.as_fd(), b.as_fd()]).unwrap();
        send(a.as_fd(), b"two", &[]).unwrap();
        let first = receive(b.as_fd(), MsgFlags::empty()).unwrap();
        assert_eq!((first.bytes.as_slice(), first.fds.len()), (&b"one"[..], 2));
        // One of them is the other side: while it is open, the connection does not end.
        drop(first);
        let packet = receive(b.as_fd(), MsgFlags::empty()).unwrap();
        assert_eq!((packet.bytes.as_slice(), packet.fds.len()), (&b"two"[..], 0));
        let nothing = receive(b.as_fd(), MsgFlags::MSG_DONTWAIT).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive(b.as_fd(), MsgFlags::empty()).unwrap().bytes.is_empty());
    }

    #[test]
    fn too_many_descriptors_or_bytes_are_an_error_not_a_surprise() {
        let (a, b) = pair().unwrap();
        send(a.as_fd(), b"x", &[a.as_fd(); MAX_FDS + 2]).unwrap();
        assert_eq!(
            receive(b.as_fd(), MsgFlags::empty()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        send(a.as_fd(), &vec![0; MAX_MESSAGE + 1], &[]).unwrap();
        assert_eq!(
            receive(b.as_fd(), MsgFlags::empty()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
