//! What the helper writes beside its records.

use aictl_core::systemd::Bus;
use aictld::lifetime::{Life, Order, Settings};
use serde_json::Value;

use crate::world::{Plan, WIDE, World, error, polkit::Say};

const READ: &str = "org.aictl1.services.read";

/// Has the helper read this as its table `[log]`, and waits until it is in force.
async fn reload(world: &World, log: &str) {
    let next = world.helper.policies.generation() + 1;
    *world.config.lock().unwrap() = format!("{WIDE}\n[log]\n{log}");
    world.orders.send(Order::Reload).await.unwrap();
    while world.helper.policies.generation() < next {
        tokio::task::yield_now().await;
    }
    world.journal.take();
}

#[tokio::test]
async fn the_configuration_says_how_much_is_written_and_records_are_written_always() {
    let world = World::new().await;
    let client = world.client().await;
    world.journal.take();
    // The caller's mistake, then the machine's: how many of the two are told of.
    for (log, lines) in [("", 1), ("level = \"debug\"", 2), ("level = \"error\"", 0)] {
        reload(&world, log).await;
        world.polkit.say(READ, Say::Yes).await;
        assert_eq!(error(client.get("nothing").await), "NoSuchService");
        world.polkit.say(READ, Say::Error).await;
        assert_eq!(error(client.get("ollama").await), "AuthorizationUnavailable");
        let entries = world.journal.take();
        let (records, written): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| !entry["MESSAGE_ID"].is_empty());
        assert_eq!(written.len(), lines, "{log}: {written:?}");
        assert_eq!(records.len(), 2, "{log}");
        // Each line can be found by the call that it is about.
        for line in written {
            let id = &line["AICTL_REQUEST_ID"];
            assert!(records.iter().any(|record| record["AICTL_REQUEST_ID"] == *id), "{line:?}");
        }
    }
}

#[tokio::test]
async fn a_line_is_json_where_the_configuration_wants_that() {
    let config = format!("{WIDE}\n[log]\nformat = \"json\"");
    let world = Plan { config, ..Plan::default() }.begin().await;
    world.orders.send(Order::End).await.unwrap();
    let World { journal, life, .. } = world;
    life.await.unwrap().unwrap();
    let [line] = &journal.log()[..] else { panic!("one line") };
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["event"], &line["level"]), (&"ends".into(), &"info".into()), "{line}");
    let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
    assert!(time <= jiff::Timestamp::now());
}

/// Nobody who calls is told why.
#[tokio::test]
async fn why_there_is_no_bus_is_told() {
    let journal = crate::world::journald::Journald::start();
    let settings = Settings {
        bus: Bus::At("unix:path=/nonexistent/bus".to_owned()),
        journal: aictld::journal::Journal::at(journal.path()),
        ..Settings::system(Box::new(|| Ok(Default::default())), None)
    };
    Life::start(settings).await.unwrap();
    let log = journal.log();
    let [line] = &log[..] else { panic!("one line: {log:?}") };
    assert!(line.starts_with("the system bus cannot be reached"), "{line}");
    assert!(line.contains("No such file"), "{line}");
}
