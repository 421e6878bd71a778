//! Directory trees for the tests of this module.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::engine::tests::engine;

/// An empty directory of its own, removed when dropped.
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) fn new() -> Self {
        // Tests of the engine give up root for this whole process, whenever they come: what root
        // had made before could not be written to after, and what it had started not be killed.
        engine();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("aictl-interpreter-{}-{number}", process::id());
        let root = fs::canonicalize(env::temp_dir()).unwrap().join(name);
        fs::create_dir(&root).unwrap();
        Self(root)
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub(super) fn dir(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(super) fn file(&self, path: &str, content: &[u8]) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A file that may be executed; not by the test, though: see [`Tree::script`].
    pub(super) fn program(&self, path: &str, content: &[u8]) -> PathBuf {
        let path = self.file(path, content);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A shell script that a test can execute. Another process writes it: with the file open for
    /// writing here, a fork in another test's thread would make execve(2) fail with ETXTBSY.
    pub(super) fn script(&self, path: &str, body: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$1\" && chmod 755 \"$1\"";
        let status =
            Command::new("/bin/sh").args(["-c", write, "sh"]).arg(&path).arg(body).status();
        assert!(status.unwrap().success());
        path
    }

    pub(super) fn fifo(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    /// A Python installation as `make install --prefix` leaves it; returns `bin/python3`.
    pub(super) fn python(&self, prefix: &str) -> PathBuf {
        self.file(&format!("{prefix}/lib/python3.12/os.py"), b"");
        self.program(&format!("{prefix}/bin/python3.12"), &elf(LOADER));
        link("python3.12", &self.path(&format!("{prefix}/bin/python3")));
        self.path(&format!("{prefix}/bin/python3"))
    }

    /// A virtual environment as `python3 -m venv` leaves it; returns `bin/python`.
    pub(super) fn venv(&self, prefix: &str, base: impl AsRef<Path>) -> PathBuf {
        let base = base.as_ref();
        let home = base.parent().unwrap().display();
        let config = format!("home = {home}\ninclude-system-site-packages = false\n");
        self.file(&format!("{prefix}/pyvenv.cfg"), config.as_bytes());
        self.dir(&format!("{prefix}/bin"));
        self.dir(&format!("{prefix}/lib/python3.12/site-packages"));
        link("python3", &self.path(&format!("{prefix}/bin/python")));
        link(base, &self.path(&format!("{prefix}/bin/python3")));
        self.path(&format!("{prefix}/bin/python"))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A link at `at`; `target` as its text.
pub(super) fn link(target: impl AsRef<Path>, at: &Path) {
    symlink(target, at).unwrap();
}

/// A loader that the system has, whatever the machine.
pub(super) const LOADER: &str = "/usr/bin/env";

/// The start of an ELF program for this machine: its header, one program header, its loader.
pub(super) fn elf(loader: &str) -> Vec<u8> {
    let machine: u16 = match env::consts::ARCH {
        "x86_64" => 62,
        "aarch64" => 183,
        "riscv64" => 243,
        _ => 0,
    };
    let mut file = vec![0; 120];
    let mut put = |at: usize, value: &[u8]| file[at..at + value.len()].copy_from_slice(value);
    put(0, b"\x7fELF\x02\x01\x01");
    put(18, &machine.to_ne_bytes());
    put(32, &64_u64.to_ne_bytes());
    put(54, &56_u16.to_ne_bytes());
    put(56, &1_u16.to_ne_bytes());
    put(64, &3_u32.to_ne_bytes());
    put(64 + 8, &120_u64.to_ne_bytes());
    put(64 + 32, &u64::try_from(loader.len() + 1).unwrap().to_ne_bytes());
    file.extend(loader.as_bytes());
    file.push(0);
    file
}
