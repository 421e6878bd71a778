//! Whose turn it is: runs wait in a queue of their user's, and users take turns, so that who has
//! many runs waits for his own and not others for him.

use std::collections::{HashMap, VecDeque};

/// The most runs that wait at one time, of all users together: each holds descriptors.
pub const MAX_WAITING: usize = 8192;
/// The most bytes of arguments that waiting runs hold together.
pub const MAX_HELD: usize = 64 << 20;

/// How many runs there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At one time, of all users.
    pub running: usize,
    /// At one time, of one user.
    pub running_of_one: usize,
    /// Waiting, of one user.
    pub waiting_of_one: usize,
}

/// There is no room for one more run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// So many of the user's wait already.
    Mine,
    /// So many of all users' wait already.
    All,
}

/// A run that waits, with the bytes that it holds.
#[derive(Debug)]
struct Waiting<R> {
    run: R,
    bytes: usize,
}

/// Who runs, and who waits.
#[derive(Debug)]
pub struct Queue<R> {
    /// Users with runs that wait, in the order of their turns; never one with none.
    turns: VecDeque<u32>,
    waiting: HashMap<u32, VecDeque<Waiting<R>>>,
    /// How many wait, and the bytes that they hold.
    count: usize,
    held: usize,
    /// Never an entry of 0.
    running: HashMap<u32, usize>,
    all_running: usize,
}

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self {
            turns: VecDeque::new(),
            waiting: HashMap::new(),
            count: 0,
            held: 0,
            running: HashMap::new(),
            all_running: 0,
        }
    }
}

impl<R: PartialEq> Queue<R> {
    /// Takes a run. Where it need not wait, [`next`](Self::next) gives it back at once.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn push(&mut self, uid: u32, run: R, bytes: usize, bounds: Bounds) -> Result<(), Full> {
        let mine = self.waiting.get(&uid).map_or(0, VecDeque::len);
        // Nobody waits who could run: `next` is asked until it has none.
        let runs_at_once = mine == 0 && self.has_place(uid, bounds);
        if !runs_at_once && mine >= bounds.waiting_of_one {
            return Err(Full::Mine);
        }
        if self.count >= MAX_WAITING || self.held.saturating_add(bytes) > MAX_HELD {
            return Err(Full::All);
        }
        if mine == 0 {
            self.turns.push_back(uid);
        }
        self.waiting.entry(uid).or_default().push_back(Waiting { run, bytes });
        self.count += 1;
        self.held += bytes;
        Ok(())
    }

    fn has_place(&self, uid: u32, bounds: Bounds) -> bool {
        self.all_running < bounds.running
            && self.running.get(&uid).copied().unwrap_or(0) < bounds.running_of_one
    }

    /// The run that is to begin now, if one is; it counts as running from then on. Its user's next
    /// one waits for all others' turns.
    pub fn next(&mut self, bounds: Bounds) -> Option<R> {
        let at = self.turns.iter().position(|uid| self.has_place(*uid, bounds))?;
        let uid = self.turns.remove(at)?;
        let mine = self.waiting.get_mut(&uid)?;
        let Waiting { run, bytes } = mine.pop_front()?;
        match mine.is_empty() {
            true => drop(self.waiting.remove(&uid)),
            false => self.turns.push_back(uid),
        }
        self.count -= 1;
        self.held -= bytes;
        *self.running.entry(uid).or_default() += 1;
        self.all_running += 1;
        Some(run)
    }

    /// A run has ended, or never will begin.
    pub fn leave(&mut self, uid: u32, run: &R) {
        let Some(mine) = self.waiting.get_mut(&uid) else { return self.ended(uid) };
        let Some(at) = mine.iter().position(|waiting| waiting.run == *run) else {
            return self.ended(uid);
        };
        let bytes = mine.remove(at).map_or(0, |waiting| waiting.bytes);
        if mine.is_empty() {
            self.waiting.remove(&uid);
            self.turns.retain(|of| *of != uid);
        }
        self.count -= 1;
        self.held -= bytes;
    }

    fn ended(&mut self, uid: u32) {
        if let Some(mine) = self.running.get_mut(&uid) {
            *mine -= 1;
            self.all_running -= 1;
            if *mine == 0 {
                self.running.remove(&uid);
            }
        }
    }

    /// How many run, and how many wait.
    #[must_use]
    pub const fn counts(&self) -> (usize, usize) {
        (self.all_running, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { running: 3, running_of_one: 2, waiting_of_one: 2 };

    /// All that begin now.
    fn begin(queue: &mut Queue<u32>, bounds: Bounds) -> Vec<u32> {
        std::iter::from_fn(|| queue.next(bounds)).collect()
    }

    #[test]
    fn so_many_run_so_many_wait_and_one_more_is_refused() {
        let mut queue = Queue::default();
        for run in 0..4 {
            assert_eq!(queue.push(7, run, 0, BOUNDS), Ok(()));
            assert_eq!(begin(&mut queue, BOUNDS), if run < 2 { vec![run] } else { vec![] });
        }
        assert_eq!(queue.push(7, 4, 0, BOUNDS), Err(Full::Mine));
        // Another user's is not.
        assert_eq!(queue.push(8, 10, 0, BOUNDS), Ok(()));
        assert_eq!(begin(&mut queue, BOUNDS), [10]);
        assert_eq!(queue.push(9, 20, 0, BOUNDS), Ok(()));
        assert!(begin(&mut queue, BOUNDS).is_empty());
        assert_eq!(queue.counts(), (3, 3));
        queue.leave(7, &0);
        assert_eq!(begin(&mut queue, BOUNDS), [2]);
        assert_eq!(queue.push(7, 5, 0, BOUNDS), Ok(()));
        // Who may have nobody wait runs at once or not at all.
        let none = Bounds { waiting_of_one: 0, ..BOUNDS };
        let mut queue = Queue::default();
        assert_eq!(queue.push(7, 0, 0, none), Ok(()));
        assert_eq!(begin(&mut queue, none), [0]);
        assert_eq!(queue.push(7, 1, 0, none), Ok(()));
        assert_eq!(begin(&mut queue, none), [1]);
        assert_eq!(queue.push(7, 2, 0, none), Err(Full::Mine));
    }

    #[test]
    fn users_take_turns_whoever_came_first_with_however_many() {
        let bounds = Bounds { running: 1, running_of_one: 1, waiting_of_one: 4096 };
        let mut queue = Queue::default();
        for run in 0..1000 {
            queue.push(1, run, 0, bounds).unwrap();
        }
        for uid in 2..12 {
            queue.push(uid, uid * 1000, 0, bounds).unwrap();
            queue.push(uid, uid * 1000 + 1, 0, bounds).unwrap();
        }
        let mut order = Vec::new();
        let mut running = queue.next(bounds);
        while let Some(run) = running {
            order.push(run);
            queue.leave((run / 1000).max(1), &run);
            running = queue.next(bounds);
        }
        let round: Vec<u32> = (2..12).map(|uid| uid * 1000).collect();
        assert_eq!(order[0], 0);
        assert_eq!(order[1..11], round);
        assert_eq!(order[11], 1);
        assert_eq!(order[12..22], round.iter().map(|run| run + 1).collect::<Vec<_>>());
        assert_eq!(order[22], 2);
        assert_eq!(order.len(), 1020);
        assert_eq!(queue.counts(), (0, 0));
    }

    #[test]
    fn one_that_leaves_while_it_waits_takes_no_place_and_gives_none_back() {
        let bounds = Bounds { running: 1, running_of_one: 1, waiting_of_one: 9 };
        let mut queue = Queue::default();
        for run in 0..3 {
            queue.push(1, run, 10, bounds).unwrap();
        }
        assert_eq!(begin(&mut queue, bounds), [0]);
        queue.leave(1, &1);
        assert_eq!(queue.counts(), (1, 1));
        assert!(begin(&mut queue, bounds).is_empty());
        queue.leave(1, &0);
        assert_eq!(begin(&mut queue, bounds), [2]);
        queue.leave(1, &2);
        assert!(queue.turns.is_empty() && queue.waiting.is_empty() && queue.running.is_empty());
        assert_eq!((queue.counts(), queue.held), ((0, 0), 0));
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let bounds = Bounds { running: 1, running_of_one: 1, waiting_of_one: usize::MAX };
        let mut queue = Queue::default();
        assert_eq!(queue.push(1, 0, MAX_HELD, bounds), Ok(()));
        assert_eq!(queue.push(2, 1, 1, bounds), Err(Full::All));
        queue.leave(1, &0);
        for run in 0..u32::try_from(MAX_WAITING).unwrap() {
            queue.push(run % 5, run, 0, bounds).unwrap();
        }
        assert_eq!(queue.push(9, 0, 0, bounds), Err(Full::All));
    }

    /// Any order of pushes, turns and ends: no bound is passed, nobody who could run waits, and no
    /// user begins twice while another who could begin waits.
    #[test]
    fn whatever_happens_the_bounds_hold_and_the_turns_are_fair() {
        // A generator of numbers (Marsaglia, "Xorshift RNGs") keeps every failure repeatable.
        let mut state = 0x2545_f491_u32;
        let mut random = move |below: u32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state % below
        };
        let bounds = Bounds { running: 4, running_of_one: 2, waiting_of_one: 5 };
        let mut queue = Queue::default();
        let mut alive: Vec<(u32, u32)> = Vec::new();
        let mut begun: Vec<u32> = Vec::new();
        for run in 0..20_000 {
            if random(5) < 3 {
                let uid = random(4);
                if queue.push(uid, run, 1, bounds).is_ok() {
                    alive.push((uid, run));
                }
            } else if !alive.is_empty() {
                let index = random(u32::try_from(alive.len()).unwrap()) as usize;
                let (uid, run) = alive.swap_remove(index);
                queue.leave(uid, &run);
                begun.retain(|of| *of != run);
            }
            while let Some(run) = queue.next(bounds) {
                begun.push(run);
            }
            let of = |uid: u32| {
                let mine = alive.iter().filter(|(of, _)| *of == uid);
                mine.fold((0, 0), |(runs, waits), (_, run)| match begun.contains(run) {
                    true => (runs + 1, waits),
                    false => (runs, waits + 1),
                })
            };
            assert!(begun.len() <= bounds.running);
            for uid in 0..4 {
                let (runs, waits) = of(uid);
                assert!(runs <= bounds.running_of_one && waits <= bounds.waiting_of_one);
                let could_run = runs < bounds.running_of_one && begun.len() < bounds.running;
                assert!(!could_run || waits == 0, "{uid} waits for nothing");
            }
            assert_eq!(queue.counts(), (begun.len(), alive.len() - begun.len()));
            assert_eq!(queue.held, alive.len() - begun.len());
        }
    }
}
