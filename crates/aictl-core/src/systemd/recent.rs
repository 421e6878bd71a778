//! States of units that were read a moment ago, and have not changed since.
//!
//! systemd takes milliseconds to tell of a unit: it reads the files of one that does not run for
//! every single question, and forgets it again. So what it said is kept for as long as somebody
//! watches its signals (see [`Changes`](super::Changes)): until the unit changes, a job on it begins
//! or ends, unit files change or are read again, or systemd is another one; and at most for
//! [`MAX_AGE`], since no signal tells of a file that was put in place by hand.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aictl_api::service::UnitName;

use super::{SystemdError, UnitState};

/// How long a state counts, whatever signals come or do not come.
const MAX_AGE: Duration = Duration::from_secs(5);
/// The most units that are remembered.
const MAX_UNITS: usize = 256;

/// What systemd said of a unit. An error is kept as well where it is that there is no such unit.
pub(super) type Said = Result<UnitState, SystemdError>;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// Whether somebody watches systemd's signals. If not, nothing is remembered.
    is_watched: bool,
    units: HashMap<String, Entry>,
    questions: u64,
}

#[derive(Debug)]
struct Entry {
    /// The question that the answer is to.
    question: u64,
    /// When it was asked: the state is at most this old.
    asked: Instant,
    /// `None` until the answer is there.
    said: Option<Said>,
}

/// A question whose answer may be remembered.
#[derive(Debug)]
pub(super) struct Ticket {
    question: u64,
    asked: Instant,
}

impl Recent {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // It is whole whatever its last user did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything, and whether it remembers from now on.
    pub(super) fn start_over(&self, is_watched: bool) {
        let mut memory = self.memory();
        memory.units.clear();
        memory.is_watched = is_watched;
    }

    /// Forgets every unit.
    pub(super) fn forget_all(&self) {
        self.memory().units.clear();
    }

    /// Forgets a unit, and lets no answer to what was asked before be remembered.
    pub(super) fn forget(&self, unit: &str) {
        self.memory().units.remove(unit);
    }

    /// What was said of a unit, if that still counts.
    pub(super) fn get(&self, unit: &UnitName, now: Instant) -> Option<Said> {
        let memory = self.memory();
        let entry = memory.units.get(unit.as_ref())?;
        let age = now.saturating_duration_since(entry.asked);
        entry.said.clone().filter(|_| age < MAX_AGE)
    }

    /// A unit is about to be asked for: from now on, only the answer to that counts.
    pub(super) fn ask(&self, unit: &UnitName, now: Instant) -> Option<Ticket> {
        let mut memory = self.memory();
        memory.units.remove(unit.as_ref());
        if !memory.is_watched {
            return None;
        }
        if memory.units.len() >= MAX_UNITS {
            memory.units.clear();
        }
        memory.questions += 1;
        let ticket = Ticket { question: memory.questions, asked: now };
        let entry = Entry { question: ticket.question, asked: now, said: None };
        memory.units.insert(unit.to_string(), entry);
        Some(ticket)
    }

    /// The answer is there. If the unit has changed since the question, nobody can say whether that
    /// was before the answer: then it is not remembered.
    pub(super) fn answer(&self, unit: &UnitName, ticket: &Ticket, said: &Said) {
        let mut memory = self.memory();
        let entry = memory.units.get_mut(unit.as_ref());
        let Some(entry) = entry.filter(|entry| entry.question == ticket.question) else { return };
        match said {
            Ok(_) | Err(SystemdError::NotFound | SystemdError::Alias { .. }) => {
                entry.said = Some(said.clone());
                entry.asked = ticket.asked;
            }
            // Another time it may be able to say.
            Err(_) => drop(memory.units.remove(unit.as_ref())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str) -> UnitName {
        UnitName::parse(name).unwrap()
    }

    fn active() -> Said {
        Ok(UnitState { active_state: "active".to_owned(), ..UnitState::default() })
    }

    /// One that is watched, and knows of ollama.service.
    fn knowing(said: Said, now: Instant) -> Recent {
        let recent = Recent::default();
        recent.start_over(true);
        let ticket = recent.ask(&unit("ollama.service"), now).unwrap();
        assert_eq!(recent.get(&unit("ollama.service"), now), None, "nothing is said yet");
        recent.answer(&unit("ollama.service"), &ticket, &said);
        recent
    }

    #[test]
    fn what_was_said_counts_until_something_speaks_against_it() {
        let now = Instant::now();
        let alias = || Err(SystemdError::Alias { id: "ssh.service".to_owned() });
        for said in [active(), Err(SystemdError::NotFound), alias()] {
            let recent = knowing(said.clone(), now);
            let get = |now| recent.get(&unit("ollama.service"), now);
            assert_eq!(get(now), Some(said.clone()));
            assert_eq!(get(now + MAX_AGE - Duration::from_millis(1)), Some(said));
            assert_eq!(get(now + MAX_AGE), None);
            assert_eq!(recent.get(&unit("vllm.service"), now), None);
        }
        type Change = (&'static str, fn(&Recent));
        let changes: [Change; 5] = [
            ("the unit changes", |recent| recent.forget("ollama.service")),
            ("unit files are read again", Recent::forget_all),
            ("systemd is another one", |recent| recent.start_over(true)),
            ("nobody watches", |recent| recent.start_over(false)),
            ("it is asked for anew", |recent| {
                recent.ask(&unit("ollama.service"), Instant::now());
            }),
        ];
        for (what, change) in changes {
            let recent = knowing(active(), now);
            recent.forget("vllm.service");
            assert_eq!(recent.get(&unit("ollama.service"), now), Some(active()), "{what}");
            change(&recent);
            assert_eq!(recent.get(&unit("ollama.service"), now), None, "{what}");
        }
    }

    #[test]
    fn an_answer_that_may_be_of_before_a_change_is_not_remembered() {
        let (now, name) = (Instant::now(), unit("ollama.service"));
        let changes: [fn(&Recent); 5] = [
            |recent| recent.forget("ollama.service"),
            Recent::forget_all,
            |recent| recent.start_over(true),
            |recent| recent.start_over(false),
            |recent| {
                recent.ask(&unit("ollama.service"), Instant::now());
            },
        ];
        for (row, change) in changes.into_iter().enumerate() {
            let recent = Recent::default();
            recent.start_over(true);
            let ticket = recent.ask(&name, now).unwrap();
            change(&recent);
            recent.answer(&name, &ticket, &active());
            assert_eq!(recent.get(&name, now), None, "row {row}");
        }
    }

    #[test]
    fn nothing_is_remembered_unwatched_or_of_what_could_not_be_asked() {
        let (now, name) = (Instant::now(), unit("ollama.service"));
        assert!(Recent::default().ask(&name, now).is_none());
        for error in [SystemdError::Lost, SystemdError::Unavailable, SystemdError::AccessDenied] {
            assert_eq!(knowing(Err(error), now).get(&name, now), None);
        }
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let recent = Recent::default();
        recent.start_over(true);
        for number in 0..10 * MAX_UNITS {
            let name = unit(&format!("u{number}.service"));
            let ticket = recent.ask(&name, Instant::now()).unwrap();
            recent.answer(&name, &ticket, &active());
            assert!(recent.memory().units.len() <= MAX_UNITS);
            assert!(recent.get(&name, Instant::now()).is_some());
        }
    }
}
