//! Runs of scripts through the helper, with a real keeper of sandboxes beside it.

use std::{
    fs,
    future::poll_fn,
    io::{ErrorKind, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    pin::Pin,
};

use aictl_api::{
    audit,
    authorisation::STDIN,
    limits::TIMEOUT,
    record::{RunRecord, SANDBOX_OK},
    run::Outcome as RunOutcome,
};
use aictl_core::dbus_records;
use aictl_sandbox::{
    protocol::{Reply, Request},
    sealed_memfd,
};
use aictld::lifetime::Order;
use futures_core::Stream;
use nix::{
    fcntl::OFlag,
    sys::memfd::{MFdFlags, memfd_create},
    unistd::pipe2,
};
use zbus::{
    Fd, Message, MessageStream,
    message::{Flags, Type},
};

use crate::world::{
    Client, MANAGER, Outcome, Pending, Plan, SANDBOX, WIDE, World, error, journald::Entry,
    keeper::Keeper, polkit::Say,
};

async fn world_with(keeper: &Keeper, config: &str) -> World {
    let config = format!("{WIDE}{config}");
    Plan { config, sandboxd: keeper.socket(), ..Plan::default() }.begin().await
}

/// A script that is to be run.
struct Script<'a> {
    script: OwnedFd,
    name: &'a str,
    runtime: &'a str,
    arguments: Vec<String>,
    profile: &'a str,
    limits: (u64, u64, u64, u64, u64, u64),
    flags: u64,
}

impl Script<'_> {
    fn python(text: &str) -> Self {
        Self {
            script: sealed_memfd(text.as_bytes()).unwrap(),
            name: "a.py",
            runtime: "python",
            arguments: Vec::new(),
            profile: "standard",
            limits: (0, 0, 0, 0, 0, 0),
            flags: 0,
        }
    }

    /// One that has a standard input.
    fn reading(text: &str) -> Self {
        Self { flags: STDIN, ..Self::python(text) }
    }

    fn sha256(script: &OwnedFd) -> String {
        let script = aictl_sandbox::Script::from_memfd(script.try_clone().unwrap(), 1 << 20);
        script.unwrap().sha256()
    }

    async fn send(&self, client: &Client) -> Pending {
        let body = (
            Fd::from(&self.script),
            self.name,
            self.runtime,
            &self.arguments,
            self.profile,
            self.limits,
            self.flags,
        );
        client.send(SANDBOX, "Run", &body, Flags::empty()).await
    }

    async fn call(&self, client: &Client) -> Outcome {
        self.send(client).await.answer().await
    }

    async fn begin(&self, client: &Client) -> Run {
        Run::of(&self.call(client).await.unwrap())
    }
}

/// What the call is answered with.
type Answer = (String, zbus::OwnedFd, zbus::OwnedFd, Vec<zbus::OwnedFd>);

/// A run that was accepted.
struct Run {
    name: String,
    stdout: fs::File,
    stderr: fs::File,
    stdin: Option<UnixStream>,
}

impl Run {
    fn of(answer: &Message) -> Self {
        let body = answer.body();
        let (name, stdout, stderr, stdin): Answer = body.deserialize().unwrap();
        let file = |fd: zbus::OwnedFd| fs::File::from(OwnedFd::from(fd));
        assert!(stdin.len() <= 1);
        let stdin = stdin.into_iter().next().map(|fd| OwnedFd::from(fd).into());
        Self { name, stdout: file(stdout), stderr: file(stderr), stdin }
    }

    async fn wait(&self, client: &Client) -> RunRecord {
        record(wait(client, &self.name).await.unwrap())
    }

    /// Standard output and standard error to their ends.
    async fn output(self) -> (String, String) {
        let read = |mut file: fs::File| {
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            text
        };
        tokio::task::spawn_blocking(move || (read(self.stdout), read(self.stderr))).await.unwrap()
    }
}

fn record(answer: Message) -> RunRecord {
    dbus_records::run(answer.body().deserialize().unwrap()).unwrap()
}

async fn wait(client: &Client, run: &str) -> Outcome {
    client.call(SANDBOX, "Wait", &(run,)).await
}

/// Waits until something is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// What the helper says of its sandboxes: it has tried one.
async fn health(world: &World) -> String {
    let answer = world.client().await.call(MANAGER, "Health", &()).await.unwrap();
    dbus_records::health(answer.body().deserialize().unwrap()).unwrap().sandbox
}

#[tokio::test]
async fn health_is_a_script_that_has_run_and_not_only_a_keeper_that_is_there() {
    let mut keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    assert_eq!(health(&world).await, SANDBOX_OK);
    // It is nobody's run: no record, no place in the queue.
    assert!(ran(&world).is_empty());
    // Nobody is there any more; what was found out is told again for a while.
    keeper.kill();
    assert_eq!(health(&world).await, SANDBOX_OK);
    let nobody = World::new().await;
    assert!(health(&nobody).await.contains("aictl-sandboxd.socket"));
}

/// The records of runs that have ended.
fn ran(world: &World) -> Vec<Entry> {
    let mut entries = world.journal.take();
    entries.retain(|entry| entry["MESSAGE_ID"] == audit::RAN);
    entries
}

/// Prints, and goes on until it is ended.
const ENDLESS: &str = "print('on', flush=True)\nimport signal\nwhile True: signal.pause()";

#[tokio::test]
async fn a_script_runs_and_its_caller_and_the_journal_are_told() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    let text = "import sys\nprint('out', sys.argv[1:], __file__)\nprint('err', file=sys.stderr)\n\
                result = {'a': [1, None]}\nsys.exit(3)";
    let mut script = Script::python(text);
    script.arguments = vec!["secret argument".to_owned(), "b".to_owned()];
    script.flags = 1;
    let run = script.begin(&client).await;
    let record = run.wait(&client).await;
    assert_eq!((record.outcome, record.exit_code), (RunOutcome::Exited, Some(3)), "{record:?}");
    assert_eq!(record.result, Some(serde_json::json!({ "a": [1, null] })));
    assert_eq!(record.request_id, run.name);
    assert!(record.isolation.len() > 5 && record.cpu_usec > 0, "{record:?}");
    // It is fetched once.
    assert_eq!(error(wait(&client, &run.name).await), "InvalidArgument");
    let name = run.name.clone();
    let (out, err) = run.output().await;
    assert_eq!(out, "out ['secret argument', 'b'] /work/a.py\n");
    assert_eq!(err, "err\n");

    let entries = world.journal.take();
    let call = entries.iter().find(|entry| entry["MESSAGE_ID"] == audit::CALL).unwrap();
    assert_eq!(call["AICTL_METHOD"], "org.aictl1.Sandbox.Run");
    assert_eq!((&*call["AICTL_DECISION"], &*call["AICTL_RESULT"]), ("allowed", "done"));
    assert_eq!(call["AICTL_CODE_SHA256"], record.code_sha256);
    assert_eq!(call["AICTL_CODE_BYTES"], text.len().to_string());
    assert_eq!((&*call["AICTL_PROFILE"], &*call["AICTL_ARGUMENT_COUNT"]), ("standard", "2"));
    let ran = entries.iter().find(|entry| entry["MESSAGE_ID"] == audit::RAN).unwrap();
    assert_eq!((&ran["AICTL_REQUEST_ID"], &call["AICTL_REQUEST_ID"]), (&name, &name));
    assert_eq!((&*ran["AICTL_OUTCOME"], &*ran["AICTL_EXIT_CODE"]), ("exited", "3"));
    assert_eq!(ran["AICTL_CPU_USEC"], record.cpu_usec.to_string());
    assert_eq!(ran["AICTL_PEAK_MEMORY"], record.peak_memory_bytes.unwrap().to_string());
    assert!(ran["AICTL_DURATION_USEC"].parse::<u64>().unwrap() >= record.wall_usec);
    let waited = entries.iter().find(|entry| entry.contains_key("AICTL_RUN")).unwrap();
    assert_eq!(waited["AICTL_RUN"], name);
    let all = format!("{entries:?}");
    for secret in ["secret argument", "import sys", "out [", "a.py"] {
        assert!(!all.contains(secret), "{secret} is told: {all}");
    }
}

/// Who asks for strict gets the configuration's, whatever he is himself.
#[tokio::test]
async fn strict_is_checked_by_the_configuration_and_its_reasons_are_told() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "[sandbox.strict]\nimports = [\"math\", \"json\"]").await;
    let client = world.client().await;
    let strict = |text: &str| Script { profile: "strict", flags: 1, ..Script::python(text) };
    let text = "import json\nimport os  # a comment\nprint('begins now')\nx = ().__class__\n";
    let run = strict(text).begin(&client).await;
    let name = run.name.clone();
    let record = run.wait(&client).await;
    assert_eq!((record.outcome, record.exit_code), (RunOutcome::Refused, None), "{record:?}");
    assert_eq!((record.start, &*record.profile), (None, "strict"));
    assert!(record.isolation.is_empty() && record.peak_memory_bytes.is_none(), "{record:?}");
    let told: Vec<_> =
        record.refusals.iter().map(|it| (it.line, it.column, it.rule.name())).collect();
    assert_eq!(told, [(2, 8, "import"), (4, 8, "attribute")]);
    assert_eq!(record.refusals[0].instead.as_deref(), Some("use one of: json, math"));
    assert_eq!(run.output().await, (String::new(), String::new()));
    let entries = world.journal.take();
    let ran = entries.iter().find(|entry| entry["MESSAGE_ID"] == audit::RAN).unwrap();
    assert_eq!(ran["AICTL_REQUEST_ID"], name);
    assert_eq!((&*ran["AICTL_OUTCOME"], &*ran["AICTL_RESULT"]), ("refused", "refused"));
    assert_eq!((&*ran["AICTL_PROFILE"], &*ran["AICTL_EXIT_CODE"]), ("strict", ""));
    let all = format!("{entries:?}");
    for code in ["import os", "a comment", "begins now", "__class__"] {
        assert!(!all.contains(code), "{code} is told: {all}");
    }

    let run = strict("import math\nprint('on')\nresult = math.sqrt(16)\n").begin(&client).await;
    let record = run.wait(&client).await;
    assert_eq!((record.outcome, record.exit_code), (RunOutcome::Exited, Some(0)), "{record:?}");
    assert_eq!((record.result, record.refusals), (Some(serde_json::json!(4.0)), Vec::new()));
    assert_eq!(run.output().await.0, "on\n");
    // An escaped name that acts on a terminal does so neither here nor there.
    let run = strict("import \u{e9}\u{301}\nx = '\u{9b}31m'\n").begin(&client).await;
    let record = run.wait(&client).await;
    assert_eq!(record.outcome, RunOutcome::Refused);
    assert!(!format!("{record:?}").contains(['\u{9b}', '\u{1b}']));
    let shell = Script { runtime: "bash", ..strict("true") };
    assert_eq!(error(shell.call(&client).await), "InvalidArgument");
}

/// The identifier of the call, which its answer and the journal have, is what the keeper is given.
#[tokio::test]
async fn one_identifier_goes_from_the_call_to_the_journal_and_to_the_keeper() {
    let keeper = Keeper::idle();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    let run = Script::python("print(1)").begin(&client).await;
    let heard = tokio::task::spawn_blocking(move || keeper.hear()).await.unwrap();
    let Ok(Request::Run(job)) = Request::decode(&heard) else { panic!("{heard:?}") };
    assert_eq!(job.request_id.as_str(), run.name);
    // The keeper has hung up.
    assert_eq!(error(wait(&client, &run.name).await), "Unavailable");
    let entries = world.journal.take();
    for kind in [audit::CALL, audit::RAN] {
        let entry = entries.iter().find(|entry| entry["MESSAGE_ID"] == kind).unwrap();
        assert_eq!(entry["AICTL_REQUEST_ID"], run.name);
    }
}

#[tokio::test]
async fn every_limit_is_held_and_standard_input_is_read() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    let mut run = Script::reading("import sys\nprint(sys.stdin.read())").begin(&client).await;
    run.stdin.take().unwrap().write_all(b"from its caller").unwrap();
    run.wait(&client).await;
    assert_eq!(run.output().await.0, "from its caller\n");
    // One that has none reads an end at once.
    let run = Script::python("import sys\nprint(sys.stdin.read())").begin(&client).await;
    assert!(run.stdin.is_none());
    run.wait(&client).await;
    assert_eq!(run.output().await.0, "\n");
    // One that never ends is nobody's business but the script's; and who writes to what has ended
    // is told so.
    let mut run = Script::reading("print('does not read')").begin(&client).await;
    let mut stdin = run.stdin.take().unwrap();
    assert_eq!(run.wait(&client).await.outcome, RunOutcome::Exited);
    assert_eq!(stdin.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    // And reading from it lasts as long as the run may.
    let mut script = Script::reading("import sys\nsys.stdin.read()");
    script.limits.0 = 200;
    let run = script.begin(&client).await;
    assert_eq!(run.wait(&client).await.outcome, RunOutcome::TimedOut);
    let mut script = Script::python("print('x' * 100)");
    script.limits.4 = 10;
    let run = script.begin(&client).await;
    let record = run.wait(&client).await;
    assert_eq!((record.outcome, record.stdout_truncated), (RunOutcome::OutputLimit, true));
    assert_eq!(run.output().await.0, "x".repeat(10));
}

#[tokio::test]
async fn whatever_is_wrong_is_told_and_nothing_is_run() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "[sandbox.max]\nmemory = \"1G\"").await;
    let client = world.client().await;
    let open = |path: &str| OwnedFd::from(fs::File::open(path).unwrap());
    let pipe = || pipe2(OFlag::O_CLOEXEC).unwrap();
    let unsealed = memfd_create("x", MFdFlags::MFD_ALLOW_SEALING).unwrap();
    nix::unistd::write(&unsealed, b"print(1)").unwrap();
    let with = |change: &dyn Fn(&mut Script<'static>)| {
        let mut script = Script::python("print(1)");
        change(&mut script);
        script
    };
    let of = |script: OwnedFd| Script { script, ..Script::python("x") };
    let cases: Vec<(&str, Script<'_>, &str)> = vec![
        ("unsealed memory", of(unsealed), "F_SEAL_WRITE"),
        ("a file", of(open("/etc/passwd")), "F_SEAL_WRITE"),
        ("a device", of(open("/dev/zero")), "F_SEAL_WRITE"),
        ("a directory", of(open("/")), "F_SEAL_WRITE"),
        ("a pipe", of(pipe().0), "F_SEAL_WRITE"),
        ("a socket", of(UnixStream::pair().unwrap().0.into()), "F_SEAL"),
        ("nothing", of(sealed_memfd(b"").unwrap()), "is empty"),
        ("a program", of(sealed_memfd(b"\x7fELF\0\0").unwrap()), "NUL bytes"),
        ("a NUL at the end", of(sealed_memfd(b"print(1)\0").unwrap()), "NUL bytes"),
        ("too much", of(sealed_memfd(&vec![b'#'; (1 << 20) + 1]).unwrap()), "limit of 1048576"),
        ("a path as name", with(&|s| s.name = "../a.py"), "no slash"),
        ("no name", with(&|s| s.name = ""), "1 to 255"),
        ("another runtime", with(&|s| s.runtime = "perl"), "python, bash or node"),
        ("a path as runtime", with(&|s| s.runtime = "/bin/sh"), "python, bash or node"),
        ("another profile", with(&|s| s.profile = "none"), "the profile is"),
        ("unknown flags", with(&|s| s.flags = 4), "unknown flags"),
        ("a limit out of range", with(&|s| s.limits.3 = 5000), "max-processes"),
        ("a limit over the most", with(&|s| s.limits.2 = (1 << 30) + 1), "at most 1G"),
        (
            "many arguments",
            with(&|s| s.arguments = vec!["x".to_owned(); 1025]),
            "more than 1024 arguments",
        ),
        (
            "long arguments",
            with(&|s| s.arguments = vec!["x".repeat(65_536)]),
            "longer than 64 KiB together",
        ),
        (
            "arguments longer than any message",
            with(&|s| s.arguments = vec!["x".repeat(1 << 20)]),
            "arguments are larger than",
        ),
    ];
    for (what, script, words) in cases {
        let failed = script.call(&client).await.expect_err(what);
        assert_eq!(failed.name, "org.aictl1.Error.InvalidArgument", "{what}: {failed:?}");
        assert!(failed.words.contains(words), "{what}: {}", failed.words);
    }
    // More descriptors than the call has are not even looked at.
    let (script, more) = (sealed_memfd(b"print(1)").unwrap(), [pipe().0, pipe().0]);
    let more: Vec<Fd<'_>> = more.iter().map(Fd::from).collect();
    let limits = (0u64, 0u64, 0u64, 0u64, 0u64, 0u64);
    let none: Vec<String> = Vec::new();
    let body = (Fd::from(&script), "a.py", "python", none, "standard", limits, more, 0u64);
    assert_eq!(error(client.call(SANDBOX, "Run", &body).await), "InvalidArgument");
    // Those of other calls neither.
    let fd = open("/dev/null");
    assert_eq!(error(client.call(SANDBOX, "Wait", &(Fd::from(&fd),)).await), "InvalidArgument");
    assert_eq!(error(client.call(SANDBOX, "List", &(2u64,)).await), "InvalidArgument");
    for call in world.journal.calls() {
        assert_eq!((&*call["AICTL_DECISION"], &*call["AICTL_RESULT"]), ("invalid", "refused"));
    }
    // As long as may be.
    let mut script = Script::python("import sys\nprint(len(sys.argv[1]), len(sys.argv))");
    script.arguments = vec!["x".repeat(60_000), "y".to_owned()];
    let run = script.begin(&client).await;
    run.wait(&client).await;
    assert_eq!(run.output().await.0, "60000 3\n");
}

#[tokio::test]
async fn who_may_not_runs_nothing() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    world.polkit.say("org.aictl1.sandbox.run", Say::No).await;
    let client = world.client().await;
    let denied = Script::python("print(1)").call(&client).await;
    assert_eq!(error(denied), "NotAuthorized");
    let call = world.journal.call();
    assert_eq!(call["AICTL_DECISION"], "denied");
    assert_eq!(call["AICTL_CODE_BYTES"], "8");
    assert_eq!(world.helper.runs.counts(), (0, 0));
}

#[tokio::test]
async fn a_yes_to_a_run_is_kept_until_polkit_changes_its_mind() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    let asked = async || {
        Script::python("print(1)").begin(&client).await.wait(&client).await;
        world.polkit.asked().len()
    };
    assert_eq!([asked().await, asked().await], [1, 0]);
    world.polkit.say("org.aictl1.sandbox.run", Say::No).await;
    world.polkit.change().await;
    client.round_trip().await;
    assert_eq!(error(Script::python("print(1)").call(&client).await), "NotAuthorized");
}

#[tokio::test]
async fn without_a_keeper_it_is_unavailable_and_with_a_dead_one_the_next_run_works() {
    let mut keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        let mut run = Script::python(ENDLESS).begin(&client).await;
        run = tokio::task::spawn_blocking(move || {
            let mut on = [0; 3];
            run.stdout.read_exact(&mut on).unwrap();
            run
        })
        .await
        .unwrap();
        runs.push(run);
    }
    keeper.kill();
    for run in &runs {
        let failed = wait(&client, &run.name).await.unwrap_err();
        assert_eq!(failed.name, "org.aictl1.Error.Unavailable", "{failed:?}");
        assert!(failed.words.contains("ended during the run"), "{}", failed.words);
    }
    let records = ran(&world);
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| record["AICTL_RESULT"] == "failed"));
    keeper.begin();
    let run = Script::python("print(1)").begin(&client).await;
    assert_eq!(run.wait(&client).await.outcome, RunOutcome::Exited);

    fs::remove_file(keeper.socket()).unwrap();
    let run = Script::python("print(1)").begin(&client).await;
    let failed = wait(&client, &run.name).await.unwrap_err();
    assert_eq!(failed.name, "org.aictl1.Error.Unavailable");
    assert!(failed.words.contains("aictl-sandboxd.socket"), "{}", failed.words);
    assert_eq!(run.output().await, (String::new(), String::new()));
    assert_eq!(world.helper.runs.counts(), (0, 0));
}

/// What one user has queued waits for that user's own turn.
#[tokio::test]
async fn users_runs_wait_for_their_turn_and_too_many_are_refused() {
    let keeper = Keeper::start();
    let bounds = "[sandbox]\nruns = 2\nruns-per-user = 1\nqueue-per-user = 2";
    let world = world_with(&keeper, bounds).await;
    let client = world.client().await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(Script::python("print(1)\nimport time; time.sleep(0.2)").begin(&client).await);
    }
    assert_eq!(world.helper.runs.counts(), (1, 2));
    let failed = Script::python("print(1)").call(&client).await.unwrap_err();
    assert_eq!((failed.name.as_str(), failed.signature.as_str()), (LIMIT, "st"));
    let listed = client.call(SANDBOX, "List", &(0u64,)).await.unwrap();
    let listed: Vec<dbus_records::Record> = listed.body().deserialize().unwrap();
    let listed: Vec<_> =
        listed.into_iter().map(|run| dbus_records::listed_run(run).unwrap()).collect();
    let names: Vec<_> = listed.iter().map(|run| run.run.as_str()).collect();
    assert_eq!(names, runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>());
    assert_eq!(listed[2].state, "queued");
    for run in runs {
        assert_eq!(run.wait(&client).await.outcome, RunOutcome::Exited);
    }
    until(|| world.helper.runs.counts() == (0, 0)).await;
}

const LIMIT: &str = "org.aictl1.Error.LimitExceeded";

/// It holds something of that run, which its caller has seen to.
#[tokio::test]
async fn a_run_that_the_keeper_has_not_let_go_of_keeps_its_users_place() {
    let keeper = Keeper::idle();
    let world = world_with(&keeper, "[sandbox]\nruns-per-user = 1").await;
    let client = world.client().await;
    let script = Script::python("print(1)");
    let cancelled = |script: &Script<'_>| {
        let sha256 = Script::sha256(&script.script);
        let record = RunRecord::never_begun(RunOutcome::Cancelled, "", "standard", sha256);
        Reply::Done(Box::new(record)).encode()
    };
    let reply = cancelled(&script);
    let first = script.begin(&client).await;
    let (keeper, held) = tokio::task::spawn_blocking(move || {
        let held = keeper.answer(&reply);
        (keeper, held)
    })
    .await
    .unwrap();
    assert_eq!(first.wait(&client).await.outcome, RunOutcome::Cancelled);
    // Its end is told, and its place is not given to the next.
    let reply = cancelled(&script);
    let second = script.begin(&client).await;
    assert_eq!(world.helper.runs.counts(), (1, 1));
    drop(held);
    let _held = tokio::task::spawn_blocking(move || keeper.answer(&reply)).await.unwrap();
    assert_eq!(second.wait(&client).await.outcome, RunOutcome::Cancelled);
}

#[tokio::test]
async fn a_flood_of_runs_is_refused_and_leaves_nothing() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    *world.config.lock().unwrap() = "[sandbox]\nqueue-per-user = 8".to_owned();
    world.helper.policies.reload().unwrap();
    let client = world.client().await;
    let warm = Script::python("print(1)").begin(&client).await;
    warm.wait(&client).await;
    drop(warm);
    until(|| world.helper.runs.counts() == (0, 0)).await;
    let before = descriptors();
    let mut script = Script::python(ENDLESS);
    // None of them ends before all have come, however long that takes here.
    script.limits.0 = TIMEOUT.max;
    let mut accepted = Vec::new();
    let mut refused = 0;
    for _ in 0..100 {
        let mut pending = Vec::new();
        for _ in 0..100 {
            pending.push(script.send(&client).await);
        }
        for pending in pending {
            match pending.answer().await {
                Ok(answer) => accepted.push(Run::of(&answer)),
                Err(failed) => {
                    assert_eq!(failed.name, LIMIT, "{failed:?}");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((accepted.len(), refused), (12, 9988));
    for run in &accepted {
        client.call(SANDBOX, "Cancel", &(run.name.as_str(),)).await.unwrap();
    }
    for run in accepted {
        assert_eq!(run.wait(&client).await.outcome, RunOutcome::Cancelled);
    }
    drop(script);
    until(|| descriptors() <= before).await;
    until(|| world.helper.runs.counts() == (0, 0)).await;
}

/// How many of the descriptors of this process are pipes, sockets, or memory.
fn descriptors() -> usize {
    let is_ours = |target: &Path| {
        let target = target.to_string_lossy();
        ["pipe:", "socket:", "/memfd:"].iter().any(|kind| target.starts_with(kind))
    };
    let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
    all.filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| is_ours(&to))).count()
}

#[tokio::test]
async fn a_caller_who_does_not_read_holds_up_his_own_run_only() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    let mut script = Script::python("import os\nwhile True: os.write(1, b'x' * 65536)");
    script.limits.0 = 1000;
    let stalled = script.begin(&client).await;
    let quick = Script::python("print(1)").begin(&client).await;
    assert_eq!(quick.wait(&client).await.outcome, RunOutcome::Exited);
    let record = stalled.wait(&client).await;
    assert_eq!(record.outcome, RunOutcome::TimedOut, "{record:?}");
    assert!(record.stdout_truncated);
    assert!(stalled.output().await.0.starts_with("xxx"));
}

/// With a pipe, he would have its lock in hand while he waits.
#[tokio::test]
async fn a_caller_who_waits_with_his_end_in_hand_holds_up_nobody() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    let mut script = Script::python("print('on', flush=True)\nwhile True: print('x' * 1000)");
    script.limits.0 = 1000;
    let stalled = script.begin(&client).await;
    // Nobody reads from its other end, and it is full.
    let (mut full, _other) = UnixStream::pair().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.write(&[0; 4096]).is_ok() {}
    full.set_nonblocking(false).unwrap();
    let mut stdout = stalled.stdout.try_clone().unwrap();
    std::thread::spawn(move || {
        stdout.read_exact(&mut [0; 3]).unwrap();
        // From a pipe, this is splice(2).
        let _never = std::io::copy(&mut stdout, &mut full);
    });
    let quick = Script::python("print(1)").begin(&client).await;
    assert_eq!(quick.wait(&client).await.outcome, RunOutcome::Exited);
    assert_eq!(stalled.wait(&client).await.outcome, RunOutcome::TimedOut);
    client.get("vllm").await.unwrap();
}

#[tokio::test]
async fn a_caller_who_closes_his_end_ends_the_run() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    let run = Script::python("while True: print('x' * 1000)").begin(&client).await;
    let Run { name, stdout, stderr, .. } = run;
    let mut half = tokio::task::spawn_blocking(move || {
        let mut stdout = stdout;
        stdout.read_exact(&mut [0; 100]).unwrap();
        stdout
    })
    .await
    .unwrap();
    half.flush().unwrap();
    drop(half);
    let record = record(wait(&client, &name).await.unwrap());
    assert_eq!(record.outcome, RunOutcome::Cancelled, "{record:?}");
    assert_eq!(record.message.as_deref(), Some("nobody reads its output any more"));
    drop(stderr);
}

#[tokio::test]
async fn whose_caller_vanishes_is_killed_queued_or_running() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "[sandbox]\nruns-per-user = 1").await;
    let client = world.client().await;
    let run = Script::python(ENDLESS).begin(&client).await;
    let _queued = Script::python(ENDLESS).begin(&client).await;
    let mut stdout = run.stdout;
    tokio::task::spawn_blocking(move || stdout.read_exact(&mut [0; 3]).unwrap()).await.unwrap();
    assert_eq!(world.helper.runs.counts(), (1, 1));
    client.hang_up().await;
    until(|| world.helper.runs.counts() == (0, 0)).await;
    let mut records = Vec::new();
    while records.len() < 2 {
        records.extend(ran(&world));
        tokio::task::yield_now().await;
    }
    assert!(records.iter().all(|record| record["AICTL_OUTCOME"] == "cancelled"), "{records:?}");
    // And the next one has the place.
    let client = world.client().await;
    let run = Script::python("print(1)").begin(&client).await;
    assert_eq!(run.wait(&client).await.outcome, RunOutcome::Exited);
}

/// The next signal of a run: what it is called, and which run it is of.
async fn heard(signals: &mut MessageStream) -> (String, String) {
    let signal = poll_fn(|context| Pin::new(&mut *signals).poll_next(context)).await;
    let signal = signal.unwrap().unwrap();
    assert_eq!(signal.header().path().unwrap().as_str(), "/org/aictl1");
    let (run,): (String,) = signal.body().deserialize().unwrap();
    (signal.header().member().unwrap().to_string(), run)
}

#[tokio::test]
async fn who_listens_hears_when_each_run_begins_and_ends() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "[sandbox]\nruns-per-user = 1").await;
    let (client, listener) = (world.client().await, world.client().await);
    let rule = zbus::MatchRule::builder().msg_type(Type::Signal).interface(SANDBOX).build();
    let rule = rule.unwrap().into_owned();
    let mut signals =
        MessageStream::for_match_rule(rule, &listener.connection, None).await.unwrap();
    let signal = |member: &str, run: &Run| (member.to_owned(), run.name.clone());
    let cancel = async |run: &Run| client.call(SANDBOX, "Cancel", &(&run.name,)).await.unwrap();

    let first = Script::python(ENDLESS).begin(&client).await;
    assert_eq!(heard(&mut signals).await, signal("Started", &first));
    // While they wait, nobody hears of these.
    let second = Script::python(ENDLESS).begin(&client).await;
    let third = Script::python(ENDLESS).begin(&client).await;
    cancel(&third).await;
    assert_eq!(heard(&mut signals).await, signal("Ended", &third));
    cancel(&first).await;
    let mut next = [heard(&mut signals).await, heard(&mut signals).await];
    next.sort_unstable();
    assert_eq!(next, [signal("Ended", &first), signal("Started", &second)]);
    cancel(&second).await;
    assert_eq!(heard(&mut signals).await, signal("Ended", &second));
    let fourth = Script::python("print(1)").begin(&client).await;
    assert_eq!(heard(&mut signals).await, signal("Started", &fourth));
    assert_eq!(heard(&mut signals).await, signal("Ended", &fourth));
}

#[tokio::test]
async fn a_run_is_its_connections_and_to_end_anothers_needs_more() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let (owner, other) = (world.client().await, world.client().await);
    let run = Script::python(ENDLESS).begin(&owner).await;
    // Another connection, even of the same user, cannot wait for it.
    let unknown = "0123456789abcdef0123456789abcdef";
    let mine = wait(&other, &run.name).await.unwrap_err();
    assert_eq!(mine, wait(&other, unknown).await.unwrap_err());
    assert!(mine.name.ends_with("InvalidArgument"));
    // Whoever has not the right to end others' runs is told the same of every run.
    world.polkit.say("org.aictl1.sandbox.cancel-others", Say::No).await;
    let cancelled = other.call(SANDBOX, "Cancel", &(unknown,)).await;
    assert_eq!(error(cancelled), "NotAuthorized");
    world.polkit.say("org.aictl1.sandbox.cancel-others", Say::Yes).await;
    let cancelled = other.call(SANDBOX, "Cancel", &(unknown,)).await;
    assert_eq!(error(cancelled), "InvalidArgument");
    let waiting = owner.send(SANDBOX, "Wait", &(run.name.as_str(),), Flags::empty()).await;
    // It is of the same user: that needs no more than a run itself.
    world.polkit.say("org.aictl1.sandbox.cancel-others", Say::No).await;
    other.call(SANDBOX, "Cancel", &(run.name.as_str(),)).await.unwrap();
    assert_eq!(record(waiting.answer().await.unwrap()).outcome, RunOutcome::Cancelled);
    assert_eq!(error(other.call(SANDBOX, "List", &(1u64,)).await), "NotAuthorized");
}

#[tokio::test]
async fn without_a_record_nothing_is_run() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "").await;
    let client = world.client().await;
    world.journal.go();
    assert_eq!(error(Script::python(ENDLESS).call(&client).await), "Unavailable");
    until(|| world.helper.runs.counts() == (0, 0)).await;
}

#[tokio::test]
async fn the_helpers_end_ends_its_runs_and_tells_who_waits() {
    let keeper = Keeper::start();
    let world = world_with(&keeper, "[sandbox]\nruns-per-user = 1").await;
    let client = world.client().await;
    let running = Script::python(ENDLESS).begin(&client).await;
    let queued = Script::python(ENDLESS).begin(&client).await;
    let mut waiting = Vec::new();
    for run in [&running, &queued] {
        waiting.push(client.send(SANDBOX, "Wait", &(run.name.as_str(),), Flags::empty()).await);
    }
    client.round_trip().await;
    // The bus stays, with the answers on it.
    world.orders.send(Order::End).await.unwrap();
    world.life.await.unwrap().unwrap();
    for pending in waiting {
        let record = record(pending.answer().await.unwrap());
        assert_eq!(record.outcome, RunOutcome::Cancelled);
        assert!(record.message.is_some_and(|message| message.contains("told to end")));
    }
}
