//! The Debian package, on a Debian that has little more than a login: it is installed, used,
//! upgraded, removed and purged. `cargo xtask test package` makes the package and boots the machine.
//!
//! The package for systems of rpm is tried there too, since no Fedora is to be had: its files, and
//! what its scripts do to systemd, to the users and to polkit; not what it depends on.
//!
//! The tests share the machine, and each leaves it without the package. The first that runs finds it
//! without what the package depends on, too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[allow(dead_code, reason = "the tests of the other machine use the rest")]
mod machine;

use std::fs;
use std::process::{Child, Stdio};

use machine::{Machine, Ran, Taken, Who, take};
use serde_json::{Value, json};

/// Where the packages are.
const PACKAGES: &str = "/packages";
/// What a waiting script calls itself (proc_pid_comm(5)): its interpreter may have been there before
/// it, and says nothing of it on its command line.
const MARK: &str = "run-that-waits";
/// Longer than the slowest upgrade takes.
const WAITS: &str = "import ctypes, time
ctypes.CDLL(None).prctl(15, b'run-that-waits', 0, 0, 0)  # PR_SET_NAME
time.sleep(900)
";
const RULES: &str = "/etc/polkit-1/rules.d/50-aictl.rules";
const CONFIG: &str = "/etc/aictl/aictl.toml";
/// Without control group controllers, the unit as it is shipped refuses every run: see there.
const NO_CONTROLLERS: &str =
    include_str!("root/etc/systemd/system/aictl-sandboxd.service.d/no-controllers.conf");
const PARSER: &str = "/usr/sbin/apparmor_parser";
/// What tells AppArmor to leave our profile alone.
const DISABLED: &str = "/etc/apparmor.d/disable/aictl";
const ASK: &str = include_str!("package/ask.py");
const PASSWORD: &str = "correct horse battery staple";

/// Every unit that is enabled.
const UNITS: [&str; 4] = [
    "aictld.socket",
    "aictl-sandboxd.socket",
    "aictl-polkit-rules.path",
    "aictl-polkit-rules.service",
];
/// What waits for callers.
const WAITING: [&str; 3] = ["aictld.socket", "aictl-sandboxd.socket", "aictl-polkit-rules.path"];

/// Puts something in the place of AppArmor's parser that ends with this exit code.
fn parser(machine: &Machine, code: u8) {
    machine.write(PARSER, &format!("#!/bin/sh\nexit {code}\n"));
    machine.root(&["chmod", "755", PARSER]);
}

/// The machine without the package.
fn without() -> Taken {
    let machine = take();
    machine.remove(PARSER);
    if is_known(&machine) {
        // A test that failed left it.
        apt(&machine, &["purge", "aictl"]).ok();
    }
    if machine.run(Who::Root, &["rpm", "--query", "aictl"]).code == Some(0) {
        machine.root(&["rpm", "--erase", "--nodeps", "aictl"]);
    }
    let controllers = machine.read("/sys/fs/cgroup/cgroup.controllers");
    if !controllers.split_whitespace().any(|name| name == "memory") {
        let directory = "/etc/systemd/system/aictl-sandboxd.service.d";
        machine.root(&["mkdir", "-p", directory]);
        machine.write(&format!("{directory}/no-controllers.conf"), NO_CONTROLLERS);
    }
    machine
}

/// The packages: the one to begin with, and the one to upgrade to.
fn packages(machine: &Machine) -> [String; 2] {
    let files = fs::read_dir(machine.path(PACKAGES)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".deb")).collect();
    names.sort();
    let names: [String; 2] = names.try_into().unwrap();
    names.map(|name| format!("{PACKAGES}/{name}"))
}

fn apt(machine: &Machine, words: &[&str]) -> Ran {
    let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--quiet"];
    machine.run(Who::Root, &[&apt, words].concat())
}

#[track_caller]
fn install(machine: &Machine, package: &str) {
    let ran = apt(machine, &["install", package]);
    // What the package's own scripts say follows this line.
    let text = format!("{}{}", ran.stdout, ran.stderr);
    let said = text.lines().skip_while(|line| !line.starts_with("Setting up aictl "));
    for line in said {
        let line = line.to_lowercase();
        assert!(!["fail", "error", "warning"].iter().any(|word| line.contains(word)), "{ran}");
    }
    ran.ok();
}

/// Whether dpkg knows the package, or what is left of it.
fn is_known(machine: &Machine) -> bool {
    machine.run(Who::Root, &["dpkg-query", "--status", "aictl"]).code == Some(0)
}

/// Every file whose name tells that it is of aictl, but for what is the machine's own.
fn of_aictl(machine: &Machine) -> Vec<String> {
    let mut argv = vec!["find", "/"];
    for path in ["/proc", "/sys", "/run", "/dev", PACKAGES] {
        argv.extend(["-path", path, "-prune", "-o"]);
    }
    argv.extend(["-path", "/etc/systemd/system/aictl-sandboxd.service.d", "-prune", "-o"]);
    argv.extend(["-iname", "*aictl*", "-print"]);
    machine.root(&argv).lines().map(str::to_owned).collect()
}

/// Every file that does not come and go by itself, with its mode and owner; and the users.
fn all(machine: &Machine) -> Vec<String> {
    let mut argv = vec!["find", "/"];
    for path in ["/proc", "/sys", "/run", "/dev", "/tmp", "/var", PACKAGES] {
        argv.extend(["-path", path, "-prune", "-o"]);
    }
    argv.extend(["-printf", "%y %m %u %g %p\n"]);
    let files = machine.root(&argv);
    let users = ["/etc/passwd", "/etc/group", "/etc/shadow"].map(|file| machine.read(file));
    let mut all: Vec<String> = files
        .lines()
        .chain(users.iter().flat_map(|users| users.lines()))
        .map(str::to_owned)
        .collect();
    all.sort();
    all
}

/// Runs `aictl --json`, which must print a document.
#[track_caller]
fn document(machine: &Machine, who: Who, words: &[&str]) -> (Value, Option<i32>) {
    let ran = machine.run(who, &[&["aictl", "--json"], words].concat());
    let value = serde_json::from_str(&ran.stdout);
    (value.unwrap_or_else(|error| panic!("{error}: {ran}")), ran.code)
}

/// A run that waits, once it does.
fn waiting(machine: &Machine) -> Child {
    machine.write("/tmp/wait.py", WAITS);
    let argv = ["aictl", "run", "--timeout", "15m", "/tmp/wait.py"];
    let mut command = machine.command(Who::Root, &argv);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    machine.wait_for("the run", || scripts(machine) == 1);
    run
}

/// How many waiting scripts there are.
fn scripts(machine: &Machine) -> usize {
    machine.run(Who::Root, &["pgrep", "--exact", MARK]).stdout.lines().count()
}

/// The run has failed, with words, and nothing of it is left.
#[track_caller]
fn has_failed(machine: &Machine, run: Child) {
    let output = run.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{errors}");
    assert!(errors.starts_with("aictl: "), "{errors}");
    machine.wait_for("no script", || scripts(machine) == 0);
}

/// Root's script is run by the helper.
#[track_caller]
fn runs(machine: &Machine) {
    machine.write("/tmp/hello.py", "print('hello')\n");
    let (run, code) = document(machine, Who::Root, &["run", "/tmp/hello.py"]);
    assert_eq!((&run["stdout"], code), (&json!("hello\n"), Some(0)), "{run:#}");
    machine.root(&["systemctl", "is-active", "aictld.service", "aictl-sandboxd.service"]);
}

/// What a user has who installed it and did nothing else.
#[track_caller]
fn works_for_a_person_at_the_desk(machine: &Machine) {
    machine.write("/tmp/hello.py", "print('hello')\n");
    let (status, code) = document(machine, Who::AnnaAtTheDesk, &["status"]);
    assert_eq!((&status["services"][0]["name"], code), (&json!("ollama"), Some(0)), "{status:#}");
    assert_eq!(status["services"][0]["active_state"], "active", "{status:#}");
    let (run, code) = document(machine, Who::AnnaAtTheDesk, &["run", "/tmp/hello.py"]);
    assert_eq!((&run["stdout"], code), (&json!("hello\n"), Some(0)), "{run:#}");
    // The helper had it run.
    machine.root(&["systemctl", "is-active", "aictl-sandboxd.service"]);
}

/// Polkit asks an administrator for the password, and then the service is restarted; somebody else,
/// whom nobody asks, restarts nothing.
#[track_caller]
fn restarts_by_polkit(machine: &Machine) {
    let pid = || machine.property("ollama.service", "MainPID");
    let before = pid();
    let ran = machine.run(Who::Bob, &["aictl", "restart", "ollama"]);
    assert_eq!((ran.code, pid()), (Some(126), before.clone()), "{ran}");
    let words = ["python3", "-I", "/tmp/ask.py", PASSWORD, "aictl", "restart", "ollama"];
    let ran = machine.run(Who::AnnaAtTheDesk, &words);
    assert!(ran.stdout.contains("ollama restarted: active (running)"), "{ran}");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_ne!(pid(), before);
}

/// Nothing of the package is there but what dpkg keeps of one that was removed.
#[track_caller]
fn is_stopped(machine: &Machine) {
    for unit in UNITS.iter().chain(&["aictld.service", "aictl-sandboxd.service"]) {
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    assert!(!machine.exists(RULES) && !machine.exists("/run/aictl"));
    assert!(!machine.exists("/usr/bin/aictl") && !machine.exists("/usr/libexec/aictl"));
    let names = machine.root(&["busctl", "--system", "--no-legend", "--no-pager", "list"]);
    assert!(!names.contains("org.aictl1"), "{names}");
    assert!(!machine.root(&["pkaction"]).contains("aictl"));
}

/// Nothing at all is there.
#[track_caller]
fn is_gone(machine: &Machine) {
    is_stopped(machine);
    assert!(!is_known(machine));
    assert_eq!(of_aictl(machine), [""; 0]);
    for file in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"] {
        let users = machine.read(file);
        assert!(!users.lines().any(|line| line.starts_with("aictl")), "{file}: {users}");
    }
    for list in ["list-unit-files", "list-units"] {
        let argv = ["systemctl", "--no-legend", "--plain", list, "aictl*"];
        // Its exit code is 1 if there is none.
        assert_eq!(machine.run(Who::Root, &argv).stdout, "", "{list}");
    }
}

#[test]
fn whoever_installs_it_has_it_all() {
    let machine = without();
    let [package, newer] = packages(&machine);
    machine.write(
        "/etc/systemd/system/ollama.service",
        "[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    );
    machine.root(&["systemctl", "daemon-reload"]);
    machine.root(&["systemctl", "start", "ollama.service"]);
    machine.root(&["sh", "-c", &format!("echo 'anna:{PASSWORD}' | chpasswd")]);
    machine.root(&["usermod", "--append", "--groups", "sudo", "anna"]);
    machine.write("/tmp/ask.py", ASK);
    assert_eq!(of_aictl(&machine), [""; 0]);

    install(&machine, &package);
    assert_eq!(machine.root(&["dpkg", "--verify", "aictl"]), "");
    for unit in UNITS {
        assert_eq!(machine.property(unit, "UnitFileState"), "enabled", "{unit}");
    }
    for unit in WAITING {
        assert_eq!(machine.property(unit, "ActiveState"), "active", "{unit}");
    }
    for path in ["bash-completion/completions/aictl", "zsh/vendor-completions/_aictl"] {
        assert!(machine.read(&format!("/usr/share/{path}")).contains("aictl"), "{path}");
    }
    works_for_a_person_at_the_desk(&machine);
    restarts_by_polkit(&machine);

    // What was set stays over an upgrade, and over a removal.
    machine.write(CONFIG, "[services.mine]\nunit = \"mine.service\"\n");
    machine.root(&["systemctl", "disable", "--now", "aictl-polkit-rules.path"]);
    let run = waiting(&machine);
    install(&machine, &newer);
    has_failed(&machine, run);
    let version = machine.root(&["dpkg-query", "--show", "--showformat=${Version}", "aictl"]);
    assert!(version.ends_with("-2"), "{version}");
    assert_eq!(machine.property("aictl-polkit-rules.path", "UnitFileState"), "disabled");
    assert_eq!(machine.property("aictl-polkit-rules.path", "ActiveState"), "inactive");
    assert_eq!(machine.property("aictld.socket", "ActiveState"), "active");
    assert!(machine.read(RULES).contains("\"mine.service\""));
    runs(&machine);

    apt(&machine, &["remove", "aictl"]).ok();
    is_stopped(&machine);
    assert!(machine.read(CONFIG).contains("mine.service"));
    apt(&machine, &["purge", "aictl"]).ok();
    is_gone(&machine);
}

#[test]
fn a_purge_takes_away_all_that_came_even_in_the_middle_of_a_run() {
    let machine = without();
    let [package, _] = packages(&machine);
    // What it depends on stays.
    install(&machine, &package);
    apt(&machine, &["purge", "aictl"]).ok();
    let before = all(&machine);
    install(&machine, &package);
    runs(&machine);
    let run = waiting(&machine);
    apt(&machine, &["purge", "aictl"]).ok();
    has_failed(&machine, run);
    is_gone(&machine);
    let after = all(&machine);
    let differs = |one: &[String], other: &[String]| {
        one.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>()
    };
    assert_eq!((differs(&after, &before), differs(&before, &after)), (vec![], vec![]));
}

#[test]
fn one_that_was_removed_can_be_installed_again() {
    let machine = without();
    let [package, newer] = packages(&machine);
    // A parser of AppArmor's that is too old for the profile is not bothered with it.
    parser(&machine, 1);
    install(&machine, &newer);
    assert_eq!(machine.root(&["readlink", DISABLED]), "../aictl\n");
    apt(&machine, &["remove", "aictl"]).ok();
    // A newer one is.
    parser(&machine, 0);
    install(&machine, &newer);
    assert!(!machine.exists(DISABLED));
    runs(&machine);
    // Backwards, too.
    let ran = apt(&machine, &["--allow-downgrades", "install", &package]);
    assert_eq!(ran.code, Some(0), "{ran}");
    runs(&machine);
    apt(&machine, &["purge", "aictl"]).ok();
    is_gone(&machine);
}

/// Where rpmbuild puts a package.
const ARCH: &str = std::env::consts::ARCH;
/// Where only one of the packages has something, as its system wants it.
const OF_ONE: [&str; 4] =
    ["/usr/share/doc/aictl", "/usr/share/licenses", "/usr/share/lintian", "/usr/share/zsh"];

/// Runs rpm; neither it nor a script of the package complains.
#[track_caller]
fn rpm(machine: &Machine, words: &[&str]) -> String {
    let ran = machine.run(Who::Root, &[&["rpm"], words].concat());
    // systemd-sysusers tells of those whom it makes.
    assert!(ran.stderr.lines().all(|line| line.starts_with("Creating ")), "{ran}");
    ran.ok()
}

/// Every file of the package with its kind, mode and owner, but where the two differ.
fn installed(machine: &Machine) -> Vec<String> {
    let mut files = all(machine);
    files.retain(|line| {
        line.split_once(" /").is_some_and(|(_, path)| {
            let path = format!("/{path}");
            path.contains("aictl") && !OF_ONE.iter().any(|one| path.starts_with(one))
        })
    });
    files
}

#[test]
fn the_package_for_rpm_holds_the_same_and_does_the_same() {
    let machine = without();
    let [package, _] = packages(&machine);
    let of_rpm = |revision| {
        let version = env!("CARGO_PKG_VERSION");
        format!("{PACKAGES}/{ARCH}/aictl-{version}-{revision}.{ARCH}.rpm")
    };
    apt(&machine, &["install", "rpm"]).ok();
    install(&machine, &package);
    let by_dpkg = installed(&machine);
    apt(&machine, &["purge", "aictl"]).ok();
    let before = all(&machine);

    rpm(&machine, &["--install", "--nodeps", &of_rpm(1)]);
    rpm(&machine, &["--verify", "--nodeps", "aictl"]);
    assert_eq!(installed(&machine), by_dpkg);
    for unit in UNITS {
        assert_eq!(machine.property(unit, "UnitFileState"), "enabled", "{unit}");
    }
    for unit in WAITING {
        assert_eq!(machine.property(unit, "ActiveState"), "active", "{unit}");
    }
    let completions = "/usr/share/zsh/site-functions/_aictl";
    assert!(machine.exists(completions) && machine.exists("/usr/share/licenses/aictl/LICENSE"));
    runs(&machine);

    // What was set stays, over an upgrade with a run in flight.
    machine.write(CONFIG, "[services.mine]\nunit = \"mine.service\"\n");
    machine.root(&["systemctl", "disable", "--now", "aictl-polkit-rules.path"]);
    let run = waiting(&machine);
    rpm(&machine, &["--upgrade", "--nodeps", &of_rpm(2)]);
    has_failed(&machine, run);
    assert_eq!(machine.property("aictl-polkit-rules.path", "UnitFileState"), "disabled");
    assert_eq!(machine.property("aictl-polkit-rules.path", "ActiveState"), "inactive");
    assert_eq!(machine.property("aictld.socket", "ActiveState"), "active");
    runs(&machine);
    assert!(machine.read(RULES).contains("\"mine.service\""));

    machine.remove(CONFIG);
    let run = waiting(&machine);
    rpm(&machine, &["--erase", "--nodeps", "aictl"]);
    has_failed(&machine, run);
    is_stopped(&machine);
    // Users stay, as everywhere where rpm is at home: their numbers must not become another's.
    let after = all(&machine);
    let left: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    // And directories that where rpm is at home are another package's, and what rpm remembers by.
    let may_stay = |line: &str| {
        let is_others = line.starts_with("d ") && !line.contains("aictl");
        line.starts_with("aictl") || is_others || line.contains("/root/.rpmdb")
    };
    assert!(left.iter().all(|line| may_stay(line)), "{left:#?}");
    let lost: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    assert_eq!(lost, [""; 0]);
    machine.root(&["userdel", "aictl"]);
    machine.root(&["userdel", "aictl-sandbox"]);
}
