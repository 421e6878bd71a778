//! Looks for an interpreter where a user expects it.

use std::{
    env,
    ffi::OsStr,
    path::{self, Path, PathBuf},
};

use super::{Interpreter, InterpreterError, Runtime, inspect::inspect, shim};

/// See [`super::find()`].
pub(super) fn find(
    runtime: Runtime,
    explicit: Option<&Path>,
    path: Option<&OsStr>,
    home: Option<&OsStr>,
) -> Result<Interpreter, InterpreterError> {
    Search { runtime, system: system(runtime), path, home }.find(explicit)
}

/// Where the distributions put it; bash is in `/bin` where that is no link to `/usr/bin`.
fn system(runtime: Runtime) -> &'static [&'static str] {
    match runtime {
        Runtime::Python => &["/usr/bin/python3"],
        Runtime::Bash => &["/usr/bin/bash", "/bin/bash"],
        Runtime::Node => &["/usr/bin/node"],
    }
}

/// The names to look up on `PATH`, the best first.
fn names(runtime: Runtime) -> &'static [&'static str] {
    match runtime {
        Runtime::Python => &["python3", "python"],
        // Another bash than the system's is rarely meant.
        Runtime::Bash => &[],
        Runtime::Node => &["node", "nodejs"],
    }
}

struct Search<'a> {
    runtime: Runtime,
    system: &'a [&'a str],
    path: Option<&'a OsStr>,
    home: Option<&'a OsStr>,
}

impl Search<'_> {
    fn find(&self, explicit: Option<&Path>) -> Result<Interpreter, InterpreterError> {
        let runtime = self.runtime;
        let Some(explicit) = explicit else {
            let system = self.system.iter().map(|path| self.inspect(Path::new(path)));
            let on_path = names(runtime).iter().flat_map(|name| self.on_path(Path::new(name)));
            return first(system.chain(on_path))
                .unwrap_or(Err(InterpreterError::Absent { runtime }));
        };
        let bare = explicit.components().count() == 1 && explicit.file_name().is_some();
        if bare && !explicit.as_os_str().as_encoded_bytes().contains(&b'/') {
            let name = explicit.to_path_buf();
            return first(self.on_path(explicit))
                .unwrap_or(Err(InterpreterError::NotOnPath { runtime, name }));
        }
        let full = path::absolute(explicit)
            .map_err(|source| InterpreterError::Io { path: explicit.to_path_buf(), source })?;
        self.inspect(&full)
    }

    fn inspect(&self, path: &Path) -> Result<Interpreter, InterpreterError> {
        inspect(self.runtime, path, self.home.map(Path::new))
    }

    /// Each program of this name on `PATH`; behind a shim, the program that it names.
    fn on_path<'a>(
        &'a self,
        name: &'a Path,
    ) -> impl Iterator<Item = Result<Interpreter, InterpreterError>> + 'a {
        let dirs = self.path.into_iter().flat_map(env::split_paths);
        // A relative directory would make the choice depend on where the user stands.
        dirs.filter(|dir| dir.is_absolute()).map(move |dir| {
            let candidate = dir.join(name);
            match self.inspect(&candidate) {
                Err(error) if error.is_shim() => self.inspect(&self.behind(&candidate)?),
                result => result,
            }
        })
    }

    fn behind(&self, shim: &Path) -> Result<PathBuf, InterpreterError> {
        let runtime = self.runtime;
        shim::ask(runtime, shim, self.path, self.home, shim::PATIENCE).map_err(|problem| {
            InterpreterError::Shim { runtime, path: shim.to_path_buf(), problem }
        })
    }
}

/// The first that is fit; else the first that was there, to explain; `None` if none was there.
fn first(
    candidates: impl Iterator<Item = Result<Interpreter, InterpreterError>>,
) -> Option<Result<Interpreter, InterpreterError>> {
    let mut unfit = None;
    for candidate in candidates {
        match candidate {
            Ok(_) => return Some(candidate),
            Err(error) if error.not_found() => {}
            Err(_) => unfit = unfit.or(Some(candidate)),
        }
    }
    unfit
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{
        super::tree::{LOADER, Tree, elf},
        InterpreterError as E, *,
    };

    fn path_of(tree: &Tree, dirs: &[&str]) -> OsString {
        env::join_paths(dirs.iter().map(|dir| tree.path(dir))).unwrap()
    }

    fn search<'a>(system: &'a [&'a str], path: &'a OsStr) -> Search<'a> {
        Search { runtime: Runtime::Python, system, path: Some(path), home: None }
    }

    #[test]
    fn explicit_comes_before_system_before_path() {
        let tree = Tree::new();
        let (system, mine, named) = (tree.python("sys"), tree.python("mine"), tree.python("named"));
        let path = path_of(&tree, &["none", "mine/bin", "named/bin"]);
        let systems = ["/nowhere/python3", system.to_str().unwrap()];
        let all = search(&systems, &path);
        assert_eq!(all.find(Some(&named)).unwrap().exe(), named);
        assert_eq!(all.find(None).unwrap().exe(), system);
        assert_eq!(search(&systems[..1], &path).find(None).unwrap().exe(), mine);
        // An explicit one that does not serve is never replaced by another.
        assert!(matches!(all.find(Some(&tree.path("none"))), Err(E::NotFound { .. })));
    }

    #[test]
    fn a_bare_name_is_looked_up_on_path() {
        let tree = Tree::new();
        let (first, second) = (tree.python("first"), tree.python("second"));
        let path = path_of(&tree, &["second/bin", "first/bin"]);
        let all = search(&[first.to_str().unwrap()], &path).find(Some(Path::new("python3.12")));
        assert_eq!(all.unwrap().exe(), second.with_file_name("python3.12"));
        let slash = search(&[], &path).find(Some(Path::new("python3.12/"))).unwrap_err();
        assert!(matches!(slash, E::NotFound { .. }), "{slash}");
        let none = search(&[], &path).find(Some(Path::new("python3.99"))).unwrap_err();
        assert!(none.not_found() && none.to_string().contains("python3.99"), "{none}");
    }

    #[test]
    fn a_relative_path_starts_where_the_user_stands() {
        let error = search(&[], OsStr::new("")).find(Some(Path::new("./python3"))).unwrap_err();
        let here = env::current_dir().unwrap().join("python3");
        assert!(matches!(&error, E::NotFound { path, .. } if *path == here), "{error:?}");
    }

    #[test]
    fn relative_directories_on_path_do_not_count() {
        let tree = Tree::new();
        tree.python("py");
        let here = env::current_dir().unwrap();
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let relative = up.join(tree.path("py/bin").strip_prefix("/").unwrap());
        assert!(relative.join("python3").exists());
        let path = env::join_paths([relative, PathBuf::new()]).unwrap();
        assert!(matches!(search(&[], &path).find(None), Err(E::Absent { .. })));
    }

    #[test]
    fn an_unfit_program_is_passed_over_but_explained_if_no_other_fits() {
        let tree = Tree::new();
        tree.program("text/python3", b"print(1)");
        tree.fifo("text/python");
        let path = path_of(&tree, &["text", "py/bin"]);
        let error = search(&[], &path).find(None).unwrap_err();
        assert!(matches!(&error, E::NotElf { .. }) && !error.not_found(), "{error:?}");
        let exe = tree.python("py");
        assert_eq!(search(&[], &path).find(None).unwrap().exe(), exe);
        let unfit = tree.path("text/python3");
        let all = search(&[unfit.to_str().unwrap()], OsStr::new("")).find(None);
        assert!(matches!(all, Err(E::NotElf { .. })), "{all:?}");
    }

    #[test]
    fn python_counts_where_there_is_no_python3() {
        let tree = Tree::new();
        let exe = tree.program("py/bin/python", &elf(LOADER));
        tree.file("py/lib/python3.12/os.py", b"");
        tree.python("late");
        let path = path_of(&tree, &["py/bin"]);
        assert_eq!(search(&[], &path).find(None).unwrap().exe(), exe);
        let path = path_of(&tree, &["py/bin", "late/bin"]);
        assert_eq!(search(&[], &path).find(None).unwrap().exe(), tree.path("late/bin/python3"));
    }

    #[test]
    fn a_shim_on_path_is_asked_for_the_real_one() {
        let tree = Tree::new();
        let exe = tree.python("versions/3.12.1");
        tree.script("shims/python3", &format!("echo '{}'", exe.display()));
        tree.script("broken/python3", "echo 'command not found' >&2; exit 127");
        let again = tree.path("again/python3");
        tree.script("again/python3", &format!("echo '{}'", again.display()));
        let path = |dir: &str| env::join_paths([tree.path(dir), "/usr/bin".into()]).unwrap();

        let shims = tree.path("shims");
        assert_eq!(search(&[], shims.as_os_str()).find(None).unwrap().exe(), exe);
        let named = search(&[], shims.as_os_str()).find(Some(Path::new("python3")));
        assert_eq!(named.unwrap().exe(), exe);
        // Given as a path it is not executed.
        let shim = tree.path("shims/python3");
        assert!(matches!(search(&[], &path("shims")).find(Some(&shim)), Err(E::Script { .. })));
        let shim = shim.to_str().unwrap();
        assert!(matches!(search(&[shim], OsStr::new("")).find(None), Err(E::Script { .. })));

        let broken = tree.path("broken");
        let error = search(&[], broken.as_os_str()).find(None).unwrap_err();
        assert!(matches!(&error, E::Shim { .. }), "{error:?}");
        assert!(error.to_string().contains("asked which, it named none: give"), "{error}");
        // A broken shim does not hide what comes after it on PATH.
        assert_eq!(
            search(&[], &path("broken")).find(None).unwrap().exe(),
            Path::new("/usr/bin/python3")
        );
        let again = tree.path("again");
        let error = search(&[], again.as_os_str()).find(None).unwrap_err();
        assert!(matches!(&error, E::Script { .. }), "{error:?}");
    }

    #[test]
    fn a_version_manager_behind_the_name_is_asked_too() {
        let tree = Tree::new();
        // A real program under another name that prints a path, as mise and volta are.
        tree.dir("shims");
        super::super::tree::link("/usr/bin/env", &tree.path("shims/python3"));
        let shims = tree.path("shims");
        let error = search(&[], shims.as_os_str()).find(None).unwrap_err();
        assert!(matches!(&error, E::Shim { .. }), "{error:?}");
    }

    #[test]
    fn nothing_anywhere_is_not_found() {
        for path in [None, Some(OsStr::new("/nowhere"))] {
            for runtime in Runtime::ALL {
                let all = Search { runtime, system: &[], path, home: None };
                let error = all.find(None).unwrap_err();
                assert!(matches!(error, E::Absent { .. }) && error.not_found());
                assert!(error.to_string().contains(runtime.program()), "{error}");
            }
        }
    }

    #[test]
    fn bash_is_the_systems_own() {
        let tree = Tree::new();
        tree.program("shells/bin/bash", &elf(LOADER));
        let path = path_of(&tree, &["shells/bin"]);
        let search = Search { runtime: Runtime::Bash, system: &[], path: Some(&path), home: None };
        assert!(matches!(search.find(None), Err(E::Absent { .. })));
        let bash = find(Runtime::Bash, None, None, None).unwrap();
        assert!(bash.roots().is_empty());
    }
}
