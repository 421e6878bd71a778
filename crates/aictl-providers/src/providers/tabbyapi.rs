//! TabbyAPI.

use serde::Deserialize;

use crate::{
    answers::{Answer, Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, loaded, never_loading, nothing_later},
    report::Fact,
    shape::{Count, Word},
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public("/health", Fact::Health),
        openai::MODELS,
        Ask::keyed(CURRENT, Fact::Loaded),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

/// The model that is loaded; an error if there is none.
const CURRENT: &str = "/v1/model";
const NONE_LOADED: &str = "No models are currently loaded";

#[derive(Deserialize)]
struct Health {
    status: Word,
    #[expect(dead_code, reason = "its shape is what is looked at")]
    issues: Count,
}

#[derive(Deserialize)]
struct Current {
    id: Word,
}

/// Whether it tells of its health, or owns its models, as only TabbyAPI does.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Health>("/health").is_some()
        || openai::owner(answers).as_deref() == Some("tabbyAPI")
}

fn looks(answers: &Answers) -> Looks {
    Looks::json::<Health>(answers, "/health", |health| health.status.0 == "healthy")
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let answer = reader.answers.answer(CURRENT);
    let in_memory = if answer.is_some_and(says_none) {
        Some(Vec::new())
    } else {
        let current = reader.json::<Current>(CURRENT, Fact::Loaded);
        current.map(|current| current.id.get().map(loaded).into_iter().collect())
    };
    Facts { models: openai::names(reader), loaded: in_memory, ..Facts::default() }
}

fn says_none(answer: &Answer) -> bool {
    !answer.is_ok() && answer.text().contains(NONE_LOADED)
}
