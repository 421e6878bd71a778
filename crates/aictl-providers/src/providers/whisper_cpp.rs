//! The server of whisper.cpp. It tells neither version nor model.

use serde::Deserialize;

use crate::{
    answers::{Answer, Answers, Ask},
    plan::{Facts, Loading, Looks, Plan, never_loading, nothing_later},
    report::Fact,
    shape::Word,
};

pub(crate) const PLAN: Plan = Plan {
    asks: &[Ask::public("/health", Fact::Health)],
    looks,
    loading,
    later: nothing_later,
    facts: |_| Facts::default(),
};

#[derive(Deserialize)]
struct Health {
    status: Word,
}

/// Whether any answer says that it is from whisper.cpp.
pub(crate) fn signs(answers: &Answers) -> bool {
    answers.all().any(|answer| answer.server.as_deref() == Some("whisper.cpp"))
}

fn looks(answers: &Answers) -> Looks {
    let health = Looks::json::<Health>(answers, "/health", |health| health.status.0 == "ok");
    match health {
        Looks::Like => Looks::like_or_maybe(signs(answers)),
        // Older versions do not know the path.
        _ if signs(answers) => Looks::Like,
        looks => looks,
    }
}

fn loading(answer: &Answer) -> Option<Loading> {
    let health: Health = answer.json().ok().filter(|_| answer.status == 503)?;
    match health.status.0.as_str() {
        "loading model" => Some(Loading(None)),
        _ => never_loading(answer),
    }
}
