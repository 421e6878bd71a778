//! Interpreters that wait in their sandboxes for one run each, so that the run need not wait for
//! them.
//!
//! Each is started for itself, with a layout of its address space and a hash seed of its own, and
//! ends with its run: no run leaves anything for another. None is started before the first run asks
//! for one; after [`IDLE`](policy::IDLE) without a run, or when memory is short, those that wait end.
//!
//! When runs come faster than interpreters start, those that find none waiting get a copy of a
//! [template](Template), which is started then, and makes a few in advance while the burst lasts. A
//! run that does not get one either is started cold.

mod policy;
mod pressure;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    engine::{Armed, Engine, Template},
    interpreter::Interpreter,
    protocol::{RejectKind, Rejection},
};
use policy::{Next, Situation};

/// How long an interpreter may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a copy of one may take.
const COPY_PATIENCE: Duration = Duration::from_secs(10);

/// What a file is, as far as it can be seen from outside: another one has taken its place, or its
/// content has changed, if this differs (inode(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

/// What waits, and what is known of the demand.
struct State {
    waiting: VecDeque<(Armed, Stamp)>,
    asked: Option<Instant>,
    pressure: Option<Instant>,
    failed: Option<Failed>,
    missed: Option<Instant>,
    template: Option<Made>,
    /// Copies of it that wait.
    spare: VecDeque<(Armed, Stamp)>,
    /// How many runs wait for a copy of their own.
    copying: usize,
    template_failed: Option<Failed>,
}

/// Takes the first that lives, of an interpreter that is still what it was; what it finds of others
/// is `gone`.
fn first(
    from: &mut VecDeque<(Armed, Stamp)>,
    now: Option<Stamp>,
    gone: &mut Vec<(Armed, Stamp)>,
) -> Option<Armed> {
    loop {
        match from.pop_front()? {
            (armed, stamp) if Some(stamp) == now && armed.lives() => return Some(armed),
            other => gone.push(other),
        }
    }
}

/// The template that is there.
struct Made {
    template: Arc<Template>,
    stamp: Stamp,
    copies: u32,
}

/// How often in a row something could not be started, and when it was tried last.
#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    last: Instant,
}

impl Failed {
    /// Once more, for this reason.
    fn again(before: Option<Self>, what: &str, why: &Rejection) -> Option<Self> {
        let times = before.map_or(0, |failed| failed.times);
        if times == 0 {
            eprintln!("{what}: {}", why.message);
        }
        Some(Self { times: times.saturating_add(1), last: Instant::now() })
    }
}

/// The warm interpreters of one runtime.
pub struct Warm {
    engine: Arc<Engine>,
    interpreter: Interpreter,
    wanted: usize,
    /// The extension module of templates.
    library: Option<File>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Warm {
    /// Has `wanted` interpreters wait, as soon as somebody asks for one; with the extension module
    /// `library`, a template makes copies when they are not enough.
    ///
    /// # Errors
    /// If the thread that starts them cannot be started.
    pub fn keep(
        engine: Arc<Engine>,
        interpreter: Interpreter,
        wanted: usize,
        library: Option<File>,
    ) -> io::Result<Arc<Self>> {
        let state = State {
            waiting: VecDeque::new(),
            asked: None,
            pressure: None,
            failed: None,
            missed: None,
            template: None,
            spare: VecDeque::new(),
            copying: 0,
            template_failed: None,
        };
        let warm = Arc::new(Self {
            engine,
            interpreter,
            wanted,
            library,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let keeper = Arc::clone(&warm);
        // Sandboxes end with the thread that made them: this one stays.
        thread::Builder::new().name("warm".to_owned()).spawn(move || keeper.work())?;
        let told = Arc::clone(&warm);
        pressure::watch(move || {
            told.state().pressure = Some(Instant::now());
            told.changed.notify_all();
        });
        Ok(warm)
    }

    /// One that waits, if there is one, or else a copy of the template, made in advance or now, if
    /// there is one; the next is on its way. Who is patient leaves those that wait to others, where
    /// there is a template.
    #[must_use]
    pub fn take(&self, patient: bool) -> Option<Armed> {
        let now = Stamp::of(self.interpreter.exe());
        let mut gone = Vec::new();
        let mut state = self.state();
        state.asked = Some(Instant::now());
        let has_copies = state.template.as_ref().is_some_and(|made| made.copies < policy::COPIES);
        let waiting = match patient && has_copies {
            true => None,
            false => first(&mut state.waiting, now, &mut gone),
        };
        if waiting.is_none() && self.library.is_some() {
            state.missed = Some(Instant::now());
        }
        let taken = waiting.or_else(|| first(&mut state.spare, now, &mut gone));
        // Nor a copy of such a one: another takes its place when one is missed.
        let stale = state.template.take_if(|made| Some(made.stamp) != now);
        let template = match &mut state.template {
            Some(made) if taken.is_none() && made.copies < policy::COPIES => {
                made.copies = made.copies.saturating_add(1);
                Some(Arc::clone(&made.template))
            }
            _ => None,
        };
        state.copying += usize::from(template.is_some());
        drop(state);
        self.changed.notify_all();
        // Their end takes a moment, for which nobody else has to wait.
        drop((gone, stale));
        taken.or_else(|| {
            let copy = self.copy_of(template?);
            self.state().copying -= 1;
            self.changed.notify_all();
            copy
        })
    }

    /// A copy of this template, which is none any more if it does not make one.
    fn copy_of(&self, template: Arc<Template>) -> Option<Armed> {
        match Armed::of_template(&self.engine, &template, COPY_PATIENCE) {
            Ok(armed) => {
                self.state().template_failed = None;
                Some(armed)
            }
            Err(rejection) => {
                let mut state = self.state();
                let what = "no copy of an interpreter can wait for its run";
                state.template_failed = Failed::again(state.template_failed, what, &rejection);
                let same = |made: &mut Made| Arc::ptr_eq(&made.template, &template);
                let gone = state.template.take_if(same);
                drop(state);
                drop(gone);
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts and ends them, for ever.
    fn work(&self) {
        let mut state = self.state();
        loop {
            let ago = |moment: Instant| moment.elapsed();
            let failed = |failed: Failed| (failed.times, ago(failed.last));
            let situation = Situation {
                wanted: self.wanted,
                waiting: state.waiting.len(),
                asked: state.asked.map(ago),
                pressure: state.pressure.map(ago),
                failed: state.failed.map(failed),
                missed: state.missed.map(ago),
                copies: state.template.as_ref().map(|made| made.copies),
                spare: state.spare.len(),
                copying: state.copying,
                template_failed: state.template_failed.map(failed),
            };
            state = match policy::next(&situation) {
                Next::WaitForChange => {
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
                Next::Wait(time) => {
                    let waited = self.changed.wait_timeout(state, time);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Next::Drain => {
                    let gone = (
                        std::mem::take(&mut state.waiting),
                        std::mem::take(&mut state.spare),
                        state.template.take(),
                    );
                    self.without(state, gone)
                }
                Next::EndTemplate => {
                    let gone = (std::mem::take(&mut state.spare), state.template.take());
                    self.without(state, gone)
                }
                Next::EndCopies => {
                    let gone = std::mem::take(&mut state.spare);
                    self.without(state, gone)
                }
                Next::Copy => {
                    let made = state.template.as_mut().map(|made| {
                        made.copies = made.copies.saturating_add(1);
                        (Arc::clone(&made.template), made.stamp)
                    });
                    drop(state);
                    let copied =
                        made.and_then(|(template, stamp)| Some((self.copy_of(template)?, stamp)));
                    let mut state = self.state();
                    state.spare.extend(copied);
                    state
                }
                Next::Start => {
                    drop(state);
                    let started = self.start();
                    let mut state = self.state();
                    match started {
                        Ok(one) => {
                            state.waiting.push_back(one);
                            state.failed = None;
                        }
                        Err(rejection) => {
                            let what = "no interpreter can wait for its run";
                            state.failed = Failed::again(state.failed, what, &rejection);
                        }
                    }
                    state
                }
                Next::StartTemplate => {
                    drop(state);
                    let started = self.start_template();
                    let mut state = self.state();
                    let gone = match started {
                        // That it is good for anything, its copies show.
                        Ok(made) => state.template.replace(made),
                        Err(rejection) => {
                            let what = "no interpreter can be a template";
                            state.template_failed =
                                Failed::again(state.template_failed, what, &rejection);
                            None
                        }
                    };
                    self.without(state, gone)
                }
            };
        }
    }

    /// Has something end while nobody waits for the state.
    fn without<'a, T>(&'a self, state: MutexGuard<'a, State>, gone: T) -> MutexGuard<'a, State> {
        drop(state);
        drop(gone);
        self.state()
    }

    fn start(&self) -> Result<(Armed, Stamp), Rejection> {
        let stamp = self.stamp()?;
        let mut armed = Armed::new(&self.engine)?;
        armed.warm_up(&self.engine, &self.interpreter, PATIENCE)?;
        Ok((armed, stamp))
    }

    fn start_template(&self) -> Result<Made, Rejection> {
        let stamp = self.stamp()?;
        let none = || Rejection::new(RejectKind::Unavailable, "there is no extension module");
        let library = self.library.as_ref().ok_or_else(none)?;
        let template = Template::start(&self.engine, &self.interpreter, library, PATIENCE)?;
        Ok(Made { template: Arc::new(template), stamp, copies: 0 })
    }

    /// What the interpreter's file is now.
    fn stamp(&self) -> Result<Stamp, Rejection> {
        let gone = || Rejection::new(RejectKind::NoInterpreter, "it is gone");
        Stamp::of(self.interpreter.exe()).ok_or_else(gone)
    }
}
