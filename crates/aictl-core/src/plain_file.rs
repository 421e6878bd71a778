//! Opening a file that a user names: a plain file, and nothing that waits or acts when opened.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use nix::libc;

/// Why a path is no plain file that can be read.
#[derive(Debug)]
pub enum NotPlain {
    /// It is something else: what, with its article.
    Kind(&'static str),
    /// It cannot be opened or looked at.
    Unreadable(io::Error),
}

/// Opens the plain file at `path` for reading.
///
/// # Errors
/// If there is none, if it may not be read, or if it is not a plain file.
pub fn open(path: &Path) -> Result<File, NotPlain> {
    open_with(path, 0)
}

/// As [`open`], but where `path` itself is a link, that is an error of the system's: ELOOP.
///
/// # Errors
/// As [`open`].
pub fn open_no_link(path: &Path) -> Result<File, NotPlain> {
    open_with(path, libc::O_NOFOLLOW)
}

fn open_with(path: &Path, flags: i32) -> Result<File, NotPlain> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ENXIO) => NotPlain::Kind("a socket or a device without a driver"),
            _ => NotPlain::Unreadable(error),
        })?;
    let kind = file.metadata().map_err(NotPlain::Unreadable)?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(NotPlain::Kind("a directory"))
    } else if kind.is_fifo() {
        Err(NotPlain::Kind("a FIFO"))
    } else {
        Err(NotPlain::Kind("a device"))
    }
}
