//! The structures of nvml.h that the exported functions fill.

use std::ffi::{c_char, c_uint, c_ulonglong};

/// `NVML_VALUE_NOT_AVAILABLE` as an amount of memory.
pub const NOT_AVAILABLE: c_ulonglong = c_ulonglong::MAX;
/// The instance of a process that is in none.
pub const NO_INSTANCE: c_uint = c_uint::MAX;

/// `NVML_STRUCT_VERSION`: the size of a structure and its number.
pub const fn version<T>(number: u32) -> c_uint {
    // The structures here are far smaller than 2^24 bytes.
    #[allow(clippy::cast_possible_truncation)]
    let size = size_of::<T>() as u32;
    size | number << 24
}

/// `nvmlPciInfo_t` (version 3).
#[repr(C)]
pub struct PciInfo {
    pub bus_id_legacy: [c_char; 16],
    pub domain: c_uint,
    pub bus: c_uint,
    pub device: c_uint,
    pub pci_device_id: c_uint,
    pub pci_sub_system_id: c_uint,
    pub bus_id: [c_char; 32],
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
pub struct Memory {
    pub version: c_uint,
    pub total: c_ulonglong,
    pub reserved: c_ulonglong,
    pub free: c_ulonglong,
    pub used: c_ulonglong,
}

/// `nvmlUtilization_t`.
#[repr(C)]
pub struct Utilization {
    pub gpu: c_uint,
    pub memory: c_uint,
}

/// `nvmlFanSpeedInfo_v1_t`.
#[repr(C)]
pub struct FanSpeedInfo {
    pub version: c_uint,
    pub fan: c_uint,
    pub speed: c_uint,
}

/// `nvmlProcessInfo_v2_t`, which version 3 of the functions fills too.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessInfo {
    pub pid: c_uint,
    pub used_gpu_memory: c_ulonglong,
    pub gpu_instance_id: c_uint,
    pub compute_instance_id: c_uint,
}
