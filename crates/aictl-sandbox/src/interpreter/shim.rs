//! Asks a version manager's shim which interpreter is behind it.

use std::{
    ffi::{OsStr, OsString},
    io::Read,
    os::{
        fd::AsFd,
        unix::{ffi::OsStringExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::Runtime;

/// How long a shim may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes; no path is longer (PATH_MAX).
const LONGEST: usize = 4096;

/// The arguments that make an interpreter print its own path.
fn question(runtime: Runtime) -> &'static [&'static str] {
    match runtime {
        // Isolated and without site, so that no code but the shim's and Python's own runs.
        Runtime::Python => &["-I", "-S", "-c", "import sys; print(sys.executable)"],
        Runtime::Bash => &["--norc", "--noprofile", "-c", "echo \"$BASH\""],
        Runtime::Node => &["-p", "process.execPath"],
    }
}

/// Executes `shim` to learn the interpreter behind it; what went wrong, in words that follow "asked
/// which, ".
///
/// It runs in `/`, so that no directory that the user merely stands in has a say, and with its
/// process group is dead when this returns. Its exit status does not count: the answer is a path
/// that is yet to be inspected.
pub(super) fn ask(
    runtime: Runtime,
    shim: &Path,
    path: Option<&OsStr>,
    home: Option<&OsStr>,
    patience: Duration,
) -> Result<PathBuf, String> {
    let mut command = Command::new(shim);
    command.args(question(runtime)).env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.envs(path.map(|path| ("PATH", path))).envs(home.map(|home| ("HOME", home)));
    let mut child = Group(command.spawn().map_err(|error| format!("it did not start ({error})"))?);
    let Some(mut stdout) = child.0.stdout.take() else {
        return Err("it has no output".to_owned());
    };
    let mut answer = first_line(&mut stdout, Instant::now() + patience)?;
    if answer.last() == Some(&b'\r') {
        answer.pop();
    }
    let answer = PathBuf::from(OsString::from_vec(answer));
    if answer.is_absolute() { Ok(answer) } else { Err("it named none".to_owned()) }
}

fn first_line(stdout: &mut ChildStdout, deadline: Instant) -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    let mut chunk = [0; 512];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return Err("it did not answer in time".to_owned()),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(format!("its output could not be read ({error})")),
        }
        let length =
            stdout.read(&mut chunk).map_err(|e| format!("its output could not be read ({e})"))?;
        let new = chunk.get(..length).unwrap_or_default();
        if let Some(end) = new.iter().position(|&byte| byte == b'\n') {
            line.extend(new.iter().take(end));
            return Ok(line);
        }
        if length == 0 {
            return Ok(line);
        }
        line.extend(new);
        if line.len() > LONGEST {
            return Err("it said too much".to_owned());
        }
    }
}

/// A child that leads a process group, killed and reaped as a whole when dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The child is not reaped yet, so its id cannot be another's. A group that is gone already
        // is no error.
        if let Ok(id) = i32::try_from(self.0.id()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File, OpenOptions},
        io::ErrorKind,
        os::unix::fs::OpenOptionsExt,
    };

    use nix::fcntl::OFlag;

    use super::{super::tree::Tree, *};

    /// Longer than any test may take, so that only an answer or a kill ends the wait.
    const LONG: Duration = Duration::from_secs(600);

    fn ask_script(tree: &Tree, script: &str, patience: Duration) -> Result<PathBuf, String> {
        let shim = tree.script("shim", script);
        ask(
            Runtime::Python,
            &shim,
            Some("/usr/bin:/bin".as_ref()),
            Some("/nowhere".as_ref()),
            patience,
        )
    }

    #[test]
    fn the_answer_is_the_first_line_if_it_is_a_full_path() {
        let tree = Tree::new();
        let table = [
            ("echo /opt/py/bin/python3", Ok("/opt/py/bin/python3")),
            ("printf /opt/py/bin/python3", Ok("/opt/py/bin/python3")),
            ("printf '/opt/py\\r\\n/etc\\n'", Ok("/opt/py")),
            ("echo python3", Err("it named none")),
            ("echo", Err("it named none")),
            ("exit 1", Err("it named none")),
            ("echo /opt/py; exit 1", Ok("/opt/py")),
            ("readlink /proc/$$/fd/2", Ok("/dev/null")),
            ("echo /noise >&2", Err("it named none")),
            ("tr '\\0' x </dev/zero", Err("it said too much")),
            ("read -r word; echo \"/stdin:$word\"", Ok("/stdin:")),
            ("pwd", Ok("/")),
            ("echo \"/$*\"", Ok("/-I -S -c import sys; print(sys.executable)")),
            (
                "exec /usr/bin/env -u PWD -u SHLVL -u _ /usr/bin/env | sort | tr '\\n' ' ' | sed 's|^|/|'",
                Ok("/HOME=/nowhere PATH=/usr/bin:/bin "),
            ),
        ];
        for (script, expected) in table {
            let expected = expected.map(PathBuf::from).map_err(str::to_owned);
            assert_eq!(ask_script(&tree, script, LONG), expected, "{script}");
        }
        let gone = ask(Runtime::Python, &tree.path("gone"), None, None, LONG).unwrap_err();
        assert!(gone.starts_with("it did not start"), "{gone}");
    }

    /// A FIFO that tells whether anybody still has it open for writing.
    struct Watch {
        path: PathBuf,
        reader: File,
    }

    impl Watch {
        fn new(tree: &Tree) -> Self {
            let path = tree.fifo("alive");
            let reader = OpenOptions::new()
                .read(true)
                .custom_flags(OFlag::O_NONBLOCK.bits())
                .open(&path)
                .unwrap();
            Self { path, reader }
        }

        /// What was written until the last writer was dead.
        fn read_to_end(&mut self) -> Vec<u8> {
            let mut all = Vec::new();
            loop {
                match self.reader.read_to_end(&mut all) {
                    Ok(_) => return all,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
                let fd = PollFd::new(self.reader.as_fd(), PollFlags::POLLIN);
                let ready = poll(&mut [fd], PollTimeout::from(60_000_u16)).unwrap();
                assert_eq!(ready, 1, "a writer is alive");
            }
        }
    }

    #[test]
    fn a_shim_that_hangs_is_killed_with_its_children() {
        let tree = Tree::new();
        let mut patience = Duration::from_millis(100);
        loop {
            let mut watch = Watch::new(&tree);
            let fifo = watch.path.display();
            let hang = format!("exec 3>'{fifo}'; echo begun >&3; sleep 600 & wait");
            let answer = ask_script(&tree, &hang, patience);
            assert_eq!(answer, Err("it did not answer in time".to_owned()));
            if watch.read_to_end() == b"begun\n" {
                break;
            }
            // The machine was too busy to start the shim at all.
            patience *= 2;
            fs::remove_file(&watch.path).unwrap();
        }
    }

    #[test]
    fn children_left_behind_by_an_answer_are_killed() {
        let tree = Tree::new();
        let mut watch = Watch::new(&tree);
        let fifo = watch.path.display();
        let leave = format!("exec 3>'{fifo}'; echo begun >&3; sleep 600 & echo /opt/py");
        assert_eq!(ask_script(&tree, &leave, LONG), Ok(PathBuf::from("/opt/py")));
        assert_eq!(watch.read_to_end(), b"begun\n");
    }
}
