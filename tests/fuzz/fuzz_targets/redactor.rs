//! The redactor: bounded, and no control character is left by what makes text plain.

#![no_main]

use aictl_core::{
    plain_text::plain_text,
    redact::{MAX_TEXT, redact},
};

libfuzzer_sys::fuzz_target!(|text: &str| {
    assert!(redact(text).len() <= MAX_TEXT);
    let plain = plain_text(text);
    assert!(redact(&plain).len() <= MAX_TEXT);
    assert!(!plain.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{plain:?}");
    // A secret of a known form is found whatever stands around it, within what is kept.
    if text.len() < 1024 && !text.contains("aB3dE5") {
        let secret = "sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9";
        let said = format!("{text} password={secret}");
        assert!(!redact(&said).contains(secret), "{said:?}");
    }
});
