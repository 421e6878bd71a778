//! A run through the helper: what it prints is passed on as it comes, and its end is awaited.

use std::{
    fs,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    thread::{self, JoinHandle},
};

use aictl_api::{error::CallError, exit, record::RunRecord};
use aictl_core::helper::{Helper, StartedRun, WantedRun};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    agent::{self, Agent},
    message, output, services,
};

/// What tells that the helper is installed: the bus can start it, or it listens.
const SIGNS: [&str; 2] = ["/usr/share/dbus-1/system-services/org.aictl1.service", "/run/aictl/bus"];
/// The variable that names another system bus, which may know a helper.
const OTHER_BUS: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// How much is passed on at one time: what a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Whether the helper may be there: no more than a look, which takes microseconds.
#[must_use]
pub fn may_be_there() -> bool {
    SIGNS.iter().any(|path| Path::new(path).exists()) || std::env::var_os(OTHER_BUS).is_some()
}

/// What came of a run.
pub struct Done {
    /// What the helper tells of it.
    pub record: RunRecord,
    /// Standard output and standard error, where they were to be kept.
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why no output could be written any more.
    pub failed: Option<io::Error>,
}

/// Why there is no record.
#[derive(Debug)]
pub enum NotDone {
    /// What the helper answers, or that it cannot be asked.
    Call(CallError),
    /// The signal that came before it answered.
    Signal(i32),
    /// A system call failed: which, and how.
    System(&'static str, io::Error),
}

impl From<CallError> for NotDone {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// Has the helper run a script, with `stdin` as its standard input; `None` if there is no helper,
/// and then nothing was read. Output is kept if `keep`, else written as it comes.
///
/// # Errors
/// Why there is no record.
pub fn run(
    wanted: WantedRun<'_>,
    stdin: impl FnOnce() -> io::Result<Option<OwnedFd>>,
    keep: bool,
) -> Result<Option<Done>, NotDone> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| NotDone::System("the runtime", error))?;
    let done = runtime.block_on(async {
        let mut signals = Signals::new().map_err(|error| NotDone::System("signals", error))?;
        let begun = tokio::select! {
            biased;
            signal = signals.next() => return Err(NotDone::Signal(signal)),
            begun = begin(wanted, stdin) => begun?,
        };
        let Some((helper, started)) = begun else { return Ok(None) };
        finish(&helper, started, signals, keep).await.map(Some)
    });
    // A thread that waits for a reader would be waited for.
    runtime.shutdown_background();
    done
}

/// Finds the helper, and has it take the run. Only where it would have to ask the user is there
/// somebody brought who asks.
async fn begin(
    wanted: WantedRun<'_>,
    stdin: impl FnOnce() -> io::Result<Option<OwnedFd>>,
) -> Result<Option<(Helper, StartedRun)>, NotDone> {
    let connection = services::system_bus().await?;
    let Some(helper) = Helper::find(&connection).await? else { return Ok(None) };
    let stdin = stdin().map_err(|error| NotDone::System("standard input", error))?;
    let wanted = WantedRun { stdin: stdin.as_ref().map(AsFd::as_fd), ..wanted };
    match helper.run(&wanted).await {
        Err(CallError::InteractiveAuthorizationRequired(_)) if agent::wanted() => {
            let agent = Agent::start();
            let helper = helper.interactive(true);
            let started = helper.run(&wanted).await;
            drop(agent);
            Ok(Some((helper, started?)))
        }
        other => Ok(Some((helper, other?))),
    }
}

async fn finish(
    helper: &Helper,
    started: StartedRun,
    mut signals: Signals,
    keep: bool,
) -> Result<Done, NotDone> {
    let StartedRun { run, stdout, stderr } = started;
    let spawn = |pipe: OwnedFd, to: Stream| {
        let pump = move || if keep { read_all(pipe) } else { pass_on(pipe, to) };
        thread::Builder::new().spawn(pump).map_err(|error| NotDone::System("a thread", error))
    };
    let pumps = [spawn(stdout, Stream::Stdout)?, spawn(stderr, Stream::Stderr)?];
    let mut wait = std::pin::pin!(helper.wait_for_run(&run));
    let mut ended_by = None;
    let record = loop {
        tokio::select! {
            biased;
            record = &mut wait => break record?,
            signal = signals.next() => {
                if ended_by.replace(signal).is_some() {
                    // Who asks twice does not wait: without us, the helper ends it.
                    return Err(NotDone::Signal(signal));
                }
                helper.cancel_run(&run).await?;
            }
        }
    };
    let mut kept = [Vec::new(), Vec::new()];
    let mut failed = None;
    for (pump, kept) in pumps.into_iter().zip(&mut kept) {
        // What nobody reads is not waited with by who wants the end.
        let reads_on = ended_by.is_none() || pump.is_finished();
        match reads_on.then(|| join(pump)) {
            Some(Ok(bytes)) => *kept = bytes,
            Some(Err(error)) => failed = Some(error),
            None => {}
        }
    }
    let [stdout, stderr] = kept;
    Ok(Done { record, stdout, stderr, signal: ended_by, failed })
}

fn join(pump: JoinHandle<io::Result<Vec<u8>>>) -> io::Result<Vec<u8>> {
    pump.join().unwrap_or_else(|_| Err(io::Error::other("its thread has ended")))
}

/// Where output goes.
#[derive(Debug, Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

fn read_all(pipe: OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::from(pipe).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes what comes out of a pipe. Its end goes with an error, and so the helper ends the run.
fn pass_on(pipe: OwnedFd, to: Stream) -> io::Result<Vec<u8>> {
    let mut pipe = fs::File::from(pipe);
    let mut bytes = vec![0; CHUNK];
    loop {
        let length = match pipe.read(&mut bytes) {
            Ok(0) => return Ok(Vec::new()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let part = bytes.get(..length).unwrap_or_default();
        match to {
            Stream::Stdout => output::write_all(&io::stdout(), part)?,
            Stream::Stderr => output::write_all(&io::stderr(), part)?,
        }
        message::passed_on(matches!(to, Stream::Stderr), part);
    }
}

/// The signals that end a run.
struct Signals([(SignalKind, Signal); 3]);

impl Signals {
    fn new() -> io::Result<Self> {
        let listen = |kind| signal(kind).map(|signals| (kind, signals));
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) -> i32 {
        let [(a, interrupt), (b, terminate), (c, hangup)] = &mut self.0;
        let kind = tokio::select! {
            _ = interrupt.recv() => a,
            _ = terminate.recv() => b,
            _ = hangup.recv() => c,
        };
        kind.as_raw_value()
    }
}

impl NotDone {
    /// The exit code that belongs to it: never one that the script could have ended with, but for
    /// those that every command has.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Call(CallError::Failed(_) | CallError::TimedOut(_)) | Self::System(..) => {
                exit::INTERNAL
            }
            Self::Call(error) => error.exit_code(),
            Self::Signal(signal) => exit::from_signal(*signal),
        }
    }
}

impl std::fmt::Display for NotDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Call(error) => {
                write!(f, "{}", message::plain(error.message()))?;
                match next_step(error) {
                    Some(step) => write!(f, "; {step}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What the user can do about an error.
const fn next_step(error: &CallError) -> Option<&'static str> {
    match error {
        CallError::NotAuthorized(_) => Some(
            "an administrator can allow it with a polkit rule for org.aictl1.sandbox.run; without \
             the helper, and with your own rights, it runs with --embedded",
        ),
        CallError::InteractiveAuthorizationRequired(_) => Some(
            "run it on a terminal, where polkit can ask for a password, or without the helper: \
             --embedded",
        ),
        CallError::Unavailable(_) => {
            Some("without the helper, and with your own rights, it runs with --embedded")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_error_of_the_helper_looks_like_a_scripts_own_end() {
        let words = || "why".to_owned();
        for (error, code) in [
            (CallError::Failed(words()), exit::INTERNAL),
            (CallError::TimedOut(words()), exit::INTERNAL),
            (CallError::Unavailable(words()), exit::INTERNAL),
            (CallError::NotAuthorized(words()), exit::REFUSED),
            (CallError::limit_exceeded("why", Duration::from_secs(1)), exit::REFUSED),
            (CallError::InvalidArgument(words()), exit::USAGE),
        ] {
            let text = NotDone::Call(error.clone()).to_string();
            assert!(text.starts_with("why"), "{text}");
            assert_eq!(NotDone::Call(error).exit_code(), code, "{text}");
        }
        let denied = NotDone::Call(CallError::NotAuthorized(words())).to_string();
        assert!(denied.contains("org.aictl1.sandbox.run") && denied.contains("--embedded"));
    }
}
