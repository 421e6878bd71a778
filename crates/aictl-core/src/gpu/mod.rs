//! GPUs: what they are, how they do, and what runs on them.
//!
//! NVIDIA's are asked by a program of ours, see [`nvml`]; AMD's and Intel's through the files of
//! the kernel's drivers. A GPU that sleeps is not woken: of its files, only those are opened that
//! the kernel answers by itself. Nothing here waits for a driver that hangs.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, TryLockError},
    thread,
    time::{Duration, Instant},
};

use aictl_api::gpu::{Gpu, GpuReport, GpuState};
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    time,
};

use self::{
    card::Card,
    delta::Looks,
    nvml::NvmlProgram,
    pci::{Address, Lists, Names},
    processes::Found,
};

mod amdgpu;
mod card;
mod delta;
mod fdinfo;
mod hwmon;
mod i915;
mod intel;
mod kfd;
pub mod nvml;
mod pci;
mod processes;
#[cfg(test)]
mod tests;
mod value;
mod xe;

pub use processes::name_processes;

/// Where everything about GPUs is read.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The kernel's devices: /sys.
    pub sys: PathBuf,
    /// The kernel's processes: /proc.
    pub proc: PathBuf,
    /// The devices' files: /dev.
    pub dev: PathBuf,
    /// Who asks NVIDIA's GPUs.
    pub nvml: NvmlProgram,
    /// Where GPUs' names are.
    lists: Lists,
}

impl Sources {
    /// Those of this machine.
    #[must_use]
    pub fn host(nvml: NvmlProgram) -> Self {
        Self {
            sys: PathBuf::from("/sys"),
            proc: PathBuf::from("/proc"),
            dev: PathBuf::from("/dev"),
            nvml,
            lists: Lists::host(),
        }
    }
}

/// Looks at all GPUs once, in at most `time`. What cannot be found out is unknown; the notes say
/// why.
pub async fn read(sources: &Sources, time: Duration) -> GpuReport {
    Reader::new(sources.clone()).read(time).await
}

/// Looks at GPUs again and again: what drivers only count, shows from the second look on.
#[derive(Debug)]
pub struct Reader {
    sources: Sources,
    memory: Arc<Mutex<Memory>>,
}

impl Reader {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        Self { sources, memory: Arc::default() }
    }

    /// Looks at all GPUs, in at most `time`. What cannot be found out is unknown; the notes say
    /// why.
    pub async fn read(&mut self, time: Duration) -> GpuReport {
        let Sources { sys, dev, proc, nvml, .. } = &self.sources;
        let nvidia = nvml::read(nvml, sys, dev, proc, time);
        let (nvidia, others) = tokio::join!(nvidia, self.read_cards(time));
        let mut report = together(nvidia, others);
        name_processes(&mut report, &self.sources.proc, |_| None);
        report
    }

    /// Adds to a report of the helper's the processes that the helper may not look at, and we may:
    /// those of our own user.
    pub async fn add_own(&mut self, report: &mut GpuReport, time: Duration) {
        let is_wanted = |gpu: &&Gpu| gpu.processes_hidden == Some(true);
        let wanted: Vec<Gpu> = report.gpus.iter().filter(is_wanted).cloned().collect();
        if wanted.is_empty() {
            return;
        }
        let look = move |_: &mut Memory, sources: &Sources, seen: &UnboundedSender<Part>| {
            let cards = Card::all(&sources.sys);
            let mut nodes = HashMap::new();
            for (card, gpu) in cards.iter().filter_map(|card| Some((card, card.of(&wanted)?))) {
                if !card.is_asleep() {
                    card.add_nodes(gpu, &mut nodes);
                }
            }
            let found = processes::find(&sources.sys, &sources.proc, &nodes);
            let _gone = seen.send(Part::Processes(found));
        };
        let mut seen = Seen::default();
        // What was not found in time, is as hidden as it was.
        let _late = self.on_thread(time, look, |part| seen.add(part)).await;
        let Some(found) = seen.processes else { return };
        let is_any = !found.of_gpu.is_empty();
        for (address, processes) in found.of_gpu {
            let is_it = |gpu: &&mut Gpu| pci::address(gpu) == Some(address);
            if let Some(gpu) = report.gpus.iter_mut().find(is_it) {
                processes::add(gpu, processes);
                gpu.processes_hidden = Some(found.hidden);
            }
        }
        if !found.hidden && is_any {
            report.notes.retain(|note| note != processes::HIDDEN);
        }
        name_processes(report, &self.sources.proc, |_| None);
    }

    /// Looks at what the kernel's drivers tell.
    async fn read_cards(&self, time: Duration) -> Seen {
        let mut seen = Seen::default();
        let look = |memory: &mut Memory, sources: &Sources, seen: &UnboundedSender<Part>| {
            memory.look(sources, Instant::now(), seen);
        };
        match self.on_thread(time, look, |part| seen.add(part)).await {
            Ok(()) => {}
            Err(NotSeen::Late) => seen.say_late(),
            Err(NotSeen::NoThread(error)) => {
                seen.notes.push(format!("GPUs could not be looked at: {error}."));
            }
        }
        seen
    }

    /// Works on a thread of its own: a driver that hangs would hold up everything else, and cannot
    /// be interrupted. What is found is given to `add` as it comes.
    async fn on_thread(
        &self,
        time: Duration,
        work: impl FnOnce(&mut Memory, &Sources, &UnboundedSender<Part>) + Send + 'static,
        mut add: impl FnMut(Part),
    ) -> Result<(), NotSeen> {
        let (sender, mut parts) = mpsc::unbounded_channel();
        let (sources, memory) = (self.sources.clone(), Arc::clone(&self.memory));
        let work = move || {
            let mut memory = match memory.try_lock() {
                Ok(memory) => memory,
                // What was remembered when a look went wrong is as good as any.
                Err(TryLockError::Poisoned(memory)) => memory.into_inner(),
                // The look before this one still waits for a driver.
                Err(TryLockError::WouldBlock) => return,
            };
            work(&mut memory, &sources, &sender);
            // Whoever hears of the end may look again at once.
            drop(memory);
            let _gone = sender.send(Part::End);
        };
        thread::Builder::new().name("gpu".to_owned()).spawn(work).map_err(NotSeen::NoThread)?;
        let all = async {
            loop {
                match parts.recv().await {
                    Some(Part::End) => return Ok(()),
                    Some(part) => add(part),
                    None => return Err(NotSeen::Late),
                }
            }
        };
        time::timeout(time, all).await.unwrap_or(Err(NotSeen::Late))
    }
}

/// Why a look did not come to its end.
enum NotSeen {
    /// A driver did not answer.
    Late,
    /// There is no thread for it.
    NoThread(io::Error),
}

/// What a look finds, piece by piece.
enum Part {
    /// Cards before they are asked, and in the end the ones that used to be there.
    Found(Vec<(Address, Gpu)>),
    /// A card that was asked.
    Read(Address, Box<Gpu>),
    /// What runs on them.
    Processes(Found),
    /// Something to say.
    Note(String),
    /// Nothing more comes.
    End,
}

/// What a look found so far.
#[derive(Debug, Default)]
struct Seen {
    gpus: BTreeMap<Address, Gpu>,
    read: Vec<Address>,
    processes: Option<Found>,
    notes: Vec<String>,
}

impl Seen {
    fn add(&mut self, part: Part) {
        match part {
            Part::Found(gpus) => self.gpus.extend(gpus),
            Part::Read(address, gpu) => {
                self.gpus.insert(address, *gpu);
                self.read.push(address);
            }
            Part::Processes(found) => self.processes = Some(found),
            Part::Note(note) => self.notes.push(note),
            Part::End => {}
        }
    }

    fn say_late(&mut self) {
        const LATE: &str = "Its driver does not answer: `journalctl -k` may say why.";
        let mut of_gpu = false;
        for (address, gpu) in &mut self.gpus {
            if !self.read.contains(address) {
                gpu.notes.push(LATE.to_owned());
                of_gpu = true;
            }
        }
        if !of_gpu {
            let late = "A graphics driver does not answer: `journalctl -k` may say why.";
            self.notes.push(late.to_owned());
        }
    }
}

/// What is remembered from look to look.
#[derive(Debug, Default)]
struct Memory {
    looks: Looks,
    names: Names,
    /// The GPUs that there were, each with its name.
    known: BTreeMap<Address, Option<String>>,
}

impl Memory {
    /// Looks at all cards, at this time. Sends what it finds as soon as it has it.
    fn look(&mut self, sources: &Sources, now: Instant, seen: &UnboundedSender<Part>) {
        // Nobody listens any more when the time is over, which is no reason to stop: the next look
        // can use what is remembered.
        let send = |part: Part| drop(seen.send(part));
        let Sources { sys, proc, lists, .. } = sources;
        let cards = Card::all(sys);
        let mut gpus: Vec<Gpu> =
            cards.iter().map(|card| card.found(sys, &mut self.names, lists)).collect();
        let addresses = cards.iter().map(|card| card.address);
        send(Part::Found(addresses.zip(gpus.iter().cloned()).collect()));

        let mut nodes = HashMap::new();
        for (card, gpu) in cards.iter().zip(&mut gpus) {
            if card.is_asleep() {
                gpu.state = GpuState::Sleeping;
                self.looks.forget(card.address);
            } else if !card.is_nvml() {
                let between = self.looks.next(card.address, now, card.read(gpu));
                gpu.power_watts = gpu.power_watts.or(between.watts);
                gpu.utilisation_percent = gpu.utilisation_percent.or(between.busy);
                if card.is_there() {
                    card.add_nodes(gpu, &mut nodes);
                } else {
                    gpu.state = GpuState::Lost;
                    gpu.notes.push(LOST.to_owned());
                }
            }
            // What the processor's memory cannot hold is no memory in use.
            if gpu.memory_used_bytes > gpu.memory_total_bytes {
                gpu.memory_used_bytes =
                    gpu.memory_used_bytes.filter(|_| gpu.memory_total_bytes.is_none());
            }
            send(Part::Read(card.address, Box::new(gpu.clone())));
        }
        self.tell_of_lost(&cards, &gpus).into_iter().for_each(|note| send(Part::Note(note)));
        send(Part::Processes(processes::find(sys, proc, &nodes)));
    }

    /// What is to be said of GPUs that were there at an earlier look, and are not any more.
    fn tell_of_lost(&mut self, cards: &[Card], gpus: &[Gpu]) -> Vec<String> {
        for (card, gpu) in cards.iter().zip(gpus) {
            self.known.insert(card.address, gpu.name.clone());
        }
        let is_gone = |address: &Address| !cards.iter().any(|card| card.address == *address);
        let gone = self.known.iter().filter(|(address, _)| is_gone(address));
        gone.map(|(address, name)| {
            let name = name.as_deref().unwrap_or("A GPU");
            format!("{name} at {address} is gone: `journalctl -k` may say why.")
        })
        .collect()
    }
}

const LOST: &str = "It went away while it was looked at: `journalctl -k` may say why.";

/// One report of both. A GPU that both have is told of as NVML does.
fn together(nvidia: GpuReport, mut others: Seen) -> GpuReport {
    let found = others.processes.take().unwrap_or_default();
    for (address, processes) in found.of_gpu {
        if let Some(gpu) = others.gpus.get_mut(&address) {
            gpu.processes = Some(processes);
            gpu.processes_hidden = Some(found.hidden);
        }
    }
    let mut report = nvidia;
    for gpu in &mut report.gpus {
        // One that sleeps, or does not answer, tells no name: its numbers have one.
        if let Some(card) = pci::address(gpu).and_then(|address| others.gpus.get(&address)) {
            gpu.name = gpu.name.take().or_else(|| card.name.clone());
            gpu.driver_version = gpu.driver_version.take().or_else(|| card.driver_version.clone());
        }
    }
    let told: Vec<Address> = report.gpus.iter().filter_map(pci::address).collect();
    let not_told = others.gpus.into_iter().filter(|(address, _)| !told.contains(address));
    report.gpus.extend(not_told.map(|(_, gpu)| gpu));
    report.notes.extend(others.notes.into_iter().chain(found.notes));
    report.sort();
    report
}
