//! GPUs and what runs on them: the document of `aictl gpu --json`, and the part of
//! `aictl status --json` that says the same.
//!
//! Unknown is `None` (`null`), never 0. Fields are only ever added.

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Who made a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Vendor {
    /// NVIDIA.
    Nvidia,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
}

impl Vendor {
    /// Every vendor, in the order in which GPUs are listed.
    pub const ALL: [Self; 3] = [Self::Nvidia, Self::Amd, Self::Intel];

    /// The vendor as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Amd => "amd",
            Self::Intel => "intel",
        }
    }

    /// The vendor as it writes itself.
    #[must_use]
    pub const fn display(self) -> &'static str {
        match self {
            Self::Nvidia => "NVIDIA",
            Self::Amd => "AMD",
            Self::Intel => "Intel",
        }
    }

    /// The vendor that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.name() == word)
    }
}

/// Whether a GPU can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum GpuState {
    /// It is on.
    Awake,
    /// It is powered down until someone uses it, and is not woken to be looked at.
    Sleeping,
    /// It does not answer any more: it fell off the bus, or its driver gave it up.
    Lost,
}

impl GpuState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Awake, Self::Sleeping, Self::Lost];

    /// The state as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Awake => "awake",
            Self::Sleeping => "sleeping",
            Self::Lost => "lost",
        }
    }

    /// The state that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == word)
    }
}

/// One GPU, as far as its driver tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gpu {
    /// Its place in the list, from 0.
    pub index: u32,
    /// Who made it.
    pub vendor: Vendor,
    /// Whether it can be asked.
    pub state: GpuState,
    /// Its name, for people.
    pub name: Option<String>,
    /// What identifies it, the same after each boot.
    pub uuid: Option<String>,
    /// Where it sits, such as `0000:01:00.0`.
    pub pci_address: Option<String>,
    /// The kernel driver's name, such as `nvidia`, `amdgpu`, `i915` or `xe`.
    pub driver: Option<String>,
    /// The driver's version.
    pub driver_version: Option<String>,
    /// Memory that it can use, in bytes.
    pub memory_total_bytes: Option<u64>,
    /// Memory in use, in bytes.
    pub memory_used_bytes: Option<u64>,
    /// Whether its memory is the host's own memory.
    pub memory_shared: Option<bool>,
    /// How much of the time it computes, in percent.
    pub utilisation_percent: Option<f64>,
    /// How much of the time its memory is read or written, in percent.
    pub memory_utilisation_percent: Option<f64>,
    /// Its temperature in degrees Celsius.
    pub temperature_celsius: Option<f64>,
    /// The power that it draws, in watts.
    pub power_watts: Option<f64>,
    /// The most that it may draw, in watts.
    pub power_limit_watts: Option<f64>,
    /// Clock of its cores, in MHz.
    pub clock_graphics_mhz: Option<u32>,
    /// Clock of its memory, in MHz.
    pub clock_memory_mhz: Option<u32>,
    /// Speed of its fan, in percent of the highest.
    pub fan_percent: Option<u32>,
    /// Speed of its fan, in turns a minute.
    pub fan_rpm: Option<u32>,
    /// PCI Express generation of its link now.
    pub pcie_generation: Option<u32>,
    /// The highest generation that the link can have.
    pub pcie_generation_max: Option<u32>,
    /// Lanes of its PCI Express link now.
    pub pcie_width: Option<u32>,
    /// The most lanes that the link can have.
    pub pcie_width_max: Option<u32>,
    /// Why it is slowed down, each reason in plain words; empty if it is not.
    pub throttling: Option<Vec<String>>,
    /// Whether its memory corrects errors.
    pub ecc_enabled: Option<bool>,
    /// Memory errors that were corrected since the driver was loaded.
    pub ecc_corrected: Option<u64>,
    /// Memory errors that could not be corrected since the driver was loaded.
    pub ecc_uncorrected: Option<u64>,
    /// Whether it is divided into instances (Multi-Instance GPU).
    pub mig_enabled: Option<bool>,
    /// What runs on it; unknown if that cannot be listed.
    pub processes: Option<Vec<GpuProcess>>,
    /// Whether there may be more of them, which may not be looked at.
    pub processes_hidden: Option<bool>,
    /// What else there is to know, each in one sentence with the next step.
    pub notes: Vec<String>,
}

impl Gpu {
    /// A GPU of which nothing else is known yet.
    #[must_use]
    pub const fn new(index: u32, vendor: Vendor, state: GpuState) -> Self {
        Self {
            index,
            vendor,
            state,
            name: None,
            uuid: None,
            pci_address: None,
            driver: None,
            driver_version: None,
            memory_total_bytes: None,
            memory_used_bytes: None,
            memory_shared: None,
            utilisation_percent: None,
            memory_utilisation_percent: None,
            temperature_celsius: None,
            power_watts: None,
            power_limit_watts: None,
            clock_graphics_mhz: None,
            clock_memory_mhz: None,
            fan_percent: None,
            fan_rpm: None,
            pcie_generation: None,
            pcie_generation_max: None,
            pcie_width: None,
            pcie_width_max: None,
            throttling: None,
            ecc_enabled: None,
            ecc_corrected: None,
            ecc_uncorrected: None,
            mig_enabled: None,
            processes: None,
            processes_hidden: None,
            notes: Vec::new(),
        }
    }
}

/// A process that uses a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GpuProcess {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub name: Option<String>,
    /// The systemd unit that it belongs to.
    pub unit: Option<String>,
    /// The service of the catalogue that has that unit.
    pub service: Option<String>,
    /// Memory of this GPU that it uses, in bytes.
    pub memory_bytes: Option<u64>,
}

impl GpuProcess {
    /// A process of which nothing else is known yet.
    #[must_use]
    pub const fn new(pid: u32) -> Self {
        Self { pid, name: None, unit: None, service: None, memory_bytes: None }
    }
}

/// All GPUs of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GpuReport {
    /// The GPUs: NVIDIA's, AMD's, then Intel's, each by PCI address; `index` runs over all.
    pub gpus: Vec<Gpu>,
    /// What could not be found out, each in one sentence with the next step.
    pub notes: Vec<String>,
}

impl GpuReport {
    /// Puts the GPUs into their order, and numbers them anew.
    pub fn sort(&mut self) {
        self.gpus.sort_by(|a, b| {
            // One without an address after those that have one.
            let key = |gpu: &Gpu| (gpu.vendor, gpu.pci_address.is_none());
            key(a).cmp(&key(b)).then_with(|| a.pci_address.cmp(&b.pci_address))
        });
        for (index, gpu) in (0..).zip(&mut self.gpus) {
            gpu.index = index;
        }
    }
}
