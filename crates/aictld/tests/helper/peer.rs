//! Calls over the helper's own socket.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use aictld::place::{Place, PlaceOf};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};
use zbus::{OwnedVariant, connection::Builder, message::Flags};

use crate::world::{Client, MANAGER, Plan, SERVICES, World, error, polkit::Say};

/// Where a helper listens; gone when dropped.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// A helper that listens on a socket as well.
async fn world() -> (World, Socket) {
    world_where(PlaceOf::new(|_, _| None)).await
}

/// One whose callers stand where this says.
async fn world_where(place_of: PlaceOf) -> (World, Socket) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, SeqCst);
    let name = format!("aictld-peer-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = Some(UnixListener::bind(&path).unwrap());
    (Plan { listener, place_of, ..Plan::default() }.begin().await, Socket(path))
}

async fn client(socket: &Socket) -> Client {
    let address = format!("unix:path={}", socket.0.display());
    Client::new(Builder::address(address.as_str()).p2p().build().await.unwrap())
}

#[tokio::test]
async fn the_same_interface_without_a_bus() {
    let (world, socket) = world().await;
    let client = client(&socket).await;
    client.call("org.freedesktop.DBus.Peer", "Ping", &()).await.unwrap();
    client.call(MANAGER, "Health", &()).await.unwrap();
    client.get("ollama").await.unwrap();
    client.act("Restart", "ollama").await.unwrap();
    assert_eq!(world.done(), ["RestartUnit ollama.service replace"]);
    assert_eq!(error(client.act("Restart", "ssh").await), "NoSuchService");
    assert_eq!(error(client.call(SERVICES, "Nothing", &()).await), "UnknownMethod");
    let calls = world.journal.calls();
    assert_eq!(calls.len(), 6);
    for call in calls {
        assert_eq!(call["AICTL_CALLER_UID"], nix::unistd::getuid().to_string());
        assert_eq!(call["AICTL_CALLER_PID"], std::process::id().to_string());
    }
}

/// The subject is a descriptor of the process, and its uid of the type that polkit wants.
#[tokio::test]
async fn polkit_is_asked_about_the_process_at_the_other_end() {
    let (world, socket) = world().await;
    let client = client(&socket).await;
    client.get("ollama").await.unwrap();
    let [asked] = <[_; 1]>::try_from(world.polkit.asked()).unwrap();
    assert_eq!(asked.kind, "unix-process");
    assert_eq!(asked.subject.len(), 2);
    assert_eq!(asked.subject["pidfd"].value_signature().to_string(), "h");
    let uid = i32::try_from(nix::unistd::getuid().as_raw()).unwrap();
    let mine: OwnedVariant = zbus::Variant::from(uid).try_to_owned().unwrap();
    assert_eq!(asked.subject["uid"], mine);
    world.polkit.say("org.aictl1.services.read", Say::No).await;
    assert_eq!(error(client.get("ollama").await), "NotAuthorized");
}

#[tokio::test]
async fn where_sessions_cannot_be_told_apart_each_call_is_asked_for() {
    let (world, socket) = world().await;
    let client = client(&socket).await;
    for _ in 0..3 {
        client.get("ollama").await.unwrap();
    }
    assert_eq!(world.polkit.asked().len(), 3);
}

const READ: &str = "org.aictl1.services.read";

/// The user and the control group of all callers.
struct Standing(Arc<Mutex<(u32, u64)>>);

impl Standing {
    fn set(&self, place: (u32, u64)) {
        *self.0.lock().unwrap() = place;
    }
}

/// Callers that are moved by a test; to 0: nowhere.
fn movable() -> (PlaceOf, Standing) {
    let place = Arc::new(Mutex::new((1000, 77)));
    let read = Arc::clone(&place);
    let place_of = PlaceOf::new(move |_, _| {
        let (uid, cgroup) = *read.lock().unwrap();
        (cgroup > 0).then(|| Place::at(uid, cgroup))
    });
    (place_of, Standing(place))
}

#[tokio::test]
async fn a_yes_is_kept_for_the_user_in_the_session_it_was_given_to() {
    let (place_of, place) = movable();
    let (world, socket) = world_where(place_of).await;
    let asked = async || {
        client(&socket).await.get("ollama").await.unwrap();
        world.polkit.asked().len()
    };
    assert_eq!([asked().await, asked().await], [1, 0]);
    place.set((1000, 78));
    assert_eq!([asked().await, asked().await], [1, 0]);
    place.set((1001, 78));
    assert_eq!([asked().await, asked().await], [1, 0]);
    world.client().await.get("ollama").await.unwrap();
    assert_eq!(world.polkit.asked().len(), 1, "by the bus it is another question");
    // To act is asked for each time.
    let client = client(&socket).await;
    client.act("Restart", "ollama").await.unwrap();
    client.act("Restart", "ollama").await.unwrap();
    assert_eq!(world.polkit.asked().len(), 2);
    world.polkit.say(READ, Say::No).await;
    client.get("ollama").await.expect("the yes is kept");
    world.polkit.change().await;
    world.client().await.round_trip().await;
    assert_eq!(error(client.get("ollama").await), "NotAuthorized");
}

/// systemd is asked once for the unit of a place, and of a process that stands nowhere each time.
#[tokio::test]
async fn the_unit_of_who_calls_is_that_of_where_it_stands() {
    let (place_of, place) = movable();
    let (world, socket) = world_where(place_of).await;
    let unit = async || {
        client(&socket).await.get("ollama").await.unwrap();
        world.journal.call()["AICTL_CALLER_UNIT"].clone()
    };
    let systemd_says = |unit: &str| world.systemd.set_pid(std::process::id(), unit);
    systemd_says("session-1.scope");
    assert_eq!(unit().await, "session-1.scope");
    systemd_says("session-2.scope");
    assert_eq!(unit().await, "session-1.scope", "it is known");
    place.set((1000, 78));
    assert_eq!(unit().await, "session-2.scope");
    place.set((1000, 77));
    assert_eq!(unit().await, "session-1.scope");
    place.set((1000, 0));
    systemd_says("cron.service");
    assert_eq!(unit().await, "cron.service");
    systemd_says("ssh.service");
    assert_eq!(unit().await, "ssh.service");
}

/// A process is moved to another session while polkit looks at the one it was in.
#[tokio::test]
async fn who_moves_during_the_question_is_asked_about_again() {
    let (place_of, place) = movable();
    let (world, socket) = world_where(place_of).await;
    let client = client(&socket).await;
    world.polkit.say(READ, Say::Nothing).await;
    let pending = client.send(SERVICES, "Get", &("ollama",), Flags::empty()).await;
    world.polkit.held(1).await;
    place.set((1000, 78));
    world.polkit.say(READ, Say::Yes).await;
    pending.answer().await.unwrap();
    world.polkit.say(READ, Say::No).await;
    for session in [77, 78] {
        place.set((1000, session));
        assert_eq!(error(client.get("ollama").await), "NotAuthorized", "{session}");
    }
}

#[tokio::test]
async fn who_hangs_up_in_mid_check_causes_nothing() {
    let (world, socket) = world().await;
    let client = client(&socket).await;
    world.polkit.say("org.aictl1.services.control", Say::Nothing).await;
    let body = ("vllm", 0u64, 0u32);
    let pending = client.send(SERVICES, "Start", &body, Flags::empty()).await;
    world.polkit.held(1).await;
    drop(pending);
    client.hang_up().await;
    world.polkit.cancelled().await;
    assert_eq!(world.journal.next_call().await["AICTL_RESULT"], "cancelled");
    world.polkit.say("org.aictl1.services.control", Say::Yes).await;
    world.client().await.get("vllm").await.unwrap();
    assert_eq!(world.done(), [""; 0]);
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_is_hung_up_on_and_others_are_served() {
    let (world, socket) = world().await;
    let huge = [b"l\x01\x00\x01".as_slice(), &[0xff; 12]].concat();
    let auth = b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n".as_slice();
    let junk = [b"l".as_slice(), &[7; 200]].concat();
    let mut fields = vec![0u8; 64];
    fields[..16].copy_from_slice(b"l\x01\x00\x01\0\0\0\0\x01\0\0\0\x30\0\0\0");
    for sent in [
        b"\n".to_vec(),
        b"\0\n".to_vec(),
        vec![b'x'; 100_000],
        [auth, &huge].concat(),
        [auth, &junk].concat(),
        [auth, &fields].concat(),
        [auth, &[0; 4096]].concat(),
    ] {
        let mut stream = UnixStream::connect(&socket.0).await.unwrap();
        // Hung up on before all of it is sent, perhaps.
        let _cut = stream.write_all(&sent).await;
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        client(&socket).await.get("ollama").await.unwrap();
    }
    drop(world);
}

#[tokio::test]
async fn one_user_has_so_many_connections_and_no_more() {
    let (world, socket) = world().await;
    let mut open = Vec::new();
    for _ in 0..aictld::peer::MAX_OF_ONE_UID {
        let client = client(&socket).await;
        client.get("ollama").await.unwrap();
        open.push(client);
    }
    let address = format!("unix:path={}", socket.0.display());
    let one_more = Builder::address(address.as_str()).p2p().build().await;
    assert!(one_more.is_err());
    drop(open);
    // The bus is another way.
    world.client().await.get("ollama").await.unwrap();
}

#[tokio::test]
async fn an_end_does_not_wait_for_an_idle_connection() {
    let (world, socket) = world().await;
    let client = client(&socket).await;
    client.get("ollama").await.unwrap();
    world.end().await.unwrap();
    client.connection.closed().await;
}
