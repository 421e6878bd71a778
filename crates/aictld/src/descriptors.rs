//! Bytes with the descriptors that come along with them (unix(7), SCM_RIGHTS).

use std::{
    io::{self, IoSliceMut},
    mem::MaybeUninit,
    os::fd::OwnedFd,
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::{io::Interest, net::UnixStream};

/// Waits for bytes and reads them; returns how many, and the descriptors for which there is `space`
/// (`cmsg_space!`). The kernel closes what is beyond.
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
