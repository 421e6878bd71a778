//! systemd over the message bus: the state of units, and jobs on them with their end.
//!
//! A unit is always named by a [`UnitName`] and must be known to systemd by that very name: of a
//! unit behind another name there is neither a state nor a job here.

mod changes;
mod error;
mod facts;
mod job;
mod many;
mod path;
mod recent;
mod state;
mod unit_files;
mod watch;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aictl_api::service::UnitName;
use serde::Serialize;
use tokio::{sync::Semaphore, time};
use zbus::{
    Connection, DynamicType, OwnedObjectPath, OwnedVariant, Proxy,
    connection::Builder,
    proxy::{CacheProperties, MethodFlags},
    wire::DynamicDeserialize,
};

pub use changes::Changes;
pub use error::SystemdError;
pub use facts::UnitFacts;
pub use job::{JobOutcome, JobVerb};
pub use state::UnitState;
pub use unit_files::UnitFileVerb;

use recent::Recent;
use state::{Properties, SERVICE_PROPERTIES};

/// systemd's name on the bus.
const NAME: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// The load state of a unit that there is not.
const NOT_FOUND: &str = "not-found";
/// The bus itself, and its name.
const BUS: &str = "org.freedesktop.DBus";

/// How long an answer of systemd's may take, which gives it at once unless it is stuck.
const CALL_TIME: Duration = Duration::from_secs(10);
/// How long an answer may take that polkit is asked about, or for which all unit files are read.
const CHANGE_TIME: Duration = Duration::from_secs(25);
/// How long an answer may take while the user is asked for a password.
const PROMPT_TIME: Duration = Duration::from_secs(120);

/// The most questions to systemd that wait for their answers at one time. The bus refuses more than
/// 128 of one connection (dbus-daemon(1), `max_replies_per_connection`), and over the same one the
/// helper asks polkit, which can take much longer. systemd answers one after the other anyway.
const MAX_QUESTIONS: usize = 20;

/// A message bus with a systemd on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bus {
    /// The system's: `DBUS_SYSTEM_BUS_ADDRESS`, or the usual place.
    System,
    /// The user's own: `DBUS_SESSION_BUS_ADDRESS`, or the usual place.
    User,
    /// The one at this address.
    At(String),
}

/// A connection to systemd, the system's or a user's. A clone shares the connection.
#[derive(Debug, Clone)]
pub struct Systemd {
    connection: Connection,
    /// Whether polkit may ask the user.
    interactive: bool,
    /// A turn for each question that may be asked now.
    turns: Arc<Semaphore>,
    /// What systemd said a moment ago.
    recent: Arc<Recent>,
}

impl Systemd {
    /// Connects to the bus.
    ///
    /// # Errors
    /// [`SystemdError::NoBus`] if it cannot be reached in time. Whether systemd is on it shows
    /// with the first call.
    pub async fn connect(bus: Bus) -> Result<Self, SystemdError> {
        let builder = match bus {
            Bus::System => Builder::system(),
            Bus::User => Builder::session(),
            Bus::At(address) => Builder::address(address.as_str()),
        };
        let connection = in_time(CALL_TIME, builder.build()).await?;
        Ok(Self::on(connection))
    }

    /// Uses a connection to a bus that there is already.
    #[must_use]
    pub fn on(connection: Connection) -> Self {
        let turns = Arc::new(Semaphore::new(MAX_QUESTIONS));
        Self { connection, interactive: false, turns, recent: Arc::default() }
    }

    /// Whether polkit may ask the user for a password on behalf of jobs and changes to unit files;
    /// at first it may not.
    #[must_use]
    pub fn interactive(self, interactive: bool) -> Self {
        Self { interactive, ..self }
    }

    /// The connection to the bus.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether systemd is on the bus.
    ///
    /// # Errors
    /// [`SystemdError::Unavailable`] if it is not; else if the bus does not answer.
    pub async fn ping(&self) -> Result<(), SystemdError> {
        self.owner().await.map(drop)
    }

    /// The state of a unit. A unit that runs no more is loaded for it.
    ///
    /// # Errors
    /// [`SystemdError::NotFound`] if there is no such unit, [`SystemdError::Alias`] if the unit
    /// has another name; else if systemd cannot be asked.
    pub async fn unit_state(&self, unit: &UnitName) -> Result<UnitState, SystemdError> {
        let ticket = self.recent.ask(unit, Instant::now());
        let said = self.read_state(unit).await;
        if let Some(ticket) = ticket {
            self.recent.answer(unit, &ticket, &said);
        }
        said
    }

    /// The state of a unit as it was a moment ago, where [`Changes`] watches and has seen no change
    /// since; else as [`Self::unit_state`]. To look, not to act by.
    ///
    /// # Errors
    /// As there.
    pub async fn recent_state(&self, unit: &UnitName) -> Result<UnitState, SystemdError> {
        match self.recent.get(unit, Instant::now()) {
            Some(said) => said,
            None => self.unit_state(unit).await,
        }
    }

    async fn read_state(&self, unit: &UnitName) -> Result<UnitState, SystemdError> {
        let path: OwnedObjectPath = self.manager("LoadUnit", &(unit.as_ref(),)).await?;
        self.state_at(path.as_str(), unit).await.map(|(state, _rest)| state)
    }

    /// The state of the unit at this path, which must be that of `unit`, and what else systemd
    /// says of it as a unit.
    async fn state_at(
        &self,
        path: &str,
        unit: &UnitName,
    ) -> Result<(UnitState, Properties), SystemdError> {
        let [main_pid, restarts, result] = SERVICE_PROPERTIES;
        let all = async {
            tokio::try_join!(
                self.plain::<_, Properties>(path, PROPERTIES, "GetAll", &(UNIT,)),
                self.service_property(path, main_pid),
                self.service_property(path, restarts),
                self.service_property(path, result),
            )
        };
        let (mut unit_properties, main_pid, restarts, result) = match all.await {
            // systemd forgets a unit that nothing refers to, even between two calls.
            Err(SystemdError::Failed { name, .. }) if name.ends_with(".UnknownObject") => {
                return Err(SystemdError::NotFound);
            }
            other => other?,
        };
        let (id, state) = UnitState::take(&mut unit_properties, [main_pid, restarts, result])?;
        if state.load_state == NOT_FOUND {
            Err(SystemdError::NotFound)
        } else if id != unit.as_ref() {
            Err(SystemdError::Alias { id })
        } else {
            Ok((state, unit_properties))
        }
    }

    async fn service_property(&self, path: &str, name: &str) -> Result<OwnedVariant, SystemdError> {
        self.plain(path, PROPERTIES, "Get", &(SERVICE, name)).await
    }

    /// The name of the unit that a process belongs to; `None` if it belongs to none, or is gone.
    ///
    /// # Errors
    /// If systemd cannot be asked.
    pub async fn unit_of_pid(&self, pid: u32) -> Result<Option<String>, SystemdError> {
        match self.manager::<_, OwnedObjectPath>("GetUnitByPID", &(pid,)).await {
            Ok(path) => path::unit_name(path.as_str())
                .map(Some)
                .ok_or_else(|| SystemdError::BadReply("the path of a unit".to_owned())),
            Err(SystemdError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who is systemd: the unique name of its connection.
    async fn owner(&self) -> Result<String, SystemdError> {
        let call = self.connection.call_method(
            Some(BUS),
            "/org/freedesktop/DBus",
            Some(BUS),
            "GetNameOwner",
            &(NAME,),
        );
        Ok(in_time(CALL_TIME, call).await?.body().deserialize()?)
    }

    /// Has systemd send its signals; asked for a second time, it goes on doing so.
    async fn subscribe(&self) -> Result<(), SystemdError> {
        match self.manager("Subscribe", &()).await {
            Err(SystemdError::Failed { name, .. }) if name.ends_with(".AlreadySubscribed") => {
                Ok(())
            }
            other => other,
        }
    }

    async fn manager<B, R>(&self, member: &str, body: &B) -> Result<R, SystemdError>
    where
        B: Serialize + DynamicType + Sync,
        R: for<'d> DynamicDeserialize<'d>,
    {
        self.plain(MANAGER_PATH, MANAGER, member, body).await
    }

    async fn plain<B, R>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Result<R, SystemdError>
    where
        B: Serialize + DynamicType + Sync,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let flags = MethodFlags::empty();
        // Waiting for a turn is not systemd's doing. Nobody closes the semaphore.
        let _turn = self.turns.acquire().await;
        in_time(CALL_TIME, self.call(path, interface, member, flags, body)).await
    }

    /// As [`Self::manager`], for a call that systemd asks polkit about.
    async fn authorised<B, R>(&self, member: &str, body: &B) -> Result<R, SystemdError>
    where
        B: Serialize + DynamicType + Sync,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let (time, flags) = match self.interactive {
            true => (PROMPT_TIME, MethodFlags::ALLOW_INTERACTIVE_AUTH),
            false => (CHANGE_TIME, MethodFlags::empty()),
        };
        in_time(time, self.call(MANAGER_PATH, MANAGER, member, flags, body)).await
    }

    async fn call<B, R>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        flags: MethodFlags,
        body: &B,
    ) -> zbus::Result<R>
    where
        B: Serialize + DynamicType + Sync,
        R: for<'d> DynamicDeserialize<'d>,
    {
        let proxy: Proxy<'_> = zbus::proxy::Builder::new(&self.connection)
            .destination(NAME)
            .path(path)
            .interface(interface)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        // systemd is there or not: the bus cannot start it.
        let flags = flags | MethodFlags::NO_AUTO_START;
        proxy.call_with_flags(member, flags, body).await?.ok_or(zbus::Error::InvalidReply)
    }
}

/// The end of `work`, or that it took too long.
async fn in_time<T>(
    time: Duration,
    work: impl Future<Output = zbus::Result<T>>,
) -> Result<T, SystemdError> {
    match time::timeout(time, work).await {
        Ok(result) => result.map_err(SystemdError::from),
        Err(_elapsed) => Err(SystemdError::TimedOut(time)),
    }
}
