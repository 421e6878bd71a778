//! Programs that the tests and the bench want from the system, and Debian's packages for them.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// A program from the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Its name, looked up in PATH; or its full file name.
    pub program: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
}

/// A program that is not there and could not be installed.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// The program.
    pub need: &'static Need,
    /// What apt-get said, if it was asked.
    pub tried: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Need { program, package } = self.need;
        match &self.tried {
            None => write!(f, "{program} is not installed (Debian: apt-get install {package})"),
            Some(why) => write!(f, "{program} is not installed, and {why}"),
        }
    }
}

/// Whether we may install packages: as root, with apt-get.
#[must_use]
pub fn can_install() -> bool {
    is_root() && is_there("apt-get", &search_path())
}

/// Whether this process runs as root.
#[must_use]
pub fn is_root() -> bool {
    // The owner of a process' directory in /proc is its effective user: proc(5).
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Installs what is absent of `needs` if `install` says so, and returns what is absent then.
pub fn provide(needs: &'static [Need], install: bool) -> Vec<Missing> {
    let path = search_path();
    let absent = absent(needs, &path);
    if absent.is_empty() {
        return Vec::new();
    }
    let tried = if install { apt_get_install(&absent) } else { None };
    let left = needs.iter().filter(|need| !is_there(need.program, &path));
    left.map(|need| Missing { need, tried: tried.clone() }).collect()
}

/// Whether `program` can be started.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    is_there(program, &search_path())
}

fn search_path() -> std::ffi::OsString {
    env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into())
}

fn absent(needs: &'static [Need], path: &OsStr) -> Vec<&'static Need> {
    needs.iter().filter(|need| !is_there(need.program, path)).collect()
}

fn is_there(program: &str, path: &OsStr) -> bool {
    let is_program = |file: &Path| {
        file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return is_program(Path::new(program));
    }
    env::split_paths(path).any(|dir| is_program(&dir.join(program)))
}

/// Installs the packages of `needs`; returns what went wrong.
fn apt_get_install(needs: &[&Need]) -> Option<String> {
    let packages: Vec<&str> = needs.iter().map(|need| need.package).collect();
    eprintln!("installing from Debian's packages: {}", packages.join(" "));
    let mut install = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    install.extend(&packages);
    // The package lists of a fresh machine are absent or old: fetch them if the first try fails.
    apt_get(&install)
        .or_else(|_| apt_get(&["update", "--quiet"]).and_then(|()| apt_get(&install)))
        .err()
}

fn apt_get(args: &[&str]) -> Result<(), String> {
    let output = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("apt-get does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("apt-get {} failed: {}", args.first().unwrap_or(&""), last_line(&errors)))
}

fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    static NEEDS: [Need; 3] = [
        Need { program: "sh", package: "dash" },
        Need { program: "/bin/sh", package: "dash" },
        Need { program: "no-such-program", package: "no-such-package" },
    ];

    #[test]
    fn what_is_absent_is_found_out() {
        let packages = |path: &str| -> Vec<&str> {
            absent(&NEEDS, OsStr::new(path)).iter().map(|n| n.program).collect()
        };
        assert_eq!(packages("/usr/bin:/bin"), ["no-such-program"]);
        assert_eq!(packages("/nowhere"), ["sh", "no-such-program"]);
        // A directory is no program.
        assert!(!is_there("bin", OsStr::new("/usr")));
        assert!(!is_there("/usr", OsStr::new("")));
    }

    #[test]
    fn nothing_is_installed_unasked() {
        let missing = provide(&NEEDS, false);
        assert_eq!(missing, [Missing { need: &NEEDS[2], tried: None }]);
        assert_eq!(
            missing[0].to_string(),
            "no-such-program is not installed (Debian: apt-get install no-such-package)"
        );
    }

    #[test]
    fn a_failure_of_apt_get_is_told() {
        let missing =
            Missing { need: &NEEDS[2], tried: Some("apt-get install failed: E: no".into()) };
        assert_eq!(
            missing.to_string(),
            "no-such-program is not installed, and apt-get install failed: E: no"
        );
        for (text, want) in [("a\nb \n\n", "b"), ("", "it said nothing"), ("x", "x")] {
            assert_eq!(last_line(text), want);
        }
    }
}
