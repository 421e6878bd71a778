//! What a sandbox is to look like: all that its processes need, worked out before they exist.
//!
//! After the clone nothing is decided any more and nothing is allocated: `child` only carries
//! out what stands here.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{OwnedFd, RawFd},
        unix::ffi::OsStringExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use ::landlock::RulesetCreated;
use aictl_api::{
    limits::Limits,
    strict::{FORBIDDEN_BUILTINS, Imports},
};
use nix::{libc::RLIM_INFINITY, sys::resource::Resource};

use super::{
    landlock::{self, Grant, Rule},
    load::Load,
    seccomp::{Filters, Memory},
};
use crate::{
    identity::Identity,
    interpreter::{Interpreter, Runtime},
    protocol::{Job, Profile, ScriptName},
    stage::Staged,
    sys::{SharedPage, StatusBoard},
    weaken,
};

/// User and group id inside the sandbox.
pub const INNER_ID: u32 = 1000;
/// Where the script and its files live.
pub const WORK: &str = "/work";
/// The descriptor on which a Python script's `result` comes back.
pub const RESULT_FD: RawFd = 3;
/// How many files and directories `/work`, and `/tmp`, may hold.
const SCRATCH_INODES: u32 = 16_384;
/// Descriptors that one process may have open.
const MAX_OPEN_FILES: u64 = 256;
/// Memory that one process may lock, in bytes.
const MAX_LOCKED_MEMORY: u64 = 64 * 1024;
/// Signals that may be queued.
const MAX_PENDING_SIGNALS: u64 = 1024;

/// Runs a Python script as Python itself would, and then sends its `result`.
const PYTHON_COLD: &str = concat!(include_str!("run_script.py"), include_str!("cold.py"));
/// As above, with what the profile strict leaves to a script.
const PYTHON_STRICT: &str =
    concat!(include_str!("strict.py"), include_str!("run_script.py"), include_str!("cold.py"));
/// Waits for the job first, and then does all of that.
const PYTHON_WARM: &str = concat!(
    include_str!("strict.py"),
    include_str!("run_script.py"),
    include_str!("end.py"),
    include_str!("wait.py"),
    include_str!("warm.py")
);
/// Is a template of such programs.
const PYTHON_TEMPLATE: &str = concat!(
    include_str!("strict.py"),
    include_str!("run_script.py"),
    include_str!("end.py"),
    include_str!("wait.py"),
    include_str!("copy.py")
);
/// Sends a `result`; compiled only where there is one.
const PYTHON_SEND_RESULT: &str = include_str!("send_result.py");

/// Directories that hold the system's programs and libraries, seen from `/`.
const SYSTEM_DIRS: [&str; 7] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Device files that a program may expect.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
/// Files and directories of `/etc` that hold no secret and that programs need to find others.
const ETC_BINDS: [&str; 2] = ["etc/ld.so.cache", "etc/alternatives"];
/// Where the new root can be mounted: a directory of the host's that is always there, and below
/// which no interpreter lives, since it is covered from then on.
const STAGES: [&str; 2] = ["/sys", "/dev"];

/// Something that is bound into the new root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The path outside, absolute.
    pub source: CString,
    /// The path inside, relative to the root.
    pub target: CString,
}

/// Something that is made in the new root; paths are relative to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory.
    Dir(CString),
    /// A file with this content.
    File(CString, Vec<u8>),
    /// An empty file to mount another one on.
    MountPoint(CString),
    /// A symbolic link: path, target.
    Link(CString, CString),
    /// A directory that exists already becomes a tmpfs for scratch files, with these options.
    Scratch(CString, CString),
}

/// The file system of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The directory over which the new root is mounted.
    pub stage: CString,
    /// What is made in the new root, in order.
    pub entries: Vec<Entry>,
    /// What is bound read-only.
    pub binds: Vec<Bind>,
    /// Device files.
    pub devices: Vec<Bind>,
    /// Landlock's rules for it.
    pub rules: Vec<Rule>,
}

/// Everything that the processes of one sandbox need before there is a job.
pub struct Plan {
    /// The file system; `None` only where a test has switched the mount namespace off.
    pub tree: Option<Arc<Tree>>,
    /// Room for the detached mounts of `tree`, binds first, then devices.
    pub detached: Vec<Option<OwnedFd>>,
    /// Lines for `uid_map` and `gid_map`.
    pub uid_map: Vec<u8>,
    /// As above.
    pub gid_map: Vec<u8>,
    /// What standard input is where a job has none.
    pub null: RawFd,
    /// Standard input, output and error.
    pub stdio: [RawFd; 3],
    /// The pipe for `result`.
    pub result: RawFd,
    /// A pair of sockets, the supervisor's end first: it says there that the job has come, and gets
    /// the sandbox's /proc, /work and /tmp there.
    pub door: [RawFd; 2],
    /// Whether it wants those, to watch the sandbox by them.
    pub watched: bool,
    /// A pair of sockets on which the sandbox's first two processes wait for each other.
    pub meeting: [RawFd; 2],
    /// Whether there is a network namespace; `false` only where a test has switched it off.
    pub separate_network: bool,
    /// A descriptor for the process that makes the sandbox, to see whether it still lives.
    pub parent: RawFd,
    /// Landlock, where the kernel has it.
    pub landlock: Option<RulesetCreated>,
    /// The system call filter; `None` only where a test has switched it off.
    pub filters: Option<Filters>,
    /// Whether capabilities are dropped; `false` only where a test has switched that off.
    pub drop_privileges: bool,
    /// Whether /proc is the host's; `true` only where a test has switched the pid namespace off.
    pub host_proc: bool,
    /// The working directory of the program.
    pub work: CString,
    /// Where the job comes.
    pub load: Load,
    /// Where the sandbox reports how it went.
    pub board: SharedPage<StatusBoard>,
}

/// What all sandboxes that one process makes have in common.
#[derive(Debug, Clone, Copy)]
pub struct Common {
    /// Who they are made as.
    pub identity: Identity,
    /// Whether the kernel has Landlock.
    pub landlock: bool,
    /// A descriptor of /dev/null.
    pub null: RawFd,
    /// A descriptor for the process itself (pidfd_open(2)).
    pub process: RawFd,
    /// Who counts their memory.
    pub memory: Memory,
}

/// The program's ends of a sandbox's pipes.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// Standard input, output and error.
    pub stdio: [RawFd; 3],
    /// The pipe for `result`.
    pub result: RawFd,
}

/// What a sandbox cannot be made without, and why it is not to be had.
pub type Lacking = (&'static str, io::Error);

impl Plan {
    /// Works out all that the processes of a sandbox with this [tree](Tree::shared) need before there
    /// is a job. Who makes them adds the sockets, and takes away what this sandbox is not to have.
    ///
    /// # Errors
    /// If something that it is made of is not to be had.
    pub fn new(
        common: &Common,
        tree: Option<Arc<Tree>>,
        ends: Ends,
        load: Load,
        board: SharedPage<StatusBoard>,
    ) -> Result<Self, Lacking> {
        let prepare = |what| move |error| (what, error);
        let mounts = tree.as_ref().map_or(0, |tree| tree.binds.len() + tree.devices.len());
        let (uid_map, gid_map) = id_maps(common.identity);
        let landlock = match weaken::off("landlock") || !common.landlock {
            true => None,
            false => {
                let ruleset = landlock::ruleset().map_err(io::Error::other);
                Some(ruleset.map_err(prepare("Landlock"))?)
            }
        };
        Ok(Self {
            work: c(work_dir()).map_err(prepare("a path"))?,
            host_proc: weaken::off("pid-ns"),
            tree,
            detached: (0..mounts).map(|_| None).collect(),
            uid_map,
            gid_map,
            null: common.null,
            stdio: ends.stdio,
            result: ends.result,
            door: [-1, -1],
            watched: common.memory == Memory::Watched,
            meeting: [-1, -1],
            separate_network: !weaken::off("net-ns"),
            parent: common.process,
            landlock,
            filters: (!weaken::off("seccomp")).then(|| Filters::of(common.memory)),
            drop_privileges: !weaken::off("no-new-privs"),
            load,
            board,
        })
    }
}

/// A directory of an interpreter's outside the system's: what has to be made for it, and bound.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Roots {
    /// The directories above and at each, in order.
    pub dirs: Vec<CString>,
    /// The directories.
    pub binds: Vec<Bind>,
}

impl Roots {
    /// What `interpreter` needs.
    ///
    /// # Errors
    /// If a path is none.
    pub fn new(interpreter: &Interpreter, staged: &Staged) -> io::Result<Self> {
        let mut roots = Self::default();
        for root in interpreter.roots() {
            let mut above: Vec<&Path> =
                root.ancestors().filter(|dir| dir.components().count() > 1).collect();
            above.reverse();
            for dir in above {
                let dir = relative(dir)?;
                if !roots.dirs.contains(&dir) {
                    roots.dirs.push(dir);
                }
            }
            let source = c(staged.source(root).as_os_str().to_owned().into_vec())?;
            roots.binds.push(Bind { source, target: relative(root)? });
        }
        Ok(roots)
    }
}

fn c(text: impl Into<Vec<u8>>) -> io::Result<CString> {
    Ok(CString::new(text)?)
}

/// `path` without its leading slash.
fn relative(path: &Path) -> io::Result<CString> {
    let path = path.strip_prefix("/").map_err(|_| io::Error::other("a path is not absolute"))?;
    c(path.as_os_str().to_owned().into_vec())
}

impl Tree {
    /// The same for as many sandboxes as see the same host; `None` only where a test has switched
    /// the mount namespace off.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn shared(memory: Memory) -> Result<Option<Arc<Self>>, Lacking> {
        if weaken::off("mount-ns") {
            return Ok(None);
        }
        match Self::new(memory) {
            Ok(tree) => Ok(Some(Arc::new(tree))),
            Err(error) => Err(("the sandbox's files", error)),
        }
    }

    /// Looks at the host and says what every sandbox shows of it.
    ///
    /// # Errors
    /// If a directory of the host cannot be looked at.
    pub fn new(memory: Memory) -> io::Result<Self> {
        let stage = STAGES
            .into_iter()
            .find(|stage| Path::new(stage).is_dir())
            .ok_or_else(|| io::Error::other("no directory to mount the new root on"))?;
        let mut tree = Self {
            stage: c(stage)?,
            entries: Vec::new(),
            binds: Vec::new(),
            devices: Vec::new(),
            rules: Vec::new(),
        };
        for dir in ["proc", "dev", "etc", "tmp", "work"] {
            tree.entries.push(Entry::Dir(c(dir)?));
        }
        for dir in ["tmp", "work"] {
            let options = scratch_options(Limits::default().work())?;
            tree.entries.push(Entry::Scratch(c(dir)?, options));
        }
        for name in SYSTEM_DIRS {
            tree.add_system_dir(name)?;
        }
        for name in ETC_BINDS {
            tree.add_etc(name)?;
        }
        for name in DEVICES {
            tree.entries.push(Entry::MountPoint(c(format!("dev/{name}"))?));
            // It gives zeros as well, and cannot be mapped as memory that nobody counts.
            let source = match (name, memory) {
                ("zero", Memory::Watched) => "full",
                _ => name,
            };
            let bind =
                Bind { source: c(format!("/dev/{source}"))?, target: c(format!("dev/{name}"))? };
            tree.devices.push(bind);
            tree.rules.push(Rule { path: c(format!("dev/{name}"))?, grant: Grant::Device });
        }
        for (path, target) in [
            ("dev/fd", "/proc/self/fd"),
            ("dev/stdin", "/proc/self/fd/0"),
            ("dev/stdout", "/proc/self/fd/1"),
            ("dev/stderr", "/proc/self/fd/2"),
            ("dev/shm", "/tmp"),
        ] {
            tree.entries.push(Entry::Link(c(path)?, c(target)?));
        }
        for (path, text) in [
            (
                "etc/passwd",
                "root:x:0:0:root:/:/usr/sbin/nologin\n\
                 sandbox:x:1000:1000:sandbox:/work:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
            ),
            ("etc/group", "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n"),
            ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
            ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
        ] {
            tree.entries.push(Entry::File(c(path)?, text.into()));
        }
        for (path, grant) in [
            (".", Grant::List),
            ("etc", Grant::Read),
            ("proc", Grant::Read),
            ("work", Grant::Scratch),
            ("tmp", Grant::Scratch),
        ] {
            tree.rules.push(Rule { path: c(path)?, grant });
        }
        Ok(tree)
    }

    /// A directory of the system: bound if it is one, linked if it is a link.
    fn add_system_dir(&mut self, name: &str) -> io::Result<()> {
        let outside = PathBuf::from(format!("/{name}"));
        let Ok(meta) = fs::symlink_metadata(&outside) else { return Ok(()) };
        if meta.is_symlink() {
            let target = fs::read_link(&outside)?.into_os_string().into_vec();
            self.entries.push(Entry::Link(c(name)?, c(target)?));
        } else if meta.is_dir() {
            self.entries.push(Entry::Dir(c(name)?));
            self.binds.push(Bind { source: c(format!("/{name}"))?, target: c(name)? });
            self.rules.push(Rule { path: c(name)?, grant: Grant::ReadExecute });
        }
        Ok(())
    }

    /// Something of `/etc`, where it exists.
    fn add_etc(&mut self, name: &str) -> io::Result<()> {
        let Ok(meta) = fs::symlink_metadata(format!("/{name}")) else { return Ok(()) };
        let target = c(name)?;
        self.entries.push(match meta.is_dir() {
            true => Entry::Dir(target.clone()),
            false => Entry::MountPoint(target.clone()),
        });
        self.binds.push(Bind { source: c(format!("/{name}"))?, target });
        Ok(())
    }
}

/// The options of a tmpfs of `size` bytes for scratch files.
pub fn scratch_options(size: u64) -> io::Result<CString> {
    c(format!("mode=0700,size={size},nr_inodes={SCRATCH_INODES}"))
}

/// The line that maps [`INNER_ID`] to `outer`.
pub fn id_map(outer: u32) -> Vec<u8> {
    format!("{INNER_ID} {outer} 1\n").into_bytes()
}

/// The maps for user and group.
pub fn id_maps(identity: Identity) -> (Vec<u8>, Vec<u8>) {
    (id_map(identity.uid), id_map(identity.gid))
}

/// The directory of the script: [`WORK`], but where a test has switched the mount namespace off.
#[must_use]
pub fn work_dir() -> &'static str {
    if weaken::off("mount-ns") { "/tmp" } else { WORK }
}

/// The script's path below the root, which is also below the working directory of the stage.
pub fn script_path(name: &ScriptName) -> io::Result<CString> {
    let directory = if weaken::off("mount-ns") { "/tmp" } else { "work" };
    c(format!("{directory}/{}", name.as_str()))
}

/// The program that runs a job's script: its path, its arguments and its environment.
pub struct Program {
    /// Its path inside.
    pub exe: CString,
    /// Its arguments, the zeroth included.
    pub args: Vec<CString>,
    /// Its whole environment.
    pub environment: Vec<CString>,
}

/// The program that runs a job's script.
pub fn program(job: &Job, interpreter: &Interpreter) -> io::Result<Program> {
    let exe = c(interpreter.exe().as_os_str().to_owned().into_vec())?;
    let script = format!("{}/{}", work_dir(), job.name.as_str());
    let mut args = vec![exe.clone()];
    match (interpreter.runtime(), &job.profile) {
        (Runtime::Python, Profile::Strict(policy)) => {
            args.extend([c("-E")?, c("-s")?, c("-c")?, c(PYTHON_STRICT)?]);
            args.extend([c(send_result(job))?, c(allowed(&policy.imports))?, c(script)?]);
        }
        (Runtime::Bash | Runtime::Node, Profile::Strict(_)) => {
            return Err(io::Error::other("the profile strict is for Python alone"));
        }
        // Neither PYTHON* variables nor packages of the user's: there are none, and Python need
        // not look. Nothing waits in a buffer, so that a run that is stopped keeps its output.
        (Runtime::Python, Profile::Standard) if !job.want_result => {
            args.extend([c("-E")?, c("-s")?, c("-u")?, c(script)?]);
        }
        // The standard streams are made line by line by the bootstrap.
        (Runtime::Python, Profile::Standard) => {
            args.extend([c("-E")?, c("-s")?, c("-c")?, c(PYTHON_COLD)?]);
            args.extend([c(send_result(job))?, c("")?, c(script)?]);
        }
        (Runtime::Bash | Runtime::Node, Profile::Standard) => args.push(c(script)?),
    }
    for arg in job.args.as_slice() {
        args.push(c(arg.as_str())?);
    }
    Ok(Program { exe, args, environment: environment()? })
}

/// The whole environment of a program.
fn environment() -> io::Result<Vec<CString>> {
    Ok(vec![c("PATH=/usr/bin:/bin")?, c("HOME=/work")?, c("LANG=C.UTF-8")?])
}

/// What the profile strict leaves to a script, as `strict.py` reads it.
fn allowed(imports: &Imports) -> String {
    format!("{} {}", imports.names().join(","), FORBIDDEN_BUILTINS.join(","))
}

/// What sends the `result`; empty where none is wanted.
fn send_result(job: &Job) -> &'static str {
    if job.want_result { PYTHON_SEND_RESULT } else { "" }
}

/// The program that waits for the job of a Python script; see [`message`].
pub fn waiting_program(interpreter: &Interpreter) -> io::Result<Program> {
    waiting(interpreter, PYTHON_WARM)
}

/// The program whose copies do that.
pub fn template_program(interpreter: &Interpreter) -> io::Result<Program> {
    waiting(interpreter, PYTHON_TEMPLATE)
}

fn waiting(interpreter: &Interpreter, bootstrap: &str) -> io::Result<Program> {
    let exe = c(interpreter.exe().as_os_str().to_owned().into_vec())?;
    let options = [c("-E")?, c("-s")?, c("-u")?, c("-c")?];
    let mut args = vec![exe.clone()];
    args.extend(options);
    args.extend([c(bootstrap)?, c(PYTHON_SEND_RESULT)?]);
    Ok(Program { exe, args, environment: environment()? })
}

/// What tells that program its job: texts, each with a NUL at its end, of which the first is empty
/// where no `result` is wanted, and the second where nobody `watches` what it uses.
pub fn message(job: &Job, watches: Memory) -> Vec<u8> {
    let send = if job.want_result { "1" } else { "" };
    let watched = if watches == Memory::Watched { "1" } else { "" };
    let allowed = match &job.profile {
        Profile::Strict(policy) => allowed(&policy.imports),
        Profile::Standard => String::new(),
    };
    let script = format!("{}/{}", work_dir(), job.name.as_str());
    let texts = [send, watched, &allowed, &script].into_iter();
    let texts = texts.chain(job.args.as_slice().iter().map(String::as_str));
    texts.flat_map(|text| text.bytes().chain([0])).collect()
}

/// What is limited for each process of a run.
pub const LIMITED: [Resource; 11] = [
    Resource::RLIMIT_CORE,
    Resource::RLIMIT_NOFILE,
    Resource::RLIMIT_FSIZE,
    Resource::RLIMIT_NPROC,
    Resource::RLIMIT_CPU,
    Resource::RLIMIT_MEMLOCK,
    Resource::RLIMIT_MSGQUEUE,
    Resource::RLIMIT_SIGPENDING,
    Resource::RLIMIT_NICE,
    Resource::RLIMIT_RTPRIO,
    Resource::RLIMIT_DATA,
];

/// The limits of each process of a run, in the order of [`LIMITED`].
///
/// Where a control group counts memory, `by_cgroup` is true and data is not limited a second
/// time. Where none does, one process may map twice the memory limit, so that the limit itself is
/// reached first, by what is used and not by what is reserved. Processes may go one over their
/// limit, so that going over it can be seen; the sandbox's first process counts too.
pub fn rlimits(limits: &Limits, by_cgroup: bool) -> [u64; LIMITED.len()] {
    let cpu = limits.cpu().as_millis().div_ceil(1000);
    [
        // The one value with which a dump is not even piped to a program of the host's (core(5)).
        1,
        MAX_OPEN_FILES,
        limits.work(),
        limits.processes() + 2,
        u64::try_from(cpu).unwrap_or(u64::MAX).saturating_add(1),
        MAX_LOCKED_MEMORY,
        0,
        MAX_PENDING_SIGNALS,
        0,
        0,
        if by_cgroup { RLIM_INFINITY } else { limits.memory().saturating_mul(2) },
    ]
}
