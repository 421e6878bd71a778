//! What the two programs that run as root do. Nobody speaks to them: they read the configuration,
//! which only root can write, and one of them an instance name that is checked against it.
//!
//! - `aictl-polkit-rules` writes the polkit rules from the configuration;
//! - `aictl-unit-file` enables or disables the unit of one service of the configuration.

pub mod replace;
pub mod unit_file;
