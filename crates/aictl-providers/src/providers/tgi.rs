//! Hugging Face's Text Generation Inference. It serves one model, and listens once it is loaded.

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    answers::{Answers, Ask},
    plan::{Facts, Looks, Plan, Reader, all_loaded, never_loading, nothing_later},
    report::Fact,
    shape::Word,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public("/health", Fact::Health),
        Ask::public(INFO, Fact::Version),
        Ask::public("/metrics", Fact::Requests).long(),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

pub(crate) const INFO: &str = "/info";
const RUNNING: &str = "tgi_batch_current_size";

#[derive(Deserialize)]
struct Info {
    model_id: Word,
    version: Word,
    #[expect(dead_code, reason = "its shape is what is looked at")]
    max_concurrent_requests: IgnoredAny,
}

/// Whether it describes itself as only this server does.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Info>(INFO).is_some()
}

fn looks(answers: &Answers) -> Looks {
    Looks::json::<Info>(answers, INFO, |_| true)
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let info = reader.json::<Info>(INFO, Fact::Version);
    let (version, model) = info.map(|info| (info.version.get(), info.model_id.get())).unzip();
    let models = model.flatten().map(|model| vec![model]);
    Facts {
        version: version.flatten(),
        loaded: all_loaded(models.as_ref()),
        models,
        // The gauge is there only once there was a request.
        requests_running: reader.gauge("/metrics", RUNNING),
    }
}
