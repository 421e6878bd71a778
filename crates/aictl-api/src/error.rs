//! The errors that a caller of the helper can get: a closed set, each with its name on the bus.
//!
//! A message is for the user: what happened, why, and what to do; it carries no path, no version
//! and nothing else from inside the helper.

use std::{fmt, time::Duration};

use crate::exit;

#[cfg(test)]
mod tests;

/// What the names of all these errors begin with.
pub const PREFIX: &str = "org.aictl1.Error.";

/// An answer to a call that is not what was asked for.
///
/// On the bus the body is `(s message)`; of [`CallError::LimitExceeded`] it is
/// `(s message, t retry_after_usec)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// polkit does not allow the caller this action.
    NotAuthorized(String),
    /// polkit would ask, and the caller's message did not allow that it does.
    InteractiveAuthorizationRequired(String),
    /// Whether the caller is allowed this cannot be found out, and so it is not.
    AuthorizationUnavailable(String),
    /// No service of the catalogue has the name.
    NoSuchService(String),
    /// Nothing that runs such a script is installed.
    NoInterpreter(String),
    /// The service does not allow the verb.
    ActionNotAllowed(String),
    /// The caller's calls are too many or come too fast.
    LimitExceeded {
        /// For the user.
        message: String,
        /// After this time a call can succeed.
        retry_after: Duration,
    },
    /// An argument has the wrong type, is out of its range, or is unknown.
    InvalidArgument(String),
    /// The action was not begun, for a reason that is neither polkit's nor the catalogue's.
    Refused(String),
    /// The action did not end in its time; it may still be going on.
    TimedOut(String),
    /// Something that the call needs is not there: systemd, polkit, or the journal.
    Unavailable(String),
    /// The action failed.
    Failed(String),
}

/// The names that stand after [`PREFIX`], in the order of the variants.
pub const NAMES: [&str; 12] = [
    "NotAuthorized",
    "InteractiveAuthorizationRequired",
    "AuthorizationUnavailable",
    "NoSuchService",
    "NoInterpreter",
    "ActionNotAllowed",
    "LimitExceeded",
    "InvalidArgument",
    "Refused",
    "TimedOut",
    "Unavailable",
    "Failed",
];

/// What each of [`NAMES`] means, for those who read.
pub const MEANINGS: [&str; NAMES.len()] = [
    "polkit does not allow the caller this action.",
    "polkit would ask, and the caller's message did not allow that it does.",
    "Whether the caller is allowed this cannot be found out, and so it is not: polkit does not answer, \
     or cannot be told of who calls at this socket; the bus may do.",
    "No service of the catalogue has the name; the same for every such name.",
    "Nothing that runs such a script is installed.",
    "The service does not allow the verb.",
    "The caller's calls are too many or come too fast; retry_after_usec says when to try again.",
    "An argument has the wrong type, is out of its range, or is unknown.",
    "The action was not begun, for a reason that is neither polkit's nor the catalogue's.",
    "The action did not end in its time; it may still be going on.",
    "Something that the call needs is not there: systemd, polkit, or the journal.",
    "The action failed.",
];

impl CallError {
    /// The answer to every name that is not in the catalogue, with the same words for all: a name
    /// of another unit is told from one of nothing by nobody.
    #[must_use]
    pub fn no_such_service() -> Self {
        Self::NoSuchService("no such service in the catalogue".to_owned())
    }

    /// The answer to too many calls.
    #[must_use]
    pub fn limit_exceeded(what: &str, retry_after: Duration) -> Self {
        // Rounded up: who waits as long as the words say is let in.
        let tenths = retry_after.as_nanos().div_ceil(100_000_000);
        let message = format!("{what}; try again in {}.{} s", tenths / 10, tenths % 10);
        Self::LimitExceeded { message, retry_after }
    }

    /// The error's name on the bus.
    #[must_use]
    pub const fn dbus_name(&self) -> &'static str {
        match self {
            Self::NotAuthorized(_) => "org.aictl1.Error.NotAuthorized",
            Self::InteractiveAuthorizationRequired(_) => {
                "org.aictl1.Error.InteractiveAuthorizationRequired"
            }
            Self::AuthorizationUnavailable(_) => "org.aictl1.Error.AuthorizationUnavailable",
            Self::NoSuchService(_) => "org.aictl1.Error.NoSuchService",
            Self::NoInterpreter(_) => "org.aictl1.Error.NoInterpreter",
            Self::ActionNotAllowed(_) => "org.aictl1.Error.ActionNotAllowed",
            Self::LimitExceeded { .. } => "org.aictl1.Error.LimitExceeded",
            Self::InvalidArgument(_) => "org.aictl1.Error.InvalidArgument",
            Self::Refused(_) => "org.aictl1.Error.Refused",
            Self::TimedOut(_) => "org.aictl1.Error.TimedOut",
            Self::Unavailable(_) => "org.aictl1.Error.Unavailable",
            Self::Failed(_) => "org.aictl1.Error.Failed",
        }
    }

    /// The error with this name on the bus and these words; `retry_after` is for
    /// [`CallError::LimitExceeded`] alone. `None` if the name is not of this set.
    #[must_use]
    pub fn from_dbus_name(
        name: &str,
        message: String,
        retry_after: Option<Duration>,
    ) -> Option<Self> {
        let retry_after = retry_after.unwrap_or_default();
        Some(match name.strip_prefix(PREFIX)? {
            "NotAuthorized" => Self::NotAuthorized(message),
            "InteractiveAuthorizationRequired" => Self::InteractiveAuthorizationRequired(message),
            "AuthorizationUnavailable" => Self::AuthorizationUnavailable(message),
            "NoSuchService" => Self::NoSuchService(message),
            "NoInterpreter" => Self::NoInterpreter(message),
            "ActionNotAllowed" => Self::ActionNotAllowed(message),
            "LimitExceeded" => Self::LimitExceeded { message, retry_after },
            "InvalidArgument" => Self::InvalidArgument(message),
            "Refused" => Self::Refused(message),
            "TimedOut" => Self::TimedOut(message),
            "Unavailable" => Self::Unavailable(message),
            "Failed" => Self::Failed(message),
            _ => return None,
        })
    }

    /// The words for the user.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::NotAuthorized(message)
            | Self::InteractiveAuthorizationRequired(message)
            | Self::AuthorizationUnavailable(message)
            | Self::NoSuchService(message)
            | Self::NoInterpreter(message)
            | Self::ActionNotAllowed(message)
            | Self::LimitExceeded { message, .. }
            | Self::InvalidArgument(message)
            | Self::Refused(message)
            | Self::TimedOut(message)
            | Self::Unavailable(message)
            | Self::Failed(message) => message,
        }
    }

    /// After what time a call can succeed, of [`CallError::LimitExceeded`].
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::LimitExceeded { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// The exit code of a command that ends with this error.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotAuthorized(_)
            | Self::InteractiveAuthorizationRequired(_)
            | Self::AuthorizationUnavailable(_)
            | Self::ActionNotAllowed(_)
            | Self::LimitExceeded { .. }
            | Self::Refused(_) => exit::REFUSED,
            Self::NoSuchService(_) | Self::NoInterpreter(_) => exit::NOT_FOUND,
            Self::InvalidArgument(_) => exit::USAGE,
            Self::TimedOut(_) => exit::TIMED_OUT,
            Self::Unavailable(_) => exit::INTERNAL,
            Self::Failed(_) => exit::FAILED,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for CallError {}
