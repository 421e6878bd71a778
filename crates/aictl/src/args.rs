//! The command line: one table for parsing and help.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use aictl_api::{exit, limits};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// See, steer and safely use the AI services on your own Linux machine.
#[derive(Debug, Parser)]
#[command(name = "aictl", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Print one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Never use the helper: work with your own rights
    #[arg(long, global = true)]
    pub embedded: bool,
    /// Print no messages but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on standard error about what is done
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Configuration to read instead of /etc/aictl/aictl.toml and /etc/aictl/aictl.toml.d/*.toml
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an untrusted script in a sandbox
    #[command(after_help = RUN_HELP)]
    Run(Run),
    /// Check what this machine offers, and say what to do about what is missing
    Doctor,
}

const RUN_HELP: &str = "\
The script sees no network, no files but the system's programs and its own /work and /tmp, and
nothing of your environment. It ends with all its processes when it is done or a limit is reached.
Python, the limits and the most that you may ask for can be set in /etc/aictl/aictl.toml.

Exit code: the script's own; 124 timed out; 125 aictl failed; 126 refused; 127 no such script or
interpreter; 128+N killed by signal N (137: also out of memory).

Examples:
  aictl run script.py
  aictl run --timeout 5s --memory 256M script.py one two < data.csv
  aictl run --json - < script.py";

/// `aictl run`
#[derive(Debug, Args)]
pub struct Run {
    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = limit(&limits::TIMEOUT),
          help = with_default("Stop after this time", &limits::TIMEOUT))]
    pub timeout: Option<u64>,
    /// Stop after this much CPU time of all processes together
    #[arg(long, value_name = "TIME", value_parser = limit(&limits::CPU),
          help = with_default("Stop after this much CPU time of all its processes together", &limits::CPU))]
    pub cpu: Option<u64>,
    /// Stop when all processes together use more memory
    #[arg(long, value_name = "SIZE", value_parser = limit(&limits::MEMORY),
          help = with_default("Stop when all its processes together use more memory", &limits::MEMORY))]
    pub memory: Option<u64>,
    /// Stop when there are more processes and threads
    #[arg(long, value_name = "N", value_parser = limit(&limits::PROCESSES),
          help = with_default("Stop when there are more processes and threads", &limits::PROCESSES))]
    pub max_processes: Option<u64>,
    /// Stop when it prints more
    #[arg(long, value_name = "SIZE", value_parser = limit(&limits::OUTPUT),
          help = with_default("Stop when it prints more on standard output or error", &limits::OUTPUT))]
    pub max_output: Option<u64>,
    /// Size of /work and of /tmp
    #[arg(long, value_name = "SIZE", value_parser = limit(&limits::WORK),
          help = with_default("Size of its /work, and of its /tmp", &limits::WORK))]
    pub work_size: Option<u64>,
    /// Python to run it with [default: /usr/bin/python3, else the first on PATH]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// How strictly to isolate it
    #[arg(long, value_enum, default_value_t = Profile::Standard)]
    pub profile: Profile,
    /// Give it an empty standard input
    #[arg(long)]
    pub no_stdin: bool,
    /// The script (- for standard input) and its arguments; options go before it
    #[arg(required = true, trailing_var_arg = true,
          value_names = ["SCRIPT", "ARGS"], num_args = 1..)]
    pub script: Vec<OsString>,
}

/// How strictly a script is isolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Every layer of the kernel; the language is whole.
    Standard,
}

/// Reads a limit with its unit, in its range.
fn limit(
    spec: &'static limits::LimitSpec,
) -> impl Fn(&str) -> Result<u64, limits::LimitError> + Clone + Send + Sync + 'static {
    move |text| spec.parse(text)
}

fn with_default(help: &str, spec: &limits::LimitSpec) -> String {
    format!("{help} [default: {}]", spec.default_text())
}

/// Prints what is wrong with the command line, or the help that was asked for.
pub fn explain(error: &clap::Error) -> ExitCode {
    // Where nobody reads it there is nobody to tell.
    let _closed = error.print();
    ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_table_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn everything_behind_the_script_is_the_scripts() {
        let cli = Cli::try_parse_from([
            "aictl",
            "run",
            "--timeout",
            "5s",
            "--json",
            "a.py",
            "--json",
            "-v",
            "--",
            "x",
            "-",
        ])
        .unwrap();
        let Command::Run(run) = cli.command else { panic!("not run") };
        assert!(cli.global.json && !cli.global.verbose);
        assert_eq!(run.timeout, Some(5000));
        assert_eq!(run.script, ["a.py", "--json", "-v", "--", "x", "-"]);
    }

    #[test]
    fn wrong_command_lines_are_usage_errors() {
        for line in [
            "aictl",
            "aictl run",
            "aictl rnu x.py",
            "aictl run --timeout 0 x.py",
            "aictl run --timeout -1s x.py",
            "aictl run --memory 5s x.py",
            "aictl run --memory 1000T x.py",
            "aictl run --profile none x.py",
            "aictl run --no-sandbox x.py",
            "aictl run -q -v x.py",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
