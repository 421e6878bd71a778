//! LMDeploy's API server.

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, all_loaded, never_loading, nothing_later},
    report::Fact,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public("/health", Fact::Health),
        openai::MODELS,
        // Off unless the server was started with it.
        Ask::public("/metrics", Fact::Requests).long(),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

const RUNNING: &str = "lmdeploy:num_requests_running";

fn looks(answers: &Answers) -> Looks {
    let Some(health) = answers.ok("/health") else { return Looks::Unlike };
    match openai::owner(answers).as_deref() {
        Some("lmdeploy") => Looks::Like,
        _ if health.is_page() => Looks::Unlike,
        _ => Looks::Maybe,
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let models = openai::names(reader);
    Facts {
        loaded: all_loaded(models.as_ref()),
        models,
        requests_running: reader.gauge("/metrics", RUNNING),
        ..Facts::default()
    }
}
