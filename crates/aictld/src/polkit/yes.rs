//! Answers of polkit's that still count a moment later.
//!
//! To look at a service costs next to nothing, and asking polkit whether one may is most of that.
//! So polkit's plain yes to looking is kept, for the connection that it was given to. Why this
//! takes nothing away from polkit's word:
//!
//! - It is a yes to the very same question: the same connection (whose name the bus never gives
//!   away twice), action, service and unit. A connection's process does not become another user's.
//! - It is a yes that polkit gave without asking anybody, and said nothing else of: none that an
//!   authentication has given, which polkit takes back by itself after a while.
//! - polkit tells by its signal `Changed` that rules, actions or sessions are others now. Then, and
//!   whenever polkit's name on the bus changes hands, every yes of before is void. The signal comes
//!   over the connection that calls come over too: no call that is made after it is looked at first.
//! - What polkit does not tell of (a rule that looks at the clock, a user taken out of a group)
//!   counts after [`MAX_AGE`] at the latest.
//! - To act is asked for each time, and so are logs. A no is never kept.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aictl_api::{
    authorisation::Action,
    service::{ServiceName, UnitName},
};

use super::{Kind, Question};

/// How long a yes counts, whatever signals come or do not come.
pub(super) const MAX_AGE: Duration = Duration::from_secs(5);
/// The most yeses that are kept for one connection.
const MAX_YESES: usize = 64;

/// Whether a yes to this may be kept: only where nothing is done, and nothing private is shown.
const fn is_harmless(action: Action) -> bool {
    match action {
        Action::ServicesRead | Action::GpuRead => true,
        Action::ServicesControl
        | Action::ServicesEnable
        | Action::LogsRead
        | Action::SandboxRun
        | Action::SandboxCancelOthers => false,
    }
}

/// What polkit has said yes to, of one connection.
#[derive(Debug, Default)]
pub struct Yeses(Mutex<HashMap<Asked, Yes>>);

/// All that a question is made of, beside who it is about.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Asked {
    action: Action,
    service: Option<(ServiceName, UnitName)>,
}

impl Asked {
    /// `None` for a question whose answer counts once.
    fn of(question: &Question<'_>) -> Option<Self> {
        let is_of_a_connection = matches!(question.subject.0, Kind::BusName(_));
        let counts = is_of_a_connection && question.verb.is_none() && is_harmless(question.action);
        let service = question.service.map(|service| (service.name.clone(), service.unit.clone()));
        counts.then_some(Self { action: question.action, service })
    }
}

#[derive(Debug)]
struct Yes {
    era: u64,
    asked: Instant,
}

impl Yeses {
    fn lock(&self) -> MutexGuard<'_, HashMap<Asked, Yes>> {
        // It is whole whatever its last user did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the answer to this is known to be yes.
    pub(super) fn has(&self, question: &Question<'_>, era: u64, now: Instant) -> bool {
        let Some(asked) = Asked::of(question) else { return false };
        self.lock()
            .get(&asked)
            .is_some_and(|yes| yes.era == era && now.saturating_duration_since(yes.asked) < MAX_AGE)
    }

    /// Keeps a plain yes to a question that was asked in this era at this time.
    pub(super) fn keep(&self, question: &Question<'_>, era: u64, asked_at: Instant) {
        // It may be the user's, and not polkit's.
        if question.interactive {
            return;
        }
        let Some(asked) = Asked::of(question) else { return };
        let mut yeses = self.lock();
        if yeses.len() >= MAX_YESES {
            yeses.clear();
        }
        yeses.insert(asked, Yes { era, asked: asked_at });
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
    use aictl_api::{
        authorisation::Verb,
        service::{Catalogue, Service},
    };
    use zbus::names::OwnedUniqueName;

    use super::*;
    use crate::polkit::Subject;

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

    #[test]
    fn a_yes_counts_for_the_same_question_for_a_moment() {
        let (subject, ollama, vllm) = (caller(), service("ollama"), service("vllm"));
        let (yeses, now) = (Yeses::default(), Instant::now());
        let question = look(&subject, Some(&ollama));
        assert!(!yeses.has(&question, 0, now));
        yeses.keep(&question, 0, now);
        assert!(yeses.has(&question, 0, now));
        assert!(yeses.has(&question, 0, now + MAX_AGE - Duration::from_millis(1)));
        // What is allowed without a question is allowed with one.
        assert!(yeses.has(&Question { interactive: true, ..question }, 0, now));
        assert!(!yeses.has(&question, 0, now + MAX_AGE));
        assert!(!yeses.has(&question, 1, now), "another era");
        assert!(!yeses.has(&look(&subject, Some(&vllm)), 0, now), "another service");
        assert!(!yeses.has(&look(&subject, None), 0, now), "all services");
        let other_unit = Service { unit: vllm.unit.clone(), ..ollama.clone() };
        assert!(!yeses.has(&look(&subject, Some(&other_unit)), 0, now), "another unit");
        let of_gpus = Question { action: Action::GpuRead, ..question };
        assert!(!yeses.has(&of_gpus, 0, now), "another action");
    }

    #[test]
    fn all_else_is_asked_for_each_time() {
        let (subject, ollama, now) = (caller(), service("ollama"), Instant::now());
        let question = look(&subject, Some(&ollama));
        let kept = |question: Question<'_>| {
            let yeses = Yeses::default();
            yeses.keep(&question, 0, now);
            yeses.has(&question, 0, now)
        };
        for action in Action::ALL {
            let harmless = [Action::ServicesRead, Action::GpuRead].contains(&action);
            assert_eq!(kept(Question { action, ..question }), harmless, "{action:?}");
        }
        for verb in Verb::ALL {
            assert!(!kept(Question { verb: Some(verb), ..question }), "{verb:?}");
        }
        assert!(!kept(Question { interactive: true, ..question }), "perhaps after a prompt");
        let null = std::fs::File::open("/dev/null").unwrap();
        let process = Subject::pidfd(null.into(), 1000).unwrap();
        assert!(!kept(Question { subject: &process, ..question }), "not of the bus");
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
        let (subject, mut service, now) = (caller(), service("ollama"), Instant::now());
        let yeses = Yeses::default();
        for number in 0..10 * MAX_YESES {
            service.unit = UnitName::parse(&format!("u{number}.service")).unwrap();
            yeses.keep(&look(&subject, Some(&service)), 0, now);
            assert!(yeses.has(&look(&subject, Some(&service)), 0, now));
            assert!(yeses.lock().len() <= MAX_YESES);
        }
    }
}
