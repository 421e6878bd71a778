//! The signals that end what is going on: those of them that whoever started this program has not
//! had it ignore, as nohup(1) and a shell's `&` do.

use std::{future::poll_fn, io, task::Poll};

use aictl_sandbox::ignores_signal;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that end what is going on, as they come.
pub struct Signals(Vec<(SignalKind, Signal)>);

impl Signals {
    /// Listens to these, but for those that are ignored; there must be a runtime.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn listen(to: &[SignalKind]) -> io::Result<Self> {
        let heeded = to.iter().filter(|kind| !ignores_signal(kind.as_raw_value()));
        let listen = |kind: &SignalKind| signal(*kind).map(|signal| (*kind, signal));
        heeded.map(listen).collect::<io::Result<_>>().map(Self)
    }

    /// The next of them.
    pub async fn next(&mut self) -> SignalKind {
        poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            let came = signals
                .find_map(|(kind, signal)| signal.poll_recv(context).is_ready().then_some(*kind));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
