//! Twenty runs of five users in flight, and then somebody is killed, stopped or started anew.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::machine::{Machine, Taken, Who, machine};

const SCRIPT: &str = "/tmp/script.py";
/// How many runs of each of [`PEOPLE`] there are: as many as one user may have by default.
const RUNS_OF_EACH: usize = 4;
const PEOPLE: [&str; 5] = ["root", "anna", "bob", "carol", "dave"];
/// What each process of these runs is called (proc_pid_comm(5)), and no other.
const NAME: &str = "run-in-flight";
/// Does all it can to outlive its keeper: children in sessions of their own that no signal of the
/// runs' own tells to end, and that go on forking. Ends by itself when standard input does.
const HARDY: &str = r#"import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None)
libc.prctl(15, b"run-in-flight", 0, 0, 0)  # PR_SET_NAME
for number in signal.valid_signals():
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
child = os.fork()
if child == 0:
    os.setsid()
    libc.prctl(1, 0, 0, 0, 0)  # PR_SET_PDEATHSIG: none
    while True:
        # A process that is new each time, so that whoever kills by number is too late.
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.05)
print("on", flush=True)
print(sys.stdin.read(), flush=True)
"#;

/// A run that goes on until its standard input ends.
struct Run {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

/// What a run came to for its caller.
#[derive(Debug)]
struct End {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn begin(machine: &Machine, who: Who) -> Self {
        let mut command = machine.command(who, &["aictl", "run", SCRIPT]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = child.stderr.take().unwrap();
        Self { child, stdin, stdout, stderr }
    }

    /// Waits until the script says that it is there.
    #[track_caller]
    fn is_on(&mut self) {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        if line != "on\n" {
            let mut errors = String::new();
            self.stderr.read_to_string(&mut errors).unwrap();
            panic!("{line:?}: {errors}");
        }
    }

    fn end(mut self) -> End {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        End { code: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

/// All runs in flight.
fn in_flight(machine: &Machine) -> Vec<Run> {
    // The last place would be another one's.
    machine.let_all_run(&format!("runs = {}", PEOPLE.len() * RUNS_OF_EACH + 1));
    machine.write(SCRIPT, "print('first')");
    machine.root(&["aictl", "run", SCRIPT]);
    let waiting = ["pgrep", "--uid", "aictl-sandbox", "python3"];
    machine.wait_for("interpreters that wait", || machine.run(Who::Root, &waiting).code == Some(0));
    machine.write(SCRIPT, HARDY);
    let people = PEOPLE.iter().flat_map(|name| [*name; RUNS_OF_EACH]);
    let mut runs: Vec<Run> = people.map(|name| Run::begin(machine, Who::Person(name))).collect();
    runs.iter_mut().for_each(Run::is_on);
    assert_eq!(listed(machine).len(), 20, "{:#?}", listed(machine));
    machine.wait_for("the processes of all", || processes(machine) >= runs.len());
    // An interpreter that had not waited for its run has the script on its command line.
    let lines = machine.root(&["ps", "-C", NAME, "-o", "args="]);
    assert!(lines.lines().any(|line| !line.contains("script.py")), "none had waited: {lines}");
    runs
}

/// The runs that the helper has.
pub fn listed(machine: &Machine) -> Vec<Value> {
    let list = machine.call(Who::Root, "Sandbox.List", "t", &[json!(1)]).ok();
    list.as_array().unwrap().clone()
}

/// How many processes there are of scripts that gave themselves that name.
pub fn processes(machine: &Machine) -> usize {
    let found = machine.run(Who::Root, &["pgrep", "--exact", NAME]);
    found.stdout.lines().count()
}

/// Until when all must have been told, as is promised.
const SOON: Duration = Duration::from_secs(1);

/// Does something to the machine while all runs are in flight; each caller must be told at once, in
/// words, with `code`, and nothing of any run may be left. Returns what they were told.
#[track_caller]
fn all_are_told(
    machine: &Machine,
    what: &str,
    code: i32,
    act: impl FnOnce() + Send,
) -> Vec<String> {
    let mut runs = in_flight(machine);
    // Standard inputs stay open: no script ends by itself, and none is at the end of its time.
    let _open: Vec<_> = runs.iter_mut().map(|run| run.stdin.take()).collect();
    let begin = Instant::now();
    let ends: Vec<End> = thread::scope(|scope| {
        // What it takes until systemd is content is not what it takes until callers are told.
        scope.spawn(act);
        let ends = runs.into_iter().map(Run::end).collect();
        let told = begin.elapsed();
        println!("{what}: all twenty told after {told:?}");
        assert!(told < SOON, "{what}: {told:?}");
        ends
    });
    for end in &ends {
        assert_eq!(end.code, Some(code), "{what}: {end:?}");
        assert_eq!(end.stdout, "", "{what}: {end:?}");
        assert!(end.stderr.starts_with("aictl: "), "{what}: {end:?}");
        assert_eq!(end.stderr.lines().count(), 1, "{what}: {end:?}");
    }
    machine.wait_for("the end of all processes of the runs", || processes(machine) == 0);
    works(machine);
    ends.into_iter().map(|end| end.stderr).collect()
}

/// The next run works, for everybody.
#[track_caller]
fn works(machine: &Machine) {
    machine.write(SCRIPT, "print('again')");
    for name in PEOPLE {
        let ran = machine.run(Who::Person(name), &["aictl", "run", SCRIPT]);
        assert_eq!(ran.ok(), "again\n");
    }
    assert!(listed(machine).is_empty());
}

/// The machine, with the helper as it may be whatever was killed how often before.
fn begin() -> Taken {
    let machine = machine();
    machine.root(&["systemctl", "reset-failed", "aictld.service", "aictl-sandboxd.service"]);
    machine
}

#[test]
fn twenty_runs_end_with_the_keeper_that_is_killed() {
    let machine = begin();
    let told = all_are_told(&machine, "kill -9 of aictl-sandboxd", 125, || {
        let argv = ["systemctl", "kill", "--signal=KILL", "--kill-whom=main", "aictl-sandboxd"];
        machine.root(&argv);
    });
    for words in told {
        assert!(words.contains("the keeper of the sandboxes ended during the run"), "{words}");
        assert!(words.contains("systemctl status aictl-sandboxd"), "{words}");
    }
}

#[test]
fn twenty_runs_end_with_the_helper_that_is_killed() {
    let machine = begin();
    let told = all_are_told(&machine, "kill -9 of aictld", 125, || {
        machine.root(&["systemctl", "kill", "--signal=KILL", "aictld"]);
    });
    assert!(told.iter().all(|words| words.contains("helper")), "{told:#?}");
}

#[test]
fn twenty_runs_end_with_the_keeper_that_is_stopped() {
    let machine = begin();
    let told = all_are_told(&machine, "systemctl stop of aictl-sandboxd", 125, || {
        machine.stop("aictl-sandboxd.service");
    });
    assert!(told.iter().all(|words| words.contains("the keeper")), "{told:#?}");
}

#[test]
fn twenty_runs_end_with_the_helper_that_is_stopped() {
    let machine = begin();
    let told = all_are_told(&machine, "systemctl stop of aictld", 130, || {
        machine.stop("aictld.service");
    });
    let words = "the helper was told to end";
    assert!(told.iter().all(|told| told.contains(words)), "{told:#?}");
}

#[test]
fn twenty_runs_go_on_while_systemd_starts_itself_anew() {
    let machine = begin();
    let mut runs = in_flight(&machine);
    machine.root(&["systemctl", "daemon-reexec"]);
    machine.root(&["systemctl", "daemon-reload"]);
    assert_eq!(listed(&machine).len(), 20);
    for run in &mut runs {
        let mut stdin = run.stdin.take().unwrap();
        stdin.write_all(b"done").unwrap();
    }
    for run in runs {
        let end = run.end();
        assert_eq!((end.code, end.stdout.as_str(), end.stderr.as_str()), (Some(0), "done\n", ""));
    }
    machine.wait_for("the end of all processes of the runs", || processes(&machine) == 0);
    works(&machine);
}
