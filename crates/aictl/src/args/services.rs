//! The commands about services: what acts on them, and what reads of them.

use std::{path::PathBuf, time::Duration};

use aictl_api::{
    audit::{Decision, Outcome},
    authorisation::Verb,
    limits::{LimitSpec, Unit},
    run,
};
use clap::{Args, Subcommand};

use crate::time::Moment;

/// The most lines of a log that can be asked for.
pub const MAX_LINES: u32 = 10_000;
/// How long to wait for systemd's job. The default is the configuration's `action-timeout`.
const TIMEOUT: LimitSpec =
    LimitSpec { name: "timeout", unit: Unit::Time, default: 90_000, min: 1000, max: 3_600_000 };

/// What follows the verbs' help.
pub const ACT_HELP: &str = "\
A SERVICE is a name of the catalogue, such as ollama: not a systemd unit. With --user the unit is
one of your own service manager. Each service gets its own line (with --json, its own entry), and
all are attempted.

Exit code: 0 done; 1 it failed; 124 its time was up; 125 aictl or its helper failed; 126 refused;
127 no such service; of several services, the highest.";

/// The services to act on, and how.
#[derive(Debug, Args)]
pub struct Act {
    /// The services, by their names in the catalogue
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Do not wait until it is done
    #[arg(long, conflicts_with = "timeout")]
    pub no_block: bool,
    /// Wait no longer than this for each service: 1s to 1h [default: helper.action-timeout, 90s]
    #[arg(long, value_name = "TIME", value_parser = time(&TIMEOUT))]
    pub timeout: Option<Duration>,
}

fn time(
    spec: &'static LimitSpec,
) -> impl Fn(&str) -> Result<Duration, aictl_api::limits::LimitError> + Clone + Send + Sync + 'static
{
    move |text| spec.parse(text).map(Duration::from_millis)
}

/// What follows the help of `aictl logs`.
pub const LOGS_HELP: &str = "\
With --json it is one document, {\"service\":…, \"lines\":[…]}; with --json and --follow, for which
there is no end to wait for, one object on a line for each line of the log. Secrets, such as tokens
and passwords, are left out as far as they can be told.

--follow goes on when the service is restarted, until Ctrl-C: the exit code is 130 then. Where the
helper reads the log for you, --follow with --priority takes the last N lines first, and of those
the important ones.

Examples:
  aictl logs ollama
  aictl logs -f -n 0 vllm
  aictl logs --since 10m --priority warning ollama";

/// `aictl logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// The service, by its name in the catalogue
    pub service: String,
    /// Print the last N lines: 0 to 10000 [default: 100; with --since, 10000]
    #[arg(short = 'n', long, value_name = "N", value_parser = |word: &str| lines(word, 0))]
    pub lines: Option<u32>,
    /// Go on with new lines as they come
    #[arg(short, long)]
    pub follow: bool,
    /// Only from then on: 10m or 2h (ago), today, 2026-11-22, "2026-11-22 12:00", @SECONDS
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub since: Option<Moment>,
    /// Only lines of this priority and more important ones: emerg, alert, crit, err, warning,
    /// notice, info, debug, or 0 to 7
    #[arg(short, long, value_name = "PRIORITY", value_parser = priority)]
    pub priority: Option<u8>,
}

/// Reads a number of lines, of which there are `least` or more.
fn lines(word: &str, least: u32) -> Result<u32, String> {
    let number = word.parse().ok().filter(|number| (least..=MAX_LINES).contains(number));
    number.ok_or_else(|| format!("it is a whole number from {least} to {MAX_LINES}"))
}

/// The names of the priorities, each at its number (syslog(3)).
const PRIORITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Reads a priority by its name or number.
fn priority(word: &str) -> Result<u8, String> {
    let number = |word: &str| word.parse().ok().filter(|_| word.len() == 1);
    let found = PRIORITIES.iter().position(|name| *name == word).or_else(|| number(word));
    found
        .and_then(|found| u8::try_from(found).ok())
        .filter(|found| usize::from(*found) < PRIORITIES.len())
        .ok_or_else(|| format!("none of {}, and not 0 to 7", PRIORITIES.join(", ")))
}

/// What follows the help of `aictl audit`.
pub const AUDIT_HELP: &str = "\
Shows the calls that the helper answered or refused, as the journal has them. A call that was begun
and has no end in the journal is shown as unfinished.

To read them you need the right to read the system's journal: be root, or in the group
systemd-journal.

Examples:
  aictl audit --since today
  aictl audit --service ollama --outcome denied
  aictl audit --caller alice -n 5 --json";

/// `aictl audit`
#[derive(Debug, Args)]
pub struct Audit {
    /// Only from then on: 10m or 2h (ago), today, 2026-11-22, "2026-11-22 12:00", @SECONDS
    #[arg(long, value_name = "TIME", value_parser = Moment::parse)]
    pub since: Option<Moment>,
    /// Show the last N calls: 1 to 10000
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50,
          value_parser = |word: &str| lines(word, 1))]
    pub lines: u32,
    /// Only calls about this service
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
    /// Only calls of this user
    #[arg(long, value_name = "USER|UID")]
    pub caller: Option<String>,
    /// Only calls that were decided so, or ended so, or whose run did
    #[arg(long, value_name = "WORD", value_parser = Wanted::parse,
          help = format!("Only calls that were decided so, or ended so, or whose run did: {}", Wanted::words()))]
    pub outcome: Option<Wanted>,
}

/// The calls that are wanted, by what came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those with this decision.
    Decision(Decision),
    /// Those with this outcome, or whose run has one of that word.
    Outcome(Outcome),
    /// Those whose run has this outcome.
    Run(run::Outcome),
    /// Those without an end.
    Unfinished,
}

/// The word for [`Wanted::Unfinished`].
pub const UNFINISHED: &str = "unfinished";

impl Wanted {
    fn parse(word: &str) -> Result<Self, String> {
        Decision::from_name(word)
            .map(Self::Decision)
            .or_else(|| Outcome::from_name(word).map(Self::Outcome))
            .or_else(|| run::Outcome::from_name(word).map(Self::Run))
            .or_else(|| (word == UNFINISHED).then_some(Self::Unfinished))
            .ok_or_else(|| format!("none of {}", Self::words()))
    }

    fn words() -> String {
        let words = Decision::ALL.map(Decision::name).into_iter();
        let words = words.chain(Outcome::ALL.map(Outcome::name));
        let of_runs = run::Outcome::ALL.map(run::Outcome::name).into_iter();
        let of_runs = of_runs.filter(|word| Outcome::from_name(word).is_none());
        let words: Vec<_> = words.chain([UNFINISHED]).chain(of_runs).collect();
        words.join(", ")
    }
}

/// `aictl config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Show every setting, its value, and where it is set
    Show,
    /// Say what is wrong with the configuration: with each of its files, and with all together
    Check {
        /// Check this file alone, instead of the system's
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of the configuration's files, for editors and programs
    Schema,
}

/// A verb as a command of its own: what it says of itself.
#[must_use]
pub const fn about(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "Start services",
        Verb::Stop => "Stop services",
        Verb::Restart => "Restart services, or start those that do not run",
        Verb::Reload => "Have services read their configuration again",
        Verb::Enable => "Have services start at boot",
        Verb::Disable => "Have services no longer start at boot",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_has_a_name_and_a_number() {
        for (word, expected) in [
            ("emerg", Some(0)),
            ("err", Some(3)),
            ("warning", Some(4)),
            ("debug", Some(7)),
            ("0", Some(0)),
            ("7", Some(7)),
            ("8", None),
            ("07", None),
            ("+7", None),
            ("-1", None),
            ("", None),
            ("Err", None),
            ("0..3", None),
        ] {
            assert_eq!(priority(word).ok(), expected, "{word}");
        }
    }

    #[test]
    fn a_number_of_lines_is_in_its_range_or_told_which() {
        for (word, least, expected) in [
            ("0", 0, Ok(0)),
            ("0", 1, Err("it is a whole number from 1 to 10000")),
            ("10000", 0, Ok(10_000)),
            ("10001", 0, Err("it is a whole number from 0 to 10000")),
            ("-1", 0, Err("it is a whole number from 0 to 10000")),
            ("ten", 0, Err("it is a whole number from 0 to 10000")),
        ] {
            assert_eq!(lines(word, least), expected.map_err(str::to_owned), "{word}");
        }
    }
}
