//! Knobs of the kernel that forbid what a sandbox is made of, and what the user is told then.

use std::fs;

use aictl_api::run::Outcome;

use crate::guest::{SERVICE, Seen, WAYS, Way, as_anna, root, run, try_run, wait_for};

/// A file of the kernel's with another value, until this is dropped.
struct Knob {
    path: &'static str,
    before: String,
}

impl Knob {
    fn set(path: &'static str, value: &str) -> Self {
        let before = fs::read_to_string(path).unwrap();
        fs::write(path, value).unwrap();
        Self { path, before }
    }
}

impl Drop for Knob {
    fn drop(&mut self) {
        fs::write(self.path, self.before.trim()).unwrap();
    }
}

#[test]
fn without_user_namespaces_the_error_names_the_knob() {
    for way in WAYS {
        root(&["systemctl", "stop", SERVICE]);
        let knob = Knob::set("/proc/sys/user/max_user_namespaces", "0");
        let error = try_run(way, &[], "print(1)").expect_err("it ran without user namespaces");
        assert!(error.contains("user.max_user_namespaces"), "{way:?}: {error}");
        drop(knob);
        run(way, &[], "print(1)");
    }
}

/// What `aictl doctor` tells Anna.
fn doctor() -> String {
    let done = as_anna(&["sh", "-c", "aictl doctor 2>&1"], false).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_doctor_names_the_knob_too() {
    let name = "user.max_user_namespaces";
    let knob = Knob::set("/proc/sys/user/max_user_namespaces", "0");
    let said = doctor();
    assert!(said.contains(name), "{said}");
    drop(knob);
    // The helper has a script run to know of itself, and remembers for some seconds what came of it.
    wait_for("a doctor who has nothing to say of it", || !doctor().contains(name));
}

/// The installed profile.
const INSTALLED: &str = "/etc/apparmor.d/aictl";
/// One in its place that confines aictl and grants everything but user namespaces. On a kernel that
/// keeps all programs without a profile from them (Ubuntu's,
/// kernel.apparmor_restrict_unprivileged_userns) the refusal is the same; Debian's kernel has no
/// such knob.
const PROFILE: &str = "\
abi <abi/4.0>,
profile aictl /usr/bin/aictl flags=(attach_disconnected) {
  capability,
  change_profile,
  dbus,
  file,
  io_uring,
  mount,
  mqueue,
  network,
  pivot_root,
  ptrace,
  signal,
  umount,
  unix,
}
";

/// What comes of a run by an aictl that is confined as above, and by these rules, and what its doctor
/// says.
fn confined(rules: &str) -> (Result<Seen, String>, String) {
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap();
    assert_eq!(enabled.trim(), "Y", "the kernel of the image has AppArmor");
    let file = "/tmp/confined";
    fs::write(file, PROFILE.replace("  capability,\n", &format!("  capability,\n{rules}")))
        .unwrap();
    root(&["apparmor_parser", "--replace", file]);
    let done = (try_run(Way::Embedded, &[], "print(1)"), doctor());
    root(&["apparmor_parser", "--replace", INSTALLED]);
    fs::remove_file(file).unwrap();
    done
}

#[test]
fn a_refusal_of_apparmor_names_apparmor() {
    let knob = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    if !fs::exists(knob).unwrap() {
        eprintln!("this kernel has no {knob}: a profile without `userns` stands in for it");
    }
    let (tried, doctor) = confined("");
    let error = tried.expect_err("it ran without the right to user namespaces");
    for (words, text) in [
        ("AppArmor's profile for it must grant `userns`", &error),
        ("AppArmor calls this process aictl (enforce)", &error),
        ("AppArmor's profile aictl is around this process", &doctor),
        ("the rule `userns,`", &doctor),
        ("aictl is under its profile aictl", &doctor),
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Nothing else is named, and nobody is said to be free of it.
    for words in ["max_user_namespaces", "unprivileged_userns_clone", "keeps nobody"] {
        assert!(!error.contains(words) && !doctor.contains(words), "{words}: {error}\n{doctor}");
    }
    // It was the profile.
    run(Way::Embedded, &[], "print(1)");
}

/// The rule that both installed profiles consist of gives back what was refused, and no more is needed.
#[test]
fn the_rule_of_the_installed_profile_grants_user_namespaces() {
    let installed = fs::read_to_string(INSTALLED).unwrap();
    let rules: Vec<&str> = installed.lines().filter(|line| line.starts_with("  ")).collect();
    let rules: Vec<&str> = rules.into_iter().filter(|line| line.ends_with(',')).collect();
    assert_eq!(rules, ["  userns,"; 2]);
    let (tried, doctor) = confined("  userns,\n");
    let seen = tried.unwrap();
    assert_eq!((seen.outcome, seen.stdout.as_str()), (Outcome::Exited, "1\n"), "{seen:?}");
    assert!(!doctor.contains("around this process"), "{doctor}");
}

/// Each of the programs that make sandboxes has its profile's name, by which a kernel that keeps all
/// others from user namespaces knows it; and all layers are still there (see layers.rs).
#[test]
fn the_installed_profile_is_in_force() {
    let loaded = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap();
    for profile in ["aictl (unconfined)", "aictl-sandboxd (unconfined)"] {
        assert!(loaded.lines().any(|line| line == profile), "{profile}: {loaded}");
    }
    run(Way::Helper, &[], "print(1)");
    let pid = root(&["systemctl", "show", "--value", "--property=MainPID", SERVICE]);
    let label = fs::read_to_string(format!("/proc/{}/attr/current", pid.trim())).unwrap();
    assert_eq!(label.trim(), "aictl-sandboxd (unconfined)");
}
