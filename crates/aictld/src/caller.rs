//! Who calls: what the bus, or the kernel, says of the other side of a connection; never what a
//! message says.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use aictl_core::systemd::Systemd;
use tokio::{
    sync::{OnceCell, Semaphore, watch},
    time,
};
use zbus::{Connection, fdo::ConnectionCredentials, names::OwnedUniqueName};

use crate::{place::Units, polkit::Subject};

/// The most calls of one connection at one time that are looked at at all, before anybody knows
/// whose they are. A connection cannot be of two uids, so this is also the most that a
/// configuration can allow one uid with one connection.
pub const MAX_CALLS: usize = 256;
/// The most connections that are remembered. Those with a call going on are never forgotten.
pub const MAX_SEATS: usize = 1024;
/// The most questions to the bus at one time, of the 128 calls without an answer that it lets a
/// connection have (dbus-daemon(1), max_replies_per_connection).
const MAX_ASKING: usize = 16;
/// How long the bus may take to say who a caller is, and systemd what unit it runs in.
const PATIENCE: Duration = Duration::from_secs(5);

/// One that calls.
#[derive(Debug)]
pub struct Caller {
    /// Its user.
    pub uid: u32,
    /// Its process, when it connected; for the record only.
    pub pid: Option<u32>,
    /// What polkit is asked about; `None` where there is nothing that cannot become another's.
    pub subject: Option<Subject>,
    unit: OnceCell<String>,
}

impl Caller {
    /// A caller of whom this is known.
    #[must_use]
    pub fn new(uid: u32, pid: Option<u32>, subject: Option<Subject>) -> Self {
        Self { uid, pid, subject, unit: OnceCell::new() }
    }

    /// The unit that the caller's process runs in, if systemd has been asked already; else empty.
    #[must_use]
    pub fn known_unit(&self) -> &str {
        self.unit.get().map_or("", String::as_str)
    }

    /// The unit that the caller's process runs in, for the record only; empty if it is not known.
    /// systemd is asked once, and for all who stand where this one does.
    pub async fn unit(&self, systemd: Option<&Systemd>, units: &Units) -> &str {
        let ask = async || {
            let place = || self.subject.as_ref().and_then(Subject::place);
            let before = place();
            if let Some(unit) = before.and_then(|place| units.get(place)) {
                return unit;
            }
            let (Some(systemd), Some(pid)) = (systemd, self.pid) else { return String::new() };
            let answer = time::timeout(PATIENCE, systemd.unit_of_pid(pid)).await;
            let unit = answer.ok().and_then(Result::ok).flatten().unwrap_or_default();
            // Else it is another process's, or that of a place it has left.
            if let Some(place) = place()
                && before == Some(place)
                && !unit.is_empty()
            {
                units.keep(place, &unit);
            }
            unit
        };
        self.unit.get_or_init(ask).await
    }
}

/// A connection's place here: who it is, how many calls it has, and whether it is still there.
#[derive(Debug)]
pub struct Seat {
    caller: OnceCell<Arc<Caller>>,
    calls: watch::Sender<usize>,
    /// How many runs it has.
    runs: AtomicUsize,
    gone: watch::Sender<bool>,
    asking: Arc<Semaphore>,
}

/// The end of a call's time at its seat, when dropped.
#[derive(Debug)]
pub struct Sitting(Arc<Seat>);

impl Drop for Sitting {
    fn drop(&mut self) {
        self.0.calls.send_modify(|calls| *calls -= 1);
    }
}

/// The end of a run's time at its seat, when dropped.
#[derive(Debug)]
pub struct Stay(Arc<Seat>);

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.runs.fetch_sub(1, SeqCst);
    }
}

impl Seat {
    fn empty(asking: Arc<Semaphore>) -> Self {
        Self {
            caller: OnceCell::new(),
            calls: watch::Sender::new(0),
            runs: AtomicUsize::new(0),
            gone: watch::Sender::new(false),
            asking,
        }
    }

    /// The place of a connection of whom the kernel has said who it is.
    #[must_use]
    pub fn of(caller: Caller) -> Self {
        // Of it nobody is asked.
        let seat = Self::empty(Arc::new(Semaphore::new(0)));
        Self { caller: OnceCell::new_with(Some(Arc::new(caller))), ..seat }
    }

    /// Counts one more call; `None` if there are too many.
    #[must_use]
    pub fn sit(self: &Arc<Self>) -> Option<Sitting> {
        let has_room = self.calls.send_if_modified(|calls| {
            let has_room = *calls < MAX_CALLS;
            *calls += usize::from(has_room);
            has_room
        });
        has_room.then(|| Sitting(Arc::clone(self)))
    }

    /// Keeps it remembered for as long as a run of it is there.
    #[must_use]
    pub fn stay(self: &Arc<Self>) -> Stay {
        self.runs.fetch_add(1, SeqCst);
        Stay(Arc::clone(self))
    }

    /// Whether a call of it, or a run, is going on.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        *self.calls.borrow() > 0 || self.runs.load(SeqCst) > 0
    }

    /// Waits until no call of it is going on.
    pub async fn idle(&self) {
        let mut calls = self.calls.subscribe();
        // The sender is our own: it is not dropped before us.
        let _idle = calls.wait_for(|calls| *calls == 0).await;
    }

    /// Who it is, if that is known already.
    #[must_use]
    pub fn known(&self) -> Option<&Arc<Caller>> {
        self.caller.get()
    }

    /// Who it is. The bus is asked once.
    ///
    /// # Errors
    /// If the bus does not say: the connection may be gone. Nothing is assumed then.
    pub async fn caller(
        &self,
        bus: &Connection,
        name: &OwnedUniqueName,
    ) -> Result<&Arc<Caller>, Unknown> {
        let ask = async || {
            // Nobody closes the semaphore.
            let _turn = self.asking.acquire().await;
            ask(bus, name).await.map(Arc::new)
        };
        self.caller.get_or_try_init(ask).await
    }

    /// The connection has ended.
    pub fn leave(&self) {
        self.gone.send_replace(true);
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Waits until the connection has ended.
    pub async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        // The sender is our own: it is not dropped before us.
        let _gone = gone.wait_for(|gone| *gone).await;
    }
}

/// The bus does not say who a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

async fn ask(bus: &Connection, name: &OwnedUniqueName) -> Result<Caller, Unknown> {
    const BUS: &str = "org.freedesktop.DBus";
    let body = (name,);
    let call = bus.call_method(
        Some(BUS),
        "/org/freedesktop/DBus",
        Some(BUS),
        "GetConnectionCredentials",
        &body,
    );
    let answer = time::timeout(PATIENCE, call).await.map_err(|_| Unknown)?.map_err(|_| Unknown)?;
    let credentials: ConnectionCredentials = answer.body().deserialize().map_err(|_| Unknown)?;
    // Without a uid there is nobody: above all it is not 0.
    let uid = credentials.unix_user_id().ok_or(Unknown)?;
    let subject = Subject::bus_name(name.clone());
    Ok(Caller::new(uid, credentials.process_id(), Some(subject)))
}

/// The places of all connections of a bus.
#[derive(Debug)]
pub struct Callers {
    seats: Mutex<HashMap<OwnedUniqueName, Arc<Seat>>>,
    asking: Arc<Semaphore>,
}

impl Default for Callers {
    fn default() -> Self {
        Self { seats: Mutex::default(), asking: Arc::new(Semaphore::new(MAX_ASKING)) }
    }
}

impl Callers {
    /// The place of the connection with this name.
    #[must_use]
    pub fn seat(&self, name: &OwnedUniqueName) -> Arc<Seat> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = seats.get(name) {
            return Arc::clone(seat);
        }
        if seats.len() >= MAX_SEATS {
            seats.retain(|_, seat| seat.is_busy());
        }
        let seat = Arc::new(Seat::empty(Arc::clone(&self.asking)));
        seats.insert(name.clone(), Arc::clone(&seat));
        seat
    }

    /// The connection with this name has ended.
    pub fn left(&self, name: &str) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = seats.remove(name) {
            seat.leave();
        }
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> OwnedUniqueName {
        OwnedUniqueName::try_from(format!(":1.{number}")).unwrap()
    }

    #[tokio::test]
    async fn who_leaves_is_forgotten_and_its_calls_know() {
        let callers = Callers::default();
        let seat = callers.seat(&name(1));
        assert!(Arc::ptr_eq(&seat, &callers.seat(&name(1))));
        callers.left(":1.2");
        assert!(!seat.is_gone());
        callers.left(":1.1");
        assert!(seat.is_gone() && callers.is_empty());
        seat.gone().await;
        // The bus gives no name twice; but if it did, the new one would be no old one.
        assert!(!callers.seat(&name(1)).is_gone());
    }

    #[test]
    fn idle_ones_make_room_and_busy_ones_stay() {
        let callers = Callers::default();
        let busy: Vec<_> = (0..3).map(|n| callers.seat(&name(n)).sit().unwrap()).collect();
        for number in 3..10 * MAX_SEATS {
            let _seat = callers.seat(&name(number));
            assert!(callers.len() <= MAX_SEATS);
        }
        for number in 0..busy.len() {
            assert!(callers.seat(&name(number)).is_busy());
        }
        // So does one with a run.
        let seat = callers.seat(&name(7));
        let stay = seat.stay();
        for number in 20 * MAX_SEATS..22 * MAX_SEATS {
            let _seat = callers.seat(&name(number));
        }
        assert!(Arc::ptr_eq(&seat, &callers.seat(&name(7))));
        drop(stay);
        assert!(!seat.is_busy());
    }

    #[test]
    fn a_connection_has_so_many_calls_at_one_time_and_no_more() {
        let seat = Arc::new(Seat::empty(Arc::new(Semaphore::new(1))));
        let mut sittings: Vec<_> = (0..MAX_CALLS).map(|_| seat.sit().unwrap()).collect();
        assert!(seat.sit().is_none());
        sittings.pop();
        assert!(seat.sit().is_some());
    }
}
