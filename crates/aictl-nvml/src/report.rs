//! All GPUs at once, each asked by a thread of its own: one that does not answer hides no other.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use aictl_api::gpu::{Gpu, GpuReport};
use nvml_wrapper::Nvml;

use crate::{arguments::Arguments, device, library};

/// The most GPUs that are asked.
const MOST: usize = 32;

/// Asks the driver until `deadline`, and gives the library back to be shut down. It does not if
/// somebody still waits for an answer of the driver: nothing more must be asked of it then.
pub fn read(arguments: &Arguments, deadline: Instant) -> (GpuReport, Option<Nvml>) {
    let mut report = GpuReport::default();
    // Even to load it can take for ever.
    let opened = match in_time(deadline, open(arguments)) {
        Some(Ok(opened)) => opened,
        Some(Err(note)) => {
            report.notes.push(note);
            return (report, None);
        }
        None => {
            report.notes.push(silent("NVIDIA's driver", arguments.time));
            return (report, None);
        }
    };
    report.notes.extend(opened.note);
    let nvml = Arc::new(opened.nvml);
    let (alive, ended) = mpsc::channel();
    let asked: Vec<Asked> = opened
        .wanted
        .into_iter()
        .map(|wanted| ask(&nvml, wanted, opened.version.as_deref(), &alive))
        .collect();
    drop(alive);
    // Nothing is ever sent: the channel ends when the last thread does.
    let _: Result<(), RecvTimeoutError> =
        ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    let mut are_all_done = true;
    for Asked { slot, thread } in asked {
        let Slot { mut gpu, is_done } = lock(&slot).clone();
        if is_done {
            // A thread that panics is not done.
            let _ = thread.join();
        } else {
            are_all_done = false;
            gpu.notes.push(silent("It", arguments.time));
        }
        report.gpus.push(gpu);
    }
    report.sort();
    (report, if are_all_done { Arc::into_inner(nvml) } else { None })
}

/// What there is to ask.
struct Opened {
    nvml: Nvml,
    /// The driver's version.
    version: Option<String>,
    wanted: Vec<Wanted>,
    /// Why that is not all.
    note: Option<String>,
}

/// How a GPU is found.
enum Wanted {
    Index(u32),
    Address(String),
}

/// Loads the library, and finds out which GPUs to ask.
fn open(arguments: &Arguments) -> impl FnOnce() -> Result<Opened, String> + use<> {
    let library: Option<PathBuf> = arguments.library.clone();
    let addresses = arguments.addresses.clone();
    move || {
        let nvml = library::open(library.as_deref())?;
        let version = nvml.sys_driver_version().ok();
        let mut note = None;
        let mut wanted: Vec<Wanted> = if addresses.is_empty() {
            let count = nvml.device_count().unwrap_or_else(|error| {
                note = Some(library::unexpected(&error));
                0
            });
            (0..count).map(Wanted::Index).collect()
        } else {
            addresses.into_iter().map(Wanted::Address).collect()
        };
        if wanted.len() > MOST {
            note = Some(format!(
                "Only {MOST} of {} NVIDIA GPUs are asked: `nvidia-smi` shows all.",
                wanted.len()
            ));
            wanted.truncate(MOST);
        }
        Ok(Opened { nvml, version, wanted, note })
    }
}

/// What a thread found out until now.
#[derive(Clone)]
struct Slot {
    gpu: Gpu,
    is_done: bool,
}

/// A GPU that a thread asks.
struct Asked {
    slot: Arc<Mutex<Slot>>,
    thread: JoinHandle<()>,
}

/// Begins to ask a GPU. The thread keeps a copy of `alive` until it ends.
fn ask(nvml: &Arc<Nvml>, wanted: Wanted, version: Option<&str>, alive: &Sender<()>) -> Asked {
    let address = match &wanted {
        Wanted::Index(_) => None,
        Wanted::Address(address) => Some(address.as_str()),
    };
    let gpu = device::unasked(address, version);
    let slot = Arc::new(Mutex::new(Slot { gpu: gpu.clone(), is_done: false }));
    let thread = thread::spawn({
        let (nvml, slot, alive) = (Arc::clone(nvml), Arc::clone(&slot), alive.clone());
        move || {
            let mut gpu = gpu;
            let device = match wanted {
                Wanted::Index(index) => nvml.device_by_index(index),
                Wanted::Address(address) => nvml.device_by_pci_bus_id(address),
            };
            device::read(device, &mut gpu, |gpu| lock(&slot).gpu.clone_from(gpu));
            // Given up before the last word, after which the library may be shut down.
            drop(nvml);
            lock(&slot).is_done = true;
            drop(alive);
        }
    });
    Asked { slot, thread }
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    // Whole values are put into it: a panic leaves none half.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `work` comes to, if it does by then. If not, its thread goes on.
fn in_time<T: Send + 'static>(
    deadline: Instant,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        // Nobody wants what comes too late.
        let _ = done.send(work());
    });
    result.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
}

fn silent(who: &str, time: Duration) -> String {
    format!(
        "{who} did not answer within {time:?}: look for Xid in `journalctl -k --grep=NVRM`, and \
         reboot if that goes on."
    )
}
