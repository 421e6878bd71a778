//! AMD's GPUs (Documentation/gpu/amdgpu: thermal.rst, driver-misc.rst, ras.rst).

use std::path::Path;

use aictl_api::gpu::Gpu;

use super::{
    hwmon::Hwmon,
    value::{self, number},
};
use crate::{
    kernel_file::{self, PAGE},
    plain_text::plain_text,
};

/// The most of `gpu_metrics`, which is some hundred bytes.
const MAX_METRICS: usize = 64 * 1024;
/// The most characters of a name.
const MAX_NAME: usize = 128;

/// Says what the driver tells about a GPU that is awake. `device` is the GPU's directory.
pub(super) fn read(gpu: &mut Gpu, device: &Path) {
    let text = |file: &str| kernel_file::text(&device.join(file), PAGE);
    let metrics = kernel_file::bytes(&device.join("gpu_metrics"), MAX_METRICS);
    let metrics = metrics.as_deref().unwrap_or_default();

    if let Some(name) = text("product_name").filter(|name| !name.is_empty()) {
        gpu.name = Some(plain_text(&name).chars().take(MAX_NAME).collect());
    }
    gpu.uuid = text("unique_id").as_deref().and_then(uuid);
    read_memory(gpu, device, is_integrated(metrics));
    let share = |file: &str| value::percent(number(&device.join(file))?);
    gpu.utilisation_percent = share("gpu_busy_percent");
    gpu.memory_utilisation_percent = share("mem_busy_percent");
    gpu.throttling = throttling(metrics);
    if let Some(counts) = text("ras/umc_err_count") {
        gpu.ecc_corrected = error_count(&counts, "ce");
        gpu.ecc_uncorrected = error_count(&counts, "ue");
        // The counts are there where the driver has the correction on.
        gpu.ecc_enabled = gpu.ecc_corrected.or(gpu.ecc_uncorrected).map(|_| true);
    }
    let hwmon = Hwmon::find(device, "amdgpu");
    if let Some(hwmon) = &hwmon {
        gpu.temperature_celsius = hwmon.celsius("temp1_input");
        gpu.power_watts = hwmon.watts("power1_average").or_else(|| hwmon.watts("power1_input"));
        gpu.power_limit_watts = hwmon.limit("power1_cap");
        gpu.fan_rpm = hwmon.turns();
        gpu.fan_percent = hwmon.fan_percent();
    }
    let clock = |sensor: &str, steps: &str| {
        let of_sensor = hwmon.as_ref().and_then(|hwmon| hwmon.megahertz(sensor));
        of_sensor.or_else(|| text(steps).as_deref().and_then(current_step))
    };
    gpu.clock_graphics_mhz = clock("freq1_input", "pp_dpm_sclk");
    gpu.clock_memory_mhz = clock("freq2_input", "pp_dpm_mclk");
}

/// Memory: what is on the card, or for one in the processor what is set apart for it and what it
/// may take of the rest (GTT), where most of a model is then.
fn read_memory(gpu: &mut Gpu, device: &Path, is_integrated: Option<bool>) {
    let number = |file: &str| number(&device.join(file));
    let on_top = |own: u64, file: &str| match is_integrated {
        Some(true) => own.checked_add(number(file)?),
        _ => Some(own),
    };
    let total = number("mem_info_vram_total");
    let used = number("mem_info_vram_used");
    gpu.memory_shared = is_integrated;
    gpu.memory_total_bytes = total.and_then(|own| on_top(own, "mem_info_gtt_total"));
    gpu.memory_used_bytes = used.and_then(|own| on_top(own, "mem_info_gtt_used"));
}

/// The name of the GPU that `ROCR_VISIBLE_DEVICES` knows, from the text of `unique_id`.
fn uuid(id: &str) -> Option<String> {
    let id = id.strip_prefix("0x").unwrap_or(id);
    let id = u64::from_str_radix(id, 16).ok().filter(|id| *id != 0 && *id != u64::MAX)?;
    Some(format!("GPU-{id:016x}"))
}

/// The clock in the line with a star, such as `1: 500Mhz *`.
fn current_step(steps: &str) -> Option<u32> {
    let line = steps.lines().find_map(|line| line.trim_end().strip_suffix('*'))?;
    let (_, clock) = line.split_once(':')?;
    let clock = clock.trim();
    let digits = clock.find(|c: char| !c.is_ascii_digit()).map_or(clock, |end| &clock[..end]);
    value::megahertz(digits.parse().ok()?)
}

/// The count of errors of a kind in lines such as `ue: 0`.
fn error_count(counts: &str, kind: &str) -> Option<u64> {
    let of_kind = |line: &str| {
        let (key, count) = line.split_once(':')?;
        (key.trim() == kind).then(|| count.trim().parse().ok())?
    };
    counts.lines().find_map(of_kind)
}

/// The revisions of format and content in the header of `gpu_metrics`, after the size of the whole
/// (`metrics_table_header` in the driver's kgd_pp_interface.h).
fn revisions(metrics: &[u8]) -> Option<(u8, u8)> {
    let [size @ .., format, content] = *metrics.first_chunk::<4>()?;
    (usize::from(u16::from_ne_bytes(size)) <= metrics.len()).then_some((format, content))
}

/// Whether the GPU is one in a processor: the formats 2 and 3 are theirs.
fn is_integrated(metrics: &[u8]) -> Option<bool> {
    match revisions(metrics)?.0 {
        1 => Some(false),
        2 | 3 => Some(true),
        _ => None,
    }
}

/// Why the GPU is slowed down, by what `gpu_metrics` has in the same way for all chips.
fn throttling(metrics: &[u8]) -> Option<Vec<String>> {
    // Where `indep_throttle_status` is in those revisions that have it.
    let at = match revisions(metrics)? {
        (1, 3) => 112,
        (2, 2..=4) => 120,
        _ => return None,
    };
    let status = u64::from_ne_bytes(*metrics.get(at..)?.first_chunk()?);
    // All bits are set where the chip does not tell.
    (status != u64::MAX).then(|| {
        let is_set = |(_, bits): &&(&str, u64)| status & bits != 0;
        REASONS.iter().filter(is_set).map(|(reason, _)| (*reason).to_owned()).collect()
    })
}

/// The bits of `indep_throttle_status`, by what they have in common (`SMU_THROTTLER_*` in the
/// driver's amdgpu_smu.h).
const REASONS: [(&str, u64); 5] = [
    ("power limit", 0xffff),
    ("current limit", 0xffff << 16),
    ("heat", 0xffff << 32),
    ("platform limit", 1 << 56),
    ("reliability limit", 1 << 57),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `gpu_metrics` of these revisions, with the status in its place.
    fn metrics(format: u8, content: u8, size: u16, status: u64) -> Vec<u8> {
        let mut metrics = vec![0; size.into()];
        metrics[..2].copy_from_slice(&size.to_ne_bytes());
        (metrics[2], metrics[3]) = (format, content);
        let at = if format == 1 { 112 } else { 120 };
        if let Some(place) = metrics.get_mut(at..at + 8) {
            place.copy_from_slice(&status.to_ne_bytes());
        }
        metrics
    }

    #[test]
    fn a_gpu_in_a_processor_is_told_by_its_metrics() {
        assert_eq!(is_integrated(&metrics(1, 3, 120, 0)), Some(false));
        assert_eq!(is_integrated(&metrics(2, 2, 128, 0)), Some(true));
        assert_eq!(is_integrated(&metrics(3, 0, 264, 0)), Some(true));
        assert_eq!(is_integrated(&metrics(9, 0, 120, 0)), None);
        assert_eq!(is_integrated(&metrics(1, 3, 120, 0)[..119]), None);
        assert_eq!(is_integrated(&[1, 0, 1]), None);
        assert_eq!(is_integrated(&[]), None);
    }

    #[test]
    fn reasons_are_told_where_the_metrics_have_them() {
        let reasons = |metrics: &[u8]| throttling(metrics).map(|reasons| reasons.join(", "));
        let table = [
            (metrics(1, 3, 120, 0), Some("")),
            (metrics(1, 3, 120, 1), Some("power limit")),
            (metrics(1, 3, 120, 1 << 36 | 1 << 16), Some("current limit, heat")),
            (metrics(2, 4, 152, 1 << 47), Some("heat")),
            (metrics(2, 2, 128, 1 << 7 | 1 << 57), Some("power limit, reliability limit")),
            (metrics(1, 3, 120, u64::MAX), None),
            (metrics(1, 0, 120, 1), None),
            (metrics(1, 8, 400, 1), None),
            (metrics(3, 0, 264, 1), None),
            // Cut off before it, and longer than it says.
            (metrics(1, 3, 116, 1), None),
            (metrics(1, 3, 120, 1)[..100].to_vec(), None),
        ];
        for (metrics, expected) in table {
            assert_eq!(reasons(&metrics).as_deref(), expected, "{metrics:?}");
        }
    }

    #[test]
    fn the_clock_with_a_star_is_the_current_one() {
        for (steps, expected) in [
            ("0: 500Mhz\n1: 2304Mhz *\n2: 2482Mhz", Some(2304)),
            ("0: 96Mhz *", Some(96)),
            ("S: 0Mhz *\n0: 500Mhz", Some(0)),
            ("0: 500Mhz\n1: 2304Mhz", None),
            ("0: *", None),
            ("*", None),
            ("0: -5Mhz *", None),
            ("0: 99999999999999999999Mhz *", None),
            ("", None),
        ] {
            assert_eq!(current_step(steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn a_unique_id_is_what_rocm_calls_the_gpu() {
        for (id, expected) in [
            ("3a5f00cafe001234", Some("GPU-3a5f00cafe001234")),
            ("0x1234", Some("GPU-0000000000001234")),
            ("0000000000000000", None),
            ("ffffffffffffffff", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(uuid(id).as_deref(), expected, "{id}");
        }
    }

    #[test]
    fn errors_are_counted_by_kind() {
        let counts = "ue: 2\nce: 17";
        assert_eq!(error_count(counts, "ue"), Some(2));
        assert_eq!(error_count(counts, "ce"), Some(17));
        assert_eq!(error_count("Query currently inaccessible", "ue"), None);
        assert_eq!(error_count("ue: -1\nce", "ue"), None);
    }
}
