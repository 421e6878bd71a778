//! `aictl gpu`.

pub mod table;

use aictl_api::exit;

use crate::{
    args::{Global, status::Gpu},
    message,
};

/// Runs the command; returns the exit code.
pub fn main(global: &Global, _args: &Gpu) -> u8 {
    message::fail(global, exit::INTERNAL, "this command is not there yet")
}
