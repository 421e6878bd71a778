//! `aictl doctor`: what this machine offers, and what to do about what is missing.

use crate::args::Global;

/// Runs the command; returns the exit code.
pub fn main(_global: &Global) -> u8 {
    0
}
