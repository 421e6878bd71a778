//! A polkit that answers as it is told.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
};

use aictl_fakes::PrivateBus;
use futures_core::Stream;
use tokio::sync::Notify;
use zbus::{Connection, Message, MessageStream, OwnedVariant, connection::Builder, message::Type};

type Question =
    ((String, HashMap<String, OwnedVariant>), String, HashMap<String, String>, u32, String);

const NAME: &str = "org.freedesktop.PolicyKit1";

/// How it answers a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    Yes,
    /// Yes, since the user has proved a moment ago who they are.
    Temporary,
    No,
    /// The user must be asked, and where they may not be, that.
    Challenge,
    /// That too, and where they may be asked, they prove who they are.
    Authenticate,
    Dismissed,
    /// Nothing, until it is told something else.
    Nothing,
    Error,
    /// Something that is no answer to such a question.
    Odd,
    /// Yes, but as a text.
    Text,
    /// Yes twice, without the details.
    Short,
    /// Nothing at all, as an answer.
    Empty,
}

/// A question as it was asked.
#[derive(Debug)]
pub struct Asked {
    pub kind: String,
    pub subject: HashMap<String, OwnedVariant>,
    pub action: String,
    pub details: HashMap<String, String>,
    pub flags: u32,
    pub id: String,
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    cancelled: Vec<String>,
    /// By action; all others are answered with yes.
    say: HashMap<String, Say>,
    held: Vec<(Message, String)>,
}

#[derive(Clone)]
pub struct FakePolkit {
    connection: Connection,
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

impl FakePolkit {
    pub async fn start(bus: &PrivateBus) -> Self {
        let connection = Builder::address(bus.address()).build().await.unwrap();
        let stream = MessageStream::from(&connection);
        connection.request_name(NAME).await.unwrap();
        let fake = Self { connection, state: Arc::default(), news: Arc::default() };
        tokio::spawn(fake.clone().answer_all(stream));
        fake
    }

    /// Leaves the bus's name.
    pub async fn go(&self) {
        self.connection.release_name(NAME).await.unwrap();
    }

    /// Says that rules, actions or sessions have changed.
    pub async fn change(&self) {
        let (path, interface) =
            ("/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority");
        self.connection.emit_signal(None::<&str>, path, interface, "Changed", &()).await.unwrap();
    }

    /// How to answer questions about an action from now on, and those that were not answered yet.
    pub async fn say(&self, action: &str, say: Say) {
        let held = {
            let mut state = self.state.lock().unwrap();
            state.say.insert(action.to_owned(), say);
            if say == Say::Nothing { Vec::new() } else { std::mem::take(&mut state.held) }
        };
        for (message, action) in held {
            self.answer(&message, &action).await;
        }
    }

    /// The questions since it was last asked.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// Waits until a question is held.
    pub async fn held(&self, count: usize) {
        while self.state.lock().unwrap().held.len() < count {
            self.news.notified().await;
        }
    }

    /// Waits until a question was taken back, and returns all that were.
    pub async fn cancelled(&self) -> Vec<String> {
        loop {
            let cancelled = std::mem::take(&mut self.state.lock().unwrap().cancelled);
            if !cancelled.is_empty() {
                return cancelled;
            }
            self.news.notified().await;
        }
    }

    async fn answer_all(self, mut stream: MessageStream) {
        loop {
            let next = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
            let Some(Ok(message)) = next else { return };
            if message.message_type() != Type::MethodCall {
                continue;
            }
            match message.header().member().unwrap().as_str() {
                "CheckAuthorization" => self.check(&message).await,
                "CancelCheckAuthorization" => {
                    let (id,): (String,) = message.body().deserialize().unwrap();
                    self.state.lock().unwrap().cancelled.push(id);
                    self.news.notify_one();
                    self.reply(&message, &()).await;
                }
                _ => self.reply(&message, &()).await,
            }
        }
    }

    async fn check(&self, message: &Message) {
        let body = message.body();
        assert_eq!(body.signature().to_string_no_parens(), "(sa{sv})sa{ss}us");
        let ((kind, subject), action, details, flags, id): Question = body.deserialize().unwrap();
        let asked = Asked { kind, subject, action: action.clone(), details, flags, id };
        let say = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(asked);
            let say = state.say.get(&action).copied().unwrap_or(Say::Yes);
            if say == Say::Nothing {
                state.held.push((message.clone(), action.clone()));
            }
            say
        };
        self.news.notify_one();
        if say != Say::Nothing {
            self.answer(message, &action).await;
        }
    }

    async fn answer(&self, message: &Message, action: &str) {
        let say = self.state.lock().unwrap().say.get(action).copied().unwrap_or(Say::Yes);
        let none = HashMap::<String, String>::new();
        match say {
            // As the real one: with the details that it was told.
            Say::Yes => {
                let body = message.body();
                let (_, _, details, _, _): Question = body.deserialize().unwrap();
                self.reply(message, &((true, false, details),)).await;
            }
            Say::Authenticate => {
                let (_, _, details, flags, _): Question = message.body().deserialize().unwrap();
                let is_asked = flags == 1;
                self.reply(message, &((is_asked, !is_asked, details),)).await;
            }
            Say::Temporary => {
                let details = HashMap::from([("polkit.temporary_authorization_id", "tmpauthz1")]);
                self.reply(message, &((true, false, details),)).await;
            }
            Say::No => self.reply(message, &((false, false, none),)).await,
            Say::Challenge => self.reply(message, &((false, true, none),)).await,
            Say::Dismissed => {
                let details = HashMap::from([("polkit.dismissed", "true")]);
                self.reply(message, &((false, false, details),)).await;
            }
            Say::Odd => self.reply(message, &(7u32,)).await,
            Say::Text => self.reply(message, &("yes",)).await,
            Say::Short => self.reply(message, &(true, true)).await,
            Say::Empty => self.reply(message, &()).await,
            Say::Error => {
                let name = "org.freedesktop.PolicyKit1.Error.Failed";
                let error = Message::error(&message.header(), name).build(&("why",)).unwrap();
                self.connection.send(&error).await.unwrap();
            }
            Say::Nothing => {}
        }
    }

    async fn reply<B: serde::Serialize + zbus::DynamicType>(&self, call: &Message, body: &B) {
        let reply = Message::method_return(&call.header()).build(body).unwrap();
        self.connection.send(&reply).await.unwrap();
    }
}
