//! What a call is answered with, and the message that carries it.

use std::{collections::HashMap, os::fd::OwnedFd};

use aictl_api::error::CallError;
use zbus::{Fd, Message, OwnedVariant};

use crate::{runs::Accepted, standard::StandardError};

/// A record as it stands on the bus.
pub type Fields = HashMap<String, OwnedVariant>;

/// What a call gives.
#[derive(Debug)]
pub enum Answer {
    /// Nothing but that it is done.
    Nothing,
    /// A text.
    Text(String),
    /// A record.
    Record(Fields),
    /// Records in their order.
    Records(Vec<Fields>),
    /// Records in their order, and what there is to say beside them.
    Noted(Vec<Fields>, Vec<String>),
    /// A descriptor to read from.
    Stream(OwnedFd),
    /// A run that was accepted.
    Run(Accepted),
}

/// Why a call gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// One of the documented errors.
    Call(CallError),
    /// One that the D-Bus specification names, for what is not there to be called.
    Standard(StandardError),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<StandardError> for Refusal {
    fn from(error: StandardError) -> Self {
        Self::Standard(error)
    }
}

impl Refusal {
    /// The error's name on the bus.
    #[must_use]
    pub const fn dbus_name(&self) -> &'static str {
        match self {
            Self::Call(error) => error.dbus_name(),
            Self::Standard(error) => error.dbus_name(),
        }
    }

    /// The words for the user.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Call(error) => error.message(),
            Self::Standard(error) => error.message(),
        }
    }
}

/// The message that answers `call`.
///
/// # Errors
/// If it cannot be made, which no answer of ours brings about.
pub fn reply(call: &Message, outcome: Result<Answer, Refusal>) -> zbus::Result<Message> {
    let header = call.header();
    let done = || Message::method_return(&header);
    match outcome {
        Ok(Answer::Nothing) => done().build(&()),
        Ok(Answer::Text(text)) => done().build(&text),
        Ok(Answer::Record(record)) => done().build(&record),
        Ok(Answer::Records(records)) => done().build(&records),
        Ok(Answer::Noted(records, notes)) => done().build(&(records, notes)),
        Ok(Answer::Stream(end)) => done().build(&Fd::from(end)),
        Ok(Answer::Run(Accepted { run, stdout, stderr, stdin, .. })) => {
            let stdin: Vec<Fd<'_>> = stdin.into_iter().map(Fd::from).collect();
            done().build(&(run, Fd::from(stdout), Fd::from(stderr), stdin))
        }
        Err(refusal) => {
            let error = Message::error(&header, refusal.dbus_name());
            let retry_after = match &refusal {
                Refusal::Call(error) => error.retry_after(),
                Refusal::Standard(_) => None,
            };
            match retry_after {
                Some(wait) => {
                    let usec = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
                    error.build(&(refusal.message(), usec))
                }
                None => error.build(&refusal.message()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::AsFd, time::Duration};

    use super::*;

    #[test]
    fn each_answer_has_its_type() {
        let call = Message::method_call("/org/aictl1", "X").sender(":1.7").build(&()).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let limited = CallError::limit_exceeded("too fast", Duration::from_millis(1500));
        let table: Vec<(Result<Answer, Refusal>, &str)> = vec![
            (Ok(Answer::Nothing), ""),
            (Ok(Answer::Text("x".to_owned())), "s"),
            (Ok(Answer::Record(Fields::new())), "a{sv}"),
            (Ok(Answer::Records(vec![Fields::new()])), "aa{sv}"),
            (Ok(Answer::Noted(vec![], vec![])), "aa{sv}as"),
            (Ok(Answer::Stream(null.as_fd().try_clone_to_owned().unwrap())), "h"),
            (Err(CallError::no_such_service().into()), "s"),
            (Err(StandardError::UnknownMethod.into()), "s"),
            (Err(limited.into()), "st"),
        ];
        for (outcome, signature) in table {
            let words = format!("{outcome:?}");
            let message = reply(&call, outcome).unwrap();
            assert_eq!(message.body().signature().to_string_no_parens(), signature, "{words}");
            assert_eq!(message.header().destination().unwrap().as_str(), ":1.7");
            assert_eq!(
                message.header().reply_serial(),
                Some(call.primary_header().serial_num()),
                "{words}"
            );
        }
    }

    #[test]
    fn a_limit_carries_its_time_in_microseconds() {
        let call = Message::method_call("/org/aictl1", "X").build(&()).unwrap();
        let limited = CallError::limit_exceeded("too fast", Duration::from_micros(1_500_000));
        let message = reply(&call, Err(limited.into())).unwrap();
        let body = message.body();
        let (words, usec): (&str, u64) = body.deserialize().unwrap();
        assert_eq!((words, usec), ("too fast; try again in 1.5 s", 1_500_000));
    }
}
