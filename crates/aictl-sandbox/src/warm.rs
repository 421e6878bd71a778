//! Interpreters that wait in their sandboxes for one run each, so that the run need not wait for
//! them.
//!
//! Each is started for itself, with a layout of its address space and a hash seed of its own, and
//! ends with its run: no run leaves anything for another. None is started before the first run asks
//! for one; after [`IDLE`](policy::IDLE) without a run, or when memory is short, those that wait end.
//! A run that finds none is started cold.

mod policy;
mod pressure;

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    engine::{Armed, Engine},
    interpreter::Interpreter,
    protocol::Rejection,
};
use policy::{Next, Situation};

/// How long an interpreter may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

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
    failed: Option<(u32, Instant)>,
}

/// The warm interpreters of one runtime.
pub struct Warm {
    interpreter: Interpreter,
    wanted: usize,
    state: Mutex<State>,
    changed: Condvar,
}

impl Warm {
    /// Has `wanted` interpreters wait, as soon as somebody asks for one.
    ///
    /// # Errors
    /// If the thread that starts them cannot be started.
    pub fn keep(
        engine: Arc<Engine>,
        interpreter: Interpreter,
        wanted: usize,
    ) -> io::Result<Arc<Self>> {
        let state = State { waiting: VecDeque::new(), asked: None, pressure: None, failed: None };
        let warm = Arc::new(Self {
            interpreter,
            wanted,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let keeper = Arc::clone(&warm);
        // Sandboxes end with the thread that made them: this one stays.
        thread::Builder::new().name("warm".to_owned()).spawn(move || keeper.work(&engine))?;
        let told = Arc::clone(&warm);
        pressure::watch(move || {
            told.state().pressure = Some(Instant::now());
            told.changed.notify_all();
        });
        Ok(warm)
    }

    /// One that waits, if there is one; the next is on its way.
    #[must_use]
    pub fn take(&self) -> Option<Armed> {
        let now = Stamp::of(self.interpreter.exe());
        let mut gone = Vec::new();
        let mut state = self.state();
        state.asked = Some(Instant::now());
        let taken = loop {
            match state.waiting.pop_front() {
                // Not of an interpreter that has been replaced since.
                Some((armed, stamp)) if Some(stamp) == now && armed.lives() => break Some(armed),
                Some(other) => gone.push(other),
                None => break None,
            }
        };
        drop(state);
        self.changed.notify_all();
        // Their end takes a moment, for which nobody else has to wait.
        drop(gone);
        taken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts and ends them, for ever.
    fn work(&self, engine: &Engine) {
        let mut state = self.state();
        loop {
            let ago = |moment: Instant| moment.elapsed();
            let situation = Situation {
                wanted: self.wanted,
                waiting: state.waiting.len(),
                asked: state.asked.map(ago),
                pressure: state.pressure.map(ago),
                failed: state.failed.map(|(times, last)| (times, ago(last))),
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
                    let gone = std::mem::take(&mut state.waiting);
                    drop(state);
                    drop(gone);
                    self.state()
                }
                Next::Start => {
                    drop(state);
                    let started = self.start(engine);
                    let mut state = self.state();
                    match started {
                        Ok(one) => {
                            state.waiting.push_back(one);
                            state.failed = None;
                        }
                        Err(rejection) => {
                            let times = state.failed.map_or(0, |(times, _)| times);
                            if times == 0 {
                                let why = rejection.message;
                                eprintln!("no interpreter can wait for its run: {why}");
                            }
                            state.failed = Some((times.saturating_add(1), Instant::now()));
                        }
                    }
                    state
                }
            };
        }
    }

    fn start(&self, engine: &Engine) -> Result<(Armed, Stamp), Rejection> {
        let stamp = Stamp::of(self.interpreter.exe());
        let mut armed = Armed::new(engine)?;
        armed.warm_up(engine, &self.interpreter, PATIENCE)?;
        let gone = || Rejection::new(crate::protocol::RejectKind::NoInterpreter, "it is gone");
        Ok((armed, stamp.ok_or_else(gone)?))
    }
}
