//! Runs cases through `aictl run`, and says how they went.

use std::{
    fmt, fs,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use aictl_api::run::Start;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    case::{self, Case, WATCHES},
    world::{World, is_first},
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
    /// How the interpreters of Python scripts are to be started; `None` if that is all the same.
    pub start: Option<Start>,
}

/// How often a run is repeated whose interpreter was not started as is wanted: it is when the
/// keeper has just none left that waits.
const TRIES: u32 = 50;
/// Half of the pause before it is repeated for the first time; each is twice the one before, up to
/// some seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

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
    /// How the interpreter was started, as far as it is known.
    start: Option<Start>,
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

/// One run of a case.
#[derive(Clone, Copy)]
struct Once<'a> {
    world: &'a World,
    case: &'a Case,
    way: &'a Way,
    syscalls: &'a str,
    /// Its id, which all rounds have in common.
    id: &'a str,
    round: u32,
    /// The id of the run that is there at the same time.
    beside: Option<&'a str>,
}

/// Runs `aictl` with a case's script for all of its rounds; the last one is returned, or the
/// first that escaped.
///
/// # Errors
/// If aictl cannot be started.
pub fn run(world: &World, case: &Case, way: &Way, syscalls: &str) -> io::Result<Seen> {
    let id = world.next_run();
    // Only Python's interpreters wait.
    let wanted = way.start.filter(|_| case.name.ends_with(".py"));
    let mut once = Once { world, case, way, syscalls, id: &id, round: 1, beside: None };
    let mut tries = 0;
    loop {
        let mut seen = match &case.beside {
            None => run_once(&once, &mut || Ok(()))?,
            Some(line) => run_beside(&once, line)?,
        };
        if let Some(wanted) = wanted
            && seen.start != wanted.into()
            && seen.not_contained(case).is_none()
        {
            tries += 1;
            if tries < TRIES {
                // Where memory is short it starts none for half a minute, and in a crowd none at all.
                thread::sleep(FIRST_PAUSE.saturating_mul(1 << tries.min(8)));
                continue;
            }
            seen.flaw = Some(format!("none of {TRIES} runs was {}", wanted.name()));
        }
        for &pid in &seen.survivors {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if way.weaken.as_ref().is_some_and(|layers| layers.contains("mount-ns")) {
            // Without a file system of its own, the sandbox has put the script there.
            let _ = fs::remove_file(Path::new("/tmp").join(&case.name));
        }
        if once.round == case.rounds || seen.not_contained(case).is_some() {
            return Ok(seen);
        }
        once.round += 1;
    }
}

/// Runs a case while another run of it, of round 0, is there: one that has said `line`.
fn run_beside(once: &Once<'_>, line: &str) -> io::Result<Seen> {
    let other = Case { kill_at: Some(line.to_owned()), ..once.case.clone() };
    let id = once.world.next_run();
    let mut seen = None;
    let there = run_once(&Once { case: &other, id: &id, round: 0, ..*once }, &mut || {
        seen = Some(run_once(&Once { beside: Some(&id), ..*once }, &mut || Ok(()))?);
        Ok(())
    })?;
    let mut seen = seen.ok_or_else(|| io::Error::other("there was no second run"))?;
    if let Some(why) = there.not_contained(&other) {
        seen.flaw = Some(format!("the run beside it: {why}"));
    }
    Ok(seen)
}

/// Runs `aictl` once. `meanwhile` is done before aictl is killed, in a case in which it is.
fn run_once(once: &Once<'_>, meanwhile: &mut dyn FnMut() -> io::Result<()>) -> io::Result<Seen> {
    let &Once { world, case, way, syscalls, id, round, beside } = once;
    let coordinates = world.coordinates(id, round, beside, way.control)?;
    let aictl = world.directory.join("bin/aictl");
    let mut command = Command::new(aictl);
    command.arg("run");
    if case.kill_at.is_none() {
        command.arg("--json");
    }
    command.args(&case.options).arg(world.script(&case.name, id)?);
    command.arg(coordinates.to_string());
    if case.wants_syscalls {
        command.arg(syscalls);
    }
    command.env("AICTL_TEST_SECRET", &world.secret).env("AICTL_TEST_RUN", id);
    match &way.weaken {
        Some(layers) => command.env("AICTL_WEAKEN", layers),
        None => command.env_remove("AICTL_WEAKEN"),
    };
    if let Some(user) = way.user {
        // The standard library also drops all groups.
        command.uid(user).gid(user);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("aictl has no pipes"));
    };
    let stderr = drain(stderr);
    match &case.kill_at {
        Some(line) => kill_at(once, child, BufReader::new(stdout), line, meanwhile),
        None => finish(once, child, &drain(stdout), &stderr),
    }
}

/// Waits for the end of a run, and looks at all that is left of it.
fn finish(
    once: &Once<'_>,
    mut child: Child,
    stdout: &mpsc::Receiver<Vec<u8>>,
    stderr: &mpsc::Receiver<Vec<u8>>,
) -> io::Result<Seen> {
    let &Once { world, id, .. } = once;
    let script = &once.case.name;
    let exit = wait(&mut child)?;
    // Everything is to be dead when aictl says that the run is over. One that forks and ends all
    // the time is seen only by looking more than once.
    let all = || world.processes(id, script);
    let looked = || all().into_iter().filter(|&pid| !is_first(pid)).collect::<Vec<_>>();
    let mut survivors = looked();
    for _ in 0..12 {
        if survivors.is_empty() {
            thread::sleep(Duration::from_millis(5));
            survivors = looked();
        }
    }
    // The sandbox's own first process, which runs nothing of the script's, may be on its way out.
    let end = Instant::now() + GRACE;
    while survivors.is_empty() && !all().is_empty() {
        thread::sleep(Duration::from_millis(5));
        if Instant::now() > end {
            survivors = all();
        }
    }
    // Somebody else might hold the pipes open.
    let stdout = stdout.recv_timeout(GRACE).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&stderr.recv_timeout(GRACE).unwrap_or_default()).into();
    let mut seen =
        Seen { report: Value::Null, stderr, exit, survivors, leak: false, flaw: None, start: None };
    let Some(status) = exit else {
        seen.flaw = Some(format!("aictl did not end within {PATIENCE:?}"));
        return Ok(seen);
    };
    let text = String::from_utf8_lossy(&stdout);
    match serde_json::from_str::<Value>(&text) {
        Ok(report) => {
            seen.flaw = case::inconsistent(&report, status.code());
            seen.start = report["start"].as_str().and_then(Start::from_name);
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

/// Kills aictl when the script has said `line` and `meanwhile` is done, and sees whether the sandbox
/// dies with it.
fn kill_at(
    once: &Once<'_>,
    mut child: Child,
    mut stdout: BufReader<impl Read + Send + 'static>,
    line: &str,
    meanwhile: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<Seen> {
    let &Once { world, id, .. } = once;
    let script = &once.case.name;
    let mut heard = String::new();
    while !heard.lines().any(|said| said == line) && stdout.read_line(&mut heard)? > 0 {}
    let before = world.processes(id, script);
    // An interpreter that was started for the run has its id, as aictl does; one that waited has not.
    let start = if world.told(id).len() > 1 { Some(Start::Cold) } else { once.way.start };
    let done = meanwhile();
    let was_there = child.try_wait()?.is_none();
    child.kill()?;
    let exit = child.wait()?;
    done?;
    let end = Instant::now() + GRACE;
    let mut survivors = world.processes(id, script);
    while !survivors.is_empty() && Instant::now() < end {
        thread::sleep(Duration::from_millis(20));
        survivors = world.processes(id, script);
    }
    // One of them is aictl itself.
    let flaw = if before.len() < 2 || !heard.lines().any(|said| said == line) {
        Some(format!("the script did not get as far as {line:?}: {heard:?}"))
    } else {
        (!was_there).then(|| "it ended before aictl was to be killed".to_owned())
    };
    Ok(Seen {
        report: Value::String(heard),
        stderr: String::new(),
        exit: Some(exit),
        survivors,
        leak: false,
        flaw,
        start,
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
