//! Asking a server, within a time.

use std::{path::PathBuf, time::Duration};

use aictl_api::{endpoint::Endpoint, provider::Provider};
use tokio::{
    task::{JoinSet, spawn_blocking},
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

/// As many bytes of answers are read in no time.
const SHORT_READ: usize = 64 << 10;
/// How long it may take to read answers that come at the end of the time.
const MOMENT: Duration = Duration::from_millis(50);

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
/// its own. It never fails, and takes no longer than `time`, but for a moment at its end in which what
/// is known then is read.
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
        let step;
        (step, answers) = match decide_in_time(target, answers, deadline).await {
            Some(decided) => decided,
            None => return Report::bare(Reach::Trouble(Trouble::TooSlow(time)), None),
        };
        match step {
            Step::Done(report) => return report,
            Step::Ask(asks) => ask_all(&line, &asks, time, deadline, &mut answers).await,
        }
    }
}

/// Decides, and gives the answers back; `None` if that is not done by the deadline, or a moment later
/// where it comes late. What takes long to read holds up nobody else.
async fn decide_in_time(
    target: &Target,
    answers: Answers,
    deadline: Instant,
) -> Option<(Step, Answers)> {
    let (provider, has_key) = (target.provider, target.key.is_some());
    if answers.size() <= SHORT_READ {
        return Some((decide(provider, has_key, &answers), answers));
    }
    let decided = spawn_blocking(move || (decide(provider, has_key, &answers), answers));
    timeout_at(deadline.max(Instant::now() + MOMENT), decided).await.ok()?.ok()
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
