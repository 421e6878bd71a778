//! The static check against known ways out of such checks, against ordinary programs, and rule by
//! rule with look-alikes.

mod escapes;
mod hostile;
mod programs;
mod rules;

use aictl_check::{Policy, Report, check};

/// Checks a text by the built-in policy.
fn checked(text: &str) -> Report {
    check(text.as_bytes(), &Policy::default())
}

/// The findings as an editor gets them, without the file.
fn lines(report: &Report) -> Vec<String> {
    let line = |finding: &aictl_check::Finding| {
        let aictl_check::Finding { line, column, rule, message, .. } = finding;
        format!("{line}:{column}: {rule}: {message}")
    };
    report.findings.iter().map(line).collect()
}
