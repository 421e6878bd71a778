//! Whose runs there are at one time, and what each of them gets of the CPU: users share it, and not
//! runs, so that nobody gets more by having more runs.
//!
//! Control groups are no level each for users above those of their runs. A sandbox stands ready
//! before it is known whose run it gets; to move it then would leave its memory behind, uncounted
//! (Documentation/admin-guide/cgroup-v2.rst, "Memory Ownership"). The runs of one user divide among
//! themselves what one run of another has, and of that a run that has waited for another of its
//! user's has a part: whoever begins many at one time waits for them in any case.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::cgroup::{self, Group};

/// What all runs of one user have together, as `cpu.weight`: what a group has of which nobody has
/// said anything, so that who has one run costs no write.
const OF_USER: u64 = 100;
/// The least that the kernel takes.
const LEAST: u64 = 1;

/// What a run that has waited has of what it else would have, as where no control group weighs it
/// (sched(7), "The nice value", for 10).
const OF_PATIENT: u64 = 10;

/// The weight of each run of a user who has so many at one time.
fn weight(runs: usize, patient: bool) -> u64 {
    let whole = OF_USER.checked_div(runs as u64).unwrap_or(OF_USER);
    if patient { whole / OF_PATIENT } else { whole }.max(LEAST)
}

/// A run of a user.
#[derive(Debug)]
struct Run {
    id: u64,
    /// Its control group, where it has one.
    group: Option<PathBuf>,
    /// Whether it has waited behind others of its user's.
    patient: bool,
}

/// Who has runs.
type Users = HashMap<u32, Vec<Run>>;

/// All runs whose user is known.
#[derive(Debug, Clone, Default)]
pub struct Shares(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    users: Users,
    next: u64,
}

/// A run's part, given back when dropped.
#[derive(Debug)]
pub struct Share {
    shares: Shares,
    user: u32,
    id: u64,
    /// How many runs its user had already.
    ahead: usize,
}

impl Shares {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more run of this user, in this group; `patient` if it has waited behind others of his.
    ///
    /// # Errors
    /// If the kernel refuses the group its weight; then the run must not start.
    pub fn join(&self, user: u32, group: Option<&Group>, patient: bool) -> io::Result<Share> {
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        let runs = table.users.entry(user).or_default();
        let ahead = runs.len();
        runs.push(Run { id, group: group.map(|group| group.path().to_owned()), patient });
        // From here on it leaves by itself.
        let share = Share { shares: self.clone(), user, id, ahead };
        let divided = match (ahead, patient) {
            (0, false) => Ok(()),
            _ => divide(runs, id),
        };
        drop(table);
        divided.map(|()| share)
    }
}

/// Gives each of a user's runs its weight.
///
/// # Errors
/// If the kernel refuses that of the run `new`. Another one's group may be gone by now, and one with
/// a weight too large harms its user's others first.
fn divide(runs: &[Run], new: u64) -> io::Result<()> {
    let mut result = Ok(());
    for run in runs {
        let Some(group) = &run.group else { continue };
        let written = cgroup::weigh(group, weight(runs.len(), run.patient));
        if run.id == new {
            result = written;
        }
    }
    result
}

impl Share {
    /// Whether other runs go first where no control group gives it its part: its user has another.
    #[must_use]
    pub const fn yields(&self) -> bool {
        self.ahead > 0
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut table = self.shares.table();
        let Some(runs) = table.users.get_mut(&self.user) else { return };
        runs.retain(|run| run.id != self.id);
        if runs.is_empty() {
            table.users.remove(&self.user);
        } else {
            // None of them is new.
            let _gone = divide(runs, self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn runs_of_one_user_weigh_together_what_one_run_of_another_does() {
        for (runs, expected, patient) in [
            (0, 100, 10),
            (1, 100, 10),
            (2, 50, 5),
            (3, 33, 3),
            (4, 25, 2),
            (16, 6, 1),
            (64, 1, 1),
            (100, 1, 1),
            (256, 1, 1),
        ] {
            assert_eq!(weight(runs, false), expected, "{runs}");
            assert_eq!(weight(runs, true), patient, "{runs}");
        }
    }

    #[test]
    fn a_run_that_comes_or_ends_divides_its_user_s_part_anew_and_no_other_s() {
        // From here on this process is of one user, and so is what it makes.
        let _engine = crate::engine::tests::engine();
        let root = std::env::temp_dir().join(format!("aictl-shares-{}", std::process::id()));
        let group = |name: &str| {
            let path = root.join(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("cpu.weight"), "100\n").unwrap();
            path
        };
        let weights = |names: &[&str]| -> Vec<String> {
            let read =
                |name: &&str| fs::read_to_string(root.join(name).join("cpu.weight")).unwrap();
            // A longer number was there.
            let first = |text: String| text.lines().next().unwrap().to_owned();
            names.iter().map(read).map(first).collect()
        };
        let shares = Shares::default();
        let join_as = |user: u32, path: PathBuf, patient: bool| {
            shares.join(user, Some(&Group::of_test(path)), patient)
        };
        let join = |user: u32, path: PathBuf| join_as(user, path, false);
        let (a, b, c) = (group("a"), group("b"), group("c"));
        let first = join(7, a).unwrap();
        let second = join(7, b.clone()).unwrap();
        let other = join(8, c).unwrap();
        assert_eq!(weights(&["a", "b", "c"]), ["50", "50", "100"]);
        assert_eq!([&first, &second, &other].map(Share::yields), [false, true, false]);
        // A group that is gone is nobody's trouble but its own run's.
        fs::remove_file(root.join("b/cpu.weight")).unwrap();
        let third = join(7, group("d")).unwrap();
        assert_eq!(weights(&["a", "d"]), ["33", "33"]);
        drop((second, third));
        assert_eq!(weights(&["a", "c"]), ["100", "100"]);
        // One that has waited has less, and takes nothing from the others.
        let patient = join_as(7, group("e"), true).unwrap();
        assert_eq!(weights(&["a", "c", "e"]), ["50", "100", "5"]);
        drop(first);
        assert_eq!(weights(&["c", "e"]), ["100", "10"]);
        drop((patient, other));
        let patient = join_as(7, group("f"), true).unwrap();
        assert_eq!(weights(&["f"]), ["10"], "the only one of its user's");
        drop(patient);
        assert!(shares.table().users.is_empty());
        // Without control groups it is known all the same who has others.
        let first = shares.join(7, None, false).unwrap();
        assert!(!first.yields() && shares.join(7, None, false).unwrap().yields());
        drop(first);
        assert!(!shares.join(7, None, false).unwrap().yields());
        fs::remove_dir_all(&root).unwrap();
    }
}
