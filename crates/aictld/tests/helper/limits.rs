//! How many calls, and how fast.

use std::time::Duration;

use aictld::polkit::{MAX_PLAIN, MAX_PROMPTS};
use zbus::message::Flags;

use crate::world::{Outcome, Plan, SERVICES, World, error, polkit::Say};

/// After what time a refused call can succeed, in microseconds.
fn retry_after(outcome: Outcome) -> u64 {
    let failed = outcome.expect_err("a refusal");
    assert_eq!(failed.name, "org.aictl1.Error.LimitExceeded", "{failed:?}");
    assert_eq!(failed.signature, "st");
    let at = failed.body.len() - 8;
    u64::from_le_bytes(failed.body[at..].try_into().unwrap())
}

#[tokio::test]
async fn calls_that_come_too_fast_are_told_when_to_come_again() {
    let config = "[helper]\nread-rate = { per-minute = 1, burst = 3 }".to_owned();
    let world = Plan { config, ..Plan::default() }.begin().await;
    let client = world.client().await;
    for _ in 0..3 {
        client.get("ollama").await.unwrap();
    }
    let wait = retry_after(client.get("ollama").await);
    assert!((1..=60_000_000).contains(&wait), "{wait}");
    // Another connection of the same user is no other user.
    retry_after(world.client().await.get("ollama").await);
    // The other class has its own bucket.
    client.act("Restart", "ollama").await.unwrap();
    // Calls of nothing count too.
    retry_after(client.call("org.aictl1.Services", "Nothing", &()).await);
    let limited: Vec<_> = world
        .journal
        .calls()
        .into_iter()
        .filter(|call| call["AICTL_DECISION"] == "limited")
        .collect();
    assert!(!limited.is_empty());
    assert_eq!(limited[0]["AICTL_ERROR"], "org.aictl1.Error.LimitExceeded");
}

/// 256 connections × 128 pending replies per uid, a task per call.
#[tokio::test]
async fn one_user_has_so_many_calls_at_one_time_whatever_the_connections() {
    let config = "[helper]\ncalls-in-flight = 3".to_owned();
    let world = Plan { config, ..Plan::default() }.begin().await;
    let action = "org.aictl1.services.control";
    world.polkit.say(action, Say::Nothing).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let client = world.client().await;
        let body = ("vllm", 0u64, 0u32);
        waiting.push(client.send(SERVICES, "Start", &body, Flags::empty()).await);
    }
    world.polkit.held(3).await;
    let client = world.client().await;
    assert_eq!(retry_after(client.get("ollama").await), 1_000_000);
    world.polkit.say(action, Say::No).await;
    for pending in waiting {
        assert_eq!(error(pending.answer().await), "NotAuthorized");
    }
    client.get("ollama").await.unwrap();
}

#[tokio::test]
async fn a_flood_is_no_flood_of_records() {
    let config = "[helper]\nread-rate = { per-minute = 1, burst = 1 }".to_owned();
    let world = Plan { config, ..Plan::default() }.begin().await;
    let client = world.client().await;
    client.get("ollama").await.unwrap();
    world.journal.take();
    let count = 300;
    for _ in 0..count {
        retry_after(client.get("ollama").await);
    }
    let journal = &world.journal;
    let mut told: Vec<_> = journal.calls();
    let (life, orders) = (world.life, world.orders);
    orders.send(aictld::lifetime::Order::End).await.unwrap();
    life.await.unwrap().unwrap();
    told.extend(journal.calls());
    let calls: u64 = told
        .iter()
        .map(|call| call.get("AICTL_COUNT").map_or(1, |calls| calls.parse().unwrap()))
        .sum();
    assert_eq!(calls, count);
    assert!(told.len() < 30, "{} records", told.len());
}

/// What one connection sends at once is bounded before anybody knows whose it is; the helper
/// lives, and others are answered.
#[tokio::test]
async fn a_burst_of_one_connection_is_bounded_and_others_are_served() {
    let world = World::new().await;
    world.polkit.say("org.aictl1.services.control", Say::Nothing).await;
    let flood = world.client().await;
    let body = ("vllm", 0u64, 0u32);
    for _ in 0..2000 {
        // Their answers are not waited for.
        drop(flood.send(SERVICES, "Start", &body, Flags::NO_REPLY_EXPECTED).await);
    }
    flood.round_trip().await;
    world.polkit.held(MAX_PLAIN).await;
    assert!(world.helper.callers.len() < 20);
    assert_eq!(world.done(), [""; 0]);
    world.polkit.say("org.aictl1.services.control", Say::No).await;
    let other = world.client().await;
    while other.get("ollama").await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// Prompts stay open for minutes, and the bus lets a connection have so many open calls only: who
/// holds all prompts open still keeps nobody from a call that needs none.
#[tokio::test]
async fn open_prompts_are_bounded_and_leave_room_for_others() {
    let world = World::new().await;
    let action = "org.aictl1.services.control";
    world.polkit.say(action, Say::Nothing).await;
    let prompted = world.client().await;
    let body = ("vllm", 0u64, 0u32);
    let ask = async || prompted.send(SERVICES, "Start", &body, Flags::ALLOW_INTERACTIVE_AUTH).await;
    let mut open = Vec::new();
    for _ in 0..MAX_PROMPTS {
        open.push(ask().await);
    }
    world.polkit.held(MAX_PROMPTS).await;
    assert_eq!(retry_after(ask().await.answer().await), 1_000_000);
    for _ in 0..20 {
        let other = world.client().await;
        other.get("ollama").await.unwrap();
        other.call(SERVICES, "List", &()).await.unwrap();
    }
    world.polkit.say(action, Say::No).await;
    for pending in open {
        assert_eq!(error(pending.answer().await), "NotAuthorized");
    }
}

/// Many at once who ask for everything: what goes to systemd stays within what the bus lets one
/// connection have open.
#[tokio::test]
async fn many_who_list_at_once_are_all_answered() {
    let world = World::new().await;
    let client = world.client().await;
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(client.send(SERVICES, "List", &(), Flags::empty()).await);
    }
    for pending in open {
        pending.answer().await.unwrap();
    }
}

/// Calls that are one too many to be looked at are told too, as calls of their user and no other; also
/// where the journal has no room at the time.
#[tokio::test]
async fn calls_that_are_not_even_looked_at_are_in_the_records_of_their_user() {
    for busy in [false, true] {
        are_all_told(busy).await;
    }
}

async fn are_all_told(busy: bool) {
    let world = World::new().await;
    world.polkit.say("org.aictl1.services.control", Say::Nothing).await;
    let client = world.client().await;
    client.get("ollama").await.unwrap();
    world.journal.take();
    world.journal.set_busy(busy);
    let (body, mut count) = (("vllm", 0u64, 0u32), 1000);
    for _ in 0..count {
        drop(client.send(SERVICES, "Start", &body, Flags::NO_REPLY_EXPECTED).await);
    }
    world.polkit.held(MAX_PLAIN).await;
    // When a later one is answered, all were read; of very many at once some are not.
    let answered = async || {
        let later = client.send(SERVICES, "Start", &body, Flags::empty()).await;
        tokio::time::timeout(Duration::from_secs(1), later.answer()).await.is_ok()
    };
    count += 1;
    while !answered().await {
        count += 1;
    }
    world.journal.set_busy(false);
    world.polkit.say("org.aictl1.services.control", Say::No).await;
    let (life, orders) = (world.life, world.orders);
    orders.send(aictld::lifetime::Order::End).await.unwrap();
    life.await.unwrap().unwrap();
    let told = world.journal.calls();
    let uid = nix::unistd::getuid().to_string();
    assert!(told.iter().all(|call| call["AICTL_CALLER_UID"] == uid), "{told:?}");
    let calls: u64 = told
        .iter()
        .map(|call| call.get("AICTL_COUNT").map_or(1, |calls| calls.parse().unwrap()))
        .sum();
    assert_eq!(calls, count);
    assert!(told.len() < 300, "{} records", told.len());
}
