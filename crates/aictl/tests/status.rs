//! `aictl status` against a systemd and servers of the test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/server.rs"]
mod server;

use std::{
    fs::{self, File, Permissions},
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    process::{Command, Output, Stdio},
    sync::{Arc, Barrier},
};

use aictl_fakes::{FakeSystemd, FakeUnit, PrivateBus};
use common::{Dir, aictl, stderr, stdout};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, Uid},
};
use serde_json::{Value, json};
use server::Server;
use tokio::runtime::Runtime;

/// A machine: its systemd, its configuration, and the home of who asks.
struct Machine {
    systemd: FakeSystemd,
    bus: PrivateBus,
    home: Dir,
    _runtime: Runtime,
}

impl Machine {
    fn new(units: impl IntoIterator<Item = FakeUnit>, config: &str) -> Self {
        let bus = PrivateBus::start();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let systemd = runtime.block_on(FakeSystemd::start(&bus, units));
        let home = Dir::new();
        home.file("aictl.toml", config);
        Self { systemd, bus, home, _runtime: runtime }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = alone(&self.home);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.bus.address()).args(line.split(' '));
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// The document, and the exit code.
    #[track_caller]
    fn json(&self, line: &str) -> (Value, i32) {
        document(&self.run(&format!("{line} --json")))
    }
}

/// aictl with the configuration and the home in this directory, no bus and no key.
fn alone(home: &Dir) -> Command {
    let mut command = aictl();
    command
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .arg("--config")
        .arg(home.path().join("aictl.toml"));
    command
}

#[track_caller]
fn document(output: &Output) -> (Value, i32) {
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", stdout(output), stderr(output)));
    (document, output.status.code().unwrap())
}

/// The configuration of services whose servers are these.
fn endpoints<'a>(servers: impl IntoIterator<Item = (&'a str, &'a Server)>) -> String {
    let service = |(name, server): (&str, &Server)| {
        format!("[services.{name}]\nendpoint = \"{}\"\n", server.endpoint())
    };
    servers.into_iter().map(service).collect()
}

#[track_caller]
fn row<'a>(document: &'a Value, service: &str) -> &'a Value {
    let rows = document["services"].as_array().unwrap();
    rows.iter()
        .find(|row| row["name"] == service)
        .unwrap_or_else(|| panic!("no {service}: {document:#}"))
}

fn notes(row: &Value) -> String {
    let notes = row["notes"].as_array().unwrap();
    notes.iter().map(|note| note.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn one_document_tells_what_systemd_and_the_server_say() {
    let ollama = Server::ollama();
    let units = [FakeUnit::running("ollama.service"), FakeUnit::stopped("vllm.service")];
    let machine = Machine::new(units, &endpoints([("ollama", &ollama)]));
    let (document, code) = machine.json("status");
    assert_eq!(code, 0);
    let names: Vec<_> =
        document["services"].as_array().unwrap().iter().map(|r| &r["name"]).collect();
    assert_eq!(names, ["ollama", "vllm"]);
    let found = row(&document, "ollama");
    for (key, want) in [
        ("health", json!("active")),
        ("unit", json!("ollama.service")),
        ("scope", json!("system")),
        ("load_state", json!("loaded")),
        ("active_state", json!("active")),
        ("sub_state", json!("running")),
        ("main_pid", json!(4242)),
        ("restarts", json!(0)),
        ("provider", json!("ollama")),
        ("version", json!("0.12.6")),
        ("models", json!(["tiny:latest"])),
        ("endpoint", json!(ollama.endpoint())),
        ("required", json!(false)),
        // The test's units have no control group.
        ("memory_bytes", Value::Null),
        ("notes", json!([])),
    ] {
        assert_eq!(found[key], want, "{key}: {found:#}");
    }
    assert!(found["latency_ms"].as_f64().unwrap() > 0.0, "{found:#}");
    assert_eq!(found["loaded"][0]["vram_bytes"], 115_712);
    assert_eq!(row(&document, "vllm")["health"], "inactive");
    assert_eq!((&document["totals"]["active"], &document["attention"]), (&json!(1), &json!([])));
    // systemd was asked for all by one question.
    assert_eq!(machine.systemd.listed().len(), 1);
    assert_eq!(machine.systemd.calls(), Vec::<String>::new());

    let (all, _) = machine.json("status --all");
    assert!(all["services"].as_array().unwrap().len() > 10, "{all:#}");
    assert_eq!(row(&all, "tgi")["health"], "not-installed");
    let (one, _) = machine.json("status vllm");
    assert_eq!(one["services"].as_array().unwrap().len(), 1);
    assert_eq!(machine.systemd.listed().last().unwrap(), &["vllm.service"]);
}

#[test]
fn servers_that_hang_hold_up_nobody() {
    let (well, slow, refusing) = (Server::ollama(), Server::silent(), Server::failing());
    let names = ["ollama", "vllm", "litellm", "tgi", "localai"];
    let units = ["ollama", "vllm", "litellm", "tgi", "local-ai"];
    let units = units.map(|name| FakeUnit::running(&format!("{name}.service")));
    let servers = [&well, &slow, &refusing, &slow, &well];
    let config = "[status]\nhttp-timeout = \"700ms\"\n".to_owned()
        + &endpoints(names.into_iter().zip(servers));
    let machine = Machine::new(units, &config);
    let (document, _) = machine.json("status");
    let health = |name: &str| row(&document, name)["health"].as_str().unwrap().to_owned();
    assert_eq!(names.map(health), ["active", "degraded", "degraded", "degraded", "degraded"]);
    for name in ["vllm", "tgi"] {
        assert!(notes(row(&document, name)).contains("no answer within"), "{document:#}");
    }
    assert!(notes(row(&document, "litellm")).contains("500"), "{document:#}");
    assert!(notes(row(&document, "localai")).contains("Ollama answers"), "{document:#}");
    assert_eq!(document["attention"], json!(["vllm", "litellm", "localai", "tgi"]));
}

/// None of them answers before all of them are asked.
#[test]
fn servers_are_asked_all_at_one_time() {
    let company = Arc::new(Barrier::new(5));
    let servers: Vec<Server> = (0..5).map(|_| Server::ollama_in(&company)).collect();
    let config: String = servers
        .iter()
        .enumerate()
        .map(|(n, server)| {
            let endpoint = server.endpoint();
            format!(
                "[services.s{n}]\nunit = \"s{n}.service\"\nprovider = \"ollama\"\n\
                 endpoint = \"{endpoint}\"\n"
            )
        })
        .collect();
    let units: Vec<_> = (0..5).map(|n| FakeUnit::running(&format!("s{n}.service"))).collect();
    let config = format!("[status]\nhttp-timeout = \"10s\"\n{config}");
    let machine = Machine::new(units, &config);
    let (document, _) = machine.json("status");
    for n in 0..5 {
        assert_eq!(row(&document, &format!("s{n}"))["health"], "active", "{document:#}");
    }
}

#[test]
fn a_unit_that_vanishes_between_two_questions_is_not_installed() {
    let vanishing = FakeUnit { vanishes: true, ..FakeUnit::running("vllm.service") };
    let machine = Machine::new([vanishing, FakeUnit::stopped("ollama.service")], "");
    let (document, code) = machine.json("status ollama vllm");
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(row(&document, "vllm")["health"], "not-installed");
    assert_eq!(row(&document, "ollama")["health"], "inactive");
}

#[test]
fn a_required_service_that_is_not_active_is_exit_code_3() {
    let required = "[services.ollama]\nrequired = true\n[services.vllm]\nrequired = true\n";
    let failed = FakeUnit {
        active_state: "failed".to_owned(),
        sub_state: "failed".to_owned(),
        result: "exit-code".to_owned(),
        exec_main_code: 1,
        exec_main_status: 7,
        ..FakeUnit::stopped("ollama.service")
    };
    let machine = Machine::new([failed, FakeUnit::stopped("tgi.service")], required);
    let (document, code) = machine.json("status");
    assert_eq!(code, 3, "{document:#}");
    assert_eq!(document["attention"], json!(["ollama", "vllm"]));
    let note = notes(row(&document, "ollama"));
    assert!(note.contains("exit code 7") && note.contains("`aictl logs ollama`"), "{note}");
    assert_eq!(row(&document, "vllm")["health"], "not-installed");
    let output = machine.run("status");
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
    // Of what was not asked for, nothing is said.
    assert_eq!(machine.run("status tgi").status.code(), Some(0));
}

#[test]
fn a_name_that_no_service_has_is_told_with_what_may_have_been_meant() {
    let machine = Machine::new([FakeUnit::stopped("ollama.service")], "");
    let output = machine.run("status olama");
    assert_eq!((output.status.code(), stdout(&output)), (Some(127), String::new()));
    assert!(stderr(&output).contains("did you mean ollama?"), "{}", stderr(&output));
    // The others are shown nonetheless.
    let output = machine.run("status olama ollama --json");
    let (document, code) = document(&output);
    assert_eq!((code, row(&document, "ollama")["health"].as_str()), (127, Some("inactive")));
    assert!(document["notes"].to_string().contains("olama"), "{document:#}");
    assert!(machine.systemd.listed().concat() == ["ollama.service"]);
}

#[test]
fn without_systemd_servers_are_all_that_is_shown() {
    let ollama = Server::ollama();
    let home = Dir::new();
    home.file("aictl.toml", endpoints([("ollama", &ollama)]));
    let output = alone(&home).args(["status", "--json"]).output().unwrap();
    let (found, code) = document(&output);
    assert_eq!(code, 0, "{found:#}");
    let ollama = row(&found, "ollama");
    assert_eq!((&ollama["health"], &ollama["active_state"]), (&json!("active"), &Value::Null));
    // This machine's GPUs may have something to say too.
    let note = "there is no systemd here: services are shown by what their servers say alone";
    assert_eq!(found["notes"][0], json!(note));
    assert_eq!(stderr(&output), "");
    // Why, is for who wants details.
    let output = alone(&home).args(["status", "--json", "-v"]).output().unwrap();
    assert!(stderr(&output).contains("/nonexistent/bus"), "{}", stderr(&output));
    // What is there and does not work is another matter.
    let bus = format!("unix:path={}", home.path().display());
    let mut command = alone(&home);
    let output = command.env("DBUS_SYSTEM_BUS_ADDRESS", bus).args(["status", "--json"]).output();
    let (found, _) = document(&output.unwrap());
    assert!(found["notes"].to_string().contains("systemd cannot be asked"), "{found:#}");
    // One's own systemd is another.
    let output = alone(&home).args(["status", "--json", "--user"]).output().unwrap();
    let (found, _) = document(&output);
    assert!(found["notes"].to_string().contains("your own service manager"), "{found:#}");
    assert_eq!(row(&found, "ollama")["scope"], "user");
    // With nothing at all there is a word for people.
    home.file("aictl.toml", "");
    let output = alone(&home).args(["status"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("aictl status --all"), "{}", stdout(&output));
}

#[test]
fn a_named_service_that_nobody_can_be_asked_about_says_so() {
    let home = Dir::new();
    home.file("aictl.toml", "[services.vllm]\nendpoint = \"http://127.0.0.1:1\"\n");
    let found = |words: &[&str]| {
        document(&alone(&home).args(["status", "--json"]).args(words).output().unwrap()).0
    };
    let named = found(&["vllm"]);
    assert_eq!(row(&named, "vllm")["health"], "inactive");
    assert_eq!(
        notes(row(&named, "vllm")),
        "nobody listens at http://127.0.0.1:1, and there is no systemd to ask about vllm.service"
    );
    assert_eq!(notes(row(&found(&[]), "vllm")), "");
}

#[test]
fn a_systemd_that_says_nothing_holds_up_nobody() {
    let ollama = Server::ollama();
    let config =
        "[status]\nhttp-timeout = \"700ms\"\n".to_owned() + &endpoints([("ollama", &ollama)]);
    let machine = Machine::new([FakeUnit::running("ollama.service")], &config);
    machine.systemd.set_silent(true);
    let (document, _) = machine.json("status");
    let found = row(&document, "ollama");
    assert_eq!((&found["health"], &found["models"]), (&json!("active"), &json!(["tiny:latest"])));
    assert!(document["notes"].to_string().contains("did not answer within 0.7 s"), "{document:#}");
}

#[test]
fn a_setting_of_the_environment_goes_over_the_configurations_or_is_an_error() {
    let machine = Machine::new([], "");
    for (variable, value) in [
        ("AICTL_HTTP_TIMEOUT", "abc"),
        ("AICTL_UNIT_TIMEOUT", "31"),
        ("AICTL_REFRESH_INTERVAL", "0"),
        ("AICTL_LOG_HEIGHT", "51"),
    ] {
        let output = machine.command("status").env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{variable}: {}", stdout(&output));
        assert!(stderr(&output).contains(variable), "{}", stderr(&output));
    }
    let output = machine.command("status").env("AICTL_HTTP_TIMEOUT", "0.5").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// A server that only tells those who have its key.
const KEY: &str = "sk-0123456789abcdef";

#[test]
fn a_key_reaches_the_users_own_server_and_no_output() {
    let server = Server::keyed(KEY);
    let machine =
        Machine::new([FakeUnit::running("vllm.service")], &endpoints([("vllm", &server)]));
    let (document, _) = machine.json("status");
    let note = notes(row(&document, "vllm"));
    assert!(note.contains("AICTL_KEY_VLLM") && note.contains("keys.toml"), "{document:#}");
    assert_eq!(server.keys(), Vec::<String>::new());
    let expected = format!("Bearer {KEY}");
    // From the environment, and from the file.
    let output = machine.command("status --json -v").env("AICTL_KEY_VLLM", KEY).output().unwrap();
    let (document, _) = self::document(&output);
    if Uid::effective().is_root() {
        // Root's keys go to the unit's processes alone.
        assert!(notes(row(&document, "vllm")).contains("was not sent"), "{document:#}");
        assert_eq!(server.keys(), Vec::<String>::new());
        return;
    }
    assert_eq!(row(&document, "vllm")["health"], "active", "{document:#}");
    assert!(server.keys().contains(&expected), "{document:#}");
    fs::create_dir(machine.home.path().join("aictl")).unwrap();
    let file = machine.home.file("aictl/keys.toml", format!("vllm = \"{KEY}\"\n"));
    for (mode, health) in [(0o600, "active"), (0o644, "degraded")] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let output = machine.run("status --json -v");
        let (document, _) = self::document(&output);
        assert_eq!(row(&document, "vllm")["health"], health, "{mode:o}: {document:#}");
        assert_eq!(document["notes"].to_string().contains("mode 0644"), mode == 0o644);
        assert!(!(stdout(&output) + &stderr(&output)).contains(KEY), "{}", stdout(&output));
    }
    // Another key is none.
    let wrong = "sk-wrong-0123456789";
    let output = machine.command("status --json").env("AICTL_KEY_VLLM", wrong).output().unwrap();
    let (document, _) = self::document(&output);
    assert!(notes(row(&document, "vllm")).contains("refuses the key of AICTL_KEY_VLLM"));
    assert!(!stdout(&output).contains(wrong));
}

#[test]
fn a_key_is_not_sent_to_who_only_sits_at_the_port() {
    if !Uid::effective().is_root() {
        // Only root can have a socket that is another user's.
        return;
    }
    let squatter = Server::of_another_user(KEY);
    let machine =
        Machine::new([FakeUnit::running("vllm.service")], &endpoints([("vllm", &squatter)]));
    let output = machine.command("status --json").env("AICTL_KEY_VLLM", KEY).output().unwrap();
    let (document, _) = document(&output);
    assert_eq!(squatter.keys(), Vec::<String>::new(), "{document:#}");
    assert!(squatter.was_asked(), "{document:#}");
    let note = notes(row(&document, "vllm"));
    assert!(note.contains("key of AICTL_KEY_VLLM was not sent"), "{document:#}");
}

#[test]
fn watching_for_programs_is_a_document_on_a_line_until_nobody_reads_or_ctrl_c() {
    let machine = Machine::new([FakeUnit::stopped("ollama.service")], "");
    for end in [Some(Signal::SIGINT), Some(Signal::SIGTERM), Some(Signal::SIGQUIT), None] {
        let mut command = machine.command("status --json --watch=1s");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..2 {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            let document: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(row(&document, "ollama")["health"], "inactive");
        }
        let code = match end {
            Some(signal) => {
                kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
                // It has no other end than Ctrl-C.
                if signal == Signal::SIGINT { 0 } else { 128 + signal as i32 }
            }
            None => {
                drop(lines);
                0
            }
        };
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(code), String::new()), "{end:?}");
    }
}

#[test]
fn watching_draws_in_place_and_leaves_the_terminal_as_it_was() {
    let machine = Machine::new([FakeUnit::stopped("ollama.service")], "");
    let size = nix::pty::Winsize { ws_row: 30, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    let mut command = machine.command("status --watch=60s");
    command.env("TERM", "xterm").stdout(pty.slave.try_clone().unwrap()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    drop(command);
    let mut terminal = File::from(pty.master);
    let mut text = Vec::new();
    let mut until = |end: &str| {
        while !String::from_utf8_lossy(&text).ends_with(end) {
            let mut byte = [0];
            terminal.read_exact(&mut byte).unwrap();
            text.extend(byte);
        }
        String::from_utf8_lossy(&std::mem::take(&mut text)).into_owned()
    };
    let first = until("\x1b[J");
    assert!(first.starts_with("\x1b[?25l"), "{first:?}");
    assert!(first.contains("\x1b[Hevery 60 s") && first.contains("ollama"), "{first:?}");
    // Another size is another picture of the same look.
    kill(pid, Signal::SIGWINCH).unwrap();
    let second = until("\x1b[J");
    assert!(second.starts_with("\x1b[H") && second.contains("ollama"), "{second:?}");
    assert_eq!(machine.systemd.listed().len(), 1);
    // The stop key gives the shell a terminal with a cursor; then it is drawn anew.
    kill(pid, Signal::SIGTSTP).unwrap();
    let flags = WaitPidFlag::WUNTRACED;
    assert_eq!(waitpid(pid, Some(flags)).unwrap(), WaitStatus::Stopped(pid, Signal::SIGSTOP));
    assert_eq!(until("\x1b[?25h\r\r\n"), "\x1b[?7h\x1b[?25h\r\r\n");
    kill(pid, Signal::SIGCONT).unwrap();
    assert_eq!(until("\x1b[J"), first);
    kill(pid, Signal::SIGINT).unwrap();
    let end = until("\x1b[?25h\r\r\n");
    assert!(end.contains("\x1b[?7h"), "{end:?}");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}
