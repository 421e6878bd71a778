//! Standard input for a script: always a pipe, so that sandboxd never waits on what it is.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt},
    },
};

use nix::{fcntl::OFlag, sys::signal::Signal, unistd::pipe2};

/// Device numbers of /dev/null (devices.txt in the kernel's documentation).
const NULL_DEVICE: u64 = 0x103;
/// How much is copied at one time: what a pipe holds.
const CHUNK: usize = 64 * 1024;

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
        // Whoever stops first ends it: the terminal, or a script that reads no more.
        let _end = copy(file, File::from(writer));
    })?;
    Ok(Some(reader))
}

/// Copies by reading and writing. `io::copy` would have the kernel do it (splice(2)), which waits
/// for a socket with the pipe's lock in hand: whoever reads from the pipe would wait as long, even
/// if he asked not to.
fn copy(mut from: File, mut to: File) -> io::Result<()> {
    let mut bytes = vec![0; CHUNK];
    loop {
        let length = match from.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(bytes.get(..length).unwrap_or_default())?;
    }
}
