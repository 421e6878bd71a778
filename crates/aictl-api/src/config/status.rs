//! Table `[status]`: how long the commands that look wait, and how often they look.
//!
//! Each key has a variable of the environment that goes over it; see [`Status::with_environment`].

use std::{ffi::OsString, fmt, time::Duration};

use super::{
    Setting, each_over,
    error::{ConfigError, Place},
    reader::{Entry, Reader, shorten},
    sandbox::written,
};
use crate::limits::{LimitError, LimitSpec, Unit};

/// A number of the table: what it means, which values it takes, and its variable.
pub(super) struct Key {
    pub about: &'static str,
    pub spec: LimitSpec,
    pub variable: &'static str,
}

const fn time(
    name: &'static str,
    variable: &'static str,
    about: &'static str,
    default: u64,
    (min, max): (u64, u64),
) -> Key {
    Key { about, spec: LimitSpec { name, unit: Unit::Time, default, min, max }, variable }
}

/// Every number of the table, in the order in which they are documented.
pub(super) const KEYS: [Key; 4] = [
    time(
        "http-timeout",
        "AICTL_HTTP_TIMEOUT",
        "The time that the server of each service has to answer",
        3000,
        (500, 30_000),
    ),
    time(
        "unit-timeout",
        "AICTL_UNIT_TIMEOUT",
        "The time that systemd has to tell the state of the units",
        8000,
        (1000, 30_000),
    ),
    time(
        "refresh-interval",
        "AICTL_REFRESH_INTERVAL",
        "How often --watch looks",
        5000,
        (1000, 60_000),
    ),
    Key {
        about: "Lines of its log that one service is shown with",
        spec: LimitSpec { name: "log-height", unit: Unit::Count, default: 12, min: 5, max: 50 },
        variable: "AICTL_LOG_HEIGHT",
    },
];

/// The variables that go over the table, in the order of its keys.
pub const VARIABLES: [&str; KEYS.len()] = {
    let [http, unit, refresh, log] = KEYS;
    [http.variable, unit.variable, refresh.variable, log.variable]
};

/// What [`super::Settings`] hold of the table, in the order of [`KEYS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StatusSettings([Option<Setting<u64>>; KEYS.len()]);

impl StatusSettings {
    pub fn read(&mut self, reader: &Reader<'_>, table: &Entry<'_>) -> Result<(), ConfigError> {
        reader.each_of(table, |entry| {
            let found = KEYS.iter().zip(&mut self.0).find(|(key, _)| key.spec.name == entry.name);
            let Some((key, set)) = found else {
                return Err(reader.unknown(entry, KEYS.map(|key| key.spec.name).to_vec()));
            };
            *set = Some(reader.limit(entry, &key.spec)?);
            Ok(())
        })
    }

    pub fn over(self, earlier: Self) -> Self {
        Self(each_over(self.0, earlier.0))
    }

    pub fn places(&self) -> impl Iterator<Item = (String, Place)> {
        self.0.iter().flatten().map(|set| (set.key.clone(), set.place.clone()))
    }

    pub fn build(self) -> Status {
        let mut numbers = Status::default().numbers();
        for (number, set) in numbers.iter_mut().zip(self.0) {
            *number = set.map_or(*number, |set| set.value);
        }
        Status::from_numbers(numbers)
    }
}

/// What holds for the commands that look: table `[status]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The time that the server of each service has to answer.
    pub http_timeout: Duration,
    /// The time that systemd has to tell the state of the units.
    pub unit_timeout: Duration,
    /// How often `--watch` looks.
    pub refresh_interval: Duration,
    /// How many lines of its log one service is shown with.
    pub log_height: u32,
}

/// A variable of the environment whose value does not fit; its [`fmt::Display`] is one line meant
/// for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with its value.
    pub problem: LimitError,
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.problem)
    }
}

impl std::error::Error for EnvironmentError {}

impl Default for Status {
    fn default() -> Self {
        Self::from_numbers(KEYS.map(|key| key.spec.default))
    }
}

impl Status {
    /// These values, with those of the environment over them; `read` tells a variable's value, as
    /// [`std::env::var_os`] does. A bare number is a time in seconds.
    ///
    /// # Errors
    /// The first variable whose value does not fit; an empty one is as good as none.
    pub fn with_environment(
        self,
        read: impl Fn(&'static str) -> Option<OsString>,
    ) -> Result<Self, EnvironmentError> {
        let mut numbers = self.numbers();
        for (number, Key { spec, variable, .. }) in numbers.iter_mut().zip(&KEYS) {
            let set = read(variable).filter(|value| !value.is_empty());
            let Some(value) = set else { continue };
            // What is not UTF-8 is no number either.
            *number = spec
                .parse(&value.to_string_lossy())
                .map_err(|problem| EnvironmentError { variable, problem: shorten(problem) })?;
        }
        Ok(Self::from_numbers(numbers))
    }

    /// Of the numbers in the order of [`KEYS`], which lie in their ranges.
    fn from_numbers(numbers: [u64; KEYS.len()]) -> Self {
        let [http, unit, refresh, log] = numbers;
        Self {
            http_timeout: Duration::from_millis(http),
            unit_timeout: Duration::from_millis(unit),
            refresh_interval: Duration::from_millis(refresh),
            log_height: u32::try_from(log).unwrap_or(u32::MAX),
        }
    }

    /// The numbers in the order of [`KEYS`].
    fn numbers(self) -> [u64; KEYS.len()] {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        [
            millis(self.http_timeout),
            millis(self.unit_timeout),
            millis(self.refresh_interval),
            self.log_height.into(),
        ]
    }

    /// Every key with its value as it would stand in a file.
    pub(super) fn shown(self) -> Vec<(String, Option<String>)> {
        let row = |(Key { spec, .. }, number): (&Key, u64)| {
            (format!("status.{}", spec.name), Some(written(spec, number)))
        };
        KEYS.iter().zip(self.numbers()).map(row).collect()
    }
}
