//! Who listens on a unix socket, as far as the file system tells.

use std::{
    fs::Metadata,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use nix::unistd::geteuid;

use super::facts::Listener;

/// What others than its owner may do with a directory that they can put files into.
const WRITABLE: u32 = 0o022;
/// Of such a directory: files of others cannot be replaced (chmod(1)).
const STICKY: u32 = 0o1000;

/// Who listens on the socket at this path. It is known of a socket of the user's own, if nobody
/// else could have put it there; of any other it cannot be told.
#[must_use]
pub fn listener(path: &Path) -> Listener {
    let socket = match path.symlink_metadata() {
        Ok(socket) => socket,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Listener::Nobody,
        Err(_) => return Listener::Unknown { mine: false },
    };
    let directory = path.parent().and_then(|directory| directory.symlink_metadata().ok());
    let mine = directory.is_some_and(|directory| is_of(geteuid().as_raw(), &socket, &directory));
    Listener::Unknown { mine }
}

fn is_of(uid: u32, socket: &Metadata, directory: &Metadata) -> bool {
    let mode = directory.mode();
    let is_safe = mode & WRITABLE == 0 || mode & STICKY != 0;
    let is_trusted = [0, uid].contains(&directory.uid());
    socket.file_type().is_socket()
        && socket.uid() == uid
        && directory.is_dir()
        && is_safe
        && is_trusted
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::{fs::PermissionsExt, net::UnixListener},
    };

    use super::*;

    #[test]
    fn only_a_socket_that_nobody_else_could_have_put_there_is_ones_own() {
        let directory = std::env::temp_dir().join(format!("aictl-unix-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("s");
        assert_eq!(listener(&path), Listener::Nobody);
        let _socket = UnixListener::bind(&path).unwrap();
        for (mode, mine) in
            [(0o700, true), (0o755, true), (0o775, false), (0o777, false), (0o1777, true)]
        {
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            assert_eq!(listener(&path), Listener::Unknown { mine }, "{mode:o}");
        }
        let file = directory.join("f");
        fs::write(&file, "").unwrap();
        assert_eq!(listener(&file), Listener::Unknown { mine: false });
        let (socket, place) = (path.metadata().unwrap(), directory.metadata().unwrap());
        assert!(!is_of(socket.uid().wrapping_add(1), &socket, &place));
        fs::remove_dir_all(&directory).unwrap();
    }
}
