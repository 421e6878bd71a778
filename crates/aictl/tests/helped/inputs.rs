//! What a script is given: arguments, standard input, itself.

use std::{
    ffi::OsString,
    fs::File,
    io::{Write, pipe},
    os::unix::{ffi::OsStringExt, net::UnixStream},
    process::Stdio,
};

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

#[test]
fn standard_input_that_never_ends_holds_up_nothing() {
    let installed = Installed::new();
    // Whoever could write to it does not, for as long as the run lasts.
    let (reader, _writer) = pipe().unwrap();
    let (socket, _other) = UnixStream::pair().unwrap();
    let inputs: [Stdio; 3] = [
        reader.into(),
        std::os::fd::OwnedFd::from(socket).into(),
        File::open("/dev/zero").unwrap().into(),
    ];
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
