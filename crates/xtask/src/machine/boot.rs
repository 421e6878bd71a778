//! A machine from its boot to its end.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{file, plain_command};
use crate::failure::Failure;

/// How long a machine may take to boot. It takes a second where nothing else runs.
const BOOT: Duration = Duration::from_secs(120);
/// How long it may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(20);
/// How often we look whether it has died.
const LOOK: Duration = Duration::from_millis(100);
/// What nspawn's own filter of system calls would keep from the sandbox.
const SYSTEM_CALLS: &str = "landlock_create_ruleset landlock_add_rule landlock_restrict_self";

/// Held by the machine that is up: the systemd of a second one would have the same control groups,
/// and kill what is the first one's.
const LOCK: &str = "/run/aictl-machine.lock";

/// A machine that runs. What it writes is in memory, and gone with it.
#[derive(Debug)]
pub struct Machine {
    nspawn: Child,
    /// Its PID 1, as seen from here.
    leader: u32,
    /// Held for as long as it is up.
    _alone: File,
}

/// A directory of ours that a machine sees.
#[derive(Debug)]
pub struct Bind {
    /// Here.
    pub from: PathBuf,
    /// In the machine.
    pub to: &'static str,
}

impl Bind {
    fn option(&self) -> OsString {
        let mut option = OsString::from("--bind-ro=");
        option.push(&self.from);
        option.push(":");
        option.push(self.to);
        option
    }
}

/// Waits until no other machine is up, and keeps others from it.
fn alone() -> Result<File, Failure> {
    let lock = File::create(LOCK).map_err(|error| file("cannot write", LOCK, error))?;
    match lock.try_lock() {
        Ok(()) => return Ok(lock),
        Err(TryLockError::WouldBlock) => eprintln!("waiting for another machine to end"),
        Err(TryLockError::Error(error)) => return Err(file("cannot lock", LOCK, error)),
    }
    lock.lock().map_err(|error| file("cannot lock", LOCK, error))?;
    Ok(lock)
}

impl Machine {
    /// Boots a machine from `image`, with the directories `binds` of ours at their places in it, for
    /// reading only, and waits until it is up; its console goes to `console`. Where another is up, it
    /// waits for its end first.
    ///
    /// # Errors
    /// A failure if it does not come up.
    pub fn boot(image: &Path, binds: &[Bind], console: &Path) -> Result<Self, Failure> {
        let alone = alone()?;
        let notify = Notify::new()?;
        let output = File::create(console).map_err(|e| file("cannot write", console, e))?;
        let errors = output.try_clone().map_err(|e| file("cannot write", console, e))?;
        // The machine ends with us, whatever ends us.
        let nspawn = plain_command("setpriv")
            .args(["--pdeathsig", "TERM", "systemd-nspawn"])
            .args(["--boot", "--quiet", "--register=no", "--keep-unit", "--private-network"])
            .args(["--volatile=overlay", "--link-journal=no", "--console=read-only"])
            .args(["--notify-ready=yes", "--hostname=machine", "--resolv-conf=off"])
            .arg(format!("--system-call-filter={SYSTEM_CALLS}"))
            .args(binds.iter().map(Bind::option))
            .arg("--directory")
            .arg(image)
            // The host may still have the first version of control groups.
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .env("NOTIFY_SOCKET", &notify.path)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| Failure::Start { program: "systemd-nspawn".to_owned(), source })?;
        let mut machine = Self { nspawn, leader: 0, _alone: alone };
        match machine.wait_until_up(&notify) {
            Ok(leader) => {
                machine.leader = leader;
                Ok(machine)
            }
            Err(why) => {
                machine.kill();
                let see = console.display();
                Err(Failure::Machine(format!("it did not boot: {why} (its console: {see})")))
            }
        }
    }

    fn wait_until_up(&mut self, notify: &Notify) -> Result<u32, String> {
        let deadline = Instant::now() + BOOT;
        let mut state = State::default();
        while Instant::now() < deadline {
            if let Some(text) = notify.receive().map_err(|error| error.to_string())? {
                state.take(&text);
                if let (Some(leader), true) = (state.leader, state.ready) {
                    return Ok(leader);
                }
            } else if let Ok(Some(status)) = self.nspawn.try_wait() {
                return Err(format!("systemd-nspawn ended ({status})"));
            }
        }
        Err(format!("it was not up after {} s", BOOT.as_secs()))
    }

    /// The process id of its PID 1, as seen from here.
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// Its root directory, as seen from here.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.leader))
    }

    /// A command that runs in it as root.
    pub fn command(&self, argv: &[&str]) -> Command {
        let mut command = plain_command("nsenter");
        command
            .args(["--target", &self.leader.to_string(), "--all", "--"])
            .args(argv)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// What a command prints in it.
    ///
    /// # Errors
    /// A failure if it does not start, or does not end with exit code 0.
    pub fn output(&self, argv: &[&str]) -> Result<String, Failure> {
        let name = argv.join(" ");
        let output = self.command(argv).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|source| Failure::Start { program: name.clone(), source })?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(Failure::Ended { command: name, status: output.status })
        }
    }

    /// Keeps its journal in a file, as far as it can be had.
    pub fn save_journal(&self, path: &Path) {
        if let Ok(text) = self.output(&["journalctl", "--no-pager", "-o", "short-precise"]) {
            let _written = fs::write(path, text);
        }
    }

    /// Ends it in good order, or, if that takes too long, at once.
    pub fn shut_down(mut self) {
        let asked = self.command(&["systemctl", "--no-wall", "poweroff"]).status();
        let deadline = Instant::now() + STOP;
        while asked.is_ok() && Instant::now() < deadline {
            if let Ok(Some(_)) = self.nspawn.try_wait() {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn kill(&mut self) {
        // Both fail only where there is nothing left to kill.
        let _killed = self.nspawn.kill();
        let _ended = self.nspawn.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What nspawn has told so far (sd_notify(3)).
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    leader: Option<u32>,
    ready: bool,
}

impl State {
    fn take(&mut self, message: &str) {
        for line in message.lines() {
            match line.split_once('=') {
                Some(("X_NSPAWN_LEADER_PID", pid)) => self.leader = pid.parse().ok(),
                Some(("READY", "1")) => self.ready = true,
                _ => {}
            }
        }
    }
}

/// The socket that nspawn sends its messages to, in a directory of its own.
struct Notify {
    socket: UnixDatagram,
    directory: PathBuf,
    path: PathBuf,
}

impl Notify {
    fn new() -> Result<Self, Failure> {
        let directory = std::env::temp_dir().join(format!("aictl-machine-{}", std::process::id()));
        let problem = |error| file("cannot make", &directory, error);
        fs::create_dir(&directory).map_err(problem)?;
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).map_err(problem)?;
        socket.set_read_timeout(Some(LOOK)).map_err(problem)?;
        Ok(Self { socket, path, directory: directory.clone() })
    }

    /// The next message; `None` if there is none yet.
    fn receive(&self) -> io::Result<Option<String>> {
        let mut bytes = [0; 4096];
        match self.socket.recv(&mut bytes) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(&bytes[..length]).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_and_readiness_are_told_in_any_order() {
        let mut state = State::default();
        state.take("STATUS=Container running.\nX_NSPAWN_LEADER_PID=17");
        assert_eq!(state, State { leader: Some(17), ready: false });
        state.take("READY=0\nREADY=");
        assert!(!state.ready);
        state.take("READY=1\n");
        assert_eq!(state, State { leader: Some(17), ready: true });
    }
}
