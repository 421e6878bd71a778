//! What commands need that wait for several things at once: a runtime, and the end by a signal.

use std::{fmt, io};

use aictl_api::exit;
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

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

/// Runs `work` to its end, or until SIGINT, SIGTERM, SIGHUP or SIGQUIT comes: then it is dropped.
///
/// # Errors
/// If a signal came, or there are no resources for a runtime.
pub fn run<T>(work: impl Future<Output = T>) -> Result<T, Stopped> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Stopped::System)?;
    let done = runtime.block_on(async {
        let listen = |kind| signal(kind).map_err(Stopped::System);
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hangup = listen(SignalKind::hangup())?;
        let mut quit = listen(SignalKind::quit())?;
        let stopped = |kind: SignalKind| Err(Stopped::Signal(kind.as_raw_value()));
        tokio::select! {
            biased;
            _ = interrupt.recv() => stopped(SignalKind::interrupt()),
            _ = terminate.recv() => stopped(SignalKind::terminate()),
            _ = hangup.recv() => stopped(SignalKind::hangup()),
            _ = quit.recv() => stopped(SignalKind::quit()),
            done = work => Ok(done),
        }
    });
    // A thread that waits for a reader would be waited for.
    runtime.shutdown_background();
    done
}
