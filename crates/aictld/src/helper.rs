//! The helper: what all calls share.

use std::{
    path::PathBuf,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use aictl_api::{
    authorisation::{BUS_NAME, Interface, OBJECT_PATH, RateClass},
    record::HealthRecord,
    service::Service,
};
use aictl_core::{journal::send::JournalError, systemd::Systemd};
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use zbus::{Connection, Message};

use crate::{
    activity::Activity,
    audit::{self, Due, Floods, Record},
    caller::{Caller, Callers},
    events::Event,
    gpus::Gpus,
    journal::Journal,
    limits::{Limits, Over},
    logs::Followers,
    place::{PlaceOf, Units},
    policy::{Policies, Policy},
    polkit::{Patience, Polkit},
    request_id::RequestIds,
    runs::{Runs, Trial},
};

/// The most calls that are looked at at one time, before anybody knows whose they are.
const MAX_TASKS: usize = 4096;

/// The most calls with descriptors or long arguments that are looked at at one time.
const MAX_HEAVY: usize = 512;

/// What all calls share.
#[derive(Debug)]
pub struct Helper {
    /// The system bus; `None` if it cannot be reached, and then every call is refused.
    pub bus: Option<Connection>,
    /// systemd, on a connection of its own: its signals are many.
    pub systemd: Option<Systemd>,
    /// What is allowed.
    pub policies: Policies,
    /// Where records go.
    pub journal: Journal,
    /// The way to polkit.
    pub polkit: Polkit,
    /// How it is known where a process stands.
    pub place_of: PlaceOf,
    /// The units that callers run in.
    pub units: Units,
    /// Who calls on the bus.
    pub callers: Callers,
    /// What is going on.
    pub activity: Activity,
    /// Logs that are being read.
    pub followers: Followers,
    /// GPUs that are looked at.
    pub gpus: Arc<Gpus>,
    /// Runs of scripts.
    pub runs: Runs,
    /// Whether scripts can be run.
    trial: Arc<Trial>,
    /// Room for calls.
    pub room: Arc<Semaphore>,
    /// Room for calls with descriptors or long arguments.
    pub heavy: Arc<Semaphore>,
    /// Identifiers for calls.
    pub ids: RequestIds,
    /// Calls that were refused before it was known whose they are, and are not recorded yet.
    pub unrecorded: Arc<AtomicU64>,
    limits: Mutex<Limits>,
    floods: Mutex<Floods>,
    started: Instant,
    stage: watch::Sender<Stage>,
}

/// Where the helper is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It waits for calls.
    Running,
    /// It does what it has been asked, and lets nothing stay open.
    Draining,
    /// It ends, whatever is going on.
    Ending,
}

/// What a helper is made of.
#[derive(Debug)]
pub struct Parts {
    /// The system bus, if it can be reached.
    pub bus: Option<Connection>,
    /// systemd, if it can be reached.
    pub systemd: Option<Systemd>,
    /// What is allowed.
    pub policies: Policies,
    /// Where records go.
    pub journal: Journal,
    /// How long polkit may take.
    pub patience: Patience,
    /// How it is known where a process stands.
    pub place_of: PlaceOf,
    /// Who reads logs.
    pub followers: Followers,
    /// How GPUs are looked at.
    pub gpus: Arc<Gpus>,
    /// Where the keeper of the sandboxes listens.
    pub sandboxd: PathBuf,
    /// Calls that nobody will ever know whose they are.
    pub unrecorded: Arc<AtomicU64>,
}

/// A call that was let in, until this is dropped.
#[derive(Debug)]
pub struct Flight<'a> {
    helper: &'a Helper,
    uid: u32,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        lock(&self.helper.limits).done(self.uid);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A count is whole whatever its last user did.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Helper {
    /// Puts it together.
    ///
    /// # Errors
    /// If the kernel gives no random bytes.
    pub fn new(parts: Parts) -> std::io::Result<Self> {
        let Parts {
            bus,
            systemd,
            policies,
            journal,
            patience,
            place_of,
            followers,
            gpus,
            sandboxd,
            unrecorded,
        } = parts;
        Ok(Self {
            bus,
            systemd,
            policies,
            journal,
            polkit: Polkit::new(patience),
            place_of,
            units: Units::default(),
            callers: Callers::default(),
            activity: Activity::default(),
            followers,
            gpus,
            runs: Runs::new(&sandboxd),
            trial: Arc::new(Trial::new(&sandboxd)),
            room: Arc::new(Semaphore::new(MAX_TASKS)),
            heavy: Arc::new(Semaphore::new(MAX_HEAVY)),
            ids: RequestIds::open()?,
            unrecorded,
            limits: Mutex::default(),
            floods: Mutex::default(),
            started: Instant::now(),
            stage: watch::Sender::new(Stage::Running),
        })
    }

    /// Lets a call in.
    ///
    /// # Errors
    /// If it is over a limit.
    pub fn admit(&self, uid: u32, class: RateClass, policy: &Policy) -> Result<Flight<'_>, Over> {
        lock(&self.limits).admit(uid, class, policy.allowance(class), Instant::now())?;
        Ok(Flight { helper: self, uid })
    }

    /// The unit that a caller's process runs in, for the record only; empty if it is not known.
    pub async fn unit_of<'a>(&self, caller: &'a Caller) -> &'a str {
        caller.unit(self.systemd.as_ref(), &self.units).await
    }

    /// Tells of something, if the configuration wants to hear of it.
    pub fn log(&self, event: &Event<'_>) {
        if let Some(line) = event.entry(self.policies.now().log, Timestamp::now()) {
            // Nobody relies on it.
            let _lost = self.journal.try_log(line);
        }
    }

    /// Writes the record of a call over a limit, or sums it up with others.
    ///
    /// # Errors
    /// If the journal does not take the record.
    pub fn record_limited(&self, uid: u32, record: Record) -> Result<(), JournalError> {
        let due = lock(&self.floods).note(uid, 1, record, Instant::now());
        due.map_or(Ok(()), |due| self.record_flood(due))
    }

    fn record_flood(&self, due: Due) -> Result<(), JournalError> {
        let written = self.journal.try_write(&due.record());
        if written.is_err() {
            let unknown = lock(&self.floods).tell_later(due);
            self.unrecorded.fetch_add(unknown, SeqCst);
        }
        written
    }

    /// Writes what is left to tell of calls over a limit whose time has come.
    pub fn record_floods(&self) {
        let due = lock(&self.floods).due(Instant::now());
        for due in due {
            // They were refused already.
            let _later = self.record_flood(due);
        }
        if let Some((record, calls)) = self.unknown()
            && self.journal.try_write(&record).is_err()
        {
            self.unrecorded.fetch_add(calls, SeqCst);
        }
    }

    /// Writes all that is left to tell of calls over a limit, and a last record; where the journal is
    /// busy, waits a little.
    pub async fn record_rest(&self, last: Record) {
        let rest = lock(&self.floods).rest();
        let unknown = self.unknown().map(|(record, _)| record);
        let mut left: Vec<_> = rest.iter().map(Due::record).chain(unknown).chain([last]).collect();
        // None waits for another.
        left.retain(|record| self.journal.try_write(record).is_err());
        for record in left {
            // They were refused already.
            let _lost = self.journal.write(&record).await;
        }
    }

    /// The record of calls of which nobody knows whose they were, and how many they are.
    fn unknown(&self) -> Option<(Record, u64)> {
        match self.unrecorded.swap(0, SeqCst) {
            0 => None,
            calls => self.ids.next().ok().map(|id| (audit::unknown(id, calls), calls)),
        }
    }

    /// Whether records of calls over a limit are still to be written.
    #[must_use]
    pub fn has_floods(&self) -> bool {
        !lock(&self.floods).is_empty() || self.unrecorded.load(SeqCst) > 0
    }

    /// Ends what would stay open without an end: logs that are followed, connections.
    pub fn drain(&self) {
        self.stage.send_if_modified(|stage| {
            let earlier = *stage < Stage::Draining;
            *stage = Stage::Draining.max(*stage);
            earlier
        });
    }

    /// Ends every call.
    pub fn stop(&self) {
        self.stage.send_replace(Stage::Ending);
    }

    /// Whether nothing new may begin that would stay open.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.stage.borrow() >= Stage::Draining
    }

    /// Waits until nothing may stay open.
    pub async fn draining(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits until every call must end.
    pub async fn stopping(&self) {
        self.reached(Stage::Ending).await;
    }

    async fn reached(&self, least: Stage) {
        let mut stage = self.stage.subscribe();
        // The sender is our own: it is not dropped before us.
        let _reached = stage.wait_for(|stage| *stage >= least).await;
    }

    /// How the helper is.
    pub async fn health(&self) -> HealthRecord {
        let polkit = async {
            match &self.bus {
                Some(bus) => self.polkit.is_there(bus).await,
                None => false,
            }
        };
        let systemd = async {
            match &self.systemd {
                Some(systemd) => systemd.ping().await.is_ok(),
                None => false,
            }
        };
        let (polkit, systemd, sandbox) = tokio::join!(polkit, systemd, self.trial.outcome());
        let config = aictl_core::redact::redact(&self.policies.words()).into_owned();
        HealthRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            uptime_usec: micros(self.started.elapsed()),
            config,
            config_generation: self.policies.generation(),
            journal: self.journal.is_there(),
            polkit,
            systemd,
            sandbox,
            calls_in_flight: u32::try_from(lock(&self.limits).calls()).unwrap_or(u32::MAX),
        }
    }

    /// Tells all who listen that a service has changed.
    pub async fn tell_changed(&self, service: &Service) {
        let Some(bus) = &self.bus else { return };
        if let Ok(signal) = changed(service) {
            // Who listens is not known, and nobody is owed it.
            let _lost = bus.send(&signal).await;
        }
    }

    /// Tells all who listen that a run has begun or ended.
    pub async fn tell_of_run(&self, member: &str, run: &str) {
        let Some(bus) = &self.bus else { return };
        let signal = Message::signal(OBJECT_PATH, Interface::Sandbox.name(), member).build(&(run,));
        if let Ok(signal) = signal {
            // Who listens is not known, and nobody is owed it.
            let _lost = bus.send(&signal).await;
        }
    }

    /// Releases the helper's name.
    pub async fn release_name(&self) {
        if let Some(bus) = &self.bus {
            // The connection's end releases it too.
            let _lost = bus.release_name(BUS_NAME).await;
        }
    }
}

fn changed(service: &Service) -> zbus::Result<Message> {
    Message::signal(OBJECT_PATH, Interface::Services.name(), "Changed")
        .build(&(service.name.as_ref(),))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
