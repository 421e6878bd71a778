//! What a run prints, on its way from the helper to where it goes.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::poll::{PollFd, PollFlags};

use crate::{message, output::Output};

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
    to: Output,
    stream: Stream,
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
    /// From here to what we have as this stream.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new(from: OwnedFd, stream: Stream, keep: bool) -> io::Result<Self> {
        let to = match stream {
            Stream::Stdout => Output::to(&io::stdout()),
            Stream::Stderr => Output::to(&io::stderr()),
        };
        Self::between(from.into(), to?, stream, keep)
    }

    fn between(from: UnixStream, to: Output, stream: Stream, keep: bool) -> io::Result<Self> {
        from.set_nonblocking(true)?;
        let (rest, kept) = (Vec::new(), Vec::new());
        let from = Some(from);
        Ok(Self { from, to, stream, rest, is_stuck: false, keep, kept, failed: None })
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
        match &self.from {
            _ if self.is_done() => None,
            Some(from) if self.rest.is_empty() => {
                Some(PollFd::new(from.as_fd(), PollFlags::POLLIN))
            }
            _ => Some(PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)),
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
                let written = self.to.write_now(&self.rest);
                self.is_stuck = written.is_err();
                let written = written?;
                let now = self.rest.get(..written).unwrap_or_default();
                message::passed_on(self.stream == Stream::Stderr, now);
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

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        thread,
    };

    use super::*;

    #[test]
    fn it_is_stuck_where_nobody_reads_and_not_where_its_turn_has_ended() {
        let (from, mut script) = UnixStream::pair().unwrap();
        let (mut reader, to) = io::pipe().unwrap();
        let to = Output::to(&File::from(OwnedFd::from(to))).unwrap();
        let mut pump = Pump::between(from, to, Stream::Stdout, false).unwrap();
        // More than the pipe takes, and less than the stream does.
        let text = vec![b'x'; 100_000];
        script.write_all(&text).unwrap();
        drop(script);
        pump.go_on();
        assert!(pump.is_stuck() && !pump.is_done(), "nobody reads");
        let read = thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        while !pump.is_done() {
            pump.go_on();
        }
        assert!(!pump.is_stuck());
        drop(pump);
        assert_eq!(read.join().unwrap().unwrap(), text);
    }

    #[test]
    fn a_turn_that_ends_with_something_left_is_no_reason_to_leave_it() {
        let (from, mut script) = UnixStream::pair().unwrap();
        let place = std::env::temp_dir().join(format!("aictl-pump-{}", std::process::id()));
        let file = File::create(&place).unwrap();
        let mut pump =
            Pump::between(from, Output::to(&file).unwrap(), Stream::Stdout, false).unwrap();
        let writing = thread::spawn(move || script.write_all(&vec![b'x'; 400_000]));
        while !pump.is_done() {
            pump.go_on();
            assert!(!pump.is_stuck(), "a file takes everything");
        }
        writing.join().unwrap().unwrap();
        let length = std::fs::metadata(&place).unwrap().len();
        std::fs::remove_file(&place).unwrap();
        assert_eq!(length, 400_000);
    }
}
