//! What `aictl doctor` prints.

use std::fmt;

use serde::Serialize;

/// What works on this machine, and what does not.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// aictl's version.
    pub version: &'static str,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// Whether aictl can do what it is for.
    pub healthy: bool,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub status: CheckStatus,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Check {
    /// All is well with `name`, where `detail` was found.
    #[must_use]
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status: CheckStatus::Ok, detail: detail.into(), advice: None }
    }

    /// Not all is well with `name`; no advice is an empty one.
    #[must_use]
    pub fn bad(name: &str, status: CheckStatus, detail: impl Into<String>, advice: &str) -> Self {
        let advice = (!advice.is_empty()).then(|| advice.to_owned());
        Self { name: name.to_owned(), status, detail: detail.into(), advice }
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// All is well.
    Ok,
    /// Something is missing that aictl can do without.
    Missing,
    /// Something that aictl can do without is there, and does not work.
    Broken,
    /// Something is missing that aictl needs.
    Failed,
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Broken => "BROKEN",
            Self::Failed => "FAILED",
        })
    }
}
