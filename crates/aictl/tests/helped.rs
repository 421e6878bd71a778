//! `aictl run` through the helper: the program itself, a helper on a bus of its own with a fake
//! polkit and a socket in the journal's place, and a real keeper of sandboxes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are all tests")]

#[path = "helped/alike.rs"]
mod alike;
mod common;
#[path = "helped/endings.rs"]
mod endings;
#[path = "helped/inputs.rs"]
mod inputs;
#[path = "helped/installed.rs"]
mod installed;
#[path = "helped/refusals.rs"]
mod refusals;
#[path = "helped/same.rs"]
mod same;
#[path = "../../aictld/tests/helper/world/mod.rs"]
mod world;
