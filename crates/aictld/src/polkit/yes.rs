//! Answers of polkit's that still count a moment later.
//!
//! To look at a service costs next to nothing, and a run not much: asking polkit whether one may is
//! most of either. So polkit's plain yes to these is kept for the one that it was given to: on the
//! bus a connection, on the helper's own socket whoever stands in the same [`Place`]. Why this takes
//! nothing away from polkit's word:
//!
//! - It is a yes to the very same question: the same action, service and unit, by one of whom
//!   polkit sees the same. A connection's name the bus never gives away twice, and its process does
//!   not become another user's; processes of one place have the same user, session and unit. The
//!   place is looked at for each call, and once more after the answer: who has moved meanwhile is
//!   asked about the next time. What else polkit's rules may look at, such as the program behind
//!   `subject.pid`, they can tell apart only where nothing is kept: that is a setting.
//! - It is a yes that polkit gave without asking anybody, and said nothing else of: none that an
//!   authentication has given, which polkit takes back by itself after a while. So what may be kept
//!   is asked for without a prompt first, even where the caller allows one.
//! - polkit tells by its signal `Changed` that rules, actions or sessions are others now. Then, and
//!   whenever polkit's name on the bus changes hands, every yes of before is void. The signal comes
//!   over the connection that calls by the bus come over too: none of these that is made after it is
//!   looked at first. For a call on the socket it counts from when it has come.
//! - What polkit does not tell of (a rule that looks at the clock, a user taken out of a group)
//!   counts after five seconds at the latest, with the machine suspended or not.
//! - To act on a service is asked for each time, and so are logs and others' runs. A no is never
//!   kept.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aictl_api::{
    authorisation::Action,
    service::{ServiceName, UnitName},
};
use nix::time::{ClockId, clock_gettime};
use zbus::names::OwnedUniqueName;

use super::Question;
use crate::place::Place;

/// The most yeses that are kept.
const MAX_YESES: usize = 1024;

/// Whether a yes to this may be kept: only where nothing of the machine is changed, and nothing
/// private is shown.
const fn is_harmless(action: Action) -> bool {
    match action {
        Action::ServicesRead | Action::GpuRead | Action::SandboxRun => true,
        Action::ServicesControl
        | Action::ServicesEnable
        | Action::LogsRead
        | Action::SandboxCancelOthers => false,
    }
}

/// What polkit has said yes to.
#[derive(Debug, Default)]
pub struct Yeses(Mutex<HashMap<Asked, Yes>>);

/// Whom polkit sees as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// A connection to the bus.
    Connection(OwnedUniqueName),
    /// The processes of one place.
    Place(Place),
}

/// All that a question is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// Who it is about.
    pub(super) holder: Holder,
    action: Action,
    service: Option<(ServiceName, UnitName)>,
}

impl Asked {
    /// A question about this one; `None` if its answer counts once.
    pub(super) fn new(holder: Holder, question: &Question<'_>) -> Option<Self> {
        let counts = question.verb.is_none() && is_harmless(question.action);
        let service = question.service.map(|service| (service.name.clone(), service.unit.clone()));
        counts.then_some(Self { holder, action: question.action, service })
    }
}

/// A time since the machine was started, which goes on while it is suspended (CLOCK_BOOTTIME,
/// clock_gettime(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(Duration);

impl Moment {
    /// Now; `None` where the kernel has no such clock.
    pub(super) fn now() -> Option<Self> {
        clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(|time| Self(time.into()))
    }
}

#[derive(Debug)]
struct Yes {
    era: u64,
    asked: Moment,
}

impl Yes {
    /// Whether it still does, where it does for so long.
    fn counts(&self, era: u64, now: Moment, lasts: Duration) -> bool {
        let age = now.0.checked_sub(self.asked.0);
        self.era == era && age.is_some_and(|age| age < lasts)
    }
}

impl Yeses {
    fn lock(&self) -> MutexGuard<'_, HashMap<Asked, Yes>> {
        // It is whole whatever its last user did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the answer to this is known to be yes.
    pub(super) fn has(&self, asked: &Asked, era: u64, now: Moment, lasts: Duration) -> bool {
        self.lock().get(asked).is_some_and(|yes| yes.counts(era, now, lasts))
    }

    /// Keeps a plain yes to a question that was asked in this era at this time, of nobody but polkit.
    pub(super) fn keep(&self, asked: Asked, era: u64, now: Moment, lasts: Duration) {
        let mut yeses = self.lock();
        if yeses.len() >= MAX_YESES {
            yeses.retain(|_, yes| yes.counts(era, now, lasts));
        }
        if yeses.len() >= MAX_YESES {
            yeses.clear();
        }
        yeses.insert(asked, Yes { era, asked: now });
    }
}

/// Counts the eras in which polkit's answers stay as they are.
#[derive(Debug, Default)]
pub struct Eras(Mutex<Era>);

#[derive(Debug, Default)]
struct Era {
    number: u64,
    /// The unique name of polkit's connection; empty where it is not known.
    polkit: String,
}

impl Eras {
    fn lock(&self) -> MutexGuard<'_, Era> {
        // It is whole whatever its last user did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The era now.
    pub(super) fn now(&self) -> u64 {
        self.lock().number
    }

    /// A question to polkit, by its name, was answered by this connection.
    pub(super) fn answered(&self, sender: &str) {
        let mut era = self.lock();
        if era.polkit != sender {
            // The first that is seen changes nothing: before it there was no answer.
            era.number += u64::from(!era.polkit.is_empty());
            sender.clone_into(&mut era.polkit);
        }
    }

    /// A connection says what polkit says when its rules, actions or sessions change.
    pub(super) fn changed(&self, sender: &str) {
        let mut era = self.lock();
        if era.polkit.is_empty() || era.polkit == sender {
            era.number += 1;
        }
    }

    /// polkit's name is another connection's now, or nobody's.
    pub(super) fn owned_by(&self, owner: &str) {
        let mut era = self.lock();
        era.number += 1;
        owner.clone_into(&mut era.polkit);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use aictl_api::{
        authorisation::Verb,
        service::{Catalogue, Service},
    };

    use super::*;

    const LASTS: Duration = Duration::from_secs(5);
    use crate::{place::PlaceOf, polkit::Subject};

    fn caller() -> Subject {
        Subject::bus_name(OwnedUniqueName::try_from(":1.42").unwrap())
    }

    fn service(name: &str) -> Service {
        Catalogue::builtin().get(name).unwrap().clone()
    }

    fn look<'a>(subject: &'a Subject, service: Option<&'a Service>) -> Question<'a> {
        let action = Action::ServicesRead;
        Question { subject, action, service, verb: None, interactive: false, id: "x" }
    }

    fn asked(question: &Question<'_>) -> Option<Asked> {
        Asked::new(question.subject.holder()?, question)
    }

    #[test]
    fn a_yes_counts_for_the_same_question_for_a_moment() {
        let (subject, ollama, vllm) = (caller(), service("ollama"), service("vllm"));
        let (yeses, now) = (Yeses::default(), Moment::now().unwrap());
        let question = look(&subject, Some(&ollama));
        let has = |question: &Question<'_>, era, now| {
            yeses.has(&asked(question).unwrap(), era, now, LASTS)
        };
        let later = |time| Moment(now.0 + time);
        assert!(!has(&question, 0, now));
        yeses.keep(asked(&question).unwrap(), 0, now, LASTS);
        assert!(has(&question, 0, now));
        assert!(has(&question, 0, later(LASTS - Duration::from_millis(1))));
        // What is allowed without a question is allowed with one.
        assert!(has(&Question { interactive: true, ..question }, 0, now));
        assert!(!has(&question, 0, later(LASTS)));
        assert!(!has(&question, 1, now), "another era");
        for lasts in [Duration::ZERO, Duration::from_secs(1)] {
            let asked = asked(&question).unwrap();
            assert!(!yeses.has(&asked, 0, later(lasts), lasts), "a shorter time is set now");
        }
        let before = Moment(now.0 - Duration::from_secs(1));
        assert!(!has(&question, 0, before), "a clock that was set back");
        assert!(!has(&look(&subject, Some(&vllm)), 0, now), "another service");
        assert!(!has(&look(&subject, None), 0, now), "all services");
        let other_unit = Service { unit: vllm.unit.clone(), ..ollama.clone() };
        assert!(!has(&look(&subject, Some(&other_unit)), 0, now), "another unit");
        for action in [Action::GpuRead, Action::SandboxRun] {
            assert!(!has(&Question { action, ..question }, 0, now), "{action:?}");
        }
        let other = Subject::bus_name(OwnedUniqueName::try_from(":1.43").unwrap());
        assert!(!has(&look(&other, Some(&ollama)), 0, now), "another connection");
    }

    /// A process of this user's in this control group; in none if that is 0.
    fn process(uid: u32, cgroup: u64) -> Subject {
        let pidfd = File::open("/dev/null").unwrap().into();
        let place_of = PlaceOf::new(move |_, uid| (cgroup > 0).then(|| Place::at(uid, cgroup)));
        Subject::pidfd(pidfd, uid, place_of).unwrap()
    }

    #[test]
    fn of_a_process_a_yes_counts_where_it_stands() {
        let (yeses, now) = (Yeses::default(), Moment::now().unwrap());
        let run = |subject: &Subject| {
            let question = Question { action: Action::SandboxRun, ..look(subject, None) };
            asked(&question).unwrap()
        };
        yeses.keep(run(&process(1000, 77)), 0, now, LASTS);
        assert!(
            yeses.has(&run(&process(1000, 77)), 0, now, LASTS),
            "another process of the session"
        );
        assert!(!yeses.has(&run(&process(1000, 78)), 0, now, LASTS), "another session");
        assert!(
            !yeses.has(&run(&process(1001, 77)), 0, now, LASTS),
            "another user in the same session"
        );
        assert!(!yeses.has(&run(&caller()), 0, now, LASTS), "a connection to the bus");
    }

    #[test]
    fn all_else_is_asked_for_each_time() {
        let (subject, ollama) = (caller(), service("ollama"));
        let question = look(&subject, Some(&ollama));
        for action in Action::ALL {
            let kept =
                [Action::ServicesRead, Action::GpuRead, Action::SandboxRun].contains(&action);
            assert_eq!(asked(&Question { action, ..question }).is_some(), kept, "{action:?}");
        }
        for verb in Verb::ALL {
            assert_eq!(asked(&Question { verb: Some(verb), ..question }), None, "{verb:?}");
        }
        let process = process(1000, 0);
        assert_eq!(asked(&Question { subject: &process, ..question }), None, "it stands nowhere");
    }

    #[test]
    fn an_era_ends_by_polkits_word_and_with_polkit() {
        type Event = fn(&Eras);
        let table: [(&str, Event, bool); 7] = [
            ("polkit has changed", |eras| eras.changed(":1.5"), true),
            ("another says so", |eras| eras.changed(":1.6"), false),
            ("polkit goes", |eras| eras.owned_by(""), true),
            ("polkit is another", |eras| eras.owned_by(":1.6"), true),
            ("polkit is there again", |eras| eras.owned_by(":1.5"), true),
            ("polkit answers", |eras| eras.answered(":1.5"), false),
            ("another answers", |eras| eras.answered(":1.6"), true),
        ];
        for (what, event, ends) in table {
            let eras = Eras::default();
            let before = eras.now();
            eras.answered(":1.5");
            assert_eq!(eras.now(), before, "the first answer can be kept");
            event(&eras);
            assert_eq!(eras.now() != before, ends, "{what}");
        }
        // A word of change that comes before it is known who polkit is.
        let eras = Eras::default();
        let before = eras.now();
        eras.changed(":1.5");
        eras.answered(":1.5");
        assert_ne!(eras.now(), before);
        // Who took the name over is known by the bus's word alone.
        eras.owned_by(":1.7");
        let before = eras.now();
        eras.changed(":1.5");
        assert_eq!(eras.now(), before);
        eras.changed(":1.7");
        assert_ne!(eras.now(), before);
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let (subject, mut service, now) = (caller(), service("ollama"), Moment::now().unwrap());
        let yeses = Yeses::default();
        for number in 0..10 * MAX_YESES {
            service.unit = UnitName::parse(&format!("u{number}.service")).unwrap();
            let asked = asked(&look(&subject, Some(&service))).unwrap();
            yeses.keep(asked.clone(), 0, now, LASTS);
            assert!(yeses.has(&asked, 0, now, LASTS));
            assert!(yeses.lock().len() <= MAX_YESES);
        }
        // Those that count no more go first.
        let asked = asked(&look(&subject, None)).unwrap();
        let count = yeses.lock().len();
        for number in count..MAX_YESES {
            service.unit = UnitName::parse(&format!("v{number}.service")).unwrap();
            let old = Asked::new(asked.holder.clone(), &look(&subject, Some(&service))).unwrap();
            yeses.keep(old, 1, now, LASTS);
        }
        yeses.keep(asked, 1, now, LASTS);
        assert_eq!(yeses.lock().len(), MAX_YESES - count + 1);
    }
}
