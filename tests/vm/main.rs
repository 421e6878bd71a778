//! Tests of what only a kernel of its own shows: control groups that limit, AppArmor, and the
//! kernel's knobs. `cargo xtask test vm` boots a virtual machine, installs everything in it, and
//! runs these tests there, as root, one after the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

#[path = "../../crates/aictl/tests/helped/alike.rs"]
mod alike;
mod attacks;
mod audit;
mod groups;
mod guest;
#[path = "../harness/mod.rs"]
#[allow(dead_code, reason = "the machine has no use for programs whose layers are off")]
mod harness;
mod knobs;
mod layers;
mod limits;
mod service;
