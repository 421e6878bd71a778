//! Why a GPU runs slower than it could, in plain words.

use nvml_wrapper::bitmasks::device::ThrottleReasons;

/// The reasons, each with its words. That it has nothing to do, or that somebody set its clocks, is
/// none.
const WORDS: [(ThrottleReasons, &str); 5] = [
    (ThrottleReasons::SW_POWER_CAP, "power limit"),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, "heat"),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, "dangerous heat"),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "power supply"),
    (ThrottleReasons::SYNC_BOOST, "a slower GPU of its group"),
];

/// The reasons in words; none if it is not slowed down.
pub fn words(reasons: ThrottleReasons) -> Vec<String> {
    let mut words: Vec<&str> =
        WORDS.iter().filter(|(one, _)| reasons.contains(*one)).map(|(_, word)| *word).collect();
    // The hardware says this beside the cause, or alone if it does not know that.
    let causes = ThrottleReasons::HW_THERMAL_SLOWDOWN | ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN;
    if reasons.contains(ThrottleReasons::HW_SLOWDOWN) && !reasons.intersects(causes) {
        words.push("hardware protection");
    }
    words.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_slows_it_down_is_a_reason() {
        for (bits, want) in [
            (0, &[][..]),
            // Idle, application clocks, display clocks.
            (0x1 | 0x2 | 0x100, &[]),
            (0x1 | 0x4, &["power limit"]),
            (0x20, &["heat"]),
            (0x8, &["hardware protection"]),
            (0x8 | 0x40, &["dangerous heat"]),
            (0x8 | 0x80, &["power supply"]),
            (0x4 | 0x10, &["power limit", "a slower GPU of its group"]),
        ] {
            assert_eq!(words(ThrottleReasons::from_bits_truncate(bits)), want, "{bits:#x}");
        }
    }
}
