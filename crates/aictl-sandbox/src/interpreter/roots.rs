//! The directories that a sandbox shows for an interpreter, and where a path leads among them.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::{InterpreterError, Runtime};

/// The directories that every sandbox has, read-only and as on the host. `/usr/local` is in them.
const SYSTEM: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Where the sandbox has its own instead of the host's.
const RESERVED: [&str; 4] = ["/dev", "/etc", "/proc", "/sys"];

/// Home directories; `*` stands for any one name.
const HOMES: [&str; 3] = ["/root", "/home/*", "/var/home/*"];

/// A home itself, and the directories in it where many programs keep what is the user's own, keys
/// among it.
const HOME_PARTS: [&str; 5] = ["", ".local", ".local/share", ".config", ".cache"];

/// Other directories that hold the belongings of many; `*` stands for any one name.
const SHARED: [&str; 6] =
    ["/var/cache", "/var/home", "/var/lib", "/var/tmp", "/run/user", "/run/user/*"];

/// Links that one path may lead through, as in the kernel (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Whether an absolute path without links or `..` is in a system directory.
pub(super) fn is_system(path: &Path) -> bool {
    SYSTEM.iter().any(|dir| path.starts_with(dir))
}

/// How much a sandbox would see if it saw a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breadth {
    /// An installation of its own.
    Narrow,
    /// A home directory, a part of the system, or anything near the root.
    Broad,
    /// A place where the sandbox has its own.
    Reserved,
}

/// Judges an absolute path without `..`; `homes` are the names of the user's home directory.
fn breadth(dir: &Path, homes: &[PathBuf]) -> Breadth {
    let depth = dir.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let is_home = |dir: &Path| {
        HOMES.iter().any(|pattern| matches(pattern, dir)) || homes.iter().any(|home| home == dir)
    };
    let is_part_of_home = || {
        dir.ancestors()
            .filter(|home| is_home(home))
            .any(|home| HOME_PARTS.iter().any(|part| dir.strip_prefix(home) == Ok(Path::new(part))))
    };
    if RESERVED.iter().any(|own| dir.starts_with(own)) {
        Breadth::Reserved
    } else if depth < 2
        || SHARED.iter().any(|pattern| matches(pattern, dir))
        || homes.iter().any(|home| home.starts_with(dir))
        || is_part_of_home()
    {
        Breadth::Broad
    } else {
        Breadth::Narrow
    }
}

fn matches(pattern: &str, path: &Path) -> bool {
    let mut parts = path.components();
    Path::new(pattern)
        .components()
        .all(|wanted| parts.next().is_some_and(|part| wanted.as_os_str() == "*" || part == wanted))
        && parts.next().is_none()
}

/// Why a path leads nowhere inside the sandbox.
#[derive(Debug)]
pub(super) enum Gap {
    /// It leads to this place, which the sandbox does not have.
    Outside(PathBuf),
    /// The host cannot follow it.
    Io(PathBuf, io::Error),
}

/// The directories to bind for one interpreter, each fit to be bound.
#[derive(Debug)]
pub(super) struct Roots {
    runtime: Runtime,
    homes: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
}

impl Roots {
    /// No directories yet. `home` is the user's home directory, if known.
    pub(super) fn new(runtime: Runtime, home: Option<&Path>) -> Self {
        let mut homes: Vec<PathBuf> = home.map(Path::to_path_buf).into_iter().collect();
        homes.extend(home.and_then(|home| fs::canonicalize(home).ok()));
        Self { runtime, homes, dirs: Vec::new() }
    }

    /// Adds a directory by this name, an absolute path without `..`, and by its real name: a Python
    /// with a shared library has the name of its prefix compiled in, and either can be the one.
    pub(super) fn add(&mut self, dir: &Path) -> Result<(), InterpreterError> {
        let real = fs::canonicalize(dir)
            .map_err(|source| InterpreterError::Io { path: dir.to_path_buf(), source })?;
        let runtime = self.runtime;
        for name in [dir, &real] {
            match breadth(name, &self.homes) {
                _ if self.has(name) => {}
                Breadth::Narrow => {}
                Breadth::Broad => {
                    let prefix = name.to_path_buf();
                    return Err(InterpreterError::PrefixTooBroad { runtime, prefix });
                }
                Breadth::Reserved => {
                    let prefix = name.to_path_buf();
                    return Err(InterpreterError::PrefixReserved { runtime, prefix });
                }
            }
        }
        for name in [dir, &real] {
            if !self.has(name) {
                self.dirs.retain(|inner| !inner.starts_with(name));
                self.dirs.push(name.to_path_buf());
            }
        }
        self.dirs.sort();
        Ok(())
    }

    /// Whether the sandbox has this absolute path without `..`, as far as names go.
    pub(super) fn has(&self, path: &Path) -> bool {
        is_system(path) || self.dirs.iter().any(|dir| path.starts_with(dir))
    }

    /// Follows an absolute path through all its links as the kernel does inside the sandbox.
    ///
    /// There a root is a plain directory, even where its name leads through links on the host.
    pub(super) fn reach(&self, path: &Path) -> Result<PathBuf, Gap> {
        let mut here = PathBuf::from("/");
        let mut rest: Vec<OsString> = reversed(path);
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match Path::new(&part).components().next() {
                Some(Component::RootDir) => here = PathBuf::from("/"),
                Some(Component::ParentDir) => {
                    here.pop();
                }
                Some(Component::Normal(_)) => here.push(&part),
                _ => {}
            }
            if !self.has(&here) {
                // The sandbox makes the directories above a root, and nothing beside it.
                if self.dirs.iter().any(|dir| dir.starts_with(&here)) || here == Path::new("/") {
                    continue;
                }
                return Err(Gap::Outside(
                    rest.iter().rev().fold(here, |path, part| join(path, part)),
                ));
            }
            if self.dirs.contains(&here) {
                continue;
            }
            match fs::read_link(&here) {
                Ok(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        let source = io::Error::other("too many links");
                        return Err(Gap::Io(path.to_path_buf(), source));
                    }
                    here.pop();
                    rest.extend(reversed(&target));
                }
                // EINVAL: it is there, and no link (readlink(2)).
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(Gap::Io(here, error)),
            }
        }
        Ok(here)
    }

    /// The directories, sorted, none inside another.
    pub(super) fn into_dirs(self) -> Vec<PathBuf> {
        self.dirs
    }
}

fn reversed(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
}

fn join(mut path: PathBuf, part: &OsStr) -> PathBuf {
    if part == ".." {
        path.pop();
    } else {
        path.push(part);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{
        super::tree::{Tree, link},
        *,
    };

    #[test]
    fn no_root_is_broad() {
        use Breadth::{Broad, Narrow, Reserved};
        let table = [
            ("/", Broad),
            ("/home", Broad),
            ("/root", Broad),
            ("/tmp", Broad),
            ("/opt", Broad),
            ("/var", Broad),
            ("/run", Broad),
            ("/srv", Broad),
            ("/venv", Broad),
            ("/home/u", Broad),
            ("/home/u/.local", Broad),
            ("/home/u/.local/share", Broad),
            ("/home/u/.config", Broad),
            ("/home/u/.cache", Broad),
            ("/root/.local", Broad),
            ("/var/home/u", Broad),
            ("/var/home/u/.local", Broad),
            ("/var/lib", Broad),
            ("/run/user", Broad),
            ("/run/user/1000", Broad),
            ("/data/people", Broad),
            ("/data/people/me", Broad),
            ("/data/people/me/.local", Broad),
            ("/etc", Reserved),
            ("/etc/python", Reserved),
            ("/proc", Reserved),
            ("/proc/1/root/opt/py", Reserved),
            ("/sys/fs", Reserved),
            ("/dev/shm/venv", Reserved),
            ("/home/u/venv", Narrow),
            ("/home/u/.venv", Narrow),
            ("/home/u/.local/py", Narrow),
            ("/home/u/.local/share/uv", Narrow),
            ("/root/venv", Narrow),
            ("/root/pythons/3.12", Narrow),
            ("/data/people/me/venv", Narrow),
            ("/data/people/you", Narrow),
            ("/opt/py", Narrow),
            ("/tmp/venv", Narrow),
            ("/var/lib/app", Narrow),
            ("/run/user/1000/venv", Narrow),
            ("/etcetera/py", Narrow),
        ];
        for (dir, expected) in table {
            let homes = [PathBuf::from("/data/people/me")];
            assert_eq!(breadth(Path::new(dir), &homes), expected, "{dir}");
        }
    }

    #[test]
    fn system_directories_are_known_by_whole_names() {
        for (path, expected) in [
            ("/usr", true),
            ("/usr/local/bin/python3", true),
            ("/lib64/x", true),
            ("/usrlocal", false),
            ("/library", false),
            ("/", false),
            ("/opt/usr", false),
        ] {
            assert_eq!(is_system(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn roots_are_sorted_and_none_is_in_another() {
        let tree = Tree::new();
        for dir in ["b/x/y", "a", "ab", "b/z"] {
            tree.dir(dir);
        }
        let mut roots = Roots::new(Runtime::Python, None);
        for dir in ["b/x/y", "b/z", "ab", "a", "b", "b/x", "a"] {
            roots.add(&tree.path(dir)).unwrap();
        }
        roots.add(Path::new("/usr/bin")).unwrap();
        assert_eq!(roots.into_dirs(), [tree.path("a"), tree.path("ab"), tree.path("b")]);
    }

    #[test]
    fn a_root_is_judged_by_what_it_leads_to() {
        let tree = Tree::new();
        let home = tree.dir("people/me");
        link("people/me", &tree.path("innocent"));
        link("/", &tree.path("all"));
        link("/etc", &tree.path("own"));
        let mut roots = Roots::new(Runtime::Python, Some(&home));
        for name in ["innocent", "all", "people"] {
            let error = roots.add(&tree.path(name)).unwrap_err();
            assert!(matches!(error, InterpreterError::PrefixTooBroad { .. }), "{name}: {error}");
        }
        let error = roots.add(&tree.path("own")).unwrap_err();
        assert!(matches!(error, InterpreterError::PrefixReserved { .. }), "{error}");
        // Its own name counts too.
        let mut roots = Roots::new(Runtime::Python, Some(&tree.path("crowd/me")));
        tree.dir("empty");
        link("empty", &tree.path("crowd"));
        let error = roots.add(&tree.path("crowd")).unwrap_err();
        assert!(matches!(error, InterpreterError::PrefixTooBroad { .. }), "{error}");
        // A home that has two names is a home under both.
        let mut roots = Roots::new(Runtime::Python, Some(&tree.path("innocent")));
        for name in ["innocent", "people/me"] {
            let error = roots.add(&tree.path(name)).unwrap_err();
            assert!(matches!(error, InterpreterError::PrefixTooBroad { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn paths_lead_as_inside_the_sandbox() {
        let tree = Tree::new();
        tree.file("real/bin/x", b"");
        tree.file("other/bin/x", b"");
        link("real", &tree.path("alias"));
        link("x", &tree.path("real/bin/y"));
        link("../../alias/bin/y", &tree.path("real/bin/up"));
        link("../../other/bin/x", &tree.path("real/bin/out"));
        link(tree.path("other/bin/x"), &tree.path("real/bin/far"));
        link("loop", &tree.path("real/bin/loop"));
        link("/usr/bin/env", &tree.path("real/bin/env"));
        let mut roots = Roots::new(Runtime::Python, None);
        roots.add(&tree.path("real")).unwrap();
        roots.add(&tree.path("alias")).unwrap();
        for (path, target) in [
            ("real/bin/x", "real/bin/x"),
            ("real/bin/y", "real/bin/x"),
            ("real/./bin/../bin/x", "real/bin/x"),
            ("alias/bin/y", "alias/bin/x"),
            ("real/bin/up", "alias/bin/x"),
        ] {
            let reached = roots.reach(&tree.path(path)).unwrap();
            assert_eq!(reached, tree.path(target), "{path}");
        }
        for path in ["real/bin/out", "real/bin/far", "other/bin/x"] {
            match roots.reach(&tree.path(path)) {
                Err(Gap::Outside(at)) => assert_eq!(at, tree.path("other/bin/x"), "{path}"),
                other => panic!("{path}: {other:?}"),
            }
        }
        for path in ["real/bin/loop", "real/bin/none"] {
            assert!(matches!(roots.reach(&tree.path(path)), Err(Gap::Io(..))), "{path}");
        }
        let env = roots.reach(&tree.path("real/bin/env")).unwrap();
        assert_eq!(env, fs::canonicalize("/usr/bin/env").unwrap());
    }
}
