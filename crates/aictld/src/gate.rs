//! The one way that every call goes: who calls → limits → what is called → may it be done to this
//! service → polkit → once more, since polkit may have taken minutes → record → act → record.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Instant,
};

use aictl_api::{
    audit::Outcome,
    authorisation::{Action, Member, RateClass, Rule},
    error::CallError,
    record::ActionRecord,
    service::Service,
};
use aictl_core::dbus_records;
use zbus::{Message, message::Flags};

use crate::{
    answer::{Answer, Refusal},
    audit::{End, Record, Trail},
    call::{self, Request, Target},
    caller::{Caller, Seat},
    events::Event,
    gpus,
    helper::{Flight, Helper},
    limits::Over,
    logs,
    policy::Policy,
    polkit, runs, services,
};

/// One call on its way.
pub struct Call<'a> {
    /// The helper.
    pub helper: &'a Arc<Helper>,
    /// The caller's connection.
    pub seat: &'a Arc<Seat>,
    /// The call as it came.
    pub message: &'a Message,
}

/// Answers a call; `None` if the caller is gone.
pub async fn answer(call: Call<'_>) -> Option<Result<Answer, Refusal>> {
    let Call { helper, seat, message } = call;
    let mut trail = Trail::new(String::new(), method(message), Instant::now());
    let Ok(id) = helper.ids.next() else {
        return Some(Err(unavailable("the machine has no random numbers").into()));
    };
    trail.request_id = id;

    let target = call::target(message);
    let caller = match caller(helper, seat, message).await {
        Ok(caller) => caller,
        Err(error) => {
            let refused = Err(error.into());
            return conclude(helper, &trail, None, refused).await;
        }
    };
    trail.uid = Some(caller.uid);
    trail.pid = caller.pid;

    let policy = helper.policies.now();
    let class = match &target {
        Ok(Target::Method(member)) => member.rule().map_or(RateClass::Read, |rule| rule.rate),
        _ => RateClass::Read,
    };
    let mut flight = match helper.admit(caller.uid, class, &policy) {
        Ok(flight) => Some(flight),
        Err(over) => return Some(Err(limited(helper, &trail, &caller, over).await)),
    };

    let unit = helper.unit_of(&caller);
    let outcome = {
        let going = Going { helper, seat, caller: &caller, message };
        let work = work(going, target, &mut trail, &policy, &mut flight);
        let work = async { tokio::join!(work, unit).0 };
        tokio::select! {
            biased;
            () = seat.gone() => None,
            () = helper.stopping() => Some(Err(unavailable(
                "the helper ends; what it has begun goes on: ask for the state of the service",
            ).into())),
            outcome = work => Some(outcome),
        }
    };
    match outcome {
        Some(outcome) => conclude(helper, &trail, Some(&caller), outcome).await,
        None => {
            let unit = helper.unit_of(&caller).await;
            let record = trail.ended(&End::Cancelled, unit, Instant::now());
            // Nobody is left to be refused.
            let _lost = helper.journal.write(&record).await;
            None
        }
    }
}

/// The answer to a call that is one too many to be looked at, which is taken note of.
pub fn unseen(helper: &Helper, seat: &Seat, message: &Message) -> Refusal {
    let over = Over::InFlight;
    let refusal = Refusal::Call(CallError::limit_exceeded(over.what(), over.retry_after()));
    match (seat.known(), helper.ids.next()) {
        (Some(caller), Ok(id)) => {
            let trail = Trail {
                uid: Some(caller.uid),
                pid: caller.pid,
                ..Trail::new(id, method(message), Instant::now())
            };
            let refused = Err(refusal.clone());
            let record = trail.ended(&End::Answered(&refused), "", Instant::now());
            // It is refused in any case.
            let _lost = helper.record_limited(caller.uid, record);
        }
        _ => {
            helper.unrecorded.fetch_add(1, SeqCst);
        }
    }
    refusal
}

/// Writes the record of a call's end. Without it the call is refused, unless something was done,
/// which its first record tells.
async fn conclude(
    helper: &Helper,
    trail: &Trail,
    caller: Option<&Arc<Caller>>,
    outcome: Result<Answer, Refusal>,
) -> Option<Result<Answer, Refusal>> {
    let unit = match caller {
        Some(caller) => helper.unit_of(caller).await,
        None => "",
    };
    let record = trail.ended(&End::Answered(&outcome), unit, Instant::now());
    if let Err(refusal) = &outcome {
        helper.log(&Event::Refused { request_id: &trail.request_id, refusal });
    }
    match write(helper, &record).await {
        Err(_) if trail.begun => Some(outcome),
        Err(error) => Some(Err(error.into())),
        Ok(()) => match outcome {
            Ok(Answer::Run(accepted)) => Some(Ok(Answer::Run(let_go(accepted).await))),
            outcome => Some(outcome),
        },
    }
}

/// Lets a run begin whose call has its record now. It is under way before the answer is made.
async fn let_go(mut accepted: runs::Accepted) -> runs::Accepted {
    if let Some(ticket) = accepted.ticket.take() {
        ticket.let_go();
        tokio::task::yield_now().await;
    }
    accepted
}

/// Writes a record.
///
/// # Errors
/// If the journal does not take it, and the configuration says that it must.
async fn write(helper: &Helper, record: &Record) -> Result<(), CallError> {
    match helper.journal.write(record).await {
        Err(_) if helper.policies.now().audit_required => Err(unavailable(
            "the journal does not take the record of the call, without which none is done",
        )),
        _ => Ok(()),
    }
}

fn unavailable(words: &str) -> CallError {
    CallError::Unavailable(words.to_owned())
}

/// Interface and member, as the caller has them: names of D-Bus's own alphabet.
fn method(message: &Message) -> String {
    let header = message.header();
    let interface = header.interface().map_or("", |interface| interface.as_str());
    let member = header.member().map_or("", |member| member.as_str());
    format!("{interface}.{member}")
}

/// Who calls.
async fn caller(helper: &Helper, seat: &Seat, message: &Message) -> Result<Arc<Caller>, CallError> {
    // Without the bus there is no polkit, whoever calls.
    let bus = helper.bus.as_ref().ok_or_else(|| unavailable("the system bus is not there"));
    if let Some(caller) = seat.known() {
        return Ok(Arc::clone(caller));
    }
    let header = message.header();
    let unknown = || unavailable("the bus does not say who you are");
    let name = header.sender().ok_or_else(unknown)?.to_owned().into();
    seat.caller(bus?, &name).await.map(Arc::clone).map_err(|_| unknown())
}

/// The answer to a call over a limit, recorded or summed up.
async fn limited(helper: &Helper, trail: &Trail, caller: &Caller, over: Over) -> Refusal {
    let refusal = Refusal::Call(CallError::limit_exceeded(over.what(), over.retry_after()));
    let refused = Err(refusal);
    // Nobody is asked anything on behalf of one who asks too much.
    let record = trail.ended(&End::Answered(&refused), caller.known_unit(), Instant::now());
    // It is refused in any case.
    let _lost = helper.record_limited(caller.uid, record);
    let Err(refusal) = refused else { return unavailable("").into() };
    refusal
}

/// What is in the catalogue and allows what is asked for.
fn lookup<'a>(
    policy: &'a Policy,
    rule: &Rule,
    request: &Request,
) -> Result<Option<&'a Service>, CallError> {
    let Some(name) = request.service() else { return Ok(None) };
    let service = policy.catalogue.get(name).ok_or_else(CallError::no_such_service)?;
    match rule.verb {
        Some(verb) if !service.verbs.contains(verb) => Err(CallError::ActionNotAllowed(format!(
            "{} does not allow {}; its configuration names the verbs that it allows",
            service.name,
            verb.name()
        ))),
        _ => Ok(Some(service)),
    }
}

/// A call that was let in.
#[derive(Clone, Copy)]
struct Going<'a> {
    helper: &'a Arc<Helper>,
    seat: &'a Arc<Seat>,
    caller: &'a Arc<Caller>,
    message: &'a Message,
}

/// From the arguments of a call to its answer.
async fn work<'a>(
    going: Going<'a>,
    target: Result<Target, crate::standard::StandardError>,
    trail: &mut Trail,
    policy: &Policy,
    flight: &mut Option<Flight<'a>>,
) -> Result<Answer, Refusal> {
    let Going { helper, seat, caller, message } = going;
    let member: &Member = match target? {
        Target::Standard(standard) => return Ok(standard.answer(message)?),
        Target::Method(member) => member,
    };
    // A signal is no method, and `target` finds none.
    let rule = member.rule().ok_or(crate::standard::StandardError::UnknownMethod)?;
    trail.verb = rule.verb;
    let request = call::read(member, message, policy.helper.action_timeout)?;
    trail.service = request.service().map(str::to_owned);
    let service = lookup(policy, rule, &request)?;
    trail.unit = service.map(|service| service.unit.clone());

    if let Request::Wait { run } | Request::Cancel { run } = &request {
        trail.run = Some(run.clone());
    }
    let _coming = matches!(request, Request::Run(_)).then(|| runs::expect(helper, caller.uid));
    let mut order = match &request {
        Request::Run(run) => {
            let order = runs::check(run, &policy.sandbox).await?;
            trail.code = Some(order.code.clone());
            Some(order)
        }
        _ => None,
    };

    let asked = Instant::now();
    for action in actions(helper, seat, caller, rule, &request) {
        authorise(going, action, rule, service, trail).await?;
    }
    if let Some(order) = &mut order {
        order.authorised = asked.elapsed();
    }

    // While polkit asked, the caller may have gone, and the configuration may have changed.
    if seat.is_gone() {
        return Err(CallError::Refused("the caller is gone".to_owned()).into());
    }
    let policy = helper.policies.now();
    let now = lookup(&policy, rule, &request)?;
    if now.map(|service| &service.unit) != service.map(|service| &service.unit) {
        return Err(CallError::Refused(
            "the configuration of the service changed during the call; call again".to_owned(),
        )
        .into());
    }
    match (order, request) {
        (Some(order), _) => run(going, &policy, order, trail),
        (None, Request::Wait { run }) => {
            let run = helper.runs.of_seat(&run, seat)?;
            trail.allowed = true;
            // There are no more of these than runs, which are counted themselves.
            *flight = None;
            Ok(Answer::Record(dbus_records::run_fields(&run.wait().await?)))
        }
        (None, Request::Cancel { run }) => {
            let run = helper.runs.get(&run).ok_or_else(runs::no_such_run)?;
            trail.allowed = true;
            run.cancel();
            Ok(Answer::Nothing)
        }
        (None, Request::Runs { all }) => {
            trail.allowed = true;
            let runs = helper.runs.list((!all).then_some(caller.uid));
            Ok(Answer::Records(runs.iter().map(dbus_records::listed_run_fields).collect()))
        }
        (None, request) => act(helper, seat, caller, &policy, request, now, trail).await,
    }
}

/// What polkit is asked: the rule's action, but for runs. Whoever was let begin one is let wait for
/// it and end it, over the same connection; another user's needs more, whether it is there or not.
fn actions(
    helper: &Helper,
    seat: &Arc<Seat>,
    caller: &Caller,
    rule: &Rule,
    request: &Request,
) -> Vec<Action> {
    match request {
        Request::Wait { .. } => Vec::new(),
        Request::Cancel { run } if helper.runs.of_seat(run, seat).is_ok() => Vec::new(),
        Request::Cancel { run } => match helper.runs.get(run) {
            Some(run) if run.uid() == caller.uid => vec![rule.action],
            _ => vec![Action::SandboxCancelOthers],
        },
        Request::Runs { all: true } => vec![rule.action, Action::SandboxCancelOthers],
        _ => vec![rule.action],
    }
}

/// Has a script run, as soon as the call is recorded and it is its turn.
fn run(
    going: Going<'_>,
    policy: &Policy,
    order: runs::Order,
    trail: &mut Trail,
) -> Result<Answer, Refusal> {
    let Going { helper, seat, caller, .. } = going;
    if helper.is_draining() {
        return Err(unavailable("the helper is just ending: call again").into());
    }
    let accepted = runs::accept(helper, seat, caller, &trail.request_id, order, &policy.sandbox)?;
    trail.allowed = true;
    Ok(Answer::Run(accepted))
}

/// Whether polkit allows it.
async fn authorise(
    going: Going<'_>,
    action: Action,
    rule: &Rule,
    service: Option<&Service>,
    trail: &Trail,
) -> Result<(), CallError> {
    let Going { helper, caller, message, .. } = going;
    let bus = helper.bus.as_ref().ok_or_else(|| unavailable("the system bus is not there"))?;
    let subject = caller.subject.as_ref().ok_or_else(|| {
        CallError::AuthorizationUnavailable(
            "not authorised: this kernel cannot tell who is at the other end of the socket; call \
             on the system bus"
                .to_owned(),
        )
    })?;
    let flags = message.primary_header().flags();
    let question = polkit::Question {
        subject,
        action,
        service,
        verb: rule.verb,
        interactive: flags.contains(Flags::ALLOW_INTERACTIVE_AUTH),
        id: &trail.request_id,
    };
    let lasts = helper.policies.now().helper.polkit_cache;
    helper.polkit.check(bus, question, lasts).await
}

/// Does what is asked for and allowed.
async fn act(
    helper: &Arc<Helper>,
    seat: &Arc<Seat>,
    caller: &Arc<Caller>,
    policy: &Policy,
    request: Request,
    service: Option<&Service>,
    trail: &mut Trail,
) -> Result<Answer, Refusal> {
    let systemd = helper.systemd.as_ref().ok_or_else(|| unavailable("systemd is not there"));
    match (request, service) {
        (Request::Health, _) => {
            trail.allowed = true;
            Ok(Answer::Record(services::health(helper.health().await)))
        }
        (Request::List, _) => {
            trail.allowed = true;
            Ok(Answer::Records(services::list(systemd?, &policy.catalogue).await?))
        }
        // Without systemd, the units of others' processes are not known.
        (Request::Gpus, _) => {
            trail.allowed = true;
            let report = helper.gpus.report(systemd.ok()).await;
            let (records, notes) = gpus::records(&report, &policy.catalogue);
            Ok(Answer::Noted(records, notes))
        }
        (Request::Get { .. }, Some(service)) => {
            trail.allowed = true;
            Ok(Answer::Record(services::get(systemd?, service).await?))
        }
        (Request::Logs(wanted), Some(service)) => {
            services::check(systemd?, service).await?;
            let place = helper.followers.place(caller.uid)?;
            trail.allowed = true;
            Ok(Answer::Stream(logs::open(helper, seat, service, &wanted, place).await?))
        }
        (Request::Act(action), Some(service)) => {
            let systemd = systemd?;
            services::check(systemd, service).await?;
            let unit = helper.unit_of(caller).await;
            write(helper, &trail.begun(unit)).await?;
            trail.allowed = true;
            trail.begun = true;
            let time = action.timeout.unwrap_or(policy.helper.action_timeout);
            let record = services::act(systemd, &helper.followers, service, &action, time).await?;
            let record = ActionRecord { request_id: trail.request_id.clone(), ..record };
            let success = record.job_result.is_success();
            trail.outcome = Some(if success { Outcome::Done } else { Outcome::Failed });
            Ok(Answer::Record(services::action(record)))
        }
        // `work` has done it.
        (
            Request::Run(_) | Request::Wait { .. } | Request::Cancel { .. } | Request::Runs { .. },
            _,
        ) => Err(runs::no_such_run().into()),
        // `lookup` found the service of every request that names one.
        (Request::Get { .. } | Request::Logs(_) | Request::Act(_), None) => {
            Err(CallError::no_such_service().into())
        }
    }
}
