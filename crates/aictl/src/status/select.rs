//! Which services are shown.

use aictl_api::{
    config::{Config, closest},
    service::Service,
};

use crate::args::status::WATCH;
use aictl_providers::Reach;

use super::{
    facts::{Facts, Unit},
    health::is_it,
};

/// The services that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Those that are on this machine, and those that should be.
    Present,
    /// All of the catalogue.
    All,
    /// These.
    Named(Vec<&'a Service>),
}

impl<'a> Wanted<'a> {
    /// The services with these names, in the catalogue's order; and the names that no service has.
    #[must_use]
    pub fn named<'n>(config: &'a Config, names: &'n [String]) -> (Self, Vec<&'n str>) {
        let services = config.services();
        let mut unknown: Vec<&str> = Vec::new();
        for name in names {
            if services.get(name).is_none() && !unknown.contains(&name.as_str()) {
                unknown.push(name);
            }
        }
        let is_named = |service: &&Service| names.iter().any(|name| name == service.name.as_ref());
        (Self::Named(services.iter().filter(is_named).collect()), unknown)
    }

    /// The services to look at.
    #[must_use]
    pub fn services(&self, config: &'a Config) -> Vec<&'a Service> {
        match self {
            Self::Named(services) => services.clone(),
            Self::Present | Self::All => config.services().iter().collect(),
        }
    }

    /// The service that alone is wanted.
    #[must_use]
    pub fn one(&self) -> Option<&'a Service> {
        match self {
            Self::Named(services) => match services.as_slice() {
                [one] => Some(one),
                _ => None,
            },
            Self::Present | Self::All => None,
        }
    }
}

/// Whether a service is shown, by what was found out about it.
#[must_use]
pub fn is_shown(facts: &Facts<'_>, wanted: &Wanted<'_>) -> bool {
    if *wanted != Wanted::Present || facts.service.required || facts.service.endpoint.is_some() {
        return true;
    }
    match &facts.unit {
        Unit::Known(_) | Unit::Alias(_) => true,
        // Whoever has its port and is not it is nobody that was asked for.
        Unit::NotFound => {
            facts.server.asked.as_ref().is_some_and(|asked| is_it(&asked.report.reach))
        }
        Unit::Unknown => facts.server.asked.as_ref().is_some_and(|asked| {
            !matches!(asked.report.reach, Reach::Other(_) | Reach::Trouble(_))
        }),
    }
}

/// That there is no such service, with what may have been meant.
#[must_use]
pub fn no_such(config: &Config, name: &str) -> String {
    let names = config.services().iter().map(|service| service.name.as_ref());
    // Whoever writes the unit's name means the service.
    let stem = name.strip_suffix(".service").unwrap_or(name).to_ascii_lowercase();
    let advice = match closest(&stem, names).filter(|_| !name.contains('/')) {
        _ if WATCH.parse(name).is_ok() => format!("did you mean --watch={name}?"),
        Some(meant) => format!("did you mean {meant}?"),
        None => "`aictl status --all` lists the services".to_owned(),
    };
    let shown: String = crate::message::plain(name).chars().take(SHOWN).collect();
    format!("there is no service {shown:?} in the catalogue; {advice}")
}

/// The most characters of a name that a message repeats.
const SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_once_in_the_catalogues_order() {
        let config = Config::default();
        let names = ["vllm", "olama", "ollama", "vllm", "olama", "x"].map(str::to_owned);
        let (wanted, unknown) = Wanted::named(&config, &names);
        let found: Vec<_> = wanted.services(&config).iter().map(|s| s.name.to_string()).collect();
        assert_eq!((found, unknown), (vec!["ollama".into(), "vllm".into()], vec!["olama", "x"]));
        assert!(wanted.one().is_none());
        let (one, _) = Wanted::named(&config, &names[..1]);
        assert_eq!(one.one().unwrap().name.as_ref(), "vllm");
        assert_eq!(Wanted::All.services(&config).len(), config.services().len());
    }

    #[test]
    fn a_name_that_is_not_there_is_most_likely_another_one() {
        let config = Config::default();
        for (name, words) in [
            ("olama", "did you mean ollama?"),
            ("OLLAMA", "did you mean ollama?"),
            ("vllm.service", "did you mean vllm?"),
            ("../ollama", "`aictl status --all` lists"),
            ("", "`aictl status --all` lists"),
            ("2s", "did you mean --watch=2s?"),
        ] {
            assert!(no_such(&config, name).contains(words), "{name}");
        }
        let hostile = format!("\u{1b}[2J{}", "x".repeat(1000));
        let text = no_such(&config, &hostile);
        assert!(text.len() < 200 && !text.contains('\u{1b}'), "{text}");
    }
}
