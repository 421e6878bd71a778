//! What the attacks look for: listeners, secrets and descriptors outside of the sandbox.

use std::{
    fmt::Write as _,
    fs::{self, File, Permissions},
    io::{self, Read, Write as _},
    net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket},
    os::{
        fd::AsRawFd,
        linux::net::SocketAddrExt,
        unix::{
            fs::{OpenOptionsExt, PermissionsExt},
            net::{SocketAddr, UnixListener},
        },
    },
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    mqueue::{MQ_OFlag, MqAttr, mq_open, mq_send, mq_unlink},
    sys::stat::Mode,
};
use serde_json::{Value, json};

/// The directory of the script in each sandbox, below its root.
const WORK: &str = "work";
/// The most that is read of a file there, in bytes: more than any script of the corpus has.
const MAX_SCRIPT: u64 = 64 << 10;
/// What every secret begins with, so that a script knows one when it sees it.
const SECRET_PREFIX: &str = "aictl-secret-";

/// Everything that is planted for one tier. What it leaves goes with it.
pub struct World {
    /// Part of every run id of this world, and of every name that it gives: hexadecimal digits.
    pub marker: String,
    /// A directory that everybody may look into: programs, scripts, a socket, a secret.
    pub directory: PathBuf,
    /// Where the scripts are.
    attacks: PathBuf,
    /// What must not be seen in any report.
    pub secret: String,
    tcp4: TcpListener,
    tcp6: Option<TcpListener>,
    udp4: UdpSocket,
    unix_path: UnixListener,
    unix_abstract: UnixListener,
    secret_shm: PathBuf,
    /// Open without CLOEXEC, so that every child has it.
    secret_file: File,
    shm_id: Option<u32>,
    mq_name: String,
    mounts: Vec<String>,
    litter: Vec<PathBuf>,
    runs: AtomicU32,
    _user: HostUser,
}

/// A program of the host's that is in use outside, so that an attack can try to notice it.
const USED_FILE: &str = "/usr/bin/chcon";

/// Somebody outside who reads [`USED_FILE`] all the time, until this is dropped.
struct HostUser {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HostUser {
    fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let mut byte = [0];
                let _ = File::open(USED_FILE).and_then(|mut file| file.read(&mut byte));
                thread::park_timeout(Duration::from_millis(50));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for HostUser {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 12];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Copies the programs, by a process of its own: one that another test starts meanwhile would inherit
/// a copy that is open for writing here, and such a file cannot be executed (ETXTBSY in execve(2)).
fn copy_programs(from: &Path, to: &Path) -> io::Result<()> {
    let programs = ["aictl", "aictl-sandboxd"].map(|name| from.join(name));
    let copied = Command::new("install").arg("--mode=755").args(programs).arg(to).status()?;
    copied.success().then_some(()).ok_or_else(|| io::Error::other("the programs are not copied"))
}

fn readable_file(path: &Path, text: &str) -> io::Result<()> {
    File::create(path)?.write_all(text.as_bytes())?;
    fs::set_permissions(path, Permissions::from_mode(0o644))
}

/// A System V segment of one page that everybody may attach, where `ipcmk` is installed.
fn shared_segment() -> Option<u32> {
    let made = Command::new("ipcmk").args(["-M", "4096", "-p", "0666"]).output().ok()?;
    String::from_utf8(made.stdout).ok()?.trim().rsplit(' ').next()?.parse().ok()
}

/// The mounts of this process, without those that come and go with other programs' sandboxes.
fn mounts() -> io::Result<Vec<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The number of a mount and where it is, in its line of mountinfo: the rest changes with the file
/// system below it, whoever that belongs to (proc_pid_mountinfo(5)).
fn place(mount: &str) -> (Option<&str>, Option<&str>) {
    let mut fields = mount.split(' ');
    (fields.next(), fields.nth(3))
}

/// Files of ours in the directories that everybody may write, but for those of other worlds, and
/// those that systemd makes for a service when it starts.
fn litter() -> Vec<PathBuf> {
    ["/tmp", "/dev/shm", "/var/tmp", "/run"]
        .into_iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let others = ["aictl-attacks-", "systemd-private-"];
            name.contains("aictl") && !others.iter().any(|start| name.starts_with(start))
        })
        .collect()
}

impl World {
    /// Plants everything for the scripts in `attacks`, and copies the programs in `bin`, so that every
    /// user can run them.
    ///
    /// # Errors
    /// If the machine refuses; no directory, listener or queue can be made.
    pub fn new(bin: &Path, attacks: &Path) -> io::Result<Self> {
        let marker = random_hex()?;
        let secret = format!("{SECRET_PREFIX}{}", random_hex()?);
        let directory = PathBuf::from(format!("/tmp/aictl-attacks-{marker}"));
        for (name, mode) in [("", 0o755), ("bin", 0o755), ("attacks", 0o755), ("drop", 0o777)] {
            fs::create_dir(directory.join(name))?;
            fs::set_permissions(directory.join(name), Permissions::from_mode(mode))?;
        }
        copy_programs(bin, &directory.join("bin"))?;
        readable_file(&directory.join("secret"), &secret)?;
        let secret_shm = PathBuf::from(format!("/dev/shm/aictl-attacks-{marker}"));
        readable_file(&secret_shm, &secret)?;
        let secret_file = File::open(directory.join("secret"))?;
        fcntl(&secret_file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let unix_path = UnixListener::bind(directory.join("socket"))?;
        fs::set_permissions(directory.join("socket"), Permissions::from_mode(0o777))?;
        let abstract_name = SocketAddr::from_abstract_name(format!("aictl-attacks-{marker}"))?;
        let mq_name = format!("/aictl-attacks-{marker}");
        let queue = mq_open(
            mq_name.as_str(),
            MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_WRONLY,
            Mode::from_bits_truncate(0o644),
            Some(&MqAttr::new(0, 4, 256, 0)),
        )?;
        mq_send(&queue, secret.as_bytes(), 1)?;
        let world = Self {
            tcp4: TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?,
            tcp6: TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok(),
            udp4: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
            unix_path,
            unix_abstract: UnixListener::bind_addr(&abstract_name)?,
            shm_id: shared_segment(),
            mounts: mounts()?,
            litter: litter(),
            runs: AtomicU32::new(0),
            _user: HostUser::new(),
            attacks: attacks.to_owned(),
            marker,
            directory,
            secret,
            secret_shm,
            secret_file,
            mq_name,
        };
        world.tcp4.set_nonblocking(true)?;
        if let Some(listener) = &world.tcp6 {
            listener.set_nonblocking(true)?;
        }
        world.udp4.set_nonblocking(true)?;
        world.unix_path.set_nonblocking(true)?;
        world.unix_abstract.set_nonblocking(true)?;
        Ok(world)
    }

    /// An id for the next run, which begins with the marker and ends in six hexadecimal digits of
    /// its own.
    pub fn next_run(&self) -> String {
        self.run(self.runs.fetch_add(1, Ordering::Relaxed))
    }

    fn run(&self, number: u32) -> String {
        format!("{}{number:06x}", self.marker)
    }

    /// A copy of the case `script` for this run, which everybody may read. By its last line it is
    /// known in any sandbox.
    pub fn script(&self, script: &str, run: &str) -> io::Result<PathBuf> {
        let directory = self.directory.join("attacks").join(run);
        fs::create_dir_all(&directory)?;
        fs::set_permissions(&directory, Permissions::from_mode(0o755))?;
        let text = fs::read_to_string(self.attacks.join(script))?;
        let copy = directory.join(script);
        readable_file(&copy, &format!("{text}# {run}\n"))?;
        Ok(copy)
    }

    /// What a script is told: where everything is that it must not reach. `beside` is the id of the
    /// run that is there at the same time.
    pub fn coordinates(
        &self,
        run: &str,
        round: u32,
        beside: Option<&str>,
        control: bool,
    ) -> io::Result<Value> {
        // Nobody listens on port 1, where a machine without IPv6 sends the attack.
        let tcp6 = self.tcp6.as_ref().map_or(Ok(1), |l| l.local_addr().map(|a| a.port()))?;
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname")?;
        Ok(json!({
            "run": run,
            "round": round,
            "beside": beside,
            "control": control,
            "pid": std::process::id(),
            "hostname": hostname.trim(),
            "tcp4_port": self.tcp4.local_addr()?.port(),
            "tcp6_port": tcp6,
            "udp4_port": self.udp4.local_addr()?.port(),
            "unix_path": self.directory.join("socket"),
            "unix_abstract": format!("aictl-attacks-{}", self.marker),
            "secret_prefix": SECRET_PREFIX,
            "secret_tmp": self.directory.join("secret"),
            "secret_shm": self.secret_shm,
            "secret_fd": self.secret_file.as_raw_fd(),
            "used_file": USED_FILE,
            "drop_dir": self.directory.join("drop"),
            "shm_id": self.shm_id,
            "mq_name": self.mq_name,
        }))
    }

    /// Who has knocked at a listener since it was made.
    pub fn visitors(&self) -> Vec<String> {
        let mut seen = Vec::new();
        let tcp = [("TCP over IPv4", Some(&self.tcp4)), ("TCP over IPv6", self.tcp6.as_ref())];
        for (name, listener) in tcp {
            let Some(listener) = listener else { continue };
            while let Ok((_, peer)) = listener.accept() {
                seen.push(format!("{name} from {peer}"));
            }
        }
        let mut buffer = [0; 64];
        while let Ok((length, peer)) = self.udp4.recv_from(&mut buffer) {
            seen.push(format!("UDP from {peer}, {length} bytes"));
        }
        for (name, listener) in [
            ("the unix socket with a path", &self.unix_path),
            ("the abstract unix socket", &self.unix_abstract),
        ] {
            while listener.accept().is_ok() {
                seen.push(name.to_owned());
            }
        }
        seen
    }

    /// What the runs of this world have left on the machine, processes aside.
    pub fn traces(&self) -> io::Result<Vec<String>> {
        let mut traces = Vec::new();
        for mount in mounts()? {
            if !self.mounts.iter().any(|before| place(before) == place(&mount)) {
                traces.push(format!("a mount: {mount}"));
            }
        }
        for path in litter() {
            if !self.litter.contains(&path) {
                traces.push(format!("a file: {}", path.display()));
            }
        }
        for entry in fs::read_dir(self.directory.join("drop"))? {
            traces.push(format!("a file: {}", entry?.path().display()));
        }
        Ok(traces)
    }

    /// Processes on the machine that belong to the run with this id of the case `script`: their
    /// command line or environment holds the id, or they are where its copy of the script is. Only
    /// root may look there; for all others, interpreters are started with the id of their run.
    /// Zombies have none of these, and do not count, nor does what is about to be one.
    pub fn processes(&self, run: &str, script: &str) -> Vec<i32> {
        let script = Path::new(WORK).join(script);
        self.matching(|process| {
            (is_told(process, run) || is_script(&process.join("root").join(&script), run))
                && !is_at_its_end(process)
        })
    }

    /// Processes on the machine that were started with the id of this run. An interpreter that was
    /// started before it is none of them.
    pub fn told(&self, run: &str) -> Vec<i32> {
        self.matching(|process| is_told(process, run))
    }

    /// Processes on the machine that belong to any run of this world.
    pub fn all_processes(&self) -> Vec<i32> {
        self.matching(|process| {
            let there = fs::read_dir(process.join("root").join(WORK)).into_iter().flatten();
            is_told(process, &self.marker)
                || there.flatten().any(|entry| is_script(&entry.path(), &self.marker))
        })
    }

    /// Processes that run this world's copies of the programs.
    pub fn programs(&self) -> Vec<i32> {
        let bin = self.directory.join("bin");
        self.matching(|process| {
            fs::read_link(process.join("exe")).is_ok_and(|exe| exe.starts_with(&bin))
        })
    }

    fn matching(&self, test: impl Fn(&Path) -> bool) -> Vec<i32> {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let mut pids: Vec<i32> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| *pid != own)
            .collect();
        // The newest first: it may be gone by the time that all others have been looked at.
        pids.sort_unstable_by(|a, b| b.cmp(a));
        pids.retain(|pid| {
            let process = Path::new("/proc").join(pid.to_string());
            // The kernel's own threads, most of all where there is little else, run no program.
            let runs = fs::read_link(process.join("exe"));
            !runs.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) && test(&process)
        });
        pids
    }
}

/// Whether the kernel has a process at its end, from where nothing of it is executed any more:
/// `PF_EXITING` among its flags (proc_pid_stat(5)).
fn is_at_its_end(process: &Path) -> bool {
    let stat = fs::read(process.join("stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    // Its name may hold anything.
    let flags = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6));
    flags.and_then(|flags| flags.parse::<u32>().ok()).is_some_and(|flags| flags & 4 != 0)
}

/// Whether a process is the first one of a pid namespace below this one: of a sandbox, not of what
/// runs in it (proc_pid_status(5)).
pub fn is_first(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.is_some_and(|ids| ids.split_whitespace().skip(1).last() == Some("1"))
}

/// Whether the command line or the environment that a process was started with holds `run`.
fn is_told(process: &Path, run: &str) -> bool {
    ["cmdline", "environ"]
        .into_iter()
        .any(|file| fs::read(process.join(file)).is_ok_and(|bytes| holds(&bytes, run.as_bytes())))
}

/// Whether a file is a script whose last line holds `run`, as [`World::script`] writes it.
fn is_script(path: &Path, run: &str) -> bool {
    // What somebody else has put there is not waited for, whatever it is.
    let file = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    let mut text = Vec::new();
    file.is_ok_and(|file| file.take(MAX_SCRIPT).read_to_end(&mut text).is_ok())
        && text.split(|byte| *byte == b'\n').rev().nth(1).is_some_and(|l| holds(l, run.as_bytes()))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = mq_unlink(self.mq_name.as_str());
        // One that a run has left where nothing kept it from that, and the next could not take away.
        for run in 0..self.runs.load(Ordering::Relaxed) {
            let _ = mq_unlink(format!("/left-{}", self.run(run)).as_str());
        }
        if let Some(id) = self.shm_id {
            let _ = Command::new("ipcrm").args(["-m", &id.to_string()]).status();
        }
        let _ = fs::remove_file(&self.secret_shm);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_known_by_its_number_and_its_place() {
        let before = "535 533 254:0 /a/b /run/incoming ro,relatime master:197 - ext4 /dev/vda rw";
        for (line, same) in [
            (before.to_owned(), true),
            // Somebody has removed the directory that is mounted there.
            (before.replace("/a/b", "/a/b//deleted"), true),
            (before.replace("535", "536"), false),
            (before.replace("/run/incoming", "/run/other"), false),
        ] {
            assert_eq!(place(&line) == place(before), same, "{line}");
        }
    }
}
