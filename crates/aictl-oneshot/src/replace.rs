//! Replaces a file in one step.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Everyone may read it; its owner writes.
const MODE: u32 = 0o644;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The file has the new content.
    Yes,
    /// It had that content before, and is as it was.
    AsItWas,
}

/// Gives the file at `path` this content: whoever looks finds the old one whole or the new one
/// whole, also after a crash. The directory must be there. What is there under the name is
/// replaced, a link too.
///
/// # Errors
/// If it cannot be written; the old file is in its place then.
pub fn replace(path: &Path, content: &str) -> io::Result<Replaced> {
    if has(path, content) {
        return Ok(Replaced::AsItWas);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    // A name that those who read the directory leave alone.
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    let new = directory.join(hidden);
    let written = write_new(&new, content).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _gone = fs::remove_file(&new);
    }
    written.and_then(|()| File::open(directory)?.sync_all()).map(|()| Replaced::Yes)
}

/// Whether it is a plain file with this content and the right mode.
fn has(path: &Path, content: &str) -> bool {
    let plain = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o7777 == MODE);
    plain && fs::read(path).is_ok_and(|bytes| bytes == content.as_bytes())
}

/// Writes a file that was not there, to the disk.
fn write_new(path: &Path, content: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        // Left by one that was stopped.
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    // Whatever the umask.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, path::PathBuf, process};

    use super::*;

    /// A directory of its own for one test.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("aictl-{name}-{}", process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<OsString> {
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_once_and_nothing_else_is_left() {
        let dir = Dir::new("replace");
        let path = dir.0.join("a.rules");
        // One that was stopped half-way.
        fs::write(dir.0.join(".a.rules.new"), "half").unwrap();
        assert_eq!(replace(&path, "one").unwrap(), Replaced::Yes);
        assert_eq!(replace(&path, "one").unwrap(), Replaced::AsItWas);
        assert_eq!(replace(&path, "two").unwrap(), Replaced::Yes);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(mode(&path), MODE);
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert_eq!(replace(&path, "two").unwrap(), Replaced::Yes);
        assert_eq!(mode(&path), MODE);
        assert_eq!(dir.names(), ["a.rules"]);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = Dir::new("replace-link");
        let (path, other) = (dir.0.join("a.rules"), dir.0.join("other"));
        fs::write(&other, "one").unwrap();
        symlink(&other, &path).unwrap();
        symlink(&other, dir.0.join(".a.rules.new")).unwrap();
        assert_eq!(replace(&path, "one").unwrap(), Replaced::Yes);
        assert!(path.symlink_metadata().unwrap().is_file());
        assert_eq!(replace(&path, "two").unwrap(), Replaced::Yes);
        assert_eq!(fs::read_to_string(&other).unwrap(), "one");
    }

    #[test]
    fn what_cannot_be_replaced_stays() {
        let dir = Dir::new("replace-fails");
        let path = dir.0.join("a.rules");
        fs::create_dir(&path).unwrap();
        replace(&path, "one").unwrap_err();
        assert!(path.is_dir());
        assert_eq!(dir.names(), ["a.rules"]);
        replace(&dir.0.join("no/a.rules"), "one").unwrap_err();
        replace(Path::new("/"), "one").unwrap_err();
    }
}
