//! The document of `aictl check --json`.

use serde::Serialize;

/// What the static check says of a script.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check<'a> {
    /// The script, as it was named; `-` is standard input.
    pub file: &'a str,
    /// Whether the profile `strict` would run it.
    pub ok: bool,
    /// All that it refuses, in the order of the text.
    pub findings: Vec<Finding<'a>>,
}

/// Something that is refused.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "CheckFinding"))]
pub struct Finding<'a> {
    /// Line in the script, from 1.
    pub line: u32,
    /// Column in the line in characters, from 1.
    pub column: u32,
    /// The rule's name, such as `import`.
    pub rule: &'a str,
    /// What is refused.
    pub message: &'a str,
    /// What to write instead.
    pub instead: Option<&'a str>,
}
