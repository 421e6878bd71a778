//! Which unit may be enabled or disabled: pure decisions, and the commands that they come to.

use std::{fmt, str};

use aictl_api::{
    authorisation::Verb,
    service::{Catalogue, UnitName},
};

/// The program that is asked about units, and told to act on them.
pub const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// Its whole environment. It must speak to systemd, wherever it believes to run: what it writes
/// itself, without systemd, is not what this program may write.
pub const ENVIRONMENT: [(&str, &str); 3] =
    [("LANG", "C.UTF-8"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("SYSTEMD_OFFLINE", "0")];

/// What is to be done, as the instance name of `aictl-unit-file@.service` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    verb: Verb,
    unit: UnitName,
}

/// Why nothing is done; its [`fmt::Display`] is for the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The instance is not `enable:STEM` or `disable:STEM`.
    Instance,
    /// No service of the catalogue has the unit.
    NotInCatalogue(UnitName),
    /// The unit's service does not allow the verb.
    NotAllowed(UnitName, Verb),
    /// systemd has loaded no file for the unit.
    NotLoaded(UnitName),
    /// The unit's name is another name of this unit.
    Alias(UnitName, String),
    /// systemd's answer about the unit is none.
    Unclear(UnitName),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance => f.write_str("the instance must be enable:UNIT or disable:UNIT"),
            Self::NotInCatalogue(unit) => {
                write!(f, "{unit} belongs to no service of the catalogue")
            }
            Self::NotAllowed(unit, verb) => {
                write!(f, "the service of {unit} does not allow {}", verb.name())
            }
            Self::NotLoaded(unit) => write!(f, "systemd has no unit file for {unit}"),
            Self::Alias(unit, other) => write!(f, "{unit} is another name of {other:?}"),
            Self::Unclear(unit) => write!(f, "systemd does not say what {unit} is"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Request {
    /// Reads an instance name.
    ///
    /// # Errors
    /// If it is not exactly `enable:STEM` or `disable:STEM`, with STEM.service a unit's name.
    pub fn parse(instance: &str) -> Result<Self, Refusal> {
        let (verb, stem) = instance.split_once(':').ok_or(Refusal::Instance)?;
        let verb = match Verb::from_name(verb) {
            Some(verb @ (Verb::Enable | Verb::Disable)) => verb,
            _ => return Err(Refusal::Instance),
        };
        let unit = UnitName::parse(&format!("{stem}.service")).map_err(|_| Refusal::Instance)?;
        Ok(Self { verb, unit })
    }

    /// Checks that the catalogue allows it.
    ///
    /// # Errors
    /// If the unit is in there for no service, or for one that does not allow the verb.
    pub fn check(&self, catalogue: &Catalogue) -> Result<(), Refusal> {
        match catalogue.by_unit(self.unit.as_ref()) {
            None => Err(Refusal::NotInCatalogue(self.unit.clone())),
            Some(service) if service.verbs.contains(self.verb) => Ok(()),
            Some(_) => Err(Refusal::NotAllowed(self.unit.clone(), self.verb)),
        }
    }

    /// The arguments for `systemctl` that have it tell what the unit is.
    #[must_use]
    pub fn question(&self) -> [&str; 5] {
        let [id, state] = ["--property=Id", "--property=LoadState"];
        ["show", id, state, "--", self.unit.as_ref()]
    }

    /// Checks the answer to [`question`](Self::question): the unit must be there, under this name
    /// as its own. `systemctl` would act on the unit behind an alias.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_answer(&self, answer: &[u8]) -> Result<(), Refusal> {
        let unclear = || Refusal::Unclear(self.unit.clone());
        let answer = str::from_utf8(answer).map_err(|_| unclear())?;
        let only = |key: &str| {
            let mut values = answer.lines().filter_map(|line| line.strip_prefix(key));
            values.next().filter(|_| values.next().is_none()).ok_or_else(unclear)
        };
        let (id, state) = (only("Id=")?, only("LoadState=")?);
        if id != self.unit.as_ref() {
            Err(Refusal::Alias(self.unit.clone(), id.to_owned()))
        } else if state != "loaded" {
            Err(Refusal::NotLoaded(self.unit.clone()))
        } else {
            Ok(())
        }
    }

    /// The arguments for `systemctl` that do it; it has systemd read its files again after that.
    #[must_use]
    pub fn action(&self) -> [&str; 4] {
        ["--no-ask-password", self.verb.name(), "--", self.unit.as_ref()]
    }
}

#[cfg(test)]
mod tests {
    use aictl_api::service::{Service, ServiceName, Verbs};

    use super::*;

    fn unit(name: &str) -> UnitName {
        UnitName::parse(name).unwrap()
    }

    #[test]
    fn an_instance_is_a_verb_and_a_stem() {
        let good = |verb, name: &str| Ok(Request { verb, unit: unit(name) });
        let bad = || Err(Refusal::Instance);
        for (instance, want) in [
            ("enable:ollama", good(Verb::Enable, "ollama.service")),
            ("disable:llm@1", good(Verb::Disable, "llm@1.service")),
            ("enable:a:b", good(Verb::Enable, "a:b.service")),
            ("enable:ollama.service", good(Verb::Enable, "ollama.service.service")),
            ("", bad()),
            ("enable", bad()),
            ("enable:", bad()),
            (":ollama", bad()),
            ("start:ollama", bad()),
            ("mask:ollama", bad()),
            ("Enable:ollama", bad()),
            ("enable :ollama", bad()),
            ("enable:ollama ", bad()),
            ("enable:ollama\n", bad()),
            ("enable:-a", bad()),
            ("enable:--now", bad()),
            ("enable:../ollama", bad()),
            ("enable:/etc/x", bad()),
            ("enable:a b", bad()),
            ("enable:*", bad()),
            ("enable:llm@", bad()),
            ("enable:ollama\u{0430}", bad()),
        ] {
            assert_eq!(Request::parse(instance), want, "{instance:?}");
        }
        assert_eq!(Request::parse(&format!("enable:{}", "a".repeat(300))), bad());
    }

    #[test]
    fn only_the_units_of_the_catalogue_and_only_their_verbs() {
        let service = |name: &str, of: &str, verbs: &[Verb]| Service {
            name: ServiceName::parse(name).unwrap(),
            display: name.to_owned(),
            unit: unit(of),
            verbs: Verbs::of(verbs),
            required: false,
            provider: None,
            endpoint: None,
        };
        let catalogue = Catalogue::new(vec![
            service("a", "a.service", &Verb::ALL),
            service("b", "other.service", &[Verb::Start, Verb::Enable]),
        ])
        .unwrap();
        let not_in = |name: &str| Err(Refusal::NotInCatalogue(unit(name)));
        for (instance, want) in [
            ("enable:a", Ok(())),
            ("disable:a", Ok(())),
            ("enable:other", Ok(())),
            ("disable:other", Err(Refusal::NotAllowed(unit("other.service"), Verb::Disable))),
            // By its unit, not by its name.
            ("enable:b", not_in("b.service")),
            ("enable:A", not_in("A.service")),
            ("enable:a.service", not_in("a.service.service")),
            ("disable:ssh", not_in("ssh.service")),
        ] {
            assert_eq!(Request::parse(instance).unwrap().check(&catalogue), want, "{instance}");
        }
        let request = Request::parse("enable:ollama").unwrap();
        assert_eq!(request.check(&Catalogue::empty()), not_in("ollama.service"));
    }

    #[test]
    fn systemd_must_know_the_unit_by_this_name() {
        let request = Request::parse("enable:a").unwrap();
        let a = || unit("a.service");
        let alias = |other: &str| Err(Refusal::Alias(a(), other.to_owned()));
        for (answer, want) in [
            ("Id=a.service\nLoadState=loaded\n", Ok(())),
            ("LoadState=loaded\nId=a.service\n", Ok(())),
            ("Id=ssh.service\nLoadState=loaded\n", alias("ssh.service")),
            ("Id=A.service\nLoadState=loaded\n", alias("A.service")),
            ("Id=a.service\nLoadState=not-found\n", Err(Refusal::NotLoaded(a()))),
            ("Id=a.service\nLoadState=masked\n", Err(Refusal::NotLoaded(a()))),
            ("Id=a.service\nLoadState=bad-setting\n", Err(Refusal::NotLoaded(a()))),
            ("Id=a.service\n", Err(Refusal::Unclear(a()))),
            ("LoadState=loaded\n", Err(Refusal::Unclear(a()))),
            ("Id=a.service\nId=b.service\nLoadState=loaded\n", Err(Refusal::Unclear(a()))),
            ("", Err(Refusal::Unclear(a()))),
        ] {
            assert_eq!(request.check_answer(answer.as_bytes()), want, "{answer:?}");
        }
        assert_eq!(request.check_answer(b"Id=a.service\xff"), Err(Refusal::Unclear(a())));
    }

    #[test]
    fn no_name_is_an_option() {
        let request = Request::parse("disable:a").unwrap();
        for argv in [&request.question()[..], &request.action()[..]] {
            assert_eq!(argv[argv.len() - 2..], ["--", "a.service"]);
        }
        assert!(request.action().contains(&"disable"));
    }
}
