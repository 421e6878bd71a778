//! The static check of the profile `strict`: says of a Python script, before anything runs, what in
//! it is refused, where, and what to write instead.
//!
//! It is policy, not the wall. It keeps honest code within a small part of the language and refuses
//! the known ways out of it early, with a reason; what no check of a text can decide, such as what
//! a name holds when the script runs, is for the kernel's layers around it.

mod classes;
mod depth;
mod fields;
mod members;
mod names;
mod source;
mod walk;

use std::{collections::BTreeSet, thread};

use aictl_api::strict;
pub use aictl_api::strict::{Finding, Policy, Rule};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_text_size::{Ranged, TextSize};

/// Stack for the parser and the walk, which call themselves for what is nested. Enough for
/// [`depth::MAX_TOKENS`], which is tested without optimisation.
const STACK: usize = 64 << 20;
/// The most findings of one script that are told.
const MAX_FINDINGS: usize = 1000;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the text, each once; empty if the script may run.
    pub findings: Vec<Finding>,
}

/// Something that is refused, by its place in bytes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Refused {
    at: usize,
    rule: Rule,
    message: String,
    instead: Option<String>,
}

impl Refused {
    fn new(at: usize, rule: Rule, message: impl Into<String>, instead: impl Into<String>) -> Self {
        let instead: String = instead.into();
        let instead = (!instead.is_empty()).then_some(instead);
        Self { at, rule, message: message.into(), instead }
    }
}

/// Checks a script. Whatever it is, this ends, and within bounds that the policy sets.
#[must_use]
pub fn check(source: &[u8], policy: &Policy) -> Report {
    let size = source.len() as u64;
    if size > policy.source.min(strict::SOURCE.max) {
        let message = format!("the script has {size} bytes, more than {}", policy.source);
        let size = Refused::new(0, Rule::Size, message, "read large data from json, or split it");
        return report("", BTreeSet::from([size]));
    }
    let text = match source::text(source) {
        Ok(text) => text,
        Err(refused) => return report("", BTreeSet::from([refused])),
    };
    let mut refused = source::check(text);
    if let Some(deep) = depth::check(text, policy) {
        refused.insert(deep);
        return report(text, refused);
    }
    // On a stack of its own, since the caller's may be small.
    let found = thread::scope(|scope| {
        let parse = || parse(text, policy);
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, parse);
        thread.ok().and_then(|thread| thread.join().ok())
    });
    match found {
        Some(found) => refused.extend(found),
        // Never allow what could not be looked at.
        None => {
            let Finding { rule, message, .. } =
                Finding::unchecked("no memory, or a fault of the parser");
            refused.insert(Refused::new(0, rule, message, ""));
        }
    }
    report(text, refused)
}

/// What is wrong with the syntax, or else with what it says.
fn parse(text: &str, policy: &Policy) -> BTreeSet<Refused> {
    let parsed = parse_unchecked(text, ParseOptions::from(Mode::Module));
    let errors = parsed.errors();
    if !errors.is_empty() {
        let error = |error: &ruff_python_parser::ParseError| {
            let message = names::plain(&error.error.to_string());
            Refused::new(error.start().to_usize(), Rule::Syntax, message, "")
        };
        return errors.iter().map(error).collect();
    }
    walk::walk(parsed.syntax(), policy)
}

/// The findings with their lines and columns.
fn report(text: &str, refused: BTreeSet<Refused>) -> Report {
    let (mut line, mut column, mut last) = (1, 1, 0);
    let mut findings = Vec::new();
    // In the order of the text, which is counted through once.
    for Refused { at, rule, message, instead } in refused.into_iter().take(MAX_FINDINGS) {
        for c in text.get(last..at).unwrap_or_default().chars() {
            match c {
                '\n' => (line, column) = (line + 1, 1),
                source::BOM => {}
                _ => column += 1,
            }
        }
        last = at.max(last);
        findings.push(Finding { line, column, rule, message, instead });
    }
    Report { findings }
}

/// A place as a byte of the text.
fn byte(at: TextSize) -> usize {
    at.to_usize()
}
