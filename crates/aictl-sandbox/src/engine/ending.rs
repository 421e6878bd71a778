//! Whether a process has begun to end. From then on nothing of it is executed any more; what it had
//! the kernel takes apart afterwards, which takes it longer than a short script has run.
//!
//! Called in a sandbox's first process: it only makes system calls.

use std::{
    ffi::CStr,
    os::fd::{AsFd, IntoRawFd, OwnedFd, RawFd},
    str,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sched::{sched_getaffinity, sched_setaffinity},
    sys::{stat::Mode, uio::pread},
    unistd::{Pid, read},
};

use crate::sys::{self, SysResult};

/// `PF_EXITING` of the kernel's sched.h: the process has come into its end, from which there is no
/// way back to its program.
const EXITING: u32 = 0x4;

/// What `/proc/PID/stat` (proc_pid_stat(5)) tells of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// It has begun to end.
    begun: bool,
    /// Its threads.
    threads: u32,
    /// Page faults of the children that it has waited for: 0 if it has waited for none.
    children_faults: u64,
    /// Where its program lies in memory: 0 where it has no memory any more.
    code: u64,
    /// How it ends, as wait(2) will tell; 0 also before that is known, and for whoever may not look.
    status: i32,
}

impl Ending {
    /// Whether it is the end of a single thread with exit code 0, which had nobody else work for it,
    /// for whoever [may look](Look).
    ///
    /// The kernel writes down how a process ends before it lets its memory go, and not before it says
    /// that it ends.
    const fn is_plain(&self) -> bool {
        let is_known = self.begun && self.code == 0;
        is_known && self.threads <= 1 && self.children_faults == 0 && self.status == 0
    }

    /// How far the process `pid` is, seen in this /proc directory.
    fn of(proc_dir: RawFd, pid: i32) -> SysResult<Self> {
        let mut buffer = [0; 1024];
        let text = read_file(proc_dir, pid, b"/stat\0", &mut buffer)?;
        Self::parse(text).ok_or(Errno::EIO)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // Its name may hold anything.
        let after = text.iter().rposition(|&byte| byte == b')')?;
        let mut fields = text.get(after + 2..)?.split(|&byte| byte == b' ');
        // The third field is the first behind the name.
        let mut field = |number: usize, from: usize| number_in(fields.nth(number - from)?);
        let begun = u32::try_from(field(9, 3)?).ok()? & EXITING != 0;
        let children_faults = field(11, 10)?;
        let threads = u32::try_from(field(20, 12)?).ok()?;
        let code = field(26, 21)?;
        let status = i32::try_from(field(52, 27)?).ok()?;
        Some(Self { begun, threads, children_faults, code, status })
    }
}

/// A file of a process that shows as long as there is anything of it, to whoever may look into it:
/// what it has read and written (`/proc/PID/io`, proc_pid_io(5)). Whether that is allowed is asked at
/// each reading, as it is for the status in `/proc/PID/stat`, which is 0 for all others (ptrace(2),
/// "Ptrace access mode checking"): a process that nobody may look into, since it has said so or has
/// executed what nobody may read, must not be taken for one that has ended well.
#[derive(Debug)]
pub struct Look(RawFd);

impl Look {
    /// Opens it while the process `pid` lives; `None` where that is not allowed, or the kernel has no
    /// such file.
    pub fn at(proc_dir: RawFd, pid: i32) -> Option<RawFd> {
        let file = open_file(proc_dir, pid, b"/io\0", OFlag::O_RDONLY).ok()?;
        Some(file.into_raw_fd())
    }

    /// What was opened so, under the number that it has now.
    pub const fn through(file: RawFd) -> Self {
        Self(file)
    }

    /// Whether it may be looked into now.
    fn is_allowed(&self) -> bool {
        pread(sys::borrow(self.0), &mut [0; 64], 0).is_ok_and(|length| length > 0)
    }

    /// Whether the process `pid` has come to its [plain](Ending::is_plain) end.
    pub fn sees_plain_end(&self, proc_dir: RawFd, pid: i32) -> bool {
        // In this order: who may look once its memory has gone, might have before.
        Ending::of(proc_dir, pid).is_ok_and(|ending| ending.is_plain()) && self.is_allowed()
    }
}

/// Has this process go on elsewhere than where the process `pid` runs, or did last, if it may.
///
/// # Errors
/// If there is no other processor for it, or nobody knows.
pub fn leave_processor_of(proc_dir: RawFd, pid: i32) -> SysResult<()> {
    let mut buffer = [0; 1024];
    let text = read_file(proc_dir, pid, b"/stat\0", &mut buffer)?;
    let processor = processor_in(text).ok_or(Errno::EIO)?;
    let mut others = sched_getaffinity(Pid::from_raw(0))?;
    others.unset(processor)?;
    sched_setaffinity(Pid::from_raw(0), &others)
}

/// The processor that a process was on last, as `/proc/PID/stat` tells it.
fn processor_in(stat: &[u8]) -> Option<usize> {
    let after = stat.iter().rposition(|&byte| byte == b')')?;
    // The third field is the first behind the name; this is the 39th.
    let number = stat.get(after + 2..)?.split(|&byte| byte == b' ').nth(39 - 3)?;
    usize::try_from(number_in(number)?).ok()
}

/// The largest resident set that the process `pid` has had, in bytes, while it has memory at all
/// (proc_pid_status(5)).
pub fn peak_memory(proc_dir: RawFd, pid: i32) -> Option<u64> {
    let mut buffer = [0; 4096];
    let text = read_file(proc_dir, pid, b"/status\0", &mut buffer).ok()?;
    peak_in(text)
}

fn peak_in(text: &[u8]) -> Option<u64> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(b"VmHWM:"))?;
    let kibibytes = line.trim_ascii().strip_suffix(b" kB")?;
    number_in(kibibytes)?.checked_mul(1024)
}

fn number_in(text: &[u8]) -> Option<u64> {
    str::from_utf8(text).ok()?.trim_ascii().parse().ok()
}

/// Reads a file of a process, as far as there is room.
fn read_file<'a>(
    proc_dir: RawFd,
    pid: i32,
    name: &[u8],
    buffer: &'a mut [u8],
) -> SysResult<&'a [u8]> {
    let file = open_file(proc_dir, pid, name, OFlag::O_RDONLY)?;
    let length = read(file.as_fd(), buffer)?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// Opens what says how the session of the process `pid` is weighed beside others, to write to it
/// (sched(7), "The autogroup feature").
///
/// # Errors
/// If the kernel does not weigh sessions, or the process is gone.
pub fn autogroup_of(proc_dir: RawFd, pid: i32) -> SysResult<OwnedFd> {
    open_file(proc_dir, pid, b"/autogroup\0", OFlag::O_WRONLY)
}

fn open_file(proc_dir: RawFd, pid: i32, name: &[u8], mode: OFlag) -> SysResult<OwnedFd> {
    let mut path = [0; 24];
    let path = path_of(pid, name, &mut path).ok_or(Errno::ENAMETOOLONG)?;
    openat(sys::borrow(proc_dir), path, mode | OFlag::O_CLOEXEC, Mode::empty())
}

/// `PID/NAME`; the name ends with a NUL.
fn path_of<'a>(pid: i32, name: &[u8], path: &'a mut [u8; 24]) -> Option<&'a CStr> {
    let mut rest = u32::try_from(pid).ok()?;
    let digits = rest.checked_ilog10().unwrap_or(0) as usize + 1;
    for digit in path.get_mut(..digits)?.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    path.get_mut(digits..)?.get_mut(..name.len())?.copy_from_slice(name);
    CStr::from_bytes_until_nul(path).ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Read,
        os::fd::AsRawFd,
        process::{Child, Command, Stdio},
    };

    use nix::sched::CpuSet;

    use super::*;

    #[test]
    fn only_the_plain_end_of_one_thread_is_one() {
        let told = |name: &str, flags: u32, faults: u32, threads: u32, code: u32, status: i32| {
            format!(
                "7 ({name}) R 1 7 7 0 -1 {flags} 1 {faults} 3 4 10 20 30 40 20 0 {threads} 0 555 \
                 9 9 9 {code} 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 {status}\n"
            )
        };
        let text = |name: &str, flags: u32, faults: u32, threads: u32, status: i32| {
            told(name, flags, faults, threads, 0, status)
        };
        let table = [
            (text("python3", 0x40_0004, 0, 1, 0), true),
            (text("python3", 0x40_0000, 0, 1, 0), false),
            (text("a) R 4 4", 0x40_0004, 0, 1, 0), true),
            (text("a) R 1 1 1 1 1 4", 0, 0, 1, 0), false),
            (text("x", 4, 0, 2, 0), false),
            (text("x", 4, 5, 1, 0), false),
            (text("x", 4, 0, 1, 256), false),
            (text("x", 4, 0, 1, 9), false),
            // How it ends may not be known yet.
            (told("x", 4, 0, 1, 4_194_304, 0), false),
            (told("x", 4, 0, 1, 1, 0), false),
        ];
        for (text, plain) in table {
            assert_eq!(Ending::parse(text.as_bytes()).unwrap().is_plain(), plain, "{text}");
        }
        for odd in ["", "7 (x)", "7 (x) R 1 7", "7 x R 1 7 7 0 -1 4 0 0 0", "7 (x) R a b c d e f g"]
        {
            assert_eq!(Ending::parse(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn the_processor_of_a_process_is_told_and_left_to_it() {
        let stat = |name: &str| format!("7 ({name}) S{} 11 39 40 41\n", " 0".repeat(34));
        let number = |text: &str| processor_in(text.as_bytes());
        assert_eq!(number(&stat("python3")), Some(39));
        assert_eq!(number(&stat("a) S 1 (b")), Some(39));
        for odd in ["", "7 (x) S 1", "7 (x", &format!("7 (x) S{}", " x".repeat(50))] {
            assert_eq!(number(odd), None, "{odd}");
        }

        let proc_dir = File::open("/proc").unwrap();
        let mut child = child("");
        let pid = i32::try_from(child.id()).unwrap();
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap();
        let processor = processor_in(&stat).unwrap();
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let is_one_of_several = (0..CpuSet::count())
            .any(|other| other != processor && before.is_set(other).unwrap_or(false));
        let left = leave_processor_of(proc_dir.as_raw_fd(), pid);
        let after = sched_getaffinity(Pid::from_raw(0)).unwrap();
        // It waits for us, and stays where it is.
        assert_eq!(left.is_ok(), is_one_of_several);
        assert_eq!(after.is_set(processor).unwrap(), !is_one_of_several);
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn the_most_memory_is_read_where_there_is_any() {
        assert_eq!(peak_in(b"Name:\tx\nVmHWM:\t   12 kB\nVmRSS:\t 9 kB\n"), Some(12 << 10));
        assert_eq!(peak_in(b"Name:\tx\nState:\tZ (zombie)\n"), None);
        assert_eq!(peak_in(b"VmHWM:\t18446744073709551615 kB\n"), None);
    }

    /// A child that says that it is there, and ends so when its standard input does.
    fn child(ends: &str) -> Child {
        let script = format!(
            "import ctypes, os, sys\nsys.stdout.write('on\\n')\nsys.stdout.flush()\n\
             sys.stdin.read()\n{ends}"
        );
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-I", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().unwrap();
        let mut said = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        child
    }

    #[test]
    fn a_process_is_seen_to_live_and_to_have_ended() {
        // From here on this process is of one user, as its children are.
        let _engine = crate::engine::tests::engine();
        let proc_dir = File::open("/proc").unwrap();
        let proc_dir = proc_dir.as_raw_fd();
        const HIDES: &str = "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE\n";
        let table = [
            (String::from("os._exit(0)"), Some(0)),
            (String::from("os._exit(3)"), Some(0x300)),
            (String::from("os.kill(os.getpid(), 9)"), Some(9)),
            // How these end is not told.
            (format!("{HIDES}os._exit(0)"), None),
            (format!("{HIDES}os._exit(3)"), None),
            (format!("{HIDES}os.kill(os.getpid(), 9)"), None),
        ];
        for (ends, expected) in table {
            let mut child = child(&ends);
            let pid = i32::try_from(child.id()).unwrap();
            let look = Look::through(Look::at(proc_dir, pid).unwrap());
            assert!(look.is_allowed() && !look.sees_plain_end(proc_dir, pid));
            assert!(peak_memory(proc_dir, pid).unwrap() > 1 << 20);
            drop(child.stdin.take());
            // Not yet waited for, so it is still there.
            let ending = loop {
                match Ending::of(proc_dir, pid).unwrap() {
                    ending if ending.begun && ending.code == 0 => break ending,
                    ending => assert!(!ending.is_plain()),
                }
                std::thread::yield_now();
            };
            let told = look.is_allowed().then_some(ending.status);
            assert_eq!(told, expected, "{ends}");
            assert_eq!(look.sees_plain_end(proc_dir, pid), expected == Some(0), "{ends}");
            child.wait().unwrap();
            assert_eq!(Ending::of(proc_dir, pid), Err(Errno::ENOENT));
            assert!(!look.is_allowed());
        }
    }
}
