//! What a job brings into a sandbox that stands ready: all that could not be known when the
//! sandbox's processes were made.
//!
//! A program that waits for its job has two: one for itself, and later one for the job.
//!
//! It is written into memory that they share, before they are told to go on. They read it there
//! without allocating, and believe it: nobody but their supervisor writes to it.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use aictl_api::limits::SOURCE;

use super::plan::Bind;
use crate::{
    protocol::{MAX_ARGS, MAX_ARGS_BYTES},
    sys::{self, SharedBytes, Stored, SysResult},
};

/// Room for the largest script, the most arguments with their pointers, and the rest: names and the
/// interpreter's directories, which are far smaller. Only what is used is taken.
const ROOM: usize = SOURCE.max as usize + MAX_ARGS_BYTES + MAX_ARGS * 8 + (1 << 20);

/// A job as the supervisor writes it down.
#[derive(Default)]
pub struct Order<'a> {
    /// Directories to make in the root, in order; relative to it.
    pub dirs: &'a [CString],
    /// What is bound read-only, and may be executed.
    pub binds: &'a [Bind],
    /// Options for the tmpfs of `/work` and `/tmp`, where they differ from the usual ones.
    pub scratch: Option<&'a CStr>,
    /// The script's path below the root.
    pub script: &'a CStr,
    /// Its text.
    pub text: &'a [u8],
    /// The limits of each process, in the order of [`LIMITED`](super::plan::LIMITED).
    pub rlimits: &'a [u64],
    /// The program that is executed.
    pub exe: &'a CStr,
    /// Its arguments, the zeroth included.
    pub args: &'a [CString],
    /// Its whole environment.
    pub environment: &'a [CString],
    /// Whether it has a standard input.
    pub stdin: bool,
    /// Whether it sends a `result`.
    pub result: bool,
    /// Whether the program is one that waits for a job, which comes as a second order.
    pub waits: bool,
    /// Whether it is, instead, a template of such programs, and has no job itself.
    pub template: bool,
    /// Whether others go first where all want the CPU: its user has another run.
    pub yields: bool,
    /// What tells the program its job, in a second order.
    pub message: &'a [u8],
}

/// Where the parts of an [`Order`] are: offset and count of each, then its flags.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Part {
    Dirs,
    Binds,
    Scratch,
    Script,
    Text,
    Rlimits,
    Exe,
    Args,
    Environment,
    Message,
    /// The flags stand where the others have their offset.
    Flags,
}

/// How many numbers the head holds.
const HEAD: usize = (Part::Flags as usize + 1) * 2;
const STDIN: u32 = 1;
const RESULT: u32 = 2;
const WAITS: u32 = 4;
const TEMPLATE: u32 = 8;
const YIELDS: u32 = 16;

/// The memory in which a job comes.
pub struct Load {
    memory: SharedBytes,
    head: Stored<u32>,
}

impl Load {
    /// Memory for one job.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn new() -> SysResult<Self> {
        Self::empty(SharedBytes::new(ROOM)?)
    }

    /// Memory for one job, and the file that it is in.
    ///
    /// # Errors
    /// ENOMEM, EMFILE.
    pub fn in_file() -> SysResult<(Self, OwnedFd)> {
        let file = sys::memory_file(ROOM)?;
        Ok((Self::empty(SharedBytes::of(file.as_fd(), ROOM)?)?, file))
    }

    /// The memory that another process writes to, by the file that it is in.
    ///
    /// # Errors
    /// ENOMEM, EINVAL.
    pub fn of(file: BorrowedFd<'_>) -> SysResult<Self> {
        Ok(Self { memory: SharedBytes::of(file, ROOM)?, head: Stored::first(HEAD as u32) })
    }

    fn empty(mut memory: SharedBytes) -> SysResult<Self> {
        let head = memory.put(&[0u32; HEAD])?;
        Ok(Self { memory, head })
    }

    /// Writes a job down, for children that have not been told yet.
    ///
    /// # Errors
    /// ENOMEM if there is no room for it.
    pub fn write(&mut self, order: &Order<'_>) -> SysResult<()> {
        fn joined<'a>(texts: impl Iterator<Item = &'a CString>) -> Vec<u8> {
            texts.flat_map(|text| text.to_bytes_with_nul()).copied().collect()
        }
        let flags = [
            (order.stdin, STDIN),
            (order.result, RESULT),
            (order.waits, WAITS),
            (order.template, TEMPLATE),
            (order.yields, YIELDS),
        ];
        let flags = flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
        let memory = &mut self.memory;
        let program = memory.put_program(order.exe, order.args, order.environment)?;
        let pairs = order.binds.iter().flat_map(|bind| [&bind.source, &bind.target]);
        let parts = [
            (Part::Dirs, memory.put(&joined(order.dirs.iter()))?.numbers()),
            (Part::Binds, memory.put(&joined(pairs))?.numbers()),
            (
                Part::Scratch,
                memory.put(order.scratch.map_or(&[][..], CStr::to_bytes_with_nul))?.numbers(),
            ),
            (Part::Script, memory.put(order.script.to_bytes_with_nul())?.numbers()),
            (Part::Text, memory.put(order.text)?.numbers()),
            (Part::Rlimits, memory.put(order.rlimits)?.numbers()),
            (Part::Exe, program[0]),
            (Part::Args, program[1]),
            (Part::Environment, program[2]),
            (Part::Message, memory.put(order.message)?.numbers()),
            (Part::Flags, [flags, 0]),
        ];
        let mut head = [0; HEAD];
        for (part, [first, second]) in parts {
            let at = part as usize * 2;
            head[at] = first;
            head[at + 1] = second;
        }
        self.memory.replace(self.head, &head);
        Ok(())
    }

    /// Where a part is. Never allocates, nor does what follows.
    fn at(&self, part: Part) -> [u32; 2] {
        let head = self.memory.get(self.head);
        let number = |at: usize| head.get(at).copied().unwrap_or(0);
        [number(part as usize * 2), number(part as usize * 2 + 1)]
    }

    fn texts(&self, part: Part) -> Texts<'_> {
        Texts(self.memory.get_at(self.at(part)))
    }

    /// [`Order::dirs`].
    pub fn dirs(&self) -> Texts<'_> {
        self.texts(Part::Dirs)
    }

    /// [`Order::binds`]: each its source, and then its target.
    pub fn binds(&self) -> Texts<'_> {
        self.texts(Part::Binds)
    }

    /// [`Order::scratch`].
    pub fn scratch(&self) -> Option<&CStr> {
        self.texts(Part::Scratch).next()
    }

    /// [`Order::script`].
    pub fn script(&self) -> &CStr {
        self.texts(Part::Script).next().unwrap_or_default()
    }

    /// [`Order::text`].
    pub fn text(&self) -> &[u8] {
        self.memory.get_at(self.at(Part::Text))
    }

    /// [`Order::rlimits`].
    pub fn rlimits(&self) -> &[u64] {
        self.memory.get_at(self.at(Part::Rlimits))
    }

    /// [`Order::stdin`].
    pub fn has_stdin(&self) -> bool {
        self.at(Part::Flags)[0] & STDIN != 0
    }

    /// [`Order::result`].
    pub fn has_result(&self) -> bool {
        self.at(Part::Flags)[0] & RESULT != 0
    }

    /// [`Order::waits`].
    pub fn waits(&self) -> bool {
        self.at(Part::Flags)[0] & WAITS != 0
    }

    /// [`Order::template`].
    pub fn is_template(&self) -> bool {
        self.at(Part::Flags)[0] & TEMPLATE != 0
    }

    /// [`Order::yields`].
    pub fn yields(&self) -> bool {
        self.at(Part::Flags)[0] & YIELDS != 0
    }

    /// [`Order::message`].
    pub fn message(&self) -> &[u8] {
        self.memory.get_at(self.at(Part::Message))
    }

    /// Becomes the program; returns only if that fails.
    pub fn execute(&self) -> nix::errno::Errno {
        let program = [Part::Exe, Part::Args, Part::Environment];
        self.memory.execute(program.map(|part| self.at(part)))
    }
}

/// Texts that stand one after the other, each with the NUL at its end.
pub struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        let text = CStr::from_bytes_until_nul(self.0).ok()?;
        self.0 = self.0.get(text.count_bytes() + 1..).unwrap_or_default();
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_in_a_file_is_read_by_who_has_the_file() {
        let (mut load, file) = Load::in_file().unwrap();
        let theirs = Load::of(file.as_fd()).unwrap();
        load.write(&Order { text: b"x", waits: true, ..Order::default() }).unwrap();
        assert_eq!((theirs.text(), theirs.waits()), (&b"x"[..], true));
    }

    #[test]
    fn an_order_is_read_as_it_was_written() {
        let c = |text: &str| CString::new(text).unwrap();
        let (dirs, args) = ([c("a"), c("a/b")], [c("x"), c("")]);
        let binds = [Bind { source: c("/opt/p"), target: c("opt/p") }];
        let mut order = Order {
            dirs: &dirs,
            binds: &binds,
            scratch: Some(c"size=1"),
            script: c"work/s.py",
            text: b"print(1)\0\n",
            rlimits: &[1, u64::MAX],
            exe: c"/usr/bin/python3",
            args: &args,
            environment: &[],
            stdin: true,
            result: false,
            waits: false,
            template: false,
            yields: false,
            message: b"m\0",
        };
        let mut load = Load::new().unwrap();
        assert!(load.dirs().next().is_none() && load.text().is_empty());
        assert_eq!(load.execute(), nix::errno::Errno::EINVAL);
        load.write(&order).unwrap();
        assert!(load.dirs().eq([c"a", c"a/b"]));
        assert!(load.binds().eq([c"/opt/p", c"opt/p"]));
        assert_eq!(load.scratch(), Some(c"size=1"));
        assert_eq!(load.script(), c"work/s.py");
        assert_eq!(load.text(), b"print(1)\0\n");
        assert_eq!(load.rlimits(), [1, u64::MAX]);
        assert!(load.has_stdin() && !load.has_result() && !load.waits());
        assert!(!load.is_template() && !load.yields());
        assert_eq!(load.message(), b"m\0");
        order.scratch = None;
        order.result = true;
        order.waits = true;
        order.template = true;
        order.yields = true;
        // A second order takes the place of the first.
        load.write(&order).unwrap();
        assert_eq!(load.scratch(), None);
        assert!(load.has_result() && load.waits() && load.is_template() && load.yields());
        let huge = vec![b'x'; ROOM];
        assert!(load.write(&Order { text: &huge, ..order }).is_err());
    }
}
