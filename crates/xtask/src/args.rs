//! The command line of the driver, parsed once into types that cannot be wrong.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::bench::{PARTS, SECTIONS};
use crate::fuzz::{DEFAULT_SECONDS, MAX_SECONDS};
use crate::test::{TIERS, Tier};

/// The environment variable that stands for `--strict`; the tests read it too.
pub const STRICT_VARIABLE: &str = "AICTL_TEST_STRICT";
/// Runs of each row when `--runs` is not given: enough for a steady median in half a minute.
pub const DEFAULT_RUNS: u32 = 40;
/// The most runs of a row that `--runs` takes.
pub const MAX_RUNS: u32 = 10_000;

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print the commands.
    Help,
    /// Build the programs as they are shipped.
    Build,
    /// Run the tests.
    Test(TestOptions),
    /// Run formatter, linter, documentation and dependency checks.
    Check,
    /// Measure `aictl run` and `aictl status` beside what else there is.
    Bench(BenchOptions),
    /// Install everything: on this machine, or below a directory.
    Install(Option<PathBuf>),
    /// Take it away again.
    Uninstall(Option<PathBuf>),
    /// Make packages.
    Dist(DistOptions),
}

/// The options of `dist`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DistOptions {
    /// Also make a package for systems of rpm.
    pub rpm: bool,
}

/// The options of `test`.
#[derive(Debug, PartialEq, Eq)]
pub struct TestOptions {
    /// What could not be run is a failure.
    pub strict: bool,
    /// The machine gets the programs as they are shipped, which take minutes to build, and not
    /// those that the other tests use.
    pub shipped: bool,
    /// The names of the tiers to run, each one of [`TIERS`], in that order.
    pub tiers: Vec<&'static str>,
    /// Words of the names of the only tests to run in the machine; none means all.
    pub only: Vec<String>,
    /// How long the tier `fuzz` feeds each of its targets (1 to [`MAX_SECONDS`]).
    pub seconds: u32,
}

/// The options of `bench`.
#[derive(Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// How often each row is timed (1 to [`MAX_RUNS`]).
    pub runs: u32,
    /// Where to write the results as JSON.
    pub json: Option<PathBuf>,
    /// Whether to install absent peers; `None` means: if root, and apt-get is there.
    pub install: Option<bool>,
    /// Fail if something is far slower than it should be.
    pub guard: bool,
    /// What to measure: names of [`PARTS`] and of [`SECTIONS`]; none means all parts.
    pub only: Vec<&'static str>,
    /// All sections too, which need a machine that is booted for them.
    pub installed: bool,
}

impl Default for BenchOptions {
    fn default() -> Self {
        BenchOptions {
            runs: DEFAULT_RUNS,
            json: None,
            install: None,
            guard: false,
            only: Vec::new(),
            installed: false,
        }
    }
}

/// What is wrong with a command line.
#[derive(Debug, PartialEq, Eq)]
pub enum UsageError {
    /// No command at all.
    NoCommand,
    /// No such command.
    UnknownCommand(String),
    /// The command has no such option.
    UnknownOption {
        /// The command.
        command: &'static str,
        /// The option.
        option: String,
    },
    /// The command takes no such argument.
    UnexpectedArgument {
        /// The command.
        command: &'static str,
        /// The argument.
        argument: String,
    },
    /// No such tier of tests.
    UnknownTier(String),
    /// The option stands at the end, without its value.
    MissingValue(&'static str),
    /// The option's value is not a number in its range.
    BadRuns(String),
    /// The option's value is not a number in its range.
    BadSeconds(String),
    /// The bench has no such part.
    UnknownPart(String),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::NoCommand => f.write_str("no command given"),
            UsageError::UnknownCommand(name) => write!(f, "there is no command `{name}`"),
            UsageError::UnknownOption { command, option } => {
                write!(f, "`{command}` has no option `{option}`")
            }
            UsageError::UnexpectedArgument { command, argument } => {
                write!(f, "`{command}` takes no argument `{argument}`")
            }
            UsageError::UnknownTier(name) => {
                let names: Vec<&str> = TIERS.iter().map(|tier| tier.name).collect();
                write!(f, "there is no tier `{name}` (there is: {})", names.join(", "))
            }
            UsageError::MissingValue(option) => write!(f, "`{option}` needs a value"),
            UsageError::UnknownPart(name) => {
                let sections = SECTIONS.iter().map(|section| section.name);
                let names: Vec<&str> = PARTS.into_iter().chain(sections).collect();
                write!(f, "the bench has no part `{name}` (there is: {})", names.join(", "))
            }
            UsageError::BadSeconds(value) => {
                write!(f, "`--seconds {value}`: give a whole number from 1 to {MAX_SECONDS}")
            }
            UsageError::BadRuns(value) => {
                write!(f, "`--runs {value}`: give a whole number from 1 to {MAX_RUNS}")
            }
        }
    }
}

/// Whether an environment variable with this value is a yes: set, not empty, and not `0`.
#[must_use]
pub fn is_set(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

/// Parses the arguments after the program's name.
///
/// `strict` is what the environment asks for; see [`STRICT_VARIABLE`].
pub fn parse(args: &[OsString], strict: bool) -> Result<Command, UsageError> {
    let Some((name, rest)) = args.split_first() else {
        return Err(UsageError::NoCommand);
    };
    let name = name.to_string_lossy();
    let asks_for_help = rest.iter().any(|arg| arg == "--help" || arg == "-h");
    match name.as_ref() {
        "help" | "--help" | "-h" => Ok(Command::Help),
        "build" | "test" | "check" | "bench" | "install" | "uninstall" | "dist"
            if asks_for_help =>
        {
            Ok(Command::Help)
        }
        "test" => parse_test(rest, strict).map(Command::Test),
        "build" => without_options("build", rest, Command::Build),
        "check" => without_options("check", rest, Command::Check),
        "bench" => parse_bench(rest).map(Command::Bench),
        "install" => parse_destdir("install", rest).map(Command::Install),
        "uninstall" => parse_destdir("uninstall", rest).map(Command::Uninstall),
        "dist" => parse_dist(rest).map(Command::Dist),
        _ => Err(UsageError::UnknownCommand(name.into_owned())),
    }
}

fn parse_test(args: &[OsString], strict: bool) -> Result<TestOptions, UsageError> {
    let (mut strict, mut shipped) = (strict, false);
    let (mut asked, mut only) = (Vec::new(), Vec::new());
    let mut seconds = DEFAULT_SECONDS;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let arg = arg.to_string_lossy();
        if arg == "--strict" {
            strict = true;
        } else if arg == "--only" {
            let word = args.next().ok_or(UsageError::MissingValue("--only"))?;
            only.push(word.to_string_lossy().into_owned());
        } else if arg == "--seconds" {
            let value = args.next().ok_or(UsageError::MissingValue("--seconds"))?;
            seconds = parse_seconds(&value.to_string_lossy())?;
        } else if arg == "--shipped" {
            shipped = true;
        } else if arg.starts_with('-') {
            return Err(UsageError::UnknownOption { command: "test", option: arg.into_owned() });
        } else if TIERS.iter().any(|tier| tier.name == arg) {
            asked.push(arg.into_owned());
        } else {
            return Err(UsageError::UnknownTier(arg.into_owned()));
        }
    }
    let is_meant = |tier: &&Tier| match asked.is_empty() {
        true => !tier.on_demand,
        false => asked.iter().any(|name| name == tier.name),
    };
    let tiers = TIERS.iter().filter(is_meant).map(|tier| tier.name).collect();
    Ok(TestOptions { strict, shipped, tiers, only, seconds })
}

/// A command that takes nothing more.
fn without_options(
    name: &'static str,
    args: &[OsString],
    command: Command,
) -> Result<Command, UsageError> {
    args.first().map_or(Ok(command), |arg| Err(surplus(name, arg)))
}

fn parse_bench(args: &[OsString]) -> Result<BenchOptions, UsageError> {
    let mut options = BenchOptions::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if text == "--runs" {
            let value = args.next().ok_or(UsageError::MissingValue("--runs"))?;
            options.runs = parse_runs(&value.to_string_lossy())?;
        } else if let Some(value) = text.strip_prefix("--runs=") {
            options.runs = parse_runs(value)?;
        } else if text == "--json" {
            let value = args.next().ok_or(UsageError::MissingValue("--json"))?;
            options.json = Some(PathBuf::from(value));
        } else if let Some(value) = text.strip_prefix("--json=") {
            options.json = Some(PathBuf::from(value));
        } else if text == "--install" {
            options.install = Some(true);
        } else if text == "--no-install" {
            options.install = Some(false);
        } else if text == "--only" {
            let value = args.next().ok_or(UsageError::MissingValue("--only"))?;
            options.only.push(parse_part(&value.to_string_lossy())?);
        } else if let Some(value) = text.strip_prefix("--only=") {
            options.only.push(parse_part(value)?);
        } else if text == "--installed" {
            options.installed = true;
        } else if text == "--guard" {
            options.guard = true;
        } else {
            return Err(surplus("bench", arg));
        }
    }
    Ok(options)
}

fn parse_destdir(command: &'static str, args: &[OsString]) -> Result<Option<PathBuf>, UsageError> {
    let mut destdir = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = if arg == "--destdir" {
            args.next().cloned().ok_or(UsageError::MissingValue("--destdir"))?
        } else if let Some(value) = arg.as_bytes().strip_prefix(b"--destdir=") {
            OsStr::from_bytes(value).to_owned()
        } else {
            return Err(surplus(command, arg));
        };
        if value.is_empty() {
            return Err(UsageError::MissingValue("--destdir"));
        }
        destdir = Some(PathBuf::from(value));
    }
    Ok(destdir)
}

fn parse_dist(args: &[OsString]) -> Result<DistOptions, UsageError> {
    match args {
        [] => Ok(DistOptions { rpm: false }),
        [only] if only == "--rpm" => Ok(DistOptions { rpm: true }),
        [first, ..] => Err(surplus("dist", first)),
    }
}

fn parse_part(name: &str) -> Result<&'static str, UsageError> {
    let sections = SECTIONS.iter().map(|section| section.name);
    let known = PARTS.into_iter().chain(sections).find(|known| *known == name);
    known.ok_or_else(|| UsageError::UnknownPart(name.to_owned()))
}

fn parse_runs(value: &str) -> Result<u32, UsageError> {
    match value.parse::<u32>() {
        Ok(runs) if (1..=MAX_RUNS).contains(&runs) => Ok(runs),
        _ => Err(UsageError::BadRuns(value.to_owned())),
    }
}

fn parse_seconds(value: &str) -> Result<u32, UsageError> {
    match value.parse::<u32>() {
        Ok(seconds) if (1..=MAX_SECONDS).contains(&seconds) => Ok(seconds),
        _ => Err(UsageError::BadSeconds(value.to_owned())),
    }
}

fn surplus(command: &'static str, arg: &OsStr) -> UsageError {
    let text = arg.to_string_lossy().into_owned();
    if text.starts_with('-') {
        UsageError::UnknownOption { command, option: text }
    } else {
        UsageError::UnexpectedArgument { command, argument: text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn all_tiers() -> Vec<&'static str> {
        vec!["hermetic", "machine", "package"]
    }

    #[test]
    fn good_command_lines() {
        let options = |strict, tiers: &[&'static str]| TestOptions {
            strict,
            shipped: false,
            tiers: tiers.to_vec(),
            only: Vec::new(),
            seconds: DEFAULT_SECONDS,
        };
        let test = |strict, tiers: &[&'static str]| Command::Test(options(strict, tiers));
        let machine = options(false, &["machine"]);
        let shipped = TestOptions { shipped: true, only: vec!["a".into()], ..machine };
        let long = TestOptions { seconds: 600, ..options(false, &["fuzz"]) };
        let bench = BenchOptions::default;
        let cases = [
            ("help", Command::Help),
            ("--help", Command::Help),
            ("bench --runs 3 --help", Command::Help),
            ("build", Command::Build),
            ("build --help", Command::Help),
            ("test", test(false, &all_tiers())),
            ("test --strict", test(true, &all_tiers())),
            ("test providers", test(false, &["providers"])),
            ("test hermetic --strict hermetic", test(true, &["hermetic"])),
            ("test machine --shipped --only a", Command::Test(shipped)),
            ("test fuzz --seconds 600", Command::Test(long)),
            ("check", Command::Check),
            ("bench", Command::Bench(bench())),
            (
                "bench --only status --only warm",
                Command::Bench(BenchOptions { only: vec!["status", "warm"], ..bench() }),
            ),
            ("bench --only=run", Command::Bench(BenchOptions { only: vec!["run"], ..bench() })),
            ("bench --installed", Command::Bench(BenchOptions { installed: true, ..bench() })),
            ("bench --runs 7", Command::Bench(BenchOptions { runs: 7, ..bench() })),
            ("bench --runs=10000", Command::Bench(BenchOptions { runs: 10_000, ..bench() })),
            (
                "bench --json out.json --install --guard",
                Command::Bench(BenchOptions {
                    json: Some("out.json".into()),
                    install: Some(true),
                    guard: true,
                    ..bench()
                }),
            ),
            ("install", Command::Install(None)),
            ("install --help", Command::Help),
            ("install --destdir d", Command::Install(Some("d".into()))),
            ("dist", Command::Dist(DistOptions { rpm: false })),
            ("dist --rpm", Command::Dist(DistOptions { rpm: true })),
            ("uninstall", Command::Uninstall(None)),
            ("uninstall --destdir=/a/b", Command::Uninstall(Some("/a/b".into()))),
            (
                "bench --json=- --no-install",
                Command::Bench(BenchOptions {
                    json: Some("-".into()),
                    install: Some(false),
                    ..bench()
                }),
            ),
        ];
        for (text, want) in cases {
            assert_eq!(parse(&line(text), false), Ok(want), "{text}");
        }
    }

    #[test]
    fn bad_command_lines() {
        let option = |command, option: &str| UsageError::UnknownOption {
            command,
            option: option.to_owned(),
        };
        let argument = |command, argument: &str| UsageError::UnexpectedArgument {
            command,
            argument: argument.to_owned(),
        };
        let cases = [
            ("", UsageError::NoCommand),
            ("tests", UsageError::UnknownCommand("tests".into())),
            ("test --stric", option("test", "--stric")),
            ("test --only", UsageError::MissingValue("--only")),
            ("test --seconds 0", UsageError::BadSeconds("0".into())),
            ("test fuzz --seconds", UsageError::MissingValue("--seconds")),
            ("test vmm", UsageError::UnknownTier("vmm".into())),
            ("check now", argument("check", "now")),
            ("check --fix", option("check", "--fix")),
            ("bench --runs", UsageError::MissingValue("--runs")),
            ("bench --json", UsageError::MissingValue("--json")),
            ("bench --only", UsageError::MissingValue("--only")),
            ("bench --only logs", UsageError::UnknownPart("logs".into())),
            ("bench --runs 0", UsageError::BadRuns("0".into())),
            ("bench --runs=-1", UsageError::BadRuns("-1".into())),
            ("bench --runs 10001", UsageError::BadRuns("10001".into())),
            ("bench --runs many", UsageError::BadRuns("many".into())),
            ("bench 40", argument("bench", "40")),
            ("bench --fast", option("bench", "--fast")),
            ("install now", argument("install", "now")),
            ("install --destdir", UsageError::MissingValue("--destdir")),
            ("install --destdir=", UsageError::MissingValue("--destdir")),
            ("dist --deb", option("dist", "--deb")),
            ("dist now", argument("dist", "now")),
            ("uninstall --all", option("uninstall", "--all")),
        ];
        for (text, want) in cases {
            assert_eq!(parse(&line(text), false), Err(want), "{text}");
        }
    }

    #[test]
    fn the_environment_can_ask_for_strictness() {
        for (value, want) in [
            (None, false),
            (Some(""), false),
            (Some("0"), false),
            (Some("1"), true),
            (Some("yes"), true),
        ] {
            assert_eq!(is_set(value.map(OsStr::new)), want, "{value:?}");
        }
        let parsed = parse(&line("test"), true);
        let (tiers, only) = (all_tiers(), Vec::new());
        let seconds = DEFAULT_SECONDS;
        let want = TestOptions { strict: true, shipped: false, tiers, only, seconds };
        assert_eq!(parsed, Ok(Command::Test(want)));
    }
}
