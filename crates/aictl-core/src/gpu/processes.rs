//! What runs on GPUs: each process with its memory there, its name and its unit.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use aictl_api::gpu::{GpuProcess, GpuReport};

use super::{
    fdinfo::{self, Opened},
    kfd,
    pci::Address,
};
use crate::control_group::{self, Owner};

/// The most processes of one GPU that are told of.
const MAX_PROCESSES: usize = 1024;

const HIDDEN: &str = "Processes of other users cannot be looked at, and may have memory of a GPU \
                      too: `sudo aictl --embedded gpu --processes` shows them.";
const CUT: &str = "There are more open files than are looked at: some processes may be missing.";

/// The processes of each GPU, and what is to be said about them.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) of_gpu: BTreeMap<Address, Vec<GpuProcess>>,
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
    if scan.listed {
        found.of_gpu.extend(cards.values().map(|card| (card.gpu, Vec::new())));
    }
    for ((gpu, pid), bytes) in memory {
        if cards.values().any(|card| card.gpu == gpu) {
            let processes = found.of_gpu.entry(gpu).or_default();
            if processes.len() < MAX_PROCESSES {
                processes.push(GpuProcess { memory_bytes: bytes, ..GpuProcess::new(pid) });
            }
        }
    }
    let notes = [(scan.hidden, HIDDEN), (scan.cut, CUT)];
    found
        .notes
        .extend(notes.iter().filter(|(is_so, _)| *is_so).map(|(_, note)| (*note).to_owned()));
    found
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
