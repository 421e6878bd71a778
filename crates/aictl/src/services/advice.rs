//! What the user can do when a service did not do what was asked.

use aictl_api::{
    authorisation::{Action, Verb},
    config::{Config, FILE, closest},
    error::CallError,
    service::Scope,
};

/// What is known about the place where something went wrong.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The service, as the user named it.
    pub service: &'a str,
    /// What was to be done; `None` if the log was to be read.
    pub verb: Option<Verb>,
    /// The configuration, as far as this side can read it.
    pub config: Option<&'a Config>,
    /// Whose services they are.
    pub scope: Scope,
    /// Whether the helper was asked.
    pub helper: bool,
    /// Why there is nobody to ask for a password, if there could be.
    pub no_agent: Option<&'a str>,
}

/// What to do about an error.
#[must_use]
pub fn on_error(error: &CallError, about: Circumstances<'_>) -> Option<String> {
    let Circumstances { service, verb, config, scope, helper, no_agent } = about;
    let name = verb.map_or("logs", Verb::name);
    Some(match error {
        CallError::NoSuchService(_) => {
            let Some(config) = config else {
                return Some("the configuration is no good: `aictl config check` says why".into());
            };
            let catalogue = config.services();
            if let Some(known) = catalogue.get(service) {
                let mut advice = format!(
                    "the catalogue has it, but there is no unit of the very name {}: install it, \
                     or set `unit` of [services.{service}] in {FILE}",
                    known.unit
                );
                // Its catalogue may be an older one than ours, or, where it may not read the files,
                // an empty one.
                if helper {
                    advice.push_str(
                        "; after a change there: `systemctl reload aictld`; `aictl doctor` says \
                         whether aictld takes the configuration",
                    );
                }
                return Some(advice);
            }
            // Whoever writes the unit's name means the service.
            let stem = service.strip_suffix(".service").unwrap_or(service).to_ascii_lowercase();
            let names = catalogue.iter().map(|service| service.name.as_ref());
            match closest(&stem, names).filter(|_| !service.contains('/')) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "`aictl config show` lists the services".to_owned(),
            }
        }
        CallError::InteractiveAuthorizationRequired(_) => match no_agent {
            Some(why) => format!("{why}: {}", grant(verb, helper)),
            None => {
                format!("run it on a terminal, where you can be asked; or {}", grant(verb, helper))
            }
        },
        CallError::NotAuthorized(_) => grant(verb, helper),
        CallError::ActionNotAllowed(_) => {
            format!("`verbs` of [services.{service}] in {FILE} says what is allowed")
        }
        CallError::TimedOut(_) => {
            let unit = config.and_then(|config| config.services().get(service))?.unit.as_ref();
            let user = if scope == Scope::User { "--user " } else { "" };
            format!("look at it with `systemctl {user}status {unit}`; --timeout waits longer")
        }
        CallError::Unavailable(_) if scope == Scope::User => {
            "it runs where you are logged in, or after `loginctl enable-linger`".to_owned()
        }
        CallError::Unavailable(_) | CallError::AuthorizationUnavailable(_) => {
            "`aictl doctor` says what is missing".to_owned()
        }
        CallError::Failed(_) if name != "logs" => on_failure(service, scope),
        _ => return None,
    })
}

/// What to do about a job that failed.
#[must_use]
pub fn on_failure(service: &str, scope: Scope) -> String {
    let user = if scope == Scope::User { "--user " } else { "" };
    format!("`aictl {user}logs {service}` says more")
}

/// How to be allowed something.
fn grant(verb: Option<Verb>, helper: bool) -> String {
    let action = match (helper, verb) {
        (true, None) => Action::LogsRead.id(),
        (true, Some(Verb::Enable | Verb::Disable)) => Action::ServicesEnable.id(),
        (true, Some(_)) => Action::ServicesControl.id(),
        (false, Some(Verb::Enable | Verb::Disable)) => "org.freedesktop.systemd1.manage-unit-files",
        (false, Some(_)) => "org.freedesktop.systemd1.manage-units",
        (false, None) => return "be in the group systemd-journal".to_owned(),
    };
    format!("an administrator can allow you {action} by a rule of polkit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about<'a>(service: &'a str, config: Option<&'a Config>) -> Circumstances<'a> {
        let verb = Some(Verb::Restart);
        Circumstances { service, verb, config, scope: Scope::System, helper: true, no_agent: None }
    }

    #[test]
    fn a_name_that_is_not_there_is_most_likely_another_one() {
        let config = Config::default();
        let list = Some("`aictl config show` lists the services");
        for (name, expected) in [
            ("olama", Some("did you mean ollama?")),
            ("Ollama", Some("did you mean ollama?")),
            ("ollama.service", Some("did you mean ollama?")),
            ("vlm", Some("did you mean vllm?")),
            ("ssh.service", list),
            ("../ollama", list),
            ("", list),
        ] {
            let advice = on_error(&CallError::no_such_service(), about(name, Some(&config)));
            assert_eq!(advice.as_deref(), expected, "{name}");
        }
        let advice = on_error(&CallError::no_such_service(), about("ollama", Some(&config)));
        let advice = advice.unwrap();
        assert!(advice.contains("no unit of the very name ollama.service"), "{advice}");
        assert!(advice.contains("; after a change there: `systemctl reload aictld`"), "{advice}");
        // One that cannot read the files knows no service at all.
        assert!(advice.contains("`aictl doctor` says whether aictld takes"), "{advice}");
        let alone = Circumstances { helper: false, ..about("ollama", Some(&config)) };
        let advice = on_error(&CallError::no_such_service(), alone).unwrap();
        assert!(advice.ends_with("aictl.toml"), "{advice}");
        let advice = on_error(&CallError::no_such_service(), about("olama", None)).unwrap();
        assert!(advice.contains("`aictl config check` says why"), "{advice}");
    }

    #[test]
    fn who_is_refused_is_told_what_to_ask_for() {
        let config = Config::default();
        let refused = CallError::NotAuthorized(String::new());
        for (helper, verb, words) in [
            (true, Some(Verb::Stop), "org.aictl1.services.control"),
            (true, Some(Verb::Enable), "org.aictl1.services.enable"),
            (true, None, "org.aictl1.logs.read"),
            (false, Some(Verb::Stop), "org.freedesktop.systemd1.manage-units "),
            (false, Some(Verb::Enable), "org.freedesktop.systemd1.manage-unit-files "),
            (false, None, "systemd-journal"),
        ] {
            let about = Circumstances { helper, verb, ..about("ollama", Some(&config)) };
            let advice = on_error(&refused, about).unwrap();
            assert!(advice.contains(words), "{advice}");
        }
        let ask = CallError::InteractiveAuthorizationRequired(String::new());
        let no_agent = Some("there is no agent");
        let advice = on_error(&ask, Circumstances { no_agent, ..about("ollama", None) }).unwrap();
        assert!(advice.starts_with("there is no agent: an administrator"), "{advice}");
        let advice = on_error(&ask, about("ollama", None)).unwrap();
        assert!(advice.starts_with("run it on a terminal"), "{advice}");
    }

    #[test]
    fn each_scope_has_its_commands() {
        let config = Config::default();
        let late = CallError::TimedOut(String::new());
        for (scope, words) in [
            (Scope::System, "`systemctl status ollama.service`"),
            (Scope::User, "`systemctl --user status ollama.service`"),
        ] {
            let about = Circumstances { scope, ..about("ollama", Some(&config)) };
            assert!(on_error(&late, about).unwrap().contains(words), "{scope:?}");
        }
        assert_eq!(on_failure("ollama", Scope::User), "`aictl --user logs ollama` says more");
        assert_eq!(on_failure("ollama", Scope::System), "`aictl logs ollama` says more");
    }
}
