//! Reads the configuration's files, and each file with care: a name can lead to anything.
//!
//! Who acts for others reads only what root has written ([`Trust::RootOnly`]): whoever could write
//! a file, or put another in its place, could say what the helper may do.

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

/// Whose files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's, for a program with no more rights than its caller.
    Any,
    /// Root's alone, in directories of root's alone, and through no link.
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
    /// It is a link, where none is followed.
    Link,
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
                directory(file.parent(), trust).or_else(&mut *report)?;
                let missing = || Problem::File(file.to_owned(), FileProblem::Missing);
                match settings(file, trust, report)? {
                    Found::Settings(settings) => Ok(*settings),
                    Found::Missing => report(missing()).map(|()| Settings::default()),
                    Found::Reported => Ok(Settings::default()),
                }
            }
            Self::Files { file, drop_ins } => {
                directory(file.parent(), trust).or_else(&mut *report)?;
                let mut merged = match settings(file, trust, report)? {
                    Found::Settings(settings) => *settings,
                    Found::Missing | Found::Reported => Settings::default(),
                };
                directory(Some(drop_ins), trust).or_else(&mut *report)?;
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
fn directory(path: Option<&Path>, trust: Trust) -> Result<(), Problem> {
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
        Ok(metadata) => distrust(metadata.uid(), metadata.mode()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(FileProblem::Unreadable(error)),
    };
    problem.map_or(Ok(()), |problem| Err(Problem::File(path.to_owned(), problem)))
}

/// Why a file or directory of this owner and mode is not root's alone; `None` if it is.
fn distrust(uid: u32, mode: u32) -> Option<FileProblem> {
    const OTHERS_WRITE: u32 = 0o022;
    if uid != 0 {
        Some(FileProblem::Owner(uid))
    } else if mode & OTHERS_WRITE != 0 {
        Some(FileProblem::Writable)
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
        if let Some(problem) = distrust(metadata.uid(), metadata.mode()) {
            return Err(problem);
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::{fs::symlink, net::UnixListener},
        process,
        sync::atomic::{AtomicU32, Ordering},
    };

    use aictl_api::limits;
    use nix::{sys::stat::Mode, unistd};

    use super::*;

    /// A directory of its own for one test.
    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name =
                format!("aictl-config-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn write(&self, name: &str, text: impl AsRef<[u8]>) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn system(&self) -> Result<Config, String> {
            self.load(Trust::Any)
        }

        fn load(&self, trust: Trust) -> Result<Config, String> {
            load_from(&self.path("aictl.toml"), &self.path("aictl.toml.d"), trust)
                .map_err(|error| self.words(error))
        }

        fn check(&self) -> Vec<String> {
            let (file, drop_ins) = (self.path("aictl.toml"), self.path("aictl.toml.d"));
            match (Source::Files { file: &file, drop_ins: &drop_ins }).check(Trust::Any) {
                Ok(_) => Vec::new(),
                Err(problems) => problems
                    .into_iter()
                    .map(|problem| self.words(LoadError { named: false, problem }))
                    .collect(),
            }
        }

        fn words(&self, error: LoadError) -> String {
            error.to_string().replace(self.0.to_str().unwrap(), "DIR")
        }
    }

    impl Dir {
        fn words_of(&self, path: &Path) -> String {
            path.to_str().unwrap().replace(self.0.to_str().unwrap(), "DIR")
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn timeout(config: &Config) -> u64 {
        config.sandbox.limit(&limits::TIMEOUT, None).unwrap()
    }

    #[test]
    fn no_file_is_the_defaults_and_a_named_one_must_be_there() {
        let dir = Dir::new();
        assert_eq!(dir.system(), Ok(Config::default()));
        fs::create_dir(dir.path("aictl.toml.d")).unwrap();
        assert_eq!(dir.system(), Ok(Config::default()));
        let error = load(Some(&dir.path("x.toml")), Trust::Any).unwrap_err();
        assert_eq!(error.exit_code(), exit::USAGE);
        assert_eq!(dir.words(error), "there is no configuration file DIR/x.toml");
    }

    #[test]
    fn files_are_read_in_the_order_of_their_names_over_the_main_one() {
        let dir = Dir::new();
        let text = |seconds| format!("sandbox.limits.timeout = \"{seconds}s\"");
        dir.write("aictl.toml", text(1) + "\nsandbox.limits.max-processes = 5");
        assert_eq!(timeout(&dir.system().unwrap()), 1000);
        // Written in another order than that of their names.
        dir.write("aictl.toml.d/20.toml", text(4));
        dir.write("aictl.toml.d/10.toml", text(3));
        dir.write("aictl.toml.d/9.toml", text(5));
        dir.write("aictl.toml.d/100.toml", text(2));
        for name in ["99.toml~", "99.conf", ".99.toml", "toml", "99.TOML", "99.toml.bak"] {
            dir.write(&format!("aictl.toml.d/{name}"), "not TOML");
        }
        let config = dir.system().unwrap();
        assert_eq!(timeout(&config), 5000);
        assert_eq!(config.sandbox.limit(&limits::PROCESSES, None), Ok(5));
        fs::remove_file(dir.path("aictl.toml.d/9.toml")).unwrap();
        assert_eq!(timeout(&dir.system().unwrap()), 4000);
        fs::remove_file(dir.path("aictl.toml")).unwrap();
        assert_eq!(timeout(&dir.system().unwrap()), 4000);
        // A named file stands instead of them.
        dir.write("own.toml", "sandbox.limits.cpu = \"1s\"");
        assert_eq!(
            timeout(&load(Some(&dir.path("own.toml")), Trust::Any).unwrap()),
            limits::TIMEOUT.default
        );
    }

    #[test]
    fn a_file_that_is_none_is_its_own_error() {
        let dir = Dir::new();
        let path = dir.path("aictl.toml");
        let remove = || match path.is_dir() {
            true => fs::remove_dir(&path).unwrap(),
            false => fs::remove_file(&path).unwrap(),
        };
        type Make<'a> = Box<dyn Fn() + 'a>;
        let mut table: Vec<(Make<'_>, &str)> = vec![
            (
                Box::new(|| fs::create_dir(&path).unwrap()),
                "DIR/aictl.toml is a directory, not a configuration file",
            ),
            (
                Box::new(|| unistd::mkfifo(&path, Mode::from_bits_truncate(0o700)).unwrap()),
                "DIR/aictl.toml is a FIFO, not a configuration file",
            ),
            (
                Box::new(|| drop(UnixListener::bind(&path).unwrap())),
                "DIR/aictl.toml is a socket or a device without a driver, not a configuration file",
            ),
            (
                Box::new(|| symlink("/dev/zero", &path).unwrap()),
                "DIR/aictl.toml is a device, not a configuration file",
            ),
            (
                Box::new(|| symlink("aictl.toml", &path).unwrap()),
                "DIR/aictl.toml cannot be read: Too many levels of symbolic links (os error 40)",
            ),
            (
                Box::new(|| fs::write(&path, vec![b'\n'; 1 + (1 << 20)]).unwrap()),
                "DIR/aictl.toml is larger than 1048576 bytes, too large for a configuration",
            ),
            (
                Box::new(|| fs::write(&path, b"# one\n# tw\xf6\n").unwrap()),
                "DIR/aictl.toml:2: not UTF-8, as a configuration file must be",
            ),
            (
                Box::new(|| fs::write(&path, "\nsandbox.limits.timeout = \"0\"").unwrap()),
                "DIR/aictl.toml:2: sandbox.limits.timeout = \"0\": 0 is out of range: 10ms to 1h",
            ),
        ];
        // Root may read everything.
        if !unistd::geteuid().is_root() {
            table.push((
                Box::new(|| {
                    fs::write(&path, "").unwrap();
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
                    fs::set_permissions(&path, mode).unwrap();
                }),
                "DIR/aictl.toml cannot be read: Permission denied (os error 13)",
            ));
        }
        for (make, message) in table {
            make();
            assert_eq!(dir.system(), Err(message.to_owned()));
            let named = load(Some(&path), Trust::Any).unwrap_err();
            assert_eq!(named.exit_code(), exit::USAGE);
            assert_eq!(dir.words(named), message);
            remove();
        }
        // A file of the largest size is read.
        fs::write(&path, vec![b'\n'; 1 << 20]).unwrap();
        assert_eq!(dir.system(), Ok(Config::default()));
    }

    #[test]
    fn the_directory_of_files_can_be_wrong_too() {
        let dir = Dir::new();
        dir.write("aictl.toml.d", "");
        assert_eq!(
            dir.system().unwrap_err(),
            "DIR/aictl.toml.d is not a directory: configuration files belong in there"
        );
        fs::remove_file(dir.path("aictl.toml.d")).unwrap();
        fs::create_dir_all(dir.path("aictl.toml.d/a.toml")).unwrap();
        assert_eq!(
            dir.system().unwrap_err(),
            "DIR/aictl.toml.d/a.toml is a directory, not a configuration file"
        );
        fs::remove_dir(dir.path("aictl.toml.d/a.toml")).unwrap();
        symlink("gone", dir.path("aictl.toml.d/\u{1b}b.toml")).unwrap();
        assert_eq!(
            dir.system().unwrap_err(),
            "DIR/aictl.toml.d/b.toml is a link to nothing: remove it, or make what it names"
        );
        // A name that is no text is a name all the same.
        fs::remove_file(dir.path("aictl.toml.d/\u{1b}b.toml")).unwrap();
        let odd = dir.path("aictl.toml.d").join(OsStr::from_bytes(b"\xff.toml"));
        fs::write(odd, "sandbox.limits.timeout = \"7s\"").unwrap();
        assert_eq!(timeout(&dir.system().unwrap()), 7000);
    }

    #[test]
    fn a_broken_system_file_is_not_the_callers_fault() {
        let problem = Problem::File(PathBuf::from("/x"), FileProblem::Missing);
        assert_eq!(LoadError { named: false, problem }.exit_code(), exit::INTERNAL);
    }

    /// A mistake of every kind, in one go.
    #[test]
    fn every_problem_is_found() {
        let dir = Dir::new();
        dir.write("aictl.toml", "[sandbox.limits]\ntimeout = \"0\"\nx = 1\n");
        dir.write("aictl.toml.d/1.toml", "not TOML");
        fs::create_dir(dir.path("aictl.toml.d/2.toml")).unwrap();
        symlink("gone", dir.path("aictl.toml.d/3.toml")).unwrap();
        dir.write("aictl.toml.d/4.toml", "y = 1");
        let found = dir.check();
        let begins = [
            "DIR/aictl.toml:2: sandbox.limits.timeout = \"0\":",
            "DIR/aictl.toml:3: sandbox.limits.x = 1: unknown key",
            "DIR/aictl.toml.d/1.toml:1: not TOML: not valid TOML",
            "DIR/aictl.toml.d/2.toml is a directory",
            "DIR/aictl.toml.d/3.toml is a link to nothing",
            "DIR/aictl.toml.d/4.toml:1: y = 1: unknown key",
        ];
        assert_eq!(found.len(), begins.len(), "{found:#?}");
        for (found, begin) in found.iter().zip(begins) {
            assert!(found.starts_with(begin), "{found}");
        }
        // The first of them is the one of those who look for one.
        assert_eq!(dir.system().as_ref().err(), found.first());
        let error = check(Some(&dir.path("x.toml")), Trust::Any).unwrap_err();
        assert_eq!(error.len(), 1);
        for name in ["1.toml", "3.toml", "4.toml"] {
            fs::remove_file(dir.path(&format!("aictl.toml.d/{name}"))).unwrap();
        }
        fs::remove_dir(dir.path("aictl.toml.d/2.toml")).unwrap();
        dir.write("aictl.toml", "");
        assert_eq!(dir.check(), Vec::<String>::new());
    }

    #[test]
    fn only_what_is_roots_alone_is_trusted() {
        let table = [
            (0, 0o100_644, None),
            (0, 0o100_600, None),
            (0, 0o040_755, None),
            (1, 0o100_644, Some(FileProblem::Owner(1))),
            (1000, 0o100_666, Some(FileProblem::Owner(1000))),
            (0, 0o100_664, Some(FileProblem::Writable)),
            (0, 0o100_646, Some(FileProblem::Writable)),
            // No bit makes up for it.
            (0, 0o041_777, Some(FileProblem::Writable)),
            (0, 0o100_020, Some(FileProblem::Writable)),
        ];
        for (uid, mode, expected) in table {
            let words = |problem| Problem::File(PathBuf::from("/x"), problem);
            let words = |problem| LoadError { named: false, problem: words(problem) }.to_string();
            assert_eq!(distrust(uid, mode).map(words), expected.map(words), "{uid} {mode:o}");
        }
    }

    /// Gives a file or directory another mode.
    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn who_acts_for_others_reads_roots_files_alone() {
        let dir = Dir::new();
        let load = || dir.load(Trust::RootOnly);
        let uid = unistd::geteuid();
        if !uid.is_root() {
            let message =
                format!("DIR belongs to uid {uid}, where only root may: chown it to root");
            assert_eq!(load(), Err(message));
            return;
        }
        chmod(&dir.0, 0o755);
        assert_eq!(load(), Ok(Config::default()));
        dir.write("aictl.toml", "sandbox.limits.timeout = \"1s\"");
        dir.write("aictl.toml.d/a.toml", "sandbox.limits.timeout = \"2s\"");
        let (main, drop_ins) = (dir.path("aictl.toml"), dir.path("aictl.toml.d"));
        let drop_in = dir.path("aictl.toml.d/a.toml");
        chmod(&drop_ins, 0o755);
        chmod(&main, 0o644);
        chmod(&drop_in, 0o644);
        assert_eq!(timeout(&load().unwrap()), 2000);
        for path in [&dir.0, &main, &drop_ins, &drop_in] {
            let name = dir.words_of(path);
            let mode = path.metadata().unwrap().mode();
            for writable in [0o020, 0o002] {
                chmod(path, mode | writable);
                let message =
                    "can be written by others than root: chmod go-w takes that away".to_owned();
                assert_eq!(load(), Err(format!("{name} {message}")));
                // Who acts for themselves alone need not mind.
                assert_eq!(timeout(&dir.system().unwrap()), 2000);
            }
            chmod(path, mode);
            unistd::chown(path.as_path(), Some(1.into()), None).unwrap();
            let message = "belongs to uid 1, where only root may: chown it to root";
            assert_eq!(load(), Err(format!("{name} {message}")));
            unistd::chown(path.as_path(), Some(0.into()), None).unwrap();
        }
        assert_eq!(timeout(&load().unwrap()), 2000);
        // Links, even to what could be trusted.
        for path in [&main, &drop_in, &drop_ins] {
            let elsewhere = dir.path("elsewhere");
            fs::rename(path, &elsewhere).unwrap();
            symlink(&elsewhere, path).unwrap();
            let message = "is a link, and none is followed here: put what it names there";
            assert_eq!(load(), Err(format!("{} {message}", dir.words_of(path))));
            assert_eq!(timeout(&dir.system().unwrap()), 2000);
            fs::remove_file(path).unwrap();
            fs::rename(&elsewhere, path).unwrap();
        }
        assert_eq!(timeout(&load().unwrap()), 2000);
    }
}
