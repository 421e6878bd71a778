//! One GPU: each value on its own, since no GPU has them all.

use aictl_api::gpu::{Gpu, GpuState, Vendor};
use nvml_wrapper::{
    Device,
    enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor},
    error::NvmlError,
    struct_wrappers::device::PciInfo,
};

use crate::{
    library,
    processes::{MOST, Processes},
    throttling,
};

/// The kernel driver that NVML speaks with.
const DRIVER: &str = "nvidia";
/// The most fans of a GPU that are asked.
const MOST_FANS: u32 = 8;
/// Parts of the names of GPUs that have no memory of their own: GB10 (DGX Spark), Thor and Orin.
const WITHOUT_MEMORY: [&str; 3] = ["GB10", "Thor", "Orin"];

/// Why a GPU answers nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It fell off the bus.
    FellOff,
    /// It waits for a reset.
    NeedsReset,
}

impl Lost {
    /// What a call gave; `None` if the GPU, the driver or the user's rights do not have it.
    ///
    /// # Errors
    /// If no further call about the GPU will give anything.
    pub fn check<T>(result: Result<T, NvmlError>) -> Result<Option<T>, Self> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(NvmlError::GpuLost) => Err(Self::FellOff),
            Err(NvmlError::ResetRequired) => Err(Self::NeedsReset),
            Err(_) => Ok(None),
        }
    }

    fn note(self) -> String {
        match self {
            Self::FellOff => format!("It {}", library::lost()),
            Self::NeedsReset => "It needs a reset: stop what uses it and run `nvidia-smi \
                 --gpu-reset` as root, or reboot."
                .to_owned(),
        }
    }
}

/// A GPU that nothing was asked about yet.
#[must_use]
pub fn unasked(address: Option<&str>, driver_version: Option<&str>) -> Gpu {
    Gpu {
        pci_address: address.map(str::to_owned),
        driver: Some(DRIVER.to_owned()),
        driver_version: driver_version.map(str::to_owned),
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    }
}

/// Fills in what a GPU tells, and calls `keep` with each new value: whoever waits for it may not
/// want to wait for the last one.
pub fn read(device: Result<Device<'_>, NvmlError>, gpu: &mut Gpu, mut keep: impl FnMut(&Gpu)) {
    match device {
        Ok(device) => {
            for step in STEPS {
                let result = step(&device, gpu);
                let lost = result.is_err();
                if let Err(why) = result {
                    lose(gpu, why.note());
                }
                keep(gpu);
                if lost {
                    return;
                }
            }
        }
        Err(error) => {
            refused(gpu, &error);
            keep(gpu);
        }
    }
}

/// Notes why there is no way to ask a GPU.
fn refused(gpu: &mut Gpu, error: &NvmlError) {
    match error {
        NvmlError::GpuLost => lose(gpu, Lost::FellOff.note()),
        NvmlError::ResetRequired => lose(gpu, Lost::NeedsReset.note()),
        // The kernel says that the driver has it, and the driver does not know it.
        NvmlError::NotFound => lose(
            gpu,
            "NVIDIA's driver gave it up: `journalctl -k --grep=NVRM` may say why.".to_owned(),
        ),
        NvmlError::NoPermission => gpu.notes.push(
            "NVIDIA's driver does not let this user ask it: look who may open \
             /dev/nvidia0 and those beside it."
                .to_owned(),
        ),
        NvmlError::InsufficientPower => {
            gpu.notes.push("It gets too little power: look after its power cables.".to_owned())
        }
        error => gpu.notes.push(library::unexpected(error)),
    }
}

fn lose(gpu: &mut Gpu, note: String) {
    gpu.state = GpuState::Lost;
    gpu.notes.push(note);
}

/// Asks for values that belong together.
type Step = fn(&Device<'_>, &mut Gpu) -> Result<(), Lost>;

/// What is asked, what people look for first at the beginning.
const STEPS: [Step; 11] = [
    address,
    name,
    memory,
    mig_and_processes,
    utilisation,
    temperature,
    power,
    clocks,
    fans,
    link,
    health,
];

fn address(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    if let Some(pci) = Lost::check(device.pci_info())? {
        gpu.pci_address = Some(sysfs_address(&pci));
    }
    Ok(())
}

/// The address as the kernel writes it, which has fewer zeros.
fn sysfs_address(pci: &PciInfo) -> String {
    let function = pci.bus_id.rsplit_once('.').and_then(|(_, digit)| digit.parse::<u8>().ok());
    let function = function.unwrap_or(0);
    format!("{:04x}:{:02x}:{:02x}.{function:x}", pci.domain, pci.bus, pci.device)
}

fn name(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    gpu.name = Lost::check(device.name())?;
    gpu.uuid = Lost::check(device.uuid())?;
    Ok(())
}

fn memory(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    let info = device.memory_info();
    let is_unsupported = matches!(info, Err(NvmlError::NotSupported));
    if let Err(NvmlError::FailedToLoadSymbol(_)) = info {
        gpu.notes.push(
            "NVIDIA's driver is too old to tell how much memory it has: one from version \
             510 on does."
                .to_owned(),
        );
    }
    let info = Lost::check(info)?;
    // Without any memory of its own it has none to tell of, whichever way it says so.
    let info = info.filter(|info| info.total > 0 && info.used <= info.total);
    gpu.memory_total_bytes = info.as_ref().map(|info| info.total);
    gpu.memory_used_bytes = info.as_ref().map(|info| info.used);
    gpu.memory_shared = match info {
        Some(_) => Some(false),
        None if is_unsupported && is_without_memory(gpu.name.as_deref()) => Some(true),
        None => None,
    };
    Ok(())
}

/// Whether it is one that uses the host's memory, by its name: nothing else tells.
fn is_without_memory(name: Option<&str>) -> bool {
    let mut words = name.unwrap_or_default().split([' ', '-', '(', ')']);
    words.any(|word| WITHOUT_MEMORY.contains(&word))
}

fn mig_and_processes(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    gpu.mig_enabled = Lost::check(device.mig_mode())?.map(|mode| mode.current == 1);
    let mut processes = Processes::default();
    processes.add(device)?;
    if gpu.mig_enabled == Some(true) {
        processes.add_instances(device)?;
    }
    if let Some((list, left)) = processes.finish() {
        gpu.processes = Some(list);
        if left > 0 {
            gpu.notes.push(format!(
                "{left} more processes use it: only the {MOST} with the most memory are \
                 listed."
            ));
        }
    }
    Ok(())
}

fn utilisation(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    let rates = Lost::check(device.utilization_rates())?;
    gpu.utilisation_percent = rates.as_ref().and_then(|rates| percent(rates.gpu));
    gpu.memory_utilisation_percent = rates.as_ref().and_then(|rates| percent(rates.memory));
    Ok(())
}

fn percent(number: u32) -> Option<f64> {
    (number <= 100).then(|| f64::from(number))
}

fn temperature(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    let temperature = Lost::check(device.temperature(TemperatureSensor::Gpu))?;
    gpu.temperature_celsius = temperature.and_then(known).map(f64::from);
    Ok(())
}

/// A number that is one: some drivers write all bits for "not available".
fn known(number: u32) -> Option<u32> {
    (number != u32::MAX).then_some(number)
}

fn power(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    gpu.power_watts = Lost::check(device.power_usage())?.and_then(watts);
    // The limit that holds of all that are set; where it is not told, the one that was asked for.
    gpu.power_limit_watts = match Lost::check(device.enforced_power_limit())? {
        Some(limit) => watts(limit),
        None => Lost::check(device.power_management_limit())?.and_then(watts),
    };
    Ok(())
}

fn watts(milliwatts: u32) -> Option<f64> {
    known(milliwatts).map(|number| f64::from(number) / 1000.0)
}

fn clocks(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    gpu.clock_graphics_mhz = Lost::check(device.clock_info(Clock::Graphics))?.and_then(known);
    gpu.clock_memory_mhz = Lost::check(device.clock_info(Clock::Memory))?.and_then(known);
    Ok(())
}

/// The fastest of its fans, in percent and in turns.
fn fans(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    let count = Lost::check(device.num_fans())?.unwrap_or_default();
    for fan in 0..count.min(MOST_FANS) {
        let percent = Lost::check(device.fan_speed(fan))?.and_then(known);
        gpu.fan_percent = gpu.fan_percent.max(percent);
        let turns = Lost::check(device.fan_speed_rpm(fan))?.and_then(known);
        gpu.fan_rpm = gpu.fan_rpm.max(turns);
    }
    Ok(())
}

fn link(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    let number = |result| Ok(Lost::check(result)?.and_then(known).filter(|number| *number > 0));
    gpu.pcie_generation = number(device.current_pcie_link_gen())?;
    gpu.pcie_generation_max = number(device.max_pcie_link_gen())?;
    gpu.pcie_width = number(device.current_pcie_link_width())?;
    gpu.pcie_width_max = number(device.max_pcie_link_width())?;
    Ok(())
}

fn health(device: &Device<'_>, gpu: &mut Gpu) -> Result<(), Lost> {
    gpu.throttling = Lost::check(device.current_throttle_reasons())?.map(throttling::words);
    gpu.ecc_enabled = Lost::check(device.is_ecc_enabled())?.map(|mode| mode.currently_enabled);
    if gpu.ecc_enabled != Some(false) {
        let count = |kind| Lost::check(device.total_ecc_errors(kind, EccCounter::Volatile));
        gpu.ecc_corrected = count(MemoryError::Corrected)?;
        gpu.ecc_uncorrected = count(MemoryError::Uncorrected)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_the_kernel_writes_it() {
        for (domain, bus_id, want) in [
            (0, "00000000:C1:00.0", "0000:c1:00.0"),
            (0x10000, "00010000:C1:00.1", "10000:c1:00.1"),
            (0, "", "0000:c1:00.0"),
            (0, "nonsense", "0000:c1:00.0"),
        ] {
            let pci = PciInfo {
                bus: 0xc1,
                bus_id: bus_id.to_owned(),
                device: 0,
                domain,
                pci_device_id: 0,
                pci_sub_system_id: None,
            };
            assert_eq!(sysfs_address(&pci), want);
        }
    }

    #[test]
    fn who_has_no_memory_of_its_own_is_known_by_name() {
        for (name, want) in [
            (Some("NVIDIA GB10"), true),
            (Some("NVIDIA-GB10"), true),
            (Some("NVIDIA Thor"), true),
            (Some("Orin (nvgpu)"), true),
            (Some("NVIDIA GB100"), false),
            (Some("NVIDIA H100 PCIe"), false),
            (None, false),
        ] {
            assert_eq!(is_without_memory(name), want, "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_unknown() {
        assert_eq!((percent(0), percent(100), percent(101)), (Some(0.0), Some(100.0), None));
        assert_eq!((watts(312_500), watts(u32::MAX)), (Some(312.5), None));
        assert_eq!((known(0), known(u32::MAX)), (Some(0), None));
    }

    #[test]
    fn only_a_lost_gpu_ends_the_questions() {
        assert_eq!(Lost::check(Ok(1)), Ok(Some(1)));
        assert_eq!(Lost::check::<u8>(Err(NvmlError::GpuLost)), Err(Lost::FellOff));
        assert_eq!(Lost::check::<u8>(Err(NvmlError::ResetRequired)), Err(Lost::NeedsReset));
        for error in [
            NvmlError::NotSupported,
            NvmlError::NoPermission,
            NvmlError::FunctionNotFound,
            NvmlError::FailedToLoadSymbol(String::new()),
            NvmlError::UnexpectedVariant(9999),
            NvmlError::Unknown,
        ] {
            assert_eq!(Lost::check::<u8>(Err(error)), Ok(None));
        }
    }
}
