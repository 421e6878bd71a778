//! polkit's agent for the terminal, which asks for a password when an action needs one, for as
//! long as a command runs. systemctl brings the same one in the same way.

use std::{
    fmt,
    io::{self, IsTerminal},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aictl_sandbox::without_blocked_signals;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid, pipe2},
};

/// Where polkit installs it.
const PROGRAM: &str = "/usr/bin/pkttyagent";
/// The longest time to wait until it is registered with polkit.
const READY_MS: u16 = 10_000;
/// The longest time to wait until it has ended, once it is told to.
const END: Duration = Duration::from_secs(2);
/// What it may know of our environment: how to speak to this terminal in this language.
const ENVIRONMENT: [&str; 5] = ["TERM", "LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE"];

/// A running agent. It ends when this value does.
#[derive(Debug)]
pub struct Agent(Child);

/// Why there is no agent.
#[derive(Debug)]
pub enum AgentError {
    /// It is not installed.
    Missing,
    /// It could not be started.
    Start(io::Error),
    /// It ended, or did not register with polkit.
    NotReady,
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "there is no {PROGRAM} to ask for a password"),
            Self::Start(error) => write!(f, "{PROGRAM} cannot be started: {error}"),
            Self::NotReady => write!(f, "{PROGRAM} found no polkit to register with"),
        }
    }
}

impl std::error::Error for AgentError {}

/// Whether there is someone to ask: a terminal, and rights that are not there already.
#[must_use]
pub fn wanted() -> bool {
    !geteuid().is_root() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

impl Agent {
    /// Starts the agent for this process, and waits until it is ready.
    ///
    /// # Errors
    /// If there is none, or it does not work.
    pub fn start() -> Result<Self, AgentError> {
        Self::start_as(Command::new(PROGRAM), READY_MS)
    }

    fn start_as(mut command: Command, ready_ms: u16) -> Result<Self, AgentError> {
        let system = |errno: Errno| AgentError::Start(errno.into());
        let (ready, notify) = pipe2(OFlag::O_CLOEXEC).map_err(system)?;
        // Without --process, its subject is the process that started it: us.
        command.args(["--notify-fd", &notify.as_raw_fd().to_string(), "--fallback"]);
        command.env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        // It opens the terminal itself; nothing else that we have open is its business.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        fcntl(&notify, FcntlArg::F_SETFD(FdFlag::empty())).map_err(system)?;
        // A run's signals are events to us. To it they are what ends it.
        let child =
            without_blocked_signals(&mut command).spawn().map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => AgentError::Missing,
                _ => AgentError::Start(error),
            })?;
        drop(notify);
        let mut agent = Self(child);
        // It closes its end when it is ready, and so does its end.
        let closed = wait_for_close(&ready, ready_ms);
        match agent.0.try_wait() {
            Ok(None) if closed => Ok(agent),
            _ => Err(AgentError::NotReady),
        }
    }
}

fn wait_for_close(pipe: &OwnedFd, ms: u16) -> bool {
    loop {
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::from(ms)) {
            Err(Errno::EINTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}

impl Drop for Agent {
    /// Ends the agent, and waits for it: it has a terminal to put in order.
    fn drop(&mut self) {
        let Ok(pid) = i32::try_from(self.0.id()).map(Pid::from_raw) else { return };
        // A stopped process takes its end only when it goes on. One that is gone takes neither.
        let _gone = kill(pid, Signal::SIGTERM);
        let _gone = kill(pid, Signal::SIGCONT);
        let start = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) {
            if start.elapsed() > END {
                let _gone = self.0.kill();
                let _gone = self.0.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::sys::signal::{SigSet, SigmaskHow};

    use super::*;

    /// A stand-in for the agent: a shell script, with the agent's arguments as its own.
    fn fake(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "agent"]);
        command
    }

    #[test]
    fn it_is_waited_for_until_it_closes_its_end_and_told_to_end_after_it() {
        // It notes what it was given, says that it is ready, and notes how it was ended.
        let note = std::env::temp_dir().join(format!("aictl-agent-{}", std::process::id()));
        let script = format!(
            "echo \"$1 $3 ${{HOME-no home}}\" > {note}\n\
             while read -r key value; do case $key in SigBlk:) echo \"$value\" >> {note};; esac; done \
             < /proc/$$/status\n\
             trap 'echo ended >> {note}; exit 0' TERM\n\
             eval \"exec $2>&-\"\nwhile :; do sleep 0.01; done",
            note = note.display()
        );
        // As during a run.
        let ends = SigSet::from(Signal::SIGTERM);
        let before = ends.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
        let agent = Agent::start_as(fake(&script), READY_MS).unwrap();
        before.thread_set_mask().unwrap();
        assert_eq!(
            fs::read_to_string(&note).unwrap(),
            "--notify-fd --fallback no home\n0000000000000000\n"
        );
        drop(agent);
        let text = fs::read_to_string(&note).unwrap();
        fs::remove_file(&note).unwrap();
        assert_eq!(text, "--notify-fd --fallback no home\n0000000000000000\nended\n");
    }

    #[test]
    fn one_that_is_not_there_or_does_not_work_is_an_error() {
        let missing = Agent::start_as(Command::new("/nonexistent/agent"), READY_MS);
        assert!(matches!(missing, Err(AgentError::Missing)), "{missing:?}");
        // What has just ended may still count as running, and is found out by polkit then.
        let ended = Agent::start_as(fake("exit 127"), READY_MS).map(|mut agent| agent.0.wait());
        assert!(matches!(ended, Err(AgentError::NotReady) | Ok(Ok(_))), "{ended:?}");
        let mute = Agent::start_as(fake("exec sleep 60"), 50);
        assert!(matches!(mute, Err(AgentError::NotReady)), "{mute:?}");
    }
}
