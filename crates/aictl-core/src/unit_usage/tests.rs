use std::{
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use super::*;

const UNIT: &str = "/system.slice/ollama.service";

/// Files of a kernel, in a directory that goes with it.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("aictl-usage-{}-{}", process::id(), COUNT.fetch_add(1, Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    /// With each line `PATH = TEXT`, in which `\n` is a line's end.
    fn of(lines: &str) -> Self {
        let tree = Self::new();
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let (path, text) = line.split_once(" = ").unwrap();
            tree.write(path, &text.replace("\\n", "\n").replace("\\t", "\t"));
        }
        tree
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Its hierarchies: those whose directories are there.
    fn roots(&self) -> Roots {
        let root = self.0.display();
        let mounts = [
            ("unified", "cgroup2 cgroup2 rw"),
            ("systemd", "cgroup cgroup rw,name=systemd"),
            ("memory", "cgroup cgroup rw,memory"),
            ("cpuacct", "cgroup cgroup rw,cpu,cpuacct"),
            ("pids", "cgroup cgroup rw,pids"),
        ];
        let there = mounts.into_iter().filter(|(name, _)| self.0.join(name).is_dir());
        let lines: Vec<String> =
            there.map(|(name, end)| format!("1 1 0:1 / {root}/{name} rw - {end}")).collect();
        Roots::read(&lines.join("\n"), self.0.join("proc"))
    }

    fn usage(&self) -> Option<Usage> {
        usage(&self.roots(), UNIT)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

const UNIFIED: &str = "
unified/cpu.stat = usage_usec 999999999\\n
unified/system.slice/ollama.service/cgroup.procs = 7\\n
unified/system.slice/ollama.service/cgroup.threads = 7\\n8\\n
unified/system.slice/ollama.service/cpu.stat = usage_usec 1500000\\nuser_usec 1\\nsystem_usec 2\\n
unified/system.slice/ollama.service/runner/cgroup.procs = 4294967\\n9\\n0\\n
unified/system.slice/ollama.service/runner/cgroup.threads = 9\\n4294967\\n
unified/system.slice/ollama.service/runner/deep/cgroup.procs = 11\\n
unified/system.slice/vllm.service/cgroup.procs = 666\\n
proc/7/status = Name:\\tx\\nVmRSS:\\t    1024 kB\\nRssAnon:\\t 1 kB\\n
proc/9/status = VmRSS:\\t 1 kB\\n
proc/11/status = Name:\\tending\\n
proc/4294967/status = VmRSS:\\t 2 kB\\n
";
const CONTROLLERS: &str = "
unified/system.slice/ollama.service/memory.current = 8589934592\\n
unified/system.slice/ollama.service/memory.events = low 0\\noom 3\\noom_kill 2\\noom_group_kill 0\\n
unified/system.slice/ollama.service/pids.current = 40\\n
";

#[test]
fn version_2_with_controllers_counts_by_itself() {
    let usage = Tree::of(&format!("{UNIFIED}{CONTROLLERS}")).usage().unwrap();
    assert_eq!(
        usage,
        Usage {
            cpu: Some(Duration::from_millis(1500)),
            memory_bytes: Some(8 << 30),
            tasks: Some(40),
            oom_kills: Some(2),
            pids: vec![7, 9, 11, 4_294_967],
        }
    );
}

#[test]
fn version_2_without_controllers_is_summed_up_over_processes() {
    let usage = Tree::of(UNIFIED).usage().unwrap();
    assert_eq!(
        usage,
        Usage {
            cpu: Some(Duration::from_millis(1500)),
            memory_bytes: Some((1024 + 1 + 2) * 1024),
            tasks: Some(4),
            oom_kills: None,
            pids: vec![7, 9, 11, 4_294_967],
        }
    );
}

#[test]
fn a_process_that_is_hidden_makes_the_sum_unknown() {
    let tree = Tree::of(UNIFIED);
    fs::remove_dir_all(tree.0.join("proc/9")).unwrap();
    let usage = tree.usage().unwrap();
    assert_eq!(usage.memory_bytes, None);
    assert_eq!(usage.pids, [7, 9, 11, 4_294_967]);
}

const VERSION_1: &str = "
systemd/system.slice/ollama.service/cgroup.procs = 7\\n
systemd/system.slice/ollama.service/tasks = 7\\n8\\n
systemd/system.slice/ollama.service/child/cgroup.procs = 9\\n
systemd/system.slice/ollama.service/child/tasks = 9\\n
";
const VERSION_1_CONTROLLERS: &str = "
memory/memory.usage_in_bytes = 999999999\\n
memory/system.slice/ollama.service/memory.usage_in_bytes = 4096\\n
memory/system.slice/ollama.service/memory.oom_control = oom_kill_disable 0\\nunder_oom 0\\noom_kill 1\\n
memory/system.slice/ollama.service/child/memory.oom_control = oom_kill_disable 0\\noom_kill 2\\n
cpuacct/cpuacct.usage = 999999999\\n
cpuacct/system.slice/ollama.service/cpuacct.usage = 2000000000\\n
pids/system.slice/ollama.service/pids.current = 12\\n
";

#[test]
fn version_1_is_read_from_its_controllers() {
    let usage = Tree::of(&format!("{VERSION_1}{VERSION_1_CONTROLLERS}")).usage().unwrap();
    assert_eq!(
        usage,
        Usage {
            cpu: Some(Duration::from_secs(2)),
            memory_bytes: Some(4096),
            tasks: Some(12),
            oom_kills: Some(3),
            pids: vec![7, 9],
        }
    );
}

/// A unit that systemd counts nothing for has no group of its own there, and what the groups above
/// it use is not its own.
#[test]
fn version_1_without_a_group_of_the_units_is_unknown() {
    let elsewhere = VERSION_1_CONTROLLERS.replace("ollama.service", "vllm.service");
    let usage = Tree::of(&format!("{VERSION_1}{elsewhere}")).usage().unwrap();
    let pids = vec![7, 9];
    assert_eq!(usage, Usage { tasks: Some(3), pids, ..Usage::default() });
}

#[test]
fn a_hybrid_machine_has_a_bit_of_each() {
    let tree = Tree::of(&format!("{UNIFIED}{VERSION_1}{VERSION_1_CONTROLLERS}"));
    let usage = tree.usage().unwrap();
    assert_eq!(
        usage,
        Usage {
            cpu: Some(Duration::from_millis(1500)),
            memory_bytes: Some(4096),
            tasks: Some(12),
            oom_kills: Some(3),
            pids: vec![7, 9, 11, 4_294_967],
        }
    );
}

#[test]
fn a_group_that_is_not_there_is_unknown() {
    let tree = Tree::of(UNIFIED);
    for group in ["/system.slice/x.service", "/", "", "/../proc", "relative", "//"] {
        assert_eq!(usage(&tree.roots(), group), None, "{group}");
    }
    assert_eq!(usage(&Roots::default(), UNIT), None);
    // It went after its directory was seen.
    let empty = Tree::new();
    fs::create_dir_all(empty.0.join("unified/system.slice/ollama.service")).unwrap();
    assert_eq!(empty.usage(), Some(Usage { memory_bytes: Some(0), ..Usage::default() }));
}

#[test]
fn odd_contents_are_unknown() {
    for odd in ["", "\\n", "max\\n", "-1\\n", "1 2\\n", "99999999999999999999999\\n", "\u{0}"] {
        let lines = format!(
            "{UNIFIED}
unified/system.slice/ollama.service/memory.current = {odd}
unified/system.slice/ollama.service/pids.current = {odd}
unified/system.slice/ollama.service/cpu.stat = usage_usec {odd}
unified/system.slice/ollama.service/memory.events = oom_kill {odd}
unified/system.slice/ollama.service/cgroup.procs = {odd}
proc/9/status = VmRSS: {odd} kB
"
        );
        let usage = Tree::of(&lines).usage().unwrap();
        assert_eq!((usage.cpu, usage.oom_kills), (None, None), "{odd:?}");
        assert!(usage.pids.contains(&11), "{odd:?}");
    }
}

#[test]
fn only_so_many_groups_are_looked_into() {
    let tree = Tree::new();
    let unit = tree.0.join("unified/system.slice/ollama.service");
    for number in 0..=MAX_GROUPS {
        fs::create_dir_all(unit.join(number.to_string())).unwrap();
    }
    assert_eq!(groups(&unit).len(), MAX_GROUPS);
}

/// Of a real kernel: the group that this test runs in, or else none.
#[test]
fn the_machine_at_hand_is_read() {
    let roots = Roots::host();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let groups = own.lines().filter_map(|line| {
        let (_, group) = line.split_once("::").or_else(|| line.split_once(":name=systemd:"))?;
        (group != "/").then_some(group)
    });
    for group in groups {
        if let Some(usage) = usage(&roots, group) {
            assert!(usage.pids.contains(&process::id()), "{group}: {usage:?}");
            assert!(usage.tasks.is_some_and(|tasks| tasks > 0), "{group}: {usage:?}");
        }
    }
}
