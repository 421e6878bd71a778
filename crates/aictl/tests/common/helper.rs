//! A helper that answers what the test tells it to, on a message bus of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    collections::HashMap,
    future::poll_fn,
    os::fd::OwnedFd,
    pin::Pin,
    process::Command,
    sync::{Arc, Mutex},
};

use aictl_api::gpu::GpuReport;
use aictl_core::dbus_records::gpu_fields;
use aictl_fakes::PrivateBus;
use futures_core::Stream;
use tokio::{runtime::Runtime, sync::Notify};
use zbus::{Connection, Message, MessageStream, Variant, connection::Builder, message::Type};

/// What the helper answers to a call.
pub enum Answer {
    /// A record.
    Record(Vec<(&'static str, Variant<'static>)>),
    /// An error with these words, and the time to retry, in microseconds.
    Error(&'static str, &'static str, Option<u64>),
    /// GPUs.
    Gpus(GpuReport),
    /// The reading end of a stream.
    Stream(OwnedFd),
    /// A body of another type.
    Nonsense,
    /// Nothing; it says that the service changes.
    Changes,
    /// Nothing; it ends.
    Ends,
}

/// A call as the helper saw it: member, arguments, and whether polkit may ask.
pub type Seen = (String, String, bool);

/// The helper, which ends with this value.
pub struct FakeHelper {
    pub bus: PrivateBus,
    calls: Arc<Mutex<Vec<Seen>>>,
    called: Arc<Notify>,
    runtime: Runtime,
}

impl FakeHelper {
    /// Starts a helper that answers by `answer`, which gets the member and the service.
    pub fn start(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        let bus = PrivateBus::start();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (calls, called) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::new(Notify::new()));
        let connection = runtime.block_on(async {
            let connection = Builder::address(bus.address()).build().await.unwrap();
            let stream = MessageStream::from(&connection);
            let (calls, called) = (Arc::clone(&calls), Arc::clone(&called));
            let serving = serve(connection.clone(), stream, answer, calls, called);
            tokio::spawn(serving);
            connection
        });
        runtime.block_on(connection.request_name("org.aictl1")).unwrap();
        Self { bus, calls, called, runtime }
    }

    /// The program, on this helper's bus.
    pub fn aictl(&self) -> Command {
        let mut command = crate::common::aictl();
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address());
        command
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Seen> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until there was a call.
    pub fn wait_for_call(&self) {
        self.runtime.block_on(self.called.notified());
    }
}

async fn serve(
    connection: Connection,
    mut stream: MessageStream,
    answer: impl Fn(&str, &str) -> Answer,
    calls: Arc<Mutex<Vec<Seen>>>,
    called: Arc<Notify>,
) {
    while let Some(message) = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await {
        let message: Message = message.unwrap();
        let header = message.header();
        let Some(interface) = header.interface() else { continue };
        if message.message_type() != Type::MethodCall || !interface.starts_with("org.aictl1.") {
            continue;
        }
        let member = header.member().unwrap().as_str();
        let body = message.body();
        let (service, arguments) = match member {
            "Logs" => {
                let (service, flags, lines, since): (String, u64, u32, u64) =
                    body.deserialize().unwrap();
                let arguments = format!("{service} {flags} {lines} {since}");
                (service, arguments)
            }
            "Health" | "List" => (String::new(), String::new()),
            _ => {
                let (service, flags, timeout): (String, u64, u32) = body.deserialize().unwrap();
                let arguments = format!("{service} {flags} {timeout}");
                (service, arguments)
            }
        };
        let interactive =
            message.primary_header().flags().contains(zbus::message::Flags::ALLOW_INTERACTIVE_AUTH);
        calls.lock().unwrap().push((member.to_owned(), arguments, interactive));
        called.notify_one();
        match answer(member, &service) {
            Answer::Record(pairs) => {
                let record: HashMap<_, _> = pairs.into_iter().collect();
                connection.reply(&header, &record).await.unwrap();
            }
            Answer::Gpus(report) => {
                let records: Vec<_> = report.gpus.iter().map(gpu_fields).collect();
                connection.reply(&header, &(records, report.notes)).await.unwrap();
            }
            Answer::Error(name, words, retry) => {
                let name = format!("org.aictl1.Error.{name}");
                match retry {
                    Some(retry) => {
                        connection.reply_error(&header, name, &(words, retry)).await.unwrap();
                    }
                    None => connection.reply_error(&header, name, &(words,)).await.unwrap(),
                }
            }
            Answer::Stream(stream) => {
                connection.reply(&header, &(zbus::OwnedFd::from(stream),)).await.unwrap();
            }
            Answer::Nonsense => connection.reply(&header, &(42_u32,)).await.unwrap(),
            Answer::Changes => connection
                .emit_signal(
                    None::<&str>,
                    "/org/aictl1",
                    "org.aictl1.Services",
                    "Changed",
                    &(service,),
                )
                .await
                .unwrap(),
            Answer::Ends => {
                connection.close().await.unwrap();
                return;
            }
        }
    }
}
