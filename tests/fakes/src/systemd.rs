//! A systemd that does what a test tells it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_core::Stream;
use tokio::{sync::Notify, task::JoinHandle};
use zbus::{
    Connection, Message, MessageStream, OwnedObjectPath, OwnedVariant, Str, Variant,
    connection::Builder,
    message::{Flags, Header, Type},
};

use crate::PrivateBus;

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const ONE_SHOT: &str = "aictl-unit-file@";

/// A unit in the answer of `ListUnitsByNames`.
type Row =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// What becomes of a job on a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It succeeds at once, after the answer that names the job.
    Done,
    /// It succeeds at once, and its end is told before the answer.
    DoneBeforeAnswer,
    /// It succeeds at once and its end is told before the answer, after those of 500 other jobs on
    /// the unit; so many are told whenever the unit is asked for, too.
    DoneAfterOthers,
    /// It fails at once.
    Fail,
    /// It waits for [`FakeSystemd::end_job`].
    Wait,
    /// It is queued and waits, but the call is not answered.
    NoAnswer,
    /// The call is neither answered nor done.
    Ignore,
    /// The caller is not authorised.
    Deny,
    /// polkit would ask, and does not where the call does not allow it; where it does, it succeeds.
    Challenge,
}

/// A unit of a [`FakeSystemd`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are systemd's properties of these names")]
pub struct FakeUnit {
    pub name: String,
    pub load_state: String,
    pub active_state: String,
    pub sub_state: String,
    pub unit_file_state: String,
    pub main_pid: u32,
    pub restarts: u32,
    pub result: String,
    pub since_usec: u64,
    pub changed_usec: u64,
    pub can_reload: bool,
    pub control_group: String,
    pub exec_main_code: i32,
    pub exec_main_status: i32,
    pub oom_policy: String,
    pub need_daemon_reload: bool,
    /// Whether it is listed, and gone when its properties are asked for.
    pub vanishes: bool,
    /// How often it ran, as the last byte of `InvocationID`.
    pub runs: u8,
    /// What becomes of jobs on it.
    pub act: Act,
    /// The name of the unit that this is only another name of.
    pub alias_of: Option<String>,
    /// Whether `ActiveState` is a number, which it never is.
    pub is_odd: bool,
    /// The job that waits.
    pub job: Option<u32>,
    /// The method that it came by.
    pub job_member: String,
}

impl FakeUnit {
    /// A unit that runs, and whose jobs succeed.
    #[must_use]
    pub fn running(name: &str) -> Self {
        Self {
            active_state: "active".to_owned(),
            sub_state: "running".to_owned(),
            main_pid: 4242,
            since_usec: 1_700_000_000_000_000,
            changed_usec: 1_700_000_000_000_000,
            control_group: format!("/system.slice/{name}"),
            runs: 1,
            ..Self::stopped(name)
        }
    }

    /// A unit that does not run, and whose jobs succeed.
    #[must_use]
    pub fn stopped(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            load_state: "loaded".to_owned(),
            active_state: "inactive".to_owned(),
            sub_state: "dead".to_owned(),
            unit_file_state: "disabled".to_owned(),
            main_pid: 0,
            restarts: 0,
            result: "success".to_owned(),
            since_usec: 0,
            changed_usec: 0,
            can_reload: true,
            control_group: String::new(),
            exec_main_code: 0,
            exec_main_status: 0,
            oom_policy: "stop".to_owned(),
            need_daemon_reload: false,
            vanishes: false,
            runs: 0,
            act: Act::Done,
            alias_of: None,
            is_odd: false,
            job: None,
            job_member: String::new(),
        }
    }

    /// Another name of the unit `of`.
    #[must_use]
    pub fn alias(name: &str, of: &str) -> Self {
        Self { alias_of: Some(of.to_owned()), ..Self::stopped(name) }
    }

    /// The unit with jobs that come out like this.
    #[must_use]
    pub fn act(self, act: Act) -> Self {
        Self { act, ..self }
    }

    /// As `ListUnitsByNames` tells it.
    fn row(&self) -> Row {
        let job =
            self.job.map_or_else(|| OwnedObjectPath::try_from("/").expect("a path"), job_path);
        (
            self.name.clone(),
            String::new(),
            self.load_state.clone(),
            self.active_state.clone(),
            self.sub_state.clone(),
            String::new(),
            unit_path(&self.name),
            self.job.unwrap_or_default(),
            String::new(),
            job,
        )
    }

    fn unit_properties(&self) -> HashMap<&'static str, OwnedVariant> {
        let job = self.job.unwrap_or_default();
        let job_path = match self.job {
            Some(id) => job_path(id),
            None => OwnedObjectPath::try_from("/").expect("a path"),
        };
        let mut invocation = vec![0_u8; 15];
        invocation.push(self.runs);
        if self.runs == 0 {
            invocation.clear();
        }
        let active_state = match self.is_odd {
            true => OwnedVariant::from(7_u32),
            false => text(&self.active_state),
        };
        HashMap::from([
            ("Id", text(&self.name)),
            ("LoadState", text(&self.load_state)),
            ("ActiveState", active_state),
            ("SubState", text(&self.sub_state)),
            ("UnitFileState", text(&self.unit_file_state)),
            ("ActiveEnterTimestamp", OwnedVariant::from(self.since_usec)),
            ("ActiveEnterTimestampMonotonic", OwnedVariant::from(self.since_usec % 1_000_000_007)),
            ("StateChangeTimestamp", OwnedVariant::from(self.changed_usec)),
            ("NeedDaemonReload", OwnedVariant::from(self.need_daemon_reload)),
            ("CanReload", OwnedVariant::from(self.can_reload)),
            ("InvocationID", owned(Variant::from(invocation))),
            ("Job", owned(Variant::from((job, job_path)))),
        ])
    }

    fn service_property(&self, name: &str) -> Option<OwnedVariant> {
        match name {
            "MainPID" => Some(OwnedVariant::from(self.main_pid)),
            "NRestarts" => Some(OwnedVariant::from(self.restarts)),
            "Result" => Some(text(&self.result)),
            "ControlGroup" => Some(text(&self.control_group)),
            "ExecMainCode" => Some(OwnedVariant::from(self.exec_main_code)),
            "ExecMainStatus" => Some(OwnedVariant::from(self.exec_main_status)),
            "OOMPolicy" => Some(text(&self.oom_policy)),
            _ => None,
        }
    }

    /// As after a job of this manager's method.
    fn after(&mut self, member: &str, result: &str) {
        self.job = None;
        self.changed_usec += 1;
        let (active, sub) = match (result, member) {
            ("done", "StopUnit") => ("inactive", "dead"),
            // Runs once and is done.
            ("done", _) if self.name.starts_with(ONE_SHOT) => ("inactive", "dead"),
            ("done", "ReloadUnit") => ("active", "running"),
            ("done", _) => {
                self.runs = self.runs.wrapping_add(1);
                self.main_pid += 1;
                ("active", "running")
            }
            ("failed", _) => {
                self.result = "exit-code".to_owned();
                ("failed", "failed")
            }
            _ => return,
        };
        self.active_state = active.to_owned();
        self.sub_state = sub.to_owned();
        if active != "active" {
            self.main_pid = 0;
        }
    }
}

fn text(value: &str) -> OwnedVariant {
    OwnedVariant::from(Str::from(value.to_owned()))
}

fn owned(value: Variant<'_>) -> OwnedVariant {
    OwnedVariant::try_from(value).expect("no descriptor in it")
}

fn job_path(id: u32) -> OwnedObjectPath {
    OwnedObjectPath::try_from(format!("{PATH}/job/{id}")).expect("a path")
}

fn unit_path(name: &str) -> OwnedObjectPath {
    let mut label = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => label.push(char::from(byte)),
            _ => write!(label, "_{byte:02x}").expect("a text"),
        }
    }
    OwnedObjectPath::try_from(format!("{PATH}/unit/{label}")).expect("a path")
}

#[derive(Debug, Default)]
struct State {
    units: BTreeMap<String, FakeUnit>,
    pids: HashMap<u32, String>,
    calls: Vec<String>,
    subscribers: BTreeSet<String>,
    callers: Vec<String>,
    listed: Vec<Vec<String>>,
    last_job: u32,
    silent: bool,
}

impl State {
    /// The unit's own name.
    fn resolve(&self, name: &str) -> String {
        match self.units.get(name).and_then(|unit| unit.alias_of.clone()) {
            Some(of) => of,
            None => name.to_owned(),
        }
    }

    fn at(&self, path: &str) -> Option<&FakeUnit> {
        let mut units = self.units.values();
        units.find(|unit| unit_path(&unit.name).as_str() == path && !unit.vanishes)
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told of each call.
    called: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the state")
    }
}

/// An `org.freedesktop.systemd1` with units that are only names, as long as it lives.
///
/// It answers what aictl asks of systemd; whatever else it is asked is an unknown method. The
/// one-shot `aictl-unit-file@enable:STEM.service` (and `disable:`) is there for each unit, and its
/// job changes that unit's `UnitFileState`. Signals are sent while somebody has subscribed.
#[derive(Debug)]
pub struct FakeSystemd {
    shared: Arc<Shared>,
    address: String,
    on_bus: Option<(Connection, JoinHandle<()>)>,
}

impl FakeSystemd {
    /// Puts a systemd with these units on the bus.
    pub async fn start(bus: &PrivateBus, units: impl IntoIterator<Item = FakeUnit>) -> Self {
        let units = units.into_iter().map(|unit| (unit.name.clone(), unit)).collect();
        let state = Mutex::new(State { units, ..State::default() });
        let shared = Arc::new(Shared { state, called: Notify::new() });
        let mut systemd = Self { shared, address: bus.address().to_owned(), on_bus: None };
        systemd.come_back().await;
        systemd
    }

    /// What it was asked to do, in order: the method, its texts, and `interactive` where the call
    /// allows that the user is asked. Calls that only look are left out.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.shared.state().calls.clone()
    }

    /// The unique names of those who asked it to do something, in the order of [`Self::calls`].
    #[must_use]
    pub fn callers(&self) -> Vec<String> {
        self.shared.state().callers.clone()
    }

    /// The names of the units that it was asked to list, one list for each such call.
    #[must_use]
    pub fn listed(&self) -> Vec<Vec<String>> {
        self.shared.state().listed.clone()
    }

    /// Waits until it was asked to do `count` things since its start.
    pub async fn called(&self, count: usize) {
        loop {
            let called = self.shared.called.notified();
            let mut called = std::pin::pin!(called);
            called.as_mut().enable();
            if self.shared.state().calls.len() >= count {
                return;
            }
            called.await;
        }
    }

    /// How a unit is.
    #[must_use]
    pub fn unit(&self, name: &str) -> FakeUnit {
        self.shared.state().units.get(name).expect("a unit of this systemd").clone()
    }

    /// Puts a unit in, or in another's place.
    pub fn set(&self, unit: FakeUnit) {
        self.shared.state().units.insert(unit.name.clone(), unit);
    }

    /// Has a process belong to a unit.
    pub fn set_pid(&self, pid: u32, unit: &str) {
        self.shared.state().pids.insert(pid, unit.to_owned());
    }

    /// Whether it answers nothing at all from now on.
    pub fn set_silent(&self, silent: bool) {
        self.shared.state().silent = silent;
    }

    /// Whether somebody has subscribed to its signals.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        !self.shared.state().subscribers.is_empty()
    }

    /// Ends the job that waits on a unit: `done`, `failed`, `canceled`, `timeout`, …
    pub async fn end_job(&self, unit: &str, result: &str) {
        end_job(&self.shared, self.connection(), unit, result).await;
    }

    /// Changes a unit's state, and tells of it.
    pub async fn change(&self, unit: &str, active_state: &str) {
        {
            let mut state = self.shared.state();
            let unit = state.units.get_mut(unit).expect("a unit of this systemd");
            unit.active_state = active_state.to_owned();
            unit.changed_usec += 1;
        }
        changed(&self.shared, self.connection(), unit).await;
    }

    /// Sends a signal of the manager's, about a unit where it is about one.
    pub async fn tell(&self, member: &str, unit: &str) {
        let connection = self.connection();
        let path = job_path(1_000_000);
        match member {
            "JobNew" => {
                let body = (1_000_000_u32, path, unit);
                signal(&self.shared, connection, PATH, MANAGER, member, &body).await;
            }
            "JobRemoved" => {
                let body = (1_000_000_u32, path, unit, "done");
                signal(&self.shared, connection, PATH, MANAGER, member, &body).await;
            }
            "Reloading" => {
                signal(&self.shared, connection, PATH, MANAGER, member, &(true,)).await;
            }
            _ => signal(&self.shared, connection, PATH, MANAGER, member, &()).await,
        }
    }

    /// Leaves the bus, with all calls that it has not answered. What goes on is the units.
    pub async fn go(&mut self) {
        let (connection, task) = self.on_bus.take().expect("it is there");
        task.abort();
        let _aborted = task.await;
        // The bus answers: from then on nobody is asked by that name.
        connection.release_name(NAME).await.expect("the name is given back");
        connection.close().await.expect("the connection ends");
        self.shared.state().subscribers.clear();
    }

    /// Comes back over another connection, as after `systemctl daemon-reexec`; everybody has to
    /// subscribe again.
    pub async fn come_back(&mut self) {
        assert!(self.on_bus.is_none(), "it is there already");
        let connection =
            Builder::address(self.address.as_str()).build().await.expect("a connection");
        let stream = MessageStream::from(&connection);
        connection.request_name(NAME).await.expect("systemd's name is free");
        let task = tokio::spawn(serve(Arc::clone(&self.shared), connection.clone(), stream));
        self.on_bus = Some((connection, task));
    }

    fn connection(&self) -> &Connection {
        &self.on_bus.as_ref().expect("it is there").0
    }
}

impl Drop for FakeSystemd {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.on_bus {
            task.abort();
        }
    }
}

/// Answers calls until the connection ends.
async fn serve(shared: Arc<Shared>, connection: Connection, mut stream: MessageStream) {
    while let Some(message) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        let Ok(message) = message else { return };
        if message.message_type() == Type::MethodCall && !shared.state().silent {
            // An answer that cannot be sent is for a caller, or a bus, that is gone.
            if let Err(zbus::Error::SignatureMismatch(..)) =
                answer(&shared, &connection, &message).await
            {
                let name = "org.freedesktop.DBus.Error.InvalidArgs";
                let _gone = refuse(&connection, &message.header(), name).await;
            }
        }
    }
}

async fn answer(shared: &Shared, connection: &Connection, message: &Message) -> zbus::Result<()> {
    let header = message.header();
    let member = header.member().map(|member| member.as_str()).unwrap_or_default();
    let path = header.path().map(|path| path.as_str()).unwrap_or_default();
    let body = message.body();
    match member {
        "LoadUnit" => {
            let name: &str = body.deserialize()?;
            let name = load(shared, name);
            let act = shared.state().units.get(&name).map(|unit| unit.act);
            if act == Some(Act::DoneAfterOthers) {
                other_jobs(shared, connection, &name).await;
            }
            connection.reply(&header, &unit_path(&name)).await
        }
        "ListUnitsByNames" => {
            let names: Vec<String> = body.deserialize()?;
            shared.state().listed.push(names.clone());
            let names: Vec<String> = names.iter().map(|name| load(shared, name)).collect();
            let rows: Vec<Row> = {
                let state = shared.state();
                names.iter().filter_map(|name| state.units.get(name)).map(FakeUnit::row).collect()
            };
            connection.reply(&header, &rows).await
        }
        "GetAll" => {
            let properties = shared.state().at(path).map(FakeUnit::unit_properties);
            match properties {
                Some(properties) => connection.reply(&header, &properties).await,
                None => {
                    refuse(connection, &header, "org.freedesktop.DBus.Error.UnknownObject").await
                }
            }
        }
        "Get" => {
            let (_interface, name): (&str, &str) = body.deserialize()?;
            let property = shared.state().at(path).map(|unit| unit.service_property(name));
            match property {
                Some(Some(property)) => connection.reply(&header, &property).await,
                Some(None) => {
                    refuse(connection, &header, "org.freedesktop.DBus.Error.UnknownProperty").await
                }
                None => {
                    refuse(connection, &header, "org.freedesktop.DBus.Error.UnknownObject").await
                }
            }
        }
        "GetUnitByPID" => {
            let pid: u32 = body.deserialize()?;
            let unit = shared.state().pids.get(&pid).cloned();
            match unit {
                Some(unit) => connection.reply(&header, &unit_path(&unit)).await,
                None => refuse(connection, &header, "org.freedesktop.systemd1.NoUnitForPID").await,
            }
        }
        "Subscribe" => {
            let is_new = shared.state().subscribers.insert(sender(&header));
            match is_new {
                true => connection.reply(&header, &()).await,
                false => {
                    let name = "org.freedesktop.systemd1.AlreadySubscribed";
                    refuse(connection, &header, name).await
                }
            }
        }
        "StartUnit" | "StopUnit" | "RestartUnit" | "ReloadUnit" => {
            let (name, mode): (&str, &str) = body.deserialize()?;
            job(shared, connection, &header, member, name, mode).await
        }
        "EnableUnitFiles" => {
            let (names, _runtime, _force): (Vec<String>, bool, bool) = body.deserialize()?;
            let changes = set_enabled(shared, &header, member, &names, "enabled");
            connection.reply(&header, &(true, changes)).await
        }
        "DisableUnitFiles" => {
            let (names, _runtime): (Vec<String>, bool) = body.deserialize()?;
            let changes = set_enabled(shared, &header, member, &names, "disabled");
            connection.reply(&header, &changes).await
        }
        "Reload" => {
            record(shared, &header, member);
            connection.reply(&header, &()).await
        }
        _ => {
            record(shared, &header, member);
            refuse(connection, &header, "org.freedesktop.DBus.Error.UnknownMethod").await
        }
    }
}

fn sender(header: &Header<'_>) -> String {
    header.sender().map(ToString::to_string).unwrap_or_default()
}

async fn refuse(connection: &Connection, header: &Header<'_>, name: &str) -> zbus::Result<()> {
    connection.reply_error(header, name, &("refused by the fake",)).await
}

/// Notes a call.
fn record(shared: &Shared, header: &Header<'_>, call: &str) {
    let is_interactive = header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
    let mut state = shared.state();
    state.calls.push(match is_interactive {
        true => format!("{call} interactive"),
        false => call.to_owned(),
    });
    state.callers.push(sender(header));
    drop(state);
    shared.called.notify_waiters();
}

/// Has a unit of this name, and returns its own name.
fn load(shared: &Shared, name: &str) -> String {
    let mut state = shared.state();
    let name = state.resolve(name);
    if !state.units.contains_key(&name) {
        let load_state = match unit_of_one_shot(&name) {
            Some((unit, _)) if state.units.contains_key(&unit) => "loaded",
            _ => "not-found",
        };
        let unit = FakeUnit {
            load_state: load_state.to_owned(),
            unit_file_state: String::new(),
            ..FakeUnit::stopped(&name)
        };
        state.units.insert(name.clone(), unit);
    }
    name
}

/// The unit that an instance of the one-shot is for, and what it makes of it.
fn unit_of_one_shot(name: &str) -> Option<(String, &'static str)> {
    let instance = name.strip_prefix(ONE_SHOT)?;
    match instance.split_once(':')? {
        ("enable", unit) => Some((unit.to_owned(), "enabled")),
        ("disable", unit) => Some((unit.to_owned(), "disabled")),
        _ => None,
    }
}

fn set_enabled(
    shared: &Shared,
    header: &Header<'_>,
    member: &str,
    names: &[String],
    to: &str,
) -> Vec<(String, String, String)> {
    record(shared, header, &format!("{member} {}", names.join(" ")));
    let mut state = shared.state();
    for name in names {
        if let Some(unit) = state.units.get_mut(name) {
            unit.unit_file_state = to.to_owned();
        }
    }
    Vec::new()
}

async fn job(
    shared: &Shared,
    connection: &Connection,
    header: &Header<'_>,
    member: &str,
    name: &str,
    mode: &str,
) -> zbus::Result<()> {
    record(shared, header, &format!("{member} {name} {mode}"));
    let name = load(shared, name);
    let unit = shared.state().units.get(&name).expect("just loaded").clone();
    if unit.load_state == "not-found" {
        return refuse(connection, header, "org.freedesktop.systemd1.NoSuchUnit").await;
    }
    let is_interactive = header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
    match unit.act {
        Act::Deny => {
            return refuse(connection, header, "org.freedesktop.DBus.Error.AccessDenied").await;
        }
        Act::Challenge if !is_interactive => {
            let name = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
            return refuse(connection, header, name).await;
        }
        Act::Ignore => return Ok(()),
        _ => {}
    }
    let id = {
        let mut state = shared.state();
        state.last_job += 1;
        let id = state.last_job;
        let unit = state.units.get_mut(&name).expect("loaded");
        unit.job = Some(id);
        unit.job_member = member.to_owned();
        id
    };
    let path = job_path(id);
    let answer = connection.reply(header, &path);
    match unit.act {
        Act::NoAnswer => Ok(()),
        Act::Wait => answer.await,
        Act::Fail => {
            answer.await?;
            end_job(shared, connection, &name, "failed").await;
            Ok(())
        }
        Act::DoneBeforeAnswer => {
            end_job(shared, connection, &name, "done").await;
            answer.await
        }
        Act::DoneAfterOthers => {
            other_jobs(shared, connection, &name).await;
            end_job(shared, connection, &name, "done").await;
            answer.await
        }
        _ => {
            answer.await?;
            end_job(shared, connection, &name, "done").await;
            Ok(())
        }
    }
}

async fn end_job(shared: &Shared, connection: &Connection, name: &str, result: &str) {
    let id = {
        let mut state = shared.state();
        let unit = state.units.get_mut(name).expect("a unit of this systemd");
        let id = unit.job.expect("a job waits");
        let member = unit.job_member.clone();
        unit.after(&member, result);
        if let Some((other, to)) = unit_of_one_shot(name).filter(|_| result == "done")
            && let Some(unit) = state.units.get_mut(&other)
        {
            unit.unit_file_state = to.to_owned();
        }
        id
    };
    changed(shared, connection, name).await;
    job_removed(shared, connection, id, name, result).await;
}

async fn other_jobs(shared: &Shared, connection: &Connection, unit: &str) {
    for id in 1_000_000..1_000_500 {
        job_removed(shared, connection, id, unit, "failed").await;
    }
}

async fn job_removed(shared: &Shared, connection: &Connection, id: u32, unit: &str, result: &str) {
    let body = (id, job_path(id), unit, result);
    signal(shared, connection, PATH, MANAGER, "JobRemoved", &body).await;
}

async fn changed(shared: &Shared, connection: &Connection, unit: &str) {
    let body = (UNIT, HashMap::<&str, OwnedVariant>::new(), &["ActiveState"][..]);
    let interface = "org.freedesktop.DBus.Properties";
    let path = unit_path(unit);
    signal(shared, connection, path.as_str(), interface, "PropertiesChanged", &body).await;
}

async fn signal<B>(
    shared: &Shared,
    connection: &Connection,
    path: &str,
    interface: &str,
    member: &str,
    body: &B,
) where
    B: zbus::DynamicType + serde::Serialize + Sync,
{
    let has_subscribers = !shared.state().subscribers.is_empty();
    if has_subscribers {
        let sent = connection.emit_signal(None::<&str>, path, interface, member, body).await;
        sent.expect("the bus takes signals");
    }
}
