//! Calls as a table.

use aictl_api::{
    audit::{Decision, Outcome},
    error::PREFIX,
};

use super::calls::Call;
use crate::{
    args::services::UNFINISHED,
    color::Style,
    table::{Cell, Column, KEPT, Look, Table, UNKNOWN},
    units,
    users::Users,
};

/// The table: who asked for what, and what came of it. On a narrow terminal the call's duration
/// and then its time are left out.
#[must_use]
pub fn table(calls: &[Call], users: &Users, look: Look) -> String {
    let mut table = Table::new([
        Column::left("TIME", 2),
        Column::left("CALLER", KEPT).cut(12, 6),
        Column::left("CALL", KEPT),
        Column::left("SERVICE", KEPT).cut(16, 8),
        Column::left("RESULT", KEPT).wrap(22, 10).full_before(2),
        Column::right("TOOK", 1),
    ]);
    for call in calls {
        table.row([
            Cell::new(call.time.local()).short(call.time.local_short()),
            caller(call, users),
            Cell::known(verb(call)),
            Cell::known(call.service.as_deref()),
            Cell::new(result(call)).short(brief(call)).style(style(call)),
            Cell::known(call.duration_usec.map(units::micros)),
        ]);
    }
    table.render(look)
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

/// What was to be done: the verb, or the member of the interface that has none.
fn verb(call: &Call) -> Option<&str> {
    let member = |method| str::rsplit(method, '.').next();
    call.verb.as_deref().or_else(|| call.method.as_deref().and_then(member))
}

fn style(call: &Call) -> Style {
    match (call.finished, call.decision, call.outcome) {
        (false, ..) => Style::Warning,
        (true, Some(decision), _) if decision != Decision::Allowed => Style::Bad,
        (true, _, Some(outcome)) if outcome != Outcome::Done => Style::Bad,
        _ => Style::Plain,
    }
}

/// What came of a call, in a word or two.
fn brief(call: &Call) -> String {
    let word = match (call.finished, call.decision, call.outcome) {
        (false, ..) => UNFINISHED,
        (true, Some(decision), _) if decision != Decision::Allowed => decision.name(),
        (true, _, Some(outcome)) => outcome.name(),
        (true, decision, None) => decision.map_or(UNKNOWN, Decision::name),
    };
    match call.count {
        Some(count @ 2..) => format!("{word} ×{count}"),
        _ => word.to_owned(),
    }
}

/// The same, and with which error.
fn result(call: &Call) -> String {
    let error = call.error.as_deref().map(|error| error.strip_prefix(PREFIX).unwrap_or(error));
    match error {
        Some(error) if call.outcome != Some(Outcome::Done) => format!("{} ({error})", brief(call)),
        _ => brief(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
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
            row.filter(|cell| !cell.is_empty()).skip(1).collect::<Vec<_>>().join("|")
        };
        assert_eq!(row(call()), "4000000000[4242]|restart|ollama|done|1.2 s");
        let read = Call { verb: None, caller_pid: None, service: None, ..call() };
        assert_eq!(row(read), "4000000000|Restart|-|done|1.2 s");
        assert_eq!(row(Call { caller_uid: None, ..call() }), "[4242]|restart|ollama|done|1.2 s");
        assert_eq!(row(Call { finished: true, ..Call::default() }), "-|-|-|-|-");
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
            for word in ["CALLER", "4000", "ollama", "restart", "done", "denied"] {
                assert!(text.contains(word), "{columns}: {word}\n{text}");
            }
        }
        let text = table(&calls, &Users::default(), look(None, When::Never));
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn calls_of_all_kinds() {
        let users = Users::default();
        let denied = Call {
            decision: Some(Decision::Denied),
            error: Some("org.aictl1.Error.NotAuthorized".to_owned()),
            outcome: Some(Outcome::Refused),
            caller_uid: Some(1000),
            service: Some("a-service-with-a-long-name".to_owned()),
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
        let narrow = table(&calls, &users, look(Some(40), When::Never));
        let text = format!("=== 40 columns\n{narrow}{}", shown(|look| table(&calls, &users, look)));
        // Times are shown in the zone of whoever runs this.
        let time = Moment::default();
        let text = text.replace(&time.local(), "2026-11-22 12:00:30");
        insta::assert_snapshot!(text.replace(&time.local_short(), "11-22 12:00"));
    }
}
