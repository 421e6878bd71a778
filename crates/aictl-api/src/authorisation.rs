//! The authorisation table: every member of the helper's D-Bus interface, with what a caller
//! needs for it, and the polkit actions with their defaults.
//!
//! The polkit policy, the D-Bus policy and the introspection document are generated from here
//! (the modules below). What is not in the table does not exist: the bus refuses it, and so does
//! the helper, for which [`method`] finds nothing.

pub mod dbus_policy;
pub mod introspection;
pub mod man_page;
pub mod polkit;
pub mod polkit_rules;
mod xml;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub(crate) use xml::HOW_TO_GENERATE;

/// The helper's name on the system bus.
pub const BUS_NAME: &str = "org.aictl1";
/// The path of the one object that the helper offers.
pub const OBJECT_PATH: &str = "/org/aictl1";
/// The system user that the helper runs as.
pub const HELPER_USER: &str = "aictl";

/// A flag of the calls that act: answer once systemd has queued the job, and not at its end.
pub const NO_BLOCK: u64 = 1;
/// A flag of `Logs`: go on with what is written later.
pub const FOLLOW: u64 = 1;
/// The most lines that `Logs` may be asked for.
pub const MAX_LOG_LINES: u32 = 10_000;
/// A flag of `Run`: the script's variable `result` is wanted.
pub const RESULT: u64 = 1;
/// A flag of `Run`: the script has a standard input, which its caller writes.
pub const STDIN: u64 = 2;
/// A flag of the list of runs: those of all users.
pub const ALL_USERS: u64 = 1;

/// An interface of the helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interface {
    /// AI services: their state, and the actions on their units.
    Services,
    /// GPUs and what runs on them.
    Gpu,
    /// Sandboxed runs.
    Sandbox,
    /// The helper itself.
    Manager,
}

impl Interface {
    /// Every interface, in the order in which they are documented.
    pub const ALL: [Self; 4] = [Self::Services, Self::Gpu, Self::Sandbox, Self::Manager];

    /// The interface's name on the bus.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Services => "org.aictl1.Services",
            Self::Gpu => "org.aictl1.Gpu",
            Self::Sandbox => "org.aictl1.Sandbox",
            Self::Manager => "org.aictl1.Manager",
        }
    }
}

/// A polkit action: one for each class of risk, for polkit keeps an authentication per action
/// and looks at no detail then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// To see the state of the services.
    ServicesRead,
    /// To start, stop, restart and reload a service until the next boot.
    ServicesControl,
    /// To choose what starts at boot.
    ServicesEnable,
    /// To read the logs of the services.
    LogsRead,
    /// To see the GPUs and what runs on them.
    GpuRead,
    /// To run a script in the sandbox.
    SandboxRun,
    /// To end another user's run.
    SandboxCancelOthers,
}

impl Action {
    /// Every action, in the order in which they are documented.
    pub const ALL: [Self; 7] = [
        Self::ServicesRead,
        Self::ServicesControl,
        Self::ServicesEnable,
        Self::LogsRead,
        Self::GpuRead,
        Self::SandboxRun,
        Self::SandboxCancelOthers,
    ];

    /// The action's identifier, as polkit knows it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::ServicesRead => "org.aictl1.services.read",
            Self::ServicesControl => "org.aictl1.services.control",
            Self::ServicesEnable => "org.aictl1.services.enable",
            Self::LogsRead => "org.aictl1.logs.read",
            Self::GpuRead => "org.aictl1.gpu.read",
            Self::SandboxRun => "org.aictl1.sandbox.run",
            Self::SandboxCancelOthers => "org.aictl1.sandbox.cancel-others",
        }
    }
}

/// What is done to a unit; the word in polkit's details and in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Start the unit.
    Start,
    /// Stop the unit.
    Stop,
    /// Stop the unit if it runs, and start it.
    Restart,
    /// Have the unit read its configuration again.
    Reload,
    /// Have the unit start at boot.
    Enable,
    /// Have the unit no longer start at boot.
    Disable,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::Stop, Self::Restart, Self::Reload, Self::Enable, Self::Disable];

    /// The verb as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Enable => "enable",
            Self::Disable => "disable",
        }
    }

    /// The verb that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == word)
    }
}

/// Calls of one class share a rate limit, for each caller's uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateClass {
    /// Calls that only look.
    Read,
    /// Calls that change a unit.
    Change,
    /// Calls that have a script run.
    Run,
}

impl RateClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Read, Self::Change, Self::Run];

    /// The class as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Change => "change",
            Self::Run => "run",
        }
    }
}

/// A field of an audit record in the journal (systemd.journal-fields(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditField {
    /// The identifier of the call.
    RequestId,
    /// Interface and member that were called.
    Method,
    /// The caller's uid, as the bus tells it.
    CallerUid,
    /// The caller's process, as the bus tells it.
    CallerPid,
    /// The systemd unit that the caller runs in.
    CallerUnit,
    /// The service, by its name in the catalogue.
    Service,
    /// The service's systemd unit.
    Unit,
    /// What was to be done to the unit.
    Verb,
    /// Whether the call was allowed.
    Decision,
    /// What came of it.
    Result,
    /// The name of the error that the caller was given.
    Error,
    /// How long the call took, in microseconds.
    DurationUsec,
    /// How many calls the record is of, where it stands for more than one.
    Count,
    /// The run that was asked about: the identifier of the call that began it.
    Run,
    /// SHA-256 of the script, in hexadecimal digits.
    CodeSha256,
    /// The size of the script in bytes.
    CodeBytes,
    /// How strictly the run is isolated.
    Profile,
    /// How many arguments the script was given.
    ArgumentCount,
    /// How the run ended.
    Outcome,
    /// The exit code of the script.
    ExitCode,
    /// The CPU time of all processes of the run, in microseconds.
    CpuUsec,
    /// The most memory that the run was seen to use, in bytes.
    PeakMemory,
}

impl AuditField {
    /// Every field.
    pub const ALL: [Self; 22] = [
        Self::RequestId,
        Self::Method,
        Self::CallerUid,
        Self::CallerPid,
        Self::CallerUnit,
        Self::Service,
        Self::Unit,
        Self::Verb,
        Self::Decision,
        Self::Result,
        Self::Error,
        Self::DurationUsec,
        Self::Count,
        Self::Run,
        Self::CodeSha256,
        Self::CodeBytes,
        Self::Profile,
        Self::ArgumentCount,
        Self::Outcome,
        Self::ExitCode,
        Self::CpuUsec,
        Self::PeakMemory,
    ];

    /// The fields in the record of every call, whatever it was.
    pub const OF_EVERY_CALL: [Self; 9] = [
        Self::RequestId,
        Self::Method,
        Self::CallerUid,
        Self::CallerPid,
        Self::CallerUnit,
        Self::Decision,
        Self::Result,
        Self::Error,
        Self::DurationUsec,
    ];

    /// The field's name in the journal.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestId => "AICTL_REQUEST_ID",
            Self::Method => "AICTL_METHOD",
            Self::CallerUid => "AICTL_CALLER_UID",
            Self::CallerPid => "AICTL_CALLER_PID",
            Self::CallerUnit => "AICTL_CALLER_UNIT",
            Self::Service => "AICTL_SERVICE",
            Self::Unit => "AICTL_UNIT",
            Self::Verb => "AICTL_VERB",
            Self::Decision => "AICTL_DECISION",
            Self::Result => "AICTL_RESULT",
            Self::Error => "AICTL_ERROR",
            Self::DurationUsec => "AICTL_DURATION_USEC",
            Self::Count => "AICTL_COUNT",
            Self::Run => "AICTL_RUN",
            Self::CodeSha256 => "AICTL_CODE_SHA256",
            Self::CodeBytes => "AICTL_CODE_BYTES",
            Self::Profile => "AICTL_PROFILE",
            Self::ArgumentCount => "AICTL_ARGUMENT_COUNT",
            Self::Outcome => "AICTL_OUTCOME",
            Self::ExitCode => "AICTL_EXIT_CODE",
            Self::CpuUsec => "AICTL_CPU_USEC",
            Self::PeakMemory => "AICTL_PEAK_MEMORY",
        }
    }

    /// What the field holds, in one sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::RequestId => "The identifier of the call.",
            Self::Method => "Interface and member that were called.",
            Self::CallerUid => "The caller's uid, as the bus tells it.",
            Self::CallerPid => "The caller's process, as the bus tells it.",
            Self::CallerUnit => "The systemd unit that the caller runs in.",
            Self::Service => "The service, by its name in the catalogue.",
            Self::Unit => "The service's systemd unit.",
            Self::Verb => "What was to be done to the unit.",
            Self::Decision => "Whether the call was allowed.",
            Self::Result => "What came of it.",
            Self::Error => "The name of the error that the caller was given.",
            Self::DurationUsec => "How long the call, or the run, took, in microseconds.",
            Self::Count => "How many calls the record is of, where it stands for more than one.",
            Self::Run => "The run that was asked about: the identifier of the call that began it.",
            Self::CodeSha256 => "SHA-256 of the script, in hexadecimal digits.",
            Self::CodeBytes => "The size of the script in bytes.",
            Self::Profile => "How strictly the run is isolated.",
            Self::ArgumentCount => "How many arguments the script was given.",
            Self::Outcome => "How the run ended; empty if that is not known.",
            Self::ExitCode => "The exit code of the script; empty if it has none.",
            Self::CpuUsec => "The CPU time of all processes of the run, in microseconds.",
            Self::PeakMemory => "The most memory that the run was seen to use, in bytes.",
        }
    }
}

/// An argument of a method or a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arg {
    /// The argument's name, for those who read.
    pub name: &'static str,
    /// Its type: one complete type of the D-Bus specification.
    pub signature: &'static str,
    /// What it means, in one sentence.
    pub about: &'static str,
}

/// What a call needs, and what is recorded of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The polkit action that the caller must be authorised for.
    pub action: Action,
    /// What the call does to a unit; `None` if it only looks.
    pub verb: Option<Verb>,
    /// The rate limit that the call counts against.
    pub rate: RateClass,
    /// The fields of the audit record beside [`AuditField::OF_EVERY_CALL`].
    pub audit: &'static [AuditField],
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Others call it, under a rule.
    Method(Rule),
    /// The helper sends it, to all who listen: polkit is asked by nobody, so it carries nothing
    /// that not everyone may know.
    Signal,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The interface that the member belongs to.
    pub interface: Interface,
    /// Its name on the bus.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// What goes in; of a signal, what it carries.
    pub inputs: &'static [Arg],
    /// What comes out; of a signal, nothing.
    pub outputs: &'static [Arg],
    /// Whether it is a method, with its rule, or a signal.
    pub kind: Kind,
}

impl Member {
    /// The rule of a method; `None` of a signal.
    #[must_use]
    pub const fn rule(&self) -> Option<&Rule> {
        match &self.kind {
            Kind::Method(rule) => Some(rule),
            Kind::Signal => None,
        }
    }
}

/// A service, by its name in the catalogue; never a unit's name.
const SERVICE: Arg =
    Arg { name: "service", signature: "s", about: "The service's name in the catalogue." };
/// What came of an action.
const ACTION_RECORD: Arg = Arg {
    name: "record",
    signature: "a{sv}",
    about: "How systemd's job ended and the unit's state after it; may gain keys, and loses none.",
};
/// The arguments of an action.
const OF_ACTION: &[Arg] = &[
    SERVICE,
    Arg {
        name: "flags",
        signature: "t",
        about: "1: answer once the job is queued, and not at its end. No other bit is accepted.",
    },
    Arg {
        name: "timeout_ms",
        signature: "u",
        about: "How long to wait for the job's end; 0: as the configuration says, which is the most.",
    },
];
/// The arguments of `Logs`.
const OF_LOGS: &[Arg] = &[
    SERVICE,
    Arg {
        name: "flags",
        signature: "t",
        about: "1: go on with what is written later. No other bit is accepted.",
    },
    Arg {
        name: "lines",
        signature: "u",
        about: "The most lines of what is already written: the latest; 10000 at most.",
    },
    Arg {
        name: "since_usec",
        signature: "t",
        about: "Nothing older than this, in microseconds of the real-time clock; 0: any.",
    },
];

/// A run, by the identifier of the call that began it.
const RUN: Arg = Arg { name: "run", signature: "s", about: "The run, as Run has named it." };
/// The arguments of `Run`.
const OF_RUN: &[Arg] = &[
    Arg {
        name: "script",
        signature: "h",
        about: "The script: a memfd sealed against writing, growing and shrinking, and nothing else, \
                that holds no NUL byte.",
    },
    Arg { name: "name", signature: "s", about: "The file name that the script has for itself." },
    Arg { name: "runtime", signature: "s", about: "What runs it: python, bash or node." },
    Arg {
        name: "arguments",
        signature: "as",
        about: "The script's arguments; 1024 and 64 KiB together at most.",
    },
    Arg {
        name: "profile",
        signature: "s",
        about: "How strictly it is isolated: standard; or strict, for Python, which is checked by \
                the configuration before anything is started, and imports no more inside.",
    },
    Arg {
        name: "limits",
        signature: "(tttttt)",
        about: "Milliseconds in all and of CPU, bytes of memory, processes, bytes of each output, \
                bytes of /work; 0: as the configuration says.",
    },
    Arg {
        name: "flags",
        signature: "t",
        about: "1: the script's variable result is wanted. 2: it has a standard input, which its \
                caller writes; without this, it is empty. No other bit is accepted.",
    },
];

/// The row of an action on a service's unit.
const fn unit_action(
    name: &'static str,
    about: &'static str,
    action: Action,
    verb: Verb,
) -> Member {
    Member {
        interface: Interface::Services,
        name,
        about,
        inputs: OF_ACTION,
        outputs: &[ACTION_RECORD],
        kind: Kind::Method(Rule {
            action,
            verb: Some(verb),
            rate: RateClass::Change,
            audit: &[AuditField::Service, AuditField::Unit, AuditField::Verb],
        }),
    }
}

/// The table: a row for each member, in the order in which they are documented.
pub const TABLE: &[Member] = &[
    Member {
        interface: Interface::Services,
        name: "List",
        about: "Tells the state of every service in the catalogue.",
        inputs: &[],
        outputs: &[Arg {
            name: "records",
            signature: "aa{sv}",
            about: "A record for each, in the catalogue's order; they may gain keys, and lose none.",
        }],
        kind: Kind::Method(Rule {
            action: Action::ServicesRead,
            verb: None,
            rate: RateClass::Read,
            audit: &[],
        }),
    },
    Member {
        interface: Interface::Services,
        name: "Get",
        about: "Tells the state of one service.",
        inputs: &[SERVICE],
        outputs: &[Arg {
            name: "record",
            signature: "a{sv}",
            about: "The service's record; it may gain keys, and loses none.",
        }],
        kind: Kind::Method(Rule {
            action: Action::ServicesRead,
            verb: None,
            rate: RateClass::Read,
            audit: &[AuditField::Service, AuditField::Unit],
        }),
    },
    unit_action(
        "Start",
        "Starts a service, and tells how it went and the unit's state after it.",
        Action::ServicesControl,
        Verb::Start,
    ),
    unit_action(
        "Stop",
        "Stops a service, and tells how it went and the unit's state after it.",
        Action::ServicesControl,
        Verb::Stop,
    ),
    unit_action(
        "Restart",
        "Restarts a service, and tells how it went and the unit's state after it.",
        Action::ServicesControl,
        Verb::Restart,
    ),
    unit_action(
        "Reload",
        "Has a service read its configuration again, and tells how it went and the unit's state \
         after it.",
        Action::ServicesControl,
        Verb::Reload,
    ),
    unit_action(
        "Enable",
        "Has a service start at boot, and tells how it went and the unit's state after it.",
        Action::ServicesEnable,
        Verb::Enable,
    ),
    unit_action(
        "Disable",
        "Has a service no longer start at boot, and tells how it went and the unit's state after \
         it.",
        Action::ServicesEnable,
        Verb::Disable,
    ),
    Member {
        interface: Interface::Services,
        name: "Logs",
        about: "Hands out a stream of a service's log, redacted: a JSON object on each line.",
        inputs: OF_LOGS,
        outputs: &[Arg {
            name: "stream",
            signature: "h",
            about: "The end of a stream to read from; it ends with the log, or with its reader.",
        }],
        kind: Kind::Method(Rule {
            action: Action::LogsRead,
            verb: None,
            rate: RateClass::Read,
            audit: &[AuditField::Service, AuditField::Unit],
        }),
    },
    Member {
        interface: Interface::Services,
        name: "Changed",
        about: "The state of a service has changed; Get tells it to those who may know. It comes while \
                the helper runs, and that ends when nobody has called it for helper.idle-timeout: \
                whoever waits for it looks by a call every 30 s, too, which keeps the helper there.",
        inputs: &[SERVICE],
        outputs: &[],
        kind: Kind::Signal,
    },
    Member {
        interface: Interface::Gpu,
        name: "List",
        about: "Tells what every GPU does, and what runs on it as far as the helper can see.",
        inputs: &[],
        outputs: &[
            Arg {
                name: "gpus",
                signature: "aa{sv}",
                about: "A record for each, in a fixed order; they may gain keys. What is unknown is \
                        left out.",
            },
            Arg {
                name: "notes",
                signature: "as",
                about: "What could not be found out, each in one sentence.",
            },
        ],
        kind: Kind::Method(Rule {
            action: Action::GpuRead,
            verb: None,
            rate: RateClass::Read,
            audit: &[],
        }),
    },
    Member {
        interface: Interface::Sandbox,
        name: "Run",
        about: "Has a script run in a sandbox, and answers as soon as it is accepted; it ends with \
                its caller's connection.",
        inputs: OF_RUN,
        outputs: &[
            RUN,
            Arg {
                name: "stdout",
                signature: "h",
                about: "The end of a stream to read standard output from as it comes.",
            },
            Arg {
                name: "stderr",
                signature: "h",
                about: "The end of a stream to read standard error from as it comes.",
            },
            Arg {
                name: "stdin",
                signature: "ah",
                about: "With the flag 2, the end of a stream to write standard input to, which \
                        ends when it is shut down or closed; else nothing. To write to it fails \
                        (EPIPE, and SIGPIPE without MSG_NOSIGNAL) once nobody reads it any more.",
            },
        ],
        kind: Kind::Method(Rule {
            action: Action::SandboxRun,
            verb: None,
            rate: RateClass::Run,
            audit: &[
                AuditField::CodeSha256,
                AuditField::CodeBytes,
                AuditField::Profile,
                AuditField::ArgumentCount,
            ],
        }),
    },
    Member {
        interface: Interface::Sandbox,
        name: "Wait",
        about: "Answers at the end of a run of the same connection, once; who was let begin it is \
                let wait. Nobody's run, and anybody else's, are the same InvalidArgument.",
        inputs: &[RUN],
        outputs: &[Arg {
            name: "record",
            signature: "a{sv}",
            about: "What the run came to; kept for a minute after its end. It may gain keys; what \
                    is unknown is left out.",
        }],
        kind: Kind::Method(Rule {
            action: Action::SandboxRun,
            verb: None,
            rate: RateClass::Read,
            audit: &[AuditField::Run],
        }),
    },
    Member {
        interface: Interface::Sandbox,
        name: "Cancel",
        about: "Ends a run; its record still comes. One that is not the caller's own needs the \
                action org.aictl1.sandbox.cancel-others, whether or not there is such a run.",
        inputs: &[RUN],
        outputs: &[],
        kind: Kind::Method(Rule {
            action: Action::SandboxRun,
            verb: None,
            rate: RateClass::Read,
            audit: &[AuditField::Run],
        }),
    },
    Member {
        interface: Interface::Sandbox,
        name: "List",
        about: "Tells of the caller's runs that have not ended.",
        inputs: &[Arg {
            name: "flags",
            signature: "t",
            about: "1: of those of all users, which needs the action \
                    org.aictl1.sandbox.cancel-others. No other bit is accepted.",
        }],
        outputs: &[Arg {
            name: "records",
            signature: "aa{sv}",
            about: "A record for each, the oldest first; they may gain keys, and lose none.",
        }],
        kind: Kind::Method(Rule {
            action: Action::SandboxRun,
            verb: None,
            rate: RateClass::Read,
            audit: &[],
        }),
    },
    Member {
        interface: Interface::Sandbox,
        name: "Started",
        about: "A run has left the queue and begins.",
        inputs: &[RUN],
        outputs: &[],
        kind: Kind::Signal,
    },
    Member {
        interface: Interface::Sandbox,
        name: "Ended",
        about: "A run is over.",
        inputs: &[RUN],
        outputs: &[],
        kind: Kind::Signal,
    },
    Member {
        interface: Interface::Manager,
        name: "Health",
        about: "Tells how the helper is, and whether it reaches what it needs.",
        inputs: &[],
        outputs: &[Arg {
            name: "record",
            signature: "a{sv}",
            about: "The helper's record; it may gain keys, and loses none.",
        }],
        kind: Kind::Method(Rule {
            action: Action::ServicesRead,
            verb: None,
            rate: RateClass::Read,
            audit: &[],
        }),
    },
];

/// The rule for calling `member` of `interface`; `None` if there is no such method, which then
/// must be refused.
#[must_use]
pub fn method(interface: &str, member: &str) -> Option<&'static Rule> {
    TABLE
        .iter()
        .find(|row| row.interface.name() == interface && row.name == member)
        .and_then(Member::rule)
}
