//! The static check: whatever the text is, it comes back in time and within its stack, and says
//! nothing that acts on a terminal.

#![no_main]

use aictl_check::{Policy, check};
use aictl_fuzz::tokens;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

/// The most that a configuration can allow.
fn largest() -> Policy {
    use aictl_api::strict::{DEPTH, NODES, SOURCE};
    Policy { source: SOURCE.max, nodes: NODES.max, depth: DEPTH.max, ..Policy::default() }
}

fuzz_target!(|text: &[u8]| {
    let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
    for policy in [largest(), Policy::default()] {
        for finding in check(text, &policy).findings {
            assert!((1..=lines).contains(&(finding.line as usize)), "{finding:?}");
            assert!(
                finding.column >= 1 && finding.column as usize <= text.len() + 1,
                "{finding:?}"
            );
            let said = format!("{}{}", finding.message, finding.instead.unwrap_or_default());
            assert!(!said.chars().any(char::is_control), "{said:?}");
            assert!(!said.contains("a fault of the parser"), "{said}");
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let whole =
        if seed % 4 == 0 { None } else { tokens::change_in_place(data, size, max_size, seed) };
    whole.unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
});
