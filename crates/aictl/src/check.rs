//! `aictl check`: what the profile `strict` would refuse of a script, without running it.

use std::{ffi::OsStr, fmt, io};

use aictl_api::{
    document::check::{Check, Finding},
    exit,
    run::Refusal,
};
use aictl_check::Report;
use aictl_sandbox::interpreter::{self, Runtime, RuntimeError};

use crate::{
    args::{self, Global},
    config::{self, LoadError},
    message,
    script::{Script, ScriptError},
};

/// Why a script could not be checked.
#[derive(Debug)]
enum CheckError {
    /// It cannot be read.
    Script(ScriptError),
    /// Nothing says what language it is in.
    Runtime(RuntimeError),
    /// It is not Python.
    NotPython(Runtime),
    /// The configuration cannot be used.
    Config(LoadError),
    /// What was found could not be written.
    Output(io::Error),
}

impl CheckError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Script(error) => error.exit_code(),
            Self::Runtime(_) | Self::NotPython(_) => exit::REFUSED,
            Self::Config(error) => error.exit_code(),
            Self::Output(_) => exit::INTERNAL,
        }
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
            Self::NotPython(runtime) => not_python(*runtime).fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

impl std::error::Error for CheckError {}

/// That the profile `strict` does not run such a script.
pub fn not_python(runtime: Runtime) -> String {
    format!("the profile strict is for Python, and this is a script for {runtime}: use standard")
}

/// Runs the command; returns the exit code.
pub fn main(global: &Global, args: &args::Check) -> u8 {
    match run(global, &args.script) {
        Ok(code) => code,
        Err(error) => message::fail(global, error.exit_code(), &error.to_string()),
    }
}

fn run(global: &Global, path: &OsStr) -> Result<u8, CheckError> {
    let strict = config::load(global.config.as_deref()).map_err(CheckError::Config)?.sandbox.strict;
    // What is too long is a finding; only what is far too long is not read.
    let script = Script::read(path, aictl_api::limits::SOURCE.max).map_err(CheckError::Script)?;
    let runtime = interpreter::runtime_for(script.name.as_str().as_ref(), &script.text);
    match runtime.map_err(CheckError::Runtime)? {
        Runtime::Python => {}
        other => return Err(CheckError::NotPython(other)),
    }
    let report = aictl_check::check(&script.text, &strict);
    let file = message::plain(&path.to_string_lossy());
    let printed = match global.json {
        true => message::print_json(&document(&file, &report)),
        false => message::print(&lines(&file, &report.findings)),
    };
    printed.map_err(CheckError::Output)?;
    if report.findings.is_empty() {
        message::detail(global, "the profile strict would run it");
        return Ok(exit::OK);
    }
    Ok(exit::REFUSED)
}

fn document<'a>(file: &'a str, report: &'a Report) -> Check<'a> {
    let finding = |finding: &'a aictl_check::Finding| Finding {
        line: finding.line,
        column: finding.column,
        rule: finding.rule.name(),
        message: &finding.message,
        instead: finding.instead.as_deref(),
    };
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    Check { file, ok: findings.is_empty(), findings }
}

/// The findings as editors read them, each with a line on what to write instead.
pub fn lines(file: &str, findings: &[aictl_check::Finding]) -> String {
    let mut text = String::new();
    for aictl_check::Finding { line, column, rule, message, instead } in findings {
        // Those of the helper are of another process.
        let message = message::plain(message);
        text += &format!("{file}:{line}:{column}: {rule}: {message}\n");
        if let Some(instead) = instead {
            text += &format!("    instead: {}\n", message::plain(instead));
        }
    }
    text
}

/// The findings as a run's document has them.
pub fn refusals(findings: Vec<aictl_check::Finding>) -> Vec<Refusal> {
    let refusal = |finding: aictl_check::Finding| {
        let aictl_check::Finding { line, column, rule, message, instead } = finding;
        let message = match instead {
            Some(instead) => format!("{message}; instead: {instead}"),
            None => message,
        };
        Refusal { line, column, rule: rule.name().to_owned(), message }
    };
    findings.into_iter().map(refusal).collect()
}

#[cfg(test)]
mod tests {
    use aictl_api::strict::Policy;

    use super::*;

    #[test]
    fn findings_are_lines_for_an_editor_and_refusals_of_a_run() {
        let report = aictl_check::check(b"import os\nx = 1\n", &Policy::default());
        let text = lines("a b.py", &report.findings);
        let mut rows = text.lines();
        assert_eq!(rows.next(), Some("a b.py:1:8: import: the module os is not allowed"));
        assert!(rows.next().unwrap().starts_with("    instead: use one of: collections, "));
        assert_eq!(rows.next(), None);
        let refusals = refusals(report.findings);
        let [Refusal { line: 1, column: 8, rule, message }] = &*refusals else {
            panic!("{refusals:?}")
        };
        assert_eq!(rule, "import");
        assert!(message.starts_with("the module os is not allowed; instead: use one of: "));
        let good = aictl_check::check(b"x = 1\n", &Policy::default());
        assert_eq!(lines("a.py", &good.findings), "");
    }
}
