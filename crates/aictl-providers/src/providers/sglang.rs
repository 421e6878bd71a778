//! SGLang's server. To tell its health it makes one token, unless it has others to make.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    openai,
    plan::{Facts, Looks, Plan, Reader, all_loaded, loading_if_unavailable},
    report::Fact,
    shape::Word,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public("/health", Fact::Health),
        Ask::keyed(INFO, Fact::Version).long(),
        openai::MODELS,
        Ask::public("/metrics", Fact::Requests).long(),
    ],
    looks,
    loading: loading_if_unavailable,
    later,
    facts,
};

const INFO: &str = "/server_info";
/// What older versions call it; newer ones complain in their log when it is asked for.
const OLD_INFO: &str = "/get_server_info";
const RUNNING: &str = "sglang:num_running_reqs";

/// The server's settings and state. They hold its key too, of which nothing is kept.
#[derive(Deserialize)]
struct Info {
    version: Option<Word>,
    #[expect(dead_code, reason = "its shape is what is looked at")]
    model_path: Word,
}

/// Whether any answer is as only SGLang's.
pub(crate) fn signs(answers: &Answers) -> bool {
    openai::owner(answers).as_deref() == Some("sglang")
        || answers.json::<Info>(INFO).is_some()
        || answers.json::<Info>(OLD_INFO).is_some()
        || answers.ok("/metrics").is_some_and(|answer| answer.text().contains("\nsglang:"))
}

fn looks(answers: &Answers) -> Looks {
    let health = answers.ok("/health");
    match health {
        _ if signs(answers) => Looks::Like,
        Some(health) if health.body.is_empty() => Looks::Maybe,
        _ => Looks::Unlike,
    }
}

fn later(answers: &Answers) -> Vec<Ask> {
    match answers.answer(INFO) {
        Some(answer) if answer.status == 404 => {
            vec![Ask::keyed(OLD_INFO, Fact::Version).long()]
        }
        _ => Vec::new(),
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let info = match reader.json::<Info>(INFO, Fact::Version) {
        None => reader.json::<Info>(OLD_INFO, Fact::Version),
        info => info,
    };
    let models = openai::names(reader);
    Facts {
        version: info.and_then(|info| info.version).and_then(Word::get),
        loaded: all_loaded(models.as_ref()),
        models,
        requests_running: reader.gauge("/metrics", RUNNING),
    }
}
