//! The programs in examples/ that are clients of the helper, as they are installed.

use std::{fs, path::Path};

use crate::{
    going::Going,
    machine::{Who, machine},
};

const DIRECTORY: &str = "/usr/share/doc/aictl/examples";

/// The block of README.md in this language, of which there is one.
fn of_the_readme(language: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let blocks: Vec<_> = readme.split(&format!("```{language}\n")).skip(1).collect();
    let [block] = blocks[..] else { panic!("{} blocks of {language}", blocks.len()) };
    block.split("```").next().unwrap().to_owned()
}

/// Starts a client that watches ollama, has that fail, and waits until the client has had the helper
/// start it again; and then once more, while there is no helper to tell of it.
#[track_caller]
fn restarts_what_fails(interpreter: &str, client: &str) {
    let machine = machine();
    machine.rule(&of_the_readme("js"));
    machine.root(&["systemctl", "start", "ollama.service"]);
    let (uid, _) = machine.ids("anna");
    let uid = format!("AICTL_CALLER_UID={uid}");
    // What its looks every 30 s see would come too late: it is told by signals, or not at all.
    let text = machine.read(&format!("{DIRECTORY}/{client}"));
    let patient =
        text.replace("LOOKS = 30\n", "LOOKS = 3000\n").replace("sleep 30;", "sleep 3000;");
    assert_ne!(text, patient);
    let client = format!("/tmp/{client}");
    machine.write(&client, &patient);
    let going = Going::start(&machine, Who::AnnaAtTheDesk, &[interpreter, &client, "ollama"]);
    machine.wait_for("the client", || going.output().contains("watching ollama\n"));
    for turn in 1..=2 {
        let invocation = || machine.property("ollama.service", "InvocationID");
        let (before, now) = (invocation(), machine.now());
        if turn == 2 {
            machine.stop("aictld.service");
        }
        machine.root(&["systemctl", "kill", "--signal=KILL", "ollama.service"]);
        machine.wait_for("the end", || {
            machine.property("ollama.service", "SubState") != "running" || invocation() != before
        });
        // Somebody calls the helper, as the client itself would after 30 s.
        machine.call(Who::Root, "Manager.Health", "", &[]).ok();
        machine.wait_for("ollama to be started again", || {
            machine.property("ollama.service", "ActiveState") == "active" && invocation() != before
        });
        machine.wait_for("what the client says of it", || {
            going.output().matches("ollama has failed\n").count() == turn
        });
        // It was she who did it, once, and through the helper.
        let (after, id) = (format!("--after-cursor={now}"), aictl_api::audit::CALL);
        let id = format!("MESSAGE_ID={id}");
        let words = [&after, &id, "AICTL_VERB=restart", &uid];
        let argv = [&["journalctl", "--quiet", "--output=cat"], &words[..]].concat();
        machine.wait_for("a record", || machine.root(&argv).lines().count() == 1);
    }
}

#[test]
fn a_program_in_python_restarts_what_fails() {
    restarts_what_fails("python3", "restart-failed.py");
}

#[test]
fn a_shell_script_restarts_what_fails() {
    restarts_what_fails("sh", "restart-failed.sh");
}

#[test]
fn a_program_in_python_runs_a_script() {
    let machine = machine();
    let script = "import sys\nprint('out', sys.argv[1:])\nprint('err', file=sys.stderr)\n\
                  result = {'answer': 42}\nsys.exit(3)\n";
    machine.write("/tmp/script.py", script);
    let program = format!("{DIRECTORY}/run-script.py");
    let argv = ["python3", &program, "/tmp/script.py", "a", "b c"];
    let ran = machine.run(Who::AnnaAtTheDesk, &argv);
    assert_eq!(ran.code, Some(3), "{ran}");
    assert_eq!(ran.stdout, "out ['a', 'b c']\n", "{ran}");
    assert_eq!(ran.stderr, "err\noutcome exited, result {\"answer\":42}\n", "{ran}");
    // Who is elsewhere is told why not.
    let ran = machine.run(Who::Bob, &["python3", &program, "/tmp/script.py"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran}");
    assert!(ran.stderr.starts_with("run-script: not authorised: "), "{ran}");
}

#[test]
fn the_python_of_the_readme_works() {
    let machine = machine();
    machine.root(&["systemctl", "start", "ollama.service"]);
    let text = machine.run(Who::Bob, &["python3", "-c", &of_the_readme("python")]).ok();
    assert!(text.starts_with("ollama active\n"), "{text}");
}
