//! The processes that a script puts on a GPU.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::code::Code;
use crate::layout::{NO_INSTANCE, NOT_AVAILABLE, ProcessInfo};
use crate::script::wrong;

/// The processes of an answer (`{"processes": […]}`), with those that are named in another way
/// than by number looked up now.
pub fn list(answer: &Value, proc: &Path) -> Result<Vec<ProcessInfo>, Code> {
    let list = answer.get("processes").and_then(Value::as_array);
    let list = list.ok_or_else(|| wrong(&format!("no list of processes: {answer}")))?;
    let mut found = Vec::new();
    for entry in list {
        let number = |name: &str| entry.get(name).and_then(Value::as_u64);
        let small = |name: &str| number(name).and_then(|n| u32::try_from(n).ok());
        let info = |pid| ProcessInfo {
            pid,
            used_gpu_memory: number("memory").unwrap_or(NOT_AVAILABLE),
            gpu_instance_id: small("gpu_instance").unwrap_or(NO_INSTANCE),
            compute_instance_id: small("compute_instance").unwrap_or(NO_INSTANCE),
        };
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let pids = match (small("pid"), text("pid_of_comm"), text("pids_of_unit_cgroup")) {
            (Some(pid), None, None) => vec![pid],
            (None, Some(name), None) => having(proc, "comm", |text| text.trim_end() == name),
            (None, None, Some(group)) => having(proc, "cgroup", |text| is_in(text, group)),
            _ => return Err(wrong(&format!("no process: {entry}"))),
        };
        found.extend(pids.into_iter().map(info));
    }
    Ok(found)
}

/// The processes whose file `file` in `proc` is as wanted, from the lowest number on.
fn having(proc: &Path, file: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<u32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let all = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut pids: Vec<u32> = all
        .filter(|pid| {
            // One that is gone by now is in no list.
            let text = fs::read_to_string(proc.join(pid.to_string()).join(file));
            text.is_ok_and(|text| is_wanted(&text))
        })
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether what `/proc/PID/cgroup` says is the control group `group`, or one below it.
fn is_in(text: &str, group: &str) -> bool {
    // Each line is "number:controllers:path" (cgroups(7)).
    text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).any(|path| {
        path.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_process_is_in_its_control_group_and_in_those_above() {
        let group = "/system.slice/ollama.service";
        for (text, want) in [
            ("0::/system.slice/ollama.service\n", true),
            ("0::/system.slice/ollama.service/runner\n", true),
            ("1:name=systemd:/system.slice/ollama.service\n0::/\n", true),
            ("0::/system.slice/ollama.service2\n", false),
            ("0::/system.slice\n", false),
            ("", false),
        ] {
            assert_eq!(is_in(text, group), want, "{text:?}");
        }
    }

    #[test]
    fn processes_are_named_by_number_by_name_and_by_control_group() {
        let proc = std::env::temp_dir().join(format!("fake-nvml-{}", std::process::id()));
        for (pid, comm, group) in [
            ("12", "ollama", "/system.slice/ollama.service"),
            ("7", "runner", "/system.slice/ollama.service/child"),
            ("9", "bash", "/user.slice"),
            ("self", "bash", "/user.slice"),
        ] {
            let own = proc.join(pid);
            fs::create_dir_all(&own).unwrap();
            fs::write(own.join("comm"), format!("{comm}\n")).unwrap();
            fs::write(own.join("cgroup"), format!("0::{group}\n")).unwrap();
        }
        let pids = |entry: Value| {
            let list = list(&json!({"processes": [entry]}), &proc);
            list.map(|list| list.iter().map(|p| (p.pid, p.used_gpu_memory)).collect::<Vec<_>>())
        };
        let group = "/system.slice/ollama.service";
        let by_group = pids(json!({"pids_of_unit_cgroup": group, "memory": 5}));
        assert_eq!(by_group, Ok(vec![(7, 5), (12, 5)]));
        assert_eq!(pids(json!({"pid_of_comm": "bash"})), Ok(vec![(9, NOT_AVAILABLE)]));
        assert_eq!(pids(json!({"pid_of_comm": "gone"})), Ok(vec![]));
        assert_eq!(pids(json!({"pid": 1, "memory": 0})), Ok(vec![(1, 0)]));
        assert_eq!(pids(json!({"memory": 0})), Err(Code::UNKNOWN));
        assert_eq!(pids(json!({"pid": 1, "pid_of_comm": "x"})), Err(Code::UNKNOWN));
        fs::remove_dir_all(proc).unwrap();
    }
}
