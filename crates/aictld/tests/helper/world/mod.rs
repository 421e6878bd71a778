//! A helper in a world of its own: a private bus with a fake polkit and a fake systemd, and a
//! socket in the journal's place.
#![allow(dead_code, reason = "each test file uses what it needs")]

pub mod journald;
pub mod keeper;
pub mod polkit;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use aictl_api::{
    authorisation::{BUS_NAME, OBJECT_PATH},
    config::{Config, Settings as ConfigSettings},
    gpu::GpuReport,
};
use aictl_core::{journal::read::JournalReader, systemd::Bus};
use aictl_fakes::{FakeSystemd, FakeUnit, PrivateBus};
use aictld::{
    gpus::Gpus,
    helper::Helper,
    journal::Journal,
    lifetime::{Life, LifeError, Order, Settings},
    logs::Followers,
    place::PlaceOf,
    policy::{Load, Policies},
    polkit::Patience,
};
use serde::Serialize;
use tokio::{
    net::UnixListener,
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use zbus::{
    Connection, DynamicType, Message, MessageStream, OwnedVariant, connection::Builder,
    message::Flags, message::Type,
};

use journald::Journald;
use polkit::FakePolkit;

pub const SERVICES: &str = "org.aictl1.Services";
pub const MANAGER: &str = "org.aictl1.Manager";
pub const GPU: &str = "org.aictl1.Gpu";
pub const SANDBOX: &str = "org.aictl1.Sandbox";

/// Limits that no test meets by accident.
pub const WIDE: &str = "
    [helper]
    calls-in-flight = 256
    read-rate = { per-minute = 60000, burst = 10000 }
    change-rate = { per-minute = 60000, burst = 10000 }
    run-rate = { per-minute = 60000, burst = 10000 }
";

/// A helper, and all that it speaks with.
pub struct World {
    pub bus: PrivateBus,
    pub systemd: FakeSystemd,
    pub polkit: FakePolkit,
    pub journal: Journald,
    /// What the configuration's file holds.
    pub config: Arc<Mutex<String>>,
    pub helper: Arc<Helper>,
    pub orders: mpsc::Sender<Order>,
    pub life: JoinHandle<Result<(), LifeError>>,
}

/// How a world begins.
pub struct Plan {
    pub config: String,
    pub units: Vec<FakeUnit>,
    pub patience: Patience,
    /// Where a process stands: nowhere, unless a test says so.
    pub place_of: PlaceOf,
    pub listener: Option<UnixListener>,
    pub reader: JournalReader,
    pub stall: Duration,
    /// What a look at the GPUs sees.
    pub gpus: Gpus,
    /// Where the keeper of the sandboxes listens.
    pub sandboxd: PathBuf,
    /// Whether there is somebody in the journal's place.
    pub has_journal: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            config: WIDE.to_owned(),
            units: vec![FakeUnit::running("ollama.service"), FakeUnit::stopped("vllm.service")],
            // Longer than any test waits, so that no answer is a timeout by accident.
            patience: Patience { plain: Duration::from_secs(60), prompt: Duration::from_secs(60) },
            place_of: PlaceOf::new(|_, _| None),
            listener: None,
            // Nothing is in the journal.
            reader: JournalReader::with_program("/bin/true"),
            stall: Duration::from_secs(60),
            gpus: Gpus::new(|| Box::pin(async { GpuReport::default() })),
            sandboxd: PathBuf::from("/nonexistent/sandboxd"),
            has_journal: true,
        }
    }
}

impl Plan {
    pub async fn begin(self) -> World {
        let bus = PrivateBus::start();
        let systemd = FakeSystemd::start(&bus, self.units).await;
        let polkit = FakePolkit::start(&bus).await;
        let journal = Journald::start();
        if !self.has_journal {
            journal.go();
        }
        let config = Arc::new(Mutex::new(self.config));
        let read = Arc::clone(&config);
        let load: Load = Box::new(move || {
            let text = read.lock().unwrap();
            let settings =
                ConfigSettings::parse("aictl.toml", &text).map_err(|error| error.to_string())?;
            Config::try_from(settings).map_err(|error| error.to_string())
        });
        let life = Life::start(Settings {
            bus: Bus::At(bus.address().to_owned()),
            policies: Policies::start(load),
            journal: Journal::at(journal.path()),
            patience: self.patience,
            place_of: self.place_of,
            followers: Followers::new(self.reader, self.stall),
            gpus: Arc::new(self.gpus),
            sandboxd: self.sandboxd,
            listener: self.listener,
        })
        .await
        .unwrap();
        let helper = Arc::clone(life.helper());
        let (orders, received) = mpsc::channel(4);
        let life = tokio::spawn(life.run(received));
        let world = World { bus, systemd, polkit, journal, config, helper, orders, life };
        world.wait_for_name().await;
        world
    }
}

impl World {
    pub async fn new() -> Self {
        Plan::default().begin().await
    }

    pub async fn client(&self) -> Client {
        let connection = Builder::address(self.bus.address()).build().await.unwrap();
        Client::new(connection)
    }

    async fn wait_for_name(&self) {
        let client = self.client().await;
        while !client.has_owner(BUS_NAME).await {
            tokio::task::yield_now().await;
        }
    }

    /// What systemd was asked to do.
    pub fn done(&self) -> Vec<String> {
        self.systemd.calls()
    }

    /// Ends the helper, and waits for it.
    pub async fn end(self) -> Result<(), LifeError> {
        self.orders.send(Order::End).await.unwrap();
        self.life.await.unwrap()
    }
}

/// One that calls.
#[derive(Clone)]
pub struct Client {
    pub connection: Connection,
    answers: Arc<Answers>,
}

/// The answers that have come and were not yet looked at, by the serial of their call.
#[derive(Default)]
struct Answers {
    by_serial: Mutex<HashMap<u32, Message>>,
    news: Notify,
}

/// An error, as the caller gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub name: String,
    /// The signature of its body, and its bytes.
    pub signature: String,
    pub body: Vec<u8>,
    pub words: String,
}

pub type Outcome = Result<Message, Failed>;

impl Client {
    pub fn new(connection: Connection) -> Self {
        let answers = Arc::<Answers>::default();
        let mut stream = MessageStream::from(&connection);
        let taken = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Some(message) = aictld::dispatch::next(&mut stream).await {
                if let Some(serial) = message.header().reply_serial() {
                    taken.by_serial.lock().unwrap().insert(serial.get(), message.clone());
                    taken.news.notify_waiters();
                }
            }
        });
        Self { connection, answers }
    }

    pub fn name(&self) -> String {
        self.connection.unique_name().unwrap().to_string()
    }

    pub async fn hang_up(self) {
        self.connection.close().await.unwrap();
    }

    pub async fn has_owner(&self, name: &str) -> bool {
        let bus = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        let body = (name,);
        let reply = self.connection.call_method(Some(bus), path, Some(bus), "NameHasOwner", &body);
        reply.await.unwrap().body().deserialize().unwrap()
    }

    /// Sends a call; the answer is what the returned future waits for.
    pub async fn send<B: Serialize + DynamicType>(
        &self,
        interface: &str,
        member: &str,
        body: &B,
        flags: Flags,
    ) -> Pending {
        self.send_to(OBJECT_PATH, interface, member, body, flags).await
    }

    pub async fn send_to<B: Serialize + DynamicType>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
        flags: Flags,
    ) -> Pending {
        let message = Message::method_call(path, member)
            .destination(BUS_NAME)
            .interface(interface)
            .with_flags(flags)
            .build(body)
            .unwrap();
        self.connection.send(&message).await.unwrap();
        let serial = message.primary_header().serial_num().get();
        Pending { answers: Arc::clone(&self.answers), serial }
    }

    pub async fn call<B: Serialize + DynamicType>(
        &self,
        interface: &str,
        member: &str,
        body: &B,
    ) -> Outcome {
        self.send(interface, member, body, Flags::empty()).await.answer().await
    }

    /// A verb on a service, with the action's usual arguments.
    pub async fn act(&self, member: &str, service: &str) -> Outcome {
        self.call(SERVICES, member, &(service, 0u64, 0u32)).await
    }

    pub async fn get(&self, service: &str) -> Outcome {
        self.call(SERVICES, "Get", &(service,)).await
    }

    /// Goes once to the bus and back: what was sent before is on its way by then.
    pub async fn round_trip(&self) {
        let bus = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        self.connection.call_method(Some(bus), path, Some(bus), "GetId", &()).await.unwrap();
    }
}

/// A call that was sent.
pub struct Pending {
    answers: Arc<Answers>,
    serial: u32,
}

impl Pending {
    pub async fn answer(self) -> Outcome {
        let message = loop {
            let news = self.answers.news.notified();
            if let Some(message) = self.answers.by_serial.lock().unwrap().remove(&self.serial) {
                break message;
            }
            news.await;
        };
        match message.message_type() {
            Type::MethodReturn => Ok(message),
            _ => Err(failed(&message)),
        }
    }
}

fn failed(message: &Message) -> Failed {
    let body = message.body();
    let signature = body.signature().to_string_no_parens();
    let words = match signature.as_str() {
        "s" => body.deserialize::<&str>().unwrap().to_owned(),
        "st" => body.deserialize::<(&str, u64)>().unwrap().0.to_owned(),
        other => panic!("an error with a body of type {other:?}"),
    };
    Failed {
        name: message.header().error_name().unwrap().to_string(),
        signature,
        body: body.data().bytes().to_vec(),
        words,
    }
}

/// The short name of the error that a call ended with.
pub fn error(outcome: Outcome) -> String {
    let failed = outcome.expect_err("an error");
    let name = failed.name;
    name.rsplit('.').next().unwrap().to_owned()
}

pub fn record(message: &Message) -> HashMap<String, OwnedVariant> {
    message.body().deserialize().unwrap()
}

/// A text of a record.
pub fn text(record: &HashMap<String, OwnedVariant>, key: &str) -> String {
    let value = record.get(key).unwrap_or_else(|| panic!("no {key} in {record:?}"));
    String::try_from(value.try_clone().unwrap()).unwrap()
}
