//! One run as the keeper of the sandboxes makes it: handed over, its output passed on, its end
//! awaited.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use aictl_api::{error::CallError, record::RunRecord};
use aictl_core::host::{self, Host};
use aictl_sandbox::{
    client::{ClientError, Connection},
    protocol::{Job, RejectKind, Rejection, Reply, Stream},
};
use tokio::{
    net::unix::pipe::Receiver,
    time::{self, Instant},
};

use super::record::plain;
use crate::{
    limits::WAIT_FOR_ANOTHER,
    stream::{Inward, Outward},
};

/// How long it may take until there is room for one more connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long to wait between two attempts.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);
/// How long it may take until a run begins: the keeper may have to be started.
const START_TIME: Duration = Duration::from_secs(30);
/// How much longer than its time a run may take to end, before its output is not waited with.
const SLACK: Duration = Duration::from_secs(2);
/// How long after that the keeper may take to say so; it has a patience of its own.
const LAST_TIME: Duration = Duration::from_secs(25);
/// How long a run may take to end that was told to.
const CANCEL_TIME: Duration = Duration::from_secs(5);

/// Why a run is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its caller has gone.
    Gone,
    /// Somebody who may has asked for it.
    Asked,
    /// The helper ends.
    HelperEnds,
    /// Nobody reads its output any more.
    NobodyReads,
}

/// What is handed over, and where the output goes.
#[derive(Debug)]
pub struct Errand {
    pub job: Job,
    pub script: Arc<OwnedFd>,
    pub stdin: Option<Inward>,
    pub stdout: Outward,
    pub stderr: Outward,
}

/// What a run came to: its record, and why it was ended from here.
///
/// # Errors
/// If nothing was run, or nobody knows what came of it.
pub type CameTo = Result<(RunRecord, Option<Why>), CallError>;

/// What the keeper may still hold of a run that has ended.
pub struct Rest(Waiting);

impl Rest {
    /// Waits until it holds nothing any more; that takes no time, unless the caller has sent to
    /// standard input what the keeper must wait for.
    pub async fn is_gone(&self) {
        while self.0.receive().await.is_ok() {}
    }
}

/// Has a run made, until it ends or `stopped` says why it must.
pub async fn drive(
    sandboxd: &Path,
    errand: Errand,
    stopped: Pin<&mut impl Future<Output = Why>>,
) -> (CameTo, Option<Rest>) {
    match connect(sandboxd).await {
        Ok(connection) => {
            let came_to = drive_by(&connection, errand, stopped).await;
            (came_to, Some(Rest(connection)))
        }
        Err(error) => (Err(error), None),
    }
}

async fn drive_by(
    connection: &Waiting,
    errand: Errand,
    mut stopped: Pin<&mut impl Future<Output = Why>>,
) -> CameTo {
    let Errand { job, script, stdin, stdout, stderr } = errand;
    let reads = stdin.as_ref().and_then(Inward::end);
    let submitted = connection.connection.submit(&job, script.as_fd(), reads);
    submitted.map_err(|error| broken(&error))?;
    // The other side has its own.
    drop(script);
    if let Some(stdin) = stdin {
        stdin.leave();
    }
    let wall = job.limits.wall();
    let mut output = Output {
        streams: [Sink::new(stdout), Sink::new(stderr)],
        until: Instant::now() + START_TIME + wall + SLACK,
    };
    let mut begun = false;
    let mut why = None;
    let mut deadline = output.until + LAST_TIME;
    loop {
        let reply = tokio::select! {
            biased;
            reason = &mut stopped, if why.is_none() => {
                why = Some(reason);
                connection.connection.cancel();
                // What has been printed is still passed on, as far as it is read.
                output.until = Instant::now();
                deadline = Instant::now() + CANCEL_TIME;
                continue;
            }
            reply = connection.receive() => reply.map_err(|error| broken(&error))?,
            () = time::sleep_until(deadline) => {
                // It may only stand still, and go on with the run later.
                connection.connection.cancel();
                return Err(silent());
            }
        };
        let (stream, bytes) = match reply {
            Reply::Output(stream, bytes) => (stream, bytes),
            Reply::Done(record) => return Ok((output.cut(*record), why)),
            Reply::Rejected(rejection) => return Err(rejected(&rejection)),
        };
        if !begun {
            begun = true;
            if why.is_none() {
                output.until = Instant::now() + wall + SLACK;
                deadline = output.until + LAST_TIME;
            }
        }
        let written = tokio::select! {
            biased;
            reason = &mut stopped, if why.is_none() => Err(reason),
            written = output.write(stream, &bytes) => Ok(written),
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(_)) if why.is_some() => output.lose(stream),
            Ok(Err(_)) => {
                why = Some(Why::NobodyReads);
                output.lose(stream);
                connection.connection.cancel();
                deadline = Instant::now() + CANCEL_TIME;
            }
            Err(reason) => {
                why = Some(reason);
                output.lose(stream);
                connection.connection.cancel();
                output.until = Instant::now();
                deadline = Instant::now() + CANCEL_TIME;
            }
        }
    }
}

/// Where the output goes, for as long as it is waited with.
struct Output {
    streams: [Sink; 2],
    /// Then what there is no room for is left out.
    until: Instant,
}

/// One stream of it; `None` once nothing more goes there.
struct Sink {
    end: Option<Outward>,
    is_cut: bool,
}

impl Sink {
    const fn new(end: Outward) -> Self {
        Self { end: Some(end), is_cut: false }
    }
}

impl Output {
    const fn sink(&mut self, stream: Stream) -> &mut Sink {
        let [stdout, stderr] = &mut self.streams;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    /// Passes output on; waits with its reader, and when the time is up leaves out the rest.
    async fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let until = self.until;
        let sink = self.sink(stream);
        let Some(mut end) = sink.end.take() else {
            sink.is_cut = true;
            return Ok(());
        };
        let mut left = bytes;
        while !left.is_empty() {
            match end.try_write(left) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let Ok(ready) = time::timeout_at(until, end.writable()).await else {
                        sink.is_cut = true;
                        return Ok(());
                    };
                    end = ready?;
                }
                Err(error) => return Err(error),
            }
        }
        sink.end = Some(end);
        Ok(())
    }

    /// Nothing more goes to this stream.
    fn lose(&mut self, stream: Stream) {
        *self.sink(stream) = Sink { end: None, is_cut: true };
    }

    /// The record, with what was left out here.
    fn cut(&self, record: RunRecord) -> RunRecord {
        let [stdout, stderr] = &self.streams;
        RunRecord {
            stdout_truncated: record.stdout_truncated || stdout.is_cut,
            stderr_truncated: record.stderr_truncated || stderr.is_cut,
            ..record
        }
    }
}

/// Connects to the keeper of the sandboxes, which systemd starts then.
async fn connect(sandboxd: &Path) -> Result<Waiting, CallError> {
    let until = Instant::now() + CONNECT_TIME;
    loop {
        match Connection::open(sandboxd) {
            Ok(connection) => {
                let failed = |error| broken(&ClientError::Connection(error));
                return Waiting::new(connection).map_err(failed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                time::sleep(CONNECT_PAUSE).await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(CallError::limit_exceeded("the sandboxes are busy", WAIT_FOR_ANOTHER));
            }
            Err(_) => {
                return Err(CallError::Unavailable(
                    "nobody makes sandboxes here: look at `systemctl status \
                     aictl-sandboxd.socket`"
                        .to_owned(),
                ));
            }
        }
    }
}

/// A connection whose replies can be waited for beside other things.
struct Waiting {
    connection: Connection,
    /// The same socket once more. That it is no pipe is nothing to who waits until it can be read; of
    /// a socket, tokio would wait for room to write, too, and be woken up whenever the keeper reads.
    readable: Receiver,
}

impl Waiting {
    fn new(connection: Connection) -> io::Result<Self> {
        let same = connection.as_fd().try_clone_to_owned()?;
        Ok(Self { connection, readable: Receiver::from_owned_fd_unchecked(same)? })
    }

    async fn receive(&self) -> Result<Reply, ClientError> {
        loop {
            self.readable.readable().await.map_err(ClientError::Connection)?;
            match self.readable.try_io(|| self.connection.try_receive()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                reply => return reply.map_err(ClientError::Connection)?,
            }
        }
    }
}

fn broken(error: &ClientError) -> CallError {
    CallError::Unavailable(match error {
        ClientError::Connection(_) | ClientError::Ended => {
            "the keeper of the sandboxes ended during the run, and the run with it: try again, or \
             look at `systemctl status aictl-sandboxd`"
                .to_owned()
        }
        _ => "the keeper of the sandboxes is of another version than the helper: restart both, \
              with `systemctl restart aictld aictl-sandboxd`"
            .to_owned(),
    })
}

fn silent() -> CallError {
    CallError::Unavailable(
        "the keeper of the sandboxes does not answer, and the run was given up: look at `systemctl \
         status aictl-sandboxd`"
            .to_owned(),
    )
}

fn rejected(rejection: &Rejection) -> CallError {
    let message = plain(&rejection.message);
    match rejection.kind {
        RejectKind::Invalid => CallError::InvalidArgument(message),
        RejectKind::LimitExceeded => {
            CallError::limit_exceeded("the sandboxes are busy", WAIT_FOR_ANOTHER)
        }
        RejectKind::NoInterpreter => CallError::NoInterpreter(message),
        RejectKind::Unavailable => {
            // What holds for this process need not hold for the keeper.
            let facts = Host::default().facts().of_another();
            CallError::Unavailable(match host::why_none_runs(&facts) {
                Some(reason) => format!("{message}; {reason}"),
                None => message,
            })
        }
        _ => CallError::Unavailable(message),
    }
}

#[cfg(test)]
mod tests {
    use aictl_sandbox::{protocol::Request, sealed_memfd};
    use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, socketpair};
    use std::{future, os::fd::AsRawFd};

    use super::*;
    use crate::stream;

    /// Time goes by in a moment where nobody has anything to do.
    #[tokio::test(start_paused = true)]
    async fn a_keeper_that_stands_still_is_told_that_its_run_is_given_up() {
        let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (ours, keepers) = socketpair(family, kind, None, flags).unwrap();
        let connection = Waiting::new(Connection::from_socket(ours)).unwrap();
        let ((_stdout, stdout), (_stderr, stderr)) =
            (stream::outward().unwrap(), stream::outward().unwrap());
        let script = Arc::new(sealed_memfd(b"print(1)").unwrap());
        let errand = Errand {
            job: Job::trial(aictl_sandbox::protocol::RequestId::from_bytes([7; 16])).unwrap(),
            script,
            stdin: None,
            stdout,
            stderr,
        };
        let never = std::pin::pin!(future::pending());
        let given_up = drive_by(&connection, errand, never).await.unwrap_err();
        assert_eq!(given_up.dbus_name(), "org.aictl1.Error.Unavailable");
        let mut packet = [0; 4096];
        let mut heard = || {
            let length = recv(keepers.as_raw_fd(), &mut packet, MsgFlags::empty()).unwrap();
            Request::decode(&packet[..length]).unwrap()
        };
        assert!(matches!(heard(), Request::Run(_)));
        assert_eq!(heard(), Request::Cancel);
        // It still says when it holds nothing any more.
        let rest = Rest(connection);
        drop(keepers);
        rest.is_gone().await;
    }
}
