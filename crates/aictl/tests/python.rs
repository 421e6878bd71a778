//! A script behaves as under plain `python3 script.py`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::process::{Command, Output, Stdio};

use common::*;

/// Runs a script in the sandbox and under plain Python, with the same name, arguments and input.
fn both(name: &str, script: impl AsRef<[u8]>, args: &[&str], input: &str) -> (Output, Output) {
    let dir = Dir::new();
    let path = dir.file(name, script);
    let python = "/usr/bin/python3";
    let sandboxed =
        with_input(aictl().args(["run", "--python", python]).arg(&path).args(args), input);
    let mut plain = Command::new(python);
    plain.arg(&path).args(args).current_dir(dir.path()).env_clear().env("LANG", "C.UTF-8");
    let mut plain = with_input(&mut plain, input);
    // The one difference that is meant: where the script lies.
    let here = format!("{}/", dir.path().display());
    for stream in [&mut plain.stdout, &mut plain.stderr] {
        *stream = String::from_utf8_lossy(stream).replace(&here, "/work/").into_bytes();
    }
    (sandboxed, plain)
}

fn assert_same(name: &str, script: impl AsRef<[u8]>, args: &[&str], input: &str) {
    let (sandboxed, plain) = both(name, script.as_ref(), args, input);
    let show = |output: &Output| (output.status.code(), stdout(output), stderr(output));
    assert_eq!(show(&sandboxed), show(&plain), "{}", String::from_utf8_lossy(script.as_ref()));
}

/// The same with a report, for which the script is called by a script of ours.
fn assert_reported_same(script: &str) {
    let (_, plain) = both("script.py", script, &["one", "two words"], "");
    let dir = Dir::new();
    let path = dir.file("script.py", script);
    let mut command = aictl();
    command.args(["run", "--json", "--python", "/usr/bin/python3"]).arg(path);
    let reported = command.args(["one", "two words"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&reported.stdout).unwrap();
    // Who is ended by a signal has no code of his own.
    let code = |output: &Output| output.status.code().or(Some(130));
    let expected = (code(&plain), stdout(&plain), stderr(&plain));
    let text = |name: &str| report[name].as_str().unwrap().to_owned();
    assert_eq!((code(&reported), text("stdout"), text("stderr")), expected, "{script}");
}

#[test]
fn ordinary_programs_print_and_exit_the_same() {
    for script in [
        "print(sum(range(10)), [x * x for x in range(5)], 'abc'.upper())",
        "import math\nresult = math.sqrt(16)\nprint(result)",
        "import sys\nprint(sys.argv[1:], __name__, __file__)",
        "import sys\nsys.exit(42)",
        "import sys\nsys.exit('a message')",
        "raise SystemExit",
        "import sys\nprint('out'); print('err', file=sys.stderr)",
        "def f(n):\n    return g(n)\n\ndef g(n):\n    return 1 / n\n\nf(0)",
        "x = 1\ndef f(:\n    pass",
        "raise KeyError('ä')",
        "import atexit\natexit.register(print, 'bye')\nprint('hi')",
        "import json, re, datetime, collections, dataclasses, random, hashlib, decimal\nprint(1)",
        "import subprocess\nprint(subprocess.run(['echo', 'child'], capture_output=True).stdout)",
        "import threading\nt = threading.Thread(target=print, args=('t',)); t.start(); t.join()",
        "from multiprocessing import get_context\n\ndef f(x):\n    return x * x\n\nif __name__ == '__main__':\n    with get_context('fork').Pool(2) as p:\n        print(p.map(f, range(4)))",
        "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    print('async')\nasyncio.run(main())",
        "import tempfile, os\nwith tempfile.NamedTemporaryFile() as f:\n    f.write(b'x'); print(os.path.exists(f.name))",
        "import sqlite3\nprint(sqlite3.connect('x.db').execute('select 1 + 1').fetchone())",
        "open('module.py', 'w').write('y = 7')\nimport module\nprint(module.y)",
        "print('ünï¢ødé ✓', ascii('✓'))",
        "try:\n    int('x')\nexcept ValueError as e:\n    print(e)\n",
        "import logging\nlogging.warning('careful')",
        "assert False, 'no'",
        "class Own(BaseException): pass\ndef f():\n    raise Own\nf()",
        "import asyncio\nraise asyncio.CancelledError('x')",
        "import sys\ndef hook(*of):\n    raise ValueError('of the hook')\nsys.excepthook = hook\n1 / 0",
        "import sys\ndel sys.excepthook\n1 / 0",
    ] {
        assert_same("script.py", script, &["one", "two words", "-v", "--json"], "");
        assert_reported_same(script);
    }
    assert_reported_same("def f():\n    raise KeyboardInterrupt\nf()");
    // The frames of what calls it there count too: aictl(1).
    assert_same("script.py", "def f(): f()\nf()", &[], "");
}

#[test]
fn standard_input_arrives_whole_and_ends() {
    assert_same("in.py", "print(input('name? ')); print(input())", &[], "a\nb\n");
    assert_same("in.py", "import sys\nprint(sys.stdin.read().upper())", &[], "ünï\nx");
    assert_same("in.py", "print(input())", &[], "");
    let large = "0123456789abcdef\n".repeat(50_000);
    let count = "import sys\nprint(len(sys.stdin.read()), sys.stdin.read() == '')";
    assert_same("in.py", count, &[], &large);
    // Input that nobody reads hurts nobody.
    assert_same("in.py", "print('done')", &[], &large);
}

#[test]
fn sources_of_every_kind_are_read_as_python_reads_them() {
    assert_same("a b.py", "print(__file__)", &[], "");
    assert_same("ä.py", "1/0", &[], "");
    assert_same("bom.py", b"\xef\xbb\xbfprint('bom')", &[], "");
    assert_same("latin.py", b"# -*- coding: latin-1 -*-\nprint('\xe4')", &[], "");
    assert_same("bad.py", b"print('\xe4')", &[], "");
    assert_same("crlf.py", "print(1)\r\nprint(2)\r\n", &[], "");
    assert_same("noext", "print(1)", &[], "");
    assert_same("shebang", "#!/usr/bin/env python3\nprint(1)", &[], "");
    let large: String = (0..20_000).map(|i| format!("x{i} = {i}\n")).collect();
    assert_same("large.py", large + "print(x19999)", &[], "");
}

#[test]
fn a_result_comes_back_as_json_and_the_rest_is_the_same() {
    let script = "import sys\nresult = {'a': [1, 2.5, None, 'ü'], 'argv': sys.argv}\nprint('out')";
    let report = report(&[], script);
    assert_eq!(report["result"]["a"], serde_json::json!([1, 2.5, null, "ü"]));
    assert_eq!(report["result"]["argv"], serde_json::json!(["/work/stdin"]));
    assert_eq!((&report["stdout"], &report["outcome"]), (&"out\n".into(), &"exited".into()));
    assert_eq!(
        report["missing"].as_array().unwrap().len() + report["isolation"].as_array().unwrap().len(),
        11
    );

    let dir = Dir::new();
    let path = dir.file("t.py", "def f():\n    return 1 / 0\n\nf()\n");
    let json = aictl().args(["run", "--json"]).arg(&path).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["stderr"], stderr(&run([&path])), "the same traceback");
    assert_eq!(json["exit_code"], 1);
}

#[test]
fn a_result_that_json_cannot_hold_is_left_out_with_a_reason() {
    for (expression, words) in [
        ("float('nan')", "ValueError"),
        ("__import__('sys')", "TypeError"),
        ("'x' * 70000", "longer than 64 KiB"),
        ("(lambda l: (l.append(l), l)[1])([])", "Circular"),
        ("type('H', (), {'__repr__': lambda s: 1 / 0})()", "TypeError"),
        ("{1, 2}", "TypeError"),
        ("2 ** 64", "an integer in it does not fit into 64 bits"),
        ("{'a': [-2 ** 63 - 1]}", "an integer in it does not fit into 64 bits"),
        ("10 ** 400", "an integer in it does not fit into 64 bits"),
        ("__import__('functools').reduce(lambda l, _: [l], range(200), 1)", "recursion limit"),
        ("'\\ud800'", "UnicodeEncodeError"),
        ("'\u{e9}' * 40000", "longer than 64 KiB"),
    ] {
        let script = format!("result = {expression}");
        let output = with_input(aictl().args(["run", "--json", "-"]), &script);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&json["result"], &json["exit_code"]), (&serde_json::Value::Null, &0.into()));
        assert!(stderr(&output).contains(words), "{expression}: {}", stderr(&output));
    }
}

#[test]
fn bash_and_node_run_where_they_are_installed() {
    let dir = Dir::new();
    let table = [
        (
            "/usr/bin/bash",
            "x.sh",
            "read line; echo \"$0 $1 $line\"; exit 7",
            "/work/x.sh one in\n",
            7,
        ),
        ("/usr/bin/bash", "y", "#!/bin/sh\necho $(id -un)", "sandbox\n", 0),
        (
            "/usr/bin/node",
            "x.js",
            "console.log(process.argv[2], require('fs').readFileSync(0, 'utf8')); process.exit(3)",
            "one in\n",
            3,
        ),
    ];
    for (interpreter, name, script, printed, code) in table {
        if !std::path::Path::new(interpreter).exists() {
            assert!(
                std::env::var_os("AICTL_TEST_STRICT").is_none(),
                "{interpreter} is not installed"
            );
            eprintln!("not run: {interpreter} is not installed");
            continue;
        }
        let path = dir.file(name, script);
        let output = with_input(aictl().arg("run").arg(&path).arg("one"), "in");
        assert_eq!(
            (stdout(&output).as_str(), output.status.code()),
            (printed, Some(code)),
            "{name}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn a_virtual_environment_brings_its_packages_and_nothing_else() {
    let dir = Dir::new();
    let venv = dir.path().join("venv");
    let made = Command::new("/usr/bin/python3")
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success(), "python3-venv is needed for this test");
    let lib = std::fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(lib.join("site-packages/packed.py"), "value = 'from the venv'").unwrap();
    let secret = dir.file("secret.txt", "s3cret");
    let script = format!(
        "import packed, os, sys\nprint(packed.value, sys.prefix != sys.base_prefix)\n\
         print(os.path.exists({:?}))",
        secret.to_str().unwrap()
    );
    let python = venv.join("bin/python");
    let mut command = aictl();
    command.args(["run", "--python"]).arg(&python).arg("-");
    let output = with_input(&mut command, script);
    assert_eq!(stdout(&output), "from the venv True\nFalse\n", "{}", stderr(&output));
}
