//! The making of a sandbox, as seen from outside: first all that every sandbox has, which then
//! stands ready; then, with a job, all that only this one has.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use aictl_api::{limits::Limits, run::Start};
use nix::{errno::Errno, sys::socket::MsgFlags};

use super::{
    Engine, MAX_RESULT, cgroup, child,
    input::{Input, Source},
    load::{Load, Order},
    pipes::{self, Output, Pipe},
    plan::{self, Ends, Plan, Roots, Tree},
    script::Script,
    shares::Share,
    step::{SetupError, Step},
    template::Template,
    usage::ProcMeter,
};
use crate::{
    interpreter::Interpreter,
    protocol::{Job, RejectKind, Rejection},
    socket,
    sys::{self, Rusage, SharedPage, StatusBoard},
    weaken,
};

pub fn unavailable(what: &str) -> impl FnOnce(io::Error) -> Rejection {
    move |error| {
        let advice = advice(&error);
        Rejection::new(RejectKind::Unavailable, format!("{what}: {error}{advice}"))
    }
}

/// What can be done about it, where that is known.
fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EMFILE) => "; raise the limit on open files (ulimit -n)",
        Some(libc::ENFILE) => "; too many files are open on this machine: try again later",
        Some(libc::EAGAIN) => "; raise the limit on processes (ulimit -u), or try again later",
        Some(libc::ENOMEM) => "; this machine is short of memory: try again later",
        _ => "",
    }
}

/// A sandbox's first process, from outside.
pub struct First(OwnedFd);

impl First {
    /// The process behind this descriptor, from now on tied to us.
    pub const fn of(pidfd: OwnedFd) -> Self {
        Self(pidfd)
    }

    /// Waits for its end; what it used, if it is a child of ours that nobody has waited for.
    fn reap(&self) -> Option<Rusage> {
        let reaped = sys::reap(self.0.as_fd()).ok();
        if reaped.is_none() {
            socket::wait_for_end(self.0.as_fd());
        }
        reaped
    }
}

/// Whatever happens to its supervisor, no sandbox outlives it.
impl Drop for First {
    fn drop(&mut self) {
        sys::pidfd_kill(self.0.as_fd());
        self.reap();
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
    /// The program's ends.
    fn ends(&self) -> Ends {
        let stdio = [&self.stdin, &self.stdout, &self.stderr];
        Ends {
            stdio: stdio.map(|pipe| pipe.theirs.as_raw_fd()),
            result: self.result.theirs.as_raw_fd(),
        }
    }

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

/// A sandbox as such, without the streams of a job, seen from outside.
pub struct Frame {
    pub first: First,
    pub load: Load,
    pub board: SharedPage<StatusBoard>,
    /// Our end of the sockets through which it is told that the job has come, and through which its
    /// /proc, /work and /tmp arrive.
    pub door: OwnedFd,
    /// The template of which its interpreter is a copy; without that it would end.
    pub _template: Option<Arc<Template>>,
}

impl Frame {
    /// Has the kernel begin to make a sandbox, in this control group. What fails shows when a job is
    /// to run.
    pub fn new(
        engine: &Engine,
        ends: Ends,
        into: Option<BorrowedFd<'_>>,
        kind: Kind,
    ) -> Result<Self, Rejection> {
        let meeting = socket::pair().map_err(unavailable("a socket"))?;
        let door = socket::pair().map_err(unavailable("a socket"))?;
        let memory = |errno| unavailable("shared memory")(sys::io_error(errno));
        let load = Load::new().map_err(memory)?;
        let board = SharedPage::new().map_err(memory)?;
        let common = engine.common();
        let plan = Tree::shared(common.memory)
            .and_then(|tree| Plan::new(&common, tree, ends, load, board));
        let mut plan = plan.map_err(|(what, error)| unavailable(what)(error))?;
        plan.meeting = [&meeting.0, &meeting.1].map(AsRawFd::as_raw_fd);
        plan.door = [&door.0, &door.1].map(AsRawFd::as_raw_fd);
        let mut namespaces = Engine::namespaces();
        if kind == Kind::Template {
            // What these forbid, its copies have to do, and take on themselves afterwards.
            plan.landlock = None;
            plan.filters = None;
            namespaces &= !sys::NEW_CGROUP;
        }
        let first = sys::clone_process(namespaces, into, child::first_process, &mut plan);
        let first = first.map_err(cannot_clone)?;
        // What the plan was for has been done with it.
        let Plan { load, board, .. } = plan;
        Ok(Self { first: First(first.pidfd), load, board, door: door.0, _template: None })
    }

    /// Gives the sandbox an order.
    pub fn tell(&mut self, order: &Order<'_>) -> Result<(), Rejection> {
        let written = self.load.write(order).map_err(sys::io_error);
        written.map_err(unavailable("shared memory"))?;
        socket::try_send(self.door.as_fd(), b"!").map_err(|error| self.ended(&error))
    }

    /// Waits until the sandbox says that its program waits; returns what watches it, if anything
    /// has to.
    pub fn wait_for_program(&mut self, patience: Duration) -> Result<Option<ProcMeter>, Rejection> {
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
                .map_err(unavailable("a sandbox's word"))?;
            if packet.bytes == child::READY {
                return Ok(meter);
            }
            let mut fds = packet.fds.into_iter();
            match fds.next() {
                Some(proc_dir) => meter = Some(ProcMeter::new(proc_dir, fds.collect())),
                None => return Err(self.ended(&io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    /// Why the sandbox has ended: its board says so, unless it was killed.
    fn ended(&self, error: &io::Error) -> Rejection {
        let cause = self.setup_error().map_or_else(|| error.to_string(), |e| e.to_string());
        Rejection::new(RejectKind::Unavailable, cause)
    }

    /// What went wrong in the making, if anything did.
    pub fn setup_error(&self) -> Option<SetupError> {
        let board = self.board.get();
        let step = Step::from_number(board.failed_step.load(SeqCst))?;
        Some(SetupError { step, errno: Errno::from_raw(board.errno.load(SeqCst)) })
    }

    /// Whether its first process lives. One whose interpreter waits ends when that ends.
    pub fn lives(&self) -> bool {
        !socket::wait_readable(self.pidfd(), Duration::ZERO)
    }

    /// A descriptor for its first process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.first.0.as_fd()
    }

    /// Ends it, if it has not ended yet; what all of it used, as far as that is known.
    pub fn end(&self) -> Rusage {
        sys::pidfd_kill(self.pidfd());
        // Whose first process is no child of ours, has left word unless it was killed.
        self.first.reap().unwrap_or_else(|| self.used())
    }

    /// What all of it had used when its program came into its end, if that is known.
    pub fn used(&self) -> Rusage {
        let board = self.board.get();
        Rusage {
            cpu: Duration::from_micros(board.cpu.load(SeqCst)),
            max_rss: board.max_rss.load(SeqCst),
        }
    }
}

/// What a sandbox is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For one job.
    Job,
    /// For an interpreter whose copies get jobs.
    Template,
}

/// A sandbox's first process could not be made. Where a security module forbade it, the words say what
/// this process is to AppArmor: a profile with its mode.
pub fn cannot_clone(errno: Errno) -> Rejection {
    let error = SetupError { step: Step::Clone, errno };
    let label = match errno {
        Errno::EACCES => fs::read_to_string("/proc/self/attr/apparmor/current").ok(),
        _ => None,
    };
    Rejection::new(
        RejectKind::Unavailable,
        match label {
            Some(label) => format!("{error}; AppArmor calls this process {}", label.trim()),
            None => error.to_string(),
        },
    )
}

/// A sandbox that waits for its job. It ends with this value, and with the thread that made it.
pub struct Armed {
    frame: Frame,
    pipes: Pipes,
    group: Option<cgroup::Group>,
    /// What is known of it once its interpreter waits as well.
    ready: Option<Ready>,
}

/// A sandbox whose interpreter waits for the job.
struct Ready {
    start: Start,
    meter: Option<ProcMeter>,
}

/// What every sandbox for a job begins with, whoever makes it: that no layer is missing which must
/// not be, pipes, and a control group of its own where there can be one.
fn begin(engine: &Engine) -> Result<(Pipes, Option<cgroup::Group>), Rejection> {
    engine.check_layers()?;
    let pipes = Pipes::new().map_err(unavailable("a pipe"))?;
    let group = engine.cgroup.as_ref().map(cgroup::Delegated::group).transpose();
    Ok((pipes, group.map_err(unavailable("a control group"))?))
}

impl Armed {
    /// Has the kernel begin to make a sandbox. What fails shows when a job is to run.
    ///
    /// # Errors
    /// If something that it is made of is not to be had, such as a layer that must not be missing;
    /// then nothing was started.
    pub fn new(engine: &Engine) -> Result<Self, Rejection> {
        let (pipes, group) = begin(engine)?;
        let into = group.as_ref().and_then(cgroup::Group::dir);
        let frame = Frame::new(engine, pipes.ends(), into, Kind::Job)?;
        Ok(Self { frame, pipes, group, ready: None })
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
        let roots = Roots::new(interpreter, &engine.staged)
            .map_err(unavailable("the interpreter's directory"))?;
        let program = plan::waiting_program(interpreter).map_err(unavailable("the program"))?;
        self.frame.tell(&Order {
            dirs: &roots.dirs,
            binds: &roots.binds,
            exe: &program.exe,
            args: &program.args,
            environment: &program.environment,
            stdin: true,
            result: true,
            waits: true,
            ..Order::default()
        })?;
        let meter = self.frame.wait_for_program(patience)?;
        self.ready = Some(Ready { start: Start::Warm, meter });
        Ok(())
    }

    /// Has a template make a copy of its interpreter, in a sandbox of its own, and waits until that
    /// waits for a job.
    ///
    /// # Errors
    /// If it cannot be made, or is not ready within `patience`.
    pub fn of_template(
        engine: &Engine,
        template: &Arc<Template>,
        patience: Duration,
    ) -> Result<Self, Rejection> {
        let (pipes, group) = begin(engine)?;
        let into = group.as_ref().and_then(cgroup::Group::dir);
        let ends = [&pipes.stdin, &pipes.stdout, &pipes.stderr, &pipes.result];
        let ends = ends.map(|pipe| pipe.theirs.as_fd());
        let mut frame = template.copy(engine, ends, into, patience)?;
        let meter = frame.wait_for_program(patience)?;
        Ok(Self { frame, pipes, group, ready: Some(Ready { start: Start::Forked, meter }) })
    }

    /// Whether its first process lives. One whose interpreter waits ends when that ends.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.frame.lives()
    }

    /// The id of its first process.
    #[cfg(test)]
    pub fn first_process(&self) -> i32 {
        use std::io::BufRead;
        let info = format!("/proc/self/fdinfo/{}", self.frame.pidfd().as_raw_fd());
        let lines = io::BufReader::new(fs::File::open(info).unwrap()).lines();
        let pid = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("Pid:")?.trim().to_owned()));
        pid.unwrap().parse().unwrap()
    }

    /// Waits until its first process has ended.
    #[cfg(test)]
    pub fn wait_for_its_end(&self) {
        assert!(socket::wait_readable(self.frame.pidfd(), Duration::from_secs(60)));
    }

    /// How the interpreter of its job will have been started.
    #[must_use]
    pub fn kind(&self) -> Start {
        self.ready.as_ref().map_or(Start::Cold, |ready| ready.start)
    }

    /// Has the sandbox run a job.
    ///
    /// # Errors
    /// If the job cannot be brought into it; then it ends.
    pub fn start(mut self, engine: &Engine, task: Task<'_>) -> Result<Sandbox, Rejection> {
        let job = task.job;
        let prepare = unavailable("a control group");
        let share = self.limit(engine, job).map_err(prepare)?;
        // A control group has its part of the CPU instead.
        let goes_after = job.patient || share.as_ref().is_some_and(Share::yields);
        let yields = self.group.is_none() && goes_after;
        self.write(engine, &task, yields)?;
        let limit = if weaken::off("output") { u64::MAX } else { job.limits.output() };
        let Self { frame, pipes, group, ready } = self;
        let input = task.stdin.map(|from| Input::pump(from, pipes.stdin.ours)).transpose();
        // The program's ends of the pipes close here, as they go out of scope.
        Ok(Sandbox {
            expected: match &ready {
                None if group.is_none() => Expected::Proc,
                _ => Expected::End,
            },
            waited: ready.is_some(),
            frame,
            meter: ready.and_then(|ready| ready.meter),
            _share: share,
            group,
            stdout: Output::new(pipes.stdout.ours, limit),
            stderr: Output::new(pipes.stderr.ours, limit),
            result: job.want_result.then(|| Output::new(pipes.result.ours, MAX_RESULT)),
            _input: input.map_err(unavailable("a thread for standard input"))?,
        })
    }

    /// Sets the limits of a job, and gives it its part of what its user has.
    fn limit(&self, engine: &Engine, job: &Job) -> io::Result<Option<Share>> {
        let group = self.group.as_ref();
        group.map(|group| group.limit(&job.limits)).transpose()?;
        job.user.map(|user| engine.shares.join(user, group, job.patient)).transpose()
    }

    /// Writes the job down for the sandbox, and tells it.
    fn write(&mut self, engine: &Engine, task: &Task<'_>, yields: bool) -> Result<(), Rejection> {
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
            yields,
            ..Order::default()
        };
        if self.ready.is_some() {
            return self
                .frame
                .tell(&Order { message: &plan::message(job, engine.memory()), ..of_job });
        }
        let roots = Roots::new(interpreter, &engine.staged)
            .map_err(prepare("the interpreter's directory"))?;
        let program = plan::program(job, interpreter).map_err(prepare("the program"))?;
        self.frame.tell(&Order {
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
}

/// What comes from a sandbox, besides its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Its /proc, /work and /tmp, where nothing else counts what it uses; and then its end.
    Proc,
    /// That nobody is left in it but its first process.
    End,
    /// Nothing.
    Nothing,
}

/// A sandbox that runs a job, from outside.
pub struct Sandbox {
    pub frame: Frame,
    /// What is still to come from it.
    pub expected: Expected,
    /// Whether its interpreter has waited for the job.
    pub waited: bool,
    pub meter: Option<ProcMeter>,
    /// Given back before its group goes.
    pub _share: Option<Share>,
    pub group: Option<cgroup::Group>,
    pub stdout: Output,
    pub stderr: Output,
    pub result: Option<Output>,
    /// What brings standard input into it, while it is there.
    _input: Option<Input>,
}
