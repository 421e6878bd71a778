//! What commands print with `--json` is what `aictl schema` says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/helper.rs"]
mod helper;
#[path = "common/json_schema.rs"]
mod json_schema;

use std::{
    io::Write,
    process::{Command, Output},
};

use aictl_api::gpu::{Gpu, GpuProcess, GpuReport, GpuState, Vendor};
use aictl_fakes::PrivateBus;
use common::{Dir, aictl, stderr, with_input};
use helper::{Answer, FakeHelper};
use json_schema::problems;
use serde_json::{Value, json};

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {:?} {}", output.status, stderr(output)))
}

fn schema(name: &str) -> Value {
    document(&aictl().args(["schema", name]).output().unwrap())
}

/// Runs the command, and holds what it prints against the schema.
fn check(name: &str, command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let value = document(&output);
    assert_eq!(problems(&schema(name), &value), [""; 0], "{name}: {}", stderr(&output));
    value
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema = schema("gpu");
    let gpu = |change: fn(&mut Value)| {
        let gpu = Gpu { processes: Some(vec![GpuProcess::new(1)]), ..full_gpu() };
        let mut value = json!({ "gpus": [gpu], "notes": [] });
        change(&mut value);
        problems(&schema, &value)
    };
    assert_eq!(gpu(|_| {}), [""; 0]);
    let changes: [fn(&mut Value); 9] = [
        |value| value["notes"] = Value::Null,
        |value| drop(value.as_object_mut().unwrap().remove("notes")),
        |value| value["more"] = json!(1),
        |value| value["gpus"][0]["state"] = json!("odd"),
        |value| value["gpus"][0]["memory_total_bytes"] = json!(-1),
        |value| value["gpus"][0]["memory_total_bytes"] = json!(1.5),
        |value| value["gpus"][0]["name"] = json!(1),
        |value| value["gpus"][0]["processes"][0]["pid"] = Value::Null,
        |value| drop(value["gpus"][0].as_object_mut().unwrap().remove("index")),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(gpu(change).len(), 1, "{index}: {:?}", gpu(change));
    }
}

/// A GPU of which something is known in most fields.
fn full_gpu() -> Gpu {
    Gpu {
        name: Some("GPU".to_owned()),
        memory_total_bytes: Some(1 << 40),
        utilisation_percent: Some(12.5),
        fan_percent: Some(40),
        throttling: Some(vec!["heat".to_owned()]),
        ecc_enabled: Some(true),
        ..Gpu::new(0, Vendor::Amd, GpuState::Awake)
    }
}

#[test]
fn what_needs_no_helper_is_as_its_schema_says() {
    let bus = PrivateBus::start();
    let alone = || {
        let mut command = aictl();
        command.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
        command
    };
    check("status", alone().args(["status", "--all", "--json"]));
    check("gpu", alone().args(["gpu", "--json", "--embedded"]));
    check("doctor", alone().args(["doctor", "--json"]));
    check("config-show", aictl().args(["config", "show", "--json"]));
    check("config-check", aictl().args(["config", "check", "--json"]));
    let dir = Dir::new();
    let wrong = dir.file("wrong.toml", "odd = 1\n");
    let value = check("config-check", aictl().args(["config", "check", "--json"]).arg(wrong));
    assert_eq!(value["ok"], false);
    for line in ["schema --json nosuch", "restart --json", "run --json /nonexistent.py"] {
        check("failure", aictl().args(line.split(' ')));
    }
    // Whether this machine has a journal that we may read or not.
    let audit = alone().args(["audit", "--json", "-n", "3"]).output().unwrap();
    let name = if audit.status.success() { "audit" } else { "failure" };
    assert_eq!(problems(&schema(name), &document(&audit)), [""; 0]);
}

#[test]
fn what_the_helper_tells_is_as_its_schema_says() {
    let helper = FakeHelper::start(|member, service| match (member, service) {
        ("List", _) => Answer::Gpus(GpuReport {
            gpus: vec![
                Gpu { processes: Some(vec![GpuProcess::new(7)]), ..full_gpu() },
                Gpu::new(1, Vendor::Nvidia, GpuState::Lost),
            ],
            notes: vec!["note".to_owned()],
        }),
        ("Logs", _) => {
            let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
            let line = json!({ "time_usec": 1, "priority": 6, "pid": 7, "message": "x" });
            writeln!(writer, "{line}\n{{}}").unwrap();
            Answer::Stream(reader.into())
        }
        (_, "ollama") => Answer::Record(vec![
            ("job_result", "done".into()),
            ("active_state", "active".into()),
            ("request_id", "0123".into()),
        ]),
        _ => Answer::Error("LimitExceeded", "too many calls", Some(1_500_000)),
    });
    let value = check("gpu", helper.aictl().args(["gpu", "--json"]));
    assert_eq!(value["gpus"][0]["processes"][0]["pid"], 7);
    let value = check("logs", helper.aictl().args(["logs", "--json", "ollama"]));
    assert_eq!(value["lines"].as_array().unwrap().len(), 2);
    let value = check("actions", helper.aictl().args(["restart", "--json", "ollama", "vllm"]));
    assert_eq!(value["actions"][1]["error"]["retry_after_ms"], 1500);
}

#[test]
fn what_came_of_a_run_is_as_its_schema_says() {
    let schema = schema("run");
    for (options, script) in [
        (&[][..], "print('x')\nresult = {'a': [1, 2.5, None]}"),
        (&[], "raise SystemExit(3)"),
        (&["--timeout", "300ms"], "while True: pass"),
    ] {
        let mut command = aictl();
        let output = with_input(command.args(["run", "--json"]).args(options).arg("-"), script);
        assert_eq!(problems(&schema, &document(&output)), [""; 0], "{script}");
    }
    let refused = ["run", "--json", "--profile", "strict", "-"];
    let output = with_input(aictl().args(refused), "import os");
    assert_eq!(problems(&schema, &document(&output)), [""; 0]);
}

#[test]
fn what_a_check_finds_is_as_its_schema_says() {
    let dir = Dir::new();
    for text in ["x = 1\n", "import os\neval\n", "x = (\n"] {
        let script = dir.file("a.py", text);
        check("check", aictl().args(["check", "--json"]).arg(script));
    }
}

#[test]
fn the_list_names_each_document_and_the_configuration() {
    let list = document(&aictl().args(["schema", "--json"]).output().unwrap());
    let names: Vec<&str> = list["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    // Whoever adds one, adds it to the tests above.
    let known = [
        "status",
        "gpu",
        "logs",
        "actions",
        "run",
        "check",
        "audit",
        "doctor",
        "config-show",
        "config-check",
        "failure",
        "config",
    ];
    assert_eq!(names, known);
    let config = document(&aictl().args(["config", "schema"]).output().unwrap());
    assert_eq!(schema("config"), config);
}
