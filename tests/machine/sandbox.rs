//! `aictl run` where everything is installed: the helper takes the script, its keeper of sandboxes
//! runs it.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::{Value, json};

use crate::{
    alike::{RUNS, assert_alike},
    machine::{Machine, Who, machine},
};

const SCRIPT: &str = "/tmp/script.py";

/// What `aictl run` says of a script, and its exit code.
#[track_caller]
fn run(machine: &Machine, who: Who, script: &str, arguments: &[&str]) -> (Value, i32) {
    machine.write(SCRIPT, script);
    let ran = machine.run(who, &[&["aictl", "--json", "run", SCRIPT], arguments].concat());
    let document =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    (document, ran.code.unwrap())
}

#[test]
fn a_person_at_the_desk_runs_a_script() {
    let machine = machine();
    let script = "import sys\nprint(sys.argv[1:])\nprint('no', file=sys.stderr)\nresult = 6 * 7\n\
                  sys.exit(3)\n";
    let (document, code) = run(&machine, Who::AnnaAtTheDesk, script, &["a", "b c"]);
    assert_eq!(code, 3, "{document:#}");
    for (key, value) in [
        ("outcome", json!("exited")),
        ("exit_code", json!(3)),
        ("stdout", json!("['a', 'b c']\n")),
        ("stderr", json!("no\n")),
        ("profile", json!("standard")),
        // As the drop-in of this machine says.
        ("missing", json!(["cgroup"])),
    ] {
        assert_eq!(document[key], value, "{key}: {document:#}");
    }
    // It was the helper that had it run.
    let (document, _) = run(&machine, Who::AnnaAtTheDesk, "result = 6 * 7", &[]);
    assert_eq!(document["result"], json!(42), "{document:#}");
    machine.root(&["systemctl", "is-active", "aictl-sandboxd.service"]);
}

/// Through the helper a run is what it is without it.
#[test]
fn a_run_is_told_of_alike_with_and_without_the_helper() {
    let machine = machine();
    for (options, script) in RUNS {
        machine.write(SCRIPT, script);
        let [helped, embedded] = [&["--json"][..], &["--json", "--embedded"]].map(|global| {
            let argv = [&["aictl"][..], global, &["run"], options, &[SCRIPT]].concat();
            machine.run(Who::AnnaAtTheDesk, &argv)
        });
        assert_eq!(helped.code, embedded.code, "{script}: {helped} {embedded}");
        let document = |stdout: &str| serde_json::from_str(stdout).unwrap();
        assert_alike(script, &document(&helped.stdout), &document(&embedded.stdout));
    }
}

/// Leaves no room in the file systems that are named, or makes room again.
const FULL: &str = "\
import os, subprocess, sys
for path in sys.argv[2:]:
    at = os.statvfs(path)
    if sys.argv[1] == 'full':
        size = (at.f_blocks - at.f_bfree) * at.f_frsize + 65536
        subprocess.run(['mount', '-o', f'remount,size={size}', path], check=True)
        with open(path + '/full', 'wb', buffering=0) as file:
            try:
                while True: file.write(bytes(4096))
            except OSError as error:
                assert error.errno == 28
    else:
        os.remove(path + '/full')
        subprocess.run(['mount', '-o', 'remount,size=50%', path], check=True)
";

/// Where files are made that are in use from here on: by systemd, the journal, and everybody.
const DISKS: [&str; 2] = ["/run", "/tmp"];

/// No room on any of these.
struct Full<'a>(&'a Machine);

impl<'a> Full<'a> {
    fn begin(machine: &'a Machine) -> Self {
        machine.root(&[&["python3", "-I", "-c", FULL, "full"], &DISKS[..]].concat());
        Self(machine)
    }
}

impl Drop for Full<'_> {
    fn drop(&mut self) {
        self.0.root(&[&["python3", "-I", "-c", FULL, "empty"], &DISKS[..]].concat());
    }
}

/// With the journal's there, too: it takes a record, and has no room for it; what comes when there is
/// room again, it has.
#[test]
fn where_there_is_no_room_for_any_file_scripts_run() {
    let machine = machine();
    let script = "with open('file', 'w') as file:\n    file.write('x' * 100_000)\nprint('done')";
    machine.write(SCRIPT, script);
    let mut desk = Desk::begin(&machine);
    desk.line();
    assert_eq!(desk.run(), 0);
    let full = Full::begin(&machine);
    for _ in 0..5 {
        assert_eq!(desk.run(), 0);
    }
    // Neither the helper nor the keeper of sandboxes needs any to start.
    for unit in ["aictld.service", "aictl-sandboxd.service"] {
        machine.root(&["systemctl", "kill", "--signal=KILL", unit]);
    }
    machine.wait_for("a helper and a keeper that have started", || desk.run() == 0);
    drop(full);
    let (document, code) = run(&machine, Who::AnnaAtTheDesk, script, &[]);
    assert_eq!((code, &document["stdout"]), (0, &json!("done\n")), "{document:#}");
    let id = format!("AICTL_REQUEST_ID={}", document["request_id"].as_str().unwrap());
    let entries = machine.root(&["journalctl", "--output=json", &id]);
    assert!(entries.contains("AICTL_OUTCOME"), "{entries}");
}

#[test]
fn strict_is_for_the_helper_to_check() {
    let machine = machine();
    let strict = ["--profile", "strict"];
    machine.write(SCRIPT, "import os\nprint('begins now')\n");
    let argv = [&["aictl", "--json", "run"], &strict[..], &[SCRIPT]].concat();
    let refused = machine.run(Who::AnnaAtTheDesk, &argv);
    assert_eq!(refused.code, Some(126), "{refused}");
    assert!(refused.stderr.contains(":1:8: import: the module os is not allowed"), "{refused}");
    let document: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert_eq!((&document["outcome"], &document["stdout"]), (&json!("refused"), &json!("")));
    assert_eq!(document["refusals"][0]["rule"], "import", "{document:#}");
    // It was the helper that refused, and wrote it down.
    let id = format!("AICTL_REQUEST_ID={}", document["request_id"].as_str().unwrap());
    let entries = machine.root(&["journalctl", "--output=json", &id, "AICTL_OUTCOME=refused"]);
    assert_eq!(entries.lines().count(), 1, "{entries}");
    assert!(!entries.contains("begins now") && !entries.contains("import os"), "{entries}");
    let here = "import datetime\nresult = datetime.date(2024, 2, 29).strftime('%d')\n";
    machine.write(SCRIPT, here);
    let document: Value =
        serde_json::from_str(&machine.run(Who::AnnaAtTheDesk, &argv).ok()).unwrap();
    assert_eq!((&document["result"], &document["profile"]), (&json!("29"), &json!("strict")));
}

/// Calls the helper as any program would, and prints what it is told.
const CALLER: &str = "\
import dbus, fcntl, os
F_ADD_SEALS, SEALS = 1033, 1 | 2 | 4 | 8
script = os.memfd_create('script', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
os.write(script, b'x = 1\\nimport os\\n')
fcntl.fcntl(script, F_ADD_SEALS, SEALS)
helper = dbus.SystemBus().get_object('org.aictl1', '/org/aictl1', introspect=False)
helper = dbus.Interface(helper, 'org.aictl1.Sandbox')
run, stdout, stderr, stdin = helper.Run(
    dbus.types.UnixFd(script), 'a.py', 'python', [], 'strict', (0,) * 6, 0,
    signature='hssass(tttttt)t')
record = helper.Wait(run)
for found in record['refusals']:
    print(record['outcome'], found['line'], found['column'], found['rule'], found['message'])
";

#[test]
fn a_program_that_asks_for_strict_is_told_the_reasons() {
    let machine = machine();
    let told = machine.run(Who::AnnaAtTheDesk, &["python3", "-I", "-c", CALLER]).ok();
    assert_eq!(told, "refused 2 8 import the module os is not allowed\n");
}

#[test]
fn who_is_elsewhere_has_to_be_asked_first() {
    let machine = machine();
    machine.write(SCRIPT, "print(1)");
    let ran = machine.run(Who::Bob, &["aictl", "run", SCRIPT]);
    assert_eq!(ran.code, Some(126), "{ran}");
    assert_eq!(ran.stdout, "");
}

/// By itself systemd would have it after five times that nobody makes sandboxes any more, until
/// somebody says otherwise.
#[test]
fn the_keeper_of_sandboxes_may_be_started_anew_often() {
    let machine = machine();
    machine.write(SCRIPT, "print(1)");
    for time in 0..12 {
        machine.stop("aictl-sandboxd.service");
        let ran = machine.run(Who::Root, &["aictl", "run", SCRIPT]);
        assert_eq!(ran.code, Some(0), "{time}: {ran}");
    }
}

/// A session of Anna's at the desk that lasts, in which she runs the script each time she is told
/// to.
struct Desk {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Desk {
    fn begin(machine: &Machine) -> Self {
        const LOOP: &str = "grep '^0::' /proc/self/cgroup
            while read -r _; do aictl run /tmp/script.py; echo \"code $?\"; done";
        let mut command = machine.command(Who::AnnaAtTheDesk, &["sh", "-c", LOOP]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (told, says) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, told, says: BufReader::new(says) }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        line
    }

    /// The exit code of a run.
    fn run(&mut self) -> i32 {
        self.told.write_all(b"now\n").unwrap();
        loop {
            let line = self.line();
            assert_ne!(line, "", "the session has ended");
            if let Some(code) = line.strip_prefix("code ") {
                return code.trim_end().parse().unwrap();
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// polkit, as long as it stands still.
struct Silent<'a>(&'a Machine);

impl<'a> Silent<'a> {
    fn begin(machine: &'a Machine) -> Self {
        machine.root(&["systemctl", "kill", "--signal=STOP", "polkit.service"]);
        Self(machine)
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        self.0.root(&["systemctl", "kill", "--signal=CONT", "polkit.service"]);
    }
}

/// polkit's yes to a run counts for a moment: for the user and the session that it was given to.
#[test]
fn a_yes_at_the_desk_is_good_there_and_for_nobody_else() {
    let machine = machine();
    machine.write(SCRIPT, "print(1)");
    let mut desk = Desk::begin(&machine);
    let group = desk.line().trim_end().trim_start_matches("0::").to_owned();
    assert!(group.contains("/session-"), "{group}");
    // A moment may be over before the next run: then it is tried again.
    let is_kept = (0..20).any(|_| {
        assert_eq!(desk.run(), 0);
        let _silent = Silent::begin(&machine);
        desk.run() == 0
    });
    assert!(is_kept, "polkit is asked each time");

    // The same user without a session, and another one in the midst of this session.
    let no_session = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--uid=anna"];
    let no_session = [&no_session[..], &["aictl", "run", SCRIPT]].concat();
    let bob = machine.ids("bob").0;
    let in_the_session = format!(
        "echo $$ > /sys/fs/cgroup{group}/cgroup.procs &&
        exec setpriv --reuid={bob} --clear-groups aictl run {SCRIPT}"
    );
    let in_the_session = ["sh", "-c", &in_the_session];
    for others in [&no_session[..], &in_the_session[..]] {
        assert_eq!(desk.run(), 0);
        let silent = Silent::begin(&machine);
        let ran = machine.run(Who::Root, others);
        assert_eq!((ran.code, &*ran.stdout), (Some(126), ""), "{ran}");
        assert!(ran.stderr.contains("no answer from polkit"), "{ran}");
        drop(silent);
    }

    // Another word of polkit's counts for the next run.
    assert_eq!(desk.run(), 0);
    machine.rule("polkit.addRule(function() { return polkit.Result.NO; });");
    assert_eq!(desk.run(), 126);
}

/// Calls the helper for a run that cannot be, and prints what it is told.
const REFUSED: &str = "\
import dbus, fcntl, os, sys
script = os.memfd_create('script', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
os.write(script, b'x = 1\\n')
fcntl.fcntl(script, 1033, 1 | 2 | 4 | 8)
helper = dbus.SystemBus().get_object('org.aictl1', '/org/aictl1', introspect=False)
helper = dbus.Interface(helper, 'org.aictl1.Sandbox')
try:
    run, *streams = helper.Run(
        dbus.types.UnixFd(script), 'a.py', sys.argv[1], [], 'standard', (0,) * 6, 0,
        signature='hssass(tttttt)t')
    print('Done', helper.Wait(run)['outcome'])
except dbus.DBusException as error:
    print(error.get_dbus_name().split('.')[-1], error.get_dbus_message())
";

/// Which knob it is, too.
const NO_NAMESPACES: &str = "Unavailable the sandbox could not make the namespaces: Function not \
                             implemented; a system call filter forbids it";

/// Whether Bob's doctor tells of a filter as what forbids sandboxes: of the keeper's, which the helper
/// remembers for some seconds, or of one of his own.
fn names_the_filter(machine: &Machine, own: bool) -> bool {
    let filter = if own { "yes" } else { "no" };
    let command = [
        "systemd-run",
        "--quiet",
        "--pipe",
        "--wait",
        "--collect",
        "--uid=bob",
        &format!("--property=RestrictNamespaces={filter}"),
        "aictl",
        "doctor",
    ];
    let said = machine.run(Who::Root, &command).stdout;
    println!("{said}");
    said.contains("system call filter") && said.contains("RestrictNamespaces=")
}

#[test]
fn the_doctor_names_a_filter_that_forbids_namespaces() {
    let machine = machine();
    assert!(!names_the_filter(&machine, false));
    assert!(names_the_filter(&machine, true));
}

/// Whatever is wrong with the keeper of the sandboxes: where its parts are is nothing to a caller.
#[test]
fn no_error_of_the_sandboxes_names_a_path_of_ours() {
    const DROP_IN: &str = "/run/systemd/system/aictl-sandboxd.service.d/zz-broken.conf";
    let machine = machine();
    machine.let_all_run("");
    let call =
        |runtime: &str| machine.run(Who::Bob, &["python3", "-I", "-c", REFUSED, runtime]).ok();
    let told = |what: &str, runtime: &str, name: &str| {
        let told = call(runtime);
        println!("{what}: {told}");
        assert!(told.starts_with(name), "{what}: {told}");
        for ours in ["/usr/lib", "/run/", "/proc/", "/sys/", "/tmp/", ".rs:", "panicked", "src/"] {
            assert!(!told.contains(ours), "{what}: {ours}: {told}");
        }
    };
    told("no interpreter", "node", "NoInterpreter ");
    let stop =
        || ["aictl-sandboxd.socket", "aictl-sandboxd.service"].map(|unit| machine.stop(unit));
    stop();
    told("no keeper", "python", "Unavailable ");
    machine.root(&["mkdir", "--parents", "/run/systemd/system/aictl-sandboxd.service.d"]);
    for (what, setting, error) in [
        ("no namespaces", "RestrictNamespaces=yes", NO_NAMESPACES),
        // It cannot even take what it is given.
        ("no descriptors", "LimitNOFILE=8", "InvalidArgument "),
        ("no mounts", "SystemCallFilter=~@mount", "Unavailable "),
        ("no program", "ExecStart=\nExecStart=/bin/false", "Unavailable "),
    ] {
        machine.write(DROP_IN, &format!("[Service]\n{setting}\n"));
        machine.root(&["systemctl", "daemon-reload"]);
        machine.root(&["systemctl", "start", "aictl-sandboxd.socket"]);
        told(what, "python", error);
        if error == NO_NAMESPACES {
            machine.wait_for("a doctor who names the filter", || names_the_filter(&machine, false));
        }
        stop();
        machine.root(&["systemctl", "reset-failed"]);
    }
    machine.remove(DROP_IN);
    machine.root(&["systemctl", "daemon-reload"]);
    // systemd may have triggered it so often that it does no more for a moment.
    machine.wait_for("a keeper", || {
        machine.root(&["systemctl", "reset-failed"]);
        machine.root(&["systemctl", "start", "aictl-sandboxd.socket"]);
        call("python") == "Done exited\n"
    });
}
