//! ComfyUI. It loads models when a job needs them, and does not say which.

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    answers::{Answers, Ask},
    plan::{Facts, Looks, Plan, Reader, never_loading, nothing_later},
    report::Fact,
    shape::{Count, Word},
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::public(STATS, Fact::Health),
        // Whole jobs, which may be long.
        Ask::public("/queue", Fact::Requests).long(),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

pub(crate) const STATS: &str = "/system_stats";

#[derive(Deserialize)]
struct Stats {
    system: System,
    #[expect(dead_code, reason = "its shape is what is looked at")]
    devices: Count,
}

#[derive(Deserialize)]
struct System {
    /// Not of the oldest versions.
    comfyui_version: Option<Word>,
    #[expect(dead_code, reason = "its shape is what is looked at")]
    python_version: IgnoredAny,
}

#[derive(Deserialize)]
struct Queue {
    queue_running: Count,
}

/// Whether it tells of its machine as only ComfyUI does.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.json::<Stats>(STATS).is_some()
}

fn looks(answers: &Answers) -> Looks {
    Looks::json::<Stats>(answers, STATS, |_| true)
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let stats = reader.json::<Stats>(STATS, Fact::Version);
    let queue = reader.json::<Queue>("/queue", Fact::Requests);
    Facts {
        version: stats.and_then(|stats| stats.system.comfyui_version).and_then(Word::get),
        requests_running: queue.map(|queue| queue.queue_running.0),
        ..Facts::default()
    }
}
