//! What is wrong with a configuration file, and where.

use std::fmt;

use super::reader::plain;
use crate::{
    endpoint::EndpointError,
    limits::LimitError,
    service::{MAX_DISPLAY, MAX_SERVICES, NameError, ServiceName},
    strict::ImportsError,
};

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as it was given.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", plain(&self.file), self.line)
    }
}

/// What is wrong with a file; its [`fmt::Display`] is one line meant for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// The key with the names of its tables, such as `sandbox.limits.timeout`, and its value where
    /// that is no table, as written; for a text that is not TOML, the line.
    pub what: String,
    /// What is wrong with it.
    pub problem: Box<Problem>,
}

/// What can be wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The text is not TOML, for this reason; a key given twice is such a reason.
    Syntax(String),
    /// There is no such key.
    UnknownKey {
        /// The keys that there are in its place.
        known: Vec<&'static str>,
        /// The one that was probably meant.
        meant: Option<&'static str>,
    },
    /// A value of another kind is needed.
    Kind {
        /// What stands there.
        found: &'static str,
        /// What is accepted.
        expected: &'static str,
        /// The range in which it must lie; empty where there is none.
        range: String,
    },
    /// The value does not fit the limit.
    Limit(LimitError),
    /// The path does not begin with `/`.
    RelativePath,
    /// The path holds a NUL, which no path can.
    NulInPath,
    /// A limit where the caller asks for none is above the most that a caller may ask for.
    AboveMax {
        /// The highest value.
        max: String,
        /// Where it is set.
        place: Option<Place>,
    },
    /// The most that a caller may ask for is below the built-in default.
    BelowDefault {
        /// The name of the limit.
        name: &'static str,
        /// The built-in default.
        default: String,
    },
    /// The text is no name of a service or a unit.
    Name(NameError),
    /// The text is no endpoint.
    Endpoint(EndpointError),
    /// The unit is one of aictl's own, which no service may have.
    OwnUnit,
    /// The name for people is empty, too long, or holds what is no visible character.
    Display,
    /// The text is none of the words that are accepted.
    Word {
        /// What stands there.
        found: String,
        /// The words.
        known: Vec<&'static str>,
    },
    /// The word stands there twice.
    Twice(&'static str),
    /// The service is not built in, and no unit is set for it.
    NoUnit {
        /// The built-in service that was probably meant.
        meant: Option<&'static str>,
    },
    /// Another service has the unit.
    UnitTaken {
        /// The other service.
        by: ServiceName,
        /// Where that service's unit is set, if it is not built in.
        place: Option<Place>,
    },
    /// The texts are no modules to allow.
    Imports(ImportsError),
    /// There are more services than a catalogue holds.
    TooManyServices,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.what, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(message) => write!(f, "not valid TOML: {message}"),
            Self::UnknownKey { known, meant: None } => {
                write!(f, "unknown key; known here: {}", known.join(", "))
            }
            Self::UnknownKey { meant: Some(meant), .. } => {
                write!(f, "unknown key; did you mean {meant}?")
            }
            Self::Kind { found, expected, range } if range.is_empty() => {
                write!(f, "{found}, where {expected} is needed")
            }
            Self::Kind { found, expected, range } => {
                write!(f, "{found}, where {expected} is needed ({range})")
            }
            Self::Limit(error) => error.fmt(f),
            Self::RelativePath => {
                f.write_str("not an absolute path, which begins with / as in \"/usr/bin/python3\"")
            }
            Self::NulInPath => f.write_str("a path cannot hold a NUL character"),
            Self::AboveMax { max, place: Some(place) } => {
                write!(f, "above the highest value, {max}, set at {place}")
            }
            Self::AboveMax { max, place: None } => write!(f, "above the highest value, {max}"),
            Self::BelowDefault { name, default } => write!(
                f,
                "below the default, {default}: set sandbox.limits.{name} to no more than this"
            ),
            Self::Name(error) => error.fmt(f),
            Self::Endpoint(error) => error.fmt(f),
            Self::OwnUnit => f.write_str("a unit of aictl itself, which is no service"),
            Self::Display => {
                write!(f, "not 1 to {MAX_DISPLAY} visible characters on one line")
            }
            Self::Word { found, known } => {
                write!(f, "{found} is none of {}", known.join(", "))
            }
            Self::Twice(word) => write!(f, "{word} stands there twice"),
            Self::NoUnit { meant: None } => f.write_str(
                "no service of this name is built in: set its unit, as in unit = \"NAME.service\"",
            ),
            Self::NoUnit { meant: Some(meant) } => write!(
                f,
                "no service of this name is built in; did you mean {meant}? A service of your own \
                 needs unit = \"NAME.service\""
            ),
            Self::UnitTaken { by, place: Some(place) } => {
                write!(f, "the unit of the service {by}, by {place}")
            }
            Self::UnitTaken { by, place: None } => write!(
                f,
                "the unit of the built-in service {by}: change services.{by} instead, or take it \
                 out with services.{by}.enabled = false"
            ),
            Self::Imports(error) => error.fmt(f),
            Self::TooManyServices => write!(f, "more than {MAX_SERVICES} services in all"),
        }
    }
}

impl std::error::Error for ConfigError {}
