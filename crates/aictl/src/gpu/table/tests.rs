//! GPUs as people see them, at the widths of their terminals.

use aictl_api::gpu::{Gpu, GpuProcess, GpuState, Vendor};

use super::*;
use crate::table::tests::{plain, shown};

const GIB: u64 = 1 << 30;

/// A machine that has one of each kind, and what happens to them.
pub fn rtx() -> Gpu {
    Gpu {
        name: Some("NVIDIA GeForce RTX 4090".to_owned()),
        uuid: Some("GPU-5b3d0b3e-9f0a-4b6f-9c1e-2f9d0a7c1b11".to_owned()),
        pci_address: Some("0000:01:00.0".to_owned()),
        driver: Some("nvidia".to_owned()),
        driver_version: Some("550.54.14".to_owned()),
        memory_total_bytes: Some(24 * GIB),
        memory_used_bytes: Some(15_247_462_400),
        memory_shared: Some(false),
        utilisation_percent: Some(87.0),
        memory_utilisation_percent: Some(41.0),
        temperature_celsius: Some(64.0),
        power_watts: Some(312.4),
        power_limit_watts: Some(450.0),
        clock_graphics_mhz: Some(2520),
        clock_memory_mhz: Some(10_501),
        fan_percent: Some(42),
        pcie_generation: Some(4),
        pcie_generation_max: Some(4),
        pcie_width: Some(16),
        pcie_width_max: Some(16),
        throttling: Some(Vec::new()),
        mig_enabled: None,
        processes: Some(vec![
            GpuProcess {
                name: Some("ollama_llama_server".to_owned()),
                unit: Some("ollama.service".to_owned()),
                service: Some("ollama".to_owned()),
                memory_bytes: Some(7 * GIB + GIB * 4 / 10),
                ..GpuProcess::new(4243)
            },
            GpuProcess {
                name: Some("VLLM::EngineCore".to_owned()),
                unit: Some("vllm.service".to_owned()),
                service: Some("vllm".to_owned()),
                memory_bytes: Some(6 * GIB),
                ..GpuProcess::new(991)
            },
            GpuProcess {
                name: Some("gnome-shell".to_owned()),
                unit: Some("session-2.scope".to_owned()),
                memory_bytes: Some(412 << 20),
                ..GpuProcess::new(1822)
            },
        ]),
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    }
}

/// One that is hot, full, slowed down, and in the wrong slot.
pub fn h100() -> Gpu {
    Gpu {
        name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        pci_address: Some("0000:41:00.0".to_owned()),
        memory_total_bytes: Some(80 * GIB),
        memory_used_bytes: Some(79 * GIB),
        utilisation_percent: Some(100.0),
        temperature_celsius: Some(88.0),
        power_watts: Some(698.9),
        power_limit_watts: Some(700.0),
        pcie_generation: Some(3),
        pcie_generation_max: Some(5),
        pcie_width: Some(8),
        pcie_width_max: Some(16),
        fan_percent: None,
        throttling: Some(vec!["power limit".to_owned(), "dangerous heat".to_owned()]),
        ecc_enabled: Some(true),
        ecc_corrected: Some(3),
        ecc_uncorrected: Some(1),
        mig_enabled: Some(false),
        processes: None,
        index: 1,
        ..rtx()
    }
}

pub fn radeon() -> Gpu {
    Gpu {
        name: Some("AMD Radeon RX 7900 XTX".to_owned()),
        pci_address: Some("0000:03:00.0".to_owned()),
        driver: Some("amdgpu".to_owned()),
        memory_total_bytes: Some(24 * GIB),
        memory_used_bytes: Some(812 << 20),
        memory_shared: Some(false),
        utilisation_percent: Some(0.0),
        temperature_celsius: Some(39.0),
        power_watts: Some(14.0),
        power_limit_watts: Some(327.0),
        clock_graphics_mhz: Some(57),
        clock_memory_mhz: Some(96),
        fan_rpm: Some(0),
        processes: Some(Vec::new()),
        ..Gpu::new(2, Vendor::Amd, GpuState::Awake)
    }
}

pub fn arc() -> Gpu {
    Gpu {
        name: Some("Intel Arc A770".to_owned()),
        driver: Some("xe".to_owned()),
        pci_address: Some("0000:04:00.0".to_owned()),
        ..Gpu::new(3, Vendor::Intel, GpuState::Sleeping)
    }
}

pub fn lost() -> Gpu {
    Gpu {
        name: Some("NVIDIA GeForce RTX 4090".to_owned()),
        pci_address: Some("0000:01:00.0".to_owned()),
        notes: vec![
            "it does not answer any more: it fell off the bus. Look at `journalctl -k` for Xid \
             errors, and restart the machine"
                .to_owned(),
        ],
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Lost)
    }
}

fn both(gpus: &[Gpu], look: Look) -> String {
    let notes = notes(gpus, &[], look);
    format!("{}--- with services\n{}{notes}", full(gpus, look), brief(gpus, look))
}

#[test]
fn one_gpu() {
    insta::assert_snapshot!(shown(|look| both(&[rtx()], look)));
}

#[test]
fn four_of_all_kinds() {
    insta::assert_snapshot!(shown(|look| both(&[rtx(), h100(), radeon(), arc()], look)));
}

#[test]
fn nothing_known() {
    let gpus =
        [Gpu::new(0, Vendor::Nvidia, GpuState::Awake), Gpu::new(1, Vendor::Intel, GpuState::Awake)];
    insta::assert_snapshot!(shown(|look| both(&gpus, look)));
}

#[test]
fn a_lost_one() {
    insta::assert_snapshot!(shown(|look| both(&[lost(), radeon()], look)));
}

#[test]
fn what_runs_on_them() {
    let mut other = radeon();
    other.processes = Some(vec![
        GpuProcess::new(77),
        GpuProcess {
            name: Some("llama-server".to_owned()),
            unit: Some("llama-cpp-native-with-a-long-name@instance.service".to_owned()),
            memory_bytes: Some(800 << 20),
            ..GpuProcess::new(4_194_303)
        },
    ]);
    insta::assert_snapshot!(shown(|look| processes(&[rtx(), h100(), other.clone()], look)));
}

#[test]
fn a_name_loses_its_maker_and_no_more() {
    for (vendor, name, expected) in [
        (Vendor::Nvidia, "NVIDIA GeForce RTX 4090", "RTX 4090"),
        (Vendor::Nvidia, "NVIDIA H100 80GB HBM3", "H100 80GB HBM3"),
        (Vendor::Nvidia, "NVIDIA ", "NVIDIA"),
        (Vendor::Amd, "AMD Radeon RX 7900 XTX", "RX 7900 XTX"),
        (Vendor::Intel, "Intel Arc A770", "Arc A770"),
        (Vendor::Intel, "Arc", "Arc"),
    ] {
        assert_eq!(short_name(vendor, name), expected);
    }
}

#[test]
fn a_measure_that_is_none_is_not_known() {
    let odd = Gpu {
        temperature_celsius: Some(f64::NAN),
        power_watts: Some(f64::INFINITY),
        utilisation_percent: Some(f64::NAN),
        memory_total_bytes: Some(0),
        memory_used_bytes: Some(u64::MAX),
        name: Some(" \n".to_owned()),
        ..rtx()
    };
    let text = brief(&[odd], plain(Some(80)));
    let unknown = brief(&[Gpu::new(0, Vendor::Nvidia, GpuState::Awake)], plain(Some(80)));
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    assert_eq!(unknown, "GPU  NAME\n  0  NVIDIA GPU\n");
    assert!(text.contains("NVIDIA GPU") && text.contains("16.0 EiB of 0 B"), "{text}");
}

#[test]
fn that_memory_corrects_errors_is_not_made_up() {
    let gpu = |ecc_enabled, errors| Gpu {
        ecc_enabled,
        ecc_corrected: errors,
        ecc_uncorrected: errors,
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    };
    for (enabled, errors, expected) in [
        (None, None, Cell::unknown()),
        (None, Some(0), Cell::unknown()),
        (Some(true), Some(0), Cell::new("on")),
        (Some(false), Some(0), Cell::new("off")),
    ] {
        assert_eq!(ecc(&gpu(enabled, errors)), expected, "{enabled:?} {errors:?}");
    }
}
