//! Reads the configuration's files, and each file with care: a name can lead to anything.

use std::{
    ffi::OsStr,
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use aictl_api::{
    config::{Config, ConfigError, DROP_INS, FILE, MAX_BYTES, Settings},
    exit,
};

use crate::plain_file::{self, NotPlain};

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
        }
    }
}

impl std::error::Error for LoadError {}

/// The configuration: of the file that the caller names, which must be there, else of the system's
/// files, none of which need be.
///
/// # Errors
/// If a file cannot be read, or its content is not accepted.
pub fn load(named: Option<&Path>) -> Result<Config, LoadError> {
    let config = match named {
        Some(path) => named_file(path),
        None => system_files(Path::new(FILE), Path::new(DROP_INS)),
    };
    config.map_err(|problem| LoadError { named: named.is_some(), problem })
}

fn named_file(path: &Path) -> Result<Config, Problem> {
    let settings =
        settings(path)?.ok_or_else(|| Problem::File(path.to_owned(), FileProblem::Missing))?;
    Config::try_from(settings).map_err(Problem::Content)
}

fn system_files(file: &Path, drop_ins: &Path) -> Result<Config, Problem> {
    let mut merged = settings(file)?.unwrap_or_default();
    for path in list(drop_ins)? {
        // What a directory lists and nobody finds is a link.
        let later = settings(&path)?
            .ok_or_else(|| Problem::File(path.clone(), FileProblem::DanglingLink))?;
        merged = later.over(merged);
    }
    Config::try_from(merged).map_err(Problem::Content)
}

/// What a file sets; `None` if there is no file.
fn settings(path: &Path) -> Result<Option<Settings>, Problem> {
    let text = match read(path) {
        Ok(text) => text,
        Err(FileProblem::Missing) => return Ok(None),
        Err(problem) => return Err(Problem::File(path.to_owned(), problem)),
    };
    Settings::parse(&path.to_string_lossy(), &text).map(Some).map_err(Problem::Content)
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

fn read(path: &Path) -> Result<String, FileProblem> {
    let file = open(path)?;
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
fn open(path: &Path) -> Result<File, FileProblem> {
    plain_file::open(path).map_err(|error| match error {
        NotPlain::Kind(kind) => FileProblem::Kind(kind),
        NotPlain::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
            FileProblem::Missing
        }
        NotPlain::Unreadable(error) => FileProblem::Unreadable(error),
    })
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
            let config = system_files(&self.path("aictl.toml"), &self.path("aictl.toml.d"));
            config.map_err(|problem| self.words(LoadError { named: false, problem }))
        }

        fn words(&self, error: LoadError) -> String {
            error.to_string().replace(self.0.to_str().unwrap(), "DIR")
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
        let error = load(Some(&dir.path("x.toml"))).unwrap_err();
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
        assert_eq!(timeout(&load(Some(&dir.path("own.toml"))).unwrap()), limits::TIMEOUT.default);
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
            let named = load(Some(&path)).unwrap_err();
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
}
