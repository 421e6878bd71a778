//! The program `aictl-sandboxd` as systemd starts it: many runs, hostile clients, nothing left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{self, ErrorKind, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use aictl_api::{
    layer::Layer,
    limits::{Limits, TIMEOUT},
    record::RunRecord,
    run::{Outcome, Start},
    strict::{DEPTH, Imports, NODES, Policy, Rule, SOURCE},
};
use aictl_sandbox::{
    client::{ClientError, Connection},
    interpreter::Runtime,
    protocol::{Job, Profile, RejectKind, Reply, Request, RequestId, ScriptArgs, ScriptName},
    sealed_memfd,
};
use nix::{
    sys::{
        signal::{Signal, kill},
        socket::{
            AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, bind,
            connect, listen, send, sendmsg, setsockopt, socket, sockopt,
        },
    },
    unistd,
};

/// A sandboxd with a socket of its own.
struct Service {
    child: Child,
    directory: PathBuf,
}

impl Service {
    fn start(options: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sandboxd-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let listener = seqpacket();
        bind(listener.as_raw_fd(), &UnixAddr::new(&directory.join("socket")).unwrap()).unwrap();
        listen(&listener, Backlog::new(128).unwrap()).unwrap();
        // As systemd passes it: descriptor 3, and the process's own id.
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 0</dev/null";
        let child = Command::new("/bin/sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_aictl-sandboxd")])
            .args(["--interpreter", "python=/usr/bin/python3"])
            .args(options)
            .env_clear()
            .stdin(Stdio::from(listener))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    fn connect(&self) -> OwnedFd {
        let client = seqpacket();
        let address = UnixAddr::new(&self.directory.join("socket")).unwrap();
        connect(client.as_raw_fd(), &address).unwrap();
        client
    }

    fn run(&self, script: &str) -> Result<RunRecord, RejectKind> {
        self.run_job(&job(), script).map(|(record, _)| record)
    }

    /// Runs a script; the record with all that it printed.
    fn run_job(&self, job: &Job, script: &str) -> Result<(RunRecord, String), RejectKind> {
        let connection = Connection::from_socket(self.connect());
        let memfd = sealed_memfd(script.as_bytes()).unwrap();
        connection.submit(job, memfd.as_fd(), None).unwrap();
        let mut printed = Vec::new();
        loop {
            match connection.receive().unwrap() {
                Reply::Output(_, bytes) => printed.extend(bytes),
                Reply::Done(record) => {
                    // Only with the connection its place is given back.
                    assert!(matches!(connection.receive(), Err(ClientError::Ended)));
                    return Ok((*record, String::from_utf8_lossy(&printed).into_owned()));
                }
                Reply::Rejected(rejection) => {
                    eprintln!("rejected: {}", rejection.message);
                    return Err(rejection.kind);
                }
            }
        }
    }

    /// Hands over a job whose standard input nobody but sandboxd has by the time that it is read.
    fn submit_alone(
        &self,
        connection: &Connection,
        job: &Job,
        script: BorrowedFd<'_>,
        stdin: OwnedFd,
    ) {
        self.stand_still();
        connection.submit(job, script, Some(stdin.as_fd())).unwrap();
        drop(stdin);
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }

    fn stand_still(&self) {
        self.signal(Signal::SIGSTOP);
        // The signal takes a moment, in which it could take what comes and be through with it.
        while !self.tasks().all(|task| is_stopped(&task)) {
            thread::yield_now();
        }
    }

    /// Its threads, in /proc.
    fn tasks(&self) -> impl Iterator<Item = PathBuf> {
        let tasks = fs::read_dir(self.proc().join("task")).unwrap();
        tasks.filter_map(Result::ok).map(|task| task.path())
    }

    /// What a script prints whose interpreter was started so.
    fn print_after(&self, start: Start, script: &str) -> String {
        self.print_of_job_after(&job(), start, script)
    }

    fn print_of_job_after(&self, job: &Job, start: Start, script: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            let (record, printed) = self.run_job(job, script).unwrap();
            assert_eq!(record.exit_code, Some(0), "{record:?} {printed}");
            if record.start == Some(start) {
                return printed;
            }
            // One is on its way, for which the others make place.
            thread::sleep(Duration::from_millis(50));
        }
        panic!("no run's start was {}", start.name());
    }

    fn proc(&self) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string())
    }

    /// Open descriptors, threads and mounts of sandboxd, and its children; `None` where only root
    /// may look.
    fn holdings(&self) -> Option<(usize, usize, usize, String)> {
        let count = |name: &str| Some(fs::read_dir(self.proc().join(name)).ok()?.count());
        let mounts = fs::read_to_string(self.proc().join("mountinfo")).ok()?.lines().count();
        let main = self.proc().join(format!("task/{}/children", self.child.id()));
        Some((count("fd")?, count("task")?, mounts, fs::read_to_string(main).ok()?))
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(self.proc().join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

/// How the run of a connection ends, whatever it still prints.
fn outcome(connection: &Connection) -> Outcome {
    loop {
        match connection.receive().unwrap() {
            Reply::Output(..) => {}
            Reply::Done(record) => return record.outcome,
            Reply::Rejected(rejection) => panic!("{}", rejection.message),
        }
    }
}

fn seqpacket() -> OwnedFd {
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap()
}

fn job() -> Job {
    Job {
        request_id: RequestId::from_bytes([9; 16]),
        name: ScriptName::try_from("a.py".to_owned()).unwrap(),
        runtime: Runtime::Python,
        args: ScriptArgs::default(),
        limits: Limits::default(),
        profile: Profile::Standard,
        want_result: false,
        stdin: false,
        user: None,
        patient: false,
        warm: true,
    }
}

/// A script that the policy refuses is not run, and one that it allows is, with the same modules.
#[test]
fn strict_is_checked_before_anything_is_started() {
    let service = Service::start(&["--allow-missing", "--interpreter", "bash=/bin/bash"]);
    let imports = Imports::try_from(vec!["math".to_owned(), "typing".to_owned()]).unwrap();
    let policy = Policy { imports, ..Policy::default() };
    let strict = Job { profile: Profile::Strict(policy), want_result: true, ..job() };
    let refused = service.run_job(&strict, "x = 1\nimport os\neval('1')\n").unwrap().0;
    assert_eq!((refused.outcome, refused.exit_code), (Outcome::Refused, None));
    assert!(refused.isolation.is_empty() && refused.peak_memory_bytes.is_none(), "{refused:?}");
    let told: Vec<_> = refused
        .refusals
        .iter()
        .map(|it| (it.line, it.column, it.rule, it.instead.is_some()))
        .collect();
    assert_eq!(told, [(2, 8, Rule::Import, true), (3, 1, Rule::Name, true)]);
    assert_eq!(refused.code_sha256.len(), 64);
    let good = service.run_job(&strict, "import math\nresult = math.sqrt(16)\n").unwrap().0;
    assert_eq!((good.outcome, good.result), (Outcome::Exited, Some(serde_json::json!(4.0))));
    assert!(good.refusals.is_empty());
    // Far more findings than a message holds.
    let many = service.run_job(&strict, &"import os\n".repeat(4000)).unwrap().0;
    assert!(many.refusals.len() > 50 && many.message.unwrap().contains("are left out"));
    let bash = Job { runtime: Runtime::Bash, ..strict };
    assert_eq!(service.run_job(&bash, "true"), Err(RejectKind::Invalid));
}

/// Texts that are made to hurt what checks them are refused, and hurt nobody.
#[test]
fn a_hostile_text_is_refused_and_the_next_script_runs() {
    let service = Service::start(&["--allow-missing"]);
    let policy =
        Policy { source: SOURCE.max, nodes: NODES.max, depth: DEPTH.max, ..Policy::default() };
    let strict = Job { profile: Profile::Strict(policy), ..job() };
    assert_eq!(service.run_job(&strict, &"\0".repeat(9)), Err(RejectKind::Invalid));
    for text in ["(".repeat(1 << 20), "x.".repeat(1 << 19), "f'{".repeat(300_000)] {
        let refused = service.run_job(&strict, &text).unwrap().0;
        assert_eq!(refused.outcome, Outcome::Refused);
        assert!(!refused.refusals.is_empty());
    }
    assert_eq!(service.run_job(&strict, "print(1)").unwrap().0.outcome, Outcome::Exited);
    // Nothing of what checked them is left.
    if let Some((_, _, _, children)) = service.holdings() {
        assert_eq!(children, "");
    }
}

/// As a service sandboxd insists on every layer; where this machine lacks one, that is what it
/// says, and there is nothing more to see here.
fn complete(service: &Service) -> bool {
    match service.run("print(1)") {
        Ok(record) => {
            assert_eq!(record.outcome, Outcome::Exited);
            true
        }
        Err(kind) => {
            assert_eq!(kind, RejectKind::Unavailable);
            false
        }
    }
}

/// How a service is started that takes the machine as it is.
const LENIENT: &[&str] = &["--allow-missing"];

#[test]
fn as_a_service_a_missing_layer_is_an_error() {
    let service = Service::start(&[]);
    if complete(&service) {
        assert!(service.run("print(1)").unwrap().missing.is_empty());
    }
    // Nor does a copy of an interpreter run without it, whenever it could have been made.
    let copying = copying(&[]);
    for _ in 0..100 {
        match copying.run("print(1)") {
            Ok(record) => assert!(record.missing.is_empty(), "{record:?}"),
            Err(kind) => assert_eq!(kind, RejectKind::Unavailable),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_thousand_runs_fifty_at_a_time_leave_nothing() {
    let service = Service::start(&[LENIENT[0], "--warm", "0", "--template", "none"]);
    let rounds = |runs: usize| {
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for _ in 0..50 {
                threads.push(scope.spawn(|| {
                    for _ in 0..runs / 50 {
                        let record = service.run("print(1)").unwrap();
                        assert_eq!(record.outcome, Outcome::Exited, "{record:?}");
                        assert_eq!(record.exit_code, Some(0), "{record:?}");
                    }
                }));
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    };
    // Until every thread has had a stack and a heap of its own, memory still grows.
    rounds(100);
    settle(&service);
    let (before, memory) = (service.holdings(), service.resident_kib());
    rounds(1000);
    settle(&service);
    assert_eq!(service.holdings(), before);
    let after = service.resident_kib();
    assert!(after < memory + 2048, "{memory} KiB before, {after} KiB after a thousand runs");
}

/// Whether a thread is stopped, or is none any more.
fn is_stopped(task: &Path) -> bool {
    let state = fs::read_to_string(task.join("stat"));
    // Its state follows its name, which may hold anything.
    state.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

/// Waits until the threads of all runs have ended, or wait for another, which they do just after their
/// last packet. What keeps the interpreters that wait stays.
fn settle(service: &Service) {
    let of_runs = |task: &fs::DirEntry| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        !["", "warm", "accepting"].contains(&name.trim_end())
    };
    let tasks = || fs::read_dir(service.proc().join("task")).unwrap();
    while tasks().filter_map(Result::ok).filter(of_runs).count() > 1 {
        thread::yield_now();
    }
}

/// As it may find one that stood still for so long that the helper has given the run up.
#[test]
fn a_run_that_was_cancelled_before_it_was_looked_at_is_not_begun() {
    let service = Service::start(LENIENT);
    let memfd = sealed_memfd(b"print('on')").unwrap();
    service.stand_still();
    let connection = Connection::from_socket(service.connect());
    connection.submit(&job(), memfd.as_fd(), None).unwrap();
    connection.cancel();
    service.signal(Signal::SIGCONT);
    let Reply::Done(record) = connection.receive().unwrap() else { panic!("something has run") };
    assert_eq!((record.outcome, record.start, record.wall_usec), (Outcome::Cancelled, None, 0));
}

#[test]
fn more_runs_than_allowed_are_refused_at_once() {
    let service =
        Service::start(&[LENIENT[0], "--warm", "0", "--template", "none", "--max-runs", "1"]);
    let connection = Connection::from_socket(service.connect());
    let memfd = sealed_memfd(b"print('on', flush=True)\nimport signal; signal.pause()").unwrap();
    connection.submit(&job(), memfd.as_fd(), None).unwrap();
    assert!(matches!(connection.receive().unwrap(), Reply::Output(..)));
    assert_eq!(service.run("print(1)").unwrap_err(), RejectKind::LimitExceeded);
    connection.cancel();
    assert_eq!(outcome(&connection), Outcome::Cancelled);
    settle(&service);
    assert!(service.run("print(1)").is_ok());
}

/// A stream for standard input: the end to write to, and the end that sandboxd gets.
fn stream() -> (UnixStream, OwnedFd) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (ours, theirs.into())
}

#[test]
fn standard_input_comes_from_a_stream() {
    let service = Service::start(LENIENT);
    let reads = Job { stdin: true, ..job() };
    // In one write, and so in one packet.
    let script =
        sealed_memfd(b"import os, sys\nos.write(1, b'%d\\n' % len(sys.stdin.read()))").unwrap();
    let (mut ours, theirs) = stream();
    let connection = Connection::from_socket(service.connect());
    connection.submit(&reads, script.as_fd(), Some(theirs.as_fd())).unwrap();
    drop(theirs);
    ours.write_all(&vec![b'x'; 1 << 20]).unwrap();
    drop(ours);
    let Reply::Output(_, printed) = connection.receive().unwrap() else { panic!("no output") };
    assert_eq!(printed, b"1048576\n");
    assert_eq!(outcome(&connection), Outcome::Exited);
    // Nothing is left of it.
    assert!(matches!(connection.receive(), Err(ClientError::Ended)));
    // Who writes to a script that has ended is told so.
    let (mut ours, theirs) = stream();
    let connection = Connection::from_socket(service.connect());
    let script = sealed_memfd(b"print(1)").unwrap();
    connection.submit(&reads, script.as_fd(), Some(theirs.as_fd())).unwrap();
    drop(theirs);
    assert_eq!(outcome(&connection), Outcome::Exited);
    assert!(matches!(connection.receive(), Err(ClientError::Ended)));
    assert_eq!(ours.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// A socket that closing waits for, for an hour or until the other end goes (SO_LINGER, socket(7)).
fn lingering() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut lingers = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let other = listener.accept().unwrap().0;
    lingers.set_nonblocking(true).unwrap();
    while lingers.write(&[0; 4096]).is_ok() {}
    let hour = libc::linger { l_onoff: 1, l_linger: 3600 };
    setsockopt(&lingers, sockopt::Linger, &hour).unwrap();
    (lingers, other)
}

/// A stream for standard input that has whoever reads it wait, until the last of what is returned is
/// dropped.
fn stalling() -> (OwnedFd, UnixStream, TcpStream) {
    let (ours, theirs) = stream();
    let (lingers, other) = lingering();
    let rights = [lingers.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&rights)];
    let parts = [io::IoSlice::new(b"x")];
    sendmsg::<()>(ours.as_raw_fd(), &parts, &rights, MsgFlags::empty(), None).unwrap();
    (theirs, ours, other)
}

/// What is sent along with standard input is closed in the name of who reads it.
#[test]
fn who_has_the_reader_of_standard_input_wait_has_no_run_go_on() {
    let service = Service::start(&[LENIENT[0], "--warm", "0", "--max-runs", "2"]);
    let (theirs, _ours, other) = stalling();
    let mut reads = Job { stdin: true, ..job() };
    reads.limits.set(&TIMEOUT, 300).unwrap();
    let connection = Connection::from_socket(service.connect());
    let script = sealed_memfd(b"import signal; signal.pause()").unwrap();
    service.submit_alone(&connection, &reads, script.as_fd(), theirs);
    assert_eq!(outcome(&connection), Outcome::TimedOut);
    // Its place is taken, which the connection tells; others run beside it.
    let waits = |result: io::Result<_>| result.is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
    assert!(waits(connection.try_receive()));
    assert_eq!(service.run("print(1)").unwrap().outcome, Outcome::Exited);
    assert!(waits(connection.try_receive()));
    drop(other);
    assert!(matches!(connection.receive(), Err(ClientError::Ended)));
    // Where nothing is run, that is told before.
    let (theirs, _ours, other) = stalling();
    let node = Job { runtime: Runtime::Node, ..reads };
    let connection = Connection::from_socket(service.connect());
    service.submit_alone(&connection, &node, script.as_fd(), theirs);
    let Reply::Rejected(rejection) = connection.receive().unwrap() else { panic!("it ran") };
    assert_eq!(rejection.kind, RejectKind::NoInterpreter);
    assert!(waits(connection.try_receive()));
    drop(other);
}

/// What no two runs may have in common.
const OWN: &str = "\
import hashlib, os, random, tempfile, uuid
print(hash('x'), random.random(), uuid.uuid4(), uuid.uuid1(), id(object()), os.urandom(4).hex(),
      tempfile.mktemp(), sep='\\n')";

#[test]
fn two_runs_have_nothing_in_common() {
    let same_in_all = |service: &Service, start| {
        let runs: Vec<String> = (0..3).map(|_| service.print_after(start, OWN)).collect();
        let of = |run: &String| run.lines().map(str::to_owned).collect::<Vec<_>>();
        let runs: Vec<_> = runs.iter().map(of).collect();
        let pairs = [(0, 1), (0, 2), (1, 2)];
        (0..runs[0].len())
            .filter(|&line| pairs.iter().any(|&(a, b)| runs[a][line] == runs[b][line]))
            .collect::<Vec<_>>()
    };
    assert_eq!(same_in_all(&Service::start(LENIENT), Start::Warm), [0usize; 0]);
    // Copies of one template have its hash seed and its addresses.
    assert_eq!(same_in_all(&copying(LENIENT), Start::Forked), [0, 4]);
}

/// A sandboxd whose interpreters are copies of a template.
fn copying(options: &[&str]) -> Service {
    keeping("0", options)
}

/// A sandboxd with a template, for which so many interpreters wait besides.
fn keeping(warm: &str, options: &[&str]) -> Service {
    let library = std::env::current_exe().unwrap().with_file_name(aictl_template::FILE_NAME);
    Service::start(&[options, &["--warm", warm, "--template", library.to_str().unwrap()]].concat())
}

/// However its interpreter was started, a run whose user has another one already lets others go
/// first, and cannot take that back; where control groups weigh users, nothing else has to.
#[test]
fn a_second_run_of_a_user_yields_to_others() {
    const SAY: &str = "\
import os
if __import__('sys').argv[1:]:
    print('on', flush=True)
    __import__('signal').pause()
try:
    os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)
except PermissionError:
    print(os.getpriority(os.PRIO_PROCESS, 0))
";
    let of = |user: Option<u32>| Job { user, ..job() };
    let memfd = sealed_memfd(SAY.as_bytes()).unwrap();
    let services = [
        (Service::start(&[LENIENT[0], "--warm", "0", "--template", "none"]), Start::Cold),
        (Service::start(&[LENIENT[0], "--template", "none"]), Start::Warm),
        (copying(LENIENT), Start::Forked),
    ];
    for (service, start) in services {
        let print = |user| service.print_of_job_after(&of(user), start, SAY);
        if service.run("print(1)").unwrap().isolation.contains(&Layer::Cgroup) {
            continue;
        }
        assert_eq!(print(Some(7)), "0\n", "{start:?}: the only one");
        let patient = Job { patient: true, ..of(Some(7)) };
        let printed = service.print_of_job_after(&patient, start, SAY);
        assert_eq!(printed, "10\n", "{start:?}: one that has waited for his other");
        let first = Connection::from_socket(service.connect());
        let args = ScriptArgs::try_from(vec!["wait".to_owned()]).unwrap();
        first.submit(&Job { args, ..of(Some(7)) }, memfd.as_fd(), None).unwrap();
        assert!(matches!(first.receive().unwrap(), Reply::Output(..)));
        assert_eq!(print(Some(7)), "10\n", "{start:?}: a second one");
        assert_eq!(print(Some(8)), "0\n", "{start:?}: another user's");
        assert_eq!(print(None), "0\n", "{start:?}: nobody's");
        first.cancel();
        assert_eq!(outcome(&first), Outcome::Cancelled);
        settle(&service);
        assert_eq!(print(Some(7)), "0\n", "{start:?}: the only one again");
    }
}

#[test]
fn nothing_of_a_run_is_there_for_the_next() {
    let leave = "\
import builtins, gc, json, os, sys
secret = 'a secret of ' + 'the first run'
builtins.left = json.left = secret
open('/tmp/left', 'w').write(secret)
open('/work/left', 'w').write(secret)
os.environ['LEFT'] = secret
if os.fork() == 0:
    os.setsid()
    while True: pass";
    let look = "\
import builtins, gc, json, os, re
assert not hasattr(builtins, 'left') and not hasattr(json, 'left')
assert os.listdir('/tmp') == [] and os.listdir('/work') == ['a.py'], os.listdir('/tmp')
assert 'LEFT' not in os.environ
assert [p for p in os.listdir('/proc') if p.isdigit()] == ['1', '2'], os.listdir('/proc')
for line in open('/proc/self/maps'):
    start, end, mode = re.match('([0-9a-f]+)-([0-9a-f]+) (....)', line).groups()
    if mode[0] == 'r' and '[v' not in line:
        with open('/proc/self/mem', 'rb') as memory:
            memory.seek(int(start, 16))
            held = memory.read(int(end, 16) - int(start, 16))
            # Not written here as one, or it would be found here.
            for at in re.finditer(b'secret of ', held):
                assert held[at.end():at.end() + 3] != b'the', line";
    for (service, start) in
        [(Service::start(LENIENT), Start::Warm), (copying(LENIENT), Start::Forked)]
    {
        for _ in 0..2 {
            service.print_after(start, leave);
            service.print_after(start, look);
        }
    }
}

/// Also where a hundred come at once, and where the template is replaced meanwhile, each run is
/// one of its own.
#[test]
fn a_burst_is_carried_by_copies() {
    let service = copying(LENIENT);
    service.print_after(Start::Forked, "print(1)");
    let starts: Vec<Start> = thread::scope(|scope| {
        let runners: Vec<_> = (0..8)
            .map(|runner| {
                let service = &service;
                scope.spawn(move || {
                    (0..150)
                        .map(|turn| {
                            let script = format!("print({runner}, {turn})");
                            let (record, printed) = service.run_job(&job(), &script).unwrap();
                            assert_eq!(printed, format!("{runner} {turn}\n"), "{record:?}");
                            record.start.unwrap()
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        runners.into_iter().flat_map(|runner| runner.join().unwrap()).collect()
    });
    let forked = starts.iter().filter(|&&start| start == Start::Forked).count();
    assert!(forked > starts.len() / 2, "{forked} of {}", starts.len());
    settle(&service);
}

/// Where the kernel divides the CPU among sessions, each run's is one, beside which a nice value of its
/// processes counts for nothing (sched(7), "The autogroup feature").
#[test]
fn a_run_that_yields_does_so_beside_other_sessions_too() {
    const SAY: &str = "\
def weight():
    try:
        return open('/proc/self/autogroup').read().split()[-1]
    except (FileNotFoundError, IndexError):
        return 'none'
before = weight()
try:
    open('/proc/self/autogroup', 'w').write('0')
except OSError:
    pass
print(before, weight())
";
    // That of a session of its own: what never began one has none.
    let session = Command::new("setsid").args(["--wait", "cat", "/proc/self/autogroup"]).output();
    let is_weighed = !session.unwrap().stdout.trim_ascii().is_empty();
    let [usual, lowered] = if is_weighed { ["0 0\n", "10 10\n"] } else { ["none none\n"; 2] };
    let services = [
        (Service::start(&[LENIENT[0], "--warm", "0", "--template", "none"]), Start::Cold),
        (Service::start(&[LENIENT[0], "--template", "none"]), Start::Warm),
        (copying(LENIENT), Start::Forked),
    ];
    for (service, start) in services {
        if service.run("print(1)").unwrap().isolation.contains(&Layer::Cgroup) {
            continue;
        }
        let patient = Job { patient: true, ..job() };
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            assert_eq!(service.print_of_job_after(&job(), start, SAY), usual, "{start:?}");
            let printed = service.print_of_job_after(&patient, start, SAY);
            if printed == lowered {
                break;
            }
            // The kernel hears one such word in a tenth of a second, whoever says it.
            assert_eq!(printed, usual, "{start:?}");
            assert!(Instant::now() < deadline, "{start:?}: never {lowered}");
            thread::sleep(Duration::from_millis(30));
        }
    }
}

/// Who has waited already gets a copy, and one who has not the interpreter that waits.
#[test]
fn who_is_patient_leaves_what_waits_to_others() {
    let service = keeping("1", LENIENT);
    let patient = Job { patient: true, ..job() };
    service.print_of_job_after(&patient, Start::Forked, "print(1)");
    for _ in 0..5 {
        // Nothing depends on it, but that one waits that could be taken.
        thread::sleep(Duration::from_millis(200));
        let (record, _) = service.run_job(&patient, "print(1)").unwrap();
        assert_eq!(record.start, Some(Start::Forked), "{record:?}");
    }
    service.print_after(Start::Warm, "print(1)");
}

#[test]
fn who_wants_no_interpreter_that_waited_gets_none() {
    let service = Service::start(LENIENT);
    service.print_after(Start::Warm, "print(1)");
    let cold = Job { warm: false, ..job() };
    for _ in 0..3 {
        assert_eq!(service.run_job(&cold, "print(1)").unwrap().0.start, Some(Start::Cold));
    }
    let none = Service::start(&[LENIENT[0], "--warm", "0", "--template", "none"]);
    for _ in 0..3 {
        assert_eq!(none.run("print(1)").unwrap().start, Some(Start::Cold));
    }
}

#[test]
fn hostile_clients_get_an_answer_or_nothing_and_harm_nobody() {
    let service = Service::start(LENIENT);
    let good = Request::Run(Box::new(job())).encode();
    let reads = Request::Run(Box::new(Job { stdin: true, ..job() })).encode();
    let script = || sealed_memfd(b"print(1)").unwrap();
    let open = |path: &str| OwnedFd::from(fs::File::open(path).unwrap());
    let (pipe, _writer) = unistd::pipe().unwrap();
    let cases: Vec<(&str, &[u8], Vec<OwnedFd>)> = vec![
        ("an empty packet", b"", vec![]),
        ("garbage", b"\xff\xfe garbage", vec![]),
        ("another version", b"ai\x09\x01{}", vec![script()]),
        ("no script", &good, vec![]),
        ("too many descriptors", &good, vec![script(), script(), script(), script()]),
        ("a stdin that was not announced", &good, vec![script(), script()]),
        ("a stdin that did not come", &reads, vec![script()]),
        ("a pipe as stdin", &reads, vec![script(), pipe.try_clone().unwrap()]),
        ("packets as stdin", &reads, vec![script(), seqpacket()]),
        ("a script as stdin", &reads, vec![script(), script()]),
        ("a pipe as script", &good, vec![pipe]),
        ("a device as script", &good, vec![open("/dev/zero")]),
        ("a directory as script", &good, vec![open("/")]),
        ("a plain file as script", &good, vec![open("/etc/passwd")]),
        ("an empty script", &good, vec![sealed_memfd(b"").unwrap()]),
        ("a script over the limit", &good, vec![sealed_memfd(&vec![b'#'; (1 << 20) + 1]).unwrap()]),
    ];
    for (what, bytes, fds) in cases {
        let client = service.connect();
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights[..] };
        let parts = [io::IoSlice::new(bytes)];
        sendmsg::<()>(client.as_raw_fd(), &parts, control, MsgFlags::empty(), None).unwrap();
        match Connection::from_socket(client).receive() {
            Ok(Reply::Rejected(rejection)) => {
                assert_eq!(rejection.kind, RejectKind::Invalid, "{what}: {}", rejection.message);
            }
            Ok(other) => panic!("{what}: {other:?}"),
            Err(_) => {}
        }
    }
    // One that goes away in the middle, and one that never says anything, hold nobody up.
    let silent = service.connect();
    drop(service.connect());
    let gone = Connection::from_socket(service.connect());
    let memfd = sealed_memfd(b"print(1, flush=True)\nimport signal; signal.pause()").unwrap();
    gone.submit(&job(), memfd.as_fd(), None).unwrap();
    assert!(matches!(gone.receive().unwrap(), Reply::Output(..)));
    drop(gone);
    assert_eq!(service.run("print(2)").unwrap().outcome, Outcome::Exited);
    // A second job on a connection ends the first.
    let twice = service.connect();
    let connection = Connection::from_socket(twice.try_clone().unwrap());
    connection.submit(&job(), memfd.as_fd(), None).unwrap();
    assert!(matches!(connection.receive().unwrap(), Reply::Output(..)));
    send(twice.as_raw_fd(), &good, MsgFlags::empty()).unwrap();
    assert_eq!(outcome(&connection), Outcome::Cancelled);
    drop(silent);
    settle(&service);
}

#[test]
fn another_user_is_not_served() {
    if !unistd::geteuid().is_root() {
        eprintln!("not run: only root can be another user");
        assert!(std::env::var_os("AICTL_TEST_STRICT").is_none());
        return;
    }
    let service = Service::start(LENIENT);
    // The other user may reach the socket, and is still not answered.
    let socket = service.directory.join("socket");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let client = "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n\
                  s.connect(sys.argv[1])\ntry:\n    s.send(b'ai\\x01\\x02')\nexcept BrokenPipeError:\n    pass\n\
                  try:\n    print(s.recv(100))\nexcept ConnectionResetError:\n    print(b'')";
    let ask = |uid: &str| {
        let output = Command::new("setpriv")
            .args(["--reuid", uid, "--regid", uid, "--clear-groups", "/usr/bin/python3", "-c"])
            .args([client, socket.to_str().unwrap()])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(ask("12345"), "b''\n");
    assert!(service.run("print(1)").is_ok());
}
