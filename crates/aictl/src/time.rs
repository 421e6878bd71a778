//! Moments, as people write them and as they are shown: in the time zone of whoever asks.

use std::{fmt, time::Duration};

use jiff::{
    Timestamp, Zoned,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// Microseconds since 1970-01-01 00:00 UTC, as the journal counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// Why a text is no moment; its [`fmt::Display`] is meant for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MomentError {
    /// It is written in none of the ways that are understood.
    Syntax(String),
    /// There is no such day, hour or minute.
    NoSuchTime(String),
    /// It lies before 1970, or further away than can be counted.
    OutOfRange(String),
}

impl fmt::Display for MomentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => write!(
                f,
                "{text:?} is not a time: write 90s, 10m, 2h, 3d or 1w for so long ago, today, \
                 yesterday, 12:00, 2026-11-22, \"2026-11-22 12:00:30\", or @SECONDS since 1970"
            ),
            Self::NoSuchTime(text) => {
                write!(f, "{text:?} is no time: there is no such day or hour")
            }
            Self::OutOfRange(text) => {
                write!(f, "{text:?} is out of range: from 1970 to now")
            }
        }
    }
}

impl std::error::Error for MomentError {}

impl Moment {
    /// The moment so many microseconds after the beginning of 1970.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default())
    }

    /// Microseconds since the beginning of 1970.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Reads a moment as programs write it: ISO 8601 with a zone.
    #[must_use]
    pub fn from_iso(text: &str) -> Option<Self> {
        let timestamp: Timestamp = text.parse().ok()?;
        u64::try_from(timestamp.as_microsecond()).ok().map(Self)
    }

    /// Reads a moment in the past, seen from now and from here.
    ///
    /// # Errors
    /// If the text is no moment, or one before 1970 or after now.
    pub fn parse(text: &str) -> Result<Self, MomentError> {
        Self::parse_at(text, &Zoned::now())
    }

    /// Reads a moment, seen from `now` and its time zone.
    fn parse_at(text: &str, now: &Zoned) -> Result<Self, MomentError> {
        let words = text.trim();
        let out_of_range = || MomentError::OutOfRange(text.to_owned());
        let timestamp = if let Some(seconds) = words.strip_prefix('@') {
            let seconds = whole(seconds).ok_or_else(|| MomentError::Syntax(text.to_owned()))?;
            let seconds = i64::try_from(seconds).map_err(|_| out_of_range())?;
            Timestamp::from_second(seconds).map_err(|_| out_of_range())?
        } else if let Some(ago) = duration(words) {
            now.timestamp().checked_sub(ago?).map_err(|_| out_of_range())?
        } else {
            let civil = civil(words, now, text)?;
            // An hour that the clocks leave out is the one after it; one they repeat, the first.
            let zoned = now.time_zone().to_zoned(civil).map_err(|_| out_of_range())?;
            zoned.timestamp()
        };
        if timestamp > now.timestamp() {
            return Err(out_of_range());
        }
        u64::try_from(timestamp.as_microsecond()).map(Self).map_err(|_| out_of_range())
    }

    /// As people here read it: `2026-11-22 12:00:30`.
    #[must_use]
    pub fn local(self) -> String {
        self.shown(TimeZone::system(), "%Y-%m-%d %H:%M:%S")
    }

    /// The same for where there is little room: `11-22 12:00`.
    #[must_use]
    pub fn local_short(self) -> String {
        self.shown(TimeZone::system(), "%m-%d %H:%M")
    }

    fn shown(self, zone: TimeZone, format: &str) -> String {
        match self.timestamp() {
            Some(time) => time.to_zoned(zone).strftime(format).to_string(),
            None => "unknown".to_owned(),
        }
    }

    /// As programs read it: ISO 8601 in UTC, `2026-11-22T12:00:30.123456Z`.
    #[must_use]
    pub fn iso(self) -> Option<String> {
        self.timestamp().map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
    }

    fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_microsecond(i64::try_from(self.0).ok()?).ok()
    }
}

/// A number that is written with digits only.
fn whole(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// A number with a unit of time, `ago` behind it or not; `None` if the text is something else.
fn duration(text: &str) -> Option<Result<Duration, MomentError>> {
    let text = text.strip_suffix("ago").map_or(text, str::trim_end);
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let unit = match unit.trim_start() {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    if number.is_empty() {
        return None;
    }
    let seconds = whole(number).and_then(|number| number.checked_mul(unit));
    Some(match seconds {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err(MomentError::OutOfRange(text.to_owned())),
    })
}

/// A date, a time of day, or both, on the clock and calendar of `now`.
fn civil(words: &str, now: &Zoned, text: &str) -> Result<DateTime, MomentError> {
    let syntax = || MomentError::Syntax(text.to_owned());
    let no_such = || MomentError::NoSuchTime(text.to_owned());
    match words {
        "now" => return Ok(now.datetime()),
        "today" => return Ok(now.date().to_datetime(Time::midnight())),
        "yesterday" => {
            let day = now.date().yesterday().map_err(|_| no_such())?;
            return Ok(day.to_datetime(Time::midnight()));
        }
        _ => {}
    }
    let (day, hour) = match words.split_once([' ', 'T']) {
        Some((day, hour)) => (Some(day), Some(hour)),
        None if words.contains(':') => (None, Some(words)),
        None => (Some(words), None),
    };
    let date = match day {
        None => now.date(),
        Some(day) => {
            let [year, month, day] = numbers(day, '-', [4, 2, 2]).ok_or_else(syntax)?;
            let part = |number: u64| i8::try_from(number).map_err(|_| no_such());
            let year = i16::try_from(year).map_err(|_| no_such())?;
            Date::new(year, part(month)?, part(day)?).map_err(|_| no_such())?
        }
    };
    let time = match hour {
        None => Time::midnight(),
        Some(hour) => {
            let [hour, minute, second] = numbers(hour, ':', [2, 2, 2])
                .or_else(|| numbers(hour, ':', [2, 2]).map(|[hour, minute]| [hour, minute, 0]))
                .ok_or_else(syntax)?;
            let part = |number: u64| i8::try_from(number).map_err(|_| no_such());
            Time::new(part(hour)?, part(minute)?, part(second)?, 0).map_err(|_| no_such())?
        }
    };
    Ok(date.to_datetime(time))
}

/// Numbers of exactly so many digits each, with the separator between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        *number = parts.next().filter(|part| part.len() == digits).and_then(whole)?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon on a Sunday in winter, in a zone east of Greenwich that has summer time.
    fn now() -> Zoned {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        Date::constant(2026, 11, 22).at(12, 0, 0, 0).to_zoned(zone).unwrap()
    }

    #[test]
    fn moments_are_read_as_seen_from_here() {
        for (text, expected) in [
            ("90s", "2026-11-22T10:58:30.000000Z"),
            ("10m", "2026-11-22T10:50:00.000000Z"),
            ("10min", "2026-11-22T10:50:00.000000Z"),
            ("2h", "2026-11-22T09:00:00.000000Z"),
            ("2 h ago", "2026-11-22T09:00:00.000000Z"),
            ("1d", "2026-11-21T11:00:00.000000Z"),
            ("1w", "2026-11-15T11:00:00.000000Z"),
            ("0s", "2026-11-22T11:00:00.000000Z"),
            ("now", "2026-11-22T11:00:00.000000Z"),
            ("today", "2026-11-21T23:00:00.000000Z"),
            ("yesterday", "2026-11-20T23:00:00.000000Z"),
            ("2026-11-22", "2026-11-21T23:00:00.000000Z"),
            ("2026-11-22 12:00", "2026-11-22T11:00:00.000000Z"),
            ("2026-11-22 11:59:59", "2026-11-22T10:59:59.000000Z"),
            ("2026-11-22T11:59:59", "2026-11-22T10:59:59.000000Z"),
            ("  08:30 ", "2026-11-22T07:30:00.000000Z"),
            // Summer time was in force then.
            ("2026-07-01", "2026-06-30T22:00:00.000000Z"),
            // An hour that there was not, and one that there was twice.
            ("2026-03-29 02:30", "2026-03-29T01:30:00.000000Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00.000000Z"),
            ("@0", "1970-01-01T00:00:00.000000Z"),
            ("@1700000000", "2023-11-14T22:13:20.000000Z"),
        ] {
            let moment = Moment::parse_at(text, &now()).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(moment.iso().unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_says_why() {
        type Kind = fn(String) -> MomentError;
        let table: [(&str, Kind); 29] = [
            ("", MomentError::Syntax),
            ("h", MomentError::Syntax),
            ("5", MomentError::Syntax),
            ("-5m", MomentError::Syntax),
            ("+5m", MomentError::Syntax),
            ("5M", MomentError::Syntax),
            ("5.5h", MomentError::Syntax),
            ("1h30m", MomentError::Syntax),
            ("٥m", MomentError::Syntax),
            ("ago", MomentError::Syntax),
            ("tomorrow", MomentError::Syntax),
            ("2026-11", MomentError::Syntax),
            ("26-11-22", MomentError::Syntax),
            ("2026-11-22 12", MomentError::Syntax),
            ("2026-11-22 12:0", MomentError::Syntax),
            ("2026-11-22  12:00", MomentError::Syntax),
            ("2026-11-22 12:00:00:00", MomentError::Syntax),
            ("12:00; reboot", MomentError::Syntax),
            ("@", MomentError::Syntax),
            ("@-1", MomentError::Syntax),
            ("@1.5", MomentError::Syntax),
            ("2026-13-01", MomentError::NoSuchTime),
            ("2026-02-30", MomentError::NoSuchTime),
            ("24:00", MomentError::NoSuchTime),
            ("12:60", MomentError::NoSuchTime),
            ("1969-12-31", MomentError::OutOfRange),
            ("2026-11-22 12:01", MomentError::OutOfRange),
            ("9999999999999w", MomentError::OutOfRange),
            ("@18446744073709551615", MomentError::OutOfRange),
        ];
        for (text, kind) in table {
            assert_eq!(Moment::parse_at(text, &now()), Err(kind(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn moments_are_shown_for_people_and_for_programs() {
        let zone = now().time_zone().clone();
        let noon = Moment(1_795_345_200_123_456);
        assert_eq!(noon.shown(zone.clone(), "%Y-%m-%d %H:%M:%S"), "2026-11-22 12:00:00");
        assert_eq!(noon.iso().as_deref(), Some("2026-11-22T11:00:00.123456Z"));
        for (text, expected) in [
            ("2026-11-22T11:00:00.123456Z", Some(noon)),
            ("2026-11-22T11:00:00.123456999Z", Some(noon)),
            ("2026-11-22T12:00:00.123456+01:00", Some(noon)),
            ("2026-11-22 11:00", None),
            ("1969-12-31T23:59:59Z", None),
            ("soon", None),
        ] {
            assert_eq!(Moment::from_iso(text), expected, "{text}");
        }
        let never = Moment(u64::MAX);
        assert_eq!((never.shown(zone, "%H").as_str(), never.iso()), ("unknown", None));
    }
}
