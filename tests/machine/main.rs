//! Tests of what is installed, inside of a machine that was booted for them: a Debian with systemd,
//! D-Bus, polkit and journald. `cargo xtask test machine` boots it, installs everything, runs these
//! tests, and uninstalls everything.
//!
//! There is one machine for all of them. Each takes it for itself, and gives it back as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[path = "../../crates/aictl/tests/helped/alike.rs"]
mod alike;
mod audit;
mod clients;
mod corpus;
mod direct;
mod examples;
mod fairness;
mod going;
mod gpu;
#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "the machine has no use for programs whose layers are off")]
mod harness;
mod held;
mod helper;
mod hostile;
mod installed;
mod kills;
mod logs;
mod machine;
mod manual;
mod odd;
mod rules;
mod sandbox;
mod status;
