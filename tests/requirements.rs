//! REQUIREMENTS.md against the tests that it speaks of.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::{collections::BTreeMap, fs, path::Path};

/// How many points each part of the requirements has.
const POINTS: [(char, usize); 5] = [('D', 13), ('X', 17), ('P', 8), ('M', 9), ('W', 8)];
/// The points that are not asked for yet.
const NEXT: [&str; 7] = ["D13", "X5", "X14", "P8", "M5", "M8", "W7"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A line of the page: which point, how far it is proved, and the rest.
struct Point {
    id: String,
    word: String,
    text: String,
}

fn points() -> Vec<Point> {
    let page = read("tests/REQUIREMENTS.md");
    let lines = page.lines().filter_map(|line| line.strip_prefix("- **")?.split_once("** ("));
    let point = |(id, rest): (&str, &str)| {
        let (word, text) = rest.split_once(") ").unwrap_or_else(|| panic!("{id}: {rest}"));
        Point { id: id.to_owned(), word: word.to_owned(), text: text.to_owned() }
    };
    lines.map(point).collect()
}

/// The files that a point names, each with the tests that stand behind it. What has a space is a
/// command or code.
fn named(point: &Point) -> Vec<(&str, Vec<&str>)> {
    let mut named: Vec<(&str, Vec<&str>)> = Vec::new();
    let words = point.text.split('`').skip(1).step_by(2).filter(|word| !word.contains(' '));
    for word in words {
        if word.contains('/') || word.ends_with(".md") {
            named.push((word, Vec::new()));
        } else {
            let last = named.last_mut();
            last.unwrap_or_else(|| panic!("{}: {word} of which file?", point.id)).1.push(word);
        }
    }
    named
}

/// The tests of a source file.
fn tests(path: &str) -> Vec<String> {
    let source = read(path);
    let mut tests = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some((name, _)) = name.and_then(|name| name.split_once('(')) {
            if is_test {
                tests.push(name.to_owned());
            }
            is_test = false;
        }
    }
    tests
}

#[test]
fn each_point_has_a_line() {
    let all = POINTS.iter().flat_map(|(part, many)| (1..=*many).map(move |n| format!("{part}{n}")));
    let ids: Vec<String> = points().into_iter().map(|point| point.id).collect();
    assert_eq!(ids, all.collect::<Vec<_>>());
}

#[test]
fn each_test_that_is_named_exists() {
    let mut of_file: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut missing = Vec::new();
    for point in points() {
        for (file, names) in named(&point) {
            if !repository().join(file).is_file() {
                missing.push(format!("{}: {file}", point.id));
                continue;
            }
            let there = of_file.entry(file.to_owned()).or_insert_with(|| tests(file));
            let unknown = names.iter().filter(|name| !there.iter().any(|test| test == *name));
            missing.extend(unknown.map(|name| format!("{}: {file}: {name}", point.id)));
        }
    }
    assert!(missing.is_empty(), "named and not there: {missing:#?}");
}

#[test]
fn what_is_said_to_be_proved_names_a_test_and_leaves_nothing_open() {
    let is_case = |file: &str| file.starts_with("tests/attacks/");
    for point in points() {
        let Point { id, word, text } = &point;
        assert_eq!(NEXT.contains(&id.as_str()), word == "next", "{id}");
        let proof = named(&point);
        let proves = proof.iter().any(|(file, tests)| is_case(file) || !tests.is_empty());
        match word.as_str() {
            "proved" => assert!(proves && !text.contains("Open: "), "{id}"),
            "in part" => assert!(proves && text.contains("Open: "), "{id}"),
            "open" => assert!(!text.contains("Open: "), "{id}"),
            "next" => assert!(proof.is_empty(), "{id}"),
            other => panic!("{id}: {other}"),
        }
    }
}
