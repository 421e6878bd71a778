//! Standard input for a script: read here, whatever it is.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::UnixStream,
        },
    },
    thread,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::signal::Signal,
};

/// Device numbers of /dev/null (devices.txt in the kernel's documentation).
const NULL_DEVICE: u64 = 0x103;
/// How much is copied at one time.
const CHUNK: usize = 64 * 1024;

/// What can come on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comes {
    /// Nothing.
    Nothing,
    /// Perhaps something.
    Something,
    /// Nothing, since it cannot be read: it is this.
    Unreadable(&'static str),
}

/// Whether anything can come on standard input.
///
/// # Errors
/// If that cannot be looked at.
pub fn can_come() -> io::Result<Comes> {
    let own = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let meta = own.metadata()?;
    let mode = OFlag::from_bits_retain(fcntl(&own, FcntlArg::F_GETFL)?) & OFlag::O_ACCMODE;
    Ok(if meta.file_type().is_char_device() && meta.rdev() == NULL_DEVICE {
        Comes::Nothing
    } else if meta.is_dir() {
        Comes::Unreadable("is a directory")
    } else if mode == OFlag::O_WRONLY {
        Comes::Unreadable("is open for writing only")
    } else {
        Comes::Something
    })
}

/// Standard input, for a thread to read from.
///
/// # Errors
/// If there are no descriptors left.
pub fn own() -> io::Result<OwnedFd> {
    // In the background, reading a terminal is an end of file, and no reason to be stopped.
    aictl_sandbox::ignore_signal(Signal::SIGTTIN);
    io::stdin().as_fd().try_clone_to_owned()
}

/// Copies standard input to a stream, in a thread that ends with the process.
///
/// # Errors
/// If there is no thread or no descriptor to be had.
pub fn copy_to(stream: OwnedFd) -> io::Result<()> {
    let from = File::from(own()?);
    thread::Builder::new().spawn(move || {
        // Whoever stops first ends it: the terminal, or a script that reads no more.
        let _end = copy(from, UnixStream::from(stream));
    })?;
    Ok(())
}

/// Copies by reading and writing; nothing is written with a signal (MSG_NOSIGNAL).
fn copy(mut from: File, mut to: UnixStream) -> io::Result<()> {
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
