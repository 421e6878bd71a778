//! Tests of names, sets of verbs, and the catalogue.

use super::*;

#[test]
fn the_built_in_services_are_a_catalogue_and_begin_with_the_five() {
    let catalogue = Catalogue::builtin();
    let names: Vec<&str> = catalogue.iter().map(|service| service.name.as_ref()).collect();
    assert_eq!(names[..5], ["ollama", "vllm", "llamacpp-python", "llama-cpp-native", "litellm"]);
    assert_eq!(names.len(), 18);
    for service in &catalogue {
        assert_eq!(ServiceName::parse(service.name.as_ref()).as_ref(), Ok(&service.name));
        assert_eq!(UnitName::parse(service.unit.as_ref()).as_ref(), Ok(&service.unit));
    }
    assert_eq!(Catalogue::new(catalogue.0.clone()), Ok(catalogue));
}
