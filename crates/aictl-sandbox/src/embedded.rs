//! A run without sandboxd: the sandbox is made by this very process, with its own rights.
//!
//! Nothing lies between it and the sandbox then, which is the fastest way to start one. The process
//! gives up root and every capability before, for good.

use std::{fmt, os::fd::OwnedFd, time::Duration};

pub use crate::engine::{Client, Wish};
use crate::{
    engine::{self, Engine, Script},
    interpreter::Interpreter,
    protocol::{Job, RejectKind, Rejection, RunRecord},
    weaken,
};

/// How long the client may take over the output that is left at the end: its user may be reading,
/// page by page.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Runs one job, with `stdin` as its standard input, which must be a pipe; tells `client` of its
/// output as it comes.
///
/// The calling process has no privilege any more afterwards, nor before the script starts. It may
/// have other threads; the sandbox ends with the one that calls this.
///
/// # Errors
/// If nothing was run.
pub fn run(
    interpreter: Interpreter,
    job: &Job,
    script: Vec<u8>,
    stdin: Option<OwnedFd>,
    client: &mut dyn Client,
) -> Result<RunRecord, Rejection> {
    fn rejected(kind: RejectKind) -> impl Fn(&dyn fmt::Display) -> Rejection {
        move |error| Rejection::new(kind, error)
    }
    weaken::load();
    let script = Script::new(script, job.limits.source())
        .map_err(|error| rejected(RejectKind::Invalid)(&error))?;
    let engine = Engine::new(vec![interpreter], false)
        .map_err(|error| rejected(RejectKind::Unavailable)(&error))?;
    engine::run(&engine, client, job, script, stdin, PATIENCE)
}
