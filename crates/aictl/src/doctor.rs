//! `aictl doctor`: what this machine offers, and what to do about what is missing.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use aictl_api::{
    document::doctor::{Check, CheckStatus as Status, Report},
    error::CallError,
    exit,
    layer::Layer,
    limits::{Limits, TIMEOUT},
    record::{CONFIG_OK, HealthRecord},
};
use aictl_core::{
    helper::Helper,
    host::{self, Finding, Host},
};
use aictl_sandbox::{
    embedded::{self, Client, Wish},
    interpreter::{Interpreter, InterpreterError, Runtime},
    protocol::{Job, Profile, RunRecord, ScriptArgs, ScriptName, Stream},
};

use crate::{args::Global, config, message, run, runtime, services};

/// How long the trial run may take, in milliseconds.
const TRIAL_MS: u64 = 10_000;

/// What was found on this machine, as something that was looked at.
fn of_finding(finding: &Finding) -> Check {
    let status = match finding.status {
        host::Status::Missing => Status::Missing,
        host::Status::Failed => Status::Failed,
    };
    Check::bad(finding.name, status, finding.detail.as_str(), &finding.advice)
}

/// Runs the command; returns the exit code.
pub fn main(global: &Global) -> u8 {
    // Before the trial, which may move this process to another control group.
    let facts = Host::default().facts();
    let mut checks = Vec::new();
    let config = config::load(global.config.as_deref());
    checks.push(match &config {
        Ok(_) => Check::ok("config", "it can be used"),
        Err(error) => Check::bad("config", Status::Failed, error.to_string(), ""),
    });
    let configured = config.as_ref().ok().and_then(|config| config.sandbox.python());
    let mut python = None;
    for runtime in Runtime::ALL {
        let found = run::find_interpreter(runtime, configured.map(|(path, _)| path));
        checks.push(interpreter_check(runtime, &found));
        if runtime == Runtime::Python {
            python = found.ok();
        }
    }
    let helper = (!global.embedded).then(|| helper_check(&ask_helper()));
    // The last that is looked at: the trial gives up every right that this process has.
    checks.extend(sandbox_checks(python, &host::advice(&facts)));
    checks.extend(helper);
    let healthy = checks.iter().all(|check| check.status != Status::Failed);
    let code = if healthy { exit::OK } else { exit::FAILED };
    let report =
        Report { version: env!("CARGO_PKG_VERSION"), kernel: facts.kernel, checks, healthy };
    let printed = match global.json {
        true => message::print_json(&report),
        false => message::print(&text(&report)),
    };
    match printed {
        Ok(()) => code,
        Err(error) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
    }
}

/// The report for people: a line for each check, and below it what to do.
fn text(report: &Report) -> String {
    let name_width = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = format!(
        "aictl {} on Linux {}\n\n",
        report.version,
        report.kernel.as_deref().unwrap_or("(unknown)")
    );
    for check in &report.checks {
        // A Display of its own does not know widths: the word first.
        let status = check.status.to_string();
        text += &format!("{status:<8} {:<name_width$}  {}\n", check.name, check.detail);
        if let Some(advice) = &check.advice {
            text += &format!("{:<8} {:<name_width$}  → {advice}\n", "", "");
        }
    }
    text += match report.healthy {
        true => "\nScripts can be run safely on this machine.\n",
        false => "\nScripts cannot be run on this machine until that is mended.\n",
    };
    text
}

fn interpreter_check(runtime: Runtime, found: &Result<Interpreter, InterpreterError>) -> Check {
    let name = runtime.name();
    match found {
        Ok(interpreter) => Check::ok(name, interpreter.exe().display().to_string()),
        Err(error) => {
            // Without Python the sandbox cannot even be tried.
            let status = match runtime {
                Runtime::Python => Status::Failed,
                Runtime::Bash | Runtime::Node => Status::Missing,
            };
            Check::bad(name, status, error.to_string(), "")
        }
    }
}

/// Tries the sandbox by running something in it, and reports each layer.
fn sandbox_checks(python: Option<Interpreter>, findings: &[Finding]) -> Vec<Check> {
    let all_findings = || findings.iter().map(of_finding);
    let Some(python) = python else { return all_findings().collect() };
    match trial(python) {
        Ok(record) => {
            let mut checks = vec![Check::ok(
                "sandbox",
                format!("a script ran in it, in {:.0} ms", record.wall_us as f64 / 1000.0),
            )];
            checks.extend(layer_checks(&record.isolation, &record.missing, findings));
            checks
        }
        Err(error) => {
            let failed = Check::bad("sandbox", Status::Failed, error, "");
            std::iter::once(failed).chain(all_findings()).collect()
        }
    }
}

fn trial(python: Interpreter) -> Result<RunRecord, String> {
    let words = |error: run::RunError| error.to_string();
    let mut limits = Limits::default();
    limits.set(&TIMEOUT, TRIAL_MS).map_err(|error| error.to_string())?;
    let job = Job {
        request_id: run::request_id().map_err(words)?,
        name: ScriptName::fallback(),
        runtime: Runtime::Python,
        args: ScriptArgs::default(),
        limits,
        profile: Profile::Standard,
        want_result: false,
        stdin: false,
        warm: false,
    };
    let (nobody, _quiet) = UnixStream::pair().map_err(|error| error.to_string())?;
    let mut listener = Listener { nobody, said: Vec::new() };
    let record = embedded::begin()
        .run(&python, &job, b"print('ok')".to_vec(), None, &mut listener)
        .map_err(|rejection| rejection.message)?;
    if record.exit_code == Some(0) && listener.said == b"ok\n" {
        return Ok(record);
    }
    let said = String::from_utf8_lossy(&listener.said);
    Err(format!("a trial script did not work in it: {:?} {}", record.outcome, said.trim_end()))
}

/// Keeps what the trial script says.
struct Listener {
    /// Nothing ever comes from there.
    nobody: UnixStream,
    said: Vec<u8>,
}

impl Client for Listener {
    fn events(&self) -> BorrowedFd<'_> {
        self.nobody.as_fd()
    }

    fn hear(&mut self) -> Wish {
        Wish::GoOn
    }

    fn take(&mut self, _: Stream, bytes: &[u8]) -> io::Result<usize> {
        self.said.extend(bytes);
        Ok(bytes.len())
    }

    fn room(&self, _: Stream) -> BorrowedFd<'_> {
        self.nobody.as_fd()
    }
}

/// A check for each layer, with what the host says about those that are missing. A finding about
/// a layer that is there was proved wrong by the trial, and is left out.
fn layer_checks(isolation: &[Layer], missing: &[Layer], findings: &[Finding]) -> Vec<Check> {
    let about = |layer: &Layer| {
        let name = layer.name();
        findings.iter().filter(move |finding| finding.name == name).map(of_finding)
    };
    let mut checks: Vec<Check> =
        isolation.iter().map(|layer| Check::ok(layer.name(), describe(*layer))).collect();
    for layer in missing {
        let mut reasons = about(layer).peekable();
        if reasons.peek().is_none() {
            let advice = absence_advice(*layer);
            checks.push(Check::bad(layer.name(), Status::Missing, describe(*layer), advice));
        }
        checks.extend(reasons);
    }
    let others = findings.iter().filter(|finding| finding.name == host::OTHER_USERS);
    checks.extend(others.map(of_finding));
    checks
}

/// What a layer keeps a script from, in a few words.
fn describe(layer: Layer) -> String {
    match layer {
        Layer::UserNs => "it has no rights outside".to_owned(),
        Layer::PidNs => "it sees no other processes, and none survives".to_owned(),
        Layer::MountNs => "it sees no files but its own and the system's programs".to_owned(),
        Layer::NetNs => "it has no network".to_owned(),
        Layer::IpcNs => "it shares no memory with others".to_owned(),
        Layer::UtsNs => "it has a host name of its own".to_owned(),
        Layer::Cgroup => "the kernel holds its memory, processes and CPU as a whole".to_owned(),
        Layer::Landlock(0) => "a second wall around files and sockets".to_owned(),
        Layer::Landlock(abi) => format!("a second wall around files and sockets (ABI {abi})"),
        Layer::Seccomp => "it makes only listed system calls".to_owned(),
        Layer::Rlimits => "each of its processes is limited".to_owned(),
        Layer::NoNewPrivs => "it can gain no rights".to_owned(),
        _ => String::new(),
    }
}

/// What to do where a layer is missing.
fn absence_advice(layer: Layer) -> &'static str {
    match layer {
        Layer::Cgroup => {
            "limits still hold, by watching; for the kernel's own, run aictl in a unit with \
             Delegate=yes, such as `systemd-run --user --scope -p Delegate=yes aictl run …`"
        }
        Layer::Landlock(_) => {
            "enable Landlock: Linux 5.13 or newer, with `landlock` in the list of \
             /sys/kernel/security/lsm (boot parameter lsm=)"
        }
        _ => "",
    }
}

/// What became of looking for the helper.
#[derive(Debug)]
enum HelperState {
    /// There is no message bus to look on.
    NoBus,
    /// It is not installed.
    Absent,
    /// It is, and this is what it says of itself.
    Answered(Result<HealthRecord, CallError>),
}

/// Asks the helper how it is, which starts it where it does not run.
fn ask_helper() -> HelperState {
    let ask = async {
        let Ok(connection) = services::system_bus().await else { return HelperState::NoBus };
        match Helper::find(&connection).await {
            Ok(Some(helper)) => HelperState::Answered(helper.health().await),
            Ok(None) => HelperState::Absent,
            Err(error) => HelperState::Answered(Err(error)),
        }
    };
    runtime::run(ask).unwrap_or_else(|stopped| {
        HelperState::Answered(Err(CallError::Unavailable(stopped.to_string())))
    })
}

/// Whether the helper is there and works.
fn helper_check(state: &HelperState) -> Check {
    let name = "helper";
    let absent = |why: &str| {
        let detail = format!("{why}: aictl acts on services with your own rights");
        Check::bad(name, Status::Missing, detail, "nothing needs to be done to run scripts")
    };
    let status = "look at `systemctl status aictld` and `journalctl -u aictld`";
    match state {
        HelperState::NoBus => absent("there is no system message bus, and so no aictld"),
        HelperState::Absent => absent("aictld is not installed"),
        HelperState::Answered(Err(error)) => {
            let detail = format!("aictld is installed, but: {}", message::plain(error.message()));
            Check::bad(name, Status::Broken, detail, status)
        }
        HelperState::Answered(Ok(health)) => {
            let version = message::plain(&health.version);
            let missing: Vec<_> = [
                (health.journal, "the journal"),
                (health.polkit, "polkit"),
                (health.systemd, "systemd"),
            ]
            .into_iter()
            .filter_map(|(is_there, what)| (!is_there).then_some(what))
            .collect();
            if !missing.is_empty() {
                let detail = format!("aictld {version} cannot reach {}", missing.join(" and "));
                return Check::bad(name, Status::Broken, detail, status);
            }
            if health.config != CONFIG_OK {
                let detail = format!(
                    "aictld {version} does not take the configuration: {}",
                    message::plain(&health.config)
                );
                let advice = "`aictl config check` says more; then `systemctl reload aictld`";
                return Check::bad(name, Status::Broken, detail, advice);
            }
            let up = Duration::from_micros(health.uptime_usec).as_secs();
            Check::ok(name, format!("aictld {version} answers; it has been up for {up} s"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_is_described_and_every_possible_absence_has_advice() {
        for layer in Layer::ALL {
            assert!(!describe(layer).is_empty(), "{layer}");
        }
        for layer in [Layer::Cgroup, Layer::Landlock(0)] {
            assert!(!absence_advice(layer).is_empty(), "{layer}");
        }
    }

    #[test]
    fn a_missing_layer_has_the_hosts_reason_and_a_present_one_needs_none() {
        let finding = |name| Finding {
            name,
            status: host::Status::Missing,
            detail: format!("why {name}"),
            advice: format!("mend {name}"),
        };
        let findings = ["cgroup", "seccomp", "user-ns", host::OTHER_USERS].map(finding);
        let from_host = |name: &'static str| of_finding(&finding(name));
        let checks = |missing: &[Layer], findings: &[Finding]| {
            layer_checks(&[Layer::UserNs], missing, findings)
        };
        let there = Check::ok("user-ns", describe(Layer::UserNs));
        assert_eq!(
            checks(&[Layer::Cgroup], &findings),
            [there.clone(), from_host("cgroup"), from_host(host::OTHER_USERS)]
        );
        let advice = absence_advice(Layer::Cgroup);
        let plain = Check::bad("cgroup", Status::Missing, describe(Layer::Cgroup), advice);
        assert_eq!(checks(&[Layer::Cgroup], &[]), [there, plain]);
    }

    #[test]
    fn without_python_the_hosts_findings_are_still_shown() {
        let finding = Finding {
            name: "user-ns",
            status: host::Status::Failed,
            detail: "a knob is 0".to_owned(),
            advice: "turn it".to_owned(),
        };
        let shown = Check::bad("user-ns", Status::Failed, "a knob is 0", "turn it");
        assert_eq!(sandbox_checks(None, &[finding]), [shown]);
    }

    #[test]
    fn a_helper_that_does_not_work_is_not_one_that_is_not_there() {
        let well = HealthRecord {
            version: "1".to_owned(),
            config: CONFIG_OK.to_owned(),
            journal: true,
            polkit: true,
            systemd: true,
            ..HealthRecord::default()
        };
        let answered = |health| HelperState::Answered(Ok(health));
        for (state, status, words) in [
            (HelperState::NoBus, Status::Missing, "no system message bus"),
            (HelperState::Absent, Status::Missing, "not installed"),
            (
                HelperState::Answered(Err(CallError::Unavailable("gone".to_owned()))),
                Status::Broken,
                "installed, but: gone",
            ),
            (answered(HealthRecord { polkit: false, ..well.clone() }), Status::Broken, "polkit"),
            (
                answered(HealthRecord { config: "bad".to_owned(), ..well.clone() }),
                Status::Broken,
                "configuration: bad",
            ),
            (answered(well), Status::Ok, "aictld 1 answers"),
        ] {
            let check = helper_check(&state);
            assert_eq!(check.status, status, "{state:?}");
            assert!(check.detail.contains(words), "{check:?}");
        }
    }

    #[test]
    fn the_report_shows_what_to_do_under_what_is_missing() {
        let report = Report {
            version: "1",
            kernel: None,
            checks: vec![
                Check::ok("seccomp", "fine"),
                Check::bad("cgroup", Status::Missing, "none", "make one"),
            ],
            healthy: true,
        };
        assert_eq!(
            text(&report),
            "aictl 1 on Linux (unknown)\n\n\
             ok       seccomp  fine\n\
             missing  cgroup   none\n                  → make one\n\n\
             Scripts can be run safely on this machine.\n"
        );
    }
}
