//! `cargo xtask bench`: `aictl run` beside bare Python and its peers, and `aictl status` beside what
//! it replaces, in turns, in one run.

mod installed;
mod servers;
mod status;

use std::env;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::args::BenchOptions;
use crate::debian::{self, Need};
use crate::failure::Failure;
use crate::json;
use crate::stats::{self, Summary};
use crate::table;
use crate::workspace::Workspace;

pub use installed::SECTIONS;

/// What is measured right here.
pub const PARTS: [&str; 2] = [RUN, STATUS];
const RUN: &str = "run";
const STATUS: &str = "status";

/// The interpreter of every row.
const PYTHON: &str = "/usr/bin/python3";
const BARE: &str = "bare python3 -I";
const AICTL: &str = "aictl run";
const BUBBLEWRAP: &str = "bubblewrap";
const FIREJAIL: &str = "firejail";
const SYSTEMD_RUN: &str = "systemd-run";

/// What every row runs, and what it must print.
const SCRIPT: &str = "print(1)\n";
const PRINTED: &[u8] = b"1\n";
/// Shows whether a peer isolates at all: a network namespace of its own is the least of it.
const PROBE: &str = "import os\nprint(os.readlink('/proc/self/ns/net'))\n";

/// Whom the rows run as where root measures: an ordinary user, as people are. Root's sandboxes are
/// made in another way, by some peers without a user namespace.
const ORDINARY: u32 = 65534;

/// `--guard`: the most that `aictl run` may take, as a multiple of bare Python. Generous, since a
/// loaded machine must not fail a build; the aim is far lower.
pub const GUARD_OVER_BARE: f64 = 1.6;
/// `--guard`: the most that `aictl run` may take, as a multiple of bubblewrap.
pub const GUARD_OVER_BUBBLEWRAP: f64 = 1.1;

/// How often the tier of the guards times each row.
const GUARD_RUNS: u32 = 20;

static INTERPRETER: [Need; 1] = [Need { program: PYTHON, package: "python3" }];
static PEERS: [Need; 2] = [
    Need { program: "bwrap", package: "bubblewrap" },
    Need { program: "firejail", package: "firejail" },
];

/// A service manager that takes transient units from us.
#[derive(Debug, Clone, Copy)]
enum Manager {
    System,
    User,
}

/// What this machine has to measure with; each `Err` is why not.
#[derive(Debug)]
struct Machine {
    aictl: PathBuf,
    bubblewrap: Result<(), String>,
    firejail: Result<(), String>,
    manager: Result<Manager, String>,
}

/// One command to time.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: &'static str,
    argv: Vec<String>,
}

/// A row that is not measured.
#[derive(Debug, PartialEq, Eq)]
struct Skipped {
    name: &'static str,
    why: String,
}

/// What was measured of a row: one sample a round, in milliseconds.
#[derive(Debug)]
struct Measured {
    name: &'static str,
    samples: Vec<f64>,
}

/// All that was measured; `None` of what was not asked for.
#[derive(Debug)]
struct Results {
    run: Option<(Vec<Measured>, Vec<Skipped>)>,
    status: Option<status::Results>,
    installed: Option<installed::Results>,
}

/// Measures all rows and prints the tables, or JSON; false if the guard was asked and says no.
///
/// # Errors
/// A failure if `aictl` cannot be built, if bare Python or `aictl` fails, or if a row fails after it
/// has worked once.
pub fn run(workspace: &Workspace, options: &BenchOptions) -> Result<bool, Failure> {
    let install = options.install.unwrap_or_else(debian::can_install);
    let is_named = |name: &&str| options.only.contains(name);
    let parts = PARTS.iter().filter(|part| options.only.is_empty() || is_named(part));
    let parts: Vec<&str> = parts.copied().collect();
    let sections = SECTIONS.iter().map(|section| section.name);
    let sections: Vec<&str> = sections.filter(|name| options.installed || is_named(name)).collect();
    let (mut run, mut status) = (None, None);
    if !parts.is_empty() {
        let aictl = workspace.build_run()?;
        let scripts = Scripts::make()?;
        if parts.contains(&RUN) {
            run = Some(measure_run(&aictl, &scripts, options.runs, install)?);
        }
        if parts.contains(&STATUS) {
            eprintln!("timing `aictl status` in {} rounds", options.runs);
            status = Some(status::measure(&aictl, &scripts.dir, options.runs, install)?);
        }
    }
    let installed = match sections.is_empty() {
        true => None,
        false => Some(installed::measure(workspace, &sections, options.runs)?),
    };
    report(&Results { run, status, installed }, options)
}

/// The guards of what is installed, as a tier of the tests.
///
/// # Errors
/// A failure if something cannot be measured, or if a guard says no.
pub fn guard_installed(workspace: &Workspace) -> Result<(), Failure> {
    let names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
    let results = installed::measure(workspace, &names, GUARD_RUNS)?;
    std::io::stdout().write_all(results.text().as_bytes()).map_err(Failure::Output)?;
    match results.guard().as_slice() {
        [] => Ok(()),
        breaches => Err(Failure::Machine(breaches.join("; "))),
    }
}

/// Measures `aictl run` and its peers.
fn measure_run(
    aictl: &Path,
    scripts: &Scripts,
    runs: u32,
    install: bool,
) -> Result<(Vec<Measured>, Vec<Skipped>), Failure> {
    let machine = Machine {
        // Where everybody may execute it.
        aictl: scripts.copy(aictl)?,
        bubblewrap: provide(&PEERS[0..1], install),
        firejail: provide(&PEERS[1..2], install),
        manager: manager(),
    };
    provide(&INTERPRETER, install).map_err(|_| Failure::NoPython)?;
    let (rows, mut skipped) = rows(&machine, &scripts.hello);
    let (probes, _) = self::rows(&machine, &scripts.probe);
    let mut fit = Vec::new();
    for (row, probe) in rows.into_iter().zip(probes) {
        match prove(&row, &probe) {
            Ok(()) => fit.push(row),
            // Without these two there is nothing to compare.
            Err(why) if row.name == BARE || row.name == AICTL => {
                return Err(Failure::Row { row: row.name, why });
            }
            Err(why) => skipped.push(Skipped { name: row.name, why }),
        }
    }
    eprintln!("timing {} rows in {runs} rounds", fit.len());
    Ok((measure(&fit, runs)?, skipped))
}

/// Prints and writes what was asked for, and asks the guard.
fn report(results: &Results, options: &BenchOptions) -> Result<bool, Failure> {
    let to_stdout =
        |text: &str| std::io::stdout().write_all(text.as_bytes()).map_err(Failure::Output);
    let document = || json_document(results, options.runs, &host());
    match &options.json {
        Some(path) if path.as_os_str() == "-" => to_stdout(&document())?,
        Some(path) => {
            write(path, &document())?;
            to_stdout(&results.text())?;
        }
        None => to_stdout(&results.text())?,
    }
    if !options.guard {
        return Ok(true);
    }
    let breaches = results.guard();
    for breach in &breaches {
        eprintln!("xtask: guard: {breach}");
    }
    Ok(breaches.is_empty())
}

impl Results {
    fn text(&self) -> String {
        let run = self.run.as_ref().map(|(measured, skipped)| {
            text(&lines(measured), skipped, ratio(measured, AICTL, BUBBLEWRAP))
        });
        let status = self.status.as_ref().map(status::Results::text);
        let installed = self.installed.as_ref().map(installed::Results::text);
        run.into_iter().chain(status).chain(installed).collect::<Vec<_>>().join("\n")
    }

    fn guard(&self) -> Vec<String> {
        let run = self.run.as_ref().map(|(measured, _)| {
            guard(ratio(measured, AICTL, BARE), ratio(measured, AICTL, BUBBLEWRAP))
        });
        let status = self.status.as_ref().map(status::Results::guard);
        let installed = self.installed.as_ref().map(installed::Results::guard);
        run.into_iter().chain(status).chain(installed).flatten().collect()
    }
}

fn provide(need: &'static [Need], install: bool) -> Result<(), String> {
    debian::provide(need, install).first().map_or(Ok(()), |missing| Err(missing.to_string()))
}

/// The service manager to use: the system's for root, else the user's own.
fn manager() -> Result<Manager, String> {
    if !debian::is_installed("systemd-run") {
        return Err("systemd-run is not installed".to_owned());
    }
    // The documented test for "systemd is the init system here": sd_booted(3).
    if !Path::new("/run/systemd/system").is_dir() {
        return Err("systemd does not run here".to_owned());
    }
    let (manager, scope) =
        if debian::is_root() { (Manager::System, "--system") } else { (Manager::User, "--user") };
    let output = Command::new("systemctl").args([scope, "is-system-running"]).output();
    let output = output.map_err(|error| format!("systemctl does not run: {error}"))?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "running" | "degraded" => Ok(manager),
        "" => Err(format!("`systemctl {scope}` reaches no manager")),
        state => Err(format!("`systemctl {scope} is-system-running` says {state}")),
    }
}

/// The rows to time on `machine`, in their order, and those that it lacks.
fn rows(machine: &Machine, script: &Path) -> (Vec<Row>, Vec<Skipped>) {
    let script = script.display().to_string();
    let aictl = machine.aictl.display().to_string();
    let mut rows = vec![
        row(BARE, &[PYTHON, "-I", &script]),
        row(AICTL, &[&aictl, "run", "--python", PYTHON, &script]),
    ];
    let mut skipped = Vec::new();
    match &machine.bubblewrap {
        Ok(()) => rows.push(row(
            BUBBLEWRAP,
            &[
                &["bwrap", "--unshare-all", "--ro-bind", "/usr", "/usr"][..],
                &["--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"],
                &["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"],
                &["--tmpfs", "/tmp", "--ro-bind", &script, "/script.py"],
                &["--die-with-parent", "--new-session", PYTHON, "-I", "/script.py"],
            ]
            .concat(),
        )),
        Err(why) => skipped.push(Skipped { name: BUBBLEWRAP, why: why.clone() }),
    }
    match &machine.firejail {
        Ok(()) => rows.push(row(
            FIREJAIL,
            &[
                &["firejail", "--quiet", "--noprofile", "--private", "--private-dev"][..],
                &["--net=none", "--caps.drop=all", "--nonewprivs", "--seccomp"],
                &[PYTHON, "-I", &script],
            ]
            .concat(),
        )),
        Err(why) => skipped.push(Skipped { name: FIREJAIL, why: why.clone() }),
    }
    match &machine.manager {
        Ok(manager) => rows.push(row(
            SYSTEMD_RUN,
            &[
                &["systemd-run", "--quiet", "--pipe", "--wait", "--collect"][..],
                match manager {
                    Manager::System => &["--system"],
                    // A user's manager may set up no mounts without a user namespace.
                    Manager::User => &["--user", "--property=PrivateUsers=yes"],
                },
                &["--property=PrivateNetwork=yes", "--property=ProtectSystem=strict"],
                &["--property=PrivateDevices=yes", "--property=NoNewPrivileges=yes"],
                &[PYTHON, "-I", &script],
            ]
            .concat(),
        )),
        Err(why) => skipped.push(Skipped { name: SYSTEMD_RUN, why: why.clone() }),
    }
    (rows, skipped)
}

fn row(name: &'static str, argv: &[&str]) -> Row {
    Row { name, argv: argv.iter().map(|arg| (*arg).to_owned()).collect() }
}

/// The process of a row: the same settings for all of them, and an environment without traces of
/// cargo.
fn command(row: &Row) -> Command {
    let mut argv = row.argv.iter();
    let mut command = Command::new(argv.next().map_or("", String::as_str));
    command
        .args(argv)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("LANG", "C.UTF-8");
    // firejail looks for a home, systemd-run for the user's manager.
    for name in ["HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    // firejail gains root by itself, and only for users that its list names.
    if debian::is_root() && ![SYSTEMD_RUN, FIREJAIL].contains(&row.name) {
        command.uid(ORDINARY).gid(ORDINARY).current_dir("/").env("HOME", "/");
    }
    command
}

/// Proves that `row` prints what it should and, if it is a peer, that `probe` shows isolation.
fn prove(row: &Row, probe: &Row) -> Result<(), String> {
    let output = output(row)?;
    if output.stdout != PRINTED {
        return Err(format!("it printed {:?}", String::from_utf8_lossy(&output.stdout)));
    }
    if row.name == BARE || row.name == AICTL {
        return Ok(());
    }
    let inside = self::output(probe)?.stdout;
    let outside = std::fs::read_link("/proc/self/ns/net").map_err(|error| error.to_string())?;
    if String::from_utf8_lossy(&inside).trim() == outside.to_string_lossy() {
        return Err("it runs here, but isolates nothing".to_owned());
    }
    Ok(())
}

fn output(row: &Row) -> Result<Output, String> {
    let output = command(row).stderr(Stdio::piped()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(output);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", output.status, end_of(&errors)))
}

/// The last two lines of an error message that say something: tools put the cause there.
fn end_of(errors: &str) -> String {
    let mut lines: Vec<&str> =
        errors.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
    lines.reverse();
    if lines.is_empty() { "no message".to_owned() } else { lines.join(" ") }
}

/// Times every row `runs` times, one after the other, round after round, after a round that does
/// not count.
fn measure(rows: &[Row], runs: u32) -> Result<Vec<Measured>, Failure> {
    let new = |row: &Row| Measured { name: row.name, samples: Vec::new() };
    let mut measured: Vec<Measured> = rows.iter().map(new).collect();
    for round in 0..=runs {
        for (row, measured) in rows.iter().zip(&mut measured) {
            let sample = time(row).map_err(|why| Failure::Row { row: row.name, why })?;
            if round > 0 {
                measured.samples.push(sample);
            }
        }
    }
    Ok(measured)
}

/// How long the machine rests before each run: what the kernel clears away behind one row, such as
/// its network namespace, is not to be the next row's time.
const REST: Duration = Duration::from_millis(10);

/// Runs `row` once: milliseconds from before its start until it has been waited for.
fn time(row: &Row) -> Result<f64, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut command = command(row);
    let mut printed = Vec::new();
    std::thread::sleep(REST);
    let start = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut printed).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    let took = start.elapsed();
    if !status.success() || printed != PRINTED {
        let printed = String::from_utf8_lossy(&printed);
        return Err(format!("it ended with {status} and printed {printed:?}"));
    }
    Ok(took.as_secs_f64() * 1000.0)
}

/// A line of the table.
#[derive(Debug)]
struct Line {
    name: &'static str,
    summary: Summary,
    over_bare: f64,
}

fn lines(measured: &[Measured]) -> Vec<Line> {
    let line = |row: &Measured| {
        Some(Line {
            name: row.name,
            summary: stats::summary(&row.samples)?,
            over_bare: ratio(measured, row.name, BARE)?,
        })
    };
    measured.iter().filter_map(line).collect()
}

/// The paired ratio of one row to another; `None` unless both were measured.
fn ratio(measured: &[Measured], name: &str, base: &str) -> Option<f64> {
    let samples = |name| measured.iter().find(|row| row.name == name).map(|row| &row.samples);
    stats::paired_ratio(samples(name)?, samples(base)?)
}

fn text(lines: &[Line], skipped: &[Skipped], over_bubblewrap: Option<f64>) -> String {
    let cells = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![cells(["", "median ms", "p95 ms", "min ms", "x bare"])];
    for Line { name, summary, over_bare } in lines {
        let Summary { median, p95, min } = summary;
        let ms = |value: &f64| format!("{value:.2}");
        rows.push(cells([name, &ms(median), &ms(p95), &ms(min), &ms(over_bare)]));
    }
    let mut text = table::render(&rows);
    if let Some(ratio) = over_bubblewrap {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{AICTL} takes {ratio:.2} x the time of {BUBBLEWRAP}");
    }
    for Skipped { name, why } in skipped {
        let _ = writeln!(text, "{name}: not measured: {why}");
    }
    text
}

/// What the figures depend on, by name.
fn host() -> Vec<(&'static str, String)> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let python = Command::new(PYTHON).arg("--version").output();
    let python = python.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        ("kernel", kernel.trim().to_owned()),
        ("python", python.unwrap_or_default()),
        ("cpus", cpus.to_string()),
    ]
}

fn json_document(results: &Results, runs: u32, host: &[(&'static str, String)]) -> String {
    let join = |items: Vec<String>| items.join(",");
    let host =
        host.iter().map(|(key, value)| format!("{}:{}", json::string(key), json::string(value)));
    let mut fields =
        vec![format!(r#""runs":{runs}"#), format!(r#""host":{{{}}}"#, join(host.collect()))];
    if let Some((measured, skipped)) = &results.run {
        let rows = lines(measured).into_iter().map(|Line { name, summary, over_bare }| {
            format!(
                r#"{{"name":{},"median_ms":{},"p95_ms":{},"min_ms":{},"ratio_to_bare":{}}}"#,
                json::string(name),
                json::number(summary.median),
                json::number(summary.p95),
                json::number(summary.min),
                json::number(over_bare)
            )
        });
        let skipped = skipped.iter().map(|Skipped { name, why }| {
            format!(r#"{{"name":{},"reason":{}}}"#, json::string(name), json::string(why))
        });
        fields.push(format!(r#""rows":[{}]"#, join(rows.collect())));
        fields.push(format!(r#""not_measured":[{}]"#, join(skipped.collect())));
    }
    if let Some(status) = &results.status {
        fields.push(format!(r#""status":{}"#, status.json()));
    }
    if let Some(installed) = &results.installed {
        fields.push(format!(r#""installed":{}"#, installed.json()));
    }
    format!("{{{}}}\n", join(fields))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|source| Failure::File {
        what: "cannot write",
        path: path.to_owned(),
        source,
    })
}

/// What the guard has to say against these ratios of `aictl run` to bare Python and to bubblewrap.
fn guard(over_bare: Option<f64>, over_bubblewrap: Option<f64>) -> Vec<String> {
    let judge = |ratio: Option<f64>, limit: f64, base: &str| match ratio {
        // A guard that has not looked must not pass.
        None => Some(format!("{AICTL} was not compared with {base}")),
        Some(ratio) if ratio > limit => Some(format!(
            "{AICTL} takes {ratio:.2} x the time of {base}; at most {limit} is allowed"
        )),
        Some(_) => None,
    };
    let bare = judge(over_bare, GUARD_OVER_BARE, BARE);
    bare.into_iter().chain(judge(over_bubblewrap, GUARD_OVER_BUBBLEWRAP, BUBBLEWRAP)).collect()
}

/// The scripts to run, in a directory of their own that is removed at the end.
struct Scripts {
    dir: PathBuf,
    hello: PathBuf,
    probe: PathBuf,
}

impl Scripts {
    fn make() -> Result<Self, Failure> {
        let dir = env::temp_dir().join(format!("aictl-bench-{}", std::process::id()));
        // Fails if the directory exists, so nobody can have put anything into it.
        std::fs::create_dir(&dir).map_err(|source| Failure::File {
            what: "cannot make",
            path: dir.clone(),
            source,
        })?;
        let scripts = Scripts { hello: dir.join("hello.py"), probe: dir.join("probe.py"), dir };
        write(&scripts.hello, SCRIPT)?;
        write(&scripts.probe, PROBE)?;
        Ok(scripts)
    }

    /// A copy of a program beside the scripts.
    fn copy(&self, program: &Path) -> Result<PathBuf, Failure> {
        let copy = self.dir.join("aictl");
        match std::fs::copy(program, &copy) {
            Ok(_) => Ok(copy),
            Err(source) => Err(Failure::File { what: "cannot write", path: copy, source }),
        }
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        // What cannot be removed is two small files in a temporary directory.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(manager: Result<Manager, String>, peers: Result<(), String>) -> Machine {
        Machine {
            aictl: "/t/release/aictl".into(),
            bubblewrap: peers.clone(),
            firejail: peers,
            manager,
        }
    }

    #[test]
    fn each_row_isolates_the_same_script() {
        let script = Path::new("/s/hello.py");
        let (rows, skipped) = rows(&machine(Ok(Manager::System), Ok(())), script);
        assert_eq!(skipped, []);
        let argv = |name| rows.iter().find(|row| row.name == name).unwrap().argv.join(" ");
        for (name, starts, ends) in [
            (BARE, "/usr/bin/python3 -I", "/usr/bin/python3 -I /s/hello.py"),
            (AICTL, "/t/release/aictl run ", "--python /usr/bin/python3 /s/hello.py"),
            (BUBBLEWRAP, "bwrap --unshare-all ", "/usr/bin/python3 -I /script.py"),
            (FIREJAIL, "firejail --quiet ", "/usr/bin/python3 -I /s/hello.py"),
            (SYSTEMD_RUN, "systemd-run --quiet ", "/usr/bin/python3 -I /s/hello.py"),
        ] {
            let argv = argv(name);
            assert!(argv.starts_with(starts) && argv.ends_with(ends), "{argv}");
            assert!(argv.contains("/s/hello.py"), "{argv}");
        }
        // bubblewrap would hide a script in /tmp if it mounted /tmp after binding it.
        let (before, _) = argv(BUBBLEWRAP)
            .split_once("/s/hello.py")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert!(before.contains("--tmpfs /tmp"), "{before}");
    }

    #[test]
    fn what_is_absent_is_skipped_with_its_reason() {
        let machine = machine(Err("no manager".into()), Err("not installed".into()));
        let (rows, skipped) = rows(&machine, Path::new("/s"));
        assert_eq!(rows.iter().map(|row| row.name).collect::<Vec<_>>(), [BARE, AICTL]);
        let want = |name, why: &str| Skipped { name, why: why.to_owned() };
        assert_eq!(
            skipped,
            [
                want(BUBBLEWRAP, "not installed"),
                want(FIREJAIL, "not installed"),
                want(SYSTEMD_RUN, "no manager"),
            ]
        );
        let user = self::machine(Ok(Manager::User), Ok(()));
        let (rows, _) = self::rows(&user, Path::new("/s"));
        assert!(rows.last().unwrap().argv.contains(&"--user".to_owned()));
    }

    fn measured() -> Vec<Measured> {
        vec![
            Measured { name: BARE, samples: vec![10.0, 20.0, 10.0] },
            Measured { name: AICTL, samples: vec![12.0, 24.0, 15.0] },
        ]
    }

    #[test]
    fn the_table() {
        let skipped = [Skipped { name: FIREJAIL, why: "not installed".into() }];
        assert_eq!(
            text(&lines(&measured()), &skipped, Some(0.954)),
            "                 median ms  p95 ms  min ms  x bare
bare python3 -I      10.00   20.00   10.00    1.00
aictl run            15.00   24.00   12.00    1.20

aictl run takes 0.95 x the time of bubblewrap
firejail: not measured: not installed
"
        );
    }

    #[test]
    fn the_json_document() {
        let skipped = [Skipped { name: FIREJAIL, why: "\"no\"".into() }];
        let host = [("kernel", "6.1".to_owned())];
        assert_eq!(
            json_document(
                &Results { run: Some((measured(), skipped.into())), status: None, installed: None },
                3,
                &host
            ),
            concat!(
                r#"{"runs":3,"host":{"kernel":"6.1"},"rows":["#,
                r#"{"name":"bare python3 -I","median_ms":10.000,"p95_ms":20.000,"min_ms":10.000,"ratio_to_bare":1.000},"#,
                r#"{"name":"aictl run","median_ms":15.000,"p95_ms":24.000,"min_ms":12.000,"ratio_to_bare":1.200}],"#,
                r#""not_measured":[{"name":"firejail","reason":"\"no\""}]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn the_guard() {
        for (over_bare, over_bubblewrap, breaches) in [
            (Some(1.2), Some(0.9), 0),
            (Some(1.6), Some(1.1), 0),
            (Some(1.61), Some(1.0), 1),
            (Some(1.2), Some(1.11), 1),
            (Some(2.0), Some(2.0), 2),
            // What was not measured was not guarded.
            (Some(1.2), None, 1),
            (None, None, 2),
        ] {
            let got = guard(over_bare, over_bubblewrap);
            assert_eq!(got.len(), breaches, "{over_bare:?} {over_bubblewrap:?}: {got:?}");
        }
    }

    #[test]
    fn a_row_must_print_what_it_should_and_end_well() {
        let sh = |script: &str| row(AICTL, &["/bin/sh", "-c", script]);
        assert!(time(&sh("echo 1")).is_ok_and(|ms| ms > 0.0));
        for script in ["echo 2", "echo 1; exit 3", "exit 0", "echo 1; kill -9 $$"] {
            assert!(time(&sh(script)).is_err(), "{script}");
        }
        assert!(time(&row(AICTL, &["/no/such/program"])).is_err());
        assert_eq!(
            prove(&sh("echo no luck >&2; exit 3"), &sh("")),
            Err("exit status: 3: no luck".to_owned())
        );
        for (errors, want) in [("", "no message"), ("a\n\nb\nc \n\n", "b c")] {
            assert_eq!(end_of(errors), want);
        }
        let peer = |script: &str| row(BUBBLEWRAP, &["/bin/sh", "-c", script]);
        let same = peer("readlink /proc/self/ns/net");
        assert_eq!(
            prove(&peer("echo 1"), &same),
            Err("it runs here, but isolates nothing".to_owned())
        );
        assert_eq!(prove(&peer("echo 1"), &peer("echo net:[1]")), Ok(()));
    }
}
