//! AMD's compute driver: how much of a GPU's memory each process has, for all users (the driver's
//! kfd_process.c and kfd_topology.c). Reading it wakes no GPU.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{pci::Address, value::number};
use crate::kernel_file;

/// More processes than compute at one time.
const MAX_PROCESSES: usize = 4096;
/// More GPUs than a machine has.
const MAX_GPUS: usize = 1024;
/// The most of a node's properties.
const MAX_PROPERTIES: usize = 64 * 1024;

/// Bytes of a GPU's own memory, by GPU and process.
pub(super) fn memory(sys: &Path) -> BTreeMap<(Address, u32), u64> {
    let kfd = sys.join("class/kfd/kfd");
    let processes = kfd.join("proc");
    let mut used = Vec::new();
    for process in kernel_file::names(&processes, MAX_PROCESSES) {
        let Ok(pid) = process.parse::<u32>() else { continue };
        let directory = processes.join(&process);
        for file in kernel_file::names(&directory, MAX_GPUS) {
            let Some(gpu) = file.strip_prefix("vram_").and_then(|id| id.parse::<u32>().ok()) else {
                continue;
            };
            if let Some(bytes) = number(&directory.join(&file)).filter(|bytes| *bytes > 0) {
                used.push((gpu, pid, bytes));
            }
        }
    }
    // A GPU is awake while a process has memory there; others are not asked what they are.
    let wanted: BTreeSet<u32> = used.iter().map(|(gpu, ..)| *gpu).collect();
    let addresses = addresses(&kfd.join("topology/nodes"), &wanted);
    let mut memory = BTreeMap::new();
    for (gpu, pid, bytes) in used {
        if let Some(address) = addresses.get(&gpu) {
            // A GPU can be several of theirs, of which each has a part.
            let sum: &mut u64 = memory.entry((*address, pid)).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }
    memory
}

/// Where the GPUs with these numbers of the driver's sit.
fn addresses(nodes: &Path, wanted: &BTreeSet<u32>) -> BTreeMap<u32, Address> {
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    let nodes = kernel_file::names(nodes, MAX_GPUS).into_iter().map(|node| nodes.join(node));
    nodes
        .filter_map(|node| {
            let id = u32::try_from(number(&node.join("gpu_id"))?).ok()?;
            let is_wanted = wanted.contains(&id);
            let properties = || kernel_file::text(&node.join("properties"), MAX_PROPERTIES);
            Some((id, address(&is_wanted.then(properties)??)?))
        })
        .collect()
}

/// The address in the properties of a node: bus, device and function are in `location_id`, with the
/// number of the part above them.
fn address(properties: &str) -> Option<Address> {
    let property = |key: &str| {
        properties.lines().find_map(|line| {
            let (name, value) = line.split_once(' ')?;
            (name == key).then(|| value.trim().parse::<u32>().ok())?
        })
    };
    let [_, _, bus, slot] = property("location_id")?.to_be_bytes();
    let domain = property("domain").unwrap_or_default();
    Some(Address { domain, bus, device: slot >> 3, function: slot & 7 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_say_where_a_gpu_sits() {
        let table = [
            ("simd_count 192\nlocation_id 768\ndomain 0\n", Some("0000:03:00.0")),
            ("location_id 50432\ndomain 1", Some("0001:c5:00.0")),
            ("location_id 12", Some("0000:00:01.4")),
            // The third part of a GPU that is divided.
            ("location_id 536871680\ndomain 0", Some("0000:03:00.0")),
            ("location_id -1", None),
            ("location_idx 768", None),
            ("location_id", None),
            ("", None),
        ];
        for (properties, expected) in table {
            let address = address(properties).map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{properties}");
        }
    }
}
