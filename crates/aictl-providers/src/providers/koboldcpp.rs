//! KoboldCpp. It offers the interfaces of several other servers too.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, loaded, never_loading, nothing_later},
    report::Fact,
    shape::Word,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public(VERSION, Fact::Health),
        openai::MODELS,
        Ask::keyed("/api/v1/model", Fact::Loaded),
        Ask::keyed("/api/extra/perf", Fact::Requests),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

pub(crate) const VERSION: &str = "/api/extra/version";

#[derive(Deserialize)]
struct Version {
    result: Word,
    version: Word,
}

#[derive(Deserialize)]
struct Model {
    result: Word,
}

#[derive(Deserialize)]
struct Work {
    /// 1 if it does nothing.
    idle: u64,
}

/// Whether it says that it is KoboldCpp.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Version>(VERSION).is_some_and(|version| version.result.0 == "KoboldCpp")
}

fn looks(answers: &Answers) -> Looks {
    Looks::json::<Version>(answers, VERSION, |version| version.result.0 == "KoboldCpp")
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let version = reader.json::<Version>(VERSION, Fact::Version);
    let model = reader.json::<Model>("/api/v1/model", Fact::Loaded);
    let work = reader.json::<Work>("/api/extra/perf", Fact::Requests);
    Facts {
        version: version.and_then(|version| version.version.get()),
        models: openai::names(reader),
        loaded: model.map(|model| {
            let name = model.result.get();
            // What it says without a model, with its own name before it or not.
            let name =
                name.filter(|name| !matches!(name.as_str(), "inactive" | "koboldcpp/inactive"));
            name.map(loaded).into_iter().collect()
        }),
        // It works on one at a time; the others wait.
        requests_running: work.map(|work| u64::from(work.idle == 0)),
    }
}
