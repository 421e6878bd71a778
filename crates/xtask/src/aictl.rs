//! `cargo xtask aictl ARGS…`: builds `aictl` and becomes it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// aictl's exit code for "aictl itself failed", used when it cannot even be built.
pub const INTERNAL: u8 = 125;

/// Builds the release programs and replaces this process by `aictl` with `args`.
///
/// The working directory, the descriptors and the exit code are the caller's and aictl's own, as
/// if aictl had been called directly. Returns only if that failed.
pub fn exec(workspace: &Workspace, args: &[OsString]) -> Failure {
    match workspace.build_release() {
        Ok(aictl) => {
            let source = workspace.command(&aictl).args(args).exec();
            Failure::Start { program: aictl.display().to_string(), source }
        }
        Err(failure) => failure,
    }
}
