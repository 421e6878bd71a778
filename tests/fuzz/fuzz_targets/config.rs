//! A configuration: it is taken, or each thing that is wrong with it is told in plain words.

#![no_main]

use aictl_api::config::Settings;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Err(errors) = Settings::parse_all("fuzz.toml", text) else { return };
    assert!(!errors.is_empty());
    for error in errors {
        assert!(error.to_string().starts_with("fuzz.toml"));
    }
});
