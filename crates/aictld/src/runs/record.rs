//! What a run came to, as its caller and the journal are told.

use aictl_api::{error::CallError, record::RunRecord, run::Outcome};
use aictl_core::plain_text::plain_text;
use aictl_sandbox::protocol;

use super::{Run, Why};

/// The most characters of a sentence that is passed on.
const MAX_SENTENCE: usize = 1000;

/// A sentence of the sandboxes' keeper as it may be passed on: it was near untrusted code.
pub fn plain(text: &str) -> String {
    let cut: String = text.chars().take(MAX_SENTENCE).collect();
    plain_text(&cut).into_owned()
}

/// Why it was ended, where the outcome does not tell that.
fn words(why: Why) -> Option<String> {
    match why {
        Why::Gone | Why::Asked => None,
        Why::HelperEnds => Some("the helper was told to end, and ended its runs".to_owned()),
        Why::NobodyReads => Some("nobody reads its output any more".to_owned()),
    }
}

/// The record of a run that was made.
///
/// # Errors
/// If another script was run than the one that was accepted.
pub fn finished(
    run: &Run,
    record: protocol::RunRecord,
    why: Option<Why>,
) -> Result<RunRecord, CallError> {
    if record.code_sha256 != run.code.sha256 {
        return Err(CallError::Unavailable(
            "the keeper of the sandboxes has run another script than it was given".to_owned(),
        ));
    }
    let because = (record.outcome == Outcome::Cancelled).then_some(why).flatten().and_then(words);
    Ok(RunRecord {
        outcome: record.outcome,
        exit_code: record.exit_code,
        signal: record.signal,
        message: because.or_else(|| record.message.as_deref().map(plain)),
        stdout_truncated: record.stdout_truncated,
        stderr_truncated: record.stderr_truncated,
        result: record.result,
        result_error: record.result_error.as_deref().map(plain),
        wall_usec: record.wall_us,
        cpu_usec: record.cpu_us,
        peak_memory_bytes: record.peak_memory,
        code_sha256: record.code_sha256,
        profile: run.code.profile.to_owned(),
        start: Some(record.start),
        isolation: record.isolation,
        missing: record.missing,
        request_id: run.id.clone(),
    })
}

/// The record of a run that was ended before it began.
pub fn never_begun(run: &Run, why: Why) -> RunRecord {
    RunRecord {
        outcome: Outcome::Cancelled,
        exit_code: None,
        signal: None,
        message: words(why),
        stdout_truncated: false,
        stderr_truncated: false,
        result: None,
        result_error: None,
        wall_usec: 0,
        cpu_usec: 0,
        peak_memory_bytes: None,
        code_sha256: run.code.sha256.clone(),
        profile: run.code.profile.to_owned(),
        start: None,
        isolation: Vec::new(),
        missing: Vec::new(),
        request_id: run.id.clone(),
    }
}
