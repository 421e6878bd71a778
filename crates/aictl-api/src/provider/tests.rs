//! Tests of the table of providers.

use std::collections::BTreeSet;

use super::*;
use crate::service::ServiceName;

#[test]
fn every_provider_has_a_name_of_its_own_that_leads_back_to_it() {
    let names: BTreeSet<&str> = Provider::NAMES.into_iter().collect();
    let displays: BTreeSet<&str> = Provider::ALL.into_iter().map(Provider::display).collect();
    assert_eq!((names.len(), displays.len()), (Provider::ALL.len(), Provider::ALL.len()));
    for (provider, name) in Provider::ALL.into_iter().zip(Provider::NAMES) {
        assert_eq!(provider.name(), name);
        assert_eq!(Provider::from_name(name), Some(provider));
        // Of the same alphabet as the names of services.
        assert!(ServiceName::parse(name).is_ok(), "{name}");
    }
    for word in ["", "Ollama", "ollama ", "llama.cpp", "ollama\0"] {
        assert_eq!(Provider::from_name(word), None, "{word:?}");
    }
}

#[test]
fn every_provider_has_usual_ports_none_of_them_twice() {
    for provider in Provider::ALL {
        let ports = provider.ports();
        let different: BTreeSet<&u16> = ports.iter().collect();
        assert!(!ports.is_empty() && different.len() == ports.len(), "{provider:?}");
        assert!(!ports.contains(&0), "{provider:?}");
    }
}
