//! Bytes with the descriptors that come along with them (unix(7), SCM_RIGHTS).

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::{io::Interest, net::UnixStream};

/// Waits for bytes and reads them; returns how many, and the descriptors for which there is `space`
/// (`cmsg_space!`). The kernel closes what is beyond. Only for what friends send.
///
/// # Errors
/// What recvmsg(2) says.
pub async fn receive(
    stream: &UnixStream,
    buffer: &mut [u8],
    space: &mut [MaybeUninit<u8>],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let receive = || {
        let mut control = RecvAncillaryBuffer::new(space);
        let mut bytes = [IoSliceMut::new(buffer)];
        let received = recvmsg(stream, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let descriptors = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        Ok((received.bytes, descriptors.flatten().collect()))
    };
    stream.async_io(Interest::READABLE, receive).await
}

/// What comes next on a stream, and stays there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// How many bytes were looked at: 0 at the end of the stream.
    pub bytes: usize,
    /// Whether descriptors may come with them: there are some, with these bytes or further behind.
    pub descriptors: bool,
}

/// Looks at what comes next without taking it, so that no descriptor is closed.
///
/// # Errors
/// `WouldBlock` if there is nothing yet; what recvmsg(2) says.
pub fn look(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<Next> {
    // Where there is room for none, the kernel says that there are some.
    let mut control = RecvAncillaryBuffer::default();
    let mut bytes = [IoSliceMut::new(buffer)];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let seen = recvmsg(stream, &mut bytes, &mut control, flags)?;
    Ok(Next { bytes: seen.bytes, descriptors: seen.flags.contains(ReturnFlags::CTRUNC) })
}
