//! Where the end of a run is told: by the helper at its own socket, or over the bus.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    pin::pin,
    sync::mpsc::{self, TryRecvError},
    thread,
};

use aictl_api::{error::CallError, record::RunRecord};
use aictl_core::{
    helper::{self, Helper},
    peer::{Peer, Sent},
};
use tokio::{runtime::Runtime, sync::mpsc as async_mpsc};

/// The connection over which a run was begun: without it, the run ends.
pub enum Line {
    /// To the helper itself.
    Peer(AtItsSocket),
    /// By way of the bus.
    Bus(OverTheBus),
}

/// A run at the helper's own socket.
pub struct AtItsSocket {
    peer: Peer,
    run: String,
    wait: Sent,
    cancel: Option<Sent>,
}

/// A run over the bus, whose end a thread waits for.
pub struct OverTheBus {
    /// Ends when the end was told.
    ended: UnixStream,
    told: mpsc::Receiver<Result<RunRecord, CallError>>,
    cancel: async_mpsc::UnboundedSender<()>,
}

impl Line {
    /// Asks the helper for the end of the run that it has taken over this connection.
    ///
    /// # Errors
    /// If that cannot be sent.
    pub fn at_its_socket(peer: Peer, run: String) -> Result<Self, CallError> {
        let wait = peer.wait_for_run(&run)?;
        Ok(Self::Peer(AtItsSocket { peer, run, wait, cancel: None }))
    }

    /// The same for a helper on the bus, where a thread goes on with what was begun.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn over_the_bus(runtime: Runtime, helper: Helper, run: String) -> io::Result<Self> {
        let (ended, end) = UnixStream::pair()?;
        let (tell, told) = mpsc::channel();
        let (cancel, cancels) = async_mpsc::unbounded_channel();
        thread::Builder::new().spawn(move || {
            let _gone = tell.send(runtime.block_on(end_of(&helper, &run, cancels)));
            drop(end);
            // A thread that waits for somebody would be waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self::Bus(OverTheBus { ended, told, cancel }))
    }

    /// Has the run ended; its record still comes.
    ///
    /// # Errors
    /// If that cannot be sent.
    pub fn cancel(&mut self) -> Result<(), CallError> {
        match self {
            Self::Peer(line) => line.cancel = Some(line.peer.cancel_run(&line.run)?),
            Self::Bus(line) => {
                // It has ended, then.
                let _gone = line.cancel.send(());
            }
        }
        Ok(())
    }

    /// The record of the run, if it has come.
    ///
    /// # Errors
    /// Why none will come.
    pub fn record(&mut self) -> Option<Result<RunRecord, CallError>> {
        match self {
            Self::Peer(line) => line.record(),
            Self::Bus(line) => match line.told.try_recv() {
                Ok(record) => Some(record),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(Err(helper::no_answer())),
            },
        }
    }
}

impl AtItsSocket {
    fn record(&mut self) -> Option<Result<RunRecord, CallError>> {
        loop {
            let (of, answer) = match self.peer.receive() {
                Ok(Some(answer)) => answer,
                Ok(None) => return None,
                Err(broken) => return Some(helper::ended(Err(broken))),
            };
            if of == self.wait {
                return Some(helper::ended(Ok(answer)));
            }
            if Some(of) == self.cancel
                && let Err(error) = unless_over(helper::cancelled(Ok(answer)))
            {
                return Some(Err(error));
            }
        }
    }
}

impl AsFd for Line {
    /// What can be read when the record may have come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Peer(line) => line.peer.as_fd(),
            Self::Bus(line) => line.ended.as_fd(),
        }
    }
}

/// Waits for the end of a run, and has it ended when that is asked for.
async fn end_of(
    helper: &Helper,
    run: &str,
    mut cancels: async_mpsc::UnboundedReceiver<()>,
) -> Result<RunRecord, CallError> {
    let mut wait = pin!(helper.wait_for_run(run));
    let cancel = async {
        match cancels.recv().await {
            Some(()) => unless_over(helper.cancel_run(run).await),
            None => Ok(()),
        }
    };
    tokio::select! {
        biased;
        record = &mut wait => return record,
        cancelled = cancel => cancelled?,
    }
    wait.await
}

/// A run that has ended meanwhile cannot be cancelled, and its record comes.
fn unless_over(cancelled: Result<(), CallError>) -> Result<(), CallError> {
    match cancelled {
        Err(CallError::InvalidArgument(_)) => Ok(()),
        other => other,
    }
}
