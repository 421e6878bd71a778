//! The making of a sandbox, as seen from outside: first all that every sandbox has, which then
//! stands ready; then, with a job, all that only this one has.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use aictl_api::{limits::Limits, run::Start};
use nix::{errno::Errno, sys::socket::MsgFlags};

use super::{
    Engine, MAX_RESULT, cgroup, child,
    input::{Input, Source},
    landlock,
    load::{Load, Order},
    pipes::{self, Output, Pipe},
    plan::{self, Plan, Roots, Tree},
    script::Script,
    seccomp::Filters,
    step::{SetupError, Step},
    usage::ProcMeter,
};
use crate::{
    interpreter::Interpreter,
    protocol::{Job, RejectKind, Rejection},
    socket,
    sys::{self, SharedPage, StatusBoard},
    weaken,
};

fn unavailable(what: &str) -> impl FnOnce(io::Error) -> Rejection {
    move |error| Rejection::new(RejectKind::Unavailable, format!("{what}: {error}"))
}

/// A sandbox's first process, from outside.
struct First(OwnedFd);

/// Whatever happens to its supervisor, no sandbox outlives it.
impl Drop for First {
    fn drop(&mut self) {
        sys::pidfd_kill(self.0.as_fd());
        // Reaped already, if it ended in good order.
        let _reaped = sys::reap(self.0.as_fd());
    }
}

/// The pipes between a sandbox and its supervisor.
struct Pipes {
    stdin: Pipe,
    stdout: Pipe,
    stderr: Pipe,
    result: Pipe,
}

impl Pipes {
    fn new() -> io::Result<Self> {
        Ok(Self {
            stdin: pipes::inward()?,
            stdout: pipes::outward()?,
            stderr: pipes::outward()?,
            result: pipes::outward()?,
        })
    }
}

/// What is to be run, and with what.
pub struct Task<'a> {
    /// The job.
    pub job: &'a Job,
    /// Its script.
    pub script: &'a Script,
    /// What runs it.
    pub interpreter: &'a Interpreter,
    /// Where its standard input comes from.
    pub stdin: Option<Source>,
}

/// A sandbox that waits for its job. It ends with this value, and with the thread that made it.
pub struct Armed {
    first: First,
    plan: Plan,
    pipes: Pipes,
    group: Option<cgroup::Group>,
    /// Our end of the sockets through which it is told that the job has come.
    door: OwnedFd,
    /// What is known of it once its interpreter waits as well.
    ready: Option<Ready>,
}

/// A sandbox whose interpreter waits for the job.
struct Ready {
    meter: Option<ProcMeter>,
}

impl Armed {
    /// Has the kernel begin to make a sandbox. What fails shows when a job is to run.
    ///
    /// # Errors
    /// If something that it is made of is not to be had, such as a layer that must not be missing;
    /// then nothing was started.
    pub fn new(engine: &Engine) -> Result<Self, Rejection> {
        engine.check_layers()?;
        let pipes = Pipes::new().map_err(unavailable("a pipe"))?;
        let group = engine.cgroup.as_ref().map(cgroup::Delegated::group).transpose();
        let group = group.map_err(unavailable("a control group"))?;
        let meeting = socket::pair().map_err(unavailable("a socket"))?;
        let door = socket::pair().map_err(unavailable("a socket"))?;
        let mut plan = make_plan(engine, &pipes)?;
        plan.meeting = [&meeting.0, &meeting.1].map(AsRawFd::as_raw_fd);
        plan.door = [&door.0, &door.1].map(AsRawFd::as_raw_fd);
        // A control group counts by itself; without one, somebody has to look.
        plan.watched = group.is_none();
        let into = group.as_ref().and_then(cgroup::Group::dir);
        let namespaces = Engine::namespaces();
        let first = sys::clone_process(namespaces, into, child::first_process, &mut plan);
        let first = first.map_err(|errno| {
            Rejection::new(RejectKind::Unavailable, SetupError { step: Step::Clone, errno })
        })?;
        Ok(Self { first: First(first.pidfd), plan, pipes, group, door: door.0, ready: None })
    }

    /// Starts a Python interpreter in it, which then waits for a job too, and waits until it does.
    /// Nothing comes from outside while it starts.
    ///
    /// # Errors
    /// If it cannot be started, or is not ready within `patience`.
    pub fn warm_up(
        &mut self,
        engine: &Engine,
        interpreter: &Interpreter,
        patience: Duration,
    ) -> Result<(), Rejection> {
        let prepare = unavailable;
        let roots = Roots::new(interpreter, &engine.staged)
            .map_err(prepare("the interpreter's directory"))?;
        let program = plan::waiting_program(interpreter).map_err(prepare("the program"))?;
        let order = Order {
            dirs: &roots.dirs,
            binds: &roots.binds,
            exe: &program.exe,
            args: &program.args,
            environment: &program.environment,
            stdin: true,
            result: true,
            waits: true,
            ..Order::default()
        };
        self.tell(&order)?;
        let deadline = Instant::now() + patience;
        let mut meter = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !socket::wait_readable(self.door.as_fd(), left) {
                return Err(Rejection::new(
                    RejectKind::Unavailable,
                    "an interpreter took too long to start",
                ));
            }
            let packet = socket::receive(self.door.as_fd(), MsgFlags::MSG_DONTWAIT)
                .map_err(prepare("a sandbox's word"))?;
            if packet.bytes == child::READY {
                break;
            }
            let mut fds = packet.fds.into_iter();
            match fds.next() {
                Some(proc_dir) => meter = Some(ProcMeter::new(proc_dir, fds.collect())),
                None => return Err(self.ended(&io::ErrorKind::BrokenPipe.into())),
            }
        }
        self.ready = Some(Ready { meter });
        Ok(())
    }

    /// Whether its first process lives. One whose interpreter waits ends when that ends.
    #[must_use]
    pub fn lives(&self) -> bool {
        !socket::wait_readable(self.first.0.as_fd(), Duration::ZERO)
    }

    /// The id of its first process.
    #[cfg(test)]
    pub fn first_process(&self) -> i32 {
        use std::io::BufRead;
        let info = format!("/proc/self/fdinfo/{}", self.first.0.as_raw_fd());
        let lines = io::BufReader::new(std::fs::File::open(info).unwrap()).lines();
        let pid = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("Pid:")?.trim().to_owned()));
        pid.unwrap().parse().unwrap()
    }

    /// Waits until its first process has ended.
    #[cfg(test)]
    pub fn wait_for_its_end(&self) {
        assert!(socket::wait_readable(self.first.0.as_fd(), Duration::from_secs(60)));
    }

    /// How the interpreter of its job will have been started.
    #[must_use]
    pub fn kind(&self) -> Start {
        if self.ready.is_some() { Start::Warm } else { Start::Cold }
    }

    /// Has the sandbox run a job.
    ///
    /// # Errors
    /// If the job cannot be brought into it; then it ends.
    pub fn start(mut self, engine: &Engine, task: Task<'_>) -> Result<Sandbox, Rejection> {
        let job = task.job;
        if let Some(group) = &self.group {
            group.limit(&job.limits).map_err(unavailable("a control group"))?;
        }
        self.write(engine, &task)?;
        let limit = if weaken::off("output") { u64::MAX } else { job.limits.output() };
        let Self { first, plan, pipes, group, door, ready } = self;
        let input = task.stdin.map(|from| Input::pump(from, pipes.stdin.ours)).transpose();
        // The program's ends of the pipes close here, as they go out of scope.
        Ok(Sandbox {
            pidfd: first,
            watch: (plan.watched && ready.is_none()).then_some(door),
            plan,
            meter: ready.and_then(|ready| ready.meter),
            group,
            stdout: Output::new(pipes.stdout.ours, limit),
            stderr: Output::new(pipes.stderr.ours, limit),
            result: job.want_result.then(|| Output::new(pipes.result.ours, MAX_RESULT)),
            _input: input.map_err(unavailable("a thread for standard input"))?,
        })
    }

    /// Writes the job down for the sandbox, and tells it.
    fn write(&mut self, engine: &Engine, task: &Task<'_>) -> Result<(), Rejection> {
        let prepare = unavailable;
        let &Task { job, script, interpreter, .. } = task;
        let scratch = (job.limits.work() != Limits::default().work())
            .then(|| plan::scratch_options(job.limits.work()))
            .transpose()
            .map_err(prepare("a tmpfs"))?;
        let path = plan::script_path(&job.name).map_err(prepare("the script's name"))?;
        let rlimits = plan::rlimits(&job.limits, self.group.is_some());
        let of_job = Order {
            scratch: scratch.as_deref(),
            script: &path,
            text: script.text(),
            rlimits: if weaken::off("rlimits") { &[] } else { &rlimits },
            ..Order::default()
        };
        if self.ready.is_some() {
            return self.tell(&Order { message: &plan::message(job), ..of_job });
        }
        let roots = Roots::new(interpreter, &engine.staged)
            .map_err(prepare("the interpreter's directory"))?;
        let program = plan::program(job, interpreter).map_err(prepare("the program"))?;
        self.tell(&Order {
            dirs: &roots.dirs,
            binds: &roots.binds,
            exe: &program.exe,
            args: &program.args,
            environment: &program.environment,
            stdin: task.stdin.is_some(),
            result: job.want_result,
            ..of_job
        })
    }

    /// Gives the sandbox an order.
    fn tell(&mut self, order: &Order<'_>) -> Result<(), Rejection> {
        let written = self.plan.load.write(order).map_err(sys::io_error);
        written.map_err(unavailable("shared memory"))?;
        socket::try_send(self.door.as_fd(), b"!").map_err(|error| self.ended(&error))
    }

    /// Why the sandbox has ended: its board says so, unless it was killed.
    fn ended(&self, error: &io::Error) -> Rejection {
        let cause = setup_error(&self.plan).map_or_else(|| error.to_string(), |e| e.to_string());
        Rejection::new(RejectKind::Unavailable, cause)
    }
}

/// A sandbox that runs a job, from outside.
pub struct Sandbox {
    pidfd: First,
    pub plan: Plan,
    /// Where the sandbox's /proc, /work and /tmp arrive.
    pub watch: Option<OwnedFd>,
    pub meter: Option<ProcMeter>,
    pub group: Option<cgroup::Group>,
    pub stdout: Output,
    pub stderr: Output,
    pub result: Option<Output>,
    /// What brings standard input into it, while it is there.
    _input: Option<Input>,
}

impl Sandbox {
    /// A descriptor for the sandbox's first process.
    pub fn pidfd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pidfd.0.as_fd()
    }
}

/// What went wrong in the making, if anything did.
pub fn setup_error(plan: &Plan) -> Option<SetupError> {
    use std::sync::atomic::Ordering::SeqCst;
    let board = plan.board.get();
    let step = Step::from_number(board.failed_step.load(SeqCst))?;
    Some(SetupError { step, errno: Errno::from_raw(board.errno.load(SeqCst)) })
}

/// Works out all that the processes of a sandbox need before there is a job.
fn make_plan(engine: &Engine, pipes: &Pipes) -> Result<Plan, Rejection> {
    let prepare = unavailable;
    let tree = match weaken::off("mount-ns") {
        true => None,
        false => Some(Tree::new(engine.memory()).map_err(prepare("the sandbox's files"))?),
    };
    let mounts = tree.as_ref().map_or(0, |tree| tree.binds.len() + tree.devices.len());
    let (uid_map, gid_map) = plan::id_maps(engine.identity);
    let landlock = match weaken::off("landlock") || engine.landlock.is_none() {
        true => None,
        false => Some(landlock::ruleset().map_err(|error| {
            Rejection::new(RejectKind::Unavailable, format!("Landlock: {error}"))
        })?),
    };
    Ok(Plan {
        work: CString::new(plan::work_dir()).map_err(|e| prepare("a path")(e.into()))?,
        host_proc: weaken::off("pid-ns"),
        tree,
        detached: (0..mounts).map(|_| None).collect(),
        uid_map,
        gid_map,
        null: engine.null.as_raw_fd(),
        stdio: [&pipes.stdin, &pipes.stdout, &pipes.stderr].map(|pipe| pipe.theirs.as_raw_fd()),
        result: pipes.result.theirs.as_raw_fd(),
        door: [-1, -1],
        watched: false,
        meeting: [-1, -1],
        separate_network: !weaken::off("net-ns"),
        parent: engine.own_pidfd.as_raw_fd(),
        landlock,
        filters: (!weaken::off("seccomp")).then(|| Filters::of(engine.memory())),
        drop_privileges: !weaken::off("no-new-privs"),
        load: Load::new().map_err(sys::io_error).map_err(prepare("shared memory"))?,
        board: SharedPage::<StatusBoard>::new()
            .map_err(sys::io_error)
            .map_err(prepare("shared memory"))?,
        begun: Instant::now(),
    })
}
