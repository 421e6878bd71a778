//! Rule by rule: what each says, where, and look-alikes that it leaves alone.

use aictl_api::strict::Imports;
use aictl_check::{Finding, Policy, Rule, check};

use crate::{checked, lines};

/// The first finding of each text.
#[test]
fn findings_say_where_and_what_to_write_instead() {
    for (text, line, instead) in [
        (
            "import os",
            "1:8: import: the module os is not allowed",
            "use one of: collections, dataclasses, datetime, decimal, enum, fractions, functools, \
             itertools, json, math, random, re, statistics, string, typing",
        ),
        (
            "x = 1\nfrom json import *",
            "2:18: import: import * binds names that are not in the text",
            "name what you import",
        ),
        (
            "from . import x",
            "1:1: import: a relative import: a script is no package",
            "import the module by its name",
        ),
        (
            "äö = eval('1')",
            "1:6: name: the name eval is not for scripts",
            "write the expression itself; for data, json.loads",
        ),
        (
            "__import__('os')",
            "1:1: name: the name __import__ is Python's own",
            "write an import statement",
        ),
        (
            "x = 'ä'.__class__",
            "1:9: attribute: the attribute __class__ is Python's own",
            "write type(x).__name__ for the name of a class, isinstance(x, C) to ask",
        ),
        ("x.gi_frame", "1:3: attribute: gi_frame leads to the inside of Python", "leave it out"),
        (
            "'{0.__dict__}'.format(1)",
            "1:1: format: in a format string, the attribute __dict__ is Python's own",
            "name the attributes that you want",
        ),
        (
            "x = y.format(1)",
            "1:7: format: format of a text that does not stand right there",
            "write an f-string",
        ),
        (
            "import json\njson.codecs",
            "2:6: module: json.codecs is a module that is not allowed",
            "use what the modules that are allowed offer",
        ),
        (
            "import json\nx = json",
            "2:5: module: the module json is handed around",
            "write module.name where you need it, and give variables other names",
        ),
        (
            "x = 1 # \u{202e}",
            "1:9: source: the invisible character U+202E",
            "remove it, or write \\u202e in a text",
        ),
        (
            "# coding: latin-1\nx = 1",
            "1:1: source: the script says that it is written in latin-1, not UTF-8",
            "save it as UTF-8, and leave the coding comment out",
        ),
        ("x = 1\0", "1:1: source: the script holds a NUL byte", "save it as plain UTF-8 text"),
    ] {
        let report = checked(text);
        assert_eq!(lines(&report).first().map(String::as_str), Some(line), "{text}");
        assert_eq!(report.findings[0].instead.as_deref(), Some(instead), "{text}");
    }
}

#[test]
fn all_findings_come_at_once_in_order_each_once() {
    let report = checked(
        "import sys\nimport json, os\nx = [eval, exec,\n     ().__class__.__mro__]\nx.format(x)\n",
    );
    let places: Vec<_> = lines(&report);
    let starts: Vec<_> = places.iter().map(|line| line.rsplit_once(": ").unwrap().0).collect();
    assert_eq!(
        starts,
        [
            "1:8: import",
            "2:14: import",
            "3:6: name",
            "3:12: name",
            "4:9: attribute",
            "4:19: attribute",
            "5:3: format"
        ]
    );
    let again = checked("x = eval('1')\n");
    assert_eq!(again.findings.len(), 1);
}

#[test]
fn what_is_no_python_says_where() {
    for (text, line, column) in [
        ("x = (\n", 2, 1),
        ("if True\n    x = 1\n", 1, 8),
        ("x = 'ä\n", 1, 5),
        ("def f():\nreturn 1\n", 2, 1),
        ("x = 1\n  y = 2\n", 2, 1),
        ("é = )\n", 1, 5),
        ("x = $\n", 1, 5),
        ("f'{x'\n", 1, 5),
    ] {
        let report = checked(text);
        let first = &report.findings[0];
        assert_eq!(first.rule, Rule::Syntax, "{text}");
        assert_eq!((first.line, first.column), (line, column), "{text}: {:?}", report.findings);
        assert!(!first.message.is_empty() && !first.message.contains("byte range"), "{text}");
    }
}

#[test]
fn limits_are_the_policys() {
    let policy = Policy { source: 30, nodes: 10, depth: 5, ..Policy::default() };
    let rules = |text: &str| {
        let report = check(text.as_bytes(), &policy);
        report.findings.into_iter().map(|finding: Finding| finding.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules("x = 1234567890123456789012345\n"), []);
    assert_eq!(rules("x = 12345678901234567890123456\n"), [Rule::Size]);
    assert_eq!(rules("x = [1, 2, 3, 4, 5, 6]\n"), []);
    assert_eq!(rules("x = [1, 2, 3, 4, 5, 6, 7, 8]\n"), [Rule::Nodes]);
    assert_eq!(rules("x = [[[1]]]\n"), []);
    assert_eq!(rules("x = [[[[1]]]]\n"), [Rule::Depth]);
    // The terms of a sum are side by side.
    assert_eq!(rules("x = 1+1+1+1\n"), []);
    let digits = |count: usize| checked(&format!("x = {}\n", "1".repeat(count))).findings;
    assert!(digits(1000).is_empty());
    assert_eq!(digits(1001)[0].rule, Rule::Number);
}

#[test]
fn the_policy_says_what_may_be_imported() {
    let imports = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        Policy { imports: Imports::try_from(names).unwrap(), ..Policy::default() }
    };
    for (names, text, passes) in [
        (&["json"][..], "import json", true),
        (&["json"], "import math", false),
        (&[], "import json", false),
        (&[], "from __future__ import annotations", true),
        (&["os.path"], "from os.path import join", true),
        (&["os.path"], "import os.path as p\np.join('a', 'b')", true),
        // This binds os.
        (&["os.path"], "import os.path", false),
        (&["os.path"], "from os import path", false),
        (&["numpy"], "import numpy as np\nnp.linalg.norm([1])", true),
        (&["numpy"], "import numpy as np\nnp.os", false),
        (&["numpy"], "import numpy._core", false),
        (&["operator"], "import operator\noperator.itemgetter(1)", true),
        (&["operator"], "from operator import attrgetter", false),
        (&["dataclasses", "copy"], "import dataclasses\ndataclasses.copy.copy(1)", true),
        (&["json", "codecs"], "import json\njson.codecs.encode('x', 'rot13')", true),
    ] {
        let report = check(text.as_bytes(), &imports(names));
        assert_eq!(report.findings.is_empty(), passes, "{names:?} {text}: {:?}", lines(&report));
    }
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Rule::ALL.len());
    assert_eq!(Rule::Import.to_string(), "import");
}
