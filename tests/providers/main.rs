//! What `aictl status` says of real servers: LiteLLM and llama-cpp-python from PyPI, llama.cpp and
//! whisper.cpp from Debian, each a unit of a machine that was booted for it. `cargo xtask test
//! providers` does so; it is not among the tests that run without being named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[path = "../machine/machine.rs"]
#[allow(dead_code, reason = "the tests of the other machine use the rest")]
mod machine;
mod servers;
mod status;
