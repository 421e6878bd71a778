//! Tests of whether NVIDIA's driver is asked, and of what becomes of whoever asks it. The program
//! itself, on a library of ours, is tested in its own crate.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use super::*;

/// A directory of its own for one test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("nvml-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A device; without a driver if that is empty.
    fn device(&self, address: &str, class: &str, vendor: &str, driver: &str, sleep: [&str; 2]) {
        let device = format!("sys/bus/pci/devices/{address}");
        self.write(&format!("{device}/class"), &format!("{class}\n"));
        self.write(&format!("{device}/vendor"), &format!("{vendor}\n"));
        for (file, text) in ["power/runtime_status", "power_state"].into_iter().zip(sleep) {
            if !text.is_empty() {
                self.write(&format!("{device}/{file}"), &format!("{text}\n"));
            }
        }
        if !driver.is_empty() {
            let link = self.0.join(device).join("driver");
            symlink(format!("../../../../bus/pci/drivers/{driver}"), link).unwrap();
        }
    }

    /// A program in the place of `aictl-nvml`.
    fn program(&self, script: &str) -> NvmlProgram {
        let program = self.0.join(NAME);
        aictl_fakes::shell_script(&program, script);
        NvmlProgram { program, library: None }
    }

    async fn read(&self, program: &NvmlProgram, time: Duration) -> GpuReport {
        let root = |name| self.0.join(name);
        read(program, &root("sys"), &root("dev"), &root("proc"), time).await
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(50);

const VGA: &str = "0x030000";
const THREE_D: &str = "0x030200";
const AMD: &str = "0x1002";
const ON: [&str; 2] = ["active", "D0"];
const LIGHT: [&str; 2] = ["suspended", "D3hot"];
const DEEP: [&str; 2] = ["suspended", "D3cold"];

#[test]
fn a_device_sleeps_lightly_or_deeply() {
    for (status, state, want) in [
        (Some("active"), Some("D0"), Sleep::Awake),
        (Some("unsupported"), Some("D0"), Sleep::Awake),
        (Some("active"), None, Sleep::Awake),
        (Some("active"), Some("unknown"), Sleep::Awake),
        (None, None, Sleep::Awake),
        (Some("suspended"), Some("D3hot"), Sleep::Light),
        // Powered down by its driver, which the bus does not know of.
        (Some("suspended"), Some("D0"), Sleep::Light),
        (Some("active"), Some("D3hot"), Sleep::Light),
        (Some("suspended"), Some("D3cold"), Sleep::Deep),
        (Some("resuming"), Some("D3cold"), Sleep::Deep),
        (None, Some("D3cold"), Sleep::Deep),
        // Kernels before 5.11 do not say how deeply.
        (Some("suspended"), None, Sleep::Deep),
        (Some("suspending"), Some("unknown"), Sleep::Deep),
    ] {
        assert_eq!(sleep(status, state), want, "{status:?} {state:?}");
    }
}

/// A device of a test: its address, class, vendor, driver and sleep.
type There = (&'static str, &'static str, &'static str, &'static str, [&'static str; 2]);
/// What a test expects of each GPU that was told of: its address, its state, and whether it has a
/// note.
type Told = (&'static str, GpuState, bool);
/// A test's name, its devices, whether there is a driver, who is asked, and who is told of.
type Case<'a> = (&'a str, &'a [There], bool, Option<&'a [&'a str]>, &'a [Told]);

#[test]
fn only_those_are_asked_who_are_awake_and_only_if_that_wakes_nobody() {
    let (first, second) = ("0000:01:00.0", "0000:02:00.0");
    let sleeping = |address| (address, GpuState::Sleeping, false);
    let cases: &[Case<'_>] = &[
        ("nothing", &[], false, None, &[]),
        ("no device, but a driver", &[], true, Some(&[]), &[]),
        ("another's", &[(first, VGA, AMD, "amdgpu", ON)], false, None, &[]),
        ("no GPU", &[(first, "0x0c0330", NVIDIA, "xhci_hcd", ON)], false, None, &[]),
        ("no GPU, asleep", &[(first, "0x0c0330", NVIDIA, "xhci_hcd", DEEP)], true, Some(&[]), &[]),
        ("one", &[(first, VGA, NVIDIA, "nvidia", ON)], true, Some(&[first]), &[]),
        (
            "two",
            &[(first, VGA, NVIDIA, "nvidia", ON), (second, THREE_D, NVIDIA, "nvidia", ON)],
            true,
            Some(&[first, second]),
            &[],
        ),
        ("no driver", &[(first, VGA, NVIDIA, "", ON)], false, Some(&[]), &[]),
        ("no driver, asleep", &[(first, VGA, NVIDIA, "", DEEP)], false, None, &[]),
        ("another driver", &[(first, VGA, NVIDIA, "nouveau", ON)], true, None, &[]),
        ("asleep", &[(first, VGA, NVIDIA, "nvidia", LIGHT)], true, None, &[sleeping(first)]),
        ("deeply asleep", &[(first, VGA, NVIDIA, "nvidia", DEEP)], true, None, &[sleeping(first)]),
        (
            "one of two asleep",
            &[(first, VGA, NVIDIA, "nvidia", LIGHT), (second, VGA, NVIDIA, "nvidia", ON)],
            true,
            Some(&[second]),
            &[sleeping(first)],
        ),
        (
            "one of two deeply asleep",
            &[(first, VGA, NVIDIA, "nvidia", DEEP), (second, VGA, NVIDIA, "nvidia", ON)],
            true,
            None,
            &[sleeping(first), (second, GpuState::Awake, true)],
        ),
        (
            "another's deeply asleep",
            &[(first, VGA, AMD, "amdgpu", DEEP), (second, VGA, NVIDIA, "nvidia", ON)],
            true,
            None,
            &[(second, GpuState::Awake, true)],
        ),
        (
            "another's lightly asleep",
            &[(first, VGA, AMD, "amdgpu", LIGHT), (second, VGA, NVIDIA, "nvidia", ON)],
            true,
            Some(&[second]),
            &[],
        ),
    ];
    for (name, devices_of, has_driver, ask, told) in cases {
        let dir = Dir::new();
        for (address, class, vendor, driver, sleep) in *devices_of {
            dir.device(address, class, vendor, driver, *sleep);
        }
        let plan = plan(&devices(&dir.0.join("sys")), *has_driver);
        let asked = plan.ask.map(|list| list.iter().map(Address::to_string).collect::<Vec<_>>());
        let wanted = ask.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(asked, wanted, "{name}");
        let found: Vec<(&str, GpuState, bool)> = plan
            .told
            .iter()
            .map(|gpu| (gpu.pci_address.as_deref().unwrap(), gpu.state, !gpu.notes.is_empty()))
            .collect();
        assert_eq!(found, *told, "{name}");
    }
}

#[test]
fn a_driver_is_known_by_its_files() {
    for file in ["dev/nvidiactl", "dev/dxg", "proc/driver/nvidia/version"] {
        let dir = Dir::new();
        assert!(!has_driver(&dir.0.join("dev"), &dir.0.join("proc")));
        dir.write(file, "");
        assert!(has_driver(&dir.0.join("dev"), &dir.0.join("proc")), "{file}");
    }
}

#[test]
fn the_program_gives_up_before_its_caller() {
    let address: Address = "0000:01:00.0".parse().unwrap();
    for (time, want) in [(3000, "2750"), (500, "450"), (1, "1"), (0, "1"), (600_000, "60000")] {
        let words = arguments(None, &[address], Duration::from_millis(time));
        assert_eq!(words, ["--time", want, "0000:01:00.0"].map(PathBuf::from));
    }
    let words = arguments(Some(Path::new("/x.so")), &[], Duration::from_secs(1));
    assert_eq!(words, ["--time", "900", "--library", "/x.so"].map(PathBuf::from));
}

/// A machine with one GPU that is awake.
fn machine() -> Dir {
    let dir = Dir::new();
    dir.device("0000:01:00.0", VGA, NVIDIA, "nvidia", ON);
    dir
}

#[tokio::test]
async fn who_sleeps_is_told_of_and_no_program_started() {
    let dir = Dir::new();
    dir.device("0000:01:00.0", VGA, NVIDIA, "nvidia", DEEP);
    let program = dir.program("touch \"$0\".started");
    let report = dir.read(&program, LONG).await;
    assert!(!dir.0.join("aictl-nvml.started").exists());
    assert_eq!(report.notes, [""; 0]);
    assert_eq!(report.gpus.len(), 1);
    assert_eq!(report.gpus[0].state, GpuState::Sleeping);
}

#[tokio::test]
async fn the_program_is_started_with_nothing_but_what_it_needs() {
    let dir = machine();
    let program = dir.program(
        r#"{ echo "$@"; env | grep -v '^PWD=\|^_=\|^SHLVL='; pwd; readlink /proc/self/fd/0; } > "$0.saw"
        echo '{"gpus":[],"notes":[]}'"#,
    );
    let report = dir.read(&program, LONG).await;
    assert_eq!(report, GpuReport::default());
    let saw = fs::read_to_string(dir.0.join("aictl-nvml.saw")).unwrap();
    assert_eq!(saw, "--time 49750 0000:01:00.0\nLC_ALL=C\n/\n/dev/null\n");
}

#[tokio::test]
async fn whatever_the_program_does_there_is_a_report() {
    let absent = "there is no /";
    for (script, word) in [
        ("", "ended with exit status: 0"),
        ("echo sick >&2; exit 3", "ended with exit status: 3 (sick)"),
        ("printf 'a\\033[31mb\\033[0m\\n' >&2; exit 1", "(ab)"),
        ("kill -SEGV $$", "signal: 11"),
        ("echo hello", "another version"),
        ("echo '{}'", "another version"),
        ("echo '{\"gpus\":[],\"notes\":[]'", "another version"),
        ("printf '{\"gpus\":[],\"notes\":[]}'", "ended with exit status: 0"),
        ("exec cat /dev/zero", "another version"),
        ("exec yes >&2", "did not answer within"),
        ("#", "ended with"),
    ] {
        let dir = machine();
        let program = dir.program(script);
        // Only one of them is waited for.
        let time = if script.contains("yes") { Duration::from_millis(200) } else { LONG };
        let report = dir.read(&program, time).await;
        assert_eq!(report.notes.len(), 1, "{script}: {:?}", report.notes);
        assert!(report.notes[0].contains(word), "{script}: {:?}", report.notes);
        // The GPU is still there, if nothing is known of it.
        assert_eq!(report.gpus.len(), 1, "{script}");
        assert_eq!(report.gpus[0].pci_address.as_deref(), Some("0000:01:00.0"));
    }
    let dir = machine();
    let program = NvmlProgram { program: dir.0.join("absent"), library: None };
    let report = dir.read(&program, LONG).await;
    assert!(report.notes[0].contains(absent), "{:?}", report.notes);
}

#[tokio::test]
async fn complaints_of_any_length_do_not_keep_an_answer_back() {
    let dir = machine();
    let program = dir
        .program("head -c 1000000 /dev/zero >&2; echo '{\"gpus\":[],\"notes\":[\"all is well\"]}'");
    assert_eq!(dir.read(&program, LONG).await.notes, ["all is well"]);
}

#[tokio::test]
async fn who_answers_is_not_waited_for_any_longer() {
    let dir = machine();
    // It would never end by itself; that this returns at all is the test.
    let program = dir.program("echo '{\"gpus\":[],\"notes\":[\"done\"]}'; exec sleep infinity");
    assert_eq!(dir.read(&program, LONG).await.notes, ["done"]);
}

#[tokio::test]
async fn who_does_not_answer_is_killed() {
    // On a busy machine, it may take more than one try until it is started at all in its time.
    let process = Path::new("/proc").join(kill_one().await.trim());
    // Nothing of the runtime runs in this loop: it is killed already, or never.
    let state = || fs::read_to_string(process.join("stat"));
    while state().is_ok_and(|stat| !stat.contains(") Z ")) {
        thread::yield_now();
    }
    // Its end is waited for elsewhere: ours is to see it, however long that takes.
    while process.exists() {
        tokio::task::yield_now().await;
    }
}

/// Has a program killed that never answers, and gives its number.
async fn kill_one() -> String {
    for time in (1..).map(|turn| Duration::from_millis(250 << turn)) {
        let dir = machine();
        let program = dir.program("echo $$ > \"$0.pid\"; exec sleep infinity");
        let report = dir.read(&program, time).await;
        assert!(report.notes[0].contains("did not answer within"), "{:?}", report.notes);
        match fs::read_to_string(dir.0.join("aictl-nvml.pid")) {
            Ok(pid) if pid.ends_with('\n') => return pid,
            _ => {}
        }
    }
    unreachable!("the times have no end")
}

#[test]
fn what_a_driver_says_is_made_fit_to_be_shown() {
    let mut gpu = Gpu::new(7, Vendor::Nvidia, GpuState::Awake);
    gpu.name = Some("\u{1b}[31mRTX\u{202e} 4090\n".to_owned());
    gpu.uuid = Some("x".repeat(1000));
    gpu.driver_version = Some(" \u{7} ".to_owned());
    gpu.pci_address = Some("0000:0A:00.0".to_owned());
    gpu.throttling = Some(vec!["he\u{0}at".to_owned(); 100]);
    gpu.notes = vec!["\u{9b}2Jx".to_owned(); 100];
    let process = |pid| aictl_api::gpu::GpuProcess {
        name: Some("name".to_owned()),
        unit: Some("unit".to_owned()),
        service: Some("service".to_owned()),
        ..aictl_api::gpu::GpuProcess::new(pid)
    };
    gpu.processes = Some((0..2000).map(process).collect());
    let amd = Gpu::new(0, Vendor::Amd, GpuState::Awake);
    let mut odd = Gpu::new(0, Vendor::Nvidia, GpuState::Awake);
    odd.pci_address = Some("../../etc".to_owned());
    let report = GpuReport { gpus: vec![gpu, amd, odd], notes: vec!["\u{1b}cnote".to_owned(); 99] };
    let report = tidy(report);
    assert_eq!(report.notes, vec!["note"; MAX_WORDS]);
    let [gpu, odd] = &report.gpus[..] else { panic!("{:?}", report.gpus) };
    assert_eq!(gpu.name.as_deref(), Some("RTX 4090"));
    assert_eq!(gpu.uuid.as_ref().unwrap().len(), MAX_TEXT);
    assert_eq!(gpu.driver_version, None);
    assert_eq!(gpu.pci_address.as_deref(), Some("0000:0a:00.0"));
    assert_eq!(gpu.throttling, Some(vec!["heat".to_owned(); MAX_WORDS]));
    assert_eq!(gpu.notes, vec!["x"; MAX_WORDS]);
    let processes = gpu.processes.as_ref().unwrap();
    assert_eq!(processes.len(), MAX_PROCESSES);
    assert_eq!(processes[0], aictl_api::gpu::GpuProcess::new(1));
    assert_eq!(odd.pci_address, None);
}

#[test]
fn a_program_beside_ours_is_run_only_if_nobody_else_could_have_put_it_there() {
    let dir = Dir::new();
    let NvmlProgram { program, .. } = dir.program("exit 0");
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    for (directory, file, trusted) in [
        (0o755, 0o755, true),
        (0o700, 0o500, true),
        (0o755, 0o775, false),
        (0o755, 0o757, false),
        (0o775, 0o755, false),
        (0o1777, 0o755, false),
    ] {
        set(&dir.0, directory).unwrap();
        set(&program, file).unwrap();
        assert_eq!(is_trusted(&program), trusted, "{directory:o} {file:o}");
    }
    set(&dir.0, 0o755).unwrap();
    let link = dir.0.join("link");
    symlink(&program, &link).unwrap();
    assert!(!is_trusted(&link));
    assert!(!is_trusted(&dir.0.join("none")));
}
