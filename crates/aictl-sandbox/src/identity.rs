//! Under which user sandboxes are made. Never as root: a sandbox whose outer user is root may
//! write to /proc/sys, however many namespaces surround it.

use std::{fs, io};

use nix::{sys::prctl, unistd};

use crate::{sys, weaken};

/// The system user for sandboxes, where the package has made it.
const SANDBOX_USER: &str = "aictl-sandbox";
/// A user that nobody is, where it has not: from the range that no allocation uses (systemd's
/// UIDS-GIDS document). `nobody` will not do: what other user namespaces and network file systems
/// cannot name belongs to it.
const UNUSED: Identity = Identity { uid: 65530, gid: 65530 };

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
}

/// Finds the ids of a user in the text of passwd(5).
fn find_user(passwd: &str, name: &str) -> Option<Identity> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0 && gid != 0).then_some(Identity { uid, gid })
    })
}

/// The id of the user called `name`, root excepted.
#[must_use]
pub fn uid_of(name: &str) -> Option<u32> {
    find_user(&fs::read_to_string("/etc/passwd").ok()?, name).map(|user| user.uid)
}

/// The user that a process started as root becomes.
fn unprivileged() -> Identity {
    fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|passwd| find_user(&passwd, SANDBOX_USER))
        .unwrap_or(UNUSED)
}

/// Whether this process has root.
#[must_use]
pub fn has_root() -> bool {
    unistd::getuid().is_root() || unistd::geteuid().is_root()
}

/// Gives root up for good if this process has it, and every capability with it; returns who it is
/// from then on.
///
/// # Errors
/// If root cannot be given up: then nothing must run.
pub fn give_up_root() -> io::Result<Identity> {
    if has_root() {
        let target = unprivileged();
        sys::become_user(target.uid, target.gid).map_err(|errno| {
            let why = errno.desc();
            io::Error::other(format!(
                "no change to user {} ({why}): run it as yourself",
                target.uid
            ))
        })?;
    }
    // No executed file brings anything back, now or in a sandbox.
    if !weaken::off("no-new-privs") {
        prctl::set_no_new_privs()?;
    }
    // A capability may have come by other ways, such as a file's or the ambient set.
    sys::clear_capability_sets().map_err(sys::io_error)?;
    let (uid, gid) = (unistd::getuid(), unistd::getgid());
    if has_root() || unistd::setuid(0.into()).is_ok() {
        return Err(io::Error::other("root could not be given up"));
    }
    Ok(Identity { uid: uid.as_raw(), gid: gid.as_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name_and_never_root() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\
                      aictl-sandbox2:x:5:5::/:/x\n\
                      broken\naictl:x:1:y::/:/x\n\
                      aictl-sandbox:x:990:991::/:/usr/sbin/nologin\n";
        let table = [
            ("aictl-sandbox", Some(Identity { uid: 990, gid: 991 })),
            ("aictl-sandbox2", Some(Identity { uid: 5, gid: 5 })),
            ("root", None),
            ("aictl", None),
            ("nobody", None),
        ];
        for (name, expected) in table {
            assert_eq!(find_user(passwd, name), expected, "{name}");
        }
    }
}
