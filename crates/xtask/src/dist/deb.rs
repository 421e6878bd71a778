//! The Debian package: what `install` installs, as Debian's policy wants it, and the scripts that put
//! it to use.

use std::env::consts::ARCH;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tree::Tree;
use super::{ABOUT, Edition, MAINTAINER, SYNOPSIS, file, libraries, output_of};
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// The scripts that dpkg runs (Debian policy, chapter 6), each by its name.
pub(super) const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("debian/postinst")),
    ("prerm", include_str!("debian/prerm")),
    ("postrm", include_str!("debian/postrm")),
];
const COPYRIGHT: &str = include_str!("debian/copyright");
const OVERRIDES: &str = include_str!("debian/lintian-overrides");

/// What it cannot do without, beside the libraries that its programs load.
const DEPENDS: &str = "default-dbus-system-bus | dbus-system-bus, init-system-helpers (>= 1.54), \
                       passwd, polkitd, systemd (>= 252)";
/// The width of a description.
const WIDTH: usize = 78;

/// Makes the package in the directory `into` of the programs that `program` tells the places of;
/// returns its file name.
///
/// # Errors
/// A failure if something cannot be written, or a tool fails.
pub fn build(
    workspace: &Workspace,
    program: impl Fn(&str) -> PathBuf,
    edition: &Edition,
    into: &Path,
) -> Result<PathBuf, Failure> {
    let libraries = libraries::list(workspace)?;
    let tree = Tree::make(workspace, program, &into.join("deb"))?;
    as_policy_wants(&tree, edition, &libraries)?;
    let (kibibytes, sums) = (tree.kibibytes()?, sums(&tree)?);
    let settings: String =
        tree.settings()?.iter().map(|path| format!("/{}\n", path.display())).collect();
    tree.write("DEBIAN/md5sums", &sums)?;
    tree.write("DEBIAN/conffiles", &settings)?;
    let depends = shared_libraries(workspace, &tree, &into.join("shlibs"))?;
    tree.write("DEBIAN/control", &control(edition, &depends, kibibytes))?;
    for (name, text) in SCRIPTS {
        tree.write_with_mode(&format!("DEBIAN/{name}"), text, 0o755)?;
    }
    tree.open()?;
    let package = into.join(format!("aictl_{}_{}.deb", version(edition), architecture()));
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", if edition.quick { "-Zgzip" } else { "-Zxz" }]);
    command.args(if edition.quick { &["-z1"][..] } else { &[] });
    command.arg("--build").arg(tree.path()).arg(&package);
    // What is newer than this has this time in the package.
    command.env("SOURCE_DATE_EPOCH", edition.time.to_string()).stdout(Stdio::null());
    workspace::run(command, "dpkg-deb --build")?;
    Ok(package)
}

/// The version of the package.
fn version(edition: &Edition) -> String {
    format!("{}-{}", env!("CARGO_PKG_VERSION"), edition.revision)
}

/// Debian's name of the processor.
fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Turns what was installed into what a package of Debian's holds (policy, chapter 12).
fn as_policy_wants(tree: &Tree, edition: &Edition, libraries: &str) -> Result<(), Failure> {
    const DOC: &str = "usr/share/doc/aictl";
    tree.rename(&format!("{DOC}/CHANGELOG.md"), &format!("{DOC}/changelog"))?;
    tree.write(&format!("{DOC}/changelog.Debian"), &changelog(edition)?)?;
    tree.write(&format!("{DOC}/copyright"), COPYRIGHT)?;
    tree.write(&format!("{DOC}/libraries"), libraries)?;
    for name in ["changelog", "changelog.Debian", "libraries"] {
        tree.compress(format!("{DOC}/{name}"))?;
    }
    tree.compress_manual()?;
    tree.write("usr/share/lintian/overrides/aictl", OVERRIDES)
}

/// What has changed in the package; what has in aictl is in a file of its own.
fn changelog(edition: &Edition) -> Result<String, Failure> {
    let mut date = Command::new("date");
    date.args(["--utc", "--rfc-email", &format!("--date=@{}", edition.time)]).env("LC_ALL", "C");
    let date = output_of(date, "date")?;
    Ok(format!(
        "aictl ({}) unstable; urgency=medium\n\n  * See changelog.gz for what is new in aictl.\n\n \
         -- {MAINTAINER}  {}\n",
        version(edition),
        date.trim_end()
    ))
}

/// The libraries that the programs load, as dependencies on Debian's packages; found out in the
/// directory `beside`. The tree must have its DEBIAN.
fn shared_libraries(workspace: &Workspace, tree: &Tree, beside: &Path) -> Result<String, Failure> {
    let control = beside.join("debian/control");
    let text = "Source: aictl\n\nPackage: aictl\nArchitecture: any\n";
    std::fs::create_dir_all(beside.join("debian"))
        .and_then(|()| std::fs::write(&control, text))
        .map_err(|error| file("cannot write", &control, error))?;
    let mut command = workspace.command("dpkg-shlibdeps");
    command.current_dir(beside).arg("-O");
    for program in tree.programs()? {
        command.arg("-e").arg(tree.path().join(program));
    }
    let text = output_of(command, "dpkg-shlibdeps")?;
    Ok(text.trim_end().strip_prefix("shlibs:Depends=").unwrap_or_default().to_owned())
}

/// What dpkg knows of the package.
fn control(edition: &Edition, libraries: &str, kibibytes: u64) -> String {
    let depends = [libraries, DEPENDS].into_iter().filter(|part| !part.is_empty());
    let depends: Vec<&str> = depends.collect();
    let mut text = format!(
        "Package: aictl\nVersion: {}\nArchitecture: {}\nMaintainer: {MAINTAINER}\nInstalled-Size: \
         {kibibytes}\nDepends: {}\nRecommends: python3\nSuggests: apparmor, nodejs\nSection: \
         admin\nPriority: optional\nDescription: {SYNOPSIS}\n",
        version(edition),
        architecture(),
        depends.join(", "),
    );
    let paragraphs = ABOUT.map(|paragraph| {
        let lines = wrap(paragraph, WIDTH);
        lines.iter().map(|line| format!(" {line}\n")).collect::<String>()
    });
    // Writing to a String cannot fail.
    let _ = write!(text, "{}", paragraphs.join(" .\n"));
    text
}

/// The words of `text` in lines of `width` characters at the most.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The sums by which dpkg tells files that have changed.
fn sums(tree: &Tree) -> Result<String, Failure> {
    let mut command = Command::new("md5sum");
    command.current_dir(tree.path());
    let settings = tree.settings()?;
    command.args(tree.files()?.into_iter().filter(|path| !settings.contains(path)));
    output_of(command, "md5sum")
}
