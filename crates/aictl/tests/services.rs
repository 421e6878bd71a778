//! Actions on services: over the helper, over systemd itself, and what is said of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/helper.rs"]
mod helper;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    process::{Command, Output, Stdio},
};

use aictl_fakes::{Act, FakeSystemd, FakeUnit, PrivateBus};
use common::{aictl, stderr, stdout};
use helper::{Answer, FakeHelper};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The record of an action that ended so.
fn record(job_result: &'static str, active: &'static str, sub: &'static str) -> Answer {
    Answer::Record(vec![
        ("job_result", job_result.into()),
        ("active_state", active.into()),
        ("sub_state", sub.into()),
        ("result", if job_result == "done" { "success" } else { "exit-code" }.into()),
        ("request_id", "0123".into()),
    ])
}

/// A helper that knows ollama and vllm, of which the latter fails.
fn helper() -> FakeHelper {
    FakeHelper::start(|_member, service| match service {
        "ollama" => record("done", "active", "running"),
        "vllm" => record("failed", "failed", "failed"),
        "litellm" => Answer::Error("LimitExceeded", "too many calls", Some(1_500_000)),
        "locked" => Answer::Error("InteractiveAuthorizationRequired", "polkit would ask", None),
        "odd" => Answer::Error("Odd", "what is that", None),
        "nonsense" => Answer::Nonsense,
        "changing" => Answer::Changes,
        "ends" => Answer::Ends,
        _ => Answer::Error("NoSuchService", "no such service in the catalogue", None),
    })
}

fn run(helper: &FakeHelper, line: &str) -> Output {
    helper.aictl().args(line.split(' ')).output().unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn all_services_are_attempted_each_has_its_line_and_the_worst_is_the_exit_code() {
    let helper = helper();
    let output = run(&helper, "restart vllm ollama vllm");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(stdout(&output), "ollama restarted: active (running)\n");
    assert_eq!(
        stderr(&output),
        "aictl: vllm was not restarted: it failed; now failed (failed), result exit-code\n  → \
         `aictl logs vllm` says more\n"
    );
    let seen = |service: &str| ("Restart".to_owned(), format!("{service} 0 0"), false);
    assert_eq!(helper.calls(), [seen("vllm"), seen("ollama")]);

    let output = run(&helper, "stop --json vllm ollama ollma");
    assert_eq!(output.status.code(), Some(127));
    let actions = document(&output)["actions"].clone();
    let brief: Vec<_> = actions
        .as_array()
        .unwrap()
        .iter()
        .map(|action| json!([action["service"], action["ok"], action["error"]["name"]]))
        .collect();
    let none = "org.aictl1.Error.NoSuchService";
    assert_eq!(
        json!(brief),
        json!([["vllm", false, null], ["ollama", true, null], ["ollma", false, none]])
    );
    assert_eq!(actions[1]["request_id"], "0123");
    assert_eq!(run(&helper, "-q start ollama").stdout, b"");
}

#[test]
fn options_reach_the_helper() {
    let helper = helper();
    for line in ["start ollama --no-block", "enable ollama --timeout 90s", "reload ollama"] {
        assert_eq!(run(&helper, line).status.code(), Some(0), "{line}");
    }
    let calls: Vec<_> =
        helper.calls().into_iter().map(|(member, words, _)| (member, words)).collect();
    let expected =
        [("Start", "ollama 1 0"), ("Enable", "ollama 0 90000"), ("Reload", "ollama 0 0")];
    assert_eq!(calls, expected.map(|(member, words)| (member.to_owned(), words.to_owned())));
}

#[test]
fn each_refusal_has_its_exit_code_and_says_what_to_do() {
    let helper = helper();
    for (service, code, words) in [
        ("olama", 127, "did you mean ollama?"),
        ("ssh.service", 127, "`aictl config show` lists the services"),
        ("../ollama", 127, "no such service"),
        ("Ollama", 127, "did you mean ollama?"),
        ("litellm", 126, "too many calls"),
        ("locked", 126, "run it on a terminal"),
        ("odd", 125, "org.aictl1.Error.Odd"),
        ("nonsense", 125, "cannot be read"),
    ] {
        let output = run(&helper, &format!("restart {service}"));
        assert_eq!(output.status.code(), Some(code), "{service}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{service}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{service}");
    }
    // Whatever is named reaches the helper, which notes who asked for it.
    assert_eq!(helper.calls().len(), 8);
    let limited = document(&run(&helper, "restart --json litellm"));
    assert_eq!(limited["actions"][0]["error"]["retry_after_ms"], 1500);
}

#[test]
fn a_helper_that_ends_in_mid_call_leaves_no_doubt_about_the_doubt() {
    let output = run(&helper(), "restart ends");
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("is not known"), "{}", stderr(&output));
}

/// systemd on a bus, with nobody else there.
struct Systemd {
    systemd: FakeSystemd,
    bus: PrivateBus,
    _runtime: Runtime,
}

impl Systemd {
    fn start(units: impl IntoIterator<Item = FakeUnit>) -> Self {
        let bus = PrivateBus::start();
        let (systemd, runtime) = Self::on(&bus, units);
        Self { systemd, bus, _runtime: runtime }
    }

    fn on(bus: &PrivateBus, units: impl IntoIterator<Item = FakeUnit>) -> (FakeSystemd, Runtime) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        (runtime.block_on(FakeSystemd::start(bus, units)), runtime)
    }

    fn aictl(&self) -> Command {
        let mut command = aictl();
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address());
        command
    }
}

#[test]
fn an_error_of_the_helper_is_no_reason_to_go_round_it() {
    let helper = helper();
    let (systemd, _runtime) = Systemd::on(&helper.bus, [FakeUnit::running("litellm.service")]);
    for service in ["litellm", "nonsense", "ends"] {
        let output = run(&helper, &format!("restart {service}"));
        assert!(!output.status.success(), "{service}");
    }
    assert_eq!(systemd.calls(), Vec::<String>::new());
    // Only whoever says so does without it.
    let output = run(&helper, "restart --embedded litellm");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(systemd.calls(), ["RestartUnit litellm.service replace"]);
}

#[test]
fn without_a_helper_systemd_is_asked_itself() {
    let units = [
        FakeUnit::running("ollama.service"),
        FakeUnit::stopped("vllm.service").act(Act::Fail),
        FakeUnit::running("litellm.service").act(Act::Deny),
        FakeUnit::running("koboldcpp.service").act(Act::Challenge),
        FakeUnit::running("ssh.service"),
        FakeUnit::alias("comfyui.service", "ssh.service"),
    ];
    let systemd = Systemd::start(units);
    for (service, code, words) in [
        ("ollama", 0, ""),
        ("vllm", 1, "vllm was not restarted: it failed"),
        ("litellm", 126, "org.freedesktop.systemd1.manage-units"),
        ("koboldcpp", 126, "nobody to ask"),
        ("comfyui", 126, "only another one for ssh.service"),
        ("sglang", 127, "its unit sglang.service is not installed"),
        ("ssh", 127, "no such service in the catalogue"),
        ("ollama.service", 127, "did you mean ollama?"),
    ] {
        let output = systemd.aictl().args(["restart", service]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{service}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{service}: {}", stderr(&output));
    }
    // Nothing but what stands in the catalogue was touched.
    assert_eq!(systemd.systemd.calls().len(), 4, "{:?}", systemd.systemd.calls());
    let output = systemd.aictl().args(["-v", "stop", "ollama", "vllm"]).output().unwrap();
    assert_eq!(stderr(&output).matches("no helper is installed").count(), 1, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("ollama stopped: inactive"), "{}", stdout(&output));
}

#[test]
fn the_configuration_says_which_services_there_are_and_what_they_allow() {
    let dir = common::Dir::new();
    let config = dir.file("c.toml", "[services.mine]\nunit = \"x.service\"\nverbs = [\"stop\"]\n");
    let systemd = Systemd::start([FakeUnit::running("x.service")]);
    let run = |verb: &str| {
        let mut command = systemd.aictl();
        command.arg("--config").arg(&config).args([verb, "mine"]).output().unwrap()
    };
    let output = run("start");
    assert_eq!(output.status.code(), Some(126), "{}", stderr(&output));
    assert!(stderr(&output).contains("it allows stop only"), "{}", stderr(&output));
    assert_eq!(run("stop").status.code(), Some(0));
    assert_eq!(systemd.systemd.calls(), ["StopUnit x.service replace"]);
}

#[test]
fn units_of_ones_own_are_acted_on_by_ones_own_manager() {
    let helper = helper();
    let systemd = Systemd::start([FakeUnit::stopped("ollama.service")]);
    let mut command = helper.aictl();
    command.env("DBUS_SESSION_BUS_ADDRESS", systemd.bus.address());
    let output = command.args(["--user", "enable", "ollama"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "ollama enabled: enabled at boot; now inactive (dead)\n");
    assert_eq!(helper.calls(), []);
    assert!(systemd.systemd.calls()[0].starts_with("EnableUnitFiles ollama.service"));
}

#[test]
fn without_a_bus_there_is_nobody_to_ask() {
    for (variable, words) in [
        ("DBUS_SYSTEM_BUS_ADDRESS", ["start", "--json", "ollama"]),
        ("DBUS_SESSION_BUS_ADDRESS", ["start", "--user", "ollama"]),
    ] {
        let mut command = aictl();
        command.env(variable, "unix:path=/nonexistent/bus").args(words);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
        assert!(stderr(&output).contains("cannot be reached"), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
}

#[test]
fn without_a_bus_a_name_that_is_no_service_is_told_by_the_catalogue_that_is_here() {
    let run = |words: &[&str]| {
        let mut command = aictl();
        let bus = "unix:path=/nonexistent/bus";
        command.env("DBUS_SYSTEM_BUS_ADDRESS", bus).env("DBUS_SESSION_BUS_ADDRESS", bus);
        command.args(words).output().unwrap()
    };
    for words in [
        &["restart", "ollma"][..],
        &["restart", "--user", "ollma"],
        &["restart", "ollma", "ollma"],
        &["logs", "ollma"],
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(127), "{words:?}: {}", stderr(&output));
        let told = stderr(&output).matches("did you mean ollama?").count();
        assert_eq!(told, 1, "{words:?}: {}", stderr(&output));
    }
    let output = run(&["restart", "ollma", "ollama"]);
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("did you mean ollama?"), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be reached"), "{}", stderr(&output));
}

#[test]
fn a_signal_ends_it_at_once_and_leaves_no_progress_behind() {
    let helper = helper();
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut command = helper.aictl();
        command.args(["restart", "changing"]).env("TERM", "xterm").stdout(Stdio::piped());
        command.stdin(pty.slave.try_clone().unwrap()).stderr(pty.slave);
        let child = command.spawn().unwrap();
        // The terminal's other end is closed to us when the last who writes to it is gone.
        drop(command);
        let mut terminal = File::from(pty.master);
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains("restarting changing …") {
            let mut byte = [0];
            terminal.read_exact(&mut byte).unwrap();
            text.extend(byte);
        }
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.status.signal()), (Some(code), None));
        let mut rest = Vec::new();
        // A terminal without a writer is an error to read from.
        let _closed = terminal.read_to_end(&mut rest);
        assert!(rest.ends_with(b"\r\x1b[2K"), "{:?}", String::from_utf8_lossy(&rest));
        assert_eq!(stdout(&output), "");
    }
    // There was a terminal, so polkit may ask.
    assert!(helper.calls().iter().all(|(.., interactive)| *interactive));
}

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let helper = helper();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let mut command = helper.aictl();
    let output = command.args(["restart", "ollama"]).stdout(File::from(writer)).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn doctor_asks_the_helper_how_it_is() {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let health = |version: &'static str, polkit: bool, sandbox: &'static str| {
        FakeHelper::start(move |_member, _service| {
            Answer::Record(vec![
                ("version", version.into()),
                ("config", "ok".into()),
                ("journal", true.into()),
                ("polkit", polkit.into()),
                ("systemd", true.into()),
                ("sandbox", sandbox.into()),
            ])
        })
    };
    let failing = FakeHelper::start(|_member, _service| Answer::Nonsense);
    let bus = PrivateBus::start();
    let (well, lame) = (health(VERSION, true, "ok"), health(VERSION, false, "ok"));
    let (old, closed) = (health("0.0.7", true, ""), health(VERSION, true, "no namespaces"));
    for (address, code, words) in [
        // A bus without polkit, which the helper needs.
        (well.bus.address(), 1, format!("ok helper aictld {VERSION} answers")),
        (well.bus.address(), 1, "BROKEN polkit it does not name its actions".to_owned()),
        (well.bus.address(), 1, "ok helper runs aictld has had a script run".to_owned()),
        (lame.bus.address(), 1, format!("BROKEN helper aictld {VERSION} cannot reach polkit")),
        (
            old.bus.address(),
            1,
            format!("BROKEN helper aictld 0.0.7 answers, and this is aictl {VERSION}"),
        ),
        (
            closed.bus.address(),
            1,
            "BROKEN helper runs aictld cannot have scripts run: no namespaces".to_owned(),
        ),
        (
            failing.bus.address(),
            1,
            "BROKEN helper aictld is installed, but: the helper's answer".to_owned(),
        ),
        (bus.address(), 0, "missing helper aictld is not installed".to_owned()),
    ] {
        let mut command = aictl();
        let output =
            command.arg("doctor").env("DBUS_SYSTEM_BUS_ADDRESS", address).output().unwrap();
        let text = stdout(&output);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&words), "{words}: {text}");
        assert_eq!(output.status.code(), Some(code), "{text}");
    }
}

/// A helper whose logs are these lines, and stay open or not.
fn log(lines: &'static str, open: bool) -> FakeHelper {
    FakeHelper::start(move |_member, service| {
        if service != "ollama" {
            return Answer::Error("NoSuchService", "no such service in the catalogue", None);
        }
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(lines.as_bytes()).unwrap();
        if open {
            // For as long as this process lives.
            std::mem::forget(writer);
        }
        Answer::Stream(reader.into())
    })
}

const LINES: &str = r#"{"time_usec":1700000000000000,"priority":6,"pid":42,"identifier":"ollama","message":"one"}
{"time_usec":1700000000000001,"priority":3,"pid":null,"identifier":"systemd","message":"two \u001b[2J"}
"#;

#[test]
fn a_log_is_lines_or_a_document() {
    let helper = log(LINES, false);
    let mut command = helper.aictl();
    let output =
        command.args(["logs", "ollama", "--since", "@5"]).env("TZ", "UTC").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = "2023-11-14 22:13:20 ollama[42]: one\n2023-11-14 22:13:20 systemd: two \n";
    assert_eq!(stdout(&output), text);
    let output = run(&helper, "logs --json ollama -n 7");
    let expected = json!({
        "service": "ollama",
        "lines": [
            { "time": "2023-11-14T22:13:20.000000Z", "priority": 6, "pid": 42,
              "identifier": "ollama", "message": "one" },
            { "time": "2023-11-14T22:13:20.000001Z", "priority": 3, "pid": null,
              "identifier": "systemd", "message": "two \u{1b}[2J" },
        ],
    });
    assert_eq!(document(&output), expected);
    let seen: Vec<_> = helper.calls().into_iter().map(|(_, words, _)| words).collect();
    assert_eq!(seen, ["ollama 0 10000 5000000", "ollama 0 7 0"]);
    let output = run(&helper, "logs olama");
    assert_eq!((output.status.code(), stdout(&output)), (Some(127), String::new()));
    assert!(stderr(&output).contains("did you mean ollama?"), "{}", stderr(&output));
}

#[test]
fn the_helpers_lines_are_chosen_by_their_priority_here() {
    let text = |priority: u8| format!("{{\"priority\":{priority},\"message\":\"m{priority}\"}}\n");
    let all: String = [3, 4, 7, 2, 6].map(text).concat();
    let helper = log(Box::leak(all.into_boxed_str()), false);
    let messages = |line: &str| {
        let document = document(&run(&helper, line));
        let lines = document["lines"].as_array().unwrap().clone();
        lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(messages("logs --json ollama -p warning"), ["m3", "m4", "m2"]);
    // The last two of those, not those of the last two.
    assert_eq!(messages("logs --json ollama --priority 4 -n 2"), ["m4", "m2"]);
    let output = run(&helper, "logs ollama -p emerg");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), String::new()));
    assert!(stderr(&output).contains("no such line of ollama"), "{}", stderr(&output));
    let seen: Vec<_> = helper.calls().into_iter().map(|(_, words, _)| words).collect();
    assert_eq!(seen, ["ollama 0 10000 0"; 3]);
}

#[test]
fn a_log_that_is_followed_comes_line_by_line_until_a_signal_or_the_reader_ends_it() {
    let helper = log(LINES, true);
    for end in [Some(Signal::SIGINT), Some(Signal::SIGTERM), None] {
        let mut command = helper.aictl();
        command
            .args(["logs", "-f", "--json", "ollama"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        for message in ["one", "two \u{1b}[2J"] {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["message"], message);
        }
        let code = match end {
            Some(signal) => {
                kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
                128 + signal as i32
            }
            // No line will come that would tell that nobody reads.
            None => {
                drop(stdout);
                0
            }
        };
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(code), String::new()), "{end:?}");
    }
    assert_eq!(helper.calls()[0].1, "ollama 1 100 0");
}

#[test]
fn a_signal_ends_a_log_whose_reader_pauses() {
    let long = Box::leak(LINES.repeat(250).into_boxed_str());
    let helper = log(long, true);
    let mut command = helper.aictl();
    // More than a pipe holds, of which nothing is read.
    command.args(["logs", "-f", "ollama"]).stdout(Stdio::piped());
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let child = command.stdout(File::from(writer)).spawn().unwrap();
    // Once it is full, the program waits for it.
    let mut fds = [nix::poll::PollFd::new(reader.as_fd(), nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, nix::poll::PollTimeout::NONE).unwrap();
    assert!(size <= 4096);
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
}

#[test]
fn a_log_that_ends_while_it_is_followed_is_no_success() {
    let output = run(&log(LINES, false), "logs -f ollama");
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("the helper ended"), "{}", stderr(&output));
    let output = run(&log("no JSON\n", false), "logs ollama");
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
}
