//! What more than one of the targets needs.

pub mod tokens;
