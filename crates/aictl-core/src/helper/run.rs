//! Runs of scripts: what the helper is asked, over whichever connection, and what it answers.

use std::{
    collections::HashMap,
    os::fd::{BorrowedFd, OwnedFd},
};

use aictl_api::{
    authorisation::{Interface, RESULT, STDIN},
    error::CallError,
    record::RunRecord,
};
use serde::Serialize;
use zbus::{DynamicType, Fd, Message, OwnedVariant, message::Type, wire::DynamicDeserialize};

use super::{Failure, bad_answer, failure};
use crate::{
    dbus_records,
    peer::{Broken, Peer, Sent},
};

/// A script that is to be run.
#[derive(Debug, Clone, Copy)]
pub struct WantedRun<'a> {
    /// The script: a sealed memfd.
    pub script: BorrowedFd<'a>,
    /// Its file name.
    pub name: &'a str,
    /// What runs it: python, bash or node.
    pub runtime: &'a str,
    /// Its arguments.
    pub arguments: &'a [String],
    /// How strictly it is isolated.
    pub profile: &'a str,
    /// Milliseconds in all and of CPU, bytes of memory, processes, bytes of each output, bytes of
    /// /work; 0 for what the helper's configuration says.
    pub limits: [u64; 6],
    /// Whether it has a standard input, which we write.
    pub stdin: bool,
    /// Whether the script's variable `result` is wanted.
    pub want_result: bool,
}

impl WantedRun<'_> {
    /// What `Run` is called with.
    pub(super) fn body(&self) -> impl Serialize + DynamicType + Sync {
        let [wall, cpu, memory, processes, output, work] = self.limits;
        let flags = [(self.want_result, RESULT), (self.stdin, STDIN)];
        let set = |(is_set, flag): (bool, u64)| if is_set { flag } else { 0 };
        (
            Fd::from(self.script),
            self.name,
            self.runtime,
            self.arguments,
            self.profile,
            (wall, cpu, memory, processes, output, work),
            flags.into_iter().map(set).sum::<u64>(),
        )
    }
}

/// A run that the helper has taken. It ends with the connection.
#[derive(Debug)]
pub struct StartedRun {
    /// What it is called.
    pub run: String,
    /// The end of a stream that its standard output comes out of.
    pub stdout: OwnedFd,
    /// The end of a stream that its standard error comes out of.
    pub stderr: OwnedFd,
    /// The end of a stream to write its standard input to, if it has one.
    pub stdin: Option<OwnedFd>,
}

/// What `Run` answers with.
pub(super) type Started = (String, zbus::OwnedFd, zbus::OwnedFd, Vec<zbus::OwnedFd>);

impl StartedRun {
    pub(super) fn of(answer: Started, wanted: &WantedRun<'_>) -> Result<Self, CallError> {
        let (run, stdout, stderr, stdin) = answer;
        let stdin = stdin.into_iter().next().map(OwnedFd::from);
        match stdin.is_some() == wanted.stdin {
            true => Ok(Self { run, stdout: stdout.into(), stderr: stderr.into(), stdin }),
            false => Err(bad_answer("it has not as many streams as it must")),
        }
    }
}

/// The record of a run, if it was answered with one.
pub(super) fn record(
    answer: Result<HashMap<String, OwnedVariant>, Failure>,
) -> Result<RunRecord, CallError> {
    let record = answer.map_err(|failure| match failure {
        Failure::HelperEnded | Failure::ConnectionBroke => run_ended(),
        Failure::Error(error) => error,
    })?;
    dbus_records::run(record).map_err(bad_answer)
}

fn run_ended() -> CallError {
    CallError::Unavailable("the helper ended during the run, and the run with it".to_owned())
}

/// The answer to a call, over a connection to the helper itself.
pub type Answer = Result<Message, Broken>;

/// What is called there; each answer comes by [`Peer::receive`].
impl Peer {
    /// Has a script run; `None` if the helper has gone before it was asked.
    ///
    /// # Errors
    /// If the call cannot be sent.
    pub fn run(&self, wanted: &WantedRun<'_>) -> Result<Option<Sent>, CallError> {
        self.ask("Run", &wanted.body())
    }

    /// Waits for the end of a run of this connection, and fetches its record.
    ///
    /// # Errors
    /// If the call cannot be sent.
    pub fn wait_for_run(&self, run: &str) -> Result<Sent, CallError> {
        self.ask("Wait", &(run,))?.ok_or_else(run_ended)
    }

    /// Ends a run; its record still comes.
    ///
    /// # Errors
    /// If the call cannot be sent.
    pub fn cancel_run(&self, run: &str) -> Result<Sent, CallError> {
        self.ask("Cancel", &(run,))?.ok_or_else(run_ended)
    }

    fn ask<B: Serialize + DynamicType>(
        &self,
        member: &str,
        body: &B,
    ) -> Result<Option<Sent>, CallError> {
        let sent = self.call(Interface::Sandbox, member, body);
        sent.map_err(|error| failure(&error).into())
    }
}

/// Reads the answer to [`Peer::run`].
///
/// # Errors
/// What the helper answers, or that it cannot be read.
pub fn started(answer: Answer, wanted: &WantedRun<'_>) -> Result<StartedRun, CallError> {
    StartedRun::of(read(answer)?, wanted)
}

/// Reads the answer to [`Peer::wait_for_run`].
///
/// # Errors
/// What the helper answers, or that it cannot be read: nothing of the run is left then.
pub fn ended(answer: Answer) -> Result<RunRecord, CallError> {
    record(read(answer))
}

/// Reads the answer to [`Peer::cancel_run`].
///
/// # Errors
/// What the helper answers, or that it cannot be read.
pub fn cancelled(answer: Answer) -> Result<(), CallError> {
    Ok(read(answer)?)
}

fn read<R: for<'d> DynamicDeserialize<'d>>(answer: Answer) -> Result<R, Failure> {
    let message = match answer {
        Ok(message) => message,
        Err(Broken::NotTaken) => return Err(Failure::ConnectionBroke),
        Err(Broken::Bus(error)) => return Err(failure(&error)),
    };
    match message.message_type() {
        Type::MethodReturn => message.body().deserialize().map_err(|error| failure(&error)),
        _ => Err(failure(&message.into())),
    }
}
