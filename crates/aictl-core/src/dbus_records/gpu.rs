//! GPUs on the bus. What is not known of one is not in its record.

use aictl_api::{
    gpu::{Gpu, GpuProcess, GpuState, Vendor},
    record::{gpu_key as key, gpu_process_key as process_key},
};
use zbus::{OwnedVariant, Variant};

use super::{Reader, Record, RecordError, text, texts};

/// A GPU's record for the bus.
#[must_use]
pub fn gpu_fields(gpu: &Gpu) -> Record {
    let Gpu {
        index,
        vendor,
        state,
        name,
        uuid,
        pci_address,
        driver,
        driver_version,
        memory_total_bytes,
        memory_used_bytes,
        memory_shared,
        utilisation_percent,
        memory_utilisation_percent,
        temperature_celsius,
        power_watts,
        power_limit_watts,
        clock_graphics_mhz,
        clock_memory_mhz,
        fan_percent,
        fan_rpm,
        pcie_generation,
        pcie_generation_max,
        pcie_width,
        pcie_width_max,
        throttling,
        ecc_enabled,
        ecc_corrected,
        ecc_uncorrected,
        mig_enabled,
        processes,
        processes_hidden,
        notes,
    } = gpu;
    known([
        (key::INDEX, Some((*index).into())),
        (key::VENDOR, Some(text(vendor.name()))),
        (key::STATE, Some(text(state.name()))),
        (key::NAME, some_text(name)),
        (key::UUID, some_text(uuid)),
        (key::PCI_ADDRESS, some_text(pci_address)),
        (key::DRIVER, some_text(driver)),
        (key::DRIVER_VERSION, some_text(driver_version)),
        (key::MEMORY_TOTAL_BYTES, some(*memory_total_bytes)),
        (key::MEMORY_USED_BYTES, some(*memory_used_bytes)),
        (key::MEMORY_SHARED, some(*memory_shared)),
        (key::UTILISATION_PERCENT, some(*utilisation_percent)),
        (key::MEMORY_UTILISATION_PERCENT, some(*memory_utilisation_percent)),
        (key::TEMPERATURE_CELSIUS, some(*temperature_celsius)),
        (key::POWER_WATTS, some(*power_watts)),
        (key::POWER_LIMIT_WATTS, some(*power_limit_watts)),
        (key::CLOCK_GRAPHICS_MHZ, some(*clock_graphics_mhz)),
        (key::CLOCK_MEMORY_MHZ, some(*clock_memory_mhz)),
        (key::FAN_PERCENT, some(*fan_percent)),
        (key::FAN_RPM, some(*fan_rpm)),
        (key::PCIE_GENERATION, some(*pcie_generation)),
        (key::PCIE_GENERATION_MAX, some(*pcie_generation_max)),
        (key::PCIE_WIDTH, some(*pcie_width)),
        (key::PCIE_WIDTH_MAX, some(*pcie_width_max)),
        (key::THROTTLING, throttling.as_deref().map(texts)),
        (key::ECC_ENABLED, some(*ecc_enabled)),
        (key::ECC_CORRECTED, some(*ecc_corrected)),
        (key::ECC_UNCORRECTED, some(*ecc_uncorrected)),
        (key::MIG_ENABLED, some(*mig_enabled)),
        (key::PROCESSES, processes.as_deref().map(process_records)),
        (key::PROCESSES_HIDDEN, some(*processes_hidden)),
        (key::NOTES, Some(texts(notes))),
    ])
}

/// The record of a process on a GPU for the bus.
#[must_use]
pub fn gpu_process_fields(process: &GpuProcess) -> Record {
    let GpuProcess { pid, name, unit, service, memory_bytes } = process;
    known([
        (process_key::PID, Some((*pid).into())),
        (process_key::NAME, some_text(name)),
        (process_key::UNIT, some_text(unit)),
        (process_key::SERVICE, some_text(service)),
        (process_key::MEMORY_BYTES, some(*memory_bytes)),
    ])
}

/// A GPU's record from the bus.
///
/// # Errors
/// If a value has another type than its key has, or if it does not say what every GPU is.
pub fn gpu(record: Record) -> Result<Gpu, RecordError> {
    let mut from = Reader(record);
    let word = |from: &mut Reader, key| from.take::<String>(key);
    Ok(Gpu {
        index: from.take(key::INDEX)?,
        vendor: Vendor::from_name(&word(&mut from, key::VENDOR)?)
            .ok_or(RecordError { key: key::VENDOR })?,
        state: GpuState::from_name(&word(&mut from, key::STATE)?)
            .ok_or(RecordError { key: key::STATE })?,
        name: from.take_known(key::NAME)?,
        uuid: from.take_known(key::UUID)?,
        pci_address: from.take_known(key::PCI_ADDRESS)?,
        driver: from.take_known(key::DRIVER)?,
        driver_version: from.take_known(key::DRIVER_VERSION)?,
        memory_total_bytes: from.take_known(key::MEMORY_TOTAL_BYTES)?,
        memory_used_bytes: from.take_known(key::MEMORY_USED_BYTES)?,
        memory_shared: from.take_known(key::MEMORY_SHARED)?,
        utilisation_percent: from.take_number(key::UTILISATION_PERCENT)?,
        memory_utilisation_percent: from.take_number(key::MEMORY_UTILISATION_PERCENT)?,
        temperature_celsius: from.take_number(key::TEMPERATURE_CELSIUS)?,
        power_watts: from.take_number(key::POWER_WATTS)?,
        power_limit_watts: from.take_number(key::POWER_LIMIT_WATTS)?,
        clock_graphics_mhz: from.take_known(key::CLOCK_GRAPHICS_MHZ)?,
        clock_memory_mhz: from.take_known(key::CLOCK_MEMORY_MHZ)?,
        fan_percent: from.take_known(key::FAN_PERCENT)?,
        fan_rpm: from.take_known(key::FAN_RPM)?,
        pcie_generation: from.take_known(key::PCIE_GENERATION)?,
        pcie_generation_max: from.take_known(key::PCIE_GENERATION_MAX)?,
        pcie_width: from.take_known(key::PCIE_WIDTH)?,
        pcie_width_max: from.take_known(key::PCIE_WIDTH_MAX)?,
        throttling: from.take_known(key::THROTTLING)?,
        ecc_enabled: from.take_known(key::ECC_ENABLED)?,
        ecc_corrected: from.take_known(key::ECC_CORRECTED)?,
        ecc_uncorrected: from.take_known(key::ECC_UNCORRECTED)?,
        mig_enabled: from.take_known(key::MIG_ENABLED)?,
        processes: from
            .take_known::<Vec<Record>>(key::PROCESSES)?
            .map(|records| records.into_iter().map(gpu_process).collect())
            .transpose()?,
        processes_hidden: from.take_known(key::PROCESSES_HIDDEN)?,
        notes: from.take(key::NOTES)?,
    })
}

/// The record of a process on a GPU from the bus.
///
/// # Errors
/// If a value has another type than its key has, or if it does not say which process it is.
pub fn gpu_process(record: Record) -> Result<GpuProcess, RecordError> {
    let mut from = Reader(record);
    Ok(GpuProcess {
        pid: from.take_known(process_key::PID)?.ok_or(RecordError { key: process_key::PID })?,
        name: from.take_known(process_key::NAME)?,
        unit: from.take_known(process_key::UNIT)?,
        service: from.take_known(process_key::SERVICE)?,
        memory_bytes: from.take_known(process_key::MEMORY_BYTES)?,
    })
}

impl Reader {
    /// A value that may be unknown.
    fn take_known<T>(&mut self, key: &'static str) -> Result<Option<T>, RecordError>
    where
        T: TryFrom<OwnedVariant>,
    {
        let value = self.0.remove(key).map(T::try_from).transpose();
        value.map_err(|_other_type| RecordError { key })
    }

    /// A number that may be unknown; what is none is.
    fn take_number(&mut self, key: &'static str) -> Result<Option<f64>, RecordError> {
        Ok(self.take_known(key)?.filter(|number: &f64| number.is_finite()))
    }
}

fn known<const N: usize>(fields: [(&str, Option<OwnedVariant>); N]) -> Record {
    fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn some<T: Into<OwnedVariant>>(value: Option<T>) -> Option<OwnedVariant> {
    value.map(Into::into)
}

fn some_text(value: &Option<String>) -> Option<OwnedVariant> {
    value.as_deref().map(text)
}

fn process_records(processes: &[GpuProcess]) -> OwnedVariant {
    let records: Vec<Record> = processes.iter().map(gpu_process_fields).collect();
    // It can only fail to copy a descriptor.
    OwnedVariant::try_from(Variant::from(records)).unwrap_or_else(|_never| texts(&[]))
}

#[cfg(test)]
mod tests;
