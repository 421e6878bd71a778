//! The journal: a record of every call, and no call without one.

use aictl_api::{audit, authorisation::AuditField};
use aictl_fakes::{Act, FakeUnit};
use zbus::message::Flags;

use crate::world::{Plan, SERVICES, WIDE, World, error, polkit::Say};

/// If the journal cannot take the record, the call is refused.
#[tokio::test]
async fn without_the_journal_nothing_is_done() {
    let world = Plan { has_journal: false, ..Plan::default() }.begin().await;
    let client = world.client().await;
    for member in ["Start", "Stop", "Restart", "Reload", "Enable", "Disable"] {
        assert_eq!(error(client.act(member, "ollama").await), "Unavailable", "{member}");
    }
    assert_eq!(error(client.get("ollama").await), "Unavailable");
    assert_eq!(error(client.call(SERVICES, "List", &()).await), "Unavailable");
    assert_eq!(error(client.call(SERVICES, "Nothing", &()).await), "Unavailable");
    assert_eq!(world.done(), [""; 0]);
}

#[tokio::test]
async fn a_journal_that_goes_during_the_call_stops_it() {
    let world = World::new().await;
    let client = world.client().await;
    let action = "org.aictl1.services.control";
    world.polkit.say(action, Say::Nothing).await;
    let body = ("vllm", 0u64, 0u32);
    let pending = client.send(SERVICES, "Start", &body, Flags::empty()).await;
    world.polkit.held(1).await;
    world.journal.go();
    world.polkit.say(action, Say::Yes).await;
    assert_eq!(error(pending.answer().await), "Unavailable");
    assert_eq!(world.done(), [""; 0]);
}

#[tokio::test]
async fn where_the_configuration_says_so_calls_go_without_records() {
    let config = format!("{WIDE}\n[audit]\nrequired = false");
    let world = Plan { config, has_journal: false, ..Plan::default() }.begin().await;
    let client = world.client().await;
    client.act("Restart", "ollama").await.unwrap();
    client.get("ollama").await.unwrap();
    assert_eq!(world.done(), ["RestartUnit ollama.service replace"]);
}

#[tokio::test]
async fn a_change_is_recorded_before_it_is_done_and_after() {
    let units = vec![FakeUnit::stopped("vllm.service").act(Act::Wait)];
    let world = Plan { units, ..Plan::default() }.begin().await;
    let client = world.client().await;
    world.systemd.set_pid(std::process::id(), "session-3.scope");
    let body = ("vllm", 0u64, 0u32);
    let pending = client.send(SERVICES, "Start", &body, Flags::empty()).await;
    world.systemd.called(1).await;
    let records = world.journal.take();
    let [begun] =
        records.iter().filter(|entry| entry["MESSAGE_ID"] == audit::BEGUN).collect::<Vec<_>>()[..]
    else {
        panic!("{records:?}")
    };
    assert!(records.iter().all(|entry| entry["MESSAGE_ID"] != audit::CALL));
    world.systemd.end_job("vllm.service", "done").await;
    pending.answer().await.unwrap();
    let call = world.journal.call();
    let uid = nix::unistd::getuid().to_string();
    let pid = std::process::id().to_string();
    for entry in [begun, &call] {
        for (field, value) in [
            (AuditField::CallerUid, uid.as_str()),
            (AuditField::CallerPid, &pid),
            (AuditField::CallerUnit, "session-3.scope"),
            (AuditField::Method, "org.aictl1.Services.Start"),
            (AuditField::Service, "vllm"),
            (AuditField::Unit, "vllm.service"),
            (AuditField::Verb, "start"),
            (AuditField::Decision, "allowed"),
        ] {
            assert_eq!(entry[field.name()], value, "{field:?}");
        }
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "aictld");
    }
    assert_eq!(begun["AICTL_REQUEST_ID"], call["AICTL_REQUEST_ID"]);
    assert_eq!(call["AICTL_RESULT"], "done");
    assert!(call["AICTL_DURATION_USEC"].parse::<u64>().unwrap() > 0);
}

/// Journal fields forged through newlines, escape codes, huge values.
#[tokio::test]
async fn no_field_can_be_forged() {
    let world = World::new().await;
    let client = world.client().await;
    for name in [
        "x\n_UID=0",
        "x\nAICTL_DECISION=allowed",
        "\u{1b}]0;owned\u{7}",
        "PRIORITY=0",
        "\nMESSAGE=hello\n",
        "\r\nAICTL_CALLER_UID=0",
    ] {
        let _refused = client.act("Stop", name).await.unwrap_err();
        // The parser of the fake journal refuses a field given twice.
        let call = world.journal.call();
        assert_eq!(call["AICTL_DECISION"], "denied");
        assert_eq!(call["AICTL_CALLER_UID"], nix::unistd::getuid().to_string());
        assert!(!call.contains_key("_UID"));
        for (field, value) in &call {
            assert!(!value.contains(char::is_control), "{field}={value:?}");
        }
    }
}

/// A caller that goes while its job is waited for: the job goes on, and the record says that
/// nobody was told.
#[tokio::test]
async fn a_caller_that_goes_during_a_job_leaves_both_records() {
    let units = vec![FakeUnit::stopped("vllm.service").act(Act::Wait)];
    let world = Plan { units, ..Plan::default() }.begin().await;
    let client = world.client().await;
    let body = ("vllm", 0u64, 0u32);
    let pending = client.send(SERVICES, "Start", &body, Flags::empty()).await;
    world.systemd.called(1).await;
    drop(pending);
    client.hang_up().await;
    let call = world.journal.next_call().await;
    assert_eq!((&*call["AICTL_DECISION"], &*call["AICTL_RESULT"]), ("allowed", "cancelled"));
    world.client().await.get("vllm").await.unwrap();
}
