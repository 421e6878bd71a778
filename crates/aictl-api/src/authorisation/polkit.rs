//! The polkit policy: each action with its defaults and the words that people see (polkit(8)).

use super::{
    Action, AuditField, HELPER_USER,
    xml::{escape, prolog},
};

/// What polkit answers where no rule of the administrator says otherwise (polkit(8), "Declaring
/// actions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Implicit {
    /// Allowed without a question.
    Yes,
    /// After an administrator's authentication, which polkit keeps for a few minutes.
    AuthAdminKeep,
    /// After an administrator's authentication, each time.
    AuthAdmin,
}

impl Implicit {
    /// The word in the policy file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::AuthAdminKeep => "auth_admin_keep",
            Self::AuthAdmin => "auth_admin",
        }
    }
}

/// The defaults of an action, by where the caller sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Callers without a local session, such as over ssh or from a service.
    pub any: Implicit,
    /// Callers in a local session that is not in the foreground.
    pub inactive: Implicit,
    /// Callers in the local session in the foreground.
    pub active: Implicit,
}

/// The defaults of `action`.
#[must_use]
pub const fn defaults(action: Action) -> Defaults {
    use Implicit::{AuthAdmin, AuthAdminKeep, Yes};
    let (any, inactive, active) = match action {
        Action::ServicesRead | Action::GpuRead => (Yes, Yes, Yes),
        Action::ServicesControl | Action::LogsRead => (AuthAdmin, AuthAdmin, AuthAdminKeep),
        Action::ServicesEnable | Action::SandboxCancelOthers => (AuthAdmin, AuthAdmin, AuthAdmin),
        Action::SandboxRun => (AuthAdmin, AuthAdmin, Yes),
    };
    Defaults { any, inactive, active }
}

/// What the action allows, for administrators who read a list of actions.
#[must_use]
pub const fn description(action: Action) -> &'static str {
    match action {
        Action::ServicesRead => "See the state of AI services",
        Action::ServicesControl => "Start, stop, restart and reload AI services",
        Action::ServicesEnable => "Choose which AI services start at boot",
        Action::LogsRead => "Read the logs of AI services",
        Action::GpuRead => "See the GPUs and what runs on them",
        Action::SandboxRun => "Run a script in the sandbox",
        Action::SandboxCancelOthers => "End another user's sandboxed script",
    }
}

/// What the person is told who is asked to authenticate. polkit puts the details of the call in
/// the place of `$(service)` and alike; see [`detail`].
#[must_use]
pub const fn message(action: Action) -> &'static str {
    match action {
        Action::ServicesRead => "Authentication is required to see the state of AI services.",
        Action::ServicesControl => {
            "Authentication is required to $(verb) the AI service $(service)."
        }
        Action::ServicesEnable => {
            "Authentication is required to $(verb) the AI service $(service) at boot."
        }
        Action::LogsRead => "Authentication is required to read the logs of AI services.",
        Action::GpuRead => "Authentication is required to see the GPUs and what runs on them.",
        Action::SandboxRun => "Authentication is required to run a script in the sandbox.",
        Action::SandboxCancelOthers => {
            "Authentication is required to end another user's sandboxed script."
        }
    }
}

/// The key in polkit's details under which what an audit field holds is handed to polkit; `None`
/// for what polkit is not told.
#[must_use]
pub const fn detail(field: AuditField) -> Option<&'static str> {
    match field {
        AuditField::Service => Some("service"),
        AuditField::Unit => Some("unit"),
        AuditField::Verb => Some("verb"),
        AuditField::RequestId
        | AuditField::Method
        | AuditField::CallerUid
        | AuditField::CallerPid
        | AuditField::CallerUnit
        | AuditField::Decision
        | AuditField::Result
        | AuditField::Error
        | AuditField::DurationUsec
        | AuditField::Count
        | AuditField::Run
        | AuditField::CodeSha256
        | AuditField::CodeBytes
        | AuditField::Profile
        | AuditField::ArgumentCount
        | AuditField::Outcome
        | AuditField::ExitCode
        | AuditField::CpuUsec
        | AuditField::PeakMemory => None,
    }
}

/// The policy file, to be installed as /usr/share/polkit-1/actions/org.aictl1.policy.
#[must_use]
pub fn policy() -> String {
    let mut text = prolog(
        "The polkit actions of aictl.",
        "policyconfig PUBLIC \"-//freedesktop//DTD polkit Policy Configuration 1.0//EN\"\n  \
         \"http://www.freedesktop.org/software/polkit/policyconfig-1.dtd\"",
    );
    text += "<policyconfig>\n  <vendor>aictl</vendor>\n";
    for action in Action::ALL {
        text += &element(action);
    }
    text + "</policyconfig>\n"
}

fn element(action: Action) -> String {
    let Defaults { any, inactive, active } = defaults(action);
    format!(
        "  <action id=\"{}\">\n    \
           <description>{}</description>\n    \
           <message>{}</message>\n    \
           <defaults>\n      \
             <allow_any>{}</allow_any>\n      \
             <allow_inactive>{}</allow_inactive>\n      \
             <allow_active>{}</allow_active>\n    \
           </defaults>\n    \
           <annotate key=\"org.freedesktop.policykit.owner\">unix-user:{HELPER_USER}</annotate>\n  \
         </action>\n",
        escape(action.id()),
        escape(description(action)),
        escape(message(action)),
        any.name(),
        inactive.name(),
        active.name(),
    )
}
