//! The program as aictl starts it, on a library of ours in the place of NVIDIA's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use aictl_api::gpu::{GpuReport, GpuState};
use aictl_core::gpu::{self, Sources, nvml::NvmlProgram};
use common::{Machine, full, lines};
use serde_json::json;

/// Longer than any answer takes.
const LONG: Duration = Duration::from_secs(50);

/// Asks as on a machine with these GPUs, each with its kernel driver and how it sleeps.
async fn read(machine: &Machine, devices: &[(&str, &str, &str)], time: Duration) -> GpuReport {
    for (address, driver, sleep) in devices {
        let device = format!("sys/bus/pci/devices/{address}");
        machine.write(&format!("{device}/class"), "0x030200\n");
        machine.write(&format!("{device}/vendor"), "0x10de\n");
        machine.write(&format!("{device}/power_state"), format!("{sleep}\n"));
        let link = machine.path(&device).join("driver");
        symlink(format!("../../../../bus/pci/drivers/{driver}"), link).unwrap();
    }
    let program = PathBuf::from(env!("CARGO_BIN_EXE_aictl-nvml"));
    let nvml = NvmlProgram { program, library: Some(machine.library.clone()) };
    let mut sources = Sources::host(nvml);
    (sources.sys, sources.dev) = (machine.path("sys"), machine.path("dev"));
    gpu::read(&sources, time).await
}

const FIRST: (&str, &str, &str) = ("0000:01:00.0", "nvidia", "D0");
const SECOND: (&str, &str, &str) = ("0000:02:00.0", "nvidia", "D0");

#[tokio::test]
async fn a_gpu_is_told_of_with_what_runs_on_it() {
    let mut gpu = full(1);
    let own = json!({"pid": std::process::id(), "memory": 4096});
    gpu["calls"]["ComputeRunningProcesses"] = json!({"processes": [own]});
    let machine = Machine::with_script_beside(&json!({"gpus": [gpu]}));
    let report = read(&machine, &[FIRST], LONG).await;
    assert_eq!(report.notes, [""; 0]);
    assert_eq!(report.gpus.len(), 1);
    let gpu = &report.gpus[0];
    assert_eq!((gpu.state, gpu.power_watts), (GpuState::Awake, Some(287.412)));
    let list = gpu.processes.as_ref().unwrap();
    let own = list.iter().find(|process| process.pid == std::process::id()).unwrap();
    let name = fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!((own.memory_bytes, own.name.as_deref()), (Some(4096), Some(name.trim())));
}

#[tokio::test]
async fn who_sleeps_is_not_asked() {
    let elsewhere = Machine::new(&json!({}));
    let log = elsewhere.path("log");
    let script = json!({"log": log, "gpus": [full(1), full(2)]});
    for (sleep, asked, awake_is_told) in [("D3hot", true, true), ("D3cold", false, false)] {
        let machine = Machine::with_script_beside(&script);
        let sleeping = ("0000:02:00.0", "nvidia", sleep);
        let report = read(&machine, &[FIRST, sleeping], LONG).await;
        let calls = lines(&log);
        assert_eq!(calls.contains(&"Init".to_owned()), asked, "{sleep}: {calls:?}");
        assert!(!calls.iter().any(|call| call.starts_with("1 ")), "{sleep}: {calls:?}");
        let states: Vec<GpuState> = report.gpus.iter().map(|gpu| gpu.state).collect();
        assert_eq!(states, [GpuState::Awake, GpuState::Sleeping]);
        assert_eq!(report.gpus[0].name.is_some(), awake_is_told, "{sleep}");
        assert_eq!(report.gpus[0].notes.is_empty(), awake_is_told, "{sleep}");
        let _gone = fs::remove_file(&log);
    }
}

#[tokio::test]
async fn who_sleeps_has_a_name_all_the_same() {
    let machine = Machine::with_script_beside(&json!({"gpus": [full(1)]}));
    let device = "sys/bus/pci/devices/0000:01:00.0";
    machine.write(&format!("{device}/device"), "0xffff\n");
    machine.write("sys/class/drm/version", "");
    let card = machine.path("sys/class/drm/card0");
    fs::create_dir(&card).unwrap();
    symlink("../../../bus/pci/devices/0000:01:00.0", card.join("device")).unwrap();
    let report = read(&machine, &[("0000:01:00.0", "nvidia", "D3cold")], LONG).await;
    assert_eq!(report.gpus.len(), 1);
    assert_eq!(report.gpus[0].state, GpuState::Sleeping);
    assert_eq!(report.gpus[0].name.as_deref(), Some("NVIDIA 10de:ffff"));
}

#[tokio::test]
async fn a_driver_that_never_answers_holds_nobody_up() {
    let machine =
        Machine::with_script_beside(&json!({"calls": {"Init": {"hang": true}}, "gpus": [full(1)]}));
    let report = read(&machine, &[FIRST], Duration::from_millis(300)).await;
    assert!(report.notes[0].contains("did not answer within"), "{:?}", report.notes);
}

#[tokio::test]
async fn a_gpu_that_falls_off_the_bus_hides_no_other() {
    let mut lost = full(2);
    lost["lost_after"] = json!(9);
    let machine = Machine::with_script_beside(&json!({"gpus": [full(1), lost]}));
    let report = read(&machine, &[FIRST, SECOND], LONG).await;
    let states: Vec<GpuState> = report.gpus.iter().map(|gpu| gpu.state).collect();
    assert_eq!(states, [GpuState::Awake, GpuState::Lost]);
    assert!(report.gpus[1].notes[0].contains("fell off the bus"), "{:?}", report.gpus[1].notes);
}

#[tokio::test]
async fn a_library_cut_short_is_a_note_even_if_it_crashes_who_loads_it() {
    let whole = Machine::with_script_beside(&json!({"gpus": [full(1)]}));
    let content = fs::read(&whole.library).unwrap();
    for length in [0, 100, 4096, content.len() / 3] {
        let machine = Machine::with_library(&content[..length]);
        let report = read(&machine, &[FIRST], LONG).await;
        assert_eq!(report.notes.len(), 1, "{length}: {:?}", report.notes);
    }
}

#[tokio::test]
async fn a_name_from_the_driver_is_made_fit_to_be_shown() {
    let mut gpu = full(1);
    gpu["calls"]["Name"] = json!("\u{1b}[31mRTX\u{202e}\r\n 4090\u{7}");
    let machine = Machine::with_script_beside(&json!({"gpus": [gpu]}));
    let report = read(&machine, &[FIRST], LONG).await;
    assert_eq!(report.gpus[0].name.as_deref(), Some("RTX  4090"));
}
