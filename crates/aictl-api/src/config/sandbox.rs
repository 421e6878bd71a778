//! Table `[sandbox]`: the interpreter, the limits of a run, and their maxima.

use std::{fmt, path::PathBuf};

use super::{
    Setting, each_over,
    error::{ConfigError, Place, Problem},
    quoted,
    reader::{Entry, Reader},
    strict::{self, StrictSettings},
};
use crate::{
    limits::{self, LimitSpec, Unit},
    strict::Policy,
};

/// Values of limits, in the order of [`limits::ALL`].
pub(super) type PerLimit<T> = [T; limits::ALL.len()];

const fn count(name: &'static str, default: u64, min: u64, max: u64) -> LimitSpec {
    LimitSpec { name, unit: Unit::Count, default, min, max }
}

/// How many runs the helper lets there be, with what each number means.
pub(super) const COUNTS: [(LimitSpec, &str); 3] = [
    (
        count("runs", 16, 1, 256),
        "Runs through the helper at one time, of all users together; the last place is for one who \
         has none",
    ),
    (
        count("runs-per-user", 4, 1, 64),
        "Runs of one user through the helper at one time; while others are about, further ones that \
         would leave no core free begin about a second apart",
    ),
    (
        count("queue-per-user", 64, 0, 4096),
        "Runs of one user that wait for their turn; one more is refused",
    ),
];

/// What [`super::Settings`] hold of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SandboxSettings {
    pub python: Option<Setting<PathBuf>>,
    pub warm: Option<Setting<bool>>,
    pub counts: [Option<Setting<u64>>; COUNTS.len()],
    pub limits: PerLimit<Option<Setting<u64>>>,
    pub max: PerLimit<Option<Setting<u64>>>,
    pub strict: StrictSettings,
}

impl SandboxSettings {
    pub fn read(&mut self, reader: &Reader<'_>, table: &Entry<'_>) -> Result<(), ConfigError> {
        reader.each_of(table, |entry| match entry.name {
            "python" => {
                self.python = Some(reader.path(entry)?);
                Ok(())
            }
            "warm" => {
                self.warm = Some(reader.boolean(entry)?);
                Ok(())
            }
            "limits" => read_limits(&mut self.limits, reader, entry),
            "max" => read_limits(&mut self.max, reader, entry),
            "strict" => self.strict.read(reader, entry),
            name => {
                let count = COUNTS.iter().zip(&mut self.counts).find(|((s, _), _)| s.name == name);
                let Some(((spec, _), setting)) = count else {
                    let counts = COUNTS.iter().map(|(spec, _)| spec.name);
                    let known = ["python", "warm"]
                        .into_iter()
                        .chain(counts)
                        .chain(["limits", "max", "strict"]);
                    return Err(reader.unknown(entry, known.collect()));
                };
                *setting = Some(reader.limit(entry, spec)?);
                Ok(())
            }
        })
    }

    pub fn over(self, earlier: Self) -> Self {
        Self {
            python: self.python.or(earlier.python),
            warm: self.warm.or(earlier.warm),
            counts: each_over(self.counts, earlier.counts),
            limits: each_over(self.limits, earlier.limits),
            max: each_over(self.max, earlier.max),
            strict: self.strict.over(earlier.strict),
        }
    }

    pub fn places(&self) -> impl Iterator<Item = (String, Place)> {
        let python = self.python.iter().map(|set| (set.key.clone(), set.place.clone()));
        let limits = self.counts.iter().chain(&self.limits).chain(&self.max).flatten();
        let limits = limits.map(|set| (set.key.clone(), set.place.clone()));
        let warm = self.warm.iter().map(|set| (set.key.clone(), set.place.clone()));
        python.chain(warm).chain(limits).chain(self.strict.places())
    }

    /// The settings over the defaults of [`limits::ALL`].
    pub fn build(self, errors: &mut Vec<ConfigError>) -> Sandbox {
        let strict = self.strict.build();
        let warm = self.warm.is_none_or(|set| set.value);
        let mut sandbox = Sandbox { python: self.python, warm, strict, ..Sandbox::default() };
        for (count, set) in sandbox.counts.iter_mut().zip(self.counts) {
            *count = set.map_or(*count, |set| set.value);
        }
        for (index, (limit, highest)) in self.limits.into_iter().zip(self.max).enumerate() {
            let spec = limits::ALL[index];
            let above = |value: u64| highest.as_ref().is_some_and(|highest| value > highest.value);
            match (&limit, &highest) {
                (Some(limit), Some(highest)) if above(limit.value) => {
                    errors.push(limit.error(Problem::AboveMax {
                        max: show(&spec, highest.value),
                        place: Some(highest.place.clone()),
                    }));
                }
                (None, Some(highest)) if above(spec.default) => {
                    errors.push(highest.error(Problem::BelowDefault {
                        name: spec.name,
                        default: spec.default_text(),
                    }));
                }
                _ => {}
            }
            if let Some(limit) = limit {
                sandbox.defaults[index] = limit.value;
            }
            if let Some(highest) = highest {
                sandbox.max[index] = (highest.value, Some(highest.place));
            }
        }
        sandbox
    }
}

fn read_limits(
    into: &mut PerLimit<Option<Setting<u64>>>,
    reader: &Reader<'_>,
    table: &Entry<'_>,
) -> Result<(), ConfigError> {
    reader.each_of(table, |entry| {
        let Some(index) = limits::ALL.iter().position(|spec| spec.name == entry.name) else {
            return Err(reader.unknown(entry, limits::ALL.iter().map(|spec| spec.name).collect()));
        };
        into[index] = Some(reader.limit(entry, &limits::ALL[index])?);
        Ok(())
    })
}

/// What holds for sandboxed runs: table `[sandbox]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub(super) python: Option<Setting<PathBuf>>,
    pub(super) warm: bool,
    pub(super) counts: [u64; COUNTS.len()],
    pub(super) defaults: PerLimit<u64>,
    pub(super) max: PerLimit<(u64, Option<Place>)>,
    /// `[sandbox.strict]`
    pub strict: Policy,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            python: None,
            warm: true,
            counts: COUNTS.map(|(spec, _)| spec.default),
            defaults: limits::ALL.map(|spec| spec.default),
            max: limits::ALL.map(|spec| (spec.max, None)),
            strict: Policy::default(),
        }
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

    /// How many runs through the helper there may be at one time.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.count(0)
    }

    /// Whether a run through the helper may get an interpreter that was started before it came.
    #[must_use]
    pub fn warm(&self) -> bool {
        self.warm
    }

    /// How many of them one uid may have.
    #[must_use]
    pub fn runs_per_user(&self) -> usize {
        self.count(1)
    }

    /// How many runs of one uid may wait for their turn.
    #[must_use]
    pub fn queue_per_user(&self) -> usize {
        self.count(2)
    }

    fn count(&self, index: usize) -> usize {
        self.counts.get(index).and_then(|count| usize::try_from(*count).ok()).unwrap_or(usize::MAX)
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

    /// Every key with its value as it would stand in a file.
    pub(super) fn shown(&self) -> Vec<(String, Option<String>)> {
        let python = self.python.as_ref().map(|set| quoted(&set.value.to_string_lossy()));
        let warm = Some(self.warm.to_string());
        let mut rows =
            vec![("sandbox.python".to_owned(), python), ("sandbox.warm".to_owned(), warm)];
        for ((spec, _), count) in COUNTS.iter().zip(self.counts) {
            rows.push((format!("sandbox.{}", spec.name), Some(written(spec, count))));
        }
        for (index, spec) in limits::ALL.iter().enumerate() {
            let value = written(spec, self.defaults[index]);
            rows.push((format!("sandbox.limits.{}", spec.name), Some(value)));
        }
        for (index, spec) in limits::ALL.iter().enumerate() {
            let value = written(spec, self.max[index].0);
            rows.push((format!("sandbox.max.{}", spec.name), Some(value)));
        }
        rows.extend(strict::shown(&self.strict));
        rows
    }
}

/// A value of a limit in the way people write it.
pub(super) fn show(spec: &LimitSpec, value: u64) -> String {
    LimitSpec { default: value, ..*spec }.default_text()
}

/// A value of a limit as it stands in a file: a count bare, all else in quotes.
pub(super) fn written(spec: &LimitSpec, value: u64) -> String {
    match spec.unit {
        Unit::Count => value.to_string(),
        _ => quoted(&show(spec, value)),
    }
}
