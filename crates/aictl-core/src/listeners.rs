//! Who listens on this machine: every listening TCP socket with its owner.
//!
//! The kernel tells everyone, of sockets in the same network namespace, the control group of who
//! made them (sock_diag(7); `ss --cgroup` asks the same). So a service's own ports are known
//! without any rights, and so is the unit that has taken another's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::DirEntryExt,
    path::Path,
};

use crate::{
    cgroup_mounts::{Hierarchy, Roots},
    control_group,
};

mod diag;
mod proc_net;

pub use diag::DiagError;

/// Reads what claims to be an answer of the kernel's (tests/fuzz).
#[cfg(feature = "fuzzing")]
pub fn fuzz(packet: &[u8]) {
    diag::fuzz(packet);
}

/// The most sockets that are listed.
const MAX_LISTENERS: usize = 1 << 16;
/// The most control groups that are looked through for one by its number.
const MAX_GROUPS: usize = 1 << 16;
/// The number of the root of the hierarchy. On a machine that does not sort its services into
/// version 2, every socket has it.
const ROOT_GROUP: u64 = 1;

/// A listening TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// What it is bound to.
    pub address: SocketAddr,
    /// Whether it is one of IPv6 that takes nothing of IPv4.
    pub only_v6: bool,
    /// The user who made it.
    pub uid: u32,
    /// The number of the control group, of version 2, of who made it; `None` if the kernel does
    /// not say, or has no better answer than the root.
    pub control_group: Option<u64>,
}

/// Every listening TCP socket of our network namespace.
///
/// Where the kernel does not let us ask (a sandbox, a kernel without that part), what `proc` says
/// counts: then no control group is known.
///
/// # Errors
/// If neither says anything: what the kernel said to the question.
pub fn listeners(proc: &Path) -> Result<Vec<Listener>, DiagError> {
    diag::listening().or_else(|error| proc_net::listening(proc).ok_or(error))
}

/// The server's end of a TCP connection within this machine: `client` is our own end, `server` is
/// where we connected to. `None` if the kernel does not say.
///
/// Unlike a listener that was seen before, this is who will read what is sent.
#[must_use]
pub fn served_by(client: SocketAddr, server: SocketAddr) -> Option<Listener> {
    diag::connection(server, client).ok().flatten()
}

impl Listener {
    /// Whether a connection to this address would come to it: unless another is bound more
    /// narrowly.
    #[must_use]
    pub fn takes(&self, to: SocketAddr) -> bool {
        self.address.port() == to.port() && self.nearness(to.ip()).is_some()
    }

    /// How narrowly it is bound to an address: 0 is to that alone. `None` if it is not bound to it.
    fn nearness(&self, to: IpAddr) -> Option<u8> {
        match (self.address.ip(), to) {
            (own, to) if own == to => Some(0),
            (IpAddr::V6(own), IpAddr::V4(to)) if own.to_ipv4_mapped() == Some(to) => Some(0),
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(_))
            | (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(_)) => Some(1),
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(_)) if !self.only_v6 => Some(2),
            _ => None,
        }
    }

    /// Whether it belongs to one of these control groups; `None` if its own is not known.
    #[must_use]
    pub fn belongs_to(&self, groups: &BTreeSet<u64>) -> Option<bool> {
        self.control_group.map(|group| groups.contains(&group))
    }
}

/// Those that a connection to this address would come to: one, or several that share a port.
#[must_use]
pub fn reached(listeners: &[Listener], to: SocketAddr) -> Vec<&Listener> {
    let takes = || listeners.iter().filter(|listener| listener.takes(to));
    let nearest = takes().filter_map(|listener| listener.nearness(to.ip())).min();
    takes().filter(|listener| listener.nearness(to.ip()) == nearest).collect()
}

/// The numbers of a unit's control group and of those below it; empty if there is no such group.
#[must_use]
pub fn groups_of(roots: &Roots, control_group: &str) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    let Some(directory) =
        roots.unified.as_ref().and_then(|unified| unified.directory(control_group))
    else {
        return numbers;
    };
    let Some(own) = roots.id(control_group) else { return numbers };
    numbers.insert(own);
    walk(&directory, |number, _directory| {
        numbers.insert(number);
        true
    });
    numbers
}

/// The units that have control groups with these numbers: systemd's names by number. What is not
/// found is left out, and so is what belongs to no unit.
#[must_use]
pub fn units_of(roots: &Roots, numbers: &BTreeSet<u64>) -> BTreeMap<u64, String> {
    let mut units = BTreeMap::new();
    let Some(unified) = &roots.unified else { return units };
    let mut left = numbers.clone();
    left.remove(&ROOT_GROUP);
    if left.is_empty() {
        return units;
    }
    walk(unified.point(), |number, directory| {
        if left.remove(&number)
            && let Some(unit) = unit_at(unified, directory)
        {
            units.insert(number, unit);
        }
        !left.is_empty()
    });
    units
}

fn unit_at(unified: &Hierarchy, directory: &Path) -> Option<String> {
    control_group::unit_of(&unified.control_group(directory)?)
}

/// Shows every group below a directory, with its number, until it has been shown enough.
fn walk(directory: &Path, mut show: impl FnMut(u64, &Path) -> bool) {
    let mut seen = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        // One that has gone has nothing below it.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            seen += 1;
            if seen > MAX_GROUPS || !show(entry.ino(), &path) {
                return;
            }
            left.push(path);
        }
    }
}

#[cfg(test)]
mod tests;
