//! What `aictl config show` and `aictl config check` print.

use serde::Serialize;

use crate::config::{Place, Shown};

/// Every key of the configuration.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings<'a> {
    /// The keys, in the order of the documentation.
    pub settings: Vec<Setting<'a>>,
}

/// A key with the value that holds.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setting<'a> {
    /// The key with the names of its tables, such as `sandbox.limits.timeout`.
    pub key: &'a str,
    /// The value as it would stand in a file; null if there is none.
    pub value: Option<&'a str>,
    /// Where it is set; null if the value is built in.
    pub place: Option<SettingPlace<'a>>,
}

/// Where a value is set.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SettingPlace<'a> {
    /// The file.
    pub file: &'a str,
    /// The line in it, from 1.
    pub line: usize,
}

impl<'a> From<&'a Shown> for Setting<'a> {
    fn from(shown: &'a Shown) -> Self {
        let place = |place: &'a Place| SettingPlace { file: &place.file, line: place.line };
        Self {
            key: &shown.key,
            value: shown.value.as_deref(),
            place: shown.place.as_ref().map(place),
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problems<'a> {
    /// Whether it can be used.
    pub ok: bool,
    /// What is wrong, each on one line.
    pub problems: &'a [String],
}
