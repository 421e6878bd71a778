//! Standard input for a script: always a pipe, so that sandboxd never waits on what it is.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
};

use nix::{fcntl::OFlag, sys::signal::Signal, unistd::pipe2};

/// Device numbers of /dev/null (devices.txt in the kernel's documentation).
const NULL_DEVICE: u64 = 0x103;

/// A pipe that brings what comes on standard input; `None` where nothing can come.
///
/// A pipe is passed on as it is. Anything else is copied by a thread, which ends with the process.
///
/// # Errors
/// If there are no descriptors left.
pub fn as_pipe() -> io::Result<Option<OwnedFd>> {
    let own = io::stdin().as_fd().try_clone_to_owned()?;
    let file = File::from(own);
    let meta = file.metadata()?;
    if meta.file_type().is_fifo() {
        return Ok(Some(file.into()));
    }
    if meta.file_type().is_char_device() && meta.rdev() == NULL_DEVICE {
        return Ok(None);
    }
    // In the background, reading a terminal is an end of file, and no reason to be stopped.
    aictl_sandbox::ignore_signal(Signal::SIGTTIN);
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    std::thread::Builder::new().spawn(move || {
        let mut from = file;
        // Whoever stops first ends it: the terminal, or a script that reads no more.
        let _end = io::copy(&mut from, &mut File::from(writer));
    })?;
    Ok(Some(reader))
}
