//! The package tier: the Debian package on a Debian that has little more than a login, and the other
//! one there too.

use std::path::PathBuf;
use std::process::Command;

use super::{Bind, Image, MAKE_PEOPLE_KNOWN, Purpose, image};
use crate::args::TestOptions;
use crate::debian::{self, Need};
use crate::dist::{self, Edition, deb, rpm};
use crate::failure::Failure;
use crate::workspace::{self, Workspace};

/// Programs without which there is no package, and no machine for it.
pub const NEEDS: &[Need] = &[
    super::NEEDS[0],
    super::NEEDS[1],
    super::NEEDS[2],
    super::NEEDS[3],
    dist::NEEDS[0],
    dist::NEEDS[1],
    dist::NEEDS[2],
    dist::NEEDS[3],
    dist::RPM_NEEDS[0],
    LINTIAN,
];
const LINTIAN: Need = Need { program: "lintian", package: "lintian" };

/// Where the packages are in the machine.
const IN_THE_MACHINE: &str = "/packages";
/// When they say that they were made: long ago, so that nothing hangs on it.
const TIME: u64 = 1_700_000_000;

/// The machine. It has what the package depends on within apt's reach, and not installed.
pub(super) const PURPOSE: Purpose = Purpose {
    image: Image {
        suite: "trixie",
        base: image::BARE,
        packages: &[],
        fetched: &["dbus", "polkitd", "python3", "rpm"],
        apt: &[],
        hooks: &[],
    },
    over: &["tests/machine/people"],
    make_known: MAKE_PEOPLE_KNOWN,
    test: "package",
    packaged: true,
};

/// Makes two editions of each package of the programs that are built, the second to upgrade to, has
/// Debian's judge look at one of its own, and says where a machine finds them; and what could not be done.
///
/// # Errors
/// A failure if a package cannot be made, or is judged faulty.
pub(super) fn provide(
    workspace: &Workspace,
    options: &TestOptions,
) -> Result<(Vec<Bind>, Vec<String>), Failure> {
    let from = workspace.target.join("machine/packages");
    let program = |name: &str| {
        if options.shipped { workspace.shipped(name) } else { workspace.debug(name) }
    };
    let edition = |revision| Edition { revision, time: TIME, quick: true };
    let build = |revision| deb::build(workspace, program, &edition(revision), &from);
    let packages: Vec<PathBuf> = [1, 2].into_iter().map(build).collect::<Result<_, _>>()?;
    let mut missing = Vec::new();
    if debian::is_installed(dist::RPM_NEEDS[0].program) {
        for revision in [1, 2] {
            rpm::build(workspace, program, &edition(revision), &from)?;
        }
    } else {
        missing.push("the package for systems of rpm".to_owned());
    }
    match packages.first() {
        Some(package) if debian::is_installed(LINTIAN.program) => {
            let mut lintian = Command::new(LINTIAN.program);
            lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(package);
            if !options.shipped {
                // What is said for programs that are linked statically is not true of these.
                lintian.arg("--suppress-tags=mismatched-override,unused-override");
            }
            workspace::run(lintian, "lintian")?;
        }
        _ => missing.push("lintian's judgement of the package".to_owned()),
    }
    Ok((vec![Bind { from, to: IN_THE_MACHINE }], missing))
}
