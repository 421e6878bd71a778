//! What commands need that wait for several things at once: a runtime, and the end by a signal.

use std::{fmt, io, process, sync::mpsc, thread};

use aictl_api::exit;
use tokio::{runtime::Builder, signal::unix::SignalKind};

use crate::signals::Signals;

/// The signals that end work.
const ENDS: [SignalKind; 4] =
    [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];

/// Why work was not done.
#[derive(Debug)]
pub enum Stopped {
    /// This signal came.
    Signal(i32),
    /// There is no runtime.
    System(io::Error),
}

impl Stopped {
    /// The exit code that belongs to it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Signal(signal) => exit::from_signal(*signal),
            Self::System(_) => exit::INTERNAL,
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::System(error) => write!(f, "the runtime cannot be started: {error}"),
        }
    }
}

impl std::error::Error for Stopped {}

/// Runs `work` to its end, or until SIGINT, SIGTERM, SIGHUP or SIGQUIT comes, unless this program was
/// started to ignore it: then it is dropped. After its end such a signal ends the process, whatever
/// it waits for.
///
/// # Errors
/// If a signal came, or there are no resources for a runtime.
pub fn run<T>(work: impl Future<Output = T>) -> Result<T, Stopped> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Stopped::System)?;
    let done = runtime.block_on(async {
        let mut signals = Signals::listen(&ENDS).map_err(Stopped::System)?;
        tokio::select! {
            biased;
            ended = signals.next() => Err(Stopped::Signal(ended.as_raw_value())),
            done = work => Ok(done),
        }
    });
    if done.is_ok() {
        end_by_signal();
    }
    // A thread that waits for a reader would be waited for.
    runtime.shutdown_background();
    done
}

/// Lets the signals end this process again: what the system does with them by itself does not come
/// back with the end of a runtime that listened. Where there are no resources for it, they are
/// ignored.
fn end_by_signal() {
    let (listening, listens) = mpsc::channel();
    let wait = move || -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let kind = runtime.block_on(async {
            let mut signals = Signals::listen(&ENDS)?;
            let _gone = listening.send(());
            io::Result::Ok(signals.next().await)
        })?;
        process::exit(exit::from_signal(kind.as_raw_value()).into())
    };
    if thread::Builder::new().name("signals".to_owned()).spawn(wait).is_ok() {
        let _failed = listens.recv();
    }
}
