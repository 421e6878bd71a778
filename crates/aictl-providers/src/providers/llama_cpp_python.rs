//! The server of llama-cpp-python. It has no question for its health but the one for its models.

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, never_loading, nothing_later},
    report::Fact,
};

use super::openapi::{self, Document};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::keyed(openai::PATH, Fact::Health).long(),
        Ask::public(openapi::PATH, Fact::Version).long(),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

/// What its interface is called.
pub(crate) const TITLE: &str = "llama.cpp Python API";

fn looks(answers: &Answers) -> Looks {
    if openapi::title(answers).is_some_and(|title| title.contains(TITLE)) {
        return Looks::Like;
    }
    match Looks::json::<openai::Models>(answers, openai::PATH, |_| true) {
        Looks::Like => Looks::Maybe,
        looks => looks,
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let document = reader.json::<Document>(openapi::PATH, Fact::Version);
    Facts {
        version: document.and_then(|document| document.info.version.get()),
        models: openai::names(reader),
        // It holds one at a time, and does not say which.
        loaded: None,
        requests_running: None,
    }
}
