//! Tests of reading the configuration's files.

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
fn only_what_root_alone_writes_and_all_read_is_trusted() {
    use FileProblem::{Closed, Owner, Writable};
    use Kind::{Directory, DropIns, File};
    let table = [
        (0, 0o100_644, File, None),
        (0, 0o100_604, File, None),
        (0, 0o040_755, DropIns, None),
        (0, 0o040_711, Directory, None),
        (1, 0o100_644, File, Some(Owner(1))),
        (1000, 0o100_666, File, Some(Owner(1000))),
        (0, 0o100_664, File, Some(Writable)),
        (0, 0o100_646, File, Some(Writable)),
        // No bit makes up for it.
        (0, 0o041_777, DropIns, Some(Writable)),
        (0, 0o100_020, File, Some(Writable)),
        // A group may be the helper's, but never everybody's.
        (0, 0o100_640, File, Some(Closed(File))),
        (0, 0o100_600, File, Some(Closed(File))),
        (0, 0o040_750, Directory, Some(Closed(Directory))),
        (0, 0o040_711, DropIns, Some(Closed(DropIns))),
        (0, 0o040_754, DropIns, Some(Closed(DropIns))),
    ];
    for (uid, mode, kind, expected) in table {
        let words = |problem| Problem::File(PathBuf::from("/x"), problem);
        let words = |problem| LoadError { named: false, problem: words(problem) }.to_string();
        assert_eq!(distrust(uid, mode, kind).map(words), expected.map(words), "{uid} {mode:o}");
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
        let message = format!("DIR belongs to uid {uid}, where only root may: chown it to root");
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
        chmod(path, mode & !0o005);
        let error = load().unwrap_err();
        assert!(
            error.starts_with(&format!("{name} is closed to others than its owner")),
            "{error}"
        );
        assert_eq!(timeout(&dir.system().unwrap()), 2000);
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
