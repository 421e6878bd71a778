//! Services: their names, their units, what may be done to them, and the catalogue of all.
//!
//! A caller names a service by its [`ServiceName`]; the catalogue alone knows which [`UnitName`]
//! that is. No unit name is ever built from what a caller sends.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{authorisation::Verb, endpoint::Endpoint, provider::Provider};

mod builtin;

pub use builtin::NAMES as BUILTIN_NAMES;

#[cfg(test)]
mod tests;

/// The most characters of a service's name.
pub const MAX_SERVICE_NAME: usize = 64;
/// The most bytes of a unit's name, as in systemd (UNIT_NAME_MAX without its NUL).
pub const MAX_UNIT_NAME: usize = 255;
/// The most characters of the name that people see.
pub const MAX_DISPLAY: usize = 64;
/// The most services that a catalogue holds.
pub const MAX_SERVICES: usize = 256;
/// How the name of a service's unit ends.
const SUFFIX: &str = ".service";
/// What the instance units of the one-shot that enables and disables are called up to the verb.
pub const UNIT_FILE_TEMPLATE: &str = "aictl-unit-file@";

/// The name of a service: 1 to 64 of `a-z`, `0-9` and `-`, the first no `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(String);

/// The name of a systemd unit that a service may have: `NAME.service`, of systemd's own alphabet,
/// and no template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(String);

/// Why a text is no name; its [`fmt::Display`] is meant for the user, and repeats none of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// It is empty.
    Empty,
    /// It is longer than this.
    TooLong {
        /// The most characters.
        max: usize,
    },
    /// A character is not of the alphabet.
    Character {
        /// The first such character.
        found: char,
        /// The alphabet, in words.
        allowed: &'static str,
    },
    /// It begins with a character that may only follow another.
    First(char),
    /// It does not end in `.service`.
    NotAService,
    /// Nothing stands before `.service`.
    NoStem,
    /// It is a template, `NAME@.service`, which is no unit before it has an instance.
    Template,
    /// It holds `..`.
    DotDot,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty"),
            Self::TooLong { max } => write!(f, "the name is longer than {max} characters"),
            Self::Character { found, allowed } => {
                write!(f, "a name cannot hold {found:?}, only {allowed}")
            }
            Self::First(c) => write!(f, "a name cannot begin with {c:?}"),
            Self::NotAService => f.write_str("the name of a unit here ends in \".service\""),
            Self::NoStem => f.write_str("nothing stands before \".service\""),
            Self::Template => f.write_str(
                "NAME@.service is a template: name an instance of it, as in NAME@INSTANCE.service",
            ),
            Self::DotDot => f.write_str("a name cannot hold \"..\""),
        }
    }
}

impl std::error::Error for NameError {}

/// The first character of `text` that `is_good` refuses.
fn only(
    text: &str,
    allowed: &'static str,
    is_good: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    match text.chars().find(|c| !is_good(*c)) {
        Some(found) => Err(NameError::Character { found, allowed }),
        None => Ok(()),
    }
}

impl ServiceName {
    /// Reads a service's name.
    ///
    /// # Errors
    /// If the text is not exactly such a name; nothing is trimmed, folded or corrected.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        // In bytes, so that a text of any size costs nothing: a longer one in characters is none.
        if text.len() > MAX_SERVICE_NAME {
            return Err(NameError::TooLong { max: MAX_SERVICE_NAME });
        }
        only(text, "a-z, 0-9 and \"-\"", |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
        })?;
        if text.starts_with('-') {
            return Err(NameError::First('-'));
        }
        Ok(Self(text.to_owned()))
    }
}

impl UnitName {
    /// Reads the name of a service's unit.
    ///
    /// # Errors
    /// If the text is not exactly such a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_UNIT_NAME {
            return Err(NameError::TooLong { max: MAX_UNIT_NAME });
        }
        only(text, "a-z, A-Z, 0-9 and \":_.\\@-\"", |c| {
            c.is_ascii_alphanumeric() || ":_.\\@-".contains(c)
        })?;
        let stem = text.strip_suffix(SUFFIX).ok_or(NameError::NotAService)?;
        match stem.chars().next() {
            None => return Err(NameError::NoStem),
            Some(first @ ('-' | '.' | '@')) => return Err(NameError::First(first)),
            Some(_) => {}
        }
        if stem.ends_with('@') {
            return Err(NameError::Template);
        }
        if text.contains("..") {
            return Err(NameError::DotDot);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name without `.service`.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.0.strip_suffix(SUFFIX).unwrap_or(&self.0)
    }

    /// The unit of the one-shot that enables or disables this unit; `None` for the other verbs,
    /// and for a name so long that systemd would not take the one-shot's.
    #[must_use]
    pub fn unit_file_job(&self, verb: Verb) -> Option<Self> {
        matches!(verb, Verb::Enable | Verb::Disable)
            .then(|| format!("{UNIT_FILE_TEMPLATE}{}:{}", verb.name(), self.0))
            .filter(|name| name.len() <= MAX_UNIT_NAME)
            .map(Self)
    }
}

/// What [`ServiceName`] and [`UnitName`] have in common: they are texts.
macro_rules! is_a_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    };
}

is_a_text!(ServiceName);
is_a_text!(UnitName);

/// Whose units: those of the machine, or those of the user who asks.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Units of the machine's service manager.
    #[default]
    System,
    /// Units of the user's own service manager.
    User,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 2] = [Self::System, Self::User];

    /// The scope as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
        }
    }

    /// The scope that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == word)
    }
}

/// A set of verbs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Verbs(u8);

impl Verbs {
    /// No verb: a service that can be looked at only.
    pub const NONE: Self = Self(0);
    /// Every verb.
    pub const ALL: Self = Self::of(&Verb::ALL);

    /// The set of these verbs.
    #[must_use]
    pub const fn of(verbs: &[Verb]) -> Self {
        let mut bits = 0;
        let mut rest = verbs;
        while let [verb, others @ ..] = rest {
            bits |= 1 << *verb as u8;
            rest = others;
        }
        Self(bits)
    }

    /// The set of the verbs with these names.
    ///
    /// # Errors
    /// The first word that is no verb.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        words.into_iter().try_fold(Self::NONE, |set, word| {
            Verb::from_name(word).map(|verb| set.with(verb)).ok_or(word)
        })
    }

    /// This set and `verb`.
    #[must_use]
    pub const fn with(self, verb: Verb) -> Self {
        Self(self.0 | Self::of(&[verb]).0)
    }

    /// Whether `verb` is in the set.
    #[must_use]
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & Self::of(&[verb]).0 != 0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The verbs in the set, in the order of [`Verb::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Verb> {
        Verb::ALL.into_iter().filter(move |verb| self.contains(*verb))
    }
}

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name, by which callers know it.
    pub name: ServiceName,
    /// Its name for people: one line without control characters.
    pub display: String,
    /// Its unit.
    pub unit: UnitName,
    /// What may be done to the unit.
    pub verbs: Verbs,
    /// Whether something is wrong while it is not active.
    pub required: bool,
    /// The kind of its server; `None` if that is found out by asking, or if there is none.
    pub provider: Option<Provider>,
    /// Where its server is asked; `None`: on the ports that its unit listens on, else on the usual
    /// ports of its provider.
    pub endpoint: Option<Endpoint>,
}

/// The services that aictl knows, in the order in which they are shown: the built-in ones, then
/// those of the configuration by their names. No two have the same name or the same unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue(Vec<Service>);

/// Why a list of services is no catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueError {
    /// Two services have this name.
    Name(ServiceName),
    /// Two services have the same unit.
    Unit {
        /// The earlier service.
        first: ServiceName,
        /// The later one.
        second: ServiceName,
    },
    /// There are more than [`MAX_SERVICES`].
    TooMany,
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "there are two services {name}"),
            Self::Unit { first, second } => {
                write!(f, "the services {first} and {second} have the same unit")
            }
            Self::TooMany => write!(f, "there are more than {MAX_SERVICES} services"),
        }
    }
}

impl std::error::Error for CatalogueError {}

impl Catalogue {
    /// The catalogue of these services, in this order.
    ///
    /// # Errors
    /// If two have the same name or unit, or if there are too many.
    pub fn new(services: Vec<Service>) -> Result<Self, CatalogueError> {
        if services.len() > MAX_SERVICES {
            return Err(CatalogueError::TooMany);
        }
        for (index, second) in services.iter().enumerate() {
            for first in &services[..index] {
                if first.name == second.name {
                    return Err(CatalogueError::Name(first.name.clone()));
                }
                if first.unit == second.unit {
                    return Err(CatalogueError::Unit {
                        first: first.name.clone(),
                        second: second.name.clone(),
                    });
                }
            }
        }
        Ok(Self(services))
    }

    /// A catalogue without a service: nothing can be asked about, and nothing done.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// The services that are known without any configuration.
    #[must_use]
    pub fn builtin() -> Self {
        Self(builtin::services())
    }

    /// The service with exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Service> {
        self.iter().find(|service| service.name.0 == name)
    }

    /// The service with exactly this unit.
    #[must_use]
    pub fn by_unit(&self, unit: &str) -> Option<&Service> {
        self.iter().find(|service| service.unit.0 == unit)
    }

    /// The services in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Service> {
        self.0.iter()
    }

    /// How many services there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no service.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Catalogue {
    type Item = &'a Service;
    type IntoIter = std::slice::Iter<'a, Service>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
