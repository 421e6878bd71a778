//! vLLM's OpenAI-compatible server. It does not listen before its model is loaded.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, all_loaded, never_loading, nothing_later},
    report::Fact,
    shape::Word,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public("/health", Fact::Health),
        Ask::public("/version", Fact::Version),
        openai::MODELS,
        Ask::public("/metrics", Fact::Requests).long(),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

const RUNNING: &str = "vllm:num_requests_running";

#[derive(Deserialize)]
struct Version {
    version: Word,
}

fn looks(answers: &Answers) -> Looks {
    let metrics = answers.ok("/metrics");
    let has_gauge = metrics.is_some_and(|answer| answer.text().contains("\nvllm:"));
    if has_gauge || openai::owner(answers).as_deref() == Some("vllm") || refuses(answers) {
        return Looks::Like;
    }
    // Its forks own their models, and have the rest alike.
    match answers.json::<Version>("/version") {
        Some(_) => Looks::Maybe,
        None => Looks::Unlike,
    }
}

/// Whether it asks for a key as vLLM does, and tells its version without one.
pub(crate) fn refuses(answers: &Answers) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        error: Word,
    }
    let refusal = answers.answer(openai::PATH).filter(|answer| answer.status == 401);
    let refusal = refusal.and_then(|answer| answer.json::<Refusal>().ok());
    refusal.is_some_and(|refusal| refusal.error.0 == "Unauthorized")
        && answers.json::<Version>("/version").is_some()
        && answers.ok("/health").is_some_and(|answer| answer.body.is_empty())
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let version = reader.json::<Version>("/version", Fact::Version);
    let models = openai::names(reader);
    Facts {
        version: version.and_then(|version| version.version.get()),
        loaded: all_loaded(models.as_ref()),
        models,
        requests_running: reader.gauge("/metrics", RUNNING),
    }
}
