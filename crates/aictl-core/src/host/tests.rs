//! Tests of what is read from a host, and of what is concluded from it.

use std::{
    env, fs, process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

/// A directory that stands for a host's root, and is removed in the end.
struct Tree(PathBuf);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tree = Self(env::temp_dir().join(format!("aictl-host-{}-{number}", process::id())));
        fs::create_dir_all(&tree.0).expect("a directory");
        for (path, text) in files {
            let path = tree.0.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        tree
    }

    fn facts(&self) -> Facts {
        Host::at(&self.0).facts()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

const STATUS: &str = "Name:\taictl\nPid:\t42\nPPid:\t7\nUid:\t1000\t1001\t1002\t1003\n\
                      CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\nSeccomp:\t2\n";
const UNIFIED: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";

#[test]
fn every_fact_is_read_from_its_file() {
    let group = "sys/fs/cgroup/user.slice/a.scope";
    let tree = Tree::new(&[
        ("proc/sys/kernel/osrelease", "6.1.0-debian\n"),
        ("proc/self/status", STATUS),
        ("proc/sys/user/max_user_namespaces", "1\n"),
        ("proc/sys/user/max_pid_namespaces", "2\n"),
        ("proc/sys/user/max_mnt_namespaces", "3\n"),
        ("proc/sys/user/max_net_namespaces", "4\n"),
        ("proc/sys/user/max_ipc_namespaces", "5\n"),
        ("proc/sys/user/max_uts_namespaces", "6\n"),
        ("proc/sys/user/max_cgroup_namespaces", "7\n"),
        ("proc/sys/kernel/unprivileged_userns_clone", "0\n"),
        ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n"),
        ("sys/module/apparmor/parameters/enabled", "Y\n"),
        ("proc/self/attr/apparmor/current", "aictl (unconfined)\n"),
        ("etc/apparmor.d/aictl", "profile"),
        ("sys/kernel/security/lsm", "lockdown,landlock,apparmor"),
        ("proc/self/mountinfo", UNIFIED),
        ("proc/self/cgroup", "0::/user.slice/a.scope\n"),
        (&format!("{group}/cgroup.controllers"), "cpu memory pids\n"),
        (&format!("{group}/cgroup.procs"), "42\n7\n420\n"),
        ("run/systemd/system/x", ""),
    ]);
    let owner = fs::metadata(tree.0.join(group)).expect("the group").uid();
    assert_eq!(
        tree.facts(),
        Facts {
            kernel: Some("6.1.0-debian".to_owned()),
            uid: Some(1001),
            admin: false,
            namespaces: Namespace::ALL.into_iter().zip(1..).collect(),
            unprivileged_clone: Some(false),
            apparmor_restricts: Some(true),
            apparmor: Some(true),
            apparmor_label: Some("aictl".to_owned()),
            apparmor_confines: false,
            apparmor_profile: true,
            filtered: Some(true),
            chrooted: Some(true),
            lsm: Some(words("lockdown landlock apparmor")),
            cgroup: Cgroup {
                unified: Some(PathBuf::from("/sys/fs/cgroup")),
                legacy: Vec::new(),
                group: Some("/user.slice/a.scope".to_owned()),
                controllers: Some(words("cpu memory pids")),
                owner: Some(owner),
                others: Some(2),
            },
            systemd: true,
        }
    );
}

#[test]
fn a_host_that_tells_nothing_is_unknown() {
    assert_eq!(Tree::new(&[]).facts(), Facts::default());
}

#[test]
fn knobs_that_hold_no_number_are_unknown() {
    for text in ["", "x", "-1", "1 2", "99999999999999999999999"] {
        let facts = Tree::new(&[
            ("proc/sys/user/max_user_namespaces", text),
            ("proc/sys/kernel/unprivileged_userns_clone", text),
            ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", text),
            ("proc/self/status", text),
        ])
        .facts();
        assert_eq!(facts, Facts::default(), "{text:?}");
    }
}

#[test]
fn this_machine_can_be_asked() {
    let facts = Host::default().facts();
    assert!(facts.kernel.is_some() && facts.uid.is_some());
}

#[test]
fn the_effective_capability_counts() {
    for (line, expected) in [
        ("CapEff:\t0000000000200000\n", true),
        ("CapEff:\t000001ffffffffff\n", true),
        ("CapEff:\t0000000000100000\n", false),
        ("CapEff:\t000001ffffdfffff\n", false),
        ("CapPrm:\t000001ffffffffff\nCapEff:\t0\n", false),
        ("CapBnd:\t000001ffffffffff\n", false),
        ("CapEff:\tzz\n", false),
    ] {
        assert_eq!(has_capability(line, CAP_SYS_ADMIN), expected, "{line}");
    }
}

#[test]
fn the_mount_of_version_2_is_found() {
    let line = |point: &str, kind: &str| format!("31 23 0:28 / {point} rw - {kind} x rw\n");
    for (text, expected) in [
        (String::new(), None),
        (UNIFIED.to_owned(), Some("/sys/fs/cgroup")),
        (line("/sys/fs/cgroup", "tmpfs") + &line("/sys/fs/cgroup/memory", "cgroup"), None),
        (
            line("/sys/fs/cgroup", "tmpfs") + &line("/sys/fs/cgroup/unified", "cgroup2"),
            Some("/sys/fs/cgroup/unified"),
        ),
        (line("/mnt", "cgroup2") + &line("/sys/fs/cgroup", "cgroup2"), Some("/sys/fs/cgroup")),
        ("garbage\n - \n - cgroup2\n".to_owned(), None),
    ] {
        assert_eq!(unified_mount(&text), expected, "{text}");
    }
}

#[test]
fn groups_and_controllers_are_told_by_version() {
    for (text, group, controllers) in [
        ("", None, ""),
        ("0::/\n", Some("/"), ""),
        ("0::/a/b.scope\n", Some("/a/b.scope"), ""),
        (
            "9:name=systemd:/\n5:cpu,cpuacct:/x\n4:memory:/y\n0::/z\n",
            Some("/z"),
            "cpu cpuacct memory",
        ),
        ("1:name=systemd:/\n", None, ""),
    ] {
        assert_eq!(own_group(text), group, "{text}");
        assert_eq!(legacy_controllers(text), words(controllers), "{text}");
    }
}

/// A host of an ordinary user where all is well.
fn healthy() -> Facts {
    Facts {
        kernel: Some("6.1.0".to_owned()),
        uid: Some(1000),
        admin: false,
        namespaces: Namespace::ALL.map(|kind| (kind, 1)).to_vec(),
        unprivileged_clone: Some(true),
        apparmor_restricts: Some(false),
        apparmor: Some(true),
        apparmor_label: Some("unconfined".to_owned()),
        apparmor_confines: false,
        apparmor_profile: true,
        filtered: Some(false),
        chrooted: Some(false),
        lsm: Some(words("capability landlock yama")),
        cgroup: Cgroup {
            unified: Some(PathBuf::from(CGROUP_MOUNT)),
            legacy: Vec::new(),
            group: Some("/user.slice/a.scope".to_owned()),
            controllers: Some(words("cpu io memory pids")),
            owner: Some(1000),
            others: Some(0),
        },
        systemd: true,
    }
}

#[test]
fn where_all_is_well_there_is_nothing_to_say() {
    assert_eq!(advice(&healthy()), []);
}

#[test]
fn each_knob_has_its_finding() {
    use Status::{Failed, Missing};
    type Change = fn(&mut Facts);
    let limit = |facts: &mut Facts, kind: Namespace| {
        facts.namespaces.iter_mut().filter(|(k, _)| *k == kind).for_each(|(_, limit)| *limit = 0);
    };
    for kind in Namespace::ALL {
        let mut facts = healthy();
        limit(&mut facts, kind);
        // Not even a capability helps.
        facts.admin = true;
        let found = advice(&facts);
        assert_eq!(found.len(), 1, "{kind:?}");
        assert_eq!((found[0].name, found[0].status), (kind.name(), Failed));
        let knob = format!("user.{}", kind.limit_file());
        assert!(found[0].detail.contains(&format!("{knob} is 0")), "{found:?}");
        assert!(found[0].advice.contains(&format!("sysctl -w {knob}=10000")), "{found:?}");
    }
    let cases: [(&str, Change, &str, Status, &str, &str); 25] = [
        (
            "Debian's knob",
            |f| f.unprivileged_clone = Some(false),
            "user-ns",
            Failed,
            "kernel.unprivileged_userns_clone is 0",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "Debian's knob, as root",
            |f| (f.unprivileged_clone, f.admin) = (Some(false), true),
            OTHER_USERS,
            Missing,
            "kernel.unprivileged_userns_clone is 0",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "AppArmor's knob",
            |f| f.apparmor_restricts = Some(true),
            "user-ns",
            Failed,
            "kernel.apparmor_restrict_unprivileged_userns is 1",
            "apparmor_parser --replace /etc/apparmor.d/aictl",
        ),
        (
            "AppArmor's knob, and nobody says what is around us, without our profile",
            |f| {
                f.apparmor_restricts = Some(true);
                (f.apparmor_label, f.apparmor_profile) = (None, false);
            },
            "user-ns",
            Failed,
            "kernel.apparmor_restrict_unprivileged_userns is 1",
            "its packages bring one",
        ),
        ("a chroot", |f| f.chrooted = Some(true), "user-ns", Failed, "in one", "outside of it"),
        (
            "a chroot, as root",
            |f| (f.chrooted, f.admin) = (Some(true), true),
            "user-ns",
            Failed,
            "chroot",
            "systemd-nspawn",
        ),
        (
            "a container's filter, and a knob that is to blame",
            |f| (f.filtered, f.unprivileged_clone, f.lsm) = (Some(true), Some(false), None),
            "user-ns",
            Failed,
            "kernel.unprivileged_userns_clone is 0",
            "sysctl",
        ),
        (
            "a container's filter",
            |f| (f.filtered, f.lsm) = (Some(true), None),
            "user-ns",
            Missing,
            "system call filter",
            "seccomp=FILE",
        ),
        (
            "a profile that is enforced",
            |f| (f.apparmor_label, f.apparmor_confines) = (Some("narrow".to_owned()), true),
            "user-ns",
            Missing,
            "AppArmor's profile narrow is around this process",
            "the rule `userns,`",
        ),
        (
            "AppArmor's knob, as root",
            |f| (f.apparmor_restricts, f.admin) = (Some(true), true),
            OTHER_USERS,
            Missing,
            "kernel.apparmor_restrict_unprivileged_userns is 1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "no Landlock",
            |f| f.lsm = Some(words("capability yama")),
            "landlock",
            Missing,
            "(capability,yama)",
            "lsm=landlock,capability,yama",
        ),
        (
            "v1",
            |f| f.cgroup.legacy = words("cpu cpuacct memory"),
            "cgroup",
            Missing,
            "cgroup v1 holds the controllers on this machine (cpu, memory)",
            "systemd.unified_cgroup_hierarchy=1",
        ),
        (
            "v1, without systemd",
            |f| (f.cgroup.legacy, f.systemd) = (words("pids"), false),
            "cgroup",
            Missing,
            "cgroup v1 holds the controllers on this machine (pids)",
            "cgroup_no_v1=all",
        ),
        (
            "not mounted",
            |f| f.cgroup.unified = None,
            "cgroup",
            Missing,
            "not mounted on /sys/fs/cgroup",
            "limits still hold",
        ),
        (
            "mounted elsewhere",
            |f| f.cgroup.unified = Some(PathBuf::from("/mnt")),
            "cgroup",
            Missing,
            "mounted on /mnt, not on /sys/fs/cgroup",
            "limits still hold",
        ),
        ("no group", |f| f.cgroup.group = None, "cgroup", Missing, "in no group", "Delegate=yes"),
        (
            "the root group",
            |f| f.cgroup.group = Some("/".to_owned()),
            "cgroup",
            Missing,
            "in the root group",
            "Delegate=yes",
        ),
        (
            "a group out of sight",
            |f| f.cgroup.controllers = None,
            "cgroup",
            Missing,
            "/user.slice/a.scope, cannot be seen",
            "Delegate=yes",
        ),
        (
            "root's group",
            |f| f.cgroup.owner = Some(0),
            "cgroup",
            Missing,
            "this group is not delegated",
            "Delegate=yes",
        ),
        (
            "another's group",
            |f| f.cgroup.owner = Some(1001),
            "cgroup",
            Missing,
            "this group is not delegated",
            "Delegate=yes",
        ),
        (
            "without systemd",
            |f| (f.cgroup.owner, f.systemd) = (Some(0), false),
            "cgroup",
            Missing,
            "this group is not delegated",
            "service manager",
        ),
        (
            "no controller for memory",
            |f| f.cgroup.controllers = Some(words("cpu pids")),
            "cgroup",
            Missing,
            "this group has no controller memory",
            "Delegate=yes",
        ),
        (
            "no controller at all",
            |f| f.cgroup.controllers = Some(Vec::new()),
            "cgroup",
            Missing,
            "this group has no controller cpu, memory, pids",
            "Delegate=yes",
        ),
        (
            "a controller with a like name",
            |f| f.cgroup.controllers = Some(words("cpuset memory pids")),
            "cgroup",
            Missing,
            "this group has no controller cpu",
            "Delegate=yes",
        ),
        (
            "not alone",
            |f| f.cgroup.others = Some(3),
            "cgroup",
            Missing,
            "shared with 3 other processes",
            "Delegate=yes",
        ),
    ];
    for (case, change, name, status, detail, advised) in cases {
        let mut facts = healthy();
        change(&mut facts);
        let found = advice(&facts);
        assert_eq!(found.len(), 1, "{case}: {found:?}");
        assert_eq!((found[0].name, found[0].status), (name, status), "{case}");
        assert!(found[0].detail.contains(detail), "{case}: {found:?}");
        assert!(found[0].advice.contains(advised), "{case}: {found:?}");
    }
}

#[test]
fn what_is_no_obstacle_is_not_reported() {
    type Change = fn(&mut Facts);
    let cases: [(&str, Change); 8] = [
        ("AppArmor's knob, with our profile", |f| {
            (f.apparmor_restricts, f.apparmor_label) = (Some(true), Some("aictl".to_owned()));
        }),
        ("a filter and a chroot that nobody tells of", |f| {
            (f.filtered, f.chrooted) = (None, None);
        }),
        ("knobs that this kernel does not have", |f| {
            f.namespaces.clear();
            f.unprivileged_clone = None;
            f.apparmor_restricts = None;
        }),
        ("a list that cannot be read", |f| f.lsm = None),
        ("version 1 with what is not needed", |f| f.cgroup.legacy = words("freezer devices")),
        ("root in a group of another", |f| (f.uid, f.cgroup.owner) = (Some(0), Some(1000))),
        ("an owner unknown", |f| f.cgroup.owner = None),
        ("members unknown", |f| f.cgroup.others = None),
    ];
    for (case, change) in cases {
        let mut facts = healthy();
        change(&mut facts);
        assert_eq!(advice(&facts), [], "{case}");
    }
}

#[test]
fn why_nothing_runs_is_what_forbids_it_and_not_what_is_only_missing() {
    assert_eq!(why_none_runs(&healthy()), None);
    let mut facts = healthy();
    facts.lsm = Some(Vec::new());
    assert_eq!(why_none_runs(&facts), None);
    (facts.admin, facts.chrooted) = (true, Some(true));
    facts.unprivileged_clone = Some(false);
    let why = why_none_runs(&facts).expect("a reason");
    assert!(why.starts_with("this is a chroot"), "{why}");
    let why = why_none_runs(&facts.of_another()).expect("a reason");
    assert!(why.contains("sysctl -w kernel.unprivileged_userns_clone=1"), "{why}");
}

#[test]
fn a_filter_is_a_reason_for_a_landlock_that_is_not_there() {
    let mut facts = healthy();
    facts.filtered = Some(true);
    let found: Vec<_> = advice(&facts).into_iter().filter(|f| f.name == "landlock").collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].detail.contains("system call filter"), "{found:?}");
    assert!(found[0].advice.contains("landlock_create_ruleset"), "{found:?}");
}

#[test]
fn a_chroot_is_known_by_its_root_or_by_what_is_mounted_on_it() {
    const ROOT: &str = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n";
    const OTHER: &str = "40 21 0:5 / /proc rw - proc proc rw\n";
    for (mounts, expected) in
        [(None, None), (Some(ROOT.to_owned() + OTHER), None), (Some(OTHER.to_owned()), Some(true))]
    {
        let files = mounts.as_deref().map(|mounts| ("proc/self/mountinfo", mounts));
        let tree = Tree::new(files.as_slice());
        assert_eq!(tree.facts().chrooted, expected, "{mounts:?}");
    }
    for (link, expected) in [("../..", Some(false)), (".", Some(true))] {
        let tree = Tree::new(&[("proc/1/x", "")]);
        std::os::unix::fs::symlink(link, tree.0.join("proc/1/root")).expect("a link");
        assert_eq!(tree.facts().chrooted, expected, "{link}");
    }
}

#[test]
fn the_profile_around_a_process_is_named_without_its_mode() {
    for (path, text, expected, confines) in [
        ("proc/self/attr/apparmor/current", "unconfined\n", Some("unconfined"), false),
        ("proc/self/attr/current", "aictl (unconfined)\n", Some("aictl"), false),
        ("proc/self/attr/current", "learning (complain)\n", Some("learning"), false),
        ("proc/self/attr/current", "docker-default (enforce)\n", Some("docker-default"), true),
        ("proc/self/attr/current", "strict (kill)\n", Some("strict"), true),
        ("proc/self/attr/current", "one//&two (mixed)\n", Some("one//&two"), true),
        ("proc/self/attr/current", "", None, false),
    ] {
        let facts = Tree::new(&[(path, text)]).facts();
        assert_eq!(facts.apparmor_label.as_deref(), expected, "{text}");
        assert_eq!(facts.apparmor_confines, confines, "{text}");
    }
}

#[test]
fn all_findings_are_reported_at_once() {
    let mut facts = healthy();
    facts.namespaces = vec![(Namespace::User, 0), (Namespace::Net, 0)];
    facts.unprivileged_clone = Some(false);
    facts.apparmor_restricts = Some(true);
    facts.lsm = Some(Vec::new());
    facts.cgroup = Cgroup::default();
    let names: Vec<_> = advice(&facts).iter().map(|finding| finding.name).collect();
    assert_eq!(names, ["user-ns", "net-ns", "user-ns", "user-ns", "landlock", "cgroup"]);
}
