//! Tests of names, sets of verbs, and the catalogue.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_of_services_are_taken_as_they_are_or_not_at_all() {
    let longest = "a".repeat(64);
    for good in ["a", "0", "ollama", "llama-cpp-native", "a--b", "a-", "9-", longest.as_str()] {
        let name = ServiceName::parse(good).unwrap();
        assert_eq!((name.as_ref(), name.to_string().as_str()), (good, good));
        assert_eq!(good.parse(), Ok(name));
    }
    let allowed = "a-z, 0-9 and \"-\"";
    let other = |found| NameError::Character { found, allowed };
    let too_long = NameError::TooLong { max: 64 };
    let (longer, huge) = ("a".repeat(65), "\n".repeat(1 << 20));
    for (bad, error) in [
        ("", NameError::Empty),
        ("-a", NameError::First('-')),
        ("Ollama", other('O')),
        (" ollama", other(' ')),
        ("ollama ", other(' ')),
        ("ollama\n", other('\n')),
        ("ollama\0", other('\0')),
        ("ollama.service", other('.')),
        ("../ollama", other('.')),
        ("a/b", other('/')),
        ("a_b", other('_')),
        ("a*", other('*')),
        ("a@b", other('@')),
        ("%s", other('%')),
        ("\u{1b}[2J", other('\u{1b}')),
        ("\u{43e}llama", other('\u{43e}')),
        ("ollama\u{200b}", other('\u{200b}')),
        ("\u{ff4f}", other('\u{ff4f}')),
        (&longer, too_long),
        (&huge, too_long),
    ] {
        assert_eq!(ServiceName::parse(bad), Err(error), "{:?}", bad.get(..9));
    }
}

#[test]
fn names_of_units_are_those_of_services_alone() {
    let longest = format!("{}.service", "a".repeat(247));
    for good in [
        "a.service",
        "Ollama_1.service",
        "a:b.service",
        "a\\x2db.service",
        "vllm@tiny.service",
        "a@b@c.service",
        "ollama.service.service",
        longest.as_str(),
    ] {
        let unit = UnitName::parse(good).unwrap();
        assert_eq!((unit.as_ref(), unit.to_string().as_str()), (good, good));
        assert_eq!(format!("{}.service", unit.stem()), good);
        assert_eq!(good.parse(), Ok(unit));
    }
    let allowed = "a-z, A-Z, 0-9 and \":_.\\@-\"";
    let other = |found| NameError::Character { found, allowed };
    let too_long = NameError::TooLong { max: 255 };
    let (longer, huge) = (format!("a{longest}"), "*".repeat(1 << 20));
    for (bad, error) in [
        ("", NameError::Empty),
        ("ollama", NameError::NotAService),
        ("ollama.Service", NameError::NotAService),
        ("ollama.socket", NameError::NotAService),
        ("-.mount", NameError::NotAService),
        ("service", NameError::NotAService),
        (".service", NameError::NoStem),
        ("-.service", NameError::First('-')),
        ("--force.service", NameError::First('-')),
        ("..service", NameError::First('.')),
        (".hidden.service", NameError::First('.')),
        ("@.service", NameError::First('@')),
        ("@a.service", NameError::First('@')),
        ("getty@.service", NameError::Template),
        ("a@b@.service", NameError::Template),
        ("a..b.service", NameError::DotDot),
        ("a..service", NameError::DotDot),
        ("../a.service", other('/')),
        ("/etc/a.service", other('/')),
        ("a*.service", other('*')),
        ("a?.service", other('?')),
        ("[a].service", other('[')),
        ("a b.service", other(' ')),
        ("a.service ", other(' ')),
        ("a.service\n", other('\n')),
        ("a\0.service", other('\0')),
        ("%i.service", other('%')),
        ("$a.service", other('$')),
        ("a\u{202e}.service", other('\u{202e}')),
        ("\u{430}.service", other('\u{430}')),
        (&longer, too_long),
        (&huge, too_long),
    ] {
        assert_eq!(UnitName::parse(bad), Err(error), "{:?}", bad.get(..9));
    }
}

#[test]
fn what_is_wrong_with_a_name_is_told_on_one_short_line() {
    for error in [
        ServiceName::parse("").unwrap_err(),
        ServiceName::parse(&"a".repeat(100)).unwrap_err(),
        ServiceName::parse("\u{1b}").unwrap_err(),
        ServiceName::parse("\u{202e}").unwrap_err(),
        ServiceName::parse("-").unwrap_err(),
        UnitName::parse("a").unwrap_err(),
        UnitName::parse(".service").unwrap_err(),
        UnitName::parse("a@.service").unwrap_err(),
        UnitName::parse("a..b.service").unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.len() < 120 && text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text:?}");
    }
}

#[test]
fn the_one_shot_of_a_unit_is_made_for_two_verbs_and_is_a_unit_itself() {
    let unit = UnitName::parse("a\\x2db@c.service").unwrap();
    for verb in Verb::ALL {
        let job = unit.unit_file_job(verb);
        let expected = match verb {
            Verb::Enable => Some("aictl-unit-file@enable:a\\x2db@c.service"),
            Verb::Disable => Some("aictl-unit-file@disable:a\\x2db@c.service"),
            _ => None,
        };
        assert_eq!(job.as_ref().map(AsRef::as_ref), expected, "{verb:?}");
    }
    // At the bound of systemd's names.
    for (stem, enable, disable) in [(223, true, true), (224, true, false), (225, false, false)] {
        let unit = UnitName::parse(&format!("{}.service", "a".repeat(stem))).unwrap();
        for (verb, is_possible) in [(Verb::Enable, enable), (Verb::Disable, disable)] {
            let job = unit.unit_file_job(verb);
            assert_eq!(job.is_some(), is_possible, "{stem} {verb:?}");
            if let Some(job) = job {
                assert_eq!(UnitName::parse(job.as_ref()), Ok(job));
            }
        }
    }
}

#[test]
fn sets_of_verbs_hold_what_was_put_in() {
    assert_eq!(Verbs::ALL.iter().collect::<Vec<_>>(), Verb::ALL);
    assert_eq!(Verbs::NONE.iter().count(), 0);
    assert!(Verbs::NONE.is_empty() && !Verbs::ALL.is_empty());
    for verb in Verb::ALL {
        let only = Verbs::of(&[verb]);
        for other in Verb::ALL {
            assert_eq!(only.contains(other), verb == other, "{verb:?} {other:?}");
        }
        assert_eq!(Verbs::NONE.with(verb), only);
        assert_eq!(Verbs::parse([verb.name()]), Ok(only));
    }
    let two = Verbs::of(&[Verb::Stop, Verb::Start, Verb::Stop]);
    assert_eq!(two.iter().collect::<Vec<_>>(), [Verb::Start, Verb::Stop]);
    assert_eq!(Verbs::parse(["stop", "start"]), Ok(two));
    assert_eq!(Verbs::parse([]), Ok(Verbs::NONE));
    for word in ["", "Start", "kill", "mask", "start,stop", "start\0"] {
        assert_eq!(Verbs::parse(["start", word]), Err(word));
    }
}

#[test]
fn scopes_have_words() {
    assert_eq!(Scope::ALL.map(Scope::name), ["system", "user"]);
    for scope in Scope::ALL {
        assert_eq!(Scope::from_name(scope.name()), Some(scope));
    }
    assert_eq!(Scope::from_name("System"), None);
}

#[test]
fn the_built_in_services_are_a_catalogue_and_begin_with_the_five() {
    let catalogue = Catalogue::builtin();
    let names: Vec<&str> = catalogue.iter().map(|service| service.name.as_ref()).collect();
    assert_eq!(names[..5], ["ollama", "vllm", "llamacpp-python", "llama-cpp-native", "litellm"]);
    assert_eq!((names.len(), &names[..]), (18, &BUILTIN_NAMES[..]));
    for service in &catalogue {
        assert_eq!(ServiceName::parse(service.name.as_ref()).as_ref(), Ok(&service.name));
        assert_eq!(UnitName::parse(service.unit.as_ref()).as_ref(), Ok(&service.unit));
        assert!(!service.display.is_empty() && service.display.len() <= MAX_DISPLAY);
    }
    assert_eq!(catalogue.iter().map(|service| &service.unit).collect::<BTreeSet<_>>().len(), 18);
    assert_eq!(Catalogue::new(catalogue.0.clone()), Ok(catalogue));
}

#[test]
fn a_service_is_found_by_its_exact_name_alone() {
    let catalogue = Catalogue::builtin();
    let ollama = catalogue.get("ollama").unwrap();
    assert_eq!(ollama.unit.as_ref(), "ollama.service");
    assert_eq!(catalogue.by_unit("ollama.service"), Some(ollama));
    for name in ["", "Ollama", "ollama ", "ollama.service", "ollam", "ollama\0", "\u{43e}llama"] {
        assert_eq!(catalogue.get(name), None, "{name:?}");
    }
    assert_eq!(catalogue.by_unit("ollama"), None);
    assert!(Catalogue::empty().is_empty() && Catalogue::empty().get("ollama").is_none());
}

#[test]
fn a_catalogue_has_no_name_and_no_unit_twice_and_a_bound() {
    let service = |name: &str, unit: &str| Service {
        name: ServiceName::parse(name).unwrap(),
        display: name.to_owned(),
        unit: UnitName::parse(unit).unwrap(),
        verbs: Verbs::NONE,
        required: false,
        provider: None,
        endpoint: None,
    };
    let (a, b) = (service("a", "a.service"), service("b", "a.service"));
    let unit = CatalogueError::Unit { first: a.name.clone(), second: b.name.clone() };
    assert_eq!(unit.to_string(), "the services a and b have the same unit");
    let same_name = service("a", "other.service");
    for (services, error) in [
        (vec![a.clone(), b.clone()], unit),
        (vec![a.clone(), same_name], CatalogueError::Name(a.name.clone())),
        (
            (0..=MAX_SERVICES)
                .map(|n| service(&format!("s{n}"), &format!("s{n}.service")))
                .collect(),
            CatalogueError::TooMany,
        ),
    ] {
        assert_eq!(Catalogue::new(services), Err(error));
    }
    // systemd tells units apart by case, and so does the catalogue.
    assert_eq!(Catalogue::new(vec![a, service("b", "A.service")]).unwrap().len(), 2);
}
