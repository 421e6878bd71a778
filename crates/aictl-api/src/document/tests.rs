//! Tests of the words in documents.

use serde_json::{Value, to_value};

use crate::{
    audit::{Decision, Outcome},
    authorisation::Verb,
    document::doctor::CheckStatus,
    record::JobResult,
};

#[test]
fn what_has_a_word_is_written_as_that_word() {
    let same = |written: serde_json::Result<Value>, word: &str| {
        assert_eq!(written.unwrap(), word);
    };
    Verb::ALL.into_iter().for_each(|verb| same(to_value(verb), verb.name()));
    JobResult::ALL.into_iter().for_each(|result| same(to_value(result), result.name()));
    Decision::ALL.into_iter().for_each(|decision| same(to_value(decision), decision.name()));
    Outcome::ALL.into_iter().for_each(|outcome| same(to_value(outcome), outcome.name()));
    for (status, word) in [
        (CheckStatus::Ok, "ok"),
        (CheckStatus::Missing, "missing"),
        (CheckStatus::Broken, "broken"),
        (CheckStatus::Failed, "failed"),
    ] {
        same(to_value(status), word);
        assert_eq!(status.to_string().to_lowercase(), word);
    }
}
