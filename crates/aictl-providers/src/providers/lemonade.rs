//! Lemonade Server.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, loaded, never_loading, nothing_later},
    report::Fact,
    shape::{List, Word},
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[Ask::keyed(HEALTH, Fact::Health), Ask::keyed(MODELS, Fact::Models).long()],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

pub(crate) const HEALTH: &str = "/api/v1/health";
const MODELS: &str = "/api/v1/models";

#[derive(Deserialize)]
struct Health {
    status: Word,
    /// Not of older versions.
    version: Option<Word>,
    /// The one used last, which older versions tell alone. The field is always there.
    #[serde(deserialize_with = "Option::deserialize")]
    model_loaded: Option<Word>,
    all_models_loaded: Option<List<Model>>,
}

#[derive(Deserialize)]
struct Model {
    model_name: Word,
}

/// Whether it tells of its health as only Lemonade does.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Health>(HEALTH).is_some()
}

fn looks(answers: &Answers) -> Looks {
    Looks::json::<Health>(answers, HEALTH, |health| health.status.0 == "ok")
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let health = reader.json::<Health>(HEALTH, Fact::Loaded);
    let models = reader.json::<openai::Models>(MODELS, Fact::Models);
    let models = models.map(|models| reader.names(models.data, Fact::Models));
    let Some(health) = health else { return Facts { models, ..Facts::default() } };
    let in_memory: Vec<Word> = match health.all_models_loaded {
        Some(all) => all.items.into_iter().map(|model| model.model_name).collect(),
        None => health.model_loaded.into_iter().collect(),
    };
    Facts {
        version: health.version.and_then(Word::get),
        models,
        loaded: Some(in_memory.into_iter().filter_map(Word::get).map(loaded).collect()),
        requests_running: None,
    }
}
