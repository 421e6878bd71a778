//! The machine that the tests run in, and the ways in which a script runs there.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use aictl_api::{
    layer::Layer,
    limits::{self, LimitSpec, Limits, Unit},
    record::RunRecord,
    run::{Outcome, RunReport},
};
use aictl_sandbox::{
    client::{ClientError, Connection},
    interpreter::Runtime,
    protocol::{Job, Profile, Rejection, Reply, RequestId, ScriptArgs, ScriptName, Stream},
    sealed_memfd,
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// Where sandboxd listens; root may connect too.
const SOCKET: &str = "/run/aictl/sandboxd";
/// Its unit.
pub const SERVICE: &str = "aictl-sandboxd.service";
/// Where the script of a run by `aictl` is.
pub const SCRIPT: &str = "/var/tmp/script.py";
/// How long a test waits for what must come by itself, before it has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);
/// Where control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// In which of the ways a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By `aictl` itself, started by an ordinary user in a unit with delegated control groups.
    Embedded,
    /// By the helper, for an ordinary user whom polkit allows it: it has aictl-sandboxd run it,
    /// which demands every layer.
    Helper,
}

pub const WAYS: [Way; 2] = [Way::Embedded, Way::Helper];

/// A script that says that it is there, and waits.
pub const WAIT: &str = "import time\nprint('READY', flush=True)\ntime.sleep(300)\n";

/// What came of a run.
#[derive(Debug, PartialEq)]
pub struct Seen {
    pub outcome: Outcome,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub peak_memory: Option<u64>,
    pub cpu: Duration,
    pub isolation: Vec<Layer>,
    pub missing: Vec<Layer>,
}

/// A limit of a run, in milliseconds, bytes, or a count.
pub type Limit = (LimitSpec, u64);

/// The limits of those runs that have none of their own: an emulated machine is slow.
const LIMITS: [Limit; 2] = [(limits::TIMEOUT, 300_000), (limits::CPU, 200_000)];

/// Runs a script; the words of whoever refuses it are the error.
pub fn try_run(way: Way, limits: &[Limit], script: &str) -> Result<Seen, String> {
    let options = with_all(limits).into_iter().map(|(spec, value)| {
        let unit = if spec.unit == Unit::Time { "ms" } else { "" };
        format!("--{}={value}{unit}", spec.name)
    });
    let done = run_with(way, options, script);
    let report: RunReport = serde_json::from_slice(&done.stdout)
        .map_err(|_| String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())?;
    Ok(Seen {
        outcome: report.outcome,
        exit_code: report.exit_code,
        signal: report.signal,
        stdout: report.stdout,
        peak_memory: report.peak_memory_bytes,
        cpu: Duration::from_secs_f64(report.cpu_ms / 1000.0),
        isolation: report.isolation,
        missing: report.missing,
    })
}

/// Runs a script with these options of `aictl run`.
pub fn run_with(
    way: Way,
    options: impl IntoIterator<Item = impl AsRef<OsStr>>,
    script: &str,
) -> Output {
    fs::write(SCRIPT, script).unwrap();
    let mut command = match way {
        Way::Embedded => as_anna(&["aictl", "--embedded", "--json", "run"], true),
        Way::Helper => as_anna(&["aictl", "--json", "run"], false),
    };
    command.args(options).arg(SCRIPT).output().unwrap()
}

/// A command as Anna, who is an ordinary user; in a unit with control groups of its own, or without.
pub fn as_anna(argv: &[&str], delegated: bool) -> Command {
    let before: &[&str] = match delegated {
        true => &["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--uid=anna"],
        false => &["setpriv", "--reuid=anna", "--regid=anna", "--clear-groups", "--reset-env"],
    };
    let mut command = Command::new(before[0]);
    command.args(&before[1..]);
    if delegated {
        command.arg("--property=Delegate=yes");
    }
    command.arg("--").args(argv).stdin(Stdio::null());
    command
}

/// The same for a script that must run.
#[track_caller]
pub fn run(way: Way, limits: &[Limit], script: &str) -> Seen {
    try_run(way, limits, script).unwrap_or_else(|error| panic!("{way:?}: {error}"))
}

/// What a command of root's prints, which must work.
#[track_caller]
pub fn root(argv: &[&str]) -> String {
    let done = Command::new(argv[0]).args(&argv[1..]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{argv:?}: {}\n{}", done.status, text(&done.stderr));
    text(&done.stdout)
}

/// Waits until `is_so`; `what` says for what.
#[track_caller]
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came: {what}");
        thread::sleep(LOOK);
    }
}

/// A run in the service, asked for by its own protocol.
pub struct Run {
    connection: Connection,
    stdout: Vec<u8>,
    last: Option<Result<RunRecord, Rejection>>,
}

impl Run {
    pub fn start(limits: &[Limit], script: &str) -> Self {
        Self::start_of(None, limits, script)
    }

    /// The same for a run of this user's.
    pub fn start_of(user: Option<u32>, limits: &[Limit], script: &str) -> Self {
        let connection = Connection::from_socket(connected());
        let memfd = sealed_memfd(script.as_bytes()).unwrap();
        let job = Job { user, ..job(limits) };
        connection.submit(&job, memfd.as_fd(), None).unwrap();
        Self { connection, stdout: Vec::new(), last: None }
    }

    /// The next thing that it says is taken; false if that was the last.
    fn next(&mut self) -> Result<bool, ClientError> {
        match self.connection.receive()? {
            Reply::Output(Stream::Stdout, bytes) => self.stdout.extend(bytes),
            Reply::Output(Stream::Stderr, _) => {}
            Reply::Done(record) => self.last = Some(Ok(*record)),
            Reply::Rejected(rejection) => self.last = Some(Err(rejection)),
        }
        Ok(self.last.is_none())
    }

    /// Waits until the script has printed this.
    #[track_caller]
    pub fn wait_for(mut self, text: &str) -> Self {
        while !String::from_utf8_lossy(&self.stdout).contains(text) {
            assert!(self.next().unwrap(), "it ended before it printed {text}: {:?}", self.last);
        }
        self
    }

    /// Asks for its end.
    pub fn cancel(&self) {
        self.connection.cancel();
    }

    /// Waits for its end, of which sandboxd must tell.
    #[track_caller]
    pub fn end(mut self) -> Result<Seen, Rejection> {
        while self.next().unwrap() {}
        let record = self.last.expect("it has ended")?;
        Ok(Seen {
            outcome: record.outcome,
            exit_code: record.exit_code,
            signal: record.signal,
            stdout: String::from_utf8_lossy(&self.stdout).into_owned(),
            peak_memory: record.peak_memory_bytes,
            cpu: Duration::from_micros(record.cpu_usec),
            isolation: record.isolation,
            missing: record.missing,
        })
    }

    /// Waits for its end where sandboxd has ended before; whatever is heard then is the error.
    pub fn end_without_sandboxd(mut self) -> Result<Option<RunRecord>, ClientError> {
        while self.next()? {}
        Ok(self.last.and_then(Result::ok))
    }
}

/// These limits, and [`LIMITS`] where they say nothing.
fn with_all(limits: &[Limit]) -> Vec<Limit> {
    let is_given = |(spec, _): &&Limit| limits.iter().any(|(given, _)| given.name == spec.name);
    LIMITS.iter().filter(|limit| !is_given(limit)).chain(limits).copied().collect()
}

fn connected() -> OwnedFd {
    let client =
        socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(client.as_raw_fd(), &UnixAddr::new(SOCKET).unwrap()).unwrap();
    client
}

fn job(limits: &[Limit]) -> Job {
    let mut all = Limits::default();
    for (spec, value) in with_all(limits) {
        all.set(&spec, value).unwrap();
    }
    Job {
        request_id: RequestId::from_bytes([7; 16]),
        name: ScriptName::try_from("script.py".to_owned()).unwrap(),
        runtime: Runtime::Python,
        args: ScriptArgs::default(),
        limits: all,
        profile: Profile::Standard,
        want_result: false,
        stdin: false,
        user: None,
        patient: false,
        warm: true,
    }
}

/// The control group of a unit that runs.
#[track_caller]
pub fn group_of(unit: &str) -> PathBuf {
    group_if_any(unit).unwrap_or_else(|| panic!("{unit} has no group"))
}

/// The control group of a unit, if it runs.
fn group_if_any(unit: &str) -> Option<PathBuf> {
    let group = root(&["systemctl", "show", "--value", "--property=ControlGroup", unit]);
    group.trim().strip_prefix('/').map(|group| Path::new(CGROUPS).join(group))
}

/// The groups of the runs of the service; none if it does not run.
pub fn groups_of_runs() -> BTreeSet<PathBuf> {
    let mut groups = group_if_any(SERVICE).map_or_else(BTreeSet::new, |group| groups_below(&group));
    groups.retain(|path| path.file_name().is_some_and(|name| name != "supervisor"));
    groups
}

/// The groups right below another one.
pub fn groups_below(group: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(group).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Every process of the machine whose command line holds this.
pub fn processes_with(text: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<i32>().ok()
    });
    let has_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    pids.filter(has_it).collect()
}
