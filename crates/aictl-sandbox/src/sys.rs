//! System calls that no safe wrapper offers: the one module with `unsafe`.
//!
//! Every function here that a sandbox calls between its clone and its exec is async-signal-safe
//! (signal-safety(7)): it makes system calls, and neither allocates nor takes a lock.

#![allow(unsafe_code)]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    io, mem,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
    ptr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use nix::{
    errno::Errno,
    libc,
    sys::{resource::Resource, signal::Signal},
};

/// The result of a system call: its value, or errno.
pub type SysResult<T> = Result<T, Errno>;

/// Turns the return value of `libc::syscall` into a result.
fn check(ret: libc::c_long) -> SysResult<libc::c_long> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}

/// A descriptor that a system call has just returned.
fn new_fd(ret: libc::c_long) -> SysResult<OwnedFd> {
    let fd = RawFd::try_from(check(ret)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just handed this descriptor to us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Flag of clone3(2): a control group namespace of its own.
pub const NEW_CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;

/// Flag of clone3(2): start in the control group that the arguments name.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// `struct clone_args` of clone(2).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A process that was made here.
pub struct Process {
    /// Its id, in the caller's pid namespace.
    pub pid: i32,
    /// A descriptor for it (pidfd_open(2)).
    pub pidfd: OwnedFd,
}

/// Makes a process by clone3(2) with `flags` (`CLONE_NEW*`), which runs `child` on its copy of
/// `plan` and never returns; with `cgroup`, the process starts in that control group.
///
/// The child is a copy with one thread of a process that may have many: `child` must be
/// async-signal-safe.
///
/// # Errors
/// What clone3 says: EPERM or ENOSPC where the namespaces are forbidden, EAGAIN at a process limit.
pub fn clone_process<P>(
    flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    child: fn(&mut P) -> !,
    plan: &mut P,
) -> SysResult<Process> {
    clone_here(flags, cgroup)?.map_or_else(|| child(plan), Ok)
}

/// Makes a copy of this process by clone3(2): `None` in the copy, which goes on from here.
fn clone_here(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> SysResult<Option<Process>> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` is a valid clone_args whose pidfd field points to a live integer; without
    // CLONE_VM the child has its own copy of the stack it goes on with.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match check(ret)? {
        0 => Ok(None),
        pid => {
            // SAFETY: CLONE_PIDFD has stored a new descriptor there, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Process { pid: i32::try_from(pid).unwrap_or(-1), pidfd }))
        }
    }
}

/// Proof that this process has one thread, so that a copy of it lacks nothing.
pub struct Alone(());

impl Alone {
    /// That proof; `None` if there are more threads. What makes one later must drop this before.
    #[must_use]
    pub fn check() -> Option<Self> {
        let threads = std::fs::read_dir("/proc/self/task").ok()?.count();
        (threads == 1).then_some(Self(()))
    }

    /// Makes a copy of this process as [`clone_process`] does, but one that goes on from here and
    /// may do whatever this one may: `None` in the copy.
    ///
    /// # Errors
    /// As there.
    pub fn copy(&self, flags: u64, cgroup: Option<BorrowedFd<'_>>) -> SysResult<Option<Process>> {
        clone_here(flags, cgroup)
    }
}

/// Where the arguments and the environment stand that this process was started with: the first
/// byte, and the first behind the last. Zero until looked at.
static START: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// Overwrites the arguments and the environment that this process was started with, so that
/// neither its memory nor its /proc/PID/cmdline tells them any more. For the copy of a process
/// that has read what it needs of them; what is read of them later is empty.
pub fn forget_start() {
    let [start, end] = &START;
    let (start, end) = (start.load(Relaxed), end.load(Relaxed));
    let length = end.saturating_sub(start);
    // SAFETY: execve(2) has put both there, on this process's own stack, one after the other;
    // they are writable bytes that only end earlier now, and there is no other thread to read them.
    unsafe { ptr::write_bytes(ptr::with_exposed_provenance_mut::<u8>(start), 0, length) };
}

/// Ends the process at once, without running anything of ours.
pub fn exit_now(code: c_int) -> ! {
    // SAFETY: _exit takes any number and does not return.
    unsafe { libc::_exit(code) }
}

/// A process descriptor for `pid` (pidfd_open(2)).
///
/// # Errors
/// ESRCH if there is no such process.
pub fn pidfd_open(pid: i32) -> SysResult<OwnedFd> {
    // SAFETY: takes numbers only.
    new_fd(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// What the kernel says of the process behind a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its real user.
    pub ruid: u32,
    /// The user whose rights it has.
    pub euid: u32,
    /// Its control group in the unified hierarchy: a number that no other one gets while the
    /// machine runs; 1 is the root's.
    pub cgroup: u64,
}

/// Asks the kernel about the process behind a descriptor (`PIDFD_GET_INFO`, linux/pidfd.h; Linux
/// 6.13).
///
/// # Errors
/// ESRCH for a process that is gone, ENOTTY from an older kernel, EOPNOTSUPP if it does not say
/// all of this.
pub fn process_info(pidfd: BorrowedFd<'_>) -> SysResult<ProcessInfo> {
    /// `struct pidfd_info` in its first form.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        pid: u32,
        tgid: u32,
        ppid: u32,
        ruid: u32,
        rgid: u32,
        euid: u32,
        egid: u32,
        suid: u32,
        sgid: u32,
        fsuid: u32,
        fsgid: u32,
        exit_code: i32,
    }
    const GET_INFO: libc::Ioctl = libc::_IOWR::<Info>(0xff, 11);
    const CREDS: u64 = 1 << 1;
    const CGROUP: u64 = 1 << 2;

    let mut info = Info { mask: CREDS | CGROUP, ..Info::default() };
    // SAFETY: the kernel writes as many bytes as the request's number says, which are `info`'s.
    check(unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, &raw mut info) }.into())?;
    if info.mask & (CREDS | CGROUP) != CREDS | CGROUP {
        return Err(Errno::EOPNOTSUPP);
    }
    Ok(ProcessInfo { ruid: info.ruid, euid: info.euid, cgroup: info.cgroup })
}

/// Sends SIGKILL to the process behind a descriptor; the first process of a pid namespace takes
/// all others with it. A process that is gone already is no error.
pub fn pidfd_kill(pidfd: BorrowedFd<'_>) {
    pidfd_signal(pidfd, Signal::SIGKILL);
}

/// Sends a signal to the process behind a descriptor (pidfd_send_signal(2)). A process that is
/// gone already is no error.
pub fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: Signal) {
    // SAFETY: takes numbers and a null pointer, which means a plain signal.
    let _gone_already = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal as c_int,
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
}

/// What a finished child used, its own waited-for children included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rusage {
    /// User and system CPU time.
    pub cpu: Duration,
    /// The largest resident set of any one of its processes, in bytes.
    pub max_rss: u64,
}

/// Reaps the child behind a descriptor, waiting for its end (waitid(2)).
///
/// # Errors
/// ECHILD if it is no child of ours, or reaped already.
pub fn reap(pidfd: BorrowedFd<'_>) -> SysResult<Rusage> {
    loop {
        // SAFETY: all-zero is a valid value of these plain C structures.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
        // SAFETY: both pointers are to live structures of the right type.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PIDFD,
                pidfd.as_raw_fd(),
                &raw mut info,
                libc::WEXITED,
                &raw mut usage,
            )
        };
        match check(ret) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
            Ok(_) => {
                return Ok(Rusage {
                    cpu: timeval(usage.ru_utime) + timeval(usage.ru_stime),
                    max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
                });
            }
        }
    }
}

/// The CPU time that a process has used so far (clock_getcpuclockid(3)), 0 for the calling one.
///
/// # Errors
/// EINVAL if there is no such process.
pub fn cpu_time_of(pid: i32) -> SysResult<Duration> {
    /// `CPUCLOCK_SCHED` of the kernel's posix-timers.h: as accurate as the scheduler's own.
    const SCHED: libc::clockid_t = 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is live; any number is taken as a clock, or refused.
    check(unsafe { libc::clock_gettime((!pid << 3) | SCHED, &raw mut time) }.into())?;
    Ok(Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    ))
}

/// Now, in nanoseconds of a clock that all processes share and nobody sets (`CLOCK_MONOTONIC`).
#[must_use]
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is live, and every kernel has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Lowers a limit of another process of the same user, soft and hard (prlimit(2)).
///
/// # Errors
/// ESRCH if there is no such process; EPERM if its hard limit is lower already.
pub fn set_limit_of(pid: i32, resource: Resource, limit: u64) -> SysResult<()> {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the new limit is live, and the old one is not asked for.
    check(unsafe { libc::prlimit(pid, resource as _, &raw const limit, ptr::null_mut()) }.into())
        .map(drop)
}

/// Sets the nice value of another process of the same user, or of this one for 0 (setpriority(2)).
///
/// # Errors
/// ESRCH if there is no such process; EACCES if it is higher already.
pub fn set_nice_of(pid: i32, nice: i32) -> SysResult<()> {
    let pid = libc::id_t::try_from(pid).map_err(|_| Errno::EINVAL)?;
    // SAFETY: no memory is passed.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, pid, nice) }.into()).map(drop)
}

fn timeval(time: libc::timeval) -> Duration {
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_usec).unwrap_or(0).saturating_mul(1000),
    )
}

/// Reaps any child that has ended, of whatever kind; its id and wait status (wait(2)). `None` if
/// none has ended.
///
/// # Errors
/// ECHILD if there is no child at all.
pub fn wait_any_now() -> SysResult<Option<(i32, i32)>> {
    let mut status: c_int = 0;
    let flags = libc::__WALL | libc::WNOHANG;
    // SAFETY: `status` is a live integer; the resource usage is not asked for.
    let ret = unsafe { libc::wait4(-1, &raw mut status, flags, ptr::null_mut()) };
    check(ret.into())?;
    Ok((ret > 0).then_some((ret, status)))
}

/// A page of memory that a process shares with the children it clones, for a plain value of
/// atomics. All-zero must be a valid value of `T`, which the private trait ensures.
pub struct SharedPage<T: Atomics> {
    at: *mut T,
}

/// Types made of atomic integers only: any bytes are a valid value, and shared access is sound.
///
/// # Safety
/// The type must be `repr(C)`, hold nothing but atomic integers, and fit in a page of 4096 bytes.
pub unsafe trait Atomics: Sync {}

/// What the processes of a sandbox and sandboxd tell each other through shared memory.
#[repr(C)]
#[derive(Debug, Default)]
pub struct StatusBoard {
    /// The step at which the making of the sandbox failed (a `Step`), or 0.
    pub failed_step: std::sync::atomic::AtomicU32,
    /// The errno of that failure.
    pub errno: std::sync::atomic::AtomicI32,
    /// 1 once `wait_status` is set.
    pub ended: std::sync::atomic::AtomicU32,
    /// The program's wait status, as wait(2) gave it to the sandbox's first process.
    pub wait_status: std::sync::atomic::AtomicI32,
    /// How many processes were left when the program ended.
    pub left_over: std::sync::atomic::AtomicU32,
    /// sandboxd: 1 while the sandbox is to stand still.
    pub stand_still: std::sync::atomic::AtomicU32,
    /// sandboxd: 1 once it asks whether the program has come into its end.
    pub has_it_ended: std::sync::atomic::AtomicU32,
    /// CPU time that was used before the job came, in microseconds.
    pub cpu_before: std::sync::atomic::AtomicU64,
    /// CPU time that was used until the program ended, in microseconds.
    pub cpu: std::sync::atomic::AtomicU64,
    /// The largest resident set of any one process until then, in bytes.
    pub max_rss: std::sync::atomic::AtomicU64,
    /// [When](now) the program was let start; 0 before.
    pub program_started: std::sync::atomic::AtomicU64,
}

// SAFETY: repr(C), atomic integers only, 64 bytes.
unsafe impl Atomics for StatusBoard {}

impl<T: Atomics> SharedPage<T> {
    /// Its size in bytes.
    pub const SIZE: usize = 4096;

    /// Maps a new page, filled with zeros.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> SysResult<Self> {
        const { assert!(size_of::<T>() <= Self::SIZE) };
        Ok(Self { at: map(Self::SIZE, None)?.cast() })
    }

    /// Maps the page that is in a [file of memory](memory_file) of 4096 bytes at least.
    ///
    /// # Errors
    /// ENOMEM, EINVAL.
    pub fn of(file: BorrowedFd<'_>) -> SysResult<Self> {
        const { assert!(size_of::<T>() <= Self::SIZE) };
        Ok(Self { at: map(Self::SIZE, Some(file))?.cast() })
    }

    /// The value in the page.
    pub fn get(&self) -> &T {
        // SAFETY: the page is mapped as long as `self` lives, aligned, and any bytes in it are a
        // valid `T`, which is only ever accessed atomically.
        unsafe { &*self.at }
    }
}

impl<T: Atomics> Drop for SharedPage<T> {
    fn drop(&mut self) {
        // SAFETY: this page was mapped by `new`, and no reference to it outlives `self`.
        unsafe { libc::munmap(self.at.cast(), Self::SIZE) };
    }
}

// SAFETY: the page may be unmapped from any thread, and `T` is `Sync`.
unsafe impl<T: Atomics> Send for SharedPage<T> {}
// SAFETY: only shared access to a `Sync` value is given out.
unsafe impl<T: Atomics> Sync for SharedPage<T> {}

/// Maps `size` bytes to be shared: those of a file, or new ones.
fn map(size: usize, file: Option<BorrowedFd<'_>>) -> SysResult<*mut c_void> {
    let (kind, fd) = match file {
        Some(file) => (0, file.as_raw_fd()),
        None => (libc::MAP_ANONYMOUS, -1),
    };
    // SAFETY: a mapping at an address of the kernel's choice touches nothing else.
    let at = unsafe {
        libc::mmap(
            ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_NORESERVE | kind,
            fd,
            0,
        )
    };
    if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(at) }
}

/// A file of `size` bytes that is nowhere but in memory (memfd_create(2)): for memory that is
/// shared with a process that is no child.
///
/// # Errors
/// ENOMEM, EMFILE.
pub fn memory_file(size: usize) -> SysResult<OwnedFd> {
    // SAFETY: the name is NUL-terminated.
    let file = unsafe { libc::memfd_create(c"job".as_ptr(), libc::MFD_CLOEXEC) };
    let file = new_fd(file.into())?;
    nix::unistd::ftruncate(&file, i64::try_from(size).map_err(|_| Errno::ENOMEM)?)?;
    Ok(file)
}

/// Memory that a process shares with the children it clones: it writes there what they are to
/// read later, and tells them by other means when it has.
///
/// The kernel gives pages only where something is written. Each process sees it at the same address.
pub struct SharedBytes {
    at: *mut u8,
    size: usize,
    filled: usize,
}

/// Something that was put into [`SharedBytes`]: so many items from an offset on.
pub struct Stored<T> {
    offset: u32,
    count: u32,
    kind: std::marker::PhantomData<fn() -> T>,
}

impl<T> Clone for Stored<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Stored<T> {}

impl<T> Stored<T> {
    /// What was put there first, if it was `count` items.
    #[must_use]
    pub const fn first(count: u32) -> Self {
        Self { offset: 0, count, kind: std::marker::PhantomData }
    }

    /// Where it is, as two numbers.
    #[must_use]
    pub const fn numbers(self) -> [u32; 2] {
        [self.offset, self.count]
    }
}

/// Types of which any bytes are a valid value, that hold no padding and need no drop.
///
/// # Safety
/// Just that.
pub unsafe trait Plain {}

// SAFETY: a number without padding, of which any bytes are a valid value.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for usize {}
impl SharedBytes {
    /// Maps `size` bytes, of which none is used yet.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new(size: usize) -> SysResult<Self> {
        Ok(Self { at: map(size, None)?.cast(), size, filled: 0 })
    }

    /// Maps the `size` bytes of a [file of memory](memory_file).
    ///
    /// # Errors
    /// ENOMEM, EINVAL.
    pub fn of(file: BorrowedFd<'_>, size: usize) -> SysResult<Self> {
        Ok(Self { at: map(size, Some(file))?.cast(), size, filled: 0 })
    }

    /// Copies `items` there.
    ///
    /// # Errors
    /// ENOMEM if there is no room left.
    pub fn put<T: Plain>(&mut self, items: &[T]) -> SysResult<Stored<T>> {
        let offset = self.filled.next_multiple_of(align_of::<T>());
        let end = offset.checked_add(size_of_val(items)).ok_or(Errno::ENOMEM)?;
        if end > self.size {
            return Err(Errno::ENOMEM);
        }
        let stored = Stored {
            offset: u32::try_from(offset).map_err(|_| Errno::ENOMEM)?,
            count: u32::try_from(items.len()).map_err(|_| Errno::ENOMEM)?,
            kind: std::marker::PhantomData,
        };
        self.filled = end;
        self.replace(stored, items);
        Ok(stored)
    }

    /// Puts `items` in the place of what is stored; those for which there is no room are left out.
    pub fn replace<T: Plain>(&mut self, stored: Stored<T>, items: &[T]) {
        let Some(at) = self.place(stored) else { return };
        let count = items.len().min(stored.count as usize);
        // SAFETY: the place has room for so many items, is aligned, and is no part of `items`, which
        // was borrowed before; children read it only after they are told, which is later.
        unsafe { ptr::copy_nonoverlapping(items.as_ptr(), at, count) };
    }

    /// What is stored there; nothing if it is no place in this memory.
    #[must_use]
    pub fn get<T: Plain>(&self, stored: Stored<T>) -> &[T] {
        match self.place(stored) {
            // SAFETY: the place holds so many items, aligned, any bytes of which are valid; it is
            // mapped as long as `self` lives, and not written to any more once children were told.
            Some(at) => unsafe { std::slice::from_raw_parts(at, stored.count as usize) },
            None => &[],
        }
    }

    /// As [`Self::get`], by the numbers of [`Stored::numbers`].
    #[must_use]
    pub fn get_at<T: Plain>(&self, [offset, count]: [u32; 2]) -> &[T] {
        self.get(Stored { offset, count, kind: std::marker::PhantomData })
    }

    fn place<T>(&self, stored: Stored<T>) -> Option<*mut T> {
        let (offset, count) = (stored.offset as usize, stored.count as usize);
        let end = count.checked_mul(size_of::<T>())?.checked_add(offset)?;
        (end <= self.size && offset.is_multiple_of(align_of::<T>()))
            // SAFETY: within the mapping, as just seen.
            .then(|| unsafe { self.at.add(offset) }.cast())
    }

    /// Copies a program with its arguments and its environment there.
    ///
    /// # Errors
    /// ENOMEM if there is no room left.
    pub fn put_program(
        &mut self,
        exe: &CStr,
        arguments: &[CString],
        environment: &[CString],
    ) -> SysResult<[[u32; 2]; 3]> {
        let exe = self.put(exe.to_bytes_with_nul())?;
        let mut pointers = |strings: &[CString]| {
            let mut list = Vec::with_capacity(strings.len() + 1);
            for string in strings {
                let stored = self.put(string.to_bytes_with_nul())?;
                list.push(self.place(stored).ok_or(Errno::ENOMEM)?.expose_provenance());
            }
            list.push(0);
            self.put::<usize>(&list)
        };
        let (arguments, environment) = (pointers(arguments)?, pointers(environment)?);
        Ok([exe.numbers(), arguments.numbers(), environment.numbers()])
    }

    /// Becomes the program that was [put](Self::put_program) there; returns only if that fails.
    pub fn execute(&self, [exe, arguments, environment]: [[u32; 2]; 3]) -> Errno {
        let exe = self.get_at::<u8>(exe);
        let lists = [arguments, environment].map(|at| self.get_at::<usize>(at));
        let well_formed = exe.last() == Some(&0) && lists.iter().all(|l| l.last() == Some(&0));
        if !well_formed {
            return Errno::EINVAL;
        }
        let [arguments, environment] = lists.map(|list| list.as_ptr().cast::<*const c_char>());
        // SAFETY: the path ends in NUL; both arrays end in a null pointer, and the others in them
        // were made by `put_program`, to strings in this very memory, which lies at one address.
        unsafe { libc::execve(exe.as_ptr().cast(), arguments, environment) };
        Errno::last()
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        // SAFETY: this was mapped by `new`, and no reference to it outlives `self`.
        unsafe { libc::munmap(self.at.cast(), self.size) };
    }
}

// SAFETY: it may be used and unmapped from any thread; only `&mut self` writes.
unsafe impl Send for SharedBytes {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for SharedBytes {}

/// Closes every descriptor from `first` on (close_range(2)).
///
/// Only for a process that uses none of them any more: right after its start, or after a clone.
///
/// # Errors
/// ENOSYS before Linux 5.9.
pub fn close_from(first: u32) -> SysResult<()> {
    close_range(first, u32::MAX)
}

/// Closes every descriptor from `first` to `last`, which is not below it; for such a process, too.
///
/// # Errors
/// ENOSYS before Linux 5.9.
pub fn close_range(first: u32, last: u32) -> SysResult<()> {
    // SAFETY: takes numbers; see above for the descriptors.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Marks every descriptor from `first` on as close-on-exec (close_range(2)).
///
/// # Errors
/// EINVAL before Linux 5.11.
pub fn cloexec_from(first: u32) -> SysResult<()> {
    // SAFETY: takes numbers, and closes nothing now.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })
    .map(drop)
}

/// Gives the calling thread a table of descriptors of its own, with those of the process's that are
/// below `first` (close_range(2)). Nothing is closed by it.
///
/// Only for a thread that uses none of the others, and has none of them dropped.
///
/// # Errors
/// ENOSYS before Linux 5.9.
pub fn own_table(first: u32) -> SysResult<()> {
    // SAFETY: takes numbers; the other threads keep their table.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_UNSHARE)
    })
    .map(drop)
}

/// Makes `fd` also known as `target`, without close-on-exec (dup2(2)).
///
/// # Errors
/// EBADF.
pub fn dup_onto(fd: RawFd, target: RawFd) -> SysResult<()> {
    // SAFETY: takes numbers; what `target` was before is not used by any Rust object here.
    check(unsafe { libc::dup2(fd, target) }.into()).map(drop)
}

/// Makes `fd` also known as `target`, with close-on-exec (dup3(2)); the two must differ.
///
/// # Errors
/// EBADF, EINVAL.
pub fn dup_onto_cloexec(fd: RawFd, target: RawFd) -> SysResult<()> {
    // SAFETY: takes numbers; what `target` was before is not used by any Rust object here.
    check(unsafe { libc::dup3(fd, target, libc::O_CLOEXEC) }.into()).map(drop)
}

/// Takes over a descriptor that this process was started with.
///
/// # Errors
/// EBADF if it is not open.
pub fn adopt_fd(fd: RawFd) -> SysResult<OwnedFd> {
    // SAFETY: takes numbers.
    check(unsafe { libc::fcntl(fd, libc::F_GETFD) }.into())?;
    // SAFETY: open, as just seen; called once at start, before anything else could own it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Borrows a descriptor that is known only by its number and stays open for as long as this
/// process lives.
#[must_use]
pub fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: the callers hold it open; a number that is not open only makes a call fail.
    unsafe { BorrowedFd::borrow_raw(fd.max(0)) }
}

/// Takes over a descriptor that recvmsg(2) has just put into this process.
#[must_use]
pub fn own_received(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed it here, and nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Attributes of a mount, for [`mount_setattr`] (`MOUNT_ATTR_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountAttr(pub u64);

impl MountAttr {
    /// Read-only, no set-user-id, no device files.
    pub const READ_ONLY: Self =
        Self(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV);
    /// No set-user-id, no execution, nothing of the file itself changed: for device files, which
    /// can be written to all the same.
    pub const DEVICE: Self =
        Self(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC);
}

/// A detached copy of the mounts at and below `path` (open_tree(2)).
///
/// # Errors
/// ENOENT, EACCES, EPERM.
pub fn open_tree(path: &CStr) -> SysResult<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | libc::c_uint::try_from(libc::AT_RECURSIVE).unwrap_or(0);
    // SAFETY: `path` is a NUL-terminated string.
    new_fd(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Attaches a detached mount at `target`, relative to the working directory (move_mount(2)).
///
/// # Errors
/// ENOENT, ENOTDIR, EPERM.
pub fn move_mount(tree: BorrowedFd<'_>, target: &CStr) -> SysResult<()> {
    // SAFETY: both paths are NUL-terminated strings.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct RawMountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Sets attributes on a mount; on all mounts below it too if `recursive` (mount_setattr(2)).
/// With an empty `path`, on the one that `at` refers to.
///
/// # Errors
/// EINVAL, EPERM.
pub fn mount_setattr(at: RawFd, path: &CStr, attr: MountAttr, recursive: bool) -> SysResult<()> {
    let attr = RawMountAttr { attr_set: attr.0, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `path` is NUL-terminated, `attr` a live structure of the size given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at,
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<RawMountAttr>(),
        )
    })
    .map(drop)
}

/// Drops every capability of this process for good, after its [bounding set](drop_bounding_set):
/// the ambient set, then the permitted, effective and inheritable sets; and locks the secure bits so
/// that no user id brings any back (capabilities(7)).
///
/// # Errors
/// EPERM without CAP_SETPCAP in its user namespace.
pub fn drop_capabilities() -> SysResult<()> {
    /// No capability from uid 0, none kept over a change of uid, none raised as ambient: locked.
    const SECUREBITS: libc::c_ulong = 0b1110_1111;
    prctl(libc::PR_SET_SECUREBITS, SECUREBITS)?;
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong)?;
    clear_capability_sets()
}

/// Drops every capability from the bounding set: no executed file brings one back.
///
/// # Errors
/// EPERM without CAP_SETPCAP in its user namespace.
pub fn drop_bounding_set() -> SysResult<()> {
    for capability in 0..64 {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            // The first number that the kernel does not know ends the list.
            Err(Errno::EINVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

/// Empties the permitted, effective and inheritable capability sets.
///
/// # Errors
/// None that a process can cause by its state.
pub fn clear_capability_sets() -> SysResult<()> {
    // `_LINUX_CAPABILITY_VERSION_3`, then pid 0: this thread.
    let header: [u32; 2] = [0x2008_0522, 0];
    let none = [0u32; 6];
    // SAFETY: the header and the two sets of three words are live and of the documented size.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) }).map(drop)
}

/// A call of prctl(2) with one number as its argument.
fn prctl(option: c_int, argument: libc::c_ulong) -> SysResult<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: used only with options whose arguments are numbers.
    check(unsafe { libc::prctl(option, argument, zero, zero, zero) }.into()).map(drop)
}

/// Sends three descriptors over a unix socket with one byte of data, without allocating (unix(7),
/// SCM_RIGHTS).
///
/// # Errors
/// EPIPE if the other side is gone.
pub fn send_fds(socket: RawFd, fds: [RawFd; 3]) -> SysResult<()> {
    /// A control message with three descriptors: 16 bytes of header, 12 of payload, padded.
    #[repr(C)]
    struct Control {
        header: libc::cmsghdr,
        fds: [RawFd; 3],
        _pad: u32,
    }
    let control = Control {
        header: libc::cmsghdr {
            // CMSG_LEN of three descriptors.
            cmsg_len: size_of::<libc::cmsghdr>() + size_of::<[RawFd; 3]>(),
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        },
        fds,
        _pad: 0,
    };
    let byte = 0u8;
    let mut part = libc::iovec { iov_base: (&raw const byte).cast_mut().cast(), iov_len: 1 };
    // SAFETY: all-zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw const control).cast_mut().cast();
    message.msg_controllen = size_of::<Control>();
    // SAFETY: the message points to live buffers of the sizes given, which the kernel only reads.
    let ret = unsafe { libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL) };
    check(ret as libc::c_long).map(drop)
}

/// `SO_PASSRIGHTS` (linux/asm-generic/socket.h).
const PASS_RIGHTS: c_int = 83;

/// Has nobody send descriptors to this socket of ours any more (`SO_PASSRIGHTS`, Linux 6.16): to
/// close one can take as long as whoever made it wants.
///
/// # Errors
/// ENOPROTOOPT from kernels that know of no such thing.
pub fn take_no_descriptors(socket: BorrowedFd<'_>) -> SysResult<()> {
    let off: c_int = 0;
    let size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the value is a live integer of the size given.
    let ret = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            PASS_RIGHTS,
            (&raw const off).cast::<c_void>(),
            size,
        )
    };
    check(ret.into()).map(drop)
}

/// Whether a file has the extended attribute `name` with the value `1` (getxattr(2)).
#[must_use]
pub fn has_attribute(path: &std::path::Path, name: &CStr) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    let mut value = [0u8; 8];
    // SAFETY: both strings are NUL-terminated, and the buffer has the length given.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    length == 1 && value[0] == b'1'
}

/// The version of Landlock's interface that this kernel offers, if it offers any
/// (landlock_create_ruleset(2), `LANDLOCK_CREATE_RULESET_VERSION`).
#[must_use]
pub fn landlock_abi() -> Option<u8> {
    const VERSION: c_int = 1;
    // SAFETY: with this flag the kernel reads no attributes, so a null pointer is right.
    let ret = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<c_void>(), 0usize, VERSION)
    };
    u8::try_from(check(ret).ok()?).ok()
}

/// How many processes a /proc directory shows, without allocating.
///
/// # Errors
/// Whatever getdents64(2) says.
pub fn count_processes(proc_dir: RawFd) -> SysResult<u32> {
    #[repr(align(8))]
    struct Buffer([u8; 4096]);
    let mut buffer = Buffer([0; 4096]);
    let mut count = 0;
    // From its beginning, however often it was read.
    nix::unistd::lseek(borrow(proc_dir), 0, nix::unistd::Whence::SeekSet)?;
    loop {
        // SAFETY: the buffer is live and of the length given.
        let ret = unsafe {
            libc::syscall(libc::SYS_getdents64, proc_dir, buffer.0.as_mut_ptr(), buffer.0.len())
        };
        let filled = usize::try_from(check(ret)?).unwrap_or(0);
        if filled == 0 {
            return Ok(count);
        }
        // struct linux_dirent64: inode 8, offset 8, record length 2, type 1, then the name.
        let mut at = 0;
        while let Some(record) = buffer.0.get(at..filled).filter(|r| r.len() > 19) {
            let length = usize::from(u16::from_ne_bytes([record[16], record[17]]));
            if record[19].is_ascii_digit() {
                count += 1;
            }
            at += length.max(1);
        }
    }
}

/// Sets every signal to its default action and blocks none, so that a program does not inherit
/// what its ancestors ignored (signal(7)).
pub fn reset_signals() {
    default_signals();
    unblock_signals();
}

/// Sets every signal to its default action.
pub fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is a valid disposition; numbers that cannot be set are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Sets one signal to its default action.
pub fn default_signal(signal: Signal) {
    // SAFETY: SIG_DFL is a valid disposition.
    unsafe { libc::signal(signal as c_int, libc::SIG_DFL) };
}

/// Blocks no signal any more.
pub fn unblock_signals() {
    // SAFETY: all-zero is a valid, empty signal set.
    let none: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: the set is live; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

/// Has a program that is to be started block no signal, whatever the thread that starts it blocks.
pub fn without_blocked_signals(command: &mut Command) -> &mut Command {
    let unblock = || {
        unblock_signals();
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call, and touches nothing else.
    unsafe { command.pre_exec(unblock) }
}

/// Whether this process ignores the signal of this number (sigaction(2)); one that there is not, it
/// does not.
#[must_use]
pub fn ignores_signal(signal: c_int) -> bool {
    // SAFETY: all-zero is a valid value of it.
    let mut now: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: no new disposition is given, and the old one's place is live.
    let told = unsafe { libc::sigaction(signal, ptr::null(), &raw mut now) };
    told == 0 && now.sa_sigaction == libc::SIG_IGN
}

/// Makes this process ignore a signal.
pub fn ignore_signal(signal: Signal) {
    // SAFETY: SIG_IGN is a valid disposition.
    unsafe { libc::signal(signal as c_int, libc::SIG_IGN) };
}

/// Makes the calling thread give up every user and group id but `uid` and `gid`, for good.
///
/// # Errors
/// EPERM if it has no right to.
pub fn become_user(uid: u32, gid: u32) -> SysResult<()> {
    nix::unistd::setgroups(&[])?;
    let gid = nix::unistd::Gid::from_raw(gid);
    nix::unistd::setresgid(gid, gid, gid)?;
    let uid = nix::unistd::Uid::from_raw(uid);
    nix::unistd::setresuid(uid, uid, uid)
}

/// The descriptor's status flags and whether it is sealed memory that can neither change nor
/// shrink (`F_GET_SEALS`, memfd_create(2)).
#[must_use]
pub fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    const NEEDED: c_int = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    // SAFETY: takes numbers; fails on anything but a memfd.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & NEEDED == NEEDED
}

/// Sealed memory that holds `bytes` and can never change (memfd_create(2)).
///
/// # Errors
/// ENOMEM, EMFILE.
pub fn sealed_memfd(bytes: &[u8]) -> io::Result<OwnedFd> {
    use std::io::Write;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is NUL-terminated.
    let fd = new_fd(unsafe { libc::memfd_create(c"script".as_ptr(), flags) }.into())
        .map_err(io_error)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes)?;
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: takes numbers.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }.into())
        .map_err(io_error)?;
    Ok(file.into())
}

/// Whether standard output was closed when this process started. The standard library opens
/// /dev/null in its place before `main`, so this is looked at before that.
#[must_use]
pub fn stdout_was_closed() -> bool {
    // Naming it makes the linker keep it.
    std::hint::black_box(&raw const LOOK_AT_START);
    STDOUT_WAS_CLOSED.load(Relaxed)
}

static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Called before `main` (elf(5), `.init_array`), by glibc with the arguments of `main`.
// SAFETY: the section holds pointers to functions of this type, and nothing else.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_START: extern "C" fn(c_int, *const *const c_char, *const *const c_char) =
    look_at_start;

extern "C" fn look_at_start(
    _count: c_int,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) {
    // SAFETY: takes numbers; makes one system call and stores one flag, which needs no runtime.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } < 0;
    STDOUT_WAS_CLOSED.store(closed, Relaxed);
    let (mut first, mut behind) = (usize::MAX, 0);
    for list in [arguments, environment] {
        for index in 0.. {
            // SAFETY: both are arrays of pointers that end in a null pointer (execve(2)), and the
            // one at `index` is reached only if none before it is null.
            let at = unsafe { list.add(index) };
            // SAFETY: as above.
            let text = unsafe { *at };
            if text.is_null() {
                break;
            }
            // SAFETY: each pointer of the arrays is to a NUL-terminated string.
            let length = unsafe { libc::strlen(text) };
            let text = text.expose_provenance();
            first = first.min(text);
            behind = behind.max(text + length);
        }
    }
    if first < behind {
        START[0].store(first, Relaxed);
        START[1].store(behind, Relaxed);
    }
}

/// The kernel's errno as an [`io::Error`], for messages.
#[must_use]
pub fn io_error(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

/// For tests: this process's id, by a system call and from no cache.
#[cfg(test)]
fn own_pid() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    let pid = unsafe { libc::syscall(libc::SYS_getpid) };
    i32::try_from(pid).unwrap_or(-1)
}

/// For tests: an allocator that ends any other process than the one that armed it, so that an
/// allocation between clone and exec does not go unseen.
#[cfg(test)]
pub mod alloc_guard {
    use std::{
        alloc::{GlobalAlloc, Layout, System},
        sync::atomic::{AtomicI32, Ordering::SeqCst},
    };

    /// The process that may allocate; 0 lets all.
    static OWNER: AtomicI32 = AtomicI32::new(0);

    struct Guarded;

    #[global_allocator]
    static ALLOCATOR: Guarded = Guarded;

    /// From now on only this process may allocate or free.
    pub fn arm() {
        OWNER.store(super::own_pid(), SeqCst);
    }

    /// Whether an allocation made now would be allowed; what a test of the guard looks at.
    pub fn allowed() -> bool {
        let owner = OWNER.load(SeqCst);
        owner == 0 || owner == super::own_pid()
    }

    fn check() {
        if !allowed() {
            super::exit_now(99);
        }
    }

    // SAFETY: hands everything on to the system's allocator, or does not return.
    unsafe impl GlobalAlloc for Guarded {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            check();
            // SAFETY: the caller keeps the contract of `alloc`.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            check();
            // SAFETY: the caller keeps the contract of `dealloc`.
            unsafe { System.dealloc(at, layout) }
        }
    }
}
