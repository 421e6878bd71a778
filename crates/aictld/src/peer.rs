//! Calls without a bus: connections of our own socket, each speaking the same interface.
//!
//! Who is at the other end is what the kernel says (SO_PEERCRED, SO_PEERPIDFD in unix(7)), at the
//! moment of connecting.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
use tokio::{net::UnixStream, time};
use zbus::{Guid, connection::Builder, message::Type};

use crate::{
    caller::{Caller, Seat},
    dispatch::{self, Line},
    helper::Helper,
    peer::door::{Bytes, Door},
    place::PlaceOf,
    polkit::Subject,
};

pub mod door;
mod handshake;
pub mod socket;

/// The most connections of one user at one time.
pub const MAX_OF_ONE_UID: usize = 16;
/// The most connections at one time.
pub const MAX_PEERS: usize = 256;
/// How long a client may take over the handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// Who is connected.
#[derive(Debug, Clone, Default)]
pub struct Peers(Arc<Mutex<HashMap<u32, usize>>>);

/// One connection's place, given back when dropped.
#[derive(Debug)]
struct Place {
    peers: Peers,
    uid: u32,
}

impl Peers {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, uid: u32) -> Option<Place> {
        let mut peers = self.lock();
        let all: usize = peers.values().sum();
        let mine = peers.get(&uid).copied().unwrap_or(0);
        if mine >= MAX_OF_ONE_UID || all >= MAX_PEERS {
            return None;
        }
        peers.insert(uid, mine + 1);
        Some(Place { peers: self.clone(), uid })
    }

    /// Serves a connection, in a task of its own. One too many is closed.
    pub fn accept(&self, helper: &Arc<Helper>, stream: UnixStream) {
        let door = Door::new(stream);
        let Ok(caller) = door.stream().and_then(|stream| caller(stream, &helper.place_of)) else {
            return;
        };
        let Some(place) = self.place(caller.uid) else { return };
        let helper = Arc::clone(helper);
        // Its place is taken until all is closed that came over it.
        let held = Arc::new((place, helper.activity.begin()));
        tokio::spawn(async move {
            let bytes = Bytes::new(door, Arc::clone(&held) as door::Held);
            // A client that does not speak the protocol is told nothing and owed nothing.
            let _gone = serve(&helper, bytes, caller).await;
            drop(held);
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut peers = self.peers.lock();
        if let Some(mine) = peers.get_mut(&self.uid) {
            *mine -= 1;
            if *mine == 0 {
                peers.remove(&self.uid);
            }
        }
    }
}

/// Who is at the other end.
fn caller(stream: &UnixStream, place_of: &PlaceOf) -> io::Result<Caller> {
    let credentials = stream.peer_cred()?;
    let uid = credentials.uid();
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
    // Linux 6.5 and later; without it there is nothing to ask polkit about.
    let pidfd = getsockopt(stream, PeerPidfd).ok();
    let subject = pidfd.and_then(|pidfd| Subject::pidfd(pidfd, uid, place_of.clone()));
    Ok(Caller::new(uid, pid, subject))
}

async fn serve(helper: &Arc<Helper>, mut bytes: Bytes, caller: Caller) -> zbus::Result<()> {
    let guid = Guid::generate();
    let handshake = handshake::serve(&mut bytes, caller.uid, guid.as_str());
    let agreed = time::timeout(HANDSHAKE_TIME, handshake)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let halves = socket::halves(bytes, agreed.descriptors);
    let mut messages =
        Builder::authenticated_socket(halves, guid).p2p().build_message_stream().await?;
    let line = Line::peer((&messages).into());
    let seat = Arc::new(Seat::of(caller));
    loop {
        let idle = helper.policies.now().helper.idle_timeout;
        let message = tokio::select! {
            message = time::timeout(idle, dispatch::next(&mut messages)) => message,
            () = drained(helper, &seat) => break,
        };
        match message {
            Ok(Some(message)) if message.message_type() == Type::MethodCall => {
                line.receive(helper, &seat, message);
            }
            // No call is answered by us with a call.
            Ok(Some(_)) => {}
            Ok(None) => break,
            // It may come back as it came.
            Err(_) if !seat.is_busy() => break,
            Err(_) => {}
        }
        tokio::task::consume_budget().await;
    }
    seat.leave();
    Ok(())
}

/// Waits until the helper ends and the last call is answered.
async fn drained(helper: &Helper, seat: &Seat) {
    helper.draining().await;
    seat.idle().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_connections_of_one_user_and_of_all() {
        let peers = Peers::default();
        let mut mine: Vec<_> = (0..MAX_OF_ONE_UID).map(|_| peers.place(1000).unwrap()).collect();
        assert!(peers.place(1000).is_none());
        mine.pop();
        assert!(peers.place(1000).is_some());
        let others: Vec<_> = (2000..).map_while(|uid| peers.place(uid)).collect();
        assert_eq!(mine.len() + others.len(), MAX_PEERS);
        assert!(peers.place(0).is_none());
        drop((mine, others));
        assert!(peers.lock().is_empty());
    }

    #[tokio::test]
    async fn the_kernel_says_who_is_there() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let caller = caller(&ours, &PlaceOf::kernel()).unwrap();
        assert_eq!(caller.uid, nix::unistd::getuid().as_raw());
        assert_eq!(caller.pid, Some(std::process::id()));
    }
}
