//! Interpreters in places that only root can reach, such as a pyenv in root's home: made
//! reachable for the user that sandboxd becomes, in a mount namespace of its own.

use std::{
    ffi::CString,
    fs, io,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use crate::{interpreter::Interpreter, sys};

/// Where the staged directories are mounted, in sandboxd's own view of the file system only.
const STAGE: &str = "/tmp";

/// Directories outside, and where sandboxd sees them.
#[derive(Debug, Default)]
pub struct Staged(Vec<(PathBuf, PathBuf)>);

impl Staged {
    /// Stages the roots of all `interpreters`, if this process is root; does nothing otherwise.
    ///
    /// # Errors
    /// If root may not make a mount namespace, or a directory cannot be mounted.
    pub fn new(interpreters: &[Interpreter]) -> io::Result<Self> {
        let roots: Vec<&PathBuf> = interpreters.iter().flat_map(Interpreter::roots).collect();
        if roots.is_empty() || !geteuid().is_root() {
            return Ok(Self::default());
        }
        unshare(CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&Path>, "/", None::<&Path>, private, None::<&Path>)?;
        // All are opened before the stage covers one of them.
        let mut trees = Vec::new();
        for root in roots {
            let path = CString::new(root.as_os_str().as_bytes())?;
            trees.push((root.clone(), sys::open_tree(&path).map_err(sys::io_error)?));
        }
        let hardened = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("stage"), STAGE, Some("tmpfs"), hardened, Some("mode=0711,size=64k"))?;
        let mut staged = Vec::new();
        for (index, (root, tree)) in trees.into_iter().enumerate() {
            let at = Path::new(STAGE).join(index.to_string());
            fs::create_dir(&at)?;
            sys::move_mount(tree.as_fd(), &CString::new(at.as_os_str().as_bytes())?)
                .map_err(sys::io_error)?;
            staged.push((root, at));
        }
        Ok(Self(staged))
    }

    /// Where sandboxd sees `root`.
    #[must_use]
    pub fn source<'a>(&'a self, root: &'a Path) -> &'a Path {
        self.0.iter().find(|(outside, _)| outside == root).map_or(root, |(_, at)| at)
    }
}
