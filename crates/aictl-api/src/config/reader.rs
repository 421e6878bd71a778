//! Reads values out of a file's text, and says where each stands.

use std::{borrow::Cow, cell::RefCell, ops::Range, path::PathBuf};

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{
    MAX_ERRORS, SHOWN, Setting,
    error::{ConfigError, Place, Problem},
};
use crate::limits::{LimitError, LimitSpec, Unit};

/// One key with its value.
pub(super) struct Entry<'a> {
    /// With the names of its tables.
    pub path: String,
    /// Without them.
    pub name: &'a str,
    /// Where the key stands in the text.
    at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

/// The entries of a table in the order of the text, so that the first error is the first to see.
pub(super) fn entries<'a>(path: &str, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
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

/// A file's text, to say where things are, and what was found to be wrong with it.
pub(super) struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    /// Where lines end: a text of many settings is not counted through for each.
    line_ends: Vec<usize>,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'r> Reader<'r> {
    pub fn new(file: &'r str, text: &'r str) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_ends = line_ends.map(|(at, _)| at).collect();
        Self { file, text, line_ends, errors: RefCell::default() }
    }

    /// What was found to be wrong, in the order of the text.
    pub fn into_errors(self) -> Vec<ConfigError> {
        self.errors.into_inner()
    }

    /// Reads each of the entries, and keeps what is wrong.
    pub fn each<'a>(
        &self,
        entries: Vec<Entry<'a>>,
        mut read: impl FnMut(&Entry<'a>) -> Result<(), ConfigError>,
    ) {
        for entry in entries {
            if self.errors.borrow().len() >= MAX_ERRORS {
                break;
            }
            if let Err(error) = read(&entry) {
                self.errors.borrow_mut().push(error);
            }
        }
    }

    /// Reads each entry of a table, and keeps what is wrong with them.
    ///
    /// # Errors
    /// If it is no table.
    pub fn each_of<'a>(
        &self,
        table: &Entry<'a>,
        read: impl FnMut(&Entry<'a>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        self.each(self.table(table)?, read);
        Ok(())
    }

    pub fn place(&self, at: usize) -> Place {
        let line = self.line_ends.partition_point(|end| *end < at) + 1;
        Place { file: self.file.to_owned(), line }
    }

    fn written(&self, span: Range<usize>) -> String {
        visible(self.text.get(span).unwrap_or_default())
    }

    pub fn what(&self, entry: &Entry<'_>) -> String {
        match entry.value.get_ref() {
            DeValue::Table(_) => entry.path.clone(),
            _ => format!("{} = {}", entry.path, self.written(entry.value.span())),
        }
    }

    pub fn error(&self, entry: &Entry<'_>, problem: Problem) -> ConfigError {
        ConfigError {
            place: self.place(entry.at),
            what: self.what(entry),
            problem: Box::new(problem),
        }
    }

    pub fn syntax(&self, error: &toml::de::Error) -> ConfigError {
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

    pub fn unknown(&self, entry: &Entry<'_>, known: Vec<&'static str>) -> ConfigError {
        let meant = closest(entry.name, known.iter().copied());
        self.error(entry, Problem::UnknownKey { known, meant })
    }

    fn kind(&self, entry: &Entry<'_>, expected: &'static str) -> ConfigError {
        self.kind_in(entry, expected, String::new())
    }

    /// That a value of another kind is needed, in this range if there is one.
    fn kind_in(&self, entry: &Entry<'_>, expected: &'static str, range: String) -> ConfigError {
        let found = match entry.value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.error(entry, Problem::Kind { found, expected, range })
    }

    pub fn setting<T>(&self, entry: &Entry<'_>, value: T) -> Setting<T> {
        Setting {
            value,
            place: self.place(entry.at),
            key: entry.path.clone(),
            what: self.what(entry),
        }
    }

    fn table<'a>(&self, entry: &Entry<'a>) -> Result<Vec<Entry<'a>>, ConfigError> {
        match entry.value.get_ref() {
            DeValue::Table(table) => Ok(entries(&entry.path, table)),
            _ => Err(self.kind(entry, "a table")),
        }
    }

    pub fn text<'a>(
        &self,
        entry: &Entry<'a>,
        expected: &'static str,
    ) -> Result<&'a Cow<'a, str>, ConfigError> {
        match entry.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.kind(entry, expected)),
        }
    }

    pub fn boolean(&self, entry: &Entry<'_>) -> Result<Setting<bool>, ConfigError> {
        match entry.value.get_ref() {
            DeValue::Boolean(value) => Ok(self.setting(entry, *value)),
            _ => Err(self.kind(entry, "true or false")),
        }
    }

    /// The texts of an array.
    pub fn texts<'a>(
        &self,
        entry: &Entry<'a>,
        expected: &'static str,
    ) -> Result<Vec<&'a str>, ConfigError> {
        let text = |value: &'a Spanned<DeValue<'a>>| match value.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            _ => None,
        };
        let texts = match entry.value.get_ref() {
            DeValue::Array(array) => array.iter().map(text).collect(),
            _ => None,
        };
        texts.ok_or_else(|| self.kind(entry, expected))
    }

    pub fn path(&self, entry: &Entry<'_>) -> Result<Setting<PathBuf>, ConfigError> {
        let text = self.text(entry, "an absolute path in quotes")?;
        if text.contains('\0') {
            return Err(self.error(entry, Problem::NulInPath));
        }
        if !text.starts_with('/') {
            return Err(self.error(entry, Problem::RelativePath));
        }
        Ok(self.setting(entry, PathBuf::from(text.as_ref())))
    }

    pub fn limit(&self, entry: &Entry<'_>, spec: &LimitSpec) -> Result<Setting<u64>, ConfigError> {
        let kind = |expected| Err(self.kind_in(entry, expected, spec.range_text()));
        let value = match (entry.value.get_ref(), spec.unit) {
            (DeValue::String(text), _) => spec.parse(text),
            (DeValue::Integer(number), Unit::Bytes | Unit::Count) => integer(number, spec),
            (_, Unit::Time) => return kind("a time in quotes such as \"30s\""),
            (_, Unit::Bytes) => return kind("a size such as \"256M\", or a number of bytes,"),
            (_, Unit::Count) => return kind("a whole number"),
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
pub(super) fn shorten(error: LimitError) -> LimitError {
    match error {
        LimitError::Syntax { text, spec } => LimitError::Syntax { text: cut(&text), spec },
        LimitError::Range { text, spec } => LimitError::Range { text: cut(&text), spec },
    }
}

pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text as it can stand in a message: on one line, and nothing that acts on a terminal.
pub(super) fn plain(text: &str) -> String {
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
pub(super) fn visible(text: &str) -> String {
    plain(&cut(text))
}

/// The word of `known` that was probably meant by `name`.
#[must_use]
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (distance(name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 2 && *distance * 2 < known.len())
        .map(|(_, known)| known)
}

/// How many characters must be put in, left out or changed to make `a` into `b`; of a text that is
/// far too long, [`usize::MAX`].
pub(super) fn distance(a: &str, b: &str) -> usize {
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
