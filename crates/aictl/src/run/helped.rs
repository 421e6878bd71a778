//! A run through the helper: what it prints is passed on as it comes, and its end is awaited.

use std::{
    fs,
    io::{self, Read},
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    path::Path,
    thread,
    time::Instant,
};

use aictl_api::{error::CallError, exit, record::RunRecord};
use aictl_core::helper::{Helper, StartedRun, WantedRun};
use tokio::{
    net::UnixStream,
    runtime::Builder,
    signal::unix::SignalKind,
    sync::{Notify, oneshot},
};

use crate::{
    agent::{self, Agent},
    message, output, services,
    signals::Signals,
    stdin,
};

/// Where the helper listens (aictld.socket).
const SOCKET: &str = "/run/aictl/bus";
/// What tells that the helper is installed: the bus can start it, or it listens.
const SIGNS: [&str; 2] = ["/usr/share/dbus-1/system-services/org.aictl1.service", SOCKET];
/// The variable that names another system bus, which may know a helper.
const OTHER_BUS: &str = "DBUS_SYSTEM_BUS_ADDRESS";
/// The signals that end a run.
const ENDS: [SignalKind; 3] =
    [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
/// How much is passed on at one time.
const CHUNK: usize = 8 * 1024;

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

/// Has the helper run a script; `None` if there is no helper, and then nothing of standard input was
/// read. Output is kept if `keep`, else written as it comes.
///
/// # Errors
/// Why there is no record.
pub fn run(wanted: WantedRun<'_>, keep: bool) -> Result<Option<Done>, NotDone> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| NotDone::System("the runtime", error))?;
    let done = runtime.block_on(async {
        let mut signals =
            Signals::listen(&ENDS).map_err(|error| NotDone::System("signals", error))?;
        let begun = tokio::select! {
            biased;
            signal = signals.next() => return Err(NotDone::Signal(signal.as_raw_value())),
            begun = begin(wanted) => begun?,
        };
        let Some((helper, started, connected)) = begun else { return Ok(None) };
        finish(&helper, started, connected, signals, keep).await.map(Some)
    });
    // A thread that waits for a reader would be waited for.
    runtime.shutdown_background();
    done
}

/// Finds the helper, and has it take the run: at its own socket, or over the bus if the helper could
/// not tell there that this may be done. Only where it would have to ask the user is there somebody
/// brought who asks.
async fn begin(wanted: WantedRun<'_>) -> Result<Option<(Helper, StartedRun, Instant)>, NotDone> {
    // Another bus knows another helper.
    let direct = match std::env::var_os(OTHER_BUS) {
        None => Helper::at_its_socket(Path::new(SOCKET)).await,
        Some(_) => None,
    };
    if let Some(helper) = direct {
        let connected = Instant::now();
        match helper.run(&wanted).await {
            // An agent for this terminal is asked by the name that the bus has for us.
            Err(CallError::InteractiveAuthorizationRequired(_)) if agent::wanted() => {}
            // So does a polkit know us that is too old to be told of a process by its descriptor
            // (before 124).
            Err(CallError::AuthorizationUnavailable(_)) => {}
            other => return Ok(Some((helper, other?, connected))),
        }
    }
    let connection = services::system_bus().await?;
    let Some(helper) = Helper::find(&connection).await? else { return Ok(None) };
    let connected = Instant::now();
    match helper.run(&wanted).await {
        Err(CallError::InteractiveAuthorizationRequired(_)) if agent::wanted() => {
            let agent = Agent::start();
            let helper = helper.interactive(true);
            let started = helper.run(&wanted).await;
            drop(agent);
            Ok(Some((helper, started?, connected)))
        }
        other => Ok(Some((helper, other?, connected))),
    }
}

async fn finish(
    helper: &Helper,
    started: StartedRun,
    connected: Instant,
    mut signals: Signals,
    keep: bool,
) -> Result<Done, NotDone> {
    let StartedRun { run, stdout, stderr, stdin } = started;
    if let Some(to) = stdin {
        stdin::copy_to(to).map_err(|error| NotDone::System(super::STDIN, error))?;
    }
    let stuck = Notify::new();
    let pump = |from, to| pump(from, to, keep, &stuck);
    let pumps = async { tokio::join!(pump(stdout, Stream::Stdout), pump(stderr, Stream::Stderr)) };
    let (mut pumps, mut pumped) = (std::pin::pin!(pumps), None);
    let mut wait = std::pin::pin!(helper.wait_for_run(&run));
    let mut cancel = std::pin::pin!(helper.cancel_run(&run));
    let mut cancelled = false;
    let mut ended_by = None;
    let record = loop {
        tokio::select! {
            biased;
            record = &mut wait => break record?,
            signal = signals.next() => {
                let signal = signal.as_raw_value();
                if ended_by.replace(signal).is_some() {
                    // Who asks twice does not wait: without us, the helper ends it.
                    return Err(NotDone::Signal(signal));
                }
            }
            answer = &mut cancel, if ended_by.is_some() && !cancelled => {
                cancelled = true;
                // A run that has ended meanwhile cannot be cancelled, and its record comes.
                if let Err(error) = answer && !matches!(error, CallError::InvalidArgument(_)) {
                    return Err(error.into());
                }
            }
            done = &mut pumps, if pumped.is_none() => pumped = Some(done),
        }
    };
    let ended = Instant::now();
    // The helper writes no more: what comes now is the rest.
    let pumped = match pumped {
        None => tokio::select! {
            biased;
            done = &mut pumps => Some(done),
            // What nobody reads is not waited with by who wants the end.
            () = stuck.notified(), if ended_by.is_some() => None,
        },
        done => done,
    };
    let (mut kept, mut failed) = ([Vec::new(), Vec::new()], None);
    let (stdout, stderr) = pumped.unwrap_or_else(|| (Ok(Vec::new()), Ok(Vec::new())));
    for (pumped, kept) in [stdout, stderr].into_iter().zip(&mut kept) {
        match pumped {
            Ok(bytes) => *kept = bytes,
            Err(error) => failed = Some(error),
        }
    }
    let [stdout, stderr] = kept;
    Ok(Done { record, stdout, stderr, signal: ended_by, failed, connected, ended })
}

/// Where output goes.
#[derive(Debug, Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

/// Takes what comes out of a stream until its end: keeps it, or writes it as it comes. Its end goes
/// with an error, and so the helper ends the run.
///
/// A thread is only begun where a reader has us wait, which is then `stuck`.
async fn pump(from: OwnedFd, to: Stream, keep: bool, stuck: &Notify) -> io::Result<Vec<u8>> {
    let from = StdStream::from(from);
    from.set_nonblocking(true)?;
    let from = UnixStream::from_std(from)?;
    let (mut kept, mut bytes) = (Vec::new(), [0; CHUNK]);
    loop {
        let length = match from.try_read(&mut bytes) {
            Ok(0) => return Ok(kept),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                from.readable().await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut part = bytes.get(..length).unwrap_or_default();
        if keep {
            kept.extend_from_slice(part);
            continue;
        }
        while !part.is_empty() {
            let (now, then) = match to.write_now(part) {
                Ok(written) => part.split_at_checked(written).unwrap_or((part, &[])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stuck.notify_one();
                    let from = from.into_std()?;
                    from.set_nonblocking(false)?;
                    return pass_on_elsewhere(part.to_vec(), from.into(), to).await;
                }
                Err(error) => return Err(error),
            };
            message::passed_on(matches!(to, Stream::Stderr), now);
            part = then;
        }
    }
}

impl Stream {
    /// Writes what can be written without waiting.
    fn write_now(self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => output::write_now(&io::stdout(), bytes),
            Self::Stderr => output::write_now(&io::stderr(), bytes),
        }
    }
}

/// Goes on in a thread, which may wait.
async fn pass_on_elsewhere(first: Vec<u8>, from: OwnedFd, to: Stream) -> io::Result<Vec<u8>> {
    let (done, is_done) = oneshot::channel();
    thread::Builder::new().spawn(move || {
        // Who does not wait for it any more does not listen.
        let _gone = done.send(pass_on(first, from, to));
    })?;
    let passed_on = is_done.await;
    passed_on.unwrap_or_else(|_| Err(io::Error::other("its thread has ended"))).map(|()| Vec::new())
}

/// Writes what comes out of a stream, and before it `first`, and waits where it has to.
fn pass_on(first: Vec<u8>, from: OwnedFd, to: Stream) -> io::Result<()> {
    let mut from = fs::File::from(from);
    let (mut part, mut bytes) = (first, [0; CHUNK]);
    loop {
        match to {
            Stream::Stdout => output::write_all(&io::stdout(), &part)?,
            Stream::Stderr => output::write_all(&io::stderr(), &part)?,
        }
        message::passed_on(matches!(to, Stream::Stderr), &part);
        part.clear();
        match from.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(length) => part.extend_from_slice(bytes.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
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
