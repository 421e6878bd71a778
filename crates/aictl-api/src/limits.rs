//! The limits of a run: their names, defaults, ranges, and how people write them.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Time, kept in milliseconds: `500ms`, `5s`, `2m`, `1h`; a bare number means seconds.
    Time,
    /// Bytes: `4096`, `64K`, `256M`, `1G` (powers of 1024; `KiB`, `MiB`, `GiB` mean the same).
    Bytes,
    /// Whole things.
    Count,
}

/// One limit: how it is called, and which values it takes.
///
/// Values are in the unit's base: milliseconds, bytes, or a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSpec {
    /// The name, as in the command line's option and in the configuration.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// The value where none is given.
    pub default: u64,
    /// The lowest accepted value.
    pub min: u64,
    /// The highest accepted value.
    pub max: u64,
}

/// Wall-clock time of a run.
pub const TIMEOUT: LimitSpec =
    LimitSpec { name: "timeout", unit: Unit::Time, default: 30_000, min: 10, max: 3_600_000 };
/// CPU time of all processes of a run together.
pub const CPU: LimitSpec =
    LimitSpec { name: "cpu", unit: Unit::Time, default: 20_000, min: 10, max: 3_600_000 };
/// Memory of all processes of a run together.
pub const MEMORY: LimitSpec = LimitSpec {
    name: "memory",
    unit: Unit::Bytes,
    default: 512 * MIB,
    min: 16 * MIB,
    max: 64 * GIB,
};
/// Processes and threads of a run at one time.
pub const PROCESSES: LimitSpec =
    LimitSpec { name: "max-processes", unit: Unit::Count, default: 64, min: 1, max: 4096 };
/// Bytes kept of each output stream.
pub const OUTPUT: LimitSpec =
    LimitSpec { name: "max-output", unit: Unit::Bytes, default: MIB, min: 1, max: 10 * MIB };
/// Size of `/work`, and of `/tmp`.
pub const WORK: LimitSpec = LimitSpec {
    name: "work-size",
    unit: Unit::Bytes,
    default: 64 * MIB,
    min: 64 * KIB,
    max: 4 * GIB,
};
/// Size of the script.
pub const SOURCE: LimitSpec =
    LimitSpec { name: "max-source", unit: Unit::Bytes, default: MIB, min: 1, max: 16 * MIB };

/// Every limit, in the order of [`Limits`].
pub const ALL: [LimitSpec; 7] = [TIMEOUT, CPU, MEMORY, PROCESSES, OUTPUT, WORK, SOURCE];

/// Why a text is not a value for a limit; its [`fmt::Display`] is meant for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitError {
    /// The text is not a number with a unit that fits.
    Syntax {
        /// What was given.
        text: String,
        /// The limit.
        spec: LimitSpec,
    },
    /// The number lies outside the accepted range.
    Range {
        /// What was given.
        text: String,
        /// The limit.
        spec: LimitSpec,
    },
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { text, spec } => {
                let hint = match spec.unit {
                    Unit::Time => "a time such as 500ms, 5s, 2m or 1h",
                    Unit::Bytes => "a size such as 4096, 64K, 256M or 1G",
                    Unit::Count => "a whole number",
                };
                write!(f, "{text:?} is not {hint} ({})", spec.range_text())
            }
            Self::Range { text, spec } => {
                write!(f, "{text} is out of range: {}", spec.range_text())
            }
        }
    }
}

impl std::error::Error for LimitError {}

/// A value in the way people write it: the largest unit that divides it.
struct Show(u64, Unit);

impl fmt::Display for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: &[(u64, &str)] = match self.1 {
            Unit::Time => &[(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")],
            Unit::Bytes => &[(GIB, "G"), (MIB, "M"), (KIB, "K"), (1, "")],
            Unit::Count => &[(1, "")],
        };
        let (size, suffix) = units
            .iter()
            .find(|(size, _)| self.0.is_multiple_of(*size) && self.0 >= *size)
            .unwrap_or(&(1, ""));
        write!(f, "{}{suffix}", self.0 / size)
    }
}

impl LimitSpec {
    /// Reads a value as people write it.
    ///
    /// # Errors
    /// If the text is no number with a fitting unit, or lies out of range.
    pub fn parse(&self, text: &str) -> Result<u64, LimitError> {
        let syntax = || LimitError::Syntax { text: text.to_owned(), spec: *self };
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let factor = match (self.unit, suffix) {
            (Unit::Time, "ms") | (Unit::Bytes | Unit::Count, "") => 1,
            (Unit::Time, "s" | "") => 1000,
            (Unit::Time, "m" | "min") => 60_000,
            (Unit::Time, "h") => 3_600_000,
            (Unit::Bytes, "K" | "KiB") => KIB,
            (Unit::Bytes, "M" | "MiB") => MIB,
            (Unit::Bytes, "G" | "GiB") => GIB,
            _ => return Err(syntax()),
        };
        let value = scaled(number, factor).ok_or_else(syntax)?;
        self.check(value).map_err(|_| LimitError::Range { text: text.to_owned(), spec: *self })
    }

    /// Checks that a value lies in the accepted range, and returns it.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(&self, value: u64) -> Result<u64, LimitError> {
        if (self.min..=self.max).contains(&value) {
            Ok(value)
        } else {
            Err(LimitError::Range { text: Show(value, self.unit).to_string(), spec: *self })
        }
    }

    /// The default in the way people write it, such as `512M`.
    #[must_use]
    pub fn default_text(&self) -> String {
        Show(self.default, self.unit).to_string()
    }

    /// The accepted range in the way people write it, such as `16M to 64G`.
    #[must_use]
    pub fn range_text(&self) -> String {
        format!("{} to {}", Show(self.min, self.unit), Show(self.max, self.unit))
    }
}

/// `number` (digits, at most one point with digits on both sides) times `factor`, in whole units;
/// too large a number becomes [`u64::MAX`], which no range accepts.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    if factor == 1 && number.contains('.') {
        return None;
    }
    let Ok(whole) = whole.parse::<u64>() else { return Some(u64::MAX) };
    // Nine digits after the point are more than any unit here can show.
    let fraction = fraction.get(..9).unwrap_or(fraction);
    let scale = 10u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / u128::from(scale);
    Some(whole.saturating_mul(factor).saturating_add(u64::try_from(part).ok()?))
}

/// The limits of one run; every value lies in its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLimits", into = "RawLimits")]
pub struct Limits {
    wall_ms: u64,
    cpu_ms: u64,
    memory: u64,
    processes: u64,
    output: u64,
    work: u64,
    source: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall_ms: TIMEOUT.default,
            cpu_ms: CPU.default,
            memory: MEMORY.default,
            processes: PROCESSES.default,
            output: OUTPUT.default,
            work: WORK.default,
            source: SOURCE.default,
        }
    }
}

impl Limits {
    /// Sets the limit that `spec` names.
    ///
    /// # Errors
    /// If the value is out of range.
    pub fn set(&mut self, spec: &LimitSpec, value: u64) -> Result<(), LimitError> {
        let value = spec.check(value)?;
        match spec.name {
            "timeout" => self.wall_ms = value,
            "cpu" => self.cpu_ms = value,
            "memory" => self.memory = value,
            "max-processes" => self.processes = value,
            "max-output" => self.output = value,
            "work-size" => self.work = value,
            _ => self.source = value,
        }
        Ok(())
    }

    /// Wall-clock time of the run.
    #[must_use]
    pub fn wall(&self) -> Duration {
        Duration::from_millis(self.wall_ms)
    }

    /// CPU time of all its processes together.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        Duration::from_millis(self.cpu_ms)
    }

    /// Memory of all its processes together, in bytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Processes and threads at one time.
    #[must_use]
    pub fn processes(&self) -> u64 {
        self.processes
    }

    /// Bytes kept of each output stream.
    #[must_use]
    pub fn output(&self) -> u64 {
        self.output
    }

    /// Size of `/work` in bytes; `/tmp` has the same.
    #[must_use]
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Size of the script in bytes.
    #[must_use]
    pub fn source(&self) -> u64 {
        self.source
    }
}

/// [`Limits`] as they travel: numbers that nobody has checked yet.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    wall_ms: u64,
    cpu_ms: u64,
    memory: u64,
    processes: u64,
    output: u64,
    work: u64,
    source: u64,
}

impl From<Limits> for RawLimits {
    fn from(l: Limits) -> Self {
        Self {
            wall_ms: l.wall_ms,
            cpu_ms: l.cpu_ms,
            memory: l.memory,
            processes: l.processes,
            output: l.output,
            work: l.work,
            source: l.source,
        }
    }
}

impl TryFrom<RawLimits> for Limits {
    type Error = LimitError;

    fn try_from(raw: RawLimits) -> Result<Self, LimitError> {
        Ok(Self {
            wall_ms: TIMEOUT.check(raw.wall_ms)?,
            cpu_ms: CPU.check(raw.cpu_ms)?,
            memory: MEMORY.check(raw.memory)?,
            processes: PROCESSES.check(raw.processes)?,
            output: OUTPUT.check(raw.output)?,
            work: WORK.check(raw.work)?,
            source: SOURCE.check(raw.source)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_people_write_them() {
        let good = [
            (TIMEOUT, "5s", 5000),
            (TIMEOUT, "500ms", 500),
            (TIMEOUT, "2m", 120_000),
            (TIMEOUT, "1h", 3_600_000),
            (TIMEOUT, "5", 5000),
            (TIMEOUT, "0.5", 500),
            (TIMEOUT, "1.25s", 1250),
            (MEMORY, "256M", 256 * MIB),
            (MEMORY, "256MiB", 256 * MIB),
            (MEMORY, "1.5G", 1536 * MIB),
            (MEMORY, "33554432", 32 * MIB),
            (PROCESSES, "1", 1),
            (OUTPUT, "64K", 65536),
        ];
        for (spec, text, value) in good {
            assert_eq!(spec.parse(text), Ok(value), "{} {text:?}", spec.name);
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let bad = [
            (TIMEOUT, ""),
            (TIMEOUT, "s"),
            (TIMEOUT, "5 s"),
            (TIMEOUT, "-5s"),
            (TIMEOUT, "5M"),
            (TIMEOUT, "1e3"),
            (TIMEOUT, "1.2.3"),
            (TIMEOUT, ".5"),
            (TIMEOUT, "5."),
            (TIMEOUT, "0.5ms"),
            (TIMEOUT, "∞"),
            (TIMEOUT, "٣s"),
            (MEMORY, "256MB"),
            (MEMORY, "256m"),
            (MEMORY, "+1G"),
            (MEMORY, "0x10"),
            (PROCESSES, "1.5"),
            (PROCESSES, "2K"),
            (PROCESSES, " 2"),
            (MEMORY, "256M\n"),
        ];
        for (spec, text) in bad {
            let error = spec.parse(text).unwrap_err();
            assert!(matches!(error, LimitError::Syntax { .. }), "{} {text:?}: {error}", spec.name);
        }
    }

    #[test]
    fn what_is_out_of_range_names_the_range() {
        let cases = [
            (TIMEOUT, "0", "0 is out of range: 10ms to 1h"),
            (TIMEOUT, "2h", "2h is out of range: 10ms to 1h"),
            (MEMORY, "1M", "1M is out of range: 16M to 64G"),
            (MEMORY, "65G", "65G is out of range: 16M to 64G"),
            (PROCESSES, "0", "0 is out of range: 1 to 4096"),
            (PROCESSES, "abc", "\"abc\" is not a whole number (1 to 4096)"),
            (
                OUTPUT,
                "99999999999999999999999G",
                "99999999999999999999999G is out of range: 1 to 10M",
            ),
        ];
        for (spec, text, message) in cases {
            assert_eq!(spec.parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn every_default_lies_in_its_range_and_can_be_set() {
        for spec in ALL {
            assert_eq!(spec.check(spec.default), Ok(spec.default), "{}", spec.name);
            assert_eq!(spec.parse(&spec.default_text()), Ok(spec.default), "{}", spec.name);
            let mut limits = Limits::default();
            limits.set(&spec, spec.max).unwrap();
            assert_ne!(limits, Limits::default(), "{} sets a field of its own", spec.name);
            assert!(limits.set(&spec, spec.max + 1).is_err());
        }
    }

    #[test]
    fn limits_that_travel_are_checked_again() {
        let text = serde_json::to_string(&Limits::default()).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), Limits::default());
        for bad in [
            text.replace("\"processes\":64", "\"processes\":0"),
            text.replace("\"wall_ms\":30000", "\"wall_ms\":-1"),
            text.replace("\"wall_ms\":30000", "\"wall_ms\":30000,\"extra\":1"),
        ] {
            assert_ne!(bad, text);
            assert!(serde_json::from_str::<Limits>(&bad).is_err(), "{bad}");
        }
    }
}
