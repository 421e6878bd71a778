//! A run through the helper: what it prints is passed on as it comes, and its end is awaited.

mod line;
mod pump;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use aictl_api::{error::CallError, exit, record::RunRecord};
use aictl_core::{
    helper::{self, Helper, StartedRun, WantedRun},
    peer::{Broken, Peer},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
};
use tokio::runtime::Builder;

use self::{
    line::Line,
    pump::{Pump, Stream},
};
use super::signals::Signals;
use crate::{
    agent::{self, Agent},
    message, services, stdin,
};

/// Where the helper listens (aictld.socket).
const SOCKET: &str = "/run/aictl/bus";
/// What tells that the helper is installed: the bus can start it, or it listens.
const SIGNS: [&str; 2] = ["/usr/share/dbus-1/system-services/org.aictl1.service", SOCKET];
/// The variable that names another system bus, which may know a helper.
const OTHER_BUS: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// How long a connection over which nothing is asked is thought to be good: less than the helper waits.
const FRESH: Duration = Duration::from_millis(500);
/// How long a helper that listens may take to say whether it takes us, before the bus is asked.
const TAKEN_TIME: Duration = Duration::from_secs(10);
/// The signals that end a run.
const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

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
    /// When there was a connection to the helper.
    pub connected: Instant,
    /// When the record came.
    pub ended: Instant,
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

/// A helper that is about to say whether it takes us.
pub struct Reached {
    peer: Option<Peer>,
    at: Instant,
}

/// Reaches for the helper at its own socket, where it is. Whatever is done until it is given something
/// to [run](Reached::run) it is not waited for.
#[must_use]
pub fn reach() -> Reached {
    // Another bus knows another helper.
    let is_there = std::env::var_os(OTHER_BUS).is_none();
    let peer = is_there.then(|| Peer::connect(Path::new(SOCKET))).flatten();
    Reached { peer, at: Instant::now() }
}

impl Reached {
    /// Has the helper run a script; `None` if there is no helper, and then nothing of standard input
    /// was read. Output is kept if `keep`, else written as it comes.
    ///
    /// # Errors
    /// Why there is no record.
    pub fn run(self, wanted: WantedRun<'_>, keep: bool) -> Result<Option<Done>, NotDone> {
        let signals = Signals::new(&ENDS).map_err(|error| NotDone::System("signals", error))?;
        // Somebody may have typed the script, and the helper waits for nobody who asks for nothing.
        let peer = match self.at.elapsed() < FRESH {
            true => self.peer,
            false => {
                drop(self);
                reach().peer
            }
        };
        let direct = peer.map(|peer| at_its_socket(peer, &wanted, &signals)).transpose()?;
        let begun = match direct.flatten() {
            Some(begun) => Some(begun),
            None => over_the_bus(&wanted, &signals)?,
        };
        begun.map(|begun| follow(begun, &signals, keep)).transpose()
    }
}

/// A run that the helper has taken.
struct Begun {
    line: Line,
    stdout: OwnedFd,
    stderr: OwnedFd,
    stdin: Option<OwnedFd>,
    connected: Instant,
}

/// Waits until what `look` looks for has come of the helper; `None` if it takes too long.
fn await_helper<T>(
    peer: &mut Peer,
    signals: &Signals,
    patience: Duration,
    mut look: impl FnMut(&mut Peer) -> Result<Option<T>, Broken>,
) -> Result<Option<Result<T, Broken>>, NotDone> {
    let until = Instant::now() + patience;
    loop {
        if let Some(found) = look(peer).transpose() {
            return Ok(Some(found));
        }
        let fds = &mut [signals.as_fd(), peer.as_fd()].map(readable);
        if !wait(fds, Some(until))? {
            return Ok(None);
        }
        if let Some(signal) = signals.next() {
            return Err(NotDone::Signal(signal));
        }
    }
}

/// Has the helper take the run at its own socket; `None` if it does not take us, or cannot tell there
/// that this may be done.
fn at_its_socket(
    mut peer: Peer,
    wanted: &WantedRun<'_>,
    signals: &Signals,
) -> Result<Option<Begun>, NotDone> {
    let is_taken = |peer: &mut Peer| Ok(peer.is_taken()?.then_some(()));
    let Some(Ok(())) = await_helper(&mut peer, signals, TAKEN_TIME, is_taken)? else {
        return Ok(None);
    };
    let connected = Instant::now();
    let Some(call) = peer.run(wanted)? else { return Ok(None) };
    let answer = await_helper(&mut peer, signals, helper::READ_TIME, |peer| {
        while let Some((of, answer)) = peer.receive()? {
            if of == call {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    })?;
    let answer = answer.ok_or_else(helper::no_answer)?;
    match helper::started(answer, wanted) {
        // An agent for this terminal is asked by the name that the bus has for us.
        Err(CallError::InteractiveAuthorizationRequired(_)) if agent::wanted() => Ok(None),
        // So does a polkit know us that is too old to be told of a process by its descriptor
        // (before 124).
        Err(CallError::AuthorizationUnavailable(_)) => Ok(None),
        started => {
            let StartedRun { run, stdout, stderr, stdin } = started?;
            let line = Line::at_its_socket(peer, run)?;
            Ok(Some(Begun { line, stdout, stderr, stdin, connected }))
        }
    }
}

/// Finds the helper over the bus, and has it take the run; `None` if there is none.
fn over_the_bus(wanted: &WantedRun<'_>, signals: &Signals) -> Result<Option<Begun>, NotDone> {
    let system = |error| NotDone::System("the runtime", error);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(system)?;
    let begun = runtime.block_on(async {
        tokio::select! {
            biased;
            signal = signals.wait() => match signal {
                Ok(signal) => Err(NotDone::Signal(signal)),
                Err(error) => Err(NotDone::System("signals", error)),
            },
            begun = ask_over_the_bus(wanted) => begun,
        }
    });
    let Ok(Some((helper, started, connected))) = begun else {
        // A thread that waits for somebody would be waited for.
        runtime.shutdown_background();
        return begun.map(|_none| None);
    };
    let StartedRun { run, stdout, stderr, stdin } = started;
    let line = Line::over_the_bus(runtime, helper, run);
    let line = line.map_err(|error| NotDone::System("a thread", error))?;
    Ok(Some(Begun { line, stdout, stderr, stdin, connected }))
}

/// Only where the helper would have to ask the user is there somebody brought who asks.
async fn ask_over_the_bus(
    wanted: &WantedRun<'_>,
) -> Result<Option<(Helper, StartedRun, Instant)>, NotDone> {
    let connection = services::system_bus().await?;
    let Some(helper) = Helper::find(&connection).await? else { return Ok(None) };
    let connected = Instant::now();
    match helper.run(wanted).await {
        Err(CallError::InteractiveAuthorizationRequired(_)) if agent::wanted() => {
            let agent = Agent::start();
            let helper = helper.interactive(true);
            let started = helper.run(wanted).await;
            drop(agent);
            Ok(Some((helper, started?, connected)))
        }
        other => Ok(Some((helper, other?, connected))),
    }
}

/// Passes on what a run prints, until it has ended and all of that is written.
fn follow(begun: Begun, signals: &Signals, keep: bool) -> Result<Done, NotDone> {
    let Begun { mut line, stdout, stderr, stdin, connected } = begun;
    if let Some(to) = stdin {
        stdin::copy_to(to).map_err(|error| NotDone::System(super::STDIN, error))?;
    }
    let pump = |from, to| Pump::new(from, to, keep);
    let output = |error| NotDone::System("the output", error);
    let mut pumps = [
        pump(stdout, Stream::Stdout).map_err(output)?,
        pump(stderr, Stream::Stderr).map_err(output)?,
    ];
    let mut ended_by = None;
    let mut record = None;
    let mut ended = connected;
    loop {
        if record.is_none() {
            record = line.record().transpose()?;
            ended = Instant::now();
        }
        while let Some(signal) = signals.next() {
            if ended_by.replace(signal).is_some() {
                // Who asks twice does not wait: without us, the helper ends it.
                return Err(NotDone::Signal(signal));
            }
            if record.is_none() {
                line.cancel()?;
            }
        }
        for pump in &mut pumps {
            pump.go_on();
        }
        // The helper writes no more after the record: what comes then is the rest. What nobody reads
        // is not waited with by who wants the end.
        let is_done = pumps.iter().all(Pump::is_done);
        let is_left = ended_by.is_some() && pumps.iter().any(Pump::is_stuck);
        if record.is_some() && (is_done || is_left) {
            break;
        }
        let mut fds = vec![readable(signals.as_fd())];
        fds.extend(record.is_none().then(|| readable(line.as_fd())));
        fds.extend(pumps.iter().filter_map(Pump::awaits));
        wait(&mut fds, None)?;
    }
    let [stdout, stderr] = pumps;
    let failed = stderr.failed.or(stdout.failed);
    let [stdout, stderr] = [stdout.kept, stderr.kept];
    // There is one, or we would not be here.
    let record = record.ok_or_else(helper::no_answer)?;
    Ok(Done { record, stdout, stderr, signal: ended_by, failed, connected, ended })
}

/// What is waited for until it can be read.
fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

/// Waits for any of these, and not for longer; returns whether something came.
fn wait(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<bool, NotDone> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let timeout = left.map_or(PollTimeout::NONE, |left| {
        // To the next millisecond: not too early.
        PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
    });
    match poll(fds, timeout) {
        Ok(0) => Ok(false),
        Ok(_) | Err(Errno::EINTR) => Ok(true),
        Err(errno) => Err(NotDone::System("poll", errno.into())),
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
        CallError::Unavailable(_) | CallError::AuthorizationUnavailable(_) => {
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
            (CallError::AuthorizationUnavailable(words()), exit::REFUSED),
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
