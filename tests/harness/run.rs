//! Runs cases through `aictl run`, and says how they went.

use std::{
    fmt, fs,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    case::{self, Case, WATCHES},
    world::World,
};

/// How long any run may take, whatever its own limits are.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long what belongs to a run may live on after aictl was killed.
const GRACE: Duration = Duration::from_secs(8);

/// How a case is run.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// The user and group to run aictl as; `None` is the test's own.
    pub user: Option<u32>,
    /// The value of `AICTL_WEAKEN`.
    pub weaken: Option<String>,
    /// Whether the script is told to do what must be noticed by itself.
    pub control: bool,
    /// A control group with controllers for its children: aictl gets one of them for itself, as it
    /// gets a unit's from systemd. Only root can hand it over.
    pub delegated: Option<PathBuf>,
}

/// Goes to a control group that is made and given to the user first, and becomes the user.
const ENTER: &str = "
set -e
user=$1 group=$2
shift 2
mkdir \"$group\"
chown \"$user\" \"$group\" \"$group/cgroup.procs\" \"$group/cgroup.subtree_control\"
echo $$ >\"$group/cgroup.procs\"
exec setpriv --reuid \"$user\" --regid \"$user\" --clear-groups -- \"$@\"";

/// What was seen of one run.
#[derive(Debug)]
pub struct Seen {
    /// The document, or the bare output where none was asked for.
    report: Value,
    stderr: String,
    exit: Option<ExitStatus>,
    /// Processes that were there when aictl had ended.
    survivors: Vec<i32>,
    /// Whether the planted secret came out.
    leak: bool,
    /// What is wrong with the run itself, whatever the attack did.
    flaw: Option<String>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut report = self.report.clone();
        for stream in ["stdout", "stderr"] {
            if let Some(text) = report.get(stream).and_then(Value::as_str)
                && text.len() > 2000
            {
                let end: String = text.chars().rev().take(500).collect();
                let end: String = end.chars().rev().collect();
                report[stream] = format!("[{} bytes] …{end}", text.len()).into();
            }
        }
        write!(f, "{report:#}\n{:?}, survivors {:?}", self.exit, self.survivors)?;
        if !self.stderr.is_empty() {
            write!(f, "\nstderr of aictl: {}", self.stderr.trim_end())?;
        }
        Ok(())
    }
}

impl Seen {
    /// Why this does not count as contained; `None` if it does.
    pub fn not_contained(&self, case: &Case) -> Option<String> {
        if let Some(flaw) = &self.flaw {
            return Some(flaw.clone());
        }
        if let Some(line) = case::escaped(&self.report) {
            return Some(line.to_owned());
        }
        if self.leak {
            return Some("the planted secret is in the report".to_owned());
        }
        if !self.survivors.is_empty() {
            return Some(format!("processes live on: {:?}", self.survivors));
        }
        if case.kill_at.is_some() {
            return None;
        }
        case.expect.unmet(&self.report)
    }

    /// A layer that is said to stop the attack and that the report does not speak of; `None` if
    /// each is in `isolation`, or in `missing` on a machine that cannot have it.
    pub fn lacks(&self, case: &Case) -> Option<String> {
        let named: Vec<&str> = ["isolation", "missing"]
            .into_iter()
            .filter_map(|list| self.report.get(list)?.as_array())
            .flatten()
            .filter_map(|layer| {
                Some(layer.as_str()?.trim_end_matches(|c| matches!(c, '-' | '0'..='9')))
            })
            .collect();
        let reported = self.report.get("isolation").is_some();
        case.stopped_by
            .iter()
            .filter(|word| reported && !WATCHES.contains(&word.as_str()))
            .find(|word| !named.contains(&word.as_str()))
            .map(|word| format!("{word} is neither in `isolation` nor in `missing`"))
    }

    /// Layers that were not there; `None` if there was each of them, or nothing was reported.
    #[allow(dead_code, reason = "only the virtual machine has every layer")]
    pub fn missing(&self) -> Option<String> {
        let missing = self.report.get("missing")?.as_array()?;
        (!missing.is_empty()).then(|| format!("these are missing: {missing:?}"))
    }

    /// Whether the attack succeeded, so that the case is able to notice an escape.
    pub fn attack_works(&self, case: &Case) -> bool {
        if self.flaw.is_some() {
            return false;
        }
        case::escaped(&self.report).is_some()
            || !self.survivors.is_empty()
            || (case.off.control && case.expect.unmet(&self.report).is_some())
    }
}

/// All that a process wrote, read by a thread of its own.
fn drain(mut from: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        let _ = send.send(bytes);
    });
    receive
}

/// Waits until a process ends; kills it when its time is up.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Runs `aictl` with a case's script for all of its rounds; the last one is returned, or the
/// first that escaped.
///
/// # Errors
/// If aictl cannot be started.
pub fn run(world: &World, case: &Case, way: &Way, syscalls: &str) -> io::Result<Seen> {
    let id = world.next_run();
    let mut round = 1;
    loop {
        let seen = run_once(world, case, way, syscalls, &id, round)?;
        for &pid in &seen.survivors {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if way.weaken.as_ref().is_some_and(|layers| layers.contains("mount-ns")) {
            // Without a file system of its own, the sandbox has put the script there.
            let _ = fs::remove_file(Path::new("/tmp").join(&case.name));
        }
        if round == case.rounds || seen.not_contained(case).is_some() {
            return Ok(seen);
        }
        round += 1;
    }
}

fn run_once(
    world: &World,
    case: &Case,
    way: &Way,
    syscalls: &str,
    id: &str,
    round: u32,
) -> io::Result<Seen> {
    let coordinates = world.coordinates(id, round, way.control)?;
    let aictl = world.directory.join("bin/aictl");
    let group = way.delegated.as_ref().map(|parent| parent.join(format!("{id}-{round}")));
    let mut command = match &group {
        None => Command::new(aictl),
        Some(group) => {
            let mut command = Command::new("/bin/sh");
            let user = way.user.unwrap_or_default().to_string();
            command.args(["-c", ENTER, "sh", &user]).arg(group).arg(aictl);
            command
        }
    };
    command.arg("run");
    if case.kill_at.is_none() {
        command.arg("--json");
    }
    command.args(&case.options).arg(world.directory.join("attacks").join(&case.name));
    command.arg(coordinates.to_string());
    if case.wants_syscalls {
        command.arg(syscalls);
    }
    command.env("AICTL_TEST_SECRET", &world.secret).env("AICTL_TEST_RUN", id);
    match &way.weaken {
        Some(layers) => command.env("AICTL_WEAKEN", layers),
        None => command.env_remove("AICTL_WEAKEN"),
    };
    if let (Some(user), None) = (way.user, &group) {
        // The standard library also drops all groups.
        command.uid(user).gid(user);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("aictl has no pipes"));
    };
    let stderr = drain(stderr);
    let mut seen = match &case.kill_at {
        Some(line) => kill_at(world, child, BufReader::new(stdout), line, id),
        None => finish(world, child, &drain(stdout), &stderr, id),
    }?;
    if let Some(Err(left)) = group.map(|group| remove_group(&group, case.kill_at.is_some())) {
        seen.flaw = seen.flaw.or(Some(left));
    }
    Ok(seen)
}

/// Removes aictl's control group, in which no group of a run may be left unless aictl was killed;
/// says what is.
fn remove_group(group: &Path, killed: bool) -> Result<(), String> {
    let error = |error: io::Error| format!("{}: {error}", group.display());
    for entry in fs::read_dir(group).map_err(error)? {
        let entry = entry.map_err(error)?;
        if entry.file_type().map_err(error)?.is_dir() {
            let name = entry.file_name();
            if name != "supervisor" && !killed {
                return Err(format!("the control group {name:?} is left"));
            }
            fs::remove_dir(entry.path()).map_err(error)?;
        }
    }
    fs::remove_dir(group).map_err(error)
}

/// Waits for the end of a run, and looks at all that is left of it.
fn finish(
    world: &World,
    mut child: Child,
    stdout: &mpsc::Receiver<Vec<u8>>,
    stderr: &mpsc::Receiver<Vec<u8>>,
    id: &str,
) -> io::Result<Seen> {
    let exit = wait(&mut child)?;
    // Everything is to be dead when aictl says that the run is over. One that forks and ends all
    // the time is seen only by looking more than once.
    let mut survivors = world.processes(id);
    for _ in 0..12 {
        if survivors.is_empty() {
            thread::sleep(Duration::from_millis(5));
            survivors = world.processes(id);
        }
    }
    // Somebody else might hold the pipes open.
    let stdout = stdout.recv_timeout(GRACE).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&stderr.recv_timeout(GRACE).unwrap_or_default()).into();
    let mut seen = Seen { report: Value::Null, stderr, exit, survivors, leak: false, flaw: None };
    let Some(status) = exit else {
        seen.flaw = Some(format!("aictl did not end within {PATIENCE:?}"));
        return Ok(seen);
    };
    let text = String::from_utf8_lossy(&stdout);
    match serde_json::from_str::<Value>(&text) {
        Ok(report) => {
            seen.flaw = case::inconsistent(&report, status.code());
            seen.report = report;
            // So that a case can say what is expected there.
            seen.report["aictl_stderr"] = seen.stderr.clone().into();
        }
        Err(error) => {
            seen.flaw = Some(format!("standard output is not one JSON document: {error}"));
            seen.report = Value::String(text.clone().into_owned());
        }
    }
    seen.leak = text.contains(&world.secret) || seen.stderr.contains(&world.secret);
    Ok(seen)
}

/// Kills aictl when the script has said `line`, and sees whether the sandbox dies with it.
fn kill_at(
    world: &World,
    mut child: Child,
    mut stdout: BufReader<impl Read + Send + 'static>,
    line: &str,
    id: &str,
) -> io::Result<Seen> {
    let mut heard = String::new();
    while !heard.lines().any(|said| said == line) && stdout.read_line(&mut heard)? > 0 {}
    let before = world.processes(id);
    child.kill()?;
    let exit = child.wait()?;
    let end = Instant::now() + GRACE;
    let mut survivors = world.processes(id);
    while !survivors.is_empty() && Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
        survivors = world.processes(id);
    }
    // One of them is aictl itself.
    let flaw = (before.len() < 2 || !heard.lines().any(|said| said == line))
        .then(|| format!("the script did not get as far as {line:?}: {heard:?}"));
    Ok(Seen {
        report: Value::String(heard),
        stderr: String::new(),
        exit: Some(exit),
        survivors,
        leak: false,
        flaw,
    })
}

/// Calls `work` for every item on a few threads; the results in the order of the items.
pub fn in_parallel<I: Sync, R: Send>(items: &[I], work: impl Fn(&I) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(2, |n| n.get() + 1).clamp(2, 4);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    done.lock().unwrap_or_else(|e| e.into_inner()).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}
