//! A script as the user names it: read once, and checked before anything is started.

use std::{
    ffi::OsStr,
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use aictl_api::exit;
use aictl_core::plain_file::{self, NotPlain};
use aictl_sandbox::protocol::ScriptName;

/// A script that can be run.
pub struct Script {
    /// Its file name.
    pub name: ScriptName,
    /// Its text.
    pub text: Vec<u8>,
}

/// Why a script cannot be run.
#[derive(Debug)]
pub struct ScriptError {
    what: String,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Missing,
    Unreadable(io::Error),
    NotAFile(&'static str),
    Empty,
    TooLarge(u64),
    Binary,
}

impl ScriptError {
    /// The exit code that belongs to it.
    pub fn exit_code(&self) -> u8 {
        match self.problem {
            Problem::Missing => exit::NOT_FOUND,
            _ => exit::REFUSED,
        }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.problem {
            Problem::Missing => {
                write!(f, "there is no script {what}: check the path, or use - for standard input")
            }
            Problem::Unreadable(error) => write!(
                f,
                "{what} cannot be read: {error}; check the path and its permissions, or use - for \
                 standard input"
            ),
            Problem::NotAFile(kind) => {
                write!(
                    f,
                    "{what} is {kind}, not a script: name a file, or use - for standard input"
                )
            }
            Problem::Empty => write!(f, "{what} is empty: there is nothing to run"),
            Problem::TooLarge(limit) => write!(
                f,
                "{what} is larger than {limit} bytes, the most that is run: let it read its data \
                 from standard input"
            ),
            Problem::Binary => {
                write!(f, "{what} holds NUL bytes: it is no script, but a program or data")
            }
        }
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Reads the script at `path`, or standard input for `-`, up to `limit` bytes.
    ///
    /// # Errors
    /// If it is not there, is no plain file, or cannot be a script.
    pub fn read(path: &OsStr, limit: u64) -> Result<Self, ScriptError> {
        let what = if path == "-" {
            "standard input".to_owned()
        } else {
            // A name can hold anything, but a message no control characters.
            path.to_string_lossy().chars().filter(|c| !c.is_control()).collect()
        };
        match Self::load(path, limit) {
            Ok(text) => Ok(Self { name: name_of(path), text }),
            Err(problem) => Err(ScriptError { what, problem }),
        }
    }

    fn load(path: &OsStr, limit: u64) -> Result<Vec<u8>, Problem> {
        let text = if path == "-" {
            read_up_to(io::stdin().lock(), limit)?
        } else {
            let file = open(Path::new(path))?;
            if file.metadata().map_err(Problem::Unreadable)?.len() > limit {
                return Err(Problem::TooLarge(limit));
            }
            read_up_to(file, limit)?
        };
        if text.is_empty() {
            return Err(Problem::Empty);
        }
        if text.contains(&0) {
            return Err(Problem::Binary);
        }
        Ok(text)
    }
}

/// Opens a script, which must be a plain file.
fn open(path: &Path) -> Result<File, Problem> {
    plain_file::open(path).map_err(|error| match error {
        NotPlain::Kind(kind) => Problem::NotAFile(kind),
        NotPlain::Unreadable(error) => match error.raw_os_error() {
            Some(nix::libc::ENOENT | nix::libc::ENOTDIR) => Problem::Missing,
            _ => Problem::Unreadable(error),
        },
    })
}

fn read_up_to(from: impl Read, limit: u64) -> Result<Vec<u8>, Problem> {
    let mut text = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut text).map_err(Problem::Unreadable)?;
    if text.len() as u64 > limit { Err(Problem::TooLarge(limit)) } else { Ok(text) }
}

/// The script's name inside the sandbox: its own where that can be one.
fn name_of(path: &OsStr) -> ScriptName {
    let own = match path.to_str() {
        Some("-") => Some("stdin"),
        _ => Path::new(path).file_name().and_then(OsStr::to_str),
    };
    own.and_then(|name| ScriptName::try_from(name.to_owned()).ok())
        .unwrap_or_else(ScriptName::fallback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_keep_their_names_where_they_can() {
        for (path, name) in [
            ("a.py", "a.py"),
            ("/x/y/ä b.py", "ä b.py"),
            ("-", "stdin"),
            ("./-", "-"),
            ("x/..", "script"),
            ("a\nb.py", "script"),
        ] {
            assert_eq!(name_of(OsStr::new(path)).as_str(), name, "{path:?}");
        }
    }
}
