//! Numbers as people read them: short, and with their unit.
//!
//! What is no number, such as a power that a driver gives as NaN, is not known.

/// Binary units, each 1024 of the one before it.
const BYTES: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `7.4 GiB`: three digits at most.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = BYTES.iter();
    let mut unit = units.next();
    while value >= 999.5
        && let Some(larger) = units.next()
    {
        (value, unit) = (value / 1024.0, Some(larger));
    }
    let unit = unit.copied().unwrap_or_default();
    // Bytes are whole.
    match unit == BYTES[0] {
        true => format!("{bytes} {unit}"),
        false => format!("{} {unit}", short(value)),
    }
}

/// `3.2 of 24 GiB`, or `812 MiB of 24 GiB`: how much of a whole.
#[must_use]
pub fn bytes_of(part: u64, whole: u64) -> String {
    let (part, whole) = (bytes(part), round(&bytes(whole)));
    let unit = |text: &str| text.split_once(' ').map(|(_, unit)| unit.to_owned());
    match part.split_once(' ').filter(|(_, of)| Some((*of).to_owned()) == unit(&whole)) {
        Some((number, _)) => format!("{number} of {whole}"),
        None => format!("{part} of {whole}"),
    }
}

/// `24.0 GiB` as `24 GiB`, and `24.0 of 64 GiB` alike, where nothing stands below it to be compared with.
#[must_use]
pub fn round(text: &str) -> String {
    text.replacen(".0 ", " ", 1)
}

/// `41 °C`
#[must_use]
pub fn celsius(degrees: f64) -> Option<String> {
    whole(degrees).map(|degrees| format!("{degrees} °C"))
}

/// `312 W`, and `4.2 W` of what takes little.
#[must_use]
pub fn watts(watts: f64) -> Option<String> {
    watts.is_finite().then(|| format!("{} W", fine(watts)))
}

/// `312 / 450 W`
#[must_use]
pub fn watts_of(power: f64, limit: f64) -> Option<String> {
    let (power, limit) = (power.is_finite().then(|| fine(power))?, whole(limit)?);
    Some(format!("{power} / {limit} W"))
}

/// `87 %`, and `0.3 %` of what is little.
#[must_use]
pub fn percent(percent: f64) -> Option<String> {
    percent.is_finite().then(|| format!("{} %", fine(percent)))
}

/// `3.2 ms`, `1.2 s`
#[must_use]
pub fn millis(millis: f64) -> Option<String> {
    (millis.is_finite() && millis >= 0.0).then(|| match millis {
        ..99.95 => format!("{millis:.1} ms"),
        ..999.5 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    })
}

/// `812 µs`, `3.2 ms`, `1.2 s`: of microseconds.
#[must_use]
pub fn micros(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} µs"),
        _ => millis(micros as f64 / 1000.0).unwrap_or_default(),
    }
}

/// How long something has lasted, of seconds: `45 s`, `12 min`, `1 h 12 min`, `3 d 4 h`.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) if minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        (0, hours, _) => format!("{hours} h"),
        (days @ 0..100, hours, _) if hours % 24 > 0 => format!("{days} d {} h", hours % 24),
        (days, ..) => format!("{days} d"),
    }
}

/// The same in the largest of its units: `45 s`, `12 min`, `1 h`, `3 d`.
#[must_use]
pub fn short_duration(seconds: u64) -> String {
    duration(seconds).split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// `3 services`, `1 service`
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A digit behind the point below 100, and none above.
fn short(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// A digit behind the point below 10, where it is not 0.
fn fine(value: f64) -> String {
    match whole(value) {
        Some(0) if value.abs() < 0.05 => "0".to_owned(),
        _ if value.abs() < 9.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Rounded; `None` if it is no number, or none of this world.
fn whole(value: f64) -> Option<i64> {
    // Within what an integer of 64 bits holds: the cast is exact.
    (value.is_finite() && value.abs() < 1e15).then(|| value.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_digits_at_most() {
        const GIB: u64 = 1 << 30;
        for (number, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (1023, "1.0 KiB"),
            (1024, "1.0 KiB"),
            (102_340, "99.9 KiB"),
            (102_400, "100 KiB"),
            (999 << 10, "999 KiB"),
            ((999 << 10) + 511, "999 KiB"),
            ((999 << 10) + 512, "1.0 MiB"),
            (7 * GIB + GIB * 4 / 10, "7.4 GiB"),
            (24 * GIB, "24.0 GiB"),
            (141 * GIB, "141 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(number), expected, "{number}");
        }
        for (part, whole, expected) in [
            (15_247_462_400, 24 * GIB, "14.2 of 24 GiB"),
            (0, 24 * GIB, "0 B of 24 GiB"),
            (812 << 20, 24 * GIB, "812 MiB of 24 GiB"),
            (GIB, 0, "1.0 GiB of 0 B"),
        ] {
            assert_eq!(bytes_of(part, whole), expected);
        }
    }

    #[test]
    fn measures_have_as_many_digits_as_anybody_reads() {
        type Shown = fn(f64) -> Option<String>;
        let table: [(Shown, f64, Option<&str>); 26] = [
            (celsius, 41.4, Some("41 °C")),
            (celsius, -0.4, Some("0 °C")),
            (celsius, -12.0, Some("-12 °C")),
            (celsius, f64::NAN, None),
            (watts, 312.4, Some("312 W")),
            (watts, 4.23, Some("4.2 W")),
            (watts, 9.96, Some("10 W")),
            (watts, 0.0, Some("0 W")),
            (watts, f64::INFINITY, None),
            (percent, 87.3, Some("87 %")),
            (percent, 100.0, Some("100 %")),
            (percent, 0.0, Some("0 %")),
            (percent, -0.0, Some("0 %")),
            (percent, 0.04, Some("0 %")),
            (percent, 0.3, Some("0.3 %")),
            (percent, 1600.0, Some("1600 %")),
            (percent, f64::NAN, None),
            (millis, 0.04, Some("0.0 ms")),
            (millis, 0.4, Some("0.4 ms")),
            (millis, 3.21, Some("3.2 ms")),
            (millis, 99.96, Some("100 ms")),
            (millis, 250.4, Some("250 ms")),
            (millis, 999.6, Some("1.0 s")),
            (millis, 3000.0, Some("3.0 s")),
            (millis, -1.0, None),
            (millis, f64::NAN, None),
        ];
        for (shown, value, expected) in table {
            assert_eq!(shown(value).as_deref(), expected, "{value}");
        }
        for (power, limit, expected) in [
            (312.0, 450.0, Some("312 / 450 W")),
            (8.21, 15.0, Some("8.2 / 15 W")),
            (f64::NAN, 15.0, None),
            (8.0, f64::MAX, None),
        ] {
            assert_eq!(watts_of(power, limit).as_deref(), expected);
        }
    }

    #[test]
    fn times_are_short() {
        for (number, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1250, "1.2 ms"),
            (999_400, "999 ms"),
            (1_234_567, "1.2 s"),
            (61_000_000, "61.0 s"),
        ] {
            assert_eq!(micros(number), expected);
        }
        for (seconds, expected, short) in [
            (0, "0 s", "0 s"),
            (59, "59 s", "59 s"),
            (60, "1 min", "1 min"),
            (3599, "59 min", "59 min"),
            (3600, "1 h", "1 h"),
            (4320, "1 h 12 min", "1 h"),
            (86_400, "1 d", "1 d"),
            (273_600, "3 d 4 h", "3 d"),
            (100 * 86_400 + 5000, "100 d", "100 d"),
            (u64::MAX, "213503982334601 d", "213503982334601 d"),
        ] {
            assert_eq!(
                (duration(seconds).as_str(), short_duration(seconds).as_str()),
                (expected, short)
            );
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(count(1, "service", "services"), "1 service");
        assert_eq!(count(0, "service", "services"), "0 services");
    }
}
