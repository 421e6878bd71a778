//! Licences and sources of all packages, against `deny.toml`, where cargo-deny is not installed.
//!
//! cargo-deny checks more (bans, advisories) but takes minutes to build. This reads the same file,
//! so that there is one list of allowed licences.

use std::process::Stdio;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Checks every package that a build, a test or a build script of this workspace uses.
///
/// Returns one line for each package with a licence that is not allowed, or from elsewhere than the
/// default registry or this workspace.
///
/// # Errors
/// A failure if `deny.toml` cannot be read or cargo cannot list the packages.
pub fn check(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let path = workspace.root.join("deny.toml");
    let deny = std::fs::read_to_string(&path).map_err(|source| Failure::File {
        what: "cannot read",
        path: path.clone(),
        source,
    })?;
    let allow = allow_list(&deny).ok_or(Failure::NoAllowList(path))?;
    let args = ["tree", "--locked", "--workspace", "--prefix", "none", "--format", "{p}|{l}"];
    let name = "cargo tree";
    let output = workspace
        .cargo(&args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Failure::Start { program: name.to_owned(), source })?;
    if !output.status.success() {
        return Err(Failure::Ended { command: name.to_owned(), status: output.status });
    }
    Ok(problems(&String::from_utf8_lossy(&output.stdout), &allow))
}

/// The list `allow` in section `[licenses]` of a `deny.toml`.
fn allow_list(deny: &str) -> Option<Vec<String>> {
    let plain: Vec<&str> = deny.lines().map(without_comment).collect();
    let start = plain.iter().position(|line| line.trim() == "[licenses]")? + 1;
    let section = plain.iter().skip(start).take_while(|line| !line.starts_with('['));
    let list: Vec<&str> = section.copied().skip_while(|line| !is_key(line, "allow")).collect();
    let list = list.concat();
    let (_, list) = list.split_once('[')?;
    let (list, _) = list.split_once(']')?;
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| Some(item.strip_prefix('"')?.strip_suffix('"')?.to_owned())).collect()
}

fn is_key(line: &str, key: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| name.trim() == key)
}

/// A line of TOML without its comment; our strings hold no `#`.
fn without_comment(line: &str) -> &str {
    line.split_once('#').map_or(line, |(line, _)| line)
}

/// What is wrong with the packages in `tree`, lines of `name version (source)|licence`.
fn problems(tree: &str, allow: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        // " (*)" marks a package that cargo has listed before.
        let line = line.strip_suffix(" (*)").unwrap_or(line);
        let (package, licence) = line.split_once('|').unwrap_or((line, ""));
        if let Some(source) = foreign_source(package) {
            problems.push(format!("{package} comes from {source}, not from the default registry"));
        }
        match is_allowed(licence, allow) {
            Some(true) => {}
            Some(false) => problems.push(format!("{package} is under {licence}, not allowed")),
            None => {
                problems.push(format!("{package} has no licence that can be read: {licence:?}"))
            }
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

/// Where a package comes from, if from neither the default registry nor a path.
fn foreign_source(package: &str) -> Option<&str> {
    // cargo tree puts the source, and whether it is a procedural macro, in brackets.
    package
        .split('(')
        .skip(1)
        .filter_map(|part| part.split(')').next())
        .find(|part| *part != "proc-macro" && !part.starts_with('/'))
}

/// Whether an SPDX expression can be met with the licences in `allow`; `None` if it is malformed.
///
/// The old form `MIT/Apache-2.0` is read as `MIT OR Apache-2.0`, as cargo's manual says.
fn is_allowed(expression: &str, allow: &[String]) -> Option<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let (value, rest) = any_of(&tokens, allow)?;
    rest.is_empty().then_some(value)
}

/// `a OR b …`: OR binds weakest.
fn any_of<'t>(tokens: &'t [&'t str], allow: &[String]) -> Option<(bool, &'t [&'t str])> {
    let (mut value, mut rest) = all_of(tokens, allow)?;
    while let Some(("OR", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
        let (right, after) = all_of(after, allow)?;
        value |= right;
        rest = after;
    }
    Some((value, rest))
}

/// `a AND b …`
fn all_of<'t>(tokens: &'t [&'t str], allow: &[String]) -> Option<(bool, &'t [&'t str])> {
    let (mut value, mut rest) = term(tokens, allow)?;
    while let Some(("AND", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
        let (right, after) = term(after, allow)?;
        value &= right;
        rest = after;
    }
    Some((value, rest))
}

/// A licence, one with an exception, or an expression in brackets.
fn term<'t>(tokens: &'t [&'t str], allow: &[String]) -> Option<(bool, &'t [&'t str])> {
    match tokens {
        [] | ["OR" | "AND" | "WITH" | ")", ..] => None,
        ["(", rest @ ..] => match any_of(rest, allow)? {
            (value, [")", rest @ ..]) => Some((value, rest)),
            _ => None,
        },
        [licence, "WITH", exception, rest @ ..] => {
            Some((allow.contains(&format!("{licence} WITH {exception}")), rest))
        }
        [licence, rest @ ..] => Some((allow.iter().any(|allowed| allowed == licence), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow() -> Vec<String> {
        ["MIT", "Apache-2.0", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]
            .map(str::to_owned)
            .to_vec()
    }

    #[test]
    fn expressions() {
        for (expression, want) in [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("MIT/Apache-2.0", Some(true)),
            ("GPL-2.0-only OR MIT", Some(true)),
            ("GPL-2.0-only AND MIT", Some(false)),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", Some(true)),
            ("(MIT OR Apache-2.0) AND GPL-3.0-only", Some(false)),
            // AND binds tighter than OR.
            ("MIT OR Zlib AND GPL-3.0-only", Some(true)),
            ("GPL-3.0-only AND MIT OR Zlib", Some(false)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("MIT WITH LLVM-exception", Some(false)),
            ("Zlib OR (MIT AND (Apache-2.0 OR BSD-3-Clause))", Some(true)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT)", None),
            ("MIT Apache-2.0", None),
            ("OR MIT", None),
        ] {
            assert_eq!(is_allowed(expression, &allow()), want, "{expression}");
        }
    }

    #[test]
    fn packages() {
        for (line, want) in [
            ("libc v0.2.1|MIT OR Apache-2.0 (*)", None),
            ("clap_derive v4.6.7 (proc-macro)|MIT", None),
            ("aictl v0.1.0 (/src/crates/aictl)|Apache-2.0", None),
            ("macros v0.1.0 (proc-macro) (/src/crates/macros)|Apache-2.0", None),
            ("gpl v1.0.0|GPL-3.0-only", Some("gpl v1.0.0 is under GPL-3.0-only, not allowed")),
            ("none v1.0.0|", Some("none v1.0.0 has no licence that can be read: \"\"")),
            (
                "x v1.0.0 (https://host/x?rev=1#abc)|MIT",
                Some(
                    "x v1.0.0 (https://host/x?rev=1#abc) comes from https://host/x?rev=1#abc, not \
                     from the default registry",
                ),
            ),
            (
                "x v1.0.0 (proc-macro) (registry `other`)|MIT",
                Some(
                    "x v1.0.0 (proc-macro) (registry `other`) comes from registry `other`, not from \
                     the default registry",
                ),
            ),
        ] {
            let want: Vec<String> = want.map(str::to_owned).into_iter().collect();
            assert_eq!(problems(line, &allow()), want, "{line}");
        }
        assert_eq!(problems("a v1|X\n\na v1|X (*)\n", &allow()).len(), 1);
    }

    #[test]
    fn the_allow_list_is_read() {
        let list = |items: &[&str]| Some(items.iter().map(|i| (*i).to_owned()).collect::<Vec<_>>());
        for (text, want) in [
            ("[licenses]\nallow = [\"MIT\"]\n", list(&["MIT"])),
            (
                "[bans]\nallow = [\"x\"]\n\n[licenses]\n# why\nallow = [\n  \"MIT\", # yes\n  \
                 \"Apache-2.0 WITH LLVM-exception\",\n]\nunused = \"warn\"\n",
                list(&["MIT", "Apache-2.0 WITH LLVM-exception"]),
            ),
            ("[licenses]\nallow = []\n", list(&[])),
            ("[licenses]\nallow = [MIT]\n", None),
            ("[licenses]\nconfidence = 1\n[bans]\nallow = [\"x\"]\n", None),
            ("[bans]\nallow = [\"x\"]\n", None),
            ("", None),
        ] {
            assert_eq!(allow_list(text), want, "{text}");
        }
    }
}
