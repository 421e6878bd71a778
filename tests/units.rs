//! The units of the packaging, as the systemd at hand sees them. What a systemd that runs makes of
//! them is seen in the machine (tests/machine).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command},
};

use aictl_api::{audit::MESSAGE_IDS, authorisation::AuditField};

/// The most that aictld.service may expose, in tenths of systemd's points.
const MOST_EXPOSED: &str = "4";
/// What our units name of others, which must be there for ours to be looked at.
const OTHERS: [&str; 7] = [
    "sysinit.target",
    "basic.target",
    "shutdown.target",
    "sockets.target",
    "paths.target",
    "multi-user.target",
    "dbus.socket",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn analyze() -> Command {
    let mut command = Command::new("systemd-analyze");
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    command
}

/// Whether there is a systemd to ask. Without one, nothing was tested.
fn is_there() -> bool {
    let there = analyze().arg("--version").output().is_ok();
    let strict = std::env::var_os("AICTL_TEST_STRICT").is_some_and(|value| value == "1");
    assert!(there || !strict, "systemd-analyze is not installed");
    if !there {
        eprintln!("not run: systemd-analyze is not installed");
    }
    there
}

/// The units in `systemd/`.
fn units() -> Vec<PathBuf> {
    let files = fs::read_dir(repository().join("systemd")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let is_unit = |path: &PathBuf| {
        let suffix = path.extension().unwrap().to_str().unwrap();
        ["service", "socket", "path"].contains(&suffix)
    };
    files.filter(is_unit).collect()
}

/// A system's root that holds the units, in a directory that goes with it.
struct Root(PathBuf);

impl Root {
    const UNITS: &str = "usr/lib/systemd/system";

    fn new() -> Self {
        let root = Self(std::env::temp_dir().join(format!("aictl-units-{}", process::id())));
        for unit in OTHERS {
            let section =
                if unit.ends_with(".socket") { "[Socket]\nListenStream=/x\n" } else { "[Unit]\n" };
            root.write(&format!("{}/{unit}", Self::UNITS), section);
        }
        for unit in units() {
            let text = fs::read_to_string(&unit).unwrap();
            let commands = text.lines().filter_map(|line| line.strip_prefix("Exec"));
            for command in commands.filter_map(|line| line.split_once('=')) {
                let program = command.1.split(' ').next().unwrap();
                let program = root.write(program.strip_prefix('/').unwrap(), "");
                fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
            }
            let name = unit.file_name().unwrap().to_str().unwrap();
            root.write(&format!("{}/{name}", Self::UNITS), &text);
        }
        root
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// What systemd has to say against a unit.
    fn verify(&self, name: &str) -> String {
        let mut root = std::ffi::OsString::from("--root=");
        root.push(&self.0);
        let unit = format!("/{}/{name}", Self::UNITS);
        let output = analyze().args(["verify", "--man=no"]).arg(root).arg(unit).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { text } else { format!("{text}{}", output.status) }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    if !is_there() {
        return;
    }
    let root = Root::new();
    for unit in units() {
        let name = unit.file_name().unwrap().to_str().unwrap();
        assert_eq!(root.verify(name), "", "{name}");
    }
    // It would say so.
    let text = fs::read_to_string(repository().join("systemd/aictld.service")).unwrap();
    let odd = text.replace("ProtectClock=", "ProtectClok=");
    root.write(&format!("{}/odd.service", Root::UNITS), &odd);
    let said = root.verify("odd.service");
    assert!(said.contains("ProtectClok"), "{said}");
}

/// The second of the two units that write the polkit rules may do what the first may, and no more.
#[test]
fn the_rules_are_written_alike_both_times() {
    let service = |name: &str| {
        let text = fs::read_to_string(repository().join("systemd").join(name)).unwrap();
        let section = text.split_once("\n[Service]\n").unwrap().1;
        section.split("\n[Install]").next().unwrap().trim_end().replace(" --again", "")
    };
    assert_eq!(service("aictl-polkit-rules-again.service"), service("aictl-polkit-rules.service"));
}

/// What journald leaves out above a rate is an audit record that the helper believes written.
#[test]
fn no_record_of_the_helper_is_too_many() {
    let text = fs::read_to_string(repository().join("systemd/aictld.service")).unwrap();
    assert!(text.lines().any(|line| line == "LogRateLimitIntervalSec=0"));
}

#[test]
fn the_helper_is_exposed_by_0_4_at_most() {
    if !is_there() {
        return;
    }
    let exposed = |most: &str| {
        let mut command = analyze();
        command.args(["security", "--offline=true", "--no-pager", "--threshold", most]);
        command.arg(repository().join("systemd/aictld.service")).output().unwrap()
    };
    let output = exposed(MOST_EXPOSED);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // It can be told apart from less.
    assert!(!exposed("3").status.success());
}

#[test]
fn the_journal_catalogue_has_the_kinds_of_records() {
    let text = fs::read_to_string(repository().join("systemd/aictl.catalog")).unwrap();
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
    assert_eq!(ids, MESSAGE_IDS);
    // Only fields that records have.
    for field in text.split('@').skip(1).step_by(2) {
        assert!(AuditField::ALL.iter().any(|known| known.name() == field), "{field}");
    }
}
