//! What can go wrong with systemd, told apart.

use std::{fmt, time::Duration};

use zbus::{DBusError, fdo};

use crate::redact::redact;

/// Why systemd did not do what was asked, or could not be asked. Its [`fmt::Display`] is one line
/// for the user, without a name of the unit, which the caller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemdError {
    /// The message bus cannot be reached, or the connection broke: why.
    NoBus(String),
    /// The bus is there, but systemd is not on it.
    Unavailable,
    /// systemd was restarted before it said what came of a call.
    Lost,
    /// There is no such unit, or no unit of such a process.
    NotFound,
    /// The name belongs to a unit of another name, so that it is not the unit that was asked for.
    Alias {
        /// The unit's own name.
        id: String,
    },
    /// The unit is masked, so that it cannot be started.
    Masked,
    /// The unit has no such action: a reload where it has nothing to reload with.
    NotApplicable,
    /// systemd, or polkit on its behalf, or the bus, does not let this caller do it.
    AccessDenied,
    /// polkit wants to ask the user, and there is nobody to ask them.
    InteractionNeeded,
    /// No answer, or no end of the job, in this time. A job goes on nonetheless.
    TimedOut(Duration),
    /// The answer is of another kind than systemd documents.
    BadReply(String),
    /// systemd says no for a reason of its own.
    Failed {
        /// The error's name on the bus.
        name: String,
        /// systemd's words, redacted.
        message: String,
    },
}

impl fmt::Display for SystemdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBus(why) => write!(f, "the message bus cannot be reached: {why}"),
            Self::Unavailable => f.write_str("systemd is not on the message bus"),
            Self::Lost => f.write_str("systemd was restarted before it said what came of it"),
            Self::NotFound => f.write_str("there is no such unit"),
            Self::Alias { id } => write!(f, "the name is only another one for {id}"),
            Self::Masked => f.write_str("the unit is masked: unmask it with systemctl first"),
            Self::NotApplicable => f.write_str("the unit has no such action"),
            Self::AccessDenied => f.write_str("not authorised"),
            Self::InteractionNeeded => f.write_str("authorisation by a prompt is needed"),
            Self::TimedOut(time) => write!(f, "no end of it within {time:?}"),
            Self::BadReply(what) => write!(f, "systemd gave an answer of another kind: {what}"),
            Self::Failed { name, message } if message.is_empty() => f.write_str(name),
            Self::Failed { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for SystemdError {}

impl From<zbus::Error> for SystemdError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::FDO(error) => match *error {
                fdo::Error::ZBus(error) => Self::from_local(&error),
                error => {
                    Self::from_name(error.name().as_str(), error.description().unwrap_or_default())
                }
            },
            zbus::Error::MethodError(name, message, _) => {
                Self::from_name(name.as_str(), &message.unwrap_or_default())
            }
            error => Self::from_local(&error),
        }
    }
}

impl SystemdError {
    /// From an error that systemd or the bus answered.
    fn from_name(name: &str, message: &str) -> Self {
        let systemd = name.strip_prefix("org.freedesktop.systemd1.");
        let bus = name.strip_prefix("org.freedesktop.DBus.Error.");
        match (systemd, bus) {
            (Some("NoSuchUnit" | "NoUnitForPID"), _) | (_, Some("FileNotFound")) => Self::NotFound,
            (Some("UnitMasked"), _) => Self::Masked,
            (Some("JobTypeNotApplicable"), _) => Self::NotApplicable,
            (_, Some("AccessDenied" | "AuthFailed")) => Self::AccessDenied,
            (_, Some("InteractiveAuthorizationRequired")) => Self::InteractionNeeded,
            (_, Some("ServiceUnknown" | "NameHasNoOwner")) => Self::Unavailable,
            (_, Some(failed)) if failed.starts_with("Spawn.") => Self::Unavailable,
            (_, Some("NoReply" | "Disconnected" | "Timeout" | "TimedOut")) => Self::Lost,
            _ => Self::Failed { name: redact(name).into(), message: redact(message).into() },
        }
    }

    /// From an error that nobody answered.
    fn from_local(error: &zbus::Error) -> Self {
        use zbus::Error as E;
        match error {
            E::InputOutput(_) | E::Connection(..) | E::Handshake(_) | E::Address(_) => {
                Self::NoBus(redact(&error.to_string()).into())
            }
            _ => Self::BadReply(redact(&error.to_string()).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_error() {
        use SystemdError as E;
        let failed = |name: &str| E::Failed { name: name.to_owned(), message: "why".to_owned() };
        let table = [
            ("org.freedesktop.systemd1.NoSuchUnit", E::NotFound),
            ("org.freedesktop.systemd1.NoUnitForPID", E::NotFound),
            ("org.freedesktop.DBus.Error.FileNotFound", E::NotFound),
            ("org.freedesktop.systemd1.UnitMasked", E::Masked),
            ("org.freedesktop.systemd1.JobTypeNotApplicable", E::NotApplicable),
            ("org.freedesktop.DBus.Error.AccessDenied", E::AccessDenied),
            ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", E::InteractionNeeded),
            ("org.freedesktop.DBus.Error.ServiceUnknown", E::Unavailable),
            ("org.freedesktop.DBus.Error.NameHasNoOwner", E::Unavailable),
            ("org.freedesktop.DBus.Error.Spawn.ChildExited", E::Unavailable),
            ("org.freedesktop.DBus.Error.NoReply", E::Lost),
            (
                "org.freedesktop.systemd1.OnlyByDependency",
                failed("org.freedesktop.systemd1.OnlyByDependency"),
            ),
            ("com.example.NoSuchUnit", failed("com.example.NoSuchUnit")),
        ];
        for (name, expected) in table {
            assert_eq!(E::from_name(name, "why"), expected, "{name}");
        }
    }

    #[test]
    fn no_secret_of_systemds_words_is_kept() {
        let error = SystemdError::from_name("com.example.X", "at http://me:hunter2@host/");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_broken_connection_is_not_a_bad_answer() {
        let io = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(matches!(
            SystemdError::from(zbus::Error::InputOutput(io.into())),
            SystemdError::NoBus(_)
        ));
        assert!(matches!(
            SystemdError::from(zbus::Error::IncorrectType),
            SystemdError::BadReply(_)
        ));
    }
}
