//! The helper's records as they go over the bus: `a{sv}`.
//!
//! A record from a newer helper has keys that are unknown here, and are ignored; one from an older
//! helper lacks some, which have their defaults. A value of another type is an error.

use std::{collections::HashMap, fmt};

use aictl_api::{
    record::{
        ActionRecord, HealthRecord, JobResult, ServiceRecord, action_key, health_key, service_key,
    },
    service::Scope,
};
use zbus::{OwnedVariant, Str, Variant};

mod gpu;
mod run;

pub use gpu::{gpu, gpu_fields, gpu_process, gpu_process_fields};
pub use run::{listed_run, listed_run_fields, run, run_fields};

/// A record on the bus.
pub type Record = HashMap<String, OwnedVariant>;

/// A value of a record that has another type than its key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// The key.
    pub key: &'static str,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the helper's answer has {} of another type", self.key)
    }
}

impl std::error::Error for RecordError {}

/// A service's record for the bus.
#[must_use]
pub fn service_fields(record: &ServiceRecord) -> Record {
    use service_key as key;
    fields([
        (key::NAME, text(&record.name)),
        (key::DISPLAY, text(&record.display)),
        (key::UNIT, text(&record.unit)),
        (key::SCOPE, text(record.scope.name())),
        (key::REQUIRED, record.required.into()),
        (key::VERBS, texts(&record.verbs)),
        (key::LOAD_STATE, text(&record.load_state)),
        (key::ACTIVE_STATE, text(&record.active_state)),
        (key::SUB_STATE, text(&record.sub_state)),
        (key::ENABLED, text(&record.enabled)),
        (key::MAIN_PID, record.main_pid.into()),
        (key::SINCE_USEC, record.since_usec.into()),
        (key::RESTARTS, record.restarts.into()),
        (key::RESULT, text(&record.result)),
    ])
}

/// A service's record from the bus.
///
/// # Errors
/// If a value has another type than its key has.
pub fn service(record: Record) -> Result<ServiceRecord, RecordError> {
    use service_key as key;
    let mut from = Reader(record);
    Ok(ServiceRecord {
        name: from.take(key::NAME)?,
        display: from.take(key::DISPLAY)?,
        unit: from.take(key::UNIT)?,
        scope: match from.take::<String>(key::SCOPE)?.as_str() {
            "" => Scope::default(),
            word => Scope::from_name(word).ok_or(RecordError { key: key::SCOPE })?,
        },
        required: from.take(key::REQUIRED)?,
        verbs: from.take(key::VERBS)?,
        load_state: from.take(key::LOAD_STATE)?,
        active_state: from.take(key::ACTIVE_STATE)?,
        sub_state: from.take(key::SUB_STATE)?,
        enabled: from.take(key::ENABLED)?,
        main_pid: from.take(key::MAIN_PID)?,
        since_usec: from.take(key::SINCE_USEC)?,
        restarts: from.take(key::RESTARTS)?,
        result: from.take(key::RESULT)?,
    })
}

/// An action's record for the bus.
#[must_use]
pub fn action_fields(record: &ActionRecord) -> Record {
    use action_key as key;
    fields([
        (key::JOB_RESULT, text(record.job_result.name())),
        (key::ACTIVE_STATE, text(&record.active_state)),
        (key::SUB_STATE, text(&record.sub_state)),
        (key::ENABLED, text(&record.enabled)),
        (key::RESULT, text(&record.result)),
        (key::LOG, texts(&record.log)),
        (key::REQUEST_ID, text(&record.request_id)),
    ])
}

/// An action's record from the bus. A result of a job that is unknown here is no success.
///
/// # Errors
/// If a value has another type than its key has.
pub fn action(record: Record) -> Result<ActionRecord, RecordError> {
    use action_key as key;
    let mut from = Reader(record);
    Ok(ActionRecord {
        job_result: JobResult::from_name(&from.take::<String>(key::JOB_RESULT)?)
            .unwrap_or_default(),
        active_state: from.take(key::ACTIVE_STATE)?,
        sub_state: from.take(key::SUB_STATE)?,
        enabled: from.take(key::ENABLED)?,
        result: from.take(key::RESULT)?,
        log: from.take(key::LOG)?,
        request_id: from.take(key::REQUEST_ID)?,
    })
}

/// The helper's own record for the bus.
#[must_use]
pub fn health_fields(record: &HealthRecord) -> Record {
    use health_key as key;
    fields([
        (key::VERSION, text(&record.version)),
        (key::PID, record.pid.into()),
        (key::UPTIME_USEC, record.uptime_usec.into()),
        (key::CONFIG, text(&record.config)),
        (key::CONFIG_GENERATION, record.config_generation.into()),
        (key::JOURNAL, record.journal.into()),
        (key::POLKIT, record.polkit.into()),
        (key::SYSTEMD, record.systemd.into()),
        (key::SANDBOX, text(&record.sandbox)),
        (key::CALLS_IN_FLIGHT, record.calls_in_flight.into()),
    ])
}

/// The helper's own record from the bus.
///
/// # Errors
/// If a value has another type than its key has.
pub fn health(record: Record) -> Result<HealthRecord, RecordError> {
    use health_key as key;
    let mut from = Reader(record);
    Ok(HealthRecord {
        version: from.take(key::VERSION)?,
        pid: from.take(key::PID)?,
        uptime_usec: from.take(key::UPTIME_USEC)?,
        config: from.take(key::CONFIG)?,
        config_generation: from.take(key::CONFIG_GENERATION)?,
        journal: from.take(key::JOURNAL)?,
        polkit: from.take(key::POLKIT)?,
        systemd: from.take(key::SYSTEMD)?,
        sandbox: from.take(key::SANDBOX)?,
        calls_in_flight: from.take(key::CALLS_IN_FLIGHT)?,
    })
}

fn fields<const N: usize>(fields: [(&str, OwnedVariant); N]) -> Record {
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn text(value: &str) -> OwnedVariant {
    Str::from(value).into()
}

fn texts(values: &[String]) -> OwnedVariant {
    // It can only fail to copy a descriptor.
    OwnedVariant::try_from(Variant::from(values.to_vec())).unwrap_or_else(|_never| text(""))
}

/// Takes values out of a record.
struct Reader(Record);

impl Reader {
    fn take<T>(&mut self, key: &'static str) -> Result<T, RecordError>
    where
        T: TryFrom<OwnedVariant> + Default,
    {
        match self.0.remove(key) {
            None => Ok(T::default()),
            Some(value) => T::try_from(value).map_err(|_other_type| RecordError { key }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_service() -> ServiceRecord {
        ServiceRecord {
            name: "ollama".to_owned(),
            display: "Ollama".to_owned(),
            unit: "ollama.service".to_owned(),
            scope: Scope::User,
            required: true,
            verbs: vec!["start".to_owned(), "stop".to_owned()],
            load_state: "loaded".to_owned(),
            active_state: "active".to_owned(),
            sub_state: "running".to_owned(),
            enabled: "enabled".to_owned(),
            main_pid: 7,
            since_usec: u64::MAX,
            restarts: 3,
            result: "success".to_owned(),
        }
    }

    fn an_action() -> ActionRecord {
        ActionRecord {
            job_result: JobResult::Dependency,
            active_state: "failed".to_owned(),
            sub_state: "failed".to_owned(),
            enabled: "disabled".to_owned(),
            result: "exit-code".to_owned(),
            log: vec!["one".to_owned()],
            request_id: "id".to_owned(),
        }
    }

    fn a_health() -> HealthRecord {
        HealthRecord {
            version: "1".to_owned(),
            pid: 1,
            uptime_usec: 2,
            config: "ok".to_owned(),
            config_generation: 3,
            journal: true,
            polkit: true,
            systemd: true,
            sandbox: "no namespaces".to_owned(),
            calls_in_flight: 4,
        }
    }

    fn keys(record: &Record) -> Vec<&str> {
        let mut keys: Vec<&str> = record.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    fn sorted<const N: usize>(mut keys: [&str; N]) -> Vec<&str> {
        keys.sort_unstable();
        keys.to_vec()
    }

    #[test]
    fn what_goes_onto_the_bus_comes_off_it() {
        assert_eq!(service(service_fields(&a_service())), Ok(a_service()));
        assert_eq!(action(action_fields(&an_action())), Ok(an_action()));
        assert_eq!(health(health_fields(&a_health())), Ok(a_health()));
        let empty = ServiceRecord::default();
        assert_eq!(service(service_fields(&empty)), Ok(empty));
    }

    #[test]
    fn every_key_is_there_with_its_type() {
        assert_eq!(keys(&service_fields(&a_service())), sorted(service_key::ALL));
        assert_eq!(keys(&action_fields(&an_action())), sorted(action_key::ALL));
        assert_eq!(keys(&health_fields(&a_health())), sorted(health_key::ALL));
        let record = service_fields(&ServiceRecord::default());
        for (key, signature) in [
            (service_key::NAME, "s"),
            (service_key::REQUIRED, "b"),
            // An empty list has a type too.
            (service_key::VERBS, "as"),
            (service_key::MAIN_PID, "u"),
            (service_key::SINCE_USEC, "t"),
        ] {
            assert_eq!(record[key].value_signature().to_string(), signature, "{key}");
        }
    }

    #[test]
    fn unknown_keys_are_ignored_and_missing_ones_have_defaults() {
        let newer = |mut record: Record| {
            record.insert("of_tomorrow".to_owned(), 7_u32.into());
            record
        };
        assert_eq!(service(newer(service_fields(&a_service()))), Ok(a_service()));
        assert_eq!(service(Record::new()), Ok(ServiceRecord::default()));
        assert_eq!(action(Record::new()), Ok(ActionRecord::default()));
        assert_eq!(health(Record::new()), Ok(HealthRecord::default()));
    }

    #[test]
    fn a_value_of_another_type_is_an_error() {
        let with = |mut record: Record, key: &'static str, value: OwnedVariant| {
            record.insert(key.to_owned(), value);
            (record, RecordError { key })
        };
        for (key, value) in [
            (service_key::NAME, OwnedVariant::from(1_u32)),
            (service_key::REQUIRED, text("true")),
            (service_key::VERBS, text("start")),
            (service_key::MAIN_PID, OwnedVariant::from(1_u64)),
            (service_key::SINCE_USEC, OwnedVariant::from(-1_i64)),
            (service_key::SCOPE, text("universe")),
        ] {
            let (record, error) = with(service_fields(&a_service()), key, value);
            assert_eq!(service(record), Err(error));
        }
        let (record, error) =
            with(action_fields(&an_action()), action_key::LOG, OwnedVariant::from(1_u32));
        assert_eq!(action(record), Err(error));
        let (record, error) =
            with(health_fields(&a_health()), health_key::JOURNAL, OwnedVariant::from(1_u32));
        assert_eq!(health(record), Err(error));
    }

    #[test]
    fn an_unknown_result_is_no_success() {
        let mut record = action_fields(&an_action());
        record.insert(action_key::JOB_RESULT.to_owned(), text("splendid"));
        assert_eq!(action(record).map(|record| record.job_result), Ok(JobResult::Failed));
    }
}
