//! What an install leaves on a machine.

use std::{collections::BTreeMap, os::unix::fs::MetadataExt};

use crate::machine::{Who, machine};

/// Every unit that is installed.
const UNITS: [&str; 8] = [
    "aictld.service",
    "aictld.socket",
    "aictl-sandboxd.service",
    "aictl-sandboxd.socket",
    "aictl-unit-file@.service",
    "aictl-polkit-rules.service",
    "aictl-polkit-rules-again.service",
    "aictl-polkit-rules.path",
];

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let machine = machine();
    let units = UNITS.map(|unit| format!("/usr/lib/systemd/system/{unit}"));
    let mut argv = vec!["systemd-analyze", "verify", "--man=no"];
    argv.extend(units.iter().map(String::as_str));
    let ran = machine.run(Who::Root, &argv);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""), "{ran}");
}

/// How open a unit is, in tenths; each point that stays open has its reason in the unit.
#[test]
fn the_services_are_exposed_by_what_their_units_give_reasons_for_and_no_more() {
    let machine = machine();
    for (unit, most) in [
        ("aictld.service", 4),
        ("aictl-sandboxd.service", 17),
        ("aictl-polkit-rules.service", 9),
        ("aictl-unit-file@.service", 5),
    ] {
        let unit = format!("/usr/lib/systemd/system/{unit}");
        let security = |most: u32| {
            let threshold = format!("--threshold={most}");
            machine.run(
                Who::Root,
                &["systemd-analyze", "security", "--offline=true", &threshold, &unit],
            )
        };
        let ran = security(most);
        assert_eq!(ran.code, Some(0), "{ran}");
        // The question can be answered with no.
        security(most - 1).failed();
    }
}

#[test]
fn only_root_can_write_what_is_installed() {
    let machine = machine();
    let owned = |path: &str, mode: u32| {
        let metadata = machine.path(path).symlink_metadata().unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777),
            (0, 0, mode),
            "{path}"
        );
    };
    for (path, mode) in [
        ("/usr/bin/aictl", 0o755),
        ("/usr/libexec/aictl", 0o755),
        ("/usr/libexec/aictl/aictld", 0o755),
        ("/usr/libexec/aictl/aictl-sandboxd", 0o755),
        ("/usr/libexec/aictl/aictl-polkit-rules", 0o755),
        ("/usr/libexec/aictl/aictl-unit-file", 0o755),
        ("/usr/lib/systemd/system/aictld.service", 0o644),
        ("/usr/share/dbus-1/system.d/org.aictl1.conf", 0o644),
        ("/usr/share/dbus-1/system-services/org.aictl1.service", 0o644),
        ("/usr/share/polkit-1/actions/org.aictl1.policy", 0o644),
        ("/etc/polkit-1/rules.d/50-aictl.rules", 0o644),
        ("/etc/aictl", 0o755),
        ("/etc/aictl/aictl.toml.d", 0o755),
        ("/run/aictl", 0o755),
        ("/run/aictl/bus", 0o666),
    ] {
        owned(path, mode);
    }
}

#[test]
fn it_waits_for_callers_now_and_after_the_next_boot() {
    let machine = machine();
    for unit in ["aictld.socket", "aictl-sandboxd.socket", "aictl-polkit-rules.path"] {
        assert_eq!(machine.property(unit, "ActiveState"), "active", "{unit}");
        assert_eq!(machine.property(unit, "UnitFileState"), "enabled", "{unit}");
    }
    assert_eq!(machine.property("aictl-polkit-rules.service", "UnitFileState"), "enabled");
    assert_eq!(machine.property("aictld.service", "UnitFileState"), "static");
}

#[test]
fn polkit_knows_the_actions() {
    let machine = machine();
    let policy = machine.read("/usr/share/polkit-1/actions/org.aictl1.policy");
    let ids = policy.lines().filter_map(|line| line.trim().strip_prefix("<action id=\""));
    let mut ids: Vec<&str> = ids.filter_map(|line| line.split('"').next()).collect();
    ids.sort_unstable();
    let known = machine.root(&["pkaction"]);
    let mut known: Vec<&str> = known.lines().filter(|id| id.starts_with("org.aictl1.")).collect();
    known.sort_unstable();
    assert!(!known.is_empty());
    assert_eq!(known, ids);
}

/// Whether it grants what it is for is for a kernel with AppArmor to show: see tests/vm.
#[test]
fn apparmor_takes_the_profile() {
    let machine = machine();
    let profile = "/etc/apparmor.d/aictl";
    let argv = ["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--names", profile];
    let names = machine.root(&argv);
    assert_eq!(names, "aictl\naictl-sandboxd\n");
}

#[test]
fn the_journal_explains_each_kind_of_record() {
    let machine = machine();
    for id in aictl_api::audit::MESSAGE_IDS {
        let text = machine.root(&["journalctl", "--dump-catalog", id]);
        assert!(text.contains("Defined-By: aictl"), "{id}: {text}");
    }
}

#[test]
fn the_users_can_do_nothing_by_themselves() {
    let machine = machine();
    let groups = machine.read("/etc/group");
    let members: BTreeMap<&str, &str> = groups
        .lines()
        .filter_map(|line| Some((line.split(':').next()?, line.rsplit(':').next()?)))
        .collect();
    for user in ["aictl", "aictl-sandbox"] {
        let (uid, _) = machine.ids(user);
        assert_ne!(uid, "0");
        let passwd = machine.read("/etc/passwd");
        let line = passwd.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap();
        assert!(line.ends_with(":/usr/sbin/nologin") && line.contains(":/:"), "{line}");
        for (group, members) in &members {
            assert!(!members.split(',').any(|member| member == user), "{user} is in {group}");
        }
    }
}

#[test]
fn nobody_but_the_helper_reaches_the_keeper_of_sandboxes() {
    let machine = machine();
    let socket = "/run/aictl/sandboxd";
    assert_eq!(machine.root(&["stat", "--format=%a %U %G", socket]), "660 aictl aictl\n");
    let connect = format!(
        "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); \
         s.connect({socket:?})"
    );
    let errors = machine.run(Who::Bob, &["python3", "-I", "-c", &connect]).failed();
    assert!(errors.contains("PermissionError"), "{errors}");
    machine.run(Who::Helper, &["python3", "-I", "-c", &connect]).ok();
}
