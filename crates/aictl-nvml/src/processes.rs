//! The processes on a GPU.

use std::{cmp::Reverse, collections::BTreeMap};

use aictl_api::gpu::GpuProcess;
use nvml_wrapper::{
    Device, enums::device::UsedGpuMemory, error::NvmlError, struct_wrappers::device::ProcessInfo,
};

use crate::device::Lost;

/// The most processes of a GPU that are listed.
pub const MOST: usize = 1000;
/// How often a list is asked for that becomes longer meanwhile.
const TURNS: u32 = 5;
/// The most instances that a GPU is looked through for; NVIDIA's have up to 7.
const MOST_INSTANCES: u32 = 16;

/// A way to list processes.
type List = fn(&Device<'_>) -> Result<Vec<ProcessInfo>, NvmlError>;

/// The lists that there are: those that compute, those that compute through NVIDIA's
/// Multi-Process Service, and those that draw.
const LISTS: [List; 3] = [compute, multi_process, graphics];

/// What a device and, where it is divided, its instances tell. A process in several lists has in
/// each the whole of its memory.
#[derive(Debug, Default)]
pub struct Processes {
    /// Memory by process.
    memory: BTreeMap<u32, Option<u64>>,
    /// Whether any list could be had.
    is_known: bool,
}

impl Processes {
    /// Adds those of a device.
    ///
    /// # Errors
    /// If it is lost.
    pub fn add(&mut self, device: &Device<'_>) -> Result<(), Lost> {
        for list in LISTS {
            if let Some(infos) = Lost::check(patiently(device, list))? {
                self.is_known = true;
                self.merge(infos.iter().map(|info| (info.pid, memory(&info.used_gpu_memory))));
            }
        }
        Ok(())
    }

    /// Adds those of the instances that a GPU is divided into (Multi-Instance GPU). Whoever may
    /// not see those of the whole GPU may see them here.
    ///
    /// # Errors
    /// If the GPU is lost.
    pub fn add_instances(&mut self, gpu: &Device<'_>) -> Result<(), Lost> {
        let most = Lost::check(gpu.mig_device_count())?.unwrap_or_default();
        for place in 0..most.min(MOST_INSTANCES) {
            if let Some(instance) = Lost::check(gpu.mig_device_by_index(place))? {
                self.add(&instance)?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, list: impl IntoIterator<Item = (u32, Option<u64>)>) {
        for (pid, memory) in list {
            let known = self.memory.entry(pid).or_default();
            *known = (*known).max(memory);
        }
    }

    /// The processes by number, and how many more there are; `None` if they cannot be listed. Of too
    /// many, those stay that use the most memory.
    pub fn finish(self) -> Option<(Vec<GpuProcess>, usize)> {
        if !self.is_known {
            return None;
        }
        let mut list: Vec<(u32, Option<u64>)> = self.memory.into_iter().collect();
        let left = list.len().saturating_sub(MOST);
        if left > 0 {
            list.sort_by_key(|(pid, memory)| (Reverse(*memory), *pid));
            list.truncate(MOST);
            list.sort_unstable();
        }
        let list = list
            .into_iter()
            .map(|(pid, memory_bytes)| GpuProcess { memory_bytes, ..GpuProcess::new(pid) });
        Some((list.collect(), left))
    }
}

fn memory(used: &UsedGpuMemory) -> Option<u64> {
    match used {
        UsedGpuMemory::Used(bytes) => Some(*bytes),
        UsedGpuMemory::Unavailable => None,
    }
}

/// Asks for a list again if it became longer between its length and its content.
fn patiently(device: &Device<'_>, list: List) -> Result<Vec<ProcessInfo>, NvmlError> {
    let mut result = list(device);
    for _ in 1..TURNS {
        if !matches!(result, Err(NvmlError::InsufficientSize(_))) {
            break;
        }
        result = list(device);
    }
    result
}

fn compute(device: &Device<'_>) -> Result<Vec<ProcessInfo>, NvmlError> {
    if is_skewed(device) {
        return device.running_compute_processes_v2();
    }
    match device.running_compute_processes() {
        // Drivers before 510 have only the older function.
        Err(NvmlError::FailedToLoadSymbol(_)) => device.running_compute_processes_v2(),
        other => other,
    }
}

fn multi_process(device: &Device<'_>) -> Result<Vec<ProcessInfo>, NvmlError> {
    // There is no older function.
    if is_skewed(device) {
        Err(NvmlError::NotSupported)
    } else {
        device.mps_running_compute_processes()
    }
}

fn graphics(device: &Device<'_>) -> Result<Vec<ProcessInfo>, NvmlError> {
    if is_skewed(device) {
        return device.running_graphics_processes_v2();
    }
    match device.running_graphics_processes() {
        Err(NvmlError::FailedToLoadSymbol(_)) => device.running_graphics_processes_v2(),
        other => other,
    }
}

/// Whether the driver is one of those whose newest functions fill a larger structure than before
/// or since.
fn is_skewed(device: &Device<'_>) -> bool {
    device.nvml().sys_driver_version().is_ok_and(|version| is_skewed_version(&version))
}

/// 535.43 to 535.86: NVIDIA took the change back in 535.98.
fn is_skewed_version(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let major = parts.next().flatten();
    let minor = parts.next().flatten();
    major == Some(535) && minor.is_some_and(|minor| minor < 98)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process and its memory.
    type Pair = (u32, Option<u64>);

    fn pairs(lists: &[&[Pair]]) -> Option<(Vec<Pair>, usize)> {
        let mut processes = Processes { is_known: !lists.is_empty(), ..Processes::default() };
        for list in lists {
            processes.merge(list.iter().copied());
        }
        let (list, left) = processes.finish()?;
        Some((list.iter().map(|p| (p.pid, p.memory_bytes)).collect(), left))
    }

    #[test]
    fn a_process_in_two_lists_is_one_with_its_memory_once() {
        let compute = [(9, Some(100)), (3, None), (4, None)];
        let graphics = [(9, Some(100)), (4, Some(7)), (5, Some(0))];
        let merged = vec![(3, None), (4, Some(7)), (5, Some(0)), (9, Some(100))];
        assert_eq!(pairs(&[&compute, &graphics]), Some((merged.clone(), 0)));
        assert_eq!(pairs(&[&graphics, &compute]), Some((merged, 0)));
        assert_eq!(pairs(&[&[]]), Some((vec![], 0)));
        assert_eq!(pairs(&[]), None);
    }

    #[test]
    fn of_too_many_the_largest_stay() {
        let list: Vec<(u32, Option<u64>)> =
            (0..1500).map(|pid| (pid, Some(u64::from(pid)))).chain([(9999, None)]).collect();
        let (kept, left) = pairs(&[&list]).unwrap();
        assert_eq!((kept.len(), left), (MOST, 501));
        assert_eq!((kept[0].0, kept[MOST - 1].0), (500, 1499));
    }

    #[test]
    fn the_drivers_with_another_structure_are_known() {
        for (version, want) in [
            ("535.54.03", true),
            ("535.86.10", true),
            ("535.98", false),
            ("535.274.02", false),
            ("530.41.03", false),
            ("580.95.05", false),
            ("535", false),
            ("", false),
        ] {
            assert_eq!(is_skewed_version(version), want, "{version}");
        }
    }
}
