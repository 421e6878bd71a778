//! From messages to calls: a task for each, so that one that waits holds up no other.
//!
//! What reads the messages of a connection never waits for anything else: the answers to our own
//! calls come over the same connection, behind the messages that are not yet taken.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use futures_core::Stream;
use tokio::{sync::Semaphore, time};
use zbus::{Connection, Message, MessageStream, message::Flags, message::Type};

use crate::{
    answer::{self, Answer, Refusal},
    call::MAX_BODY,
    caller::Seat,
    gate,
    helper::Helper,
    polkit,
};

/// The bus itself: the sender of what it tells, which it lets nobody else use.
const BUS: &str = "org.freedesktop.DBus";
/// The most answers of one connection at one time to calls that are not even looked at; more of
/// them get no answer.
const MAX_REFUSALS: usize = 64;
/// How long the other side may take to take an answer off the connection.
const SEND_TIME: Duration = Duration::from_secs(10);

/// A connection that calls come over.
#[derive(Debug, Clone)]
pub struct Line {
    connection: Connection,
    /// Whether the other side is one caller, and not a bus.
    is_peer: bool,
    refusals: Arc<Semaphore>,
}

/// What a message tells that is no call.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The connection with this unique name has ended.
    Left(String),
    /// polkit's name has this owner now; empty for nobody.
    PolkitOwner(String),
    /// The connection with this unique name says what polkit says when its rules change.
    PolkitChanged(String),
}

impl Line {
    /// The connection to the bus.
    #[must_use]
    pub fn bus(connection: Connection) -> Self {
        Self { connection, is_peer: false, refusals: Arc::new(Semaphore::new(MAX_REFUSALS)) }
    }

    /// A connection to one caller.
    #[must_use]
    pub fn peer(connection: Connection) -> Self {
        Self { is_peer: true, ..Self::bus(connection) }
    }

    /// Takes a call, and has it answered.
    pub fn receive(&self, helper: &Arc<Helper>, seat: &Arc<Seat>, message: Message) {
        let in_use = helper.activity.begin();
        let sitting = seat.sit();
        let room = Arc::clone(&helper.room).try_acquire_owned();
        let is_heavy = message.body().len() > MAX_BODY || !message.data().fds().is_empty();
        let heavy = match is_heavy {
            true => Arc::clone(&helper.heavy).try_acquire_owned().map(Some),
            false => Ok(None),
        };
        let (Some(sitting), Ok(room), Ok(heavy)) = (sitting, room, heavy) else {
            let refusal = gate::unseen(helper, seat, &message);
            let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
            let line = self.clone();
            tokio::spawn(async move {
                line.send(&message, Err(refusal)).await;
                drop((permit, in_use));
            });
            return;
        };
        let (line, helper, seat) = (self.clone(), Arc::clone(helper), Arc::clone(seat));
        tokio::spawn(async move {
            let call = gate::Call { helper: &helper, seat: &seat, message: &message };
            if let Some(outcome) = gate::answer(call).await {
                line.send(&message, outcome).await;
            }
            drop((sitting, room, heavy, in_use));
        });
    }

    /// Answers a call, if it wants an answer.
    async fn send(&self, call: &Message, outcome: Result<Answer, Refusal>) {
        if call.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED) {
            return;
        }
        let Ok(reply) = answer::reply(call, outcome) else { return };
        let sent = time::timeout(SEND_TIME, self.connection.send(&reply)).await;
        // Cut off in the middle of a message, the connection is of no more use.
        if self.is_peer && !matches!(sent, Ok(Ok(()))) {
            let _closed = self.connection.clone().close().await;
        }
    }
}

/// What a signal tells. Of who has left and who owns a name, it tells only if it comes from the bus
/// itself and not from somebody who says so.
#[must_use]
pub fn news(message: &Message) -> Option<News> {
    if message.message_type() != Type::Signal {
        return None;
    }
    let header = message.header();
    let sender = header.sender()?.as_str();
    match (header.interface()?.as_str(), header.member()?.as_str()) {
        (polkit::INTERFACE, polkit::CHANGED) => Some(News::PolkitChanged(sender.to_owned())),
        (BUS, "NameOwnerChanged") if sender == BUS => {
            let body = message.body();
            let (name, _, new): (&str, &str, &str) = body.deserialize().ok()?;
            match name {
                polkit::NAME => Some(News::PolkitOwner(new.to_owned())),
                name if name.starts_with(':') && new.is_empty() => {
                    Some(News::Left(name.to_owned()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The next message; `None` at the end of the connection.
pub async fn next(stream: &mut MessageStream) -> Option<Message> {
    loop {
        // An error is the last thing on a connection that broke: the stream ends after it.
        if let Ok(message) = poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await? {
            return Some(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use zbus::names::UniqueName;

    use super::*;

    fn signal(sender: &str, interface: &str, member: &str, body: &(&str, &str, &str)) -> Message {
        let sender = UniqueName::try_from(sender).unwrap();
        Message::signal("/org/freedesktop/DBus", interface, member)
            .sender(sender)
            .build(body)
            .unwrap()
    }

    #[test]
    fn only_the_bus_itself_tells_who_has_left() {
        let left = (":1.7", ":1.7", "");
        let changed = "NameOwnerChanged";
        assert_eq!(news(&signal(BUS, BUS, changed, &left)), Some(News::Left(":1.7".to_owned())));
        for message in [
            signal(":1.66", BUS, changed, &left),
            signal(BUS, "org.example.DBus", changed, &left),
            signal(BUS, BUS, "NameAcquired", &left),
            signal(BUS, BUS, changed, &(":1.7", "", ":1.7")),
            signal(BUS, BUS, changed, &("org.example", ":1.7", "")),
        ] {
            assert_eq!(news(&message), None, "{message:?}");
        }
        let owned = |new: &'static str| signal(BUS, BUS, changed, &(polkit::NAME, ":1.7", new));
        for owner in ["", ":1.8"] {
            assert_eq!(news(&owned(owner)), Some(News::PolkitOwner(owner.to_owned())));
        }
        assert_eq!(news(&signal(":1.66", BUS, changed, &(polkit::NAME, ":1.7", ""))), None);
        let call = Message::method_call("/", changed).sender(BUS).interface(BUS);
        assert_eq!(news(&call.build(&left).unwrap()), None);
    }
}
