//! The programs in examples/ that are clients of the helper, as they are installed.

use std::{fs, path::Path};

use crate::machine::{Who, machine};

const DIRECTORY: &str = "/usr/share/doc/aictl/examples";

/// The block of README.md in this language, of which there is one.
fn of_the_readme(language: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let blocks: Vec<_> = readme.split(&format!("```{language}\n")).skip(1).collect();
    let [block] = blocks[..] else { panic!("{} blocks of {language}", blocks.len()) };
    block.split("```").next().unwrap().to_owned()
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
