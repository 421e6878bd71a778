//! The isolation engine: one job in, one outcome out.

mod cgroup;
mod child;
mod client;
mod copy;
mod ending;
mod input;
mod landlock;
mod load;
mod outcome;
mod pipes;
mod plan;
mod sandbox;
mod script;
mod seccomp;
mod shares;
mod step;
mod supervise;
mod template;
#[cfg(test)]
pub mod tests;
mod usage;

use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use aictl_api::layer::Layer;
use nix::{libc, sys::prctl, unistd};

pub use client::{Client, Remote, Wish, send_by, timeout as poll_timeout};
pub use copy::{Copy, Original};
pub use input::Source;
pub use landlock::Grant;
pub use sandbox::{Armed, Task};
pub use script::{Script, ScriptError};
pub use seccomp::{Memory, calls};
pub use supervise::{Ended, run};
pub use template::Template;

use plan::Common;

use crate::{
    identity::{self, Identity},
    interpreter::Interpreter,
    protocol::{RejectKind, Rejection},
    stage::Staged,
    sys, weaken,
};

/// The largest `result` as JSON, in bytes.
const MAX_RESULT_TEXT: usize = 64 * 1024;
/// As above, and the byte that marks it.
const MAX_RESULT: u64 = MAX_RESULT_TEXT as u64 + 1;

/// Everything that all runs of one sandboxd share, made once when it starts.
pub struct Engine {
    identity: Identity,
    landlock: Option<Layer>,
    cgroup: Option<cgroup::Delegated>,
    shares: shares::Shares,
    staged: Staged,
    strict: bool,
    own_pidfd: OwnedFd,
    null: File,
}

/// The engine could not be made.
#[derive(Debug)]
pub enum EngineError {
    /// A system call failed: which, and how.
    System(&'static str, io::Error),
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for EngineError {}

impl Engine {
    /// Gives up every privilege that this process has, for good, and makes an engine for the user
    /// that it is then; root sees to it before that this user can reach the `interpreters`. `strict`
    /// makes every missing layer an error instead of an entry in `missing`.
    ///
    /// # Errors
    /// If root cannot be given up, or what every run needs is not there.
    pub fn new(interpreters: &[Interpreter], strict: bool) -> Result<Self, EngineError> {
        let system = |what| move |error: io::Error| EngineError::System(what, error);
        // Runs' secrets pass through here: no core file, nobody of our user looks in.
        prctl::set_dumpable(false).map_err(|errno| EngineError::System("prctl", errno.into()))?;
        let staged = Staged::new(interpreters).map_err(system("the interpreter's directory"))?;
        let identity = identity::give_up_root().map_err(system("giving up root"))?;
        let own_pidfd = sys::pidfd_open(unistd::getpid().as_raw())
            .map_err(sys::io_error)
            .map_err(system("a descriptor for this process"))?;
        let cgroup = cgroup::Delegated::take_over();
        Ok(Self {
            identity,
            landlock: landlock::available(),
            cgroup,
            shares: shares::Shares::default(),
            staged,
            strict,
            own_pidfd,
            null: File::open("/dev/null").map_err(system("/dev/null"))?,
        })
    }

    /// Who sandboxes are made as.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The layers around every run, and those that this machine cannot provide.
    #[must_use]
    pub fn layers(&self) -> (Vec<Layer>, Vec<Layer>) {
        let there = |layer: &Layer| match layer {
            Layer::Cgroup => self.cgroup.is_some(),
            Layer::Landlock(_) => self.landlock.is_some(),
            _ => true,
        };
        let all = Layer::ALL.into_iter().filter(|layer| !weaken::off(layer.name()));
        let (mut isolation, missing): (Vec<_>, Vec<_>) = all.partition(there);
        for layer in &mut isolation {
            if let (Layer::Landlock(_), Some(exact)) = (&layer, self.landlock) {
                *layer = exact;
            }
        }
        (isolation, missing)
    }

    /// That none is missing, if none may be.
    fn check_layers(&self) -> Result<(), Rejection> {
        match (self.strict, self.layers().1.first()) {
            (true, Some(first)) => Err(Rejection::new(
                RejectKind::Unavailable,
                format!("the layer {} is missing on this machine", first.name()),
            )),
            _ => Ok(()),
        }
    }

    /// Who counts a sandbox's memory.
    fn memory(&self) -> Memory {
        if self.cgroup.is_some() { Memory::Counted } else { Memory::Watched }
    }

    /// What all its sandboxes have in common.
    fn common(&self) -> Common {
        Common {
            identity: self.identity,
            landlock: self.landlock.is_some(),
            null: self.null.as_raw_fd(),
            process: self.own_pidfd.as_raw_fd(),
            memory: self.memory(),
        }
    }

    /// The flags of clone(2) for a sandbox's first process; the network namespace is made later.
    fn namespaces() -> u64 {
        let optional = [
            ("pid-ns", libc::CLONE_NEWPID),
            ("mount-ns", libc::CLONE_NEWNS),
            ("ipc-ns", libc::CLONE_NEWIPC),
            ("uts-ns", libc::CLONE_NEWUTS),
        ];
        let always = libc::CLONE_NEWUSER | libc::CLONE_NEWCGROUP;
        optional
            .into_iter()
            .filter(|(name, _)| !weaken::off(name))
            .fold(always, |flags, (_, flag)| flags | flag) as u64
    }
}
