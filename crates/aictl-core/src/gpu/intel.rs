//! What both drivers of Intel's GPUs, i915 and xe, say in the same way.

use aictl_api::gpu::Gpu;

use super::{hwmon::Hwmon, pci::Address};

/// The longest name of a reason, and more reasons than there are.
const MAX_NAME: usize = 32;
const MAX_REASONS: usize = 32;

/// What a GPU's memory is: those in the processor, which have none of their own, are on the first
/// bus.
pub(super) fn is_integrated(address: Address) -> bool {
    address.bus == 0
}

/// Why the GPU is slowed down, in plain words, from the name of a flag of the driver's
/// (`throttle_reason_NAME` with i915, `reason_NAME` with xe).
pub(super) fn reason(name: &str) -> String {
    match name {
        "pl1" | "pl2" => "power limit",
        "pl4" | "iccmax" | "vr_tdc" | "fastvmode" => "current limit",
        "psys_pl1" | "psys_pl2" | "psys_crit" => "power limit of the machine",
        "thermal" | "prochot" | "ratl" | "soc_thermal" | "soc_avg_thermal" => "heat",
        "mem_thermal" => "heat of the memory",
        "vr_thermalert" | "vr_thermal" => "heat of the voltage regulator",
        "p0_freq" => "frequency limit",
        other => return other.replace('_', " "),
    }
    .to_owned()
}

/// The reasons with these names: each once, in this order. What is no name, is left out.
pub(super) fn reasons<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    let is_name = |name: &&str| {
        name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    for name in names.into_iter().filter(is_name) {
        let reason = reason(name);
        if reasons.len() < MAX_REASONS && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

/// Reads the sensors of the chip: of the card, or if it has none there, of the package. Returns the
/// energy used up so far, in millionths of a joule.
pub(super) fn read_sensors(gpu: &mut Gpu, hwmon: &Hwmon, temperatures: &[&str]) -> Option<u64> {
    gpu.temperature_celsius = temperatures.iter().find_map(|file| hwmon.celsius(file));
    gpu.fan_rpm = hwmon.turns();
    let energy = |channel: u8| Some((channel, hwmon.number(&format!("energy{channel}_input"))?));
    let (channel, energy) = match energy(1).or_else(|| energy(2)) {
        Some((channel, energy)) => (channel, Some(energy)),
        None => (1, None),
    };
    // A sustained limit, or one for short times; 0 is none.
    let limit = |of: &str| hwmon.limit(&format!("power{channel}_{of}"));
    gpu.power_limit_watts = limit("max").or_else(|| limit("cap"));
    energy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_in_plain_words_and_told_once() {
        let table = [
            (&[][..], ""),
            (&["pl1", "pl2"], "power limit"),
            (&["thermal", "pl4", "prochot"], "heat, current limit"),
            (&["vr_thermalert"], "heat of the voltage regulator"),
            (&["of_the_moon"], "of the moon"),
            (&["\0\0", "\u{1b}[2J", "pl1", "ä", "a-b"], "power limit"),
        ];
        for (names, expected) in table {
            assert_eq!(reasons(names.iter().copied()).join(", "), expected);
        }
    }
}
