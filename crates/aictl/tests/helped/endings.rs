//! Runs that are ended: by the user, by who reads their output, by a disk that is full.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        termios::tcgetattr,
    },
    unistd::Pid,
};

use crate::{
    common::{process_with, stderr},
    installed::{Installed, endless, started},
    world::polkit::Say,
};

const RUN: &str = "org.aictl1.sandbox.run";

fn marker(base: u32) -> String {
    (base + std::process::id()).to_string()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

#[test]
fn a_signal_ends_the_run_and_leaves_nothing() {
    let installed = Installed::new();
    for (name, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let marker = marker(510_000_000 + (name as u32) * 10_000_000);
        let (child, _stdout) = started(&mut installed.run(&[], &endless(&marker)));
        while !process_with(&marker) {}
        signal(child.id(), name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {}", stderr(&output));
        // Its end was waited for.
        assert!(!process_with(&marker), "{name}");
        installed.wait_for_the_end_of_all();
    }
    let ran = installed.records(aictl_api::audit::RAN, 3);
    assert!(ran.iter().all(|record| record["AICTL_OUTCOME"] == "cancelled"), "{ran:?}");
    installed.works();
}

/// As nohup(1) starts it, and a shell that has no jobs starts what is in its background.
#[test]
fn what_it_was_started_to_ignore_does_not_end_it() {
    let installed = Installed::new();
    let script = "print('on', flush=True)\nprint(input(), flush=True)";
    for options in [&[][..], &["--embedded"]] {
        let run = installed.run(options, script);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""]).arg(run.get_program());
        shell.args(run.get_args()).stdin(Stdio::piped()).stdout(Stdio::piped());
        shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = shell.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "on\n", "{options:?}");
        for ignored in [Signal::SIGHUP, Signal::SIGINT] {
            signal(child.id(), ignored);
        }
        child.stdin.take().unwrap().write_all(b"goes on\n").unwrap();
        output.read_line(&mut line).unwrap();
        assert_eq!((line.as_str(), child.wait().unwrap().code()), ("on\ngoes on\n", Some(0)));
    }
}

/// Whether all threads of a process are stopped.
fn is_stopped(pid: u32) -> bool {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.map(|task| fs::read_to_string(task.unwrap().path().join("stat"))).all(|stat| {
        // Its state follows its name, which may hold anything.
        stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    })
}

#[test]
fn who_asks_twice_does_not_wait_for_the_helper() {
    let installed = Installed::new();
    let marker = marker(540_000_000);
    let (mut child, _stdout) = started(&mut installed.run(&[], &endless(&marker)));
    // The keeper does not come to end it.
    let keeper = installed.keeper.pid().unwrap();
    signal(keeper, Signal::SIGSTOP);
    while !is_stopped(keeper) {
        std::thread::yield_now();
    }
    signal(child.id(), Signal::SIGINT);
    installed.call(".Cancel");
    assert_eq!(child.try_wait().unwrap(), None, "it waits for the record of its run");
    signal(child.id(), Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    signal(keeper, Signal::SIGCONT);
    // Without its caller the run is ended all the same.
    installed.wait_for_the_end_of_all();
    while process_with(&marker) {}
    installed.works();
}

#[test]
fn a_signal_ends_it_while_polkit_is_asked() {
    let installed = Installed::new();
    installed.wait(installed.world().polkit.say(RUN, Say::Nothing));
    let mut child = installed.run(&[], "print(1)").stdout(Stdio::piped()).spawn().unwrap();
    installed.wait(installed.world().polkit.held(1));
    signal(child.id(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    installed.wait(installed.world().polkit.cancelled());
    assert_eq!(installed.call(".Run")["AICTL_RESULT"], "cancelled");
    installed.wait_for_the_end_of_all();
}

/// The key on a terminal that the command has for itself, as a shell gives it one.
#[test]
fn ctrl_c_ends_it_and_the_terminal_is_as_it_was() {
    let installed = Installed::new();
    let marker = marker(550_000_000);
    let run = installed.run(&[], &endless(&marker));
    let pty = nix::pty::openpty(None, None).unwrap();
    let before = tcgetattr(&pty.slave).unwrap();
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let stream = || Stdio::from(pty.slave.try_clone().unwrap());
    let mut child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    drop(command);
    let mut terminal = File::from(pty.master);
    let mut line = String::new();
    BufReader::new(terminal.try_clone().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\r\n");
    while !process_with(&marker) {}
    terminal.write_all(b"\x03").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!process_with(&marker));
    assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
    installed.wait_for_the_end_of_all();
}

/// As `aictl run script.py | head -1` does.
#[test]
fn a_reader_that_closes_half_way_ends_the_run_and_is_no_error() {
    let installed = Installed::new();
    let script = "print('started')\nwhile True: print('x' * 1000)";
    let (mut child, stdout) = started(&mut installed.run(&["--max-output", "10M"], script));
    drop(stdout);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
    installed.wait_for_the_end_of_all();
    let ran = installed.records(aictl_api::audit::RAN, 1);
    assert_eq!(ran[0]["AICTL_OUTCOME"], "cancelled");
}

#[test]
fn a_disk_that_is_full_ends_the_run_and_is_told() {
    let installed = Installed::new();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let script = "while True: print('x' * 1000)";
    let mut run = installed.run(&["--max-output", "10M"], script);
    let output = run.stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    let words = "aictl: the output cannot be written: No space left on device";
    assert!(stderr(&output).starts_with(words), "{}", stderr(&output));
    let output = installed.run(&["--json"], "print(1)").stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    installed.wait_for_the_end_of_all();
    installed.works();
}

#[test]
fn killing_aictl_kills_the_run() {
    let installed = Installed::new();
    let marker = marker(560_000_000);
    let (mut child, _stdout) = started(&mut installed.run(&[], &endless(&marker)));
    child.kill().unwrap();
    child.wait().unwrap();
    installed.wait_for_the_end_of_all();
    while process_with(&marker) {}
}
