//! LiteLLM's proxy. `/health` is never asked for: it calls every backend, which may cost money.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, never_loading},
    report::Fact,
    shape::Word,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        // It tells when the proxy may be used; the other only that the process is there.
        Ask::public(READINESS, Fact::Health),
        Ask::public(LIVELINESS, Fact::Identity),
        // Without a key it would write an error into its log each time.
        Ask::only_with_key(openai::PATH, Fact::Models).long(),
    ],
    looks,
    loading: never_loading,
    later,
    facts,
};

const READINESS: &str = "/health/readiness";
pub(crate) const LIVELINESS: &str = "/health/liveliness";
/// What else newer versions (such as 1.106) tell of themselves, to those with the key alone.
const DETAILS: Ask = Ask::only_with_key("/health/readiness/details", Fact::Version);

#[derive(Deserialize)]
struct Readiness {
    #[expect(dead_code, reason = "its shape is what is looked at")]
    status: Word,
    litellm_version: Option<Word>,
}

/// Whether it says that it is alive as LiteLLM does.
pub(crate) fn is_alive(answers: &Answers) -> bool {
    answers.ok(LIVELINESS).is_some_and(|answer| answer.text().contains("I'm alive!"))
}

fn looks(answers: &Answers) -> Looks {
    match Looks::json::<Readiness>(answers, READINESS, |_| true) {
        Looks::Like => Looks::like_or_maybe(is_alive(answers)),
        looks => looks,
    }
}

/// Asks for the version where it was not told to all.
fn later(answers: &Answers) -> Vec<Ask> {
    match answers.json::<Readiness>(READINESS) {
        Some(Readiness { litellm_version: None, .. }) => vec![DETAILS],
        _ => Vec::new(),
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let mut version =
        |path| reader.json::<Readiness>(path, Fact::Version)?.litellm_version.and_then(Word::get);
    Facts {
        version: version(READINESS).or_else(|| version(DETAILS.path)),
        models: openai::names(reader),
        // Its models are elsewhere.
        loaded: None,
        requests_running: None,
    }
}
