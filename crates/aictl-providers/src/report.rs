//! What is known of a server once it was asked.

use std::{fmt, time::Duration};

use aictl_api::{provider::Provider, status::LoadedModel};

use crate::trouble::Trouble;

/// What a server said. Unknown is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whether the server is there and does what it is for.
    pub reach: Reach,
    /// Who answered: the expected provider if nothing speaks against it.
    pub provider: Option<Provider>,
    /// What came instead, where another program answers and that can be told: a sentence's part.
    pub came: Option<&'static str>,
    /// From the beginning of the connection to the end of the answer that says that all is well.
    pub latency: Option<Duration>,
    /// The server's version.
    pub version: Option<String>,
    /// The models that it has.
    pub models: Option<Vec<String>>,
    /// Those of them that it holds in memory.
    pub loaded: Option<Vec<LoadedModel>>,
    /// Requests that it is working on.
    pub requests_running: Option<u64>,
    /// What it should have told, and did not.
    pub gaps: Vec<Gap>,
}

/// Whether a server is there and does what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It is.
    Ready,
    /// It is still loading its model: what it says of that.
    Loading(Option<String>),
    /// It wants a key, and there was none.
    KeyNeeded,
    /// It refuses the key.
    KeyRefused,
    /// What answers is not the expected provider: what it seems to be instead.
    Other(Option<Provider>),
    /// It does not answer as it should.
    Trouble(Trouble),
}

/// A fact that a server should have told, and did not. Its [`fmt::Display`] is one plain sentence
/// without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which one.
    pub what: Fact,
    /// Why.
    pub why: GapReason,
}

/// What a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// Whether it is well.
    Health,
    /// Who it is.
    Identity,
    /// Its version.
    Version,
    /// The models that it has.
    Models,
    /// The models that it holds in memory.
    Loaded,
    /// The requests that it is working on.
    Requests,
}

/// Why a fact is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// It tells only those who have a key, and there was none.
    NoKey,
    /// It told more than this many; the rest is left out.
    More(usize),
    /// Its answer is none.
    Trouble(Trouble),
}

impl Report {
    /// Another program answers: what came from it, if that can be told.
    pub(crate) fn of_another(came: Option<&'static str>) -> Self {
        Self { came, ..Self::bare(Reach::Other(None), None) }
    }

    /// Nothing is known but this.
    pub(crate) const fn bare(reach: Reach, provider: Option<Provider>) -> Self {
        Self {
            reach,
            provider,
            came: None,
            latency: None,
            version: None,
            models: None,
            loaded: None,
            requests_running: None,
            gaps: Vec::new(),
        }
    }
}

impl Fact {
    const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Identity => "kind",
            Self::Version => "version",
            Self::Models => "models",
            Self::Loaded => "loaded models",
            Self::Requests => "running requests",
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.what.name();
        match &self.why {
            GapReason::NoKey => write!(f, "asking for its {what} needs a key, and none is set"),
            GapReason::More(most) => write!(f, "only the first {most} of its {what} are shown"),
            GapReason::Trouble(trouble) => write!(f, "asked for its {what}: {trouble}"),
        }
    }
}
