//! Checks one given interpreter, by looking at files only.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Component, Path, PathBuf},
};

use super::{
    Interpreter, InterpreterError, Runtime,
    elf::{self, Program},
    roots::{Gap, Roots, is_system},
};

/// The most that is read of a `pyvenv.cfg`, in bytes; real ones have some hundred.
const MOST_CONFIG: u64 = 64 * 1024;

/// See [`super::inspect()`]; `home` is the user's home directory, if known.
pub(super) fn inspect(
    runtime: Runtime,
    path: &Path,
    home: Option<&Path>,
) -> Result<Interpreter, InterpreterError> {
    let given = path.to_path_buf();
    if path.is_relative() {
        return Err(InterpreterError::Relative { runtime, path: given });
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(InterpreterError::Directory { runtime, path: given });
    };
    let absent = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            InterpreterError::NotFound { runtime, path: given.clone() }
        }
        _ => InterpreterError::Io { path: given.clone(), source },
    };
    let exe = fs::canonicalize(dir).map_err(absent)?.join(name);
    fs::symlink_metadata(&exe).map_err(absent)?;
    let loader = check_file(runtime, &exe)?;
    let real = canonical(&exe)?;
    let file_name = real.file_name().unwrap_or_default();
    if runtime == Runtime::Python && is_python2(file_name) {
        return Err(InterpreterError::Python2 { path: exe });
    }
    if !runtime.owns(file_name) {
        return Err(InterpreterError::WrongProgram { runtime, path: exe, real });
    }

    let mut roots = Roots::new(runtime, home);
    let venv = (runtime == Runtime::Python).then(|| Venv::around(&exe)).transpose()?.flatten();
    if let Some(venv) = &venv {
        roots.add(&venv.prefix)?;
        venv.add_base(&mut roots)?;
        reach_python(&exe, &mut roots)?;
        venv.check_base(&roots)?;
    } else if let Some(prefix) = prefix(runtime, &real)? {
        roots.add(&prefix)?;
        add_spelled(path, &prefix, &mut roots);
    }
    // Without a virtual environment the links to the real file may stay outside.
    let exe = if venv.is_some() || roots.reach(&exe).is_ok() { exe } else { real };
    if let Some(loader) = loader
        && roots.reach(&loader).is_err()
    {
        return Err(InterpreterError::Loader { runtime, path: exe, loader });
    }
    Ok(Interpreter { runtime, exe, roots: roots.into_dirs() })
}

/// Checks that a path leads to a program for this machine; returns the loader that it needs.
fn check_file(runtime: Runtime, exe: &Path) -> Result<Option<PathBuf>, InterpreterError> {
    let path = exe.to_path_buf();
    let unreadable = |source: io::Error| InterpreterError::Io { path: exe.to_path_buf(), source };
    let metadata = match fs::metadata(exe) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(InterpreterError::DanglingLink { runtime, path });
        }
        Err(error) => return Err(unreadable(error)),
    };
    if metadata.is_dir() {
        return Err(InterpreterError::Directory { runtime, path });
    }
    if !metadata.is_file() {
        return Err(InterpreterError::NotRegular { runtime, path });
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(InterpreterError::NotExecutable { runtime, path });
    }
    match File::open(exe).and_then(|file| elf::read(&file)).map_err(unreadable)? {
        Program::Script => Err(InterpreterError::Script { runtime, path }),
        Program::Other => Err(InterpreterError::NotElf { runtime, path }),
        Program::Foreign => Err(InterpreterError::WrongMachine { runtime, path }),
        Program::Native(loader) => Ok(loader),
    }
}

fn is_python2(name: &OsStr) -> bool {
    [&b"python2"[..], b"pypy2"].iter().any(|start| name.as_bytes().starts_with(start))
}

/// The directory that a real interpreter file needs; none in the system directories.
fn prefix(runtime: Runtime, real: &Path) -> Result<Option<PathBuf>, InterpreterError> {
    if is_system(real) {
        return Ok(None);
    }
    let prefix = match runtime {
        Runtime::Python => above_bin(real).filter(|prefix| has_library(prefix)),
        Runtime::Node => above_bin(real),
        // Bash is one file with the system's libraries.
        Runtime::Bash => real.parent(),
    };
    match prefix {
        Some(prefix) => Ok(Some(prefix.to_path_buf())),
        None => Err(InterpreterError::NoPrefix { runtime, path: real.to_path_buf() }),
    }
}

/// `PREFIX` of `PREFIX/bin/PROGRAM`.
fn above_bin(program: &Path) -> Option<&Path> {
    program.parent().filter(|dir| dir.ends_with("bin")).and_then(Path::parent)
}

/// Whether a prefix holds a standard library, by the file that CPython looks for (STDLIB_LANDMARKS
/// in Modules/getpath.py). The directory alone is not enough: `pip install --user` makes it too.
fn has_library(prefix: &Path) -> bool {
    let is_library = |entry: fs::DirEntry| {
        let name = entry.file_name();
        [&b"python3."[..], b"pypy3."].iter().any(|start| name.as_bytes().starts_with(start))
            && ["os.py", "os.pyc"].iter().any(|file| entry.path().join(file).is_file())
    };
    ["lib", "lib64"]
        .iter()
        .filter_map(|lib| fs::read_dir(prefix.join(lib)).ok())
        .any(|entries| entries.flatten().any(is_library))
}

/// Adds the prefix under the name by which it was given, where that name leads through links: a
/// build with a shared library has that name compiled in.
fn add_spelled(path: &Path, prefix: &Path, roots: &mut Roots) {
    let Some(spelled) = above_bin(path) else { return };
    let plain = !spelled.components().any(|part| part == Component::ParentDir);
    if plain && fs::canonicalize(spelled).is_ok_and(|real| real == prefix) {
        // A name that may not be bound is no loss: the real one is bound already.
        let _ = roots.add(spelled);
    }
}

/// Makes a virtual environment's program lead to its real file inside the sandbox: each Python
/// prefix that its links lead through becomes a root, under the name that the link uses.
fn reach_python(exe: &Path, roots: &mut Roots) -> Result<(), InterpreterError> {
    loop {
        match roots.reach(exe) {
            Ok(_) => return Ok(()),
            Err(Gap::Io(path, source)) => return Err(InterpreterError::Io { path, source }),
            Err(Gap::Outside(at)) => match above_bin(&at).filter(|prefix| has_library(prefix)) {
                // Each turn adds a directory, so that the number of links ends it.
                Some(prefix) if !roots.has(prefix) => roots.add(prefix)?,
                _ => return Err(InterpreterError::LinkOutside { path: exe.to_path_buf(), at }),
            },
        }
    }
}

/// A Python virtual environment.
struct Venv {
    prefix: PathBuf,
    config: PathBuf,
    home: Option<PathBuf>,
}

impl Venv {
    /// The virtual environment whose program this is, if any: `pyvenv.cfg` two levels above it.
    fn around(exe: &Path) -> Result<Option<Self>, InterpreterError> {
        let Some(prefix) = exe.parent().and_then(Path::parent) else { return Ok(None) };
        let config = prefix.join("pyvenv.cfg");
        let bad = |problem| InterpreterError::VenvConfig { path: config.clone(), problem };
        let io = |source| InterpreterError::Io { path: config.clone(), source };
        match fs::metadata(&config) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(bad("is not a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        }
        let mut content = Vec::new();
        File::open(&config)
            .and_then(|file| file.take(MOST_CONFIG + 1).read_to_end(&mut content))
            .map_err(io)?;
        if u64::try_from(content.len()).map_or(true, |length| length > MOST_CONFIG) {
            return Err(bad("is longer than 64 KiB"));
        }
        let home = config_home(&content).map(|home| PathBuf::from(OsStr::from_bytes(home)));
        if home.as_deref().is_some_and(Path::is_relative) {
            return Err(bad("has a `home` that is not a full path"));
        }
        Ok(Some(Self { prefix: prefix.to_path_buf(), config, home }))
    }

    /// Adds the prefix of the Python that the environment was made from, under the name in
    /// `pyvenv.cfg`, by which Python will look for its standard library.
    fn add_base(&self, roots: &mut Roots) -> Result<(), InterpreterError> {
        let Some(home) = &self.home else { return Ok(()) };
        // The prefix of /bin would be the root directory.
        if is_system(home) {
            return Ok(());
        }
        let plain = !home.components().any(|part| part == Component::ParentDir);
        let prefix = home.parent().filter(|prefix| plain && has_library(prefix));
        let prefix = prefix.ok_or_else(|| self.wrong_home())?;
        // Python takes the directories above `home` in turn, so it need not be called bin.
        roots.add(prefix)
    }

    /// Checks that Python will find the `home` of its `pyvenv.cfg` inside the sandbox.
    fn check_base(&self, roots: &Roots) -> Result<(), InterpreterError> {
        let Some(home) = &self.home else { return Ok(()) };
        match roots.reach(home) {
            Ok(_) => Ok(()),
            Err(Gap::Io(..)) => Err(self.wrong_home()),
            Err(Gap::Outside(at)) => {
                Err(InterpreterError::LinkOutside { path: self.config.clone(), at })
            }
        }
    }

    fn wrong_home(&self) -> InterpreterError {
        let home = self.home.clone().unwrap_or_default();
        InterpreterError::VenvHome { path: self.config.clone(), home }
    }
}

/// The value of the first `home` in a `pyvenv.cfg`, read as CPython reads it.
fn config_home(content: &[u8]) -> Option<&[u8]> {
    content.split(|&byte| byte == b'\n').find_map(|line| {
        let at = line.iter().position(|&byte| byte == b'=')?;
        let (key, value) = (line.get(..at)?, line.get(at + 1..)?);
        key.trim_ascii().eq_ignore_ascii_case(b"home").then(|| value.trim_ascii())
    })
}

fn canonical(path: &Path) -> Result<PathBuf, InterpreterError> {
    fs::canonicalize(path)
        .map_err(|source| InterpreterError::Io { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::fs::symlink, process::Command};

    use super::{
        super::tree::{LOADER, Tree, elf, link},
        InterpreterError as E, *,
    };

    fn python(path: &Path) -> Result<Interpreter, E> {
        inspect(Runtime::Python, path, None)
    }

    /// The interpreter's program and roots.
    fn parts(interpreter: &Interpreter) -> (&Path, Vec<&Path>) {
        (interpreter.exe(), interpreter.roots().iter().map(PathBuf::as_path).collect())
    }

    macro_rules! refused {
        ($path:expr, $pattern:pat) => {
            let result = python(&$path);
            assert!(matches!(result, Err($pattern)), "{:?}", result);
        };
    }

    #[test]
    fn each_unfit_path_has_its_own_error() {
        let tree = Tree::new();
        tree.python("py");
        let real = tree.path("py/bin/python3.12");
        link("gone", &tree.path("py/bin/python-gone"));
        link("python-loop", &tree.path("py/bin/python-loop"));
        tree.file("py/bin/python3-plain", &elf(LOADER));
        tree.program("py/bin/python3-shim", b"#!/bin/sh\n");
        tree.program("py/bin/python3-text", b"print(1)\n");
        tree.program("py/bin/python3-old", b"\x7fELF\x01\x01\x01                 ");
        tree.program("py/bin/python3-nix", &elf("/nix/store/glibc/lib/ld-linux-x86-64.so.2"));
        tree.program("py/bin/python3-noloader", &elf("/lib/no-such-loader.so"));
        tree.program("py/bin/mise", &elf(LOADER));
        tree.program("py/bin/python2.7", &elf(LOADER));
        link("mise", &tree.path("py/bin/python3-mise"));
        tree.fifo("py/bin/python3-fifo");
        let bin = |name: &str| tree.path("py/bin").join(name);

        refused!(PathBuf::from("venv/bin/python"), E::Relative { .. });
        refused!(PathBuf::from("python3"), E::Relative { .. });
        refused!(PathBuf::from(""), E::Relative { .. });
        refused!(PathBuf::from("/"), E::Directory { .. });
        refused!(tree.path("py/bin"), E::Directory { .. });
        refused!(tree.path("py/bin/.."), E::Directory { .. });
        refused!(bin("none"), E::NotFound { .. });
        refused!(tree.path("none/bin/python3"), E::NotFound { .. });
        refused!(real.join("python3"), E::NotFound { .. });
        refused!(bin("python-gone"), E::DanglingLink { .. });
        refused!(bin("python-loop"), E::Io { .. });
        refused!(bin("python3-fifo"), E::NotRegular { .. });
        refused!(PathBuf::from("/dev/null"), E::NotRegular { .. });
        refused!(bin("python3-plain"), E::NotExecutable { .. });
        refused!(bin("python3-shim"), E::Script { .. });
        refused!(bin("python3-text"), E::NotElf { .. });
        refused!(bin("python3-old"), E::WrongMachine { .. });
        refused!(bin("python3-nix"), E::Loader { .. });
        refused!(bin("python3-noloader"), E::Loader { .. });
        refused!(bin("python3-mise"), E::WrongProgram { .. });
        refused!(bin("mise"), E::WrongProgram { .. });
        refused!(bin("python2.7"), E::Python2 { .. });
        assert!(python(&real).is_ok());
    }

    #[test]
    fn absent_and_unfit_are_told_apart_and_explained() {
        let tree = Tree::new();
        let shim = tree.program("bin/python3", b"#!/bin/sh\n");
        link("gone", &tree.path("bin/python"));
        for (path, not_found, words) in [
            (tree.path("none"), true, "none: give another with --python"),
            (tree.path("bin/python"), true, "that is gone"),
            (shim, false, "the output of `pyenv which python3`"),
            (tree.path("bin"), false, "bin/python3"),
        ] {
            let error = python(&path).unwrap_err();
            assert_eq!(error.not_found(), not_found, "{error}");
            let message = error.to_string();
            assert!(message.starts_with(&path.display().to_string()) || not_found, "{message}");
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn the_system_python_needs_no_roots() {
        let found = python(Path::new("/usr/bin/python3")).unwrap();
        assert_eq!(parts(&found), (Path::new("/usr/bin/python3"), vec![]));
        assert_eq!(found.runtime(), Runtime::Python);
        // The directory is spelled out without links, the program is not.
        let found = python(Path::new("/usr/lib/../bin/python3")).unwrap();
        assert_eq!(parts(&found), (Path::new("/usr/bin/python3"), vec![]));
    }

    #[test]
    fn a_python_elsewhere_needs_its_prefix() {
        let tree = Tree::new();
        for prefix in ["home/.pyenv/versions/3.12.1", "home/miniconda3/envs/ml", "py"] {
            let exe = tree.python(prefix);
            let found = python(&exe).unwrap();
            assert_eq!(parts(&found), (&*exe, vec![&*tree.path(prefix)]), "{prefix}");
            let real = tree.path(prefix).join("bin/python3.12");
            assert_eq!(parts(&python(&real).unwrap()), (&*real, vec![&*tree.path(prefix)]));
        }
        // A standard library in lib64, only compiled, or PyPy's.
        for (name, library) in [
            ("fedora", "lib64/python3.12/os.py"),
            ("compiled", "lib/python3.12/os.pyc"),
            ("free-threaded", "lib/python3.13t/os.py"),
            ("pypy", "lib/pypy3.10/os.py"),
        ] {
            tree.file(&format!("{name}/{library}"), b"");
            let exe = tree.program(&format!("{name}/bin/python3"), &elf(LOADER));
            assert_eq!(parts(&python(&exe).unwrap()), (&*exe, vec![&*tree.path(name)]), "{name}");
        }
        // A header that says nothing about a loader is left to the kernel.
        tree.file("bare/lib/python3.12/os.py", b"");
        assert!(python(&tree.program("bare/bin/python3", b"\x7fELF")).is_ok());
    }

    #[test]
    fn a_prefix_must_hold_a_standard_library() {
        let tree = Tree::new();
        for (name, library) in [
            ("none", "share/x"),
            ("user-packages", "lib/python3.12/site-packages/os.py"),
            ("python2", "lib/python2.7/os.py"),
            ("elsewhere", "lib/ruby/os.py"),
        ] {
            tree.file(&format!("{name}/{library}"), b"");
            refused!(
                tree.program(&format!("{name}/bin/python3"), &elf(LOADER)),
                E::NoPrefix { .. }
            );
        }
        tree.file("build/lib/python3.12/os.py", b"");
        refused!(tree.program("build/out/python3", &elf(LOADER)), E::NoPrefix { .. });
    }

    #[test]
    fn links_outside_are_left_out_where_there_is_no_virtual_environment() {
        let tree = Tree::new();
        let exe = tree.python("py");
        let real = tree.path("py/bin/python3.12");
        tree.dir("home/bin");
        link(&exe, &tree.path("home/bin/python"));
        let found = python(&tree.path("home/bin/python")).unwrap();
        assert_eq!(parts(&found), (&*real, vec![&*tree.path("py")]));
        // As with uv: ~/.local/bin/python3.12 leads into its own store.
        link("../../py/bin/python3.12", &tree.path("home/bin/python3.12"));
        let found = python(&tree.path("home/bin/python3.12")).unwrap();
        assert_eq!(parts(&found), (&*real, vec![&*tree.path("py")]));
        // A library that was built for the name with the link is found under it.
        link("py", &tree.path("alias"));
        let found = python(&tree.path("alias/bin/python3")).unwrap();
        assert_eq!(parts(&found), (&*exe, vec![&*tree.path("alias"), &*tree.path("py")]));
    }

    #[test]
    fn a_broad_prefix_is_refused() {
        let tree = Tree::new();
        let exe = tree.python("me");
        let home = tree.path("me");
        let result = inspect(Runtime::Python, &exe, Some(&home));
        assert!(matches!(result, Err(E::PrefixTooBroad { .. })), "{result:?}");
        // Nor as a virtual environment's base, or as the environment itself.
        let venv = tree.venv("venv", &exe);
        let result = inspect(Runtime::Python, &venv, Some(&home));
        assert!(matches!(result, Err(E::PrefixTooBroad { .. })), "{result:?}");
        let venv = tree.venv("you", "/usr/bin/python3");
        let result = inspect(Runtime::Python, &venv, Some(&tree.path("you")));
        assert!(matches!(result, Err(E::PrefixTooBroad { .. })), "{result:?}");
        let venv = tree.venv("you/venv", "/usr/bin/python3");
        assert!(inspect(Runtime::Python, &venv, Some(&tree.path("you"))).is_ok());
    }

    #[test]
    fn a_virtual_environment_needs_its_prefix_and_its_base() {
        let tree = Tree::new();
        let base = tree.python("versions/3.12.1");
        let base_dir = tree.path("versions/3.12.1");
        let venv = tree.venv("project/.venv", &base);
        let venv_dir = tree.path("project/.venv");
        let found = python(&venv).unwrap();
        assert_eq!(parts(&found), (&*venv, vec![&*venv_dir, &*base_dir]));
        let python3 = venv_dir.join("bin/python3");
        assert_eq!(parts(&python(&python3).unwrap()), (&*python3, vec![&*venv_dir, &*base_dir]));

        let venv = tree.venv("system", "/usr/bin/python3");
        assert_eq!(parts(&python(&venv).unwrap()), (&*venv, vec![&*tree.path("system")]));

        // As pyenv-virtualenv has it: in its base, and under a second name.
        let inner = tree.venv("versions/3.12.1/envs/ml", &base);
        assert_eq!(parts(&python(&inner).unwrap()), (&*inner, vec![&*base_dir]));
        link("3.12.1/envs/ml", &tree.path("versions/ml"));
        let found = python(&tree.path("versions/ml/bin/python")).unwrap();
        assert_eq!(parts(&found), (&*inner, vec![&*base_dir]));

        // As `python3 -m venv --copies` has it: no link leads to the base.
        let copied = tree.program("copied/bin/python3", &elf(LOADER));
        tree.file(
            "copied/pyvenv.cfg",
            format!("home={}\n", base_dir.join("bin").display()).as_bytes(),
        );
        let found = python(&copied).unwrap();
        assert_eq!(parts(&found), (&*copied, vec![&*tree.path("copied"), &*base_dir]));

        // As uv has it: the base goes by a name with a link in it. Its real name is needed too,
        // because a shared libpython is looked for under the one that was compiled in.
        link("3.12.1", &tree.path("versions/3.12"));
        let venv = tree.venv("uv", tree.path("versions/3.12/bin/python3"));
        let found = python(&venv).unwrap();
        let alias = tree.path("versions/3.12");
        assert_eq!(parts(&found), (&*venv, vec![&*tree.path("uv"), &*alias, &*base_dir]));
    }

    #[test]
    fn a_virtual_environment_leads_through_known_places_only() {
        let tree = Tree::new();
        let base = tree.python("py");
        tree.dir("home/bin");
        link(&base, &tree.path("home/bin/python3"));
        // Through a directory of the user's that is no Python's.
        let venv = tree.venv("venv", tree.path("home/bin/python3"));
        tree.file(
            "venv/pyvenv.cfg",
            format!("home = {}", tree.path("py/bin").display()).as_bytes(),
        );
        match python(&venv) {
            Err(E::LinkOutside { path, at }) => {
                assert_eq!((path, at), (venv, tree.path("home/bin/python3")));
            }
            other => panic!("{other:?}"),
        }
        // Through another Python's: that one is needed too.
        tree.file("other/lib/python3.12/os.py", b"");
        tree.dir("other/bin");
        link(&base, &tree.path("other/bin/python3"));
        let venv = tree.venv("two", tree.path("other/bin/python3"));
        let found = python(&venv).unwrap();
        let roots = vec![tree.path("other"), tree.path("py"), tree.path("two")];
        assert_eq!(found.roots(), roots);
        // Through a name that exists on the host only: the sandbox has no `side` to go up from.
        tree.dir("side");
        let up = tree.path("side/../py/bin/python3");
        let venv = tree.venv("up", &up);
        tree.file("up/pyvenv.cfg", format!("home = {}", tree.path("py/bin").display()).as_bytes());
        refused!(venv, E::LinkOutside { .. });
    }

    #[test]
    fn pyvenv_cfg_is_read_as_cpython_reads_it() {
        for (content, home) in [
            ("home = /usr/bin\n", Some("/usr/bin")),
            ("home=/usr/bin", Some("/usr/bin")),
            ("version = 3.12\r\n HOME\t=  /a b/bin \r\nx = y\r\n", Some("/a b/bin")),
            ("home = /first\nhome = /second\n", Some("/first")),
            ("home = /a=b\n", Some("/a=b")),
            ("home\nhome = /x\n", Some("/x")),
            ("homes = /x\n# home is = /x\n", None),
            ("home =\n", Some("")),
            ("", None),
        ] {
            let home = home.map(str::as_bytes);
            assert_eq!(config_home(content.as_bytes()), home, "{content}");
        }
    }

    #[test]
    fn an_unfit_pyvenv_cfg_is_refused() {
        let tree = Tree::new();
        let base = tree.python("py");
        let venv = tree.venv("venv", &base);
        let config = |content: &str| tree.file("venv/pyvenv.cfg", content.as_bytes());
        let home = tree.path("py/bin").display().to_string();
        // Without `home` the links alone lead to the base.
        for content in [String::new(), format!("home = {home}/"), format!("home = {home}")] {
            config(&content);
            let found = python(&venv).unwrap();
            assert_eq!(found.roots(), [tree.path("py"), tree.path("venv")], "{content}");
        }
        for (name, content) in [
            ("relative", "home = py/bin".to_owned()),
            ("empty", "home =".to_owned()),
            ("long", format!("home = {home}\n{}", "#".repeat(64 * 1024))),
        ] {
            config(&content);
            let result = python(&venv);
            assert!(matches!(result, Err(E::VenvConfig { .. })), "{name}: {result:?}");
        }
        config("home = /bin");
        assert!(python(&venv).is_ok());
        for (name, content) in [
            ("gone", format!("home = {home}x")),
            ("no Python", format!("home = {}", tree.path("venv/bin").display())),
            ("up", format!("home = {home}/../bin")),
            ("gone from the system", "home = /usr/no-such-bin".to_owned()),
        ] {
            config(&content);
            let result = python(&venv);
            assert!(matches!(result, Err(E::VenvHome { .. })), "{name}: {result:?}");
        }
        fs::remove_file(tree.path("venv/pyvenv.cfg")).unwrap();
        tree.dir("venv/pyvenv.cfg");
        refused!(venv, E::VenvConfig { .. });
    }

    #[test]
    fn a_real_virtual_environment_is_one() {
        let tree = Tree::new();
        for (name, options) in [("linked", "--symlinks"), ("copied", "--copies")] {
            let status = Command::new("/usr/bin/python3")
                .args(["-m", "venv", "--without-pip", options])
                .arg(tree.path(name))
                .status();
            assert!(status.unwrap().success());
            let exe = tree.path(name).join("bin/python3");
            let found = python(&exe).unwrap();
            assert_eq!(parts(&found), (&*exe, vec![&*tree.path(name)]));
        }
    }

    #[test]
    fn node_needs_its_prefix_and_bash_its_directory() {
        let tree = Tree::new();
        let node = tree.program("nvm/versions/node/v20/bin/node", &elf(LOADER));
        let found = inspect(Runtime::Node, &node, None).unwrap();
        assert_eq!(parts(&found), (&*node, vec![&*tree.path("nvm/versions/node/v20")]));
        let loose = tree.program("loose/node", &elf(LOADER));
        let result = inspect(Runtime::Node, &loose, None);
        assert!(matches!(result, Err(E::NoPrefix { .. })), "{result:?}");
        let bash = tree.program("shells/bin/bash", &elf(LOADER));
        let found = inspect(Runtime::Bash, &bash, None).unwrap();
        assert_eq!(parts(&found), (&*bash, vec![&*tree.path("shells/bin")]));
        // A pyvenv.cfg means nothing to another runtime.
        tree.file("nvm/versions/node/v20/pyvenv.cfg", b"home = nowhere");
        assert!(inspect(Runtime::Node, &node, None).is_ok());
        let found = inspect(Runtime::Bash, Path::new("/bin/bash"), None).unwrap();
        assert!(found.roots().is_empty());
    }

    #[test]
    fn this_program_is_for_this_machine() {
        let tree = Tree::new();
        symlink(env::current_exe().unwrap(), tree.path("python3")).unwrap();
        refused!(tree.path("python3"), E::WrongProgram { .. });
    }
}
