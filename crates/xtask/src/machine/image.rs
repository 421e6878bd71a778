//! The image that the machine boots from: a directory that is made once, and only read after that.

use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{file, plain_command};
use crate::failure::Failure;
use crate::workspace;

/// What an image is made of.
#[derive(Debug)]
pub struct Image {
    /// The Debian release.
    pub suite: &'static str,
    /// The packages that others have as well: [`SMALL`] or [`BARE`].
    pub base: &'static [&'static str],
    /// The packages beside these.
    pub packages: &'static [&'static str],
    /// Packages that are not installed, but can be without a network, with all that they want.
    pub fetched: &'static [&'static str],
    /// Options of apt while it is made, as in apt.conf(5).
    pub apt: &'static [&'static str],
    /// What is done at the end, as mmdebstrap's --customize-hook.
    pub hooks: &'static [&'static str],
}

/// What belongs to a small machine.
pub const SMALL: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "dbus-user-session",
    "polkitd",
    "pkexec",
    // Clients of the bus that are not ours.
    "libglib2.0-bin",
    "python3",
    "python3-dbus",
    // What every Debian machine has, and the smallest image lacks.
    "login",
    "passwd",
    "procps",
];
/// What belongs to one that people log in to, and no more.
pub const BARE: &[&str] =
    &["systemd", "systemd-sysv", "libpam-systemd", "login", "passwd", "procps", "tzdata"];

impl Image {
    fn packages(&self) -> Vec<&'static str> {
        [self.base, self.packages].concat()
    }

    /// Its name: another one for other contents.
    fn name(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (self.suite, self.packages()).hash(&mut hasher);
        self.hooks.iter().chain(self.fetched).for_each(|word| word.hash(&mut hasher));
        format!("{}-{:016x}", self.suite, hasher.finish())
    }
}

/// The directory of the image below `directory`, made now if it is not there.
///
/// # Errors
/// A failure if it is not there and cannot be made.
pub fn provide(what: &Image, directory: &Path) -> Result<PathBuf, Failure> {
    make_private(directory)?;
    let image = directory.join(what.name());
    if image.is_dir() {
        return Ok(image);
    }
    let suite = what.suite;
    eprintln!("making the image of Debian {suite} for the machine (once)");
    let unfinished = directory.join("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(|e| file("cannot remove", &unfinished, e))?;
    }
    let mut command = plain_command("mmdebstrap");
    command
        .args(["--variant=apt", "--quiet", "--format=directory"])
        .arg(format!("--include={}", what.packages().join(",")))
        // No machine has the identity of another: the first boot makes one up.
        .arg("--customize-hook=: > \"$1/etc/machine-id\"")
        .args(what.hooks.iter().map(|hook| format!("--customize-hook={hook}")))
        .args(fetching(what.fetched))
        .args(what.apt.iter().map(|option| format!("--aptopt={option}")))
        .arg(suite)
        .arg(&unfinished)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    for proxy in ["http_proxy", "https_proxy"] {
        if let Some(value) = std::env::var_os(proxy) {
            command.env(proxy, value);
        }
    }
    workspace::run(command, "mmdebstrap")?;
    fs::rename(&unfinished, &image).map_err(|e| file("cannot make", &image, e))?;
    Ok(image)
}

/// The options of mmdebstrap that have it leave packages where apt will look for them.
fn fetching(packages: &[&str]) -> Vec<String> {
    if packages.is_empty() {
        return Vec::new();
    }
    let fetch = "APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-get --yes --quiet --download-only \
                 --option=APT::Install-Recommends=true install";
    let hook = format!("--customize-hook={fetch} {} >/dev/null", packages.join(" "));
    vec![hook, "--skip=cleanup/apt".to_owned()]
}

/// Makes the directory, or makes it sure: another system's setuid programs are in there, which are
/// nobody else's business.
fn make_private(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o700)))
        .map_err(|e| file("cannot make", directory, e))
}
