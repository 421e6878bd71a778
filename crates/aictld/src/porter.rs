//! Who takes in what strangers send along, and lets go of it: never the helper's own thread.
//!
//! To close a descriptor that a stranger made can take as long as he wants, and so can to drop one
//! that was never received. So whatever comes with descriptors is received by a thread that holds
//! nothing else ([`Apart`]), of which the helper gets none but sealed memory; and a connection with
//! something left in it ends with such a thread. One of them is ready as a rule, since to start
//! one takes a while. A descriptor that holds up even that, such as one of
//! a file system in user space, holds up nobody else.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use aictl_api::limits;
use aictl_sandbox::{Apart, is_sealed};
use nix::sys::signal::SigSet;
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create},
    io::{fcntl_dupfd_cloexec, ioctl_fionread},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::oneshot,
    time,
};

use crate::descriptors;

/// The most bytes that are taken at one time.
pub const MAX_TAKEN: usize = 8192;
/// The most descriptors that the kernel passes at one time (unix(7)).
const SCM_MAX_FD: usize = 253;
/// How long after something was taken the next thread is made that takes something, and how long the
/// one that took it stays at the most: to end takes it a while, and whoever waits for what it took may
/// have to wait for the same processor.
const NEXT: Duration = Duration::from_millis(10);
/// How long until it is seen again whether there is room for a thread.
const PAUSE: Duration = Duration::from_millis(100);
/// What an answer begins with: that no descriptors came, or that some did.
const NOTHING: u8 = 0;
const SOMETHING: u8 = 1;
/// A number that none of the descriptors that a thread takes has: the highest is closed last.
const LAST: i32 = 512;

/// What the porter is told to do.
#[derive(Debug)]
enum Order {
    /// Let go of this.
    LetGo(OwnedFd),
    /// Have a thread ready that takes something.
    Ready,
    /// Have one for this.
    Now(oneshot::Sender<StdStream>),
}

/// Our end of the stream to a thread that is ready to take something, if there is one.
static READY: Mutex<Option<StdStream>> = Mutex::new(None);

fn ready() -> MutexGuard<'static, Option<StdStream>> {
    READY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The porter of this process, since a table of descriptors is a process's; `None` if there is none
/// to be had.
static PORTER: OnceLock<Option<Sender<Order>>> = OnceLock::new();

/// Has the porter start. The sooner, the fewer descriptors his threads get to see.
pub fn start() {
    let _started = porter();
}

fn porter() -> Option<&'static Sender<Order>> {
    let start = || {
        let apart = Apart::new().ok()?;
        let (sender, orders) = mpsc::channel();
        let serve = move || {
            // What signals are for is done elsewhere.
            let _blocked = SigSet::all().thread_block();
            serve(apart, &orders);
        };
        thread::Builder::new().name("porter".to_owned()).spawn(serve).ok()?;
        Some(sender)
    };
    PORTER.get_or_init(start).as_ref()
}

fn serve(mut apart: Apart, orders: &Receiver<Order>) {
    // Failing that, one is started when it is needed.
    let _none = get_ready(&mut apart);
    // For which there was no room for a thread: who wants to be served does not wait for them.
    let mut left = VecDeque::new();
    loop {
        let order = match left.is_empty() {
            true => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => orders.recv_timeout(PAUSE),
        };
        match order {
            Ok(Order::LetGo(fd)) => left.push_back(fd),
            Ok(Order::Ready) => {
                let _none = get_ready(&mut apart);
            }
            Ok(Order::Now(tell)) => {
                // If there is none, nobody tells.
                let _gone = one_who_takes(&mut apart).map(|one| tell.send(one));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if let Some(fd) = left.pop_front() {
            left.extend(let_go_apart(&mut apart, fd));
        }
    }
}

/// Has a thread be ready to take something, if there is none.
fn get_ready(apart: &mut Apart) -> io::Result<()> {
    if ready().is_none() {
        let one = one_who_takes(apart)?;
        *ready() = Some(one);
    }
    Ok(())
}

/// A thread that waits for what it is to take, and our end of the stream to it.
fn one_who_takes(apart: &mut Apart) -> io::Result<StdStream> {
    let (ours, theirs) = StdStream::pair()?;
    let take = |[to, _]: [BorrowedFd<'static>; 2]| {
        let Ok((from, most)) = told(to) else { return };
        take_apart(from.as_fd(), to, most);
        // Closed with the thread.
        let _number = from.into_raw_fd();
    };
    apart.start([theirs.as_fd(); 2], take)?;
    Ok(ours)
}

/// Waits to be told what to take from, and how many bytes at the most.
fn told(by: BorrowedFd<'_>) -> io::Result<(OwnedFd, usize)> {
    let mut most = [0; size_of::<usize>()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let bytes = &mut [IoSliceMut::new(&mut most)];
    let received = recvmsg(by, bytes, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let from = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match from {
        Some(from) if received.bytes == most.len() => Ok((from, usize::from_ne_bytes(most))),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Tells one who waits for that.
fn tell(one: BorrowedFd<'_>, from: BorrowedFd<'_>, most: usize) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let from = [from];
    control.push(SendAncillaryMessage::ScmRights(&from));
    let most = most.to_ne_bytes();
    sendmsg(one, &[IoSlice::new(&most)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// Has a thread be the last to hold this, and end; gives it back if there is no room for a thread.
fn let_go_apart(apart: &mut Apart, fd: OwnedFd) -> Option<OwnedFd> {
    let (go, wait) = mpsc::channel::<()>();
    let end = move |_: [BorrowedFd<'static>; 2]| {
        let _told = wait.recv();
    };
    match apart.start([fd.as_fd(); 2], end) {
        Ok(()) => {
            drop(fd);
            drop(go);
            None
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(fd),
        Err(_) => {
            close_elsewhere(fd);
            None
        }
    }
}

/// The best that a kernel allows which knows of no tables for one thread (before Linux 5.9).
fn close_elsewhere(fd: OwnedFd) {
    let _closed_here = thread::Builder::new().spawn(move || drop(fd));
}

/// Closes a descriptor that may take its time, elsewhere.
pub fn let_go(fd: OwnedFd) {
    let Some(porter) = porter() else { return close_elsewhere(fd) };
    if let Err(mpsc::SendError(Order::LetGo(fd))) = porter.send(Order::LetGo(fd)) {
        close_elsewhere(fd);
    }
}

/// Closes our end of a stream: elsewhere, if something was sent to it that nobody has received.
pub fn hang_up(end: StdStream) {
    // From here on nothing more can be sent to it.
    let is_shut = end.shutdown(Shutdown::Read).is_ok();
    if !is_shut || ioctl_fionread(&end).unwrap_or(1) > 0 {
        let_go(end.into());
    }
}

/// What was taken.
#[derive(Debug)]
pub struct Taken {
    /// The bytes; none at the end of the stream.
    pub bytes: Vec<u8>,
    /// What came with them.
    pub came: Came,
    /// Who took them; dropped, the rest of what he has is closed at once, and not in a moment.
    pub taker: Option<Taker>,
}

impl Taken {
    /// Bytes that nothing came with.
    #[must_use]
    pub const fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, came: Came::Nothing, taker: None }
    }
}

/// A thread that has taken something, and holds what of it is not handed on.
#[derive(Debug)]
pub struct Taker {
    _dropped: oneshot::Sender<()>,
}

/// The descriptors that came with bytes.
#[derive(Debug)]
pub enum Came {
    /// None.
    Nothing,
    /// One: this, if it is sealed memory, or else a stand-in.
    One(OwnedFd),
    /// More than any call has.
    Many,
}

/// Has the next bytes of a stream, so many at the most, taken with the descriptors that come with
/// them. `held` is let go once the thread has begun to close the last of these: with what waits
/// to be closed at all it waits, and not with what the kernel then still clears away.
///
/// # Errors
/// If nothing could be taken: what is left of the stream is of no use.
pub async fn take(from: &UnixStream, most: usize, held: impl Send + 'static) -> io::Result<Taken> {
    let porter = porter().ok_or(io::ErrorKind::ResourceBusy)?;
    let one = ready().take();
    tokio::spawn(async {
        // Not while what is taken now is looked at.
        time::sleep(NEXT).await;
        let _ended = porter.send(Order::Ready);
    });
    let ours = match one {
        Some(one) => one,
        None => {
            let (tell, told) = oneshot::channel();
            porter.send(Order::Now(tell)).map_err(|_| io::ErrorKind::ResourceBusy)?;
            told.await.map_err(|_| io::ErrorKind::ResourceBusy)?
        }
    };
    ours.set_nonblocking(true)?;
    let mut ours = UnixStream::from_std(ours)?;
    // From here on something is taken.
    tell(ours.as_fd(), from.as_fd(), most)?;
    let mut bytes = vec![0; 1 + most.min(MAX_TAKEN)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let (count, script) = descriptors::receive(&ours, &mut bytes, &mut space).await?;
    bytes.truncate(count);
    if bytes.is_empty() {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let came = match (script.into_iter().next(), bytes.remove(0)) {
        (Some(script), _) => Came::One(script),
        (None, NOTHING) => Came::Nothing,
        (None, _) => Came::Many,
    };
    let (taker, dropped) = oneshot::channel();
    tokio::spawn(async move {
        let _in_time = time::timeout(NEXT, dropped).await;
        let _ended = ours.shutdown().await;
        // Nothing more is sent: it is the end of the thread.
        let _ended = ours.read(&mut [0]).await;
        drop(held);
    });
    Ok(Taken { bytes, came, taker: Some(Taker { _dropped: taker }) })
}

/// Takes, and answers; in a thread of its own, which ends then.
fn take_apart(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) {
    // What was taken is closed before this is, so that its end tells, as far as closing waits.
    let Ok(to) = fcntl_dupfd_cloexec(to, LAST) else { return };
    let mut bytes = vec![0; most.min(MAX_TAKEN)];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SCM_MAX_FD))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
    let taken = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let taken: Vec<OwnedFd> = taken.flatten().collect();
    if let Ok(received) = received {
        let bytes = bytes.get(..received.bytes).unwrap_or_default();
        let is_whole = !received.flags.contains(ReturnFlags::CTRUNC);
        answer(to.as_fd(), bytes, &taken, is_whole);
        // Until it may end.
        let _told = recv(&to, &mut [0_u8; 1][..], RecvFlags::empty());
    }
    // Closed with the thread, for which nothing lingers, and not by it.
    for fd in taken.into_iter().chain([to]) {
        let _number = fd.into_raw_fd();
    }
}

/// Hands on what the helper may have of what came.
fn answer(to: BorrowedFd<'_>, bytes: &[u8], taken: &[OwnedFd], is_whole: bool) {
    let stand_in;
    let script = match taken {
        [one] if is_whole => match judge(one.as_fd()) {
            Judged::Script => Some(one.as_fd()),
            judged => {
                stand_in = judged.stand_in().ok();
                stand_in.as_ref().map(AsFd::as_fd)
            }
        },
        _ => None,
    };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let script: Vec<_> = script.into_iter().collect();
    if !script.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&script));
    }
    let first = [if taken.is_empty() && is_whole { NOTHING } else { SOMETHING }];
    // Who asked may be gone.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let _gone = sendmsg(to, &[IoSlice::new(&first), IoSlice::new(bytes)], &mut control, flags);
}

/// What a descriptor is, as far as it can be found out without asking whoever made it.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    /// Sealed memory, soon closed.
    Script,
    /// Sealed memory of this size, more than any script has: to close it is to clear it.
    Huge(u64),
    /// Anything else.
    Odd,
}

fn judge(fd: BorrowedFd<'_>) -> Judged {
    // Before anything else: no file but memory has seals, and to look at another may take a wait.
    if !is_sealed(fd) {
        return Judged::Odd;
    }
    let Ok(stat) = fstat(fd) else { return Judged::Odd };
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    // Memory can have pages behind its end, too (fallocate(2)).
    let pages = u64::try_from(stat.st_blocks).unwrap_or(u64::MAX).saturating_mul(512);
    match size.max(pages) > 2 * limits::SOURCE.max {
        true => Judged::Huge(size.max(limits::SOURCE.max + 1)),
        false => Judged::Script,
    }
}

impl Judged {
    /// What the helper looks at instead, to say what is wrong: memory with nothing in it, that is
    /// refused for the same reason.
    fn stand_in(&self) -> io::Result<OwnedFd> {
        let memory = memfd_create(c"stand-in", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        if let Self::Huge(size) = self {
            ftruncate(&memory, *size)?;
            fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
        }
        Ok(memory)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::unix::fs::FileExt,
        sync::Arc,
    };

    use aictl_sandbox::sealed_memfd;
    use nix::{
        libc,
        sys::socket::{ControlMessage, MsgFlags, sendmsg as send, setsockopt, sockopt::Linger},
    };
    use tokio::sync::Semaphore;

    use super::*;

    /// A socket that whoever closes it last waits for, an hour long; with its other end.
    fn lingering() -> (OwnedFd, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut end = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let other = server.accept().unwrap().0;
        end.set_nonblocking(true).unwrap();
        while end.write(&[0; 65536]).is_ok() {}
        setsockopt(&end, Linger, &libc::linger { l_onoff: 1, l_linger: 3600 }).unwrap();
        (end.into(), other)
    }

    /// Sends bytes with descriptors, which nobody else has then.
    fn post(to: &StdStream, bytes: &[u8], fds: Vec<OwnedFd>) {
        use std::os::fd::AsRawFd;
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
        let bytes = [IoSlice::new(bytes)];
        send::<()>(to.as_raw_fd(), &bytes, rights, MsgFlags::MSG_DONTWAIT, None).unwrap();
    }

    fn pair() -> (StdStream, UnixStream) {
        let (theirs, ours) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (theirs, UnixStream::from_std(ours).unwrap())
    }

    /// What is taken of this, and after all of it is closed.
    async fn taken(fds: Vec<OwnedFd>) -> Came {
        let (theirs, ours) = pair();
        post(&theirs, b"four", fds);
        let closed = Arc::new(Semaphore::new(1));
        let held = Arc::clone(&closed).try_acquire_owned().unwrap();
        let taken = take(&ours, 3, held).await.unwrap();
        let _let_go = closed.acquire().await.unwrap();
        assert_eq!(taken.bytes, b"fou");
        let mut rest = [0; 2];
        assert_eq!(ours.try_read(&mut rest).unwrap(), 1);
        taken.came
    }

    async fn one(fds: Vec<OwnedFd>) -> OwnedFd {
        match taken(fds).await {
            Came::One(script) => script,
            other => panic!("{other:?} is not one"),
        }
    }

    #[tokio::test]
    async fn one_script_is_handed_on_and_nothing_else() {
        let script = one(vec![sealed_memfd(b"print(1)").unwrap()]).await;
        let mut text = [0; 9];
        assert_eq!(File::from(script).read_at(&mut text, 0).unwrap(), 8);
        assert_eq!(&text[..8], b"print(1)");
        let null = || OwnedFd::from(File::open("/dev/null").unwrap());
        for odd in [null(), StdStream::pair().unwrap().0.into()] {
            let stand_in = one(vec![odd]).await;
            assert!(!is_sealed(stand_in.as_fd()));
            assert_eq!(fstat(&stand_in).unwrap().st_size, 0);
        }
        let many = || sealed_memfd(b"1").unwrap();
        assert!(matches!(taken(vec![many(), many()]).await, Came::Many));
        let all = (0..SCM_MAX_FD).map(|_| null()).collect();
        assert!(matches!(taken(all).await, Came::Many));
        assert!(matches!(taken(Vec::new()).await, Came::Nothing));
    }

    /// To end would take it the time of whoever waits for what it took.
    #[tokio::test(start_paused = true)]
    async fn who_has_taken_something_ends_when_nobody_waits_for_that_any_more() {
        for let_go in [true, false] {
            let (theirs, ours) = pair();
            let (end, other) = StdStream::pair().unwrap();
            post(&theirs, b"four", vec![sealed_memfd(b"1").unwrap(), end.into()]);
            let held = Arc::new(());
            let mut taken = take(&ours, 4, Arc::clone(&held)).await.unwrap();
            other.set_nonblocking(true).unwrap();
            let is_open = (&other).read(&mut [0]).unwrap_err();
            assert_eq!((is_open.kind(), Arc::strong_count(&held)), (io::ErrorKind::WouldBlock, 2));
            if let_go {
                drop(taken.taker.take());
            }
            // Else in a moment, which passes here when nobody has anything to do.
            while Arc::strong_count(&held) > 1 {
                time::sleep(Duration::from_millis(1)).await;
            }
            other.set_nonblocking(false).unwrap();
            assert_eq!((&other).read(&mut [0]).unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn too_large_a_script_is_told_by_one_with_nothing_in_it() {
        let huge = memfd_create(c"x", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&huge, 1 << 40).unwrap();
        fcntl_add_seals(&huge, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE).unwrap();
        assert_eq!(judge(huge.as_fd()), Judged::Huge(1 << 40));
        let inode = fstat(&huge).unwrap().st_ino;
        let stand_in = one(vec![huge]).await;
        let stat = fstat(&stand_in).unwrap();
        assert!(is_sealed(stand_in.as_fd()) && stat.st_ino != inode);
        assert_eq!((stat.st_size, stat.st_blocks), (1 << 40, 0));
    }

    /// The other ends are open until the end: whoever closes one of these waits an hour.
    #[tokio::test]
    async fn what_takes_an_hour_to_close_takes_none_here() {
        let mut others = Vec::new();
        let mut parcel = || {
            let (end, other) = lingering();
            others.push(other);
            end
        };
        taken(vec![parcel()]).await;
        taken(vec![parcel(), parcel(), parcel()]).await;
        // In a socket that nobody has received it from, and where nobody receives anything.
        let (outer, inner) = StdStream::pair().unwrap();
        post(&outer, b"x", vec![parcel()]);
        taken(vec![inner.into()]).await;
        let (theirs, ours) = StdStream::pair().unwrap();
        post(&theirs, b"x", vec![parcel()]);
        hang_up(ours);
        assert_eq!((&theirs).read(&mut [0]).unwrap_or(0), 0);
    }
}
