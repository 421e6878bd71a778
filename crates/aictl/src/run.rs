//! `aictl run`: an untrusted script in a sandbox, made by the helper's keeper of sandboxes where the
//! helper is installed, else right here.

mod helped;
mod signals;
mod timings;

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use aictl_api::{
    config::{OverMax, Place, Sandbox},
    exit,
    limits::{self, LimitError, Limits},
    record::RunRecord,
    run::{Outcome, RunReport, RunTimings},
    strict::Finding,
};
use aictl_core::{
    helper::WantedRun,
    host::{self, Host},
};
use aictl_sandbox::{
    embedded::{self, Begun, Client, Wish},
    interpreter::{self, Interpreter, InterpreterError, Runtime, RuntimeError},
    protocol::{Job, Profile, RejectKind, Rejection, RequestId, ScriptArgs, Stream},
    sealed_memfd,
};
use nix::sys::signal::{Signal, raise};

use crate::{
    args::{self, Global},
    check,
    config::{self, LoadError},
    message,
    output::Output,
    script::{Script, ScriptError},
    stdin,
};

pub use helped::may_be_there;
use helped::{Done, NotDone, Reached};
use signals::Signals;
pub use timings::Clock;
use timings::Moments;

/// What failed, where that is all there is to say of it.
const STDIN: &str = "standard input";

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
    /// The profile is not for scripts of this runtime.
    NotPython(Runtime),
    /// It was not run.
    Rejected(Rejection),
    /// The helper has not run it, or nobody knows what came of it.
    Helper(NotDone),
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
            Self::Runtime(_) | Self::NotPython(_) => exit::REFUSED,
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
            Self::Helper(error) => error.exit_code(),
            Self::System(..) | Self::Output(_) => exit::INTERNAL,
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
            Self::NotPython(runtime) => f.write_str(&check::not_python(*runtime)),
            Self::Rejected(rejection) => f.write_str(&rejection.message),
            Self::Helper(error) => error.fmt(f),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Output(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Runs the command; returns the exit code. A sandbox may have been begun already, where there is no
/// helper.
pub fn main(global: &Global, args: &args::Run, begun: Option<Begun>, clock: Clock) -> u8 {
    match run(global, args, begun, clock) {
        Ok(code) => code,
        Err(RunError::Helper(error @ NotDone::Signal(_))) => error.exit_code(),
        Err(error) => message::fail(global, error.exit_code(), &with_reason(&error)),
    }
}

/// The error, with what this machine says of its reason where no sandbox could be made.
fn with_reason(error: &RunError) -> String {
    let reason = match error {
        RunError::Rejected(rejection) if rejection.kind == RejectKind::Unavailable => {
            host::why_none_runs(&Host::default().facts())
        }
        _ => None,
    };
    match reason {
        Some(reason) => format!("{error}; {reason}"),
        None => error.to_string(),
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
            RunError::Argument(format!(
                "argument {} of the script is not UTF-8: let the script read it from standard input",
                index + 1
            ))
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
    RequestId::random().map_err(|error| RunError::System("/dev/urandom", error))
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

fn run(
    global: &Global,
    args: &args::Run,
    begun: Option<Begun>,
    clock: Clock,
) -> Result<u8, RunError> {
    let config = config::load(global.config.as_deref()).map_err(RunError::Config)?.sandbox;
    let here = match (global.embedded, &args.python, &begun) {
        (true, ..) => Some("no helper is used"),
        (_, Some(_), _) => Some("the helper is given no path of a Python, and is not used"),
        (.., Some(_)) => Some("no helper is installed"),
        _ => None,
    };
    // Where it is, it makes ready for us while the script is read.
    // Standard input may take its time, and a connection is a place that others may want.
    let is_file = args.script.first().is_some_and(|path| path != "-");
    let helper = (here.is_none() && config.python().is_none() && is_file).then(helped::reach);
    let limits = limits(args, &config)?;
    let (path, rest) = args
        .script
        .split_first()
        .ok_or_else(|| RunError::Argument("no script was given".to_owned()))?;
    let rest = script_args(rest)?;
    let script = Script::read(path, limits.source()).map_err(RunError::Script)?;
    let runtime = interpreter::runtime_for(script.name.as_str().as_ref(), &script.text)
        .map_err(RunError::Runtime)?;
    let profile = match args.profile {
        args::Profile::Standard => Profile::Standard,
        args::Profile::Strict if runtime != Runtime::Python => {
            return Err(RunError::NotPython(runtime));
        }
        args::Profile::Strict => Profile::Strict(config.strict.clone()),
    };
    let is_configured = runtime == Runtime::Python && config.python().is_some();
    let here = here.or(is_configured.then_some(
        "the configuration names a Python (sandbox.python), and the helper, which has one of its \
         own, is not used",
    ));
    let reads = reads(global, args)?;
    let why = match here {
        Some(why) => why,
        None => {
            let helper = helper.unwrap_or_else(helped::reach);
            let command = Command { global, args, clock };
            match with_helper(helper, &command, &script, runtime, &rest, reads)? {
                Some(code) => return Ok(code),
                None => "no helper is installed",
            }
        }
    };
    // The helper has it checked by its own configuration.
    if let Profile::Strict(policy) = &profile {
        let findings = aictl_check::check(&script.text, policy).findings;
        if !findings.is_empty() {
            return refuse(global, path, script, findings);
        }
    }
    let prepared = Instant::now();
    message::detail(global, format_args!("{why}: the script runs with your own rights, sandboxed"));
    let begun = begun.unwrap_or_else(embedded::begin);
    let interpreter = match (args.python.as_deref(), config.python()) {
        (None, Some((python, place))) if runtime == Runtime::Python => {
            find_interpreter(runtime, Some(python))
                .map_err(|error| RunError::ConfiguredInterpreter(error, place.clone()))?
        }
        (python, _) => find_interpreter(runtime, python).map_err(RunError::Interpreter)?,
    };
    // From here on a signal is an event, so that nothing is left behind.
    let signals = Signals::new(&HEEDED).map_err(|error| RunError::System("signals", error))?;
    let stdin = match reads {
        true => Some(stdin::own().map_err(|error| RunError::System(STDIN, error))?),
        false => None,
    };
    let job = Job {
        request_id: request_id()?,
        name: script.name,
        runtime,
        args: rest,
        limits,
        profile,
        want_result: global.json,
        stdin: stdin.is_some(),
        user: None,
        patient: false,
        warm: false,
    };
    let mut here = Here::new(signals, global.json).map_err(RunError::Output)?;
    let record =
        begun.run(&interpreter, &job, script.text, stdin, &mut here).map_err(RunError::Rejected)?;
    let ended = Instant::now();
    let timings = args.timings.then(|| {
        let moments = Moments { prepared, connected: None, ended, written: ended };
        timings::parts(&clock, &moments, record.wall_usec, record.times)
    });
    let Here { stdout, stderr, signal, failed, .. } = here;
    let printed = Printed { stdout, stderr, signal, failed };
    finish(global, record, printed, timings)
}

/// Whether the script is to read what comes on standard input; says so if that cannot be read.
fn reads(global: &Global, args: &args::Run) -> Result<bool, RunError> {
    if args.no_stdin || args.script.first().is_some_and(|path| path == "-") {
        return Ok(false);
    }
    match stdin::can_come().map_err(|error| RunError::System(STDIN, error))? {
        stdin::Comes::Nothing => Ok(false),
        stdin::Comes::Something => Ok(true),
        stdin::Comes::Unreadable(why) => {
            let told = format_args!("standard input {why}: the script finds it empty");
            message::note(global, told);
            Ok(false)
        }
    }
}

/// The command that is carried out.
struct Command<'a> {
    global: &'a Global,
    args: &'a args::Run,
    clock: Clock,
}

/// Has the helper run it; `None` if there is no helper after all.
fn with_helper(
    helper: Reached,
    &Command { global, args, clock }: &Command<'_>,
    script: &Script,
    runtime: Runtime,
    rest: &ScriptArgs,
    reads: bool,
) -> Result<Option<u8>, RunError> {
    let memfd = sealed_memfd(&script.text).map_err(|error| RunError::System("memfd", error))?;
    // What is not given is for the helper's own configuration to say.
    let limits =
        [args.timeout, args.cpu, args.memory, args.max_processes, args.max_output, args.work_size];
    let wanted = WantedRun {
        script: memfd.as_fd(),
        name: script.name.as_str(),
        runtime: runtime.name(),
        arguments: rest.as_slice(),
        profile: match args.profile {
            args::Profile::Standard => "standard",
            args::Profile::Strict => "strict",
        },
        limits: limits.map(Option::unwrap_or_default),
        stdin: reads,
        want_result: global.json,
    };
    let prepared = Instant::now();
    let done = helper.run(wanted, global.json).map_err(RunError::Helper)?;
    let Some(Done { record, stdout, stderr, signal, failed, connected, ended }) = done else {
        return Ok(None);
    };
    let timings = args.timings.then(|| {
        let written = Instant::now();
        let moments = Moments { prepared, connected: Some(connected), ended, written };
        timings::parts(&clock, &moments, record.wall_usec, record.times)
    });
    if let (Outcome::Refused, Some(path)) = (record.outcome, args.script.first()) {
        tell_refused(path, record.message.as_deref(), &record.refusals);
    }
    let printed = Printed { stdout, stderr, signal, failed };
    finish(global, record, printed, timings).map(Some)
}

/// What became of a run's output, and of the command meanwhile.
#[derive(Default)]
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The signal that ended the run.
    signal: Option<i32>,
    /// Why no output can be written any more.
    failed: Option<io::Error>,
}

/// Ends a run that is refused right here, and returns the exit code.
fn refuse(
    global: &Global,
    path: &OsStr,
    script: Script,
    refusals: Vec<Finding>,
) -> Result<u8, RunError> {
    let message = "the profile strict refuses the script".to_owned();
    tell_refused(path, Some(&message), &refusals);
    let (id, sha256) = (request_id()?, sha256(script.text));
    let record = RunRecord {
        message: Some(message),
        refusals,
        ..RunRecord::never_begun(Outcome::Refused, id.as_str(), "strict", sha256)
    };
    finish(global, record, Printed::default(), None)
}

/// Says why a script is not run.
fn tell_refused(path: &OsStr, message: Option<&str>, refusals: &[Finding]) {
    let file = message::plain(&path.to_string_lossy());
    let message = message::plain(message.unwrap_or("the script is refused"));
    message::block(format_args!("{message}:\n{}", check::lines(&file, refusals).trim_end()));
}

/// The hash of a script that has been read, and so is within its limit.
fn sha256(text: Vec<u8>) -> String {
    aictl_sandbox::Script::new(text, u64::MAX).map(|script| script.sha256()).unwrap_or_default()
}

/// The signals that end a run, and the terminal's that has it stand still.
const HEEDED: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGTSTP];

/// Where a script's output goes, right here: straight on, or into the report.
struct Here {
    signals: Signals,
    streams: (Output, Output),
    keep: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The signal that ended the run.
    signal: Option<i32>,
    /// Why no output can be written any more.
    failed: Option<io::Error>,
}

impl Here {
    fn new(signals: Signals, keep: bool) -> io::Result<Self> {
        let streams = (Output::to(&io::stdout())?, Output::to(&io::stderr())?);
        let (stdout, stderr) = (Vec::new(), Vec::new());
        Ok(Self { signals, streams, keep, stdout, stderr, signal: None, failed: None })
    }
}

impl Client for Here {
    fn events(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    fn hear(&mut self) -> Wish {
        match self.signals.next() {
            None => Wish::GoOn,
            Some(signal) if signal == Signal::SIGTSTP as i32 => Wish::Pause,
            Some(signal) => {
                self.signal = self.signal.or(Some(signal));
                Wish::Cancel
            }
        }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<usize> {
        let taken = match (self.keep, stream) {
            (true, Stream::Stdout) => {
                self.stdout.extend(bytes);
                return Ok(bytes.len());
            }
            (true, Stream::Stderr) => {
                self.stderr.extend(bytes);
                return Ok(bytes.len());
            }
            (false, Stream::Stdout) => self.streams.0.write_now(bytes),
            (false, Stream::Stderr) => self.streams.1.write_now(bytes),
        };
        if let Ok(count) = taken {
            let part = bytes.get(..count).unwrap_or_default();
            message::passed_on(matches!(stream, Stream::Stderr), part);
        }
        taken.inspect_err(|error| {
            if error.kind() != io::ErrorKind::WouldBlock {
                let again = error.raw_os_error().map(io::Error::from_raw_os_error);
                self.failed = Some(again.unwrap_or_else(|| error.kind().into()));
            }
        })
    }

    fn room(&self, stream: Stream) -> BorrowedFd<'_> {
        match stream {
            Stream::Stdout => self.streams.0.as_fd(),
            Stream::Stderr => self.streams.1.as_fd(),
        }
    }

    fn hurries(&self) -> bool {
        self.signal.is_some()
    }

    fn pause(&mut self) {
        // What the terminal's key does to any other program.
        let _never = raise(Signal::SIGSTOP);
    }
}

/// Says how the run ended, and returns the exit code.
fn finish(
    global: &Global,
    record: RunRecord,
    printed: Printed,
    timings: Option<RunTimings>,
) -> Result<u8, RunError> {
    let broken_pipe = match printed.failed {
        None => false,
        Some(ref error) if error.kind() == io::ErrorKind::BrokenPipe => true,
        Some(error) => return Err(RunError::Output(error)),
    };
    let stopped_by =
        if record.outcome == Outcome::Cancelled { printed.signal } else { record.signal };
    let code = match broken_pipe {
        true => exit::OK,
        false => record.outcome.exit_code(record.exit_code, stopped_by),
    };
    if global.json {
        if let Some(error) = &record.result_error {
            message::note(global, format_args!("the script's result is left out: {error}"));
        }
        let report = RunReport { timings, ..report(record, printed) };
        message::print_json(&report).map_err(RunError::Output)?;
        return Ok(code);
    }
    if record.outcome == Outcome::Refused {
        // That has been told, with its reasons.
        return Ok(code);
    }
    // Who does not read on has nothing to be told.
    if let Some(text) = &record.message
        && !broken_pipe
    {
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
            millis(record.wall_usec),
            millis(record.cpu_usec),
            record
                .peak_memory_bytes
                .map_or("an unknown amount".to_owned(), |bytes| format!("{} MiB", bytes >> 20)),
            layers(&record.isolation),
            match record.missing.as_slice() {
                [] => String::new(),
                missing => format!("; missing: {}", layers(missing)),
            },
        ),
    );
    if let Some(timings) = timings {
        message::block(timings::table(&timings));
    }
    Ok(code)
}

fn millis(micros: u64) -> f64 {
    // To the microsecond: a product has digits of its own.
    (Duration::from_micros(micros).as_secs_f64() * 1e6).round() / 1e3
}

fn report(record: RunRecord, printed: Printed) -> RunReport {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    RunReport {
        request_id: record.request_id,
        outcome: record.outcome,
        exit_code: record.exit_code,
        signal: record.signal,
        message: record.message,
        stdout: text(printed.stdout),
        stderr: text(printed.stderr),
        stdout_truncated: record.stdout_truncated,
        stderr_truncated: record.stderr_truncated,
        result: record.result,
        refusals: check::refusals(record.refusals),
        wall_ms: millis(record.wall_usec),
        cpu_ms: millis(record.cpu_usec),
        peak_memory_bytes: record.peak_memory_bytes,
        code_sha256: record.code_sha256,
        profile: record.profile,
        start: record.start,
        isolation: record.isolation,
        missing: record.missing,
        timings: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_the_microsecond() {
        for (micros, text) in [(42_703, "42.703"), (0, "0"), (1, "0.001"), (1_000_000, "1000")] {
            assert_eq!(millis(micros).to_string(), text);
        }
    }
}
