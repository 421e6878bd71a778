//! What can be wrong with a script's runtime or its interpreter, in words for the user.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use super::Runtime;

/// Why a script has no runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeError {
    /// The `#!` line names this program, and there is no runtime for it.
    Shebang(String),
    /// The `#!` line names this program, which is a Python 2.
    Python2(String),
    /// The file name ends in this extension (without the dot), and there is no runtime for it.
    Extension(String),
    /// A runtime was asked for by this name, and there is none.
    Name(String),
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const RUNTIMES: &str = "aictl runs python, bash and node scripts only";
        match self {
            Self::Shebang(program) => write!(
                f,
                "the script's #! line asks for {}: {RUNTIMES}; change that line",
                Word(program)
            ),
            Self::Python2(program) => write!(
                f,
                "the script's #! line asks for {}, but only Python 3 is run: {RUNTIMES}; change \
                 that line to python3 if it is Python 3",
                Word(program)
            ),
            Self::Extension(extension) => write!(
                f,
                "no runtime for a .{} script: {RUNTIMES}; rename it, or give it a #! line",
                Word(extension)
            ),
            Self::Name(name) => write!(f, "no runtime named {}: {RUNTIMES}", Word(name)),
        }
    }
}

impl Error for RuntimeError {}

/// Why a path is no interpreter for the sandbox, or why none was found.
#[derive(Debug)]
pub enum InterpreterError {
    /// Neither the system nor `PATH` has one.
    Absent {
        /// The runtime looked for.
        runtime: Runtime,
    },
    /// A program was asked for by its bare name, and `PATH` has none of that name.
    NotOnPath {
        /// The runtime looked for.
        runtime: Runtime,
        /// The name.
        name: PathBuf,
    },
    /// There is nothing at this path.
    NotFound {
        /// The runtime looked for.
        runtime: Runtime,
        /// The path as given.
        path: PathBuf,
    },
    /// The path is a link, and what it leads to is gone.
    DanglingLink {
        /// The runtime looked for.
        runtime: Runtime,
        /// The link.
        path: PathBuf,
    },
    /// The path is relative.
    Relative {
        /// The runtime looked for.
        runtime: Runtime,
        /// The path as given.
        path: PathBuf,
    },
    /// The path is a directory.
    Directory {
        /// The runtime looked for.
        runtime: Runtime,
        /// The directory.
        path: PathBuf,
    },
    /// The path is a FIFO, a socket or a device.
    NotRegular {
        /// The runtime looked for.
        runtime: Runtime,
        /// The path.
        path: PathBuf,
    },
    /// Nobody may execute the file.
    NotExecutable {
        /// The runtime looked for.
        runtime: Runtime,
        /// The file.
        path: PathBuf,
    },
    /// The file is a script, as a version manager's shims are.
    Script {
        /// The runtime looked for.
        runtime: Runtime,
        /// The script.
        path: PathBuf,
    },
    /// The file is no ELF program.
    NotElf {
        /// The runtime looked for.
        runtime: Runtime,
        /// The file.
        path: PathBuf,
    },
    /// The program behind the path has the name of something else.
    WrongProgram {
        /// The runtime looked for.
        runtime: Runtime,
        /// The path.
        path: PathBuf,
        /// The file that it leads to.
        real: PathBuf,
    },
    /// The program is a Python 2.
    Python2 {
        /// The path.
        path: PathBuf,
    },
    /// The program is built for another machine, or for 32 bits.
    WrongMachine {
        /// The runtime looked for.
        runtime: Runtime,
        /// The program.
        path: PathBuf,
    },
    /// The program is started by a loader that the sandbox will not have.
    Loader {
        /// The runtime looked for.
        runtime: Runtime,
        /// The program.
        path: PathBuf,
        /// The loader that its ELF header names.
        loader: PathBuf,
    },
    /// The program is not in the `bin` of a prefix that holds what it needs.
    NoPrefix {
        /// The runtime looked for.
        runtime: Runtime,
        /// The program.
        path: PathBuf,
    },
    /// The directory to bind would show the sandbox far more than an interpreter.
    PrefixTooBroad {
        /// The runtime looked for.
        runtime: Runtime,
        /// The directory.
        prefix: PathBuf,
    },
    /// The directory to bind is where the sandbox has its own.
    PrefixReserved {
        /// The runtime looked for.
        runtime: Runtime,
        /// The directory.
        prefix: PathBuf,
    },
    /// A virtual environment leads through a place that the sandbox will not have.
    LinkOutside {
        /// The path as given.
        path: PathBuf,
        /// The place.
        at: PathBuf,
    },
    /// A virtual environment's `pyvenv.cfg` cannot be used.
    VenvConfig {
        /// The `pyvenv.cfg`.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A virtual environment's `pyvenv.cfg` names a `home` that holds no Python.
    VenvHome {
        /// The `pyvenv.cfg`.
        path: PathBuf,
        /// The value of `home`.
        home: PathBuf,
    },
    /// A version manager's shim did not name the interpreter behind it.
    Shim {
        /// The runtime looked for.
        runtime: Runtime,
        /// The shim.
        path: PathBuf,
        /// What happened.
        problem: String,
    },
    /// The system refused to look.
    Io {
        /// The path looked at.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl InterpreterError {
    /// Whether the interpreter is absent (exit code 127), and not only unfit to run (126).
    #[must_use]
    pub fn not_found(&self) -> bool {
        matches!(
            self,
            Self::Absent { .. }
                | Self::NotOnPath { .. }
                | Self::NotFound { .. }
                | Self::DanglingLink { .. }
        )
    }

    /// Whether the file may be a version manager's shim, with the real interpreter behind it.
    pub(super) fn is_shim(&self) -> bool {
        matches!(self, Self::Script { .. } | Self::WrongProgram { .. })
    }
}

/// What to do where this interpreter does not serve.
fn remedy(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Python => "give another with --python",
        Runtime::Bash => "install bash from your distribution",
        Runtime::Node => "install node from your distribution",
    }
}

/// How to ask a version manager for the program behind its shim.
fn which(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Python => "`pyenv which python3` or `mise which python3`",
        Runtime::Bash => "`readlink -f`",
        Runtime::Node => "`mise which node` or `volta which node`",
    }
}

impl fmt::Display for InterpreterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { runtime: Runtime::Python } => f.write_str(
                "no python3 in /usr/bin or on PATH: install it (Debian: `apt install python3`), or \
                 give one with --python",
            ),
            Self::Absent { runtime: Runtime::Bash } => {
                f.write_str("no bash in /usr/bin or /bin: install it (Debian: `apt install bash`)")
            }
            Self::Absent { runtime: Runtime::Node } => f.write_str(
                "no node in /usr/bin or on PATH: install it (Debian: `apt install nodejs`)",
            ),
            Self::NotOnPath { runtime, name } => {
                write!(f, "no program {} on PATH: {}", Shown(name), remedy(*runtime))
            }
            Self::NotFound { runtime, path } => {
                write!(f, "no {} at {}: {}", runtime.program(), Shown(path), remedy(*runtime))
            }
            Self::DanglingLink { runtime, path } => write!(
                f,
                "{} is a link to a {} that is gone: make it again (a virtual environment: \
                 `python3 -m venv --upgrade DIR`), or {}",
                Shown(path),
                runtime.program(),
                remedy(*runtime)
            ),
            Self::Relative { runtime, path } => write!(
                f,
                "{} is a relative path, and the {} must not depend on the current directory: give \
                 the full path",
                Shown(path),
                runtime.program()
            ),
            Self::Directory { runtime, path } => write!(
                f,
                "{} is a directory: give the program in it, such as {}",
                Shown(path),
                Shown(&path.join("bin").join(runtime.program()))
            ),
            Self::NotRegular { runtime, path } => write!(
                f,
                "{} is a FIFO, a socket or a device, not a program: {}",
                Shown(path),
                remedy(*runtime)
            ),
            Self::NotExecutable { runtime, path } => write!(
                f,
                "{} is not executable: set its mode with `chmod +x`, or {}",
                Shown(path),
                remedy(*runtime)
            ),
            Self::Script { runtime, path } => write!(
                f,
                "{} is a script that starts another interpreter (a pyenv shim?): give the real \
                 one, such as the output of {}",
                Shown(path),
                which(*runtime)
            ),
            Self::NotElf { runtime, path } => {
                write!(f, "{} is no Linux program (no ELF file): {}", Shown(path), remedy(*runtime))
            }
            Self::WrongProgram { runtime, path, real } if path == real => write!(
                f,
                "{} has not the name of a {}: {}",
                Shown(path),
                runtime.program(),
                remedy(*runtime)
            ),
            Self::WrongProgram { runtime, path, real } => write!(
                f,
                "{} leads to {}, which has not the name of a {} (a version manager's shim?): give \
                 the real one, such as the output of {}",
                Shown(path),
                Shown(real),
                runtime.program(),
                which(*runtime)
            ),
            Self::Python2 { path } => write!(
                f,
                "{} is a Python 2, and only Python 3 is run: give another with --python",
                Shown(path)
            ),
            Self::WrongMachine { runtime, path } => write!(
                f,
                "{} is built for another machine or for 32 bits, and the sandbox runs {} programs \
                 only: {}",
                Shown(path),
                std::env::consts::ARCH,
                remedy(*runtime)
            ),
            Self::Loader { runtime, path, loader } => write!(
                f,
                "{} is started by {}, which the sandbox does not have: it binds the system's own \
                 libraries only (no Nix, Guix or Homebrew); {}",
                Shown(path),
                Shown(loader),
                remedy(*runtime)
            ),
            Self::NoPrefix { runtime: Runtime::Python, path } => write!(
                f,
                "{} has no standard library beside it: it must be PREFIX/bin/python3 with \
                 PREFIX/lib/python3.*/os.py; give another with --python",
                Shown(path)
            ),
            Self::NoPrefix { runtime, path } => write!(
                f,
                "{} is not in the directory bin of an installation (PREFIX/bin/{}): {}",
                Shown(path),
                runtime.program(),
                remedy(*runtime)
            ),
            Self::PrefixTooBroad { runtime, prefix } => write!(
                f,
                "{} is too much to show to a sandbox for the sake of its {}: install that in a \
                 directory of its own, or {}",
                Shown(prefix),
                runtime.program(),
                remedy(*runtime)
            ),
            Self::PrefixReserved { runtime, prefix } => write!(
                f,
                "{} cannot be in the sandbox, which has its own /dev, /etc, /proc and /sys: install \
                 {} elsewhere, or {}",
                Shown(prefix),
                runtime.program(),
                remedy(*runtime)
            ),
            Self::LinkOutside { path, at } => write!(
                f,
                "the virtual environment's {} leads through {}, which is in no Python's own \
                 directory and so not in the sandbox: make the environment again with the real \
                 python3, or give another with --python",
                Shown(path),
                Shown(at)
            ),
            Self::VenvConfig { path, problem } => write!(
                f,
                "{} {problem}: make the virtual environment again with `python3 -m venv`, or give \
                 another with --python",
                Shown(path)
            ),
            Self::VenvHome { path, home } => write!(
                f,
                "{} says that its Python is in {}, where none is: make the virtual environment \
                 again with `python3 -m venv`, or give another with --python",
                Shown(path),
                Shown(home)
            ),
            Self::Shim { runtime, path, problem } => write!(
                f,
                "{} starts another interpreter (a version manager's shim?), and asked which, {}: \
                 give the real one, such as the output of {}",
                Shown(path),
                problem,
                which(*runtime)
            ),
            Self::Io { path, source } => write!(
                f,
                "cannot look at {}: {source}; give one that you may execute, with --python",
                Shown(path)
            ),
        }
    }
}

impl Error for InterpreterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// A path in a message: bytes that are not UTF-8 replaced, control characters escaped, so that a
/// file name cannot speak to the terminal.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_os_str().is_empty() {
            return f.write_str("an empty path");
        }
        escaped(f, &self.0.to_string_lossy(), usize::MAX)
    }
}

/// A word from a script in a message: as [`Shown`], and cut where it is long.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escaped(f, self.0, 64)
    }
}

fn escaped(f: &mut fmt::Formatter<'_>, text: &str, most: usize) -> fmt::Result {
    for c in text.chars().take(most) {
        if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
    }
    if text.chars().nth(most).is_some() { f.write_str("…") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_cannot_speak_to_the_terminal_and_are_not_long() {
        let path = PathBuf::from("/x\u{1b}[2J\ny");
        let error = InterpreterError::NotFound { runtime: Runtime::Python, path };
        let text = error.to_string();
        assert_eq!(text, r"no python3 at /x\u{1b}[2J\ny: give another with --python");
        let text = RuntimeError::Shebang("a".repeat(10_000)).to_string();
        assert!(text.len() < 300 && text.contains("aaa…"), "{text}");
        assert!(!RuntimeError::Shebang("a".repeat(64)).to_string().contains('…'));
    }
}
