//! The virtual machine from its boot to its end.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::super::plain_command;
use super::QEMU;
use crate::failure::Failure;

/// How long the machine may run in all: it takes a third of it where nothing else does.
const PATIENCE: Duration = Duration::from_secs(600);
/// What its last line begins with; the exit code of the tests follows.
const END: &str = "payload ended: ";
/// The longest line that is passed on, in bytes.
const LINE: u64 = 64 * 1024;

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
        let ended = follow(&mut qemu, started + PATIENCE);
        // Both fail only where it has ended by itself.
        let _killed = qemu.kill();
        let _ended = qemu.wait();
        eprintln!("the machine ran for {} s", started.elapsed().as_secs());
        let see = console.display();
        match ended {
            Ok(0) => Ok(()),
            Ok(code) => Err(Failure::Machine(format!(
                "its tests failed (exit code {code}; its console: {see})"
            ))),
            Err(why) => Err(Failure::Machine(format!("{why} (its console: {see})"))),
        }
    }

    fn start(&self, console: &Path) -> Result<Child, Failure> {
        // One processor, and an old one: what is newer, or a second one, makes the kernel crash
        // where qemu runs without KVM.
        let mut command = plain_command("setpriv");
        command
            .args(["--pdeathsig", "KILL", QEMU, "-accel", "tcg,thread=single"])
            .args(["-cpu", "Westmere,-cx16", "-smp", "1", "-m", "2048"])
            .args(["-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .args(["-serial", "stdio", "-append"])
            .arg(
                "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 mitigations=off \
                 nokaslr",
            )
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

/// Passes on what the machine says until it ends; returns the exit code of its tests.
fn follow(qemu: &mut Child, deadline: Instant) -> Result<i32, String> {
    let output = qemu.stdout.take().ok_or("it says nothing")?;
    let lines = lines(output);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) => match line.strip_prefix(END) {
                Some(code) => return code.parse().map_err(|_| format!("its tests ended: {code}")),
                None => println!("{line}"),
            },
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err("it ended before its tests".to_owned());
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                return Err(format!("it was not done after {} s", PATIENCE.as_secs()));
            }
        }
    }
}

/// The lines that come over a serial line, as they come.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while matches!((&mut output).take(LINE).read_until(b'\n', &mut line), Ok(1..)) {
            if send.send(plain(&line)).is_err() {
                return;
            }
            line.clear();
        }
    });
    receive
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
        let read = lines(&b"one\r\ntwo"[..]);
        assert_eq!(read.iter().collect::<Vec<_>>(), ["one", "two"]);
    }
}
