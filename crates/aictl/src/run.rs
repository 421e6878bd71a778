//! `aictl run`: an untrusted script in a sandbox.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use aictl_api::{
    config::{OverMax, Place, Sandbox},
    exit,
    limits::{self, LimitError, Limits},
    run::{Outcome, RunReport},
};
use aictl_sandbox::{
    client::{ClientError, Connection},
    interpreter::{self, Interpreter, InterpreterError, Runtime, RuntimeError},
    protocol::{
        Job, Profile, RejectKind, Rejection, Reply, RequestId, RunRecord, ScriptArgs, Stream,
    },
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

use crate::{
    args::{self, Global},
    config::{self, LoadError},
    message, output,
    script::{Script, ScriptError},
    stdin,
};

/// Why a run did not come to an outcome.
#[derive(Debug)]
pub enum RunError {
    /// The script cannot be run.
    Script(ScriptError),
    /// There is no runtime for it.
    Runtime(RuntimeError),
    /// There is no interpreter for it.
    Interpreter(InterpreterError),
    /// The interpreter that the configuration names is none.
    ConfiguredInterpreter(InterpreterError, Place),
    /// The configuration cannot be used.
    Config(LoadError),
    /// A limit is above the configured maximum.
    OverMax(OverMax),
    /// A limit is out of range.
    Limit(LimitError),
    /// An argument cannot be passed on.
    Argument(String),
    /// sandboxd could not be reached.
    Client(ClientError),
    /// sandboxd did not run it.
    Rejected(Rejection),
    /// A system call failed: which, and how.
    System(&'static str, io::Error),
    /// The output could not be written.
    Output(io::Error),
}

impl RunError {
    /// The exit code that belongs to it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Script(error) => error.exit_code(),
            Self::Runtime(_) => exit::REFUSED,
            Self::Interpreter(error) | Self::ConfiguredInterpreter(error, _) => {
                if error.not_found() { exit::NOT_FOUND } else { exit::REFUSED }
            }
            Self::Config(error) => error.exit_code(),
            Self::OverMax(_) | Self::Limit(_) | Self::Argument(_) => exit::USAGE,
            Self::Rejected(rejection) => match rejection.kind {
                RejectKind::Invalid | RejectKind::LimitExceeded => exit::REFUSED,
                RejectKind::NoInterpreter => exit::NOT_FOUND,
                _ => exit::INTERNAL,
            },
            Self::Client(_) | Self::System(..) | Self::Output(_) => exit::INTERNAL,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(error) => error.fmt(f),
            Self::Runtime(error) => error.fmt(f),
            Self::Interpreter(error) => error.fmt(f),
            Self::ConfiguredInterpreter(error, place) => {
                write!(f, "{error} (sandbox.python at {place})")
            }
            Self::Config(error) => error.fmt(f),
            Self::OverMax(error) => error.fmt(f),
            Self::Limit(error) => error.fmt(f),
            Self::Argument(what) => f.write_str(what),
            Self::Client(error) => error.fmt(f),
            Self::Rejected(rejection) => f.write_str(&rejection.message),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Runs the command; returns the exit code.
///
/// `early` is a sandboxd that was started before the command line was read.
pub fn main(
    global: &Global,
    args: &args::Run,
    early: Option<Result<Connection, ClientError>>,
) -> u8 {
    match run(global, args, early) {
        Ok(code) => code,
        Err(error) => message::fail(global, error.exit_code(), &error.to_string()),
    }
}

/// The limits that were given, where they are allowed, or else the configured ones.
fn limits(args: &args::Run, config: &Sandbox) -> Result<Limits, RunError> {
    let mut limits = Limits::default();
    for (spec, value) in [
        (limits::TIMEOUT, args.timeout),
        (limits::CPU, args.cpu),
        (limits::MEMORY, args.memory),
        (limits::PROCESSES, args.max_processes),
        (limits::OUTPUT, args.max_output),
        (limits::WORK, args.work_size),
        (limits::SOURCE, None),
    ] {
        let value = config.limit(&spec, value).map_err(RunError::OverMax)?;
        limits.set(&spec, value).map_err(RunError::Limit)?;
    }
    Ok(limits)
}

/// A script's arguments, which must be text.
fn script_args(args: &[OsString]) -> Result<ScriptArgs, RunError> {
    let text = |(index, arg): (usize, &OsString)| {
        arg.clone().into_string().map_err(|_| {
            RunError::Argument(format!("argument {} of the script is not UTF-8", index + 1))
        })
    };
    let args: Vec<String> = args.iter().enumerate().map(text).collect::<Result<_, _>>()?;
    ScriptArgs::try_from(args).map_err(|what| RunError::Argument(what.to_owned()))
}

/// A new request id.
///
/// # Errors
/// If the kernel gives no random bytes.
pub fn request_id() -> Result<RequestId, RunError> {
    let mut bytes = [0; 16];
    let random = |error| RunError::System("/dev/urandom", error);
    File::open("/dev/urandom").map_err(random)?.read_exact(&mut bytes).map_err(random)?;
    Ok(RequestId::from_bytes(bytes))
}

/// Finds the interpreter as its user would expect.
pub fn find_interpreter(
    runtime: Runtime,
    python: Option<&std::path::Path>,
) -> Result<Interpreter, InterpreterError> {
    let explicit = python.filter(|_| runtime == Runtime::Python);
    let (path, home) = (std::env::var_os("PATH"), std::env::var_os("HOME"));
    interpreter::find(runtime, explicit, path.as_deref(), home.as_deref())
}

/// A sandboxd of our own for one run: the one that was started early, or one that is started now.
///
/// # Errors
/// If it did not start, or is gone.
pub fn connect(
    early: Option<Result<Connection, ClientError>>,
    interpreter: &Interpreter,
) -> Result<Connection, RunError> {
    let connection = early.unwrap_or_else(Connection::embedded).map_err(RunError::Client)?;
    connection.offer(interpreter).map_err(RunError::Client)?;
    Ok(connection)
}

fn run(
    global: &Global,
    args: &args::Run,
    early: Option<Result<Connection, ClientError>>,
) -> Result<u8, RunError> {
    let config = config::load(global.config.as_deref()).map_err(RunError::Config)?.sandbox;
    let limits = limits(args, &config)?;
    let (path, rest) = args
        .script
        .split_first()
        .ok_or_else(|| RunError::Argument("no script was given".to_owned()))?;
    let rest = script_args(rest)?;
    let script = Script::read(path, limits.source()).map_err(RunError::Script)?;
    let runtime = interpreter::runtime_for(script.name.as_str().as_ref(), &script.text)
        .map_err(RunError::Runtime)?;
    let interpreter = match (args.python.as_deref(), config.python()) {
        (None, Some((python, place))) if runtime == Runtime::Python => {
            find_interpreter(runtime, Some(python))
                .map_err(|error| RunError::ConfiguredInterpreter(error, place.clone()))?
        }
        (python, _) => find_interpreter(runtime, python).map_err(RunError::Interpreter)?,
    };
    // From here on a signal is an event, so that nothing is left behind.
    let signals = Signals::new()?;
    let connection = connect(early, &interpreter)?;
    let stdin = match args.no_stdin || path == "-" {
        true => None,
        false => stdin::as_pipe().map_err(|error| RunError::System("standard input", error))?,
    };
    let job = Job {
        request_id: request_id()?,
        name: script.name,
        runtime,
        args: rest,
        limits,
        profile: match args.profile {
            args::Profile::Standard => Profile::Standard,
        },
        want_result: global.json,
        stdin: stdin.is_some(),
    };
    message::detail(global, "no helper is used: the script runs with your own rights, sandboxed");
    let mut streams = Streams::new(global.json);
    let ended = follow(&connection, &job, &script.text, stdin, &signals, &mut streams)?;
    drop(connection);
    finish(global, &job, ended, streams)
}

/// What a pipe takes without waiting once it takes anything (`PIPE_BUF`, pipe(7)).
const NEVER_BLOCKS: usize = 4096;

/// The signals that end a run, as a descriptor.
struct Signals(SignalFd);

impl Signals {
    fn new() -> Result<Self, RunError> {
        let system = |errno: nix::errno::Errno| RunError::System("signals", errno.into());
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block().map_err(system)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self(SignalFd::with_flags(&set, flags).map_err(system)?))
    }

    /// Writes all of `bytes`, unless a signal comes while there is no room, or has come before
    /// (`signal`); then returns that.
    fn write(&self, to: &impl AsFd, bytes: &[u8], signal: Option<i32>) -> io::Result<Option<i32>> {
        let patience = if signal.is_some() { PollTimeout::ZERO } else { PollTimeout::NONE };
        for part in bytes.chunks(NEVER_BLOCKS) {
            let mut fds = [
                PollFd::new(to.as_fd(), PollFlags::POLLOUT),
                PollFd::new(self.0.as_fd(), PollFlags::POLLIN),
            ];
            poll(&mut fds, patience)?;
            if !fds[0].any().unwrap_or(false)
                && let Some(signal) = signal.or_else(|| self.next())
            {
                return Ok(Some(signal));
            }
            output::write_all(to, part)?;
        }
        Ok(None)
    }

    fn next(&self) -> Option<i32> {
        let info = self.0.read_signal().ok().flatten()?;
        i32::try_from(info.ssi_signo).ok()
    }
}

/// How a run ended, and why this side ended it if it did.
struct Ended {
    record: RunRecord,
    /// The signal that this process got.
    signal: Option<i32>,
    /// The reader of our output is gone.
    broken_pipe: bool,
}

/// Hands a job over.
///
/// # Errors
/// If there is no memory for the script, or sandboxd is gone.
pub fn submit(
    connection: &Connection,
    job: &Job,
    text: &[u8],
    stdin: Option<OwnedFd>,
) -> Result<(), RunError> {
    let memfd = aictl_sandbox::sealed_memfd(text)
        .map_err(|error| RunError::System("memory for the script", error))?;
    connection.submit(job, memfd.as_fd(), stdin.as_ref().map(AsFd::as_fd)).map_err(RunError::Client)
}

/// Hands the job over, and passes its output on until it has ended.
fn follow(
    connection: &Connection,
    job: &Job,
    text: &[u8],
    stdin: Option<OwnedFd>,
    signals: &Signals,
    streams: &mut Streams,
) -> Result<Ended, RunError> {
    submit(connection, job, text, stdin)?;
    let (mut signal, mut failed) = (None, None::<io::Error>);
    loop {
        let mut fds = [
            PollFd::new(connection.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.0.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut fds, PollTimeout::NONE)
            .map_err(|errno| RunError::System("poll", errno.into()))?;
        let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        if ready(&fds[1]) && signal.is_none() {
            signal = signals.next();
            if signal.is_some() {
                connection.cancel();
            }
        }
        if !ready(&fds[0]) {
            continue;
        }
        match connection.receive().map_err(RunError::Client)? {
            Reply::Output(..) if failed.is_some() => {}
            Reply::Output(stream, bytes) => {
                match streams.take(stream, &bytes, signals, signal) {
                    Ok(None) => {}
                    Ok(interrupted) => {
                        // Whoever does not read gets no more.
                        failed = Some(io::ErrorKind::Interrupted.into());
                        signal = signal.or(interrupted);
                        connection.cancel();
                    }
                    Err(error) => {
                        failed = Some(error);
                        connection.cancel();
                    }
                }
            }
            Reply::Rejected(rejection) => return Err(RunError::Rejected(rejection)),
            Reply::Done(record) => {
                let broken_pipe = match failed.as_ref().map(io::Error::kind) {
                    None | Some(io::ErrorKind::Interrupted) => false,
                    Some(io::ErrorKind::BrokenPipe) => true,
                    Some(_) => {
                        return Err(
                            failed.map_or(RunError::Client(ClientError::Ended), RunError::Output)
                        );
                    }
                };
                return Ok(Ended { record: *record, signal, broken_pipe });
            }
        }
    }
}

/// Where a script's output goes: straight on, or into the report.
struct Streams {
    keep: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Streams {
    fn new(keep: bool) -> Self {
        Self { keep, stdout: Vec::new(), stderr: Vec::new() }
    }

    /// Takes output; returns the signal that came while it could not be written.
    fn take(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        signals: &Signals,
        signal: Option<i32>,
    ) -> io::Result<Option<i32>> {
        match (self.keep, stream) {
            (true, Stream::Stdout) => self.stdout.extend(bytes),
            (true, Stream::Stderr) => self.stderr.extend(bytes),
            (false, Stream::Stdout) => return signals.write(&io::stdout(), bytes, signal),
            (false, Stream::Stderr) => return signals.write(&io::stderr(), bytes, signal),
        }
        Ok(None)
    }
}

/// Says how the run ended, and returns the exit code.
fn finish(global: &Global, job: &Job, ended: Ended, streams: Streams) -> Result<u8, RunError> {
    let Ended { record, signal, broken_pipe } = ended;
    let stopped_by = if record.outcome == Outcome::Cancelled { signal } else { record.signal };
    let code = match broken_pipe {
        true => exit::OK,
        false => record.outcome.exit_code(record.exit_code, stopped_by),
    };
    if global.json {
        if let Some(error) = &record.result_error {
            message::note(global, format_args!("the script's result is left out: {error}"));
        }
        let report = report(job, record, streams);
        message::print_json(&report).map_err(RunError::Output)?;
        return Ok(code);
    }
    if let Some(text) = &record.message {
        message::note(global, text);
    }
    if let (Outcome::Signaled, Some(signal)) = (record.outcome, record.signal) {
        let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
        message::note(global, format_args!("the script was killed by signal {signal} ({name})"));
    }
    let layers = |list: &[aictl_api::layer::Layer]| {
        list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    message::detail(
        global,
        format_args!(
            "{:.1} ms, {:.1} ms of CPU, {} of memory; isolation: {}{}",
            millis(record.wall_us),
            millis(record.cpu_us),
            record
                .peak_memory
                .map_or("an unknown amount".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
            layers(&record.isolation),
            match record.missing.as_slice() {
                [] => String::new(),
                missing => format!("; missing: {}", layers(missing)),
            },
        ),
    );
    Ok(code)
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

fn report(job: &Job, record: RunRecord, streams: Streams) -> RunReport {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    RunReport {
        request_id: job.request_id.as_str().to_owned(),
        outcome: record.outcome,
        exit_code: record.exit_code,
        signal: record.signal,
        message: record.message,
        stdout: text(streams.stdout),
        stderr: text(streams.stderr),
        stdout_truncated: record.stdout_truncated,
        stderr_truncated: record.stderr_truncated,
        result: record.result,
        refusals: Vec::new(),
        wall_ms: millis(record.wall_us),
        cpu_ms: millis(record.cpu_us),
        peak_memory_bytes: record.peak_memory,
        code_sha256: record.code_sha256,
        profile: job.profile.name().to_owned(),
        isolation: record.isolation,
        missing: record.missing,
    }
}
