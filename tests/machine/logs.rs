//! `aictl logs` on the real journal.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::machine::{Machine, Who, machine};

/// How long a line may be in coming.
const PATIENCE: Duration = Duration::from_secs(30);
/// The ways to the log: through the helper, and without it.
const WAYS: [&[&str]; 2] = [&[], &["--embedded"]];

/// A log that is being followed.
struct Followed {
    aictl: Child,
    lines: Receiver<String>,
}

/// Follows the log of tgi.service, which writes "line 1", "line 2" and so on, from its last line.
fn follow(machine: &Machine, way: &[&str]) -> Followed {
    let argv = [&["aictl", "logs", "tgi", "--follow", "--lines=1"], way].concat();
    let mut aictl = machine
        .command(Who::Root, &argv)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(aictl.stdout.take().unwrap());
    let (send, lines) = channel();
    // It ends with the pipe, or when nobody wants the lines, which closes the pipe.
    thread::spawn(move || {
        stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line))
    });
    Followed { aictl, lines }
}

impl Followed {
    /// The number of the next line that has one.
    #[track_caller]
    fn number(&self) -> u32 {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("a further line");
            if let Some((_, number)) = line.rsplit_once("line ") {
                return number.trim().parse().unwrap();
            }
        }
    }

    /// Sends it a signal where it runs, and returns its exit code.
    fn signal(mut self, machine: &Machine, signal: &str) -> Option<i32> {
        machine.root(&["pkill", "--signal", signal, "--exact", "aictl"]);
        self.aictl.wait().unwrap().code()
    }
}

#[test]
fn a_log_is_followed_across_a_restart_until_ctrl_c() {
    let machine = machine();
    for way in WAYS {
        machine.root(&["systemctl", "start", "tgi.service"]);
        let followed = follow(&machine, way);
        while followed.number() < 3 {}
        let first = machine.property("tgi.service", "InvocationID");
        machine.root(&["systemctl", "restart", "tgi.service"]);
        assert_ne!(machine.property("tgi.service", "InvocationID"), first);
        // It counts from one again.
        while followed.number() != 1 {}
        while followed.number() < 3 {}
        assert_eq!(followed.signal(&machine, "INT"), Some(130), "{way:?}");
        machine.root(&["systemctl", "stop", "tgi.service"]);
    }
}

#[test]
fn a_closed_pipe_ends_it_well() {
    let machine = machine();
    for way in WAYS {
        machine.root(&["systemctl", "start", "tgi.service"]);
        let mut followed = follow(&machine, way);
        followed.number();
        drop(followed.lines);
        let code = followed.aictl.wait().unwrap().code();
        assert_eq!(code, Some(0), "{way:?}");
        machine.root(&["systemctl", "stop", "tgi.service"]);
    }
}

#[test]
fn only_what_is_important_enough_and_no_secret() {
    let machine = machine();
    machine.run(Who::Root, &["systemctl", "start", "koboldcpp.service"]).failed();
    machine.root(&["journalctl", "--sync"]);
    for way in WAYS {
        let logs = |priority: &str| {
            let argv = ["aictl", "logs", "koboldcpp", "--lines=20", "--priority", priority];
            machine.root(&[&argv, way].concat())
        };
        for (priority, begins, fails) in
            [("info", true, true), ("err", false, true), ("3", false, true), ("crit", false, false)]
        {
            let text = logs(priority);
            assert_eq!(text.contains("it begins"), begins, "{way:?} {priority}: {text}");
            assert_eq!(text.contains("no model"), fails, "{way:?} {priority}: {text}");
            assert!(!text.contains("0123456789abcdef"), "{way:?} {priority}: {text}");
        }
    }
}

#[test]
fn who_may_not_read_the_journal_is_told_so() {
    let machine = machine();
    machine.root(&["systemctl", "start", "ollama.service"]);
    for way in WAYS {
        let argv = [&["aictl", "logs", "ollama"], way].concat();
        let ran = machine.run(Who::Bob, &argv);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(126), ""), "{ran}");
        assert!(!ran.stderr.is_empty(), "{ran}");
    }
    // Whoever has logged in has a journal of their own, in which there is nothing of the service.
    machine.run(Who::AnnaAtTheDesk, &["true"]).ok();
    machine.root(&["journalctl", "--sync"]);
    let ran = machine.run(Who::AnnaAtTheDesk, &["aictl", "logs", "ollama", "--embedded"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(126), ""), "{ran}");
    assert!(ran.stderr.contains("systemd-journal"), "{ran}");
}

/// Beside its records, which no setting takes away.
#[test]
fn the_helpers_own_log_is_as_the_configuration_says() {
    let machine = machine();
    let bob = machine.ids("bob").0;
    // A call whose refusal is told at the level debug alone: what the helper says of it.
    let refused = || {
        let cursor = machine.now();
        machine.call(Who::Bob, "Services.Get", "s", &[json!("no-such")]).refused();
        // The call's record comes after the line.
        assert_eq!(machine.count_calls(&cursor, &bob, 1), 1);
        let argv = ["journalctl", "--quiet", "--output=json", "_SYSTEMD_UNIT=aictld.service"];
        let after = format!("--after-cursor={cursor}");
        let text = machine.root(&[&argv[..], &[&after]].concat());
        let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines = entries.filter(|entry| entry.get("MESSAGE_ID").is_none());
        lines.map(|line| line["MESSAGE"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let reload = |text: &str| {
        let generation = || machine.call(Who::Root, "Manager.Health", "", &[]).ok();
        let before = generation()["config_generation"].clone();
        machine.write("/etc/aictl/aictl.toml", text);
        machine.root(&["systemctl", "reload", "aictld.service"]);
        machine.wait_for("the new configuration", || generation()["config_generation"] != before);
    };
    assert_eq!(refused(), [""; 0]);
    reload("[log]\nlevel = \"debug\"\n");
    let [line] = &refused()[..] else { panic!("one line") };
    assert!(line.contains("org.aictl1.Error.NoSuchService"), "{line}");
    reload("[log]\nlevel = \"debug\"\nformat = \"json\"\n");
    let [line] = &refused()[..] else { panic!("one line") };
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["event"]), (&json!("debug"), &json!("refused")), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    reload("[log]\nlevel = \"error\"\n");
    assert_eq!(refused(), [""; 0]);
}
