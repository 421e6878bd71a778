//! `aictl-sandboxd`: see [`aictl_sandbox::sandboxd`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    aictl_sandbox::sandboxd::main(args)
}
