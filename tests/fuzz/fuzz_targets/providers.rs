//! What servers of models answer: whatever it is, the questions end, and the report can be shown.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aictl_providers::fuzz(bytes));
