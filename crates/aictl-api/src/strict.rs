//! The profile `strict`: which part of Python it leaves to a script.
//!
//! The static check before a run (crate `aictl-check`) and the import hook inside the sandbox take
//! what is allowed from here, so that they cannot drift. Both are policy: they refuse early, and
//! say what to write instead. The wall around a script is the kernel's, under every profile.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{LimitError, LimitSpec, Unit};

/// The modules that a script may import where the configuration names no others.
pub const IMPORTS: [&str; 15] = [
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "itertools",
    "json",
    "math",
    "random",
    "re",
    "statistics",
    "string",
    "typing",
];

/// Builtin functions that a script has no use of: those that turn text into code or into names,
/// those that reach out of it, and those that print files, whose names can be changed. `__import__` stays inside, since `import` calls it, and is the
/// hook there.
pub const FORBIDDEN_BUILTINS: [&str; 17] = [
    "breakpoint",
    "compile",
    "copyright",
    "credits",
    "delattr",
    "dir",
    "eval",
    "exec",
    "getattr",
    "globals",
    "help",
    "input",
    "license",
    "locals",
    "open",
    "setattr",
    "vars",
];

/// Size of a script.
pub const SOURCE: LimitSpec =
    LimitSpec { name: "max-source", unit: Unit::Bytes, default: 64 << 10, min: 1, max: 1 << 20 };
/// Nodes of a script's syntax tree.
pub const NODES: LimitSpec =
    LimitSpec { name: "max-nodes", unit: Unit::Count, default: 5000, min: 1, max: 100_000 };
/// How deep a script's syntax tree nests.
pub const DEPTH: LimitSpec =
    LimitSpec { name: "max-depth", unit: Unit::Count, default: 100, min: 1, max: 200 };
/// Every limit of the static check.
pub const LIMITS: [LimitSpec; 3] = [SOURCE, NODES, DEPTH];

/// Modules below others that are programs, and hold what a program needs: files and arguments. The
/// hook inside (`strict.py`) has the same.
const PROGRAMS: [&str; 1] = ["json.tool"];

/// The most modules that can be allowed.
pub const MAX_IMPORTS: usize = 64;
/// The most characters of a module's name.
const MAX_NAME: usize = 100;

/// Why a list is no list of modules to allow; its [`fmt::Display`] is meant for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportsError {
    /// Not a module's name.
    Name(String),
    /// More than [`MAX_IMPORTS`].
    TooMany,
}

impl fmt::Display for ImportsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(f, "{name:?} is no module's name, such as json or collections.abc")
            }
            Self::TooMany => write!(f, "more than {MAX_IMPORTS} modules"),
        }
    }
}

impl std::error::Error for ImportsError {}

/// The modules that a script may import, with the public modules below each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Imports(Vec<String>);

impl Default for Imports {
    fn default() -> Self {
        Self(IMPORTS.map(str::to_owned).to_vec())
    }
}

impl TryFrom<Vec<String>> for Imports {
    type Error = ImportsError;

    fn try_from(mut names: Vec<String>) -> Result<Self, ImportsError> {
        if names.len() > MAX_IMPORTS {
            return Err(ImportsError::TooMany);
        }
        if let Some(name) = names.iter().find(|name| !is_module_name(name)) {
            return Err(ImportsError::Name(name.chars().take(MAX_NAME).collect()));
        }
        names.sort_unstable();
        names.dedup();
        Ok(Self(names))
    }
}

impl From<Imports> for Vec<String> {
    fn from(imports: Imports) -> Self {
        imports.0
    }
}

fn is_module_name(name: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_identifier)
}

impl Imports {
    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether a script may import `module`: one of the list, or one below it that is not private.
    #[must_use]
    pub fn allow(&self, module: &str) -> bool {
        // `from __future__ import …` only says how to read the text.
        module == "__future__"
            || self.0.iter().any(|name| name == module)
            || (!PROGRAMS.contains(&module)
                && module.split('.').all(|part| !part.starts_with('_'))
                && module.rmatch_indices('.').any(|(at, _)| {
                    let above = &module[..at];
                    self.0.iter().any(|name| name == above)
                }))
    }
}

/// What the profile `strict` leaves to a script: table `[sandbox.strict]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "PlainPolicy", into = "PlainPolicy")]
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
        let [source, nodes, depth] = LIMITS.map(|spec| spec.default);
        Self { imports: Imports::default(), source, nodes, depth }
    }
}

/// A policy as it is written down, where nothing keeps a limit in its range.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPolicy {
    imports: Imports,
    source: u64,
    nodes: u64,
    depth: u64,
}

impl From<Policy> for PlainPolicy {
    fn from(policy: Policy) -> Self {
        let Policy { imports, source, nodes, depth } = policy;
        Self { imports, source, nodes, depth }
    }
}

impl TryFrom<PlainPolicy> for Policy {
    type Error = LimitError;

    fn try_from(plain: PlainPolicy) -> Result<Self, LimitError> {
        let PlainPolicy { imports, source, nodes, depth } = plain;
        let source = SOURCE.check(source)?;
        Ok(Self { imports, source, nodes: NODES.check(nodes)?, depth: DEPTH.check(depth)? })
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Rule {
    /// The check could not be done.
    Check,
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
    pub const ALL: [Self; 12] = [
        Self::Check,
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
            Self::Check => "check",
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

    /// The rule that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == word)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that the static check refuses. Its texts repeat names out of the script, escaped where
/// they could act on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

impl Finding {
    /// That a script could not be checked, for which it is refused: what nobody has looked at is
    /// not run.
    #[must_use]
    pub fn unchecked(why: &str) -> Self {
        let message = format!("the script cannot be checked: {why}");
        Self { line: 1, column: 1, rule: Rule::Check, message, instead: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_out_of_range_is_none_and_a_rule_has_one_name_everywhere() {
        let policy = serde_json::to_value(Policy::default()).unwrap();
        assert_eq!(serde_json::from_value::<Policy>(policy.clone()).unwrap(), Policy::default());
        for (key, value) in [
            ("source", serde_json::json!(SOURCE.max + 1)),
            ("nodes", serde_json::json!(0)),
            ("depth", serde_json::json!(DEPTH.max + 1)),
            ("imports", serde_json::json!(["a b"])),
            ("more", serde_json::json!(1)),
        ] {
            let mut odd = policy.clone();
            odd[key] = value;
            assert!(serde_json::from_value::<Policy>(odd).is_err(), "{key}");
        }
        for rule in Rule::ALL {
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.name());
            assert_eq!(Rule::from_name(rule.name()), Some(rule));
        }
    }

    #[test]
    fn a_module_is_allowed_with_the_public_ones_below_it() {
        let names = ["json", "collections", "os.path"].map(str::to_owned).to_vec();
        let imports = Imports::try_from(names).unwrap();
        for (module, expected) in [
            ("json", true),
            ("json.decoder", true),
            ("json.decoder.x", true),
            ("json.tool", false),
            ("json._x", false),
            ("json._x.y", false),
            ("jsonx", false),
            ("collections.abc", true),
            ("os", false),
            ("os.path", true),
            ("os.pathx", false),
            ("__future__", true),
            ("__future__.x", false),
            ("", false),
        ] {
            assert_eq!(imports.allow(module), expected, "{module}");
        }
    }

    #[test]
    fn what_is_no_module_cannot_be_allowed() {
        for name in ["", ".", "a.", ".a", "a b", "a,b", "a\n", "ä", "1a", &"a".repeat(101)] {
            assert!(Imports::try_from(vec![name.to_owned()]).is_err(), "{name:?}");
        }
        assert!(Imports::try_from(vec!["a".to_owned(); MAX_IMPORTS + 1]).is_err());
        let twice = Imports::try_from(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]);
        assert_eq!(twice.unwrap().names(), ["a", "b"]);
        assert_eq!(Imports::try_from(IMPORTS.map(str::to_owned).to_vec()), Ok(Imports::default()));
    }
}
