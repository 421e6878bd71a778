//! Services without the helper: systemd is asked directly, with the rights of whoever asks.

use aictl_api::{
    authorisation::Verb,
    config::Config,
    error::CallError,
    record::{ActionRecord, JobResult},
    service::Service,
};
use aictl_core::{
    helper::ActOptions,
    systemd::{JobOutcome, JobVerb, Systemd, SystemdError, UnitFileVerb, UnitState},
};

/// systemd, and the services that it is asked about.
#[derive(Debug)]
pub struct Direct {
    /// Where to ask.
    pub systemd: Systemd,
    /// Which services there are, and how long to wait for them.
    pub config: Config,
}

/// What is done to a unit: by a job, or to its file.
enum Change {
    Job(JobVerb),
    File(UnitFileVerb),
}

impl From<Verb> for Change {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Start => Self::Job(JobVerb::Start),
            Verb::Stop => Self::Job(JobVerb::Stop),
            Verb::Restart => Self::Job(JobVerb::Restart),
            Verb::Reload => Self::Job(JobVerb::Reload),
            Verb::Enable => Self::File(UnitFileVerb::Enable),
            Verb::Disable => Self::File(UnitFileVerb::Disable),
        }
    }
}

impl Direct {
    /// The service with this name.
    ///
    /// # Errors
    /// [`CallError::NoSuchService`] if there is none.
    pub fn service(&self, name: &str) -> Result<&Service, CallError> {
        let none = || CallError::NoSuchService("no such service in the catalogue".to_owned());
        self.config.services().get(name).ok_or_else(none)
    }

    /// Does something to a service, and tells what came of it.
    ///
    /// # Errors
    /// If the service does not exist or allow it, or systemd says no.
    pub async fn act(
        &self,
        verb: Verb,
        name: &str,
        options: ActOptions,
    ) -> Result<ActionRecord, CallError> {
        let service = self.service(name)?;
        if !service.verbs.contains(verb) {
            let allowed: Vec<_> = service.verbs.iter().map(Verb::name).collect();
            let allowed = match allowed.as_slice() {
                [] => "nothing".to_owned(),
                verbs => verbs.join(", "),
            };
            return Err(CallError::ActionNotAllowed(format!("it allows {allowed} only")));
        }
        let timeout = options.timeout.unwrap_or(self.config.helper.action_timeout);
        let unit = &service.unit;
        let outcome = match Change::from(verb) {
            Change::Job(verb) if options.no_block => self.systemd.job_no_block(verb, unit).await,
            Change::Job(verb) => self.systemd.job(verb, unit, timeout).await,
            Change::File(verb) => self
                .systemd
                .set_enabled(verb, unit)
                .await
                .map(|state| JobOutcome { result: JobResult::Done, state }),
        };
        outcome.map(record).map_err(|error| call_error(&error, service))
    }
}

fn record(outcome: JobOutcome) -> ActionRecord {
    let UnitState { active_state, sub_state, enabled, result, .. } = outcome.state;
    ActionRecord {
        job_result: outcome.result,
        active_state,
        sub_state,
        enabled,
        result,
        log: Vec::new(),
        request_id: String::new(),
    }
}

/// What an error of systemd's comes to for who asked about this service.
pub fn call_error(error: &SystemdError, service: &Service) -> CallError {
    let unit = &service.unit;
    match error {
        SystemdError::NotFound => {
            CallError::NoSuchService(format!("its unit {unit} is not installed"))
        }
        SystemdError::AccessDenied => CallError::NotAuthorized(
            "systemd did not let you, by polkit's rules or by your answer to it".to_owned(),
        ),
        SystemdError::InteractionNeeded => CallError::InteractiveAuthorizationRequired(
            "systemd needs to ask for a password, and there is nobody to ask".to_owned(),
        ),
        SystemdError::TimedOut(time) => CallError::TimedOut(format!(
            "it was not done within {} s, and may still be going on",
            time.as_secs()
        )),
        SystemdError::Alias { .. } | SystemdError::Masked | SystemdError::NotApplicable => {
            CallError::Refused(format!("{unit}: {error}"))
        }
        SystemdError::Failed { .. } => CallError::Failed(format!("systemd says: {error}")),
        _ => CallError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aictl_api::exit;

    use super::*;

    #[test]
    fn each_error_of_systemds_has_its_exit_code() {
        let config = Config::default();
        let service = config.services().get("ollama").unwrap();
        for (error, code) in [
            (SystemdError::NotFound, exit::NOT_FOUND),
            (SystemdError::AccessDenied, exit::REFUSED),
            (SystemdError::InteractionNeeded, exit::REFUSED),
            (SystemdError::Masked, exit::REFUSED),
            (SystemdError::NotApplicable, exit::REFUSED),
            (SystemdError::Alias { id: "x.service".to_owned() }, exit::REFUSED),
            (SystemdError::TimedOut(Duration::from_secs(3)), exit::TIMED_OUT),
            (SystemdError::Unavailable, exit::INTERNAL),
            (SystemdError::Lost, exit::INTERNAL),
            (SystemdError::NoBus(String::new()), exit::INTERNAL),
            (SystemdError::Failed { name: String::new(), message: String::new() }, exit::FAILED),
        ] {
            assert_eq!(call_error(&error, service).exit_code(), code, "{error:?}");
        }
    }
}
