//! polkit's answer to: may this caller do this (org.freedesktop.PolicyKit1.Authority)?
//!
//! Only a plain yes is a yes. polkit absent, slow, stuck, failing, or answering what cannot be
//! understood means no. A question that nobody waits for any more is taken back, so that no
//! prompt stays open.

mod yes;

use std::{borrow::Cow, collections::HashMap, os::fd::AsFd, time::Duration};

use aictl_api::{
    authorisation::{Action, Verb},
    error::CallError,
    service::Service,
};
use tokio::{sync::Semaphore, time};
use zbus::{Connection, Message, OwnedFd, Variant, message::Flags, names::OwnedUniqueName};

use crate::{
    limits::WAIT_FOR_ANOTHER,
    place::{Place, PlaceOf},
};

use yes::{Asked, Eras, Holder, Moment, Yeses};

/// polkit's name on the bus.
pub const NAME: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
/// Its interface.
pub const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";
/// Its signal that rules, actions or sessions have changed.
pub const CHANGED: &str = "Changed";

/// Flag of a question: the user may be asked for a password.
const ALLOW_USER_INTERACTION: u32 = 1;
/// The detail of an answer after the user has closed the prompt.
const DISMISSED: &str = "polkit.dismissed";
/// The most questions at one time that nobody has to be asked for; more wait for their turn.
pub const MAX_PLAIN: usize = 48;
/// The most questions at one time that somebody may be asked for; more are refused.
pub const MAX_PROMPTS: usize = 48;

/// Who is asked about. There is no way to make one from a process's number, which by the time of
/// the answer may be another process's.
#[derive(Debug)]
pub struct Subject(Kind);

#[derive(Debug)]
enum Kind {
    /// Who holds this name, which the bus never gives away twice.
    BusName(OwnedUniqueName),
    /// A process, held by a descriptor, its user, and who knows where it stands.
    Pidfd(OwnedFd, i32, PlaceOf),
}

/// The type of a subject in a call: its kind and its details.
type SubjectArgument<'a> = (&'static str, HashMap<&'static str, Variant<'a>>);

impl Subject {
    /// A caller on the system bus.
    #[must_use]
    pub fn bus_name(name: OwnedUniqueName) -> Self {
        Self(Kind::BusName(name))
    }

    /// The process that made a connection, by the kernel's own word; `None` for a uid that polkit's
    /// type for it, `i`, cannot say.
    #[must_use]
    pub fn pidfd(pidfd: std::os::fd::OwnedFd, uid: u32, place_of: PlaceOf) -> Option<Self> {
        Some(Self(Kind::Pidfd(pidfd.into(), i32::try_from(uid).ok()?, place_of)))
    }

    /// Where the process stands now, if that is known of it.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match &self.0 {
            Kind::BusName(_) => None,
            Kind::Pidfd(pidfd, uid, place_of) => {
                place_of.ask(pidfd.as_fd(), u32::try_from(*uid).ok()?)
            }
        }
    }

    /// Whom polkit's yes is good for; `None` if for this one question.
    fn holder(&self) -> Option<Holder> {
        match &self.0 {
            Kind::BusName(name) => Some(Holder::Connection(name.clone())),
            Kind::Pidfd(..) => self.place().map(Holder::Place),
        }
    }

    fn argument(&self) -> SubjectArgument<'_> {
        match &self.0 {
            Kind::BusName(name) => {
                ("system-bus-name", HashMap::from([("name", Variant::from(name.as_str()))]))
            }
            // Understood by polkit 124 and later; an older one asks for a pid and refuses.
            Kind::Pidfd(pidfd, uid, _) => (
                "unix-process",
                HashMap::from([
                    ("pidfd", Variant::from(zbus::Fd::from(pidfd))),
                    ("uid", Variant::from(*uid)),
                ]),
            ),
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who wants to do it.
    pub subject: &'a Subject,
    /// What.
    pub action: Action,
    /// On which service, if on one.
    pub service: Option<&'a Service>,
    /// And what with it.
    pub verb: Option<Verb>,
    /// Whether the user may be asked for a password.
    pub interactive: bool,
    /// A name of its own for the question, to take it back by.
    pub id: &'a str,
}

impl<'a> Question<'a> {
    /// What polkit's rules and prompts can use.
    fn details(&self) -> HashMap<&'static str, &'a str> {
        let service = self.service.map(|service| ("service", service.name.as_ref()));
        let unit = self.service.map(|service| ("unit", service.unit.as_ref()));
        let verb = self.verb.map(|verb| ("verb", verb.name()));
        [service, unit, verb].into_iter().flatten().collect()
    }
}

/// How long polkit may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Where it asks nobody.
    pub plain: Duration,
    /// Where it may ask the user.
    pub prompt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { plain: Duration::from_secs(5), prompt: Duration::from_secs(120) }
    }
}

/// The way to polkit. The bus lets a connection have 128 calls without an answer (dbus-daemon(1),
/// max_replies_per_connection), and prompts stay open for minutes: they must not use up all.
#[derive(Debug)]
pub struct Polkit {
    patience: Patience,
    plain: Semaphore,
    prompts: Semaphore,
    yeses: Yeses,
    eras: Eras,
}

impl Polkit {
    /// The way, with so much patience.
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        let (plain, prompts) = (Semaphore::new(MAX_PLAIN), Semaphore::new(MAX_PROMPTS));
        let (yeses, eras) = Default::default();
        Self { patience, plain, prompts, yeses, eras }
    }

    /// Asks polkit, unless one of its yeses still counts for this caller: each does for as long as
    /// `lasts`, if it may be kept. Dropped before the answer, the question is taken back.
    ///
    /// # Errors
    /// [`CallError::InteractiveAuthorizationRequired`] if polkit would have to ask the user and
    /// must not, [`CallError::LimitExceeded`] if too many are being asked, and every other answer
    /// but yes, and that there is none.
    pub async fn check(
        &self,
        bus: &Connection,
        question: Question<'_>,
        lasts: Duration,
    ) -> Result<(), CallError> {
        let keep = (!lasts.is_zero()).then(|| self.keep(&question, lasts)).flatten();
        if let Some(Keep { asked, era, at, .. }) = &keep
            && self.yeses.has(asked, *era, *at, lasts)
        {
            return Ok(());
        }
        let mut id = Cow::Borrowed(question.id);
        // A yes that may be kept is one that polkit gives without asking anybody.
        if keep.is_some() || !question.interactive {
            let plain = Question { interactive: false, ..question };
            match self.ask_plainly(bus, plain, keep).await {
                Some(Err(CallError::InteractiveAuthorizationRequired(_))) | None
                    if question.interactive => {}
                Some(answer) => return answer,
                None => return Err(late()),
            }
            // A name of its own: the question before is being taken back, if it had no answer.
            id.to_mut().push_str(".prompt");
        }
        let question = Question { id: &id, ..question };
        let Ok(_turn) = self.prompts.try_acquire() else {
            return Err(CallError::limit_exceeded(
                "too many users are being asked for a password",
                WAIT_FOR_ANOTHER,
            ));
        };
        let answered = async { self.ask(bus, &question).await.map(|_| ()) };
        time::timeout(self.patience.prompt, answered).await.unwrap_or_else(|_| Err(late()))
    }

    /// A question whose plain yes may be kept for so long.
    fn keep(&self, question: &Question<'_>, lasts: Duration) -> Option<Keep> {
        let asked = Asked::new(question.subject.holder()?, question)?;
        Some(Keep { asked, era: self.eras.now(), at: Moment::now()?, lasts })
    }

    /// Asks without a prompt, and keeps a plain yes if it may be kept; `None` if there is no answer
    /// in time.
    async fn ask_plainly(
        &self,
        bus: &Connection,
        question: Question<'_>,
        keep: Option<Keep>,
    ) -> Option<Result<(), CallError>> {
        let answered = async {
            // Nobody closes the semaphore.
            let _turn = self.plain.acquire().await;
            let yes = self.ask(bus, &question).await?;
            // Of a change during the question nobody can say whether it was before the answer: the
            // yes is one of the era in which it was asked for. So too of who moves meanwhile.
            if let Some(Keep { asked, era, at, lasts }) = keep
                && yes == Plain::Yes
                && question.subject.holder().as_ref() == Some(&asked.holder)
            {
                self.yeses.keep(asked, era, at, lasts);
            }
            Ok(())
        };
        time::timeout(self.patience.plain, answered).await.ok()
    }

    async fn ask(&self, bus: &Connection, question: &Question<'_>) -> Result<Plain, CallError> {
        let answer = ask(bus, question).await?;
        let header = answer.header();
        self.eras.answered(header.sender().map_or("", |sender| sender.as_str()));
        verdict(&answer, question)
    }

    /// The name of polkit on the bus has this owner now; empty for nobody.
    pub fn owned_by(&self, owner: &str) {
        self.eras.owned_by(owner);
    }

    /// A connection says what polkit says when rules, actions or sessions change.
    pub fn changed(&self, sender: &str) {
        self.eras.changed(sender);
    }

    /// Whether polkit is on the bus, or can be started.
    pub async fn is_there(&self, bus: &Connection) -> bool {
        let asked = async {
            let _turn = self.plain.acquire().await;
            // The bus lets the helper's user ask polkit for its properties, but not for a Ping.
            let properties = "org.freedesktop.DBus.Properties";
            let body = (INTERFACE, "BackendVersion");
            bus.call_method(Some(NAME), PATH, Some(properties), "Get", &body).await.is_ok()
        };
        time::timeout(self.patience.plain, asked).await.unwrap_or(false)
    }
}

/// A question whose plain yes may be kept.
struct Keep {
    asked: Asked,
    /// The era in which it is asked, and when.
    era: u64,
    at: Moment,
    /// How long the yes counts.
    lasts: Duration,
}

fn late() -> CallError {
    CallError::NotAuthorized(
        "not authorised: no answer from polkit in its time; if it asked for a password, call again"
            .to_owned(),
    )
}

async fn ask(bus: &Connection, question: &Question<'_>) -> Result<Message, CallError> {
    let flags = if question.interactive { ALLOW_USER_INTERACTION } else { 0 };
    let body =
        (question.subject.argument(), question.action.id(), question.details(), flags, question.id);
    let mut open = Open { bus, id: Some(question.id) };
    let call = bus.call_method(Some(NAME), PATH, Some(INTERFACE), "CheckAuthorization", &body);
    let answer = call.await;
    open.id = None;
    answer.map_err(|_| no_answer())
}

fn no_answer() -> CallError {
    CallError::AuthorizationUnavailable(
        "not authorised: polkit cannot be asked; is it running?".to_owned(),
    )
}

/// Whether a yes is just that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Yes,
    /// polkit says more of it: that it is one for some time, after an authentication.
    No,
}

/// What an answer means.
fn verdict(answer: &Message, question: &Question<'_>) -> Result<Plain, CallError> {
    let body = answer.body();
    if body.signature().to_string_no_parens() != "bba{ss}" {
        return Err(no_answer());
    }
    let answer: Result<(bool, bool, HashMap<String, String>), _> = body.deserialize();
    let (is_authorized, is_challenge, details) = answer.map_err(|_| no_answer())?;
    match (is_authorized, is_challenge) {
        (true, false) => {
            // polkit repeats what it was told.
            let told = question.details();
            let is_told = |(key, value): (&String, &String)| {
                told.get(key.as_str()).is_some_and(|told| told == value)
            };
            Ok(if details.iter().all(is_told) { Plain::Yes } else { Plain::No })
        }
        // Both at once is nothing that polkit says.
        (true, true) => Err(no_answer()),
        (false, true) if !question.interactive => Err(CallError::InteractiveAuthorizationRequired(
            "authentication is needed, and your call did not allow to ask for it".to_owned(),
        )),
        (false, _) if details.contains_key(DISMISSED) => {
            Err(CallError::NotAuthorized("not authorised: the prompt was closed".to_owned()))
        }
        (false, true) => Err(CallError::NotAuthorized(
            "not authorised: authentication is needed, and there is no agent to ask for it"
                .to_owned(),
        )),
        (false, false) => {
            Err(CallError::NotAuthorized("not authorised by this machine's policy".to_owned()))
        }
    }
}

/// A question without an answer: taken back when dropped.
struct Open<'a> {
    bus: &'a Connection,
    /// `None` once there is an answer.
    id: Option<&'a str>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let (bus, id) = (self.bus.clone(), id.to_owned());
        // Beside the runtime, at its end, there is nobody left to tell.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let call = Message::method_call(PATH, "CancelCheckAuthorization")
                .destination(NAME)
                .interface(INTERFACE)
                .with_flags(Flags::NO_REPLY_EXPECTED | Flags::NO_AUTO_START)
                .build(&(id,));
            if let Ok(call) = call {
                // Too late, if the bus has gone.
                let _lost = bus.send(&call).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use zbus::DynamicType;

    use super::*;

    fn answer<B: Serialize + DynamicType>(body: &B) -> Message {
        let call = Message::method_call(PATH, "X").build(&()).unwrap();
        Message::method_return(&call.header()).build(body).unwrap()
    }

    fn details(key: &'static str) -> HashMap<&'static str, &'static str> {
        HashMap::from([(key, "true")])
    }

    /// What an answer means to a question about a service, or about none.
    fn verdict(answer: &Message, interactive: bool) -> Result<Plain, CallError> {
        let subject = Subject::bus_name(OwnedUniqueName::try_from(":1.42").unwrap());
        let catalogue = aictl_api::service::Catalogue::builtin();
        let (service, action) = (catalogue.get("ollama"), Action::ServicesRead);
        let (subject, verb, id) = (&subject, None, "x");
        let question = Question { subject, action, service, verb, interactive, id };
        super::verdict(answer, &question)
    }

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        let none = HashMap::<&str, &str>::new();
        assert_eq!(verdict(&answer(&((true, false, &none),)), false), Ok(Plain::Yes));
        let told = HashMap::from([("service", "ollama"), ("unit", "ollama.service")]);
        assert_eq!(verdict(&answer(&((true, false, &told),)), false), Ok(Plain::Yes));
        // Other details than it was told, other names, and the same with other values.
        for more in ["unit", "polkit.temporary_authorization_id", "x"] {
            let yes = answer(&((true, false, details(more)),));
            assert_eq!(verdict(&yes, true), Ok(Plain::No), "{more}");
        }
        let not = "org.aictl1.Error.NotAuthorized";
        let unknown = "org.aictl1.Error.AuthorizationUnavailable";
        let interaction = "org.aictl1.Error.InteractiveAuthorizationRequired";
        let table = [
            (verdict(&answer(&((false, false, &none),)), false), not),
            (verdict(&answer(&((false, false, &none),)), true), not),
            (verdict(&answer(&((false, true, &none),)), false), interaction),
            (verdict(&answer(&((false, true, &none),)), true), not),
            (verdict(&answer(&((true, true, &none),)), true), unknown),
            (verdict(&answer(&((false, false, details(DISMISSED)),)), true), not),
            // What cannot be understood.
            (verdict(&answer(&()), false), unknown),
            (verdict(&answer(&(true,)), false), unknown),
            (verdict(&answer(&(true, false)), false), unknown),
            (verdict(&answer(&("yes",)), false), unknown),
            (verdict(&answer(&((1u32, 0u32, &none),)), false), unknown),
            (verdict(&answer(&((true, false, vec!["x"]),)), false), unknown),
            (verdict(&answer(&((true, false, HashMap::from([("x", 1u32)])),)), false), unknown),
            (verdict(&answer(&(Variant::from(true),)), false), unknown),
        ];
        for (index, (verdict, name)) in table.into_iter().enumerate() {
            assert_eq!(verdict.unwrap_err().dbus_name(), name, "row {index}");
        }
    }

    #[test]
    fn the_subject_is_a_name_of_the_bus_or_a_descriptor_with_a_signed_uid() {
        let name = OwnedUniqueName::try_from(":1.42").unwrap();
        let subject = Subject::bus_name(name);
        let (kind, details) = subject.argument();
        assert_eq!(kind, "system-bus-name");
        assert_eq!(details, HashMap::from([("name", Variant::from(":1.42"))]));

        let null = || std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let place_of = || PlaceOf::new(|_, _| None);
        let subject = Subject::pidfd(null(), 1000, place_of()).unwrap();
        let (kind, details) = subject.argument();
        assert_eq!(kind, "unix-process");
        assert_eq!(details["uid"], Variant::I32(1000));
        assert_eq!(details["pidfd"].value_signature().to_string(), "h");
        assert_eq!(details.len(), 2, "above all no pid");
        assert!(Subject::pidfd(null(), u32::MAX, place_of()).is_none());
    }
}
