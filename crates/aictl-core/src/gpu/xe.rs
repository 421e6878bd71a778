//! Intel's GPUs with the driver xe (Documentation/gpu/xe, Documentation/ABI/testing/
//! sysfs-driver-intel-xe-hwmon).

use std::path::{Path, PathBuf};

use aictl_api::gpu::Gpu;

use super::{
    delta::Counters,
    hwmon::Hwmon,
    intel,
    pci::Address,
    value::{self, number},
};
use crate::kernel_file::{self, PAGE};

/// More than a device has files.
const MAX_FILES: usize = 512;

/// Says what the driver tells about a GPU that is awake, and returns its counters. `device` is the
/// GPU's directory.
pub(super) fn read(gpu: &mut Gpu, address: Address, device: &Path) -> Counters {
    let is_integrated = intel::is_integrated(address);
    gpu.memory_shared = Some(is_integrated);
    let tiles = numbered(device, "tile");
    if !is_integrated {
        // Hardly a kernel has these files: the driver tells it by a call on the open card, for which
        // unsafe code would be needed.
        gpu.memory_total_bytes =
            sum(&tiles, "vram0/total_bytes").or_else(|| sum(&tiles, "physical_vram_size_bytes"));
        gpu.memory_used_bytes = sum(&tiles, "vram0/used_bytes");
    }
    let mut counters = Counters::default();
    if let Some(hwmon) = Hwmon::find(device, "xe") {
        // The package, or where that is not told, the memory.
        counters.energy = intel::read_sensors(gpu, &hwmon, &["temp2_input", "temp3_input"]);
    }
    let gts: Vec<PathBuf> = tiles.iter().flat_map(|tile| numbered(tile, "gt")).collect();
    if let Some(gt) = gts.first() {
        let clock = |file: &str| number(&gt.join("freq0").join(file));
        // While it sleeps for moments, its actual clock is 0: then it is the one that it gets next.
        let actual = clock("act_freq").filter(|clock| *clock > 0);
        gpu.clock_graphics_mhz = actual.or_else(|| clock("cur_freq")).and_then(value::megahertz);
    }
    for gt in &gts {
        if let Some(idle) = number(&gt.join("gtidle/idle_residency_ms")) {
            counters.idle.insert(gt.display().to_string(), idle);
        }
    }
    gpu.throttling = throttling(&gts);
    counters
}

/// The directories `tile0`, `tile1`, … in a directory.
fn numbered(directory: &Path, stem: &str) -> Vec<PathBuf> {
    let is_it = |name: &&String| {
        name.strip_prefix(stem)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    kernel_file::names(directory, MAX_FILES)
        .iter()
        .filter(is_it)
        .map(|name| directory.join(name))
        .collect()
}

/// The sum of a number of all tiles; unknown if that of one is.
fn sum(tiles: &[PathBuf], file: &str) -> Option<u64> {
    let mut numbers = tiles.iter().map(|tile| number(&tile.join(file)));
    let first = numbers.next()??;
    numbers.try_fold(first, |sum, number| sum.checked_add(number?))
}

/// Why any of the parts is slowed down.
fn throttling(gts: &[PathBuf]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut tells = false;
    for gt in gts {
        let directory = gt.join("freq0/throttle");
        // All at once, where the driver has that (Linux 6.19); each by itself may change meanwhile.
        if let Some(reasons) = kernel_file::text(&directory.join("reasons"), PAGE) {
            tells = true;
            let reasons = reasons.split_ascii_whitespace().filter(|name| *name != "none");
            names.extend(reasons.map(str::to_owned));
            continue;
        }
        for file in kernel_file::names(&directory, MAX_FILES) {
            let Some(name) = file.strip_prefix("reason_") else { continue };
            let flag = number(&directory.join(&file));
            tells |= flag.is_some();
            if flag.is_some_and(|flag| flag != 0) {
                names.push(name.to_owned());
            }
        }
    }
    tells.then(|| intel::reasons(names.iter().map(String::as_str)))
}
