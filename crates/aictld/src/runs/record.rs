//! What a run came to, as its caller and the journal are told.

use std::time::Duration;

use aictl_api::{
    error::CallError,
    record::{RunRecord, RunTimes},
    run::Outcome,
    strict::Finding,
};
use aictl_core::plain_text::plain_text;

use super::{Run, Why};

/// The most characters of a sentence that is passed on.
const MAX_SENTENCE: usize = 1000;

/// A sentence of the sandboxes' keeper as it may be passed on: it was near untrusted code.
pub fn plain(text: &str) -> String {
    let cut: String = text.chars().take(MAX_SENTENCE).collect();
    plain_text(&cut).into_owned()
}

/// A finding as it may be passed on: it repeats names out of the script.
fn plain_finding(finding: Finding) -> Finding {
    let Finding { line, column, rule, message, instead } = finding;
    let instead = instead.as_deref().map(plain);
    Finding { line, column, rule, message: plain(&message), instead }
}

/// Why it was ended, where the outcome does not tell that.
fn words(why: Why) -> Option<String> {
    match why {
        Why::Gone | Why::Asked => None,
        Why::HelperEnds => Some("the helper was told to end, and ended its runs".to_owned()),
        Why::NobodyReads => Some("nobody reads its output any more".to_owned()),
    }
}

/// Where the time of a run went here.
#[must_use]
pub fn times(authorised: Duration, queued: Duration, engine: Duration) -> RunTimes {
    let micros = |time: Duration| Some(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    RunTimes {
        authorised_usec: micros(authorised),
        queued_usec: micros(queued),
        engine_usec: micros(engine),
        start_usec: None,
    }
}

/// The record of a run that was made: what the keeper says of it, as far as it may be passed on.
///
/// # Errors
/// If another script was run than the one that was accepted.
pub fn finished(
    run: &Run,
    record: RunRecord,
    why: Option<Why>,
    times: RunTimes,
) -> Result<RunRecord, CallError> {
    if record.code_sha256 != run.code.sha256 {
        return Err(CallError::Unavailable(
            "the keeper of the sandboxes has run another script than it was given".to_owned(),
        ));
    }
    let because = (record.outcome == Outcome::Cancelled).then_some(why).flatten().and_then(words);
    Ok(RunRecord {
        message: because.or_else(|| record.message.as_deref().map(plain)),
        result_error: record.result_error.as_deref().map(plain),
        times: RunTimes { start_usec: record.times.start_usec, ..times },
        refusals: record.refusals.into_iter().map(plain_finding).collect(),
        profile: run.code.profile.to_owned(),
        request_id: run.id.clone(),
        ..record
    })
}

/// The record of a run that was ended before it began.
pub fn never_begun(run: &Run, why: Why) -> RunRecord {
    let sha256 = run.code.sha256.clone();
    RunRecord {
        message: words(why),
        ..RunRecord::never_begun(Outcome::Cancelled, &run.id, run.code.profile, sha256)
    }
}
