//! A server that somebody made up (tests/fuzz): what it answers is read, and a report comes of it.

use std::time::Duration;

use aictl_api::provider::Provider;

use crate::{
    answers::{Answer, Answers},
    decide::{Step, decide},
    report::Report,
    text::MAX_WORD,
};

/// More rounds of questions than any server takes.
const MAX_ROUNDS: usize = 8;
/// The most models that a report has, and more than any has: each is shown.
const MAX_MODELS: usize = 1 << 20;
/// The contents' types that are looked at.
const TYPES: [Option<&str>; 4] =
    [None, Some("application/json"), Some("text/html"), Some("text/plain")];

/// What is left of the bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn one(&mut self) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The next answer: a status, a type, a length in two bytes, and as much content.
    fn answer(&mut self) -> Answer {
        let statuses = [200, 200, 200, 200, 204, 302, 400, 401, 404, 500, 503];
        let status = statuses[self.one() % statuses.len()];
        let content_type = TYPES[self.one() % TYPES.len()].map(str::to_owned);
        let length = self.one() * 256 + self.one();
        let body = self.take(length).to_vec();
        let server = (status == 204).then(|| String::from_utf8_lossy(&body).into_owned());
        Answer { status, server, content_type, redirect: None, body, took: Duration::ZERO }
    }
}

/// Asks a server that answers with these bytes.
///
/// # Panics
/// If there is a fault: no end of questions, or a report that cannot be shown.
pub fn fuzz(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let expected = Provider::ALL.get(bytes.one()).copied();
    let has_key = bytes.one() % 2 == 1;
    let mut answers = Answers::default();
    for _ in 0..MAX_ROUNDS {
        match decide(expected, has_key, &answers) {
            Step::Done(report) => return check(&report),
            Step::Ask(asks) => {
                for ask in asks {
                    answers.add(ask.path, Ok(bytes.answer()));
                }
            }
        }
    }
    panic!("it asks without end");
}

/// Whether a report can be shown as it is.
fn check(report: &Report) {
    let loaded = report.loaded.iter().flatten().map(|model| &model.name);
    let models = report.models.iter().flatten();
    assert!(report.models.as_ref().is_none_or(|models| models.len() <= MAX_MODELS));
    for word in models.chain(loaded).chain(&report.version) {
        assert!(word.chars().count() <= MAX_WORD && !word.is_empty(), "{word:?}");
        assert!(!word.chars().any(char::is_control), "{word:?}");
    }
    for gap in &report.gaps {
        assert!(!gap.to_string().chars().any(char::is_control), "{gap}");
    }
}
