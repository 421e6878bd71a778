//! llama-swap: it starts other servers when their models are needed. Nothing that is asked here
//! starts one.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, loaded, never_loading, nothing_later},
    report::Fact,
    shape::{List, Word},
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public("/health", Fact::Health),
        openai::MODELS,
        Ask::keyed(RUNNING, Fact::Loaded).long(),
        Ask::keyed("/api/version", Fact::Version),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

pub(crate) const RUNNING: &str = "/running";

#[derive(Deserialize)]
struct Running {
    running: List<Model>,
}

#[derive(Deserialize)]
struct Model {
    model: Word,
    /// `ready`, `starting`, `stopping` and more.
    state: Word,
}

#[derive(Deserialize)]
struct Version {
    version: Word,
}

/// Whether it tells of its servers, or owns its models, as only llama-swap does.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Running>(RUNNING).is_some()
        || openai::owner(answers).as_deref() == Some("llama-swap")
}

fn looks(answers: &Answers) -> Looks {
    let Some(health) = answers.ok("/health") else { return Looks::Unlike };
    match signs(answers) {
        true => Looks::Like,
        false if health.body.trim_ascii() == b"OK" => Looks::Maybe,
        false => Looks::Unlike,
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let version = reader.json::<Version>("/api/version", Fact::Version);
    let running = reader.json::<Running>(RUNNING, Fact::Loaded);
    Facts {
        version: version.and_then(|version| version.version.get()),
        models: openai::names(reader),
        loaded: running.map(|running| {
            let ready = running.running.items.into_iter().filter(|one| one.state.0 == "ready");
            ready.filter_map(|one| one.model.get()).map(loaded).collect()
        }),
        requests_running: None,
    }
}
