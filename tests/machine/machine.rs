//! The machine, and what a test does with it.

use std::{
    fmt,
    fs::{self, Permissions},
    ops::Deref,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Names the process that is PID 1 of the machine.
const LEADER_VARIABLE: &str = "AICTL_MACHINE_LEADER";
/// The whole environment of a command in the machine.
const ENVIRONMENT: [&str; 2] = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"];
/// How long a test waits for what must come by itself, before it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// A polkit rule of a test's.
const RULE: &str = "/etc/polkit-1/rules.d/10-test.rules";
const ALL_MAY_RUN: &str = r#"polkit.addRule(function(action, subject) {
    if (action.id == "org.aictl1.sandbox.run") {
        return polkit.Result.YES;
    }
});
"#;
/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);
/// How often, if it may be long in coming.
const SLOW_LOOK: Duration = Duration::from_millis(500);

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
    /// A person by name, without a session.
    Person(&'static str),
    /// The user of the helper.
    Helper,
}

/// The machine.
#[derive(Debug)]
pub struct Machine {
    leader: String,
    /// Where the journal ended when the machine was taken.
    cursor: String,
}

/// What came of a call of the helper.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Ok(Value),
    /// The error's name without `org.aictl1.Error.`, and its words.
    Error(String, String),
}

impl Answer {
    #[track_caller]
    pub fn parse(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let value: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text:?} {errors:?}"));
        let text = |key: &str| value[key].as_str().map(str::to_owned).unwrap_or_default();
        match value.get("answer") {
            Some(answer) => Self::Ok(answer.clone()),
            None => {
                let name = text("error");
                let short = name.strip_prefix("org.aictl1.Error.").unwrap_or(&name);
                Self::Error(short.to_owned(), text("message"))
            }
        }
    }

    /// The answer, for there must be one.
    #[track_caller]
    pub fn ok(self) -> Value {
        match self {
            Self::Ok(value) => value,
            Self::Error(name, message) => panic!("{name}: {message}"),
        }
    }

    /// The error's name and words, for it must be one.
    #[track_caller]
    pub fn error(self) -> (String, String) {
        match self {
            Self::Ok(value) => panic!("this was allowed: {value}"),
            Self::Error(name, message) => (name, message),
        }
    }

    /// The error's name.
    #[track_caller]
    pub fn refused(self) -> String {
        self.error().0
    }
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

/// The machine, while a test has it.
pub struct Taken(MutexGuard<'static, Machine>);

impl Deref for Taken {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.0
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.forget_files();
    }
}

/// Takes the machine for one test, with every stand-in stopped and disabled and no configuration.
#[track_caller]
pub fn machine() -> Taken {
    let mut machine = take();
    machine.reset();
    machine.0.cursor = machine.now();
    machine
}

/// Takes the machine for one test, without the files of another, and with its units as they are.
#[track_caller]
pub fn take() -> Taken {
    static MACHINE: Mutex<Machine> =
        Mutex::new(Machine { leader: String::new(), cursor: String::new() });
    // A test that failed says so itself.
    let mut machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    if machine.leader.is_empty() {
        machine.leader = std::env::var(LEADER_VARIABLE).expect(
            "there is no machine: these tests are run by `cargo xtask test machine` or `providers`",
        );
    }
    machine.forget_files();
    Taken(machine)
}

/// The stand-ins whose state a test may change.
pub const STAND_INS: [&str; 10] = [
    "ollama.service",
    "litellm.service",
    "koboldcpp.service",
    "comfyui.service",
    "tgi.service",
    "ssh.service",
    "ollama.service.service",
    "llm@1.service",
    "lmdeploy.service",
    "squatter.service",
];

impl Machine {
    /// Removes what a test has written.
    fn forget_files(&self) {
        for path in ["/etc/aictl/aictl.toml", "/run/comfyui-go", "/run/ollama-cpu"] {
            self.remove(path);
        }
        if self.exists(RULE) {
            self.remove(RULE);
            // By itself it would notice at some moment of the next test.
            self.root(&["systemctl", "restart", "polkit.service"]);
        }
        for entry in fs::read_dir(self.path("/etc/aictl/aictl.toml.d")).into_iter().flatten() {
            let _absent = fs::remove_file(entry.unwrap().path());
        }
    }

    fn reset(&self) {
        // A helper that was not asked anything yet has counted nothing against anybody.
        self.stop("aictld.service");
        self.root(&[&["systemctl", "--quiet", "stop"][..], &STAND_INS[..]].concat());
        self.root(&["systemctl", "--quiet", "reset-failed"]);
        // Each of these has systemd read all its files again.
        for unit in ["ollama.service", "litellm.service"] {
            if self.exists(&format!("/etc/systemd/system/multi-user.target.wants/{unit}")) {
                self.root(&["systemctl", "--quiet", "disable", unit]);
            }
        }
        // One that is at it may have read what the test before has left.
        self.stop("aictl-polkit-rules.service");
        self.root(&["systemctl", "start", "aictl-polkit-rules.service"]);
    }

    /// Where the journal ends now.
    pub fn now(&self) -> String {
        let text = self.root(&["journalctl", "--quiet", "--lines=1", "--output=json"]);
        let last: Value = serde_json::from_str(&text).unwrap();
        last["__CURSOR"].as_str().unwrap().to_owned()
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

    /// Puts a rule of polkit's in force, until the machine is given back.
    pub fn rule(&self, text: &str) {
        self.write(RULE, text);
        self.root(&["systemctl", "restart", "polkit.service"]);
    }

    /// Lets everybody have scripts run, as many as are wanted and as often.
    pub fn let_all_run(&self, sandbox: &str) {
        self.rule(ALL_MAY_RUN);
        let text = format!(
            "[helper]\nidle-timeout = \"1h\"\ncalls-in-flight = 256\n\
             read-rate = {{ per-minute = 60000, burst = 10000 }}\n\
             change-rate = {{ per-minute = 60000, burst = 10000 }}\n\
             run-rate = {{ per-minute = 60000, burst = 10000 }}\n[sandbox]\n{sandbox}\n"
        );
        self.write("/etc/aictl/aictl.toml.d/90-all-may-run.toml", &text);
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

    /// Stops a service, also where somebody has it started at that moment, by a call or a file that
    /// changes: systemd then starts it again instead, and says that the job to stop it was cancelled.
    #[track_caller]
    pub fn stop(&self, unit: &str) {
        self.wait_for(&format!("{unit} to be stopped"), || {
            let ran = self.run(Who::Root, &["systemctl", "--quiet", "stop", unit]);
            let cancelled = ran.stderr.contains(&format!("Job for {unit} canceled."));
            assert!(ran.code == Some(0) || cancelled, "{ran:?}");
            !cancelled
        });
    }

    /// A command in the machine.
    pub fn command(&self, who: Who, argv: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.leader, "--all"]);
        let id = match who {
            Who::Root | Who::AnnaAtTheDesk => None,
            Who::Anna => Some("anna"),
            Who::Bob => Some("bob"),
            Who::Person(name) => Some(name),
            Who::Helper => Some("aictl"),
        };
        let mut home = None;
        if let Some(name) = id {
            let (uid, gid) = self.ids(name);
            command.args(["--setuid", &uid, "--setgid", &gid]);
            home = (who != Who::Helper).then(|| format!("HOME=/home/{name}"));
        }
        command.args(["--", "env", "-i"]).args(ENVIRONMENT).args(home);
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

    /// Calls the helper as its clients do; `member` is `Services.List` and alike.
    pub fn call(&self, who: Who, member: &str, signature: &str, arguments: &[Value]) -> Answer {
        self.call_with(&[], who, member, signature, arguments)
    }

    /// The same with options of `call.py`.
    pub fn call_with(
        &self,
        options: &[&str],
        who: Who,
        member: &str,
        signature: &str,
        arguments: &[Value],
    ) -> Answer {
        let ran = self.run_call(options, who, member, signature, arguments).output().unwrap();
        Answer::parse(&ran)
    }

    /// The command of such a call, for those who look while it runs.
    pub fn run_call(
        &self,
        options: &[&str],
        who: Who,
        member: &str,
        signature: &str,
        arguments: &[Value],
    ) -> Command {
        let (interface, member) = member.split_once('.').expect("INTERFACE.MEMBER");
        let arguments: Vec<String> = arguments.iter().map(Value::to_string).collect();
        let mut argv = vec!["python3", "-I", "/usr/local/lib/stand-ins/call.py"];
        argv.extend(options);
        argv.extend([interface, member, signature]);
        argv.extend(arguments.iter().map(String::as_str));
        let mut command = self.command(who, &argv);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The records of calls since the machine was taken, the oldest first, once there are `count`
    /// of them.
    #[track_caller]
    pub fn audit(&self, count: usize) -> Vec<Value> {
        self.audit_after(&self.cursor, count)
    }

    /// The same since `cursor`.
    #[track_caller]
    pub fn audit_after(&self, cursor: &str, count: usize) -> Vec<Value> {
        let id = format!("MESSAGE_ID={}", aictl_api::audit::CALL);
        let cursor = format!("--after-cursor={cursor}");
        let mut records = Vec::new();
        self.wait_for(&format!("{count} records of calls"), || {
            // What has not come to the files yet is not found in them.
            let text = self.root(&["journalctl", "--quiet", "--output=json", &cursor, &id]);
            records = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            records.len() >= count
        });
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }

    /// How many calls of a user were recorded since `cursor`, once there are `count`.
    #[track_caller]
    pub fn count_calls(&self, cursor: &str, uid: &str, count: u64) -> u64 {
        let id = format!("MESSAGE_ID={}", aictl_api::audit::CALL);
        let (after, uid) = (format!("--after-cursor={cursor}"), format!("AICTL_CALLER_UID={uid}"));
        let mut found = 0;
        self.wait_for(&format!("{count} records of calls"), || {
            let argv = ["journalctl", "--quiet", "--output=cat", &after, &id, &uid];
            found = self.root(&argv).lines().count() as u64;
            found >= count
        });
        found
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
    pub fn wait_for(&self, what: &str, is_so: impl FnMut() -> bool) {
        self.wait_long_for(PATIENCE, what, is_so);
    }

    /// The same for what needs more patience.
    #[track_caller]
    pub fn wait_long_for(&self, patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + patience;
        // To look takes time too, which what takes long had rather have for itself.
        let pause = if patience > PATIENCE { SLOW_LOOK } else { LOOK };
        while !is_so() {
            assert!(Instant::now() < deadline, "it never came: {what}");
            thread::sleep(pause);
        }
    }
}
