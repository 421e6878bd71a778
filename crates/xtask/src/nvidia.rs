//! `cargo xtask test nvidia`: what aictl says with NVIDIA's own library, without a GPU or a driver.
//!
//! The library comes from Debian's section for software that is not free. Nothing is installed, and
//! apt's own configuration stays as it is: the package is fetched and unpacked below `target`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::args::TestOptions;
use crate::debian::Need;
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// The programs that fetch and unpack the library.
pub const NEEDS: &[Need] =
    &[Need { program: "apt-get", package: "apt" }, Need { program: "dpkg-deb", package: "dpkg" }];

/// The package, and the file in it.
const PACKAGE: &str = "libnvidia-ml1";
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The keys of Debian's archive, which every Debian has.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// By this file, the kernel shows that NVIDIA's driver is loaded.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// The device of the driver.
const DEVICE: &str = "/dev/nvidiactl";

/// Fetches the library and runs the test; returns what could not be run.
///
/// # Errors
/// A failure if a file cannot be written, or if the test fails.
pub fn run(workspace: &Workspace, _: &TestOptions) -> Result<Vec<String>, Failure> {
    let all = |why: String| Ok(vec![format!("all of it: {why}")]);
    if Path::new(DRIVER).exists() {
        return all("it is about machines without a driver, and here is one".to_owned());
    }
    let directory = workspace.target.join("nvidia");
    let unpacked = directory.join("unpacked");
    if find(&unpacked).is_none()
        && let Err(why) = fetch(&directory, &unpacked)?
    {
        return all(why);
    }
    let Some(library) = find(&unpacked) else {
        return all(format!("{PACKAGE} is without {LIBRARY}"));
    };
    let mut command = workspace.cargo(&["test", "--package", "aictl-nvml", "--test", "real"]);
    command.env("AICTL_TEST_NVIDIA_LIBRARY", library);
    let was_there = Path::new(DEVICE).exists();
    let ran = workspace::run(command, "cargo test --package aictl-nvml --test real");
    if !was_there {
        // The library makes it where root loads it, driver or not.
        let _none = fs::remove_file(DEVICE);
    }
    ran.map(|()| Vec::new())
}

/// Fetches the package and unpacks it; says why if there is none to be had.
fn fetch(directory: &Path, unpacked: &Path) -> Result<Result<(), String>, Failure> {
    let Some(source) = source() else {
        return Ok(Err("apt-get knows no archive of Debian's".to_owned()));
    };
    let list = directory.join("sources.list");
    let made = |path: &Path| fs::create_dir_all(path);
    made(&directory.join("lists/partial"))
        .and_then(|()| made(&directory.join("archives/partial")))
        .and_then(|()| fs::write(&list, source))
        .map_err(|source| Failure::File { what: "cannot write", path: list, source })?;
    // Not `install`: what the package depends on is in other sections of the archive.
    let fetched =
        apt_get(directory, &["update"]).and_then(|()| apt_get(directory, &["download", PACKAGE]));
    if let Err(why) = fetched {
        return Ok(Err(why));
    }
    let archives = fs::read_dir(directory.join("archives")).into_iter().flatten().flatten();
    let is_it = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| name.starts_with(&format!("{PACKAGE}_")) && name.ends_with(".deb"))
    };
    let Some(archive) = archives.map(|entry| entry.path()).find(is_it) else {
        return Ok(Err(format!("apt-get fetched no {PACKAGE}")));
    };
    let mut command = Command::new("dpkg-deb");
    command.arg("--extract").arg(archive).arg(unpacked).stdin(Stdio::null());
    workspace::run(command, "dpkg-deb --extract")?;
    Ok(Ok(()))
}

/// A line for sources.list(5): the archive that the machine itself uses, with software that is not
/// free.
fn source() -> Option<String> {
    let format = "$(REPO_URI) $(CODENAME)";
    let args = ["indextargets", "--format", format, "Identifier: Packages", "Origin: Debian"];
    let output = Command::new("apt-get").args(args).stdin(Stdio::null()).output().ok()?;
    source_line(&String::from_utf8_lossy(&output.stdout))
}

/// The same, by what apt-get says of the archives that it uses.
fn source_line(targets: &str) -> Option<String> {
    let (uri, suite) = targets.lines().next()?.split_once(' ')?;
    let suite = suite.trim();
    let is_whole = !uri.is_empty() && !suite.is_empty() && !suite.contains(' ');
    is_whole.then(|| format!("deb [signed-by={KEYS}] {uri} {suite} non-free\n"))
}

/// apt-get with lists, archives and sources of its own, below `directory`.
fn apt_get(directory: &Path, args: &[&str]) -> Result<(), String> {
    let option = |name: &str, value: &Path| {
        let mut option = OsString::from(format!("{name}="));
        option.push(value);
        [OsString::from("--option"), option]
    };
    let own = [
        option("Dir::Etc::SourceList", &directory.join("sources.list")),
        option("Dir::Etc::SourceParts", Path::new("/dev/null")),
        option("Dir::State::Lists", &directory.join("lists")),
        // Nothing is installed, so that nothing is held to be there already.
        option("Dir::State::Status", Path::new("/dev/null")),
        option("Dir::Cache", directory),
        option("Dir::Cache::Archives", &directory.join("archives")),
        option("APT::Sandbox::User", Path::new("root")),
        option("Debug::NoLocking", Path::new("true")),
    ];
    let output = Command::new("apt-get")
        .args(own.iter().flatten())
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env_remove("LD_LIBRARY_PATH")
        // Where `download` puts what it fetches.
        .current_dir(directory.join("archives"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("apt-get does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("apt-get {} failed: {last}", args.first().unwrap_or(&"")))
}

/// The library in an unpacked package.
fn find(directory: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.flatten();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let is_it = |path: &&PathBuf| path.file_name().is_some_and(|name| name == LIBRARY);
    paths
        .iter()
        .find(is_it)
        .cloned()
        .or_else(|| paths.iter().filter(|path| path.is_dir()).find_map(|directory| find(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_archive_is_used() {
        for (targets, want) in [
            ("", None),
            ("https://host/debian/\n", None),
            ("https://host/debian/ \n", None),
            ("https://host/debian/ trixie main\n", None),
            (
                "https://host/debian/ trixie\nhttps://other/ x\n",
                Some(
                    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
                     https://host/debian/ trixie non-free\n",
                ),
            ),
        ] {
            assert_eq!(source_line(targets).as_deref(), want, "{targets:?}");
        }
    }
}
