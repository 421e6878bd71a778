//! Whatever cannot be run ends in one clear message and the documented exit code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Stdio},
};

use common::*;

#[test]
fn what_is_no_script_is_refused_in_words() {
    let dir = Dir::new();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let path = |name: &str| dir.path().join(name).into_os_string();
    let file = |name: &str, content: &[u8]| dir.file(name, content).into_os_string();
    let table = [
        (path("missing.py"), 127, "there is no script"),
        (file("a.py", b"x").tap_push("/b.py"), 127, "there is no script"),
        (file("empty.py", b""), 126, "is empty"),
        (dir.path().into(), 126, "is a directory"),
        (fifo.into(), 126, "is a FIFO"),
        ("/dev/zero".into(), 126, "is a device"),
        (file("binary", b"\x7fELF\0\0"), 126, "NUL bytes"),
        (file("nul.py", b"print(1)\0"), 126, "NUL bytes"),
        (file("long.py", &vec![b'#'; (1 << 20) + 1]), 126, "larger than 1048576 bytes"),
        (file("x.rb", b"puts 1"), 126, "aictl runs python, bash and node scripts only"),
        (file("y", b"#!/usr/bin/perl\nprint 1"), 126, "#! line asks for"),
    ];
    for (script, code, words) in table {
        let output = run([&script]);
        assert_eq!(output.status.code(), Some(code), "{script:?}: {}", stderr(&output));
        let message = stderr(&output);
        assert!(message.starts_with("aictl: ") && message.contains(words), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(output.stdout.is_empty());
    }
}

/// Adds to a path.
trait TapPush {
    fn tap_push(self, more: &str) -> Self;
}

impl TapPush for std::ffi::OsString {
    fn tap_push(mut self, more: &str) -> Self {
        self.push(more);
        self
    }
}

#[test]
fn an_unreadable_script_is_refused() {
    let dir = Dir::new();
    let script = dir.file("secret.py", "print(1)");
    fs::set_permissions(&script, Permissions::from_mode(0o000)).unwrap();
    // Root reads everything, so somebody else tries, who may not look into where this was built.
    let program = dir.path().join("aictl");
    aictl_fakes::copy_program(env!("CARGO_BIN_EXE_aictl").as_ref(), &program);
    let mut command = Command::new(program);
    if nix::unistd::geteuid().is_root() {
        command.uid(12345).gid(12345);
        assert_eq!(run(["/proc/self/mem"]).status.code(), Some(126));
    }
    let output = command.arg("run").arg(&script).output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", stderr(&output));
    let message = stderr(&output);
    assert!(message.contains("cannot be read: Permission denied"), "{message}");
    assert!(message.contains("check the path and its permissions"), "{message}");
}

#[test]
fn a_wrong_command_line_is_a_usage_error_and_runs_nothing() {
    for (line, words) in [
        ("run", "required"),
        ("rnu x.py", "unrecognized subcommand"),
        ("run --timout 5s x.py", "--timeout"),
        ("run --timeout 0 x.py", "out of range: 10ms to 1h"),
        ("run --timeout=-1s x.py", "is not a time"),
        ("run --timeout 5M x.py", "is not a time"),
        ("run --timeout 2h x.py", "out of range"),
        ("run --memory 1M x.py", "out of range: 16M to 64G"),
        ("run --memory 256MB x.py", "is not a size"),
        ("run --max-processes 0 x.py", "out of range: 1 to 4096"),
        ("run --max-output 11M x.py", "out of range: 1 to 10M"),
        ("run --profile none x.py", "possible values: standard, strict"),
        ("run --quiet --verbose x.py", "cannot be used with"),
    ] {
        let output = aictl().args(line.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{line}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn a_missing_or_unfit_interpreter_is_named() {
    let dir = Dir::new();
    let script = dir.file("a.py", "print(1)");
    let broken = dir.file("python3", "no program");
    fs::set_permissions(&broken, Permissions::from_mode(0o755)).unwrap();
    for (python, code) in [("/nonexistent/python3", 127), (broken.to_str().unwrap(), 126)] {
        let output = aictl().args(["run", "--python", python]).arg(&script).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains("--python"), "{}", stderr(&output));
    }
}

#[test]
fn with_json_an_error_is_a_document_too() {
    let output = run(["--json", "/nonexistent.py"]);
    assert_eq!(output.status.code(), Some(127));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["exit_code"], 127);
    assert!(document["error"]["message"].as_str().unwrap().contains("no script"));
    for (line, words) in [
        ("rnu --json", "unrecognized subcommand 'rnu'"),
        ("--json", "requires a subcommand"),
        ("run --timeout 0 --json x.py", "out of range: 10ms to 1h"),
        ("restart --json", "not provided: <SERVICE>..."),
        ("doctor --user --json", "--user is for services"),
    ] {
        let output = aictl().args(line.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["exit_code"], 2, "{line}");
        let message = document["error"]["message"].as_str().unwrap();
        assert!(message.contains(words) && !message.contains('\n'), "{line}: {message}");
    }
}

#[test]
fn a_script_does_nothing_to_the_terminal_by_what_is_said_of_it() {
    let script = r#"result = type("a\u202eb\u2066c\x1b[2Jd", (), {})()"#;
    let output = with_input(aictl().args(["run", "--json", "-"]), script);
    let text = stderr(&output);
    assert!(text.contains("Object of type abc[2Jd is not"), "{text:?}");
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_and_a_reader_that_is_gone_is_none() {
    let script = "for i in range(1000): print('x' * 1000)";
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = aictl();
    command.args(["run", "-"]).stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));

    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = aictl().arg("--help").stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));

    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let dir = Dir::new();
    let output = aictl()
        .arg("run")
        .arg(dir.file("loud.py", script))
        .stdout(File::from(writer))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

/// Runs a shell command in a user namespace, as an ordinary user there with every capability.
fn in_a_user_namespace(map: &str, command: &str) -> std::process::Output {
    Command::new("unshare")
        .args(["--user", map, "--keep-caps", "/bin/sh", "-c", command])
        .args([env!("CARGO_BIN_EXE_aictl")])
        .output()
        .unwrap()
}

#[test]
fn where_tmp_is_full_scripts_run_all_the_same() {
    // The program may lie below it.
    let script = "exec 9< \"$0\" && mount -t tmpfs -o size=4k none /tmp && \
                  ! head -c 9999 /dev/zero 2> /dev/null > /tmp/full && ! echo x 2> /dev/null > /tmp/x && \
                  echo 'open(\"/tmp/mine\", \"w\").write(\"x\" * 99999); print(1)' | \
                  /proc/self/fd/9 run --json -";
    let output = Command::new("unshare")
        .args(["--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "--mount"])
        .args(["/bin/sh", "-c", script, env!("CARGO_BIN_EXE_aictl")])
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    assert_eq!((&report["stdout"], &report["exit_code"]), (&"1\n".into(), &0.into()), "{report}");
}

#[test]
fn a_machine_without_user_namespaces_is_told_which_knob() {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && echo 'print(1)' | \"$0\" run -";
    let output = in_a_user_namespace("--map-user=1000", script);
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("user.max_user_namespaces"), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

#[test]
fn root_that_cannot_be_given_up_runs_nothing() {
    let output = in_a_user_namespace("--map-user=0", "echo 'print(1)' | \"$0\" run -");
    assert_eq!((output.status.code(), stdout(&output)), (Some(125), String::new()));
    assert!(stderr(&output).contains("giving up root"), "{}", stderr(&output));
}

#[test]
fn a_closed_standard_output_does_not_go_unnoticed() {
    let dir = Dir::new();
    let script = dir.file("a.py", "print(1)");
    let program = env!("CARGO_BIN_EXE_aictl");
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" run \"$1\" >&-", program])
        .arg(&script)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("standard output is closed"), "{}", stderr(&output));
}
