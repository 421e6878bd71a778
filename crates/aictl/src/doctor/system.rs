//! What belongs to the machine: the journal, the GPUs, AppArmor.

use std::time::Duration;

use aictl_api::{
    document::doctor::{Check, CheckStatus as Status},
    gpu::{Gpu, GpuReport},
};
use aictl_core::{
    gpu::{Reader, Sources, nvml::NvmlProgram},
    host::Facts,
    journal::read::{JournalReader, ReadError},
};
use tokio::time::timeout;

/// How long the drivers of GPUs may take, and the journal.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// Whether this user may read the system's journal, from which `aictl audit` and logs come.
pub async fn journal() -> Vec<Check> {
    let name = "journal";
    let reader = JournalReader::default();
    let check = match timeout(LOOK_TIME, reader.may_read_system()).await {
        Ok(Ok(())) => Check::ok(name, "you may read it"),
        Ok(Err(error)) => unreadable(name, &error),
        Err(_late) => Check::bad(
            name,
            Status::Broken,
            "journalctl does not answer",
            "look at `systemctl status systemd-journald`",
        ),
    };
    vec![check]
}

fn unreadable(name: &str, error: &ReadError) -> Check {
    let advice = match error {
        ReadError::NotAllowed => {
            "needed for `aictl audit`, and for logs without the helper: `sudo usermod --append \
             --groups systemd-journal \"$USER\"`, and log in again"
        }
        ReadError::NoJournalctl => "without systemd there is neither audit nor logs; scripts run",
        _ => "look at `systemctl status systemd-journald`",
    };
    Check::bad(name, Status::Missing, error.to_string(), advice)
}

/// The GPUs, and what keeps aictl from seeing them.
pub async fn gpus() -> Vec<Check> {
    let mut reader = Reader::new(Sources::host(NvmlProgram::host()));
    of_gpus(&reader.read(LOOK_TIME).await)
}

fn of_gpus(report: &GpuReport) -> Vec<Check> {
    let mut checks: Vec<Check> =
        report.gpus.iter().map(|gpu| Check::ok("gpu", words(gpu))).collect();
    // Each note has its next step in it.
    let note = |note: &String| Check::bad("gpu", Status::Missing, note.as_str(), "");
    checks.extend(report.notes.iter().map(note));
    if checks.is_empty() {
        checks.push(Check::ok("gpu", "there is none that a driver knows"));
    }
    checks
}

fn words(gpu: &Gpu) -> String {
    let name = gpu.name.as_deref().unwrap_or("without a name");
    let driver = gpu.driver.as_deref().map(|driver| {
        let version = gpu.driver_version.as_deref().map(|version| format!(" {version}"));
        format!(", driver {driver}{}", version.unwrap_or_default())
    });
    format!("{} {name}{}", gpu.vendor.display(), driver.unwrap_or_default())
}

/// What AppArmor does for and against aictl; nothing where the kernel does not have it.
pub fn apparmor(facts: &Facts) -> Option<Check> {
    let name = "apparmor";
    let label = facts.apparmor_label.as_deref().unwrap_or("unconfined");
    Some(match (facts.apparmor?, facts.apparmor_restricts) {
        (false, _) => Check::ok(name, "it is off"),
        // What to do stands with the layer that is missing.
        (true, Some(true)) => Check::ok(
            name,
            format!("it keeps programs without a profile from user namespaces; aictl's is {label}"),
        ),
        (true, _) if facts.apparmor_confines => Check::ok(
            name,
            format!("aictl is under its profile {label}: what that does not grant is refused"),
        ),
        (true, _) => {
            Check::ok(name, format!("it keeps nobody from user namespaces; aictl's is {label}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use aictl_api::gpu::{GpuState, Vendor};

    use super::*;

    #[test]
    fn who_may_not_read_the_journal_is_told_how() {
        for (error, words) in [
            (ReadError::NotAllowed, "--groups systemd-journal"),
            (ReadError::NoJournalctl, "without systemd"),
            (ReadError::Failed("x".to_owned()), "systemd-journald"),
        ] {
            let check = unreadable("journal", &error);
            assert_eq!(check.status, Status::Missing);
            assert!(
                check.advice.as_ref().is_some_and(|advice| advice.contains(words)),
                "{check:?}"
            );
        }
    }

    #[test]
    fn gpus_and_what_is_not_known_of_them_are_told() {
        let mut gpu = Gpu::new(0, Vendor::Amd, GpuState::Awake);
        assert_eq!(words(&gpu), "AMD without a name");
        gpu.name = Some("Radeon".to_owned());
        gpu.driver = Some("amdgpu".to_owned());
        gpu.driver_version = Some("6.1".to_owned());
        let notes = vec!["the library is not there: install it".to_owned()];
        let report = GpuReport { gpus: vec![gpu], notes };
        let checks = of_gpus(&report);
        assert_eq!(checks[0], Check::ok("gpu", "AMD Radeon, driver amdgpu 6.1"));
        assert_eq!(checks[1].status, Status::Missing);
        let none = of_gpus(&GpuReport::default());
        assert_eq!((none.len(), none[0].status), (1, Status::Ok));
    }

    #[test]
    fn apparmor_is_told_where_there_is_one() {
        let facts = |apparmor, apparmor_restricts| Facts {
            apparmor,
            apparmor_restricts,
            apparmor_label: Some("aictl".to_owned()),
            ..Facts::default()
        };
        assert_eq!(apparmor(&facts(None, None)), None);
        for (restricts, words) in
            [(None, "keeps nobody"), (Some(false), "keeps nobody"), (Some(true), "is aictl")]
        {
            let check = apparmor(&facts(Some(true), restricts));
            assert!(check.is_some_and(|check| check.detail.contains(words)), "{restricts:?}");
        }
        assert_eq!(apparmor(&facts(Some(false), None)), Some(Check::ok("apparmor", "it is off")));
        let confined = Facts { apparmor_confines: true, ..facts(Some(true), None) };
        let said = apparmor(&confined).unwrap().detail;
        assert!(said.contains("under its profile aictl") && !said.contains("nobody"), "{said}");
    }
}
