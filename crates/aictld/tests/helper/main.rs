//! The helper on a private bus, with a fake polkit, a fake systemd, and a socket in the journal's
//! place. Each row of what went wrong elsewhere has a test here that is named after it.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are all tests")]

mod authorisation;
mod calls;
mod events;
mod gpus;
mod lifetime;
mod limits;
mod logs;
mod peer;
mod records;
mod sandbox;
mod world;
