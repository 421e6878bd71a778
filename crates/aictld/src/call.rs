//! A call as it is read from its message: once, into a type that cannot be wrong.
//!
//! What is read here is not yet allowed. A name is bounded in length and otherwise a text: whether
//! it is in the catalogue is for the gate to find out, which has the same words for every name
//! that is not.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use aictl_api::{
    authorisation::{
        ALL_USERS, FOLLOW, Interface, Kind, MAX_LOG_LINES, Member, NO_BLOCK, OBJECT_PATH, RESULT,
        STDIN, TABLE, Verb,
    },
    error::CallError,
};
use aictl_sandbox::{
    interpreter::Runtime,
    protocol::{MAX_ARGS, MAX_ARGS_BYTES, ScriptArgs, ScriptName},
};
use zbus::{Message, message::Body, wire::DynamicDeserialize};

use crate::standard::{Standard, StandardError};

/// The most bytes of all arguments together; any call of the table needs far fewer.
pub const MAX_BODY: usize = 4096;
/// The most bytes of all arguments of a call that has a script run: what the script may be given,
/// each with its length, its end and the gap before the next.
pub const MAX_RUN_BODY: usize = MAX_BODY + MAX_ARGS_BYTES + MAX_ARGS * 8;
/// The most bytes of a service's name that are looked at: a longer one is no name at all.
pub const MAX_NAME: usize = 256;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The state of all services.
    List,
    /// The state of one service.
    Get {
        /// As the caller names it.
        service: String,
    },
    /// An action on a service's unit.
    Act(Act),
    /// The log of a service.
    Logs(Logs),
    /// All GPUs, and what runs on them.
    Gpus,
    /// How the helper is.
    Health,
    /// A script is to be run.
    Run(Box<Run>),
    /// The end of a run is to be waited for.
    Wait {
        /// As the caller names it.
        run: String,
    },
    /// A run is to be ended.
    Cancel {
        /// As the caller names it.
        run: String,
    },
    /// The runs that have not ended.
    Runs {
        /// Of all users.
        all: bool,
    },
}

/// A descriptor that came with a call.
#[derive(Debug, Clone)]
pub struct Descriptor(pub Arc<OwnedFd>);

impl PartialEq for Descriptor {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_raw_fd() == other.0.as_raw_fd()
    }
}

impl Eq for Descriptor {}

/// How strictly a script is isolated, as a caller says it: what `strict` leaves to a script is for
/// the configuration to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileName {
    /// Every layer of the kernel; the language is whole.
    Standard,
    /// The same, for a script that is checked before.
    Strict,
}

impl ProfileName {
    fn from_name(word: &str) -> Option<Self> {
        match word {
            "standard" => Some(Self::Standard),
            "strict" => Some(Self::Strict),
            _ => None,
        }
    }
}

/// A script that is to be run. Its descriptor is of any kind yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The script.
    pub script: Descriptor,
    /// Its file name.
    pub name: ScriptName,
    /// What runs it.
    pub runtime: Runtime,
    /// Its arguments.
    pub args: ScriptArgs,
    /// How strictly it is isolated.
    pub profile: ProfileName,
    /// Its limits in the order of the call; 0 for what is configured.
    pub limits: [u64; 6],
    /// Whether it has a standard input.
    pub stdin: bool,
    /// Whether its `result` is wanted.
    pub want_result: bool,
}

/// An action on a service's unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What is to be done.
    pub verb: Verb,
    /// As the caller names it.
    pub service: String,
    /// Whether the caller does not wait for the end.
    pub no_block: bool,
    /// The longest that the caller waits; `None` for the configured time.
    pub timeout: Option<Duration>,
}

/// A request for a service's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// As the caller names it.
    pub service: String,
    /// Whether lines to come are asked for too.
    pub follow: bool,
    /// How many of the last lines.
    pub lines: u32,
    /// No line before this, in microseconds of the real-time clock.
    pub since_usec: Option<u64>,
}

impl Request {
    /// The service that is asked about, as the caller names it.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::List
            | Self::Gpus
            | Self::Health
            | Self::Run(_)
            | Self::Wait { .. }
            | Self::Cancel { .. }
            | Self::Runs { .. } => None,
            Self::Get { service } => Some(service),
            Self::Act(act) => Some(&act.service),
            Self::Logs(logs) => Some(&logs.service),
        }
    }
}

/// What a message calls.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// A method of the table.
    Method(&'static Member),
    /// A method that every object has.
    Standard(Standard),
}

/// Finds what a message calls.
///
/// # Errors
/// If there is no such object or method. A call that names no interface calls nothing: which
/// method it means would be a guess.
pub fn target(message: &Message) -> Result<Target, StandardError> {
    let header = message.header();
    let path = header.path().map_or("", |path| path.as_str());
    let member = header.member().map_or("", |member| member.as_str());
    let Some(interface) = header.interface() else {
        return Err(StandardError::UnknownMethod);
    };
    if let Some(standard) = Standard::find(interface, member) {
        return if standard.is_offered_at(path) {
            Ok(Target::Standard(standard))
        } else {
            Err(StandardError::UnknownObject)
        };
    }
    if path != OBJECT_PATH {
        return Err(StandardError::UnknownObject);
    }
    let mut of_interface =
        TABLE.iter().filter(|row| row.interface.name() == interface.as_str()).peekable();
    if of_interface.peek().is_none() {
        return Err(StandardError::UnknownInterface);
    }
    of_interface
        .find(|row| row.name == member && matches!(row.kind, Kind::Method(_)))
        .map(Target::Method)
        .ok_or(StandardError::UnknownMethod)
}

/// Reads the arguments of a call to `member`; no action may take longer than `most`.
///
/// # Errors
/// [`CallError::InvalidArgument`], whatever is wrong.
pub fn read(member: &Member, message: &Message, most: Duration) -> Result<Request, CallError> {
    let body = message.body();
    let verb = member.rule().and_then(|rule| rule.verb);
    match (member.name, verb) {
        ("List", _) if member.interface == Interface::Services => {
            arguments(member, &body).map(|()| Request::List)
        }
        ("List", _) if member.interface == Interface::Gpu => {
            arguments(member, &body).map(|()| Request::Gpus)
        }
        ("List", _) => {
            let (flags,) = arguments::<(u64,)>(member, &body)?;
            Ok(Request::Runs { all: flag(flags, ALL_USERS)? })
        }
        ("Health", _) => arguments(member, &body).map(|()| Request::Health),
        ("Run", _) => run(arguments(member, &body)?).map(|run| Request::Run(Box::new(run))),
        ("Wait", _) => {
            let (run,) = arguments::<(&str,)>(member, &body)?;
            Ok(Request::Wait { run: run_name(run)? })
        }
        ("Cancel", _) => {
            let (run,) = arguments::<(&str,)>(member, &body)?;
            Ok(Request::Cancel { run: run_name(run)? })
        }
        ("Get", _) => {
            let (service,) = arguments::<(&str,)>(member, &body)?;
            Ok(Request::Get { service: name(service)? })
        }
        ("Logs", _) => {
            let arguments = arguments(member, &body)?;
            logs(arguments).map(Request::Logs)
        }
        (_, Some(verb)) => {
            let arguments = arguments(member, &body)?;
            act(verb, arguments, most).map(Request::Act)
        }
        // A row of the table for which nothing is written yet.
        (_, None) => Err(CallError::Unavailable(format!("{} is not offered yet", member.name))),
    }
}

/// The arguments of a call, if they are of the types that the table names.
fn arguments<'b, T: DynamicDeserialize<'b>>(
    member: &Member,
    body: &'b Body,
) -> Result<T, CallError> {
    let expected: String = member.inputs.iter().map(|arg| arg.signature).collect();
    // Of types without a byte: they were dropped when the call was read (`bus`).
    let is_dropped = body.is_empty() && !body.signature().to_string_no_parens().is_empty();
    let takes_descriptors = expected.contains('h');
    let most = if takes_descriptors { MAX_RUN_BODY } else { MAX_BODY };
    if body.len() > most || is_dropped {
        return Err(CallError::InvalidArgument(format!(
            "the arguments are larger than {most} bytes"
        )));
    }
    let wrong = || {
        CallError::InvalidArgument(if expected.is_empty() {
            format!("{} takes no arguments", member.name)
        } else {
            format!("the arguments of {} are of type \"{expected}\"", member.name)
        })
    };
    // A text in a structure is no text; several arguments and a structure of them are the same
    // bytes, and nobody can tell them apart here.
    let found = match member.inputs {
        [_] => body.signature().to_string(),
        _ => body.signature().to_string_no_parens(),
    };
    if found != expected || (!takes_descriptors && !body.message().data().fds().is_empty()) {
        return Err(wrong());
    }
    body.deserialize().map_err(|_| wrong())
}

fn name(text: &str) -> Result<String, CallError> {
    if text.len() > MAX_NAME {
        return Err(CallError::InvalidArgument(format!(
            "the name of a service is at most {MAX_NAME} bytes long"
        )));
    }
    Ok(text.to_owned())
}

/// Whether the one flag that there is, is set.
fn flag(flags: u64, known: u64) -> Result<bool, CallError> {
    flags_of(flags, [known]).map(|[is_set]| is_set)
}

/// Which flags are set, of those that there are.
fn flags_of<const N: usize>(flags: u64, known: [u64; N]) -> Result<[bool; N], CallError> {
    let all = known.iter().fold(0, |all, flag| all | flag);
    match flags & !all {
        0 => Ok(known.map(|flag| flags & flag != 0)),
        unknown => Err(CallError::InvalidArgument(format!("unknown flags: {unknown:#x}"))),
    }
}

/// What `Run` is called with.
type RunArguments<'b> =
    (zbus::OwnedFd, &'b str, &'b str, Vec<String>, &'b str, (u64, u64, u64, u64, u64, u64), u64);

fn run(
    (script, name, runtime, args, profile, limits, flags): RunArguments<'_>,
) -> Result<Run, CallError> {
    let invalid = |what: &str| CallError::InvalidArgument(what.to_owned());
    let [want_result, stdin] = flags_of(flags, [RESULT, STDIN])?;
    let (wall, cpu, memory, processes, output, work) = limits;
    Ok(Run {
        script: Descriptor(Arc::new(script.into())),
        name: ScriptName::try_from(name.to_owned()).map_err(invalid)?,
        runtime: runtime.parse().map_err(|_| invalid("the runtime is python, bash or node"))?,
        args: ScriptArgs::try_from(args).map_err(invalid)?,
        profile: ProfileName::from_name(profile)
            .ok_or_else(|| invalid("the profile is standard or strict"))?,
        limits: [wall, cpu, memory, processes, output, work],
        stdin,
        want_result,
    })
}

/// The name of a run; one of another form is none's.
fn run_name(text: &str) -> Result<String, CallError> {
    if text.len() > MAX_NAME {
        return Err(CallError::InvalidArgument(format!(
            "the name of a run is at most {MAX_NAME} bytes long"
        )));
    }
    Ok(text.to_owned())
}

fn act(
    verb: Verb,
    (service, flags, timeout_ms): (&str, u64, u32),
    most: Duration,
) -> Result<Act, CallError> {
    let timeout = match timeout_ms {
        0 => None,
        millis => Some(Duration::from_millis(millis.into())),
    };
    if timeout.is_some_and(|timeout| timeout > most) {
        return Err(CallError::InvalidArgument(format!(
            "the time is out of range: 1 to {} milliseconds, or 0 for {} milliseconds",
            most.as_millis(),
            most.as_millis()
        )));
    }
    Ok(Act { verb, service: name(service)?, no_block: flag(flags, NO_BLOCK)?, timeout })
}

fn logs((service, flags, lines, since_usec): (&str, u64, u32, u64)) -> Result<Logs, CallError> {
    /// Year 9999: every tool can still print it.
    const LAST_USEC: u64 = 253_402_300_799_000_000;
    if lines > MAX_LOG_LINES {
        return Err(CallError::InvalidArgument(format!(
            "the number of lines is out of range: 0 to {MAX_LOG_LINES}"
        )));
    }
    if since_usec > LAST_USEC {
        return Err(CallError::InvalidArgument(
            "the time to begin at is out of range: microseconds since 1970, before the year 10000"
                .to_owned(),
        ));
    }
    Ok(Logs {
        service: name(service)?,
        follow: flag(flags, FOLLOW)?,
        lines,
        since_usec: (since_usec != 0).then_some(since_usec),
    })
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use zbus::DynamicType;

    use super::*;

    const MOST: Duration = Duration::from_secs(90);

    fn message<B: Serialize + DynamicType>(
        path: &str,
        interface: Option<&str>,
        member: &str,
        body: &B,
    ) -> Message {
        let builder = Message::method_call(path, member);
        match interface {
            Some(interface) => builder.interface(interface),
            None => builder,
        }
        .build(body)
        .unwrap()
    }

    fn services<B: Serialize + DynamicType>(member: &str, body: &B) -> Result<Request, CallError> {
        let message = message(OBJECT_PATH, Some("org.aictl1.Services"), member, body);
        let Ok(Target::Method(row)) = target(&message) else { panic!("{member} is not found") };
        read(row, &message, MOST)
    }

    fn act_request(verb: Verb, no_block: bool, timeout: Option<u64>) -> Request {
        let service = "ollama".to_owned();
        Request::Act(Act { verb, service, no_block, timeout: timeout.map(Duration::from_millis) })
    }

    #[test]
    fn every_method_of_the_table_is_read() {
        assert_eq!(services("List", &()), Ok(Request::List));
        assert_eq!(services("Get", &("x",)), Ok(Request::Get { service: "x".to_owned() }));
        for verb in Verb::ALL {
            let mut member = verb.name().to_owned();
            member[..1].make_ascii_uppercase();
            let read = |flags: u64, timeout: u32| services(&member, &("ollama", flags, timeout));
            assert_eq!(read(0, 0), Ok(act_request(verb, false, None)));
            assert_eq!(read(1, 90_000), Ok(act_request(verb, true, Some(90_000))));
        }
        assert_eq!(
            services("Logs", &("ollama", 1u64, 10_000u32, 5u64)),
            Ok(Request::Logs(Logs {
                service: "ollama".to_owned(),
                follow: true,
                lines: 10_000,
                since_usec: Some(5)
            }))
        );
        let health = message(OBJECT_PATH, Some("org.aictl1.Manager"), "Health", &());
        let Ok(Target::Method(row)) = target(&health) else { panic!("no Health") };
        assert_eq!(read(row, &health, MOST), Ok(Request::Health));
        let gpus = message(OBJECT_PATH, Some("org.aictl1.Gpu"), "List", &());
        let Ok(Target::Method(row)) = target(&gpus) else { panic!("no List of GPUs") };
        assert_eq!(read(row, &gpus, MOST), Ok(Request::Gpus));
        // None is without its place in `read`.
        for row in TABLE.iter().filter(|row| row.rule().is_some()) {
            let call = message(OBJECT_PATH, Some(row.interface.name()), row.name, &());
            let answer = read(row, &call, MOST);
            assert!(!matches!(answer, Err(CallError::Unavailable(_))), "{}", row.name);
        }
    }

    fn words(answer: Result<Request, CallError>) -> String {
        match answer {
            Err(CallError::InvalidArgument(words)) => words,
            other => panic!("{other:?} is no invalid argument"),
        }
    }

    #[test]
    fn what_is_out_of_range_is_an_invalid_argument() {
        let long = "x".repeat(257);
        let table: [(Result<Request, CallError>, &str); 12] = [
            (services("Start", &("x", 2u64, 0u32)), "unknown flags: 0x2"),
            (services("Start", &("x", u64::MAX, 0u32)), "unknown flags: 0xfffffffffffffffe"),
            (
                services("Start", &("x", 0u64, 90_001u32)),
                "the time is out of range: 1 to 90000 milliseconds, or 0 for 90000 milliseconds",
            ),
            (
                services("Start", &("x", 0u64, u32::MAX)),
                "the time is out of range: 1 to 90000 milliseconds, or 0 for 90000 milliseconds",
            ),
            (
                services("Logs", &("x", 0u64, 10_001u32, 0u64)),
                "the number of lines is out of range: 0 to 10000",
            ),
            (services("Logs", &("x", 4u64, 0u32, 0u64)), "unknown flags: 0x4"),
            (
                services("Logs", &("x", 0u64, 0u32, u64::MAX)),
                "the time to begin at is out of range: microseconds since 1970, before the year \
                 10000",
            ),
            (services("Get", &(long.as_str(),)), "the name of a service is at most 256 bytes long"),
            (
                services("Stop", &(long.as_str(), 0u64, 0u32)),
                "the name of a service is at most 256 bytes long",
            ),
            (services("Get", &("x".repeat(1 << 20),)), "the arguments are larger than 4096 bytes"),
            (services("List", &("x",)), "List takes no arguments"),
            (services("Get", &()), "the arguments of Get are of type \"s\""),
        ];
        for (answer, expected) in table {
            assert_eq!(words(answer), expected);
        }
    }

    #[test]
    fn wrong_types_and_extra_arguments_are_invalid() {
        let wrong = "the arguments of Get are of type \"s\"";
        assert_eq!(words(services("Get", &(1u32,))), wrong);
        assert_eq!(words(services("Get", &("x", "y"))), wrong);
        assert_eq!(words(services("Get", &(("x",),))), wrong);
        assert_eq!(words(services("Get", &(zbus::Variant::from("x"),))), wrong);
        assert_eq!(words(services("Get", &(vec!["x"],))), wrong);
        assert_eq!(words(services("Get", &(b"x".to_vec(),))), wrong);
        let path = zbus::ObjectPath::try_from("/x").unwrap();
        assert_eq!(words(services("Get", &(path,))), wrong);
        let wrong = "the arguments of Start are of type \"stu\"";
        assert_eq!(words(services("Start", &("x",))), wrong);
        assert_eq!(words(services("Start", &("x", 0u32, 0u32))), wrong);
        assert_eq!(words(services("Start", &("x", 0i64, 0u32))), wrong);
        assert_eq!(words(services("Start", &("x", 0u64, 0u32, 0u32))), wrong);
    }

    #[test]
    fn no_name_of_whatever_form_is_refused_here() {
        for odd in ["", "../ollama", "ollama.service", "\u{1b}[31m", "ο", "%s%n", "a\nb", "*"] {
            assert_eq!(
                services("Get", &(odd,)),
                Ok(Request::Get { service: odd.to_owned() }),
                "{odd:?}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_told_apart() {
        let at = |path: &str, interface: Option<&str>, member: &str| {
            target(&message(path, interface, member, &())).err()
        };
        let services = Some("org.aictl1.Services");
        assert_eq!(at("/org/aictl1", services, "Reboot"), Some(StandardError::UnknownMethod));
        assert_eq!(at("/org/aictl1", services, "list"), Some(StandardError::UnknownMethod));
        // A signal is not called.
        assert_eq!(at("/org/aictl1", services, "Changed"), Some(StandardError::UnknownMethod));
        assert_eq!(at("/org/aictl1", None, "List"), Some(StandardError::UnknownMethod));
        for path in ["/", "/org", "/org/aictl1/x", "/org/aictl", "/org/freedesktop/systemd1"] {
            assert_eq!(at(path, services, "List"), Some(StandardError::UnknownObject), "{path}");
        }
        for interface in ["org.aictl1", "org.aictl1.services", "org.freedesktop.systemd1.Manager"] {
            let interface = Some(interface);
            assert_eq!(at("/org/aictl1", interface, "List"), Some(StandardError::UnknownInterface));
        }
        // What the table does not hold does not exist.
        for interface in Interface::ALL {
            for member in ["Reboot", "PowerOff", "Kill", "Exec", "Mask", "Edit", "SetProperty"] {
                let answer = at("/org/aictl1", Some(interface.name()), member);
                assert!(answer.is_some(), "{interface:?} {member}");
            }
        }
    }
}
