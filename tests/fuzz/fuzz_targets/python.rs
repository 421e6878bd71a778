//! The checker's parser beside CPython's own: what is Python for the one is Python for the other, and
//! both see the same names in it. A name that only CPython saw would be one that nobody has checked.

#![no_main]

use std::{
    collections::BTreeSet,
    io::{BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};

use aictl_fuzz::tokens;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use ruff_python_ast::{
    AnyNodeRef, PythonVersion,
    visitor::source_order::{SourceOrderVisitor, TraversalSignal},
};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

/// Answers for each text: its names as a set, or that it is no Python.
const ASK: &str = include_str!("python.py");

struct Python {
    _child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    version: PythonVersion,
}

impl Python {
    fn start() -> Self {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-I", "-S", "-c", ASK])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is there");
        let (stdin, stdout) =
            (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut stdout = BufReader::new(stdout);
        let mut version = [0; 2];
        stdout.read_exact(&mut version).expect("python3 tells its version");
        let version = PythonVersion { major: version[0], minor: version[1] };
        Self { _child: child, stdin, stdout, version }
    }

    /// The names in a text; `None` if it is no Python.
    fn names(&mut self, text: &str) -> Option<BTreeSet<String>> {
        let size = u32::try_from(text.len()).expect("a small input").to_le_bytes();
        self.stdin
            .write_all(&size)
            .and_then(|()| self.stdin.write_all(text.as_bytes()))
            .expect("python3 reads");
        self.stdin.flush().expect("python3 reads");
        let mut size = [0; 4];
        self.stdout.read_exact(&mut size).expect("python3 answers");
        let size = u32::from_le_bytes(size);
        if size == u32::MAX {
            return None;
        }
        let mut names = vec![0; size as usize];
        self.stdout.read_exact(&mut names).expect("python3 answers");
        let names = String::from_utf8(names).expect("python3 answers in UTF-8");
        Some(names.split('\n').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

/// Collects what the checker looks at: names, attributes, and what imports and patterns bind.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'a> SourceOrderVisitor<'a> for Names {
    fn enter_node(&mut self, node: AnyNodeRef<'a>) -> TraversalSignal {
        match node {
            AnyNodeRef::ExprName(name) => drop(self.0.insert(name.id.to_string())),
            AnyNodeRef::Identifier(name) => drop(self.0.insert(name.id.to_string())),
            _ => {}
        }
        TraversalSignal::Traverse
    }
}

/// The names that the checker's parser sees; `None` if the text is no Python of that version.
fn seen(text: &str, version: PythonVersion) -> Option<BTreeSet<String>> {
    let options = ParseOptions::from(Mode::Module).with_target_version(version);
    let parsed = parse_unchecked(text, options);
    if !parsed.errors().is_empty() || !parsed.unsupported_syntax_errors().is_empty() {
        return None;
    }
    let parsed = parsed.try_into_module()?;
    let mut names = Names::default();
    names.visit_body(&parsed.syntax().body);
    names.0.remove("");
    Some(names.0)
}

fuzz_target!(|text: &str| {
    static PYTHON: OnceLock<Mutex<Python>> = OnceLock::new();
    // What the checker refuses before it parses is not compared: other ends of lines, marks, bytes
    // that nobody sees, and what nests too deep.
    let odd = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || c == '\u{feff}';
    if text.contains(odd) || text.contains("coding") {
        return;
    }
    let policy = aictl_check::Policy {
        source: aictl_api::strict::SOURCE.max,
        nodes: aictl_api::strict::NODES.max,
        depth: 100,
        ..aictl_check::Policy::default()
    };
    let refused = aictl_check::check(text.as_bytes(), &policy).findings;
    if refused
        .iter()
        .any(|finding| matches!(finding.rule.name(), "depth" | "nodes" | "source" | "number"))
    {
        return;
    }
    let mut python = PYTHON.get_or_init(|| Mutex::new(Python::start())).lock().expect("one thread");
    let version = python.version;
    let (ours, theirs) = (seen(text, version), python.names(text));
    assert!(
        ours == theirs,
        "the checker's parser sees {ours:?}, and Python {version} sees {theirs:?}, in {text:?}"
    );
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let whole =
        if seed % 8 == 0 { None } else { tokens::change_in_place(data, size, max_size, seed) };
    whole.unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
});
