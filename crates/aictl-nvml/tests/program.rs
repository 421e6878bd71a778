//! The program on a library of ours in the place of NVIDIA's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use aictl_api::{
    exit,
    gpu::{Gpu, GpuReport, GpuState, Vendor},
};
use common::{Machine, document, full, full_gpu, line, lines, processes, program, report};
use serde_json::{Value, json};

#[test]
fn every_value_that_the_library_has_is_told() {
    let machine = Machine::new(&json!({"gpus": [full(0xc1)]}));
    let report = machine.report();
    assert_eq!(report.notes, [""; 0]);
    let [gpu] = &report.gpus[..] else { panic!("{report:?}") };
    // Those of two lists have their memory once.
    let wanted =
        [(900, Some(46_108_928)), (4711, Some(7_900_000_000)), (4712, None), (4713, Some(1))];
    assert_eq!(processes(gpu).unwrap(), wanted);
    let mut told = document(gpu);
    told.as_object_mut().unwrap().remove("processes");
    assert_eq!(told, full_gpu(0, 0xc1));
}

#[test]
fn what_a_gpu_does_not_have_is_unknown() {
    let machine = Machine::new(&json!({"gpus": [{"bus_id": "00000000:01:00.0"}]}));
    let wanted = Gpu {
        pci_address: Some("0000:01:00.0".to_owned()),
        driver: Some("nvidia".to_owned()),
        driver_version: Some("580.95.05".to_owned()),
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    };
    assert_eq!(machine.report(), GpuReport { gpus: vec![wanted], notes: Vec::new() });
}

#[test]
fn a_value_that_fails_leaves_the_others_as_they_are() {
    let calls = full(1)["calls"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for error in ["NO_PERMISSION", "UNKNOWN"] {
        for call in &calls {
            let mut gpu = full(1);
            gpu["calls"][call] = json!({"error": error});
            let report = Machine::new(&json!({"gpus": [gpu]})).report();
            let told = document(&report.gpus[0]);
            let wanted = full_gpu(0, 1);
            let different: Vec<&String> = told
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, value)| *name != "processes" && wanted[*name] != **value)
                .map(|(name, _)| name)
                .collect();
            assert!(
                different.iter().all(|name| told[*name].is_null() || *name == "power_limit_watts")
            );
            let most = if call == "MemoryInfo" { 3 } else { 2 };
            assert!(different.len() <= most, "{call}: {different:?}");
            let is_of_lists = call.ends_with("Processes") || call == "PowerManagementLimit";
            assert_eq!(different.is_empty(), is_of_lists, "{call}: {different:?}");
            assert!(told["processes"].is_array(), "{call}");
        }
    }
}

#[test]
fn without_a_library_there_is_a_note() {
    let machine = Machine::with_library(b"");
    fs::remove_file(&machine.library).unwrap();
    let report = machine.report();
    assert!(report.gpus.is_empty());
    assert!(report.notes[0].contains("is not installed"), "{:?}", report.notes);
}

#[test]
fn a_library_that_is_none_is_told_from_one_that_is_absent() {
    let real = fs::read(Machine::new(&json!({})).library.clone()).unwrap();
    for (content, word) in [
        (&b""[..], "cannot be loaded"),
        (
            b"hello, this is text, and long enough to be one of these files, if only it were one",
            "cannot be loaded",
        ),
        (&real[..64], "cannot be loaded"),
    ] {
        let report = Machine::with_library(content).report();
        assert_eq!(report.notes.len(), 1);
        assert!(report.notes[0].contains(word), "{:?}", report.notes);
    }
    // A library, and not NVIDIA's.
    let report = Machine::without(&["nvmlInit_v2"], &json!({})).report();
    assert!(report.notes[0].contains("is no library of NVIDIA's driver"), "{:?}", report.notes);
}

#[test]
fn a_driver_that_does_not_work_is_told_with_the_next_step() {
    // Without a script, the library is that of a machine without a driver.
    let machine = Machine::new(&json!({}));
    let output = machine.program().env("FAKE_NVML", "/nonexistent").output().unwrap();
    let no_driver = report(&output);
    assert!(no_driver.notes[0].contains("modprobe nvidia"), "{:?}", no_driver.notes);
    for (error, word) in [
        (json!("DRIVER_NOT_LOADED"), "modprobe nvidia"),
        (json!("LIB_RM_VERSION_MISMATCH"), "different versions"),
        (json!("NO_PERMISSION"), "/dev/nvidiactl"),
        (json!("GPU_IS_LOST"), "fell off the bus"),
        (json!("UNKNOWN"), "internal driver error"),
        (json!("NOT_SUPPORTED"), "not available"),
        (json!("IRQ_ISSUE"), "interrupt"),
        (json!(12345), "12345"),
    ] {
        let script = json!({"calls": {"Init": {"error": error}}, "gpus": [full(1)]});
        let report = Machine::new(&script).report();
        assert!(report.gpus.is_empty());
        let [note] = &report.notes[..] else { panic!("{report:?}") };
        assert!(note.contains(word), "{note}");
        assert!(note.ends_with('.'), "{note}");
    }
}

#[test]
fn no_gpu_is_no_trouble() {
    assert_eq!(Machine::new(&json!({"gpus": []})).report(), GpuReport::default());
    let script = json!({"calls": {"DeviceGetCount": {"error": "UNKNOWN"}}, "gpus": [full(1)]});
    let report = Machine::new(&script).report();
    assert!(report.gpus.is_empty());
    assert!(report.notes[0].contains("internal driver error"), "{:?}", report.notes);
}

#[test]
fn a_gpu_that_cannot_be_reached_hides_no_other() {
    for (error, state, word) in [
        ("GPU_IS_LOST", GpuState::Lost, "fell off the bus"),
        ("RESET_REQUIRED", GpuState::Lost, "--gpu-reset"),
        ("NOT_FOUND", GpuState::Lost, "gave it up"),
        ("NO_PERMISSION", GpuState::Awake, "/dev/nvidia0"),
        ("INSUFFICIENT_POWER", GpuState::Awake, "power cables"),
        ("UNKNOWN", GpuState::Awake, "internal driver error"),
    ] {
        let sick = json!({
            "bus_id": "00000000:02:00.0",
            "calls": {"HandleByPciBusId": {"error": error}, "HandleByIndex": {"error": error}},
        });
        let machine = Machine::new(&json!({"gpus": [full(1), sick, full(3)]}));
        for addresses in [&[][..], &["0000:01:00.0", "0000:02:00.0", "0000:03:00.0"]] {
            let report = report(&machine.program().args(addresses).output().unwrap());
            let gpus = &report.gpus;
            let sick = gpus.iter().find(|gpu| gpu.name.is_none()).unwrap();
            assert_eq!((gpus.len(), sick.state), (3, state));
            assert!(sick.notes[0].contains(word), "{:?}", sick.notes);
            let well = |gpu: &&Gpu| gpu.power_watts.is_some() && gpu.notes.is_empty();
            assert_eq!(gpus.iter().filter(well).count(), 2);
            // By its address it is known which one.
            let address = (!addresses.is_empty()).then_some("0000:02:00.0");
            assert_eq!(sick.pci_address.as_deref(), address);
        }
    }
}

#[test]
fn only_those_are_asked_who_are_named() {
    let machine = Machine::with_library(&[]);
    let log = machine.path("log");
    let script = json!({"log": log, "gpus": [full(1), full(2), full(3)]});
    let machine = Machine::new(&script);
    let output = machine.program().args(["0000:03:00.0", "0000:01:00.0"]).output().unwrap();
    let report = report(&output);
    let addresses: Vec<_> = report.gpus.iter().map(|gpu| gpu.pci_address.as_deref()).collect();
    assert_eq!(addresses, [Some("0000:01:00.0"), Some("0000:03:00.0")]);
    let calls = lines(&log);
    assert!(calls.iter().any(|call| call.starts_with("0 ")), "{calls:?}");
    assert!(calls.iter().any(|call| call.starts_with("2 ")), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("1 ")), "{calls:?}");
    // The library is shut down as often as it was initialised, at the very end.
    assert_eq!(calls.iter().filter(|call| *call == "Init").count(), 1);
    assert_eq!(calls.iter().filter(|call| *call == "Shutdown").count(), 1);
    assert_eq!(calls.last().map(String::as_str), Some("Shutdown"));
}

#[test]
fn sixteen_gpus_are_told_in_the_order_of_their_addresses() {
    let buses: Vec<u8> = (0..16).map(|place| 0xf1_u8.wrapping_mul(place + 3)).collect();
    let gpus: Vec<Value> = buses.iter().map(|bus| full(*bus)).collect();
    let report = Machine::new(&json!({"gpus": gpus})).report();
    let mut wanted = buses.clone();
    wanted.sort_unstable();
    for (index, (gpu, bus)) in (0..).zip(report.gpus.iter().zip(&wanted)) {
        let mut told = document(gpu);
        told.as_object_mut().unwrap().remove("processes");
        assert_eq!(told, full_gpu(index, *bus));
    }
    assert_eq!(report.gpus.len(), 16);
}

#[test]
fn more_gpus_than_any_machine_has_are_cut() {
    let gpus: Vec<Value> =
        (0..40).map(|bus| json!({"bus_id": format!("0000:{bus:02x}:00.0")})).collect();
    let report = Machine::new(&json!({"gpus": gpus})).report();
    assert_eq!(report.gpus.len(), 32);
    assert!(report.notes[0].contains("Only 32 of 40"), "{:?}", report.notes);
}

#[test]
fn a_gpu_may_be_lost_at_any_call() {
    let machine = Machine::with_library(&[]);
    let log = machine.path("log");
    Machine::new(&json!({"log": log, "gpus": [full(1)]})).report();
    let calls = lines(&log).iter().filter(|call| call.starts_with("0 ")).count();
    assert!(calls > 25, "{calls}");
    let wanted = full_gpu(0, 1);
    let mut known = 0;
    for most in 0..=calls {
        let mut lost = full(1);
        lost["lost_after"] = json!(most);
        let report = Machine::new(&json!({"gpus": [lost, full(2)]})).report();
        let gpus = &report.gpus;
        assert_eq!(gpus.len(), 2);
        let (lost, other) = match gpus[0].pci_address.as_deref() {
            Some("0000:02:00.0") => (&gpus[1], &gpus[0]),
            _ => (&gpus[0], &gpus[1]),
        };
        let state = if most < calls { GpuState::Lost } else { GpuState::Awake };
        assert_eq!(lost.state, state, "after {most} calls");
        assert_eq!(lost.notes.len(), usize::from(most < calls), "after {most} calls");
        // What was read stays, and there is ever more of it.
        let told = document(lost);
        let told = told.as_object().unwrap();
        let is_known = |(name, value): &(&String, &Value)| {
            let is_whole = !["index", "state", "notes", "processes", "fan_percent", "fan_rpm"]
                .contains(&name.as_str());
            assert!(!is_whole || value.is_null() || wanted[*name] == **value, "{name}: {value}");
            !value.is_null()
        };
        let now = told.iter().filter(is_known).count();
        assert!(now >= known, "after {most} calls");
        known = now;
        assert_eq!((other.state, other.power_watts), (GpuState::Awake, Some(287.412)));
    }
}

#[test]
fn a_divided_gpu_has_the_processes_of_its_instances() {
    let instance = |list: Value| json!({"calls": {"ComputeRunningProcesses": {"processes": list}}});
    let mut gpu = full(1);
    gpu["calls"]["MigMode"] = json!({"current": 1, "pending": 1});
    gpu["calls"]["UtilizationRates"] = json!({"error": "NOT_SUPPORTED"});
    for call in
        ["ComputeRunningProcesses", "GraphicsRunningProcesses", "MPSComputeRunningProcesses"]
    {
        gpu["calls"][call] = json!({"error": "NO_PERMISSION"});
    }
    gpu["mig"] = json!([
        instance(json!([{"pid": 7, "memory": 70, "gpu_instance": 1, "compute_instance": 0}])),
        instance(json!([])),
        instance(json!([{"pid": 8, "memory": 80}, {"pid": 7, "memory": 60}])),
    ]);
    let report = Machine::new(&json!({"gpus": [gpu.clone()]})).report();
    let told = &report.gpus[0];
    assert_eq!((told.mig_enabled, told.utilisation_percent), (Some(true), None));
    assert_eq!(told.memory_total_bytes, Some(51_527_024_640));
    assert_eq!(processes(told), Some(vec![(7, Some(70)), (8, Some(80))]));
    // One that is not divided has no instances to ask.
    gpu["calls"]["MigMode"] = json!({"current": 0, "pending": 1});
    let report = Machine::new(&json!({"gpus": [gpu]})).report();
    assert_eq!((report.gpus[0].mig_enabled, processes(&report.gpus[0])), (Some(false), None));
}

#[test]
fn a_gpu_without_memory_of_its_own_shares_the_hosts() {
    let gpu = |name: &str, memory: Value| {
        let mut gpu = full(1);
        gpu["calls"]["Name"] = json!(name);
        gpu["calls"]["MemoryInfo"] = memory;
        let report = Machine::new(&json!({"gpus": [gpu]})).report();
        let told = &report.gpus[0];
        assert_eq!(processes(told).unwrap()[1], (4711, Some(7_900_000_000)), "{name}");
        (told.memory_total_bytes, told.memory_used_bytes, told.memory_shared)
    };
    let none = json!({"error": "NOT_SUPPORTED"});
    assert_eq!(gpu("NVIDIA GB10", none.clone()), (None, None, Some(true)));
    assert_eq!(gpu("NVIDIA H100 PCIe", none), (None, None, None));
    assert_eq!(gpu("NVIDIA GB10", json!({"error": "UNKNOWN"})), (None, None, None));
    let zero = json!({"total": 0, "reserved": 0, "used": 0});
    assert_eq!(gpu("NVIDIA GB10", zero), (None, None, None));
    let odd = json!({"total": 10, "reserved": 0, "used": 11});
    assert_eq!(gpu("NVIDIA H100 PCIe", odd), (None, None, None));
}

#[test]
fn a_list_that_becomes_longer_meanwhile_is_asked_for_again() {
    let list = |length: u32| {
        let list: Vec<Value> = (1..=length).map(|pid| json!({"pid": pid, "memory": pid})).collect();
        json!({"processes": list})
    };
    let mut gpu = json!({"bus_id": "0000:01:00.0", "calls": {}});
    gpu["calls"]["ComputeRunningProcesses"] =
        json!([list(1), list(10), list(10), list(30), list(30)]);
    let report = Machine::new(&json!({"gpus": [gpu.clone()]})).report();
    assert_eq!(processes(&report.gpus[0]).unwrap().len(), 30);
    // One that never stops is not waited for.
    let growing: Vec<Value> = (1..40).map(|turn| list(turn * 10)).collect();
    gpu["calls"]["ComputeRunningProcesses"] = json!(growing);
    let report = Machine::new(&json!({"gpus": [gpu]})).report();
    assert_eq!(processes(&report.gpus[0]), None);
}

#[test]
fn of_thousands_of_processes_the_largest_are_listed() {
    let list: Vec<Value> = (1..=5000).map(|pid| json!({"pid": pid, "memory": pid})).collect();
    let mut gpu = full(1);
    gpu["calls"]["ComputeRunningProcesses"] = json!({"processes": list});
    let report = Machine::new(&json!({"gpus": [gpu]})).report();
    let told = &report.gpus[0];
    let list = processes(told).unwrap();
    assert_eq!(list.len(), 1000);
    assert!(list.iter().all(|(_, memory)| *memory > Some(4000)));
    assert!(list.is_sorted());
    assert!(told.notes[0].contains("4000 more processes"), "{:?}", told.notes);
}

#[test]
fn odd_numbers_are_unknown() {
    let mut gpu = full(1);
    for (call, value) in [
        ("UtilizationRates", json!({"gpu": 101, "memory": u32::MAX})),
        ("Temperature", json!(u32::MAX)),
        ("PowerUsage", json!(u32::MAX)),
        ("CurrPcieLinkWidth", json!(0)),
        ("MaxPcieLinkWidth", json!(u32::MAX)),
        ("NumFans", json!(u32::MAX)),
        ("EccMode", json!({"current": 7, "pending": 0})),
        // Bits that nobody knows yet.
        ("CurrentClocksThrottleReasons", json!(0xffff_ffff_0000_0004_u64)),
    ] {
        gpu["calls"][call] = value;
    }
    let report = Machine::new(&json!({"gpus": [gpu]})).report();
    let told = document(&report.gpus[0]);
    for name in [
        "utilisation_percent",
        "memory_utilisation_percent",
        "temperature_celsius",
        "power_watts",
        "pcie_width",
        "pcie_width_max",
        "ecc_enabled",
    ] {
        assert_eq!(told[name], Value::Null, "{name}");
    }
    assert_eq!(told["fan_percent"], 33);
    assert_eq!(told["throttling"], json!(["power limit"]));
}

#[test]
fn names_that_are_no_text_are_unknown() {
    let mut gpu = full(1);
    gpu["calls"]["Name"] = json!({"bytes": [82, 84, 88, 255, 254]});
    gpu["calls"]["UUID"] = json!({"bytes": [27, 91, 51, 49, 109]});
    let script = json!({"calls": {"SystemGetDriverVersion": {"bytes": [200]}}, "gpus": [gpu]});
    let report = Machine::new(&script).report();
    let told = &report.gpus[0];
    assert_eq!((&told.name, &told.driver_version), (&None, &None));
    // It is JSON whatever is in it; whoever reads it makes it fit to be shown.
    assert_eq!(told.uuid.as_deref(), Some("\u{1b}[31m"));
    assert_eq!(told.power_watts, Some(287.412));
}

#[test]
fn what_the_library_prints_does_not_come_between() {
    let script = json!({"print": "NVIDIA says hello\n{}\n", "gpus": [full(1)]});
    let output = Machine::new(&script).program().output().unwrap();
    assert_eq!(report(&output).gpus.len(), 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("NVIDIA says hello"));
}

#[test]
fn a_gpu_that_never_answers_hides_no_other_and_keeps_what_it_told() {
    let hang = json!({"hang": true});
    for (call, name) in [
        ("HandleByIndex", None),
        ("Name", None),
        ("Temperature", Some("NVIDIA RTX 6000 Ada Generation")),
    ] {
        let mut silent = full(2);
        silent["calls"][call] = hang.clone();
        let machine = Machine::new(&json!({"gpus": [full(1), silent]}));
        // On a busy machine, the others may need more than one try for their answers.
        let report = [500, 2000, 8000, 32_000].iter().find_map(|time: &u32| {
            // Of two times on the command line, the last holds.
            let output = machine.program().args(["--time", &time.to_string()]).output().unwrap();
            let report = report(&output);
            let silent = report.gpus.iter().filter(|gpu| !gpu.notes.is_empty()).count();
            (silent == 1).then_some(report)
        });
        let report = report.unwrap();
        let (silent, others): (Vec<&Gpu>, Vec<&Gpu>) =
            report.gpus.iter().partition(|gpu| !gpu.notes.is_empty());
        assert!(silent[0].notes[0].contains("did not answer within"), "{:?}", silent[0].notes);
        assert_eq!(silent[0].name.as_deref(), name, "{call}");
        assert_eq!(others.len(), 1, "{call}");
        assert_eq!(others[0].power_watts, Some(287.412), "{call}");
    }
}

#[test]
fn a_driver_that_never_answers_is_told_of() {
    for call in ["Init", "SystemGetDriverVersion", "DeviceGetCount"] {
        let script = json!({"calls": {call: {"hang": true}}, "gpus": [full(1)]});
        let machine = Machine::new(&script);
        let output = machine.program().args(["--time", "300"]).output().unwrap();
        let report = report(&output);
        assert!(report.gpus.is_empty());
        assert!(report.notes[0].contains("did not answer within 300ms"), "{:?}", report.notes);
    }
}

#[test]
fn the_answer_comes_before_the_driver_tidies_up() {
    let machine = Machine::new(&json!({"calls": {"Shutdown": {"hang": true}}, "gpus": [full(1)]}));
    let mut child = machine.program().stdout(Stdio::piped()).spawn().unwrap();
    let mut output = Vec::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_until(b'\n', &mut output).unwrap();
    assert_eq!(line(&output).gpus.len(), 1);
    // It still waits for the driver.
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn older_drivers_tell_what_they_can() {
    let script = json!({"gpus": [full(1)]});
    let newer = [
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetGraphicsRunningProcesses_v3",
        "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        "nvmlDeviceGetFanSpeedRPM",
    ];
    let report = Machine::without(&newer, &script).report();
    let told = &report.gpus[0];
    assert_eq!((told.memory_total_bytes, told.memory_shared, told.fan_rpm), (None, None, None));
    assert!(told.notes[0].contains("too old"), "{:?}", told.notes);
    assert_eq!(processes(told).unwrap().len(), 3);
    assert_eq!(told.power_watts, Some(287.412));
}

#[test]
fn drivers_with_another_structure_are_asked_by_the_older_functions() {
    let older =
        ["nvmlDeviceGetComputeRunningProcesses_v2", "nvmlDeviceGetGraphicsRunningProcesses_v2"];
    for (version, is_known) in [("535.54.03", false), ("535.104.05", true)] {
        let calls = json!({"SystemGetDriverVersion": version});
        let script = json!({"calls": calls, "gpus": [full(1)]});
        let report = Machine::without(&older, &script).report();
        assert_eq!(report.gpus[0].processes.is_some(), is_known, "{version}");
        // With them, it is as ever.
        let report = Machine::new(&script).report();
        assert!(processes(&report.gpus[0]).unwrap().len() >= 3, "{version}");
    }
}

#[test]
fn a_wrong_command_line_is_a_mistake_and_no_report() {
    for words in [&["--library"][..], &["--library", "x.so"], &["01:00.0"], &["--help"], &[""]] {
        let output = program().args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(exit::USAGE)), "{words:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: "));
    }
}
