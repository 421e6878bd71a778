//! The commands that look: at services, at GPUs, and at the shape of what programs are told.

use std::time::Duration;

use aictl_api::limits::{LimitError, LimitSpec, Unit};
use clap::Args;

/// How often `--watch` looks. The default is the configuration's `refresh-interval`.
pub const WATCH: LimitSpec =
    LimitSpec { name: "watch", unit: Unit::Time, default: 5000, min: 1000, max: 60_000 };

/// What follows the help of `aictl status`.
pub const STATUS_HELP: &str = "\
Without a name it shows the services whose units are on this machine, and those that the
configuration requires. HEALTH is active, degraded (the unit runs, but something is wrong: the lines
below the table say what, and what to do), inactive, failed or not-installed.

CPU is the average since the unit was started, as ps(1) has it; with --watch it is that since the
last look. Endpoints are asked with your rights; a key that one needs is read from the environment
(AICTL_KEY_LITELLM for the service litellm) or from ~/.config/aictl/keys.toml, which nobody else may
read: a line for each service, litellm = \"KEY\". A key is sent to the service's own unit, or to a
program that runs as you: where another user's listens on its port, or one of which nobody can tell
whose it is, it is not.

With --json it is one document; with --json and --watch, one document on a line for each look.
--watch goes on until Ctrl-C, which is its ordinary end: the exit code is 0 then.

Exit code: 0; 3 a service that is required is not active, or is degraded; 125 aictl itself failed;
127 no such service.

Examples:
  aictl status
  aictl status ollama
  aictl status --watch=2s
  aictl status --json | jq '.attention'";

/// `aictl status`
#[derive(Debug, Args)]
pub struct Status {
    /// The services, by their names in the catalogue; one alone is shown in full
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Show every service of the catalogue, installed or not
    #[arg(long, short, conflicts_with = "services")]
    pub all: bool,
    /// Look again and again, each time after so long: 1s to 1m [default: status.refresh-interval, 5s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, value_parser = watch)]
    pub watch: Option<Option<Duration>>,
}

/// What follows the help of `aictl gpu`.
pub const GPU_HELP: &str = "\
Where the helper is installed it is asked, which sees the processes of all users; with --embedded,
or without it, you see what your own rights show. A GPU that sleeps is not woken.

Examples:
  aictl gpu
  aictl gpu --processes
  aictl gpu --watch=2s";

/// `aictl gpu`
#[derive(Debug, Args)]
pub struct Gpu {
    /// Show the processes that use a GPU, with their units and services
    #[arg(long, short)]
    pub processes: bool,
    /// Look again and again, each time after so long: 1s to 1m [default: status.refresh-interval, 5s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, value_parser = watch)]
    pub watch: Option<Option<Duration>>,
}

/// What follows the help of `aictl schema`.
pub const SCHEMA_HELP: &str = "\
Without a name it lists the documents. The schema of the configuration's files is printed by
`aictl config schema`.

Examples:
  aictl schema status
  aictl schema status > status.schema.json";

/// `aictl schema`
#[derive(Debug, Args)]
pub struct Schema {
    /// The document: mostly the name of the command that prints it
    pub document: Option<String>,
}

/// Reads how often to look.
fn watch(text: &str) -> Result<Duration, LimitError> {
    WATCH.parse(text).map(Duration::from_millis)
}
