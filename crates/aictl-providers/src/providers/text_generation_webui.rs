//! Text Generation Web UI: its API, not its page.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, loaded, never_loading, nothing_later},
    report::Fact,
    shape::{List, Word},
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[Ask::keyed(CURRENT, Fact::Health), openai::MODELS],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

/// The model that is loaded.
pub(crate) const CURRENT: &str = "/v1/internal/model/info";

#[derive(Deserialize)]
struct Current {
    /// `None` as text, or nothing, if no model is loaded.
    model_name: Option<Word>,
    #[expect(dead_code, reason = "its shape is what is looked at")]
    lora_names: List<Word>,
}

/// Whether it tells of its model as only this server does.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Current>(CURRENT).is_some()
}

fn looks(answers: &Answers) -> Looks {
    Looks::json::<Current>(answers, CURRENT, |_| true)
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let current = reader.json::<Current>(CURRENT, Fact::Loaded);
    let name = current.map(|current| current.model_name.and_then(Word::get));
    Facts {
        models: openai::names(reader),
        loaded: name
            .map(|name| name.filter(|name| name != "None").map(loaded).into_iter().collect()),
        ..Facts::default()
    }
}
