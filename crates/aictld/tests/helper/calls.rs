//! What can be called, what it gives, and what is refused.

use std::collections::HashMap;

use aictl_api::{
    authorisation::{Interface, Kind, TABLE},
    service::Catalogue,
};
use aictl_fakes::{Act, FakeUnit};
use zbus::{OwnedVariant, Variant, message::Flags};

use crate::world::{MANAGER, Plan, SERVICES, WIDE, World, error, record, text};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";

#[tokio::test]
async fn list_is_in_the_order_of_the_catalogue() {
    let world = World::new().await;
    let client = world.client().await;
    let answer = client.call(SERVICES, "List", &()).await.unwrap();
    let records: Vec<HashMap<String, OwnedVariant>> = answer.body().deserialize().unwrap();
    let names: Vec<_> = records.iter().map(|record| text(record, "name")).collect();
    let catalogue = Catalogue::builtin();
    let expected: Vec<_> = catalogue.iter().map(|service| service.name.to_string()).collect();
    assert_eq!(names, expected);
    let state = |name: &str| {
        let at = names.iter().position(|n| n == name).unwrap();
        (text(&records[at], "load_state"), text(&records[at], "active_state"))
    };
    assert_eq!(state("ollama"), ("loaded".to_owned(), "active".to_owned()));
    assert_eq!(state("vllm"), ("loaded".to_owned(), "inactive".to_owned()));
    assert_eq!(state("litellm"), ("not-found".to_owned(), "inactive".to_owned()));
}

#[tokio::test]
async fn get_tells_of_one() {
    let world = World::new().await;
    let client = world.client().await;
    let record = record(&client.get("ollama").await.unwrap());
    assert_eq!(text(&record, "unit"), "ollama.service");
    assert_eq!(text(&record, "active_state"), "active");
    assert_eq!(text(&record, "scope"), "system");
}

#[tokio::test]
async fn health_is_told() {
    let world = World::new().await;
    let client = world.client().await;
    let record = record(&client.call(MANAGER, "Health", &()).await.unwrap());
    assert_eq!(text(&record, "config"), "ok");
    assert_eq!(record["polkit"], Variant::from(true).try_to_owned().unwrap());
    assert_eq!(record["systemd"], Variant::from(true).try_to_owned().unwrap());
    assert_eq!(record["journal"], Variant::from(true).try_to_owned().unwrap());
    assert_eq!(record["calls_in_flight"], Variant::from(1u32).try_to_owned().unwrap());
    assert_eq!(record["config_generation"], Variant::from(1u32).try_to_owned().unwrap());
}

/// Service XML, D-Bus policy and polkit policy drift apart (scx-loader#24): what the object says
/// of itself is what the table says, and each member answers in the types that it names.
#[tokio::test]
async fn live_introspection_is_the_table() {
    let world = World::new().await;
    let client = world.client().await;
    let answer = client.call(INTROSPECTABLE, "Introspect", &()).await.unwrap();
    let document: String = answer.body().deserialize().unwrap();
    assert_eq!(document, aictld::standard::introspect());
    for row in TABLE.iter().filter(|row| matches!(row.kind, Kind::Method(_))) {
        assert!(document.contains(&format!("<method name=\"{}\">", row.name)));
        let interface = row.interface.name();
        let service = "ollama";
        let inputs: String = row.inputs.iter().map(|arg| arg.signature).collect();
        // Those that need a script or a run have tests of their own.
        if ["Run", "Wait", "Cancel"].contains(&row.name) {
            continue;
        }
        let outcome = match inputs.as_str() {
            "t" => client.call(interface, row.name, &(0u64,)).await,
            "" => client.call(interface, row.name, &()).await,
            "s" => client.call(interface, row.name, &(service,)).await,
            "stu" => client.call(interface, row.name, &(service, 0u64, 0u32)).await,
            "stut" => client.call(interface, row.name, &(service, 0u64, 0u32, 0u64)).await,
            other => panic!("no arguments for {other}"),
        };
        let outputs: String = row.outputs.iter().map(|arg| arg.signature).collect();
        let answer = outcome.unwrap_or_else(|failed| panic!("{}: {failed:?}", row.name));
        assert_eq!(answer.body().signature().to_string_no_parens(), outputs, "{}", row.name);
    }
    // The way down to the object can be walked.
    for (path, child) in [("/", "org"), ("/org", "aictl1")] {
        let flags = Flags::empty();
        let pending = client.send_to(path, INTROSPECTABLE, "Introspect", &(), flags).await;
        let document: String = pending.answer().await.unwrap().body().deserialize().unwrap();
        assert!(document.contains(&format!("<node name=\"{child}\"/>")), "{document}");
    }
}

/// Properties settable by anyone (polkit#507).
#[tokio::test]
async fn no_property_can_be_set_or_read() {
    let world = World::new().await;
    let client = world.client().await;
    for (interface, property) in [
        (SERVICES, "Version"),
        (MANAGER, "config"),
        ("", ""),
        ("org.freedesktop.DBus.Properties", "x"),
        ("nonsense\u{1b}", "nonsense"),
    ] {
        let body = (interface, property, Variant::from(1u32));
        assert_eq!(error(client.call(PROPERTIES, "Set", &body).await), "PropertyReadOnly");
    }
    assert_eq!(error(client.call(PROPERTIES, "Set", &()).await), "PropertyReadOnly");
    let get = client.call(PROPERTIES, "Get", &(SERVICES, "Version")).await;
    assert_eq!(error(get), "UnknownProperty");
    let get = client.call(PROPERTIES, "Get", &("org.example", "Version")).await;
    assert_eq!(error(get), "UnknownInterface");
    for interface in [SERVICES, MANAGER, ""] {
        let all = client.call(PROPERTIES, "GetAll", &(interface,)).await.unwrap();
        assert!(record(&all).is_empty());
    }
    assert_eq!(error(client.call(PROPERTIES, "GetAll", &(1u32,)).await), "InvalidArgs");
    assert_eq!(world.journal.calls().len(), 12);
}

#[tokio::test]
async fn peer_answers() {
    let world = World::new().await;
    let client = world.client().await;
    let peer = "org.freedesktop.DBus.Peer";
    client.call(peer, "Ping", &()).await.unwrap();
    assert_eq!(error(client.call(peer, "Ping", &(1u32,)).await), "InvalidArgs");
    if let Ok(id) = std::fs::read_to_string("/etc/machine-id") {
        let answer = client.call(peer, "GetMachineId", &()).await.unwrap();
        assert_eq!(answer.body().deserialize::<String>().unwrap(), id.trim_end());
    }
}

/// A method without its polkit check (CVE-2026-26103): what is not in the table is not there.
#[tokio::test]
async fn what_is_not_in_the_table_does_not_exist() {
    let world = World::new().await;
    let client = world.client().await;
    let members = [
        "Kill",
        "Mask",
        "Edit",
        "PowerOff",
        "Reboot",
        "Exec",
        "SetProperty",
        "list",
        "Changed",
        "StartTransientUnit",
    ];
    for interface in Interface::ALL {
        for member in members {
            let name = error(client.call(interface.name(), member, &()).await);
            assert!(name == "UnknownMethod" || name == "UnknownInterface", "{name}");
        }
    }
    for path in ["/", "/org/aictl1/x", "/org/freedesktop/systemd1"] {
        let body = ("ollama", 0u64, 0u32);
        let pending = client.send_to(path, SERVICES, "Stop", &body, Flags::empty()).await;
        assert_eq!(error(pending.answer().await), "UnknownObject", "{path}");
    }
    let calls = world.journal.calls();
    assert_eq!(calls.len(), Interface::ALL.len() * members.len() + 3);
    for call in calls {
        assert_eq!(
            (call["AICTL_DECISION"].as_str(), &*call["AICTL_RESULT"]),
            ("invalid", "refused")
        );
    }
    assert!(world.polkit.asked().is_empty() && world.done().is_empty());
}

/// An unauthenticated method with free arguments (scx#2847).
#[tokio::test]
async fn wrong_arguments_are_one_clear_error_and_a_record() {
    let world = World::new().await;
    let client = world.client().await;
    let huge = "x".repeat(1 << 20);
    let outcomes = [
        client.call(SERVICES, "Start", &()).await,
        client.call(SERVICES, "Start", &("ollama",)).await,
        client.call(SERVICES, "Start", &("ollama", 0u64)).await,
        client.call(SERVICES, "Start", &("ollama", 0u64, 0u32, "x")).await,
        client.call(SERVICES, "Start", &(0u32, 0u64, 0u32)).await,
        client.call(SERVICES, "Start", &("ollama", 2u64, 0u32)).await,
        client.call(SERVICES, "Start", &("ollama", u64::MAX, 0u32)).await,
        client.call(SERVICES, "Start", &("ollama", 0u64, u32::MAX)).await,
        client.call(SERVICES, "Start", &(huge.as_str(), 0u64, 0u32)).await,
        client.call(SERVICES, "Start", &("x".repeat(257).as_str(), 0u64, 0u32)).await,
        client.call(SERVICES, "Get", &(vec![huge.as_str(); 8],)).await,
        client.call(SERVICES, "Get", &(Variant::from("ollama"),)).await,
        client.call(SERVICES, "List", &("ollama",)).await,
        client.call(SERVICES, "Logs", &("ollama", 0u64, 10_001u32, 0u64)).await,
        client.call(SERVICES, "Logs", &("ollama", 2u64, 1u32, 0u64)).await,
        client.call(SERVICES, "Logs", &("ollama", 0u64, 1u32, u64::MAX)).await,
    ];
    let count = outcomes.len();
    for (index, outcome) in outcomes.into_iter().enumerate() {
        assert_eq!(error(outcome), "InvalidArgument", "row {index}");
    }
    // Descriptors are taken by no call.
    let null = std::fs::File::open("/dev/null").unwrap();
    let body = (zbus::Fd::from(&null),);
    assert_eq!(error(client.call(SERVICES, "Get", &body).await), "InvalidArgument");
    let calls = world.journal.calls();
    assert_eq!(calls.len(), count + 1);
    for call in calls {
        assert_eq!(call["AICTL_DECISION"], "invalid");
        assert_eq!(call["AICTL_ERROR"], "org.aictl1.Error.InvalidArgument");
    }
    assert!(world.polkit.asked().is_empty() && world.done().is_empty());
    client.get("ollama").await.unwrap();
}

/// A wildcard unit pattern or alias slips past an allowlist; a prefix check by `startswith`
/// (CVE-2024-52336): every name that is not in the catalogue gets the very same answer, one that
/// the machine has and one that it has not.
#[tokio::test]
async fn every_unlisted_name_gets_the_same_bytes() {
    let mut plan = Plan::default();
    plan.units.push(FakeUnit::running("ssh.service"));
    plan.units.push(FakeUnit::alias("lemonade.service", "ssh.service"));
    let world = plan.begin().await;
    let client = world.client().await;
    let expected = client.act("Stop", "nonexistent").await.unwrap_err();
    assert_eq!(expected.name, "org.aictl1.Error.NoSuchService");
    let names = [
        "ssh",
        "ssh.service",
        "ollama.service",
        "ollama.service.service",
        "Ollama",
        "OLLAMA",
        "ollama ",
        " ollama",
        "ollama\n",
        "ollama\t",
        "../ollama",
        "./ollama",
        "/ollama",
        "ollama/",
        "ollam",
        "ollamaa",
        "ollama*",
        "*",
        "?",
        "[o]llama",
        "ollama@",
        "ollama@x",
        "ollama@.service",
        "-",
        "-.mount",
        "-h",
        "--help",
        "",
        "%s%n%x",
        "\u{1b}[2J",
        "οllama",
        "ｏllama",
        "ollama\u{200b}",
        "ollama\u{301}",
        "$(reboot)",
        "`id`",
        "ollama;reboot",
        "ollama\\x2d",
        "dbus",
        "init.scope",
        "aictl-unit-file@enable:ollama",
        "\u{202e}amallo",
        "\u{7f}",
    ];
    for name in names {
        for member in ["Start", "Stop", "Restart", "Reload", "Enable", "Disable"] {
            let answer = client.act(member, name).await.unwrap_err();
            assert_eq!(answer, expected, "{member} {name:?}");
        }
        assert_eq!(client.get(name).await.unwrap_err(), expected, "{name:?}");
        let logs = client.call(SERVICES, "Logs", &(name, 0u64, 1u32, 0u64)).await;
        assert_eq!(logs.unwrap_err(), expected, "{name:?}");
    }
    assert!(world.polkit.asked().is_empty(), "polkit has nothing to say about them");
    // A service of the catalogue whose unit is not there, and one whose unit is only another name
    // of a unit that is not listed.
    for name in ["litellm", "lemonade"] {
        for member in ["Start", "Stop", "Restart", "Reload", "Enable", "Disable"] {
            let answer = client.act(member, name).await.unwrap_err();
            assert_eq!(answer, expected, "{member} {name:?}");
        }
    }
    assert_eq!(world.done(), [""; 0]);
}

#[tokio::test]
async fn each_attempt_on_an_unlisted_name_is_in_the_journal() {
    let world = World::new().await;
    let client = world.client().await;
    for (name, shown) in [("ssh.service", "ssh.service"), ("a\nb", "a\\u{a}b"), ("", "")] {
        let _refused = client.act("Stop", name).await.unwrap_err();
        let call = world.journal.call();
        assert_eq!(call["AICTL_SERVICE"], shown);
        assert_eq!(call["AICTL_VERB"], "stop");
        assert_eq!(call["AICTL_DECISION"], "denied");
        assert_eq!(call.get("AICTL_UNIT"), None, "the catalogue alone knows units");
    }
}

#[tokio::test]
async fn a_verb_that_the_service_does_not_allow_is_refused() {
    let config = format!("{WIDE}\n[services.ollama]\nverbs = [\"restart\"]");
    let world = Plan { config, ..Plan::default() }.begin().await;
    let client = world.client().await;
    for member in ["Start", "Stop", "Reload", "Enable", "Disable"] {
        assert_eq!(error(client.act(member, "ollama").await), "ActionNotAllowed");
        assert_eq!(world.journal.call()["AICTL_DECISION"], "denied");
    }
    assert!(world.polkit.asked().is_empty());
    client.act("Restart", "ollama").await.unwrap();
    assert_eq!(world.done(), ["RestartUnit ollama.service replace"]);
}

#[tokio::test]
async fn a_job_that_fails_is_a_record_and_one_without_an_end_a_timeout() {
    let units = vec![
        FakeUnit::stopped("ollama.service").act(Act::Fail),
        FakeUnit::stopped("vllm.service").act(Act::Wait),
        FakeUnit::stopped("litellm.service").act(Act::Deny),
    ];
    let world = Plan { units, ..Plan::default() }.begin().await;
    let client = world.client().await;
    let failed = record(&client.act("Start", "ollama").await.unwrap());
    assert_eq!(text(&failed, "job_result"), "failed");
    let call = world.journal.call();
    assert_eq!((&*call["AICTL_DECISION"], &*call["AICTL_RESULT"]), ("allowed", "failed"));
    let late = client.call(SERVICES, "Start", &("vllm", 0u64, 1u32)).await;
    assert_eq!(error(late), "TimedOut");
    let call = world.journal.call();
    assert_eq!((&*call["AICTL_DECISION"], &*call["AICTL_RESULT"]), ("allowed", "timed-out"));
    // systemd's own polkit rule is older than the configuration.
    assert_eq!(error(client.act("Start", "litellm").await), "Refused");
}

#[tokio::test]
async fn who_does_not_wait_gets_the_answer_before_the_end() {
    let units = vec![FakeUnit::stopped("vllm.service").act(Act::Wait)];
    let world = Plan { units, ..Plan::default() }.begin().await;
    let client = world.client().await;
    let queued = record(&client.call(SERVICES, "Start", &("vllm", 1u64, 0u32)).await.unwrap());
    assert_eq!(text(&queued, "job_result"), "queued");
    assert_eq!(world.done(), ["StartUnit vllm.service replace"]);
}

#[tokio::test]
async fn enable_and_disable_go_through_the_one_shot() {
    let world = World::new().await;
    let client = world.client().await;
    let enabled = record(&client.act("Enable", "vllm").await.unwrap());
    assert_eq!(
        (text(&enabled, "job_result"), text(&enabled, "enabled")),
        ("done".to_owned(), "enabled".to_owned())
    );
    let disabled = record(&client.act("Disable", "vllm").await.unwrap());
    assert_eq!(text(&disabled, "enabled"), "disabled");
    assert_eq!(
        world.done(),
        [
            "StartUnit aictl-unit-file@enable:vllm.service replace",
            "StartUnit aictl-unit-file@disable:vllm.service replace",
        ]
    );
}

#[tokio::test]
async fn systemd_absent_is_unavailable() {
    let mut world = World::new().await;
    let client = world.client().await;
    world.systemd.go().await;
    assert_eq!(error(client.get("ollama").await), "Unavailable");
    assert_eq!(error(client.call(SERVICES, "List", &()).await), "Unavailable");
    assert_eq!(error(client.act("Stop", "ollama").await), "Unavailable");
    let health = record(&client.call(MANAGER, "Health", &()).await.unwrap());
    assert_eq!(health["systemd"], Variant::from(false).try_to_owned().unwrap());
    world.systemd.come_back().await;
    client.get("ollama").await.unwrap();
}

#[tokio::test]
async fn a_call_that_wants_no_answer_gets_none_and_is_recorded() {
    let world = World::new().await;
    let client = world.client().await;
    let body = ("ollama", 0u64, 0u32);
    let unanswered = client.send(SERVICES, "Restart", &body, Flags::NO_REPLY_EXPECTED).await;
    let call = world.journal.next_call().await;
    assert_eq!(call["AICTL_RESULT"], "done");
    let later = client.get("ollama").await.unwrap();
    drop(unanswered);
    assert!(later.header().reply_serial().is_some());
    assert_eq!(world.done(), ["RestartUnit ollama.service replace"]);
}
