//! Reads the configuration's files, and each file with care: a name can lead to anything.
//!
//! Who acts for others reads only what root has written ([`Trust::RootOnly`]): whoever could write
//! a file, or put another in its place, could say what the helper may do. It reads only what all
//! may read, too: else programs of several users, of which root is one, would each see another
//! configuration.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use aictl_api::{
    config::{Config, ConfigError, DROP_INS, FILE, MAX_BYTES, Settings},
    exit,
};
use nix::libc;

use crate::plain_file::{self, NotPlain};

#[cfg(test)]
mod tests;

/// Whose files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's, for a program with no more rights than its caller.
    Any,
    /// Root's alone, in directories of root's alone, through no link, and open to all for reading.
    RootOnly,
}

/// Why there is no configuration to work with.
#[derive(Debug)]
pub struct LoadError {
    /// Whether the caller named the file.
    named: bool,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    /// A file, and what is wrong with it as a file.
    File(PathBuf, FileProblem),
    /// What a file says.
    Content(ConfigError),
}

#[derive(Debug)]
enum FileProblem {
    Missing,
    DanglingLink,
    Unreadable(io::Error),
    Kind(&'static str),
    /// The directory of further files is something else.
    NotADirectory,
    TooLarge,
    /// In this line, from 1.
    NotUtf8(usize),
    /// It belongs to this user, who is not root.
    Owner(u32),
    /// Others than its owner can write it.
    Writable,
    /// Others than its owner cannot read it, or look into it.
    Closed(Kind),
    /// It is a link, where none is followed.
    Link,
}

/// What all must be able to do with a file or directory that the helper is to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A file: to read it.
    File,
    /// A directory of a file: to reach that.
    Directory,
    /// The directory of further files: to list it too.
    DropIns,
}

impl Kind {
    /// The bits of the mode that give it to all (chmod(1)).
    const fn needed(self) -> u32 {
        match self {
            Self::File => 0o004,
            Self::Directory => 0o001,
            Self::DropIns => 0o005,
        }
    }

    /// How to give it.
    const fn how_to_give(self) -> &'static str {
        match self {
            Self::File => "chmod a+r",
            Self::Directory | Self::DropIns => "chmod a+rx",
        }
    }
}

impl LoadError {
    /// The exit code that belongs to it: a file that the caller names is the caller's.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.named { exit::USAGE } else { exit::INTERNAL }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, problem) = match &self.problem {
            Problem::Content(error) => return error.fmt(f),
            Problem::File(path, problem) => (path, problem),
        };
        let path = path.to_string_lossy();
        // A name can hold anything, but a message no control characters.
        let path: String = path.chars().filter(|c| !c.is_control()).collect();
        match problem {
            FileProblem::Missing => write!(f, "there is no configuration file {path}"),
            FileProblem::DanglingLink => {
                write!(f, "{path} is a link to nothing: remove it, or make what it names")
            }
            FileProblem::Unreadable(error) => write!(f, "{path} cannot be read: {error}"),
            FileProblem::Kind(kind) => write!(f, "{path} is {kind}, not a configuration file"),
            FileProblem::NotADirectory => {
                write!(f, "{path} is not a directory: configuration files belong in there")
            }
            FileProblem::TooLarge => {
                write!(f, "{path} is larger than {MAX_BYTES} bytes, too large for a configuration")
            }
            FileProblem::NotUtf8(line) => {
                write!(f, "{path}:{line}: not UTF-8, as a configuration file must be")
            }
            FileProblem::Owner(uid) => {
                write!(f, "{path} belongs to uid {uid}, where only root may: chown it to root")
            }
            FileProblem::Writable => {
                write!(f, "{path} can be written by others than root: chmod go-w takes that away")
            }
            FileProblem::Closed(kind) => write!(
                f,
                "{path} is closed to others than its owner, and the helper is another: {} opens it",
                kind.how_to_give()
            ),
            FileProblem::Link => {
                write!(f, "{path} is a link, and none is followed here: put what it names there")
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// The configuration: of the file that the caller names, which must be there, else of the system's
/// files, none of which need be.
///
/// # Errors
/// If a file cannot be read or trusted, or its content is not accepted: the first problem.
pub fn load(named: Option<&Path>, trust: Trust) -> Result<Config, LoadError> {
    Source::new(named).load(trust).map_err(|problem| LoadError { named: named.is_some(), problem })
}

/// The configuration of other files than the system's: of a main one and of a directory.
///
/// # Errors
/// As [`load`].
pub fn load_from(file: &Path, drop_ins: &Path, trust: Trust) -> Result<Config, LoadError> {
    let source = Source::Files { file, drop_ins };
    source.load(trust).map_err(|problem| LoadError { named: false, problem })
}

/// As [`load`], but looks for every problem.
///
/// # Errors
/// Each problem; at least one.
pub fn check(named: Option<&Path>, trust: Trust) -> Result<Config, Vec<LoadError>> {
    Source::new(named).check(trust).map_err(|problems| {
        let error = |problem| LoadError { named: named.is_some(), problem };
        problems.into_iter().map(error).collect()
    })
}

/// Where a configuration is.
#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    /// In one file.
    Named(&'a Path),
    /// In a main file and a directory of further ones.
    Files { file: &'a Path, drop_ins: &'a Path },
}

impl<'a> Source<'a> {
    fn new(named: Option<&'a Path>) -> Self {
        match named {
            Some(path) => Self::Named(path),
            None => Self::Files { file: Path::new(FILE), drop_ins: Path::new(DROP_INS) },
        }
    }

    fn load(self, trust: Trust) -> Result<Config, Problem> {
        let settings = self.gather(trust, &mut Err)?;
        Config::try_from(settings).map_err(Problem::Content)
    }

    fn check(self, trust: Trust) -> Result<Config, Vec<Problem>> {
        let mut problems = Vec::new();
        let gathered = self.gather(trust, &mut |problem| {
            problems.push(problem);
            Ok(())
        });
        match gathered {
            Ok(settings) if problems.is_empty() => Config::check(settings)
                .map_err(|errors| errors.into_iter().map(Problem::Content).collect()),
            Ok(_) => Err(problems),
            Err(problem) => Err(vec![problem]),
        }
    }

    /// What all the files set, one over the other. Each problem is reported, and where `report`
    /// does not take it, it is the end.
    fn gather(
        self,
        trust: Trust,
        report: &mut dyn FnMut(Problem) -> Result<(), Problem>,
    ) -> Result<Settings, Problem> {
        match self {
            Self::Named(file) => {
                directory(file.parent(), Kind::Directory, trust).or_else(&mut *report)?;
                let missing = || Problem::File(file.to_owned(), FileProblem::Missing);
                match settings(file, trust, report)? {
                    Found::Settings(settings) => Ok(*settings),
                    Found::Missing => report(missing()).map(|()| Settings::default()),
                    Found::Reported => Ok(Settings::default()),
                }
            }
            Self::Files { file, drop_ins } => {
                directory(file.parent(), Kind::Directory, trust).or_else(&mut *report)?;
                let mut merged = match settings(file, trust, report)? {
                    Found::Settings(settings) => *settings,
                    Found::Missing | Found::Reported => Settings::default(),
                };
                directory(Some(drop_ins), Kind::DropIns, trust).or_else(&mut *report)?;
                let files = list(drop_ins).or_else(|problem| report(problem).map(|()| vec![]))?;
                for path in files {
                    match settings(&path, trust, report)? {
                        Found::Settings(later) => merged = (*later).over(merged),
                        // What a directory lists and nobody finds is a link.
                        Found::Missing => report(Problem::File(path, FileProblem::DanglingLink))?,
                        Found::Reported => {}
                    }
                }
                Ok(merged)
            }
        }
    }
}

/// A file that was read.
#[derive(Debug)]
enum Found {
    /// What it sets.
    Settings(Box<Settings>),
    /// There is none.
    Missing,
    /// Something is wrong with it, which was reported.
    Reported,
}

fn settings(
    path: &Path,
    trust: Trust,
    report: &mut dyn FnMut(Problem) -> Result<(), Problem>,
) -> Result<Found, Problem> {
    let text = match read(path, trust) {
        Ok(text) => text,
        Err(FileProblem::Missing) => return Ok(Found::Missing),
        Err(problem) => {
            report(Problem::File(path.to_owned(), problem))?;
            return Ok(Found::Reported);
        }
    };
    match Settings::parse_all(&path.to_string_lossy(), &text) {
        Ok(settings) => Ok(Found::Settings(Box::new(settings))),
        Err(errors) => {
            errors.into_iter().map(Problem::Content).try_for_each(report)?;
            Ok(Found::Reported)
        }
    }
}

/// Whether what is in this directory can be trusted, if there is one.
fn directory(path: Option<&Path>, kind: Kind, trust: Trust) -> Result<(), Problem> {
    let path = match path {
        // Of a name without a directory.
        Some(path) if path.as_os_str().is_empty() => Path::new("."),
        Some(path) => path,
        None => return Ok(()),
    };
    if trust == Trust::Any {
        return Ok(());
    }
    let problem = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Some(FileProblem::Link),
        Ok(metadata) => distrust(metadata.uid(), metadata.mode(), kind),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(FileProblem::Unreadable(error)),
    };
    problem.map_or(Ok(()), |problem| Err(Problem::File(path.to_owned(), problem)))
}

/// Why a file or directory of this owner and mode is not one that root alone writes and all read;
/// `None` if it is.
fn distrust(uid: u32, mode: u32, kind: Kind) -> Option<FileProblem> {
    const OTHERS_WRITE: u32 = 0o022;
    if uid != 0 {
        Some(FileProblem::Owner(uid))
    } else if mode & OTHERS_WRITE != 0 {
        Some(FileProblem::Writable)
    } else if mode & kind.needed() != kind.needed() {
        Some(FileProblem::Closed(kind))
    } else {
        None
    }
}

/// The files of the directory in the order of their names; none if there is no directory.
fn list(directory: &Path) -> Result<Vec<PathBuf>, Problem> {
    let problem = |error: io::Error| {
        let problem = match error.kind() {
            io::ErrorKind::NotADirectory => FileProblem::NotADirectory,
            _ => FileProblem::Unreadable(error),
        };
        Problem::File(directory.to_owned(), problem)
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(problem)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(problem)?.file_name();
        if is_drop_in(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// Editors and package managers leave other files beside these.
fn is_drop_in(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".toml") && !name.as_bytes().starts_with(b".")
}

fn read(path: &Path, trust: Trust) -> Result<String, FileProblem> {
    let file = open(path, trust)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(FileProblem::Unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileProblem::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        FileProblem::NotUtf8(valid.iter().filter(|byte| **byte == b'\n').count() + 1)
    })
}

/// Opens a configuration file, which must be a plain file.
fn open(path: &Path, trust: Trust) -> Result<File, FileProblem> {
    let opened = match trust {
        Trust::Any => plain_file::open(path),
        Trust::RootOnly => plain_file::open_no_link(path),
    };
    let file = opened.map_err(|error| match error {
        NotPlain::Kind(kind) => FileProblem::Kind(kind),
        NotPlain::Unreadable(error) => match error.raw_os_error() {
            Some(libc::ENOENT) => FileProblem::Missing,
            Some(libc::ELOOP) if trust == Trust::RootOnly => FileProblem::Link,
            _ => FileProblem::Unreadable(error),
        },
    })?;
    if trust == Trust::RootOnly {
        // Of the open file: its name may lead to another by now.
        let metadata = file.metadata().map_err(FileProblem::Unreadable)?;
        if let Some(problem) = distrust(metadata.uid(), metadata.mode(), Kind::File) {
            return Err(problem);
        }
    }
    Ok(file)
}
