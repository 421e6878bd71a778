//! Calls of the helper, put together from the records of their begin and their end, and of the end
//! of the run that they began.

use std::collections::{HashMap, VecDeque};

use aictl_api::{
    audit::{Decision, Outcome},
    document::audit as document,
    run,
};

use crate::{args::services::Wanted, time::Moment};

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call that is about to be done.
    Begun,
    /// A call that has ended.
    Ended,
    /// The end of the run that a call began: it has the identifier of that call.
    Ran,
}

/// One call. What no record says is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// When its first record was written.
    pub time: Moment,
    /// The identifier of the call.
    pub request_id: Option<String>,
    /// Interface and member.
    pub method: Option<String>,
    /// Who called.
    pub caller_uid: Option<u32>,
    /// From which process.
    pub caller_pid: Option<u32>,
    /// In which unit of systemd.
    pub caller_unit: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
    /// What was to be done.
    pub verb: Option<String>,
    /// Whether it was allowed.
    pub decision: Option<Decision>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// The name of the error that the caller was given.
    pub error: Option<String>,
    /// How long it took, in microseconds.
    pub duration_usec: Option<u64>,
    /// How many calls the record stands for, of those that came too fast for one each.
    pub count: Option<u64>,
    /// Whether there is a record of its end.
    pub finished: bool,
    /// The run that it asks about.
    pub about_run: Option<String>,
    /// The run that it begins.
    pub run: Option<Run>,
}

/// A run of a script. What no record says is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// SHA-256 of the script.
    pub code_sha256: Option<String>,
    /// Its size.
    pub code_bytes: Option<u64>,
    /// How strictly it is isolated.
    pub profile: Option<String>,
    /// How many arguments the script has.
    pub arguments: Option<u64>,
    /// Its end; `None` if there is no record of it.
    pub end: Option<RunEnd>,
}

/// The end of a run. What the record does not say is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// What came of it.
    pub result: Option<Outcome>,
    /// How it ended.
    pub outcome: Option<run::Outcome>,
    /// The script's exit code.
    pub exit_code: Option<i32>,
    /// The name of the error that there was instead.
    pub error: Option<String>,
    /// How long it took, in microseconds.
    pub duration_usec: Option<u64>,
    /// CPU time, in microseconds.
    pub cpu_usec: Option<u64>,
    /// The most memory, in bytes.
    pub peak_memory: Option<u64>,
}

/// Which calls are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those about this service.
    pub service: Option<String>,
    /// Those of this user.
    pub caller_uid: Option<u32>,
    /// Those that ended so.
    pub wanted: Option<Wanted>,
}

impl Filter {
    fn admits(&self, call: &Call) -> bool {
        let service = self.service.is_none() || self.service == call.service;
        let caller = self.caller_uid.is_none() || self.caller_uid == call.caller_uid;
        let wanted = self.wanted.is_none_or(|wanted| call.is(wanted));
        service && caller && wanted
    }
}

/// The last calls that are wanted, from records in the order of time.
#[derive(Debug)]
pub struct Calls {
    filter: Filter,
    most: usize,
    /// Whether calls that do no more than wait for a run's end are left out: the run's own call
    /// tells of that.
    without_waits: bool,
    /// Calls that were begun, or whose run was, by their identifier, with where they stand in that
    /// order.
    open: HashMap<String, (u64, Call)>,
    /// Calls that have ended and are wanted.
    ended: VecDeque<(u64, Call)>,
    next: u64,
}

impl Calls {
    /// No calls yet; the last `most` are kept.
    #[must_use]
    pub fn new(filter: Filter, most: usize, without_waits: bool) -> Self {
        let (open, ended) = (HashMap::new(), VecDeque::new());
        Self { filter, most, without_waits, open, ended, next: 0 }
    }

    /// Takes a record.
    pub fn take(&mut self, kind: Kind, record: Call) {
        if self.without_waits && record.only_waits() {
            return;
        }
        let open = record.request_id.as_ref().and_then(|id| self.open.remove(id));
        let at = open.as_ref().map_or(self.next, |(at, _)| *at);
        self.next += 1;
        let call = match (kind, open) {
            (Kind::Ran, Some((_, call))) => call.ran(record),
            // The end says all that the begin did, but for when it was.
            (Kind::Ended, Some((_, begun))) => Call { time: begun.time, ..record },
            (Kind::Begun, Some(_)) | (_, None) => record,
        };
        match &call.request_id {
            Some(id) if call.is_open() => {
                self.open.insert(id.clone(), (at, call));
            }
            _ => {
                if self.filter.admits(&call) {
                    self.ended.push_back((at, call));
                    // Twice as many as are wanted, for they are not in the order of their begin.
                    if self.ended.len() > self.most.saturating_mul(2).max(64) {
                        self.cut();
                    }
                }
            }
        }
    }

    /// Forgets the oldest of the ended calls, of which there are more than are wanted.
    fn cut(&mut self) {
        self.ended.make_contiguous().sort_by_key(|(at, _)| *at);
        let surplus = self.ended.len().saturating_sub(self.most);
        self.ended.drain(..surplus);
    }

    /// The calls in the order of their begin.
    #[must_use]
    pub fn finish(mut self) -> Vec<Call> {
        let filter = &self.filter;
        let open = self.open.into_values().filter(|(_, call)| filter.admits(call));
        self.ended.extend(open);
        let mut calls: Vec<_> = self.ended.into();
        calls.sort_by_key(|(at, _)| *at);
        let surplus = calls.len().saturating_sub(self.most);
        calls.drain(..surplus);
        calls.into_iter().map(|(_, call)| call).collect()
    }
}

impl Call {
    /// Whether it, or the run that it began, has no end yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.finished || self.open_run().is_some()
    }

    /// The run that it began, which has not ended.
    fn open_run(&self) -> Option<&Run> {
        let accepted =
            (self.decision, self.outcome) == (Some(Decision::Allowed), Some(Outcome::Done));
        self.run.as_ref().filter(|run| accepted && run.end.is_none())
    }

    /// The end of its run.
    #[must_use]
    pub fn run_end(&self) -> Option<&RunEnd> {
        self.run.as_ref()?.end.as_ref()
    }

    /// Whether it is nothing but a wait for the end of a run, that was let.
    fn only_waits(&self) -> bool {
        let waits = self.method.as_deref().is_some_and(|method| method.ends_with(".Wait"));
        waits && self.about_run.is_some() && self.decision == Some(Decision::Allowed)
    }

    /// The call with the end of its run, as the record of that has it.
    fn ran(self, record: Self) -> Self {
        let end = record.run.and_then(|run| run.end);
        let run = self.run.map(|run| Run { end, ..run });
        Self { run, ..self }
    }

    /// Whether it was decided so, or it or its run ended so.
    fn is(&self, wanted: Wanted) -> bool {
        match (wanted, self.run_end()) {
            (Wanted::Decision(decision), _) => self.decision == Some(decision),
            (Wanted::Unfinished, _) => self.is_open(),
            _ if self.is_open() => false,
            (Wanted::Outcome(outcome), None) => self.outcome == Some(outcome),
            (Wanted::Outcome(outcome), Some(end)) => {
                let its = end.outcome.map(run::Outcome::name);
                end.result == Some(outcome) || its == Some(outcome.name())
            }
            (Wanted::Run(outcome), end) => end.is_some_and(|end| end.outcome == Some(outcome)),
        }
    }

    /// The call as an entry of the document, with the name of who called.
    #[must_use]
    pub fn entry(&self, caller: Option<String>) -> document::Call<'_> {
        document::Call {
            time: self.time.iso(),
            request_id: self.request_id.as_deref(),
            method: self.method.as_deref(),
            caller_uid: self.caller_uid,
            caller,
            caller_pid: self.caller_pid,
            caller_unit: self.caller_unit.as_deref(),
            service: self.service.as_deref(),
            unit: self.unit.as_deref(),
            verb: self.verb.as_deref(),
            decision: self.decision,
            result: self.outcome,
            error: self.error.as_deref(),
            duration_usec: self.duration_usec,
            count: self.count.unwrap_or(1),
            finished: self.finished,
            about_run: self.about_run.as_deref(),
            run: self.run.as_ref().map(Run::entry),
        }
    }
}

impl Run {
    fn entry(&self) -> document::Run<'_> {
        let end = self.end.as_ref();
        document::Run {
            code_sha256: self.code_sha256.as_deref(),
            code_bytes: self.code_bytes,
            profile: self.profile.as_deref(),
            arguments: self.arguments,
            finished: end.is_some(),
            outcome: end.and_then(|end| end.outcome),
            exit_code: end.and_then(|end| end.exit_code),
            error: end.and_then(|end| end.error.as_deref()),
            duration_usec: end.and_then(|end| end.duration_usec),
            cpu_usec: end.and_then(|end| end.cpu_usec),
            peak_memory_bytes: end.and_then(|end| end.peak_memory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of a call, and of what it is.
    type Record = (Kind, Call);

    fn call(second: u64, id: &str, finished: bool) -> Record {
        let kind = if finished { Kind::Ended } else { Kind::Begun };
        (kind, a_call(second, id, finished))
    }

    fn a_call(second: u64, id: &str, finished: bool) -> Call {
        Call {
            time: Moment::from_micros(second * 1_000_000),
            request_id: Some(id.to_owned()),
            service: Some("ollama".to_owned()),
            caller_uid: Some(1000),
            decision: Some(Decision::Allowed),
            outcome: finished.then_some(Outcome::Done),
            finished,
            ..Call::default()
        }
    }

    /// Identifier, second and whether it ended, of each call.
    fn shown(filter: &Filter, most: usize, records: &[Record]) -> Vec<(String, u64, bool)> {
        let mut calls = Calls::new(filter.clone(), most, true);
        records.iter().cloned().for_each(|(kind, record)| calls.take(kind, record));
        calls
            .finish()
            .into_iter()
            .map(|call| {
                let is_open = call.is_open();
                (call.request_id.unwrap_or_default(), call.time.micros() / 1_000_000, !is_open)
            })
            .collect()
    }

    #[test]
    fn a_call_stands_where_it_was_begun_and_is_unfinished_without_an_end() {
        let records = [
            call(1, "a", false),
            call(2, "b", true),
            call(3, "c", false),
            call(4, "a", true),
            call(5, "d", true),
        ];
        let all = Filter::default();
        let expected = [("a", 1, true), ("b", 2, true), ("c", 3, false), ("d", 5, true)];
        let expected = expected.map(|(id, at, finished)| (id.to_owned(), at, finished));
        assert_eq!(shown(&all, 10, &records), expected);
        assert_eq!(shown(&all, 2, &records), expected[2..]);
        let unfinished = Filter { wanted: Some(Wanted::Unfinished), ..all };
        assert_eq!(shown(&unfinished, 10, &records), expected[2..3]);
    }

    #[test]
    fn only_what_is_wanted_is_kept_and_never_more_than_that() {
        let mut denied = a_call(1, "denied", true);
        denied.decision = Some(Decision::Denied);
        denied.outcome = Some(Outcome::Refused);
        let mut other = a_call(2, "other", true);
        other.service = Some("vllm".to_owned());
        other.caller_uid = Some(0);
        let of = |call| (Kind::Ended, call);
        let records = [of(denied), of(other), call(3, "plain", true), call(4, "open", false)];
        let ids = |filter: Filter| {
            shown(&filter, 10, &records).into_iter().map(|(id, ..)| id).collect::<Vec<_>>()
        };
        let all = Filter::default;
        let service = Some("ollama".to_owned());
        assert_eq!(ids(Filter { service, ..all() }), ["denied", "plain", "open"]);
        assert_eq!(ids(Filter { caller_uid: Some(0), ..all() }), ["other"]);
        for (wanted, expected) in [
            (Wanted::Decision(Decision::Denied), vec!["denied"]),
            (Wanted::Decision(Decision::Allowed), vec!["other", "plain", "open"]),
            (Wanted::Outcome(Outcome::Refused), vec!["denied"]),
            (Wanted::Outcome(Outcome::Done), vec!["other", "plain"]),
            (Wanted::Unfinished, vec!["open"]),
        ] {
            assert_eq!(ids(Filter { wanted: Some(wanted), ..all() }), expected, "{wanted:?}");
        }
        let mut calls = Calls::new(all(), 3, true);
        for n in 0..1000 {
            calls.take(Kind::Ended, a_call(n, &n.to_string(), true));
            assert!(calls.ended.len() <= 64);
        }
        let last: Vec<_> = calls.finish().into_iter().filter_map(|call| call.request_id).collect();
        assert_eq!(last, ["997", "998", "999"]);
    }

    /// The records of a run: its call's end, and its own.
    fn a_run(second: u64, id: &str) -> [Record; 2] {
        let accepted = Call {
            method: Some("org.aictl1.Sandbox.Run".to_owned()),
            service: None,
            run: Some(Run { code_sha256: Some("ab".to_owned()), ..Run::default() }),
            ..a_call(second, id, true)
        };
        let ran = Call {
            run: Some(Run {
                end: Some(RunEnd {
                    result: Some(Outcome::Done),
                    outcome: Some(run::Outcome::TimedOut),
                    cpu_usec: Some(7),
                    ..RunEnd::default()
                }),
                ..Run::default()
            }),
            method: None,
            decision: None,
            ..a_call(second + 5, id, true)
        };
        [(Kind::Ended, accepted), (Kind::Ran, ran)]
    }

    #[test]
    fn a_run_is_its_call_with_its_end_and_unfinished_without_one() {
        let [accepted, ran] = a_run(1, "whole");
        let [open, _] = a_run(2, "open");
        let [_, late] = a_run(0, "late");
        let (kind, refused) = a_run(3, "refused")[0].clone();
        let refused = Call { decision: Some(Decision::Denied), outcome: None, ..refused };
        let wait = Call {
            method: Some("org.aictl1.Sandbox.Wait".to_owned()),
            about_run: Some("whole".to_owned()),
            ..a_call(4, "wait", true)
        };
        let denied = Call { decision: Some(Decision::Denied), ..wait.clone() };
        let denied = Call { request_id: Some("denied".to_owned()), ..denied };
        let records = [
            late,
            accepted,
            open,
            (kind, refused),
            (Kind::Ended, wait.clone()),
            (Kind::Ended, denied),
            ran,
        ];
        let of = |without_waits, wanted| {
            let mut calls = Calls::new(Filter { wanted, ..Filter::default() }, 10, without_waits);
            records.iter().cloned().for_each(|(kind, record)| calls.take(kind, record));
            calls.finish()
        };
        let ids = |calls: Vec<Call>| {
            calls.into_iter().filter_map(|call| call.request_id).collect::<Vec<_>>()
        };
        // Waiting for a run is told by the run, unless it was not let.
        assert_eq!(ids(of(true, None)), ["late", "whole", "open", "refused", "denied"]);
        assert_eq!(ids(of(false, None)), ["late", "whole", "open", "refused", "wait", "denied"]);
        let whole = &of(true, None)[1];
        assert_eq!(whole.method.as_deref(), Some("org.aictl1.Sandbox.Run"));
        assert_eq!((whole.time.micros(), whole.decision), (1_000_000, Some(Decision::Allowed)));
        let run = whole.run.as_ref().unwrap();
        assert_eq!(run.code_sha256.as_deref(), Some("ab"));
        assert_eq!(run.end.as_ref().unwrap().cpu_usec, Some(7));
        for (wanted, expected) in [
            (Wanted::Unfinished, vec!["open"]),
            (Wanted::Outcome(Outcome::TimedOut), vec!["late", "whole"]),
            (Wanted::Outcome(Outcome::Done), vec!["late", "whole", "denied"]),
            (Wanted::Run(run::Outcome::Exited), vec![]),
            (Wanted::Run(run::Outcome::TimedOut), vec!["late", "whole"]),
        ] {
            assert_eq!(ids(of(true, Some(wanted))), expected, "{wanted:?}");
        }
    }
}
