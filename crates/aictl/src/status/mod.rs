//! `aictl status`.

mod shown;

use aictl_api::exit;

use crate::{
    args::{Global, status::Status},
    message,
};

/// Runs the command; returns the exit code.
pub fn main(global: &Global, _args: &Status) -> u8 {
    message::fail(global, exit::INTERNAL, "this command is not there yet")
}
