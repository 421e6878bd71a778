//! Where a caller's process stands on the machine, as far as polkit and systemd tell by it.

use std::{
    collections::HashMap,
    fmt,
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aictl_sandbox::{ProcessInfo, process_info};

/// The root of all control groups.
const ROOT: u64 = 1;

/// A user's process in a control group. All that polkit's rules can see of a process follows from
/// this, but for its number: its user and their groups, its session (systemd-logind(8) goes by the
/// control group), with its seat and whether it is active, and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    uid: u32,
    cgroup: u64,
}

impl Place {
    /// The place now of a process that was this user's when it connected; `None` where the kernel
    /// does not say, and where control groups tell no session from another.
    #[must_use]
    pub fn of(pidfd: BorrowedFd<'_>, uid: u32) -> Option<Self> {
        Self::from_info(uid, process_info(pidfd).ok()?)
    }

    /// A place of this user's, in the control group of this number.
    #[must_use]
    pub const fn at(uid: u32, cgroup: u64) -> Self {
        Self { uid, cgroup }
    }

    fn from_info(uid: u32, info: ProcessInfo) -> Option<Self> {
        // Where all stand in the root nobody has put sessions apart.
        let is_apart = info.cgroup > ROOT;
        // A process that changes its user is two users' at one time.
        let is_theirs = [info.ruid, info.euid] == [uid, uid];
        (is_apart && is_theirs).then(|| Self::at(uid, info.cgroup))
    }
}

/// Tells where a user's process stands.
#[derive(Clone)]
pub struct PlaceOf(Arc<Tell>);

type Tell = dyn Fn(BorrowedFd<'_>, u32) -> Option<Place> + Send + Sync;

impl PlaceOf {
    /// By the kernel's word: [`Place::of`].
    #[must_use]
    pub fn kernel() -> Self {
        Self::new(Place::of)
    }

    /// By this.
    #[must_use]
    pub fn new(
        place_of: impl Fn(BorrowedFd<'_>, u32) -> Option<Place> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(place_of))
    }

    /// Where the process stands now, which was this user's when it connected.
    #[must_use]
    pub fn ask(&self, pidfd: BorrowedFd<'_>, uid: u32) -> Option<Place> {
        (self.0)(pidfd, uid)
    }
}

impl fmt::Debug for PlaceOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlaceOf")
    }
}

/// The most places that are remembered.
const MAX_PLACES: usize = 1024;

/// The units of places. A control group is one unit's from its making to its end, and its number no
/// other one's: what was true of it once stays true.
#[derive(Debug, Default)]
pub struct Units(Mutex<HashMap<Place, String>>);

impl Units {
    fn lock(&self) -> MutexGuard<'_, HashMap<Place, String>> {
        // It is whole whatever its last user did.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The unit of this place, if it was asked for before.
    #[must_use]
    pub fn get(&self, place: Place) -> Option<String> {
        self.lock().get(&place).cloned()
    }

    /// Keeps the unit of a process that stood at this place before it was asked for, and after.
    pub fn keep(&self, place: Place, unit: &str) {
        let mut units = self.lock();
        if units.len() >= MAX_PLACES {
            units.clear();
        }
        units.insert(place, unit.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsFd, os::unix::fs::MetadataExt, process};

    use super::*;

    #[test]
    fn a_place_is_a_users_own_and_not_the_root() {
        let info = |ruid, euid, cgroup| ProcessInfo { ruid, euid, cgroup };
        let place = |uid, cgroup| Some(Place::at(uid, cgroup));
        let table = [
            (info(1000, 1000, 77), place(1000, 77)),
            (info(1000, 1000, u64::MAX), place(1000, u64::MAX)),
            (info(1000, 1000, 1), None),
            (info(1000, 1000, 0), None),
            (info(1001, 1001, 77), None),
            (info(1000, 0, 77), None),
            (info(0, 1000, 77), None),
            (info(0, 0, 77), None),
        ];
        for (info, expected) in table {
            assert_eq!(Place::from_info(1000, info), expected, "{info:?}");
        }
        assert_ne!(place(1000, 77), place(1000, 78));
        assert_ne!(place(1000, 77), place(1001, 77));
    }

    #[test]
    fn so_many_units_are_remembered_and_no_more() {
        let units = Units::default();
        for cgroup in 2..10 * MAX_PLACES as u64 {
            let (place, unit) = (Place::at(1000, cgroup), format!("{cgroup}.scope"));
            assert_eq!(units.get(place), None);
            units.keep(place, &unit);
            assert_eq!(units.get(place), Some(unit));
            assert!(units.lock().len() <= MAX_PLACES);
        }
    }

    #[test]
    fn the_kernel_says_where_a_process_stands() {
        let me = nix::sys::socket::getsockopt(
            &std::os::unix::net::UnixStream::pair().unwrap().0,
            nix::sys::socket::sockopt::PeerPidfd,
        )
        .unwrap();
        let uid = nix::unistd::getuid().as_raw();
        let Ok(info) = process_info(me.as_fd()) else { return };
        assert_eq!([info.ruid, info.euid], [uid, uid]);
        // The number of a control group is that of its directory.
        let own = fs::read_to_string(format!("/proc/{}/cgroup", process::id())).unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned();
        let inode = fs::metadata(format!("/sys/fs/cgroup{own}")).map(|data| data.ino());
        if fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok() {
            assert_eq!(info.cgroup, inode.unwrap());
        }
        assert_eq!(Place::of(me.as_fd(), uid).is_some(), info.cgroup > ROOT);
        assert_eq!(Place::of(me.as_fd(), uid + 1), None);
        // Something that is no process is nowhere.
        let null = fs::File::open("/dev/null").unwrap();
        assert_eq!(Place::of(null.as_fd(), uid), None);
    }
}
