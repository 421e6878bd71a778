//! The command line: one table for parsing and help.

pub mod completions;
#[cfg(test)]
mod man_page;
pub mod services;
pub mod status;

use std::{
    ffi::OsString,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::ExitCode,
};

use aictl_api::{authorisation::Verb, exit, limits};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};

use crate::{color::When, message};
use completions::{COMPLETIONS_HELP, Completions};
use services::{ACT_HELP, AUDIT_HELP, Act, Audit, Config, LOGS_HELP, Logs, about};
use status::{GPU_HELP, Gpu, SCHEMA_HELP, STATUS_HELP, Schema, Status};

/// See, steer and safely use the AI services on your own Linux machine.
#[derive(Debug, Parser)]
#[command(name = "aictl", version, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command. Help lists a command's own before them.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Print one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Never use the helper: work with your own rights
    #[arg(long, global = true)]
    pub embedded: bool,
    /// Act on services of your own service manager, not the system's
    #[arg(long, global = true)]
    pub user: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub color: When,
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
    /// Say what the profile strict would refuse of a script, without running it
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// Show services: their health, endpoints, models, and what they use
    #[command(after_help = STATUS_HELP)]
    Status(Status),
    /// Show the GPUs, and who uses them
    #[command(after_help = GPU_HELP)]
    Gpu(Gpu),
    #[command(about = about(Verb::Start), after_help = ACT_HELP)]
    Start(Act),
    #[command(about = about(Verb::Stop), after_help = ACT_HELP)]
    Stop(Act),
    #[command(about = about(Verb::Restart), after_help = ACT_HELP)]
    Restart(Act),
    #[command(about = about(Verb::Reload), after_help = ACT_HELP)]
    Reload(Act),
    #[command(about = about(Verb::Enable), after_help = ACT_HELP)]
    Enable(Act),
    #[command(about = about(Verb::Disable), after_help = ACT_HELP)]
    Disable(Act),
    /// Print a service's log
    #[command(after_help = LOGS_HELP)]
    Logs(Logs),
    /// Show who asked the helper for what, and what came of it
    #[command(after_help = AUDIT_HELP)]
    Audit(Audit),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(Config),
    /// Print the JSON Schema of what a command prints with --json
    #[command(after_help = SCHEMA_HELP)]
    Schema(Schema),
    /// Print the script by which a shell completes command lines of aictl
    #[command(after_help = COMPLETIONS_HELP)]
    Completions(Completions),
    /// Check what this machine offers, and say what to do about what is missing
    Doctor,
}

impl Command {
    /// Whether it is about services, which are the system's or a user's.
    const fn has_scope(&self) -> bool {
        match self {
            Self::Status(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Reload(_)
            | Self::Enable(_)
            | Self::Disable(_)
            | Self::Logs(_) => true,
            Self::Run(_)
            | Self::Check(_)
            | Self::Gpu(_)
            | Self::Audit(_)
            | Self::Config(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Doctor => false,
        }
    }
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

const CHECK_HELP: &str = "\
Each finding is a line FILE:LINE:COLUMN: RULE: MESSAGE, as editors read it, and a line that says what
to write instead. What a script may import, and how large it may be, is set in [sandbox.strict] of
/etc/aictl/aictl.toml. The check is policy, not protection: a script that passes is still untrusted,
and the kernel is the wall around it.

Exit code: 0 nothing is refused; 126 something is; 127 no such script.

Examples:
  aictl check script.py
  aictl check --json - < script.py
  aictl run --profile strict script.py";

/// `aictl check`
#[derive(Debug, Args)]
pub struct Check {
    /// The script (- for standard input)
    pub script: OsString,
}

/// `aictl run`
#[derive(Debug, Default, Args)]
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
    /// Tell at the end where the time went
    #[arg(long)]
    pub timings: bool,
    /// The script (- for standard input) and its arguments; options go before it
    #[arg(required = true, trailing_var_arg = true,
          value_names = ["SCRIPT", "ARGS"], num_args = 1..)]
    pub script: Vec<OsString>,
}

/// How strictly a script is isolated.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// Every layer of the kernel; the language is whole.
    #[default]
    Standard,
    /// As standard; and a part of Python alone, which is checked before anything runs.
    Strict,
}

/// Reads a limit with its unit, in its range.
fn limit(
    spec: &'static limits::LimitSpec,
) -> impl Fn(&str) -> Result<u64, limits::LimitError> + Clone + Send + Sync + 'static {
    move |text| spec.parse(text)
}

fn with_default(help: &str, spec: &limits::LimitSpec) -> String {
    format!("{help}: {} [default: {}]", spec.range_text(), spec.default_text())
}

/// Whether the command line begins as that of a run does.
pub fn is_run(words: impl IntoIterator<Item = OsString>) -> bool {
    words.into_iter().nth(1).is_some_and(|word| word == "run")
}

/// Reads the command line.
///
/// # Errors
/// If it is wrong, or asks for help.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let words: Vec<OsString> = words.into_iter().collect();
    let cli = match plain_run(&words).or_else(|| run_line(&words)) {
        Some(cli) => cli,
        None => Cli::try_parse_from(words)?,
    };
    if cli.global.user && !cli.command.has_scope() {
        let words =
            "--user is for services: status, start, stop, restart, reload, enable, disable, logs";
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, words));
    }
    if cli.global.json && matches!(cli.command, Command::Completions(_)) {
        let words = "--json is for documents: what completions prints is a script for a shell";
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, words));
    }
    Ok(cli)
}

/// Reads `aictl run SCRIPT ARGS…`, for which there is nothing to look up: whatever stands behind the
/// script is the script's. `None` for any other line.
fn plain_run(words: &[OsString]) -> Option<Cli> {
    let [_, command, script @ ..] = words else { return None };
    let is_plain = command == "run" && !script.first()?.as_bytes().starts_with(b"-");
    let run = is_plain.then(|| Run { script: script.to_vec(), ..Run::default() })?;
    Some(Cli { global: Global::default(), command: Command::Run(run) })
}

/// What stands behind the word `run`.
#[derive(Debug, Parser)]
#[command(name = "aictl run", disable_help_flag = true)]
struct RunLine {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    run: Run,
}

/// Reads `aictl run …` with the part of the table that it needs: to make the whole takes longer than
/// all else that is done before the sandbox. `None` if it is another command, if anything is wrong,
/// or if help is wanted: then the whole table has the say.
fn run_line(words: &[OsString]) -> Option<Cli> {
    let [_, command, rest @ ..] = words else { return None };
    let name = OsString::from("aictl run");
    let line = (command == "run").then(|| [&name].into_iter().chain(rest))?;
    let RunLine { global, run } = RunLine::try_parse_from(line).ok()?;
    Some(Cli { global, command: Command::Run(run) })
}

/// Prints what is wrong with the command line, or the help that was asked for.
pub fn explain(error: &clap::Error, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    if !error.use_stderr() {
        return match error.print().and_then(|()| io::stdout().flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                message::error(format_args!("the output cannot be written: {error}"));
                ExitCode::from(exit::INTERNAL)
            }
            // Where nobody reads it there is nobody to tell.
            _ => ExitCode::from(exit::OK),
        };
    }
    let _closed = error.print();
    if wants_json(words) {
        message::document(exit::USAGE, &first_paragraph(&error.to_string()));
    }
    ExitCode::from(exit::USAGE)
}

/// What stands above the first empty line, as one line, without clap's `error:`.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let paragraph = lines.collect::<Vec<_>>().join(" ");
    paragraph.strip_prefix("error: ").unwrap_or(&paragraph).to_owned()
}

/// Whether a command line that cannot be read as a whole asks for JSON. What belongs to a script
/// asks for nothing.
fn wants_json(words: impl IntoIterator<Item = OsString>) -> bool {
    let root = Cli::command();
    let mut command = &root;
    let takes_value = |command: &clap::Command, word: &str| {
        let args = root.get_arguments().chain(command.get_arguments());
        args.filter(|arg| arg.get_action().takes_values()).any(|arg| {
            match word.strip_prefix("--") {
                Some(long) => arg.get_long() == Some(long),
                // The last of some short options in one word may take the next word.
                None => arg.get_short().is_some_and(|short| word.ends_with(short)),
            }
        })
    };
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--json") => return true,
            Some("--") => return false,
            Some(option) if option.starts_with('-') && option.len() > 1 => {
                let _value = takes_value(command, option).then(|| words.next());
            }
            _ if command.get_name() == "run" => return false,
            Some(name) => command = command.find_subcommand(name).unwrap_or(command),
            None => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

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
    fn json_is_asked_for_by_words_of_ours_alone() {
        for (line, expected) in [
            ("aictl", false),
            ("aictl --json", true),
            ("aictl --json rnu", true),
            ("aictl run --timeout 0 --json x.py", true),
            ("aictl run --timeout=0 --json x.py", true),
            ("aictl run --timout 5s x.py --json", false),
            ("aictl run x.py --json", false),
            ("aictl run -- --json", false),
            ("aictl run - --json", false),
            ("aictl run --python --json x.py", false),
            ("aictl --config --json run", false),
            ("aictl restart --timeout 0 ollama --json", true),
            ("aictl restart run --json", true),
            ("aictl logs -fn --json", false),
            ("aictl logs -f --json", true),
            ("aictl config bla --json", true),
        ] {
            assert_eq!(wants_json(line.split(' ').map(OsString::from)), expected, "{line}");
        }
    }

    #[test]
    fn a_usage_error_in_a_document_is_one_line() {
        for (text, expected) in [
            ("error: x was not\nprovided:\n  <A>\n\nUsage: y\n", "x was not provided: <A>"),
            ("odd", "odd"),
            ("", ""),
        ] {
            assert_eq!(first_paragraph(text), expected);
        }
    }

    #[test]
    fn services_and_options_of_verbs() {
        let cli = |line: &str| parse(line.split(' ').map(OsString::from));
        let read = cli("aictl restart a b --timeout 5s --user -q").unwrap();
        let Command::Restart(act) = read.command else { panic!("not restart") };
        assert_eq!(act.services, ["a", "b"]);
        assert_eq!(act.timeout.unwrap().as_secs(), 5);
        assert!(read.global.user && read.global.quiet && !act.no_block);
        assert!(cli("aictl --user doctor").is_err());
        assert!(cli("aictl --user logs a").is_ok());
        assert!(cli("aictl completions zsh").is_ok() && cli("aictl completions").is_err());
        assert!(cli("aictl --json completions zsh").is_err());
    }

    #[test]
    fn how_often_to_watch_is_said_or_left_to_the_configuration() {
        let watch = |line: &str| match parse(line.split(' ').map(OsString::from)).unwrap().command {
            Command::Status(status) => (status.watch, status.services),
            Command::Gpu(gpu) => (gpu.watch, Vec::new()),
            _ => panic!("another command"),
        };
        let seconds = |seconds| Some(Some(std::time::Duration::from_secs(seconds)));
        for (line, expected, services) in [
            ("aictl status", None, &[][..]),
            ("aictl status --watch", Some(None), &[]),
            ("aictl status --watch=2s", seconds(2), &[]),
            ("aictl status --watch=60", seconds(60), &[]),
            // A service is no time.
            ("aictl status --watch ollama --user", Some(None), &["ollama"]),
            ("aictl gpu --watch=1s -p", seconds(1), &[]),
        ] {
            let services = services.iter().map(ToString::to_string).collect::<Vec<_>>();
            assert_eq!(watch(line), (expected, services), "{line}");
        }
        assert!(parse("aictl gpu --user".split(' ').map(OsString::from)).is_err());
    }

    #[test]
    fn a_run_is_read_alike_with_a_part_of_the_table_and_with_the_whole() {
        for line in [
            "aictl run a.py",
            "aictl run --json -q a.py --json",
            "aictl run --memory 1G --timeout=5s --config c.toml --color never -- a.py -v",
            "aictl run --profile standard --python /usr/bin/python3 --no-stdin - x",
            "aictl run -v a.py run",
            "aictl run --profile strict a.py",
            "aictl run --user a.py",
        ] {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let part = run_line(&words).unwrap();
            let whole = Cli::try_parse_from(&words).unwrap();
            assert_eq!(format!("{part:?}"), format!("{whole:?}"), "{line}");
        }
        for line in ["aictl", "aictl run", "aictl --json run a.py", "aictl doctor", "aictl run -h"]
        {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            assert!(run_line(&words).is_none(), "{line}");
        }
    }

    #[test]
    fn a_plain_run_is_read_as_the_whole_table_reads_it() {
        for line in [
            "aictl run a.py",
            "aictl run a.py -- x",
            "aictl run a.py --json --help -v -- x -",
            "aictl run run run",
            "odd run \u{fffd} é",
        ] {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let plain = plain_run(&words).unwrap();
            let whole = Cli::try_parse_from(&words).unwrap();
            assert_eq!(format!("{plain:?}"), format!("{whole:?}"), "{line}");
        }
        for line in ["aictl", "aictl run", "aictl run -", "aictl run -v a.py", "aictl check a.py"] {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            assert!(plain_run(&words).is_none(), "{line}");
        }
        let odd = ["aictl".into(), "run".into(), OsString::from_vec(vec![0xff]), OsString::new()];
        let whole = format!("{:?}", Cli::try_parse_from(&odd).unwrap());
        assert_eq!(format!("{:?}", plain_run(&odd).unwrap()), whole);
    }

    #[test]
    fn help_is_a_command_too() {
        for line in ["aictl help", "aictl help run", "aictl help config show", "aictl run --help"] {
            let error = parse(line.split(' ').map(OsString::from)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DisplayHelp, "{line}: {error}");
        }
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
            "aictl check",
            "aictl check a.py b.py",
            "aictl start",
            "aictl kill ollama",
            "aictl start --no-block --timeout 5s ollama",
            "aictl start --timeout 999ms ollama",
            "aictl start --timeout 61m ollama",
            "aictl logs",
            "aictl logs a b",
            "aictl logs -n -1 a",
            "aictl logs -n 10001 a",
            "aictl logs --since soon a",
            "aictl status --watch=999ms",
            "aictl status --watch=61s",
            "aictl status --all ollama",
            "aictl gpu ollama",
            "aictl audit -n 0",
            "aictl audit --outcome good",
            "aictl config",
            "aictl --color blue doctor",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
