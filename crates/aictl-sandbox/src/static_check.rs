//! The static check of the profile `strict`, in a process of its own: what parses a hostile text is
//! not the process that holds all sandboxes.
//!
//! sandboxd executes itself with the argument [`ARG`] and one sealed memfd as standard input, which
//! holds the policy as a line of JSON, and then the script. The process limits itself, gives up
//! all system calls but those that take memory and write, checks, and writes its [`Answer`] as JSON.
//! A script that it does not answer for in time is refused.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use aictl_api::{
    record::RunRecord,
    run::Outcome,
    strict::{Finding, Policy, SOURCE},
};
use nix::{
    libc,
    poll::{PollFd, PollFlags, poll},
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
    },
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Client, Script, Wish, poll_timeout},
    interpreter::Runtime,
    protocol::{Job, Profile, RejectKind, Rejection},
    sys,
};

/// What the process is told to do, as its only argument.
pub const ARG: &str = "check";
/// This program, whatever its file is called by now.
const PROGRAM: &str = "/proc/self/exe";

/// How long to wait for the answer, of which the process may use [`MAX_CPU_SECONDS`]: on a machine
/// that is busy, it may have to wait for them.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most CPU time of the process, in seconds.
const MAX_CPU_SECONDS: u64 = 2;
/// The most address space of the process, in bytes: its stack for the parser is 64 MiB of it.
const MAX_MEMORY: u64 = 512 << 20;
/// The most bytes of all findings as JSON: with the rest of a record, they fit into a message.
const MAX_FINDINGS: usize = 96 * 1024;
/// The most bytes of the answer: the findings, and what stands around them.
const MAX_ANSWER: usize = MAX_FINDINGS + 1024;
/// The most bytes of a policy as JSON.
const MAX_POLICY: u64 = 16 * 1024;

/// What the process says of a script.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    /// What is refused, as much of it as fits.
    findings: Vec<Finding>,
    /// How many more there are.
    left_out: usize,
}

impl Answer {
    /// The first of the findings, and how many more there are.
    fn of(findings: Vec<Finding>) -> Self {
        let mut size = 0;
        let fit = findings.iter().take_while(|finding| {
            size += serde_json::to_vec(finding).map_or(MAX_FINDINGS, |json| json.len() + 1);
            size <= MAX_FINDINGS
        });
        let fit = fit.count();
        let left_out = findings.len() - fit;
        Self { findings: findings.into_iter().take(fit).collect(), left_out }
    }
}

/// Checks a job's script as its profile wants it: the record of a run that is refused, or that the
/// client has ended meanwhile, or `None` if it may run.
///
/// # Errors
/// If there is no process to check it, or if the profile is not for such a script.
pub fn refused(
    job: &Job,
    script: &Script,
    client: &mut dyn Client,
) -> Result<Option<RunRecord>, Rejection> {
    let Profile::Strict(policy) = &job.profile else { return Ok(None) };
    if job.runtime != Runtime::Python {
        let message = "the profile strict is for Python alone: use standard";
        return Err(Rejection::new(RejectKind::Invalid, message));
    }
    let started = Instant::now();
    let mut command = Command::new(PROGRAM);
    command.arg(ARG);
    let answer = ask(command, policy, script, client, started + PATIENCE).map_err(|error| {
        Rejection::new(RejectKind::Unavailable, format!("the script cannot be checked: {error}"))
    })?;
    let answer = match answer {
        Ok(answer) if answer.findings.is_empty() => return Ok(None),
        Ok(answer) => answer,
        Err(Silence::Unwanted) => return Ok(Some(never_begun(Outcome::Cancelled, job, script))),
        Err(silence) => {
            Answer { findings: vec![Finding::unchecked(&silence.to_string())], left_out: 0 }
        }
    };
    Ok(Some(record(answer, job, script, started.elapsed())))
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
enum Silence {
    /// The process ended without one, or said something else.
    Ended,
    /// It takes too long.
    Late,
    /// The client does not want it any more.
    Unwanted,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "what checks it has failed over it",
            Self::Late => "it takes too long",
            Self::Unwanted => "nobody wants it any more",
        })
    }
}

/// Has a process check a script, and waits for its answer.
///
/// # Errors
/// If there is no such process; within, that it does not answer.
fn ask(
    mut command: Command,
    policy: &Policy,
    script: &Script,
    client: &mut dyn Client,
    until: Instant,
) -> io::Result<Result<Answer, Silence>> {
    let mut text = serde_json::to_vec(policy)?;
    text.push(b'\n');
    text.extend(script.text());
    command.env_clear().stdin(sys::sealed_memfd(&text)?).stdout(Stdio::piped());
    let mut process = Process(command.stderr(Stdio::null()).spawn()?);
    let said = process.read(client, until)?;
    Ok(said.and_then(|said| serde_json::from_slice(&said).map_err(|_| Silence::Ended)))
}

/// A process that ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Process {
    /// All that it says, while the client wants it.
    fn read(
        &mut self,
        client: &mut dyn Client,
        until: Instant,
    ) -> io::Result<Result<Vec<u8>, Silence>> {
        let Some(stdout) = &mut self.0.stdout else { return Ok(Err(Silence::Ended)) };
        let mut said = Vec::new();
        let mut part = [0; 16 * 1024];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Err(Silence::Late));
            }
            let (said_more, heard) = {
                let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
                let mut fds = [readable(stdout.as_fd()), readable(client.events())];
                match poll(&mut fds, poll_timeout(left)) {
                    Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
                    other => other?,
                };
                (fds[0].any().unwrap_or(true), fds[1].any().unwrap_or(true))
            };
            if heard && client.hear() == Wish::Cancel {
                return Ok(Err(Silence::Unwanted));
            }
            if !said_more {
                continue;
            }
            match stdout.read(&mut part)? {
                0 => return Ok(Ok(said)),
                length if said.len() + length > MAX_ANSWER => return Ok(Err(Silence::Ended)),
                length => said.extend(part.get(..length).unwrap_or_default()),
            }
        }
    }
}

/// The record of a run of which nothing was begun.
pub fn never_begun(outcome: Outcome, job: &Job, script: &Script) -> RunRecord {
    RunRecord::never_begun(outcome, job.request_id.as_str(), job.profile.name(), script.sha256())
}

/// The record of a run that is refused.
fn record(answer: Answer, job: &Job, script: &Script, took: Duration) -> RunRecord {
    let Answer { findings, left_out } = answer;
    let message = match left_out {
        0 => "the profile strict refuses the script".to_owned(),
        more => format!("the profile strict refuses the script: {more} reasons are left out"),
    };
    RunRecord {
        message: Some(message),
        refusals: findings,
        wall_usec: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        ..never_begun(Outcome::Refused, job, script)
    }
}

/// The process: checks what stands in its standard input, and says what it has found.
#[must_use]
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(io::stderr(), "aictl-sandboxd {ARG}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    limit()?;
    let stdin: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let all = Script::from_memfd(stdin, MAX_POLICY + SOURCE.max)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let mut parts = all.text().splitn(2, |byte| *byte == b'\n');
    let policy: Policy = serde_json::from_slice(parts.next().unwrap_or_default())?;
    let text = parts.next().unwrap_or_default();
    // From here on it can do nothing but compute, write, and end.
    give_up_calls().map_err(io::Error::other)?;
    let answer = Answer::of(aictl_check::check(text, &policy).findings);
    io::stdout().write_all(&serde_json::to_vec(&answer)?)
}

/// Limits the process itself, before it reads anything.
fn limit() -> io::Result<()> {
    // It is where sandboxd itself is, which goes before all runs: this need not.
    sys::set_nice_of(0, 19).map_err(sys::io_error)?;
    // No core file: the script is somebody's secret.
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    for (resource, limit) in [
        (Resource::RLIMIT_CPU, MAX_CPU_SECONDS),
        (Resource::RLIMIT_AS, MAX_MEMORY),
        (Resource::RLIMIT_FSIZE, 0),
        // The one value with which a dump is not even piped to a program of the host's (core(5)).
        (Resource::RLIMIT_CORE, 1),
    ] {
        let (_, most) = getrlimit(resource)?;
        setrlimit(resource, limit.min(most), limit.min(most))?;
    }
    Ok(())
}

/// The calls that are left: those of memory, of a thread's start and end, and of writing the answer.
const CALLS: [libc::c_long; 20] = [
    libc::SYS_write,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Gives up all system calls but [`CALLS`] and the making of a thread, for this thread and those that
/// it makes.
fn give_up_calls() -> Result<(), seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.into_iter().map(|call| (call, Vec::new())).collect();
    let thread = (libc::CLONE_VM | libc::CLONE_THREAD).cast_unsigned().into();
    let only_threads =
        SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), thread)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![only_threads])?]);
    // As a kernel answers that does not know a call: who has another way, such as clone(2) for
    // clone3(2), goes it.
    let absent = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, absent, SeccompAction::Allow, arch)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::fd::BorrowedFd, thread};

    use aictl_api::strict::Rule;

    use super::*;
    use crate::{
        engine::Remote,
        protocol::{Request, RequestId},
        socket,
    };

    fn script(text: &str) -> Script {
        Script::new(text.as_bytes().to_vec(), SOURCE.max).unwrap()
    }

    /// What is made of a process that says what a shell's command does.
    fn said_by(shell: &str, patience: Duration) -> Result<Answer, Silence> {
        let (_wants_it, client) = socket::pair().unwrap();
        said_to(client.as_fd(), shell, patience)
    }

    fn said_to(client: BorrowedFd<'_>, shell: &str, patience: Duration) -> Result<Answer, Silence> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", shell]);
        let (script, until) = (script("x = 1\n"), Instant::now() + patience);
        ask(command, &Policy::default(), &script, &mut Remote(client), until).unwrap()
    }

    #[test]
    fn who_does_not_want_the_answer_any_more_is_not_waited_for() {
        let (ours, client) = socket::pair().unwrap();
        socket::send(ours.as_fd(), &Request::Cancel.encode(), &[]).unwrap();
        let said = said_to(client.as_fd(), "exec sleep 600", PATIENCE);
        assert_eq!(said, Err(Silence::Unwanted));
        drop(ours);
        assert_eq!(said_to(client.as_fd(), "exec sleep 600", PATIENCE), Err(Silence::Unwanted));
    }

    #[test]
    fn whatever_is_no_answer_is_none() {
        let ended = Err(Silence::Ended);
        for odd in [
            "exit 0",
            "exit 1",
            "kill -SEGV $$",
            "echo",
            "echo '{}'",
            "echo '{\"findings\":[]}'",
            "echo '{\"findings\":[],\"left_out\":0'; kill -9 $$",
            "echo '{\"findings\":[],\"left_out\":0}{}'",
            "echo '{\"findings\":[],\"left_out\":0,\"more\":1}'",
            "echo '{\"findings\":[{\"line\":1,\"column\":1,\"rule\":\"taste\",\"message\":\"\",\
             \"instead\":null}],\"left_out\":0}'",
            "yes",
        ] {
            assert_eq!(said_by(odd, PATIENCE), ended, "{odd}");
        }
        let good = "read policy; echo '{\"findings\":[],\"left_out\":0}'";
        assert_eq!(said_by(good, PATIENCE), Ok(Answer::default()));
        assert_eq!(said_by("exec sleep 600", Duration::from_millis(1)), Err(Silence::Late));
        let nobody = Command::new("/nowhere");
        let (_wants_it, client) = socket::pair().unwrap();
        let mut client = Remote(client.as_fd());
        let now = Instant::now();
        assert!(ask(nobody, &Policy::default(), &script("x"), &mut client, now).is_err());
    }

    #[test]
    fn what_cannot_be_checked_is_refused_and_many_findings_fit_into_a_message() {
        let finding = Finding::unchecked(&Silence::Late.to_string());
        assert_eq!((finding.rule, finding.line), (Rule::Check, 1));
        assert!(finding.message.ends_with("it takes too long"));
        let many = vec![Finding { instead: Some("\"".repeat(5000)), ..finding }; 1000];
        let answer = Answer::of(many);
        assert!(answer.findings.len() > 5 && answer.left_out > 900);
        assert_eq!(answer.findings.len() + answer.left_out, 1000);
        assert!(serde_json::to_vec(&answer).unwrap().len() <= MAX_ANSWER);
        let job = Job::trial(RequestId::from_bytes([7; 16])).unwrap();
        let record = record(answer, &job, &script("x = 1\n"), Duration::ZERO);
        assert!(record.message.as_ref().unwrap().ends_with("reasons are left out"));
        let reply = crate::protocol::Reply::Done(Box::new(record));
        assert!(reply.encode().len() <= crate::protocol::MAX_MESSAGE);
    }

    /// The filter is for the thread that takes it on, and for those that it makes.
    #[test]
    fn what_checks_can_open_nothing_and_still_checks() {
        let done = thread::spawn(|| {
            give_up_calls().unwrap();
            let findings = aictl_check::check(b"import os\n", &Policy::default()).findings;
            let opened = File::open("/dev/null").map_err(|error| error.raw_os_error());
            (findings.len(), opened.err(), Command::new("/bin/true").spawn().is_err())
        });
        assert_eq!(done.join().unwrap(), (1, Some(Some(libc::ENOSYS)), true));
    }
}
