//! The package for systems of rpm, from the same table: a spec that has no list of its own.

use std::env::consts::ARCH;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::tree::Tree;
use super::{ABOUT, Edition, SYNOPSIS, deb::wrap, file, libraries};
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// What comes before the list of files; see rpm-spec(5). The scripts are those of the Debian package
/// without what only Debian has.
const SPEC: &str = include_str!("rpm.spec");

/// Makes the package in the directory `into`; returns its file name.
///
/// # Errors
/// A failure if something cannot be written, or a tool fails.
pub fn build(
    workspace: &Workspace,
    program: impl Fn(&str) -> PathBuf,
    edition: &Edition,
    into: &Path,
) -> Result<PathBuf, Failure> {
    let tree = Tree::make(workspace, program, &into.join("rpm"))?;
    tree.rename("usr/share/doc/aictl/copyright", "usr/share/licenses/aictl/LICENSE")?;
    tree.write("usr/share/licenses/aictl/libraries", &libraries::list(workspace)?)?;
    tree.rename("usr/share/zsh/vendor-completions/_aictl", "usr/share/zsh/site-functions/_aictl")?;
    tree.compress_manual()?;
    tree.open()?;
    let spec = into.join("aictl.spec");
    fs::write(&spec, text(&tree.files()?, edition)).map_err(|e| file("cannot write", &spec, e))?;
    let mut command = workspace.command("rpmbuild");
    command.args(["-bb", "--quiet", "--target", ARCH]);
    for (name, value) in [
        ("_tree", tree.path().to_owned()),
        ("_topdir", into.join("rpmbuild")),
        ("_rpmdir", into.to_owned()),
    ] {
        command.arg("--define").arg(format!("{name} {}", value.display()));
    }
    command.arg(&spec).env("SOURCE_DATE_EPOCH", edition.time.to_string()).stdout(Stdio::null());
    workspace::run(command, "rpmbuild -bb")?;
    let (version, revision) = (env!("CARGO_PKG_VERSION"), edition.revision);
    Ok(into.join(format!("{ARCH}/aictl-{version}-{revision}.{ARCH}.rpm")))
}

/// The spec.
fn text(files: &[PathBuf], edition: &Edition) -> String {
    let about: Vec<String> = ABOUT.iter().map(|part| wrap(part, 78).join("\n")).collect();
    let mut text = SPEC
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@REVISION@", &edition.revision.to_string())
        .replace("@PAYLOAD@", if edition.quick { "w1.gzdio" } else { "w6.xzdio" })
        .replace("@SYNOPSIS@", SYNOPSIS)
        .replace("@ABOUT@", &about.join("\n\n"));
    for path in files {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", line(path));
    }
    text
}

/// A file in the list of files.
fn line(path: &Path) -> String {
    let name = path.display();
    if path.starts_with("etc") {
        format!("%config(noreplace) /{name}")
    } else if path.starts_with("usr/share/licenses") {
        format!("%license /{name}")
    } else if path.starts_with("usr/share/doc") {
        format!("%doc /{name}")
    } else {
        format!("/{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spec_lists_every_file_as_what_it_is() {
        let edition = Edition { revision: 7, time: 0, quick: true };
        let files = ["etc/a", "usr/bin/b", "usr/share/doc/x/c", "usr/share/licenses/x/d"];
        let text = text(&files.map(PathBuf::from), &edition);
        let list = "%config(noreplace) /etc/a\n/usr/bin/b\n%doc /usr/share/doc/x/c\n\
                    %license /usr/share/licenses/x/d\n";
        assert!(text.ends_with(list), "{text}");
        assert!(text.contains("\nRelease: 7\n") && !text.contains('@'), "{text}");
    }
}
