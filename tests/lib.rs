//! What the tests that span crates share.

/// The Rust that README.md shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
