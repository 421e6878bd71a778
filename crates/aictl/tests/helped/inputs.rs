//! What a script is given: arguments, standard input, itself.

use std::{
    ffi::OsString,
    fs::File,
    io::{Write, pipe},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStringExt, net::UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::pty::openpty;

use crate::{
    common::{stderr, stdout, with_input},
    installed::{Installed, started},
};

#[test]
fn standard_input_comes_whole_and_may_be_left_unread() {
    let installed = Installed::new();
    let many: Vec<u8> = (0..10 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    let count = "import sys\nall = sys.stdin.buffer.read()\nprint(len(all), sum(all))";
    let expected = format!("{} {}\n", many.len(), many.iter().map(|b| u64::from(*b)).sum::<u64>());
    let output = with_input(&mut installed.run(&[], count), &many);
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
    // From a file, which is copied.
    let file = installed.dir.file("input", &many);
    let output = installed.run(&[], count).stdin(File::open(file).unwrap()).output().unwrap();
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
    let output = with_input(&mut installed.run(&[], "print('reads nothing')"), &many);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("reads nothing\n", Some(0)));
    let output = with_input(&mut installed.run(&["--no-stdin"], count), &many);
    assert_eq!(stdout(&output), "0 0\n", "{}", stderr(&output));
}

/// Prints what it has read, or how many bytes where that is more than a line.
const ECHO: &str =
    "import sys\nall = sys.stdin.read()\nprint(repr(all) if len(all) < 99 else len(all))";

#[test]
fn standard_input_of_every_kind_is_the_same_with_and_without_the_helper() {
    let installed = Installed::new();
    let file = installed.dir.file("input", "of a file\n");
    let large = installed.dir.file("large", "0123456789abcde\n".repeat(10 << 16));
    let open = |path: &Path| Stdio::from(File::open(path).unwrap());
    let full_to_write = || File::options().write(true).open("/dev/full").unwrap();
    let pipe_with = |text: &str| {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        Stdio::from(reader)
    };
    let socket_with = |text: &str| {
        let (reader, mut writer) = UnixStream::pair().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        Stdio::from(OwnedFd::from(reader))
    };
    // What is typed is there when it is read, and at last the key of the end: Ctrl-D.
    let terminal_with = |text: &str| {
        let pty = openpty(None, None).unwrap();
        let mut typed = File::from(pty.master);
        typed.write_all(format!("{text}\u{4}").as_bytes()).unwrap();
        (Stdio::from(pty.slave), typed)
    };
    for options in [&[][..], &["--embedded"]] {
        let (terminal, _typed) = terminal_with("typed\n");
        let (empty_terminal, _nothing_typed) = terminal_with("");
        for (what, input, expected) in [
            ("/dev/null", Stdio::null(), "''\n"),
            ("a file", open(&file), "'of a file\\n'\n"),
            ("a large file", open(&large), "10485760\n"),
            ("a pipe", pipe_with("of a pipe\n"), "'of a pipe\\n'\n"),
            ("a pipe that nobody wrote to", pipe_with(""), "''\n"),
            ("a socket", socket_with("of a socket"), "'of a socket'\n"),
            ("a directory", open(installed.dir.path()), "''\n"),
            ("a device to write to", full_to_write().into(), "''\n"),
            ("the other end of a pipe", pipe().unwrap().1.into(), "''\n"),
            ("a terminal", terminal, "'typed\\n'\n"),
            ("the end on a terminal", empty_terminal, "''\n"),
        ] {
            let output = installed.run(options, ECHO).stdin(input).output().unwrap();
            let is_told = ["a directory", "a device to write to", "the other end of a pipe"];
            let says = stderr(&output).contains("aictl: standard input is ");
            assert_eq!(says, is_told.contains(&what), "{what}: {}", stderr(&output));
            let what = format!("{what} {options:?}: {}", stderr(&output));
            assert_eq!(
                (stdout(&output).as_str(), output.status.code()),
                (expected, Some(0)),
                "{what}"
            );
        }
        let closed = installed.run(options, ECHO);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "exec \"$0\" \"$@\" <&-"]).arg(closed.get_program());
        shell.args(closed.get_args());
        for (name, value) in closed.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let output = shell.output().unwrap();
        assert_eq!(stdout(&output), "''\n", "{options:?}: {}", stderr(&output));
    }
}

#[test]
fn standard_input_that_never_ends_holds_up_nothing() {
    let installed = Installed::new();
    // Whoever could write to it does not, for as long as the run lasts.
    let (reader, _writer) = pipe().unwrap();
    let (socket, _other) = UnixStream::pair().unwrap();
    let inputs: [Stdio; 3] =
        [reader.into(), OwnedFd::from(socket).into(), File::open("/dev/zero").unwrap().into()];
    for input in inputs {
        let output = installed.run(&[], "print('done')").stdin(input).output().unwrap();
        assert_eq!((stdout(&output).as_str(), output.status.code()), ("done\n", Some(0)));
    }
    let (reader, _writer) = pipe().unwrap();
    let read = "import sys\nsys.stdin.read()";
    let output = installed.run(&["--timeout", "300ms"], read).stdin(reader).output().unwrap();
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    let zero = File::open("/dev/zero").unwrap();
    let few = "import sys\nprint(len(sys.stdin.buffer.read(1000)))";
    let output = installed.run(&[], few).stdin(zero).output().unwrap();
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("1000\n", Some(0)));
}

#[test]
fn a_script_answers_what_it_is_asked_while_it_runs() {
    let installed = Installed::new();
    let script = "print('started', flush=True)\nprint(input() + '!', flush=True)";
    let mut command = installed.run(&[], script);
    let (mut child, mut stdout) = started(command.stdin(Stdio::piped()));
    child.stdin.take().unwrap().write_all("ü\n".as_bytes()).unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("ü!\n", Some(0)));
}

#[test]
fn arguments_come_as_they_are_and_bytes_that_are_no_text_are_refused() {
    let installed = Installed::new();
    let arguments = ["", " ", "ü 漢字 🎉", "a\nb\t\u{1b}[31m", "-x", "--", "$(id)", "';\"\\"];
    let mut command = installed.run(&[], "import sys\nprint(ascii(sys.argv[1:]))");
    let output = command.args(arguments).output().unwrap();
    let expected = "['', ' ', '\\xfc \\u6f22\\u5b57 \\U0001f389', 'a\\nb\\t\\x1b[31m', '-x', '--', \
                    '$(id)', '\\';\"\\\\']\n";
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
    let odd = OsString::from_vec(vec![b'a', 0xff]);
    let output = installed.run(&[], "print(1)").arg(odd).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("argument 1 of the script is not UTF-8"));
    let long = "x".repeat(70_000);
    let output = installed.run(&[], "print(1)").arg(long).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("longer than 64 KiB together"));
}

#[test]
fn a_script_keeps_its_name_and_comes_from_standard_input_too() {
    let installed = Installed::new();
    let path = installed.dir.file("ä b.py", "print(__file__)\nprint(open(__file__).read())");
    let output = installed.aictl().arg("run").arg(path).output().unwrap();
    let itself = "/work/ä b.py\nprint(__file__)\nprint(open(__file__).read())\n";
    assert_eq!(stdout(&output), itself, "{}", stderr(&output));
    // A name that no file inside can have, which is no reason not to run it.
    let odd = installed.dir.path().join(OsString::from_vec(b"\xff\n.py".to_vec()));
    std::fs::write(&odd, "print(__file__)").unwrap();
    let output = installed.aictl().arg("run").arg(odd).output().unwrap();
    assert_eq!(stdout(&output), "/work/script\n", "{}", stderr(&output));
    let mut command = installed.aictl();
    let script = "import sys\nprint(__file__, sys.argv[1:], sys.stdin.read() == '')";
    let output = with_input(command.args(["run", "-", "a"]), script);
    assert_eq!(stdout(&output), "/work/stdin ['a'] True\n", "{}", stderr(&output));
    let output = with_input(installed.aictl().args(["run", "-"]), "");
    assert_eq!(output.status.code(), Some(126), "{}", stderr(&output));
    assert!(stderr(&output).contains("standard input is empty"), "{}", stderr(&output));
    let bash = installed.dir.file("x.sh", "echo \"$0 $# $1\"; exit 4");
    let output = installed.aictl().arg("run").arg(bash).arg("ü").output().unwrap();
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("/work/x.sh 1 ü\n", Some(4)));
}
