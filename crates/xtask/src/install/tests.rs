//! Tests of what is installed, and of the steps that put it to use.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::files::{self, FILES, Source};
use super::{Host, activate, deactivate};
use crate::failure::Failure;

/// A directory of its own for one test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

#[test]
fn every_file_of_the_packaging_is_installed_and_has_a_place_of_its_own() {
    for directory in ["apparmor", "dbus", "man", "polkit", "systemd"] {
        for file in fs::read_dir(repository().join(directory)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let path = format!("{directory}/{name}");
            let listed = FILES.iter().filter(|e| matches!(e.source, Source::File(p) if p == path));
            assert_eq!(listed.count(), 1, "{path}");
        }
    }
    let mut paths: Vec<PathBuf> = FILES.iter().map(files::Entry::path).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), FILES.len());
    for entry in FILES {
        assert!(entry.path().is_relative(), "{entry:?}");
        if let Source::File(path) = entry.source {
            assert!(repository().join(path).is_file(), "{path}");
        }
    }
}

#[test]
fn what_units_start_is_installed() {
    let programs: Vec<String> =
        FILES.iter().map(|entry| format!("/{}", entry.path().display())).collect();
    for file in fs::read_dir(repository().join("systemd")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let starts = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
        for program in starts.filter_map(|line| line.split(' ').next()) {
            assert!(programs.iter().any(|p| p == program), "{}: {program}", path.display());
        }
    }
}

#[test]
fn a_file_is_put_in_place_with_its_mode_and_taken_away_again() {
    let dir = Dir::new("place");
    let (source, root) = (dir.0.join("source"), dir.0.join("root"));
    fs::write(&source, "new").unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o600)).unwrap();
    for entry in FILES {
        let target = root.join(entry.path());
        files::place_one(&source, &target, entry.mode()).unwrap();
        // An older one makes way.
        files::place_one(&source, &target, entry.mode()).unwrap();
        let mode = target.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, entry.mode(), "{entry:?}");
    }
    assert!(files::is_installed(&root));
    let own = root.join("etc/aictl/aictl.toml.d");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("mine.toml"), "").unwrap();
    fs::create_dir_all(root.join("etc/polkit-1/rules.d")).unwrap();
    fs::write(root.join("etc/polkit-1/rules.d/50-aictl.rules"), "").unwrap();
    files::remove(&root).unwrap();
    assert!(!files::is_installed(&root));
    assert_eq!(plain_files(&root), [own.join("mine.toml")]);
    assert!(!root.join("usr/libexec/aictl").exists());
    assert!(root.join("usr/bin").is_dir());
    // With nothing there, there is nothing to complain about.
    fs::remove_file(own.join("mine.toml")).unwrap();
    files::remove(&root).unwrap();
    assert!(!root.join("etc/aictl").exists());
    files::remove(&root).unwrap();
}

fn plain_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { plain_files(&path) } else { vec![path] }).collect()
}

/// A machine that notes what it is told, and fails where `fails` says so.
struct Noting {
    booted: bool,
    /// Whether AppArmor is on and has the profile.
    apparmor: bool,
    fails: &'static str,
    ran: RefCell<Vec<String>>,
}

impl Noting {
    fn new(booted: bool, fails: &'static str) -> Self {
        Self { booted, apparmor: false, fails, ran: RefCell::default() }
    }
}

impl Host for Noting {
    fn is_booted(&self) -> bool {
        self.booted
    }

    fn has_apparmor(&self) -> bool {
        self.apparmor
    }

    fn has_profile(&self) -> bool {
        self.apparmor
    }

    fn run(&self, argv: &[&str]) -> Result<(), Failure> {
        let line = argv.join(" ");
        self.ran.borrow_mut().push(line.clone());
        let fails = !self.fails.is_empty() && line.contains(self.fails);
        if fails { Err(Failure::NotRoot("x")) } else { Ok(()) }
    }
}

#[test]
fn without_systemd_nothing_is_told_to_it() {
    for booted in [false, true] {
        let host = Noting::new(booted, "");
        activate(&host).unwrap();
        deactivate(&host, || Ok(())).unwrap();
        for verb in ["daemon-reload", "restart", "stop", "reload dbus"] {
            let told = host.ran.borrow().iter().any(|line| line.contains(verb));
            assert_eq!(told, booted, "{verb}");
        }
        assert!(host.ran.borrow().iter().any(|line| line.starts_with("systemd-sysusers")));
    }
}

#[test]
fn the_profile_is_loaded_before_anything_starts_and_forgotten_before_its_file_goes() {
    for apparmor in [false, true] {
        let host = Noting { apparmor, ..Noting::new(true, "") };
        activate(&host).unwrap();
        let at = |text: &str| host.ran.borrow().iter().position(|line| line.contains(text));
        assert_eq!(at("apparmor_parser").is_some(), apparmor);
        let loaded = at("apparmor_parser --replace /etc/apparmor.d/aictl");
        assert!(loaded < at("systemctl restart"), "{:?}", host.ran);
        let (host, mut forgotten) = (Noting { apparmor, ..Noting::new(true, "") }, None);
        deactivate(&host, || {
            let ran = host.ran.borrow();
            forgotten =
                ran.last().map(|line| line == "apparmor_parser --remove /etc/apparmor.d/aictl");
            Ok(())
        })
        .unwrap();
        assert_eq!(forgotten, Some(apparmor));
    }
}

/// The programs that the profile is for are those that make sandboxes, where they are installed.
#[test]
fn the_profile_names_programs_as_they_are_installed() {
    let text = fs::read_to_string(repository().join("apparmor/aictl")).unwrap();
    let profiles = text.lines().filter_map(|line| line.strip_prefix("profile "));
    let mut programs: Vec<&str> = profiles.filter_map(|line| line.split(' ').nth(1)).collect();
    programs.sort_unstable();
    assert_eq!(programs, ["/usr/bin/aictl", "/usr/libexec/aictl/aictl-sandboxd"]);
    let installed: Vec<String> =
        FILES.iter().map(|entry| format!("/{}", entry.path().display())).collect();
    assert!(programs.iter().all(|program| installed.iter().any(|path| path == program)));
    assert_eq!(text.matches("\n  userns,\n").count(), programs.len());
}

#[test]
fn an_install_stops_at_a_failure_and_an_uninstall_does_not() {
    let host = Noting::new(true, "sysusers");
    activate(&host).unwrap_err();
    assert_eq!(host.ran.borrow().len(), 1);
    let host = Noting::new(true, "systemctl stop");
    let mut removed = false;
    let done = deactivate(&host, || {
        removed = true;
        Ok(())
    });
    assert!(done.is_err() && removed);
    assert!(host.ran.borrow().iter().any(|line| line.starts_with("userdel")));
}
