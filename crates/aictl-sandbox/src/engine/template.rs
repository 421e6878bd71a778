//! A template: an interpreter that makes copies of itself, each in a sandbox of its own, which then
//! wait for one run each. This is the side of sandboxd; [`copy`](super::copy) is its own.
//!
//! It starts in a sandbox as they do, but without the layers that would forbid it to make others:
//! Landlock, the system call filter, a control group namespace. Nothing of any run comes near it. It
//! is handed the ends of pipes and sockets, and memory in which the run's job will stand, none of
//! which it uses before the copy is made, or keeps afterwards.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::{errno::Errno, sys::socket::MsgFlags};

use super::{
    Engine,
    load::{Load, Order},
    pipes::{self, Output, Read},
    plan::{self, Bind, Ends, Roots},
    sandbox::{First, Frame, Kind, cannot_clone, unavailable},
    seccomp::Memory,
};
use crate::{
    interpreter::Interpreter,
    protocol::Rejection,
    socket,
    sys::{self, SharedPage},
};

/// What is asked of a template: who counts the copy's memory, and of which version that one is who
/// asks. They share memory and signals: a library of another version, as there is for a moment while
/// a package is upgraded, makes no copies.
pub const fn request(memory: Memory) -> &'static [u8] {
    match memory {
        Memory::Counted => concat!("c ", env!("CARGO_PKG_VERSION")).as_bytes(),
        Memory::Watched => concat!("w ", env!("CARGO_PKG_VERSION")).as_bytes(),
    }
}

/// An interpreter whose copies run scripts.
pub struct Template {
    frame: Frame,
    /// Where it hears what to make; its standard input. One request at a time.
    requests: Mutex<Requests>,
    /// The interpreter's own directories, as it sees them.
    roots: Roots,
}

/// The sockets' end of sandboxd.
struct Requests {
    socket: OwnedFd,
    /// Its last answer was not read: it would be taken for the next one's.
    late: bool,
}

impl Template {
    /// Starts one, with `library` as the extension module that does the work, and waits until it is
    /// ready.
    ///
    /// # Errors
    /// If it cannot be started, or is not ready within `patience`.
    pub fn start(
        engine: &Engine,
        interpreter: &Interpreter,
        library: &File,
        patience: Duration,
    ) -> Result<Self, Rejection> {
        // Its copies would be refused.
        engine.check_layers()?;
        let requests = socket::pair().map_err(unavailable("a socket"))?;
        let pipe = || pipes::outward().map_err(unavailable("a pipe"));
        let (stdout, stderr) = (pipe()?, pipe()?);
        let stdio = [&requests.1, &stdout.theirs, &stderr.theirs].map(AsRawFd::as_raw_fd);
        let ends = Ends { stdio, result: library.as_raw_fd() };
        let mut frame = Frame::new(engine, ends, None, Kind::Template)?;
        drop((stdout, stderr.theirs, requests.1));
        let mut roots = Roots::new(interpreter, &engine.staged)
            .map_err(unavailable("the interpreter's directory"))?;
        let program = plan::template_program(interpreter).map_err(unavailable("the program"))?;
        frame.tell(&Order {
            dirs: &roots.dirs,
            binds: &roots.binds,
            exe: &program.exe,
            args: &program.args,
            environment: &program.environment,
            stdin: true,
            result: true,
            waits: true,
            template: true,
            ..Order::default()
        })?;
        frame.wait_for_program(patience).map_err(|rejection| match last_words(stderr.ours) {
            Some(words) => Rejection::new(rejection.kind, words),
            None => rejection,
        })?;
        // Where they are bound is where its copies find them.
        for Bind { source, target } in &mut roots.binds {
            let path = [b"/", target.to_bytes()].concat();
            *source = CString::new(path).map_err(|e| unavailable("a path")(e.into()))?;
        }
        let requests = Mutex::new(Requests { socket: requests.0, late: false });
        Ok(Self { frame, requests, roots })
    }

    /// Ends it, as if it had been killed.
    #[cfg(test)]
    pub fn kill(&self) {
        self.frame.end();
    }

    /// Has it make a copy of itself with these ends of pipes, in this control group; the interpreter
    /// then waits in a sandbox.
    ///
    /// # Errors
    /// If it does not, within `patience`.
    pub fn copy(
        self: &Arc<Self>,
        engine: &Engine,
        ends: [BorrowedFd<'_>; 4],
        into: Option<BorrowedFd<'_>>,
        patience: Duration,
    ) -> Result<Frame, Rejection> {
        let deadline = Instant::now() + patience;
        let memory = |errno| unavailable("shared memory")(sys::io_error(errno));
        let (load, load_file) = Load::in_file().map_err(memory)?;
        let board_file = sys::memory_file(SharedPage::<sys::StatusBoard>::SIZE).map_err(memory)?;
        let board = SharedPage::of(board_file.as_fd()).map_err(memory)?;
        let door = socket::pair().map_err(unavailable("a socket"))?;
        let mut fds = ends.to_vec();
        fds.extend([door.1.as_fd(), load_file.as_fd(), board_file.as_fd()]);
        fds.extend(into);
        let first = self.ask(request(engine.memory()), &fds, deadline)?;
        let mut frame =
            Frame { first, load, board, door: door.0, _template: Some(Arc::clone(self)) };
        frame.tell(&Order {
            dirs: &self.roots.dirs,
            binds: &self.roots.binds,
            stdin: true,
            result: true,
            waits: true,
            ..Order::default()
        })?;
        Ok(frame)
    }

    /// Sends a request, and waits for the first process that was made.
    pub(super) fn ask(
        &self,
        request: &[u8],
        fds: &[BorrowedFd<'_>],
        deadline: Instant,
    ) -> Result<First, Rejection> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let Requests { socket, late } = &mut *requests;
        let gone = unavailable("the template");
        // Who has waited too long for the others asks nothing.
        if *late || left(deadline).is_zero() {
            return Err(gone(io::ErrorKind::TimedOut.into()));
        }
        if !self.frame.lives() {
            return Err(gone(io::ErrorKind::BrokenPipe.into()));
        }
        if let Err(error) = socket::send(socket.as_fd(), request, fds) {
            return Err(gone(error));
        }
        if !socket::wait_readable(socket.as_fd(), left(deadline)) {
            // It goes on for those of its copies that run.
            *late = true;
            return Err(gone(io::ErrorKind::TimedOut.into()));
        }
        let answer = match socket::receive(socket.as_fd(), MsgFlags::MSG_DONTWAIT) {
            Ok(answer) => answer,
            Err(error) => {
                *late = true;
                return Err(gone(error));
            }
        };
        match (answer.bytes.as_slice(), answer.fds.into_iter().next()) {
            (&[0, 0, 0, 0], Some(pidfd)) => Ok(First::of(pidfd)),
            (&[a, b, c, d], None) => {
                Err(cannot_clone(Errno::from_raw(i32::from_le_bytes([a, b, c, d]))))
            }
            _ => {
                *late = true;
                Err(gone(io::ErrorKind::BrokenPipe.into()))
            }
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// The last line that a program wrote to its standard error.
fn last_words(stderr: OwnedFd) -> Option<String> {
    let Read::Bytes(bytes) = Output::new(stderr, 1 << 16).read() else { return None };
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rfind(|line| !line.trim().is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
}
