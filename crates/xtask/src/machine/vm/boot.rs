//! The virtual machine from its boot to its end.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::plain_command;
use super::QEMU;
use crate::failure::Failure;

/// How much it may work in silence before it hangs, in time of a processor. Its longest silence is its
/// boot, a minute; a test says its name before it begins. How long that takes on a host that has
/// other things to do is no matter.
const WORK: Duration = Duration::from_secs(300);
/// How long it may do next to nothing in silence.
const REST: Duration = Duration::from_secs(300);
/// How much it may work in all.
const ALL_WORK: Duration = Duration::from_secs(600);
/// Which part of the time a machine is at work that does next to nothing: its own clock ticks.
const NEXT_TO_NOTHING: u32 = 20;
/// How often a silent machine is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// What its last line begins with; the exit code of the tests follows.
const END: &str = "payload ended: ";
/// The longest line that is passed on whole, in bytes.
const LINE: usize = 64 * 1024;
/// Units that take a quarter of the boot and are of no use here; among them the one that loads every
/// profile of Debian's.
const NOT_NEEDED: [&str; 4] = [
    "apparmor.service",
    "modprobe@configfs.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
];
/// How many of the console's last lines tell of a machine that did not come to its end.
const CONSOLE_LINES: usize = 20;

/// What the machine is made of.
#[derive(Debug)]
pub struct Hardware {
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    /// The first one holds the root.
    pub disks: [PathBuf; 2],
}

impl Hardware {
    /// Boots it, passes on what the tests say, and waits for its end; its console goes to `console`.
    ///
    /// # Errors
    /// A failure if it does not come to its end, or if a test fails.
    pub fn run(&self, console: &Path) -> Result<(), Failure> {
        let started = Instant::now();
        let mut qemu = self.start(console)?;
        let ended = follow(&mut qemu, &mut io::stdout());
        let worked = worked(qemu.id());
        // Both fail only where it has ended by itself.
        let _killed = qemu.kill();
        let _ended = qemu.wait();
        eprintln!(
            "the machine ran for {} s, and took {} s of a processor",
            started.elapsed().as_secs(),
            worked.as_secs()
        );
        let see = console.display();
        match ended {
            Ok(0) if worked > ALL_WORK => Err(Failure::Machine(format!(
                "its tests passed, and took more than {} s of a processor",
                ALL_WORK.as_secs()
            ))),
            Ok(0) => Ok(()),
            Ok(code) => Err(Failure::Machine(format!(
                "its tests failed (exit code {code}; its console: {see})"
            ))),
            Err(why) => {
                let said = fs::read(console).unwrap_or_default();
                let last = last_lines(&String::from_utf8_lossy(&said), CONSOLE_LINES);
                Err(Failure::Machine(format!("{why} (its console: {see})\n{last}")))
            }
        }
    }

    fn start(&self, console: &Path) -> Result<Child, Failure> {
        // One processor, and an old one: what is newer, or a second one, makes the kernel crash
        // where qemu runs without KVM.
        let mut command = plain_command("setpriv");
        command
            .args(["--pdeathsig", "KILL", QEMU, "-accel", "tcg,thread=single"])
            .args(["-cpu", "Westmere,-cx16", "-smp", "1", "-m", "2048"])
            // Its clock counts what it executes (4 ns each), not what else keeps us busy: what waits
            // a second there waits for as much work however slow we are.
            .args(["-icount", "shift=2"])
            .args(["-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .args(["-serial", "stdio", "-append", &kernel_options()])
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initrd);
        for disk in &self.disks {
            // A snapshot: what is written is gone in the end.
            let path = disk.display().to_string().replace(',', ",,");
            command.arg("-drive").arg(format!("file={path},if=virtio,format=raw,snapshot=on"));
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| Failure::Start { program: QEMU.to_owned(), source })
    }
}

/// What the kernel and systemd are told.
fn kernel_options() -> String {
    let options = "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 mitigations=off nokaslr \
                   panic=-1";
    let masked = NOT_NEEDED.map(|unit| format!(" systemd.mask={unit}"));
    options.to_owned() + &masked.concat()
}

/// Passes on what the machine says, to `to`, until it ends; returns the exit code of its tests.
fn follow(qemu: &mut Child, to: &mut impl io::Write) -> Result<i32, String> {
    let said = pieces(qemu.stdout.take().ok_or("it says nothing")?);
    let mut line = Vec::new();
    let (mut heard, mut had_worked) = (Instant::now(), worked(qemu.id()));
    loop {
        let why = match said.recv_timeout(LOOK) {
            Ok(piece) => match take(&mut line, &piece, to) {
                Some(code) => return code.parse().map_err(|_| format!("its tests ended: {code}")),
                None => {
                    (heard, had_worked) = (Instant::now(), worked(qemu.id()));
                    continue;
                }
            },
            Err(RecvTimeoutError::Timeout) => {
                let work = worked(qemu.id()).saturating_sub(had_worked);
                match hangs(heard.elapsed(), work) {
                    Some(why) => why,
                    None => continue,
                }
            }
            Err(RecvTimeoutError::Disconnected) => "it ended before its tests".to_owned(),
        };
        let begun = plain(&line);
        return Err(if begun.is_empty() { why } else { format!("{why}, after {begun:?}") });
    }
}

/// Why a machine hangs that has been silent for so long, and has worked for so much of it; `None` if
/// it only has much to do, or little time to do it in.
fn hangs(silent: Duration, work: Duration) -> Option<String> {
    if work >= WORK {
        return Some(format!("it was silent for {} s of work", work.as_secs()));
    }
    (silent >= REST && work < silent / NEXT_TO_NOTHING)
        .then(|| format!("it was silent for {} s, and did next to nothing", silent.as_secs()))
}

/// How much time of a processor a process has taken so far (utime and stime in proc_pid_stat(5)); none
/// if there is no such process.
fn worked(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
    // There are a hundred in a second on every machine that this runs on.
    Duration::from_millis(ticks * 10)
}

/// What comes over a serial line, as it comes.
fn pieces(mut output: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut piece) {
            if send.send(piece.get(..length).unwrap_or_default().to_vec()).is_err() {
                return;
            }
        }
    });
    receive
}

/// Adds a piece to the line that has begun, and passes whole lines on; what the line of the end
/// says, if it is among them.
fn take(line: &mut Vec<u8>, piece: &[u8], to: &mut impl io::Write) -> Option<String> {
    for byte in piece {
        line.push(*byte);
        if *byte == b'\n' || line.len() == LINE {
            let text = plain(line);
            line.clear();
            if let Some(code) = text.strip_prefix(END) {
                return Some(code.to_owned());
            }
            // Nobody may be there to read it.
            let _unread = writeln!(to, "{text}");
        }
    }
    None
}

/// The last lines that say something, as plain text.
fn last_lines(text: &str, count: usize) -> String {
    let lines = text.lines().map(|line| plain(line.as_bytes())).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// A line without its end, and without what would change the terminal that it is printed on.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end().chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_serial_line_are_plain_text() {
        for (line, want) in [
            (&b"test a ... ok\r\r\n"[..], "test a ... ok"),
            (b"\x1b[2Ja\tb\xff\r\n", "[2Ja\tb\u{fffd}"),
            (b"", ""),
        ] {
            assert_eq!(plain(line), want);
        }
    }

    #[test]
    fn lines_are_passed_on_and_the_last_one_is_the_end() {
        let (mut line, mut to) = (Vec::new(), Vec::new());
        for piece in pieces(&b"one\r\ntest two ... "[..]) {
            assert_eq!(take(&mut line, &piece, &mut to), None);
        }
        // What has begun is known, if it is never finished.
        assert_eq!(plain(&line), "test two ...");
        let end = take(&mut line, b"ok\r\npayload ended: 101\r\nthree\n", &mut to);
        assert_eq!(end.as_deref(), Some("101"));
        assert_eq!(String::from_utf8(to).unwrap(), "one\ntest two ... ok\n");
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_room_than_a_long_one() {
        let (mut line, mut to) = (Vec::new(), Vec::new());
        assert_eq!(take(&mut line, &[b'x'; LINE + 1], &mut to), None);
        assert_eq!((to.len(), line.len()), (LINE + 1, 1));
    }

    #[test]
    fn a_machine_hangs_that_says_nothing_for_all_its_work_or_does_none() {
        let seconds = Duration::from_secs;
        for (silent, work, want) in [
            (0, 0, None),
            (299, 0, None),
            (300, 0, Some("it was silent for 300 s, and did next to nothing")),
            (300, 14, Some("it was silent for 300 s, and did next to nothing")),
            // It gets a tenth of a processor, and does what it can.
            (300, 30, None),
            (2990, 299, None),
            (3000, 300, Some("it was silent for 300 s of work")),
            (300, 300, Some("it was silent for 300 s of work")),
        ] {
            assert_eq!(hangs(seconds(silent), seconds(work)).as_deref(), want, "{silent} {work}");
        }
    }

    #[test]
    fn the_time_of_a_processor_that_a_process_has_taken_is_read() {
        let own = std::process::id();
        let before = worked(own);
        let begin = Instant::now();
        // At most this long, where the processor is somebody else's for most of it.
        while worked(own) == before && begin.elapsed() < Duration::from_secs(60) {}
        assert!(worked(own) > before);
        assert_eq!(worked(u32::MAX), Duration::ZERO);
    }

    #[test]
    fn a_machine_that_ends_or_hangs_is_told_with_what_it_said_last() {
        let mut ended = plain_command("sh")
            .args(["-c", "printf 'one\ntest two ... '"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let why = follow(&mut ended, &mut Vec::new()).unwrap_err();
        ended.wait().unwrap();
        assert_eq!(why, "it ended before its tests, after \"test two ...\"");
        let console = "a\r\n\r\nb\r\n\x1b[2JKernel panic\r\n";
        assert_eq!(last_lines(console, 2), "b\n[2JKernel panic");
        assert_eq!(last_lines("", 2), "");
    }
}
