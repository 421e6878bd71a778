//! Runs on the bus. What is not known of one is not in its record.

use aictl_api::{
    layer::Layer,
    record::{
        ListedRun, RunRecord, RunTimes, finding_key as of_finding, listed_run_key as listed,
        run_key as key,
    },
    run::{Outcome, Start},
    strict::{Finding, Rule},
};
use zbus::{OwnedVariant, Variant};

use super::{Reader, Record, RecordError, fields, text, texts};

/// A run's record for the bus.
#[must_use]
pub fn run_fields(run: &RunRecord) -> Record {
    let RunRecord {
        outcome,
        exit_code,
        signal,
        message,
        stdout_truncated,
        stderr_truncated,
        result,
        result_error,
        wall_usec,
        times: RunTimes { authorised_usec, queued_usec, engine_usec, start_usec },
        cpu_usec,
        peak_memory_bytes,
        code_sha256,
        profile,
        start,
        isolation,
        missing,
        refusals,
        request_id,
    } = run;
    let some_text = |value: Option<&str>| value.map(text);
    let json = result.as_ref().map(ToString::to_string);
    let known = [
        (key::EXIT_CODE, exit_code.map(OwnedVariant::from)),
        (key::SIGNAL, signal.map(OwnedVariant::from)),
        (key::MESSAGE, some_text(message.as_deref())),
        (key::RESULT, some_text(json.as_deref())),
        (key::RESULT_ERROR, some_text(result_error.as_deref())),
        (key::PEAK_MEMORY_BYTES, peak_memory_bytes.map(OwnedVariant::from)),
        (key::REFUSALS, (!refusals.is_empty()).then(|| finding_records(refusals))),
        (key::AUTHORISED_USEC, authorised_usec.map(OwnedVariant::from)),
        (key::QUEUED_USEC, queued_usec.map(OwnedVariant::from)),
        (key::ENGINE_USEC, engine_usec.map(OwnedVariant::from)),
        (key::START_USEC, start_usec.map(OwnedVariant::from)),
        (key::START, some_text(start.map(Start::name))),
    ];
    let mut record = fields([
        (key::OUTCOME, text(outcome.name())),
        (key::STDOUT_TRUNCATED, (*stdout_truncated).into()),
        (key::STDERR_TRUNCATED, (*stderr_truncated).into()),
        (key::WALL_USEC, (*wall_usec).into()),
        (key::CPU_USEC, (*cpu_usec).into()),
        (key::CODE_SHA256, text(code_sha256)),
        (key::PROFILE, text(profile)),
        (key::ISOLATION, layers(isolation)),
        (key::MISSING, layers(missing)),
        (key::REQUEST_ID, text(request_id)),
    ]);
    let known = known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    record.extend(known);
    record
}

/// The record for the bus of a reason why a run was refused.
fn finding_fields(finding: &Finding) -> Record {
    let Finding { line, column, rule, message, instead } = finding;
    let mut record = fields([
        (of_finding::LINE, (*line).into()),
        (of_finding::COLUMN, (*column).into()),
        (of_finding::RULE, text(rule.name())),
        (of_finding::MESSAGE, text(message)),
    ]);
    record.extend(instead.as_deref().map(|it| (of_finding::INSTEAD.to_owned(), text(it))));
    record
}

fn finding_records(findings: &[Finding]) -> OwnedVariant {
    let records: Vec<Record> = findings.iter().map(finding_fields).collect();
    // It can only fail to copy a descriptor.
    OwnedVariant::try_from(Variant::from(records)).unwrap_or_else(|_never| texts(&[]))
}

fn finding(record: Record) -> Result<Finding, RecordError> {
    let mut from = Reader(record);
    let rule = from.take::<String>(of_finding::RULE)?;
    Ok(Finding {
        line: from.take(of_finding::LINE)?,
        column: from.take(of_finding::COLUMN)?,
        rule: Rule::from_name(&rule).ok_or(RecordError { key: of_finding::RULE })?,
        message: from.take(of_finding::MESSAGE)?,
        instead: from.known(of_finding::INSTEAD)?,
    })
}

fn layers(layers: &[Layer]) -> OwnedVariant {
    texts(&layers.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// A run's record from the bus.
///
/// # Errors
/// If a value has another type than its key has, or is no word, layer or JSON that there is.
pub fn run(record: Record) -> Result<RunRecord, RecordError> {
    let mut from = Reader(record);
    let outcome = from.take::<String>(key::OUTCOME)?;
    Ok(RunRecord {
        outcome: Outcome::from_name(&outcome).ok_or(RecordError { key: key::OUTCOME })?,
        exit_code: from.known(key::EXIT_CODE)?,
        signal: from.known(key::SIGNAL)?,
        message: from.known(key::MESSAGE)?,
        stdout_truncated: from.take(key::STDOUT_TRUNCATED)?,
        stderr_truncated: from.take(key::STDERR_TRUNCATED)?,
        result: from
            .known::<String>(key::RESULT)?
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|_no_json| RecordError { key: key::RESULT })?,
        result_error: from.known(key::RESULT_ERROR)?,
        wall_usec: from.take(key::WALL_USEC)?,
        times: RunTimes {
            authorised_usec: from.known(key::AUTHORISED_USEC)?,
            queued_usec: from.known(key::QUEUED_USEC)?,
            engine_usec: from.known(key::ENGINE_USEC)?,
            start_usec: from.known(key::START_USEC)?,
        },
        cpu_usec: from.take(key::CPU_USEC)?,
        peak_memory_bytes: from.known(key::PEAK_MEMORY_BYTES)?,
        code_sha256: from.take(key::CODE_SHA256)?,
        profile: from.take(key::PROFILE)?,
        start: from
            .known::<String>(key::START)?
            .map(|word| Start::from_name(&word).ok_or(RecordError { key: key::START }))
            .transpose()?,
        isolation: from.layers(key::ISOLATION)?,
        missing: from.layers(key::MISSING)?,
        refusals: from
            .known::<Vec<Record>>(key::REFUSALS)?
            .unwrap_or_default()
            .into_iter()
            .map(finding)
            .collect::<Result<_, _>>()?,
        request_id: from.take(key::REQUEST_ID)?,
    })
}

impl Reader {
    /// The value of this key, if there is one.
    fn known<T: TryFrom<OwnedVariant>>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, RecordError> {
        let value = self.0.remove(key);
        value.map(T::try_from).transpose().map_err(|_other_type| RecordError { key })
    }

    fn layers(&mut self, key: &'static str) -> Result<Vec<Layer>, RecordError> {
        let words = self.take::<Vec<String>>(key)?;
        words.iter().map(|word| word.parse().map_err(|_unknown| RecordError { key })).collect()
    }
}

/// The record for the bus of a run that has not ended.
#[must_use]
pub fn listed_run_fields(run: &ListedRun) -> Record {
    fields([
        (listed::RUN, text(&run.run)),
        (listed::CALLER_UID, run.caller_uid.into()),
        (listed::STATE, text(&run.state)),
        (listed::RUNTIME, text(&run.runtime)),
        (listed::PROFILE, text(&run.profile)),
        (listed::CODE_SHA256, text(&run.code_sha256)),
        (listed::AGE_USEC, run.age_usec.into()),
    ])
}

/// The record from the bus of a run that has not ended.
///
/// # Errors
/// If a value has another type than its key has.
pub fn listed_run(record: Record) -> Result<ListedRun, RecordError> {
    let mut from = Reader(record);
    Ok(ListedRun {
        run: from.take(listed::RUN)?,
        caller_uid: from.take(listed::CALLER_UID)?,
        state: from.take(listed::STATE)?,
        runtime: from.take(listed::RUNTIME)?,
        profile: from.take(listed::PROFILE)?,
        code_sha256: from.take(listed::CODE_SHA256)?,
        age_usec: from.take(listed::AGE_USEC)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_run() -> RunRecord {
        RunRecord {
            outcome: Outcome::Exited,
            exit_code: Some(0),
            signal: Some(9),
            message: Some("why".to_owned()),
            stdout_truncated: true,
            stderr_truncated: false,
            result: Some(serde_json::json!({ "a": [1, null] })),
            result_error: Some("x".to_owned()),
            wall_usec: 1,
            times: RunTimes {
                authorised_usec: Some(4),
                queued_usec: Some(0),
                engine_usec: Some(5),
                start_usec: Some(6),
            },
            cpu_usec: 2,
            peak_memory_bytes: Some(3),
            code_sha256: "ab".to_owned(),
            profile: "standard".to_owned(),
            start: Some(Start::Warm),
            isolation: vec![Layer::UserNs, Layer::Landlock(7)],
            missing: vec![Layer::Cgroup],
            refusals: vec![
                Finding {
                    line: 1,
                    column: 8,
                    rule: Rule::Import,
                    message: "no os".to_owned(),
                    instead: Some("json".to_owned()),
                },
                Finding::unchecked("no memory"),
            ],
            request_id: "id".to_owned(),
        }
    }

    #[test]
    fn what_goes_onto_the_bus_comes_off_it_and_what_is_unknown_is_left_out() {
        let record = run_fields(&a_run());
        let mut keys: Vec<&str> = record.keys().map(String::as_str).collect();
        let mut all = key::ALL.to_vec();
        keys.sort_unstable();
        all.sort_unstable();
        assert_eq!(keys, all);
        assert_eq!(run(record), Ok(a_run()));
        let little = RunRecord {
            exit_code: None,
            signal: None,
            message: None,
            result: None,
            result_error: None,
            peak_memory_bytes: None,
            refusals: Vec::new(),
            times: RunTimes::default(),
            ..a_run()
        };
        let record = run_fields(&little);
        assert_eq!(record.len(), key::ALL.len() - 11);
        assert_eq!(run(record), Ok(little));
        let queued = ListedRun { run: "r".to_owned(), caller_uid: 7, ..ListedRun::default() };
        let record = listed_run_fields(&queued);
        assert_eq!(record.len(), listed::ALL.len());
        assert_eq!(listed_run(record), Ok(queued));
    }

    #[test]
    fn a_value_that_cannot_be_is_an_error() {
        for (key, value) in [
            (key::OUTCOME, text("splendid")),
            (key::OUTCOME, OwnedVariant::from(1_u32)),
            (key::EXIT_CODE, text("0")),
            (key::RESULT, text("{")),
            (key::ISOLATION, texts(&["magic".to_owned()])),
            (key::REFUSALS, texts(&["os".to_owned()])),
        ] {
            let mut record = run_fields(&a_run());
            record.insert(key.to_owned(), value);
            assert_eq!(run(record), Err(RecordError { key }));
        }
        assert_eq!(run(Record::new()), Err(RecordError { key: key::OUTCOME }));
        let mut record = finding_fields(&Finding::unchecked("no memory"));
        record.insert(of_finding::RULE.to_owned(), text("taste"));
        assert_eq!(finding(record), Err(RecordError { key: of_finding::RULE }));
    }
}
