//! Tests of what is read of GPUs, on trees that stand for /sys and /proc.

use std::os::unix::fs::symlink;

use aictl_api::gpu::{GpuProcess, Vendor};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::Value;

use self::tree::{Entry, Kind, Tree};
use super::*;
use crate::kernel_file;

mod tree;

/// One look at a tree.
fn look(memory: &mut Memory, tree: &Tree, now: Instant) -> GpuReport {
    let (sender, mut parts) = mpsc::unbounded_channel();
    let sources = tree.sources();
    memory.look(&sources, now, &sender);
    drop(sender);
    let mut seen = Seen::default();
    while let Ok(part) = parts.try_recv() {
        seen.add(part);
    }
    let mut report = together(GpuReport::default(), seen);
    name_processes(&mut report, &sources.proc, |owner| {
        (owner.unit == "ollama.service").then(|| "ollama".to_owned())
    });
    report
}

fn first_look(tree: &Tree) -> GpuReport {
    look(&mut Memory::default(), tree, Instant::now())
}

fn only(report: GpuReport) -> Gpu {
    assert_eq!(report.notes, Vec::<String>::new());
    let [gpu] = <[Gpu; 1]>::try_from(report.gpus).expect("one GPU");
    gpu
}

fn process(pid: u32, name: Option<&str>, unit: Option<&str>, bytes: u64) -> GpuProcess {
    let text = |text: Option<&str>| text.map(str::to_owned);
    GpuProcess {
        pid,
        name: text(name),
        unit: text(unit),
        service: text(unit.filter(|unit| *unit == "ollama.service").map(|_| "ollama")),
        memory_bytes: Some(bytes),
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_card_of_amds_tells_everything() {
    let gpu = only(first_look(&Tree::new("rx7900")));
    let expected = Gpu {
        name: text("AMD Radeon RX 7900 XTX"),
        uuid: text("GPU-3a5f00cafe001234"),
        pci_address: text("0000:03:00.0"),
        driver: text("amdgpu"),
        driver_version: text("6.10.5"),
        memory_total_bytes: Some(25_753_026_560),
        memory_used_bytes: Some(8_053_063_680),
        memory_shared: Some(false),
        utilisation_percent: Some(97.0),
        memory_utilisation_percent: Some(41.0),
        temperature_celsius: Some(61.0),
        power_watts: Some(312.0),
        power_limit_watts: Some(339.0),
        clock_graphics_mhz: Some(2304),
        clock_memory_mhz: Some(1249),
        fan_percent: Some(40),
        fan_rpm: Some(1480),
        // Of the card in its slot, not of the chip behind the card's own switch.
        pcie_generation: Some(3),
        pcie_generation_max: Some(4),
        pcie_width: Some(8),
        pcie_width_max: Some(16),
        throttling: Some(vec!["power limit".to_owned()]),
        ecc_enabled: Some(true),
        ecc_corrected: Some(17),
        ecc_uncorrected: Some(2),
        processes_hidden: Some(false),
        processes: Some(vec![
            // One client of two descriptors; the compute driver knows of a part of it.
            process(4242, Some("ollama"), Some("ollama.service"), 6 << 30),
            // Without the client that was handed down, and what is there before what was asked.
            process(4300, Some("kwin_wayland"), Some("plasma-kwin_wayland.service"), 100 << 20),
            // Of another user, by the compute driver alone.
            process(5150, None, None, 1 << 30),
        ]),
        ..Gpu::new(0, Vendor::Amd, GpuState::Awake)
    };
    assert_eq!(gpu, expected);
}

#[test]
fn older_files_tell_where_newer_ones_are_not() {
    let tree = Tree::new("rx7900");
    let device = "sys/devices/pci0000:00/0000:00:01.1/0000:01:00.0/0000:02:00.0/0000:03:00.0";
    let at = |file: &str| format!("{device}/{file}");
    for file in ["freq1_input", "freq2_input", "power1_average"] {
        tree.remove(&at(&format!("hwmon/hwmon4/{file}")));
    }
    tree.write(&at("hwmon/hwmon4/power1_input"), "7000000\n");
    tree.write(&at("product_name"), "AMD Instinct\u{1b}[31m MI100\n");
    tree.remove("usr/share/libdrm/amdgpu.ids");
    let gpu = only(first_look(&tree));
    assert_eq!((gpu.clock_graphics_mhz, gpu.clock_memory_mhz), (Some(2304), Some(1249)));
    assert_eq!(gpu.power_watts, Some(7.0));
    assert_eq!(gpu.name, text("AMD Instinct MI100"));

    tree.remove(&at("product_name"));
    assert_eq!(only(first_look(&tree)).name, text("AMD Radeon RX 7900 XT/7900 XTX"));
    tree.remove("usr/share/misc/pci.ids");
    assert_eq!(only(first_look(&tree)).name, text("AMD 1002:744c"));
}

#[test]
fn a_gpu_in_a_processor_of_amds_has_the_hosts_memory() {
    let gpu = only(first_look(&Tree::new("strix-halo")));
    let expected = Gpu {
        name: text("AMD Radeon Graphics / Radeon 8050S Graphics / Radeon 8060S Graphics"),
        pci_address: text("0000:c5:00.0"),
        driver: text("amdgpu"),
        memory_total_bytes: Some(536_870_912 + 118_111_600_640),
        memory_used_bytes: Some(419_430_400 + 70_866_960_384),
        memory_shared: Some(true),
        utilisation_percent: Some(88.0),
        temperature_celsius: Some(57.0),
        power_watts: Some(84.04),
        clock_graphics_mhz: Some(2712),
        pcie_generation: Some(4),
        pcie_generation_max: Some(4),
        pcie_width: Some(16),
        pcie_width_max: Some(16),
        processes_hidden: Some(false),
        processes: Some(vec![process(
            77,
            Some("llama-server"),
            Some("llama-cpp-native.service"),
            (300 << 20) + (64 << 30),
        )]),
        ..Gpu::new(0, Vendor::Amd, GpuState::Awake)
    };
    assert_eq!(gpu, expected);
}

#[test]
fn a_card_of_intels_with_i915_tells_what_it_can() {
    let tree = Tree::new("arc-a770");
    let start = Instant::now();
    let mut memory = Memory::default();
    let gpu = only(look(&mut memory, &tree, start));
    let expected = Gpu {
        name: text("Intel Arc A770"),
        pci_address: text("0000:03:00.0"),
        driver: text("i915"),
        memory_shared: Some(false),
        temperature_celsius: Some(54.0),
        power_limit_watts: Some(190.0),
        clock_graphics_mhz: Some(2400),
        fan_rpm: Some(1120),
        pcie_generation: Some(4),
        pcie_generation_max: Some(4),
        pcie_width: Some(16),
        pcie_width_max: Some(16),
        throttling: Some(vec!["power limit".to_owned(), "heat".to_owned()]),
        processes_hidden: Some(false),
        processes: Some(vec![process(310, Some("python3"), Some("vllm.service"), 8 << 30)]),
        ..Gpu::new(0, Vendor::Intel, GpuState::Awake)
    };
    assert_eq!(gpu, expected);

    // What is counted shows with the second look.
    let device = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:03:00.0";
    tree.write(&format!("{device}/hwmon/hwmon4/energy1_input"), "1300000000\n");
    tree.write(&format!("{device}/drm/card0/gt/gt0/rc6_residency_ms"), "100500\n");
    let again = only(look(&mut memory, &tree, start + Duration::from_secs(2)));
    let expected = Gpu { power_watts: Some(150.0), utilisation_percent: Some(75.0), ..expected };
    assert_eq!(again, expected);
}

#[test]
fn a_gpu_in_an_old_processor_of_intels_is_named_by_its_numbers() {
    let gpu = only(first_look(&Tree::new("intel-igpu")));
    let expected = Gpu {
        name: text("Intel 8086:5917"),
        pci_address: text("0000:00:02.0"),
        driver: text("i915"),
        memory_shared: Some(true),
        clock_graphics_mhz: Some(300),
        processes_hidden: Some(false),
        processes: Some(vec![GpuProcess {
            memory_bytes: None,
            ..process(600, Some("Xorg"), Some("session-2.scope"), 0)
        }]),
        ..Gpu::new(0, Vendor::Intel, GpuState::Awake)
    };
    assert_eq!(gpu, expected);
}

#[test]
fn a_card_of_intels_with_xe_tells_what_it_can() {
    let tree = Tree::new("arc-b580");
    let start = Instant::now();
    let mut memory = Memory::default();
    let gpu = only(look(&mut memory, &tree, start));
    let expected = Gpu {
        name: text("Intel Arc B580"),
        pci_address: text("0000:03:00.0"),
        driver: text("xe"),
        memory_total_bytes: Some(12_717_129_728),
        memory_used_bytes: Some(4_294_967_296),
        memory_shared: Some(false),
        temperature_celsius: Some(49.0),
        power_limit_watts: Some(190.0),
        clock_graphics_mhz: Some(2850),
        fan_rpm: Some(1600),
        pcie_generation: Some(4),
        pcie_generation_max: Some(4),
        pcie_width: Some(8),
        pcie_width_max: Some(8),
        throttling: Some(vec!["power limit".to_owned(), "heat".to_owned()]),
        processes_hidden: Some(false),
        processes: Some(vec![process(
            311,
            Some("llama-server"),
            Some("llama-cpp-native.service"),
            3 << 30,
        )]),
        ..Gpu::new(0, Vendor::Intel, GpuState::Awake)
    };
    assert_eq!(gpu, expected);

    // The busier of two parts counts, and the power of the whole card.
    let device = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:03:00.0";
    tree.write(&format!("{device}/hwmon/hwmon5/energy1_input"), "65000000\n");
    tree.write(&format!("{device}/tile0/gt0/gtidle/idle_residency_ms"), "30100\n");
    tree.write(&format!("{device}/tile0/gt1/gtidle/idle_residency_ms"), "91000\n");
    let again = only(look(&mut memory, &tree, start + Duration::from_secs(1)));
    assert_eq!((again.power_watts, again.utilisation_percent), (Some(60.0), Some(90.0)));

    // Of the whole package, where the card is not told; without flags for all at once.
    for file in ["hwmon/hwmon5/energy1_input", "tile0/gt0/freq0/throttle/reasons"] {
        tree.remove(&format!("{device}/{file}"));
    }
    tree.write(&format!("{device}/hwmon/hwmon5/power2_cap"), "120000000\n");
    tree.write(&format!("{device}/tile0/gt0/freq0/throttle/reason_thermal"), "0\n");
    let gpu = only(first_look(&tree));
    assert_eq!(gpu.power_limit_watts, Some(120.0));
    assert_eq!(gpu.throttling, Some(vec!["power limit".to_owned()]));
}

const SLEEPER: &str = "sys/devices/pci0000:00/0000:00:01.1/0000:03:00.0";

/// The names of the files below `directory` that are opened while `work` runs, as the kernel tells.
fn opened(directories: &[PathBuf], work: impl FnOnce()) -> Vec<String> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).expect("inotify");
    let mut pending = directories.to_vec();
    while let Some(directory) = pending.pop() {
        inotify.add_watch(&directory, AddWatchFlags::IN_OPEN).expect("a watch");
        for entry in std::fs::read_dir(&directory).expect("a directory").map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            }
        }
    }
    // What the above has opened.
    while inotify.read_events().is_ok() {}
    work();
    let mut names = Vec::new();
    while let Ok(events) = inotify.read_events() {
        names.extend(events.into_iter().filter_map(|event| event.name?.into_string().ok()));
    }
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn a_sleeping_gpu_is_not_woken() {
    let tree = Tree::new("laptop");
    let mut report = GpuReport::default();
    let directories = [SLEEPER, "proc/700/fdinfo"].map(|path| tree.path(path));
    let opened = opened(&directories, || report = first_look(&tree));
    // Of the device, what the kernel knows by itself; of the process, what it has on the other GPU.
    assert_eq!(opened, ["5", "device", "revision", "runtime_status", "vendor"]);

    assert_eq!(report.notes, Vec::<String>::new());
    let expected = [
        Gpu {
            name: text("AMD 1002:7480"),
            pci_address: text("0000:03:00.0"),
            driver: text("amdgpu"),
            ..Gpu::new(0, Vendor::Amd, GpuState::Sleeping)
        },
        Gpu {
            name: text("Intel 8086:64a0"),
            pci_address: text("0000:00:02.0"),
            driver: text("xe"),
            memory_shared: Some(true),
            clock_graphics_mhz: Some(400),
            throttling: Some(Vec::new()),
            processes_hidden: Some(false),
            processes: Some(vec![process(
                700,
                Some("gnome-shell"),
                Some("org.gnome.Shell@wayland.service"),
                96 << 20,
            )]),
            ..Gpu::new(1, Vendor::Intel, GpuState::Awake)
        },
    ];
    assert_eq!(report.gpus, expected);
}

#[test]
fn a_gpu_that_is_about_to_sleep_or_is_off_is_not_woken_either() {
    let states = [
        ("suspending", "D0", true),
        ("active", "D3cold", true),
        ("unsupported", "D3hot", true),
        ("resuming", "D0", false),
        ("unsupported", "unknown", false),
    ];
    for (status, power, sleeps) in states {
        let tree = Tree::new("laptop");
        tree.write(&format!("{SLEEPER}/power/runtime_status"), &format!("{status}\n"));
        tree.write(&format!("{SLEEPER}/power_state"), &format!("{power}\n"));
        let report = first_look(&tree);
        let is_asleep = report.gpus[0].state == GpuState::Sleeping;
        assert_eq!(is_asleep, sleeps, "{status} {power}");
        assert_eq!(report.gpus[0].memory_total_bytes.is_none(), sleeps, "{status} {power}");
    }
}

#[test]
fn what_was_counted_before_a_sleep_is_forgotten() {
    let tree = Tree::new("arc-a770");
    let device = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0/0000:03:00.0";
    let status = format!("{device}/power/runtime_status");
    let mut memory = Memory::default();
    let start = Instant::now();
    let mut look = |status_now: &str, seconds| {
        tree.write(&status, status_now);
        only(look(&mut memory, &tree, start + Duration::from_secs(seconds))).power_watts
    };
    assert_eq!(look("active", 0), None);
    assert_eq!(look("active", 1), Some(0.0));
    assert_eq!(look("suspended", 2), None);
    assert_eq!(look("active", 3), None);
    assert_eq!(look("active", 4), Some(0.0));
}

#[test]
fn equal_cards_are_told_apart_by_where_they_sit() {
    let report = first_look(&Tree::new("two-equal"));
    let short = report.gpus.iter().map(|gpu| {
        let processes = gpu.processes.as_ref().expect("processes");
        let processes = processes.iter().map(|process| (process.pid, process.memory_bytes));
        (gpu.index, gpu.pci_address.clone(), gpu.memory_used_bytes, processes.collect())
    });
    let expected: [(u32, Option<String>, Option<u64>, Vec<_>); 2] = [
        (0, text("0000:03:00.0"), Some(1_053_063_680), vec![(50, Some(1 << 30))]),
        (1, text("0000:41:00.0"), Some(8_053_063_680), vec![(50, Some(2 << 30))]),
    ];
    assert_eq!(short.collect::<Vec<_>>(), expected);
    assert_eq!(report.gpus[0].processes.as_ref().expect("processes")[0].unit, text("vllm.service"));
}

#[test]
fn a_gpu_that_goes_is_missed() {
    let tree = Tree::new("two-equal");
    let mut memory = Memory::default();
    assert_eq!(look(&mut memory, &tree, Instant::now()).gpus.len(), 2);
    for name in ["card0", "renderD128"] {
        tree.remove(&format!("sys/class/drm/{name}"));
    }
    tree.remove("sys/devices/pci0000:40");
    for _ in 0..2 {
        let report = look(&mut memory, &tree, Instant::now());
        assert_eq!(report.gpus.len(), 1);
        let gone = "AMD 1002:744c at 0000:41:00.0 is gone: `journalctl -k` may say why.";
        assert_eq!(report.notes, [gone]);
    }
}

#[test]
fn a_gpu_that_goes_while_it_is_looked_at_leaves_nothing_known() {
    let tree = Tree::new("arc-b580");
    let [card] = <[Card; 1]>::try_from(Card::all(&tree.path("sys"))).expect("a card");
    tree.remove("sys/devices");
    assert!(!card.is_asleep() && !card.is_there());
    let mut gpu = Gpu::new(0, Vendor::Intel, GpuState::Awake);
    assert_eq!(card.read(&mut gpu), delta::Counters::default());
    assert_eq!(
        gpu,
        Gpu { memory_shared: Some(false), ..Gpu::new(0, Vendor::Intel, GpuState::Awake) }
    );
}

#[test]
fn without_gpus_no_process_is_looked_at() {
    let tree = Tree::new("rx7900");
    tree.remove("sys/class/drm");
    let mut report = GpuReport::default();
    let opened = opened(&[tree.path("proc")], || report = first_look(&tree));
    assert_eq!(report, GpuReport::default());
    assert_eq!(opened, Vec::<String>::new());
}

#[test]
fn only_processes_with_a_card_open_are_looked_into() {
    let tree = Tree::new("rx7900");
    let opened = opened(&[tree.path("proc/901"), tree.path("proc/1")], || {
        first_look(&tree);
    });
    assert_eq!(opened, ["fd"]);
}

#[test]
fn processes_of_others_that_may_have_a_gpu_are_mentioned_once() {
    let tree = Tree::new("rx7900");
    // Who is not shown the first process is not shown those of other users.
    tree.remove("proc/1");
    let report = first_look(&tree);
    assert_eq!(report.gpus[0].processes_hidden, Some(true));
    assert_eq!(report.notes.len(), 1);
    assert!(report.notes[0].starts_with("Processes of other users"), "{:?}", report.notes);
    assert_eq!(report.gpus[0].processes.as_ref().expect("processes").len(), 3);

    // Without /proc, they cannot be listed, but for those that the compute driver knows.
    tree.remove("proc");
    let report = first_look(&tree);
    assert_eq!(pids(&report.gpus[0]), Some(vec![4242, 5150]));
    assert_eq!(report.gpus[0].processes_hidden, Some(true));
    tree.remove("sys/class/kfd");
    assert_eq!(pids(&first_look(&tree).gpus[0]), None);
}

fn pids(gpu: &Gpu) -> Option<Vec<u32>> {
    gpu.processes.as_ref().map(|all| all.iter().map(|process| process.pid).collect())
}

#[tokio::test]
async fn what_the_helper_may_not_look_at_is_added() {
    let tree = Tree::new("rx7900");
    let mut reader = Reader::new(tree.sources());
    let complete = reader.read(Duration::from_secs(60)).await;
    // The helper knows of less: of one process a part, and of others whose they are.
    let mut told = complete.clone();
    told.notes.push(processes::HIDDEN.to_owned());
    told.notes.push("Something else.".to_owned());
    told.gpus[0].processes_hidden = Some(true);
    let of_helper = [
        process(4242, Some("ollama"), Some("ollama.service"), 5 << 30),
        process(5150, None, Some("vllm.service"), 1 << 30),
    ];
    told.gpus[0].processes = Some(of_helper.to_vec());
    let mut report = told.clone();
    reader.add_own(&mut report, Duration::from_secs(60)).await;
    assert_eq!(report.notes, ["Something else."]);
    assert_eq!(report.gpus[0].processes_hidden, Some(false));
    let processes = report.gpus[0].processes.clone().expect("processes");
    assert_eq!(processes[0], GpuProcess { memory_bytes: Some(6 << 30), ..of_helper[0].clone() });
    assert_eq!(processes[1].unit, text("plasma-kwin_wayland.service"));
    assert_eq!(processes[2], of_helper[1]);

    // We may look at nothing either.
    tree.remove("proc");
    tree.remove("sys/class/kfd");
    let mut report = told.clone();
    reader.add_own(&mut report, Duration::from_secs(60)).await;
    assert_eq!(report, told);
    // It is not woken for it.
    let tree = Tree::new("laptop");
    let mut reader = Reader::new(tree.sources());
    let mut report = reader.read(Duration::from_secs(60)).await;
    report.gpus[0].processes_hidden = Some(true);
    report.notes.push(processes::HIDDEN.to_owned());
    let told = report.clone();
    reader.add_own(&mut report, Duration::from_secs(60)).await;
    assert_eq!(report, told);
}

#[test]
fn cards_that_are_none_of_ours_are_left_out() {
    let tree = Tree::new("intel-igpu");
    let drm = |path: &str| tree.path(&format!("sys/class/drm/{path}"));
    // A screen without a GPU, on no bus; one of a virtual machine; a plug; odd names.
    std::fs::create_dir_all(drm("card7")).expect("a directory");
    symlink("../../../simple-framebuffer.0", drm("card7/device")).expect("a link");
    for (name, vendor) in [("card8", "0x1af4\n"), ("card9", "nonsense"), ("card9-DP-1", "0x1002")] {
        std::fs::create_dir_all(drm(name)).expect("a directory");
        let device = format!("sys/devices/{name}/0000:09:00.0");
        std::fs::create_dir_all(tree.path(&device)).expect("a directory");
        tree.write(&format!("{device}/vendor"), vendor);
        tree.write(&format!("{device}/device"), "0x1050\n");
        symlink(tree.path(&device), drm(&format!("{name}/device"))).expect("a link");
    }
    assert_eq!(only(first_look(&tree)).pci_address, text("0000:00:02.0"));
}

#[test]
fn a_card_without_a_driver_that_tells_has_a_name() {
    let tree = Tree::new("intel-igpu");
    tree.remove("sys/devices/pci0000:00/0000:00:02.0/driver");
    tree.write("sys/devices/pci0000:00/0000:00:02.0/vendor", "0x10de\n");
    symlink(
        "../../../bus/pci/drivers/nouveau",
        tree.path("sys/devices/pci0000:00/0000:00:02.0/driver"),
    )
    .expect("a link");
    let expected = Gpu {
        name: text("NVIDIA 10de:5917"),
        pci_address: text("0000:00:02.0"),
        driver: text("nouveau"),
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    };
    assert_eq!(only(first_look(&tree)), expected);
}

#[test]
fn nvml_is_right_about_a_gpu_that_both_know() {
    let nvidia = |address: &str| Gpu {
        pci_address: text(address),
        name: text("told by NVML"),
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    };
    let mut seen = Seen::default();
    let found = ["0000:01:00.0", "0000:02:00.0"].map(|address| {
        (address.parse().expect("an address"), Gpu { name: None, ..nvidia(address) })
    });
    seen.add(Part::Found(found.to_vec()));
    let gpus = vec![nvidia("00000000:02:00.0"), nvidia("0000:03:00.0")];
    let report = together(GpuReport { gpus, notes: Vec::new() }, seen);
    let short: Vec<_> = report.gpus.iter().map(|gpu| (gpu.index, gpu.name.is_some())).collect();
    assert_eq!(short, [(0, true), (1, false), (2, true)]);
}

#[test]
fn a_driver_that_hangs_leaves_the_others() {
    let found = |address: &str, vendor| {
        (address.parse().expect("an address"), Gpu::new(0, vendor, GpuState::Awake))
    };
    let (amd, intel) = (found("0000:03:00.0", Vendor::Amd), found("0000:00:02.0", Vendor::Intel));
    let mut seen = Seen::default();
    seen.add(Part::Found(vec![amd.clone(), intel]));
    seen.add(Part::Read(amd.0, Box::new(amd.1)));
    seen.say_late();
    let report = together(GpuReport::default(), seen);
    assert_eq!(report.notes, Vec::<String>::new());
    assert_eq!(report.gpus[0].notes, Vec::<String>::new());
    assert_eq!(report.gpus[1].notes, ["Its driver does not answer: `journalctl -k` may say why."]);
}

// It is held so that the thread of the look cannot have it.
#[allow(clippy::await_holding_lock)]
#[tokio::test]
async fn a_look_that_never_ends_is_not_joined_by_more() {
    let tree = Tree::new("rx7900");
    let mut reader = Reader::new(tree.sources());
    let memory = Arc::clone(&reader.memory);
    let held = memory.lock().expect("the lock");
    // It would be waited for without an end.
    let report = reader.read(Duration::MAX).await;
    assert_eq!(report.gpus, []);
    assert_eq!(report.notes, ["A graphics driver does not answer: `journalctl -k` may say why."]);
    drop(held);
    assert_eq!(reader.read(Duration::from_secs(60)).await.gpus.len(), 1);
}

#[tokio::test]
async fn a_reader_reads() {
    let tree = Tree::new("rx7900");
    let report = read(&tree.sources(), Duration::from_secs(60)).await;
    assert_eq!(report.gpus[0].name, text("AMD Radeon RX 7900 XTX"));
    let processes = report.gpus[0].processes.as_ref().expect("processes");
    assert_eq!(processes[0].unit, text("ollama.service"));
}

#[tokio::test]
async fn this_machine_can_be_looked_at() {
    let nvml = NvmlProgram { program: PathBuf::from("/nonexistent"), library: None };
    let report = read(&Sources::host(nvml), Duration::from_secs(60)).await;
    assert!(report.gpus.iter().all(|gpu| gpu.pci_address.is_some()), "{report:?}");
}

/// Numbers that nobody can foresee, the same in each run (xorshift64).
struct Chance(u64);

impl Chance {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// Fails if a number in the report is 0: in the trees, there is none.
fn assert_no_zero(report: &GpuReport, trial: &dyn std::fmt::Debug) {
    for gpu in &report.gpus {
        let mut gpu = serde_json::to_value(gpu).expect("JSON");
        gpu["index"] = Value::Null;
        let mut pending = vec![&gpu];
        while let Some(value) = pending.pop() {
            match value {
                Value::Array(values) => pending.extend(values),
                Value::Object(fields) => pending.extend(fields.values()),
                Value::Number(number) => assert_ne!(number.as_f64(), Some(0.0), "{trial:?} {gpu}"),
                _ => {}
            }
        }
    }
}

#[test]
fn whatever_is_missing_is_unknown() {
    let mut chance = Chance(0x5eed);
    for (name, text) in tree::ALL {
        let all = tree::entries(text);
        for _ in 0..8 {
            let keep = chance.next(10) + 1;
            let entries: Vec<Entry> =
                all.iter().filter(|_| chance.next(11) < keep).cloned().collect();
            let report = first_look(&Tree::of(&entries));
            assert_no_zero(&report, &(name, &entries));
        }
    }
}

#[test]
fn whatever_stands_in_a_file_is_harmless() {
    let mut chance = Chance(0xbad);
    let odd: [&[u8]; 14] = [
        b"",
        b"\0\0\0\0",
        b"-1\n",
        b"18446744073709551615\n",
        b"99999999999999999999999999\n",
        b"-9223372036854775808\n",
        b"NaN\n",
        b"0x\n",
        b"\xff\xfe\x80",
        b"\x1b]0;x\x07\x1b[2J\n",
        b": : :\n:\n*\n",
        b"drm-pdev:\t0000:03:00.0\ndrm-resident-vram:\t18446744073709551615 GiB\n",
        b"location_id 4294967295\ndomain -1\n",
        &[b'7'; 70_000],
    ];
    for (_, text) in tree::ALL {
        let all = tree::entries(text);
        for _ in 0..8 {
            let mut entries = all.clone();
            for entry in &mut entries {
                if let Kind::File(bytes) = &mut entry.kind
                    && chance.next(3) == 0
                {
                    *bytes = odd[usize::try_from(chance.next(14)).expect("small")].to_vec();
                } else if chance.next(40) == 0 && !matches!(entry.kind, Kind::Link(_)) {
                    entry.path += "/x";
                }
            }
            let report = first_look(&Tree::of(&entries));
            let json = serde_json::to_string(&report).expect("JSON");
            assert!(!json.contains("\\u001b") && !json.contains("\\u0000"), "{json}");
            let back: GpuReport = serde_json::from_str(&json).expect("the same");
            assert_eq!(back, report);
        }
    }
}

#[test]
fn what_is_no_plain_file_is_not_read() {
    let tree = Tree::new("strix-halo");
    let device = "sys/devices/pci0000:00/0000:00:08.1/0000:c5:00.0";
    let fifo = format!("{device}/gpu_busy_percent");
    tree.remove(&fifo);
    nix::unistd::mkfifo(&tree.path(&fifo), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    assert_eq!(only(first_look(&tree)).utilisation_percent, None);
    assert_eq!(kernel_file::bytes(&tree.path(&fifo), 9), None);
    assert_eq!(kernel_file::bytes(&tree.path(device), 9), None);
}
