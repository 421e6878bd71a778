//! The journal of systemd: records that go in, and lines that are read back.

pub mod read;
pub mod send;
