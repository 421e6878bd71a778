//! NVIDIA's GPUs, by the program `aictl-nvml`: it loads NVIDIA's library and asks that, which may
//! crash or never answer, and which a program that is linked statically cannot load.
//!
//! Whoever loads the library wakes GPUs, and not only NVIDIA's: it reads what every PCI device says
//! of itself, and for that the kernel powers up one that has no power (`pci_config_pm_runtime_get`
//! in drivers/pci/pci.c). So it is not loaded while a GPU sleeps as deeply as that.

use std::{
    env, fmt,
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use aictl_api::gpu::{Gpu, GpuReport, GpuState, Vendor};
use nix::unistd::geteuid;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, Command},
    time,
};

use super::pci::Address;
use crate::{
    kernel_file::{self, PAGE},
    plain_text::plain_text,
};

#[cfg(test)]
mod tests;

/// The program's name.
const NAME: &str = "aictl-nvml";
/// Where it is installed.
const DIRECTORY: &str = "/usr/libexec/aictl";
/// What others than its owner may change.
const WRITABLE: u32 = 0o022;
/// The kernel driver that NVIDIA's library speaks with.
const DRIVER: &str = "nvidia";
/// How PCI knows NVIDIA.
const NVIDIA: &str = "0x10de";
/// How the classes of PCI devices that show or compute pictures begin.
const DISPLAY: &str = "0x03";
/// The most devices that a machine is looked through for.
const MAX_DEVICES: usize = 4096;

/// The most bytes that the program may write.
const MAX_ANSWER: u64 = 4 << 20;
/// The most bytes of its complaints that are read.
const MAX_COMPLAINT: u64 = 4096;
/// The most characters of a text that it gives.
const MAX_TEXT: usize = 256;
/// The most GPUs, and the most of what is listed of each.
const MAX_GPUS: usize = 64;
const MAX_PROCESSES: usize = 1000;
const MAX_WORDS: usize = 32;
/// How long it may take to end once it has answered, or was killed.
const END_TIME: Duration = Duration::from_secs(2);
/// What it leaves of its time for its answer to be read, at most.
const MARGIN: Duration = Duration::from_millis(250);
/// The longest time that it takes for one.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Who asks NVIDIA's driver.
#[derive(Debug, Clone)]
pub struct NvmlProgram {
    /// The program.
    pub program: PathBuf,
    /// Another library than the system's, in tests.
    pub library: Option<PathBuf>,
}

impl NvmlProgram {
    /// The one beside the program that runs, if nobody else could have put it there, or else the one
    /// that is installed.
    #[must_use]
    pub fn host() -> Self {
        let own = env::current_exe().ok();
        let beside = own.and_then(|own| Some(own.parent()?.join(NAME)));
        let installed = || Path::new(DIRECTORY).join(NAME);
        let program = beside.filter(|path| is_trusted(path)).unwrap_or_else(installed);
        Self { program, library: None }
    }
}

/// Whether this is a file that only root and the user who runs this could have put there, or change.
fn is_trusted(path: &Path) -> bool {
    let is_safe = |metadata: &Metadata| {
        [0, geteuid().as_raw()].contains(&metadata.uid()) && metadata.mode() & WRITABLE == 0
    };
    let directory = path.parent().and_then(|directory| directory.symlink_metadata().ok());
    let file = path.symlink_metadata().ok();
    directory.is_some_and(|directory| directory.is_dir() && is_safe(&directory))
        && file.is_some_and(|file| file.is_file() && is_safe(&file))
}

/// NVIDIA's GPUs that NVIDIA's driver has, in at most `time`, where there is one to ask at all.
/// GPUs that sleep are not woken.
pub(super) async fn read(
    program: &NvmlProgram,
    sys: &Path,
    dev: &Path,
    proc: &Path,
    time: Duration,
) -> GpuReport {
    let plan = plan(&devices(sys), has_driver(dev, proc));
    let mut report = match plan.ask {
        None => GpuReport::default(),
        Some(addresses) => match run(program, &addresses, time).await {
            Ok(report) => tidy(report),
            Err(trouble) => {
                let gpus = addresses.iter().map(|address| of_driver(*address, GpuState::Awake));
                GpuReport { gpus: gpus.collect(), notes: vec![trouble.to_string()] }
            }
        },
    };
    report.gpus.extend(plan.told);
    report.sort();
    report
}

/// A device that shows or computes pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    address: Address,
    is_nvidia: bool,
    /// The kernel driver that has it.
    driver: Option<String>,
    sleep: Sleep,
}

/// Whether a device is powered down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    /// It is not.
    Awake,
    /// It is, and still says what it is.
    Light,
    /// It has no power.
    Deep,
}

/// The devices that show or compute pictures, by what the kernel knows of each without asking it.
fn devices(sys: &Path) -> Vec<Device> {
    let all = sys.join("bus/pci/devices");
    let device = |name: &String| {
        let directory = all.join(name);
        let text = |file: &str| kernel_file::text(&directory.join(file), PAGE);
        text("class").filter(|class| class.starts_with(DISPLAY))?;
        Some(Device {
            address: name.parse().ok()?,
            is_nvidia: text("vendor").as_deref() == Some(NVIDIA),
            driver: kernel_file::link_name(&directory.join("driver")),
            sleep: sleep(text("power/runtime_status").as_deref(), text("power_state").as_deref()),
        })
    };
    kernel_file::names(&all, MAX_DEVICES).iter().filter_map(device).collect()
}

/// How a device sleeps, by its files `power/runtime_status` and `power_state`
/// (Documentation/ABI/testing/sysfs-devices-power and sysfs-bus-pci).
fn sleep(status: Option<&str>, state: Option<&str>) -> Sleep {
    match (status, state) {
        (_, Some("D3cold")) => Sleep::Deep,
        (_, Some("D3hot")) => Sleep::Light,
        // Where the kernel does not say how deeply, nobody takes the risk.
        (Some("suspended" | "suspending"), None | Some("unknown" | "error")) => Sleep::Deep,
        (Some("suspended" | "suspending"), _) => Sleep::Light,
        _ => Sleep::Awake,
    }
}

/// Whether there is a driver of NVIDIA's, or the way to one of the Windows below.
fn has_driver(dev: &Path, proc: &Path) -> bool {
    dev.join("nvidiactl").exists()
        || dev.join("dxg").exists()
        || proc.join("driver/nvidia/version").exists()
}

/// What to do.
#[derive(Debug, PartialEq)]
struct Plan {
    /// Whom to ask: these, or all if none is named. `None`: nobody.
    ask: Option<Vec<Address>>,
    /// The GPUs that are told of without having been asked.
    told: Vec<Gpu>,
}

/// Decides whom to ask.
fn plan(devices: &[Device], has_driver: bool) -> Plan {
    let is_of_driver =
        |device: &&Device| device.is_nvidia && device.driver.as_deref() == Some(DRIVER);
    let (awake, asleep): (Vec<&Device>, Vec<&Device>) =
        devices.iter().filter(is_of_driver).partition(|device| device.sleep == Sleep::Awake);
    let mut told: Vec<Gpu> =
        asleep.iter().map(|device| of_driver(device.address, GpuState::Sleeping)).collect();
    if awake.is_empty() && !asleep.is_empty() {
        return Plan { ask: None, told };
    }
    // Without a driver for one of them, or where none is seen (as on the Windows Subsystem for
    // Linux), NVIDIA's library says what there is to say.
    let is_bare = |device: &Device| device.is_nvidia && device.driver.is_none();
    let is_unseen = has_driver && !devices.iter().any(|device| device.is_nvidia);
    if awake.is_empty() && !devices.iter().any(is_bare) && !is_unseen {
        return Plan { ask: None, told };
    }
    if let Some(sleeper) = devices.iter().find(|device| device.sleep == Sleep::Deep) {
        told.extend(awake.iter().map(|device| {
            let mut gpu = of_driver(device.address, GpuState::Awake);
            gpu.notes.push(format!(
                "It was not asked: that would wake the GPU at {}, which sleeps.",
                sleeper.address
            ));
            gpu
        }));
        return Plan { ask: None, told };
    }
    Plan { ask: Some(awake.iter().map(|device| device.address).collect()), told }
}

/// A GPU of NVIDIA's driver that was not asked.
fn of_driver(address: Address, state: GpuState) -> Gpu {
    Gpu {
        pci_address: Some(address.to_string()),
        driver: Some(DRIVER.to_owned()),
        ..Gpu::new(0, Vendor::Nvidia, state)
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Trouble {
    /// The program is not there.
    NoProgram(PathBuf),
    /// It cannot be started, or what it writes cannot be read.
    Io(io::Error),
    /// It did not answer in time.
    Silent(Duration),
    /// It ended without an answer, in this way and with these words.
    Ended(ExitStatus, String),
    /// It answered more than anybody reads, or what is no report.
    Nonsense,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = "NVIDIA's GPUs could not be asked";
        match self {
            Self::NoProgram(path) => write!(
                f,
                "{start}: there is no {}. Install all of aictl, as `cargo xtask install` does.",
                path.display()
            ),
            Self::Io(error) => write!(f, "{start}: {NAME} cannot be run: {error}."),
            Self::Silent(time) => write!(
                f,
                "NVIDIA's driver did not answer within {time:?}: look for Xid in `journalctl -k \
                 --grep=NVRM`, and reboot if that goes on."
            ),
            Self::Ended(status, words) => {
                write!(f, "{start}: {NAME} ended with {status}")?;
                if !words.is_empty() {
                    write!(f, " ({words})")?;
                }
                f.write_str(". `journalctl -k --grep=NVRM` may say why.")
            }
            Self::Nonsense => write!(
                f,
                "{start}: {NAME} is of another version than this program. Install all of aictl \
                 anew."
            ),
        }
    }
}

/// Runs the program; whatever becomes of it, this takes `time` at most.
async fn run(
    program: &NvmlProgram,
    addresses: &[Address],
    time: Duration,
) -> Result<GpuReport, Trouble> {
    let mut child = start(program, addresses, time)?;
    let answer = time::timeout(time, converse(&mut child)).await;
    if answer.is_err() {
        // It is gone already if this fails.
        let _ = child.start_kill();
    }
    // It is given the time to end, but nobody waits for that: a process that hangs in the kernel
    // does not even when it is killed. Dropped, it is killed.
    tokio::spawn(async move { time::timeout(END_TIME, child.wait()).await });
    answer.unwrap_or(Err(Trouble::Silent(time)))
}

fn start(program: &NvmlProgram, addresses: &[Address], time: Duration) -> Result<Child, Trouble> {
    let mut command = Command::new(&program.program);
    command.args(arguments(program.library.as_deref(), addresses, time));
    command
        .env_clear()
        // The words of the system's linker are looked at.
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::NoProgram(program.program.clone()),
        _ => Trouble::Io(error),
    })
}

/// The command line. The program gives up a little before its caller does, so that it can still
/// tell what it knows by then.
fn arguments(library: Option<&Path>, addresses: &[Address], time: Duration) -> Vec<PathBuf> {
    let time = time.saturating_sub(MARGIN.min(time / 10)).min(MAX_TIME);
    let mut arguments = vec!["--time".into(), time.as_millis().max(1).to_string().into()];
    if let Some(library) = library {
        arguments.extend(["--library".into(), library.to_owned()]);
    }
    arguments.extend(addresses.iter().map(|address| address.to_string().into()));
    arguments
}

/// Reads what the program has to say, to the end of its line.
async fn converse(child: &mut Child) -> Result<GpuReport, Trouble> {
    let (Some(output), Some(mut complaints)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Trouble::Nonsense);
    };
    let mut output = BufReader::new(output.take(MAX_ANSWER));
    let mut line = Vec::new();
    let mut words = Vec::new();
    let read = {
        let complain = drain(&mut complaints, &mut words);
        tokio::pin!(complain);
        let read = output.read_until(b'\n', &mut line);
        tokio::pin!(read);
        let mut is_quiet = false;
        loop {
            tokio::select! {
                read = &mut read => break read,
                () = &mut complain, if !is_quiet => is_quiet = true,
            }
        }
    };
    read.map_err(Trouble::Io)?;
    if line.ends_with(b"\n") {
        return serde_json::from_slice(&line).map_err(|_| Trouble::Nonsense);
    }
    if output.into_inner().limit() == 0 {
        return Err(Trouble::Nonsense);
    }
    drain(&mut complaints, &mut words).await;
    let status = child.wait().await.map_err(Trouble::Io)?;
    let words = String::from_utf8_lossy(&words);
    let words = words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    Err(Trouble::Ended(status, plain(words)))
}

/// Reads complaints to their end, and keeps the first of them.
async fn drain(from: &mut (impl AsyncRead + Unpin), words: &mut Vec<u8>) {
    let room = MAX_COMPLAINT.saturating_sub(u64::try_from(words.len()).unwrap_or(u64::MAX));
    // If they cannot be read, there are none.
    let _ = (&mut *from).take(room).read_to_end(words).await;
    let _ = tokio::io::copy(from, &mut tokio::io::sink()).await;
}

/// A text of the driver's, as it may be shown.
fn plain(text: &str) -> String {
    plain_text(text).chars().take(MAX_TEXT).collect()
}

/// A report as the program gave it, with nothing in it that a driver should not say.
fn tidy(mut report: GpuReport) -> GpuReport {
    report.notes.truncate(MAX_WORDS);
    report.notes.iter_mut().for_each(|note| *note = plain(note));
    report.gpus.retain(|gpu| gpu.vendor == Vendor::Nvidia);
    report.gpus.truncate(MAX_GPUS);
    for gpu in &mut report.gpus {
        for text in [&mut gpu.name, &mut gpu.uuid, &mut gpu.driver, &mut gpu.driver_version] {
            *text = text.take().map(|text| plain(text.trim())).filter(|text| !text.is_empty());
        }
        let address = gpu.pci_address.take().and_then(|address| address.parse::<Address>().ok());
        gpu.pci_address = address.map(|address| address.to_string());
        for list in gpu.throttling.iter_mut().chain([&mut gpu.notes]) {
            list.truncate(MAX_WORDS);
            list.iter_mut().for_each(|text| *text = plain(text));
        }
        if let Some(processes) = &mut gpu.processes {
            processes.retain(|process| process.pid != 0);
            processes.truncate(MAX_PROCESSES);
            for process in processes {
                (process.name, process.unit, process.service) = (None, None, None);
            }
        }
    }
    report
}
