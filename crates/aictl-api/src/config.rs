//! The configuration: what the files say, checked, over built-in defaults.
//!
//! A file is TOML. Each is parsed into [`Settings`]; settings of later files go over those of
//! earlier ones ([`Settings::over`]); the result with the defaults of [`limits`] is a [`Config`].
//! Every key is known or an error, and every error says where.

use std::{fmt, ops::Range, path::PathBuf};

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use crate::limits::{self, LimitError, LimitSpec, Unit};

/// The main file.
pub const FILE: &str = "/etc/aictl/aictl.toml";
/// The directory of the files that go over [`FILE`], in the order of their names; only those whose
/// name ends in `.toml` and does not begin with a point.
pub const DROP_INS: &str = "/etc/aictl/aictl.toml.d";
/// The largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// The most characters of a key or a value that a message repeats.
const SHOWN: usize = 60;

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
            Self::Kind { found, expected } => write!(f, "{found}, where {expected} is needed"),
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
        }
    }
}

impl std::error::Error for ConfigError {}

/// A value, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting<T> {
    value: T,
    place: Place,
    what: String,
}

/// Values of limits, in the order of [`limits::ALL`].
type PerLimit<T> = [T; limits::ALL.len()];

/// What one file sets, or several in their order; each value is valid by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    python: Option<Setting<PathBuf>>,
    limits: PerLimit<Option<Setting<u64>>>,
    max: PerLimit<Option<Setting<u64>>>,
}

impl Settings {
    /// Reads the text of a file; `file` is its name for messages.
    ///
    /// # Errors
    /// If the text is not TOML, or holds a key or a value that is not accepted.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let reader = Reader { file, text };
        let root = DeTable::parse(text).map_err(|error| reader.syntax(&error))?;
        let mut settings = Self::default();
        for entry in entries("", root.get_ref()) {
            match entry.name {
                "sandbox" => settings.read_sandbox(&reader, &entry)?,
                _ => return Err(reader.unknown(&entry, vec!["sandbox"])),
            }
        }
        Ok(settings)
    }

    fn read_sandbox(
        &mut self,
        reader: &Reader<'_>,
        sandbox: &Entry<'_>,
    ) -> Result<(), ConfigError> {
        for entry in reader.table(sandbox)? {
            match entry.name {
                "python" => self.python = Some(reader.path(&entry)?),
                "limits" => read_limits(&mut self.limits, reader, &entry)?,
                "max" => read_limits(&mut self.max, reader, &entry)?,
                _ => return Err(reader.unknown(&entry, vec!["python", "limits", "max"])),
            }
        }
        Ok(())
    }

    /// These settings over `earlier` ones: what both set, these decide.
    #[must_use]
    pub fn over(self, earlier: Self) -> Self {
        fn each(
            later: PerLimit<Option<Setting<u64>>>,
            earlier: &mut PerLimit<Option<Setting<u64>>>,
        ) {
            for (later, earlier) in later.into_iter().zip(earlier) {
                if later.is_some() {
                    *earlier = later;
                }
            }
        }
        let mut merged = earlier;
        merged.python = self.python.or(merged.python);
        each(self.limits, &mut merged.limits);
        each(self.max, &mut merged.max);
        merged
    }
}

fn read_limits(
    into: &mut PerLimit<Option<Setting<u64>>>,
    reader: &Reader<'_>,
    table: &Entry<'_>,
) -> Result<(), ConfigError> {
    for entry in reader.table(table)? {
        let Some(index) = limits::ALL.iter().position(|spec| spec.name == entry.name) else {
            return Err(reader.unknown(&entry, limits::ALL.iter().map(|spec| spec.name).collect()));
        };
        into[index] = Some(reader.limit(&entry, &limits::ALL[index])?);
    }
    Ok(())
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[sandbox]`
    pub sandbox: Sandbox,
}

/// What holds for sandboxed runs: table `[sandbox]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    python: Option<Setting<PathBuf>>,
    defaults: PerLimit<u64>,
    max: PerLimit<(u64, Option<Place>)>,
}

impl Default for Config {
    fn default() -> Self {
        let sandbox = Sandbox {
            python: None,
            defaults: limits::ALL.map(|spec| spec.default),
            max: limits::ALL.map(|spec| (spec.max, None)),
        };
        Self { sandbox }
    }
}

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    /// The settings over the built-in defaults.
    ///
    /// # Errors
    /// If a limit's default is above its highest value.
    fn try_from(settings: Settings) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let Sandbox { python, defaults, max } = &mut config.sandbox;
        *python = settings.python;
        for (index, (limit, highest)) in settings.limits.into_iter().zip(settings.max).enumerate() {
            let spec = limits::ALL[index];
            let above = |value: u64| highest.as_ref().is_some_and(|highest| value > highest.value);
            match (&limit, &highest) {
                (Some(limit), Some(highest)) if above(limit.value) => {
                    return Err(ConfigError {
                        place: limit.place.clone(),
                        what: limit.what.clone(),
                        problem: Box::new(Problem::AboveMax {
                            max: show(&spec, highest.value),
                            place: Some(highest.place.clone()),
                        }),
                    });
                }
                (None, Some(highest)) if above(spec.default) => {
                    return Err(ConfigError {
                        place: highest.place.clone(),
                        what: highest.what.clone(),
                        problem: Box::new(Problem::BelowDefault {
                            name: spec.name,
                            default: spec.default_text(),
                        }),
                    });
                }
                _ => {}
            }
            if let Some(limit) = limit {
                defaults[index] = limit.value;
            }
            if let Some(highest) = highest {
                max[index] = (highest.value, Some(highest.place));
            }
        }
        Ok(config)
    }
}

/// A caller asks for more of something than the configuration allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverMax {
    /// The limit.
    pub spec: LimitSpec,
    /// What was asked for, in the base of the limit's unit.
    pub asked: u64,
    /// The most that may be asked for.
    pub max: u64,
    /// Where that is set.
    pub place: Option<Place>,
}

impl fmt::Display for OverMax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spec, asked, max, place } = self;
        write!(
            f,
            "{} {} is more than allowed: at most {}",
            spec.name,
            show(spec, *asked),
            show(spec, *max)
        )?;
        match place {
            Some(place) => write!(f, ", by sandbox.max.{} at {place}", spec.name),
            None => Ok(()),
        }
    }
}

impl std::error::Error for OverMax {}

impl Sandbox {
    /// The Python to run scripts with, an absolute path, and where it is set.
    #[must_use]
    pub fn python(&self) -> Option<(&std::path::Path, &Place)> {
        self.python.as_ref().map(|setting| (setting.value.as_path(), &setting.place))
    }

    /// The value of a limit of [`limits::ALL`] for a caller who asks for `asked`, or for nothing.
    ///
    /// The range of the limit itself is for [`limits::Limits::set`] to check.
    ///
    /// # Errors
    /// If that is more than a caller may ask for.
    pub fn limit(&self, spec: &LimitSpec, asked: Option<u64>) -> Result<u64, OverMax> {
        let index = limits::ALL.iter().position(|known| known.name == spec.name);
        let (default, max, place) = match index {
            Some(index) => (self.defaults[index], self.max[index].0, &self.max[index].1),
            None => (spec.default, spec.max, &None),
        };
        match asked {
            None => Ok(default),
            Some(asked) if asked <= max => Ok(asked),
            Some(asked) => Err(OverMax { spec: *spec, asked, max, place: place.clone() }),
        }
    }
}

/// One key with its value.
struct Entry<'a> {
    /// With the names of its tables.
    path: String,
    name: &'a str,
    /// Where the key stands in the text.
    at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

/// The entries of a table in the order of the text, so that the first error is the first to see.
fn entries<'a>(path: &str, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| Entry {
            path: match path {
                "" => visible(key.get_ref()),
                path => format!("{path}.{}", visible(key.get_ref())),
            },
            name: key.get_ref(),
            at: key.span().start,
            value,
        })
        .collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

/// A file's text, to say where things are.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, at: usize) -> Place {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Place { file: self.file.to_owned(), line }
    }

    fn written(&self, span: Range<usize>) -> String {
        visible(self.text.get(span).unwrap_or_default())
    }

    fn what(&self, entry: &Entry<'_>) -> String {
        match entry.value.get_ref() {
            DeValue::Table(_) => entry.path.clone(),
            _ => format!("{} = {}", entry.path, self.written(entry.value.span())),
        }
    }

    fn error(&self, entry: &Entry<'_>, problem: Problem) -> ConfigError {
        ConfigError {
            place: self.place(entry.at),
            what: self.what(entry),
            problem: Box::new(problem),
        }
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let at = error.span().map_or(0, |span| span.start);
        let place = self.place(at);
        let line = self.text.lines().nth(place.line - 1).unwrap_or_default();
        let what = match line.trim() {
            "" => "(an empty line)".to_owned(),
            line => visible(line),
        };
        let problem = Box::new(Problem::Syntax(plain(error.message())));
        ConfigError { place, what, problem }
    }

    fn unknown(&self, entry: &Entry<'_>, known: Vec<&'static str>) -> ConfigError {
        let meant = known
            .iter()
            .map(|known| (distance(entry.name, known), *known))
            .min()
            .filter(|(distance, known)| *distance <= 2 && *distance * 2 < known.len())
            .map(|(_, known)| known);
        self.error(entry, Problem::UnknownKey { known, meant })
    }

    fn kind(&self, entry: &Entry<'_>, expected: &'static str) -> ConfigError {
        let found = match entry.value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.error(entry, Problem::Kind { found, expected })
    }

    fn setting<T>(&self, entry: &Entry<'_>, value: T) -> Setting<T> {
        Setting { value, place: self.place(entry.at), what: self.what(entry) }
    }

    fn table<'a>(&self, entry: &Entry<'a>) -> Result<Vec<Entry<'a>>, ConfigError> {
        match entry.value.get_ref() {
            DeValue::Table(table) => Ok(entries(&entry.path, table)),
            _ => Err(self.kind(entry, "a table")),
        }
    }

    fn path(&self, entry: &Entry<'_>) -> Result<Setting<PathBuf>, ConfigError> {
        let DeValue::String(text) = entry.value.get_ref() else {
            return Err(self.kind(entry, "an absolute path in quotes"));
        };
        if text.contains('\0') {
            return Err(self.error(entry, Problem::NulInPath));
        }
        if !text.starts_with('/') {
            return Err(self.error(entry, Problem::RelativePath));
        }
        Ok(self.setting(entry, PathBuf::from(text.as_ref())))
    }

    fn limit(&self, entry: &Entry<'_>, spec: &LimitSpec) -> Result<Setting<u64>, ConfigError> {
        let value = match (entry.value.get_ref(), spec.unit) {
            (DeValue::String(text), _) => spec.parse(text),
            (DeValue::Integer(number), Unit::Bytes | Unit::Count) => integer(number, spec),
            (_, Unit::Time) => return Err(self.kind(entry, "a time in quotes such as \"30s\"")),
            (_, Unit::Bytes) => {
                return Err(self.kind(entry, "a size such as \"256M\", or a number of bytes,"));
            }
            (_, Unit::Count) => return Err(self.kind(entry, "a whole number")),
        };
        match value {
            Ok(value) => Ok(self.setting(entry, value)),
            Err(error) => Err(self.error(entry, Problem::Limit(shorten(error)))),
        }
    }
}

/// An integer in the range of `spec`; one that no u64 holds is out of any range.
fn integer(number: &DeInteger<'_>, spec: &LimitSpec) -> Result<u64, LimitError> {
    u64::from_str_radix(number.as_str(), number.radix())
        .ok()
        .and_then(|value| spec.check(value).ok())
        .ok_or_else(|| LimitError::Range { text: number.to_string(), spec: *spec })
}

/// The same error without a text of any length in it.
fn shorten(error: LimitError) -> LimitError {
    match error {
        LimitError::Syntax { text, unit } => LimitError::Syntax { text: cut(&text), unit },
        LimitError::Range { text, spec } => LimitError::Range { text: cut(&text), spec },
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text as it can stand in a message: on one line, and nothing that acts on a terminal.
fn plain(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// The beginning of a text of any length, as it can stand in a message.
fn visible(text: &str) -> String {
    plain(&cut(text))
}

/// A value of a limit in the way people write it.
fn show(spec: &LimitSpec, value: u64) -> String {
    LimitSpec { default: value, ..*spec }.default_text()
}

/// How many characters must be put in, left out or changed to make `a` into `b`; of a text that is
/// far too long, [`usize::MAX`].
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 2 * SHOWN {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let changed = corner + usize::from(from != to);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const EXAMPLE: &str = include_str!("../../../examples/aictl.toml");

    fn config(texts: &[&str]) -> Result<Config, ConfigError> {
        let mut merged = Settings::default();
        for (index, text) in texts.iter().enumerate() {
            merged = Settings::parse(&format!("{index}.toml"), text)?.over(merged);
        }
        Config::try_from(merged)
    }

    fn values(config: &Config) -> (PerLimit<u64>, PerLimit<u64>) {
        (config.sandbox.defaults, config.sandbox.max.clone().map(|(value, _)| value))
    }

    #[test]
    fn nothing_set_is_the_table_of_limits() {
        for text in ["", "\n# only this\n", "[sandbox]\n[sandbox.max]\n[sandbox.limits]\n", EXAMPLE]
        {
            assert_eq!(config(&[text]), Ok(Config::default()), "{text:?}");
        }
        let sandbox = Config::default().sandbox;
        assert_eq!(sandbox.python(), None);
        for spec in limits::ALL {
            assert_eq!(sandbox.limit(&spec, None), Ok(spec.default), "{}", spec.name);
            assert_eq!(sandbox.limit(&spec, Some(spec.max)), Ok(spec.max), "{}", spec.name);
            assert!(sandbox.limit(&spec, Some(spec.max + 1)).is_err(), "{}", spec.name);
        }
    }

    #[test]
    fn the_example_shows_every_key_with_its_default_and_range() {
        // A setting is commented out without a space, as distinct from prose.
        let is_set = |line: &str| {
            line.strip_prefix('#')
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        };
        let lines: Vec<_> = EXAMPLE.lines().collect();
        let text: String = lines
            .iter()
            .map(|line| format!("{}\n", if is_set(line) { &line[1..] } else { line }))
            .collect();
        let settings = Settings::parse("aictl.toml", &text).unwrap();
        for (index, spec) in limits::ALL.iter().enumerate() {
            let value = |setting: &Option<Setting<u64>>| setting.as_ref().map(|s| s.value);
            assert_eq!(value(&settings.limits[index]), Some(spec.default), "limits.{}", spec.name);
            assert_eq!(value(&settings.max[index]), Some(spec.max), "max.{}", spec.name);
            let place = &settings.limits[index].as_ref().unwrap().place;
            let range = format!("({} to {})", show(spec, spec.min), show(spec, spec.max));
            assert!(lines[place.line - 2].contains(&range), "{}: {range}", spec.name);
        }
        assert_eq!(settings.python.unwrap().value, Path::new("/usr/bin/python3"));
    }

    #[test]
    fn values_are_texts_or_numbers() {
        let good = [
            ("timeout = \"5s\"", limits::TIMEOUT, 5000),
            ("timeout = '500ms'", limits::TIMEOUT, 500),
            ("timeout = \"5\"", limits::TIMEOUT, 5000),
            ("cpu = \"0.5s\"", limits::CPU, 500),
            ("memory = \"256M\"", limits::MEMORY, 256 << 20),
            ("memory = 268_435_456", limits::MEMORY, 256 << 20),
            ("memory = 0x1000_0000", limits::MEMORY, 256 << 20),
            ("max-processes = 8", limits::PROCESSES, 8),
            ("max-processes = +8", limits::PROCESSES, 8),
            ("max-processes = \"8\"", limits::PROCESSES, 8),
            ("max-output = 1", limits::OUTPUT, 1),
            ("work-size = \"64K\"", limits::WORK, 65536),
            ("max-source = \"16M\"", limits::SOURCE, 16 << 20),
            ("\"cpu\" = \"1h\"", limits::CPU, 3_600_000),
        ];
        for (line, spec, value) in good {
            let config = config(&[&format!("[sandbox.limits]\n{line}\n")]).unwrap();
            assert_eq!(config.sandbox.limit(&spec, None), Ok(value), "{line}");
        }
        // The same thing in every way of TOML, with a byte order mark and other line ends too.
        for text in [
            "sandbox.limits.memory = \"32M\"",
            "[sandbox]\nlimits = { memory = \"32M\" }",
            "sandbox = { limits.memory = \"32M\" }",
            "\u{feff}[sandbox.limits]\r\nmemory = \"32M\"\r\n",
        ] {
            let config = config(&[text]).unwrap();
            assert_eq!(config.sandbox.limit(&limits::MEMORY, None), Ok(32 << 20), "{text:?}");
        }
    }

    #[test]
    fn every_error_says_where_and_what_is_accepted() {
        let table = [
            (
                "\n\n\n\n\n[sandbox.limits]\ntimeout = \"0\"",
                "0.toml:7: sandbox.limits.timeout = \"0\": 0 is out of range: 10ms to 1h",
            ),
            (
                "[sandbox.limits]\ntimeout = \"2h\"",
                "0.toml:2: sandbox.limits.timeout = \"2h\": 2h is out of range: 10ms to 1h",
            ),
            (
                "[sandbox.max]\nmemory = \"65G\"",
                "0.toml:2: sandbox.max.memory = \"65G\": 65G is out of range: 16M to 64G",
            ),
            (
                "[sandbox.limits]\nmemory = 1024",
                "0.toml:2: sandbox.limits.memory = 1024: 1024 is out of range: 16M to 64G",
            ),
            (
                "[sandbox.limits]\nmax-processes = -1",
                "0.toml:2: sandbox.limits.max-processes = -1: -1 is out of range: 1 to 4096",
            ),
            (
                "[sandbox.limits]\nmax-processes = 99999999999999999999999",
                "0.toml:2: sandbox.limits.max-processes = 99999999999999999999999: \
                 99999999999999999999999 is out of range: 1 to 4096",
            ),
            (
                "[sandbox.limits]\nmax-processes = \"abc\"",
                "0.toml:2: sandbox.limits.max-processes = \"abc\": \"abc\" is not a whole number",
            ),
            (
                "[sandbox.limits]\nmax-processes = 1.5",
                "0.toml:2: sandbox.limits.max-processes = 1.5: a number with a point, where a \
                 whole number is needed",
            ),
            (
                "[sandbox.limits]\ntimeout = \"5 s\"",
                "0.toml:2: sandbox.limits.timeout = \"5 s\": \"5 s\" is not a time such as 500ms, \
                 5s, 2m or 1h",
            ),
            (
                "[sandbox.limits]\ntimeout = 30",
                "0.toml:2: sandbox.limits.timeout = 30: an integer, where a time in quotes such \
                 as \"30s\" is needed",
            ),
            (
                "[sandbox.limits]\nmemory = true",
                "0.toml:2: sandbox.limits.memory = true: a boolean, where a size such as \"256M\", \
                 or a number of bytes, is needed",
            ),
            (
                "[sandbox.limits]\nmemory = [\n1,\n2]",
                "0.toml:2: sandbox.limits.memory = [\\n1,\\n2]: an array, where a size such as \
                 \"256M\", or a number of bytes, is needed",
            ),
            (
                "[sandbox.limits.memory]\n",
                "0.toml:1: sandbox.limits.memory: a table, where a size such as \"256M\", or a \
                 number of bytes, is needed",
            ),
            (
                "[sandbox.limits]\ntimout = \"5s\"",
                "0.toml:2: sandbox.limits.timout = \"5s\": unknown key; did you mean timeout?",
            ),
            (
                "[sandbox.max]\nstack = 1979-05-27",
                "0.toml:2: sandbox.max.stack = 1979-05-27: unknown key; known here: timeout, cpu, \
                 memory, max-processes, max-output, work-size, max-source",
            ),
            (
                "[sandbox]\npyhton = \"/usr/bin/python3\"",
                "0.toml:2: sandbox.pyhton = \"/usr/bin/python3\": unknown key; did you mean python?",
            ),
            (
                "\n[sandbox]\ntimeout = \"5s\"",
                "0.toml:3: sandbox.timeout = \"5s\": unknown key; known here: python, limits, max",
            ),
            ("[sandbx]\n", "0.toml:1: sandbx: unknown key; did you mean sandbox?"),
            ("Sandbox.max = 1", "0.toml:1: Sandbox: unknown key; did you mean sandbox?"),
            ("[services]\n", "0.toml:1: services: unknown key; known here: sandbox"),
            ("sandbox = 1", "0.toml:1: sandbox = 1: an integer, where a table is needed"),
            ("[[sandbox]]\n", "0.toml:1: sandbox = [[sandbox]]: an array, where a table is needed"),
            (
                "[sandbox]\nmax = \"1G\"",
                "0.toml:2: sandbox.max = \"1G\": a text, where a table is needed",
            ),
            (
                "[sandbox]\npython = 3.13",
                "0.toml:2: sandbox.python = 3.13: a number with a point, where an absolute path \
                 in quotes is needed",
            ),
            (
                "[sandbox]\npython = \"python3\"",
                "0.toml:2: sandbox.python = \"python3\": not an absolute path, which begins with \
                 / as in \"/usr/bin/python3\"",
            ),
            (
                "[sandbox]\npython = \"\"",
                "0.toml:2: sandbox.python = \"\": not an absolute path, which begins with / as in \
                 \"/usr/bin/python3\"",
            ),
            (
                "[sandbox]\npython = \"/usr\\u0000\"",
                "0.toml:2: sandbox.python = \"/usr\\u0000\": a path cannot hold a NUL character",
            ),
            (
                "[sandbox.limits]\ncpu = \"1s\"\ncpu = \"2s\"",
                "0.toml:3: cpu = \"2s\": not valid TOML: duplicate key",
            ),
            (
                "[sandbox.max]\n\n[sandbox.max]",
                "0.toml:3: [sandbox.max]: not valid TOML: duplicate key",
            ),
            (
                "sandbox = {}\nsandbox.limits.cpu = \"1s\"",
                "0.toml:2: sandbox.limits.cpu = \"1s\": not valid TOML: ",
            ),
            ("[sandbox.limits]\ntimeout = 5s", "0.toml:2: timeout = 5s: not valid TOML: "),
            ("[sandbox\n", "0.toml:1: [sandbox: not valid TOML: "),
            ("sandbox\n", "0.toml:1: sandbox: not valid TOML: "),
            ("a\0 = 1", "0.toml:1: a\\0 = 1: not valid TOML: "),
        ];
        for (text, message) in table {
            let error = config(&[text]).unwrap_err().to_string();
            // Most of the parser's own words are the parser's to choose.
            let cut = if message.ends_with(": ") { message.len() } else { error.len() };
            assert_eq!(error.get(..cut), Some(message), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_first_error_of_a_table_is_the_one_that_is_told() {
        let text = "[sandbox.limits]\nmemory = 1\ncpu = 1\nzzz = 1";
        assert_eq!(config(&[text]).unwrap_err().place.line, 2);
    }

    #[test]
    fn messages_are_short_and_do_nothing_to_a_terminal() {
        let long = "9".repeat(100_000);
        for text in [
            format!("[sandbox.limits]\nmemory = \"{long}\""),
            format!("[sandbox.limits]\nmemory = \"{long}x\""),
            format!("[sandbox.limits]\nmemory = {long}"),
            format!("[sandbox.limits]\n{long} = 1"),
            format!("[sandbox.limits]\nmemory = {long} {long}"),
            format!("\"{long}\" = 1"),
            "[sandbox]\n\"\\u001b[2J\\n\" = \"\u{202e}x\"".to_owned(),
            "\"\u{1b}\" = 1".to_owned(),
        ] {
            let message = Settings::parse("a\n\u{1b}.toml", &text).unwrap_err().to_string();
            assert!(message.chars().count() < 400, "{message}");
            assert!(!message.contains(|c: char| c.is_control() || c == '\u{202e}'), "{message:?}");
        }
    }

    #[test]
    fn deep_or_huge_texts_are_errors_and_no_crash() {
        const SIZE: usize = MAX_BYTES as usize;
        for text in [
            "[".repeat(SIZE),
            format!("a = {}", "[".repeat(SIZE - 4)),
            format!("a = {}", "{a=".repeat(SIZE / 3 - 4)),
            format!("{}a = 1", "a.".repeat(SIZE / 2 - 4)),
            format!("[{}a]", "a.".repeat(SIZE / 2 - 4)),
            (0..60_000).map(|n| format!("k{n}=1\n")).collect(),
        ] {
            assert!(Settings::parse("a.toml", &text).is_err(), "{:?}", &text[..9]);
        }
    }

    #[test]
    fn the_later_file_decides_and_each_key_alone() {
        let first = "[sandbox]\npython = \"/a\"\n[sandbox.limits]\ncpu = \"1s\"\nmemory = \"32M\"\n\
                     [sandbox.max]\ncpu = \"30s\"";
        let second = "[sandbox.limits]\ncpu = \"2s\"\n[sandbox.max]\nmax-processes = 100";
        let third = "[sandbox]\npython = \"/b\"\n";
        let set = |changes: &[(LimitSpec, u64)], mut values: PerLimit<u64>| {
            for (spec, value) in changes {
                let index = limits::ALL.iter().position(|known| known == spec).unwrap();
                values[index] = *value;
            }
            values
        };
        let (defaults, max) = values(&Config::default());
        for (texts, python, expected, highest) in [
            (&[first][..], "/a", [(limits::CPU, 1000), (limits::MEMORY, 32 << 20)], (4096, 30_000)),
            (
                &[first, second],
                "/a",
                [(limits::CPU, 2000), (limits::MEMORY, 32 << 20)],
                (100, 30_000),
            ),
            (
                &[second, first, third],
                "/b",
                [(limits::CPU, 1000), (limits::MEMORY, 32 << 20)],
                (100, 30_000),
            ),
        ] {
            let merged = config(texts).unwrap();
            assert_eq!(merged.sandbox.python().unwrap().0, Path::new(python));
            let max = set(&[(limits::PROCESSES, highest.0), (limits::CPU, highest.1)], max);
            assert_eq!(values(&merged), (set(&expected, defaults), max), "{texts:?}");
        }
    }

    #[test]
    fn a_default_above_the_most_is_an_error_wherever_they_are() {
        let limit = "[sandbox.limits]\ntimeout = \"2m\"";
        let max = "[sandbox.max]\ntimeout = \"1m\"";
        let low = "\n[sandbox.max]\ntimeout = \"10s\"";
        for (texts, message) in [
            (
                &[limit, max][..],
                "0.toml:2: sandbox.limits.timeout = \"2m\": above the highest value, 1m, set at \
                 1.toml:2",
            ),
            (
                &[max, limit],
                "1.toml:2: sandbox.limits.timeout = \"2m\": above the highest value, 1m, set at \
                 0.toml:2",
            ),
            (
                &[low],
                "0.toml:3: sandbox.max.timeout = \"10s\": below the default, 30s: set \
                 sandbox.limits.timeout to no more than this",
            ),
        ] {
            assert_eq!(config(texts).unwrap_err().to_string(), message);
        }
        // A later file can put it right; equal is right.
        assert!(config(&[limit, max, "sandbox.limits.timeout = \"1m\""]).is_ok());
        assert!(config(&[low, "sandbox.limits.timeout = \"10s\""]).is_ok());
    }

    #[test]
    fn a_caller_may_ask_for_the_most_and_no_more() {
        let config = config(&["[sandbox.max]\nmax-processes = 100\ntimeout = \"1m\""]).unwrap();
        let sandbox = config.sandbox;
        for (spec, asked, expected) in [
            (limits::TIMEOUT, None, Ok(30_000)),
            (limits::TIMEOUT, Some(10), Ok(10)),
            (limits::TIMEOUT, Some(60_000), Ok(60_000)),
            (
                limits::TIMEOUT,
                Some(60_001),
                Err("timeout 60001ms is more than allowed: at most 1m, by sandbox.max.timeout at \
                     0.toml:3"),
            ),
            (
                limits::PROCESSES,
                Some(4096),
                Err("max-processes 4096 is more than allowed: at most 100, by \
                     sandbox.max.max-processes at 0.toml:2"),
            ),
            (limits::CPU, Some(3_600_000), Ok(3_600_000)),
        ] {
            let got = sandbox.limit(&spec, asked).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned), "{} {asked:?}", spec.name);
        }
    }

    #[test]
    fn distances_are_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("cpu", "cpu", 0),
            ("cpu", "", 3),
            ("timout", "timeout", 1),
            ("pyhton", "python", 2),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(distance(a, b), edits, "{a:?} {b:?}");
        }
    }
}
