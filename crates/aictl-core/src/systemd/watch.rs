//! Signals of systemd, and of nobody else.
//!
//! A rule of the bus keeps broadcasts of others away, but not a signal that is sent to this
//! connection by its unique name. So each sender is compared with systemd's.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use futures_core::Stream;
use zbus::{MatchRule, Message, MessageStream, message::Type, names::BusName};

use super::{BUS, NAME, Systemd, SystemdError};

/// What a [`Watch`] sees.
#[derive(Debug)]
pub(super) enum Event {
    /// A signal of systemd's that fits a rule.
    Signal(Message),
    /// systemd left the bus.
    Gone,
    /// systemd is on the bus again, over another connection: it was restarted.
    Back,
}

/// Waits for signals of systemd.
#[derive(Debug)]
pub(super) struct Watch {
    owners: MessageStream,
    /// For each rule what fits it.
    signals: Vec<MessageStream>,
    /// The unique name of systemd's connection; empty while it has none.
    owner: String,
    /// What was seen and not yet asked for.
    seen: VecDeque<Event>,
}

impl Watch {
    /// Watches from now on for signals that fit one of `rules`, which must not name a sender. Those
    /// of one rule come in their order.
    pub(super) async fn new(
        systemd: &Systemd,
        rules: impl IntoIterator<Item = MatchRule<'static>>,
    ) -> Result<Self, SystemdError> {
        let connection = &systemd.connection;
        let of_owners = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(BUS)
            .interface(BUS)
            .member("NameOwnerChanged")
            .add_arg(NAME)
            .build()?;
        let owners = MessageStream::for_match_rule(of_owners, connection, None).await?;
        let mut signals = Vec::new();
        for rule in rules {
            signals.push(MessageStream::for_match_rule(rule, connection, None).await?);
        }
        // Asked last: whoever comes after is seen to come.
        let owner = systemd.owner().await?;
        Ok(Self { owners, signals, owner, seen: VecDeque::new() })
    }

    /// The next event.
    ///
    /// # Errors
    /// [`SystemdError::NoBus`] if the connection ends.
    pub(super) async fn next(&mut self) -> Result<Event, SystemdError> {
        poll_fn(|context| {
            self.look(context)?;
            self.seen.pop_front().map_or(Poll::Pending, |event| Poll::Ready(Ok(event)))
        })
        .await
    }

    /// The next event of those that came before the last answer to a call.
    pub(super) fn next_seen(&mut self) -> Option<Event> {
        self.seen.pop_front()
    }

    /// Does some work that waits for an answer of systemd's. The answer waits behind all signals
    /// that are not taken off the connection, even those that somebody sends to be in the way.
    ///
    /// # Errors
    /// As the work has them, or [`SystemdError::NoBus`] if the connection ends.
    pub(super) async fn during<T>(
        &mut self,
        work: impl Future<Output = Result<T, SystemdError>>,
    ) -> Result<T, SystemdError> {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.look(context)?;
            let result = work.as_mut().poll(context);
            if result.is_ready() {
                // What came before the answer.
                self.look(context)?;
            }
            result
        })
        .await
    }

    /// Takes off the connection what is there.
    fn look(&mut self, context: &mut Context<'_>) -> Result<(), SystemdError> {
        // Owners first: the bus tells of a new one before it passes on any of its signals.
        while let Poll::Ready(message) = Pin::new(&mut self.owners).poll_next(context) {
            if let Some(owner) = new_owner(&received(message)?)
                && owner != self.owner
            {
                self.owner = owner;
                self.seen.push_back(match self.owner.is_empty() {
                    true => Event::Gone,
                    false => Event::Back,
                });
            }
        }
        for signals in &mut self.signals {
            while let Poll::Ready(message) = Pin::new(&mut *signals).poll_next(context) {
                let message = received(message)?;
                let header = message.header();
                if header.sender().is_some_and(|sender| sender.as_str() == self.owner) {
                    self.seen.push_back(Event::Signal(message));
                }
            }
        }
        Ok(())
    }
}

fn received(message: Option<zbus::Result<Message>>) -> Result<Message, SystemdError> {
    match message {
        Some(message) => message.map_err(SystemdError::from),
        None => Err(SystemdError::NoBus("the connection was closed".to_owned())),
    }
}

/// Who owns systemd's name now, empty for nobody, if the message is the bus's word on that.
fn new_owner(message: &Message) -> Option<String> {
    let header = message.header();
    // The bus sets the sender of each message, and lets nobody have its own name.
    if header.sender()?.as_str() != BUS {
        return None;
    }
    let body = message.body();
    let (name, _old, new): (BusName<'_>, &str, &str) = body.deserialize().ok()?;
    (name.as_str() == NAME).then(|| new.to_owned())
}
