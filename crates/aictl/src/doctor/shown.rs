//! The report for people: a line for each check, and below it what to do.

use aictl_api::document::doctor::{Check, CheckStatus as Status, Report};

use crate::{
    color::Style,
    table::{Look, fill, width},
};

/// The space that the word for a status takes.
const STATUS: usize = 8;
/// The narrowest that what is said can be.
const NARROWEST: usize = 24;

/// The report, on lines that fit the terminal.
pub fn text(report: &Report, look: Look) -> String {
    let names = report.checks.iter().map(|check| width(&check.name)).max().unwrap_or(0);
    let kernel = report.kernel.as_deref().unwrap_or("(unknown)");
    let mut text = look.text(&format!("aictl {} on Linux {kernel}", report.version)) + "\n\n";
    for check in &report.checks {
        text += &lines(check, names, look);
    }
    let (style, last) = last_line(report);
    text + "\n" + &look.paint.text(style, &look.text(last)) + "\n"
}

fn lines(check: &Check, names: usize, look: Look) -> String {
    let margin = STATUS + 1 + names + 2;
    let room = look
        .width
        .map_or(usize::MAX, |columns| usize::from(columns).saturating_sub(margin).max(NARROWEST));
    // A Display of its own does not know widths: the word first.
    let status = check.status.to_string();
    let status = look.paint.text(style(check.status), &status)
        + &" ".repeat(STATUS.saturating_sub(width(&status)));
    let mut text = String::new();
    for (index, line) in fill(&look.text(&check.detail), room, room).iter().enumerate() {
        text += &match index {
            0 => format!("{status} {:<names$}  {line}\n", check.name),
            _ => format!("{:margin$}{line}\n", ""),
        };
    }
    let arrow = look.text("→ ");
    let indent = margin + width(&arrow);
    let room = room.saturating_sub(width(&arrow));
    if let Some(advice) = &check.advice {
        for (index, line) in fill(&look.text(advice), room, room).iter().enumerate() {
            text += &match index {
                0 => format!("{:margin$}{arrow}{line}\n", ""),
                _ => format!("{:indent$}{line}\n", ""),
            };
        }
    }
    text
}

const fn style(status: Status) -> Style {
    match status {
        Status::Ok => Style::Good,
        Status::Missing => Style::Warning,
        Status::Broken | Status::Failed => Style::Bad,
    }
}

fn last_line(report: &Report) -> (Style, &'static str) {
    if report.healthy {
        return (Style::Good, "Scripts can be run safely on this machine.");
    }
    let failed = report.checks.iter().any(|check| check.status == Status::Failed);
    let last = match failed {
        true => "Scripts cannot be run on this machine until what is FAILED is mended.",
        false => "Something is installed here that does not work: see what is BROKEN.",
    };
    (Style::Bad, last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        color::{Paint, When},
        table::Alphabet,
    };

    fn look(width: Option<u16>, alphabet: Alphabet) -> Look {
        Look { width, paint: Paint::new(When::Never, &std::io::stdout()), alphabet }
    }

    fn report() -> Report {
        let advice = "set it with `sudo sysctl -w a.b=1`, or boot with another kernel";
        Report {
            version: "1",
            kernel: None,
            checks: vec![
                Check::ok("seccomp", "fine"),
                Check::bad("cgroup", Status::Missing, "there is none – here", advice),
            ],
            healthy: true,
        }
    }

    #[test]
    fn what_to_do_stands_under_what_is_missing() {
        assert_eq!(
            text(&report(), look(None, Alphabet::Unicode)),
            "aictl 1 on Linux (unknown)\n\n\
             ok       seccomp  fine\n\
             missing  cgroup   there is none – here\n                  → set it with \
             `sudo sysctl -w a.b=1`, or boot with another kernel\n\n\
             Scripts can be run safely on this machine.\n"
        );
    }

    #[test]
    fn lines_fit_the_terminal_and_its_characters() {
        assert_eq!(
            text(&report(), look(Some(48), Alphabet::Ascii)),
            "aictl 1 on Linux (unknown)\n\n\
             ok       seccomp  fine\n\
             missing  cgroup   there is none - here\n                  -> set it with\n\
             \u{20}                    `sudo sysctl -w a.b=1`, or\n\
             \u{20}                    boot with another kernel\n\n\
             Scripts can be run safely on this machine.\n"
        );
        for columns in [1, 20, 60, 80, 200] {
            let text = text(&report(), look(Some(columns), Alphabet::Ascii));
            assert!(text.is_ascii());
            let most = usize::from(columns).max(18 + NARROWEST);
            assert!(text.lines().all(|line| line.len() <= most), "{columns}: {text}");
        }
    }

    #[test]
    fn what_comes_from_elsewhere_moves_no_cursor() {
        let mut report = report();
        report.kernel = Some("6\x1b[2J".to_owned());
        report.checks[0].detail = "a\u{202e}\x1b]0;x\x07b".to_owned();
        let text = text(&report, look(Some(80), Alphabet::Unicode));
        assert!(
            text.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')),
            "{text:?}"
        );
    }

    #[test]
    fn the_last_line_says_what_it_comes_to_without_colour_too() {
        for (status, words) in [
            (Status::Missing, "can be run safely"),
            (Status::Broken, "see what is BROKEN"),
            (Status::Failed, "what is FAILED"),
        ] {
            let mut report = report();
            report.checks[0].status = status;
            report.healthy = super::super::is_fine(status);
            let text = text(&report, look(None, Alphabet::Unicode));
            assert!(text.lines().last().is_some_and(|line| line.contains(words)), "{text}");
        }
    }
}
