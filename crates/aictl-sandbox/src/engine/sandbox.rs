//! The making of a sandbox, as seen from outside: its pipes, its control group, its plan, and the
//! clone that brings it to life.

use std::{
    ffi::CString,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use super::{
    Engine, MAX_RESULT, cgroup, child, landlock,
    pipes::{self, Input, Output, Pipe},
    plan::{self, Plan, Tree},
    script::Script,
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

/// A sandbox that has been started, from outside.
pub struct Sandbox {
    pub pidfd: OwnedFd,
    pub plan: Plan,
    /// Where the sandbox's /proc, /work and /tmp arrive.
    pub watch: Option<OwnedFd>,
    pub meter: Option<ProcMeter>,
    pub group: Option<cgroup::Group>,
    pub stdout: Output,
    pub stderr: Output,
    pub result: Option<Output>,
    pub input: Option<Input>,
    pub killed: bool,
}

/// Whatever happens to its supervisor, no sandbox outlives it.
impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.killed {
            sys::pidfd_kill(self.pidfd.as_fd());
            let _reaped = sys::reap(self.pidfd.as_fd());
        }
    }
}

/// The pipes between a sandbox and sandboxd.
struct Pipes {
    stdout: Pipe,
    stderr: Pipe,
    result: Option<Pipe>,
    /// What the caller gave, and the pipe that it is pumped into.
    stdin: Option<(OwnedFd, Pipe)>,
}

impl Pipes {
    fn new(want_result: bool, stdin: Option<OwnedFd>) -> io::Result<Self> {
        let inward = |from| pipes::inward().map(|pipe| (from, pipe));
        Ok(Self {
            stdout: pipes::outward()?,
            stderr: pipes::outward()?,
            result: want_result.then(pipes::outward).transpose()?,
            stdin: stdin.map(inward).transpose()?,
        })
    }
}

impl Sandbox {
    /// Makes the sandbox for a job, and starts its script.
    ///
    /// # Errors
    /// If something that it is made of is not to be had; then nothing was started.
    pub fn start(
        engine: &Engine,
        job: &Job,
        script: Script,
        interpreter: &Interpreter,
        stdin: Option<OwnedFd>,
    ) -> Result<Self, Rejection> {
        let pipes = Pipes::new(job.want_result, stdin).map_err(unavailable("a pipe"))?;
        let group = engine.cgroup.as_ref().map(|tree| tree.group(&job.limits)).transpose();
        let group = group.map_err(unavailable("a control group"))?;
        // A control group counts by itself; without one, somebody has to look.
        let watch = match group {
            Some(_) => None,
            None => Some(socket::pair().map_err(unavailable("a socket"))?),
        };
        let mut plan = make_plan(engine, job, script, interpreter, &pipes, group.is_some())?;
        plan.watch = watch.as_ref().map_or(-1, |(_, theirs)| theirs.as_raw_fd());
        let meeting = socket::pair().map_err(unavailable("a socket"))?;
        plan.meeting = [meeting.0.as_raw_fd(), meeting.1.as_raw_fd()];
        let into = group.as_ref().and_then(cgroup::Group::dir);
        let namespaces = Engine::namespaces();
        let first = sys::clone_process(namespaces, into, child::first_process, &mut plan);
        let first = first.map_err(|errno| {
            Rejection::new(RejectKind::Unavailable, SetupError { step: Step::Clone, errno })
        })?;
        let limit = if weaken::off("output") { u64::MAX } else { job.limits.output() };
        // The program's ends of the pipes close here, as they go out of scope.
        Ok(Self {
            pidfd: first.pidfd,
            plan,
            watch: watch.map(|(ours, _)| ours),
            meter: None,
            group,
            stdout: Output::new(pipes.stdout.ours, limit),
            stderr: Output::new(pipes.stderr.ours, limit),
            result: pipes.result.map(|pipe| Output::new(pipe.ours, MAX_RESULT)),
            input: pipes.stdin.map(|(from, pipe)| Input::new(from, pipe.ours)),
            killed: false,
        })
    }
}

/// Works out all that the processes of a sandbox need.
fn make_plan(
    engine: &Engine,
    job: &Job,
    script: Script,
    interpreter: &Interpreter,
    pipes: &Pipes,
    by_cgroup: bool,
) -> Result<Plan, Rejection> {
    let prepare = unavailable;
    let tree = match weaken::off("mount-ns") {
        true => None,
        false => Some(
            Tree::new(interpreter, &engine.staged, engine.memory())
                .map_err(prepare("the sandbox's files"))?,
        ),
    };
    let mounts = tree.as_ref().map_or(0, |tree| tree.binds.len() + tree.devices.len());
    let (uid_map, gid_map) = plan::id_maps(engine.identity);
    let landlock = match weaken::off("landlock") || engine.landlock.is_none() {
        true => None,
        false => Some(landlock::ruleset().map_err(|error| {
            Rejection::new(RejectKind::Unavailable, format!("Landlock: {error}"))
        })?),
    };
    let stdin = pipes.stdin.as_ref().map(|(_, pipe)| pipe.theirs.as_raw_fd());
    Ok(Plan {
        work: CString::new(plan::work_dir()).map_err(|e| prepare("a path")(e.into()))?,
        host_proc: weaken::off("pid-ns"),
        tree,
        detached: (0..mounts).map(|_| None).collect(),
        scratch: plan::scratch_options(job.limits.work()).map_err(prepare("a tmpfs"))?,
        script: (plan::script_path(&job.name).map_err(prepare("the script's name"))?, script),
        uid_map,
        gid_map,
        stdio: [
            stdin.unwrap_or(engine.null.as_raw_fd()),
            pipes.stdout.theirs.as_raw_fd(),
            pipes.stderr.theirs.as_raw_fd(),
        ],
        result: pipes.result.as_ref().map_or(-1, |pipe| pipe.theirs.as_raw_fd()),
        watch: -1,
        meeting: [-1, -1],
        separate_network: !weaken::off("net-ns"),
        parent: engine.own_pidfd.as_raw_fd(),
        rlimits: match weaken::off("rlimits") {
            true => Vec::new(),
            false => plan::rlimits(&job.limits, by_cgroup),
        },
        landlock,
        seccomp: (!weaken::off("seccomp")).then(|| engine.filter.clone()),
        drop_privileges: !weaken::off("no-new-privs"),
        program: plan::program(job, interpreter).map_err(prepare("the program"))?,
        board: SharedPage::<StatusBoard>::new()
            .map_err(sys::io_error)
            .map_err(prepare("shared memory"))?,
    })
}
