//! Whether a process has begun to end. From then on nothing of it is executed any more; what it had
//! the kernel takes apart afterwards, which takes it longer than a short script has run.
//!
//! Called in a sandbox's first process: it only makes system calls.

use std::{
    ffi::CStr,
    os::fd::{AsFd, RawFd},
    str,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::Mode,
    unistd::read,
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
    /// Where its program lies in memory: 0 where it has no memory any more, 1 for whoever may not
    /// look.
    code: u64,
    /// How it ends, as wait(2) will tell; 0 also before that is known, and for whoever may not look.
    status: i32,
}

impl Ending {
    /// Whether it is the end of a single thread with exit code 0, which had nobody else work for it:
    /// for who may see how others end, as [`can_be_seen`](Self::can_be_seen) tells before.
    ///
    /// The kernel writes down how a process ends before it lets its memory go, and not before it says
    /// that it ends.
    pub const fn is_plain(&self) -> bool {
        let is_known = self.begun && self.code == 0;
        is_known && self.threads <= 1 && self.children_faults == 0 && self.status == 0
    }

    /// Whether one who looks at a process that lives would be told how it ends (ptrace(2), "Ptrace
    /// access mode checking").
    pub const fn can_be_seen(&self) -> bool {
        !self.begun && self.code > 1
    }

    /// How far the process `pid` is, seen in this /proc directory.
    ///
    /// # Errors
    /// ENOENT if it is gone; EIO if what is told is not understood.
    pub fn of(proc_dir: RawFd, pid: i32) -> SysResult<Self> {
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
    let mut path = [0; 24];
    let path = path_of(pid, name, &mut path).ok_or(Errno::ENAMETOOLONG)?;
    let proc_dir = sys::borrow(proc_dir);
    let file = openat(proc_dir, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let length = read(file.as_fd(), buffer)?;
    Ok(buffer.get(..length).unwrap_or_default())
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
        os::fd::AsRawFd,
        process::{Command, Stdio},
    };

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
            // How it ends may not be known yet, or may not be seen.
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
    fn who_may_not_look_is_known_by_what_is_told_of_the_living() {
        let of = |begun, code| Ending { begun, threads: 1, children_faults: 0, code, status: 0 };
        let table = [
            ((false, 4_194_304), true),
            ((false, 1), false),
            ((false, 0), false),
            ((true, 2), false),
        ];
        for ((begun, code), expected) in table {
            assert_eq!(of(begun, code).can_be_seen(), expected, "{begun} {code}");
        }
    }

    #[test]
    fn the_most_memory_is_read_where_there_is_any() {
        assert_eq!(peak_in(b"Name:\tx\nVmHWM:\t   12 kB\nVmRSS:\t 9 kB\n"), Some(12 << 10));
        assert_eq!(peak_in(b"Name:\tx\nState:\tZ (zombie)\n"), None);
        assert_eq!(peak_in(b"VmHWM:\t18446744073709551615 kB\n"), None);
    }

    #[test]
    fn a_process_is_seen_to_live_and_to_have_ended() {
        let proc_dir = File::open("/proc").unwrap();
        let proc_dir = proc_dir.as_raw_fd();
        for (command, code) in [("exit 0", 0), ("exit 3", 0x300)] {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", &format!("read x; {command}")]).stdin(Stdio::piped());
            let mut child = shell.spawn().unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            // Its program has no place yet at the moment in which it is executed.
            while !Ending::of(proc_dir, pid).unwrap().can_be_seen() {
                std::thread::yield_now();
            }
            assert!(peak_memory(proc_dir, pid).unwrap() > 0);
            drop(child.stdin.take());
            // Not yet waited for, so it is still there.
            let ending = loop {
                match Ending::of(proc_dir, pid).unwrap() {
                    ending if ending.begun && ending.code == 0 => break ending,
                    ending => assert!(!ending.is_plain()),
                }
                std::thread::yield_now();
            };
            assert_eq!((ending.status, ending.is_plain()), (code, code == 0));
            child.wait().unwrap();
            assert_eq!(Ending::of(proc_dir, pid), Err(Errno::ENOENT));
        }
    }
}
