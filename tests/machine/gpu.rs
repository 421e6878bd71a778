//! What the helper tells of GPUs, with a library in the place of NVIDIA's (tests/fake-nvml).

use std::{env, fs};

use serde_json::{Value, json};

use crate::machine::{Machine, Who, machine};

/// What the library answers.
const SCRIPT: &str = "/etc/fake-nvml.json";
/// By this file the kernel shows that there is a driver; that it is no device, nobody looks at.
const DRIVER: &str = "/dev/nvidiactl";

/// A machine with a driver of NVIDIA's, until this is dropped.
struct Driver<'a>(&'a Machine);

impl<'a> Driver<'a> {
    fn install(machine: &'a Machine) -> Self {
        let driver = Self(machine);
        // cargo builds it beside the tests.
        let built = env::current_exe().unwrap().with_file_name(aictl_fake_nvml::FILE_NAME);
        fs::copy(built, machine.path(&Self::library())).unwrap();
        machine.write(DRIVER, "");
        driver
    }

    /// Where the machine's linker finds it.
    fn library() -> String {
        format!("/usr/lib/{}-linux-gnu/libnvidia-ml.so.1", env::consts::ARCH)
    }

    /// What there is from now on.
    fn says(&self, script: &Value) {
        self.0.write(SCRIPT, &script.to_string());
        // It has seen the GPUs a moment ago.
        self.0.stop("aictld.service");
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        for path in [&Self::library(), SCRIPT, DRIVER] {
            self.0.remove(path);
        }
    }
}

/// A GPU on which these processes run.
fn gpu(processes: &[(u32, u64)]) -> Value {
    let process = |(pid, memory): &(u32, u64)| json!({"pid": pid, "memory": memory});
    let processes: Vec<Value> = processes.iter().map(process).collect();
    json!({
        "bus_id": "00000000:01:00.0",
        "calls": {
            "Name": "NVIDIA RTX 6000 Ada Generation",
            "MemoryInfo": {"total": 51_527_024_640_u64, "reserved": 0, "used": 7_946_108_928_u64},
            "ComputeRunningProcesses": {"processes": processes},
        },
    })
}

/// `Gpu.List` as any tool calls it: the GPUs and the notes, each value without its type.
fn list(machine: &Machine, who: Who) -> (Vec<Value>, Vec<Value>) {
    let call =
        ["busctl", "--json=short", "call", "org.aictl1", "/org/aictl1", "org.aictl1.Gpu", "List"];
    let answer: Value = serde_json::from_str(&machine.run(who, &call).ok()).unwrap();
    assert_eq!(answer["type"], "aa{sv}as", "{answer}");
    let plain = |record: &Value| bare(record);
    let gpus = answer["data"][0].as_array().unwrap().iter().map(plain).collect();
    (gpus, answer["data"][1].as_array().unwrap().clone())
}

/// A record whose values have no types any more, nor have those in it.
fn bare(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.len() == 2 && fields.contains_key("data") => {
            bare(&fields["data"])
        }
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), bare(value))).collect()
        }
        Value::Array(values) => values.iter().map(bare).collect(),
        value => value.clone(),
    }
}

/// The processes of a unit, of which there must be at least two.
fn processes_of(machine: &Machine, unit: &str) -> (u32, Vec<u32>) {
    let main: u32 = machine.property(unit, "MainPID").parse().unwrap();
    let path = format!("/sys/fs/cgroup{}/cgroup.procs", machine.property(unit, "ControlGroup"));
    let mut children = Vec::new();
    machine.wait_for("a child of the unit's", || {
        let pids = machine.root(&["cat", &path]);
        children =
            pids.lines().map(|pid| pid.parse().unwrap()).filter(|pid| *pid != main).collect();
        !children.is_empty()
    });
    (main, children)
}

#[test]
fn an_ordinary_user_sees_whose_the_processes_on_a_gpu_are() {
    let machine = machine();
    let driver = Driver::install(&machine);
    machine.root(&["systemctl", "start", "ollama.service", "ssh.service"]);
    let (_, children) = processes_of(&machine, "ollama.service");
    let other: u32 = machine.property("ssh.service", "MainPID").parse().unwrap();
    let nobody = 4_000_000;
    driver.says(&json!({"gpus": [
        gpu(&[(children[0], 7_900_000_000), (other, 1024), (nobody, 2048)]),
    ]}));
    let (gpus, notes) = list(&machine, Who::Anna);
    assert_eq!(gpus.len(), 1, "{gpus:#?} {notes:?}");
    assert_eq!(notes, Vec::<Value>::new());
    let gpu = &gpus[0];
    assert_eq!(gpu["name"], "NVIDIA RTX 6000 Ada Generation");
    assert_eq!(gpu["memory_used_bytes"], 7_946_108_928_u64);
    assert_eq!(gpu.get("power_watts"), None, "what is unknown is left out");
    let of = |pid: u32| {
        let processes = gpu["processes"].as_array().unwrap();
        let found = processes.iter().find(|process| process["pid"] == pid);
        found.unwrap_or_else(|| panic!("{pid} is not there: {gpu:#}")).clone()
    };
    let runner = of(children[0]);
    assert_eq!(runner["unit"], "ollama.service");
    assert_eq!(runner["service"], "ollama");
    assert_eq!(runner["memory_bytes"], 7_900_000_000_u64);
    // Any unit is named, and only those of the catalogue are services.
    assert_eq!((of(other)["unit"].as_str(), of(other).get("service")), (Some("ssh.service"), None));
    assert_eq!(of(nobody).get("unit"), None);
    let record = &machine.audit(1)[0];
    assert_eq!(record["AICTL_METHOD"], "org.aictl1.Gpu.List", "{record:#}");
    assert_eq!(record["AICTL_CALLER_UID"], machine.ids("anna").0, "{record:#}");
    assert_eq!(record["AICTL_DECISION"], "allowed", "{record:#}");
}

#[test]
fn the_helper_has_the_drivers_files_and_no_other_devices() {
    let machine = machine();
    let _driver = Driver::install(&machine);
    machine.root(&["systemctl", "start", "aictld.service"]);
    let helper = machine.property("aictld.service", "MainPID");
    let devices = |pid: &str| -> Vec<String> {
        let names = machine.root(&["ls", &format!("/proc/{pid}/root/dev")]);
        names.lines().map(str::to_owned).collect()
    };
    let seen = devices(&helper);
    assert!(seen.iter().any(|name| name == "nvidiactl"), "{seen:?}");
    assert!(!seen.iter().any(|name| name == "nvidia0"), "{seen:?}");
    let own = ["full", "null", "random", "tty", "urandom", "zero"];
    assert!(own.iter().all(|name| seen.iter().any(|seen| seen == name)), "{seen:?}");
    // Of the machine's own there are more.
    let hidden = "console";
    assert!(devices("1").iter().any(|name| name == hidden));
    assert!(!seen.iter().any(|name| name == hidden), "{seen:?}");
    // Nor does it see others' processes.
    let nobody = "65534";
    let mut ls = vec!["nsenter", "--target", &helper, "--mount"];
    ls.extend(["--setuid", nobody, "--setgid", nobody, "ls", "/proc"]);
    let processes = machine.root(&ls);
    assert!(!processes.lines().any(|name| name == "1"), "{processes}");
}

#[test]
fn a_driver_that_never_answers_holds_up_nobody_else() {
    let machine = machine();
    let driver = Driver::install(&machine);
    driver.says(&json!({"calls": {"DeviceGetCount": {"hang": true}}, "gpus": [gpu(&[])]}));
    let (gpus, notes) = list(&machine, Who::Anna);
    assert_eq!(gpus, Vec::<Value>::new());
    let said = notes.iter().any(|note| note.as_str().unwrap().contains("driver"));
    assert!(said, "{notes:?}");
    machine.call(Who::Anna, "Services.List", "", &[]).ok();
    // Nothing of it is left behind.
    machine.wait_for("the end of aictl-nvml", || {
        let pids = machine.root(&["sh", "-c", "cat /proc/[0-9]*/comm 2>/dev/null || :"]);
        !pids.lines().any(|name| name == "aictl-nvml")
    });
}

#[test]
fn a_machine_without_a_gpu_has_none_and_no_complaint() {
    let machine = machine();
    assert_eq!(list(&machine, Who::Bob), (Vec::new(), Vec::new()));
}

/// By the helper and without it: what a process in a child of a service's unit has of a GPU is the
/// service's.
#[test]
fn memory_of_a_gpu_in_a_child_of_a_service_is_the_services() {
    const MEMORY: u64 = 7_900_000_000;
    let machine = machine();
    let driver = Driver::install(&machine);
    machine.root(&["systemctl", "start", "ollama.service"]);
    let (_, children) = processes_of(&machine, "ollama.service");
    driver.says(&json!({"gpus": [gpu(&[(children[0], MEMORY)])]}));
    for options in [&[][..], &["--embedded"]] {
        // `status` asks a helper that runs.
        machine.root(&["systemctl", "start", "aictld.service"]);
        let run = |argv: &[&str]| {
            let ran = machine.run(Who::Anna, &[&["aictl"], options, argv].concat());
            ran.ok()
        };
        let document: Value = serde_json::from_str(&run(&["status", "ollama", "--json"])).unwrap();
        assert_eq!(document["services"][0]["vram_bytes"], MEMORY, "{options:?}: {document:#}");
        let table = run(&["gpu", "--processes"]);
        let row = table.lines().find(|line| line.contains("ollama.service"));
        assert!(row.is_some_and(|row| row.contains("7.4 GiB")), "{options:?}: {table}");
    }
}
