//! The program's standard input: a thread of its own reads it, and the program never holds a
//! descriptor that the caller made.
//!
//! Whatever that thread may be made to wait for (a terminal; a pipe whose lock somebody holds in the
//! kernel; the end of a descriptor that was sent along, which the kernel closes in its name), the run
//! itself goes on, and its limits hold.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    thread,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, MsgFlags, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt,
        recv, sockopt,
    },
    unistd::{pipe2, read, write},
};

use crate::protocol::MAX_CHUNK;

/// The stack of a thread that reads, in bytes.
const STACK: usize = 128 * 1024;

/// Where standard input comes from.
pub struct Source {
    from: OwnedFd,
    is_stream: bool,
    /// What is let go once nothing more is read.
    hold: Option<Box<dyn Send>>,
}

impl Source {
    /// Whatever can be read.
    #[must_use]
    pub fn any(from: OwnedFd) -> Self {
        Self { from, is_stream: false, hold: None }
    }

    /// The end of a stream (unix(7)), of which nobody else has it. `hold` is let go once nothing
    /// more is read, and `from` is closed: with a sender who means no good, that may be after the
    /// run has ended.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn stream(from: OwnedFd, hold: impl Send + 'static) -> Result<Self, &'static str> {
        let family = getsockname::<SockaddrStorage>(from.as_raw_fd()).ok().and_then(|a| a.family());
        let is_stream = getsockopt(&from, sockopt::SockType) == Ok(SockType::Stream);
        match is_stream && family == Some(AddressFamily::Unix) {
            true => Ok(Self { from, is_stream, hold: Some(Box::new(hold)) }),
            false => Err("standard input is not the end of a stream"),
        }
    }

    /// Reads what is there; called when something is.
    fn read(&self, chunk: &mut [u8]) -> nix::Result<usize> {
        match self.is_stream {
            true => recv(self.from.as_raw_fd(), chunk, MsgFlags::MSG_DONTWAIT),
            false => read(&self.from, chunk),
        }
    }
}

/// The thread that reads. It ends when there is no more to read, when nobody reads what it writes,
/// or with this value.
pub struct Input(#[expect(dead_code, reason = "its end is what tells")] OwnedFd);

impl Input {
    /// Passes what comes `from` there on to a pipe, which is closed after it.
    ///
    /// # Errors
    /// If there is no thread or no descriptor to be had.
    pub fn pump(from: Source, to: OwnedFd) -> io::Result<Self> {
        let (stopped, stop) = pipe2(OFlag::O_CLOEXEC)?;
        let thread = thread::Builder::new().name("stdin".to_owned()).stack_size(STACK);
        thread.spawn(move || {
            pass_on(&from, to.as_fd(), stopped.as_fd());
            // The program hears of the end at once, however long the rest takes.
            drop((to, stopped));
            let Source { from, hold, .. } = from;
            drop(from);
            drop(hold);
        })?;
        Ok(Self(stop))
    }
}

fn pass_on(from: &Source, to: BorrowedFd<'_>, stopped: BorrowedFd<'_>) {
    // What is not open for reading never has anything to read, and poll(2) does not say why.
    if !from.is_stream && read(&from.from, &mut []).is_err() {
        return;
    }
    let mut chunk = vec![0; MAX_CHUNK];
    loop {
        if !wait(Some(from.from.as_fd()), to, stopped) {
            return;
        }
        let mut left = match from.read(&mut chunk) {
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Ok(0) | Err(_) => return,
            Ok(count) => chunk.get(..count).unwrap_or_default(),
        };
        while !left.is_empty() {
            match write(to, left) {
                Ok(count) => left = left.get(count..).unwrap_or_default(),
                Err(Errno::EAGAIN) if wait(None, to, stopped) => {}
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}

/// Waits until there is something to read, or else until there is room to write; `false` if it is
/// over: told to stop, or nobody reads any more.
fn wait(from: Option<BorrowedFd<'_>>, to: BorrowedFd<'_>, stopped: BorrowedFd<'_>) -> bool {
    let wanted = if from.is_some() { PollFlags::empty() } else { PollFlags::POLLOUT };
    let mut fds = vec![PollFd::new(stopped, PollFlags::POLLIN), PollFd::new(to, wanted)];
    fds.extend(from.map(|from| PollFd::new(from, PollFlags::POLLIN)));
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return false,
            Ok(_) => {}
        }
        let events = |index: usize| fds.get(index).and_then(PollFd::revents);
        let is_over = events(0).is_none_or(|events| !events.is_empty())
            || events(1).is_none_or(|events| events.contains(PollFlags::POLLERR));
        return !is_over;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        net::TcpListener,
        os::unix::net::{UnixDatagram, UnixListener, UnixStream},
        sync::mpsc,
    };

    use super::*;
    use crate::engine::pipes::inward;

    /// A thread that reads from there; what the program would read, and when it lets go.
    fn pumped(from: OwnedFd) -> (Input, File, mpsc::Receiver<()>) {
        let pipe = inward().unwrap();
        let (hold, let_go) = mpsc::channel::<()>();
        let from = Source { is_stream: false, ..Source::any(from) };
        let input = Input::pump(Source { hold: Some(Box::new(hold)), ..from }, pipe.ours).unwrap();
        (input, pipe.theirs.into(), let_go)
    }

    /// It is let go: nothing was ever said, and nobody is left who could.
    fn is_over(let_go: &mpsc::Receiver<()>) -> bool {
        let_go.recv().is_err()
    }

    #[test]
    fn all_that_comes_is_passed_on_to_its_end() {
        let many = vec![7; 3 << 20];
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let hold = theirs.try_clone().unwrap();
        let source = Source::stream(ours.into(), hold).unwrap();
        let pipe = inward().unwrap();
        let _input = Input::pump(source, pipe.ours).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                theirs.write_all(&many).unwrap();
                theirs.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut came = Vec::new();
            File::from(pipe.theirs).read_to_end(&mut came).unwrap();
            assert_eq!(came, many);
        });
        // Its end is closed, and so is what it held.
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_ends_or_cannot_be_read_is_an_end() {
        let (closed, _) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let (_reader, to_write) = pipe2(OFlag::O_CLOEXEC).unwrap();
        for from in [closed, to_write, File::open("/").unwrap().into()] {
            let (_input, mut program, let_go) = pumped(from);
            assert_eq!(program.read(&mut [0]).unwrap(), 0);
            assert!(is_over(&let_go));
        }
    }

    #[test]
    fn it_ends_with_the_program_with_the_run_and_where_nobody_reads() {
        let (silent, _nobody_writes) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let (_input, program, let_go) = pumped(silent.try_clone().unwrap());
        drop(program);
        assert!(is_over(&let_go));
        let (input, _program, let_go) = pumped(silent);
        drop(input);
        assert!(is_over(&let_go));
        let endless = || File::open("/dev/zero").unwrap().into();
        let (input, _never_reads, let_go) = pumped(endless());
        drop(input);
        assert!(is_over(&let_go));
        let (_input, mut program, let_go) = pumped(endless());
        program.read_exact(&mut [1; 100_000]).unwrap();
        drop(program);
        assert!(is_over(&let_go));
    }

    #[test]
    fn only_the_end_of_a_stream_is_one() {
        // From here on this process is of one user, and so is what it makes.
        let _engine = crate::engine::tests::engine();
        let directory = std::env::temp_dir().join(format!("aictl-input-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let listens = UnixListener::bind(directory.join("socket")).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        // One that listens has nothing to read, which is an end.
        assert!(Source::stream(listens.into(), ()).is_ok());
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let (packets, _other) = crate::socket::pair().unwrap();
        for odd in [
            pipe2(OFlag::O_CLOEXEC).unwrap().0,
            File::open("/dev/zero").unwrap().into(),
            tcp.into(),
            packets,
            UnixDatagram::pair().unwrap().0.into(),
        ] {
            assert!(Source::stream(odd, ()).is_err());
        }
    }
}
