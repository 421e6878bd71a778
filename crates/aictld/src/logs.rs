//! Logs: what journalctl tells of a unit, redacted line by line into a stream whose other end the
//! caller has.
//!
//! The caller's end holds up nothing: each log has a task of its own, and a reader that does not
//! read is left after a while.

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aictl_api::{
    error::CallError,
    service::{Scope, Service, UnitName},
};
use aictl_core::journal::read::{JournalReader, LogLine, LogQuery, LogStream, ReadError};
use tokio::{net::UnixStream, time};

use crate::{
    call::Logs,
    caller::Seat,
    helper::Helper,
    limits::WAIT_FOR_ANOTHER,
    stream::{self, Watched},
};

/// The most logs that one user reads at one time.
pub const MAX_OF_ONE_UID: usize = 4;
/// The most logs that are read at one time, each by a process of its own.
pub const MAX_FOLLOWERS: usize = 32;
/// How long a reader may take to make room for one more line.
pub const STALL: Duration = Duration::from_secs(300);
/// How many lines stand in the record of an action that failed.
const LAST_LINES: u32 = 10;
/// How long it may take to find them.
const LAST_LINES_TIME: Duration = Duration::from_secs(5);

/// Who reads logs.
#[derive(Debug, Clone)]
pub struct Followers {
    journal: JournalReader,
    stall: Duration,
    places: Arc<Mutex<HashMap<u32, usize>>>,
}

/// One log's place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    followers: Followers,
    uid: u32,
}

impl Followers {
    /// Nobody yet. A reader that makes no room for a line for `stall` is left.
    #[must_use]
    pub fn new(journal: JournalReader, stall: Duration) -> Self {
        Self { journal, stall, places: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many logs are being read.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().values().sum()
    }

    /// Makes room for one more log of this user's.
    ///
    /// # Errors
    /// [`CallError::LimitExceeded`] if there are too many.
    pub fn place(&self, uid: u32) -> Result<Place, CallError> {
        let all = self.count();
        let mut places = self.lock();
        let mine = places.get(&uid).copied().unwrap_or(0);
        if mine >= MAX_OF_ONE_UID || all >= MAX_FOLLOWERS {
            return Err(CallError::limit_exceeded(
                "too many logs are being read",
                WAIT_FOR_ANOTHER,
            ));
        }
        places.insert(uid, mine + 1);
        Ok(Place { followers: self.clone(), uid })
    }

    /// The last lines of a unit's log, where they can be had.
    pub async fn last_lines(&self, unit: &UnitName) -> Vec<String> {
        let query = LogQuery {
            unit: unit.clone(),
            scope: Scope::System,
            lines: LAST_LINES,
            since_usec: None,
            follow: false,
            priority: None,
        };
        let lines = time::timeout(LAST_LINES_TIME, self.journal.log_lines(&query)).await;
        let lines = lines.ok().and_then(Result::ok).unwrap_or_default();
        lines.into_iter().map(|line| line.message).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.followers.lock();
        if let Some(mine) = places.get_mut(&self.uid) {
            *mine -= 1;
            if *mine == 0 {
                places.remove(&self.uid);
            }
        }
    }
}

/// Begins to read a service's log, and returns the end of the stream that is the caller's.
///
/// # Errors
/// If the journal cannot be read.
pub async fn open(
    helper: &Arc<Helper>,
    seat: &Arc<Seat>,
    service: &Service,
    wanted: &Logs,
    place: Place,
) -> Result<OwnedFd, CallError> {
    let query = LogQuery {
        unit: service.unit.clone(),
        scope: Scope::System,
        lines: wanted.lines,
        since_usec: wanted.since_usec,
        follow: wanted.follow,
        priority: None,
    };
    let mut lines = place.followers.journal.logs(&query).map_err(|error| unreadable(&error))?;
    // Whether the journal can be read at all shows with the first line; but who follows may have
    // to wait for that.
    let first = match wanted.follow {
        true => None,
        false => match lines.next().await {
            Ok(Some(line)) => Some(line),
            Ok(None) => return ended().map_err(|error| no_room(&error)),
            Err(error) => return Err(unreadable(&error)),
        },
    };
    let (theirs, ours) = stream::watched().map_err(|error| no_room(&error))?;
    let (helper, seat) = (Arc::clone(helper), Arc::clone(seat));
    let in_use = helper.activity.begin();
    tokio::spawn(async move {
        tokio::select! {
            _ended = pump(first, lines, &ours, place.followers.stall) => {}
            _closed = ours.closed() => {}
            () = seat.gone() => {}
            () = helper.draining() => {}
        }
        drop((place, in_use));
    });
    Ok(theirs)
}

/// The end of a stream that nothing comes out of.
fn ended() -> io::Result<OwnedFd> {
    stream::watched().map(|(theirs, _)| theirs)
}

fn no_room(_error: &io::Error) -> CallError {
    CallError::Unavailable("the helper has no room for another log; try again later".to_owned())
}

fn unreadable(error: &ReadError) -> CallError {
    CallError::Unavailable(match error {
        ReadError::NoJournalctl => "journalctl is not installed".to_owned(),
        ReadError::TimedOut(_) => "the journal does not answer; try again later".to_owned(),
        _ => "the helper cannot read the journal; is it in the group systemd-journal?".to_owned(),
    })
}

/// Writes one line after the other.
async fn pump(
    first: Option<LogLine>,
    mut lines: LogStream,
    to: &Watched,
    stall: Duration,
) -> io::Result<()> {
    let to = to.end()?;
    let mut next = first;
    loop {
        let line = match next.take() {
            Some(line) => line,
            None => match lines.next().await {
                Ok(Some(line)) => line,
                // The caller sees the end of the stream.
                Ok(None) | Err(_) => return Ok(()),
            },
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        time::timeout(stall, write_all(to, &bytes))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
}

async fn write_all(to: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_logs_of_one_user_and_of_all() {
        let followers = Followers::new(JournalReader::default(), STALL);
        let mut mine: Vec<_> =
            (0..MAX_OF_ONE_UID).map(|_| followers.place(1000).unwrap()).collect();
        let refused = followers.place(1000).unwrap_err();
        assert_eq!(refused.dbus_name(), "org.aictl1.Error.LimitExceeded");
        mine.pop();
        mine.push(followers.place(1000).unwrap());
        let others: Vec<_> = (2000..).map_while(|uid| followers.place(uid).ok()).collect();
        assert_eq!(mine.len() + others.len(), MAX_FOLLOWERS);
        drop((mine, others));
        assert_eq!(followers.count(), 0);
        assert!(followers.lock().is_empty());
    }
}
