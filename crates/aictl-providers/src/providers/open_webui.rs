//! Open WebUI: a face for other servers. It answers every unknown path with its page, and is not
//! asked for models, since it would ask all its backends.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    plan::{Facts, Looks, Plan, Reader, never_loading, nothing_later},
    report::Fact,
    shape::Word,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[Ask::public("/health", Fact::Health), Ask::public("/api/version", Fact::Version)],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

#[derive(Deserialize)]
struct Health {
    status: bool,
}

#[derive(Deserialize)]
struct Version {
    version: Word,
}

/// Whether it tells of its health and its version as only Open WebUI does.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Health>("/health").is_some_and(|health| health.status)
        && answers.json::<Version>("/api/version").is_some()
}

fn looks(answers: &Answers) -> Looks {
    match Looks::json::<Health>(answers, "/health", |health| health.status) {
        Looks::Like => Looks::like_or_maybe(signs(answers)),
        looks => looks,
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let version = reader.json::<Version>("/api/version", Fact::Version);
    Facts { version: version.and_then(|version| version.version.get()), ..Facts::default() }
}
