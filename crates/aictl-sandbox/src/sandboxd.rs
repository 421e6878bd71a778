//! sandboxd: gives up every privilege, then turns jobs into outcomes.
//!
//! It is socket-activated (sd_listen_fds(3)), and serves every connection in a thread of its own,
//! strictly: a missing layer is an error unless its unit says otherwise.

use std::{
    collections::HashMap,
    env,
    ffi::CStr,
    fmt,
    fs::File,
    io::{self, Write},
    ops::RangeInclusive,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use aictl_api::run::Outcome;
use nix::{
    errno::Errno,
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
        socket::{
            MsgFlags, SockFlag, SockType, accept4, getsockopt,
            sockopt::{PeerCredentials, SockType as SockTypeOption},
        },
    },
};

use crate::{
    engine::{
        self, Armed, Client, Ended, Engine, EngineError, Memory, Remote, Script, ScriptError,
        Source, Task, Wish,
    },
    identity,
    interpreter::{self, Interpreter, Runtime},
    protocol::{Job, RejectKind, Rejection, Reply, Request},
    socket, static_check, sys,
    warm::Warm,
};

/// Exit code of a wrong command line, as for `aictl`.
const EXIT_USAGE: u8 = 2;
/// Exit code when sandboxd cannot work here.
const EXIT_FAILED: u8 = 1;
/// How many runs there may be at one time, unless told otherwise.
const MAX_RUNS: usize = 64;
/// How many threads wait for a connection: one while the other serves.
const IDLE: usize = 2;
/// What such a thread is called.
const ACCEPTING: &CStr = c"accepting";
/// How long the answer to a run may take to get to whoever waits for it, where nobody else waits for
/// anything.
const AFTERWARDS: Duration = Duration::from_millis(1);
/// How many interpreters wait for a run, unless told otherwise.
const WARM: usize = 2;
/// The extension module of templates, in the directory of this program.
const LIBRARY: &str = "libaictl_template.so";
/// What says instead that there is to be no template.
const NO_TEMPLATE: &str = "none";
/// How long a client may take over its request, and over the answer.
const PATIENCE: Duration = Duration::from_secs(10);

const HELP: &str = "\
aictl-sandboxd makes sandboxes, one for each job that comes over a unix socket.
It is started by systemd (aictl-sandboxd.socket), not by hand.

Usage: aictl-sandboxd [OPTIONS]

  --interpreter RUNTIME=PATH an interpreter to offer: python, bash or node
  --allow-user USER          serve this user too, besides our own and root
  --allow-missing            list a layer that this machine lacks, instead of refusing
  --max-runs N               serve so many runs at a time (64)
  --warm N                   have so many Python interpreters wait for a run, 0 to 64 (2)
  --template FILE            what has an interpreter make copies of itself when runs come in a burst
                             (libaictl_template.so in the directory of this program), or none
  --print-syscalls           print the list of system calls and what happens to each
  --help, --version
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Serve(Options),
    Check,
    PrintSyscalls,
    Help,
    Version,
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    interpreters: Vec<(Runtime, PathBuf)>,
    allowed_uids: Vec<u32>,
    allow_missing: bool,
    max_runs: usize,
    warm: usize,
    template: Option<PathBuf>,
}

/// Why sandboxd does not start.
#[derive(Debug)]
enum StartError {
    Usage(String),
    Interpreter(interpreter::InterpreterError),
    System(&'static str, io::Error),
    Engine(EngineError),
    NoSocket,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what}; see aictl-sandboxd --help"),
            Self::Interpreter(error) => error.fmt(f),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Engine(error) => error.fmt(f),
            Self::NoSocket => write!(
                f,
                "no socket to listen on: it is started by aictl-sandboxd.socket (to run a script, use \
                 `aictl run`)"
            ),
        }
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |error| StartError::System(what, error)
}

/// Reads the command line, without the program's name; `uid_of` knows the users.
fn parse(
    args: impl IntoIterator<Item = String>,
    uid_of: impl Fn(&str) -> Option<u32>,
) -> Result<Command, StartError> {
    let mut options = Options {
        interpreters: Vec::new(),
        allowed_uids: Vec::new(),
        allow_missing: false,
        max_runs: MAX_RUNS,
        warm: WARM,
        template: None,
    };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let mut value =
            || args.next().ok_or_else(|| StartError::Usage(format!("{arg} needs a value")));
        match arg.as_str() {
            "--interpreter" => {
                let value = value()?;
                let pair = value.split_once('=').and_then(|(runtime, path)| {
                    Some((runtime.parse::<Runtime>().ok()?, PathBuf::from(path)))
                });
                let wrong = || StartError::Usage(format!("{value:?} is not RUNTIME=PATH"));
                options.interpreters.push(pair.ok_or_else(wrong)?);
            }
            "--allow-user" => {
                let value = value()?;
                let wrong = || StartError::Usage(format!("there is no user {value:?}"));
                options.allowed_uids.push(uid_of(&value).ok_or_else(wrong)?);
            }
            "--allow-missing" => options.allow_missing = true,
            "--max-runs" => {
                options.max_runs = number(&value()?, 1..=4096)?;
            }
            "--warm" => {
                options.warm = number(&value()?, 0..=64)?;
            }
            "--template" => options.template = Some(PathBuf::from(value()?)),
            // How sandboxd starts what checks a script: nobody else has a use for it.
            static_check::ARG => return Ok(Command::Check),
            "--print-syscalls" => return Ok(Command::PrintSyscalls),
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            other => return Err(StartError::Usage(format!("unknown option {other:?}"))),
        }
    }
    Ok(Command::Serve(options))
}

/// A number of an option that lies in its range.
fn number(value: &str, range: RangeInclusive<usize>) -> Result<usize, StartError> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    let wrong = || {
        let (least, most) = range.clone().into_inner();
        StartError::Usage(format!("{value:?} is not from {least} to {most}"))
    };
    number.ok_or_else(wrong)
}

/// The whole program.
#[must_use]
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    let done = match parse(args, identity::uid_of) {
        Ok(Command::Serve(options)) => serve(options),
        Ok(Command::Check) => return static_check::main(),
        Ok(Command::PrintSyscalls) => return print(&syscalls()),
        Ok(Command::Help) => return print(HELP),
        Ok(Command::Version) => {
            return print(concat!("aictl-sandboxd ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "aictl-sandboxd: {error}");
            let usage = matches!(error, StartError::Usage(_));
            ExitCode::from(if usage { EXIT_USAGE } else { EXIT_FAILED })
        }
    }
}

/// Prints text; a reader that is gone is no error.
fn print(text: &str) -> ExitCode {
    let _closed = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// The list of system calls where no control group counts memory, a line each: number, name,
/// verdict, reason.
fn syscalls() -> String {
    let mut calls: Vec<_> = engine::calls(Memory::Watched).collect();
    calls.sort_by_key(|call| call.number);
    calls
        .iter()
        .map(|call| format!("{} {} {} {}\n", call.number, call.name, call.verdict.word(), call.why))
        .collect()
}

/// Serves as the program.
fn serve(options: Options) -> Result<(), StartError> {
    let listener = listener()?;
    let mut interpreters = Vec::new();
    for (runtime, path) in &options.interpreters {
        match interpreter::inspect(*runtime, path) {
            Ok(found) => interpreters.push(found),
            // One that is not installed is offered to nobody; the others are.
            Err(error) if error.not_found() => {
                let _closed = writeln!(io::stderr(), "aictl-sandboxd: not offered: {error}");
            }
            Err(error) => return Err(StartError::Interpreter(error)),
        }
    }
    for signal in [Signal::SIGINT, Signal::SIGTSTP, Signal::SIGPIPE] {
        sys::ignore_signal(signal);
    }
    // Every run needs a dozen descriptors here; the sandboxes get fewer.
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _unchanged = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
    let library = open_library(options.template.as_deref());
    let engine = Engine::new(&interpreters, !options.allow_missing).map_err(StartError::Engine)?;
    let interpreters = interpreters.into_iter().map(|i| (i.runtime(), i)).collect();
    listen(engine, interpreters, options, library, listener)
}

/// The extension module of templates. Runs do without it if it is not there, or not wanted.
fn open_library(path: Option<&Path>) -> Option<File> {
    if path == Some(Path::new(NO_TEMPLATE)) {
        return None;
    }
    let beside = || Some(env::current_exe().ok()?.with_file_name(LIBRARY));
    let path = path.map(Path::to_path_buf).or_else(beside)?;
    match File::open(&path) {
        Ok(file) => Some(file),
        Err(error) => {
            let path = path.display();
            let _closed = writeln!(
                io::stderr(),
                "aictl-sandboxd: no interpreter is copied when runs come in a burst: {path}: {error}"
            );
            None
        }
    }
}

/// The one socket that systemd has passed.
fn listener() -> Result<OwnedFd, StartError> {
    let fds: Vec<RawFd> = sd_notify::listen_fds().map_err(system("LISTEN_FDS"))?.collect();
    let [fd] = fds[..] else { return Err(StartError::NoSocket) };
    sys::cloexec_from(3).map_err(sys::io_error).map_err(system("the descriptors"))?;
    let socket = sys::adopt_fd(fd).map_err(sys::io_error).map_err(system("LISTEN_FDS"))?;
    match getsockopt(&socket, SockTypeOption) {
        Ok(SockType::SeqPacket) => Ok(socket),
        _ => Err(StartError::NoSocket),
    }
}

/// What all connections share.
struct Service {
    engine: Arc<Engine>,
    interpreters: HashMap<Runtime, Interpreter>,
    warm: Option<Arc<Warm>>,
    uids: Vec<u32>,
    running: AtomicUsize,
    max_runs: usize,
}

/// Serves connections until the process is told to end.
fn listen(
    engine: Engine,
    interpreters: HashMap<Runtime, Interpreter>,
    options: Options,
    library: Option<File>,
    listener: OwnedFd,
) -> Result<(), StartError> {
    let engine = Arc::new(engine);
    let wanted = options.warm > 0 || library.is_some();
    let python = interpreters.get(&Runtime::Python).filter(|_| wanted);
    let warm =
        python.map(|python| Warm::keep(Arc::clone(&engine), python.clone(), options.warm, library));
    let warm = warm.transpose().map_err(system("a thread"))?;
    let mut uids = options.allowed_uids;
    uids.extend([0, engine.identity().uid]);
    let service = Arc::new(Service {
        engine,
        interpreters,
        warm,
        uids,
        running: AtomicUsize::new(0),
        max_runs: options.max_runs,
    });
    let (fail, failed) = mpsc::channel();
    let hall = Arc::new(Hall { service, listener, idle: AtomicUsize::new(0), fail });
    for _ in 0..IDLE {
        hall.admit_another().map_err(system("a thread"))?;
    }
    // Absent a manager, nobody listens.
    let _unheard = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let failed = failed.recv().unwrap_or_else(io::Error::other);
    Err(StartError::System("accepting connections", failed))
}

/// Where connections come in: each of its threads accepts one, and serves it itself. To start a
/// thread and to wake it up would take a fifth of the time that a short run takes.
struct Hall {
    service: Arc<Service>,
    listener: OwnedFd,
    /// How many threads wait for a connection.
    idle: AtomicUsize,
    /// Where a thread says that the listening socket has failed.
    fail: mpsc::Sender<io::Error>,
}

impl Hall {
    /// Starts a thread that accepts connections.
    fn admit_another(self: &Arc<Self>) -> io::Result<()> {
        let hall = Arc::clone(self);
        self.idle.fetch_add(1, SeqCst);
        let start = std::thread::Builder::new().stack_size(256 * 1024);
        let started = start
            .name(ACCEPTING.to_string_lossy().into_owned())
            .spawn(move || hall.admit())
            .map(drop);
        if started.is_err() {
            self.idle.fetch_sub(1, SeqCst);
        }
        started
    }

    /// Accepts connections and serves them, for as long as there are not enough who wait for one.
    fn admit(self: &Arc<Self>) {
        loop {
            let client = match self.accept() {
                Ok(client) => client,
                Err(error) => {
                    let _ending = self.fail.send(error);
                    return;
                }
            };
            let _as_before = prctl::set_name(c"run");
            if self.idle.fetch_sub(1, SeqCst) == 1 && self.admit_another().is_err() {
                // Nobody else accepts meanwhile, so its request is not waited for: it is closed.
                self.idle.fetch_add(1, SeqCst);
                drop(client);
                let _as_before = prctl::set_name(ACCEPTING);
                continue;
            }
            match Place::take(&self.service) {
                Some(place) => serve_client(&Arc::new(Guest { place, client })),
                None => refuse(client.as_fd(), "too many runs at a time"),
            }
            if self.idle.fetch_add(1, SeqCst) >= IDLE {
                self.idle.fetch_sub(1, SeqCst);
                return;
            }
            let _as_before = prctl::set_name(ACCEPTING);
        }
    }

    /// Waits for a connection of one of those who may have something run; fails only if the listening
    /// socket does.
    fn accept(&self) -> io::Result<OwnedFd> {
        loop {
            let client = match accept4(self.listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
                Ok(fd) => sys::own_received(fd),
                Err(Errno::EINTR | Errno::ECONNABORTED) => continue,
                Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS) => {
                    // Until a run ends there is nothing to accept with.
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
                Err(errno) => return Err(errno.into()),
            };
            let peer = getsockopt(&client, PeerCredentials).map(|peer| peer.uid());
            if peer.is_ok_and(|uid| self.service.uids.contains(&uid)) {
                return Ok(client);
            }
        }
    }
}

/// Tells a client that there is no place for him, and why.
fn refuse(client: BorrowedFd<'_>, why: &str) {
    // Unread, the request would reset the connection before the answer is read.
    let _request = receive_job(client);
    let message = format!("{why}: try again when one has ended");
    answer(client, &Reply::Rejected(Rejection { kind: RejectKind::LimitExceeded, message }));
}

/// A place among those that may run at one time, given back when dropped.
struct Place(Arc<Service>);

impl Place {
    fn take(service: &Arc<Service>) -> Option<Self> {
        let place = Self(Arc::clone(service));
        // The place is given back by its drop also where there is none left.
        (service.running.fetch_add(1, SeqCst) < service.max_runs).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

/// A client, and its place. The place is given back, and then the connection ends, when nothing is
/// left of its run, which may be after the answer ([`Source::stream`]): so the client knows whose
/// place is still taken.
struct Guest {
    place: Place,
    client: OwnedFd,
}

/// Serves the one job of a connection.
fn serve_client(guest: &Arc<Guest>) {
    let client = guest.client.as_fd();
    // Where nobody reads it, it is closed after the answer, since that may take its time.
    let mut stdin = None;
    let ended = match receive_job(client) {
        Ok(None) => return,
        Ok(Some((job, fds))) => run_job(guest, &job, fds, &mut stdin),
        Err(message) => Err(Rejection { kind: RejectKind::Invalid, message }),
    };
    match ended {
        Ok(Ended { record, .. }) => answer(client, &Reply::Done(Box::new(record))),
        Err(rejection) => answer(client, &Reply::Rejected(rejection)),
    }
    if guest.place.0.running.load(SeqCst) == 1 {
        // To end the sandbox takes the kernel a while, for which somebody might have to wait who has
        // waited for the answer. Nothing is executed in it any more.
        std::thread::sleep(AFTERWARDS);
    }
}

/// Runs a job with the descriptors that came with it: the script, and a stream for standard input.
fn run_job(
    guest: &Arc<Guest>,
    job: &Job,
    fds: Vec<OwnedFd>,
    stdin: &mut Option<Source>,
) -> Result<Ended, Rejection> {
    let service = &guest.place.0;
    let mut client = Remote(guest.client.as_fd());
    let mut fds = fds.into_iter();
    let (source, input) = (fds.next(), fds.next());
    let source = source.ok_or_else(|| Rejection::new(RejectKind::Invalid, "no script came"))?;
    if input.is_some() != job.stdin || fds.next().is_some() {
        return Err(Rejection::new(RejectKind::Invalid, "the wrong number of descriptors came"));
    }
    let input = input.map(|input| Source::stream(input, Arc::clone(guest))).transpose();
    *stdin = input.map_err(|what| Rejection::new(RejectKind::Invalid, what))?;
    let script = Script::from_memfd(source, job.limits.source()).map_err(|error| {
        let kind = match error {
            ScriptError::Read(_) => RejectKind::Unavailable,
            _ => RejectKind::Invalid,
        };
        Rejection::new(kind, error)
    })?;
    let interpreter = service.interpreters.get(&job.runtime).ok_or_else(|| {
        Rejection::new(RejectKind::NoInterpreter, format!("no {} is set up here", job.runtime))
    })?;
    if let Some(record) = static_check::refused(job, &script, &mut client)? {
        return Ok(record.into());
    }
    // Whoever has waited for long may have given it up.
    if client.hear() == Wish::Cancel {
        return Ok(static_check::never_begun(Outcome::Cancelled, job, &script).into());
    }
    let engine = &service.engine;
    let warm = service.warm.as_ref().filter(|_| job.warm && job.runtime == Runtime::Python);
    let armed = match warm.and_then(|warm| warm.take(job.patient)) {
        Some(armed) => armed,
        None => Armed::new(engine)?,
    };
    let task = Task { job, script: &script, interpreter, stdin: stdin.take() };
    engine::run(engine, armed, task, &mut client, PATIENCE)
}

/// A job with the descriptors that came along.
type Order = (Box<Job>, Vec<OwnedFd>);

/// The job that a client sends; `None` if it goes without one.
fn receive_job(client: BorrowedFd<'_>) -> Result<Option<Order>, String> {
    if !socket::wait_readable(client, PATIENCE) {
        return Ok(None);
    }
    let packet =
        socket::receive(client, MsgFlags::MSG_DONTWAIT).map_err(|error| error.to_string())?;
    if packet.bytes.is_empty() {
        return Ok(None);
    }
    match Request::decode(&packet.bytes) {
        Ok(Request::Run(job)) => Ok(Some((job, packet.fds))),
        Ok(Request::Cancel) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Sends the last packet of a connection.
fn answer(client: BorrowedFd<'_>, reply: &Reply) {
    let _gone = engine::send_by(client, &reply.encode(), Instant::now() + PATIENCE);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<Command, StartError> {
        parse(line.split_whitespace().map(str::to_owned), |name| (name == "aictl").then_some(7))
    }

    #[test]
    fn the_command_line_is_read() {
        let Ok(Command::Serve(options)) = args(
            "--interpreter python=/usr/bin/python3 --interpreter bash=/bin/bash \
             --allow-user aictl --max-runs 2 --warm 0",
        ) else {
            panic!("not understood");
        };
        assert_eq!(options.interpreters.len(), 2);
        assert_eq!((options.allowed_uids, options.max_runs, options.warm), (vec![7], 2, 0));
        assert!(matches!(args("--help"), Ok(Command::Help)));
        for wrong in [
            "--interpreter",
            "--interpreter python",
            "--interpreter perl=/usr/bin/perl",
            "--max-runs 0",
            "--max-runs x",
            "--warm -1",
            "--warm 65",
            "--allow-user nobody-else",
            "--no-seccomp",
            "--embedded",
            "script.py",
        ] {
            assert!(matches!(args(wrong), Err(StartError::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn the_printed_list_has_a_line_for_each_call() {
        let text = syscalls();
        assert!(text.contains("0 read allow reading"));
        assert!(text.contains("101 ptrace kill "));
        assert!(text.contains("435 clone3 enosys "));
        assert_eq!(text.lines().count(), engine::calls(Memory::Watched).count());
    }
}
