//! The policy in force: what the configuration's files say, read at start and on request.
//!
//! A bad file never widens what is allowed. While there is a policy, that one stays in force; at
//! start, where there is none, no service is offered at all: the built-in catalogue would be wider
//! than a file that takes services away.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use aictl_api::{
    authorisation::RateClass,
    config::{Config, Helper, Log, Rate, Sandbox},
    record::CONFIG_OK,
    service::Catalogue,
};
use aictl_core::redact::redact;

use crate::limits::Allowance;

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The services, and what may be done to them.
    pub catalogue: Catalogue,
    /// Times and limits.
    pub helper: Helper,
    /// What runs may have, and how many there may be.
    pub sandbox: Sandbox,
    /// What is written beside records.
    pub log: Log,
    /// Whether a call without a record is refused.
    pub audit_required: bool,
}

impl From<Config> for Policy {
    fn from(config: Config) -> Self {
        Self {
            catalogue: config.services().clone(),
            helper: config.helper,
            sandbox: config.sandbox,
            log: config.log,
            audit_required: config.audit.required,
        }
    }
}

impl Policy {
    /// Where there is no configuration to go by: nothing is offered.
    fn closed() -> Self {
        let config = Config::default();
        Self { catalogue: Catalogue::empty(), ..Self::from(config) }
    }

    /// What one uid may do with calls of this class.
    #[must_use]
    pub fn allowance(&self, class: RateClass) -> Allowance {
        let rate: Rate = self.helper.rate(class);
        Allowance { calls_in_flight: self.helper.calls_in_flight, rate }
    }
}

/// A problem as everyone is told it: a file may be closed to most, and a value in the wrong place
/// a secret.
fn told(problem: &str) -> String {
    redact(problem).into_owned()
}

/// Reads the configuration's files.
pub type Load = Box<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// The policy in force, and how to read the next one.
pub struct Policies {
    load: Load,
    state: RwLock<State>,
}

#[derive(Debug, Clone)]
struct State {
    policy: Arc<Policy>,
    generation: u32,
    problem: Option<String>,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Policies {
    /// Reads the first policy.
    #[must_use]
    pub fn start(load: Load) -> Self {
        let (policy, generation, problem) = match load() {
            Ok(config) => (Policy::from(config), 1, None),
            Err(problem) => (Policy::closed(), 0, Some(told(&problem))),
        };
        let state = State { policy: Arc::new(policy), generation, problem };
        Self { load, state: RwLock::new(state) }
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// What is wrong with them; the policy that was in force stays.
    pub fn reload(&self) -> Result<(), String> {
        let loaded = (self.load)();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(config) => {
                *state = State {
                    policy: Arc::new(Policy::from(config)),
                    generation: state.generation.saturating_add(1),
                    problem: None,
                };
                Ok(())
            }
            Err(problem) => {
                let problem = told(&problem);
                state.problem = Some(problem.clone());
                Err(problem)
            }
        }
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The policy in force.
    #[must_use]
    pub fn now(&self) -> Arc<Policy> {
        self.state().policy
    }

    /// How many policies have been in force, this one included.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.state().generation
    }

    /// What is wrong with the files, if anything is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.state().problem
    }

    /// `ok`, or what is wrong with the files.
    #[must_use]
    pub fn words(&self) -> String {
        self.problem().unwrap_or_else(|| CONFIG_OK.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aictl_api::config::Settings;

    use super::*;

    /// Policies whose file holds what the returned handle says.
    fn policies(text: &str) -> (Policies, Arc<Mutex<String>>) {
        let file = Arc::new(Mutex::new(text.to_owned()));
        let read = Arc::clone(&file);
        let load = move || {
            let text = read.lock().unwrap();
            let settings = Settings::parse("aictl.toml", &text).map_err(|e| e.to_string())?;
            Config::try_from(settings).map_err(|error| error.to_string())
        };
        (Policies::start(Box::new(load)), file)
    }

    #[test]
    fn a_bad_file_keeps_the_old_policy_and_says_so() {
        let (policies, file) = policies("[services.ollama]\nenabled = false");
        assert!(policies.now().catalogue.get("ollama").is_none());
        assert!(policies.now().catalogue.get("vllm").is_some());
        assert_eq!((policies.generation(), policies.words().as_str()), (1, "ok"));
        let before = policies.now();
        // Without the bad line this file would allow ollama again.
        *file.lock().unwrap() = "[services.ollama]\nenabled = perhaps".to_owned();
        assert!(policies.reload().is_err());
        assert_eq!((policies.now(), policies.generation()), (before, 1));
        assert!(policies.words().starts_with("aictl.toml:2: "), "{}", policies.words());
        *file.lock().unwrap() = String::new();
        assert_eq!(policies.reload(), Ok(()));
        assert!(policies.now().catalogue.get("ollama").is_some());
        assert_eq!((policies.generation(), policies.words().as_str()), (2, "ok"));
    }

    /// systemd shows it to everyone, as the helper's status.
    #[test]
    fn no_secret_of_a_bad_file_is_told() {
        let bad = "[helper]\nidle-timeout = 'password=hunter2hunter2'";
        let (policies, file) = policies(bad);
        let at_start = policies.problem().unwrap();
        *file.lock().unwrap() = String::new();
        policies.reload().unwrap();
        *file.lock().unwrap() = bad.to_owned();
        let reloaded = policies.reload().unwrap_err();
        for told in [at_start, reloaded, policies.problem().unwrap()] {
            assert!(told.starts_with("aictl.toml:2: ") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_bad_file_at_start_offers_nothing() {
        let (policies, file) = policies("[services.ollama]\nenabled = 1");
        let policy = policies.now();
        assert!(policy.catalogue.is_empty());
        assert!(policy.audit_required);
        assert_eq!(policies.generation(), 0);
        assert!(policies.problem().is_some());
        assert!(policies.reload().is_err());
        assert!(policies.now().catalogue.is_empty());
        *file.lock().unwrap() = String::new();
        assert_eq!(policies.reload(), Ok(()));
        assert!(!policies.now().catalogue.is_empty());
    }
}
