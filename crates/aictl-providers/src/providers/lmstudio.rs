//! LM Studio. To a path that it does not know it answers 200, with an error in the content.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    plan::{Facts, Looks, Plan, Reader, loaded, never_loading},
    report::Fact,
    shape::{List, Word},
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[Ask::keyed(MODELS, Fact::Health).long(), Ask::public(GREETING, Fact::Identity)],
    looks,
    loading: never_loading,
    later,
    facts,
};

pub(crate) const MODELS: &str = "/api/v0/models";
/// Where its own programs find out who it is.
pub(crate) const GREETING: &str = "/lmstudio-greeting";
/// What versions from 0.4 on have beside it, and may one day have alone.
const NEW_MODELS: &str = "/api/v1/models";

#[derive(Deserialize)]
struct Models {
    data: List<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: Word,
    /// `loaded` or `not-loaded`.
    state: Word,
}

#[derive(Deserialize)]
struct NewModels {
    models: List<NewModel>,
}

#[derive(Deserialize)]
struct NewModel {
    key: Word,
    loaded_instances: List<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    id: Word,
}

#[derive(Deserialize)]
struct Greeting {
    lmstudio: bool,
}

#[derive(Deserialize)]
struct Failure {
    error: Word,
}

impl From<Model> for Word {
    fn from(model: Model) -> Self {
        model.id
    }
}

impl From<NewModel> for Word {
    fn from(model: NewModel) -> Self {
        model.key
    }
}

/// Whether any answer is as only LM Studio's.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Greeting>(GREETING).is_some_and(|greeting| greeting.lmstudio)
        // An empty list has no state that would tell.
        || answers.json::<Models>(MODELS).is_some_and(|models| !models.data.items.is_empty())
        || answers.all().any(|answer| {
            let failure = answer.is_ok().then(|| answer.json::<Failure>().ok()).flatten();
            failure.is_some_and(|failure| failure.error.0.starts_with("Unexpected endpoint"))
        })
}

fn looks(answers: &Answers) -> Looks {
    match signs(answers) {
        true => Looks::Like,
        false => match Looks::json::<Models>(answers, MODELS, |_| true) {
            Looks::Like => Looks::Maybe,
            looks => looks,
        },
    }
}

fn later(answers: &Answers) -> Vec<Ask> {
    match answers.json::<Failure>(MODELS) {
        Some(_) => vec![Ask::keyed(NEW_MODELS, Fact::Models).long()],
        None => Vec::new(),
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    if reader.answers.get(NEW_MODELS).is_some() {
        return new_facts(reader);
    }
    let Some(models) = reader.json::<Models>(MODELS, Fact::Models) else { return Facts::default() };
    let in_memory = models.data.items.iter().filter(|model| model.state.0 == "loaded");
    let in_memory = in_memory.filter_map(|model| model.id.clone().get()).map(loaded).collect();
    Facts {
        models: Some(reader.names(models.data, Fact::Models)),
        loaded: Some(in_memory),
        ..Facts::default()
    }
}

fn new_facts(reader: &mut Reader<'_>) -> Facts {
    let Some(models) = reader.json::<NewModels>(NEW_MODELS, Fact::Models) else {
        return Facts::default();
    };
    let instances = models.models.items.iter().flat_map(|model| &model.loaded_instances.items);
    let instances = instances.filter_map(|instance| instance.id.clone().get()).map(loaded);
    let in_memory = instances.take(crate::shape::MAX_ITEMS).collect();
    Facts {
        models: Some(reader.names(models.models, Fact::Models)),
        loaded: Some(in_memory),
        ..Facts::default()
    }
}
