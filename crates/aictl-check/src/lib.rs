//! The static check of the profile `strict`: says of a Python script, before anything runs, what in
//! it is refused, where, and what to write instead.
//!
//! It is policy, not the wall. It keeps honest code within a small part of the language and refuses
//! the known ways out of it early, with a reason; what no check of a text can decide, such as what
//! a name holds when the script runs, is for the kernel's layers around it.

mod depth;
mod fields;
mod members;
mod names;
mod source;
mod walk;

use std::{collections::BTreeSet, fmt, thread};

use aictl_api::strict::{self, Imports};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_text_size::{Ranged, TextSize};

/// Stack for the parser and the walk, which call themselves for what is nested. Enough for
/// [`depth::MAX_TOKENS`], which is tested without optimisation.
const STACK: usize = 64 << 20;
/// The most findings of one script that are told.
const MAX_FINDINGS: usize = 1000;

/// What a script may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The modules that it may import.
    pub imports: Imports,
    /// The most bytes of its text.
    pub source: u64,
    /// The most nodes of its syntax tree.
    pub nodes: u64,
    /// The most levels of its syntax tree.
    pub depth: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            imports: Imports::default(),
            source: strict::SOURCE.default,
            nodes: strict::NODES.default,
            depth: strict::DEPTH.default,
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The text is not plain UTF-8, or holds characters that hide what it says.
    Source,
    /// The text is too long.
    Size,
    /// The text is not Python.
    Syntax,
    /// Too many nodes.
    Nodes,
    /// Nested too deep.
    Depth,
    /// A module that is not allowed, or is imported in a way that is not.
    Import,
    /// A module's member that is not for scripts, or a module that is handed around.
    Module,
    /// A name that is not for scripts.
    Name,
    /// An attribute that is not for scripts.
    Attribute,
    /// A format string that reads attributes, or that is not in the text.
    Format,
    /// A number with too many digits.
    Number,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 11] = [
        Self::Source,
        Self::Size,
        Self::Syntax,
        Self::Nodes,
        Self::Depth,
        Self::Import,
        Self::Module,
        Self::Name,
        Self::Attribute,
        Self::Format,
        Self::Number,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Size => "size",
            Self::Syntax => "syntax",
            Self::Nodes => "nodes",
            Self::Depth => "depth",
            Self::Import => "import",
            Self::Module => "module",
            Self::Name => "name",
            Self::Attribute => "attribute",
            Self::Format => "format",
            Self::Number => "number",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that is refused. Its texts repeat names out of the script, escaped where they could
/// act on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Line in the script, from 1.
    pub line: u32,
    /// Column in the line in characters, from 1.
    pub column: u32,
    /// The rule.
    pub rule: Rule,
    /// What is refused.
    pub message: String,
    /// What to write instead.
    pub instead: Option<String>,
}

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
            let message = "the script cannot be checked: no memory, or a fault of the parser";
            refused.insert(Refused::new(0, Rule::Syntax, message, ""));
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
