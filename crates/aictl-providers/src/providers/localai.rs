//! LocalAI. It offers Ollama's interface too, which says nothing of who it is.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, loaded, loading_if_unavailable, nothing_later},
    report::Fact,
    shape::{List, Word},
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public("/readyz", Fact::Health),
        Ask::keyed("/version", Fact::Version),
        openai::MODELS,
        Ask::keyed(SYSTEM, Fact::Loaded).long(),
    ],
    looks,
    loading: loading_if_unavailable,
    later: nothing_later,
    facts,
};

pub(crate) const SYSTEM: &str = "/system";

#[derive(Deserialize)]
struct Version {
    version: Word,
}

#[derive(Deserialize)]
struct System {
    #[expect(dead_code, reason = "its shape is what is looked at")]
    backends: List<Word>,
    loaded_models: List<LoadedModel>,
}

#[derive(Deserialize)]
struct LoadedModel {
    id: Word,
}

/// Whether it describes itself as only LocalAI does.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<System>(SYSTEM).is_some()
}

fn looks(answers: &Answers) -> Looks {
    let Some(ready) = answers.ok("/readyz") else { return Looks::Unlike };
    match (signs(answers), ready.is_page() || ready.means_json()) {
        (true, _) => Looks::Like,
        // It says `OK`, or nothing.
        (false, false) => Looks::Maybe,
        (false, true) => Looks::Unlike,
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let version = reader.json::<Version>("/version", Fact::Version);
    let system = reader.json::<System>(SYSTEM, Fact::Loaded);
    Facts {
        version: version.and_then(|version| version.version.get()),
        models: openai::names(reader),
        loaded: system.map(|system| {
            let models = system.loaded_models.items.into_iter();
            models.filter_map(|model| model.id.get()).map(loaded).collect()
        }),
        requests_running: None,
    }
}
