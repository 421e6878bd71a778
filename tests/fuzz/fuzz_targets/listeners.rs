//! What the kernel answers to a question for its sockets (sock_diag(7)).

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aictl_core::listeners::fuzz(bytes));
