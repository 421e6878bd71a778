//! Start, reload and end.

use std::{future::poll_fn, pin::Pin};

use aictl_fakes::FakeUnit;
use aictld::{lifetime::Order, polkit::MAX_PLAIN};
use futures_core::Stream;
use zbus::{MessageStream, Variant, message::Flags, message::Type};

use crate::world::{MANAGER, Plan, SERVICES, WIDE, World, error, polkit::Say, record, text};

const READ: &str = "org.aictl1.services.read";

#[tokio::test]
async fn a_bad_file_keeps_the_old_policy_and_health_says_so() {
    let config = format!("{WIDE}\n[services.ollama]\nenabled = false");
    let world = Plan { config, ..Plan::default() }.begin().await;
    let client = world.client().await;
    assert_eq!(error(client.act("Stop", "ollama").await), "NoSuchService");
    // Without its bad line this file would allow ollama again.
    *world.config.lock().unwrap() = format!("{WIDE}\n[services.ollama]\nenabled = 7");
    world.journal.take();
    world.orders.send(Order::Reload).await.unwrap();
    let refused = loop {
        if let Some(entry) = world.journal.take().pop() {
            break entry;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused["MESSAGE_ID"], aictl_api::audit::CONFIG);
    assert!(refused["MESSAGE"].contains("old one stays in force"), "{refused:?}");
    assert_eq!(error(client.act("Stop", "ollama").await), "NoSuchService");
    let health = record(&client.call(MANAGER, "Health", &()).await.unwrap());
    assert!(text(&health, "config").starts_with("aictl.toml:"), "{health:?}");
    assert_eq!(health["config_generation"], Variant::from(1u32).try_to_owned().unwrap());
    *world.config.lock().unwrap() = WIDE.to_owned();
    world.journal.take();
    world.orders.send(Order::Reload).await.unwrap();
    while world.journal.take().is_empty() {
        tokio::task::yield_now().await;
    }
    client.act("Stop", "ollama").await.unwrap();
    assert_eq!(world.done(), ["StopUnit ollama.service replace"]);
}

#[tokio::test]
async fn a_bad_file_at_start_offers_nothing() {
    let world = Plan { config: "nonsense".to_owned(), ..Plan::default() }.begin().await;
    let client = world.client().await;
    assert_eq!(error(client.act("Stop", "ollama").await), "NoSuchService");
    assert_eq!(error(client.get("ollama").await), "NoSuchService");
    let list = client.call(SERVICES, "List", &()).await.unwrap();
    let records: Vec<std::collections::HashMap<String, zbus::OwnedVariant>> =
        list.body().deserialize().unwrap();
    assert!(records.is_empty());
    let health = record(&client.call(MANAGER, "Health", &()).await.unwrap());
    assert_ne!(text(&health, "config"), "ok");
    assert_eq!(world.done(), [""; 0]);
}

/// Every call that the bus had passed on before the name was released is answered.
#[tokio::test]
async fn the_end_loses_no_queued_call() {
    let world = World::new().await;
    let client = world.client().await;
    world.polkit.say(READ, Say::Nothing).await;
    let mut waiting = Vec::new();
    for _ in 0..MAX_PLAIN {
        waiting.push(client.send(SERVICES, "Get", &("ollama",), Flags::empty()).await);
    }
    // By the time of the bus's answer it has passed them all on.
    client.round_trip().await;
    world.orders.send(Order::End).await.unwrap();
    while client.has_owner("org.aictl1").await {
        tokio::task::yield_now().await;
    }
    world.polkit.held(MAX_PLAIN).await;
    world.polkit.say(READ, Say::Yes).await;
    for pending in waiting {
        pending.answer().await.unwrap();
    }
    world.life.await.unwrap().unwrap();
    let records = world.journal.take();
    let calls = records.iter().filter(|entry| entry["MESSAGE_ID"] == aictl_api::audit::CALL);
    assert_eq!(calls.count(), MAX_PLAIN);
    // The last word is that it has ended.
    assert_eq!(records.last().unwrap()["MESSAGE_ID"], aictl_api::audit::STOPPED);
}

#[tokio::test]
async fn what_does_not_end_by_itself_is_ended_and_recorded() {
    let world = World::new().await;
    let client = world.client().await;
    world.polkit.say(READ, Say::Nothing).await;
    let pending = client.send(SERVICES, "Get", &("ollama",), Flags::empty()).await;
    world.polkit.held(1).await;
    world.helper.stop();
    assert_eq!(error(pending.answer().await), "Unavailable");
    assert_eq!(world.journal.call()["AICTL_DECISION"], "denied");
    world.polkit.cancelled().await;
}

#[tokio::test]
async fn an_idle_helper_ends_by_itself() {
    let config = format!("{}\nidle-timeout = \"1s\"", WIDE.trim_end());
    let world = Plan { config, ..Plan::default() }.begin().await;
    let client = world.client().await;
    client.get("ollama").await.unwrap();
    world.life.await.unwrap().unwrap();
    assert!(!client.has_owner("org.aictl1").await);
    let records = world.journal.take();
    assert_eq!(records.first().unwrap()["MESSAGE_ID"], aictl_api::audit::STARTED);
    assert_eq!(records.last().unwrap()["MESSAGE_ID"], aictl_api::audit::STOPPED);
}

#[tokio::test]
async fn a_taken_name_is_an_error() {
    let world = World::new().await;
    let life = aictld::lifetime::Life::start(aictld::lifetime::Settings {
        bus: aictl_core::systemd::Bus::At(world.bus.address().to_owned()),
        policies: aictld::policy::Policies::start(Box::new(|| Ok(Default::default()))),
        journal: aictld::journal::Journal::at(world.journal.path()),
        place_of: aictld::place::PlaceOf::kernel(),
        patience: aictld::polkit::Patience::default(),
        followers: aictld::logs::Followers::new(
            aictl_core::journal::read::JournalReader::default(),
            aictld::logs::STALL,
        ),
        gpus: std::sync::Arc::new(Plan::default().gpus),
        sandboxd: "/nonexistent/sandboxd".into(),
        listener: None,
    })
    .await
    .unwrap();
    let (_orders, received) = tokio::sync::mpsc::channel(1);
    let error = life.run(received).await.unwrap_err();
    assert!(error.to_string().contains("another aictld"), "{error}");
    // The first one is not disturbed.
    world.client().await.get("ollama").await.unwrap();
}

#[tokio::test]
async fn a_bus_that_goes_ends_the_helper() {
    let world = World::new().await;
    let World { bus, life, orders, .. } = world;
    drop(bus);
    assert!(life.await.unwrap().is_err());
    drop(orders);
}

#[tokio::test]
async fn a_change_of_a_listed_unit_is_told_and_of_another_is_not() {
    let mut plan = Plan::default();
    plan.units.push(FakeUnit::running("ssh.service"));
    let world = plan.begin().await;
    let client = world.client().await;
    let rule = zbus::MatchRule::builder()
        .msg_type(Type::Signal)
        .interface(SERVICES)
        .member("Changed")
        .build()
        .unwrap();
    let mut stream =
        MessageStream::for_match_rule(rule.into_owned(), &client.connection, None).await.unwrap();
    while !world.systemd.is_heard() {
        tokio::task::yield_now().await;
    }
    world.systemd.change("ssh.service", "failed").await;
    world.systemd.change("ollama.service", "failed").await;
    let signal = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
    let signal = signal.unwrap().unwrap();
    let (service,): (String,) = signal.body().deserialize().unwrap();
    assert_eq!(service, "ollama");
    assert_eq!(signal.header().path().unwrap().as_str(), "/org/aictl1");
}
