//! `aictl check`, and the profile `strict` of `aictl run`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::process::Output;

use common::{Dir, aictl, stderr, stdout, with_input};
use serde_json::Value;

fn command<'a>(words: impl AsRef<[&'a str]>) -> Output {
    aictl().args(words.as_ref()).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

const BAD: &str = "import os\nprint('started')\nx = eval('1')\n";

#[test]
fn a_check_says_what_is_refused_as_editors_read_it() {
    let dir = Dir::new();
    let bad = dir.file("bad.py", BAD);
    let bad = bad.to_str().unwrap();
    let output = command(["check", bad]);
    assert_eq!(output.status.code(), Some(126), "{}", stderr(&output));
    let text = stdout(&output);
    let rows: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        rows,
        [
            format!("{bad}:1:8: import: the module os is not allowed"),
            format!("{bad}:3:5: name: the name eval is not for scripts"),
        ]
    );
    assert_eq!(text.lines().filter(|line| line.starts_with("    instead: ")).count(), 2);
    let document = json(&command(["check", "--json", bad]));
    assert_eq!(document["file"], bad);
    assert_eq!(document["ok"], false);
    assert_eq!(document["findings"][0]["line"], 1);
    assert_eq!(document["findings"][0]["column"], 8);
    assert_eq!(document["findings"][0]["rule"], "import");
    assert!(document["findings"][0]["instead"].as_str().unwrap().contains("json"));

    let good = dir.file("good.py", "import json\nprint(json.dumps([1]))\n");
    let good = good.to_str().unwrap();
    let output = command(["check", good]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), ""));
    let document = json(&command(["check", "--json", good]));
    assert_eq!(
        (document["ok"].as_bool(), document["findings"].as_array().unwrap().len()),
        (Some(true), 0)
    );

    let piped = with_input(aictl().args(["check", "-"]), BAD);
    assert_eq!(piped.status.code(), Some(126));
    assert!(stdout(&piped).starts_with("-:1:8: import: "), "{}", stdout(&piped));
}

#[test]
fn what_is_no_script_to_check_is_told() {
    let dir = Dir::new();
    let shell = dir.file("a.sh", "echo 1\n");
    let empty = dir.file("empty.py", "");
    let config = dir.file("c.toml", "[sandbox.strict]\nimports = [\"a b\"]\n");
    let good = dir.file("good.py", "x = 1\n");
    let [shell, empty, config, good] =
        [&shell, &empty, &config, &good].map(|p| p.to_str().unwrap());
    for (words, code, says) in [
        (vec!["check", "/nowhere/x.py"], 127, "there is no script"),
        (vec!["check", empty], 126, "is empty"),
        (vec!["check", shell], 126, "the profile strict is for Python"),
        (vec!["run", "--profile", "strict", shell], 126, "the profile strict is for Python"),
        (vec!["check", "--config", config, good], 2, "is no module's name"),
        (vec!["check"], 2, "SCRIPT"),
    ] {
        let output = command(&words);
        assert!(stderr(&output).contains(says), "{words:?}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert_eq!(stdout(&output), "", "{words:?}");
    }
}

#[test]
fn strict_refuses_before_anything_runs() {
    let output = with_input(aictl().args(["run", "--profile", "strict", "-"]), BAD);
    assert_eq!(output.status.code(), Some(126), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    let says = stderr(&output);
    assert!(says.contains("-:1:8: import: ") && says.contains("-:3:5: name: "), "{says}");

    let output = with_input(aictl().args(["run", "--json", "--profile", "strict", "-"]), BAD);
    assert_eq!(output.status.code(), Some(126));
    let report = json(&output);
    assert_eq!(report["outcome"], "refused");
    assert_eq!(report["profile"], "strict");
    assert_eq!(report["code_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(report["peak_memory_bytes"], Value::Null);
    let refusals = report["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 2);
    assert_eq!((&refusals[1]["line"], &refusals[1]["rule"]), (&3.into(), &"name".into()));
}

#[test]
fn strict_runs_what_it_allows_with_its_arguments_and_result() {
    let script = "import json\nfrom datetime import datetime\nprint(datetime(2024, 2, 29).day)\n\
                  result = json.loads('[1]')\n";
    let options = ["run", "--json", "--profile", "strict", "-", "x"];
    let report = json(&with_input(aictl().args(options), script));
    assert_eq!(report["outcome"], "exited", "{report}");
    assert_eq!(report["exit_code"], 0, "{report}");
    assert_eq!(report["stdout"], "29\n");
    assert_eq!(report["result"], serde_json::json!([1]));
    assert_eq!(report["profile"], "strict");
    let output = with_input(aictl().args(["run", "--profile", "strict", "-"]), "print(1)\n1/0\n");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), "1\n"));
    assert!(stderr(&output).contains("ZeroDivisionError"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("_strict"), "{}", stderr(&output));
}

#[test]
fn the_configuration_says_what_strict_allows() {
    let dir = Dir::new();
    let config = dir.file("c.toml", "[sandbox.strict]\nimports = [\"os\"]\nmax-nodes = 12\n");
    let config = config.to_str().unwrap();
    let options = ["run", "--config", config, "--profile", "strict", "-"];
    let output = with_input(aictl().args(options), "import os\nprint(os.getcwd())\n");
    assert_eq!(stdout(&output), "/work\n", "{}", stderr(&output));
    let output = with_input(aictl().args(options), "import json\n");
    assert_eq!(output.status.code(), Some(126));
    assert!(stderr(&output).contains("use one of: os"), "{}", stderr(&output));
    let output =
        with_input(aictl().args(options), "x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * (1 + 2 + 3)\n");
    assert!(stderr(&output).contains(": nodes: "), "{}", stderr(&output));
}

/// Modules that strict allows can burn all the same: the limits hold, and the kernel holds the limits.
#[test]
fn what_burns_by_modules_that_are_allowed_is_held_by_the_limits() {
    for (what, script) in [
        ("counting", "import itertools\nfor _ in itertools.count(): pass\n"),
        ("counting inside a function", "import itertools\nsum(itertools.repeat(1))\n"),
        ("dates", "from datetime import date\nd = date(1, 1, 1)\nwhile True: d = d.replace()\n"),
        ("a regular expression", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')\n"),
        ("products", "import itertools\nfor _ in itertools.product('ab', repeat=90): pass\n"),
    ] {
        let options = ["run", "--json", "--profile", "strict", "--cpu", "300ms", "-"];
        let report = json(&with_input(aictl().args(options), script));
        assert_eq!(report["outcome"], "timed-out", "{what}: {report}");
    }
}

/// In one allocation: either Python is told that there is no memory, or the sandbox ends.
#[test]
fn an_allocation_as_large_as_the_machine_ends_the_script_and_nothing_else() {
    for profile in ["standard", "strict"] {
        let options = ["run", "--json", "--profile", profile, "--memory", "64M", "-"];
        let output = with_input(aictl().args(options), "x = [0] * 10**10\nprint('there')\n");
        let report = json(&output);
        assert_eq!(report["stdout"], "", "{profile}: {report}");
        match report["outcome"].as_str().unwrap() {
            "exited" => {
                assert_eq!(report["exit_code"], 1, "{profile}: {report}");
                assert!(report["stderr"].as_str().unwrap().contains("MemoryError"), "{report}");
            }
            outcome => assert_eq!(outcome, "out-of-memory", "{profile}: {report}"),
        }
        let peak = report["peak_memory_bytes"].as_u64();
        assert!(peak.is_none_or(|peak| peak <= 128 << 20), "{profile}: {report}");
    }
}
