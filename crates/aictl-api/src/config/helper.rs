//! Tables `[helper]` and `[audit]`: how long the helper waits and stays, how much each caller may
//! ask of it, and whether a call without a record is refused.

use std::time::Duration;

use super::{
    Setting, each_over,
    error::{ConfigError, Place},
    reader::{Entry, Reader},
    sandbox::written,
};
use crate::{
    authorisation::RateClass,
    limits::{LimitSpec, Unit},
};

/// A number of the table: the table within it, what it means, and which values it takes.
pub(super) struct Key {
    /// `read-rate`, `change-rate`, `run-rate`, or nothing.
    pub table: &'static str,
    pub about: &'static str,
    pub spec: LimitSpec,
}

const fn time(name: &'static str, about: &'static str, default: u64) -> Key {
    let spec = LimitSpec { name, unit: Unit::Time, default, min: 1000, max: 3_600_000 };
    Key { table: "", about, spec }
}

/// For no longer than this does polkit's yes count, whatever the configuration says.
const POLKIT_CACHE: LimitSpec =
    LimitSpec { name: "polkit-cache", unit: Unit::Time, default: 5000, min: 0, max: 5000 };

const fn count(
    table: &'static str,
    name: &'static str,
    about: &'static str,
    default: u64,
    max: u64,
) -> Key {
    Key { table, about, spec: LimitSpec { name, unit: Unit::Count, default, min: 1, max } }
}

/// Every number of the table, in the order in which they are documented.
pub(super) const KEYS: [Key; 10] = [
    time("idle-timeout", "The helper ends when nobody has called it for this time", 60_000),
    time(
        "action-timeout",
        "The time that a start, stop, restart or reload has, and the most that a caller may ask \
         for",
        90_000,
    ),
    count("", "calls-in-flight", "Calls of one user at one time", 16, 256),
    Key {
        table: "",
        about: "How long polkit's plain yes to a look or a run counts, for the same session; with 0 \
                polkit is asked about each call",
        spec: POLKIT_CACHE,
    },
    count("read-rate", "per-minute", "Calls a minute of one user that only look", 600, 60_000),
    count("read-rate", "burst", "As many at once before that holds", 100, 10_000),
    count("change-rate", "per-minute", "Calls a minute of one user that act", 60, 60_000),
    count("change-rate", "burst", "As many at once before that holds", 10, 10_000),
    count("run-rate", "per-minute", "Scripts a minute that one user has run", 600, 60_000),
    count("run-rate", "burst", "As many at once before that holds", 100, 10_000),
];

/// The tables within the table.
const RATES: [&str; 3] = ["read-rate", "change-rate", "run-rate"];

/// What [`super::Settings`] hold of `[helper]`, in the order of [`KEYS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HelperSettings([Option<Setting<u64>>; KEYS.len()]);

impl HelperSettings {
    pub fn read(&mut self, reader: &Reader<'_>, table: &Entry<'_>) -> Result<(), ConfigError> {
        reader.each_of(table, |entry| {
            if RATES.contains(&entry.name) {
                return reader.each_of(entry, |within| self.read_key(reader, entry.name, within));
            }
            self.read_key(reader, "", entry)
        })
    }

    /// Reads the number that `entry` is, in the table `table` within `[helper]`.
    fn read_key(
        &mut self,
        reader: &Reader<'_>,
        table: &str,
        entry: &Entry<'_>,
    ) -> Result<(), ConfigError> {
        let here = || KEYS.iter().enumerate().filter(|(_, key)| key.table == table);
        let Some((index, key)) = here().find(|(_, key)| key.spec.name == entry.name) else {
            let mut known: Vec<_> = here().map(|(_, key)| key.spec.name).collect();
            if table.is_empty() {
                known.extend(RATES);
            }
            return Err(reader.unknown(entry, known));
        };
        self.0[index] = Some(reader.limit(entry, &key.spec)?);
        Ok(())
    }

    pub fn over(self, earlier: Self) -> Self {
        Self(each_over(self.0, earlier.0))
    }

    pub fn places(&self) -> impl Iterator<Item = (String, Place)> {
        self.0.iter().flatten().map(|set| (set.key.clone(), set.place.clone()))
    }

    pub fn build(self) -> Helper {
        let mut keys = KEYS.iter();
        let numbers = self.0.map(|set| {
            let default = keys.next().map_or(0, |key| key.spec.default);
            set.map_or(default, |set| set.value)
        });
        Helper::from_numbers(numbers)
    }
}

/// How fast calls of a class may come: a bucket that holds `burst`, filled evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many calls the bucket gains in a minute; at least 1.
    pub per_minute: u32,
    /// How many calls it holds; at least 1.
    pub burst: u32,
}

/// What holds for the helper: table `[helper]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Helper {
    /// The helper ends when nobody has called it for this time.
    pub idle_timeout: Duration,
    /// The time that an action has where the caller asks for none, and the most to ask for.
    pub action_timeout: Duration,
    /// How many calls of one uid are worked on at one time; at least 1.
    pub calls_in_flight: u32,
    /// How long a plain yes of polkit's counts, to what may be kept of them; zero for not at all.
    pub polkit_cache: Duration,
    /// How fast calls of one uid may come that only look.
    pub read_rate: Rate,
    /// How fast calls of one uid may come that change a unit.
    pub change_rate: Rate,
    /// How fast calls of one uid may come that have a script run.
    pub run_rate: Rate,
}

impl Default for Helper {
    fn default() -> Self {
        Self::from_numbers(KEYS.map(|key| key.spec.default))
    }
}

impl Helper {
    /// The rate of the calls of a class.
    #[must_use]
    pub const fn rate(&self, class: RateClass) -> Rate {
        match class {
            RateClass::Read => self.read_rate,
            RateClass::Change => self.change_rate,
            RateClass::Run => self.run_rate,
        }
    }

    /// Of the numbers in the order of [`KEYS`], which lie in their ranges.
    fn from_numbers(numbers: [u64; KEYS.len()]) -> Self {
        let [idle, action, calls, polkit, rates @ ..] = numbers;
        let [read, read_burst, change, change_burst, run, run_burst] = rates;
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let rate = |per_minute, burst| Rate { per_minute: count(per_minute), burst: count(burst) };
        Self {
            idle_timeout: Duration::from_millis(idle),
            action_timeout: Duration::from_millis(action),
            calls_in_flight: count(calls),
            polkit_cache: Duration::from_millis(polkit),
            read_rate: rate(read, read_burst),
            change_rate: rate(change, change_burst),
            run_rate: rate(run, run_burst),
        }
    }

    /// The numbers in the order of [`KEYS`].
    fn numbers(&self) -> [u64; KEYS.len()] {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        [
            millis(self.idle_timeout),
            millis(self.action_timeout),
            self.calls_in_flight.into(),
            millis(self.polkit_cache),
            self.read_rate.per_minute.into(),
            self.read_rate.burst.into(),
            self.change_rate.per_minute.into(),
            self.change_rate.burst.into(),
            self.run_rate.per_minute.into(),
            self.run_rate.burst.into(),
        ]
    }

    /// Every key with its value as it would stand in a file.
    pub(super) fn shown(&self) -> Vec<(String, Option<String>)> {
        let row = |(Key { table, spec, .. }, number): (&Key, u64)| {
            let point = if table.is_empty() { "" } else { "." };
            (format!("helper.{table}{point}{}", spec.name), Some(written(spec, number)))
        };
        KEYS.iter().zip(self.numbers()).map(row).collect()
    }
}

/// What [`super::Settings`] hold of `[audit]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AuditSettings {
    required: Option<Setting<bool>>,
}

impl AuditSettings {
    pub fn read(&mut self, reader: &Reader<'_>, table: &Entry<'_>) -> Result<(), ConfigError> {
        reader.each_of(table, |entry| match entry.name {
            "required" => {
                self.required = Some(reader.boolean(entry)?);
                Ok(())
            }
            _ => Err(reader.unknown(entry, vec!["required"])),
        })
    }

    pub fn over(self, earlier: Self) -> Self {
        Self { required: self.required.or(earlier.required) }
    }

    pub fn places(&self) -> impl Iterator<Item = (String, Place)> {
        self.required.iter().map(|set| (set.key.clone(), set.place.clone()))
    }

    pub fn build(self) -> Audit {
        self.required.map_or_else(Audit::default, |set| Audit { required: set.value })
    }
}

/// What holds for audit records: table `[audit]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Whether a call is refused whose record the journal does not take.
    pub required: bool,
}

impl Default for Audit {
    fn default() -> Self {
        Self { required: true }
    }
}

impl Audit {
    /// Every key with its value as it would stand in a file.
    pub(super) fn shown(&self) -> Vec<(String, Option<String>)> {
        vec![("audit.required".to_owned(), Some(self.required.to_string()))]
    }
}
