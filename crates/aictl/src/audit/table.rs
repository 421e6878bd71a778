//! Calls as a table.

use aictl_api::{
    audit::{Decision, Outcome},
    error::PREFIX,
    run,
};

use super::calls::Call;
use crate::{
    args::services::UNFINISHED,
    color::Style,
    table::{Cell, Column, KEPT, Look, Table, UNKNOWN},
    units,
    users::Users,
};

/// What the names of the helper's interfaces begin with.
const OURS: &str = "org.aictl1.";
/// How many digits of a script's hash are shown where there is no room for all.
const SHORT_HASH: usize = 12;

/// The table: who asked for what, what came of it, and, of runs, which script that was and what it
/// cost. On a narrow terminal the cost is left out first, then the time, then the script.
#[must_use]
pub fn table(calls: &[Call], users: &Users, look: Look) -> String {
    // Where there are only runs, nothing is said of services.
    let service = if calls.iter().any(|call| call.service.is_some()) { KEPT } else { 0 };
    let mut table = Table::new([
        Column::left("TIME", 4),
        Column::left("CALLER", KEPT).cut(12, 6),
        Column::left("CALL", KEPT),
        Column::left("SERVICE", service).cut(16, 8),
        Column::left("SCRIPT", 5),
        Column::left("RESULT", KEPT).wrap(22, 10).full_before(4),
        Column::right("TOOK", 3),
        Column::right("CPU", 2),
        Column::right("MEMORY", 1),
    ]);
    for call in calls {
        let end = call.run_end();
        let took = match &call.run {
            Some(_) if call.is_open() => None,
            Some(_) => end.map_or(call.duration_usec, |end| end.duration_usec),
            None => call.duration_usec,
        };
        table.row([
            Cell::new(call.time.local()).short(call.time.local_short()),
            caller(call, users),
            called(call),
            Cell::known(call.service.as_deref()),
            script(call),
            Cell::new(result(call)).short(brief(call)).style(style(call)),
            Cell::known(took.map(units::micros)),
            Cell::known(end.and_then(|end| end.cpu_usec).map(units::micros)),
            Cell::known(end.and_then(|end| end.peak_memory).map(units::bytes)),
        ]);
    }
    table.render(look)
}

/// The script of a run, by its hash.
fn script(call: &Call) -> Cell {
    let hash = call.run.as_ref().and_then(|run| run.code_sha256.as_deref());
    let short = hash.map(|hash| hash.chars().take(SHORT_HASH).collect::<String>());
    match (hash, short) {
        (Some(hash), Some(short)) => Cell::new(hash).short(short),
        _ => Cell::unknown(),
    }
}

fn caller(call: &Call, users: &Users) -> Cell {
    let name = call.caller_uid.map(|uid| users.name(uid));
    match (name, call.caller_pid) {
        (Some(name), Some(pid)) => Cell::new(format!("{name}[{pid}]")).short(name),
        (Some(name), None) => Cell::new(name),
        (None, Some(pid)) => Cell::new(format!("[{pid}]")),
        (None, None) => Cell::unknown(),
    }
}

/// What was called: the member with its interface, or alone.
fn called(call: &Call) -> Cell {
    let Some(method) = call.method.as_deref() else { return Cell::unknown() };
    let full = method.strip_prefix(OURS).unwrap_or(method);
    Cell::new(full).short(method.rsplit('.').next().unwrap_or(method))
}

fn style(call: &Call) -> Style {
    match (call.is_open(), call.decision, call.outcome, call.run_end()) {
        (true, ..) => Style::Warning,
        (_, _, _, Some(end)) => match (end.result, end.outcome, end.exit_code) {
            (_, Some(run::Outcome::Exited), Some(0)) => Style::Plain,
            (Some(Outcome::Done | Outcome::Cancelled), ..) => Style::Warning,
            _ => Style::Bad,
        },
        (_, Some(decision), ..) if decision != Decision::Allowed => Style::Bad,
        (_, _, Some(outcome), _) if outcome != Outcome::Done => Style::Bad,
        _ => Style::Plain,
    }
}

/// What came of a call, or of its run, in a word or two.
fn brief(call: &Call) -> String {
    if let Some(end) = call.run_end() {
        let word = end.outcome.map(run::Outcome::name).or(end.result.map(Outcome::name));
        return match (word.unwrap_or(UNKNOWN), end.exit_code) {
            (word, Some(code)) if end.outcome == Some(run::Outcome::Exited) => {
                format!("{word} {code}")
            }
            (word, _) => word.to_owned(),
        };
    }
    let word = match (call.is_open(), call.decision, call.outcome) {
        (true, ..) => UNFINISHED,
        (_, Some(decision), _) if decision != Decision::Allowed => decision.name(),
        (_, _, Some(outcome)) => outcome.name(),
        (_, decision, None) => decision.map_or(UNKNOWN, Decision::name),
    };
    match call.count {
        Some(count @ 2..) => format!("{word} ×{count}"),
        _ => word.to_owned(),
    }
}

/// The same, and with which error.
fn result(call: &Call) -> String {
    let (outcome, error) = match call.run_end() {
        Some(end) => (end.result, end.error.as_deref()),
        None => (call.outcome, call.error.as_deref()),
    };
    let error = error.map(|error| error.strip_prefix(PREFIX).unwrap_or(error));
    match error {
        Some(error) if outcome != Some(Outcome::Done) => format!("{} ({error})", brief(call)),
        _ => brief(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::calls::{Run, RunEnd},
        color::{Paint, When},
        table::{Alphabet, tests::shown, width},
        time::Moment,
    };

    fn look(width: Option<u16>, color: When) -> Look {
        let paint = Paint::new(color, &std::io::stdout());
        Look { width, paint, alphabet: Alphabet::Unicode }
    }

    fn call() -> Call {
        Call {
            method: Some("org.aictl1.Services.Restart".to_owned()),
            caller_uid: Some(4_000_000_000),
            caller_pid: Some(4242),
            service: Some("ollama".to_owned()),
            verb: Some("restart".to_owned()),
            decision: Some(Decision::Allowed),
            outcome: Some(Outcome::Done),
            duration_usec: Some(1_234_567),
            finished: true,
            ..Call::default()
        }
    }

    #[test]
    fn a_row_says_who_did_what_and_what_came_of_it() {
        let row = |call: Call| {
            let text = table(&[call], &Users::default(), look(None, When::Never));
            let row = text.lines().nth(1).unwrap().split("  ").map(str::trim);
            let cells: Vec<_> = row.filter(|cell| !cell.is_empty()).skip(1).collect();
            cells.join("|").trim_end_matches("|-").to_owned()
        };
        assert_eq!(row(call()), "4000000000[4242]|Services.Restart|ollama|-|done|1.2 s");
        let method = Some("org.freedesktop.DBus.Properties.Get".to_owned());
        let read = Call { method, verb: None, caller_pid: None, service: None, ..call() };
        assert_eq!(row(read), "4000000000|org.freedesktop.DBus.Properties.Get|-|-|done|1.2 s");
        let nobody = Call { caller_uid: None, ..call() };
        assert_eq!(row(nobody), "[4242]|Services.Restart|ollama|-|done|1.2 s");
        assert_eq!(row(Call { finished: true, ..Call::default() }), "-");
    }

    #[test]
    fn the_result_is_a_decision_unless_it_was_allowed() {
        let error = Some("org.aictl1.Error.NoSuchService".to_owned());
        for (decision, outcome, error, finished, expected) in [
            (Decision::Allowed, Some(Outcome::Done), None, true, "done"),
            (Decision::Allowed, Some(Outcome::TimedOut), None, true, "timed-out"),
            (Decision::Allowed, None, None, false, "unfinished"),
            (
                Decision::Denied,
                Some(Outcome::Refused),
                error.clone(),
                true,
                "denied (NoSuchService)",
            ),
            (Decision::Limited, Some(Outcome::Refused), None, true, "limited"),
            (Decision::Allowed, None, None, true, "allowed"),
        ] {
            let decision = Some(decision);
            let call = Call { decision, outcome, error, finished, ..call() };
            assert_eq!(result(&call), expected);
        }
        let limited = Call { decision: Some(Decision::Limited), count: Some(12), ..call() };
        assert_eq!(result(&limited), "limited ×12");
    }

    #[test]
    fn a_narrow_terminal_gets_a_table_that_fits_and_says_who() {
        let denied = Call {
            decision: Some(Decision::Denied),
            error: Some("org.aictl1.Error.ActionNotAllowed".to_owned()),
            outcome: Some(Outcome::Refused),
            ..call()
        };
        let calls = [call(), denied];
        for columns in [40, 56, 66, 80, 90, 200] {
            let text = table(&calls, &Users::default(), look(Some(columns), When::Never));
            let widest = text.lines().map(width).max().unwrap();
            assert!(widest <= usize::from(columns), "{widest} > {columns}\n{text}");
            for word in ["CALLER", "4000", "ollama", "Restart", "done", "denied"] {
                assert!(text.contains(word), "{columns}: {word}\n{text}");
            }
        }
        let text = table(&calls, &Users::default(), look(None, When::Never));
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    /// A run that was accepted.
    fn a_run(end: Option<RunEnd>) -> Call {
        let hash = "d2a84f4b8b650937ec8f73cd8be2c74add5a911ba64df27458ed8229da804a26";
        Call {
            method: Some("org.aictl1.Sandbox.Run".to_owned()),
            caller_uid: Some(1000),
            verb: None,
            service: None,
            duration_usec: Some(900),
            run: Some(Run {
                code_sha256: Some(hash.to_owned()),
                code_bytes: Some(12),
                profile: Some("standard".to_owned()),
                arguments: Some(0),
                end,
            }),
            ..call()
        }
    }

    fn an_end() -> RunEnd {
        RunEnd {
            result: Some(Outcome::Done),
            outcome: Some(run::Outcome::Exited),
            exit_code: Some(0),
            duration_usec: Some(1_234_567),
            cpu_usec: Some(45_678),
            peak_memory: Some(9 << 20),
            ..RunEnd::default()
        }
    }

    /// Every way that a run ends.
    fn runs() -> Vec<Call> {
        let end = |outcome| Some(RunEnd { outcome: Some(outcome), exit_code: None, ..an_end() });
        let mut runs = vec![
            a_run(Some(an_end())),
            a_run(Some(RunEnd { exit_code: Some(3), ..an_end() })),
            a_run(end(run::Outcome::Signaled)),
            a_run(end(run::Outcome::TimedOut)),
            a_run(end(run::Outcome::OutOfMemory)),
            a_run(Some(RunEnd {
                result: Some(Outcome::Cancelled),
                peak_memory: None,
                ..end(run::Outcome::Cancelled).unwrap()
            })),
            a_run(Some(RunEnd {
                result: Some(Outcome::Failed),
                error: Some("org.aictl1.Error.Unavailable".to_owned()),
                duration_usec: Some(20_000),
                ..RunEnd::default()
            })),
            a_run(None),
        ];
        runs.push(Call {
            decision: Some(Decision::Denied),
            error: Some("org.aictl1.Error.NotAuthorized".to_owned()),
            outcome: Some(Outcome::Refused),
            ..a_run(None)
        });
        runs
    }

    #[test]
    fn the_result_of_a_run_is_its_end() {
        let results: Vec<_> = runs().iter().map(result).collect();
        let expected = [
            "exited 0",
            "exited 3",
            "signaled",
            "timed-out",
            "out-of-memory",
            "cancelled",
            "failed (Unavailable)",
            "unfinished",
            "denied (NotAuthorized)",
        ];
        assert_eq!(results, expected);
    }

    #[test]
    fn runs_alone() {
        insta::assert_snapshot!(all_looks(&runs()));
    }

    #[test]
    fn runs_among_calls() {
        let calls = [call(), a_run(Some(an_end())), a_run(None)];
        insta::assert_snapshot!(all_looks(&calls));
        for columns in [60, 80, 120, 200] {
            let text = table(&runs(), &Users::default(), look(Some(columns), When::Never));
            let widest = text.lines().map(width).max().unwrap();
            assert!(widest <= usize::from(columns), "{widest} > {columns}\n{text}");
            assert!(text.contains("d2a84f4b8b65"), "{columns}\n{text}");
        }
    }

    /// The table as every terminal has it.
    fn all_looks(calls: &[Call]) -> String {
        let users = Users::default();
        let narrow = table(calls, &users, look(Some(40), When::Never));
        let text = format!("=== 40 columns\n{narrow}{}", shown(|look| table(calls, &users, look)));
        // Times are shown in the zone of whoever runs this.
        let time = Moment::default();
        let text = text.replace(&time.local(), "2026-11-22 12:00:30");
        text.replace(&time.local_short(), "11-22 12:00")
    }

    #[test]
    fn calls_of_all_kinds() {
        let denied = Call {
            decision: Some(Decision::Denied),
            error: Some("org.aictl1.Error.NotAuthorized".to_owned()),
            outcome: Some(Outcome::Refused),
            caller_uid: Some(1000),
            service: Some("a-service-with-a-long-name".to_owned()),
            method: Some("org.aictl1.Services.Disable".to_owned()),
            verb: Some("disable".to_owned()),
            duration_usec: Some(850),
            ..call()
        };
        let limited = Call {
            decision: Some(Decision::Limited),
            count: Some(12),
            verb: None,
            method: Some("org.aictl1.Gpu.List".to_owned()),
            service: None,
            ..denied.clone()
        };
        let unfinished = Call { finished: false, duration_usec: None, outcome: None, ..call() };
        let calls =
            [call(), denied, limited, unfinished, Call { finished: true, ..Call::default() }];
        insta::assert_snapshot!(all_looks(&calls));
    }
}
