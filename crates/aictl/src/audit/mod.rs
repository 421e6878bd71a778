//! `aictl audit`: who asked the helper for what, and what came of it.

mod calls;
mod table;

use aictl_api::{
    audit::{BEGUN, CALL, Decision, Outcome, RAN},
    authorisation::{AuditField, Interface},
    document::audit as document,
    exit, run,
};
use aictl_core::journal::read::{AuditLine, AuditQuery, JournalReader, ReadError};

use crate::{
    args::{Global, services::Audit},
    logs, message,
    runtime::{self, Stopped},
    table::Look,
    time::Moment,
    users::Users,
};
use calls::{Call, Calls, Filter, Kind, Run, RunEnd};

/// The most records that there are of one call, with those of a helper that is started for it
/// alone: its start, its configuration, the call's begin and end, its own end; or, of a run, its
/// call, its end, the wait for that.
const RECORDS_PER_CALL: u32 = 6;

/// Runs the command; returns the exit code.
pub fn main(global: &Global, args: &Audit) -> u8 {
    let users = Users::of_this_machine();
    let caller_uid = match args.caller.as_deref().map(|word| (word, users.uid(word))) {
        None => None,
        Some((_, Some(uid))) => Some(uid),
        Some((word, None)) => {
            let text = format!("there is no user {word} on this machine: name one, or a number");
            return message::fail(global, exit::USAGE, &text);
        }
    };
    let filter = Filter { service: args.service.clone(), caller_uid, wanted: args.outcome };
    let all = filter == Filter::default() && args.since.is_none();
    let calls = match runtime::run(read(&JournalReader::default(), args, filter, !global.json)) {
        Ok(Ok(calls)) => calls,
        Ok(Err(error)) => return message::fail(global, exit_code(&error), &error.to_string()),
        Err(stopped @ Stopped::Signal(_)) => return stopped.exit_code(),
        Err(stopped) => return message::fail(global, stopped.exit_code(), &stopped.to_string()),
    };
    if calls.is_empty() && !logs::is_there_a_journal() {
        return message::fail(global, exit::INTERNAL, logs::NO_JOURNAL);
    }
    let printed = if global.json {
        let name = |call: &Call| call.caller_uid.map(|uid| users.name(uid));
        let calls = calls.iter().map(|call| call.entry(name(call))).collect();
        message::print_json(&document::Audit { calls })
    } else if calls.is_empty() {
        message::note(
            global,
            match all {
                true => "the journal holds no call to the helper",
                false => "there is no such call in the journal",
            },
        );
        Ok(())
    } else {
        message::print(&table::table(&calls, &users, Look::of_stdout(global)))
    };
    match printed {
        Ok(()) => exit::OK,
        Err(error) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
    }
}

fn exit_code(error: &ReadError) -> u8 {
    match error {
        ReadError::NotAllowed => exit::REFUSED,
        ReadError::TimedOut(_) => exit::TIMED_OUT,
        _ => exit::INTERNAL,
    }
}

async fn read(
    journal: &JournalReader,
    args: &Audit,
    filter: Filter,
    without_waits: bool,
) -> Result<Vec<Call>, ReadError> {
    // What is looked for may be far back.
    let all = filter != Filter::default();
    let query = AuditQuery {
        records: (!all).then(|| args.lines.saturating_mul(RECORDS_PER_CALL)),
        since_usec: args.since.map(Moment::micros),
    };
    let most = usize::try_from(args.lines).unwrap_or(usize::MAX);
    let mut calls = Calls::new(filter, most, without_waits);
    let mut records = journal.audit(&query)?;
    while let Some(record) = records.next().await? {
        if let Some((kind, record)) = call(&record) {
            calls.take(kind, record);
        }
    }
    Ok(calls.finish())
}

/// What a record says of a call; `None` if it is about something else.
fn call(record: &AuditLine) -> Option<(Kind, Call)> {
    let kind = match record.message_id.as_str() {
        CALL => Kind::Ended,
        BEGUN => Kind::Begun,
        RAN => Kind::Ran,
        _ => return None,
    };
    // Only one call begins runs, and the record of a run's end does not name it.
    let begins_runs = || format!("{}.Run", Interface::Sandbox.name());
    let call = Call {
        time: Moment::from_micros(record.time_usec),
        request_id: text(record, AuditField::RequestId),
        method: text(record, AuditField::Method).or_else(|| (kind == Kind::Ran).then(begins_runs)),
        caller_uid: number(record, AuditField::CallerUid),
        caller_pid: number(record, AuditField::CallerPid),
        caller_unit: text(record, AuditField::CallerUnit),
        service: text(record, AuditField::Service),
        unit: text(record, AuditField::Unit),
        verb: text(record, AuditField::Verb),
        decision: record.get(AuditField::Decision).and_then(Decision::from_name),
        outcome: record.get(AuditField::Result).and_then(Outcome::from_name),
        error: text(record, AuditField::Error),
        duration_usec: number(record, AuditField::DurationUsec),
        count: number(record, AuditField::Count),
        finished: kind != Kind::Begun,
        about_run: text(record, AuditField::Run),
        run: run(record, kind),
    };
    Some((
        kind,
        match kind {
            // What it says of an end is the run's.
            Kind::Ran => Call { outcome: None, error: None, duration_usec: None, ..call },
            Kind::Begun | Kind::Ended => call,
        },
    ))
}

/// What a record says of a run; `None` if it is about something else.
fn run(record: &AuditLine, kind: Kind) -> Option<Run> {
    let code_sha256 = text(record, AuditField::CodeSha256)?;
    let end = || RunEnd {
        result: record.get(AuditField::Result).and_then(Outcome::from_name),
        outcome: record.get(AuditField::Outcome).and_then(run::Outcome::from_name),
        exit_code: number(record, AuditField::ExitCode),
        error: text(record, AuditField::Error),
        duration_usec: number(record, AuditField::DurationUsec),
        cpu_usec: number(record, AuditField::CpuUsec),
        peak_memory: number(record, AuditField::PeakMemory),
    };
    Some(Run {
        code_sha256: Some(code_sha256),
        code_bytes: number(record, AuditField::CodeBytes),
        profile: text(record, AuditField::Profile),
        arguments: number(record, AuditField::ArgumentCount),
        end: (kind == Kind::Ran).then(end),
    })
}

fn text(record: &AuditLine, field: AuditField) -> Option<String> {
    record.get(field).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn number<T: std::str::FromStr>(record: &AuditLine, field: AuditField) -> Option<T> {
    record.get(field)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn records_become_calls() {
        let record = |id: &str, kind: &str, second: u64, more: serde_json::Value| {
            let mut record = json!({
                "__REALTIME_TIMESTAMP": (second * 1_000_000).to_string(), "MESSAGE_ID": kind,
                "AICTL_REQUEST_ID": id, "AICTL_METHOD": "org.aictl1.Services.Stop",
                "AICTL_CALLER_UID": "1000", "AICTL_CALLER_PID": "42", "AICTL_SERVICE": "ollama",
                "AICTL_VERB": "stop", "AICTL_DECISION": "allowed", "AICTL_ERROR": "",
            });
            record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            record.to_string()
        };
        let done = json!({ "AICTL_RESULT": "done", "AICTL_DURATION_USEC": "1500" });
        let accepted = json!({
            "AICTL_METHOD": "org.aictl1.Sandbox.Run", "AICTL_RESULT": "done",
            "AICTL_CODE_SHA256": "ab", "AICTL_CODE_BYTES": "12", "AICTL_PROFILE": "standard",
            "AICTL_ARGUMENT_COUNT": "2", "AICTL_DURATION_USEC": "900", "AICTL_SERVICE": "",
        });
        let ran = json!({
            "AICTL_METHOD": null, "AICTL_DECISION": null, "AICTL_RESULT": "done",
            "AICTL_CODE_SHA256": "ab", "AICTL_CODE_BYTES": "12", "AICTL_PROFILE": "standard",
            "AICTL_OUTCOME": "exited", "AICTL_EXIT_CODE": "3", "AICTL_CPU_USEC": "400",
            "AICTL_PEAK_MEMORY": "", "AICTL_DURATION_USEC": "2000",
        });
        let records = [
            record("a", BEGUN, 1, json!({})),
            record("b", BEGUN, 2, json!({})),
            record("a", CALL, 3, done),
            record("c", aictl_api::audit::STARTED, 4, json!({})),
            record("d", CALL, 5, json!({ "AICTL_CALLER_UID": "-1", "AICTL_DECISION": "odd" })),
            record("e", CALL, 6, accepted),
            record(
                "f",
                CALL,
                7,
                json!({ "AICTL_METHOD": "org.aictl1.Sandbox.Wait", "AICTL_RUN": "e" }),
            ),
            record("e", RAN, 8, ran),
        ];
        let path = std::env::temp_dir().join(format!("aictl-audit-{}", std::process::id()));
        aictl_fakes::shell_script(&path, &format!("cat <<'END'\n{}\nEND", records.join("\n")));
        let args = Audit { since: None, lines: 10, service: None, caller: None, outcome: None };
        let journal = JournalReader::with_program(&path);
        let calls = runtime::run(read(&journal, &args, Filter::default(), true)).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let brief = |call: &Call| {
            let id = call.request_id.clone().unwrap();
            (id, call.time.micros() / 1_000_000, call.outcome, call.finished, call.caller_uid)
        };
        let expected = [
            ("a".to_owned(), 1, Some(Outcome::Done), true, Some(1000)),
            ("b".to_owned(), 2, None, false, Some(1000)),
            ("d".to_owned(), 5, None, true, None),
            ("e".to_owned(), 6, Some(Outcome::Done), true, Some(1000)),
        ];
        assert_eq!(calls.iter().map(brief).collect::<Vec<_>>(), expected);
        assert_eq!((calls[0].duration_usec, calls[0].error.as_deref()), (Some(1500), None));
        let entry = serde_json::to_value(calls[3].entry(None)).unwrap();
        assert_eq!((&entry["duration_usec"], &entry["about_run"]), (&json!(900), &json!(null)));
        let run = json!({
            "code_sha256": "ab", "code_bytes": 12, "profile": "standard", "arguments": 2,
            "finished": true, "outcome": "exited", "exit_code": 3, "error": null,
            "duration_usec": 2000, "cpu_usec": 400, "peak_memory_bytes": null,
        });
        assert_eq!(entry["run"], run);
        assert_eq!(serde_json::to_value(calls[0].entry(None)).unwrap()["run"], json!(null));
    }
}
