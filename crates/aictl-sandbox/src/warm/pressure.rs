//! Word from the kernel that memory is short, where the service manager says how to get it
//! (`MEMORY_PRESSURE_WATCH`, systemd.resource-control(5); Documentation/accounting/psi.rst).

use std::{
    env,
    fs::OpenOptions,
    io::{self, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    thread,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// Which file to watch.
const VARIABLE: &str = "MEMORY_PRESSURE_WATCH";
/// Some task had to wait for memory for a fifth of a second in two: what any process may ask for.
const TRIGGER: &[u8] = b"some 200000 2000000\0";

/// Has `told` called whenever memory gets short, where that can be watched.
pub fn watch(told: impl Fn() + Send + 'static) {
    let Some(path) = env::var_os(VARIABLE).map(PathBuf::from) else { return };
    // The way to say that it is not to be watched.
    if path == Path::new("/dev/null") {
        return;
    }
    let start = thread::Builder::new().name("pressure".to_owned());
    let _unwatched = start.spawn(move || {
        if let Err(error) = follow(&path, told) {
            eprintln!("whether memory is short cannot be watched: {}: {error}", path.display());
        }
    });
}

/// Calls `told` for each word, for ever.
fn follow(path: &Path, told: impl Fn()) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.write_all(TRIGGER)?;
    loop {
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
            Ok(_) => {}
        }
        let [fd] = &fds;
        match fd.revents() {
            // The control group is gone, or the file is no such file.
            Some(events) if events.contains(PollFlags::POLLERR) => return Ok(()),
            Some(events) if events.contains(PollFlags::POLLPRI) => told(),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
