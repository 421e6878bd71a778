//! Calls as a table, as wide as the terminal is.

use aictl_api::{
    audit::{Decision, Outcome},
    error::PREFIX,
};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

use super::calls::Call;
use crate::{
    args::services::UNFINISHED,
    color::{Paint, Style},
    message::plain,
    users::Users,
};

/// What stands for what is not known, or not the case.
const NONE: &str = "-";
/// The narrowest table that is laid out.
const NARROWEST: u16 = 40;
/// From this width on, everything is told.
const WIDE: u16 = 90;
/// From this width on, the caller is told, and the time in full.
const MEDIUM: u16 = 64;

/// What a column tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Time,
    ShortTime,
    Caller,
    CallerWithPid,
    Call,
    Service,
    Result,
    Took,
}

impl Column {
    /// The columns for a width.
    const fn of(width: Option<u16>) -> &'static [Self] {
        use Column::{Call, Caller, CallerWithPid, Result, Service, ShortTime, Time, Took};
        match width {
            Some(width) if width < MEDIUM => &[ShortTime, Call, Service, Result],
            Some(width) if width < WIDE => &[Time, Caller, Call, Service, Result],
            _ => &[Time, CallerWithPid, Call, Service, Result, Took],
        }
    }

    const fn header(self) -> &'static str {
        match self {
            Self::Time | Self::ShortTime => "TIME",
            Self::Caller | Self::CallerWithPid => "CALLER",
            Self::Call => "CALL",
            Self::Service => "SERVICE",
            Self::Result => "RESULT",
            Self::Took => "TOOK",
        }
    }

    fn cell(self, call: &Call, users: &Users) -> String {
        let caller = || call.caller_uid.map_or(NONE.to_owned(), |uid| plain(&users.name(uid)));
        match self {
            Self::Time => call.time.local(),
            Self::ShortTime => call.time.local_short(),
            Self::Caller => caller(),
            Self::CallerWithPid => match call.caller_pid {
                Some(pid) => format!("{}[{pid}]", caller()),
                None => caller(),
            },
            Self::Call => {
                let member = |method: &String| plain(method.rsplit('.').next().unwrap_or(method));
                let verb = call.verb.as_deref().map(plain);
                verb.or_else(|| call.method.as_ref().map(member)).unwrap_or(NONE.to_owned())
            }
            Self::Service => call.service.as_deref().map_or(NONE.to_owned(), plain),
            Self::Result => result(call),
            Self::Took => call.duration_usec.map_or(NONE.to_owned(), duration),
        }
    }
}

/// The table, `width` characters wide at most; of any width for `None`.
#[must_use]
pub fn table(calls: &[Call], users: &Users, width: Option<u16>, paint: Paint) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(NARROWEST));
    }
    let columns = Column::of(width);
    table.set_header(columns.iter().map(|column| column.header()));
    for call in calls {
        table.add_row(columns.iter().map(|column| column.cell(call, users)));
    }
    for (column, laid_out) in columns.iter().zip(table.column_iter_mut()) {
        laid_out.set_padding((0, 2));
        match column {
            Column::Took => {
                laid_out.set_cell_alignment(CellAlignment::Right);
            }
            // A time on two lines is read by nobody.
            Column::Time | Column::ShortTime => {
                laid_out.set_constraint(ColumnConstraint::ContentWidth);
            }
            _ => {}
        }
    }
    let mut text = String::new();
    for (index, line) in table.lines().enumerate() {
        let line = line.trim_end();
        text += &match index {
            0 => paint.text(Style::Faint, line),
            _ => line.to_owned(),
        };
        text.push('\n');
    }
    text
}

/// What came of a call, in a word or two.
fn result(call: &Call) -> String {
    let error =
        call.error.as_deref().map(|error| plain(error.strip_prefix(PREFIX).unwrap_or(error)));
    let word = match (call.finished, call.decision, call.outcome) {
        (false, ..) => UNFINISHED,
        (true, Some(decision), _) if decision != Decision::Allowed => decision.name(),
        (true, _, Some(outcome)) => outcome.name(),
        (true, decision, None) => decision.map_or(NONE, Decision::name),
    };
    let times = match call.count {
        Some(count @ 2..) => format!(" ×{count}"),
        _ => String::new(),
    };
    match error {
        Some(error) if call.outcome != Some(Outcome::Done) => format!("{word}{times} ({error})"),
        _ => format!("{word}{times}"),
    }
}

/// As people say it: `1.2 ms`, `3.4 s`.
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::When;

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
        let row = |call: &Call| {
            let columns = Column::of(None)[1..].iter();
            columns.map(|column| column.cell(call, &Users::default())).collect::<Vec<_>>()
        };
        assert_eq!(row(&call()), ["4000000000[4242]", "restart", "ollama", "done", "1.2 s"]);
        let read = Call { verb: None, caller_pid: None, service: None, ..call() };
        assert_eq!(row(&read)[..3], ["4000000000", "Restart", "-"]);
        let unknown = Call { finished: true, ..Call::default() };
        assert_eq!(row(&unknown), ["-"; 5]);
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
    fn durations_are_short() {
        for (micros, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_250, "1.2 ms"),
            (999_999, "999.9 ms"),
            (61_000_000, "61.0 s"),
        ] {
            assert_eq!(duration(micros), expected);
        }
    }

    #[test]
    fn a_narrow_terminal_gets_a_table_that_fits() {
        let paint = Paint::new(When::Never, &std::io::stdout());
        let denied = Call {
            decision: Some(Decision::Denied),
            error: Some("org.aictl1.Error.ActionNotAllowed".to_owned()),
            outcome: Some(Outcome::Refused),
            ..call()
        };
        let calls = [call(), denied];
        for width in [40, 56, 66, 80, 90, 200] {
            let text = table(&calls, &Users::default(), Some(width), paint);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(width), "{widest} > {width}\n{text}");
            assert!(text.contains("ollama") && text.contains("restart"), "{text}");
        }
        let text = table(&calls, &Users::default(), None, paint);
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
