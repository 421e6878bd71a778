//! Knobs of the kernel that forbid what a sandbox is made of, and what the user is told then.

use std::fs;

use crate::guest::{SERVICE, WAYS, Way, root, run, try_run};

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
    root(&["runuser", "-u", "anna", "--", "sh", "-c", "aictl doctor 2>&1; true"])
}

#[test]
fn the_doctor_names_the_knob_too() {
    let name = "user.max_user_namespaces";
    let knob = Knob::set("/proc/sys/user/max_user_namespaces", "0");
    let said = doctor();
    assert!(said.contains(name), "{said}");
    drop(knob);
    let said = doctor();
    assert!(!said.contains(name), "{said}");
}

/// A profile that confines aictl and grants everything but user namespaces. On a kernel that keeps
/// all programs without a profile from them (Ubuntu's, kernel.apparmor_restrict_unprivileged_userns)
/// the refusal is the same; Debian's kernel has no such knob.
const PROFILE: &str = "\
abi <abi/4.0>,
profile without-userns /usr/bin/aictl flags=(attach_disconnected) {
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

#[test]
fn a_refusal_of_apparmor_names_apparmor() {
    let knob = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    if !fs::exists(knob).unwrap() {
        eprintln!("this kernel has no {knob}: a profile without `userns` stands in for it");
    }
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap();
    assert_eq!(enabled.trim(), "Y", "the kernel of the image has AppArmor");
    let file = "/etc/apparmor.d/without-userns";
    fs::write(file, PROFILE).unwrap();
    root(&["apparmor_parser", "--replace", file]);
    let tried = try_run(Way::Embedded, &[], "print(1)");
    root(&["apparmor_parser", "--remove", file]);
    fs::remove_file(file).unwrap();
    let error = tried.expect_err("it ran without the right to user namespaces");
    assert!(error.contains("AppArmor") || error.contains("apparmor"), "{error}");
    assert!(error.contains("userns"), "{error}");
    // It was the profile.
    run(Way::Embedded, &[], "print(1)");
}
