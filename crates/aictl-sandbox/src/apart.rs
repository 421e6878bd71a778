//! Threads with a table of descriptors of their own, which end with what they hold.
//!
//! A descriptor that a stranger made may take as long to close as he wants: a socket that lingers
//! (SO_LINGER in socket(7)) holds up whoever closes it last, and a file of a file system in user
//! space (FUSE) whoever closes it at all. But nothing lingers for a thread that ends: where the last
//! to hold a socket is the table of a thread that has ended, the kernel does not wait. And what
//! still takes its time takes that of the thread alone.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::mpsc,
    thread,
};

use nix::sys::signal::SigSet;

use crate::sys::{self, SysResult};

/// The stack of such a thread, in bytes.
const STACK: usize = 128 * 1024;

/// What starts such threads, one after the other.
///
/// A new table is a copy of the process's up to a number; so what the thread is given has a low
/// number for a moment, and hardly anything else is copied.
#[derive(Debug)]
pub struct Apart {
    /// Where the next thread's descriptors are put.
    slots: [OwnedFd; 2],
    /// What is there otherwise.
    nothing: OwnedFd,
}

impl Apart {
    /// Ready to start such threads. The sooner the better: the lower are its own descriptors.
    ///
    /// # Errors
    /// If there are no descriptors left, or no /dev/null.
    pub fn new() -> io::Result<Self> {
        let nothing = || std::fs::File::open("/dev/null").map(OwnedFd::from);
        Ok(Self { slots: [nothing()?, nothing()?], nothing: nothing()? })
    }

    /// Does `work` in a new thread that holds these descriptors, and none but the standard ones
    /// besides; returns once it does, and then they may be closed here. Whatever the thread still holds in the end is closed
    /// as it ends: who wants that must not drop it before. No signal is handled by it.
    ///
    /// # Errors
    /// If there is no thread to be had, or the kernel gives it no table (before Linux 5.9). Nothing
    /// has been done then.
    pub fn start(
        &mut self,
        given: [BorrowedFd<'_>; 2],
        work: impl FnOnce([BorrowedFd<'static>; 2]) + Send + 'static,
    ) -> io::Result<()> {
        let started = self.put(given).and_then(|()| self.enter(work));
        let empty = self.put([self.nothing.as_fd(); 2]);
        started.and(empty)
    }

    fn put(&self, given: [BorrowedFd<'_>; 2]) -> io::Result<()> {
        for (slot, fd) in self.slots.iter().zip(given) {
            sys::dup_onto_cloexec(fd.as_raw_fd(), slot.as_raw_fd()).map_err(sys::io_error)?;
        }
        Ok(())
    }

    fn enter(
        &self,
        work: impl FnOnce([BorrowedFd<'static>; 2]) + Send + 'static,
    ) -> io::Result<()> {
        let slots = self.slots.each_ref().map(AsRawFd::as_raw_fd);
        let (tell, entered) = mpsc::channel();
        thread::Builder::new().name("apart".to_owned()).stack_size(STACK).spawn(move || {
            // A handler would write to descriptors that are not there.
            let entered = SigSet::all().thread_block().and_then(|()| alone_with(slots));
            let goes_on = entered.is_ok();
            if tell.send(entered).is_ok() && goes_on {
                work(slots.map(sys::borrow));
            }
        })?;
        entered.recv().map_err(io::Error::other)?.map_err(sys::io_error)
    }
}

/// Gives the calling thread a table with these descriptors, and the standard ones, so that nothing
/// else is known by their numbers. What else has a lower number is still the process's, and somebody
/// may wait for it to be closed.
fn alone_with(slots: [RawFd; 2]) -> SysResult<()> {
    let [one, other] = slots.map(RawFd::unsigned_abs);
    let (low, high) = (one.min(other), one.max(other));
    sys::own_table(high + 1)?;
    for rest in [3..low, low + 1..high].into_iter().filter(|rest| !rest.is_empty()) {
        sys::close_range(rest.start, rest.end - 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
    };

    use nix::{
        libc,
        sys::socket::{setsockopt, sockopt::Linger},
    };

    use super::*;

    /// A socket that whoever closes it last waits for, an hour long; with its other end.
    fn lingering() -> (TcpStream, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut end = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let other = server.accept().unwrap().0;
        end.set_nonblocking(true).unwrap();
        while end.write(&[0; 65536]).is_ok() {}
        setsockopt(&end, Linger, &libc::linger { l_onoff: 1, l_linger: 3600 }).unwrap();
        (end, other)
    }

    #[test]
    fn a_thread_apart_has_what_it_is_given_and_ends_with_it() {
        let mut apart = Apart::new().unwrap();
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let work = move |[first, _]: [BorrowedFd<'static>; 2]| {
            nix::unistd::write(first, b"given").unwrap();
            let _told = wait.recv();
        };
        apart.start([ours.as_fd(); 2], work).unwrap();
        drop(ours);
        let mut said = [0; 5];
        theirs.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"given");
        theirs.set_nonblocking(true).unwrap();
        assert_eq!(theirs.read(&mut said).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.set_nonblocking(false).unwrap();
        drop(go);
        assert_eq!(theirs.read(&mut said).unwrap(), 0);
    }

    /// The hour is over when the other end is closed: nobody may have waited for that.
    #[test]
    fn nothing_lingers_for_a_thread_that_ends() {
        let mut apart = Apart::new().unwrap();
        let (end, other) = lingering();
        let (theirs, ours) = UnixStream::pair().unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let work = move |_: [BorrowedFd<'static>; 2]| {
            let _told = wait.recv();
        };
        apart.start([end.as_fd(), ours.as_fd()], work).unwrap();
        drop(ours);
        // The thread must be the last to have it: here it would linger.
        drop(end);
        drop(go);
        // Its table has gone, and with it what it had.
        let _closed = (&theirs).read(&mut [0]).unwrap();
        drop(other);
    }

    /// It may wait for long: what the process closes is to be closed all the same.
    #[test]
    fn a_thread_has_nothing_but_what_it_is_given() {
        let _early = UnixStream::pair().unwrap();
        let mut apart = Apart::new().unwrap();
        let (tell, told) = mpsc::channel();
        let null = std::fs::File::open("/dev/null").unwrap();
        let work = move |slots: [BorrowedFd<'static>; 2]| {
            let held = std::fs::read_dir("/proc/thread-self/fd").unwrap().map(|fd| {
                let fd = fd.unwrap().path();
                let number: i32 = fd.file_name().unwrap().to_str().unwrap().parse().unwrap();
                (number, std::fs::read_link(fd).unwrap())
            });
            let given = slots.map(|slot| slot.as_raw_fd());
            // The directory itself is open as well, while it is read.
            let other = |(number, to): &(i32, std::path::PathBuf)| {
                *number > 2 && !given.contains(number) && !to.ends_with("fd")
            };
            tell.send(held.filter(other).collect::<Vec<_>>()).unwrap();
        };
        apart.start([null.as_fd(); 2], work).unwrap();
        assert_eq!(told.recv().unwrap(), []);
    }

    #[test]
    fn what_a_thread_opens_is_its_own() {
        let mut apart = Apart::new().unwrap();
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let null = std::fs::File::open("/dev/null").unwrap();
        let work = move |_: [BorrowedFd<'static>; 2]| {
            let opened = UnixStream::pair().unwrap();
            tell.send(nix::sys::stat::fstat(&opened.0).unwrap().st_ino).unwrap();
            let _told = wait.recv();
        };
        apart.start([null.as_fd(); 2], work).unwrap();
        let socket = format!("socket:[{}]", told.recv().unwrap());
        let here = std::fs::read_dir("/proc/self/fd").unwrap();
        let mut here = here.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
        assert!(!here.any(|found| found.as_os_str() == socket.as_str()));
        drop(go);
    }
}
