//! What the manual pages and SECURITY.md tell people to type, typed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    going::Going,
    machine::{Machine, Who, machine},
};

/// What goes on until it is told to end.
const GOING: [&str; 3] = [" --watch", " -f ", "gdbus monitor"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn pages() -> BTreeMap<String, String> {
    let files = fs::read_dir(repository().join("man")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let named = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    paths.map(named).collect()
}

/// The lines that a page shows in its section EXAMPLES, block by block.
fn examples(page: &str) -> Vec<Vec<String>> {
    let page = page.replace(".SH \"EXAMPLES\"\n", ".SH EXAMPLES\n");
    let section = page.split(".SH EXAMPLES\n").nth(1);
    let section = section.unwrap_or_default().split(".SH ").next().unwrap();
    let blocks = section.split(".EX\n").skip(1).map(|rest| rest.split(".EE").next().unwrap());
    let plain = |line: &str| line.replace("\\-", "-").replace("\\(ti", "~").replace("\\e", "\\");
    blocks.map(|block| block.lines().map(plain).collect()).collect()
}

/// What the examples of aictl(1) speak of, in a directory of its own.
fn prepare(machine: &Machine) {
    let text = "[helper]\nchange-rate = { per-minute = 6000, burst = 1000 }\n\
                read-rate = { per-minute = 6000, burst = 1000 }\n";
    machine.write("/etc/aictl/aictl.toml.d/90-unlimited.toml", text);
    machine.root(&["mkdir", "--parents", "/run/typed"]);
    machine.write("/run/typed/script.py", "import math\nresult = math.sqrt(16)\nprint(result)\n");
    machine.write("/run/typed/data.csv", "a,b\n1,2\n");
    machine.root(&["systemctl", "start", "ollama.service", "litellm.service"]);
}

/// Types a line, which must work.
#[track_caller]
fn type_in(machine: &Machine, who: Who, line: &str) {
    let here = format!("cd /run/typed && {line}");
    if GOING.iter().any(|word| line.contains(word)) {
        let going = Going::start(machine, Who::Root, &["sh", "-c", &here]);
        machine.wait_for(&format!("a line of: {line}"), || !going.output().is_empty());
        return;
    }
    machine.run(who, &["sh", "-c", &here]).ok();
}

#[test]
fn every_example_of_the_manual_pages_works() {
    let machine = machine();
    prepare(&machine);
    for (name, page) in pages() {
        let mut blocks = examples(&page);
        if name == "aictl.toml.5" {
            // The first is a file, and what must be a file is none that stays.
            machine.write("/run/typed/aictl.toml", &blocks.remove(0).join("\n"));
            type_in(&machine, Who::Root, "aictl config check aictl.toml");
        }
        let lines: Vec<String> = blocks.concat();
        assert!(!lines.is_empty(), "{name} has no example");
        for line in lines {
            println!("{name}: {line}");
            machine.root(&["systemctl", "start", "ollama.service", "litellm.service"]);
            // The status of one that is idle is an exit code.
            machine.call(Who::Bob, "Manager.Health", "", &[]).ok();
            type_in(&machine, Who::Root, &line);
        }
    }
    machine.root(&["rm", "--recursive", "/run/typed"]);
}

#[test]
fn every_command_of_security_md_works() {
    let machine = machine();
    prepare(&machine);
    // Something to look back at.
    machine.run(Who::Root, &["aictl", "run", "/run/typed/script.py"]).ok();
    let page = fs::read_to_string(repository().join("SECURITY.md")).unwrap();
    let blocks = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut count = 0;
    for line in blocks.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty()) {
        println!("{line}");
        match line.split_once(' ') {
            Some(("#", line)) => type_in(&machine, Who::Root, line),
            Some(("$", line)) => type_in(&machine, Who::Anna, line),
            _ => panic!("neither a user's nor root's: {line}"),
        }
        count += 1;
    }
    assert!(count > 15, "{count}");
    machine.root(&["rm", "--recursive", "/run/typed"]);
}
