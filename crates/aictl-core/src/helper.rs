//! The helper, as its clients see it: calls on `org.aictl1`, and what comes of them.

mod run;

use std::{
    collections::HashMap, future::poll_fn, os::fd::OwnedFd, path::Path, pin::Pin, time::Duration,
};

use aictl_api::{
    authorisation::{BUS_NAME, Interface, OBJECT_PATH, Verb},
    error::CallError,
    gpu::GpuReport,
    record::{ActionRecord, HealthRecord, RunRecord, ServiceRecord},
    status::HelperState,
};
use futures_core::Stream;
use nix::{
    errno::Errno,
    sys::socket::{getsockopt, sockopt::PeerPidfd},
};
use serde::Serialize;
use tokio::{net::UnixStream, time};
use zbus::{
    Connection, DBusError, DynamicType, MatchRule, MessageStream, OwnedVariant, Proxy, connection,
    fdo,
    message::Type,
    proxy::{CacheProperties, MethodFlags},
    wire::DynamicDeserialize,
};

pub use run::{StartedRun, WantedRun, cancelled, ended, started};

use crate::dbus_records;

/// The bus itself: its name, and its interface.
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// How long the bus's own answers may take, which it gives at once unless it is stuck.
const BUS_TIME: Duration = Duration::from_secs(10);
/// How long an answer may take that needs neither a user nor a job; the helper is started for it
/// where it does not run.
pub const READ_TIME: Duration = Duration::from_secs(60);
/// How long polkit may ask the user, as the helper lets it, and some time more.
const PROMPT_TIME: Duration = Duration::from_secs(150);
/// The longest time that a job can be given.
const MAX_JOB_TIME: Duration = Duration::from_secs(3600);

/// Bits of the `flags` of an action.
const NO_BLOCK: u64 = 1;
/// Bits of the `flags` of `Logs`.
const FOLLOW: u64 = 1;

/// How to act on a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActOptions {
    /// Return as soon as systemd has queued the job.
    pub no_block: bool,
    /// Wait no longer than this; `None` for as long as the configuration says.
    pub timeout: Option<Duration>,
}

/// Which lines of a log to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// The last so many lines.
    pub lines: u32,
    /// Go on with new lines as they come.
    pub follow: bool,
    /// Only from then on: microseconds since 1970.
    pub since_usec: Option<u64>,
}

/// How long a run may wait for its turn and then run, before it is given up.
const RUN_TIME: Duration = Duration::from_secs(24 * 3600);

/// The helper, on a message bus or at its own socket.
#[derive(Debug, Clone)]
pub struct Helper {
    connection: Connection,
    interactive: bool,
}

impl Helper {
    /// The helper at its own socket, without a bus between: the shortest way, for whoever needs no
    /// signals. `None` where it does not listen, takes no more connections, or could not tell polkit
    /// who is there; the bus may know more.
    pub async fn at_its_socket(path: &Path) -> Option<Self> {
        let connect = async {
            let stream = UnixStream::connect(path).await.ok()?;
            // Without it (before Linux 6.5) the helper refuses whatever needs polkit's word.
            if getsockopt(&stream, PeerPidfd).is_err_and(|errno| errno == Errno::ENOPROTOOPT) {
                return None;
            }
            let stream = stream.into_std().ok()?;
            connection::Builder::unix_stream(stream).p2p().build().await.ok()
        };
        let connection = time::timeout(BUS_TIME, connect).await.ok()??;
        Some(Self { connection, interactive: false })
    }

    /// Looks for the helper on the bus; `None` if it is not installed: its name belongs to nobody,
    /// and the bus knows no program to start for it.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if the bus does not answer.
    pub async fn find(connection: &Connection) -> Result<Option<Self>, CallError> {
        if let Some(helper) = Self::running(connection).await? {
            return Ok(Some(helper));
        }
        let helper = Self { connection: connection.clone(), interactive: false };
        Ok(helper.is_activatable().await?.then_some(helper))
    }

    /// Looks for the helper where it runs already, and does not start it: `None` if it does not.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if the bus does not answer.
    pub async fn running(connection: &Connection) -> Result<Option<Self>, CallError> {
        let helper = Self { connection: connection.clone(), interactive: false };
        let owned: bool = helper.ask_bus("NameHasOwner", &(BUS_NAME,)).await?;
        Ok(owned.then_some(helper))
    }

    /// Whether it runs, is installed, or is not there.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if the bus does not answer.
    pub async fn state(connection: &Connection) -> Result<HelperState, CallError> {
        if Self::running(connection).await?.is_some() {
            return Ok(HelperState::Running);
        }
        let helper = Self { connection: connection.clone(), interactive: false };
        Ok(match helper.is_activatable().await? {
            true => HelperState::Installed,
            false => HelperState::Absent,
        })
    }

    /// Whether the bus knows how to start it.
    async fn is_activatable(&self) -> Result<bool, CallError> {
        let activatable: Vec<String> = self.ask_bus("ListActivatableNames", &()).await?;
        Ok(activatable.iter().any(|name| name == BUS_NAME))
    }

    /// Whether polkit may ask the user; at first it may not.
    #[must_use]
    pub fn interactive(self, interactive: bool) -> Self {
        Self { interactive, ..self }
    }

    /// The state of every service of the catalogue.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked.
    pub async fn list(&self) -> Result<Vec<ServiceRecord>, CallError> {
        let records: Vec<HashMap<String, OwnedVariant>> =
            self.call(Interface::Services, "List", &(), READ_TIME).await?;
        records
            .into_iter()
            .map(|record| dbus_records::service(record).map_err(bad_answer))
            .collect()
    }

    /// The state of one service.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked.
    pub async fn get(&self, service: &str) -> Result<ServiceRecord, CallError> {
        let record = self.call(Interface::Services, "Get", &(service,), READ_TIME).await?;
        dbus_records::service(record).map_err(bad_answer)
    }

    /// Does something to a service, and tells what came of it.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked. That systemd's job failed is no error,
    /// but a record.
    pub async fn act(
        &self,
        verb: Verb,
        service: &str,
        options: ActOptions,
    ) -> Result<ActionRecord, CallError> {
        let flags = if options.no_block { NO_BLOCK } else { 0 };
        let timeout = options.timeout.unwrap_or_default().as_millis();
        let timeout = u32::try_from(timeout).unwrap_or(u32::MAX);
        // The helper ends the wait; this only keeps one that hangs from holding us for good.
        let patience = options.timeout.unwrap_or(MAX_JOB_TIME).saturating_add(READ_TIME);
        let body = (service, flags, timeout);
        let record = self.call(Interface::Services, member(verb), &body, patience).await?;
        dbus_records::action(record).map_err(bad_answer)
    }

    /// The log of a service: a stream with a JSON object on each line. It ends with this
    /// connection.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked.
    pub async fn logs(&self, service: &str, options: LogOptions) -> Result<OwnedFd, CallError> {
        let flags = if options.follow { FOLLOW } else { 0 };
        let body = (service, flags, options.lines, options.since_usec.unwrap_or(0));
        let stream: zbus::OwnedFd =
            self.call(Interface::Services, "Logs", &body, READ_TIME).await?;
        Ok(stream.into())
    }

    /// All GPUs, and what runs on them, of whichever user.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked.
    pub async fn gpus(&self) -> Result<GpuReport, CallError> {
        let (records, notes): (Vec<HashMap<String, OwnedVariant>>, Vec<String>) =
            self.call(Interface::Gpu, "List", &(), READ_TIME).await?;
        let gpus = records.into_iter().map(|record| dbus_records::gpu(record).map_err(bad_answer));
        Ok(GpuReport { gpus: gpus.collect::<Result<_, _>>()?, notes })
    }

    /// Has a script run; returns as soon as the helper has taken it.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked.
    pub async fn run(&self, wanted: &WantedRun<'_>) -> Result<StartedRun, CallError> {
        let answer = self.call(Interface::Sandbox, "Run", &wanted.body(), READ_TIME).await?;
        StartedRun::of(answer, wanted)
    }

    /// Waits for the end of a run of this connection, and fetches its record.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked: nothing of the run is left then.
    pub async fn wait_for_run(&self, run: &str) -> Result<RunRecord, CallError> {
        run::record(self.call(Interface::Sandbox, "Wait", &(run,), RUN_TIME).await)
    }

    /// Ends a run; its record still comes.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked.
    pub async fn cancel_run(&self, run: &str) -> Result<(), CallError> {
        Ok(self.call(Interface::Sandbox, "Cancel", &(run,), READ_TIME).await?)
    }

    /// How the helper is.
    ///
    /// # Errors
    /// What the helper answers, or that it cannot be asked.
    pub async fn health(&self) -> Result<HealthRecord, CallError> {
        let record = self.call(Interface::Manager, "Health", &(), READ_TIME).await?;
        dbus_records::health(record).map_err(bad_answer)
    }

    /// Watches for the changes of a service that the helper tells of.
    ///
    /// # Errors
    /// [`CallError::Unavailable`] if the bus does not take it.
    pub async fn changes(&self, service: &str) -> Result<Changes, CallError> {
        let watch = async {
            let rule = MatchRule::builder()
                .msg_type(Type::Signal)
                .sender(BUS_NAME)
                .path(OBJECT_PATH)
                .interface(Interface::Services.name())
                .member("Changed")
                .arg(0, service)
                .build()?;
            MessageStream::for_match_rule(rule.into_owned(), &self.connection, None).await
        };
        time::timeout(BUS_TIME, watch)
            .await
            .map_err(|_elapsed| no_bus())?
            .map(Changes)
            .map_err(|error| failure(&error).into())
    }

    async fn ask_bus<B, R>(&self, member: &str, body: &B) -> Result<R, CallError>
    where
        B: Serialize + DynamicType + Sync,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let call = self.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), member, body);
        let answer = time::timeout(BUS_TIME, call).await.map_err(|_elapsed| no_bus())?;
        let answer = answer.map_err(|error| failure(&error))?;
        answer.body().deserialize().map_err(|error| failure(&error).into())
    }

    async fn call<B, R>(
        &self,
        interface: Interface,
        member: &str,
        body: &B,
        patience: Duration,
    ) -> Result<R, Failure>
    where
        B: Serialize + DynamicType + Sync,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let (flags, patience) = match self.interactive {
            true => (MethodFlags::ALLOW_INTERACTIVE_AUTH, patience.saturating_add(PROMPT_TIME)),
            false => (MethodFlags::empty(), patience),
        };
        let call = async {
            let proxy: Proxy<'_> = zbus::proxy::Builder::new(&self.connection)
                .destination(BUS_NAME)
                .path(OBJECT_PATH)
                .interface(interface.name())
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            let answer = proxy.call_with_flags(member, flags, body).await?;
            answer.ok_or(zbus::Error::InvalidReply)
        };
        match time::timeout(patience, call).await {
            Ok(answer) => answer.map_err(|error| failure(&error)),
            Err(_elapsed) => Err(Failure::Error(no_answer())),
        }
    }
}

/// Changes of a service, from when this was made until it is dropped.
#[derive(Debug)]
pub struct Changes(MessageStream);

impl Changes {
    /// Waits for the next change; returns `false` if there is none to come.
    pub async fn next(&mut self) -> bool {
        let message = poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await;
        matches!(message, Some(Ok(_)))
    }
}

/// The member of `Services` that does this.
const fn member(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "Start",
        Verb::Stop => "Stop",
        Verb::Restart => "Restart",
        Verb::Reload => "Reload",
        Verb::Enable => "Enable",
        Verb::Disable => "Disable",
    }
}

/// What is told of a helper that takes too long.
#[must_use]
pub fn no_answer() -> CallError {
    CallError::Unavailable(
        "the helper did not answer: look at `systemctl status aictld`".to_owned(),
    )
}

fn no_bus() -> CallError {
    CallError::Unavailable("the message bus does not answer".to_owned())
}

fn bad_answer(error: impl std::fmt::Display) -> CallError {
    CallError::Unavailable(format!("the helper's answer cannot be read: {error}"))
}

/// How a call fails.
#[derive(Debug)]
enum Failure {
    /// With an error: the helper's own, or one about it.
    Error(CallError),
    /// The helper has ended before it answered.
    HelperEnded,
    /// The connection has ended before there was an answer.
    ConnectionBroke,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Error(error)
    }
}

/// As it is of a call that may have done something already.
impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Error(error) => error,
            Failure::HelperEnded => Self::Unavailable(
                "the helper ended before it answered: whether it did what was asked is not known; \
                 look at the service, then try again"
                    .to_owned(),
            ),
            Failure::ConnectionBroke => {
                Self::Unavailable("the connection to the message bus broke".to_owned())
            }
        }
    }
}

/// What a failed call comes to.
fn failure(error: &zbus::Error) -> Failure {
    match error {
        zbus::Error::MethodError(name, message, reply) => {
            let retry_after = reply
                .body()
                .deserialize::<(String, u64)>()
                .ok()
                .map(|(_message, micros)| Duration::from_micros(micros));
            named(name.as_str(), message.clone().unwrap_or_default(), retry_after)
        }
        zbus::Error::FDO(error) => match &**error {
            fdo::Error::ZBus(error) => failure(error),
            error => named(
                error.name().as_str(),
                error.description().unwrap_or_default().to_owned(),
                None,
            ),
        },
        zbus::Error::InputOutput(_) | zbus::Error::Connection(..) | zbus::Error::Handshake(_) => {
            Failure::ConnectionBroke
        }
        error => bad_answer(error).into(),
    }
}

/// What an error with this name comes to: the helper's own, or one of the bus about it.
fn named(name: &str, message: String, retry_after: Option<Duration>) -> Failure {
    let error = match CallError::from_dbus_name(name, message, retry_after) {
        Some(error) => return error.into(),
        None => name.strip_prefix("org.freedesktop.DBus.Error.").unwrap_or(name),
    };
    let words = match error {
        "AccessDenied" => {
            let words = "the message bus does not let you call the helper".to_owned();
            return CallError::NotAuthorized(words).into();
        }
        "NoReply" | "Disconnected" => return Failure::HelperEnded,
        "UnknownMethod" | "UnknownInterface" | "UnknownObject" | "InvalidArgs" => {
            "the helper is of another version than aictl: install both from the same package"
                .to_owned()
        }
        "LimitsExceeded" => "the message bus is over its limits: try again later".to_owned(),
        "ServiceUnknown" | "NameHasNoOwner" | "TimedOut" | "Timeout" => cannot_start(),
        error if error.starts_with("Spawn.") => cannot_start(),
        error if error.starts_with("org.freedesktop.systemd1.") => cannot_start(),
        error => format!("the helper answered with an error that it should not have: {error}"),
    };
    CallError::Unavailable(words).into()
}

fn cannot_start() -> String {
    "the helper is installed but cannot be started: look at `systemctl status aictld`".to_owned()
}

#[cfg(test)]
mod tests {
    use aictl_api::authorisation::method;

    use super::*;

    #[test]
    fn each_verb_has_its_member_in_the_table() {
        for verb in Verb::ALL {
            let rule = method(Interface::Services.name(), member(verb));
            assert_eq!(rule.and_then(|rule| rule.verb), Some(verb));
        }
    }

    #[test]
    fn an_error_of_the_helper_is_the_callers_and_one_of_the_bus_is_told_apart() {
        let retry = Some(Duration::from_secs(2));
        for (name, exit_code, words) in [
            ("org.aictl1.Error.NoSuchService", 127, "why"),
            ("org.aictl1.Error.NotAuthorized", 126, "why"),
            ("org.aictl1.Error.LimitExceeded", 126, "why"),
            ("org.aictl1.Error.Odd", 125, "org.aictl1.Error.Odd"),
            ("org.freedesktop.DBus.Error.AccessDenied", 126, "does not let you"),
            ("org.freedesktop.DBus.Error.NoReply", 125, "not known"),
            ("org.freedesktop.DBus.Error.ServiceUnknown", 125, "cannot be started"),
            ("org.freedesktop.DBus.Error.Spawn.ChildExited", 125, "cannot be started"),
            ("org.freedesktop.DBus.Error.UnknownMethod", 125, "version"),
            ("org.freedesktop.systemd1.NoSuchUnit", 125, "cannot be started"),
            ("org.example.Odd", 125, "org.example.Odd"),
        ] {
            let error = CallError::from(named(name, "why".to_owned(), retry));
            assert_eq!(error.exit_code(), exit_code, "{name}");
            assert!(error.message().contains(words), "{name}: {error}");
        }
        let limited = named("org.aictl1.Error.LimitExceeded", "why".to_owned(), retry);
        let limited = CallError::from(limited);
        assert_eq!(limited.retry_after(), retry);
    }
}
