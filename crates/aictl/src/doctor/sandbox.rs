//! The sandbox, tried by running something in it, and each of its layers.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use aictl_api::{
    document::doctor::{Check, CheckStatus as Status},
    layer::Layer,
    record::RunRecord,
};
use aictl_core::host::{self, Facts, Finding};
use aictl_sandbox::{
    embedded::{self, Client, Wish},
    interpreter::Interpreter,
    protocol::{Job, Stream},
};

use crate::run;

/// What is run.
const TRIAL: &[u8] = b"import sys\nprint('ok', '%d.%d.%d' % sys.version_info[:3])\n";

/// What the trial has shown.
pub struct Tried {
    /// The version of the Python that it ran in.
    pub python_version: Option<String>,
    /// The sandbox and its layers.
    pub checks: Vec<Check>,
}

/// Tries the sandbox by running something in it, and reports each layer. This process has no rights
/// of root any more after it.
pub fn checks(python: Option<Interpreter>, facts: &Facts) -> Tried {
    let findings = host::advice(facts);
    let all_findings = || findings.iter().map(of_finding);
    let nothing = |checks| Tried { python_version: None, checks };
    let Some(python) = python else { return nothing(all_findings().collect()) };
    match trial(python) {
        Ok((record, version)) => {
            let mut checks = vec![Check::ok(
                "sandbox",
                format!("a script ran in it, in {:.0} ms", record.wall_usec as f64 / 1000.0),
            )];
            checks.extend(layer_checks(&record.isolation, &record.missing, &findings));
            Tried { python_version: Some(version), checks }
        }
        Err(error) => {
            let failed = Check::bad("sandbox", Status::Failed, error, "");
            // The trial gives up all rights before: what root may is no help to it.
            let findings = host::advice(&Facts { admin: false, ..facts.clone() });
            nothing(std::iter::once(failed).chain(findings.iter().map(of_finding)).collect())
        }
    }
}

/// What was found on this machine, as something that was looked at.
fn of_finding(finding: &Finding) -> Check {
    let status = match finding.status {
        host::Status::Missing => Status::Missing,
        host::Status::Failed => Status::Failed,
    };
    Check::bad(finding.name, status, finding.detail.as_str(), &finding.advice)
}

/// Runs the trial; returns what came of it, and what the script said after `ok`.
fn trial(python: Interpreter) -> Result<(RunRecord, String), String> {
    let words = |error: run::RunError| error.to_string();
    let id = run::request_id().map_err(words)?;
    let job = Job::trial(id).map_err(|error| error.to_string())?;
    let (nobody, _quiet) = UnixStream::pair().map_err(|error| error.to_string())?;
    let mut listener = Listener { nobody, said: Vec::new() };
    let record = embedded::begin()
        .run(&python, &job, TRIAL.to_vec(), None, &mut listener)
        .map_err(|rejection| rejection.message)?;
    let said = String::from_utf8_lossy(&listener.said);
    if let (Some(0), Some(version)) = (record.exit_code, said.strip_prefix("ok ")) {
        return Ok((record, version.trim_end().to_owned()));
    }
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
        let facts = Facts { namespaces: vec![(host::Namespace::User, 0)], ..Facts::default() };
        let shown = checks(None, &facts).checks;
        let findings: Vec<Check> = host::advice(&facts).iter().map(of_finding).collect();
        assert_eq!(shown, findings);
        assert_eq!((shown[0].name.as_str(), shown[0].status), ("user-ns", Status::Failed));
    }
}
