//! What a run prints, on its way from the helper to where it goes.

use std::{
    io::{self, Read, Stderr, Stdout},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::poll::{PollFd, PollFlags};

use crate::{message, output};

/// How much is passed on at one time.
const CHUNK: usize = 8 * 1024;
/// How often, before it is looked what else there is.
const AT_ONCE: usize = 16;

/// Where output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Takes what comes out of a stream until its end: keeps it, or writes it as it comes. Its end goes
/// with an error, and so the helper ends the run. It never waits itself.
pub struct Pump {
    from: Option<UnixStream>,
    to: Stream,
    own: (Stdout, Stderr),
    /// What is read and not yet written.
    rest: Vec<u8>,
    /// Whether there was no room for it.
    is_stuck: bool,
    keep: bool,
    /// What was to be kept.
    pub kept: Vec<u8>,
    /// Why nothing can be written any more, or nothing read.
    pub failed: Option<io::Error>,
}

impl Pump {
    /// From this stream.
    ///
    /// # Errors
    /// If it cannot be read without waiting.
    pub fn new(from: OwnedFd, to: Stream, keep: bool) -> io::Result<Self> {
        let from = UnixStream::from(from);
        from.set_nonblocking(true)?;
        let own = (io::stdout(), io::stderr());
        let (rest, kept) = (Vec::new(), Vec::new());
        Ok(Self { from: Some(from), to, own, rest, is_stuck: false, keep, kept, failed: None })
    }

    /// Whether all has been passed on, or nothing more can be.
    pub const fn is_done(&self) -> bool {
        self.from.is_none() && self.rest.is_empty()
    }

    /// Whether it waits for a reader.
    pub const fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// What it waits for, unless it is done.
    pub fn awaits(&self) -> Option<PollFd<'_>> {
        match (&self.from, self.to) {
            _ if self.is_done() => None,
            (Some(from), _) if self.rest.is_empty() => {
                Some(PollFd::new(from.as_fd(), PollFlags::POLLIN))
            }
            (_, Stream::Stdout) => Some(PollFd::new(self.own.0.as_fd(), PollFlags::POLLOUT)),
            (_, Stream::Stderr) => Some(PollFd::new(self.own.1.as_fd(), PollFlags::POLLOUT)),
        }
    }

    /// Passes on what there is, as far as there is room for it.
    pub fn go_on(&mut self) {
        if let Err(error) = self.pass_on()
            && error.kind() != io::ErrorKind::WouldBlock
        {
            (self.from, self.failed) = (None, Some(error));
            self.rest.clear();
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        for _ in 0..AT_ONCE {
            while !self.rest.is_empty() {
                let written = match self.to {
                    Stream::Stdout => output::write_now(&self.own.0, &self.rest),
                    Stream::Stderr => output::write_now(&self.own.1, &self.rest),
                };
                self.is_stuck = written.is_err();
                let written = written?;
                let now = self.rest.get(..written).unwrap_or_default();
                message::passed_on(self.to == Stream::Stderr, now);
                self.rest.drain(..written);
            }
            let Some(from) = &mut self.from else { return Ok(()) };
            let mut bytes = [0; CHUNK];
            let length = match from.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let part = bytes.get(..length).unwrap_or_default();
            if part.is_empty() {
                self.from = None;
                return Ok(());
            }
            match self.keep {
                true => self.kept.extend_from_slice(part),
                false => self.rest.extend_from_slice(part),
            }
        }
        Ok(())
    }
}
