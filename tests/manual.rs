//! The manual pages: clean for both programs that show them, whole, and installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn pages() -> Vec<PathBuf> {
    let files = fs::read_dir(repository().join("man")).unwrap();
    let pages: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    assert!(pages.len() >= 5, "{pages:?}");
    pages
}

fn name(page: &Path) -> &str {
    page.file_name().unwrap().to_str().unwrap()
}

/// What a program says of a page, on either stream. `None` if there is no such program, which
/// strict tests do not take.
fn complaints(program: &str, options: &[&str], page: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.args(options).arg(page).env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
    let Ok(output) = command.output() else {
        let strict = std::env::var_os("AICTL_TEST_STRICT").is_some_and(|value| value == "1");
        assert!(!strict, "{program} is not installed");
        eprintln!("not run: {program} is not installed");
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // On standard output mandoc says what is wrong, and man shows the page.
    let said = if program == "mandoc" { text(&output.stdout) } else { String::new() };
    Some(said + &text(&output.stderr))
}

#[test]
fn mandoc_has_nothing_to_say_of_any_page() {
    for page in pages() {
        let Some(said) = complaints("mandoc", &["-T", "lint", "-W", "all"], &page) else { return };
        assert_eq!(said, "", "{}", name(&page));
    }
}

#[test]
fn man_has_no_warning_of_any_page() {
    for page in pages() {
        let options = ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"];
        let Some(said) = complaints("man", &options, &page) else { return };
        assert_eq!(said, "", "{}", name(&page));
    }
}

#[test]
fn every_page_is_installed_and_has_examples() {
    let table = read("crates/xtask/src/install/files.rs");
    for page in pages() {
        let name = name(&page);
        let section = name.rsplit('.').next().unwrap();
        let row = format!("file(\"man/{name}\", \"usr/share/man/man{section}\")");
        assert!(table.contains(&row), "not installed: {row}");
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.contains(".EX\n") && text.contains("EXAMPLES"), "{name} has no examples");
    }
}

/// What the programs that are not for people say of themselves with --help.
#[test]
fn the_pages_of_daemons_have_every_option() {
    for (source, page) in [
        ("crates/aictl-sandbox/src/sandboxd.rs", "man/aictl-sandboxd.8"),
        ("crates/aictld/src/main.rs", "man/aictld.8"),
    ] {
        let (source, page) = (read(source), read(page).replace("\\-", "-"));
        let help =
            source.split("const HELP: &str").nth(1).and_then(|rest| rest.split("\";").next());
        let words = help.unwrap().split_whitespace().map(|word| word.trim_end_matches(','));
        let options: Vec<&str> = words.filter(|word| word.starts_with("--")).collect();
        assert!(options.contains(&"--help"), "{options:?}");
        for option in options {
            assert!(page.contains(option), "{option} is not in the page");
        }
    }
}
