//! The configuration: what the files say, checked, over built-in defaults.
//!
//! A file is TOML. Each is parsed into [`Settings`]; settings of later files go over those of
//! earlier ones ([`Settings::over`]); the result over what is built in is a [`Config`]. Every key
//! is known or an error, and every error says where.

mod error;
mod helper;
mod log;
pub mod man_page;
mod reader;
mod sandbox;
mod schema;
mod services;
pub mod status;
mod strict;

#[cfg(test)]
mod tests;

use toml::de::DeTable;

use crate::service::{Catalogue, ServiceName};

pub use error::{ConfigError, Place, Problem};
pub use helper::{Audit, Helper, Rate};
pub use log::{Format as LogFormat, Level as LogLevel, Log};
pub use reader::closest;
pub use sandbox::{OverMax, Sandbox};
pub use schema::schema;

use reader::{Reader, entries};

/// The main file.
pub const FILE: &str = "/etc/aictl/aictl.toml";
/// The directory of the files that go over [`FILE`], in the order of their names; only those whose
/// name ends in `.toml` and does not begin with a point.
pub const DROP_INS: &str = "/etc/aictl/aictl.toml.d";
/// The largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// The tables of a file, in the order of the documentation.
const TABLES: [&str; 6] = ["sandbox", "services", "status", "helper", "log", "audit"];
/// The most characters of a key or a value that a message repeats.
const SHOWN: usize = 60;
/// The most errors of one file that are told.
const MAX_ERRORS: usize = 100;

/// A value, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting<T> {
    value: T,
    place: Place,
    /// The key with the names of its tables.
    key: String,
    /// The key with the value as it is written.
    what: String,
}

impl<T> Setting<T> {
    /// That something is wrong with this setting.
    fn error(&self, problem: Problem) -> ConfigError {
        ConfigError {
            place: self.place.clone(),
            what: self.what.clone(),
            problem: Box::new(problem),
        }
    }
}

/// What one file sets, or several in their order; each value is valid by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    sandbox: sandbox::SandboxSettings,
    services: services::ServicesSettings,
    helper: helper::HelperSettings,
    status: status::StatusSettings,
    log: log::LogSettings,
    audit: helper::AuditSettings,
}

impl Settings {
    /// Reads the text of a file; `file` is its name for messages.
    ///
    /// # Errors
    /// The first thing that is wrong: the text is not TOML, or holds a key or a value that is not
    /// accepted.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        Self::parse_all(file, text).map_err(first)
    }

    /// Reads the text of a file as [`Settings::parse`] does, and tells more than the first error.
    ///
    /// # Errors
    /// All that is wrong, in the order of the text; of a text that is not TOML, that alone. Never
    /// empty, and no more than a person reads.
    pub fn parse_all(file: &str, text: &str) -> Result<Self, Vec<ConfigError>> {
        let reader = Reader::new(file, text);
        let root = DeTable::parse(text).map_err(|error| vec![reader.syntax(&error)])?;
        let mut settings = Self::default();
        reader.each(entries("", root.get_ref()), |entry| match entry.name {
            "sandbox" => settings.sandbox.read(&reader, entry),
            "services" => settings.services.read(&reader, entry),
            "helper" => settings.helper.read(&reader, entry),
            "status" => settings.status.read(&reader, entry),
            "log" => settings.log.read(&reader, entry),
            "audit" => settings.audit.read(&reader, entry),
            _ => Err(reader.unknown(entry, TABLES.to_vec())),
        });
        match reader.into_errors() {
            errors if errors.is_empty() => Ok(settings),
            errors => Err(errors),
        }
    }

    /// These settings over `earlier` ones: what both set, these decide.
    #[must_use]
    pub fn over(self, earlier: Self) -> Self {
        Self {
            sandbox: self.sandbox.over(earlier.sandbox),
            services: self.services.over(earlier.services),
            helper: self.helper.over(earlier.helper),
            status: self.status.over(earlier.status),
            log: self.log.over(earlier.log),
            audit: self.audit.over(earlier.audit),
        }
    }
}

/// `later` where it sets something, else `earlier`.
fn each_over<T, const N: usize>(
    later: [Option<Setting<T>>; N],
    earlier: [Option<Setting<T>>; N],
) -> [Option<Setting<T>>; N] {
    let mut earlier = earlier.into_iter();
    later.map(|later| later.or(earlier.next().flatten()))
}

/// The first of the errors, which are never none.
fn first(mut errors: Vec<ConfigError>) -> ConfigError {
    errors.swap_remove(0)
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[sandbox]`
    pub sandbox: Sandbox,
    /// `[status]`
    pub status: status::Status,
    /// `[helper]`
    pub helper: Helper,
    /// `[log]`
    pub log: Log,
    /// `[audit]`
    pub audit: Audit,
    services: Catalogue,
    /// Built-in services that the configuration takes out.
    taken_out: Vec<ServiceName>,
    /// Where each key is set that is.
    places: Vec<(String, Place)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sandbox: Sandbox::default(),
            status: status::Status::default(),
            helper: Helper::default(),
            log: Log::default(),
            audit: Audit::default(),
            services: Catalogue::builtin(),
            taken_out: Vec::new(),
            places: Vec::new(),
        }
    }
}

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    /// The settings over what is built in.
    ///
    /// # Errors
    /// The first thing that does not fit together; see [`Config::check`].
    fn try_from(settings: Settings) -> Result<Self, ConfigError> {
        Self::check(settings).map_err(first)
    }
}

/// A key of the configuration with the value that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The key with the names of its tables.
    pub key: String,
    /// The value, as it would stand in a file; `None` if there is none.
    pub value: Option<String>,
    /// Where it is set; `None` if it is built in.
    pub place: Option<Place>,
}

impl Config {
    /// The settings over what is built in.
    ///
    /// # Errors
    /// All that does not fit together: a limit's default above its highest value, a service
    /// without a unit, or with the unit of another. Never empty.
    pub fn check(settings: Settings) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut places = Vec::new();
        let (sandbox, helper) = (&settings.sandbox, &settings.helper);
        places.extend(sandbox.places().chain(helper.places()));
        places.extend(settings.audit.places().chain(settings.services.places()));
        places.extend(settings.status.places().chain(settings.log.places()));
        let sandbox = settings.sandbox.build(&mut errors);
        let (services, taken_out) = settings.services.build(&mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            sandbox,
            status: settings.status.build(),
            helper: settings.helper.build(),
            log: settings.log.build(),
            audit: settings.audit.build(),
            services,
            taken_out,
            places,
        })
    }

    /// The services that there are.
    #[must_use]
    pub fn services(&self) -> &Catalogue {
        &self.services
    }

    /// Every key with the value that holds, in the order of the documentation.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let mut rows = self.sandbox.shown();
        rows.extend(self.status.shown());
        rows.extend(self.helper.shown());
        rows.extend(self.log.shown());
        rows.extend(self.audit.shown());
        rows.extend(services::shown(&self.services, &self.taken_out));
        rows.into_iter()
            .map(|(key, value)| {
                let set = self.places.iter().find(|(known, _)| *known == key);
                Shown { value, place: set.map(|(_, place)| place.clone()), key }
            })
            .collect()
    }
}

/// A text as it stands in a file.
fn quoted(text: &str) -> String {
    // What JSON escapes, TOML escapes in the same way.
    serde_json::Value::from(text).to_string()
}
