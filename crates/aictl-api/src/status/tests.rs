//! Tests of the status document.

use serde_json::Value;

use super::*;
use crate::service::Catalogue;

fn service(health: Health) -> ServiceStatus {
    let catalogue = Catalogue::builtin();
    ServiceStatus::new(catalogue.get("ollama").unwrap(), Scope::User, health)
}

#[test]
fn words_are_those_of_the_document() {
    let words = ["active", "degraded", "inactive", "failed", "not-installed"];
    assert_eq!(Health::ALL.map(Health::name), words);
    for health in Health::ALL {
        assert_eq!(serde_json::to_value(health).unwrap(), health.name());
    }
    for (state, word) in [
        (HelperState::Running, "running"),
        (HelperState::Installed, "installed"),
        (HelperState::Absent, "absent"),
    ] {
        assert_eq!((serde_json::to_value(state).unwrap(), state.name()), (word.into(), word));
    }
    for scope in Scope::ALL {
        assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
    }
}

#[test]
fn what_is_unknown_is_null_and_is_there() {
    let document = serde_json::to_value(service(Health::NotInstalled)).unwrap();
    let Value::Object(fields) = document else { panic!("{document}") };
    for (key, value) in &fields {
        let expected = match key.as_str() {
            "name" => "ollama".into(),
            "display" => "Ollama".into(),
            "unit" => "ollama.service".into(),
            "scope" => "user".into(),
            "health" => "not-installed".into(),
            "required" => false.into(),
            "notes" => Value::Array(Vec::new()),
            _ => Value::Null,
        };
        assert_eq!(*value, expected, "{key}");
    }
    assert_eq!(fields.len(), 27);
}

#[test]
fn a_document_comes_back_as_it_was() {
    let status = Status {
        services: vec![service(Health::Degraded)],
        gpus: Vec::new(),
        host: HostStatus {
            load: Some([0.5, 1.0, 2.0]),
            ..HostStatus::new(Some(HelperState::Absent))
        },
        totals: Totals { degraded: 1, ..Totals::default() },
        attention: vec!["ollama".to_owned()],
        notes: vec!["a".to_owned()],
    };
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
}

#[test]
fn totals_are_of_what_is_known() {
    assert_eq!(Totals::of(&[]), Totals::default());
    let unknown = service(Health::Active);
    let totals = Totals::of(&[unknown.clone(), unknown.clone()]);
    assert_eq!((totals.active, totals.memory_bytes, totals.vram_bytes), (2, None, None));
    let known = |health, memory, vram| ServiceStatus {
        memory_bytes: memory,
        vram_bytes: vram,
        ..service(health)
    };
    let totals = Totals::of(&[
        known(Health::Degraded, Some(5), None),
        known(Health::Inactive, None, None),
        known(Health::Failed, Some(7), Some(0)),
        known(Health::NotInstalled, None, None),
    ]);
    let counts = [totals.degraded, totals.inactive, totals.failed, totals.not_installed];
    assert_eq!((counts, totals.active), ([1; 4], 0));
    assert_eq!((totals.memory_bytes, totals.vram_bytes), (Some(12), Some(0)));
    let huge = known(Health::Active, Some(u64::MAX), None);
    assert_eq!(Totals::of(&[huge.clone(), huge]).memory_bytes, Some(u64::MAX));
}
