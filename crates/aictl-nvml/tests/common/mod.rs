//! What the tests share: a machine as a script describes it, for the library that answers in the
//! place of NVIDIA's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use aictl_api::gpu::{Gpu, GpuReport};
use serde_json::{Value, json};

/// The script's name, by which the library finds it beside itself.
const SCRIPT: &str = "libnvidia-ml.so.1.json";

/// A directory of its own for one test, removed at the end.
pub struct Machine {
    directory: PathBuf,
    pub library: PathBuf,
}

impl Machine {
    /// One as `script` says.
    pub fn new(script: &Value) -> Self {
        let machine = Self { directory: directory(), library: built() };
        machine.write(SCRIPT, script.to_string());
        machine
    }

    /// One as `script` says, with the script where the library finds it by itself.
    pub fn with_script_beside(script: &Value) -> Self {
        let machine = Self::with_library(&fs::read(built()).unwrap());
        machine.write(SCRIPT, script.to_string());
        machine
    }

    /// One with this in the place of the library.
    pub fn with_library(content: &[u8]) -> Self {
        let directory = directory();
        let library = directory.join("libnvidia-ml.so.1");
        fs::write(&library, content).unwrap();
        Self { directory, library }
    }

    /// One with a driver that does not have these functions.
    pub fn without(functions: &[&str], script: &Value) -> Self {
        let mut content = fs::read(built()).unwrap();
        for function in functions {
            let name = [function.as_bytes(), &[0]].concat();
            let places: Vec<usize> = (0..content.len() - name.len())
                .filter(|at| content[*at..].starts_with(&name))
                .collect();
            assert!(!places.is_empty(), "{function}");
            for at in places {
                content[at] = b'x';
            }
        }
        let machine = Self::with_library(&content);
        machine.write(SCRIPT, script.to_string());
        machine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The program, on this machine's library.
    pub fn program(&self) -> Command {
        let mut command = program();
        command.arg("--library").arg(&self.library).env("FAKE_NVML", self.path(SCRIPT));
        command
    }

    /// What the program reports.
    pub fn report(&self) -> GpuReport {
        report(&self.program().output().unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.directory);
    }
}

fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name =
        format!("aictl-nvml-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = env::temp_dir().join(name);
    fs::create_dir(&directory).unwrap();
    directory
}

/// The library, which cargo builds beside the tests.
fn built() -> PathBuf {
    env::current_exe().unwrap().with_file_name(aictl_fake_nvml::FILE_NAME)
}

/// The program, which waits for the driver as long as it takes.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aictl-nvml"));
    command.env_clear().args(["--time", "60000"]);
    command
}

/// The report in an output that is one line, of a program that says that all is well.
pub fn report(output: &Output) -> GpuReport {
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} {complaints}", output.status);
    assert!(!complaints.contains("script is wrong"), "{complaints}");
    line(&output.stdout)
}

pub fn line(output: &[u8]) -> GpuReport {
    let text = std::str::from_utf8(output).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.ends_with('\n'));
    serde_json::from_str(text).unwrap()
}

/// A GPU that has every value.
pub fn full(bus: u8) -> Value {
    json!({
        "bus_id": format!("00000000:{bus:02X}:00.0"),
        "calls": {
            "Name": "NVIDIA RTX 6000 Ada Generation",
            "UUID": format!("GPU-00000000-0000-0000-0000-0000000000{bus:02x}"),
            "MemoryInfo": {"total": 51_527_024_640_u64, "reserved": 600_000_000, "used": 7_946_108_928_u64},
            "MigMode": {"current": 0, "pending": 1},
            "ComputeRunningProcesses": {"processes": [
                {"pid": 4711, "memory": 7_900_000_000_u64},
                {"pid": 4712},
            ]},
            "MPSComputeRunningProcesses": {"processes": [{"pid": 4713, "memory": 1}]},
            "GraphicsRunningProcesses": {"processes": [
                {"pid": 4711, "memory": 7_900_000_000_u64},
                {"pid": 900, "memory": 46_108_928},
            ]},
            "UtilizationRates": {"gpu": 97, "memory": 41},
            "Temperature": 71,
            "PowerUsage": 287_412,
            "EnforcedPowerLimit": 300_000,
            "PowerManagementLimit": 999,
            "ClockInfo": {"graphics": 2505, "memory": 10001},
            "NumFans": 2,
            "FanSpeed": {"fans": [30, 33]},
            "FanSpeedRPM": {"fans": [1650, 1200]},
            "CurrPcieLinkGeneration": 3,
            "MaxPcieLinkGeneration": 4,
            "CurrPcieLinkWidth": 8,
            "MaxPcieLinkWidth": 16,
            "CurrentClocksThrottleReasons": 0x24,
            "EccMode": {"current": 1, "pending": 1},
            "TotalEccErrors": {"corrected": 12, "uncorrected": 0},
        },
    })
}

/// The GPU as the program should tell of it, without its processes.
pub fn full_gpu(index: u32, bus: u8) -> Value {
    json!({
        "index": index,
        "vendor": "nvidia",
        "state": "awake",
        "name": "NVIDIA RTX 6000 Ada Generation",
        "uuid": format!("GPU-00000000-0000-0000-0000-0000000000{bus:02x}"),
        "pci_address": format!("0000:{bus:02x}:00.0"),
        "driver": "nvidia",
        "driver_version": "580.95.05",
        "memory_total_bytes": 51_527_024_640_u64,
        "memory_used_bytes": 7_946_108_928_u64,
        "memory_shared": false,
        "utilisation_percent": 97.0,
        "memory_utilisation_percent": 41.0,
        "temperature_celsius": 71.0,
        "power_watts": 287.412,
        "power_limit_watts": 300.0,
        "clock_graphics_mhz": 2505,
        "clock_memory_mhz": 10001,
        "fan_percent": 33,
        "fan_rpm": 1650,
        "pcie_generation": 3,
        "pcie_generation_max": 4,
        "pcie_width": 8,
        "pcie_width_max": 16,
        "throttling": ["power limit", "heat"],
        "ecc_enabled": true,
        "ecc_corrected": 12,
        "ecc_uncorrected": 0,
        "mig_enabled": false,
        "processes_hidden": null,
        "notes": [],
    })
}

/// A report's GPU as a document.
pub fn document(gpu: &Gpu) -> Value {
    serde_json::to_value(gpu).unwrap()
}

/// The numbers of a GPU's processes, with their memory.
pub fn processes(gpu: &Gpu) -> Option<Vec<(u32, Option<u64>)>> {
    let list = gpu.processes.as_ref()?;
    Some(list.iter().map(|process| (process.pid, process.memory_bytes)).collect())
}

/// The lines of a file; none if it is not there.
pub fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
