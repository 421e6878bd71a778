//! Whose turn it is: runs wait in a queue of their user's, and users take turns, so that who has
//! many runs waits for his own and not others for him.
//!
//! Who has none that runs goes first, and finds a place, and a core, that the others' further runs
//! have left; and the core those leave him too that have waited for another of their user's: see
//! `turn`.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// The most runs that wait at one time, of all users together.
pub const MAX_WAITING: usize = 8192;
/// The most descriptors that one of them holds: a script and three streams.
const HELD_BY_ONE: u64 = 4;
/// The most bytes of arguments that waiting runs hold together.
pub const MAX_HELD: usize = 64 << 20;

/// How long after his last run somebody still counts as one who is about: people look at what came
/// out before they go on.
const ABOUT: Duration = Duration::from_secs(3);
/// How long after his last run has begun a user's next one is held back for others: longer than what
/// a flood is made of, and short for who has another one run for long.
const HELD_BACK: Duration = Duration::from_secs(1);

/// For so long after it has begun, or has been asked for, a run of somebody who does not wait behind
/// his own is one to keep out of the way of: most are over by then.
const YOUNG: Duration = Duration::from_millis(50);
/// How long a run that waits behind its user's own keeps out of the way of others at the most; no
/// longer either, for each user who is about, than the one before took: so its user has of the time
/// what each of them has, and not less.
const GIVES_WAY: Duration = Duration::from_millis(250);
/// Of the most users it is known that they ask for a run: whoever keeps out of the way of so many
/// does of more.
const MAX_COMING: usize = 16;
/// Of the most users it is known that they have come or gone: no more than that have runs.
const MAX_ABOUT: usize = 16;

/// How many runs can wait where there may be so many descriptors (RLIMIT_NOFILE): a quarter of those
/// are for all else.
#[must_use]
pub fn room(descriptors: u64) -> usize {
    let waiting = (descriptors - descriptors / 4) / HELD_BY_ONE;
    usize::try_from(waiting).map_or(MAX_WAITING, |waiting| waiting.clamp(1, MAX_WAITING))
}

/// How many runs there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At one time, of all users.
    pub running: usize,
    /// At one time, of one user.
    pub running_of_one: usize,
    /// Waiting, of one user.
    pub waiting_of_one: usize,
    /// Waiting, of all users.
    pub waiting: usize,
    /// How many can get on at one time: the machine's cores.
    pub cores: usize,
}

/// When a run that waits may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Now.
    Now,
    /// Not before so much time has gone by.
    In(Duration),
    /// When another one has ended.
    Later,
}

/// What a user's next run finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Finds {
    /// How many of his run.
    mine: usize,
    /// How many places his have, and all: those too that are over, and not cleared away yet.
    places: usize,
    all: usize,
    /// How many others there are, at least, who have runs or have just had some.
    others: usize,
    /// How long ago his last one began.
    since: Duration,
    /// For how long this one still gives way, which waits behind others of his, none of which runs.
    gives_way: Duration,
    /// How long another's run will be young that waits behind none; and how many are on their way.
    young: Option<Duration>,
    coming: usize,
}

/// When a user's next run may begin: his first one as soon as there is a place. Who has a place
/// leaves the last one to somebody who has none, where one user cannot have all of them; a further one,
/// while others are about, it leaves a core free, or lets a moment go by. One that has waited for another of his
/// leaves that core, or a shorter moment, to those who have just come.
fn turn(finds: Finds, bounds: Bounds) -> Turn {
    let Finds { mine, places, all, others, since, gives_way, young, coming } = finds;
    let is_further = mine > 0;
    let has_some = places > 0;
    let takes_the_last = all + 1 >= bounds.running && bounds.running > bounds.running_of_one;
    let leaves_no_core = all + 1 >= bounds.cores;
    let patience = match is_further {
        true if leaves_no_core && others > 0 => (HELD_BACK + GIVES_WAY).saturating_sub(since),
        true => Duration::ZERO,
        false => gives_way,
    };
    if all >= bounds.running || places >= bounds.running_of_one || has_some && takes_the_last {
        Turn::Later
    } else if is_further && others > 0 && leaves_no_core && since < HELD_BACK {
        Turn::In(HELD_BACK - since)
    } else if let Some(young) = young
        && all + coming + 1 >= bounds.cores
        && !patience.is_zero()
    {
        Turn::In(patience.min(young))
    } else {
        Turn::Now
    }
}

/// What a [`Queue`] has next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<R> {
    /// This one begins.
    Run {
        /// It.
        run: R,
        /// Whether it has waited behind others of its user's.
        waited: bool,
    },
    /// None, before so much time has gone by or one ends.
    In(Duration),
    /// None, before one ends.
    Nothing,
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
    /// Whether it waits behind others of its user's.
    behind: bool,
}

/// The runs of a user that wait: never none.
#[derive(Debug)]
struct Line<R> {
    runs: VecDeque<Waiting<R>>,
    /// When the last of his ended that ran, and what it took.
    last: Option<(Instant, Duration)>,
}

impl<R> Line<R> {
    /// For how long the first still gives way to others, of whom there are so many, while none of its
    /// user's runs.
    fn gives_way(&self, others: usize, now: Instant) -> Duration {
        let waits_behind = self.runs.front().is_some_and(|first| first.behind);
        let Some((ended, took)) = self.last.filter(|_| waits_behind) else { return Duration::ZERO };
        let others = u32::try_from(others.max(1)).unwrap_or(u32::MAX);
        let gives_way = took.saturating_mul(others).min(GIVES_WAY);
        gives_way.saturating_sub(now.saturating_duration_since(ended))
    }
}

/// Who runs, and who waits.
#[derive(Debug)]
pub struct Queue<R> {
    /// Users with runs that wait, in the order of their turns; never one with none.
    turns: VecDeque<u32>,
    waiting: HashMap<u32, Line<R>>,
    /// How many wait, and the bytes that they hold.
    count: usize,
    held: usize,
    running: HashMap<u32, Running>,
    all_running: usize,
    /// Who has come or gone, and when last; whoever was the last of all to do so is the last.
    seen: VecDeque<(u32, Instant)>,
    /// Who has asked for runs that are not here yet, the last who has come last.
    coming: VecDeque<Coming>,
}

/// A user who has asked for runs.
#[derive(Debug)]
struct Coming {
    uid: u32,
    count: usize,
    /// When he asked for the last of them.
    since: Instant,
}

/// The runs of a user that have places: never none.
#[derive(Debug)]
struct Running {
    /// Those that run.
    count: usize,
    /// Those that are over, and not cleared away yet.
    over: usize,
    /// When the last of them began.
    begun: Instant,
    /// When the last began that was his only one, and had not waited behind others of his.
    fresh: Option<Instant>,
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
            seen: VecDeque::new(),
            coming: VecDeque::new(),
        }
    }
}

impl<R: PartialEq> Queue<R> {
    /// Takes a run. Where it need not wait, [`next`](Self::next) gives it back at once.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn push(
        &mut self,
        uid: u32,
        run: R,
        bytes: usize,
        bounds: Bounds,
        now: Instant,
    ) -> Result<(), Full> {
        self.saw(uid, now);
        let mine = self.waiting.get(&uid).map_or(0, |line| line.runs.len());
        // Nobody waits who could run: `next` is asked until it has none.
        let runs_at_once = mine == 0 && self.turn(uid, bounds, now) == Turn::Now;
        let behind = !runs_at_once && (mine > 0 || self.has_running(uid));
        if !runs_at_once && mine >= bounds.waiting_of_one {
            return Err(Full::Mine);
        }
        if self.count >= bounds.waiting || self.held.saturating_add(bytes) > MAX_HELD {
            return Err(Full::All);
        }
        if mine == 0 {
            self.turns.push_back(uid);
        }
        let none = || Line { runs: VecDeque::new(), last: None };
        let line = self.waiting.entry(uid).or_insert_with(none);
        line.runs.push_back(Waiting { run, bytes, behind });
        self.count += 1;
        self.held += bytes;
        Ok(())
    }

    fn has_running(&self, uid: u32) -> bool {
        self.running.get(&uid).is_some_and(|mine| mine.count > 0)
    }

    /// Somebody has come or gone.
    fn saw(&mut self, uid: u32, now: Instant) {
        self.seen.retain(|(other, _)| *other != uid);
        self.seen.push_back((uid, now));
        if self.seen.len() > MAX_ABOUT {
            self.seen.pop_front();
        }
    }

    /// How many there are besides this user, at least.
    fn others(&self, uid: u32, now: Instant) -> usize {
        let besides = |other: &&u32| **other != uid;
        let lately = |(_, at): &&(u32, Instant)| now.saturating_duration_since(*at) < ABOUT;
        let lately = self.seen.iter().filter(lately).map(|(other, _)| other).filter(besides);
        let run = self.running.keys().filter(besides);
        let wait = self.turns.iter().take(MAX_ABOUT).filter(besides);
        lately.count().max(run.count()).max(wait.count())
    }

    /// Somebody asks for a run: further ones of others keep out of its way from now on, until it is
    /// here or its user is told no (see [`came`](Self::came)).
    pub fn expect(&mut self, uid: u32, now: Instant) {
        let before = self.coming.iter().position(|coming| coming.uid == uid);
        let before = before.and_then(|at| self.coming.remove(at));
        let count = before.map_or(1, |before| before.count + 1);
        self.coming.push_back(Coming { uid, count, since: now });
        if self.coming.len() > MAX_COMING {
            self.coming.pop_front();
        }
    }

    /// One that was expected of this user is here, or will never be.
    pub fn came(&mut self, uid: u32) {
        let Some(at) = self.coming.iter().position(|coming| coming.uid == uid) else { return };
        match self.coming.get_mut(at) {
            Some(coming) if coming.count > 1 => coming.count -= 1,
            _ => drop(self.coming.remove(at)),
        }
    }

    /// How long another's run will be young that waits behind none, and how many are on their way:
    /// one of each user, and none of who has others already.
    fn young(&self, uid: u32, now: Instant) -> (Option<Duration>, usize) {
        let left = |of: u32, since: Instant| {
            let left = YOUNG.checked_sub(now.saturating_duration_since(since));
            left.filter(|left| of != uid && !left.is_zero())
        };
        // It may be here by now, and have its turn after others.
        let is_first = |line: &Line<R>| line.runs.iter().all(|run| !run.behind);
        let has_none =
            |of: &u32| !self.has_running(*of) && self.waiting.get(of).is_none_or(is_first);
        let coming = self.coming.iter().filter(|coming| has_none(&coming.uid));
        let coming = coming.filter_map(|coming| left(coming.uid, coming.since));
        let fresh = self.running.iter().filter_map(|(of, running)| left(*of, running.fresh?));
        (coming.clone().chain(fresh).max(), coming.count())
    }

    fn turn(&self, uid: u32, bounds: Bounds, now: Instant) -> Turn {
        let mine = self.running.get(&uid);
        let begun = mine.filter(|mine| mine.count > 0).map(|mine| mine.begun);
        let line = self.waiting.get(&uid);
        let others = self.others(uid, now);
        let (young, coming) = self.young(uid, now);
        let finds = Finds {
            mine: mine.map_or(0, |mine| mine.count),
            places: mine.map_or(0, |mine| mine.count + mine.over),
            all: self.all_running,
            others,
            since: begun.map_or(Duration::MAX, |begun| now.saturating_duration_since(begun)),
            gives_way: line.map_or(Duration::ZERO, |line| line.gives_way(others, now)),
            young,
            coming,
        };
        turn(finds, bounds)
    }

    /// The run that is to begin now, if one is; it counts as running from then on. Its user's next
    /// one waits for all others' turns, and for all who have none that runs.
    pub fn next(&mut self, bounds: Bounds, now: Instant) -> Next<R> {
        let mut soonest = None;
        let mut further = None;
        let mut first = None;
        for (at, uid) in self.turns.iter().enumerate() {
            match self.turn(*uid, bounds, now) {
                Turn::Now if !self.has_running(*uid) => {
                    first = Some(at);
                    break;
                }
                Turn::Now => further = further.or(Some(at)),
                Turn::In(time) => {
                    soonest = Some(soonest.map_or(time, |other: Duration| other.min(time)));
                }
                Turn::Later => {}
            }
        }
        match first.or(further).and_then(|at| self.begin(at, now)) {
            Some((run, waited)) => Next::Run { run, waited },
            None => soonest.map_or(Next::Nothing, Next::In),
        }
    }

    /// The user whose turn is at this place in the order has it.
    fn begin(&mut self, at: usize, now: Instant) -> Option<(R, bool)> {
        let uid = self.turns.remove(at)?;
        let line = self.waiting.get_mut(&uid)?;
        let Waiting { run, bytes, behind } = line.runs.pop_front()?;
        match line.runs.is_empty() {
            true => drop(self.waiting.remove(&uid)),
            false => self.turns.push_back(uid),
        }
        self.count -= 1;
        self.held -= bytes;
        let none = Running { count: 0, over: 0, begun: now, fresh: None };
        let mine = self.running.entry(uid).or_insert(none);
        let fresh = if behind || mine.count > 0 { mine.fresh } else { Some(now) };
        *mine = Running { count: mine.count + 1, begun: now, fresh, ..*mine };
        self.all_running += 1;
        Some((run, behind))
    }

    /// A run never will begin, whether or not it has had its turn.
    pub fn leave(&mut self, uid: u32, run: &R, now: Instant) {
        let line = self.waiting.get_mut(&uid);
        let waits = line.and_then(|line| {
            line.runs.iter().position(|waiting| waiting.run == *run).zip(Some(line))
        });
        let Some((at, line)) = waits else {
            self.over(uid, now);
            return self.gone(uid);
        };
        let bytes = line.runs.remove(at).map_or(0, |waiting| waiting.bytes);
        if line.runs.is_empty() {
            self.waiting.remove(&uid);
            self.turns.retain(|of| *of != uid);
        }
        self.count -= 1;
        self.held -= bytes;
        self.saw(uid, now);
    }

    /// A run of this user's that has begun is over. It has its place until it is [gone](Self::gone).
    pub fn over(&mut self, uid: u32, now: Instant) {
        self.saw(uid, now);
        let Some(mine) = self.running.get_mut(&uid) else { return };
        mine.count -= 1;
        mine.over += 1;
        if mine.count == 0 {
            mine.fresh = None;
            let took = now.saturating_duration_since(mine.begun);
            if let Some(line) = self.waiting.get_mut(&uid) {
                line.last = Some((now, took));
            }
        }
    }

    /// Of a run of this user's that is over, all is cleared away.
    pub fn gone(&mut self, uid: u32) {
        let Some(mine) = self.running.get_mut(&uid) else { return };
        mine.over -= 1;
        self.all_running -= 1;
        if mine.count + mine.over == 0 {
            self.running.remove(&uid);
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

    /// With cores enough.
    const fn bounds(running: usize, running_of_one: usize, waiting_of_one: usize) -> Bounds {
        let (waiting, cores) = (MAX_WAITING, usize::MAX);
        Bounds { running, running_of_one, waiting_of_one, waiting, cores }
    }

    const BOUNDS: Bounds = bounds(3, 2, 2);

    /// The one that begins, if one does.
    fn next(queue: &mut Queue<u32>, bounds: Bounds, now: Instant) -> Option<u32> {
        match queue.next(bounds, now) {
            Next::Run { run, .. } => Some(run),
            _ => None,
        }
    }

    /// All that begin now.
    fn begin(queue: &mut Queue<u32>, bounds: Bounds, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| next(queue, bounds, now)).collect()
    }

    #[test]
    fn a_first_run_has_the_next_place_and_a_further_one_leaves_one_and_a_core() {
        const MS: fn(u64) -> Duration = Duration::from_millis;
        // Of two cores; with four runs of one user, and 16 of all.
        let two = Bounds { cores: 2, ..bounds(16, 4, 9) };
        let eight = Bounds { cores: 8, ..two };
        let alone = Bounds { cores: 2, ..bounds(4, 4, 9) };
        let find = |mine, all, others, since| Finds {
            mine,
            places: mine,
            all,
            others,
            since: MS(since),
            gives_way: MS(0),
            young: None,
            coming: 0,
        };
        // One that gives way for so long; what is young of others.
        let behind = |gives_way, all, coming, young| Finds {
            gives_way: MS(gives_way),
            young: Some(MS(young)),
            coming,
            ..find(0, all, 1, 9999)
        };
        let calm = Finds { young: None, ..behind(100, 1, 0, 0) };
        let further = |since| Finds { mine: 1, since: MS(since), ..behind(0, 2, 1, 50) };
        let unseen = Finds { others: 0, ..further(0) };
        let fourth = Finds { mine: 3, since: MS(1), ..behind(0, 3, 4, 50) };
        let after = |places, all| Finds { places, ..find(0, all, 1, 9999) };
        let table = [
            ("the only one", two, find(0, 0, 0, 9999), Turn::Now),
            ("the first one", two, find(0, 15, 1, 9999), Turn::Now),
            ("all places are taken", two, find(0, 16, 1, 9999), Turn::Later),
            ("nobody else is about", two, find(1, 1, 0, 0), Turn::Now),
            ("nobody else is about", two, find(3, 3, 0, 0), Turn::Now),
            ("his places are taken", two, find(4, 4, 0, 9999), Turn::Later),
            ("no core is left", two, find(1, 1, 1, 0), Turn::In(MS(1000))),
            ("no core is left", two, find(1, 1, 1, 900), Turn::In(MS(100))),
            ("he has waited for it", two, find(1, 1, 1, 1000), Turn::Now),
            ("a core is left", eight, find(1, 6, 1, 0), Turn::Now),
            ("no core is left", eight, find(1, 7, 1, 0), Turn::In(MS(1000))),
            ("the last place is another's", two, find(1, 15, 1, 9999), Turn::Later),
            ("the last place is another's", two, find(1, 15, 0, 9999), Turn::Later),
            ("another has just begun", two, behind(100, 1, 0, 50), Turn::In(MS(50))),
            ("another has just begun", two, behind(10, 1, 0, 50), Turn::In(MS(10))),
            ("another is on his way", two, behind(100, 0, 1, 30), Turn::In(MS(30))),
            ("he gives way no more", two, behind(0, 1, 1, 50), Turn::Now),
            ("others' have run for long", two, calm, Turn::Now),
            ("there are cores for both", eight, behind(100, 5, 1, 50), Turn::Now),
            ("there are not", eight, behind(100, 5, 2, 50), Turn::In(MS(50))),
            ("a further one gives way too", two, further(1000), Turn::In(MS(50))),
            ("a further one gives way too", two, further(1230), Turn::In(MS(20))),
            ("but not for ever", two, further(1250), Turn::Now),
            ("nor for who only asks", two, unseen, Turn::Now),
            ("who is on his way takes no core yet", eight, fourth, Turn::Now),
            ("one may have them all", alone, find(3, 3, 1, 9999), Turn::Now),
            ("those that are over have places still", two, after(4, 4), Turn::Later),
            ("and are no reason to wait for others", two, after(3, 3), Turn::Now),
            ("but the last place is another's", two, after(1, 15), Turn::Later),
        ];
        for (what, bounds, finds, expected) in table {
            assert_eq!(turn(finds, bounds), expected, "{what}: {finds:?}");
        }
    }

    #[test]
    fn a_flood_leaves_a_core_while_others_are_about_and_has_it_when_they_have_gone() {
        let bounds = Bounds { cores: 2, ..bounds(16, 4, 1000) };
        let mut now = Instant::now();
        let mut queue = Queue::default();
        let fill = |queue: &mut Queue<u32>, from: u32, now| {
            (from..from + 100).for_each(|run| queue.push(1, run, 0, bounds, now).unwrap());
        };
        fill(&mut queue, 0, now);
        assert_eq!(begin(&mut queue, bounds, now), [0, 1, 2, 3]);
        // Somebody comes, and has his run at once; of the four one after the other ends.
        queue.push(2, 1000, 0, bounds, now).unwrap();
        assert_eq!(begin(&mut queue, bounds, now), [1000]);
        for run in 0..3 {
            now += Duration::from_millis(50);
            queue.leave(1, &run, now);
            assert!(begin(&mut queue, bounds, now).is_empty());
        }
        queue.leave(2, &1000, now);
        assert!(begin(&mut queue, bounds, now).is_empty());
        for run in 3..13 {
            now += Duration::from_millis(100);
            queue.leave(1, &run, now);
            assert_eq!(begin(&mut queue, bounds, now), [run + 1], "the first of his");
            assert_eq!(queue.next(bounds, now), Next::In(HELD_BACK));
        }
        // One that takes long is no reason to wait for ever.
        assert_eq!(begin(&mut queue, bounds, now + HELD_BACK), [14]);
        now += HELD_BACK + ABOUT;
        assert_eq!(begin(&mut queue, bounds, now), [15, 16]);
    }

    #[test]
    fn what_waits_behind_its_users_own_keeps_out_of_the_way_of_who_comes() {
        let bounds = Bounds { cores: 2, ..bounds(16, 4, 1000) };
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let held = |ms| Next::In(Duration::from_millis(ms));
        let waited = |run| Next::Run { run, waited: true };
        let mut queue = Queue::default();
        queue.push(1, 0, 0, bounds, at(0)).unwrap();
        assert_eq!(queue.next(bounds, at(0)), Next::Run { run: 0, waited: false });
        (1..99).for_each(|run| queue.push(1, run, 0, bounds, at(0)).unwrap());
        assert_eq!(begin(&mut queue, bounds, at(0)), [1, 2, 3]);
        // Somebody asks for a run while they end, and has it.
        queue.expect(2, at(40));
        (0..4).for_each(|run| queue.leave(1, &run, at(50)));
        assert_eq!(queue.next(bounds, at(50)), held(40));
        queue.push(2, 1000, 0, bounds, at(60)).unwrap();
        assert_eq!(queue.next(bounds, at(60)), Next::Run { run: 1000, waited: false });
        queue.came(2);
        assert_eq!(queue.next(bounds, at(70)), held(30));
        queue.leave(2, &1000, at(80));
        assert_eq!(queue.next(bounds, at(80)), waited(4));
        // Who is told no, or is on his way for long, is none to wait for; nor is one of one's own.
        queue.expect(2, at(100));
        queue.came(2);
        queue.expect(3, at(50));
        queue.expect(1, at(100));
        queue.leave(1, &4, at(100));
        assert_eq!(queue.next(bounds, at(100)), waited(5));
        // However many are on their way, and however often: for as long as the last one took.
        queue.leave(1, &5, at(120));
        for ms in 120..140 {
            (2..99).for_each(|uid| queue.expect(uid, at(ms)));
            assert_eq!(queue.next(bounds, at(ms)), held(140 - ms));
            assert!(queue.coming.len() <= MAX_COMING);
        }
        assert_eq!(queue.next(bounds, at(140)), waited(6));
        queue.leave(1, &6, at(999));
        (2..99).for_each(|uid| queue.expect(uid, at(999 + 240)));
        assert_eq!(queue.next(bounds, at(999 + 240)), held(10), "and not for longer than that");
        assert_eq!(queue.next(bounds, at(999 + 250)), waited(7));
    }

    /// Who has one run after the other is none of those who have several at a time.
    #[test]
    fn what_is_over_has_its_place_until_it_is_cleared_away_and_counts_for_nothing_else() {
        let bounds = Bounds { cores: 2, ..bounds(16, 2, 1000) };
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let fresh = |run| Next::Run { run, waited: false };
        let mut queue = Queue::default();
        // Another is about, whose way a further one would keep out of.
        queue.push(2, 1000, 0, bounds, at(0)).unwrap();
        assert_eq!(queue.next(bounds, at(0)), fresh(1000));
        for run in 0..2 {
            queue.push(1, run, 0, bounds, at(10)).unwrap();
            assert_eq!(queue.next(bounds, at(10)), fresh(run));
            queue.over(1, at(10));
        }
        // Both of his places are still taken.
        queue.push(1, 2, 0, bounds, at(10)).unwrap();
        assert_eq!((queue.next(bounds, at(10)), queue.counts()), (Next::Nothing, (3, 1)));
        queue.gone(1);
        assert_eq!((queue.next(bounds, at(10)), queue.counts()), (fresh(2), (3, 0)));
        // While one of his runs, the next is a further one.
        queue.gone(1);
        queue.push(1, 3, 0, bounds, at(20)).unwrap();
        assert_eq!(queue.next(bounds, at(20)), Next::In(HELD_BACK - Duration::from_millis(10)));
        queue.over(1, at(60));
        assert_eq!(queue.next(bounds, at(60)), Next::Run { run: 3, waited: true });
        queue.over(1, at(60));
        queue.gone(1);
        queue.gone(1);
        queue.leave(2, &1000, at(60));
        assert_eq!(queue.counts(), (0, 0));
        assert!(queue.running.is_empty());
    }

    /// Of so many users each has the same part of the time.
    #[test]
    fn what_waits_keeps_out_of_the_way_for_as_long_as_others_have_had_together() {
        let bounds = Bounds { cores: 2, ..bounds(16, 4, 1000) };
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        // With so many others, a run that took so long, and so long ago: how long it still waits.
        for (others, took, ago, expected) in [
            (1_u32, 20, 0, 20),
            (2, 20, 0, 40),
            (9, 20, 0, 180),
            (9, 20, 100, 80),
            (9, 20, 179, 1),
            (9, 20, 180, 0),
            (9, 40, 0, 250),
            (9, 400, 0, 250),
            (40, 10, 0, 150),
        ] {
            let mut queue = Queue::default();
            queue.push(1, 1, 0, bounds, at(0)).unwrap();
            queue.push(1, 2, 0, bounds, at(0)).unwrap();
            assert_eq!(begin(&mut queue, Bounds { running_of_one: 1, ..bounds }, at(0)), [1]);
            for uid in 2..2 + others {
                queue.push(uid, 1000, 0, bounds, at(0)).unwrap();
                assert_eq!(
                    begin(&mut queue, Bounds { running_of_one: 1, ..bounds }, at(0)),
                    [1000]
                );
                queue.leave(uid, &1000, at(0));
            }
            queue.leave(1, &1, at(took));
            let now = at(took + ago);
            let left = queue.waiting[&1].gives_way(queue.others(1, now), now);
            assert_eq!(left, Duration::from_millis(expected), "{others} {took} {ago}");
            assert!(queue.seen.len() <= MAX_ABOUT);
        }
    }

    /// Whoever has runs, or some that wait, has no others wait by asking for more; and who comes after
    /// many such is not overlooked.
    #[test]
    fn who_has_runs_already_is_given_way_to_by_nobody() {
        let bounds = Bounds { cores: 2, ..bounds(16, 4, 1000) };
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut queue = Queue::default();
        for (uid, run) in [(1, 10), (1, 11), (1, 12), (2, 20), (2, 21)] {
            queue.push(uid, run, 0, bounds, at(0)).unwrap();
        }
        assert_eq!(begin(&mut queue, bounds, at(0)), [10, 20]);
        queue.leave(1, &10, at(100));
        (0..99).for_each(|_| queue.expect(2, at(100)));
        assert_eq!(queue.next(bounds, at(100)), Next::Run { run: 11, waited: true });
        queue.leave(1, &11, at(200));
        (0..99).for_each(|_| queue.expect(2, at(200)));
        queue.expect(3, at(200));
        assert_eq!(queue.next(bounds, at(200)), Next::In(YOUNG));
        // Of many calls of one user each one counts.
        queue.expect(3, at(200));
        queue.came(3);
        assert_eq!(queue.next(bounds, at(200)), Next::In(YOUNG));
        queue.came(3);
        assert_eq!(queue.next(bounds, at(200)), Next::Run { run: 12, waited: true });
    }

    #[test]
    fn who_has_a_run_is_about_however_long_ago_he_came() {
        let bounds = Bounds { cores: 2, ..bounds(16, 4, 9) };
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.push(2, 10, 0, bounds, now).unwrap();
        assert_eq!(begin(&mut queue, bounds, now), [10]);
        now += ABOUT * 9;
        for run in 0..2 {
            queue.push(1, run, 0, bounds, now).unwrap();
        }
        assert_eq!(begin(&mut queue, bounds, now), [0]);
        assert_eq!(queue.next(bounds, now), Next::In(HELD_BACK));
    }

    #[test]
    fn who_has_none_that_runs_goes_before_who_has() {
        let now = Instant::now();
        let bounds = bounds(3, 3, 9);
        let mut queue = Queue::default();
        for run in 0..6 {
            queue.push(1, run, 0, bounds, now).unwrap();
        }
        assert_eq!(begin(&mut queue, bounds, now), [0, 1, 2]);
        queue.push(2, 10, 0, bounds, now).unwrap();
        queue.push(2, 11, 0, bounds, now).unwrap();
        queue.push(3, 20, 0, bounds, now).unwrap();
        // By their turns alone the first of these would be the next one of the first user.
        for (run, next) in [(0, 10), (1, 20), (2, 3)] {
            queue.leave(1, &run, now);
            assert_eq!(begin(&mut queue, bounds, now), [next]);
        }
    }

    #[test]
    fn so_many_run_so_many_wait_and_one_more_is_refused() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for run in 0..4 {
            assert_eq!(queue.push(7, run, 0, BOUNDS, now), Ok(()));
            assert_eq!(begin(&mut queue, BOUNDS, now), if run < 2 { vec![run] } else { vec![] });
        }
        assert_eq!(queue.push(7, 4, 0, BOUNDS, now), Err(Full::Mine));
        // Another user's is not.
        assert_eq!(queue.push(8, 10, 0, BOUNDS, now), Ok(()));
        assert_eq!(begin(&mut queue, BOUNDS, now), [10]);
        assert_eq!(queue.push(9, 20, 0, BOUNDS, now), Ok(()));
        assert!(begin(&mut queue, BOUNDS, now).is_empty());
        assert_eq!(queue.counts(), (3, 3));
        queue.leave(7, &0, now);
        assert_eq!(begin(&mut queue, BOUNDS, now), [20]);
        queue.leave(9, &20, now);
        assert!(begin(&mut queue, BOUNDS, now).is_empty(), "the last place");
        queue.leave(8, &10, now);
        assert_eq!(begin(&mut queue, BOUNDS, now), [2]);
        assert_eq!(queue.push(7, 5, 0, BOUNDS, now), Ok(()));
        // Who may have nobody wait runs at once or not at all.
        let none = Bounds { waiting_of_one: 0, ..BOUNDS };
        let mut queue = Queue::default();
        assert_eq!(queue.push(7, 0, 0, none, now), Ok(()));
        assert_eq!(begin(&mut queue, none, now), [0]);
        assert_eq!(queue.push(7, 1, 0, none, now), Ok(()));
        assert_eq!(begin(&mut queue, none, now), [1]);
        assert_eq!(queue.push(7, 2, 0, none, now), Err(Full::Mine));
    }

    #[test]
    fn users_take_turns_whoever_came_first_with_however_many() {
        let now = Instant::now();
        let bounds = bounds(1, 1, 4096);
        let mut queue = Queue::default();
        for run in 0..1000 {
            queue.push(1, run, 0, bounds, now).unwrap();
        }
        for uid in 2..12 {
            queue.push(uid, uid * 1000, 0, bounds, now).unwrap();
            queue.push(uid, uid * 1000 + 1, 0, bounds, now).unwrap();
        }
        let mut order = Vec::new();
        let mut running = next(&mut queue, bounds, now);
        while let Some(run) = running {
            order.push(run);
            queue.leave((run / 1000).max(1), &run, now);
            running = next(&mut queue, bounds, now);
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
        let now = Instant::now();
        let bounds = bounds(1, 1, 9);
        let mut queue = Queue::default();
        for run in 0..3 {
            queue.push(1, run, 10, bounds, now).unwrap();
        }
        assert_eq!(begin(&mut queue, bounds, now), [0]);
        queue.leave(1, &1, now);
        assert_eq!(queue.counts(), (1, 1));
        assert!(begin(&mut queue, bounds, now).is_empty());
        queue.leave(1, &0, now);
        assert_eq!(begin(&mut queue, bounds, now), [2]);
        queue.leave(1, &2, now);
        assert!(queue.turns.is_empty() && queue.waiting.is_empty() && queue.running.is_empty());
        assert_eq!((queue.counts(), queue.held), ((0, 0), 0));
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let now = Instant::now();
        let bounds = bounds(1, 1, usize::MAX);
        let mut queue = Queue::default();
        assert_eq!(queue.push(1, 0, MAX_HELD, bounds, now), Ok(()));
        assert_eq!(queue.push(2, 1, 1, bounds, now), Err(Full::All));
        queue.leave(1, &0, now);
        for run in 0..u32::try_from(MAX_WAITING).unwrap() {
            queue.push(run % 5, run, 0, bounds, now).unwrap();
        }
        assert_eq!(queue.push(9, 0, 0, bounds, now), Err(Full::All));
        // And by what descriptors there are.
        let mut queue = Queue::default();
        for run in 0..9 {
            let expected = if run < 7 { Ok(()) } else { Err(Full::All) };
            assert_eq!(queue.push(run, run, 0, Bounds { waiting: 7, ..bounds }, now), expected);
        }
        for (descriptors, expected) in
            [(0, 1), (1024, 192), (20_000, 3750), (65_536, MAX_WAITING), (u64::MAX, MAX_WAITING)]
        {
            assert_eq!(room(descriptors), expected, "{descriptors}");
        }
    }

    /// Any order of pushes, turns and ends: no bound is passed, nobody who could run waits, and no
    /// user begins twice while another who could begin waits.
    #[test]
    fn whatever_happens_the_bounds_hold_and_the_turns_are_fair() {
        let now = Instant::now();
        // A generator of numbers (Marsaglia, "Xorshift RNGs") keeps every failure repeatable.
        let mut state = 0x2545_f491_u32;
        let mut random = move |below: u32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state % below
        };
        let bounds = bounds(4, 2, 5);
        let mut queue = Queue::default();
        let mut alive: Vec<(u32, u32)> = Vec::new();
        let mut begun: Vec<u32> = Vec::new();
        for run in 0..20_000 {
            if random(5) < 3 {
                let uid = random(4);
                if queue.push(uid, run, 1, bounds, now).is_ok() {
                    alive.push((uid, run));
                }
            } else if !alive.is_empty() {
                let index = random(u32::try_from(alive.len()).unwrap()) as usize;
                let (uid, run) = alive.swap_remove(index);
                queue.leave(uid, &run, now);
                begun.retain(|of| *of != run);
            }
            while let Some(run) = next(&mut queue, bounds, now) {
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
                // A further one leaves the last place.
                let places = bounds.running - usize::from(runs > 0);
                let could_run = runs < bounds.running_of_one && begun.len() < places;
                assert!(!could_run || waits == 0, "{uid} waits for nothing");
            }
            assert_eq!(queue.counts(), (begun.len(), alive.len() - begun.len()));
            assert_eq!(queue.held, alive.len() - begun.len());
        }
    }
}
