//! Every file that is installed, in one table; what is not in it is not installed.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Mode of a program or a directory: everyone may start or enter it.
const PROGRAM: u32 = 0o755;
/// Mode of other files: everyone may read them.
const DATA: u32 = 0o644;

/// Where a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A program of the workspace, by its name.
    Program(&'static str),
    /// A file of the repository, by its path below the root.
    File(&'static str),
    /// What the program `aictl` prints when it is asked for this.
    Printed(&'static [&'static str]),
}

/// A file to install.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    /// Its directory below the root of the system.
    directory: &'static str,
    /// Its name there; `None` if it is the source's own.
    name: Option<&'static str>,
}

impl Entry {
    /// The installed file's path below the root of the system.
    pub(super) fn path(&self) -> PathBuf {
        let own = match self.source {
            Source::Program(own) | Source::File(own) => own.rsplit('/').next().unwrap_or(own),
            Source::Printed(words) => words.last().copied().unwrap_or_default(),
        };
        Path::new(self.directory).join(self.name.unwrap_or(own))
    }

    pub(super) fn mode(&self) -> u32 {
        match self.source {
            // What is only loaded need not be executable.
            Source::Program(name) if name.ends_with(".so") => DATA,
            Source::Program(_) => PROGRAM,
            Source::File(_) | Source::Printed(_) => DATA,
        }
    }
}

/// A program that nobody starts by hand.
const fn helper(name: &'static str) -> Entry {
    Entry { source: Source::Program(name), directory: "usr/libexec/aictl", name: None }
}

const fn file(source: &'static str, directory: &'static str) -> Entry {
    Entry { source: Source::File(source), directory, name: None }
}

const fn renamed(source: &'static str, directory: &'static str, name: &'static str) -> Entry {
    Entry { source: Source::File(source), directory, name: Some(name) }
}

/// What a shell needs to complete our command lines.
const fn completions(
    words: &'static [&'static str],
    directory: &'static str,
    name: &'static str,
) -> Entry {
    Entry { source: Source::Printed(words), directory, name: Some(name) }
}

const UNITS: &str = "usr/lib/systemd/system";
const DOC: &str = "usr/share/doc/aictl";
const EXAMPLES: &str = "usr/share/doc/aictl/examples";

/// The table.
pub(super) const FILES: &[Entry] = &[
    Entry { source: Source::Program("aictl"), directory: "usr/bin", name: None },
    helper("aictld"),
    helper("aictl-sandboxd"),
    helper("aictl-polkit-rules"),
    helper("aictl-unit-file"),
    helper("aictl-nvml"),
    helper("libaictl_template.so"),
    file("systemd/aictld.service", UNITS),
    file("systemd/aictld.socket", UNITS),
    file("systemd/aictl-sandboxd.service", UNITS),
    file("systemd/aictl-sandboxd.socket", UNITS),
    file("systemd/aictl-unit-file@.service", UNITS),
    file("systemd/aictl-polkit-rules.service", UNITS),
    file("systemd/aictl-polkit-rules-again.service", UNITS),
    file("systemd/aictl-polkit-rules.path", UNITS),
    file("systemd/aictl.catalog", "usr/lib/systemd/catalog"),
    renamed("systemd/aictl.sysusers", "usr/lib/sysusers.d", "aictl.conf"),
    renamed("systemd/aictl.tmpfiles", "usr/lib/tmpfiles.d", "aictl.conf"),
    file("dbus/org.aictl1.service", "usr/share/dbus-1/system-services"),
    file("dbus/org.aictl1.conf", "usr/share/dbus-1/system.d"),
    file("dbus/org.aictl1.xml", "usr/share/dbus-1/interfaces"),
    file("polkit/org.aictl1.policy", "usr/share/polkit-1/actions"),
    file("apparmor/aictl", "etc/apparmor.d"),
    file("man/aictl.1", "usr/share/man/man1"),
    file("man/org.aictl1.5", "usr/share/man/man5"),
    file("man/aictl.toml.5", "usr/share/man/man5"),
    file("man/aictld.8", "usr/share/man/man8"),
    file("man/aictl-sandboxd.8", "usr/share/man/man8"),
    completions(&["completions", "bash"], "usr/share/bash-completion/completions", "aictl"),
    completions(&["completions", "fish"], "usr/share/fish/vendor_completions.d", "aictl.fish"),
    completions(&["completions", "zsh"], "usr/share/zsh/vendor-completions", "_aictl"),
    file("examples/aictl.toml", EXAMPLES),
    file("examples/restart-failed.py", EXAMPLES),
    file("examples/restart-failed.sh", EXAMPLES),
    file("examples/run-script.py", EXAMPLES),
    file("README.md", DOC),
    file("SECURITY.md", DOC),
    file("CHANGELOG.md", DOC),
    renamed("LICENSE", DOC, "copyright"),
];

/// What the installed programs make: by its path below the root of the system.
const GENERATED: &[&str] = &["etc/polkit-1/rules.d/50-aictl.rules"];

/// Directories of our own, each after what is in it. They go when nothing of others is in them.
const DIRECTORIES: &[&str] = &[
    "usr/libexec/aictl",
    "usr/share/doc/aictl/examples",
    "usr/share/doc/aictl",
    "etc/aictl/aictl.toml.d",
    "etc/aictl",
    "run/aictl",
];

/// Installs every file of the table below `root`, and says how many; `program` is where a program
/// of the workspace is, which must be built.
///
/// # Errors
/// A failure if a file cannot be read or written.
pub fn place(
    workspace: &Workspace,
    program: impl Fn(&str) -> PathBuf,
    root: &Path,
) -> Result<usize, Failure> {
    for entry in FILES {
        let target = root.join(entry.path());
        match entry.source {
            Source::Program(name) => place_one(&program(name), &target, entry.mode()),
            Source::File(path) => place_one(&workspace.root.join(path), &target, entry.mode()),
            Source::Printed(words) => {
                let text = printed(workspace.command(program("aictl")), words)?;
                place_bytes(&text, &target, entry.mode())
            }
        }?;
    }
    Ok(FILES.len())
}

/// What a program prints on standard output.
fn printed(mut command: Command, words: &[&str]) -> Result<Vec<u8>, Failure> {
    command.args(words).stdin(Stdio::null()).stderr(Stdio::inherit());
    let name = || format!("aictl {}", words.join(" "));
    let output = command.output().map_err(|source| Failure::Start { program: name(), source })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Failure::Ended { command: name(), status: output.status })
    }
}

/// Puts a file in its place in one step: whoever looks finds the old one or the new one, and a
/// program that runs goes on.
///
/// # Errors
/// A failure if a file cannot be read or written.
pub fn place_one(source: &Path, target: &Path, mode: u32) -> Result<(), Failure> {
    // In one write: what is copied page by page may stay in single pages in the kernel's cache, and a
    // program then takes a fault for each.
    let bytes = fs::read(source).map_err(|error| failure("cannot copy", source, error))?;
    place_bytes(&bytes, target, mode)
}

/// The same for a file whose content is at hand.
///
/// # Errors
/// A failure if it cannot be written.
pub fn place_bytes(bytes: &[u8], target: &Path, mode: u32) -> Result<(), Failure> {
    let new = beside(target)?;
    fs::write(&new, bytes).map_err(|error| failure("cannot write", &new, error))?;
    finish(&new, target, mode)
}

/// Where the new file is made: in its directory, which is made too.
fn beside(target: &Path) -> Result<PathBuf, Failure> {
    let directory = target.parent().unwrap_or(Path::new("/"));
    make_directory(directory).map_err(|error| failure("cannot make", directory, error))?;
    let mut new = target.as_os_str().to_owned();
    new.push(".new");
    Ok(PathBuf::from(new))
}

fn finish(new: &Path, target: &Path, mode: u32) -> Result<(), Failure> {
    fs::set_permissions(new, Permissions::from_mode(mode))
        .and_then(|()| fs::rename(new, target))
        .map_err(|error| failure("cannot write", target, error))
}

/// Makes a directory and those above it, where absent, open to all, whatever the umask.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(PROGRAM))
}

/// Whether any file of the table is below `root`.
pub(super) fn is_installed(root: &Path) -> bool {
    FILES.iter().any(|entry| root.join(entry.path()).symlink_metadata().is_ok())
}

/// Removes what is installed below `root`, what it made, and our own directories once empty.
///
/// # Errors
/// A failure if something that is there cannot be removed.
pub fn remove(root: &Path) -> Result<(), Failure> {
    let made = GENERATED.iter().map(PathBuf::from);
    for path in FILES.iter().map(Entry::path).chain(made) {
        remove_one(&root.join(path))?;
    }
    for directory in DIRECTORIES {
        let path = root.join(directory);
        match absent_is_fine(fs::remove_dir(&path)) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                eprintln!("{} stays: there are other files in it", path.display());
            }
            other => other.map_err(|error| failure("cannot remove", &path, error))?,
        }
    }
    Ok(())
}

/// Removes a file, if it is there.
pub(super) fn remove_one(path: &Path) -> Result<(), Failure> {
    absent_is_fine(fs::remove_file(path)).map_err(|error| failure("cannot remove", path, error))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn failure(what: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::File { what, path: path.to_owned(), source }
}
