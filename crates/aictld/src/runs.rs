//! Runs of scripts: accepted from callers, begun in turn, handed to the keeper of the sandboxes
//! (aictl-sandboxd), and ended with their caller, whatever he was doing.
//!
//! Each has a task of its own. It waits for its turn, then for the run, and never for the caller:
//! one who does not read his output holds up his own run, until its time is up.

mod drive;
mod order;
pub mod queue;
mod record;
mod trial;

use std::{
    collections::HashMap,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};

use aictl_api::{
    config::Sandbox,
    error::CallError,
    record::{ListedRun, RunRecord},
};
use aictl_sandbox::{
    interpreter::Runtime,
    protocol::{Job, RequestId},
};
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    sync::{Notify, oneshot, watch},
    time,
};

pub use drive::Why;
pub use order::{Code, Order, check};
use queue::{Bounds, Full, Next, Queue};
pub use trial::Trial;

use crate::{
    audit,
    caller::{Caller, Seat},
    helper::Helper,
    limits::WAIT_FOR_ANOTHER,
    stream::{self, Outward},
};

/// Where the keeper of the sandboxes listens (aictl-sandboxd.socket).
pub const SOCKET: &str = "/run/aictl/sandboxd";
/// How long a record is kept that nobody fetches.
const KEEP: Duration = Duration::from_secs(60);
/// How long the bus may take over a signal.
const SIGNAL_TIME: Duration = Duration::from_secs(1);

/// What a run came to.
pub type Ended = Result<RunRecord, CallError>;

/// All runs.
#[derive(Debug)]
pub struct Runs {
    sandboxd: PathBuf,
    /// The machine's cores, as far as they are ours.
    cores: usize,
    /// How many can wait: each holds descriptors.
    waiting: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: Queue<String>,
    /// Those that are there, by their identifiers.
    runs: HashMap<String, Arc<Run>>,
    /// How each of those that wait is told that it begins.
    turns: HashMap<String, oneshot::Sender<Begin>>,
    /// When it is looked again who may begin.
    looks_again: Option<Instant>,
}

/// The word to a run that it begins.
#[derive(Debug, Clone, Copy)]
struct Begin {
    /// Whether it has waited behind others of its user's.
    waited: bool,
}

/// One run.
#[derive(Debug)]
pub struct Run {
    id: String,
    caller: Arc<Caller>,
    seat: Arc<Seat>,
    code: Code,
    runtime: Runtime,
    authorised: Duration,
    came: Instant,
    begun: AtomicBool,
    cancelled: watch::Sender<bool>,
    end: watch::Sender<Option<Ended>>,
    /// Whether somebody waits for its end.
    awaited: AtomicBool,
    fetched: Notify,
}

/// A run that was accepted, and begins once this is let go: its call is recorded first. Dropped
/// instead, it never begins.
#[derive(Debug)]
pub struct Ticket(oneshot::Sender<()>);

impl Ticket {
    /// Lets the run begin.
    pub fn let_go(self) {
        // One whose caller has gone does not listen any more.
        let _gone = self.0.send(());
    }
}

/// What the caller of an accepted run gets.
#[derive(Debug)]
pub struct Accepted {
    /// What the run is called.
    pub run: String,
    /// The end of a stream that its standard output comes out of.
    pub stdout: OwnedFd,
    /// The end of a stream that its standard error comes out of.
    pub stderr: OwnedFd,
    /// The end of a stream that it reads as its standard input, if it has one.
    pub stdin: Option<OwnedFd>,
    /// What it waits for, until it is let go.
    pub ticket: Option<Ticket>,
}

/// The answer to whoever names a run that there is not, or that is not his to know of: the same
/// words for both.
#[must_use]
pub fn no_such_run() -> CallError {
    CallError::InvalidArgument(
        "no such run: it is not one of this connection's, or its record was fetched already"
            .to_owned(),
    )
}

impl Runs {
    /// None yet; the keeper of the sandboxes listens at `sandboxd`.
    #[must_use]
    pub fn new(sandboxd: &Path) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let waiting = queue::room(descriptors);
        Self { sandboxd: sandboxd.to_owned(), cores, waiting, state: Mutex::default() }
    }

    /// How many there may be by this configuration.
    fn bounds(&self, config: &Sandbox) -> Bounds {
        Bounds {
            running: config.runs(),
            running_of_one: config.runs_per_user(),
            waiting_of_one: config.queue_per_user(),
            waiting: self.waiting,
            cores: self.cores,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many run, and how many wait.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.lock().queue.counts()
    }

    /// The run of this name, if it is one of this connection's.
    ///
    /// # Errors
    /// [`no_such_run`].
    pub fn of_seat(&self, id: &str, seat: &Arc<Seat>) -> Result<Arc<Run>, CallError> {
        let run = self.lock().runs.get(id).filter(|run| Arc::ptr_eq(&run.seat, seat)).cloned();
        run.ok_or_else(no_such_run)
    }

    /// The run of this name, whosever it is.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Run>> {
        self.lock().runs.get(id).cloned()
    }

    /// The runs that have not ended, the oldest first: of this user, or of all.
    #[must_use]
    pub fn list(&self, uid: Option<u32>) -> Vec<ListedRun> {
        let state = self.lock();
        let mut runs: Vec<_> = state
            .runs
            .values()
            .filter(|run| uid.is_none_or(|uid| run.uid() == uid) && run.end.borrow().is_none())
            .collect();
        runs.sort_by_key(|run| run.came);
        runs.into_iter().map(|run| run.listed()).collect()
    }
}

/// Has those begin whose turn it is, and looks again when the next may that is held back.
fn begin(helper: &Arc<Helper>, state: &mut State, bounds: Bounds) {
    loop {
        match state.queue.next(bounds, Instant::now()) {
            Next::Run { run, waited } => {
                if let Some(turn) = state.turns.remove(&run) {
                    // One that ends just now gives its place back itself.
                    let _ended = turn.send(Begin { waited });
                }
            }
            Next::In(pause) => {
                let at = Instant::now() + pause;
                if state.looks_again.is_none_or(|before| at < before) {
                    state.looks_again = Some(at);
                    tokio::spawn(begin_at(Arc::clone(helper), at));
                }
                return;
            }
            Next::Nothing => return,
        }
    }
}

async fn begin_at(helper: Arc<Helper>, at: Instant) {
    time::sleep_until(at.into()).await;
    let bounds = helper.runs.bounds(&helper.policies.now().sandbox);
    let mut state = helper.runs.lock();
    state.looks_again.take_if(|next| *next <= at);
    begin(&helper, &mut state, bounds);
}

/// A run that somebody asks for: others' further ones keep out of its way from now on, until this is
/// dropped.
#[derive(Debug)]
pub struct Coming {
    helper: Arc<Helper>,
    uid: u32,
}

/// Somebody asks for a run.
#[must_use]
pub fn expect(helper: &Arc<Helper>, uid: u32) -> Coming {
    helper.runs.lock().queue.expect(uid, Instant::now());
    Coming { helper: Arc::clone(helper), uid }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let bounds = self.helper.runs.bounds(&self.helper.policies.now().sandbox);
        let mut state = self.helper.runs.lock();
        state.queue.came(self.uid);
        begin(&self.helper, &mut state, bounds);
    }
}

impl Run {
    /// Whose it is.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.caller.uid
    }

    /// Ends it.
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    fn listed(&self) -> ListedRun {
        let state = if self.begun.load(SeqCst) { "running" } else { "queued" };
        ListedRun {
            run: self.id.clone(),
            caller_uid: self.uid(),
            state: state.to_owned(),
            runtime: self.runtime.name().to_owned(),
            profile: self.code.profile.to_owned(),
            code_sha256: self.code.sha256.clone(),
            age_usec: u64::try_from(self.came.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Waits for its end, and fetches its record.
    ///
    /// # Errors
    /// Why there is none, or that somebody waits for it already.
    pub async fn wait(&self) -> Result<RunRecord, CallError> {
        if self.awaited.swap(true, SeqCst) {
            return Err(CallError::Refused("this run is waited for already".to_owned()));
        }
        let mut end = self.end.subscribe();
        // The sender is this run's own: it is not dropped before us.
        let ended = end.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        self.fetched.notify_one();
        ended.unwrap_or_else(|| Err(no_such_run()))
    }

    /// Waits until there is a reason to end it.
    async fn stopped(&self, helper: &Helper) -> Why {
        let mut cancelled = self.cancelled.subscribe();
        tokio::select! {
            biased;
            () = self.seat.gone() => Why::Gone,
            // The sender is this run's own: it is not dropped before us.
            _ = cancelled.wait_for(|cancelled| *cancelled) => Why::Asked,
            () = helper.draining() => Why::HelperEnds,
        }
    }
}

/// Takes a run, which is counted from here on.
///
/// # Errors
/// [`CallError::LimitExceeded`] if there are too many.
pub fn accept(
    helper: &Arc<Helper>,
    seat: &Arc<Seat>,
    caller: &Arc<Caller>,
    id: &str,
    order: Order,
    config: &Sandbox,
) -> Result<Accepted, CallError> {
    let request_id = RequestId::try_from(id.to_owned())
        .map_err(|_| CallError::Unavailable("the run has no name".to_owned()))?;
    let (stdout, to_stdout) = new_stream()?;
    let (stderr, to_stderr) = new_stream()?;
    let (stdin, from_stdin) = match order.stdin {
        true => stream::inward().map(|(theirs, ours)| (Some(theirs), Some(ours))),
        false => Ok((None, None)),
    }
    .map_err(no_room)?;
    let run = Arc::new(Run {
        id: id.to_owned(),
        caller: Arc::clone(caller),
        seat: Arc::clone(seat),
        code: order.code.clone(),
        runtime: order.runtime,
        authorised: order.authorised,
        came: Instant::now(),
        begun: AtomicBool::new(false),
        cancelled: watch::Sender::new(false),
        end: watch::Sender::new(None),
        awaited: AtomicBool::new(false),
        fetched: Notify::new(),
    });
    let (turn, my_turn) = oneshot::channel();
    let (go, may_go) = oneshot::channel();
    {
        let mut state = helper.runs.lock();
        let (name, bounds) = (id.to_owned(), helper.runs.bounds(config));
        let pushed = state.queue.push(caller.uid, name, order.bytes(), bounds, Instant::now());
        pushed.map_err(|full| {
            let what = match full {
                Full::Mine => "too many of your runs wait for their turn",
                Full::All => "too many runs wait for their turn",
            };
            CallError::limit_exceeded(what, WAIT_FOR_ANOTHER)
        })?;
        state.runs.insert(id.to_owned(), Arc::clone(&run));
        state.turns.insert(id.to_owned(), turn);
        begin(helper, &mut state, bounds);
    }
    let Order { script, name, runtime, args, profile, limits, want_result, .. } = order;
    let warm = config.warm();
    let job = Job {
        request_id,
        name,
        runtime,
        args,
        limits,
        profile,
        want_result,
        stdin: from_stdin.is_some(),
        user: Some(caller.uid),
        patient: false,
        warm,
    };
    let errand =
        drive::Errand { job, script, stdin: from_stdin, stdout: to_stdout, stderr: to_stderr };
    let stay = seat.stay();
    let in_use = helper.activity.begin();
    let helper = Arc::clone(helper);
    tokio::spawn(async move {
        live(&helper, &run, errand, may_go, my_turn).await;
        drop((stay, in_use));
    });
    Ok(Accepted { run: id.to_owned(), stdout, stderr, stdin, ticket: Some(Ticket(go)) })
}

/// A stream to the caller: his end, and ours.
fn new_stream() -> Result<(OwnedFd, Outward), CallError> {
    stream::outward().map_err(no_room)
}

fn no_room(_error: io::Error) -> CallError {
    CallError::Unavailable("the helper has no room for another run; try again later".to_owned())
}

/// A run from its acceptance until it is forgotten.
async fn live(
    helper: &Arc<Helper>,
    run: &Arc<Run>,
    mut errand: drive::Errand,
    may_go: oneshot::Receiver<()>,
    my_turn: oneshot::Receiver<Begin>,
) {
    // Its call could not be recorded, or its caller did not wait for that.
    if may_go.await.is_err() {
        leave(helper, run);
        helper.runs.lock().runs.remove(&run.id);
        return;
    }
    let waits = Instant::now();
    let mut stopped = std::pin::pin!(run.stopped(helper));
    let begins = tokio::select! {
        biased;
        why = &mut stopped => Err(why),
        begin = my_turn => Ok(begin.is_ok_and(|begin| begin.waited)),
    };
    let (ended, rest) = match begins {
        Ok(waited) => {
            run.begun.store(true, SeqCst);
            errand.job.patient = waited;
            let queued = waits.elapsed();
            let drive = async {
                let begins = Instant::now();
                let done = drive::drive(&helper.runs.sandboxd, errand, stopped).await;
                (done, begins.elapsed())
            };
            // Nobody's run waits until all have heard of it.
            let ((done, engine), ()) = tokio::join!(drive, tell(helper, "Started", run));
            note(helper, |queue| queue.over(run.uid(), Instant::now()));
            let times = record::times(run.authorised, queued, engine);
            let (came_to, rest) = done;
            let finished = |(record, why)| record::finished(run, record, why, times);
            if rest.is_none() {
                note(helper, |queue| queue.gone(run.uid()));
            }
            (came_to.and_then(finished), rest)
        }
        Err(why) => {
            drop(errand);
            leave(helper, run);
            (Ok(record::never_begun(run, why)), None)
        }
    };
    let record = audit::ran(&audit::Ran {
        request_id: &run.id,
        uid: run.caller.uid,
        pid: run.caller.pid,
        caller_unit: run.caller.known_unit(),
        code: &run.code,
        ended: &ended,
        duration: run.came.elapsed(),
    });
    let tell_all = async {
        // It is over, whether or not that can be recorded.
        let _lost = helper.journal.write(&record).await;
        run.end.send_replace(Some(ended));
        tell(helper, "Ended", run).await;
        tokio::select! {
            () = time::sleep(KEEP) => {}
            () = run.fetched.notified() => {}
            () = run.seat.gone() => {}
            () = helper.draining() => {}
        }
        helper.runs.lock().runs.remove(&run.id);
    };
    tokio::join!(tell_all, clear(helper, run, rest));
}

/// Gives the place of a run that is over to the next, once the keeper holds nothing of it any more:
/// for that nobody waits who waits for the run. Who has it hold something does without that place
/// for as long.
async fn clear(helper: &Arc<Helper>, run: &Run, rest: Option<drive::Rest>) {
    let Some(rest) = rest else { return };
    tokio::select! {
        () = rest.is_gone() => {}
        () = helper.draining() => {}
    }
    note(helper, |queue| queue.gone(run.uid()));
}

/// Gives the place of a run that has not begun to the next.
fn leave(helper: &Arc<Helper>, run: &Run) {
    let mut state = helper.runs.lock();
    state.turns.remove(&run.id);
    drop(state);
    note(helper, |queue| queue.leave(run.uid(), &run.id, Instant::now()));
}

/// Has the queue take note of something, and those begin whose turn it is then.
fn note(helper: &Arc<Helper>, what: impl FnOnce(&mut Queue<String>)) {
    let bounds = helper.runs.bounds(&helper.policies.now().sandbox);
    let mut state = helper.runs.lock();
    what(&mut state.queue);
    begin(helper, &mut state, bounds);
}

async fn tell(helper: &Helper, member: &str, run: &Run) {
    // Who listens is not known, and nobody is owed it.
    let _late = time::timeout(SIGNAL_TIME, helper.tell_of_run(member, &run.id)).await;
}
