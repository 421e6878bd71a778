//! A directory that holds what a package holds, in the places where it will be.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::file;
use crate::failure::Failure;
use crate::install;
use crate::workspace::{self, Workspace};

/// The directory.
#[derive(Debug)]
pub struct Tree(PathBuf);

impl Tree {
    /// Makes it anew at `path`, with all that `install` installs; the programs are stripped, as they
    /// are anyway if they are shipped.
    ///
    /// # Errors
    /// A failure if something cannot be written, or a program cannot be stripped.
    pub fn make(
        workspace: &Workspace,
        program: impl Fn(&str) -> PathBuf,
        path: &Path,
    ) -> Result<Self, Failure> {
        if path.exists() {
            fs::remove_dir_all(path).map_err(|error| file("cannot remove", path, error))?;
        }
        install::place(workspace, program, path)?;
        let tree = Self(path.to_owned());
        for program in tree.programs()? {
            let mut strip = Command::new("strip");
            strip.args(["--strip-all", "--remove-section=.comment"]).arg(tree.0.join(program));
            workspace::run(strip, "strip")?;
        }
        Ok(tree)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The files in it, in order, by their paths below it.
    ///
    /// # Errors
    /// A failure if a directory cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        let mut directories = vec![self.0.clone()];
        while let Some(directory) = directories.pop() {
            let problem = |error| file("cannot read", &directory, error);
            for entry in fs::read_dir(&directory).map_err(problem)? {
                let entry = entry.map_err(problem)?;
                if entry.file_type().map_err(problem)?.is_dir() {
                    directories.push(entry.path());
                } else if let Ok(below) = entry.path().strip_prefix(&self.0) {
                    found.push(below.to_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The programs among them, and the libraries that these load.
    ///
    /// # Errors
    /// As [`files`](Self::files).
    pub fn programs(&self) -> Result<Vec<PathBuf>, Failure> {
        let is_program = |path: &PathBuf| {
            let metadata = self.0.join(path).metadata();
            path.extension().is_some_and(|extension| extension == "so")
                || metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
        };
        Ok(self.files()?.into_iter().filter(is_program).collect())
    }

    /// The files among them that an administrator may have changed.
    ///
    /// # Errors
    /// As [`files`](Self::files).
    pub fn settings(&self) -> Result<Vec<PathBuf>, Failure> {
        Ok(self.files()?.into_iter().filter(|path| path.starts_with("etc")).collect())
    }

    /// Writes a file that all may read.
    ///
    /// # Errors
    /// A failure if that cannot be done.
    pub fn write(&self, path: &str, text: &str) -> Result<(), Failure> {
        self.write_with_mode(path, text, 0o644)
    }

    /// Writes a file with this mode, and makes the directories above it, open to all.
    ///
    /// # Errors
    /// A failure if that cannot be done.
    pub fn write_with_mode(&self, path: &str, text: &str, mode: u32) -> Result<(), Failure> {
        let path = self.0.join(path);
        install::place_bytes(text.as_bytes(), &path, mode)
    }

    /// Moves a file.
    ///
    /// # Errors
    /// A failure if that cannot be done.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        let (from, to) = (self.0.join(from), self.0.join(to));
        install::place_one(&from, &to, 0o644)?;
        fs::remove_file(&from).map_err(|error| file("cannot remove", &from, error))
    }

    /// Compresses a file, the same way each time.
    ///
    /// # Errors
    /// A failure if that cannot be done.
    pub fn compress(&self, path: impl AsRef<Path>) -> Result<(), Failure> {
        let mut gzip = Command::new("gzip");
        gzip.args(["-9", "--no-name", "--force"]).arg(self.0.join(path));
        workspace::run(gzip, "gzip")
    }

    /// Compresses the manual's pages.
    ///
    /// # Errors
    /// As [`files`](Self::files) and [`compress`](Self::compress).
    pub fn compress_manual(&self) -> Result<(), Failure> {
        let files = self.files()?;
        let mut pages = files.iter().filter(|path| path.starts_with("usr/share/man"));
        pages.try_for_each(|page| self.compress(page))
    }

    /// Its size in KiB as a package counts it: each file in whole KiB, and one for each directory.
    ///
    /// # Errors
    /// As [`files`](Self::files).
    pub fn kibibytes(&self) -> Result<u64, Failure> {
        let mut sum = 0;
        let mut directories: Vec<PathBuf> = Vec::new();
        for path in self.files()? {
            let full = self.0.join(&path);
            let metadata = full.metadata().map_err(|error| file("cannot read", &full, error))?;
            sum += metadata.len().div_ceil(1024);
            directories.extend(path.ancestors().skip(1).map(Path::to_owned));
        }
        directories.sort();
        directories.dedup();
        Ok(sum + directories.len() as u64)
    }

    /// Lets everyone enter it, whatever the umask.
    ///
    /// # Errors
    /// A failure if that cannot be done.
    pub fn open(&self) -> Result<(), Failure> {
        fs::set_permissions(&self.0, Permissions::from_mode(0o755))
            .map_err(|error| file("cannot open", &self.0, error))
    }
}
