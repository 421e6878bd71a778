//! A machine where everything is installed, as far as `aictl run` can tell.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    common::{self, Dir},
    world::{Plan, WIDE, World, journald::Entry, keeper::Keeper},
};

/// A helper and its keeper of sandboxes, which work while a test waits.
pub struct Installed {
    pub keeper: Keeper,
    world: Option<World>,
    pub dir: Dir,
    runtime: Runtime,
}

impl Installed {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With these lines in its configuration, besides limits that no test meets by accident.
    pub fn with(config: &str) -> Self {
        Self::only(&format!("{WIDE}{config}"))
    }

    /// With this configuration.
    pub fn only(config: &str) -> Self {
        let keeper = Keeper::start();
        let (config, sandboxd) = (config.to_owned(), keeper.socket());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let plan = || Plan { config, sandboxd, ..Plan::default() };
        let world = runtime.block_on(async { plan().begin().await });
        Self { keeper, world: Some(world), dir: Dir::new(), runtime }
    }

    pub fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    /// Waits for something of the world's.
    pub fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// The program, which finds this helper.
    pub fn aictl(&self) -> Command {
        let mut command = common::aictl();
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.world().bus.address());
        command
    }

    /// `aictl run` of a script in a file of its own.
    pub fn run(&self, options: &[&str], script: &str) -> Command {
        let path = self.dir.file("script.py", script);
        let mut command = self.aictl();
        command.arg("run").args(options).arg(path);
        command
    }

    /// The same, to its end.
    pub fn output(&self, options: &[&str], script: &str) -> Output {
        self.run(options, script).output().unwrap()
    }

    /// Waits until the helper has no run any more.
    pub fn wait_for_the_end_of_all(&self) {
        while self.world().helper.runs.counts() != (0, 0) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the journal's records of this kind, so many of them.
    pub fn records(&self, message_id: &str, count: usize) -> Vec<Entry> {
        let mut records = Vec::new();
        while records.len() < count {
            let new = self.world().journal.take();
            records.extend(new.into_iter().filter(|entry| entry["MESSAGE_ID"] == message_id));
        }
        records
    }

    /// Waits for the record of a finished call of this member.
    pub fn call(&self, member: &str) -> Entry {
        loop {
            let new = self.world().journal.take();
            let found = new.into_iter().find(|entry| {
                entry.get("AICTL_METHOD").is_some_and(|method| method.ends_with(member))
                    && entry["MESSAGE_ID"] == aictl_api::audit::CALL
            });
            if let Some(call) = found {
                return call;
            }
        }
    }

    /// A run has just ended well: whatever was there before has harmed nothing.
    #[track_caller]
    pub fn works(&self) {
        let output = self.output(&[], "print('works')");
        assert_eq!(common::stdout(&output), "works\n", "{}", common::stderr(&output));
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // Its connections end where they live.
        let _inside = self.runtime.enter();
        drop(self.world.take());
    }
}

/// Starts it, with pipes for all that it writes, and waits for the first line of its output.
pub fn started(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    (child, stdout)
}

/// A script that starts another process with `marker` in its command line, says that it has
/// started, and goes on until it is ended.
pub fn endless(marker: &str) -> String {
    format!(
        "import subprocess, signal\nsignal.signal(2, signal.SIG_IGN)\n\
         subprocess.Popen(['sleep', '{marker}'], start_new_session=True)\n\
         print('started', flush=True)\nwhile True: signal.pause()"
    )
}
