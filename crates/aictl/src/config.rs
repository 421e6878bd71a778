//! The configuration, as the command line reads it: with the rights of whoever runs it, so that
//! anybody's files will do.

use std::path::Path;

use aictl_api::config::Config;
use aictl_core::config_files::{self, Trust};

pub use aictl_core::config_files::LoadError;

/// The configuration: of the file that the caller names, else of the system's files.
///
/// # Errors
/// If a file cannot be read, or its content is not accepted.
pub fn load(named: Option<&Path>) -> Result<Config, LoadError> {
    config_files::load(named, Trust::Any)
}
