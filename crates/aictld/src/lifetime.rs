//! The helper's life: start, calls, reload, and an end that loses no call.
//!
//! The end is announced first, so that systemd starts a new helper for what comes after it; then
//! the name is released, and what the bus had sent before that is still answered.

use std::{
    fmt,
    future::pending,
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use aictl_api::{authorisation::BUS_NAME, service::Catalogue};
use aictl_core::{
    journal::read::JournalReader,
    systemd::{Bus, Systemd},
};
use sd_notify::NotifyState;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinHandle,
    time::{self, Instant, MissedTickBehavior},
};
use zbus::{Connection, MatchRule, Message, MessageStream, fdo::RequestNameFlags, message::Type};

use crate::{
    audit,
    caller::Seat,
    dispatch::{self, Line, News},
    events::{Event, Why},
    gpus::Gpus,
    helper::{Helper, Parts},
    journal::Journal,
    logs::{Followers, STALL},
    peer::Peers,
    place::PlaceOf,
    policy::{Load, Policies},
    polkit::{self, Patience},
    runs,
};

/// The bus itself: its name, and its interface.
const BUS: &str = "org.freedesktop.DBus";
/// How long what is going on may take after the end was announced.
const END_TIME: Duration = Duration::from_secs(8);
/// How long calls may take that were told to end.
const LAST_TIME: Duration = Duration::from_secs(2);
/// How long a listening socket that has no descriptor to give is left alone.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the helper is started with.
#[derive(Debug)]
pub struct Settings {
    /// The bus to serve on.
    pub bus: Bus,
    /// The policy in force.
    pub policies: Policies,
    /// Where records go.
    pub journal: Journal,
    /// How long polkit may take.
    pub patience: Patience,
    /// How it is known where a process stands.
    pub place_of: PlaceOf,
    /// How logs are read.
    pub followers: Followers,
    /// How GPUs are looked at.
    pub gpus: Arc<Gpus>,
    /// Where the keeper of the sandboxes listens.
    pub sandboxd: PathBuf,
    /// Our own socket, if it was passed.
    pub listener: Option<UnixListener>,
}

impl Settings {
    /// As on a machine where everything is installed.
    #[must_use]
    pub fn system(load: Load, listener: Option<UnixListener>) -> Self {
        Self {
            bus: Bus::System,
            policies: Policies::start(load),
            journal: Journal::system(),
            patience: Patience::default(),
            place_of: PlaceOf::kernel(),
            followers: Followers::new(JournalReader::default(), STALL),
            gpus: Arc::new(Gpus::system()),
            sandboxd: PathBuf::from(runs::SOCKET),
            listener,
        }
    }
}

/// What the helper is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Read the configuration again.
    Reload,
    /// End.
    End,
}

/// Why the helper ends other than it should.
#[derive(Debug)]
#[non_exhaustive]
pub enum LifeError {
    /// The machine gives no random numbers.
    Random(io::Error),
    /// Another has the name, or the bus does not let us have it.
    Name(zbus::Error),
    /// The bus has gone.
    BusLost,
}

impl fmt::Display for LifeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(error) => write!(f, "no random numbers: {error}"),
            Self::Name(zbus::Error::NameTaken) => {
                write!(f, "the name {BUS_NAME} is taken: is another aictld running?")
            }
            Self::Name(error) => write!(f, "the name {BUS_NAME} cannot be had: {error}"),
            Self::BusLost => f.write_str("the connection to the system bus has ended"),
        }
    }
}

impl std::error::Error for LifeError {}

/// A helper that has been started.
#[derive(Debug)]
pub struct Life {
    helper: Arc<Helper>,
    /// The connection to the bus, and what comes over it.
    bus: Option<(Line, MessageStream)>,
    listener: Option<UnixListener>,
    peers: Peers,
}

impl Life {
    /// Connects to what there is.
    ///
    /// # Errors
    /// If the machine gives no random numbers. A bus that cannot be reached is no error: then
    /// every call is refused.
    pub async fn start(settings: Settings) -> Result<Self, LifeError> {
        let Settings {
            bus,
            policies,
            journal,
            patience,
            place_of,
            followers,
            gpus,
            sandboxd,
            listener,
        } = settings;
        let unrecorded = Arc::new(AtomicU64::new(0));
        let (connection, no_bus) = match connect(&bus, Arc::clone(&unrecorded)).await {
            Ok(connection) => (Some(connection), None),
            Err(reason) => (None, Some(reason)),
        };
        let (systemd, no_systemd) = match &connection {
            Some(_) => match in_time(crate::bus::connect_plainly(&bus)).await {
                Ok(connection) => (Some(Systemd::on(connection)), None),
                Err(reason) => (None, Some(reason)),
            },
            None => (None, None),
        };
        let parts = Parts {
            bus: connection.clone(),
            systemd,
            policies,
            journal,
            patience,
            place_of,
            followers,
            gpus,
            sandboxd,
            unrecorded,
        };
        let helper = Arc::new(Helper::new(parts).map_err(LifeError::Random)?);
        // From here on every message is taken: no call can come before the name is ours.
        let bus = connection
            .map(|connection| (Line::bus(connection.clone()), MessageStream::from(connection)));
        let helper_started = audit::started(env!("CARGO_PKG_VERSION"));
        let config =
            audit::config(helper.policies.problem().as_deref(), helper.policies.generation());
        for record in [helper_started, config] {
            // Without the journal, calls are refused one by one.
            let _lost = helper.journal.try_write(&record);
        }
        if let Some(reason) = &no_bus {
            helper.log(&Event::NoBus(reason));
        }
        if let Some(reason) = &no_systemd {
            helper.log(&Event::NoSystemd(reason));
        }
        Ok(Self { helper, bus, listener, peers: Peers::default() })
    }

    /// What all calls share.
    #[must_use]
    pub fn helper(&self) -> &Arc<Helper> {
        &self.helper
    }

    /// Lives until it is idle or told to end.
    ///
    /// # Errors
    /// If the name cannot be had, or the bus goes.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Result<(), LifeError> {
        let mut naming = Some(self.request_name());
        let changes = tokio::spawn(tell_changes(Arc::clone(&self.helper)));
        let mut watchdog = watchdog();
        let mut floods = time::interval(audit::FLOOD_INTERVAL);
        floods.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            let timeout = self.helper.policies.now().helper.idle_timeout;
            let idle = self.helper.activity.deadline(timeout).map(Instant::from_std);
            tokio::select! {
                message = next(&mut self.bus) => match message {
                    Some(message) => self.take(message),
                    None => break Err(LifeError::BusLost),
                },
                named = join(&mut naming) => match named {
                    Ok(()) => {
                        naming = None;
                        notify(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
                    }
                    Err(error) => break Err(LifeError::Name(error)),
                },
                stream = accept(self.listener.as_ref()) => {
                    self.peers.accept(&self.helper, stream);
                }
                order = orders.recv() => match order {
                    Some(Order::Reload) => self.reload(),
                    Some(Order::End) | None => break Ok(Why::Told),
                },
                () = until(idle), if naming.is_none() => break Ok(Why::Idle),
                () = self.helper.activity.changed() => {}
                () = tick(&mut watchdog) => notify(&[NotifyState::Watchdog]),
                _ = floods.tick(), if self.helper.has_floods() => {
                    self.helper.record_floods();
                }
            }
            // However many messages come, others have their turn.
            tokio::task::consume_budget().await;
        };
        changes.abort();
        let ended = ended.map(|why| self.helper.log(&Event::Ends(why)));
        notify(&[NotifyState::Stopping]);
        self.end().await;
        ended
    }

    /// Asks for the name in a task of its own: its answer comes behind messages that must be
    /// taken meanwhile.
    fn request_name(&self) -> JoinHandle<zbus::Result<()>> {
        let bus = self.helper.bus.clone();
        tokio::spawn(async move {
            match bus {
                // Neither waits for the name nor ever gives it up to another.
                Some(bus) => {
                    let flags = RequestNameFlags::DO_NOT_QUEUE;
                    bus.request_name_with_flags(BUS_NAME, flags).await.map(drop)
                }
                None => Ok(()),
            }
        })
    }

    /// Takes a message of the bus.
    fn take(&self, message: Message) {
        let Some((line, _)) = &self.bus else { return };
        if message.message_type() == Type::MethodCall {
            let sender = message.header().sender().map(|sender| sender.to_owned().into());
            // The bus puts it there.
            let Some(sender) = sender else { return };
            let seat: Arc<Seat> = self.helper.callers.seat(&sender);
            line.receive(&self.helper, &seat, message);
            return;
        }
        match dispatch::news(&message) {
            Some(News::Left(name)) => self.helper.callers.left(&name),
            Some(News::PolkitOwner(owner)) => self.helper.polkit.owned_by(&owner),
            Some(News::PolkitChanged(sender)) => self.helper.polkit.changed(&sender),
            None => {}
        }
    }

    fn reload(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(_) => notify(&[NotifyState::Reloading]),
        }
        let reloaded = self.helper.policies.reload();
        let generation = self.helper.policies.generation();
        let record = audit::config(reloaded.as_ref().err().map(String::as_str), generation);
        let _lost = self.helper.journal.try_write(&record);
        notify(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
    }

    /// One line for `systemctl status`.
    fn status(&self) -> String {
        let policies = &self.helper.policies;
        let catalogue: &Catalogue = &policies.now().catalogue;
        let status = match (policies.problem(), self.helper.bus.is_some()) {
            (_, false) => "no system bus: every call is refused".to_owned(),
            (None, _) => format!("{} services", catalogue.len()),
            (Some(problem), _) => format!("{} services; {problem}", catalogue.len()),
        };
        // A line is a line in systemd's protocol too.
        status.replace(char::is_control, " ")
    }

    /// Ends, after what has been asked is answered, or the time for it is up.
    async fn end(&mut self) {
        self.listener = None;
        self.helper.drain();
        let helper = Arc::clone(&self.helper);
        let release = tokio::spawn(async move { helper.release_name().await });
        let _late = time::timeout(END_TIME, self.drain(release)).await;
        self.helper.stop();
        let idle = self.helper.activity.clone();
        let _late = time::timeout(LAST_TIME, self.taking(idle.idle())).await;
        let _late = time::timeout(LAST_TIME, self.helper.record_rest(audit::stopped())).await;
    }

    /// Answers what the bus sent before the name was released, and waits for what is going on.
    async fn drain(&mut self, release: JoinHandle<()>) {
        self.taking(async {
            let _released = release.await;
        })
        .await;
        // What was sent before the answer to the release is in the stream by now.
        while let Some(message) =
            time::timeout(Duration::ZERO, next(&mut self.bus)).await.ok().flatten()
        {
            self.take(message);
        }
        let activity = self.helper.activity.clone();
        self.taking(activity.idle()).await;
    }

    /// Waits for something, and takes messages meanwhile.
    async fn taking(&mut self, wait: impl Future<Output = ()>) {
        let mut wait = std::pin::pin!(wait);
        loop {
            tokio::select! {
                biased;
                () = &mut wait => return,
                message = next(&mut self.bus) => match message {
                    Some(message) => self.take(message),
                    None => return wait.await,
                },
            }
        }
    }
}

/// The connection to the bus, with its word of who leaves, and polkit's of what changes; the reason
/// if there is none.
async fn connect(bus: &Bus, unrecorded: Arc<AtomicU64>) -> Result<Connection, String> {
    let connect = async {
        let connection = crate::bus::connect(bus, unrecorded).await?;
        let owners = || {
            let rule = MatchRule::builder().msg_type(Type::Signal).sender(BUS).interface(BUS);
            rule.member("NameOwnerChanged")
        };
        let changes = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(polkit::NAME)
            .interface(polkit::INTERFACE)
            .member(polkit::CHANGED);
        for rule in [owners().arg(2, ""), owners().arg(0, polkit::NAME), changes] {
            let body = (rule.build()?.to_string(),);
            let path = "/org/freedesktop/DBus";
            connection.call_method(Some(BUS), path, Some(BUS), "AddMatch", &body).await?;
        }
        zbus::Result::Ok(connection)
    };
    in_time(connect).await
}

/// What comes of connecting, and the reason if nothing does.
async fn in_time<T>(connect: impl Future<Output = zbus::Result<T>>) -> Result<T, String> {
    match time::timeout(END_TIME, connect).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {END_TIME:?}")),
    }
}

/// The next message of the bus; where there is no bus there is never one.
async fn next(bus: &mut Option<(Line, MessageStream)>) -> Option<Message> {
    match bus {
        Some((_, stream)) => dispatch::next(stream).await,
        None => pending().await,
    }
}

/// The answer to the request for the name; never, once it has been given.
async fn join(naming: &mut Option<JoinHandle<zbus::Result<()>>>) -> zbus::Result<()> {
    match naming {
        Some(naming) => naming.await.unwrap_or(Err(zbus::Error::InvalidReply)),
        None => pending().await,
    }
}

/// The next connection of our own socket.
async fn accept(listener: Option<&UnixListener>) -> UnixStream {
    let Some(listener) = listener else { return pending().await };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // It went again before it was taken, or there is no descriptor for it.
            Err(_) => time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Half of the time in which systemd wants to hear from us, again and again (sd_watchdog_enabled(3)).
fn watchdog() -> Option<time::Interval> {
    let every = sd_notify::watchdog_enabled()? / 2;
    let mut interval = time::interval(every.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(interval)
}

async fn tick(interval: &mut Option<time::Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => pending().await,
    }
}

/// Tells systemd; without a systemd nobody listens.
fn notify(states: &[NotifyState<'_>]) {
    let _unheard = sd_notify::notify(states);
}

/// Tells of changes of services, as long as systemd tells us.
async fn tell_changes(helper: Arc<Helper>) {
    let Some(systemd) = &helper.systemd else { return };
    let Ok(mut changes) = systemd.changes().await else { return };
    while let Ok(unit) = changes.next().await {
        let policy = helper.policies.now();
        if let Some(service) = policy.catalogue.by_unit(&unit) {
            helper.tell_changed(service).await;
        }
    }
}
