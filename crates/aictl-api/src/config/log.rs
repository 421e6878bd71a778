//! Table `[log]`: what the helper writes to the journal beside the records of calls, and how.

use super::{
    Setting,
    error::{ConfigError, Place, Problem},
    quoted,
    reader::{Entry, Reader, visible},
};

/// Every key of the table.
pub(super) const KEYS: [&str; 2] = ["level", "format"];
/// What each of [`KEYS`] is, without its words.
pub(super) const ABOUT: [&str; KEYS.len()] = [
    "How important a line must be to be written; records of calls and of the configuration always \
     are",
    "What a line is: text for people, or one JSON object with its time in UTC (ISO 8601)",
];

/// How important a line is; the levels of the journal (syslog(3)) that the helper uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warning,
    /// Normal, but of interest.
    Notice,
    /// For the record.
    #[default]
    Info,
    /// For those who look for a fault.
    Debug,
}

impl Level {
    /// Every level, the most important one first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warning, Self::Notice, Self::Info, Self::Debug];

    /// The level as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A text for people.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// The format as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// What [`super::Settings`] hold of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogSettings {
    level: Option<Setting<Level>>,
    format: Option<Setting<Format>>,
}

impl LogSettings {
    pub fn read(&mut self, reader: &Reader<'_>, table: &Entry<'_>) -> Result<(), ConfigError> {
        reader.each_of(table, |entry| {
            match entry.name {
                "level" => self.level = Some(word(reader, entry, &Level::ALL, Level::name)?),
                "format" => self.format = Some(word(reader, entry, &Format::ALL, Format::name)?),
                _ => return Err(reader.unknown(entry, KEYS.to_vec())),
            }
            Ok(())
        })
    }

    pub fn over(self, earlier: Self) -> Self {
        Self { level: self.level.or(earlier.level), format: self.format.or(earlier.format) }
    }

    pub fn places(&self) -> impl Iterator<Item = (String, Place)> {
        fn place<T>(set: &Setting<T>) -> (String, Place) {
            (set.key.clone(), set.place.clone())
        }
        self.level.iter().map(place).chain(self.format.iter().map(place))
    }

    pub fn build(self) -> Log {
        Log {
            level: self.level.map_or_else(Level::default, |set| set.value),
            format: self.format.map_or_else(Format::default, |set| set.value),
        }
    }
}

/// Reads the one of `all` that `entry` names.
fn word<T: Copy>(
    reader: &Reader<'_>,
    entry: &Entry<'_>,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Setting<T>, ConfigError> {
    let text = reader.text(entry, "a word in quotes")?;
    let Some(value) = all.iter().copied().find(|value| name(*value) == text.as_ref()) else {
        let (found, known) = (format!("\"{}\"", visible(text)), all.iter().copied().map(name));
        return Err(reader.error(entry, Problem::Word { found, known: known.collect() }));
    };
    Ok(reader.setting(entry, value))
}

/// What holds for the helper's log: table `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Log {
    /// Lines of this level and more important ones are written.
    pub level: Level,
    /// What a line is.
    pub format: Format,
}

impl Log {
    /// Every key with its value as it would stand in a file.
    pub(super) fn shown(&self) -> Vec<(String, Option<String>)> {
        let values = [self.level.name(), self.format.name()];
        let row = |(key, value): (&str, &str)| (format!("log.{key}"), Some(quoted(value)));
        KEYS.into_iter().zip(values).map(row).collect()
    }
}
