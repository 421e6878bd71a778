//! What was found out about one service, before anybody judges it.

use std::{net::SocketAddr, time::Duration};

use aictl_api::{
    endpoint::Endpoint,
    service::{Scope, Service},
};
use aictl_core::{systemd::UnitFacts, unit_usage::Usage};
use aictl_providers::Report;

use crate::keys::Source;

/// What systemd says of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// It is there.
    Known(Box<UnitFacts>),
    /// There is none of this name.
    NotFound,
    /// The name is only another one for this unit.
    Alias(String),
    /// systemd did not say.
    Unknown,
}

impl Unit {
    /// The facts, where there are some.
    #[must_use]
    pub fn facts(&self) -> Option<&UnitFacts> {
        match self {
            Self::Known(facts) => Some(facts),
            _ => None,
        }
    }

    /// Whether it runs, is about to, or is about to again.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.facts().is_some_and(|facts| {
            matches!(
                facts.state.active_state.as_str(),
                "active" | "activating" | "reloading" | "refreshing"
            )
        })
    }
}

/// Who listens where a server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// A process of the service's unit.
    Own,
    /// A process of this other unit.
    Other {
        /// The unit.
        unit: String,
        /// Whether the process is one of the user who asks.
        mine: bool,
    },
    /// Whose it is cannot be told.
    Unknown {
        /// Whether it is at least one of the user who asks.
        mine: bool,
    },
    /// Nobody.
    Nobody,
}

impl Listener {
    /// Whether a key may go there: to the service, or to a process that could read the user's keys
    /// anyway. Any other user can listen on a port that the service has left.
    #[must_use]
    pub const fn may_have_key(&self) -> bool {
        matches!(self, Self::Own | Self::Other { mine: true, .. } | Self::Unknown { mine: true })
    }
}

/// What became of the service's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyUse {
    /// There is none; this is how to give one.
    None(String),
    /// The one from there was sent.
    Sent(Source),
    /// The one from there was not: who listens is not known to be the service.
    Withheld(Source),
}

/// A server that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Where.
    pub endpoint: Endpoint,
    /// What it said.
    pub report: Report,
    /// Who listens there.
    pub listener: Listener,
    /// What became of the key.
    pub key: KeyUse,
}

/// What was found out about a service's server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// What it said, if it was asked.
    pub asked: Option<Asked>,
    /// Where the service listens, if that is nowhere where it can be asked.
    pub elsewhere: Option<SocketAddr>,
    /// A port that it should have, and the other unit that has it.
    pub taken: Option<(u16, String)>,
}

/// What is known of the machine's GPUs that models are expected to run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuSight {
    /// There is one at least that works.
    Some,
    /// There is one at least, but none that works.
    Broken,
    /// There is none.
    None,
    /// They could not be looked at.
    Unknown,
}

/// What was found out about one service.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The service.
    pub service: &'a Service,
    /// The file of the configuration that its settings belong into.
    pub config_file: &'a str,
    /// Whose unit it has.
    pub scope: Scope,
    /// What systemd says.
    pub unit: Unit,
    /// For how long the unit has been active.
    pub uptime: Option<Duration>,
    /// What the unit uses.
    pub usage: Option<Usage>,
    /// CPU time in percent of one CPU.
    pub cpu_percent: Option<f64>,
    /// What is known of its server.
    pub server: Answer,
    /// Memory of GPUs, in bytes.
    pub vram_bytes: Option<u64>,
    /// What is known of the GPUs.
    pub gpus: GpuSight,
}
