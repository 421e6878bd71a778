//! Which system calls a sandboxed program may make, and why.
//!
//! What is not listed does not exist there: it fails with ENOSYS, so that libraries fall back to
//! an older call. What is listed as denied fails with EPERM, and what only an attack on the
//! kernel would call kills the process.

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the system call list is written and tested for x86-64 only");

use Test::{Is, IsNot, Masked};
use nix::libc::{self, EINVAL, ENOTTY, EPERM};

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes through to the kernel.
    Allow,
    /// It goes through if one of these cases matches; else it fails with this errno.
    Args(&'static [Case], i32),
    /// It fails with EPERM.
    Deny,
    /// It fails with ENOSYS, as if the kernel did not know it.
    Absent,
    /// It kills the process with SIGSYS.
    Kill,
}

impl Verdict {
    /// The verdict in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Args(..) => "args",
            Self::Deny => "eperm",
            Self::Absent => "enosys",
            Self::Kill => "kill",
        }
    }
}

/// Tests of arguments that must all hold.
pub type Case = &'static [Test];

/// A test of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// The lower 32 bits of argument number `.0` equal `.1`.
    Is(u8, u32),
    /// The lower 32 bits of argument number `.0` do not equal `.1`.
    IsNot(u8, u32),
    /// Argument number `.0`, under the mask `.1`, equals `.2`.
    Masked(u8, u64, u64),
}

/// A system call of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The name, as in syscalls(2).
    pub name: &'static str,
    /// The number on this architecture.
    pub number: u32,
    /// What happens to it.
    pub verdict: Verdict,
    /// Why.
    pub why: &'static str,
}

/// Calls that share a verdict and the reason for it.
struct Group {
    verdict: Verdict,
    why: &'static str,
    calls: &'static [(&'static str, u32)],
}

macro_rules! group {
    ($verdict:expr, $why:literal: $($name:ident = $number:literal)+) => {
        Group { verdict: $verdict, why: $why, calls: &[$((stringify!($name), $number)),+] }
    };
}

const AF_UNIX: u32 = libc::AF_UNIX as u32;
/// The bit of a file's type that character and block devices have, and FIFOs, sockets and plain
/// files do not (inode(7)).
const DEVICE_TYPES: u64 = libc::S_IFCHR as u64;

/// Every flag of clone(2) that makes a namespace; CLONE_NEWTIME has no bit there.
const NEW_NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// socket(2) and socketpair(2): unix sockets that are connected once and for all. A datagram
/// socket could send to any path, in a message that a filter cannot read.
const SOCKETS: &[Case] = &[
    &[Is(0, AF_UNIX), Masked(1, SOCK_TYPE_MASK, libc::SOCK_STREAM as u64)],
    &[Is(0, AF_UNIX), Masked(1, SOCK_TYPE_MASK, libc::SOCK_SEQPACKET as u64)],
];

/// `SOCK_TYPE_MASK` of linux/net.h: the rest are flags.
const SOCK_TYPE_MASK: u64 = 0xf;

/// ioctl(2) requests: is it a terminal and how wide, how much is there to read, do not block,
/// close on exec, copy a file's blocks.
const IOCTLS: &[Case] = &[
    &[Is(1, libc::TCGETS as u32)],
    &[Is(1, libc::TIOCGWINSZ as u32)],
    &[Is(1, libc::FIONREAD as u32)],
    &[Is(1, libc::FIONBIO as u32)],
    &[Is(1, libc::FIOCLEX as u32)],
    &[Is(1, libc::FIONCLEX as u32)],
    &[Is(1, FICLONE)],
];

/// `FICLONE` of ioctl_ficlone(2).
const FICLONE: u32 = 0x4004_9409;

/// fcntl(2) commands: all but those that make a pipe larger, since nobody counts its memory, and
/// that watch or hold up others who open the same file.
const FCNTLS: &[Case] = &[&[
    IsNot(1, libc::F_SETPIPE_SZ as u32),
    IsNot(1, libc::F_NOTIFY as u32),
    IsNot(1, libc::F_SETLEASE as u32),
]];

/// What the kernel counts for a whole sandbox decides which memory it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// A control group counts all of it.
    Counted,
    /// sandboxd watches what processes show; memory that no process shows as its own is refused.
    Watched,
}

/// The flags of mmap(2) that matter here.
const MAP_FLAGS: u64 = (libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB) as u64;

/// mmap(2): no huge pages, which are the machine's own reserve.
const MMAPS_COUNTED: &[Case] = &[&[Masked(3, libc::MAP_HUGETLB as u64, 0)]];

/// mmap(2): as above, and no shared memory without a file: its pages outlive the mapping of the
/// process that filled them, and then show nowhere.
const MMAPS_WATCHED: &[Case] = &[
    &[Masked(3, MAP_FLAGS, 0)],
    &[Masked(3, MAP_FLAGS, libc::MAP_SHARED as u64)],
    &[Masked(3, MAP_FLAGS, libc::MAP_ANONYMOUS as u64)],
];

/// Options of socket(7), which servers set as a matter of habit.
const SOCKOPTS: &[Case] = &[
    &[Is(2, libc::SO_REUSEADDR as u32)],
    &[Is(2, libc::SO_REUSEPORT as u32)],
    &[Is(2, libc::SO_KEEPALIVE as u32)],
    &[Is(2, libc::SO_LINGER as u32)],
    &[Is(2, libc::SO_PASSCRED as u32)],
    &[Is(2, libc::SO_RCVTIMEO as u32)],
    &[Is(2, libc::SO_SNDTIMEO as u32)],
];

/// prctl(2) options.
const PRCTLS: &[Case] = &[
    &[Is(0, libc::PR_SET_NAME as u32)],
    &[Is(0, libc::PR_GET_NAME as u32)],
    &[Is(0, libc::PR_SET_PDEATHSIG as u32)],
    &[Is(0, libc::PR_GET_PDEATHSIG as u32)],
    &[Is(0, libc::PR_SET_DUMPABLE as u32)],
    &[Is(0, libc::PR_GET_DUMPABLE as u32)],
    &[Is(0, libc::PR_SET_NO_NEW_PRIVS as u32)],
    &[Is(0, libc::PR_GET_NO_NEW_PRIVS as u32)],
    &[Is(0, libc::PR_SET_CHILD_SUBREAPER as u32)],
    &[Is(0, libc::PR_GET_CHILD_SUBREAPER as u32)],
    &[Is(0, libc::PR_SET_TIMERSLACK as u32)],
    &[Is(0, libc::PR_GET_TIMERSLACK as u32)],
    &[Is(0, libc::PR_SET_THP_DISABLE as u32)],
    &[Is(0, libc::PR_CAPBSET_READ as u32)],
    &[Is(0, libc::PR_GET_SECCOMP as u32)],
    &[Is(0, PR_SET_VMA)],
];

/// `PR_SET_VMA`: names for memory areas, which the C library gives.
const PR_SET_VMA: u32 = 0x5356_4d41;

/// The list of the profile `standard`.
const STANDARD: &[Group] = &[
    group!(Verdict::Allow, "reading and writing what is open": read=0 write=1 pread64=17 pwrite64=18 readv=19 writev=20 preadv=295 pwritev=296 pwritev2=328 lseek=8),
    group!(Verdict::Allow, "opening files: the mount namespace and Landlock say which": open=2 openat=257 openat2=437 creat=85 close=3 close_range=436),
    group!(Verdict::Allow, "looking at files": stat=4 fstat=5 lstat=6 newfstatat=262 statx=332 access=21 faccessat=269 faccessat2=439 readlink=89 readlinkat=267 getdents=78 getdents64=217 statfs=137 fstatfs=138),
    group!(Verdict::Allow, "changing files in /work and /tmp": truncate=76 ftruncate=77 fallocate=285 rename=82 renameat=264 renameat2=316 mkdir=83 mkdirat=258 rmdir=84 link=86 linkat=265 symlink=88 symlinkat=266 unlink=87 unlinkat=263 chmod=90 fchmod=91 fchmodat=268 fchmodat2=452 chown=92 fchown=93 lchown=94 fchownat=260 utime=132 utimes=235 utimensat=280 futimesat=261 umask=95),
    group!(Verdict::Allow, "writing files back; sync(2) and syncfs(2) are left out, since they work on whole file systems of the machine": fsync=74 fdatasync=75 msync=26 sync_file_range=277),
    group!(Verdict::Allow, "the working directory": getcwd=79 chdir=80 fchdir=81),
    group!(Verdict::Allow, "reading extended attributes, as copying files does": getxattr=191 lgetxattr=192 fgetxattr=193 listxattr=194 llistxattr=195 flistxattr=196),
    group!(Verdict::Allow, "locks and read-ahead": flock=73 fadvise64=221 readahead=187),
    group!(Verdict::Allow, "descriptors, and the flags on them": dup=32 dup2=33 dup3=292 pipe=22 pipe2=293),
    group!(Verdict::Allow, "copying between files": copy_file_range=326),
    group!(Verdict::Args(&[], EINVAL), "they wait for one descriptor with the lock of a pipe in hand, and sandboxd, which reads the other end, would wait for that: no limit of time would end the run. Programs copy by themselves instead": sendfile=40 splice=275 tee=276),
    group!(Verdict::Allow, "waiting for descriptors": poll=7 ppoll=271 select=23 pselect6=270 epoll_create=213 epoll_create1=291 epoll_ctl=233 epoll_wait=232 epoll_pwait=281 epoll_pwait2=441 eventfd=284 eventfd2=290 signalfd=282 signalfd4=289 timerfd_create=283 timerfd_settime=286 timerfd_gettime=287),
    group!(Verdict::Allow, "memory of the process itself; its size is limited otherwise": munmap=11 mprotect=10 mremap=25 brk=12 madvise=28 mlock=149 munlock=150 mlock2=325 mlockall=151 munlockall=152 mseal=462 pkey_alloc=330 pkey_free=331 pkey_mprotect=329 membarrier=324),
    group!(Verdict::Allow, "processes and threads": fork=57 vfork=58 execve=59 execveat=322 exit=60 exit_group=231 wait4=61 waitid=247 set_tid_address=218 set_robust_list=273 rseq=334 futex=202 futex_waitv=449 futex_wake=454 futex_wait=455 futex_requeue=456 gettid=186 getpid=39 getppid=110 getpgid=121 getpgrp=111 setpgid=109 getsid=124 setsid=112 arch_prctl=158),
    group!(Verdict::Allow, "signals, which Landlock and the pid namespace keep inside": kill=62 tkill=200 tgkill=234 rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 rt_sigpending=127 rt_sigtimedwait=128 rt_sigqueueinfo=129 rt_tgsigqueueinfo=297 rt_sigsuspend=130 sigaltstack=131 pause=34 restart_syscall=219 pidfd_open=434 pidfd_send_signal=424),
    group!(Verdict::Allow, "time": time=201 gettimeofday=96 clock_gettime=228 clock_getres=229 clock_nanosleep=230 nanosleep=35 times=100 alarm=37 getitimer=36 setitimer=38 timer_create=222 timer_settime=223 timer_gettime=224 timer_getoverrun=225 timer_delete=226),
    group!(Verdict::Allow, "who and where one is": getuid=102 geteuid=107 getgid=104 getegid=108 getresuid=118 getresgid=120 getgroups=115 capget=125 uname=63 sysinfo=99 getcpu=309 getrandom=318 getrusage=98),
    group!(Verdict::Allow, "limits, which can only be lowered": getrlimit=97 setrlimit=160),
    group!(Verdict::Allow, "scheduling of the process itself": sched_yield=24 sched_getaffinity=204 sched_getparam=143 sched_getscheduler=145 sched_getattr=315 sched_get_priority_max=146 sched_get_priority_min=147 sched_rr_get_interval=148 getpriority=140 ioprio_get=252),
    group!(Verdict::Allow, "unix sockets inside the sandbox; socket(2) below allows no others": accept=43 accept4=288 bind=49 listen=50 shutdown=48 getsockname=51 getpeername=52 getsockopt=55 sendto=44 recvfrom=45 sendmsg=46 recvmsg=47 sendmmsg=307 recvmmsg=299),
    group!(
        Verdict::Args(SOCKETS, EPERM),
        "unix sockets for the sandbox's own processes; a network, or a packet to a path, leads out":
        socket = 41 socketpair = 53
    ),
    group!(
        Verdict::Deny,
        "a socket of the machine's may lie in a directory that is bound: only Landlock 9 would stop it":
        connect = 42
    ),
    group!(Verdict::Args(&[&[Masked(0, NEW_NAMESPACES, 0)]], EPERM), "a process or thread, but no new namespace: its capabilities would open the kernel": clone=56),
    group!(Verdict::Args(SOCKOPTS, EPERM), "harmless options of unix sockets; none that makes room nobody counts, or loads a filter into the kernel": setsockopt=54),
    group!(
        Verdict::Args(&[&[Is(5, 0)]], EPERM),
        "reading, but not asking whether a file lies in the page cache (RWF_NOWAIT)": preadv2 = 327
    ),
    group!(Verdict::Args(FCNTLS, EPERM), "flags and locks of descriptors": fcntl=72),
    group!(Verdict::Args(IOCTLS, ENOTTY), "a few harmless requests; TIOCSTI and TIOCLINUX would type into a terminal": ioctl=16),
    group!(Verdict::Args(PRCTLS, EPERM), "names, dumpability and the like of the process itself": prctl=157),
    group!(Verdict::Args(&[&[Is(0, u32::MAX)]], EPERM), "asking for the personality; changing it can turn off address randomisation": personality=135),
    group!(Verdict::Args(&[&[Is(0, 0)]], EPERM), "the process itself only: another one may be the sandbox's first": prlimit64=302 sched_setaffinity=203 sched_setparam=142 sched_setscheduler=144),
    group!(Verdict::Args(&[&[Is(0, 0), Is(1, 0)]], EPERM), "the process itself only (PRIO_PROCESS, 0)": setpriority=141),
    group!(Verdict::Args(&[&[Masked(1, DEVICE_TYPES, 0)]], EPERM), "FIFOs and the like, no devices": mknod =133),
    group!(Verdict::Args(&[&[Masked(2, DEVICE_TYPES, 0)]], EPERM), "FIFOs and the like, no devices": mknodat =259),
    group!(Verdict::Absent, "its flags stand in memory, where a filter cannot look: libraries fall back to clone(2)": clone3=435),
    group!(Verdict::Deny, "new namespaces": unshare=272 setns=308),
    group!(Verdict::Deny, "mounts and roots": mount=165 umount2=166 pivot_root=155 chroot=161 fsopen=430 fsconfig=431 fsmount=432 fspick=433 open_tree=428 open_tree_attr=467 move_mount=429 mount_setattr=442 statmount=457 listmount=458),
    group!(Verdict::Deny, "memory that no per-process measure sees, and code that no path names": memfd_create=319 memfd_secret=447),
    group!(Verdict::Deny, "memory and messages that outlive a process": shmget=29 shmat=30 shmctl=31 shmdt=67 semget=64 semop=65 semctl=66 semtimedop=220 msgget=68 msgsnd=69 msgrcv=70 msgctl=71 mq_open=240 mq_unlink=241 mq_timedsend=242 mq_timedreceive=243 mq_notify=244 mq_getsetattr=245),
    group!(Verdict::Deny, "rings and queues served by the kernel behind a filter's back": io_uring_setup=425 io_uring_enter=426 io_uring_register=427 io_setup=206 io_destroy=207 io_getevents=208 io_submit=209 io_cancel=210),
    group!(Verdict::Deny, "other processes' descriptors, memory and tables": pidfd_getfd=438 kcmp=312 process_madvise=440 process_mrelease=448 move_pages=279 migrate_pages=256 get_robust_list=274),
    group!(Verdict::Deny, "page faults handled in user space: the stepping stone of many kernel exploits": userfaultfd=323),
    group!(Verdict::Deny, "performance counters": perf_event_open=298 lookup_dcookie=212),
    group!(Verdict::Deny, "the kernel's key rings, which know no namespace": add_key=248 request_key=249 keyctl=250),
    group!(Verdict::Deny, "watching files, the machine's programs among them, and names of files that ignore paths": inotify_init=253 inotify_init1=294 inotify_add_watch=254 inotify_rm_watch=255 fanotify_init=300 fanotify_mark=301 name_to_handle_at=303 quotactl=179 quotactl_fd=443),
    group!(Verdict::Deny, "the machine's clock, name, log, accounts and swap": settimeofday=164 clock_settime=227 clock_adjtime=305 adjtimex=159 sethostname=170 setdomainname=171 syslog=103 acct=163 vhangup=153 sync=162 syncfs=306),
    group!(Verdict::Deny, "changing who one is": setuid=105 setgid=106 setreuid=113 setregid=114 setresuid=117 setresgid=119 setfsuid=122 setfsgid=123 setgroups=116 capset=126),
    group!(Verdict::Deny, "filters of one's own, which could answer for the kernel": seccomp=317),
    group!(Verdict::Deny, "scheduling by attributes: deadlines and the like": sched_setattr=314 ioprio_set=251),
    group!(Verdict::Deny, "placement of memory": mbind=237 set_mempolicy=238 get_mempolicy=239 set_mempolicy_home_node=450),
    group!(Verdict::Deny, "extended attributes: nothing here needs them written": setxattr=188 lsetxattr=189 fsetxattr=190 removexattr=197 lremovexattr=198 fremovexattr=199 setxattrat=463 removexattrat=466 file_setattr=469),
    group!(Verdict::Deny, "the page cache, through which other programs can be watched": mincore=27 cachestat=451 remap_file_pages=216 vmsplice=278),
    group!(Verdict::Deny, "segments and old interfaces": modify_ldt=154 uselib=134),
    group!(Verdict::Kill, "replacing or stopping the kernel": kexec_load=246 kexec_file_load=320 init_module=175 finit_module=313 delete_module=176 reboot=169),
    group!(Verdict::Kill, "swap and ports": swapon=167 swapoff=168 iopl=172 ioperm=173),
    group!(Verdict::Kill, "programs in the kernel": bpf=321),
    group!(Verdict::Kill, "taking over another process": ptrace=101 process_vm_readv=310 process_vm_writev=311),
    group!(Verdict::Kill, "opening files by handle, past every path": open_by_handle_at=304),
];

/// Every call on the list, in no particular order; what is not on it is [`Verdict::Absent`].
pub fn calls(memory: Memory) -> impl Iterator<Item = Call> {
    let cases = match memory {
        Memory::Counted => MMAPS_COUNTED,
        Memory::Watched => MMAPS_WATCHED,
    };
    let mmap = Call {
        name: "mmap",
        number: 9,
        verdict: Verdict::Args(cases, EPERM),
        why: "memory and files, but none that is taken from others or that nobody counts",
    };
    let listed = STANDARD.iter().flat_map(|group| {
        group.calls.iter().map(|&(name, number)| Call {
            name,
            number,
            verdict: group.verdict,
            why: group.why,
        })
    });
    listed.chain([mmap])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_call_is_listed_twice() {
        let mut numbers = BTreeSet::new();
        for call in calls(Memory::Watched) {
            assert!(numbers.insert(call.number), "{} ({})", call.name, call.number);
        }
    }

    #[test]
    fn every_group_says_why() {
        for group in STANDARD {
            assert!(group.why.len() > 3 && !group.calls.is_empty(), "{}", group.why);
        }
    }

    #[test]
    fn what_would_open_the_kernel_is_never_allowed() {
        for name in [
            "unshare",
            "setns",
            "mount",
            "bpf",
            "ptrace",
            "io_uring_setup",
            "userfaultfd",
            "keyctl",
            "open_by_handle_at",
            "init_module",
            "memfd_create",
            "pidfd_getfd",
        ] {
            let call = calls(Memory::Watched).find(|call| call.name == name).unwrap();
            assert!(matches!(call.verdict, Verdict::Deny | Verdict::Kill), "{name}");
        }
        assert!(!calls(Memory::Watched).any(|call| call.name == "landlock_create_ruleset"));
    }
}
