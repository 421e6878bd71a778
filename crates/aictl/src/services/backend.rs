//! Who is asked about services: the helper where it is installed, else systemd itself.

use std::{fmt, future::pending, io, time::Duration};

use aictl_api::{authorisation::Verb, config::Config, error::CallError, record::ActionRecord};
use aictl_core::{
    helper::{self, ActOptions, Helper},
    systemd::{self, Bus, Systemd},
};
use zbus::{Connection, connection::Builder};

use super::direct::Direct;
use crate::{
    args::Global,
    config::{self, LoadError},
    message,
};

/// How long a connection to the message bus may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Who is asked.
#[derive(Debug)]
pub enum Backend {
    /// The helper.
    Helper(Helper),
    /// systemd itself.
    Direct(Box<Direct>),
}

/// Why there is nobody to ask.
#[derive(Debug)]
pub enum NoBackend {
    /// The message bus, or who is on it, is not there.
    Bus(CallError),
    /// Without the helper the configuration says which services there are, and it cannot be used.
    Config(LoadError),
}

impl Backend {
    /// Finds who is to be asked. polkit may ask the user if `interactive`.
    ///
    /// # Errors
    /// If there is nobody. A helper that is installed and does not work is no reason to do
    /// without it: that shows with the first call.
    pub async fn find(global: &Global, interactive: bool) -> Result<Self, NoBackend> {
        if global.user {
            let config = config::load(global.config.as_deref()).map_err(NoBackend::Config)?;
            let systemd = Systemd::connect(Bus::User).await.map_err(|error| {
                NoBackend::Bus(CallError::Unavailable(format!(
                    "your own service manager cannot be reached: {error}"
                )))
            })?;
            let direct = Direct { systemd, config };
            return Ok(Self::Direct(Box::new(direct)));
        }
        let connection = system_bus().await.map_err(NoBackend::Bus)?;
        if !global.embedded {
            match Helper::find(&connection).await.map_err(NoBackend::Bus)? {
                Some(helper) => return Ok(Self::Helper(helper.interactive(interactive))),
                None => message::detail(global, "no helper is installed: systemd is asked itself"),
            }
        }
        let config = config::load(global.config.as_deref()).map_err(NoBackend::Config)?;
        let systemd = Systemd::on(connection).interactive(interactive);
        Ok(Self::Direct(Box::new(Direct { systemd, config })))
    }

    /// Does something to a service, and tells what came of it.
    ///
    /// # Errors
    /// What the helper or systemd answers, or that it cannot be asked.
    pub async fn act(
        &self,
        verb: Verb,
        service: &str,
        options: ActOptions,
    ) -> Result<ActionRecord, CallError> {
        match self {
            Self::Helper(helper) => helper.act(verb, service, options).await,
            Self::Direct(direct) => direct.act(verb, service, options).await,
        }
    }

    /// Watches for changes of a service.
    pub async fn watch(&self, service: &str) -> Watch {
        match self {
            Self::Helper(helper) => helper
                .changes(service)
                .await
                .map_or(Watch::Blind, |changes| Watch::Helper(Box::new(changes))),
            Self::Direct(direct) => match (direct.service(service), direct.systemd.changes().await)
            {
                (Ok(service), Ok(changes)) => {
                    Watch::Systemd(Box::new(changes), service.unit.to_string())
                }
                _ => Watch::Blind,
            },
        }
    }

    /// The configuration that says which services there are, as far as this side knows it.
    pub fn config(&self, global: &Global) -> Option<Config> {
        match self {
            Self::Direct(direct) => Some(direct.config.clone()),
            Self::Helper(_) => config::load(global.config.as_deref()).ok(),
        }
    }
}

/// A connection to the system's message bus.
///
/// # Errors
/// [`CallError::Unavailable`] if there is none.
pub async fn system_bus() -> Result<Connection, CallError> {
    connect_system_bus().await.map_err(|error| CallError::Unavailable(error.to_string()))
}

/// Why the system's message bus cannot be reached.
#[derive(Debug)]
pub struct NoBus {
    /// Its socket does not exist: this is no machine that systemd runs.
    pub is_absent: bool,
    /// What went wrong, without where.
    pub brief: String,
    why: String,
}

impl From<zbus::Error> for NoBus {
    fn from(error: zbus::Error) -> Self {
        let why = error.to_string();
        match error {
            zbus::Error::Connection(error, _) => {
                let brief = error.to_string();
                let brief = brief.split(" (os error").next().unwrap_or_default().to_owned();
                Self { is_absent: error.kind() == io::ErrorKind::NotFound, brief, why }
            }
            _ => Self { is_absent: false, brief: why.clone(), why },
        }
    }
}

impl fmt::Display for NoBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system's message bus cannot be reached: {}", self.why)
    }
}

/// A connection to the system's message bus.
///
/// # Errors
/// If there is none, or it does not answer.
pub async fn connect_system_bus() -> Result<Connection, NoBus> {
    match tokio::time::timeout(CONNECT_TIME, Builder::system().build()).await {
        Ok(connection) => Ok(connection?),
        Err(_elapsed) => {
            let why = "it does not answer".to_owned();
            Err(NoBus { is_absent: false, brief: why.clone(), why })
        }
    }
}

/// Sees that a service changes.
pub enum Watch {
    /// By the helper's signal.
    Helper(Box<helper::Changes>),
    /// By systemd's, of this unit.
    Systemd(Box<systemd::Changes>, String),
    /// Not at all.
    Blind,
}

impl Watch {
    /// Waits for the next change; for ever, if none will be seen.
    pub async fn next(&mut self) {
        loop {
            match self {
                Self::Helper(changes) => {
                    if changes.next().await {
                        return;
                    }
                }
                Self::Systemd(changes, unit) => match changes.next().await {
                    Ok(changed) if changed == *unit => return,
                    Ok(_) => continue,
                    Err(_) => {}
                },
                Self::Blind => pending().await,
            }
            *self = Self::Blind;
        }
    }
}
