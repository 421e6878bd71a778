//! The machine, and what a test does with it.

use std::{
    fmt,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Names the process that is PID 1 of the machine.
const LEADER_VARIABLE: &str = "AICTL_MACHINE_LEADER";
/// The whole environment of a command in the machine.
const ENVIRONMENT: [&str; 2] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"];
/// How long a test waits for what must come by itself, before it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);

/// Who runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Root,
    /// A person, without a session: as over ssh.
    Anna,
    /// The same person at the machine's own screen and keyboard: polkit's "active".
    AnnaAtTheDesk,
    /// A person in no group.
    Bob,
    /// The user of the helper.
    Helper,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    leader: String,
}

/// What came of a command.
#[derive(Debug, Clone)]
pub struct Ran {
    what: String,
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it printed, for it must have worked.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self}");
        self.stdout
    }

    /// What it said on standard error, for it must have failed.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_ne!(self.code, Some(0), "{self}");
        self.stderr
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, code, stdout, stderr } = self;
        write!(f, "{what}\nexit code {code:?}\n{stdout}{stderr}")
    }
}

/// Takes the machine for one test, with every stand-in stopped and disabled and no configuration.
#[track_caller]
pub fn machine() -> MutexGuard<'static, Machine> {
    static MACHINE: Mutex<Machine> = Mutex::new(Machine { leader: String::new() });
    // A test that failed says so itself.
    let mut machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    if machine.leader.is_empty() {
        machine.leader = std::env::var(LEADER_VARIABLE)
            .expect("there is no machine: these tests are run by `cargo xtask test machine`");
    }
    machine.reset();
    machine
}

/// The stand-ins whose state a test may change.
pub const STAND_INS: [&str; 8] = [
    "ollama.service",
    "litellm.service",
    "koboldcpp.service",
    "comfyui.service",
    "tgi.service",
    "ssh.service",
    "ollama.service.service",
    "llm@1.service",
];

impl Machine {
    fn reset(&self) {
        for path in
            ["/etc/aictl/aictl.toml", "/run/comfyui-go", "/etc/polkit-1/rules.d/10-test.rules"]
        {
            self.remove(path);
        }
        for entry in fs::read_dir(self.path("/etc/aictl/aictl.toml.d")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        self.root(&[&["systemctl", "--quiet", "stop"], &STAND_INS[..]].concat());
        self.root(&["systemctl", "--quiet", "reset-failed"]);
        // Each of these has systemd read all its files again.
        for unit in ["ollama.service", "litellm.service"] {
            if self.exists(&format!("/etc/systemd/system/multi-user.target.wants/{unit}")) {
                self.root(&["systemctl", "--quiet", "disable", unit]);
            }
        }
        self.root(&["systemctl", "start", "aictl-polkit-rules.service"]);
    }

    /// A file of the machine, as seen from here.
    pub fn path(&self, path: &str) -> PathBuf {
        let below = path.strip_prefix('/').expect("an absolute path");
        Path::new("/proc").join(&self.leader).join("root").join(below)
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Makes a file of root's, open to all for reading, in one step.
    pub fn write(&self, path: &str, text: &str) {
        let (path, new) = (self.path(path), self.path(&format!("{path}~")));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
        fs::rename(&new, &path).unwrap();
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, path: &str) {
        let _absent = fs::remove_file(self.path(path));
    }

    /// Runs a command in the machine to its end.
    pub fn run(&self, who: Who, argv: &[&str]) -> Ran {
        let output = self.command(who, argv).stdin(Stdio::null()).output().unwrap();
        Ran {
            what: format!("{who:?}: {}", argv.join(" ")),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What a command of root's prints, which must work.
    #[track_caller]
    pub fn root(&self, argv: &[&str]) -> String {
        self.run(Who::Root, argv).ok()
    }

    /// A command in the machine.
    pub fn command(&self, who: Who, argv: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.leader, "--all"]);
        let id = match who {
            Who::Root | Who::AnnaAtTheDesk => None,
            Who::Anna => Some("anna"),
            Who::Bob => Some("bob"),
            Who::Helper => Some("aictl"),
        };
        if let Some(name) = id {
            let (uid, gid) = self.ids(name);
            command.args(["--setuid", &uid, "--setgid", &gid]);
        }
        command.args(["--", "env", "-i"]).args(ENVIRONMENT);
        if who == Who::AnnaAtTheDesk {
            command.args([
                "systemd-run",
                "--quiet",
                "--pipe",
                "--wait",
                "--collect",
                "--service-type=exec",
                "--uid=anna",
                "--property=PAMName=login",
                "--setenv=XDG_SEAT=seat0",
                "--setenv=XDG_SESSION_TYPE=tty",
                "--",
            ]);
        }
        command.args(argv);
        command
    }

    /// The uid and gid of a user of the machine.
    pub fn ids(&self, name: &str) -> (String, String) {
        let passwd = self.read("/etc/passwd");
        let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let user = fields.into_iter().find(|fields| fields[0] == name);
        let user = user.unwrap_or_else(|| panic!("there is no user {name}"));
        (user[2].to_owned(), user[3].to_owned())
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        let property = format!("--property={name}");
        self.root(&["systemctl", "show", "--value", &property, "--", unit]).trim_end().to_owned()
    }

    /// Waits until `is_so`; `what` says for what.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "it never came: {what}");
            thread::sleep(LOOK);
        }
    }
}
