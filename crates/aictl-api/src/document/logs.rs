//! What `aictl logs` prints.

use serde::Serialize;

/// The log of a service.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Log<'a> {
    /// The service's name.
    pub service: &'a str,
    /// The lines, the oldest first.
    pub lines: Vec<Line<'a>>,
}

/// One line of a log. With `--follow`, each is a document of its own, on a line.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Line<'a> {
    /// When it was written, as ISO 8601 in UTC.
    pub time: Option<String>,
    /// How grave it is: 0 emergency, 1 alert, 2 critical, 3 error, 4 warning, 5 notice, 6
    /// information, 7 debugging.
    #[cfg_attr(feature = "schema", schemars(range(max = 7)))]
    pub priority: u8,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// The name under which it was written: mostly that of the program.
    pub identifier: &'a str,
    /// The text, redacted.
    pub message: &'a str,
}
