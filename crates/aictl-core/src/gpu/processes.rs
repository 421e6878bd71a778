//! What runs on GPUs: each process with its memory there, its name and its unit.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use aictl_api::gpu::{Gpu, GpuProcess, GpuReport};

use super::{
    fdinfo::{self, Opened},
    kfd,
    pci::Address,
};
use crate::control_group::{self, Owner};

/// The most processes of one GPU that are told of.
const MAX_PROCESSES: usize = 1024;

/// What is to be said where processes are hidden.
pub(super) const HIDDEN: &str = "Processes of other users cannot be looked at, and may have memory of a GPU too: `sudo aictl \
     --embedded gpu --processes` shows them.";
const CUT: &str = "There are more open files than are looked at: some processes may be missing.";

/// The processes of each GPU, and what is to be said about them.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By GPU; one of which nothing could be listed is not there.
    pub(super) of_gpu: BTreeMap<Address, Vec<GpuProcess>>,
    /// Whether there may be more.
    pub(super) hidden: bool,
    /// What is to be said.
    pub(super) notes: Vec<String>,
}

/// Looks for what runs on these cards, by the names in /dev/dri that they are opened by.
pub(super) fn find(sys: &Path, proc: &Path, cards: &HashMap<String, Opened>) -> Found {
    let mut found = Found::default();
    if cards.is_empty() {
        return found;
    }
    let scan = fdinfo::scan(proc, cards);
    // Who has a card open, but no memory there, does not use it.
    let mut memory = scan.memory;
    memory.retain(|_, bytes| *bytes != Some(0));
    if cards.values().any(|card| card.driver == "amdgpu") {
        for (key, bytes) in kfd::memory(sys) {
            // Both know of the same memory; the compute driver only of its own.
            let known = memory.entry(key).or_default();
            *known = Some(known.map_or(bytes, |known| known.max(bytes)));
        }
    }
    let gpus: BTreeSet<Address> = cards.values().map(|card| card.gpu).collect();
    found.hidden = scan.hidden || scan.cut || !scan.listed;
    if scan.listed {
        found.of_gpu.extend(gpus.iter().map(|gpu| (*gpu, Vec::new())));
    }
    for ((gpu, pid), bytes) in memory {
        if gpus.contains(&gpu) {
            let processes = found.of_gpu.entry(gpu).or_default();
            if processes.len() < MAX_PROCESSES {
                processes.push(GpuProcess { memory_bytes: bytes, ..GpuProcess::new(pid) });
            }
        }
    }
    let notes = [(scan.hidden || !scan.listed, HIDDEN), (scan.cut, CUT)];
    found.notes =
        notes.iter().filter(|(is_so, _)| *is_so).map(|(_, text)| (*text).into()).collect();
    found
}

/// Adds processes to those of a GPU. Who knows more of one, is right.
pub(super) fn add(gpu: &mut Gpu, processes: Vec<GpuProcess>) {
    let all = gpu.processes.get_or_insert_default();
    for process in processes {
        match all.iter_mut().find(|known| known.pid == process.pid) {
            Some(known) => known.memory_bytes = known.memory_bytes.max(process.memory_bytes),
            None => all.push(process),
        }
    }
    all.sort_by_key(|process| process.pid);
}

/// Says the name, the unit and the service of each process, where they are not known yet.
/// `service_of` knows which service has a unit.
pub fn name_processes(
    report: &mut GpuReport,
    proc: &Path,
    service_of: impl Fn(&Owner) -> Option<String>,
) {
    for process in report.gpus.iter_mut().filter_map(|gpu| gpu.processes.as_mut()).flatten() {
        if process.name.is_none() {
            process.name = control_group::process_name(proc, process.pid);
        }
        if process.unit.is_none() || process.service.is_none() {
            let Some(owner) = control_group::of_process(proc, process.pid) else { continue };
            process.service = process.service.take().or_else(|| service_of(&owner));
            process.unit.get_or_insert(owner.unit);
        }
    }
}
