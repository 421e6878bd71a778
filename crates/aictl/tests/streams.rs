//! Output is live, signals end a run cleanly, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Stdio},
};

use common::*;
use nix::{
    fcntl::OFlag,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Starts `aictl run` on a script, with both ends of its streams here.
fn start(dir: &Dir, options: &[&str], name: &str, script: &str) -> Child {
    let path = dir.file(name, script);
    aictl()
        .arg("run")
        .args(options)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn output_comes_while_the_script_runs() {
    let dir = Dir::new();
    // Each line comes only after the answer to the one before it, so that none may wait.
    let script = "import sys\nprint('one')\nsys.stdin.readline()\nprint('two', end='')\n\
                  sys.stdout.flush()\nsys.stdin.readline()\nprint('!')";
    let mut child = start(&dir, &[], "live.py", script);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "one\n");
    stdin.write_all(b"go\n").unwrap();
    let mut two = [0; 3];
    stdout.read_exact(&mut two).unwrap();
    assert_eq!(&two, b"two");
    stdin.write_all(b"go\n").unwrap();
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "!\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_signal_ends_the_run_and_leaves_nothing() {
    let dir = Dir::new();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let marker = format!("{}", 700_000 + std::process::id() + signal as u32);
        let script = format!(
            "import os, signal, subprocess\nsignal.signal(2, signal.SIG_IGN)\n\
             subprocess.Popen(['sleep', '{marker}'], start_new_session=True)\n\
             print('started')\nsignal.pause()"
        );
        let mut child = start(&dir, &[], "wait.py", &script);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        // The kernel shows a new program's arguments a moment after it has started it.
        while !process_with(&marker) {
            assert_eq!(child.try_wait().unwrap(), None, "it runs on until it gets a signal");
        }
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        assert!(!process_with(&marker), "{signal}");
    }
}

#[test]
fn a_cancelled_run_says_so_in_json() {
    let dir = Dir::new();
    let script = "import os, sys, signal\nprint('kept')\nsys.stdin.readline()\nsignal.pause()";
    let mut child = start(&dir, &["--json"], "wait.py", script);
    // The script has read the line when it is in the pipe no more: then it has printed too.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"x\n").unwrap();
    while unread(&stdin) > 0 {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["outcome"], output.status.code()), (&"cancelled".into(), Some(130)));
    drop(stdin);
}

/// How many bytes wait in a pipe.
fn unread(pipe: &impl std::os::fd::AsFd) -> usize {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    // The write end of a pipe tells nothing; the read end of the same pipe does.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&pipe.as_fd()));
    let reader = std::fs::File::open(path).unwrap();
    let mut fds = [PollFd::new(std::os::fd::AsFd::as_fd(&reader), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).unwrap() as usize
}

#[test]
fn a_reader_that_pauses_loses_nothing_and_a_signal_still_ends_the_run() {
    let dir = Dir::new();
    // More than all pipes and sockets in between can hold.
    let script = "for i in range(3000): print('x' * 999)";
    let name = format!("loud-{}.py", std::process::id());
    let options = ["--timeout", "500ms", "--max-output", "10M"];
    let child = start(&dir, &options, &name, script);
    // Nobody reads until the script has come and gone, its time being up.
    let inside = format!("/work/{name}");
    while !process_with(&inside) {}
    while process_with(&inside) {}
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    assert!(stderr(&output).contains("the limit of --timeout"), "{}", stderr(&output));

    let mut child = start(&dir, &["--max-output", "10M"], &name, script);
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// The state of a process (proc_pid_stat(5)): `T` stands still.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    list.unwrap_or_default().split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn the_terminals_stop_key_has_the_whole_sandbox_stand_still() {
    let dir = Dir::new();
    let script = "import os\nif os.fork() == 0:\n    while True: pass\nprint('ready', flush=True)\n\
                  input()\nprint('went on')";
    let mut child = start(&dir, &["--timeout", "1h"], "still.py", script);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let [first] = children(child.id())[..] else { panic!("not one first process") };
    let [program] = children(first)[..] else { panic!("not one program") };
    let [busy] = children(program)[..] else { panic!("not one child") };
    let aictl = Pid::from_raw(child.id() as i32);
    kill(aictl, Signal::SIGTSTP).unwrap();
    while [child.id(), program, busy].iter().any(|pid| state(*pid) != Some('T')) {
        std::thread::yield_now();
    }
    kill(aictl, Signal::SIGCONT).unwrap();
    stdin.write_all(b"\n").unwrap();
    drop(stdin);
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "went on\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn killing_aictl_kills_the_sandbox() {
    let dir = Dir::new();
    let marker = format!("{}", 800_000 + std::process::id());
    let script = format!(
        "import subprocess, signal\nsubprocess.Popen(['sleep', '{marker}'])\n\
         print('started')\nsignal.pause()"
    );
    let mut child = start(&dir, &[], "wait.py", &script);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // Nothing else has the marker on its command line.
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    while process_with(&marker) {
        std::thread::yield_now();
    }
}

#[test]
fn a_survivor_dies_with_the_run() {
    let marker = format!("{}", 900_000 + std::process::id());
    let script = format!(
        "import os, signal, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        \
         for s in range(1, 65):\n            try: signal.signal(s, signal.SIG_IGN)\n            \
         except (OSError, ValueError): pass\n        os.execv('/bin/sleep', ['sleep', '{marker}'])\n    \
         os._exit(0)\nos.wait()\nprint('parent done')"
    );
    let report = report(&[], &script);
    assert_eq!(report["stdout"], "parent done\n");
    assert!(!process_with(&marker));
}

#[test]
fn the_sandbox_shows_nothing_of_the_caller() {
    let script = "import os\nprint(sorted(os.environ.items()))\nprint(sorted(os.listdir('/proc/self/fd')))\n\
                  print(open('/proc/1/cmdline').read().strip('\\0') == '')\nprint(os.ttyname(0) if os.isatty(0) else 'no terminal')\n\
                  print(os.getsid(0), os.getppid(), os.getpid(), os.getuid(), os.getgid(), os.uname().nodename)";
    let mut command = aictl();
    command.args(["run", "-"]).env("SECRET_KEY", "s3cret");
    let output = with_input(&mut command, script);
    assert_eq!(
        stdout(&output),
        "[('HOME', '/work'), ('LANG', 'C.UTF-8'), ('PATH', '/usr/bin:/bin')]\n\
         ['0', '1', '2', '3']\nTrue\nno terminal\n2 1 2 1000 1000 sandbox\n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn details_and_silence_are_on_standard_error_only() {
    let quiet = with_input(
        aictl().args(["run", "--quiet", "--timeout", "200ms", "-"]),
        "import time; time.sleep(9)",
    );
    assert_eq!((quiet.status.code(), stderr(&quiet)), (Some(124), String::new()));
    let verbose = with_input(aictl().args(["run", "--verbose", "-"]), "print(1)");
    assert_eq!(stdout(&verbose), "1\n");
    assert!(
        stderr(&verbose).contains("isolation: user-ns pid-ns mount-ns"),
        "{}",
        stderr(&verbose)
    );
}

/// They are closed for every program that it executes (proc_pid_fdinfo(5), open(2)).
#[test]
fn programs_that_aictl_starts_get_none_of_its_callers_descriptors() {
    let dir = Dir::new();
    let secret = dir.file("secret", "");
    let script = dir.file("a.py", "print('on', flush=True)\nimport signal\nsignal.pause()");
    let aictl = env!("CARGO_BIN_EXE_aictl");
    let line =
        format!("exec 9<{}; exec {aictl} --embedded run {}", secret.display(), script.display());
    let mut child = std::process::Command::new("bash")
        .args(["-c", &line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    let proc = format!("/proc/{}", child.id());
    assert_eq!(std::fs::read_link(format!("{proc}/fd/9")).unwrap(), secret, "aictl was given it");
    let info = std::fs::read_to_string(format!("{proc}/fdinfo/9")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
    assert_eq!(flags & OFlag::O_CLOEXEC.bits(), OFlag::O_CLOEXEC.bits(), "{info}");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    child.wait().unwrap();
}

#[test]
fn a_message_begins_a_line_of_its_own_on_the_terminal_that_shows_the_output() {
    let dir = Dir::new();
    let script = dir.file("s.py", "import os\nos.write(1, b'partial')\nwhile True: pass\n");
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = aictl();
    command.args(["run", "--timeout", "1s"]).arg(script);
    command.stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
    let mut child = command.spawn().unwrap();
    // The terminal's other end is closed to us when the last who writes to it is gone.
    drop(command);
    let mut text = Vec::new();
    let _closed = std::fs::File::from(pty.master).read_to_end(&mut text);
    assert_eq!(child.wait().unwrap().code(), Some(124));
    let text = String::from_utf8_lossy(&text);
    assert!(text.starts_with("partial\r\naictl: "), "{text:?}");
}
