//! Asking a server, within a time.

use std::{path::PathBuf, time::Duration};

use aictl_api::{endpoint::Endpoint, provider::Provider};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    answers::{Answers, Ask},
    decide::{Step, decide},
    key::Key,
    report::{Reach, Report},
    request::Line,
    stream::Seen,
    tls,
    trouble::Trouble,
};

/// A server to be asked.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it is expected to be; `None` to find out, which takes a dozen questions and more.
    pub provider: Option<Provider>,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its key. Whether what listens there may have it is for the caller to know.
    pub key: Option<Key>,
}

/// Asks a server how it is and what it has, everything at once, each question over a connection of
/// its own. It never fails, and never takes longer than `time`: what is known then counts.
pub async fn probe(target: &Target, time: Duration) -> Report {
    probe_trusting(target, time, &tls::bundles()).await
}

/// The same, with the files to look for trusted certificates in.
pub(crate) async fn probe_trusting(target: &Target, time: Duration, bundles: &[PathBuf]) -> Report {
    let deadline = Instant::now() + time;
    let line = match Line::new(&target.endpoint, target.key.as_ref(), bundles) {
        Ok(line) => line,
        Err(trouble) => return Report::bare(Reach::Trouble(trouble), None),
    };
    let mut answers = Answers::default();
    loop {
        match decide(target.provider, target.key.is_some(), &answers) {
            Step::Done(report) => return report,
            Step::Ask(asks) => ask_all(&line, &asks, time, deadline, &mut answers).await,
        }
    }
}

/// Asks all at once. At the deadline, each question that is not answered is answered by why.
async fn ask_all(
    line: &Line,
    asks: &[Ask],
    time: Duration,
    deadline: Instant,
    answers: &mut Answers,
) {
    let mut tasks = JoinSet::new();
    let mut open: Vec<(Ask, Seen)> = Vec::new();
    for ask in asks {
        let (line, ask, seen) = (line.clone(), *ask, Seen::default());
        open.push((ask, seen.clone()));
        tasks.spawn(async move { (ask, line.ask(ask, seen).await) });
    }
    while let Ok(Some(ended)) = timeout_at(deadline, tasks.join_next()).await {
        // A task that panicked has no answer.
        let Ok((ask, answer)) = ended else { continue };
        open.retain(|(other, _)| other.path != ask.path);
        answers.add(ask.path, answer);
    }
    for (ask, seen) in open {
        let trouble = match seen.any() {
            true => Trouble::TooSlow(time),
            false => Trouble::NoAnswer(time),
        };
        answers.add(ask.path, Err(trouble));
    }
}
