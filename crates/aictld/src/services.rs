//! Services as callers see them, made of what systemd says of their units.

use std::time::Duration;

use aictl_api::{
    authorisation::Verb,
    error::CallError,
    record::{ActionRecord, HealthRecord, JobResult, ServiceRecord},
    service::{Catalogue, Scope, Service, UnitName},
};
use aictl_core::{
    dbus_records,
    systemd::{JobOutcome, JobVerb, Systemd, SystemdError, UnitState},
};

use crate::{answer::Fields, call::Act, logs::Followers};

/// The load state of a service whose unit systemd does not have, in systemd's own words.
const NOT_FOUND: &str = "not-found";
/// The active state of such a unit, in systemd's own words.
const INACTIVE: &str = "inactive";
const DEAD: &str = "dead";

/// The state of every service, in the order of the catalogue.
///
/// # Errors
/// If systemd cannot be asked.
pub async fn list(systemd: &Systemd, catalogue: &Catalogue) -> Result<Vec<Fields>, CallError> {
    let units: Vec<UnitName> = catalogue.iter().map(|service| service.unit.clone()).collect();
    let states = systemd.recent_states(&units).await;
    let records = catalogue
        .iter()
        .zip(states)
        .map(|(service, state)| record(service, state).map(|record| fields(&record)));
    records.collect()
}

/// The state of one service.
///
/// # Errors
/// If systemd cannot be asked.
pub async fn get(systemd: &Systemd, service: &Service) -> Result<Fields, CallError> {
    let state = systemd.recent_state(&service.unit).await;
    record(service, state).map(|record| fields(&record))
}

fn fields(record: &ServiceRecord) -> Fields {
    dbus_records::service_fields(record)
}

/// A health record as it stands on the bus.
#[must_use]
pub fn health(record: HealthRecord) -> Fields {
    dbus_records::health_fields(&record)
}

/// An action's record as it stands on the bus.
#[must_use]
pub fn action(record: ActionRecord) -> Fields {
    dbus_records::action_fields(&record)
}

/// The record of a service whose unit is in this state. A unit that is not there is a state too,
/// and one behind another name is not there.
fn record(
    service: &Service,
    state: Result<UnitState, SystemdError>,
) -> Result<ServiceRecord, CallError> {
    let state = match state {
        Ok(state) => state,
        Err(SystemdError::NotFound | SystemdError::Alias { .. }) => UnitState {
            load_state: NOT_FOUND.to_owned(),
            active_state: INACTIVE.to_owned(),
            sub_state: DEAD.to_owned(),
            ..UnitState::default()
        },
        Err(error) => return Err(look_error(&error)),
    };
    Ok(ServiceRecord {
        name: service.name.to_string(),
        display: service.display.clone(),
        unit: service.unit.to_string(),
        scope: Scope::System,
        required: service.required,
        verbs: service.verbs.iter().map(|verb| verb.name().to_owned()).collect(),
        load_state: state.load_state,
        active_state: state.active_state,
        sub_state: state.sub_state,
        enabled: state.enabled,
        main_pid: state.main_pid,
        since_usec: state.since_usec,
        restarts: state.restarts,
        result: state.result,
    })
}

/// Whether the service's unit is there, by its own name.
///
/// # Errors
/// [`CallError::NoSuchService`], in the words for any name that is not in the catalogue, if it is
/// not; else if systemd cannot be asked.
pub async fn check(systemd: &Systemd, service: &Service) -> Result<(), CallError> {
    systemd.unit_state(&service.unit).await.map(drop).map_err(|error| look_error(&error))
}

/// Does something to a service's unit, and tells what came of it; whose call it was is for the
/// caller to add.
///
/// # Errors
/// If systemd does not take it on, or does not say in time what came of it. That it failed is a
/// record.
pub async fn act(
    systemd: &Systemd,
    logs: &Followers,
    service: &Service,
    act: &Act,
    time: Duration,
) -> Result<ActionRecord, CallError> {
    let error = |error| act_error(&error);
    let (verb, unit) = job(service, act.verb)?;
    let JobOutcome { result, state } = if act.no_block {
        systemd.job_no_block(verb, &unit).await.map_err(error)?
    } else {
        systemd.job(verb, &unit, time).await.map_err(error)?
    };
    // Of a one-shot that did it, the service's own unit shows what came of it.
    let state = if unit == service.unit {
        state
    } else {
        systemd.unit_state(&service.unit).await.map_err(error)?
    };
    let log = if result.is_success() { Vec::new() } else { logs.last_lines(&unit).await };
    Ok(action_record(result, state, log))
}

fn action_record(job_result: JobResult, state: UnitState, log: Vec<String>) -> ActionRecord {
    ActionRecord {
        job_result,
        active_state: state.active_state,
        sub_state: state.sub_state,
        enabled: state.enabled,
        result: state.result,
        log,
        ..ActionRecord::default()
    }
}

/// The job that does this to a service, and the unit that it is a job of.
fn job(service: &Service, verb: Verb) -> Result<(JobVerb, UnitName), CallError> {
    if let Some(job) = JobVerb::of(verb) {
        return Ok((job, service.unit.clone()));
    }
    let unit = service.unit.unit_file_job(verb).ok_or_else(|| {
        CallError::Refused("the name of the service's unit is too long for that".to_owned())
    })?;
    Ok((JobVerb::Start, unit))
}

/// The answer where systemd cannot tell about a unit.
fn look_error(error: &SystemdError) -> CallError {
    match error {
        SystemdError::NotFound | SystemdError::Alias { .. } => CallError::no_such_service(),
        SystemdError::TimedOut(_) => {
            CallError::Unavailable("systemd does not answer; try again later".to_owned())
        }
        error => act_error(error),
    }
}

/// The answer where systemd did not do something.
fn act_error(error: &SystemdError) -> CallError {
    match error {
        SystemdError::NotFound | SystemdError::Alias { .. } => CallError::no_such_service(),
        SystemdError::NoBus(_) | SystemdError::Unavailable => {
            CallError::Unavailable("systemd cannot be asked; try again later".to_owned())
        }
        SystemdError::Lost => CallError::Unavailable(
            "systemd was restarted before it said what came of it; ask for the state of the service"
                .to_owned(),
        ),
        SystemdError::Masked => CallError::Refused(
            "the unit is masked: an administrator must unmask it with systemctl first".to_owned(),
        ),
        SystemdError::NotApplicable => {
            CallError::Refused("the unit has no such action; restart it instead".to_owned())
        }
        SystemdError::AccessDenied | SystemdError::InteractionNeeded => CallError::Refused(
            "systemd does not let aictl do this: an administrator must bring aictl's polkit rules \
             up to date (systemctl start aictl-polkit-rules)"
                .to_owned(),
        ),
        SystemdError::TimedOut(time) => CallError::TimedOut(format!(
            "not done within {} s; systemd goes on with it: ask for the state of the service",
            time.as_secs_f64()
        )),
        SystemdError::BadReply(_) => {
            CallError::Failed("systemd gave an answer that is not understood".to_owned())
        }
        SystemdError::Failed { message, .. } if message.is_empty() => {
            CallError::Failed("systemd does not do it, and does not say why".to_owned())
        }
        // Redacted where it was made.
        SystemdError::Failed { message, .. } => {
            CallError::Failed(format!("systemd does not do it: {message}"))
        }
        _ => CallError::Failed("systemd does not do it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        Catalogue::builtin().get("ollama").unwrap().clone()
    }

    #[test]
    fn a_unit_that_is_not_there_is_a_state_and_so_is_an_alias() {
        let alias = SystemdError::Alias { id: "ssh.service".to_owned() };
        let absent = record(&service(), Err(SystemdError::NotFound)).unwrap();
        assert_eq!(absent, record(&service(), Err(alias)).unwrap());
        assert_eq!(absent.load_state, "not-found");
        assert_eq!(absent.active_state, "inactive");
        assert_eq!((absent.name.as_str(), absent.unit.as_str()), ("ollama", "ollama.service"));
        assert!(record(&service(), Err(SystemdError::Unavailable)).is_err());
    }

    #[test]
    fn every_error_of_systemd_is_a_documented_one_and_names_no_other_unit() {
        use SystemdError as E;
        let failed =
            |words: &str| E::Failed { name: "org.x".to_owned(), message: words.to_owned() };
        let table = [
            (E::NoBus("/run/x".to_owned()), "Unavailable"),
            (E::Unavailable, "Unavailable"),
            (E::Lost, "Unavailable"),
            (E::NotFound, "NoSuchService"),
            (E::Alias { id: "ssh.service".to_owned() }, "NoSuchService"),
            (E::Masked, "Refused"),
            (E::NotApplicable, "Refused"),
            (E::AccessDenied, "Refused"),
            (E::InteractionNeeded, "Refused"),
            (E::TimedOut(Duration::from_secs(1)), "TimedOut"),
            (E::BadReply("x".to_owned()), "Failed"),
            (failed("why"), "Failed"),
            (failed(""), "Failed"),
        ];
        for (error, name) in table {
            let answer = act_error(&error);
            assert_eq!(answer.dbus_name(), format!("org.aictl1.Error.{name}"), "{error:?}");
            for hidden in ["ssh", "/run", "org.x"] {
                assert!(!answer.message().contains(hidden), "{}", answer.message());
            }
        }
        assert_eq!(act_error(&E::NotFound), CallError::no_such_service());
        assert_eq!(
            look_error(&E::TimedOut(Duration::from_secs(1))).dbus_name(),
            "org.aictl1.Error.Unavailable"
        );
    }

    #[test]
    fn enabling_is_a_start_of_the_one_shot_for_that_unit_alone() {
        let (verb, unit) = job(&service(), Verb::Enable).unwrap();
        assert_eq!(
            (verb, unit.as_ref()),
            (JobVerb::Start, "aictl-unit-file@enable:ollama.service")
        );
        let (verb, unit) = job(&service(), Verb::Disable).unwrap();
        assert_eq!(
            (verb, unit.as_ref()),
            (JobVerb::Start, "aictl-unit-file@disable:ollama.service")
        );
        let (verb, unit) = job(&service(), Verb::Restart).unwrap();
        assert_eq!((verb, unit.as_ref()), (JobVerb::Restart, "ollama.service"));
        let mut long = service();
        long.unit = UnitName::parse(&format!("{}.service", "x".repeat(240))).unwrap();
        assert_eq!(job(&long, Verb::Enable).unwrap_err().dbus_name(), "org.aictl1.Error.Refused");
    }
}
