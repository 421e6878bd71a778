//! The runtime of a script, from its name and its first bytes alone.

use std::{ffi::OsStr, path::Path};

use super::{Runtime, RuntimeError};

/// Chooses the runtime: by the `#!` line, else by the extension, else Python.
///
/// `name` is the script's file name, or `-` for standard input. `head` holds its first bytes, of
/// which only the first line counts; 4 KiB are more than any kernel reads of it. The version in
/// `python3.12`, the interpreter's directory and its options do not count. `sh` and `dash` scripts
/// run under bash, and PyPy's under Python. A byte order mark and CRLF are no obstacle.
///
/// # Errors
///
/// A `#!` line that names another program, or another extension.
pub fn runtime_for(name: &OsStr, head: &[u8]) -> Result<Runtime, RuntimeError> {
    if let Some(program) = shebang(head) {
        return by_program(&String::from_utf8_lossy(program));
    }
    match Path::new(name).extension() {
        Some(extension) if !extension.is_empty() => by_extension(&extension.to_string_lossy()),
        _ => Ok(Runtime::Python),
    }
}

fn by_program(program: &str) -> Result<Runtime, RuntimeError> {
    if matches!(program, "sh" | "dash" | "bash") {
        return Ok(Runtime::Bash);
    }
    if matches!(program, "node" | "nodejs") {
        return Ok(Runtime::Node);
    }
    match program.strip_prefix("python").or_else(|| program.strip_prefix("pypy")) {
        Some("") => Ok(Runtime::Python),
        Some(version) if version.starts_with('3') => Ok(Runtime::Python),
        Some(version) if version.starts_with('2') => Err(RuntimeError::Python2(program.to_owned())),
        _ => Err(RuntimeError::Shebang(program.to_owned())),
    }
}

fn by_extension(extension: &str) -> Result<Runtime, RuntimeError> {
    match extension.to_ascii_lowercase().as_str() {
        "py" | "pyw" => Ok(Runtime::Python),
        "sh" | "bash" => Ok(Runtime::Bash),
        "js" | "mjs" | "cjs" => Ok(Runtime::Node),
        _ => Err(RuntimeError::Extension(extension.to_owned())),
    }
}

/// The file name of the program that the `#!` line starts; behind `env`, the program that it
/// starts. A `#!` with nothing after it counts for nothing, as in execve(2).
fn shebang(head: &[u8]) -> Option<&[u8]> {
    // Python and node skip a byte order mark, so it must not hide the line from us either.
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let program = base_name(words.next()?);
    if program != b"env" {
        return Some(program);
    }
    Some(behind_env(words).map_or(program, base_name))
}

/// The program in the arguments of env(1): after its options and its `NAME=VALUE` words.
fn behind_env<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    while let Some(word) = words.next() {
        let word = match word {
            b"-u" | b"--unset" | b"-C" | b"--chdir" => {
                words.next();
                continue;
            }
            _ if word.starts_with(b"--") => {
                word.strip_prefix(b"--split-string=").unwrap_or_default()
            }
            // -S and its command can be one word: `-Spython3`, `-vSpython3`.
            _ if word.starts_with(b"-") => {
                let flags = word.iter().skip(1).take_while(|flag| b"iv0".contains(flag)).count();
                word.get(1 + flags..).and_then(|rest| rest.strip_prefix(b"S")).unwrap_or_default()
            }
            _ => word,
        };
        let word = word.trim_ascii();
        let quoted = |byte: &u8| matches!(byte, b'"' | b'\'');
        let start = word.iter().take_while(|byte| quoted(byte)).count();
        let end = word.iter().rev().take_while(|byte| quoted(byte)).count();
        let word = word.get(start..word.len() - end).unwrap_or_default();
        if !word.is_empty() && !word.contains(&b'=') {
            return Some(word);
        }
    }
    None
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::{Runtime::*, *};

    fn check(name: &str, head: &[u8]) -> Result<Runtime, RuntimeError> {
        runtime_for(OsStr::new(name), head)
    }

    #[test]
    fn the_first_line_names_the_runtime() {
        let table: &[(&[u8], Runtime)] = &[
            (b"#!/usr/bin/env python3\nprint(1)", Python),
            (b"#!/usr/bin/env python3", Python),
            (b"#!/usr/bin/env -S python3 -u\n", Python),
            (b"#!/usr/bin/env -Spython3 -u\n", Python),
            (b"#!/usr/bin/env -vS python3 -u\n", Python),
            (b"#!/usr/bin/env -ivSpython3 -u\n", Python),
            (b"#!/usr/bin/env --split-string=python3 -u\n", Python),
            (b"#!/usr/bin/env -S \"python3\" -u\n", Python),
            (b"#!/usr/bin/env -S -i PYTHONHASHSEED=0 python3\n", Python),
            (b"#!/usr/bin/env -i -u ruby -C / --ignore-environment python3\n", Python),
            (b"#!/usr/bin/env -- python3\n", Python),
            (b"#!/usr/bin/env -C/Srv -0 - python3\n", Python),
            (b"#!/usr/bin/python3.11 -I\n", Python),
            (b"#! \t/usr/bin/python3\n", Python),
            (b"#!python\r\nprint(1)\r\n", Python),
            (b"\xef\xbb\xbf#!/usr/bin/env python3\n", Python),
            (b"#!/opt/x/pypy3\n", Python),
            (b"#!/opt/x/python3.13t\n", Python),
            (b"#!/bin/sh\n", Bash),
            (b"#!/bin/sh -e\n", Bash),
            (b"#!/bin/dash\n", Bash),
            (b"#!/bin/bash\r\n", Bash),
            (b"#!/usr/bin/env bash\n", Bash),
            (b"#!/usr/bin/env node\n", Node),
            (b"#!/usr/bin/env -S node --no-warnings\n", Node),
            (b"#!/usr/bin/nodejs\n", Node),
        ];
        for (head, runtime) in table {
            // The first line counts for more than the extension.
            for name in ["script", "-", "script.rb", "script.js", "script.py"] {
                let text = String::from_utf8_lossy(head);
                assert_eq!(check(name, head), Ok(*runtime), "{name}: {text}");
            }
        }
        let long = [b"#!/usr/bin/env bash ".to_vec(), vec![b'x'; 10_240]].concat();
        assert_eq!(check("-", &long), Ok(Bash));
        assert_eq!(check("x.js", b" #!/bin/sh\n"), Ok(Node), "not at the start: a comment");
        assert_eq!(check("x.js", b"\n#!/bin/sh\n"), Ok(Node), "the second line");
        assert_eq!(check("x.js", b"#!\n/bin/sh\n"), Ok(Node), "names nothing");
    }

    #[test]
    fn other_programs_are_refused_by_name() {
        let table: &[(&[u8], &str)] = &[
            (b"#!/usr/bin/ruby\n", "ruby"),
            (b"#!/usr/bin/env perl -w\n", "perl"),
            (b"#!/usr/bin/env -S uv run --script\n", "uv"),
            (b"#!/usr/bin/env\n", "env"),
            (b"#!/usr/bin/env -S\n", "env"),
            (b"#!/bin/zsh\n", "zsh"),
            (b"#!/usr/bin/env pythonista\n", "pythonista"),
            (b"#!/usr/bin/env ts-node\n", "ts-node"),
            (b"#!\xff\xfe\n", "\u{fffd}\u{fffd}"),
        ];
        for (head, program) in table {
            let expected = Err(RuntimeError::Shebang((*program).to_owned()));
            assert_eq!(check("script.py", head), expected, "{}", String::from_utf8_lossy(head));
        }
        for program in ["python2", "python2.7", "pypy2"] {
            let head = format!("#!/usr/bin/env {program}\n");
            let expected = Err(RuntimeError::Python2(program.to_owned()));
            assert_eq!(check("script.py", head.as_bytes()), expected);
        }
        let long = [b"#!/".to_vec(), vec![b'\x1b'; 10_240]].concat();
        let message = check("-", &long).unwrap_err().to_string();
        assert!(message.len() < 600 && !message.contains('\x1b'), "{message}");
    }

    #[test]
    fn else_the_extension_names_it() {
        let table = [
            ("a.py", Ok(Python)),
            ("a.PY", Ok(Python)),
            ("a.pyw", Ok(Python)),
            ("a.sh", Ok(Bash)),
            ("a.bash", Ok(Bash)),
            ("a.js", Ok(Node)),
            ("a.mjs", Ok(Node)),
            ("a.cjs", Ok(Node)),
            ("a.tar.sh", Ok(Bash)),
            ("a", Ok(Python)),
            ("-", Ok(Python)),
            ("", Ok(Python)),
            ("a.", Ok(Python)),
            (".sh", Ok(Python)),
            ("a.rb", Err(RuntimeError::Extension("rb".into()))),
            ("a.exe", Err(RuntimeError::Extension("exe".into()))),
            ("a.Pl", Err(RuntimeError::Extension("Pl".into()))),
            ("a.py3", Err(RuntimeError::Extension("py3".into()))),
        ];
        for (name, expected) in table {
            for head in [&b""[..], b"x", b"#!", b"# /bin/sh\n"] {
                assert_eq!(check(name, head), expected, "{name}");
            }
        }
    }

    #[test]
    fn a_refusal_names_the_runtimes() {
        for (name, head) in
            [("a.rb", &b""[..]), ("a", b"#!/usr/bin/ruby"), ("a", b"#!/usr/bin/python2")]
        {
            let message = check(name, head).unwrap_err().to_string();
            assert!(message.contains("python, bash and node"), "{message}");
        }
    }
}
