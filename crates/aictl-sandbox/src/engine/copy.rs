//! The making of a template's copies, in the template itself: what its extension module does.
//!
//! The template has one thread, and so its copies lack nothing. A copy becomes the first process of
//! a new sandbox; the interpreter in it makes another, by fork(2) as Python knows it, which becomes
//! the program's process: [`child`] brings up the sandbox around both, as it does around a program
//! that is executed.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd},
    sync::Arc,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::{signal::Signal, socket::MsgFlags, stat::Mode},
    unistd::getpid,
};

use super::{
    Engine, child, landlock,
    load::Load,
    plan::{Common, Ends, INNER_ID, Lacking, Plan, Tree},
    seccomp::Memory,
    template::request,
};
use crate::{
    identity::Identity,
    socket,
    sys::{self, Alone, SharedPage},
};

/// Where the template hears what to make: its standard input.
const REQUESTS: RawFd = 0;
/// How many descriptors come with a request, with a control group's.
const MOST_FDS: usize = 8;

/// The template, as it knows itself.
pub struct Original {
    alone: Alone,
    landlock: bool,
    null: RawFd,
    process: RawFd,
    /// What all copies show of the host, which does not change in here; made for the first.
    tree: RefCell<Option<(Memory, Option<Arc<Tree>>)>>,
}

/// A copy of it: the first process of a new sandbox, and then the program's as well.
pub struct Copy(Plan);

impl Original {
    /// Prepares this process for being copied.
    ///
    /// # Errors
    /// If it has more than one thread, or has not what its copies need.
    pub fn new() -> io::Result<Self> {
        let alone = Alone::check().ok_or_else(|| io::Error::other("there are other threads"))?;
        // Nobody asks here how a copy ended.
        sys::ignore_signal(Signal::SIGCHLD);
        let null = open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let process = sys::pidfd_open(getpid().as_raw()).map_err(sys::io_error)?;
        // Its copies close these by their numbers, as all others.
        let (null, process) = (null.into_raw_fd(), process.into_raw_fd());
        let landlock = landlock::available().is_some();
        Ok(Self { alone, landlock, null, process, tree: RefCell::default() })
    }

    /// Makes copies of this process as it is asked to. Returns in each of them; here, never: when
    /// nobody can ask any more, it ends.
    pub fn serve(&self) -> Copy {
        let requests = sys::borrow(REQUESTS);
        loop {
            let packet = socket::receive_with(requests, MsgFlags::empty(), MOST_FDS);
            let packet = match packet {
                Ok(packet) if packet.bytes.is_empty() => sys::exit_now(0),
                Ok(packet) => packet,
                Err(_) => sys::exit_now(125),
            };
            let answer = match self.copy(&packet.bytes, packet.fds) {
                Ok(Made::Copy(copy)) => return *copy,
                Ok(Made::Process(pidfd)) => {
                    socket::send(requests, &0i32.to_le_bytes(), &[pidfd.as_fd()])
                }
                Err(errno) => socket::send(requests, &(errno as i32).to_le_bytes(), &[]),
            };
            // Who does not hear it has gone, which the next look shows.
            drop(answer);
        }
    }

    fn tree(&self, memory: Memory) -> Result<Option<Arc<Tree>>, Lacking> {
        let mut last = self.tree.borrow_mut();
        match &*last {
            Some((of, tree)) if *of == memory => Ok(tree.clone()),
            _ => {
                let tree = Tree::shared(memory)?;
                *last = Some((memory, tree.clone()));
                Ok(tree)
            }
        }
    }

    /// Makes a copy of this process: a descriptor for it here, and itself there.
    fn copy(&self, request_bytes: &[u8], fds: Vec<OwnedFd>) -> Result<Made, Errno> {
        let memory = [Memory::Counted, Memory::Watched]
            .into_iter()
            .find(|&memory| request(memory) == request_bytes)
            .ok_or(Errno::EPROTO)?;
        let [stdin, stdout, stderr, result, door, load, board, group @ ..] = fds.as_slice() else {
            return Err(Errno::EINVAL);
        };
        // Nobody would limit it.
        if memory == Memory::Counted && group.is_empty() {
            return Err(Errno::EINVAL);
        }
        let common = Common {
            identity: Identity { uid: INNER_ID, gid: INNER_ID },
            landlock: self.landlock,
            null: self.null,
            process: self.process,
            memory,
        };
        let ends = Ends {
            stdio: [stdin, stdout, stderr].map(AsRawFd::as_raw_fd),
            result: result.as_raw_fd(),
        };
        let (load, board) = (Load::of(load.as_fd())?, SharedPage::of(board.as_fd())?);
        let errno = |error: io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let lacking = |(_, error): Lacking| errno(error);
        let tree = self.tree(memory).map_err(lacking)?;
        let mut plan = Plan::new(&common, tree, ends, load, board).map_err(lacking)?;
        let meeting = socket::pair().map_err(errno)?;
        plan.meeting = [&meeting.0, &meeting.1].map(AsRawFd::as_raw_fd);
        plan.door = [-1, door.as_raw_fd()];
        let into = group.first().map(AsFd::as_fd);
        match self.alone.copy(Engine::namespaces(), into)? {
            Some(process) => Ok(Made::Process(process.pidfd)),
            None => {
                // These are closed by their numbers there.
                for fd in fds.into_iter().chain([meeting.0, meeting.1]) {
                    let _number = fd.into_raw_fd();
                }
                // That none ends unseen: the interpreter is about to make the program's process.
                sys::default_signal(Signal::SIGCHLD);
                match child::attended().thread_block() {
                    Ok(()) => Ok(Made::Copy(Box::new(Copy(plan)))),
                    Err(_) => sys::exit_now(125),
                }
            }
        }
    }
}

/// What there is on either side of a copy.
enum Made {
    Process(OwnedFd),
    Copy(Box<Copy>),
}

impl Copy {
    /// Stays the sandbox's first process, whose child `program` is the program's.
    pub fn stay(mut self, program: i32) -> ! {
        sys::default_signals();
        match sys::pidfd_open(program) {
            Ok(pidfd) => child::go_on(&mut self.0, &sys::Process { pid: program, pidfd }),
            Err(_) => sys::exit_now(125),
        }
    }

    /// Goes on as the program's process: returns when all layers are around it, and ends it if
    /// that fails.
    pub fn enter(self) {
        child::go_on_as_program(self.0);
    }
}
