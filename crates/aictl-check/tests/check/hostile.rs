//! Texts that are made to hurt the check itself.

use aictl_api::strict::{DEPTH, NODES, SOURCE};
use aictl_check::{Policy, Rule, check};

/// A policy that allows the most that a configuration can.
fn largest() -> Policy {
    Policy { source: SOURCE.max, nodes: NODES.max, depth: DEPTH.max, ..Policy::default() }
}

#[test]
fn no_nesting_uses_up_the_stack() {
    let times = 10_000;
    for (before, after) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("(", ""),
        ("x(", ")"),
        ("x[", "]"),
        ("-", ""),
        ("not ", ""),
        ("await ", ""),
        ("lambda: ", ""),
        ("lambda x, y: ", ""),
        ("x.", ""),
        ("x + ", ""),
        ("x ** ", ""),
        ("x < ", ""),
        ("x if y else ", ""),
        ("x and ", ""),
        ("x = ", ""),
        ("( ] ", ""),
        ("{x: ", "}"),
        ("f'{", "}'"),
        ("f'''{f\"{", ""),
        ("*", ""),
        ("x := ", ""),
        ("()", ""),
        ("", "()"),
        ("", "[0]"),
        ("", ".x"),
        ("'' ", ""),
        ("if x:\n ", ""),
        ("@x", ""),
        ("x, ", ""),
        ("x; ", ""),
        ("if x:pass\nel", ""),
        ("\\\n", ""),
        ("case ", ""),
        ("match x:\n case ", ""),
        ("class A(", ")"),
        ("def f(x=", ")"),
        ("try:\n ", ""),
        ("for x in ", ""),
        ("[x for x in ", "]"),
        ("yield ", ""),
        ("return ", ""),
        ("print ", ""),
        ("$ ", ""),
        ("\u{e9}", ""),
        ("\t", ""),
        (" ", ""),
        ("'", ""),
        ("#", ""),
        ("type X = ", ""),
        ("import a.", ""),
        ("from ", ""),
        ("from .", ""),
        (".", ""),
    ] {
        let text = before.repeat(times) + "x" + &after.repeat(times);
        assert!(text.len() as u64 <= SOURCE.max);
        // Whatever it says: it comes back.
        let _report = check(text.as_bytes(), &largest());
    }
}

/// The deepest texts that are parsed at all, without optimisation.
#[test]
fn what_is_parsed_is_parsed_on_the_stack_there_is() {
    for (before, after, times) in [
        ("(", ")", 498),
        ("[", "]", 498),
        ("x(", ")", 320),
        ("-", "", 990),
        ("not ", "", 990),
        ("lambda: ", "", 190),
        ("x ** ", "", 490),
        ("x if y else ", "", 240),
        ("f'{", "}'", 190),
        ("{x: ", "}", 320),
        ("{*", "}", 320),
        ("(yield ", ")", 320),
        ("[x for x in ", "]", 160),
        ("(x := ", ")", 320),
    ] {
        let text = before.repeat(times) + "x" + &after.repeat(times) + "\n";
        let report = check(text.as_bytes(), &largest());
        let rules: Vec<_> = report.findings.iter().map(|finding| finding.rule).collect();
        assert!(rules.iter().all(|rule| matches!(rule, Rule::Depth | Rule::Syntax)), "{rules:?}");
    }
}

#[test]
fn any_bytes_come_back() {
    // A generator of its own, so that each run sees the same.
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    let words = [
        "import ",
        "from ",
        "x",
        "eval",
        "__class__",
        ".",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        "\n",
        "\n    ",
        "f'",
        "'",
        "\"\"\"",
        "\\",
        "#",
        "lambda ",
        "=",
        ",",
        "é",
        "\u{ff45}",
        "\0",
        "\r",
        "\t",
        "match x:",
        " case ",
        "async ",
        "def f",
        "class ",
        "1",
        "0x",
        "e",
        "@",
        "*",
        "if ",
        "else",
        "!",
        "%",
        "$",
        "?",
        "\u{feff}",
        "format",
        "'{0.a}'",
    ];
    for _ in 0..2000 {
        let length = random() % 40;
        let text: String = (0..length).map(|_| words[random() % words.len()]).collect();
        let _report = check(text.as_bytes(), &largest());
        let mut bytes = text.into_bytes();
        if !bytes.is_empty() {
            let at = random() % bytes.len();
            bytes[at] = (random() % 256) as u8;
        }
        let _report = check(&bytes, &largest());
    }
}

#[test]
fn messages_hold_nothing_that_acts_on_a_terminal() {
    let texts = [
        "import \u{1b}[31m",
        "x.format('\u{202e}')",
        "# coding: \u{1b}x",
        "__\u{200b}class__",
        "x = \u{1b}",
        "\u{7f}",
        "import a\u{301}\u{301}",
        "x = \"\u{9b}31m",
    ];
    for text in texts {
        for finding in check(text.as_bytes(), &largest()).findings {
            let shown = format!("{}{:?}", finding.message, finding.instead);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert!(!shown.contains(['\u{202e}', '\u{200b}']), "{shown:?}");
        }
    }
}

#[test]
fn findings_are_bounded() {
    let text = "eval\n".repeat(20_000);
    let report = check(text.as_bytes(), &largest());
    assert_eq!(report.findings.len(), 1000);
    assert_eq!(report.findings[999].line, 1000);
    let long = format!("import {}\n", "a".repeat(100_000));
    assert!(check(long.as_bytes(), &largest()).findings[0].message.len() < 1000);
}

/// What the fuzzer begins with, and what it has found.
#[test]
fn what_was_fuzzed_is_answered() {
    for target in ["checker", "python"] {
        let seeds = format!("{}/../../tests/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        for seed in std::fs::read_dir(seeds).unwrap() {
            let path = seed.unwrap().path();
            let text = std::fs::read(&path).unwrap();
            let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
            for finding in check(&text, &Policy::default()).findings {
                assert!((1..=lines).contains(&(finding.line as usize)), "{path:?}: {finding:?}");
                assert!(
                    !finding.message.contains("a fault of the parser"),
                    "{path:?}: {finding:?}"
                );
            }
        }
    }
}
