//! The program itself, as far as it gets without a system bus.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "these are all tests")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::Duration,
};

use aictl_fakes::{PrivateBus, copy_program};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn aictld(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_aictld")).args(arguments).env_clear().output().unwrap()
}

#[test]
fn it_is_not_made_to_run_as_root() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let output = aictld(&[]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.starts_with("aictld: not made to run as root"), "{words}");
}

#[test]
fn it_has_no_arguments_but_those_that_tell_of_it() {
    assert!(aictld(&["--help"]).status.success());
    let version = String::from_utf8(aictld(&["--version"]).stdout).unwrap();
    assert_eq!(version, format!("aictld {}\n", env!("CARGO_PKG_VERSION")));
    for wrong in ["--no-polkit", "--root", "--session", "x", ""] {
        let output = aictld(&[wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(output.stdout.is_empty());
    }
}

/// A user that nobody is, for the program that will not run as root.
const NOBODY_IN_PARTICULAR: u32 = 65530;

/// Starts the program as systemd would, but for its user, with a place to tell systemd things.
fn started(bus: &PrivateBus, directory: &Path, tell: &Path) -> Child {
    let program = directory.join("aictld");
    copy_program(Path::new(env!("CARGO_BIN_EXE_aictld")), &program);
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .env("NOTIFY_SOCKET", tell)
        .env("WATCHDOG_USEC", "1000000");
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY_IN_PARTICULAR).gid(NOBODY_IN_PARTICULAR);
    }
    command.spawn().unwrap()
}

#[test]
fn systemd_is_told_of_its_start_its_life_its_reload_and_its_end() {
    let bus = PrivateBus::start();
    let directory = std::env::temp_dir().join(format!("aictld-program-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let tell = directory.join("notify");
    let socket = UnixDatagram::bind(&tell).unwrap();
    for open in [&directory, &tell, &bus_directory(&bus)] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    }
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The next message that says `word`; others may come before.
    let hear = |word: &str| loop {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{word}: {error}"));
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if text.lines().any(|line| line == word) {
            return text;
        }
    };
    let mut child = started(&bus, &directory, &tell);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    assert!(hear("READY=1").contains("STATUS="));
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    kill(pid, Signal::SIGHUP).unwrap();
    assert!(hear("RELOADING=1").contains("MONOTONIC_USEC="));
    hear("READY=1");
    kill(pid, Signal::SIGTERM).unwrap();
    hear("STOPPING=1");
    assert!(child.wait().unwrap().success());
    fs::remove_dir_all(&directory).unwrap();
}

/// Where the bus has its socket, which only its own user may reach.
fn bus_directory(bus: &PrivateBus) -> PathBuf {
    let path = bus.address().split_once("path=").unwrap().1;
    Path::new(path.split(',').next().unwrap()).parent().unwrap().to_owned()
}
