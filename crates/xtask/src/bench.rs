//! `cargo xtask bench`: `aictl run` beside bare Python and its peers, and `aictl status` beside what
//! it replaces, in turns, in one run.

mod installed;
mod run;
mod servers;
mod status;

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::args::BenchOptions;
use crate::debian;
use crate::failure::Failure;
use crate::json;
use crate::workspace::Workspace;

pub use installed::SECTIONS;
pub use run::{GUARD_OVER_BARE, GUARD_OVER_BUBBLEWRAP, GUARD_OVERHEAD};

/// What is measured right here.
pub const PARTS: [&str; 2] = [RUN, STATUS];
const RUN: &str = "run";
const STATUS: &str = "status";

/// How often the tier of the guards times each row.
const GUARD_RUNS: u32 = 20;

/// How long the machine rests before each run: what the kernel clears away behind one row, such as
/// its network namespace, is not to be the next row's time.
const REST: Duration = Duration::from_millis(10);

/// What every row runs, and what it must print.
const SCRIPT: &str = "print(1)\n";
/// Shows whether a peer isolates at all: a network namespace of its own is the least of it.
const PROBE: &str = "import os\nprint(os.readlink('/proc/self/ns/net'))\n";

/// All that was measured; `None` of what was not asked for.
#[derive(Debug)]
struct Results {
    run: Option<run::Results>,
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
            run = Some(run::measure(&aictl, &scripts, options.runs, install)?);
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

/// The guards of `aictl run`, `aictl status` and what is installed, as a tier of the tests.
///
/// # Errors
/// A failure if something cannot be measured, or if a guard says no.
pub fn guard(workspace: &Workspace) -> Result<(), Failure> {
    let names: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
    let (aictl, scripts) = (workspace.build_run()?, Scripts::make()?);
    let results = Results {
        run: Some(run::measure(&aictl, &scripts, GUARD_RUNS, debian::can_install())?),
        status: Some(status::measure(&aictl, &scripts.dir, GUARD_RUNS, debian::can_install())?),
        installed: Some(installed::measure(workspace, &names, GUARD_RUNS)?),
    };
    std::io::stdout().write_all(results.text().as_bytes()).map_err(Failure::Output)?;
    match results.guard().as_slice() {
        [] => Ok(()),
        breaches => Err(Failure::Machine(breaches.join("; "))),
    }
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
        let run = self.run.as_ref().map(run::Results::text);
        let status = self.status.as_ref().map(status::Results::text);
        let installed = self.installed.as_ref().map(installed::Results::text);
        run.into_iter().chain(status).chain(installed).collect::<Vec<_>>().join("\n")
    }

    fn guard(&self) -> Vec<String> {
        let run = self.run.as_ref().map(run::Results::guard);
        let status = self.status.as_ref().map(status::Results::guard);
        let installed = self.installed.as_ref().map(installed::Results::guard);
        run.into_iter().chain(status).chain(installed).flatten().collect()
    }
}

/// What the figures depend on, by name.
fn host() -> Vec<(&'static str, String)> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let python = Command::new(run::PYTHON).arg("--version").output();
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
    if let Some(run) = &results.run {
        fields.push(run.json());
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

    #[test]
    fn the_json_document() {
        let host = [("kernel", "6.1".to_owned())];
        let nothing = Results { run: None, status: None, installed: None };
        assert_eq!(
            json_document(&nothing, 3, &host),
            "{\"runs\":3,\"host\":{\"kernel\":\"6.1\"}}\n"
        );
    }
}
