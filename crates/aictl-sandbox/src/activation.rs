//! Sockets that systemd passes to a program when it starts it (sd_listen_fds(3)).

use std::{
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use crate::sys;

/// The sockets that were passed, each with its name. They can be taken once: asked again, there are
/// none. No program that this one starts gets any descriptor that this one was started with.
///
/// # Errors
/// If the environment says what cannot be.
pub fn take_sockets() -> io::Result<Vec<(String, OwnedFd)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, SeqCst) {
        return Ok(Vec::new());
    }
    sys::cloexec_from(3).map_err(sys::io_error)?;
    sd_notify::listen_fds_with_names()?
        .map(|(fd, name)| Ok((name, sys::adopt_fd(fd).map_err(sys::io_error)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn where_nothing_is_passed_there_is_nothing() {
        assert!(super::take_sockets().unwrap().is_empty());
    }
}
