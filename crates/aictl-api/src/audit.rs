//! The words of audit records: which kinds there are, and the values of their closed fields. The
//! fields themselves are [`AuditField`](crate::authorisation::AuditField)s.

#[cfg(test)]
mod tests;

use serde::Serialize;

/// The `MESSAGE_ID` of a finished call, whatever came of it.
pub const CALL: &str = "2064f3181849442d82823e2d5c520a91";
/// The `MESSAGE_ID` of a call that changes something and is about to be done.
pub const BEGUN: &str = "41493dbdf39f4551abd31263531133c5";
/// The `MESSAGE_ID` of a run that has ended; it has the `AICTL_REQUEST_ID` of the call that began it.
pub const RAN: &str = "7b0e2c6d5a8f4e0f9d3c1a4762b85e19";
/// The `MESSAGE_ID` of the helper's start.
pub const STARTED: &str = "4ec4f5fc21bf4002ab559bf3ef322c9d";
/// The `MESSAGE_ID` of the helper's end.
pub const STOPPED: &str = "86df106e224c4dc3979716dd0b9af49f";
/// The `MESSAGE_ID` of a configuration that was loaded, or refused.
pub const CONFIG: &str = "f74859ea06fc4caf8daefdba212c5831";

/// Every `MESSAGE_ID`, in the order of the journal's catalogue.
pub const MESSAGE_IDS: [&str; 6] = [CALL, BEGUN, RAN, STARTED, STOPPED, CONFIG];

/// What each of [`MESSAGE_IDS`] is of, for those who read.
pub const KINDS: [&str; MESSAGE_IDS.len()] = [
    "A finished call, whatever came of it.",
    "A call that changes something and is about to be done.",
    "A run in the sandbox has ended; AICTL_REQUEST_ID is that of the call that began it.",
    "The helper has started.",
    "The helper ends.",
    "A configuration was loaded, or refused.",
];

/// What was decided about a call; the value of `AICTL_DECISION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It was allowed.
    Allowed,
    /// polkit or the catalogue did not allow it, or something that a decision needs was not there.
    Denied,
    /// It was no call that can be decided about: unknown, of the wrong type, or out of range.
    Invalid,
    /// The caller was over a limit.
    Limited,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Invalid, Self::Limited];

    /// The decision as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Limited => "limited",
        }
    }

    /// The decision that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.name() == word)
    }
}

/// What came of a call; the value of `AICTL_RESULT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What was asked for is done, or, where the caller does not wait, queued.
    Done,
    /// Nothing was done.
    Refused,
    /// It was tried and failed.
    Failed,
    /// It did not end in its time.
    TimedOut,
    /// The caller went away before the end.
    Cancelled,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 5] =
        [Self::Done, Self::Refused, Self::Failed, Self::TimedOut, Self::Cancelled];

    /// The outcome as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
        }
    }

    /// The outcome that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == word)
    }
}
