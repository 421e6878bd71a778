//! The kernel's own list of sockets (sock_diag(7), netlink(7); linux/inet_diag.h, linux/netlink.h).

use std::{
    fmt,
    io::IoSliceMut,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvmsg,
            sendto, setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use super::{Listener, MAX_LISTENERS, ROOT_GROUP};

/// The kernel answers at once; this is for one that does not.
const WAIT_SECONDS: i64 = 1;
/// The kernel's largest packet of an answer is 32 KiB.
const PACKET: usize = 64 << 10;
/// The most packets of an answer.
const MAX_PACKETS: usize = 4096;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const TCP_LISTEN: u8 = 10;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_CGROUP_ID: u16 = 21;
/// The bits of an attribute's type that are none of its number (`NLA_TYPE_MASK`).
const FLAGS_OF_TYPE: u16 = 0xc000;

/// struct nlmsghdr.
const HEADER: usize = 16;
/// struct inet_diag_msg.
const MESSAGE: usize = 72;
/// struct rtattr.
const ATTRIBUTE: usize = 4;

/// A socket as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    /// Who has it, and its own end.
    own: Listener,
    /// Its other end: of one that listens, nothing.
    peer: SocketAddr,
    /// Its state, by the kernel's numbers.
    state: u8,
}

/// Why the kernel's list cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagError {
    /// It cannot be asked, or says no.
    System(Errno),
    /// Its answer is not as documented.
    BadAnswer,
}

impl fmt::Display for DiagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(errno) => {
                write!(f, "the kernel does not list sockets: {}", errno.desc())
            }
            Self::BadAnswer => f.write_str("the kernel's list of sockets cannot be read"),
        }
    }
}

impl std::error::Error for DiagError {}

impl From<Errno> for DiagError {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// Every listening socket.
pub(super) fn listening() -> Result<Vec<Listener>, DiagError> {
    let socket = open()?;
    let mut found = Vec::new();
    for (sequence, family) in [(1, AF_INET), (2, AF_INET6)] {
        let states = 1 << TCP_LISTEN;
        let asked = request(sequence, NLM_F_DUMP, family, states, &[0; 48]);
        match ask(&socket, &asked, sequence) {
            Ok(sockets) => {
                let listening = sockets.iter().filter(|socket| socket.state == TCP_LISTEN);
                found.extend(listening.map(|socket| socket.own));
            }
            // A kernel without IPv6 has no such sockets either.
            Err(DiagError::System(Errno::ENOENT | Errno::EAFNOSUPPORT)) if family == AF_INET6 => {}
            Err(error) => return Err(error),
        }
        found.truncate(MAX_LISTENERS);
    }
    Ok(found)
}

/// The socket with these ends, which is one of this machine's; `None` if there is none.
pub(super) fn connection(own: SocketAddr, peer: SocketAddr) -> Result<Option<Listener>, DiagError> {
    let (family, identity) = identity(own, peer);
    let socket = open()?;
    let (sequence, any_state) = (1, u32::MAX);
    match ask(&socket, &request(sequence, 0, family, any_state, &identity), sequence) {
        // Where there is none, the kernel finds who listens there.
        Ok(found) => {
            let is_it = |socket: &&Socket| {
                let Socket { own: Listener { address, .. }, peer: other, state } = socket;
                *state != TCP_LISTEN && plain(*address) == own && plain(*other) == peer
            };
            Ok(found.iter().find(is_it).map(|socket| socket.own))
        }
        Err(DiagError::System(Errno::ENOENT)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// An address of IPv4 as such, also where a socket of IPv6 has it.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn open() -> Result<OwnedFd, Errno> {
    let (flags, protocol) = (SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag);
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(WAIT_SECONDS))?;
    Ok(socket)
}

/// Asks, and takes the whole answer.
fn ask(socket: &OwnedFd, request: &[u8], sequence: u32) -> Result<Vec<Socket>, DiagError> {
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), request, &kernel, MsgFlags::empty())?;
    let mut found = Vec::new();
    let mut packet = vec![0; PACKET];
    for _ in 0..MAX_PACKETS {
        let length = {
            let mut parts = [IoSliceMut::new(&mut packet)];
            let fd = socket.as_raw_fd();
            let received = recvmsg::<NetlinkAddr>(fd, &mut parts, None, MsgFlags::empty())?;
            if received.flags.contains(MsgFlags::MSG_TRUNC) {
                return Err(DiagError::BadAnswer);
            }
            // Only the kernel has number 0.
            match received.address {
                Some(sender) if sender.pid() == 0 => received.bytes,
                _ => continue,
            }
        };
        let packet = packet.get(..length).ok_or(DiagError::BadAnswer)?;
        if read_packet(packet, sequence, &mut found)? {
            return Ok(found);
        }
    }
    Err(DiagError::BadAnswer)
}

/// A request: struct nlmsghdr and struct inet_diag_req_v2.
fn request(sequence: u32, flags: u16, family: u8, states: u32, identity: &[u8; 48]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(72);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    // To the kernel.
    bytes.extend(0_u32.to_ne_bytes());
    // No extensions: the control group comes without being asked for.
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend(identity);
    bytes
}

/// A socket by its ends: its family, and struct inet_diag_sockid.
fn identity(own: SocketAddr, peer: SocketAddr) -> (u8, [u8; 48]) {
    let mut bytes = [0; 48];
    bytes[..2].copy_from_slice(&own.port().to_be_bytes());
    bytes[2..4].copy_from_slice(&peer.port().to_be_bytes());
    let mut put = |at: usize, ip: IpAddr| match ip {
        IpAddr::V4(ip) => bytes[at..at + 4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes[at..at + 16].copy_from_slice(&ip.octets()),
    };
    put(4, own.ip());
    put(20, peer.ip());
    // No interface, and no cookie (INET_DIAG_NOCOOKIE).
    bytes[40..].fill(0xff);
    (if own.is_ipv4() { AF_INET } else { AF_INET6 }, bytes)
}

/// Takes the sockets out of one packet; returns whether it was the last one.
fn read_packet(packet: &[u8], sequence: u32, found: &mut Vec<Socket>) -> Result<bool, DiagError> {
    let mut rest = packet;
    let mut is_last = false;
    while !rest.is_empty() {
        let length = usize::try_from(u32_at(rest, 0)?).map_err(|_| DiagError::BadAnswer)?;
        let message = rest.get(HEADER..length).ok_or(DiagError::BadAnswer)?;
        let (kind, flags) = (u16_at(rest, 4)?, u16_at(rest, 6)?);
        let is_answer = u32_at(rest, 8)? == sequence;
        // Messages begin at multiples of four.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        match kind {
            _ if !is_answer => {}
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let errno = i32::from_ne_bytes(array_at(message, 0)?);
                return match errno {
                    0 => Ok(true),
                    errno => Err(DiagError::System(Errno::from_raw(errno.saturating_neg()))),
                };
            }
            SOCK_DIAG_BY_FAMILY => {
                if found.len() < MAX_LISTENERS {
                    found.push(read_socket(message)?);
                }
                // One of several: NLM_F_MULTI.
                is_last |= flags & 2 == 0;
            }
            _ => {}
        }
    }
    Ok(is_last)
}

/// A socket: struct inet_diag_msg, and attributes.
fn read_socket(message: &[u8]) -> Result<Socket, DiagError> {
    let [family, state] = array_at(message, 0)?;
    let end = |port: usize, ip: usize| {
        let port = u16::from_be_bytes(array_at(message, port)?);
        let ip = match family {
            AF_INET => IpAddr::from(array_at::<4>(message, ip)?),
            AF_INET6 => IpAddr::from(Ipv6Addr::from(array_at::<16>(message, ip)?)),
            _ => return Err(DiagError::BadAnswer),
        };
        Ok(SocketAddr::new(ip, port))
    };
    let (address, peer) = (end(4, 8)?, end(6, 24)?);
    let uid = u32_at(message, 64)?;
    let mut own = Listener { address, only_v6: false, uid, control_group: None };
    let mut rest = message.get(MESSAGE..).ok_or(DiagError::BadAnswer)?;
    while !rest.is_empty() {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & !FLAGS_OF_TYPE;
        let value = rest.get(ATTRIBUTE..length).ok_or(DiagError::BadAnswer)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        match kind {
            INET_DIAG_SKV6ONLY => own.only_v6 = value.first().is_some_and(|only| *only != 0),
            INET_DIAG_CGROUP_ID => {
                let number = u64::from_ne_bytes(array_at(value, 0)?);
                own.control_group = (number > ROOT_GROUP).then_some(number);
            }
            _ => {}
        }
    }
    Ok(Socket { own, peer, state })
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], DiagError> {
    let part = at.checked_add(N).and_then(|end| bytes.get(at..end));
    part.and_then(|part| part.try_into().ok()).ok_or(DiagError::BadAnswer)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, DiagError> {
    array_at(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, DiagError> {
    array_at(bytes, at).map(u32::from_ne_bytes)
}

/// Reads a packet that somebody made up (tests/fuzz).
#[cfg(feature = "fuzzing")]
pub(super) fn fuzz(packet: &[u8]) {
    let mut found = Vec::new();
    let _any = read_packet(packet, 1, &mut found);
    assert!(found.len() <= MAX_LISTENERS);
}

#[cfg(test)]
mod tests;
