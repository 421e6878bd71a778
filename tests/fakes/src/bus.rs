//! A message bus of one's own.

use std::{
    convert::Infallible,
    fs,
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// How long a test may take: far longer than any does, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// The exit code of a test program with a test that failed.
const FAILED: i32 = 101;

/// A dbus-daemon that lets anyone own and send anything, and ends when this is dropped.
///
/// A test that never drops it, since it waits for what does not come, is a failure after a while:
/// its name is said, and the test program ends.
#[derive(Debug)]
pub struct PrivateBus {
    daemon: Child,
    directory: PathBuf,
    address: String,
    _in_use: mpsc::Sender<Infallible>,
}

impl PrivateBus {
    /// Starts the daemon, and waits until it listens.
    #[must_use]
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("aictl-bus-{}-{count}", process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).expect("a directory for the bus");
        let config = directory.join("bus.conf");
        fs::write(&config, configuration(&directory)).expect("the bus's configuration");
        let mut daemon = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg("--nopidfile")
            .arg("--print-address=1")
            .arg(format!("--config-file={}", config.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It complains of limits that only root may raise.
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon, of Debian's package dbus-daemon");
        let mut address = String::new();
        let stdout = daemon.stdout.take().expect("its standard output");
        BufReader::new(stdout).read_line(&mut address).expect("the bus's address");
        let address = address.trim_end().to_owned();
        assert!(address.starts_with("unix:"), "dbus-daemon did not start");
        Self { daemon, directory, address, _in_use: watch() }
    }

    /// Where it listens, as `DBUS_SYSTEM_BUS_ADDRESS` and zbus's builder take it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        let _gone = self.daemon.kill();
        let _reaped = self.daemon.wait();
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

/// Ends the program if what this returns is not dropped in time.
fn watch() -> mpsc::Sender<Infallible> {
    let (in_use, end) = mpsc::channel();
    let test = thread::current().name().unwrap_or("a test").to_owned();
    thread::spawn(move || {
        if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // Not by eprintln, which the test program keeps to itself.
            let _said = writeln!(io::stderr(), "{test}: still waiting after {PATIENCE:?}");
            process::exit(FAILED);
        }
    });
    in_use
}

/// As Debian's session.conf, but that nothing is started on demand.
fn configuration(directory: &std::path::Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={}/socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"#,
        directory.display()
    )
}
