//! Logs: read by a journalctl that is a script here.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use aictl_core::journal::read::JournalReader;
use aictl_fakes::shell_script;
use aictld::logs::MAX_OF_ONE_UID;

use crate::world::{Client, Outcome, Plan, SERVICES, World, error, polkit::Say};

/// A program in journalctl's place, and where it notes its arguments.
struct Script {
    program: PathBuf,
    noted: PathBuf,
}

impl Script {
    fn new(body: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("aictld-journalctl-{}-{count}", std::process::id());
        let program = std::env::temp_dir().join(name);
        let noted = program.with_extension("arguments");
        let text = format!("printf '%s\\n' \"$@\" > {}\n{body}", noted.display());
        shell_script(&program, &text);
        Self { program, noted }
    }

    async fn world(&self) -> World {
        let reader = JournalReader::with_program(&self.program);
        Plan { reader, stall: Duration::from_millis(50), ..Plan::default() }.begin().await
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.program);
        let _gone = fs::remove_file(&self.noted);
    }
}

async fn logs(client: &Client, service: &str, flags: u64) -> Outcome {
    client.call(SERVICES, "Logs", &(service, flags, 5u32, 0u64)).await
}

/// The caller's end of the pipe.
fn pipe(outcome: Outcome) -> File {
    let answer = outcome.unwrap();
    let fd: zbus::OwnedFd = answer.body().deserialize().unwrap();
    File::from(OwnedFd::from(fd))
}

async fn lines(outcome: Outcome) -> Vec<serde_json::Value> {
    let file = pipe(outcome);
    let read = move || {
        let lines = BufReader::new(file).lines();
        lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

const ENTRY: &str = r#"{"__REALTIME_TIMESTAMP":"1700000000000001","PRIORITY":"4","_PID":"42",
    "SYSLOG_IDENTIFIER":"ollama","MESSAGE":"token=hunter2hunter2 \u001b[31mred"}"#;

fn entry() -> String {
    ENTRY.replace('\n', "")
}

#[tokio::test]
async fn lines_come_as_json_plain_and_redacted() {
    let script = Script::new(&format!("cat <<'END'\n{0}\n{0}\nEND", entry()));
    let world = script.world().await;
    let client = world.client().await;
    let lines = lines(logs(&client, "ollama", 0).await).await;
    assert_eq!(lines.len(), 2);
    let line = lines[0].as_object().unwrap();
    let mut keys: Vec<_> = line.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["identifier", "message", "pid", "priority", "time_usec"]);
    assert_eq!(line["time_usec"], 1_700_000_000_000_001u64);
    assert_eq!((&line["priority"], &line["pid"]), (&4.into(), &42.into()));
    let message = line["message"].as_str().unwrap();
    assert!(!message.contains(char::is_control), "{message:?}");
    let arguments = fs::read_to_string(&script.noted).unwrap();
    assert!(arguments.contains("--unit=ollama.service\n"), "{arguments}");
    assert!(!arguments.contains("--follow"), "{arguments}");
    let call = world.journal.call();
    assert_eq!((&*call["AICTL_RESULT"], &*call["AICTL_UNIT"]), ("done", "ollama.service"));
}

#[tokio::test]
async fn logs_have_an_action_of_their_own() {
    let script = Script::new("exit 0");
    let world = script.world().await;
    let client = world.client().await;
    assert!(lines(logs(&client, "ollama", 0).await).await.is_empty());
    assert_eq!(world.polkit.asked()[0].action, "org.aictl1.logs.read");
    world.polkit.say("org.aictl1.logs.read", Say::No).await;
    assert_eq!(error(logs(&client, "ollama", 0).await), "NotAuthorized");
    assert_eq!(error(logs(&client, "ssh", 0).await), "NoSuchService");
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_said_to_be() {
    let script = Script::new("exit 1");
    let world = script.world().await;
    let client = world.client().await;
    assert_eq!(error(logs(&client, "ollama", 0).await), "Unavailable");
    let gone = Plan { reader: JournalReader::with_program("/nonexistent"), ..Plan::default() };
    let world = gone.begin().await;
    let client = world.client().await;
    assert_eq!(error(logs(&client, "ollama", 0).await), "Unavailable");
    assert_eq!(error(logs(&client, "ollama", 1).await), "Unavailable");
}

/// A journalctl that goes on until it is killed; it says so when it begins.
fn endless() -> Script {
    Script::new(&format!("cat <<'END'\n{}\nEND\nexec sleep 1000", entry()))
}

async fn nobody_follows(world: &World) {
    while world.helper.followers.count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_follower_ends_when_the_reader_closes() {
    let script = endless();
    let world = script.world().await;
    let client = world.client().await;
    let file = pipe(logs(&client, "ollama", 1).await);
    assert_eq!(world.helper.followers.count(), 1);
    // It counts as use: the helper does not end meanwhile.
    assert_eq!(world.helper.activity.deadline(Duration::ZERO), None);
    drop(file);
    nobody_follows(&world).await;
    assert!(world.helper.activity.deadline(Duration::ZERO).is_some());
}

#[tokio::test]
async fn a_follower_ends_when_the_caller_vanishes() {
    let script = endless();
    let world = script.world().await;
    let client = world.client().await;
    let file = pipe(logs(&client, "ollama", 1).await);
    client.hang_up().await;
    nobody_follows(&world).await;
    // The reader sees the end.
    let read = move || BufReader::new(file).lines().count();
    tokio::task::spawn_blocking(read).await.unwrap();
}

#[tokio::test]
async fn a_follower_ends_with_the_helper() {
    let script = endless();
    let world = script.world().await;
    let client = world.client().await;
    let file = pipe(logs(&client, "ollama", 1).await);
    world.end().await.unwrap();
    let read = move || BufReader::new(file).lines().count();
    tokio::task::spawn_blocking(read).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_never_reads_is_left_and_holds_up_nobody() {
    let script = Script::new(&format!("while echo '{}'; do :; done", entry()));
    let world = script.world().await;
    let client = world.client().await;
    let file = pipe(logs(&client, "ollama", 1).await);
    client.get("ollama").await.unwrap();
    nobody_follows(&world).await;
    drop(file);
}

#[tokio::test]
async fn one_user_reads_so_many_logs_at_one_time() {
    let script = endless();
    let world = script.world().await;
    let client = world.client().await;
    let mut open = Vec::new();
    for _ in 0..MAX_OF_ONE_UID {
        open.push(pipe(logs(&client, "ollama", 1).await));
    }
    assert_eq!(error(logs(&client, "ollama", 1).await), "LimitExceeded");
    open.clear();
    nobody_follows(&world).await;
    pipe(logs(&client, "ollama", 1).await);
}

#[tokio::test]
async fn the_last_lines_of_a_failed_action_are_in_its_record() {
    let script = Script::new(&format!("cat <<'END'\n{}\nEND", entry()));
    let reader = JournalReader::with_program(&script.program);
    let units = vec![aictl_fakes::FakeUnit::stopped("ollama.service").act(aictl_fakes::Act::Fail)];
    let world = Plan { reader, units, ..Plan::default() }.begin().await;
    let client = world.client().await;
    let record = crate::world::record(&client.act("Start", "ollama").await.unwrap());
    let log: Vec<String> = record["log"].try_clone().unwrap().try_into().unwrap();
    assert_eq!(log.len(), 1);
    assert!(log[0].contains("red"), "{log:?}");
}
