//! The server of llama.cpp.

use serde::Deserialize;

use crate::{
    answers::{Answer, Answers, Ask},
    openai,
    plan::{Facts, Loading, Looks, Plan, Reader, loaded},
    report::Fact,
    shape::{List, Word},
    text::sentence,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public("/health", Fact::Health),
        // Public in older versions; 0.7.0 wants the key for it.
        Ask::keyed(openai::PATH, Fact::Models).long(),
        Ask::keyed("/props", Fact::Version),
    ],
    looks,
    loading,
    later,
    facts,
};

const SLOTS: Ask = Ask::keyed("/slots", Fact::Requests).long();
const METRICS: Ask = Ask::keyed("/metrics", Fact::Requests);

#[derive(Deserialize)]
struct Health {
    status: Word,
}

#[derive(Deserialize)]
struct Failure {
    error: FailureText,
}

#[derive(Deserialize)]
struct FailureText {
    message: Word,
}

#[derive(Deserialize)]
struct Props {
    build_info: Option<Word>,
    /// `router` for one that only starts others.
    role: Option<Word>,
    /// Whether the model was let go of until it is needed; not of older versions.
    is_sleeping: Option<bool>,
}

#[derive(Deserialize)]
struct Slot {
    is_processing: bool,
}

/// Whether any answer says that it is from llama.cpp's server.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.all().any(|answer| answer.server.as_deref() == Some("llama.cpp"))
        || openai::owner(answers).as_deref() == Some("llamacpp")
}

fn looks(answers: &Answers) -> Looks {
    if signs(answers) {
        return Looks::Like;
    }
    match Looks::json::<Health>(answers, "/health", |health| health.status.0 == "ok") {
        Looks::Like => Looks::Maybe,
        looks => looks,
    }
}

fn loading(answer: &Answer) -> Option<Loading> {
    let failure: Failure = answer.json().ok().filter(|_| answer.status == 503)?;
    let message = failure.error.message.0;
    message.starts_with("Loading model").then(|| Loading(sentence(&message)))
}

/// Asking for slots or metrics is work that wakes a model, or keeps it awake, in versions that can
/// send one to sleep; only the newest except metrics. So those are asked for metrics, while it is
/// awake.
fn later(answers: &Answers) -> Vec<Ask> {
    match answers.json::<Props>("/props") {
        Some(Props { role: Some(role), .. }) if role.0 == "router" => Vec::new(),
        Some(Props { is_sleeping: None, .. }) => vec![SLOTS],
        Some(Props { is_sleeping: Some(false), .. }) => vec![METRICS],
        Some(Props { is_sleeping: Some(true), .. }) | None => Vec::new(),
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let models = reader.json::<openai::Models>(openai::PATH, Fact::Models);
    let props = reader.json::<Props>("/props", Fact::Version);
    let is_asleep = props.as_ref().is_some_and(|props| props.is_sleeping == Some(true));
    let in_memory = models.as_ref().map(|models| {
        let names = models.data.items.iter().filter(|model| !is_asleep && is_loaded(model));
        names.filter_map(|model| model.id.clone().get()).map(loaded).collect()
    });
    Facts {
        version: props.and_then(|props| props.build_info).and_then(Word::get),
        models: models.map(|models| reader.names(models.data, Fact::Models)),
        loaded: in_memory,
        requests_running: requests(reader),
    }
}

/// Without a status, it is the one model that the server was started with.
fn is_loaded(model: &openai::Model) -> bool {
    let value = model.status.as_ref().and_then(|status| status.value.as_ref());
    value.is_none_or(|value| value.0 == "loaded")
}

fn requests(reader: &mut Reader<'_>) -> Option<u64> {
    if reader.answers.get(METRICS.path).is_some() {
        return reader.gauge(METRICS.path, "llamacpp:requests_processing");
    }
    let slots: List<Slot> = reader.json(SLOTS.path, Fact::Requests)?;
    Some(slots.items.iter().filter(|slot| slot.is_processing).count() as u64)
}
