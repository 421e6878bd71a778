//! A run without sandboxd: the sandbox is made by this very process, with its own rights.
//!
//! Nothing lies between it and the sandbox then, which is the fastest way to start one. The process
//! gives up root and every capability before, for good.

use std::{os::fd::OwnedFd, time::Duration};

use aictl_api::record::RunRecord;

pub use crate::engine::{Client, Wish};
use crate::{
    engine::{self, Armed, Ended, Engine, Script, Source, Task},
    identity,
    interpreter::Interpreter,
    protocol::{Job, RejectKind, Rejection},
    weaken,
};

/// How long the client may take over the output that is left at the end: its user may be reading,
/// page by page.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A run that has begun, before it is known what is to run: to make a sandbox takes the kernel
/// about as long as it takes to find out.
pub struct Begun(Option<Result<(Engine, Armed), Rejection>>);

/// Begins a run: from here on the calling process has no privilege any more, and a sandbox is made.
/// It may have other threads; the sandbox ends with the one that calls this, and with [`Begun`].
///
/// Root waits until the interpreter is known, which it may have to make reachable first.
#[must_use]
pub fn begin() -> Begun {
    weaken::load();
    match identity::has_root() {
        true => Begun(None),
        false => Begun(Some(arm(&[]))),
    }
}

/// An engine, and the sandbox that it makes.
fn arm(interpreters: &[Interpreter]) -> Result<(Engine, Armed), Rejection> {
    let engine = Engine::new(interpreters, false)
        .map_err(|error| Rejection::new(RejectKind::Unavailable, error))?;
    let armed = Armed::new(&engine)?;
    Ok((engine, armed))
}

impl Begun {
    /// Runs one job, with `stdin` as its standard input, whatever it is; tells `client` of its output
    /// as it comes. What is read of `stdin` is read by a thread that may go on until the process
    /// ends.
    ///
    /// # Errors
    /// If nothing was run.
    pub fn run(
        self,
        interpreter: &Interpreter,
        job: &Job,
        script: Vec<u8>,
        stdin: Option<OwnedFd>,
        client: &mut dyn Client,
    ) -> Result<RunRecord, Rejection> {
        let script = Script::new(script, job.limits.source())
            .map_err(|error| Rejection::new(RejectKind::Invalid, error))?;
        let begun = self.0.unwrap_or_else(|| arm(std::slice::from_ref(interpreter)));
        let (engine, armed) = begun?;
        let stdin = stdin.map(Source::any);
        let task = Task { job, script: &script, interpreter, stdin };
        engine::run(&engine, armed, task, client, PATIENCE).map(Ended::leave)
    }
}
