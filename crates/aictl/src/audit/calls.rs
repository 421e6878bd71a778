//! Calls of the helper, put together from the records of their begin and their end.

use std::collections::{HashMap, VecDeque};

use aictl_api::{
    audit::{Decision, Outcome},
    document::audit as document,
};

use crate::{args::services::Wanted, time::Moment};

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
        let wanted = match self.wanted {
            None => true,
            Some(Wanted::Decision(decision)) => call.decision == Some(decision),
            Some(Wanted::Outcome(outcome)) => call.finished && call.outcome == Some(outcome),
            Some(Wanted::Unfinished) => !call.finished,
        };
        service && caller && wanted
    }
}

/// The last calls that are wanted, from records in the order of time.
#[derive(Debug)]
pub struct Calls {
    filter: Filter,
    most: usize,
    /// Calls that were begun, by their identifier, with where they stand in that order.
    open: HashMap<String, (u64, Call)>,
    /// Calls that have ended and are wanted.
    ended: VecDeque<(u64, Call)>,
    next: u64,
}

impl Calls {
    /// No calls yet; the last `most` are kept.
    #[must_use]
    pub fn new(filter: Filter, most: usize) -> Self {
        Self { filter, most, open: HashMap::new(), ended: VecDeque::new(), next: 0 }
    }

    /// Takes a record: of the begin of a call, or, if it is finished, of its end.
    pub fn take(&mut self, record: Call) {
        let begun = record.request_id.as_ref().and_then(|id| self.open.remove(id));
        let at = begun.as_ref().map_or(self.next, |(at, _)| *at);
        self.next += 1;
        // The end says all that the begin did, but for when it was.
        let call = match begun {
            Some((_, begun)) => Call { time: begun.time, ..record },
            None => record,
        };
        match &call.request_id {
            Some(id) if !call.finished => {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(second: u64, id: &str, finished: bool) -> Call {
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
    fn shown(filter: &Filter, most: usize, records: &[Call]) -> Vec<(String, u64, bool)> {
        let mut calls = Calls::new(filter.clone(), most);
        records.iter().cloned().for_each(|record| calls.take(record));
        calls
            .finish()
            .into_iter()
            .map(|call| {
                (call.request_id.unwrap_or_default(), call.time.micros() / 1_000_000, call.finished)
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
        let mut denied = call(1, "denied", true);
        denied.decision = Some(Decision::Denied);
        denied.outcome = Some(Outcome::Refused);
        let mut other = call(2, "other", true);
        other.service = Some("vllm".to_owned());
        other.caller_uid = Some(0);
        let records = [denied, other, call(3, "plain", true), call(4, "open", false)];
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
        let mut calls = Calls::new(all(), 3);
        for n in 0..1000 {
            calls.take(call(n, &n.to_string(), true));
            assert!(calls.ended.len() <= 64);
        }
        let last: Vec<_> = calls.finish().into_iter().filter_map(|call| call.request_id).collect();
        assert_eq!(last, ["997", "998", "999"]);
    }
}
