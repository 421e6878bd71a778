//! Tests of the packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::deb::{self, SCRIPTS};
use super::{Edition, NEEDS, deb::wrap, output_of};
use crate::args;
use crate::debian;
use crate::workspace::Workspace;

const RPM: &str = include_str!("rpm.spec");

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The names of the units that are enabled when they are installed.
fn enabled() -> BTreeSet<String> {
    let files = fs::read_dir(repository().join("systemd")).unwrap().map(|file| file.unwrap());
    let is_enabled = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().any(|line| line == "[Install]")
    };
    let files = files.filter(|file| is_enabled(&file.path()));
    files.map(|file| file.file_name().into_string().unwrap()).collect()
}

/// The words of a text that name a unit of ours.
fn units(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| c.is_whitespace() || "'\";()".contains(c));
    let is_unit = |word: &&str| {
        let suffix = word.rsplit_once('.').map(|(_, suffix)| suffix);
        word.starts_with("aictl") && matches!(suffix, Some("service" | "socket" | "path"))
    };
    words.filter(is_unit).map(str::to_owned).collect()
}

#[test]
fn the_scripts_know_every_unit_that_is_enabled() {
    let list = |text: &str| {
        let list = text.lines().find_map(|line| line.strip_prefix("units='"));
        list.map(units)
    };
    for (name, text) in SCRIPTS {
        if let Some(list) = list(text) {
            assert_eq!(list, enabled(), "{name}");
        }
        assert!(units(text).is_superset(&enabled()), "{name}");
    }
    assert!(units(RPM).is_superset(&enabled()));
}

#[test]
fn what_runs_is_stopped_before_it_is_removed() {
    let [_, (_, prerm), _] = SCRIPTS;
    for text in [prerm, RPM] {
        for file in fs::read_dir(repository().join("systemd")).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            // An instance of a template lives for a moment.
            let stays = units(&name).contains(&name) && !name.contains('@');
            assert!(!stays || units(text).contains(&name), "{name}");
        }
    }
}

#[test]
fn a_shell_can_read_the_scripts() {
    for (name, text) in SCRIPTS {
        let status = Command::new("sh").args(["-n", "-c", text]).status().unwrap();
        assert!(status.success(), "{name}");
    }
}

#[test]
fn lines_are_as_long_as_they_may_be() {
    assert_eq!(wrap("a bc def  g\nhi", 4), ["a bc", "def", "g hi"]);
    assert_eq!(wrap("abcdef g", 4), ["abcdef", "g"]);
    assert_eq!(wrap("", 4), [""; 0]);
}

/// A directory of its own for one test.
struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Whether packages can be made here. Where they cannot, nothing was tested.
fn can_be_made() -> bool {
    let absent = NEEDS.iter().find(|need| !debian::is_installed(need.program));
    let strict = args::is_set(std::env::var_os(args::STRICT_VARIABLE).as_deref());
    if let Some(need) = absent {
        assert!(!strict, "{} is not installed", need.program);
        eprintln!("not run: {} is not installed", need.program);
    }
    absent.is_none()
}

#[test]
fn a_debian_package_is_the_same_each_time_and_holds_what_is_installed() {
    if !can_be_made() {
        return;
    }
    let dir = Dir(std::env::temp_dir().join(format!("xtask-deb-{}", std::process::id())));
    let workspace = Workspace::find().unwrap();
    let program = |_: &str| PathBuf::from("/bin/true");
    let edition = Edition { revision: 3, time: 1_700_000_000, quick: true };
    let build = |name: &str| deb::build(&workspace, program, &edition, &dir.0.join(name)).unwrap();
    let (one, two) = (build("one"), build("two"));
    assert_eq!(one.file_name(), two.file_name());
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "they differ");
    let dpkg_deb = |option: &str| {
        let mut command = Command::new("dpkg-deb");
        command.arg(option).arg(&one).env("TZ", "UTC");
        output_of(command, "dpkg-deb").unwrap()
    };
    let list = dpkg_deb("--contents");
    for want in [
        "drwxr-xr-x root/root         0 2023-11-14 22:13 ./\n",
        "./usr/bin/aictl\n",
        "./etc/apparmor.d/aictl\n",
        "./usr/share/man/man1/aictl.1.gz\n",
        "./usr/share/zsh/vendor-completions/_aictl\n",
        "./usr/share/doc/aictl/changelog.Debian.gz\n",
        "./usr/lib/systemd/system/aictld.socket\n",
    ] {
        assert!(list.contains(want), "{want}: {list}");
    }
    let program = list.lines().find(|line| line.ends_with("./usr/bin/aictl")).unwrap();
    assert!(program.starts_with("-rwxr-xr-x root/root "), "{program}");
    // Nobody but root can write what is installed.
    assert!(list.lines().all(|line| line.contains(" root/root ") && line.get(8..9) == Some("-")));
    let control = dpkg_deb("--field");
    assert!(control.contains(&format!("Version: {}-3\n", env!("CARGO_PKG_VERSION"))), "{control}");
    assert!(control.contains("Depends: libc6 (>= "), "{control}");
}
