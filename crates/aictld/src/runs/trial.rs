//! Whether scripts can be run, found out by running one: what else a machine says of itself may be
//! wrong.

use std::{
    fs::File,
    future,
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use aictl_api::{error::CallError, record::SANDBOX_OK};
use aictl_sandbox::{
    protocol::{Job, RequestId},
    sealed_memfd,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{drive, new_stream};

/// What is run.
const SCRIPT: &[u8] = b"print('ok')";
/// What it prints.
const PRINTED: &str = "ok\n";
/// How long all of it may take: the keeper of the sandboxes may have to be started.
const TRIAL_TIME: Duration = Duration::from_secs(20);
/// For how long it is not tried again, whoever asks.
const KEEP: Duration = Duration::from_secs(5);

/// What the last trial has shown.
#[derive(Debug)]
pub struct Trial {
    sandboxd: PathBuf,
    last: Mutex<Option<(Instant, String)>>,
}

impl Trial {
    /// Nothing yet; the keeper of the sandboxes listens at `sandboxd`.
    pub fn new(sandboxd: &Path) -> Self {
        Self { sandboxd: sandboxd.to_owned(), last: Mutex::default() }
    }

    /// [`SANDBOX_OK`], or why no script can be run: as it was some seconds ago, or found out now.
    pub async fn outcome(self: &Arc<Self>) -> String {
        let trial = Arc::clone(self);
        // It goes on without its caller: those who ask and vanish make no more of them.
        let told = tokio::spawn(async move { trial.fresh().await });
        told.await.unwrap_or_else(|_ended| "the helper is ending".to_owned())
    }

    async fn fresh(&self) -> String {
        let mut last = self.last.lock().await;
        if let Some((when, words)) = &*last
            && when.elapsed() < KEEP
        {
            return words.clone();
        }
        let words = match timeout(TRIAL_TIME, run(&self.sandboxd)).await {
            Ok(done) => words(done),
            Err(_late) => format!("a trial was not over after {} s", TRIAL_TIME.as_secs()),
        };
        *last = Some((Instant::now(), words.clone()));
        words
    }
}

/// What a trial has shown.
#[derive(Debug)]
struct Done {
    exit_code: Option<i32>,
    printed: String,
}

fn words(done: Result<Done, CallError>) -> String {
    match done {
        Ok(Done { exit_code: Some(0), printed }) if printed == PRINTED => SANDBOX_OK.to_owned(),
        Ok(_) => "a trial script did not do what it should".to_owned(),
        // As many as may run do.
        Err(CallError::LimitExceeded { .. }) => SANDBOX_OK.to_owned(),
        Err(error) => error.message().to_owned(),
    }
}

/// Has the script run.
async fn run(sandboxd: &Path) -> Result<Done, CallError> {
    let no_room = |_: io::Error| CallError::Unavailable("the helper has no room".to_owned());
    let id = RequestId::random().map_err(no_room)?;
    let job = Job::trial(id).map_err(|error| CallError::Failed(error.to_string()))?;
    let script = Arc::new(sealed_memfd(SCRIPT).map_err(no_room)?);
    let (printed, stdout) = new_stream()?;
    let (_nobody_reads, stderr) = new_stream()?;
    let errand = drive::Errand { job, script, stdin: None, stdout, stderr };
    let (came_to, _rest) = drive::drive(sandboxd, errand, pin!(future::pending())).await;
    let (record, _why) = came_to?;
    let printed = read(printed).map_err(no_room)?;
    Ok(Done { exit_code: record.exit_code, printed })
}

/// What is in a stream that nobody writes to any more, or its beginning.
fn read(stream: OwnedFd) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::from(stream).take(64).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_script_that_has_run_is_one() {
        let done = |exit_code, printed: &str| Ok(Done { exit_code, printed: printed.to_owned() });
        let unavailable = || Err(CallError::Unavailable("no namespaces".to_owned()));
        for (done, expected) in [
            (done(Some(0), "ok\n"), SANDBOX_OK),
            (done(Some(0), ""), "a trial script did not do what it should"),
            (done(Some(1), "ok\n"), "a trial script did not do what it should"),
            (done(None, "ok\n"), "a trial script did not do what it should"),
            (unavailable(), "no namespaces"),
            (Err(CallError::limit_exceeded("x", Duration::ZERO)), SANDBOX_OK),
        ] {
            assert_eq!(words(done), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_told_again_for_some_seconds_and_no_longer() {
        let trial = Arc::new(Trial::new(Path::new("/nonexistent/sandboxd")));
        let failed = trial.outcome().await;
        assert!(failed.contains("aictl-sandboxd.socket"), "{failed}");
        *trial.last.lock().await = Some((Instant::now(), "known".to_owned()));
        tokio::time::advance(KEEP / 2).await;
        assert_eq!(trial.outcome().await, "known");
        tokio::time::advance(KEEP).await;
        assert_eq!(trial.outcome().await, failed);
    }
}
