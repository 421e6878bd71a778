//! What a command prints that has no other document to print.

use serde::Serialize;

/// A command that failed before it could do what it is for.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure<'a> {
    /// Why.
    pub error: FailureText<'a>,
    /// The command's exit code.
    pub exit_code: u8,
}

/// Why a command failed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailureText<'a> {
    /// What happened, why, and what to do next.
    pub message: &'a str,
}
