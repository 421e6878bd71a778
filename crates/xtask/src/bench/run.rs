//! `aictl run` beside bare Python and its peers.

use std::env;
use std::fmt::Write as _;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::{REST, Scripts};
use crate::debian::{self, Need};
use crate::failure::Failure;
use crate::json;
use crate::stats::{self, Summary};
use crate::table;

/// The interpreter of every row.
pub const PYTHON: &str = "/usr/bin/python3";
const BARE: &str = "bare python3 -I";
const AICTL: &str = "aictl run";
const BUBBLEWRAP: &str = "bubblewrap";
const FIREJAIL: &str = "firejail";
const SYSTEMD_RUN: &str = "systemd-run";

/// What every row must print.
const PRINTED: &[u8] = b"1\n";

/// Whom the rows run as where root measures: an ordinary user, as people are. Root's sandboxes are
/// made in another way, by some peers without a user namespace.
const ORDINARY: u32 = 65534;

/// `--guard`: the most that `aictl run` may take, as a multiple of bare Python. Generous, since a
/// loaded machine must not fail a build; the aim is far lower.
pub const GUARD_OVER_BARE: f64 = 1.6;
/// `--guard`: the most that `aictl run` may take, as a multiple of bubblewrap.
pub const GUARD_OVER_BUBBLEWRAP: f64 = 1.1;
/// `--guard`: the most that the sandbox may add to the time of bare Python, in milliseconds.
pub const GUARD_OVERHEAD: f64 = 50.0;

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

/// All that was measured, and the rows that were not.
#[derive(Debug)]
pub struct Results {
    measured: Vec<Measured>,
    skipped: Vec<Skipped>,
}

/// Measures `aictl run` and its peers.
///
/// # Errors
/// A failure if bare Python or `aictl` fails, or if a row fails after it has worked once.
pub fn measure(
    aictl: &Path,
    scripts: &Scripts,
    runs: u32,
    install: bool,
) -> Result<Results, Failure> {
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
    Ok(Results { measured: time_all(&fit, runs)?, skipped })
}

fn provide(need: &'static [Need], install: bool) -> Result<(), String> {
    debian::provide(need, install).first().map_or(Ok(()), |missing| Err(missing.to_string()))
}

impl Results {
    /// The table.
    pub fn text(&self) -> String {
        text(&lines(&self.measured), &self.skipped, ratio(&self.measured, AICTL, BUBBLEWRAP))
    }

    /// What the guard has to say.
    pub fn guard(&self) -> Vec<String> {
        guard(
            ratio(&self.measured, AICTL, BARE),
            ratio(&self.measured, AICTL, BUBBLEWRAP),
            overhead(&self.measured),
        )
    }

    /// The fields of the JSON document.
    pub fn json(&self) -> String {
        let rows = lines(&self.measured).into_iter().map(|Line { name, summary, over_bare }| {
            format!(
                r#"{{"name":{},"median_ms":{},"p95_ms":{},"min_ms":{},"ratio_to_bare":{}}}"#,
                json::string(name),
                json::number(summary.median),
                json::number(summary.p95),
                json::number(summary.min),
                json::number(over_bare)
            )
        });
        let skipped = self.skipped.iter().map(|Skipped { name, why }| {
            format!(r#"{{"name":{},"reason":{}}}"#, json::string(name), json::string(why))
        });
        let (rows, skipped): (Vec<String>, Vec<String>) = (rows.collect(), skipped.collect());
        format!(r#""rows":[{}],"not_measured":[{}]"#, rows.join(","), skipped.join(","))
    }
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
fn time_all(rows: &[Row], runs: u32) -> Result<Vec<Measured>, Failure> {
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

/// What the sandbox adds to the time of bare Python, in milliseconds: the median over the rounds;
/// `None` without a whole round of both.
fn overhead(measured: &[Measured]) -> Option<f64> {
    let samples = |name| measured.iter().find(|row| row.name == name).map(|row| &row.samples);
    let rounds = samples(AICTL)?.iter().zip(samples(BARE)?);
    let beyond: Vec<f64> = rounds.map(|(aictl, bare)| aictl - bare).collect();
    stats::summary(&beyond).map(|summary| summary.median)
}

/// What the guard has to say against these ratios of `aictl run` to bare Python and to bubblewrap,
/// and against what it adds to bare Python, in milliseconds.
fn guard(
    over_bare: Option<f64>,
    over_bubblewrap: Option<f64>,
    overhead: Option<f64>,
) -> Vec<String> {
    let judge = |ratio: Option<f64>, limit: f64, base: &str| match ratio {
        // A guard that has not looked must not pass.
        None => Some(format!("{AICTL} was not compared with {base}")),
        Some(ratio) if ratio > limit => Some(format!(
            "{AICTL} takes {ratio:.2} x the time of {base}; at most {limit} is allowed"
        )),
        Some(_) => None,
    };
    let added = overhead.filter(|added| *added > GUARD_OVERHEAD).map(|added| {
        format!("{AICTL} adds {added:.1} ms to {BARE}; at most {GUARD_OVERHEAD} is allowed")
    });
    let ratios =
        [(over_bare, GUARD_OVER_BARE, BARE), (over_bubblewrap, GUARD_OVER_BUBBLEWRAP, BUBBLEWRAP)];
    let breaches = ratios.into_iter().filter_map(|(ratio, limit, base)| judge(ratio, limit, base));
    breaches.chain(added).collect()
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
    fn the_guard() {
        for (over_bare, over_bubblewrap, overhead, breaches) in [
            (Some(1.2), Some(0.9), Some(4.0), 0),
            (Some(1.6), Some(1.1), Some(50.0), 0),
            (Some(1.61), Some(1.0), Some(4.0), 1),
            (Some(1.2), Some(1.11), Some(4.0), 1),
            // Whatever Python itself takes.
            (Some(1.2), Some(0.9), Some(50.1), 1),
            (Some(2.0), Some(2.0), Some(90.0), 3),
            // What was not measured was not guarded.
            (Some(1.2), None, Some(4.0), 1),
            (None, None, None, 2),
        ] {
            let got = guard(over_bare, over_bubblewrap, overhead);
            assert_eq!(got.len(), breaches, "{over_bare:?} {over_bubblewrap:?}: {got:?}");
        }
        assert_eq!(overhead(&measured()), Some(4.0));
        assert_eq!(overhead(&measured()[1..]), None);
    }

    #[test]
    fn the_json_fields() {
        let skipped = vec![Skipped { name: FIREJAIL, why: "\"no\"".into() }];
        assert_eq!(
            Results { measured: measured(), skipped }.json(),
            concat!(
                r#""rows":["#,
                r#"{"name":"bare python3 -I","median_ms":10.000,"p95_ms":20.000,"min_ms":10.000,"ratio_to_bare":1.000},"#,
                r#"{"name":"aictl run","median_ms":15.000,"p95_ms":24.000,"min_ms":12.000,"ratio_to_bare":1.200}],"#,
                r#""not_measured":[{"name":"firejail","reason":"\"no\""}]"#
            )
        );
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
