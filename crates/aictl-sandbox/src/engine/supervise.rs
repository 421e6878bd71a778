//! One run from its start to its end: makes the sandbox, pumps its streams, watches its limits,
//! kills it when one is reached, and says what it came to.

use std::{
    io,
    os::fd::AsFd,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use aictl_api::{
    limits::Limits,
    record::{RunRecord, RunTimes},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    sys::socket::MsgFlags,
};

use super::{
    Engine, MAX_RESULT_TEXT, child,
    client::{Client, Wish, timeout, wait_for_room},
    outcome::{self, End, Seen, Stop},
    pipes::{Output, Read},
    sandbox::{Armed, Expected, Sandbox, Task},
    step::Step,
    usage::{ProcMeter, Usage},
};
use crate::{
    protocol::{Job, RejectKind, Rejection, Stream},
    socket,
    sys::{self, Rusage},
    weaken,
};

/// The longest and the shortest time between two looks at a sandbox.
const LOOK_SLOWEST: Duration = Duration::from_millis(20);
const LOOK_FASTEST: Duration = Duration::from_millis(4);
/// How fast a program is thought to be able to take memory at the most, in bytes a second.
const FASTEST_GROWTH: u64 = 4 << 30;

/// A run that is over: nothing of its script is executed any more. What the kernel has not given back
/// yet is waited for when this goes, for which nobody who waits for the record has to.
pub struct Ended {
    /// What it came to.
    pub record: RunRecord,
    sandbox: Option<Sandbox>,
}

#[cfg(test)]
impl Ended {
    /// Whether the kernel is not through with it yet.
    pub fn is_in_its_end(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|sandbox| sandbox.frame.lives())
    }
}

impl Ended {
    /// What it came to, for a process that ends now: what the kernel has still to do it does without
    /// us, unless there is something to be cleared away after that.
    #[must_use]
    pub fn leave(self) -> RunRecord {
        if let Some(sandbox) = self.sandbox.filter(|sandbox| sandbox.group.is_none()) {
            // Where it has not ended, it does so with this process.
            std::mem::forget(sandbox);
        }
        self.record
    }
}

/// One that needed no sandbox.
impl From<RunRecord> for Ended {
    fn from(record: RunRecord) -> Self {
        Self { record, sandbox: None }
    }
}

/// Runs a job in a sandbox that stands ready, for `client`, to which its output goes as it comes. The
/// client may take as long as `patience` to take what is left when the run is over.
///
/// # Errors
/// If nothing was run.
pub fn run(
    engine: &Engine,
    armed: Armed,
    task: Task<'_>,
    client: &mut dyn Client,
    patience: Duration,
) -> Result<Ended, Rejection> {
    let started = Instant::now();
    let Task { job, script, .. } = task;
    let (isolation, missing) = engine.layers();
    let start = Some(armed.kind());
    let mut sandbox = armed.start(engine, task)?;
    // Beside the start of the program, which has its own copy.
    let sha256 = script.sha256();
    let (record, over) = sandbox.supervise(client, job, started, sha256, patience)?;
    let record = RunRecord { start, isolation, missing, ..record };
    // What was ended from here is cleared away before anybody hears of it.
    Ok(Ended { record, sandbox: over.then_some(sandbox) })
}

impl Sandbox {
    /// Pumps, watches, and puts together what the run came to; and whether it was over by itself, with
    /// the kernel, and its first process, perhaps not through with it.
    fn supervise(
        &mut self,
        client: &mut dyn Client,
        job: &Job,
        started: Instant,
        sha256: String,
        patience: Duration,
    ) -> Result<(RunRecord, bool), Rejection> {
        let mut state = Watching::new(started, &job.limits);
        self.watch_until_end(client, &mut state);
        let rusage = match state.over {
            true => self.frame.used(),
            false => self.frame.end(),
        };
        // Who was ended from here while it was being made, has nothing wrong with it.
        let failed = self.frame.setup_error().filter(|_| state.stop.is_none());
        if let Some(error) = failed {
            let kind = match (error.step, error.errno) {
                (Step::Execute, Errno::ENOENT | Errno::ENOTDIR) => RejectKind::NoInterpreter,
                _ => RejectKind::Unavailable,
            };
            return Err(Rejection::new(kind, error));
        }
        if state.unwatched {
            let message = match self.group {
                Some(_) => "the run was stopped: its control group has lost its limits",
                None => "the sandbox cannot be watched: are there no descriptors left?",
            };
            return Err(Rejection::new(RejectKind::Unavailable, message));
        }
        self.drain(client, &mut state, patience);
        let over = state.over;
        Ok((self.record(state, rusage, started, sha256, job), over))
    }

    /// Pumps and watches until the sandbox's first process has ended, or has to.
    fn watch_until_end(&mut self, client: &mut dyn Client, state: &mut Watching) {
        loop {
            let ready = self.wait(client, state);
            if ready.ended {
                return;
            }
            state.offer_pending(client);
            if ready.client {
                match client.hear() {
                    Wish::GoOn => {}
                    Wish::Cancel => state.stop = Some(Stop::Cancelled),
                    Wish::Pause => self.pause(client, state),
                }
            }
            if ready.word {
                match self.take_word() {
                    Some(Word::Proc | Word::Nothing) => {}
                    Some(Word::Over) => {
                        state.over = true;
                        return;
                    }
                    None => {
                        state.unwatched = true;
                        return;
                    }
                }
            }
            for stream in [Stream::Stdout, Stream::Stderr] {
                if state.pending.is_none() {
                    self.forward(stream, client, state);
                }
            }
            // Both closed: that is how the interpreter ends. Whether it does, is for the kernel to say.
            let closed = self.stdout.fd().is_none() && self.stderr.fd().is_none();
            if closed && self.waited && !state.asked {
                state.asked = true;
                self.frame.board.get().has_it_ended.store(1, SeqCst);
                sys::pidfd_signal(self.frame.pidfd(), child::LOOK_AT_BOARD);
            }
            if let Some(result) = &mut self.result {
                state.collect_result(result);
            }
            let now = Instant::now();
            if now >= state.next_look {
                self.look(state, now);
            }
            if now >= state.deadline && !weaken::off("wall") {
                state.stop = state.stop.or(Some(Stop::Wall));
            }
            if state.stop.is_some() || state.unwatched {
                return;
            }
        }
    }

    /// Has the whole sandbox stand still for as long as the client does.
    fn pause(&mut self, client: &mut dyn Client, state: &mut Watching) {
        let since = Instant::now();
        self.stand_still(true);
        client.pause();
        self.stand_still(false);
        let still = since.elapsed();
        state.deadline += still;
        state.next_look += still;
    }

    fn stand_still(&self, still: bool) {
        self.frame.board.get().stand_still.store(still.into(), SeqCst);
        sys::pidfd_signal(self.frame.pidfd(), child::LOOK_AT_BOARD);
    }

    /// Waits until something happens, or until it is time to look.
    fn wait(&self, client: &dyn Client, state: &Watching) -> Ready {
        let until = match self.watched() {
            true => state.next_look.min(state.deadline),
            false => state.deadline,
        };
        let timeout = timeout(until.saturating_duration_since(Instant::now()));
        let readable = PollFlags::POLLIN;
        let mut fds =
            vec![PollFd::new(self.frame.pidfd(), readable), PollFd::new(client.events(), readable)];
        if let Some((stream, _)) = &state.pending {
            fds.push(PollFd::new(client.room(*stream), PollFlags::POLLOUT));
        }
        let word = (self.expected != Expected::Nothing).then(|| {
            fds.push(PollFd::new(self.frame.door.as_fd(), readable));
            fds.len() - 1
        });
        let streams = [Some(&self.stdout), Some(&self.stderr), self.result.as_ref()];
        for (index, output) in streams.into_iter().flatten().enumerate() {
            // Output waits while the client does not take what it has.
            if let (Some(fd), true) = (output.fd(), index == 2 || state.pending.is_none()) {
                fds.push(PollFd::new(fd, readable));
            }
        }
        if poll(&mut fds, timeout).is_err() {
            return Ready::default();
        }
        let happened = |index: usize| fds.get(index).and_then(PollFd::revents);
        let any = |index| happened(index).is_some_and(|events| !events.is_empty());
        let in_or_gone = |index| {
            happened(index).is_some_and(|events| {
                events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
            })
        };
        Ready { ended: any(0), client: in_or_gone(1), word: word.is_some_and(any) }
    }

    /// Whether there is anything to look at from time to time.
    fn watched(&self) -> bool {
        self.meter.is_some() || self.group.is_some()
    }

    /// Takes what the sandbox's first process sends: its /proc when all is built, or word that its
    /// program has come into its end. `None` if it cannot be watched from now on.
    fn take_word(&mut self) -> Option<Word> {
        let expected = std::mem::replace(&mut self.expected, Expected::Nothing);
        let packet = socket::receive(self.frame.door.as_fd(), MsgFlags::MSG_DONTWAIT);
        match (expected, packet) {
            (Expected::Proc, Ok(packet)) => {
                let mut fds = packet.fds.into_iter();
                self.meter = fds.next().map(|proc_dir| ProcMeter::new(proc_dir, fds.collect()));
                if self.meter.is_some() {
                    self.expected = Expected::End;
                }
                // The end of the connection: the making failed, and the board says how.
                (self.meter.is_some() || packet.bytes.is_empty()).then_some(Word::Proc)
            }
            (Expected::Proc, Err(_)) => None,
            (Expected::End, Ok(packet)) if packet.bytes == child::OVER => Some(Word::Over),
            // That it has ended altogether is seen by itself.
            (Expected::End | Expected::Nothing, _) => Some(Word::Nothing),
        }
    }

    /// Looks at what the sandbox uses, and decides whether that is too much.
    fn look(&mut self, state: &mut Watching, now: Instant) {
        let usage = match (&mut self.meter, &self.group) {
            (_, Some(group)) => match group.usage() {
                Some(usage) => usage,
                None => {
                    state.unwatched = true;
                    return;
                }
            },
            (Some(meter), None) => meter.sample(state.limits.memory()),
            (None, None) => {
                state.next_look = now + LOOK_FASTEST;
                return;
            }
        };
        let usage = Usage { cpu: usage.cpu.saturating_sub(self.cpu_before()), ..usage };
        state.peak = state.peak.max(usage.memory);
        state.cpu = state.cpu.max(usage.cpu);
        // Where a control group holds memory and processes, the kernel does that part.
        let kernel_holds = self.group.is_some();
        state.stop = state
            .stop
            .or(exceeded(&usage, &state.limits, kernel_holds))
            .filter(|_| !weaken::off("watch"));
        state.next_look = now + pause(usage.memory, state.limits.memory());
    }

    /// Sends on what a stream holds, one chunk.
    fn forward(&mut self, stream: Stream, client: &mut dyn Client, state: &mut Watching) {
        let output = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let bytes = match output.read() {
            Read::Nothing | Read::End => return,
            Read::Bytes(bytes) => bytes,
            Read::Over(bytes) => {
                state.stop = state.stop.or(Some(Stop::Output(stream)));
                bytes
            }
        };
        if bytes.is_empty() {
            return;
        }
        state.pending = Some((stream, bytes));
        state.offer_pending(client);
    }

    /// Sends on what is left in the pipes of a dead sandbox, for as long as the client takes it.
    fn drain(&mut self, client: &mut dyn Client, state: &mut Watching, patience: Duration) {
        let deadline = Instant::now() + patience;
        if let Some(result) = &mut self.result {
            state.collect_result(result);
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            loop {
                while let Some((waiting, _)) = state.pending {
                    if wait_for_room(client, waiting, deadline).is_err() || state.broken {
                        return;
                    }
                    state.offer_pending(client);
                }
                let before = self.left(stream);
                self.forward(stream, client, state);
                if state.pending.is_none() && self.left(stream) == before {
                    break;
                }
            }
        }
    }

    /// What an interpreter that has waited for the job had used by then.
    fn cpu_before(&self) -> Duration {
        Duration::from_micros(self.frame.board.get().cpu_before.load(SeqCst))
    }

    fn left(&self, stream: Stream) -> (u64, bool) {
        match stream {
            Stream::Stdout => self.stdout.state(),
            Stream::Stderr => self.stderr.state(),
        }
    }

    /// Puts together what the run came to.
    fn record(
        &self,
        state: Watching,
        rusage: Rusage,
        started: Instant,
        sha256: String,
        job: &Job,
    ) -> RunRecord {
        let board = self.frame.board.get();
        let end = (board.ended.load(SeqCst) == 1)
            .then(|| End::from_status(board.wait_status.load(SeqCst)));
        let before = self.cpu_before();
        let mut cpu = state.cpu.max(rusage.cpu.saturating_sub(before));
        let mut peak = state.peak.max(rusage.max_rss);
        let mut oom_kill = false;
        // The first process is among those that are left.
        let left_over = u64::from(board.left_over.load(SeqCst));
        let mut process_refused = left_over > job.limits.processes();
        if let Some(group) = &self.group {
            let of_group = group.usage().unwrap_or_default().cpu;
            cpu = cpu.max(of_group.saturating_sub(before));
            peak = group.peak_memory().unwrap_or(peak);
            oom_kill = group.oom_killed();
            process_refused = group.process_refused();
        }
        let seen = Seen {
            stop: state.stop,
            end,
            oom_kill,
            process_refused,
            cpu_used_up: cpu >= job.limits.cpu(),
        };
        let verdict = outcome::decide(&seen, &job.limits);
        let (result, result_error) = match parse_result(&state.result) {
            Ok(result) => (result, None),
            Err(error) => (None, Some(error)),
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let start_usec = match board.program_started.load(SeqCst) {
            0 => None,
            at => {
                let ago = sys::now().saturating_sub(at) / 1000;
                Some(micros(started.elapsed()).saturating_sub(ago))
            }
        };
        RunRecord {
            outcome: verdict.outcome,
            exit_code: verdict.exit_code,
            signal: verdict.signal,
            message: verdict.message,
            stdout_truncated: self.stdout.truncated,
            stderr_truncated: self.stderr.truncated,
            result,
            result_error,
            wall_usec: micros(started.elapsed()),
            times: RunTimes { start_usec, ..RunTimes::default() },
            cpu_usec: micros(cpu),
            peak_memory_bytes: (peak > 0).then_some(peak),
            code_sha256: sha256,
            profile: job.profile.name().to_owned(),
            start: None,
            isolation: Vec::new(),
            missing: Vec::new(),
            refusals: Vec::new(),
            request_id: job.request_id.as_str().to_owned(),
        }
    }
}

/// What a wait brought.
#[derive(Debug, Default)]
struct Ready {
    ended: bool,
    client: bool,
    word: bool,
}

/// What a sandbox's first process has sent.
#[derive(Debug)]
enum Word {
    /// Its /proc, or that there will be none.
    Proc,
    /// The program has come into its end.
    Over,
    /// Nothing that anybody needs.
    Nothing,
}

/// What is known of a run while it lasts.
struct Watching {
    limits: Limits,
    deadline: Instant,
    next_look: Instant,
    /// Output that the client has not taken yet.
    pending: Option<(Stream, Vec<u8>)>,
    /// The client takes no output any more.
    broken: bool,
    stop: Option<Stop>,
    /// Nobody would see it pass its limits.
    unwatched: bool,
    /// Whether the program has come into its end has been asked.
    asked: bool,
    /// Nobody is left but the first process, and a program that has come into its end.
    over: bool,
    peak: u64,
    cpu: Duration,
    result: Vec<u8>,
}

impl Watching {
    fn new(started: Instant, limits: &Limits) -> Self {
        Self {
            limits: *limits,
            deadline: started + limits.wall(),
            next_look: started + pause(0, limits.memory()),
            pending: None,
            broken: false,
            stop: None,
            unwatched: false,
            asked: false,
            over: false,
            peak: 0,
            cpu: Duration::ZERO,
            result: Vec::new(),
        }
    }

    /// Offers the client what it has not taken yet.
    fn offer_pending(&mut self, client: &mut dyn Client) {
        let Some((stream, bytes)) = &mut self.pending else { return };
        match client.take(*stream, bytes) {
            Ok(taken) if taken < bytes.len() => drop(bytes.drain(..taken)),
            Ok(_) => self.pending = None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => {
                self.broken = true;
                self.pending = None;
                self.stop = self.stop.or(Some(Stop::Cancelled));
            }
        }
    }

    /// Reads what the script says of its `result`.
    fn collect_result(&mut self, from: &mut Output) {
        while let Read::Bytes(bytes) | Read::Over(bytes) = from.read() {
            self.result.extend(bytes);
        }
        if from.truncated {
            self.result = b"-it is longer than 64 KiB as JSON".to_vec();
        }
    }
}

/// Which limit a sandbox is over, if any.
fn exceeded(usage: &Usage, limits: &Limits, kernel_holds: bool) -> Option<Stop> {
    if usage.cpu >= limits.cpu() {
        return Some(Stop::Cpu);
    }
    if kernel_holds {
        return None;
    }
    if usage.memory > limits.memory() {
        return Some(Stop::Memory);
    }
    (usage.tasks > limits.processes()).then_some(Stop::Processes)
}

/// How long until the next look: sooner, the closer the memory is to its limit.
fn pause(memory: u64, limit: u64) -> Duration {
    let room = limit.saturating_sub(memory);
    let micros = room.saturating_mul(1_000_000) / FASTEST_GROWTH;
    Duration::from_micros(micros).clamp(LOOK_FASTEST, LOOK_SLOWEST)
}

/// Reads what a script sent of its `result`: a plus sign and JSON, or a minus sign and a reason.
/// All of it is the script's own word, and may be anything.
fn parse_result(bytes: &[u8]) -> Result<Option<serde_json::Value>, String> {
    match bytes {
        [] => Ok(None),
        [b'+', json @ ..] => {
            if has_large_integer(json) {
                return Err(
                    "an integer in it does not fit into 64 bits; a text can hold it".to_owned()
                );
            }
            let value: serde_json::Value = serde_json::from_slice(json)
                .map_err(|error| format!("what came back is no JSON that can be kept: {error}"))?;
            // Written out again, a number can be longer than it was.
            match serde_json::to_vec(&value).map_or(usize::MAX, |text| text.len()) {
                0..=MAX_RESULT_TEXT => Ok(Some(value)),
                _ => Err("it is longer than 64 KiB as JSON".to_owned()),
            }
        }
        [b'-', reason @ ..] => {
            let text = String::from_utf8_lossy(reason);
            Err(text.chars().filter(|c| !c.is_control()).take(300).collect())
        }
        _ => Err("what came back is not valid JSON".to_owned()),
    }
}

/// Whether there is an integer in this JSON that is rounded when it is read: one that neither
/// u64 nor i64 can hold.
fn has_large_integer(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some((&first, after)) = rest.split_first() {
        rest = match first {
            b'"' => after_string(after),
            b'-' | b'0'..=b'9' => {
                let is_of_number =
                    |byte: &u8| matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9');
                let length = rest.iter().take_while(|byte| is_of_number(byte)).count();
                let (number, after) = rest.split_at(length);
                let is_integer = !number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
                let number = str::from_utf8(number).unwrap_or_default();
                if is_integer && number.parse::<u64>().is_err() && number.parse::<i64>().is_err() {
                    return true;
                }
                after
            }
            _ => after,
        };
    }
    false
}

/// What comes after the end of a string whose beginning was read.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] => after,
            [b'"', after @ ..] => return after,
            [_, after @ ..] => after,
            [] => return rest,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_that_would_be_rounded_is_seen() {
        for (json, expected) in [
            ("18446744073709551615", false),
            ("18446744073709551616", true),
            ("-9223372036854775808", false),
            ("-9223372036854775809", true),
            ("[1, {\"a\": 12345678901234567890123}]", true),
            ("[1.5e300, 1e400, -0, -0.0, 0.1234567890123456789012345]", false),
            ("\"18446744073709551616\"", false),
            ("{\"\\\"18446744073709551616\": \"\\\\\", \"b\": 2}", false),
            ("{\"\\\\\": 18446744073709551616}", true),
            ("[]", false),
        ] {
            assert_eq!(has_large_integer(json.as_bytes()), expected, "{json}");
        }
    }

    #[test]
    fn a_limit_that_is_passed_stops_the_run() {
        let limits = Limits::default();
        let under = Usage { memory: limits.memory(), cpu: Duration::ZERO, tasks: 64 };
        let table = [
            (under, false, None),
            (Usage { memory: limits.memory() + 1, ..under }, false, Some(Stop::Memory)),
            (Usage { memory: limits.memory() + 1, ..under }, true, None),
            (Usage { tasks: 65, ..under }, false, Some(Stop::Processes)),
            (Usage { tasks: 65, ..under }, true, None),
            (Usage { cpu: limits.cpu(), ..under }, false, Some(Stop::Cpu)),
            (Usage { cpu: limits.cpu(), ..under }, true, Some(Stop::Cpu)),
        ];
        for (usage, kernel_holds, expected) in table {
            assert_eq!(exceeded(&usage, &limits, kernel_holds), expected, "{usage:?}");
        }
    }

    #[test]
    fn looks_come_faster_near_the_limit() {
        assert_eq!(pause(0, 1 << 30), LOOK_SLOWEST);
        assert_eq!(pause(1 << 30, 1 << 30), LOOK_FASTEST);
        assert_eq!(pause(2 << 30, 1 << 30), LOOK_FASTEST);
        let half = pause((1 << 30) - (40 << 20), 1 << 30);
        assert!(half > LOOK_FASTEST && half < LOOK_SLOWEST, "{half:?}");
    }

    #[test]
    fn a_result_is_data_or_a_reason_and_never_trusted() {
        assert_eq!(parse_result(b""), Ok(None));
        assert_eq!(parse_result(b"+4"), Ok(Some(4.into())));
        assert_eq!(parse_result(b"+null"), Ok(Some(serde_json::Value::Null)));
        for forged in [&b"+"[..], b"+1+2", b"x", b"+NaN", b"+\xff", b"\0", b"++"] {
            assert!(parse_result(forged).is_err(), "{forged:?}");
        }
        let grows = format!("+[{}1]", "9e9,".repeat(16_000));
        assert_eq!(grows.len(), 64_004);
        assert_eq!(parse_result(grows.as_bytes()).unwrap_err(), "it is longer than 64 KiB as JSON");
        let deep = [b"+", "[".repeat(100_000).as_bytes()].concat();
        assert!(parse_result(&deep).is_err());
        let reason = parse_result(b"-a\x1b[31m\nb").unwrap_err();
        assert_eq!(reason, "a[31mb");
        assert_eq!(
            parse_result(&[b"-", "x".repeat(999).as_bytes()].concat()).unwrap_err().len(),
            300
        );
    }
}
