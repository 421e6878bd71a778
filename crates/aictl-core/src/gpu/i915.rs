//! Intel's GPUs with the driver i915 (Documentation/gpu/i915.rst, Documentation/ABI/testing/
//! sysfs-driver-intel-i915-hwmon). How much memory a card has, it tells by no file.

use std::path::Path;

use aictl_api::gpu::Gpu;

use super::{
    delta::Counters,
    hwmon::Hwmon,
    intel,
    pci::Address,
    value::{self, number},
};
use crate::kernel_file;

/// More than a GPU has of them: graphics and media.
const MAX_GTS: usize = 16;
/// More than a part has files.
const MAX_FILES: usize = 256;

/// Says what the driver tells about a GPU that is awake, and returns its counters. `card` is the
/// directory of its graphics card, `device` that of the GPU.
pub(super) fn read(gpu: &mut Gpu, address: Address, card: &Path, device: &Path) -> Counters {
    gpu.memory_shared = Some(intel::is_integrated(address));
    let mut counters = Counters::default();
    if let Some(hwmon) = Hwmon::find(device, "i915") {
        counters.energy = intel::read_sensors(gpu, &hwmon, &["temp1_input"]);
    }
    // Before Linux 5.19, the card has what its parts have since then.
    let first = |files: [&str; 2]| files.iter().find_map(|file| number(&card.join(file)));
    let actual = first(["gt/gt0/rps_act_freq_mhz", "gt_act_freq_mhz"]).filter(|clock| *clock > 0);
    // While it sleeps for moments, its actual clock is 0: then it is the one that it gets next.
    let clock = actual.or_else(|| first(["gt/gt0/rps_cur_freq_mhz", "gt_cur_freq_mhz"]));
    gpu.clock_graphics_mhz = clock.and_then(value::megahertz);

    let gts = kernel_file::names(&card.join("gt"), MAX_GTS);
    let mut names = Vec::new();
    let mut tells = false;
    for gt in &gts {
        let directory = card.join("gt").join(gt);
        if let Some(idle) = number(&directory.join("rc6_residency_ms")) {
            counters.idle.insert(gt.clone(), idle);
        }
        for file in kernel_file::names(&directory, MAX_FILES) {
            let Some(name) = file.strip_prefix("throttle_reason_") else { continue };
            let flag = number(&directory.join(&file));
            tells |= flag.is_some();
            if name != "status" && flag.is_some_and(|flag| flag != 0) {
                names.push(name.to_owned());
            }
        }
    }
    if counters.idle.is_empty()
        && let Some(idle) = number(&card.join("power/rc6_residency_ms"))
    {
        counters.idle.insert("all".to_owned(), idle);
    }
    gpu.throttling = tells.then(|| intel::reasons(names.iter().map(String::as_str)));
    counters
}
