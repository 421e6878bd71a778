//! Through the helper a run is what it is without it.

use std::process::Command;

use serde_json::{Map, Value, json};

use crate::{
    alike::{RUNS, assert_alike},
    common::{aictl, stderr, stdout},
    installed::Installed,
    world::journald::Entry,
};

fn document(command: &mut Command) -> (Map<String, Value>, Option<i32>) {
    let output = command.output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", stdout(&output), stderr(&output)));
    (document.as_object().unwrap().clone(), output.status.code())
}

#[test]
fn the_document_is_the_same_key_by_key_and_so_is_the_exit_code() {
    let installed = Installed::new();
    for (options, script) in RUNS {
        let options = [&["--json"], options].concat();
        let (helped, helped_code) = document(&mut installed.run(&options, script));
        let path = installed.dir.path().join("script.py");
        let mut embedded = aictl();
        embedded.args(["run", "--embedded"]).args(&options).arg(path);
        let (embedded, code) = document(&mut embedded);
        assert_eq!(helped_code, code, "{script}: {helped:#?}");
        assert_alike(script, &helped, &embedded);
    }
    installed.wait_for_the_end_of_all();
}

#[test]
fn the_exit_code_is_the_scripts_or_says_what_ended_it() {
    let installed = Installed::new();
    for (options, script, code) in [
        (&[][..], "pass", 0),
        (&[], "raise SystemExit(1)", 1),
        (&[], "raise SystemExit(42)", 42),
        (&[], "raise SystemExit(255)", 255),
        (&[], "x = (", 1),
        (&["--timeout", "200ms"], "while True: pass", 124),
        (&[], "import os\nos.kill(os.getpid(), 9)", 137),
        (&[], "import os\nos.kill(os.getpid(), 15)", 143),
        (&[], "import os\nos.abort()", 134),
        (&["--memory", "64M"], "x = bytearray(1 << 30)\nx[::4096] = b'x' * len(x[::4096])", 1),
        (&["--max-output", "10"], "while True: print('x')", 137),
    ] {
        let output = installed.output(options, script);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", stderr(&output));
    }
}

/// The options that have the script run right here although there is a helper, and what is said
/// of that.
#[test]
fn what_the_helper_is_not_used_for_is_said_with_v() {
    let installed = Installed::new();
    let config = installed.dir.file("a.toml", "[sandbox]\npython = \"/usr/bin/python3\"\n");
    for (option, words) in [
        (&["--embedded"][..], "no helper is used"),
        (&["--config", config.to_str().unwrap()], "the configuration names a Python"),
        (&["--python", "/usr/bin/python3"], "the helper is given no path of a Python"),
    ] {
        let output = installed.output(&[option, &["-v"]].concat(), "print(1)");
        assert_eq!(stdout(&output), "1\n", "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{option:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("with your own rights"), "{}", stderr(&output));
        let quiet = installed.output(option, "print(1)");
        assert_eq!(stderr(&quiet), "", "{option:?}");
    }
    assert_eq!(installed.world().journal.calls(), []);
    let helped = installed.output(&["-v"], "print(1)");
    assert!(!stderr(&helped).contains("own rights"), "{}", stderr(&helped));
    assert_eq!(installed.world().journal.calls().len(), 2);
}

/// The identifier that the user sees is the journal's.
#[test]
fn one_identifier_is_in_the_document_and_in_every_record() {
    let installed = Installed::new();
    let (document, _) = document(&mut installed.run(&["--json"], "print(1)"));
    let records = installed.world().journal.take();
    let of = |id: &str, field: &str| {
        let found =
            records.iter().find(|entry| entry["MESSAGE_ID"] == id && entry.contains_key(field));
        json!(found.unwrap_or_else(|| panic!("{id}: {records:?}"))[field])
    };
    let id = &document["request_id"];
    assert_eq!(&of(aictl_api::audit::RAN, "AICTL_REQUEST_ID"), id);
    assert_eq!(&of(aictl_api::audit::CALL, "AICTL_RUN"), id);
    let method = |entry: &&Entry| {
        entry.get("AICTL_METHOD").is_some_and(|method| method == "org.aictl1.Sandbox.Run")
    };
    let accepted = records.iter().find(method);
    assert_eq!(&json!(accepted.unwrap()["AICTL_REQUEST_ID"]), id);
}
