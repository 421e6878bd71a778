//! Numbers as drivers give them, made into what people read. A driver that is confused gives odd
//! ones: what cannot be is unknown.

use std::path::Path;

use crate::kernel_file::{self, PAGE};

/// Hotter than any chip that still runs, in degrees Celsius.
const MAX_CELSIUS: f64 = 200.0;
/// Colder than any room with a computer in it, in degrees Celsius.
const MIN_CELSIUS: f64 = -50.0;
/// More than any card draws, in watts.
const MAX_WATTS: f64 = 10_000.0;
/// Faster than any chip, in MHz.
const MAX_MHZ: u64 = 20_000;
/// Faster than any fan, in turns a minute.
const MAX_RPM: u64 = 100_000;

/// The number in a file of one number that is not negative.
pub(super) fn number(path: &Path) -> Option<u64> {
    kernel_file::text(path, PAGE)?.parse().ok()
}

/// Degrees Celsius, from a file in thousandths of them.
pub(super) fn celsius(path: &Path) -> Option<f64> {
    let thousandths: i32 = kernel_file::text(path, PAGE)?.parse().ok()?;
    let degrees = f64::from(thousandths) / 1e3;
    (MIN_CELSIUS..=MAX_CELSIUS).contains(&degrees).then_some(degrees)
}

/// Watts, from millionths of them.
pub(super) fn watts(millionths: u64) -> Option<f64> {
    plausible_watts(float(millionths) / 1e6)
}

/// Watts, if a card can draw as many.
pub(super) fn plausible_watts(watts: f64) -> Option<f64> {
    (0.0..=MAX_WATTS).contains(&watts).then_some(watts)
}

/// A share of a hundred.
pub(super) fn percent(value: u64) -> Option<f64> {
    (value <= 100).then(|| float(value))
}

/// A clock in MHz.
pub(super) fn megahertz(value: u64) -> Option<u32> {
    u32::try_from(value).ok().filter(|_| value <= MAX_MHZ)
}

/// Turns a minute.
pub(super) fn turns(value: u64) -> Option<u32> {
    u32::try_from(value).ok().filter(|_| value <= MAX_RPM)
}

/// The number as one with a fraction: exact below 2^53, which is more than is ever shown.
#[allow(clippy::cast_precision_loss)]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_unknown() {
        assert_eq!(percent(0), Some(0.0));
        assert_eq!(percent(100), Some(100.0));
        assert_eq!(percent(101), None);
        assert_eq!(watts(312_500_000), Some(312.5));
        assert_eq!(watts(10_000_000_001), None);
        assert_eq!(watts(u64::MAX), None);
        assert_eq!(megahertz(2500), Some(2500));
        assert_eq!(megahertz(u64::MAX), None);
        assert_eq!(turns(0), Some(0));
        assert_eq!(turns(u64::MAX), None);
    }
}
