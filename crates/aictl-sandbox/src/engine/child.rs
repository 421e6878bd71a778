//! The processes of a sandbox, from their clone to the program's exec.
//!
//! Everything here runs in a copy of a process that may have many threads: it only makes system
//! calls, on what the [`Plan`] has prepared. It never allocates, locks, panics or returns.

use std::{
    ffi::CStr,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use ::landlock::{RulesetCreated, RulesetError};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, FcntlArg, OFlag, fcntl, open},
    libc::{self, RLIM_INFINITY},
    mount::{MntFlags, MsFlags, mount, umount2},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl,
        resource::{UsageWho, getrusage, setrlimit},
        signal::{SigSet, Signal, kill},
        socket::{MsgFlags, send},
        stat::{Mode, SFlag, mkdirat, mknodat, umask},
        time::{TimeVal, TimeValLike},
    },
    unistd::{Pid, chdir, close, pivot_root, read, setsid, symlinkat, write},
};

use super::{
    ending::{self, Look},
    landlock::{self, Grant},
    plan::{Entry, LIMITED, Plan, RESULT_FD, Tree},
    step::Step,
};
use seccompiler::sock_filter;

use crate::{
    sys::{self, MountAttr, StatusBoard, SysResult},
    weaken,
};

/// The first process's end of the pair of sockets on which the two wait for each other.
const FIRST: usize = 0;
/// The program's.
const PROGRAM: usize = 1;

/// Where a step failed.
type Failed = (Step, Errno);

/// Names the step that a system call belongs to.
trait At<T> {
    fn at(self, step: Step) -> Result<T, Failed>;
}

impl<T> At<T> for SysResult<T> {
    fn at(self, step: Step) -> Result<T, Failed> {
        self.map_err(|errno| (step, errno))
    }
}

/// The supervisor's end of the sockets between it and the sandbox; -1 where this process never had
/// it.
const OUTSIDE: usize = 0;
/// The sandbox's.
const INSIDE: usize = 1;

/// The sandbox's first process: starts the program's, builds the sandbox around both, and then
/// waits for a job. When it has come, it finishes the sandbox for it, and stays as the parent of all
/// that lose theirs, until the program ends. Its own end is the end of all.
///
/// A network namespace takes the kernel longer than all the others, and about as long as the new
/// root takes us: the program's process makes the one while the first process makes the other.
pub fn first_process(plan: &mut Plan) -> ! {
    // The one that has most to wait for begins first.
    let program = attended().thread_block().and_then(|()| {
        let program = sys::clone_process(0, None, become_program, plan)?;
        sys::forget_start();
        Ok(program)
    });
    match program {
        Ok(program) => go_on(plan, &program),
        Err(errno) => report(plan, (Step::Fork, errno)),
    }
}

/// What the first process does from when the program's process was started, which it has to wait
/// for: its end must not have gone unseen.
pub fn go_on(plan: &mut Plan, program: &sys::Process) -> ! {
    let failed = match build(plan, program).and_then(|()| finish(plan, program.pid)) {
        Ok(built) => wait_for(plan, &built),
        Err(failed) => failed,
    };
    report(plan, failed)
}

/// What the first process has built, and started.
struct Built {
    /// The program's process: its id in the sandbox.
    program: i32,
    /// A descriptor for the sandbox's /proc; -1 where there is none.
    proc_dir: RawFd,
    /// What was opened to [look](Look) at the end of a program that has waited for its job; -1 where
    /// it has not, or that cannot be seen.
    look: RawFd,
}

/// Writes down what failed first, and ends.
fn report(plan: &Plan, (step, errno): Failed) -> ! {
    let board = plan.board.get();
    if board.failed_step.load(SeqCst) == 0 {
        board.errno.store(errno as i32, SeqCst);
        board.failed_step.store(step.number(), SeqCst);
    }
    sys::exit_now(125)
}

/// Builds what every sandbox has around this process and the program's.
fn build(plan: &mut Plan, program: &sys::Process) -> Result<(), Failed> {
    // Absent a name, a process list would show the client twice.
    prctl::set_name(c"sandbox").at(Step::UserMap)?;
    map_user(plan).at(Step::UserMap)?;
    // Only one process holds the other end of each now: its end ends the wait for it.
    close(plan.meeting[PROGRAM]).at(Step::Fork)?;
    if plan.door[OUTSIDE] >= 0 {
        close(plan.door[OUTSIDE]).at(Step::Fork)?;
    }
    nix::unistd::sethostname("sandbox").or_else(unless_weakened).at(Step::HostName)?;
    // This one is not the last: to free it could wait for a lock that another thread held.
    if let Some(tree) = plan.tree.clone() {
        build_root(plan, &tree).and_then(|()| grant_all(plan, &tree))?;
    }
    // Nobody of the same user may look into this process.
    prctl::set_dumpable(false).at(Step::Capabilities)?;
    tie_to_parent(plan).at(Step::Parent)?;
    // While the program's process may still be at work.
    drop_bounds(plan)?;
    join_network(plan, program)
}

/// Waits for the job, finishes the sandbox for it, and lets the program start. One that waits for
/// its job is started before, and let go on when it has come.
fn finish(plan: &mut Plan, program: i32) -> Result<Built, Failed> {
    hear_of_job(plan);
    let (rooted, waits) = (plan.tree.is_some(), plan.load.waits());
    if rooted {
        furnish(plan)?;
    }
    if !waits {
        write_file(plan.load.script(), plan.load.text()).at(Step::Script)?;
    }
    if rooted {
        sys::mount_setattr(libc::AT_FDCWD, c".", MountAttr::READ_ONLY, false).at(Step::ReadOnly)?;
        pivot_root(c".", c".").at(Step::Pivot)?;
        // The program's process takes on what it can while the old root is still there: it
        // executes nothing before it hears a second time.
        tell(plan.meeting[FIRST])?;
        umount2(c".", MntFlags::MNT_DETACH).at(Step::Pivot)?;
        chdir(c"/").at(Step::Pivot)?;
    } else {
        grant_host(plan)?;
        tell(plan.meeting[FIRST])?;
    }
    if waits {
        // What sandboxd had open when this process was made belongs to other runs: while a copy of
        // it is open here, theirs do not end.
        close_all_but([plan.door[INSIDE], plan.meeting[FIRST]]).at(Step::CloseFds)?;
        tell(plan.meeting[FIRST])?;
        hear(plan.meeting[FIRST]).map_err(|(_, errno)| (Step::Wait, errno))?;
    }
    let proc_dir = if rooted { hand_over_proc(plan).at(Step::Watch)? } else { -1 };
    if waits {
        let ready = send(plan.door[INSIDE], READY, MsgFlags::MSG_NOSIGNAL);
        ready.at(Step::Wait)?;
    }
    let is_template = plan.load.is_template();
    let look = (waits && !is_template).then(|| Look::at(proc_dir, program)).flatten();
    if waits && !is_template {
        await_job(plan)?;
        adapt(plan, program, proc_dir)?;
    }
    // So far nothing was executed that came from the job.
    drop_privileges(plan)?;
    match (waits, is_template) {
        (false, _) => tell(plan.meeting[FIRST])?,
        (true, false) => {
            let told = send(plan.meeting[FIRST], plan.load.message(), MsgFlags::MSG_NOSIGNAL);
            told.map(drop).at(Step::Job)?;
        }
        // Its program waits for others.
        (true, true) => {}
    }
    Ok(Built { program, proc_dir, look: look.unwrap_or(-1) })
}

/// Closes every descriptor but two.
fn close_all_but(mut kept: [RawFd; 2]) -> SysResult<()> {
    kept.sort_unstable();
    let mut first = 0;
    for kept in kept {
        let kept = kept as u32;
        if first < kept {
            sys::close_range(first, kept - 1)?;
        }
        first = kept + 1;
    }
    sys::close_from(first)
}

/// What says that a program waits for its job.
pub const READY: &[u8] = b"ready";

/// Waits until it is told that a job has come; ends if none will, and nobody asks how.
fn hear_of_job(plan: &Plan) {
    if hear(plan.door[INSIDE]).is_err() {
        sys::exit_now(0);
    }
}

/// The same, while the program waits too, which must not end meanwhile.
fn await_job(plan: &Plan) -> Result<(), Failed> {
    let mut waiting = [plan.door[INSIDE], plan.meeting[FIRST]]
        .map(|fd| PollFd::new(sys::borrow(fd), PollFlags::POLLIN));
    loop {
        match poll(&mut waiting, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err((Step::Wait, errno)),
            Ok(_) => break,
        }
    }
    if waiting[1].any() != Some(false) {
        return Err((Step::Wait, Errno::ECHILD));
    }
    hear_of_job(plan);
    Ok(())
}

/// Makes the sandbox of a program that waits the job's own: its room, its script, its limits.
fn adapt(plan: &Plan, program: i32, proc_dir: RawFd) -> Result<(), Failed> {
    resize_scratch(plan)?;
    write_file(plan.load.script(), plan.load.text()).at(Step::Script)?;
    for (resource, &limit) in LIMITED.into_iter().zip(plan.load.rlimits()) {
        lowered(limit, || sys::set_limit_of(program, resource, limit))?;
    }
    let_others_go_first(plan, program, || ending::autogroup_of(proc_dir, program));
    // What was used before is none of the job's.
    let used = sys::cpu_time_of(program).and_then(|of| Ok(of + sys::cpu_time_of(0)?));
    let used = used.at(Step::Rlimits)?;
    let micros = u64::try_from(used.as_micros()).unwrap_or(u64::MAX);
    plan.board.get().cpu_before.store(micros, SeqCst);
    Ok(())
}

/// Has a process, and all that it will make, yield to others, if it is to. Nobody may take the nice
/// value back (RLIMIT_NICE). Where the kernel divides the CPU among sessions, its own has less
/// (sched(7), "The autogroup feature"); Landlock lets the file that says so be read only. A session
/// that a script begins has its part again, as every one has: only control groups weigh users. What
/// cannot be had is no reason not to run: the kernel takes ten such words in a second.
fn let_others_go_first(plan: &Plan, pid: i32, autogroup: impl FnOnce() -> SysResult<OwnedFd>) {
    /// A tenth of what others get (sched(7), "The nice value").
    const NICE: i32 = 10;
    const NICE_OF_SESSION: &[u8] = b"10";
    if plan.load.yields() {
        let _unchanged = sys::set_nice_of(pid, NICE);
        let _as_others = autogroup().and_then(|file| write(&file, NICE_OF_SESSION));
    }
}

/// Sets a limit, if it is one. The caller's own may be lower still.
fn lowered(limit: u64, set: impl FnOnce() -> SysResult<()>) -> Result<(), Failed> {
    match limit {
        RLIM_INFINITY => Ok(()),
        _ => match set() {
            Err(Errno::EPERM) => Ok(()),
            other => other.at(Step::Rlimits),
        },
    }
}

/// Gives scratch files the job's room, where it is not the usual one.
fn resize_scratch(plan: &Plan) -> Result<(), Failed> {
    let Some(options) = plan.load.scratch() else { return Ok(()) };
    for path in [c"tmp", c"work"] {
        let flags = hardened() | MsFlags::MS_REMOUNT;
        mount(None::<&CStr>, path, None::<&CStr>, flags, Some(options)).at(Step::Populate)?;
    }
    Ok(())
}

/// Brings into the new root what the job's interpreter needs, and gives scratch files their room.
fn furnish(plan: &mut Plan) -> Result<(), Failed> {
    resize_scratch(plan)?;
    let Plan { load, landlock, .. } = plan;
    for dir in load.dirs() {
        make_dir(dir).at(Step::Populate)?;
    }
    let mut binds = load.binds();
    while let (Some(source), Some(target)) = (binds.next(), binds.next()) {
        let mounted = sys::open_tree(source).at(Step::OpenTree)?;
        bind(&mounted, target)?;
        if let Some(ruleset) = landlock {
            allow(ruleset, target, Grant::ReadExecute)?;
        }
    }
    Ok(())
}

/// Takes care that no executed file brings a right back; this takes a call for each right.
fn drop_bounds(plan: &Plan) -> Result<(), Failed> {
    match plan.drop_privileges {
        true => sys::drop_bounding_set().at(Step::Capabilities),
        false => Ok(()),
    }
}

/// Gives up all rights in the user namespace, for good.
fn drop_privileges(plan: &Plan) -> Result<(), Failed> {
    if plan.drop_privileges {
        sys::drop_capabilities().at(Step::Capabilities)?;
        prctl::set_no_new_privs().at(Step::Capabilities)?;
    }
    Ok(())
}

/// Only a test can leave out the namespace that gives the right to do this.
fn unless_weakened(errno: Errno) -> SysResult<()> {
    if cfg!(feature = "weaken") { Ok(()) } else { Err(errno) }
}

/// Maps the one user and group that exist inside.
fn map_user(plan: &Plan) -> SysResult<()> {
    // After a change of user, /proc/self belongs to root until the process may be looked into.
    prctl::set_dumpable(true)?;
    write_file(c"/proc/self/setgroups", b"deny")?;
    write_file(c"/proc/self/uid_map", &plan.uid_map)?;
    write_file(c"/proc/self/gid_map", &plan.gid_map)
}

/// Writes `bytes` to a file in one go, making it if need be.
fn write_file(path: &CStr, bytes: &[u8]) -> SysResult<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let file = open(path, flags, Mode::from_bits_truncate(0o644))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// What holds for every file system of the sandbox that is not one of the host's.
fn hardened() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

/// Makes a directory, where there is none.
fn make_dir(path: &CStr) -> SysResult<()> {
    match mkdirat(AT_FDCWD, path, Mode::from_bits_truncate(0o755)) {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

/// Attaches a copy of mounts of the host's, read-only.
fn bind(mounted: &OwnedFd, target: &CStr) -> Result<(), Failed> {
    sys::mount_setattr(mounted.as_raw_fd(), c"", MountAttr::READ_ONLY, true).at(Step::ReadOnly)?;
    sys::move_mount(mounted.as_fd(), target).at(Step::Bind)
}

/// Builds the part of the new root that every sandbox has, and makes it the working directory.
fn build_root(plan: &mut Plan, tree: &Tree) -> Result<(), Failed> {
    // What is bound is opened first: the new root covers a part of the host's.
    for (bind, slot) in tree.binds.iter().chain(&tree.devices).zip(&mut plan.detached) {
        *slot = Some(sys::open_tree(&bind.source).at(Step::OpenTree)?);
    }
    mount(
        Some(c"sandbox"),
        tree.stage.as_c_str(),
        Some(c"tmpfs"),
        hardened(),
        Some(c"mode=0755,size=1m,nr_inodes=1024"),
    )
    .at(Step::Root)?;
    chdir(tree.stage.as_c_str()).at(Step::Root)?;
    umask(Mode::from_bits_truncate(0o022));
    for entry in &tree.entries {
        match entry {
            Entry::Dir(path) => make_dir(path),
            Entry::File(path, bytes) => write_file(path, bytes),
            Entry::MountPoint(path) => {
                mknodat(AT_FDCWD, path.as_c_str(), SFlag::S_IFREG, Mode::empty(), 0)
            }
            Entry::Scratch(path, options) => mount(
                Some(path.as_c_str()),
                path.as_c_str(),
                Some(c"tmpfs"),
                hardened(),
                Some(options.as_c_str()),
            ),
            Entry::Link(path, target) => symlinkat(target.as_c_str(), AT_FDCWD, path.as_c_str()),
        }
        .at(Step::Populate)?;
    }
    let (binds, devices) = plan.detached.split_at(tree.binds.len().min(plan.detached.len()));
    for (of, mounted) in tree.binds.iter().zip(binds.iter().flatten()) {
        bind(mounted, &of.target)?;
    }
    for (device, mounted) in tree.devices.iter().zip(devices.iter().flatten()) {
        sys::mount_setattr(mounted.as_raw_fd(), c"", MountAttr::DEVICE, false).at(Step::Devices)?;
        sys::move_mount(mounted.as_fd(), &device.target).at(Step::Devices)?;
    }
    // Only what belongs to processes is shown, nothing of the machine.
    match plan.host_proc {
        false => mount(Some(c"proc"), c"proc", Some(c"proc"), hardened(), Some(c"subset=pid")),
        true => sys::open_tree(c"/proc").and_then(|tree| sys::move_mount(tree.as_fd(), c"proc")),
    }
    .at(Step::Proc)
}

/// Opens /proc, and gives it to the watcher outside if there is one, with /work and /tmp.
fn hand_over_proc(plan: &Plan) -> SysResult<RawFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let proc_dir = open(c"/proc", flags, Mode::empty())?;
    if plan.watched {
        let work = open(c"/work", flags, Mode::empty())?;
        let tmp = open(c"/tmp", flags, Mode::empty())?;
        sys::send_fds(plan.door[INSIDE], [&proc_dir, &work, &tmp].map(AsRawFd::as_raw_fd))?;
    }
    Ok(std::os::fd::IntoRawFd::into_raw_fd(proc_dir))
}

/// Makes this process die with the thread of sandboxd that made it.
fn tie_to_parent(plan: &Plan) -> SysResult<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // If sandboxd is gone already, no signal will come any more.
    // A process descriptor becomes readable when its process ends.
    let parent = sys::borrow(plan.parent);
    let mut waiting = [PollFd::new(parent, PollFlags::POLLIN)];
    if poll(&mut waiting, PollTimeout::ZERO)? == 0 { Ok(()) } else { Err(Errno::ESRCH) }
}

/// Waits until the program's process has made the network namespace, and moves into it too.
fn join_network(plan: &Plan, program: &sys::Process) -> Result<(), Failed> {
    hear(plan.meeting[FIRST])?;
    match plan.separate_network {
        true => setns(&program.pidfd, CloneFlags::CLONE_NEWNET).at(Step::Network),
        false => Ok(()),
    }
}

/// Says to the other process that it need wait no longer.
fn tell(meeting: RawFd) -> Result<(), Failed> {
    send(meeting, b"!", MsgFlags::MSG_NOSIGNAL).map(drop).at(Step::Fork)
}

/// Waits until the other process says so. One that has ended has left word of why.
fn hear(meeting: RawFd) -> Result<(), Failed> {
    let mut byte = [0];
    loop {
        // A plain read, which a program may make too.
        match read(sys::borrow(meeting), &mut byte) {
            Ok(1) => return Ok(()),
            Ok(_) => return Err((Step::Fork, Errno::ECHILD)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err((Step::Fork, errno)),
        }
    }
}

/// Takes on the last layers and executes the program.
fn become_program(plan: &mut Plan) -> ! {
    let failed = match prepare(plan, sys::reset_signals).and_then(|()| restrict(plan)) {
        Ok(()) => (Step::Execute, plan.load.execute()),
        Err(failed) => failed,
    };
    report(plan, failed)
}

/// Takes on the last layers in a process that is a copy of the program already and has never had
/// another thread, and goes on as that. Nothing of the plan is left then: what comes next is the
/// job's.
pub fn go_on_as_program(mut plan: Plan) {
    // What a fresh interpreter does about signals, this one has done.
    let done = prepare(&plan, sys::unblock_signals).and_then(|()| restrict(&mut plan));
    if let Err(failed) = done {
        report(&plan, failed);
    }
}

/// What can be done while the first process builds the new root.
fn prepare(plan: &Plan, signals: fn()) -> Result<(), Failed> {
    // The first process finds this one's network namespace by looking into it.
    prctl::set_dumpable(true).at(Step::Network)?;
    if plan.separate_network {
        unshare(CloneFlags::CLONE_NEWNET).at(Step::Network)?;
    }
    tell(plan.meeting[PROGRAM])?;
    setsid().at(Step::Session)?;
    signals();
    prctl::set_pdeathsig(Signal::SIGKILL).at(Step::Session)?;
    drop_bounds(plan)?;
    drop_privileges(plan)?;
    if let Some(filters) = &plan.filters {
        install(filters.first)?;
    }
    hear(plan.meeting[PROGRAM])
}

/// Takes on a program of the system call filter.
fn install(program: &[sock_filter]) -> Result<(), Failed> {
    seccompiler::apply_filter(program).map_err(|_| (Step::Seccomp, Errno::last()))
}

/// What is left once the job has come; at its end nothing but the program's start is.
fn restrict(plan: &mut Plan) -> Result<(), Failed> {
    chdir(plan.work.as_c_str()).at(Step::Session)?;
    // Itself, in its own session.
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let_others_go_first(plan, 0, || open(c"/proc/self/autogroup", flags, Mode::empty()));
    if let Some(ruleset) = plan.landlock.take() {
        ruleset.restrict_self().map_err(landlock_failed)?;
    }
    let meeting = keep_open(plan).at(Step::Stdio)?;
    // Only now, when this process has no more open files than it may have.
    for (resource, &limit) in LIMITED.into_iter().zip(plan.load.rlimits()) {
        lowered(limit, || setrlimit(resource, limit, limit))?;
    }
    if let Some(filters) = &plan.filters {
        install(filters.last)?;
    }
    // That the old root is gone, and with it the last right of the first process.
    hear(meeting)
}

/// Puts the program's descriptors in their places and closes all others, but for that on which the
/// first process is heard, which ends with the program's start unless it waits; returns that one.
fn keep_open(plan: &Plan) -> SysResult<RawFd> {
    /// Above all places.
    const ASIDE: FcntlArg<'_> = FcntlArg::F_DUPFD_CLOEXEC(RESULT_FD + 2);
    const MEETING: RawFd = RESULT_FD + 1;
    let [_, stdout, stderr] = plan.stdio;
    let stdin = if plan.load.has_stdin() { plan.stdio[0] } else { plan.null };
    let aside = |fd: RawFd| fcntl(sys::borrow(fd), ASIDE);
    // None of them lies in a place any more that another is to have.
    let from = [aside(stdin)?, aside(stdout)?, aside(stderr)?];
    let (result, meeting) = (aside(plan.result)?, aside(plan.meeting[PROGRAM])?);
    for (from, to) in from.into_iter().zip(0..) {
        sys::dup_onto(from, to)?;
    }
    match plan.load.waits() {
        // It hears of its job there.
        true => sys::dup_onto(meeting, MEETING)?,
        false => sys::dup_onto_cloexec(meeting, MEETING)?,
    }
    match plan.load.has_result() {
        true => sys::dup_onto(result, RESULT_FD)?,
        // Whatever it is, the program starts without it.
        false => sys::dup_onto_cloexec(meeting, RESULT_FD)?,
    }
    sys::close_from(MEETING as u32 + 1)?;
    Ok(MEETING)
}

/// Writes Landlock's rules for the new root into the ruleset, which the program then takes on.
fn grant_all(plan: &mut Plan, tree: &Tree) -> Result<(), Failed> {
    let Some(ruleset) = &mut plan.landlock else { return Ok(()) };
    for rule in &tree.rules {
        allow(ruleset, &rule.path, rule.grant)?;
    }
    Ok(())
}

/// Writes Landlock's rules where there is no new root, in a test.
fn grant_host(plan: &mut Plan) -> Result<(), Failed> {
    let Plan { landlock: Some(ruleset), load, .. } = plan else { return Ok(()) };
    for (path, grant) in weaken::HOST.into_iter().chain([(load.script(), Grant::Read)]) {
        allow(ruleset, path, grant)?;
    }
    Ok(())
}

/// Writes one rule, on a path below the new root, which is the working directory.
fn allow(ruleset: &mut RulesetCreated, path: &CStr, grant: Grant) -> Result<(), Failed> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let at = open(path, flags, Mode::empty()).at(Step::Landlock)?;
    landlock::grant(ruleset, at.as_fd(), grant).map_err(landlock_failed)
}

fn landlock_failed(_: RulesetError) -> Failed {
    (Step::Landlock, Errno::last())
}

/// The signal with which sandboxd has the first process look at the board: what it is to do stands
/// there, where nobody else can write, since anybody inside could send the signal, or have sent it
/// before so that sandboxd's own is none.
pub const LOOK_AT_BOARD: Signal = Signal::SIGUSR1;
/// The signal with which a program that is about to end hears that its memory was looked at.
const SEEN: Signal = Signal::SIGURG;
/// How often the first process looks for it then; and how often before it begins to pause between
/// two looks, so that even on its processor the program gets on.
const LOOKS: usize = 32;
/// As above.
const FAST_LOOKS: usize = 16;
/// And for how long it pauses.
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_micros(30);
/// What says that the program has ended, or has come into its end, and that nobody is left but the
/// first process.
pub const OVER: &[u8] = b"over";

/// Where the first process keeps the sandbox's /proc, where it can be heard, and what it looks at the
/// program's end through.
const PROC: RawFd = 0;
/// As above.
const DOOR: RawFd = 1;
/// As above.
const LOOK: RawFd = 2;

/// What the first process has kept open.
struct Kept {
    /// Whether it can be heard.
    is_heard: bool,
    /// How it sees the program's end, if it does.
    look: Option<Look>,
}

/// Leaves the first process with nothing open but those three, as far as it has them.
fn keep_three(plan: &Plan, proc_dir: RawFd, look: RawFd) -> SysResult<Kept> {
    const ASIDE: FcntlArg<'_> = FcntlArg::F_DUPFD_CLOEXEC(LOOK + 1);
    if proc_dir < 0 {
        return sys::close_from(0).map(|()| Kept { is_heard: false, look: None });
    }
    let aside = |fd: RawFd| fcntl(sys::borrow(fd), ASIDE);
    // None of them lies in a place any more that another is to have.
    let (proc_dir, door) = (aside(proc_dir)?, aside(plan.door[INSIDE])?);
    let look = if look >= 0 { Some(aside(look)?) } else { None };
    sys::dup_onto(proc_dir, PROC)?;
    sys::dup_onto(door, DOOR)?;
    if let Some(look) = look {
        sys::dup_onto(look, LOOK)?;
    }
    sys::close_from(if look.is_some() { LOOK } else { DOOR } as u32 + 1)?;
    Ok(Kept { is_heard: true, look: look.map(|_| Look::through(LOOK)) })
}

/// Reaps whatever ends, until the program does; then writes down how.
fn wait_for(plan: &Plan, &Built { program, proc_dir, look }: &Built) -> Failed {
    plan.board.get().program_started.store(sys::now(), SeqCst);
    let kept = match keep_three(plan, proc_dir, look) {
        Ok(kept) => kept,
        Err(errno) => return (Step::CloseFds, errno),
    };
    let mut look = kept.look;
    let mut is_told = false;
    let board = plan.board.get();
    let mut stands_still = false;
    loop {
        match attended().wait() {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return (Step::Fork, errno),
        }
        let stand_still = board.stand_still.load(SeqCst) == 1;
        if stand_still != stands_still {
            stands_still = stand_still;
            // Each process in here gets it, whatever that process wants.
            let signal = if stand_still { Signal::SIGSTOP } else { Signal::SIGCONT };
            let _nobody_there = kill(EVERYONE, signal);
        }
        if board.has_it_ended.load(SeqCst) == 1 {
            is_told |= look.take().is_some_and(|look| tell_of_end(plan, program, &look));
        }
        loop {
            match sys::wait_any_now() {
                // Somebody may be reading already what was written down then.
                Ok(Some((pid, _))) if pid == program && is_told => sys::exit_now(0),
                Ok(Some((pid, status))) if pid == program => {
                    write_usage(board);
                    let left = sys::count_processes(PROC).unwrap_or(0);
                    write_end(board, left, status);
                    // Nobody else is left: of its own end there is nothing that anybody waits for.
                    if kept.is_heard && left == 1 {
                        let _unheard = say_over();
                    }
                    sys::exit_now(0)
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(errno) => return (Step::Fork, errno),
            }
        }
    }
}

/// Looks whether the program has come into its end, with nobody but this process beside it; if so,
/// writes down what is known, and says so. What is left for the kernel to do, nobody has to wait for.
fn tell_of_end(plan: &Plan, program: i32, look: &Look) -> bool {
    // The kernel takes the program apart on the processor where it ends, and lets nobody else go on
    // there meanwhile.
    let _stays = ending::leave_processor_of(PROC, program);
    let peak = ending::peak_memory(PROC, program);
    // Where nobody else counts memory, that has to be known, and the program waits for it.
    if plan.watched && (peak.is_none() || kill(Pid::from_raw(program), SEEN).is_err()) {
        return false;
    }
    let is_plain = (0..LOOKS).any(|time| {
        // It takes a moment, for which it may need this processor.
        match time {
            0 => {}
            1..FAST_LOOKS => std::thread::yield_now(),
            _ => std::thread::sleep(PAUSE_BETWEEN_LOOKS),
        }
        look.sees_plain_end(PROC, program)
    });
    let alone = sys::count_processes(PROC) == Ok(2);
    let used = sys::cpu_time_of(program).and_then(|of| Ok(of + sys::cpu_time_of(0)?));
    let (true, true, Ok(used)) = (is_plain, alone, used) else { return false };
    let board = plan.board.get();
    board.cpu.store(u64::try_from(used.as_micros()).unwrap_or(u64::MAX), SeqCst);
    board.max_rss.store(peak.unwrap_or(0), SeqCst);
    write_end(board, 2, 0);
    say_over().is_ok()
}

/// Says that the program is over.
fn say_over() -> SysResult<usize> {
    send(DOOR, OVER, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT)
}

/// Writes down how the program has ended, and how many processes there were then.
fn write_end(board: &StatusBoard, left_over: u32, status: i32) {
    board.left_over.store(left_over, SeqCst);
    board.wait_status.store(status, SeqCst);
    board.ended.store(1, SeqCst);
}

/// Writes down what this process and all that it has waited for have used.
fn write_usage(board: &StatusBoard) {
    let (Ok(children), Ok(own)) = (getrusage(UsageWho::RUSAGE_CHILDREN), sys::cpu_time_of(0))
    else {
        return;
    };
    let micros = |time: TimeVal| u64::try_from(time.num_microseconds()).unwrap_or(0);
    let own = u64::try_from(own.as_micros()).unwrap_or(0);
    let cpu = micros(children.user_time()) + micros(children.system_time()) + own;
    board.cpu.store(cpu, SeqCst);
    let kibibytes = u64::try_from(children.max_rss()).unwrap_or(0);
    board.max_rss.store(kibibytes.saturating_mul(1024), SeqCst);
}

/// All processes of the sandbox but the first (kill(2)).
const EVERYONE: Pid = Pid::from_raw(-1);

/// What the first process waits for: blocked, so that nothing is lost between two waits.
pub fn attended() -> SigSet {
    [Signal::SIGCHLD, LOOK_AT_BOARD].into_iter().collect()
}
