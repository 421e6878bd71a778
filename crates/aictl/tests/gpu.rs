//! GPUs, as the helper tells of them and as this machine's drivers do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/helper.rs"]
mod helper;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Output, Stdio},
    thread,
    time::Duration,
};

use aictl_api::gpu::{Gpu, GpuProcess, GpuReport, GpuState, Vendor};
use aictl_fakes::PrivateBus;
use common::{aictl, stderr, stdout};
use helper::{Answer, FakeHelper};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::signal::{Signal, kill},
    unistd::{Pid, pipe, write},
};
use serde_json::Value;

/// No process has such a high number (`pid_max` in proc_sys_kernel(5)).
const NOBODY: u32 = 4_999_999;

/// A GPU with a process of ollama's child, and one of nobody known.
fn report() -> GpuReport {
    let runner = GpuProcess {
        name: Some("ollama_llama_server\u{1b}[2J".to_owned()),
        unit: Some("ollama.service".to_owned()),
        service: Some("ollama".to_owned()),
        memory_bytes: Some(7 << 30),
        ..GpuProcess::new(NOBODY - 1)
    };
    let gpu = Gpu {
        name: Some("NVIDIA GeForce RTX 4090".to_owned()),
        memory_total_bytes: Some(24 << 30),
        memory_used_bytes: Some(8 << 30),
        temperature_celsius: Some(64.0),
        processes: Some(vec![runner, GpuProcess::new(NOBODY)]),
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    };
    GpuReport { gpus: vec![gpu], notes: vec!["one more thing".to_owned()] }
}

fn helper() -> FakeHelper {
    FakeHelper::start(|member, _service| {
        assert_eq!(member, "List");
        Answer::Gpus(report())
    })
}

fn run(helper: &FakeHelper, line: &str) -> Output {
    helper.aictl().args(line.split(' ')).output().unwrap()
}

#[test]
fn the_helper_tells_whose_processes_use_a_gpu() {
    let helper = helper();
    let output = run(&helper, "gpu --processes");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    let process = ["0", "4999998", "ollama_llama_server", "ollama", "ollama.service", "7.0 GiB"];
    assert!(rows.contains(&process.to_vec()), "{text}");
    assert!(rows.contains(&vec!["0", &NOBODY.to_string(), "-", "-", "-", "-"]), "{text}");
    assert!(text.contains("8.0 of 24 GiB") && text.contains("64"), "{text}");
    assert!(text.ends_with("note: one more thing\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    // The processes are not asked for.
    assert!(!stdout(&run(&helper, "gpu")).contains("4999998"));

    let output = run(&helper, "gpu --json");
    let document: GpuReport = serde_json::from_slice(&output.stdout).unwrap();
    // Programs get what there is.
    assert_eq!(document, report());
}

#[test]
fn a_helper_that_refuses_is_not_passed_by() {
    for (name, code, advice) in [
        ("NotAuthorized", 126, "org.aictl1.gpu.read"),
        ("InteractiveAuthorizationRequired", 126, "org.aictl1.gpu.read"),
        ("LimitExceeded", 126, "too often"),
        ("Failed", 1, "aictl doctor"),
    ] {
        let helper = FakeHelper::start(move |_member, _service| {
            Answer::Error(name, "too often", (name == "LimitExceeded").then_some(1_500_000))
        });
        let output = run(&helper, "gpu");
        assert_eq!(output.status.code(), Some(code), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains(advice), "{name}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{name}");
        let output = run(&helper, "gpu --json");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["exit_code"], code, "{name}");
        // Who wants to do without it says so.
        let before = helper.calls().len();
        let output = run(&helper, "gpu --embedded");
        assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
        assert_eq!(helper.calls().len(), before);
    }
    let helper = FakeHelper::start(|_member, _service| Answer::Nonsense);
    assert_eq!(run(&helper, "gpu").status.code(), Some(125));
}

#[test]
fn without_a_helper_or_a_bus_the_drivers_are_asked() {
    let bus = PrivateBus::start();
    for (address, note) in [(bus.address(), false), ("unix:path=/nonexistent", true)] {
        let mut command = aictl();
        let command = command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
        let output = command.args(["gpu", "--json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let document: GpuReport = serde_json::from_slice(&output.stdout).unwrap();
        let says = document.notes.iter().any(|note| note.contains("message bus"));
        assert_eq!(says, note, "{:?}", document.notes);
    }
}

#[test]
fn watching_goes_on_until_nobody_reads() {
    let helper = helper();
    let mut child = helper
        .aictl()
        .args(["gpu", "--json", "--watch=1s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _look in 0..2 {
        let line = lines.next().unwrap().unwrap();
        assert_eq!(serde_json::from_str::<GpuReport>(&line).unwrap(), report());
    }
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_signal_ends_it_while_nobody_reads_what_it_shows() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let (reader, writer) = pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        while write(&writer, &[b'x'; 4096]).is_ok() {}
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        let mut command = aictl();
        command.args(["gpu", "--embedded", "--json"]).stdout(writer);
        let mut child = command.spawn().unwrap();
        let waits = format!("/proc/{}/wchan", child.id());
        for _ in 0..500 {
            // It has looked, and waits for its reader.
            if fs::read_to_string(&waits).is_ok_and(|at| at.contains("pipe_w")) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let ended = (0..1000).find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            child.try_wait().unwrap()
        });
        let _gone = child.kill();
        assert_eq!(ended.and_then(|status| status.code()), Some(code), "{signal}");
        drop(reader);
    }
}
