//! `aictl status` on a real systemd, as an ordinary user sees it.

use serde_json::{Value, json};

use crate::machine::{Machine, Who, machine};

/// Asks an address once, by a client that is not ours: 0 if there is an answer that is good.
const ASK: &str = "import sys, urllib.request as u\ntry:\n u.urlopen(sys.argv[1], timeout=5)\nexcept \
                   OSError:\n sys.exit(1)";
const OLLAMA: &str = "http://127.0.0.1:11434/";

/// Waits until somebody answers.
#[track_caller]
fn wait_for_answer(machine: &Machine, address: &str) {
    machine.wait_for(address, || {
        machine.run(Who::Root, &["python3", "-I", "-c", ASK, address]).code == Some(0)
    });
}

#[track_caller]
fn start_ollama(machine: &Machine) {
    machine.root(&["systemctl", "start", "ollama.service"]);
    wait_for_answer(machine, OLLAMA);
}

/// What `aictl status --json` says to Bob, and its exit code.
#[track_caller]
fn status(machine: &Machine, arguments: &[&str]) -> (Value, i32) {
    let ran = machine.run(Who::Bob, &[&["aictl", "status", "--json"], arguments].concat());
    let document =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    (document, ran.code.unwrap())
}

/// The row of one service.
#[track_caller]
fn row(machine: &Machine, service: &str) -> Value {
    let (mut document, code) = status(machine, &[service]);
    assert_eq!(code, 0, "{document:#}");
    document["services"][0].take()
}

fn notes(row: &Value) -> String {
    let notes = row["notes"].as_array().unwrap_or_else(|| panic!("{row:#}"));
    notes.iter().map(|note| note.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

/// That a row has this health, and that its notes have these words.
#[track_caller]
fn has(row: &Value, health: &str, words: &[&str]) {
    assert_eq!(row["health"], health, "{row:#}");
    let text = notes(row);
    for word in words {
        assert!(text.contains(word), "{word}: {row:#}");
    }
}

#[test]
fn a_healthy_service_in_full() {
    let machine = machine();
    start_ollama(&machine);
    let row = row(&machine, "ollama");
    assert_eq!(row["health"], "active", "{row:#}");
    assert_eq!(row["notes"], json!([]), "{row:#}");
    for (key, want) in [
        ("name", "ollama"),
        ("unit", "ollama.service"),
        ("scope", "system"),
        ("load_state", "loaded"),
        ("active_state", "active"),
        ("sub_state", "running"),
        ("enabled", "disabled"),
        ("provider", "ollama"),
        ("version", "0.12.6"),
    ] {
        assert_eq!(row[key], want, "{key}: {row:#}");
    }
    assert_eq!(row["models"], json!(["tiny:latest"]), "{row:#}");
    assert_eq!(row["loaded"][0]["name"], "tiny:latest", "{row:#}");
    assert_eq!(row["loaded"][0]["vram_bytes"], 115_712, "{row:#}");
    assert!(row["endpoint"].as_str().unwrap().contains("127.0.0.1:11434"), "{row:#}");
    assert!(row["latency_ms"].as_f64().unwrap() > 0.0, "{row:#}");
    let property = |name| machine.property("ollama.service", name);
    assert_eq!(row["main_pid"].to_string(), property("MainPID"), "{row:#}");
    assert_eq!(row["restarts"].to_string(), property("NRestarts"), "{row:#}");
    // The child counts too, which holds the model.
    assert!(row["tasks"].as_u64().unwrap() >= 2, "{row:#}");
    assert!(row["memory_bytes"].as_u64().unwrap() > 24 << 20, "{row:#}");
    assert!(row["cpu_seconds"].as_f64().unwrap() > 0.0, "{row:#}");
    assert!(row["uptime_seconds"].as_u64().is_some(), "{row:#}");
    // There is no GPU: what nobody can know is not nothing.
    assert_eq!(row["vram_bytes"], Value::Null, "{row:#}");
}

#[test]
fn the_services_that_are_here_and_no_others() {
    let machine = machine();
    start_ollama(&machine);
    let (document, code) = status(&machine, &[]);
    assert_eq!(code, 0, "{document:#}");
    let names: Vec<&str> = document["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    // In the catalogue's order; lmstudio.service is there by another name.
    assert_eq!(names, ["ollama", "litellm", "lmstudio", "lmdeploy", "koboldcpp", "comfyui", "tgi"]);
    assert_eq!(document["totals"]["active"], 1, "{document:#}");
    let hostname = machine.root(&["cat", "/proc/sys/kernel/hostname"]);
    assert_eq!(document["host"]["hostname"], hostname.trim(), "{document:#}");
    assert_eq!(document["gpus"], json!([]), "{document:#}");
    let text = machine.run(Who::Bob, &["aictl", "status"]).ok();
    println!("{text}");
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(line("ollama").contains("active"), "{text}");
    assert!(line("litellm").contains("inactive"), "{text}");
    // Nothing but text where nobody sees colours.
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let text = machine.run(Who::Bob, &["aictl", "status", "ollama"]).ok();
    println!("{text}");
    assert!(text.contains("tiny:latest") && text.contains("0.12.6"), "{text}");
}

#[test]
fn a_required_service_that_is_down_is_exit_code_3() {
    let machine = machine();
    machine.write("/etc/aictl/aictl.toml", "[services.litellm]\nrequired = true\n");
    start_ollama(&machine);
    let (document, code) = status(&machine, &[]);
    assert_eq!(code, 3, "{document:#}");
    assert_eq!(document["attention"], json!(["litellm"]), "{document:#}");
    // Of what was not asked for, nothing is said.
    assert_eq!(status(&machine, &["ollama"]).1, 0);
    assert_eq!(machine.run(Who::Bob, &["aictl", "status"]).code, Some(3));
    machine.write("/etc/aictl/aictl.toml", "[services.ollama]\nrequired = true\n");
    assert_eq!(status(&machine, &[]).1, 0);
}

#[test]
fn a_service_that_failed_says_why_and_what_to_do() {
    let machine = machine();
    machine.run(Who::Root, &["systemctl", "start", "koboldcpp.service"]).failed();
    has(&row(&machine, "koboldcpp"), "failed", &["3", "aictl logs koboldcpp"]);
}

#[test]
fn a_killed_service_is_told_from_one_that_was_stopped() {
    let machine = machine();
    start_ollama(&machine);
    machine.root(&["systemctl", "kill", "--signal=KILL", "ollama.service"]);
    machine.wait_for("the end", || machine.property("ollama.service", "ActiveState") == "failed");
    has(&row(&machine, "ollama"), "failed", &["kill", "aictl logs ollama"]);
    machine.root(&["systemctl", "reset-failed", "ollama.service"]);
    let row = row(&machine, "ollama");
    assert_eq!(row["health"], "inactive", "{row:#}");
    assert_eq!(row["main_pid"], Value::Null, "{row:#}");
    assert_eq!(row["models"], Value::Null, "{row:#}");
}

#[test]
fn a_restart_loop_is_not_a_running_service() {
    let machine = machine();
    machine.root(&["systemctl", "--no-block", "start", "lmdeploy.service"]);
    machine.wait_for("three restarts", || {
        machine.property("lmdeploy.service", "NRestarts").parse::<u32>().unwrap() >= 3
    });
    let row = row(&machine, "lmdeploy");
    assert!(["degraded", "failed"].contains(&row["health"].as_str().unwrap()), "{row:#}");
    assert!(row["restarts"].as_u64().unwrap() >= 3, "{row:#}");
    let text = notes(&row);
    assert!(text.contains("restart") && text.contains("aictl logs lmdeploy"), "{row:#}");
}

#[test]
fn a_service_that_does_not_listen_is_degraded() {
    let machine = machine();
    machine.root(&["systemctl", "start", "litellm.service"]);
    has(&row(&machine, "litellm"), "degraded", &["4000"]);
}

/// Where another program sits at a service's port, its name is told, and it gets no key.
#[test]
fn a_port_that_another_unit_has_is_told_with_its_name() {
    let machine = machine();
    machine.root(&["systemctl", "start", "squatter.service", "litellm.service"]);
    wait_for_answer(&machine, "http://127.0.0.1:4000/");
    wait_for_answer(&machine, OLLAMA);
    // It wants the port, and ends.
    machine.root(&["systemctl", "--no-block", "start", "ollama.service"]);
    machine.wait_for("the end of ollama", || {
        machine.property("ollama.service", "ActiveState") == "failed"
    });
    let argv = ["env", "AICTL_KEY_LITELLM=sk-0123456789abcdef", "aictl", "status", "--json"];
    let text = machine.run(Who::Bob, &argv).ok();
    let document: Value = serde_json::from_str(&text).unwrap();
    let rows = document["services"].as_array().unwrap();
    let of = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    has(of("litellm"), "degraded", &["4000", "squatter.service"]);
    has(of("ollama"), "failed", &["11434", "squatter.service"]);
    assert!(!text.contains("sk-0123456789abcdef"), "{text}");
    let log = machine.root(&["journalctl", "--unit=squatter.service", "--output=cat", "--boot"]);
    assert!(log.contains("with no key") && !log.contains("with a key"), "{log}");
}

/// As `ollama serve` on a terminal does.
#[test]
fn a_server_that_somebody_has_started_by_hand_is_told_of() {
    const BY_HAND: &str = "systemd-run --quiet --scope --unit=by-hand.scope --uid=anna \
        python3 -I /usr/local/lib/stand-ins/ollama.py < /dev/null > /dev/null 2>&1 &";
    let machine = machine();
    has(&row(&machine, "ollama"), "inactive", &[]);
    machine.root(&["sh", "-c", BY_HAND]);
    wait_for_answer(&machine, OLLAMA);
    let row = row(&machine, "ollama");
    machine.root(&["systemctl", "stop", "by-hand.scope"]);
    has(&row, "inactive", &["answers at http://127.0.0.1:11434 all the same", "ollama.service"]);
    assert_eq!(row["models"], json!(["tiny:latest"]), "{row:#}");
}

#[test]
fn a_model_in_no_gpu_is_told() {
    let machine = machine();
    machine.write("/run/ollama-cpu", "");
    start_ollama(&machine);
    let row = row(&machine, "ollama");
    // This machine has no GPU that it could be in.
    has(&row, "active", &["tiny:latest", "CPU"]);
    assert_eq!(row["loaded"][0]["vram_bytes"], 0, "{row:#}");
}

#[test]
fn a_typing_error_is_no_service() {
    let machine = machine();
    let ran = machine.run(Who::Bob, &["aictl", "status", "olama"]);
    assert_eq!(ran.code, Some(127), "{ran}");
    assert!(ran.stderr.contains("ollama"), "{ran}");
}

/// What a terminal of `columns` shows, with `environment`.
fn on_a_terminal(machine: &Machine, columns: usize, environment: &str) -> String {
    let line = format!("stty cols {columns} rows 50; {environment} exec aictl status");
    machine.run(Who::Bob, &["script", "--quiet", "--return", "--command", &line, "/dev/null"]).ok()
}

/// The text without the sequences that only change its looks (ECMA-48, "SGR").
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap_or_default().1)
}

#[test]
fn it_fits_the_terminal_and_has_colour_only_if_wanted() {
    let machine = machine();
    start_ollama(&machine);
    for columns in [40, 60, 80, 120] {
        let text = on_a_terminal(&machine, columns, "TERM=xterm-256color");
        assert!(text.contains("\u{1b}["), "{text:?}");
        let plain = without_colour(&text);
        assert!(!plain.contains('\u{1b}'), "{text:?}");
        println!("{plain}");
        for line in plain.lines() {
            assert!(line.trim_end().chars().count() <= columns, "{columns}: {line:?}");
        }
        assert!(plain.contains("ollama") && plain.contains("active"), "{plain}");
    }
    let text = on_a_terminal(&machine, 80, "TERM=xterm-256color NO_COLOR=1");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

/// `aictl status` beside the commands that it replaces, for those who look (`--only beside`, with
/// `--shipped`): a machine that does something else must not fail a test.
#[test]
fn beside_what_it_replaces() {
    const FIRST_PORT: u16 = 9101;
    let machine = machine();
    let services: Vec<(String, u16)> =
        (0..5).map(|number| (format!("five-{number}"), FIRST_PORT + number)).collect();
    let mut config = String::new();
    for (name, port) in &services {
        config += &format!(
            "[services.{name}]\nunit = \"{name}.service\"\nprovider = \"vllm\"\n\
             endpoint = \"http://127.0.0.1:{port}\"\n"
        );
    }
    machine.write("/etc/aictl/aictl.toml", &config);
    for (name, port) in &services {
        let (unit, port) = (format!("--unit={name}.service"), port.to_string());
        let server = ["python3", "-I", "/usr/local/lib/stand-ins/vllm.py", &port];
        machine.root(&[&["systemd-run", "--quiet", "--collect", &unit], &server[..]].concat());
    }
    for (_, port) in &services {
        wait_for_answer(&machine, &format!("http://127.0.0.1:{port}/health"));
    }
    let names: Vec<&str> = services.iter().map(|(name, _)| name.as_str()).collect();
    let (document, code) = status(&machine, &names);
    assert_eq!((code, &document["totals"]["active"]), (0, &json!(5)), "{document:#}");
    let arguments: Vec<String> =
        services.iter().map(|(name, port)| format!("{name}:{port}")).collect();
    let mut argv = vec!["python3", "-I", "/usr/local/lib/stand-ins/beside.py", "20"];
    argv.extend(arguments.iter().map(String::as_str));
    let times: Value = serde_json::from_str(&machine.run(Who::Bob, &argv).ok()).unwrap();
    for (row, times) in times.as_object().unwrap() {
        let mut times: Vec<f64> =
            times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
        times.sort_by(f64::total_cmp);
        println!("five services, {row}: median {:.1} ms, least {:.1} ms", times[10], times[0]);
    }
    for (name, _) in &services {
        machine.root(&["systemctl", "stop", &format!("{name}.service")]);
    }
}
