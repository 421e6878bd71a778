//! The records of the journal: one for each call, whatever came of it, and one before a call
//! changes anything. Each is made of typed values; uid and pid are the bus's.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aictl_api::{
    audit::{Decision, Outcome},
    authorisation::{AuditField, Verb},
    error::CallError,
    run,
    service::UnitName,
};
use aictl_core::journal::send::Priority;

use crate::{
    answer::{Answer, Refusal},
    runs::{Code, Ended},
};

/// The most users whose refused calls are summed up at one time.
const MAX_FLOODS: usize = 1024;
/// How often at most there is a record of one user's calls over a limit.
pub const FLOOD_INTERVAL: Duration = Duration::from_secs(1);

/// A record that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its kind: one of `aictl_api::audit`.
    pub message_id: &'static str,
    /// Its severity.
    pub priority: Priority,
    /// One line for people.
    pub message: String,
    /// Its fields with their values.
    pub fields: Vec<(AuditField, String)>,
    /// How many calls it stands for, where it is more than one.
    pub calls: Option<u64>,
}

/// What is known of a call, and becomes more as it goes through the gate.
#[derive(Debug, Clone)]
pub struct Trail {
    /// The call's identifier.
    pub request_id: String,
    /// Interface and member.
    pub method: String,
    /// The caller's user, as the bus tells it; `None` if it did not.
    pub uid: Option<u32>,
    /// The caller's process, as the bus tells it.
    pub pid: Option<u32>,
    /// The service as the caller names it.
    pub service: Option<String>,
    /// The unit of the service, which the catalogue alone knows.
    pub unit: Option<UnitName>,
    /// What is to be done to it.
    pub verb: Option<Verb>,
    /// The run that is asked about.
    pub run: Option<String>,
    /// The script that is to be run.
    pub code: Option<Code>,
    /// When the call came.
    pub came: Instant,
    /// Whether everything allowed it.
    pub allowed: bool,
    /// Whether the record before a change is written.
    pub begun: bool,
    /// What came of it, where an answer does not say that.
    pub outcome: Option<Outcome>,
}

impl Trail {
    /// A call that has just come.
    #[must_use]
    pub fn new(request_id: String, method: String, came: Instant) -> Self {
        Self {
            request_id,
            method,
            uid: None,
            pid: None,
            service: None,
            unit: None,
            verb: None,
            run: None,
            code: None,
            came,
            allowed: false,
            begun: false,
            outcome: None,
        }
    }

    /// The record before a change.
    #[must_use]
    pub fn begun(&self, caller_unit: &str) -> Record {
        let mut fields = self.fields(caller_unit);
        fields.push((AuditField::Decision, Decision::Allowed.name().to_owned()));
        Record {
            message_id: aictl_api::audit::BEGUN,
            priority: Priority::Notice,
            message: format!("{} begins", self.words()),
            fields,
            calls: None,
        }
    }

    /// The record of the call's end.
    #[must_use]
    pub fn ended(&self, end: &End<'_>, caller_unit: &str, now: Instant) -> Record {
        let (decision, outcome) = self.judge(end);
        let error = match end {
            End::Answered(Err(refusal)) => refusal.dbus_name(),
            End::Answered(Ok(_)) | End::Cancelled => "",
        };
        let duration = now.saturating_duration_since(self.came).as_micros();
        let mut fields = self.fields(caller_unit);
        fields.extend([
            (AuditField::Decision, decision.name().to_owned()),
            (AuditField::Result, outcome.name().to_owned()),
            (AuditField::Error, error.to_owned()),
            (AuditField::DurationUsec, duration.to_string()),
        ]);
        let priority = match (decision, self.verb) {
            (Decision::Allowed, None) => Priority::Info,
            (Decision::Allowed, Some(_)) => Priority::Notice,
            (Decision::Denied | Decision::Invalid | Decision::Limited, _) => Priority::Warning,
        };
        Record {
            message_id: aictl_api::audit::CALL,
            priority,
            message: format!("{}: {}, {}", self.words(), decision.name(), outcome.name()),
            fields,
            calls: None,
        }
    }

    /// The decision that was made, and what came of it.
    fn judge(&self, end: &End<'_>) -> (Decision, Outcome) {
        let refusal = match end {
            End::Cancelled if self.allowed => return (Decision::Allowed, Outcome::Cancelled),
            End::Cancelled => return (Decision::Denied, Outcome::Cancelled),
            End::Answered(Ok(_)) => {
                return (Decision::Allowed, self.outcome.unwrap_or(Outcome::Done));
            }
            End::Answered(Err(refusal)) => refusal,
        };
        let decision = match refusal {
            Refusal::Call(CallError::LimitExceeded { .. }) => Decision::Limited,
            Refusal::Call(CallError::InvalidArgument(_)) | Refusal::Standard(_) => {
                Decision::Invalid
            }
            Refusal::Call(_) if self.allowed => Decision::Allowed,
            Refusal::Call(_) => Decision::Denied,
        };
        let outcome = match refusal {
            Refusal::Call(CallError::TimedOut(_)) => Outcome::TimedOut,
            _ if decision == Decision::Allowed => Outcome::Failed,
            _ => Outcome::Refused,
        };
        (decision, outcome)
    }

    fn fields(&self, caller_unit: &str) -> Vec<(AuditField, String)> {
        let number = |number: Option<u32>| number.map_or_else(String::new, |n| n.to_string());
        let mut fields = vec![
            (AuditField::RequestId, self.request_id.clone()),
            (AuditField::Method, self.method.clone()),
            (AuditField::CallerUid, number(self.uid)),
            (AuditField::CallerPid, number(self.pid)),
            (AuditField::CallerUnit, caller_unit.to_owned()),
        ];
        if let Some(service) = &self.service {
            fields.push((AuditField::Service, visible(service)));
        }
        if let Some(unit) = &self.unit {
            fields.push((AuditField::Unit, unit.to_string()));
        }
        if let Some(verb) = self.verb {
            fields.push((AuditField::Verb, verb.name().to_owned()));
        }
        if let Some(run) = &self.run {
            fields.push((AuditField::Run, visible(run)));
        }
        if let Some(code) = &self.code {
            fields.extend([
                (AuditField::CodeSha256, code.sha256.clone()),
                (AuditField::CodeBytes, code.bytes.to_string()),
                (AuditField::Profile, code.profile.to_owned()),
                (AuditField::ArgumentCount, code.arguments.to_string()),
            ]);
        }
        fields
    }

    fn words(&self) -> String {
        let who = self.uid.map_or_else(|| "somebody".to_owned(), |uid| format!("user {uid}"));
        match &self.service {
            Some(service) => format!("{} of {} by {who}", self.method, visible(service)),
            None => format!("{} by {who}", self.method),
        }
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran<'a> {
    /// The call that began it.
    pub request_id: &'a str,
    /// Its caller's user.
    pub uid: u32,
    /// Its caller's process, as the bus tells it.
    pub pid: Option<u32>,
    /// The unit that its caller runs in.
    pub caller_unit: &'a str,
    /// Its script.
    pub code: &'a Code,
    /// What it came to.
    pub ended: &'a Ended,
    /// How long ago it was accepted.
    pub duration: Duration,
}

/// The record of a run's end.
#[must_use]
pub fn ran(ran: &Ran<'_>) -> Record {
    let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
    let Ran { request_id, uid, pid, caller_unit, code, ended, duration } = ran;
    let record = ended.as_ref().ok();
    let (result, word) = match record.map(|record| record.outcome) {
        Some(run::Outcome::Cancelled) => (Outcome::Cancelled, run::Outcome::Cancelled.name()),
        Some(run::Outcome::Refused) => (Outcome::Refused, run::Outcome::Refused.name()),
        Some(outcome) => (Outcome::Done, outcome.name()),
        None => (Outcome::Failed, ""),
    };
    let error = ended.as_ref().err().map_or("", CallError::dbus_name);
    let exit_code = record.and_then(|record| record.exit_code);
    let fields = vec![
        (AuditField::RequestId, (*request_id).to_owned()),
        (AuditField::CallerUid, uid.to_string()),
        (AuditField::CallerPid, number(pid.map(u64::from))),
        (AuditField::CallerUnit, (*caller_unit).to_owned()),
        (AuditField::CodeSha256, code.sha256.clone()),
        (AuditField::CodeBytes, code.bytes.to_string()),
        (AuditField::Profile, code.profile.to_owned()),
        (AuditField::Result, result.name().to_owned()),
        (AuditField::Error, error.to_owned()),
        (AuditField::Outcome, word.to_owned()),
        (AuditField::ExitCode, exit_code.map_or_else(String::new, |code| code.to_string())),
        (AuditField::CpuUsec, number(record.map(|record| record.cpu_usec))),
        (AuditField::PeakMemory, number(record.and_then(|record| record.peak_memory_bytes))),
        (AuditField::DurationUsec, duration.as_micros().to_string()),
    ];
    let how = if word.is_empty() { result.name() } else { word };
    Record {
        message_id: aictl_api::audit::RAN,
        priority: Priority::Info,
        message: format!("the script of user {uid} has ended: {how}"),
        fields,
        calls: None,
    }
}

/// The record of calls that were refused before it was known whose they are, nor what they call.
#[must_use]
pub fn unknown(request_id: String, calls: u64) -> Record {
    let trail = Trail::new(request_id, "unknown".to_owned(), Instant::now());
    let over = CallError::LimitExceeded { message: String::new(), retry_after: Duration::ZERO };
    let refused = Err(Refusal::Call(over));
    summed(trail.ended(&End::Answered(&refused), "", trail.came), calls)
}

/// How a call ends.
#[derive(Debug)]
pub enum End<'a> {
    /// With this answer.
    Answered(&'a Result<Answer, Refusal>),
    /// The caller went away.
    Cancelled,
}

/// A text of the caller's as it stands in a record: one line that can be read, and no longer
/// than a name that is looked at.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(crate::call::MAX_NAME) {
        match c {
            ' '..='~' => shown.push(c),
            c => shown.extend(c.escape_unicode()),
        }
    }
    shown
}

/// The record of a start.
#[must_use]
pub fn started(version: &str) -> Record {
    plain(aictl_api::audit::STARTED, Priority::Notice, format!("aictld {version} has started"))
}

/// The record of an end.
#[must_use]
pub fn stopped() -> Record {
    plain(aictl_api::audit::STOPPED, Priority::Notice, "aictld has ended".to_owned())
}

/// The record of a configuration that was read: that it is in force, or what is wrong with it.
#[must_use]
pub fn config(problem: Option<&str>, generation: u32) -> Record {
    let (priority, message) = match problem {
        None => (Priority::Notice, format!("configuration {generation} is in force")),
        Some(problem) if generation == 0 => (
            Priority::Error,
            format!("the configuration is refused, and no service is offered: {problem}"),
        ),
        Some(problem) => (
            Priority::Error,
            format!("the configuration is refused, and the old one stays in force: {problem}"),
        ),
    };
    plain(aictl_api::audit::CONFIG, priority, message)
}

fn plain(message_id: &'static str, priority: Priority, message: String) -> Record {
    Record { message_id, priority, message, fields: Vec::new(), calls: None }
}

/// Sums up the calls of each user that are over a limit, so that a flood of calls is no flood of
/// records: the first is recorded at once, those that follow within [`FLOOD_INTERVAL`] together.
#[derive(Debug, Default)]
pub struct Floods(HashMap<u32, Flood>);

#[derive(Debug)]
struct Flood {
    /// When the last record was made.
    recorded: Instant,
    /// The calls since.
    calls: u64,
    /// The last of them.
    last: Option<Record>,
}

/// What is to be told of a user's calls over a limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Due {
    uid: u32,
    calls: u64,
    /// The last of them.
    last: Record,
}

impl Due {
    /// One record for all of them.
    #[must_use]
    pub fn record(&self) -> Record {
        summed(self.last.clone(), self.calls)
    }
}

impl Floods {
    /// Takes note of calls over a limit; returns what is to be told now.
    pub fn note(&mut self, uid: u32, calls: u64, record: Record, now: Instant) -> Option<Due> {
        let room = self.0.len() < MAX_FLOODS;
        match self.0.get_mut(&uid) {
            Some(flood) if now.saturating_duration_since(flood.recorded) < FLOOD_INTERVAL => {
                flood.calls = flood.calls.saturating_add(calls);
                flood.last = Some(record);
                None
            }
            Some(flood) => {
                let calls = flood.calls.saturating_add(calls);
                *flood = Flood { recorded: now, calls: 0, last: None };
                Some(Due { uid, calls, last: record })
            }
            None => {
                if room {
                    self.0.insert(uid, Flood { recorded: now, calls: 0, last: None });
                }
                Some(Due { uid, calls, last: record })
            }
        }
    }

    /// What could not be told is told with what comes next; gives back for how many calls there is no
    /// room.
    pub fn tell_later(&mut self, due: Due) -> u64 {
        match self.0.get_mut(&due.uid) {
            Some(flood) => {
                flood.calls = flood.calls.saturating_add(due.calls);
                flood.last.get_or_insert(due.last);
                0
            }
            None => due.calls,
        }
    }

    /// What is to be told of floods whose interval is over; what has nothing to tell is forgotten.
    pub fn due(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        self.0.retain(|&uid, flood| {
            if now.saturating_duration_since(flood.recorded) < FLOOD_INTERVAL {
                return true;
            }
            let calls = std::mem::take(&mut flood.calls);
            flood.recorded = now;
            match flood.last.take() {
                Some(last) => {
                    due.push(Due { uid, calls, last });
                    true
                }
                None => false,
            }
        });
        due
    }

    /// Whether there is something that a later record must tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left to tell, at the end.
    pub fn rest(&mut self) -> Vec<Due> {
        let floods = std::mem::take(&mut self.0);
        floods
            .into_iter()
            .filter_map(|(uid, Flood { calls, last, .. })| Some(Due { uid, calls, last: last? }))
            .collect()
    }
}

fn summed(record: Record, calls: u64) -> Record {
    if calls <= 1 {
        return record;
    }
    let message = format!("{} ({calls} calls)", record.message);
    Record { message, calls: Some(calls), ..record }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standard::StandardError;

    fn trail() -> Trail {
        let method = "org.aictl1.Services.Restart".to_owned();
        Trail {
            uid: Some(1000),
            pid: Some(42),
            verb: Some(Verb::Restart),
            ..Trail::new("id".to_owned(), method, Instant::now())
        }
    }

    fn value(record: &Record, field: AuditField) -> Option<&str> {
        record.fields.iter().find(|(f, _)| *f == field).map(|(_, value)| value.as_str())
    }

    #[test]
    fn every_end_has_its_decision_and_result() {
        use CallError as E;
        let words = || "why".to_owned();
        let limited = E::limit_exceeded("x", Duration::from_secs(1));
        let error = |error: CallError| Err(Refusal::Call(error));
        let table: Vec<(bool, Result<Answer, Refusal>, &str, &str)> = vec![
            (true, Ok(Answer::Nothing), "allowed", "done"),
            (true, error(E::Failed(words())), "allowed", "failed"),
            (true, error(E::TimedOut(words())), "allowed", "timed-out"),
            (true, error(E::Unavailable(words())), "allowed", "failed"),
            (false, error(E::Unavailable(words())), "denied", "refused"),
            (false, error(E::NotAuthorized(words())), "denied", "refused"),
            (false, error(E::InteractiveAuthorizationRequired(words())), "denied", "refused"),
            (false, error(E::AuthorizationUnavailable(words())), "denied", "refused"),
            (false, error(E::no_such_service()), "denied", "refused"),
            (false, error(E::ActionNotAllowed(words())), "denied", "refused"),
            (false, error(E::Refused(words())), "denied", "refused"),
            (false, error(E::InvalidArgument(words())), "invalid", "refused"),
            (false, error(limited), "limited", "refused"),
            (false, Err(Refusal::Standard(StandardError::UnknownMethod)), "invalid", "refused"),
        ];
        for (allowed, outcome, decision, result) in table {
            let trail = Trail { allowed, ..trail() };
            let record = trail.ended(&End::Answered(&outcome), "x.service", Instant::now());
            assert_eq!(value(&record, AuditField::Decision), Some(decision), "{outcome:?}");
            assert_eq!(value(&record, AuditField::Result), Some(result), "{outcome:?}");
            let error = outcome.as_ref().err().map_or("", |refusal| refusal.dbus_name());
            assert_eq!(value(&record, AuditField::Error), Some(error));
            // Every record has every field that every record must have.
            for field in AuditField::OF_EVERY_CALL {
                assert!(value(&record, field).is_some(), "{field:?}");
            }
        }
        for (allowed, decision) in [(true, "allowed"), (false, "denied")] {
            let record = Trail { allowed, ..trail() }.ended(&End::Cancelled, "", Instant::now());
            assert_eq!(value(&record, AuditField::Decision), Some(decision));
            assert_eq!(value(&record, AuditField::Result), Some("cancelled"));
        }
    }

    #[test]
    fn nothing_that_a_caller_sends_becomes_more_than_a_value() {
        let forged = "x\n_UID=0\nPRIORITY=0\u{1b}[2J\u{202e}\u{0}é";
        let trail = Trail { service: Some(forged.to_owned()), ..trail() };
        let record = trail.ended(&End::Cancelled, "", Instant::now());
        let service = value(&record, AuditField::Service).unwrap();
        assert_eq!(service, "x\\u{a}_UID=0\\u{a}PRIORITY=0\\u{1b}[2J\\u{202e}\\u{0}\\u{e9}");
        assert!(!record.message.contains(char::is_control), "{}", record.message);
        let huge = Trail { service: Some("x".repeat(1 << 20)), ..trail };
        assert_eq!(value(&huge.begun(""), AuditField::Service).unwrap().len(), 256);
    }

    #[test]
    fn a_flood_of_calls_is_no_flood_of_records() {
        let mut floods = Floods::default();
        let start = Instant::now();
        let record = || trail().ended(&End::Cancelled, "", start);
        let calls = |due: Due| due.record().calls;
        assert_eq!(calls(floods.note(1000, 1, record(), start).unwrap()), None);
        for _ in 0..9 {
            assert_eq!(floods.note(1000, 1, record(), start), None);
        }
        // Another user's is told at once.
        assert!(floods.note(1001, 1, record(), start).is_some());
        assert_eq!(floods.due(start), []);
        let later = start + FLOOD_INTERVAL;
        let due = floods.due(later);
        let due: Vec<_> = due.iter().map(Due::record).collect();
        assert_eq!(due.iter().map(|record| record.calls).collect::<Vec<_>>(), [Some(9)]);
        assert!(due[0].message.ends_with(" (9 calls)"), "{}", due[0].message);
        assert_eq!(floods.note(1000, 2, record(), later), None);
        assert_eq!(calls(floods.note(1000, 3, record(), later + FLOOD_INTERVAL).unwrap()), Some(5));
        assert_eq!(floods.rest(), []);
        // What has nothing more to tell is forgotten.
        let mut floods = Floods::default();
        assert!(floods.note(7, 1, record(), start).is_some());
        assert_eq!(floods.due(later), []);
        assert!(floods.is_empty());
    }

    #[test]
    fn what_is_summed_up_at_the_end_is_told_too() {
        let mut floods = Floods::default();
        let now = Instant::now();
        let record = || trail().ended(&End::Cancelled, "", now);
        assert!(floods.note(1, 1, record(), now).is_some());
        assert!(floods.note(1, 4, record(), now).is_none());
        assert_eq!(floods.rest()[0].record().calls, Some(4));
    }

    #[test]
    fn what_the_journal_does_not_take_is_told_with_the_next() {
        let mut floods = Floods::default();
        let start = Instant::now();
        let record = || trail().ended(&End::Cancelled, "", start);
        let first = floods.note(1, 1, record(), start).unwrap();
        assert_eq!(floods.tell_later(first), 0);
        let later = start + FLOOD_INTERVAL;
        let due = floods.due(later).remove(0);
        assert_eq!(due.record().calls, None);
        assert_eq!(floods.tell_later(due), 0);
        assert_eq!(floods.note(1, 4, record(), later), None);
        let due = floods.due(later + FLOOD_INTERVAL).remove(0);
        assert!(due.record().message.ends_with(" (5 calls)"), "{due:?}");
        assert_eq!(floods.due(later + 2 * FLOOD_INTERVAL), []);
        // Its user is forgotten by now.
        assert_eq!(floods.tell_later(due), 5);
    }
}
