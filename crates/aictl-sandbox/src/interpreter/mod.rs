//! Which runtime runs a script, where its interpreter is on this machine, and which directories
//! the sandbox must have for it, and no more.
//!
//! [`runtime_for`] chooses the runtime from the script alone. [`find()`] looks for the interpreter as
//! a user expects and [`inspect()`] checks one given path; both end in an [`Interpreter`], which names
//! the directories outside the system's own that have to be bound read-only.
//!
//! What a directory links to is followed only as far as the interpreter needs it to start: `.pth`
//! files and editable installs that point out of the prefix are not, so such packages are missing
//! in the sandbox.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

mod elf;
mod error;
mod find;
mod inspect;
mod roots;
mod script;
mod shim;
#[cfg(test)]
mod tree;

pub use error::{InterpreterError, RuntimeError};
pub use script::runtime_for;

/// A language that the sandbox can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Python 3: CPython, or PyPy where its path is given.
    Python,
    /// Bash, which also runs scripts for `sh`.
    Bash,
    /// Node.js.
    Node,
}

impl Runtime {
    /// All runtimes, in the order in which messages name them.
    pub const ALL: [Self; 3] = [Self::Python, Self::Bash, Self::Node];

    /// The runtime's name, as users write it: `python`, `bash` or `node`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Bash => "bash",
            Self::Node => "node",
        }
    }

    /// The interpreter's usual file name: `python3`, `bash` or `node`.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::Bash => "bash",
            Self::Node => "node",
        }
    }

    /// Whether a file of this name can be this runtime's interpreter, such as `python3.12`.
    ///
    /// A version manager's shim can be a link to the manager itself (mise, volta); only the name of
    /// the file behind the link tells.
    fn owns(self, name: &OsStr) -> bool {
        let Some(name) = name.to_str() else { return false };
        match self {
            Self::Python => {
                ["python", "pypy"].contains(&name)
                    || ["python3", "pypy3"].iter().any(|start| name.starts_with(start))
            }
            Self::Bash => name == "bash" || name.starts_with("bash-") || name.starts_with("bash5"),
            Self::Node => name == "node" || name == "nodejs" || name.starts_with("node-"),
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Runtime {
    type Err = RuntimeError;

    /// Reads a runtime's [`name`](Self::name); any other word is [`RuntimeError::Name`].
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|runtime| runtime.name() == name)
            .ok_or_else(|| RuntimeError::Name(name.to_owned()))
    }
}

/// An interpreter that was there and fit to run when it was looked at.
///
/// It can still be replaced or removed before it runs, by whoever may write there; then the run
/// fails, and the sandbox holds nothing that [`roots`](Self::roots) does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    runtime: Runtime,
    exe: PathBuf,
    roots: Vec<PathBuf>,
}

impl Interpreter {
    /// The runtime that it runs.
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// The absolute path to execute inside the sandbox, which is the same path as outside.
    ///
    /// For a virtual environment this is its own `bin/python`, a link, so that Python finds its
    /// `pyvenv.cfg`. Elsewhere it is the path as it was given (its directory without links), or the
    /// real file where the sandbox does not have the links.
    #[must_use]
    pub fn exe(&self) -> &Path {
        &self.exe
    }

    /// The directories outside the system directories to bind read-only at the same path: sorted,
    /// without duplicates, none inside another.
    ///
    /// A root may be named through a link, where a virtual environment or a library's search path
    /// uses that name: bind what the name leads to, at a plain directory of that name. The system
    /// directories (`/usr`, `/bin`, `/sbin`, `/lib*`) are always there and never among them. A root
    /// can lie under `/tmp` or `/work`, so it must be bound after the sandbox's own are mounted.
    #[must_use]
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }
}

/// Checks that `path` is an interpreter for `runtime` that can run inside the sandbox, and learns
/// which directories it needs there. Reads files only; never executes anything.
///
/// A virtual environment is known by a `pyvenv.cfg` two levels above the program, as CPython does
/// it (Modules/getpath.py): its prefix is a root, and so is the prefix of the Python that it was
/// made from, unless that is in a system directory. A whole home directory and the like are never a
/// root.
///
/// # Errors
///
/// [`InterpreterError`] says what is wrong with the path and what to do about it.
pub fn inspect(runtime: Runtime, path: &Path) -> Result<Interpreter, InterpreterError> {
    inspect::inspect(runtime, path, None)
}

/// Finds the interpreter for `runtime`.
///
/// `explicit` (an option, or the config) wins: a path, relative to the current directory if need
/// be, or a bare name to look up on `path`. Then comes the system's own (`/usr/bin/python3`,
/// `/usr/bin/bash` or `/bin/bash`, `/usr/bin/node`), then the absolute directories of `path` (the
/// value of `PATH`); bash is taken from the system only. `home` is the user's home directory, which
/// is never bound as a whole.
///
/// A program on `path` that turns out to be a version manager's shim is executed, with the rights
/// of this process, to ask it for the real interpreter: so pass a user's own `path` only, and none
/// where another user asks. It runs in `/` with no environment but `PATH` and `HOME`, and is killed
/// with its process group after 5 seconds; so a `.python-version` in the current directory does
/// not count.
///
/// # Errors
///
/// [`InterpreterError`]; [`not_found`](InterpreterError::not_found) tells an absent interpreter
/// from an unfit one. Where nothing fits, the first candidate that was there is the one explained.
pub fn find(
    runtime: Runtime,
    explicit: Option<&Path>,
    path: Option<&OsStr>,
    home: Option<&OsStr>,
) -> Result<Interpreter, InterpreterError> {
    find::find(runtime, explicit, path, home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_have_names_that_read_back() {
        for (runtime, name) in
            [(Runtime::Python, "python"), (Runtime::Bash, "bash"), (Runtime::Node, "node")]
        {
            assert_eq!(runtime.to_string(), name);
            assert_eq!(name.parse::<Runtime>(), Ok(runtime));
        }
        for name in ["", "Python", "python3", "ruby"] {
            let error = name.parse::<Runtime>().unwrap_err().to_string();
            assert!(error.contains("python, bash and node"), "{error}");
        }
    }

    #[test]
    fn the_file_name_tells_an_interpreter_from_a_shim() {
        let table = [
            (Runtime::Python, "python", true),
            (Runtime::Python, "python3", true),
            (Runtime::Python, "python3.13t", true),
            (Runtime::Python, "pypy3.10", true),
            (Runtime::Python, "python2", false),
            (Runtime::Python, "python2.7", false),
            (Runtime::Python, "mise", false),
            (Runtime::Python, "bash", false),
            (Runtime::Bash, "bash", true),
            (Runtime::Bash, "bash-5.2", true),
            (Runtime::Bash, "dash", false),
            (Runtime::Bash, "bashtop", false),
            (Runtime::Node, "node", true),
            (Runtime::Node, "nodejs", true),
            (Runtime::Node, "node-20", true),
            (Runtime::Node, "volta-shim", false),
            (Runtime::Node, "nodemon", false),
        ];
        for (runtime, name, expected) in table {
            assert_eq!(runtime.owns(OsStr::new(name)), expected, "{runtime} {name}");
        }
    }
}
