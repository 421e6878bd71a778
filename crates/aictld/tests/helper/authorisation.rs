//! polkit: asked about the right one, believed only when it says yes.

use std::time::Duration;

use aictld::polkit::Patience;
use zbus::{OwnedVariant, message::Flags};

use crate::world::{Plan, SERVICES, World, error, polkit::Say, record, text};

const CONTROL: &str = "org.aictl1.services.control";
const READ: &str = "org.aictl1.services.read";

fn string(value: &OwnedVariant) -> String {
    String::try_from(value.try_clone().unwrap()).unwrap()
}

/// polkit `unix-process` races (CVE-2013-4288), `uid` of the wrong type (CVE-2026-78422), an
/// argument authorised instead of the caller (CVE-2026-7867).
#[tokio::test]
async fn the_subject_is_the_callers_name_on_the_bus() {
    let world = World::new().await;
    let client = world.client().await;
    client.act("Restart", "ollama").await.unwrap();
    let [asked] = <[_; 1]>::try_from(world.polkit.asked()).unwrap();
    assert_eq!(asked.kind, "system-bus-name");
    assert_eq!(asked.subject.len(), 1);
    assert_eq!(string(&asked.subject["name"]), client.name());
    assert_eq!(asked.action, CONTROL);
    let mut details: Vec<_> = asked.details.into_iter().collect();
    details.sort();
    let details: Vec<_> = details.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(details, [("service", "ollama"), ("unit", "ollama.service"), ("verb", "restart")]);
    assert_eq!(asked.flags, 0);
    assert_eq!(asked.id.len(), 32);
    assert_eq!(world.done(), ["RestartUnit ollama.service replace"]);
}

#[tokio::test]
async fn each_method_asks_for_its_own_action() {
    let world = World::new().await;
    let client = world.client().await;
    for member in ["Start", "Stop", "Restart", "Reload", "Enable", "Disable"] {
        let _any = client.act(member, "ollama").await;
    }
    client.get("ollama").await.unwrap();
    client.call(SERVICES, "List", &()).await.unwrap();
    // To see all services is the same question as this.
    world.client().await.call(crate::world::MANAGER, "Health", &()).await.unwrap();
    let actions: Vec<_> = world.polkit.asked().into_iter().map(|asked| asked.action).collect();
    let enable = "org.aictl1.services.enable";
    assert_eq!(actions, [CONTROL, CONTROL, CONTROL, CONTROL, enable, enable, READ, READ, READ]);
}

/// A failed reply read as uid 0 (deepin-log-viewer#500).
#[tokio::test]
async fn polkit_erring_or_odd_is_a_no() {
    let world = World::new().await;
    let client = world.client().await;
    let (no, none) = ("NotAuthorized", "AuthorizationUnavailable");
    for (say, expected) in [
        (Say::No, no),
        (Say::Error, none),
        (Say::Odd, none),
        (Say::Text, none),
        (Say::Short, none),
        (Say::Empty, none),
        (Say::Dismissed, no),
    ] {
        world.polkit.say(CONTROL, say).await;
        assert_eq!(error(client.act("Start", "vllm").await), expected, "{say:?}");
        let call = world.journal.call();
        assert_eq!(call["AICTL_DECISION"], "denied");
        assert_eq!(call["AICTL_RESULT"], "refused");
        assert_eq!(call["AICTL_ERROR"], format!("org.aictl1.Error.{expected}"));
    }
    assert_eq!(world.done(), [""; 0]);
    world.polkit.say(CONTROL, Say::Yes).await;
    client.act("Start", "vllm").await.unwrap();
}

#[tokio::test]
async fn polkit_absent_is_a_no() {
    let world = World::new().await;
    let client = world.client().await;
    world.polkit.go().await;
    assert_eq!(error(client.act("Start", "vllm").await), "AuthorizationUnavailable");
    assert_eq!(error(client.get("vllm").await), "AuthorizationUnavailable");
    assert_eq!(world.done(), [""; 0]);
}

#[tokio::test]
async fn polkit_hanging_is_a_no_and_its_question_is_taken_back() {
    let patience = Patience { plain: Duration::from_millis(20), prompt: Duration::from_millis(20) };
    let world = Plan { patience, ..Plan::default() }.begin().await;
    let client = world.client().await;
    world.polkit.say(CONTROL, Say::Nothing).await;
    for flags in [Flags::empty(), Flags::ALLOW_INTERACTIVE_AUTH] {
        let body = ("vllm", 0u64, 0u32);
        let pending = client.send(SERVICES, "Start", &body, flags).await;
        assert_eq!(error(pending.answer().await), "NotAuthorized");
        let [asked] = <[_; 1]>::try_from(world.polkit.asked()).unwrap();
        assert_eq!(world.polkit.cancelled().await, [asked.id]);
    }
    // An answer that comes after all is heard by nobody.
    world.polkit.say(CONTROL, Say::Yes).await;
    client.get("vllm").await.unwrap();
    assert_eq!(world.done(), [""; 0]);
}

/// Where somebody may be asked, that polkit is slow to say whether somebody must be is no answer.
#[tokio::test]
async fn who_may_be_asked_is_asked_where_polkit_is_slow_without() {
    let patience = Patience { plain: Duration::from_millis(20), ..Plan::default().patience };
    let world = Plan { patience, ..Plan::default() }.begin().await;
    let client = world.client().await;
    world.polkit.say(READ, Say::Nothing).await;
    let flags = Flags::ALLOW_INTERACTIVE_AUTH;
    let pending = client.send(SERVICES, "Get", &("vllm",), flags).await;
    let taken_back = world.polkit.cancelled().await;
    world.polkit.held(2).await;
    let [plain, prompt] = <[_; 2]>::try_from(world.polkit.asked()).unwrap();
    assert_eq!((plain.flags, prompt.flags), (0, 1));
    assert_eq!(taken_back, [plain.id]);
    assert_ne!(taken_back, [prompt.id]);
    world.polkit.say(READ, Say::Yes).await;
    pending.answer().await.unwrap();
    // What was answered with a prompt allowed is not kept.
    client.get("vllm").await.unwrap();
    assert_eq!(world.polkit.asked().len(), 1);
}

#[tokio::test]
async fn each_call_is_asked_about_where_nothing_may_be_kept() {
    let config = "[helper]\npolkit-cache = \"0\"".to_owned();
    let world = Plan { config, ..Plan::default() }.begin().await;
    let client = world.client().await;
    for _ in 0..3 {
        client.get("vllm").await.unwrap();
        assert_eq!(world.polkit.asked().len(), 1);
    }
}

/// Interaction only where the caller's message allows it.
#[tokio::test]
async fn nobody_is_prompted_unless_the_call_allows_it() {
    let world = World::new().await;
    let client = world.client().await;
    world.polkit.say(CONTROL, Say::Challenge).await;
    let body = ("vllm", 0u64, 0u32);
    for (flags, expected_flags, name) in [
        (Flags::empty(), 0, "InteractiveAuthorizationRequired"),
        (Flags::NO_AUTO_START, 0, "InteractiveAuthorizationRequired"),
        (Flags::ALLOW_INTERACTIVE_AUTH, 1, "NotAuthorized"),
    ] {
        let pending = client.send(SERVICES, "Start", &body, flags).await;
        assert_eq!(error(pending.answer().await), name);
        assert_eq!(world.polkit.asked()[0].flags, expected_flags);
    }
    assert_eq!(world.done(), [""; 0]);
}

/// A caller disconnects in mid-check (CVE-2021-3560).
#[tokio::test]
async fn a_caller_that_vanishes_in_mid_check_causes_nothing() {
    let world = World::new().await;
    let client = world.client().await;
    world.polkit.say(CONTROL, Say::Nothing).await;
    let name = client.name();
    let body = ("vllm", 0u64, 0u32);
    let pending = client.send(SERVICES, "Start", &body, Flags::ALLOW_INTERACTIVE_AUTH).await;
    world.polkit.held(1).await;
    drop(pending);
    client.hang_up().await;
    let [asked] = <[_; 1]>::try_from(world.polkit.asked()).unwrap();
    assert_eq!(string(&asked.subject["name"]), name);
    // The prompt is closed.
    assert_eq!(world.polkit.cancelled().await, std::slice::from_ref(&asked.id));
    let call = world.journal.next_call().await;
    assert_eq!(call["AICTL_REQUEST_ID"], asked.id);
    assert_eq!(call["AICTL_RESULT"], "cancelled");
    assert_eq!(call["AICTL_DECISION"], "denied");
    // polkit says yes too late.
    world.polkit.say(CONTROL, Say::Yes).await;
    world.client().await.get("vllm").await.unwrap();
    assert_eq!(world.done(), [""; 0]);
}

/// The caller vanishes between polkit's yes and the act: the yes alone is not enough.
#[tokio::test]
async fn who_says_that_another_has_left_is_not_believed() {
    let world = World::new().await;
    let (victim, forger) = (world.client().await, world.client().await);
    world.polkit.say(CONTROL, Say::Nothing).await;
    let body = ("vllm", 0u64, 0u32);
    let pending = victim.send(SERVICES, "Start", &body, Flags::empty()).await;
    world.polkit.held(1).await;
    let left = (victim.name(), victim.name(), "");
    for destination in [Some("org.aictl1"), None] {
        let path = "/org/freedesktop/DBus";
        let bus = "org.freedesktop.DBus";
        let emit = forger.connection.emit_signal(destination, path, bus, "NameOwnerChanged", &left);
        emit.await.unwrap();
    }
    // The forged signal has been taken by the time that a later call is answered.
    forger.get("vllm").await.unwrap();
    world.polkit.say(CONTROL, Say::Yes).await;
    pending.answer().await.unwrap();
    assert_eq!(world.done(), ["StartUnit vllm.service replace"]);
}

/// One awaited `&mut self` method stalls every caller.
#[tokio::test]
async fn an_open_prompt_stalls_nobody() {
    let world = World::new().await;
    let (prompted, other) = (world.client().await, world.client().await);
    world.polkit.say(CONTROL, Say::Nothing).await;
    let body = ("vllm", 0u64, 0u32);
    let pending = prompted.send(SERVICES, "Start", &body, Flags::ALLOW_INTERACTIVE_AUTH).await;
    world.polkit.held(1).await;
    // Neither others nor the same caller wait for it.
    other.get("ollama").await.unwrap();
    prompted.get("ollama").await.unwrap();
    other.call(SERVICES, "List", &()).await.unwrap();
    assert_eq!(world.journal.calls().len(), 3, "the prompted call is still open");
    assert_eq!(world.done(), [""; 0]);
    world.polkit.say(CONTROL, Say::Yes).await;
    pending.answer().await.unwrap();
    assert_eq!(world.done(), ["StartUnit vllm.service replace"]);
}

/// `auth_admin_keep` is keyed on (process, action) and ignores details.
#[tokio::test]
async fn a_yes_for_one_action_is_no_yes_for_another() {
    let world = World::new().await;
    let client = world.client().await;
    world.polkit.say("org.aictl1.services.enable", Say::No).await;
    client.act("Restart", "ollama").await.unwrap();
    assert_eq!(error(client.act("Enable", "ollama").await), "NotAuthorized");
    world.polkit.say(CONTROL, Say::No).await;
    assert_eq!(error(client.act("Restart", "ollama").await), "NotAuthorized");
    assert_eq!(world.done(), ["RestartUnit ollama.service replace"]);
}

/// After polkit answers, the call is validated again.
#[tokio::test]
async fn what_the_configuration_takes_away_during_a_prompt_is_not_done() {
    let world = World::new().await;
    let client = world.client().await;
    let wide = crate::world::WIDE;
    let changes = [
        ("[services.vllm]\nenabled = false", "NoSuchService"),
        ("[services.vllm]\nverbs = [\"stop\"]", "ActionNotAllowed"),
        ("[services.vllm]\nunit = \"other.service\"", "Refused"),
    ];
    for (change, name) in changes {
        *world.config.lock().unwrap() = wide.to_owned();
        world.helper.policies.reload().unwrap();
        world.polkit.say(CONTROL, Say::Nothing).await;
        let body = ("vllm", 0u64, 0u32);
        let pending = client.send(SERVICES, "Start", &body, Flags::empty()).await;
        world.polkit.held(1).await;
        *world.config.lock().unwrap() = format!("{wide}\n{change}");
        world.helper.policies.reload().unwrap();
        world.polkit.say(CONTROL, Say::Yes).await;
        assert_eq!(error(pending.answer().await), name, "{change}");
        assert_eq!(world.journal.call()["AICTL_DECISION"], "denied");
    }
    assert_eq!(world.done(), [""; 0]);
}

#[tokio::test]
async fn a_yes_does_what_was_asked_and_says_what_came_of_it() {
    let world = World::new().await;
    let client = world.client().await;
    let answer = client.act("Start", "vllm").await.unwrap();
    let record = record(&answer);
    assert_eq!(text(&record, "job_result"), "done");
    assert_eq!(text(&record, "active_state"), "active");
    assert_eq!(text(&record, "request_id"), world.journal.call()["AICTL_REQUEST_ID"]);
}

/// How often polkit was asked since this was last looked at.
fn asked(world: &World) -> usize {
    world.polkit.asked().len()
}

#[tokio::test]
async fn a_yes_to_look_is_kept_for_the_connection_it_was_given_to() {
    let world = World::new().await;
    let (client, other) = (world.client().await, world.client().await);
    for _ in 0..5 {
        client.get("ollama").await.unwrap();
    }
    assert_eq!(asked(&world), 1);
    // A rule may tell services apart.
    client.get("vllm").await.unwrap();
    client.call(SERVICES, "List", &()).await.unwrap();
    assert_eq!(asked(&world), 2);
    other.get("ollama").await.unwrap();
    assert_eq!(asked(&world), 1);
    world.polkit.say(READ, Say::No).await;
    assert_eq!(error(world.client().await.get("ollama").await), "NotAuthorized");
}

#[tokio::test]
async fn to_act_and_to_read_logs_is_asked_for_each_time() {
    let world = World::new().await;
    let client = world.client().await;
    for _ in 0..3 {
        client.act("Restart", "ollama").await.unwrap();
        client.call(SERVICES, "Logs", &("ollama", 0u64, 1u32, 0u64)).await.unwrap();
    }
    assert_eq!(asked(&world), 6);
}

#[tokio::test]
async fn no_yes_outlives_polkits_word_or_polkit() {
    let world = World::new().await;
    let client = world.client().await;
    client.get("ollama").await.unwrap();
    world.polkit.say(READ, Say::No).await;
    client.get("ollama").await.expect("the yes is kept");
    // Another's word for polkit's is nothing.
    let bus = &world.client().await.connection;
    let (path, interface) =
        ("/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority");
    bus.emit_signal(Some("org.aictl1"), path, interface, "Changed", &()).await.unwrap();
    bus.call_method(Some("org.aictl1"), "/org/aictl1", Some(SERVICES), "Get", &("ollama",))
        .await
        .expect_err("a no for the one who said so, by when the signal was seen");
    client.get("ollama").await.expect("the yes is still kept");
    // What polkit says before a call counts for it.
    world.polkit.change().await;
    client.round_trip().await;
    assert_eq!(error(client.get("ollama").await), "NotAuthorized");
    // A no is not kept.
    world.polkit.say(READ, Say::Yes).await;
    client.get("ollama").await.unwrap();
    world.polkit.go().await;
    assert_eq!(error(client.get("ollama").await), "AuthorizationUnavailable");
}

/// polkit changes its mind while its answer is on its way.
#[tokio::test]
async fn a_yes_from_around_a_change_is_not_kept() {
    let world = World::new().await;
    let client = world.client().await;
    // Who polkit is, is known.
    client.get("ollama").await.unwrap();
    world.polkit.say(READ, Say::Nothing).await;
    let pending = client.send(SERVICES, "Get", &("vllm",), Flags::empty()).await;
    world.polkit.held(1).await;
    world.polkit.change().await;
    world.polkit.say(READ, Say::Yes).await;
    pending.answer().await.unwrap();
    world.polkit.say(READ, Say::No).await;
    assert_eq!(error(client.get("vllm").await), "NotAuthorized");
}

#[tokio::test]
async fn a_yes_that_an_authentication_has_given_is_not_kept() {
    let world = World::new().await;
    let client = world.client().await;
    world.polkit.say(READ, Say::Temporary).await;
    for _ in 0..3 {
        client.get("ollama").await.unwrap();
    }
    assert_eq!(asked(&world), 3);
    // Nor one after a prompt, which nobody is shown before polkit has said that it takes one.
    let get = async || {
        let flags = Flags::ALLOW_INTERACTIVE_AUTH;
        client.send(SERVICES, "Get", &("ollama",), flags).await.answer().await.unwrap();
    };
    world.polkit.say(READ, Say::Authenticate).await;
    get().await;
    get().await;
    let flags: Vec<_> = world.polkit.asked().iter().map(|asked| asked.flags).collect();
    assert_eq!(flags, [0, 1, 0, 1]);
    assert_eq!(error(client.get("ollama").await), "InteractiveAuthorizationRequired");
    assert_eq!(asked(&world), 1);
    // One that took no prompt is like any other.
    world.polkit.say(READ, Say::Yes).await;
    get().await;
    get().await;
    client.get("ollama").await.unwrap();
    let flags: Vec<_> = world.polkit.asked().iter().map(|asked| asked.flags).collect();
    assert_eq!(flags, [0]);
}

/// Where somebody is asked for a password each time, the question before the prompt is not one more
/// that somebody waits at.
#[tokio::test]
async fn what_cannot_be_kept_is_asked_for_once() {
    let world = World::new().await;
    let client = world.client().await;
    world.polkit.say(CONTROL, Say::Authenticate).await;
    let flags = Flags::ALLOW_INTERACTIVE_AUTH;
    let pending = client.send(SERVICES, "Restart", &("ollama", 0u64, 0u32), flags).await;
    pending.answer().await.unwrap();
    let flags: Vec<_> = world.polkit.asked().iter().map(|asked| asked.flags).collect();
    assert_eq!(flags, [1]);
}
