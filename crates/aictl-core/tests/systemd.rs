//! The connection to systemd, tried on a real message bus with a systemd made for tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::HashMap, time::Duration};

use aictl_api::{record::JobResult, service::UnitName};
use aictl_core::systemd::{Bus, JobVerb, Systemd, SystemdError, UnitFacts, UnitFileVerb};
use aictl_fakes::{Act, FakeSystemd, FakeUnit, PrivateBus};
use zbus::{Connection, OwnedObjectPath, OwnedVariant, connection::Builder};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn unit(name: &str) -> UnitName {
    UnitName::parse(name).unwrap()
}

struct World {
    // Dropped before the bus.
    client: Systemd,
    systemd: FakeSystemd,
    bus: PrivateBus,
}

impl World {
    async fn new(units: impl IntoIterator<Item = FakeUnit>) -> Self {
        let bus = PrivateBus::start();
        let systemd = FakeSystemd::start(&bus, units).await;
        let client = Systemd::connect(Bus::At(bus.address().to_owned())).await.unwrap();
        Self { client, systemd, bus }
    }

    async fn of(act: Act) -> Self {
        Self::new([FakeUnit::running("ollama.service").act(act)]).await
    }

    async fn job(&self, verb: JobVerb) -> Result<JobResult, SystemdError> {
        let outcome = self.client.job(verb, &unit("ollama.service"), LONG).await;
        outcome.map(|outcome| outcome.result)
    }

    /// Another client of the bus, who is not systemd.
    async fn stranger(&self) -> Connection {
        Builder::address(self.bus.address()).build().await.unwrap()
    }

    /// The path of the job that waits.
    async fn job_path(&self) -> OwnedObjectPath {
        let state = self.client.unit_state(&unit("ollama.service")).await.unwrap();
        let path = format!("/org/freedesktop/systemd1/job/{}", state.job.unwrap());
        OwnedObjectPath::try_from(path).unwrap()
    }
}

#[tokio::test]
async fn a_units_state_is_read() {
    let world = World::new([FakeUnit {
        restarts: 3,
        unit_file_state: "enabled".to_owned(),
        ..FakeUnit::running("ollama.service")
    }])
    .await;
    let state = world.client.unit_state(&unit("ollama.service")).await.unwrap();
    assert_eq!(state.load_state, "loaded");
    assert_eq!(state.active_state, "active");
    assert_eq!(state.sub_state, "running");
    assert_eq!(state.enabled, "enabled");
    assert_eq!(state.main_pid, 4242);
    assert_eq!(state.since_usec, 1_700_000_000_000_000);
    assert_eq!(state.restarts, 3);
    assert_eq!(state.result, "success");
    assert_eq!(state.job, None);
    assert_eq!(state.invocation.as_deref(), Some("00000000000000000000000000000001"));
    assert!(state.can_reload);
    assert!(world.systemd.calls().is_empty());
}

#[tokio::test]
async fn a_unit_is_only_found_by_its_own_name() {
    let world = World::new([
        FakeUnit::running("secret.service"),
        FakeUnit::alias("ollama.service", "secret.service"),
    ])
    .await;
    let alias = || Err(SystemdError::Alias { id: "secret.service".to_owned() });
    assert_eq!(world.client.unit_state(&unit("ollama.service")).await.map(drop), alias());
    assert_eq!(world.job(JobVerb::Stop).await.map(drop), alias());
    let missing = world.client.unit_state(&unit("vllm.service")).await;
    assert_eq!(missing, Err(SystemdError::NotFound));
    let missing = world.client.job(JobVerb::Start, &unit("vllm.service"), LONG).await;
    assert_eq!(missing, Err(SystemdError::NotFound));
    let missing = world.client.job_no_block(JobVerb::Start, &unit("vllm.service")).await;
    assert_eq!(missing, Err(SystemdError::NotFound));
    assert!(world.systemd.calls().is_empty(), "{:?}", world.systemd.calls());
}

#[tokio::test]
async fn an_odd_answer_is_an_error_of_its_own() {
    let odd = FakeUnit { is_odd: true, ..FakeUnit::running("ollama.service") };
    let world = World::new([odd]).await;
    let error = world.client.unit_state(&unit("ollama.service")).await.unwrap_err();
    assert_eq!(error, SystemdError::BadReply("property ActiveState".to_owned()));
}

#[tokio::test]
async fn each_verb_is_its_method_with_a_fixed_mode() {
    let world = World::of(Act::Done).await;
    for verb in [JobVerb::Start, JobVerb::Restart, JobVerb::Reload, JobVerb::Stop] {
        assert_eq!(world.job(verb).await, Ok(JobResult::Done), "{verb:?}");
    }
    assert_eq!(
        world.systemd.calls(),
        [
            "StartUnit ollama.service replace",
            "RestartUnit ollama.service replace",
            "ReloadUnit ollama.service replace",
            "StopUnit ollama.service replace",
        ]
    );
    let outcome = world.client.job(JobVerb::Start, &unit("ollama.service"), LONG).await.unwrap();
    assert_eq!(outcome.state.active_state, "active");
}

#[tokio::test]
async fn an_end_before_the_answer_is_not_missed() {
    for act in [Act::DoneBeforeAnswer, Act::DoneAfterOthers] {
        assert_eq!(World::of(act).await.job(JobVerb::Start).await, Ok(JobResult::Done), "{act:?}");
    }
}

#[tokio::test]
async fn a_failed_job_is_an_outcome() {
    let world = World::of(Act::Fail).await;
    let outcome = world.client.job(JobVerb::Start, &unit("ollama.service"), LONG).await.unwrap();
    assert_eq!(outcome.result, JobResult::Failed);
    assert_eq!(outcome.state.active_state, "failed");
    assert_eq!(outcome.state.result, "exit-code");
}

#[tokio::test]
async fn the_words_of_systemd_are_the_result() {
    let table = [
        ("canceled", JobResult::Canceled),
        ("timeout", JobResult::Timeout),
        ("dependency", JobResult::Dependency),
        ("skipped", JobResult::Skipped),
        ("assert", JobResult::Failed),
        ("a word of tomorrow", JobResult::Failed),
        // Ours, not systemd's.
        ("queued", JobResult::Failed),
    ];
    let world = World::of(Act::Wait).await;
    for (count, (word, result)) in table.into_iter().enumerate() {
        let end = async {
            world.systemd.called(count + 1).await;
            world.systemd.end_job("ollama.service", word).await;
        };
        let (outcome, ()) = tokio::join!(world.job(JobVerb::Start), end);
        assert_eq!(outcome, Ok(result), "{word}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_apart() {
    let refused = World::of(Act::Deny).await.job(JobVerb::Start).await;
    assert_eq!(refused, Err(SystemdError::AccessDenied));
    let world = World::of(Act::Challenge).await;
    assert_eq!(world.job(JobVerb::Start).await, Err(SystemdError::InteractionNeeded));
    let asking = world.client.clone().interactive(true);
    let outcome = asking.job(JobVerb::Start, &unit("ollama.service"), LONG).await.unwrap();
    assert_eq!(outcome.result, JobResult::Done);
    assert_eq!(
        world.systemd.calls(),
        ["StartUnit ollama.service replace", "StartUnit ollama.service replace interactive"]
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_not_tried() {
    let masked =
        FakeUnit { load_state: "masked".to_owned(), ..FakeUnit::stopped("ollama.service") };
    let fixed = FakeUnit { can_reload: false, ..FakeUnit::running("vllm.service") };
    let world = World::new([masked, fixed]).await;
    for verb in [JobVerb::Start, JobVerb::Restart, JobVerb::Reload] {
        assert_eq!(world.job(verb).await, Err(SystemdError::Masked), "{verb:?}");
    }
    let reload = world.client.job(JobVerb::Reload, &unit("vllm.service"), LONG).await;
    assert_eq!(reload, Err(SystemdError::NotApplicable));
    assert!(world.systemd.calls().is_empty());
    // A masked unit that runs can be stopped.
    assert_eq!(world.job(JobVerb::Stop).await, Ok(JobResult::Done));
}

#[tokio::test]
async fn a_job_that_never_ends_times_out_and_goes_on() {
    let world = World::of(Act::Wait).await;
    let time = Duration::from_millis(20);
    let outcome = world.client.job(JobVerb::Restart, &unit("ollama.service"), time).await;
    assert_eq!(outcome, Err(SystemdError::TimedOut(time)));
    let state = world.client.unit_state(&unit("ollama.service")).await.unwrap();
    assert!(state.job.is_some());
}

#[tokio::test]
async fn a_queued_job_is_not_waited_for() {
    let world = World::of(Act::Wait).await;
    let unit = unit("ollama.service");
    let outcome = world.client.job_no_block(JobVerb::Restart, &unit).await.unwrap();
    assert_eq!(outcome.result, JobResult::Queued);
    assert!(outcome.state.job.is_some());
}

#[tokio::test]
async fn a_forged_end_is_no_end() {
    let world = World::of(Act::Wait).await;
    let forge_and_end = async {
        world.systemd.called(1).await;
        let victim = world.systemd.callers().remove(0);
        let job = (1_u32, world.job_path().await, "ollama.service", "done");
        let (path, manager) = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
        let (bus_path, bus) = ("/org/freedesktop/DBus", "org.freedesktop.DBus");
        let stranger = world.stranger().await;
        let to_victim = Some(victim.as_str());
        stranger.emit_signal(None::<&str>, path, manager, "JobRemoved", &job).await.unwrap();
        stranger.emit_signal(to_victim, path, manager, "JobRemoved", &job).await.unwrap();
        // Nor is somebody systemd who says so.
        let own_name = stranger.unique_name().unwrap().as_str();
        let owner = ("org.freedesktop.systemd1", ":1.0", own_name);
        stranger.emit_signal(to_victim, bus_path, bus, "NameOwnerChanged", &owner).await.unwrap();
        stranger.emit_signal(to_victim, path, manager, "JobRemoved", &job).await.unwrap();
        // By now the bus has passed all of that on, and what comes next comes after it.
        stranger.call_method(Some(bus), bus_path, Some(bus), "GetId", &()).await.unwrap();
        world.systemd.end_job("ollama.service", "failed").await;
    };
    let (outcome, ()) = tokio::join!(world.job(JobVerb::Start), forge_and_end);
    assert_eq!(outcome, Ok(JobResult::Failed));
}

#[tokio::test]
async fn a_job_is_followed_across_a_restart_of_systemd() {
    let mut world = World::of(Act::Wait).await;
    let client = world.client.clone();
    let unit = unit("ollama.service");
    let restart = async {
        world.systemd.called(1).await;
        world.systemd.go().await;
        world.systemd.come_back().await;
        // Told only to who subscribes again.
        while !world.systemd.is_heard() {
            tokio::task::yield_now().await;
        }
        world.systemd.end_job("ollama.service", "timeout").await;
    };
    let (outcome, ()) = tokio::join!(client.job(JobVerb::Start, &unit, LONG), restart);
    // The unit is still active: only the signal says this.
    assert_eq!(outcome.unwrap().result, JobResult::Timeout);
    assert_eq!(world.systemd.calls(), ["StartUnit ollama.service replace"]);
}

#[tokio::test]
async fn an_end_while_systemd_was_away_is_seen_by_the_unit() {
    for (state, result) in [("active", JobResult::Done), ("failed", JobResult::Failed)] {
        let mut world = World::of(Act::Wait).await;
        let client = world.client.clone();
        let unit = unit("ollama.service");
        let restart = async {
            world.systemd.called(1).await;
            world.systemd.go().await;
            let ended =
                FakeUnit { active_state: state.to_owned(), ..FakeUnit::running("ollama.service") };
            world.systemd.set(ended);
            world.systemd.come_back().await;
        };
        let (outcome, ()) = tokio::join!(client.job(JobVerb::Start, &unit, LONG), restart);
        assert_eq!(outcome.unwrap().result, result, "{state}");
    }
}

#[tokio::test]
async fn a_call_that_systemd_took_along_is_lost_or_found() {
    let ollama = unit("ollama.service");
    // It queued the job before it went: the job is found, or what it did is.
    let mut world = World::of(Act::NoAnswer).await;
    let client = world.client.clone();
    let restart = async {
        world.systemd.called(1).await;
        world.systemd.go().await;
        world.systemd.come_back().await;
        world.systemd.end_job("ollama.service", "done").await;
    };
    let (outcome, ()) = tokio::join!(client.job(JobVerb::Restart, &ollama, LONG), restart);
    assert_eq!(outcome.unwrap().result, JobResult::Done);
    assert_eq!(world.systemd.calls().len(), 1);
    // It did nothing: nobody says that it did, and nobody asks again.
    let mut world = World::of(Act::Ignore).await;
    let client = world.client.clone();
    let restart = async {
        world.systemd.called(1).await;
        world.systemd.go().await;
        world.systemd.come_back().await;
    };
    let (outcome, ()) = tokio::join!(client.job(JobVerb::Restart, &ollama, LONG), restart);
    assert_eq!(outcome, Err(SystemdError::Lost));
    assert_eq!(world.systemd.calls().len(), 1);
}

#[tokio::test]
async fn without_systemd_or_a_bus_there_is_an_error_at_once() {
    let bus = PrivateBus::start();
    let client = Systemd::connect(Bus::At(bus.address().to_owned())).await.unwrap();
    let ollama = unit("ollama.service");
    assert_eq!(client.ping().await, Err(SystemdError::Unavailable));
    assert_eq!(client.unit_state(&ollama).await, Err(SystemdError::Unavailable));
    let job = client.job(JobVerb::Start, &ollama, LONG).await;
    assert_eq!(job, Err(SystemdError::Unavailable));
    let address = bus.address().to_owned();
    drop(bus);
    let error = client.unit_state(&ollama).await.unwrap_err();
    assert!(matches!(error, SystemdError::NoBus(_)), "{error:?}");
    for address in [address.as_str(), "no address", "unix:path=/nonexistent/socket"] {
        let error = Systemd::connect(Bus::At(address.to_owned())).await.unwrap_err();
        assert!(matches!(error, SystemdError::NoBus(_)), "{address}: {error:?}");
    }
}

#[tokio::test]
async fn a_systemd_that_says_nothing_is_not_waited_for_without_end() {
    let world = World::of(Act::Done).await;
    world.systemd.set_silent(true);
    // From here on time passes as fast as nothing happens.
    tokio::time::pause();
    let error = world.client.unit_state(&unit("ollama.service")).await.unwrap_err();
    assert!(matches!(error, SystemdError::TimedOut(_)), "{error:?}");
}

#[tokio::test]
async fn a_processs_unit_is_found() {
    let world = World::of(Act::Done).await;
    world.systemd.set_pid(7, "user@1000.service");
    assert_eq!(world.client.unit_of_pid(7).await, Ok(Some("user@1000.service".to_owned())));
    assert_eq!(world.client.unit_of_pid(8).await, Ok(None));
}

#[tokio::test]
async fn unit_files_are_enabled_and_disabled() {
    let world = World::of(Act::Done).await;
    let ollama = unit("ollama.service");
    let client = world.client.clone().interactive(true);
    let state = client.set_enabled(UnitFileVerb::Enable, &ollama).await.unwrap();
    assert_eq!(state.enabled, "enabled");
    let state = world.client.set_enabled(UnitFileVerb::Disable, &ollama).await.unwrap();
    assert_eq!(state.enabled, "disabled");
    let missing = client.set_enabled(UnitFileVerb::Enable, &unit("vllm.service")).await;
    assert_eq!(missing, Err(SystemdError::NotFound));
    assert_eq!(
        world.systemd.calls(),
        [
            "EnableUnitFiles ollama.service interactive",
            "Reload interactive",
            "DisableUnitFiles ollama.service",
            "Reload",
        ]
    );
}

#[tokio::test]
async fn the_one_shot_enables_a_unit() {
    let world = World::of(Act::Done).await;
    for (verb, after) in [("enable", "enabled"), ("disable", "disabled")] {
        let one_shot = unit(&format!("aictl-unit-file@{verb}:ollama.service"));
        let outcome = world.client.job(JobVerb::Start, &one_shot, LONG).await.unwrap();
        assert_eq!(outcome.result, JobResult::Done);
        let state = world.client.unit_state(&unit("ollama.service")).await.unwrap();
        assert_eq!(state.enabled, after);
    }
}

#[tokio::test]
async fn changes_are_told_also_by_a_systemd_that_was_restarted() {
    let mut world = World::of(Act::Done).await;
    let mut changes = world.client.changes().await.unwrap();
    world.systemd.change("ollama.service", "failed").await;
    assert_eq!(changes.next().await, Ok("ollama.service".to_owned()));
    // Not those of others.
    let stranger = world.stranger().await;
    let path = "/org/freedesktop/systemd1/unit/vllm_2eservice";
    let interface = "org.freedesktop.DBus.Properties";
    let no_properties = HashMap::<&str, OwnedVariant>::new();
    let body = ("org.freedesktop.systemd1.Unit", no_properties, &["ActiveState"][..]);
    let victim = world.client.connection().unique_name().unwrap().to_string();
    let to_victim = Some(victim.as_str());
    stranger.emit_signal(to_victim, path, interface, "PropertiesChanged", &body).await.unwrap();
    world.systemd.go().await;
    world.systemd.come_back().await;
    let told = tokio::spawn(async move { changes.next().await });
    while !world.systemd.is_heard() {
        tokio::task::yield_now().await;
    }
    world.systemd.change("ollama.service", "active").await;
    assert_eq!(told.await.unwrap(), Ok("ollama.service".to_owned()));
}

#[tokio::test]
async fn the_facts_of_many_units_are_asked_for_by_one_list() {
    let failed = FakeUnit {
        active_state: "failed".to_owned(),
        result: "signal".to_owned(),
        exec_main_code: 2,
        exec_main_status: 9,
        need_daemon_reload: true,
        ..FakeUnit::stopped("vllm.service")
    };
    let vanishing = FakeUnit { vanishes: true, ..FakeUnit::running("litellm.service") };
    let world = World::new([
        FakeUnit::running("ollama.service"),
        failed,
        vanishing,
        FakeUnit::alias("tgi.service", "secret.service"),
        FakeUnit::running("secret.service"),
    ])
    .await;
    let names = ["tgi.service", "vllm.service", "x.service", "litellm.service", "ollama.service"];
    let facts = world.client.unit_facts(&names.map(unit)).await;
    let [alias, failed, missing, vanished, running] = facts.try_into().unwrap();
    assert_eq!(alias, Err(SystemdError::Alias { id: "secret.service".to_owned() }));
    assert_eq!(missing, Err(SystemdError::NotFound));
    assert_eq!(vanished, Err(SystemdError::NotFound));
    let (failed, running): (UnitFacts, UnitFacts) = (failed.unwrap(), running.unwrap());
    assert_eq!(running.state, world.client.unit_state(&unit("ollama.service")).await.unwrap());
    assert_eq!(running.control_group.as_deref(), Some("/system.slice/ollama.service"));
    assert_eq!((running.exec_main_code, running.exec_main_status), (None, None));
    assert_eq!(running.oom_policy.as_deref(), Some("stop"));
    assert_eq!(running.needs_daemon_reload, Some(false));
    assert!(running.active_since_monotonic_usec.is_some());
    assert_eq!((failed.state.active_state.as_str(), &*failed.state.result), ("failed", "signal"));
    assert_eq!((failed.exec_main_code, failed.exec_main_status), (Some(2), Some(9)));
    assert_eq!((failed.control_group, failed.active_since_monotonic_usec), (None, None));
    assert_eq!(failed.needs_daemon_reload, Some(true));
    assert_eq!(world.systemd.listed(), [names.map(str::to_owned).to_vec()]);
    assert_eq!(world.client.unit_facts(&[]).await, []);
    assert_eq!(world.systemd.listed().len(), 1);
}

#[tokio::test]
async fn where_systemd_cannot_be_asked_each_unit_says_so() {
    let mut world = World::of(Act::Done).await;
    world.systemd.go().await;
    let facts = world.client.unit_facts(&["a.service", "b.service"].map(unit)).await;
    assert_eq!(facts, [Err(SystemdError::Unavailable), Err(SystemdError::Unavailable)]);
}

#[tokio::test]
async fn of_many_recent_states_only_the_unknown_are_asked_for() {
    let units = [FakeUnit::running("ollama.service"), FakeUnit::stopped("vllm.service")];
    let world = World::new(units).await;
    let names = ["ollama.service", "x.service", "vllm.service"].map(unit);
    let _changes = world.client.changes().await.unwrap();
    let words = async || {
        let states = world.client.recent_states(&names).await;
        states.into_iter().map(|state| state.map(|state| state.active_state)).collect::<Vec<_>>()
    };
    let (active, inactive) = (|| Ok("active".to_owned()), || Ok("inactive".to_owned()));
    assert_eq!(words().await, [active(), Err(SystemdError::NotFound), inactive()]);
    assert_eq!(words().await, [active(), Err(SystemdError::NotFound), inactive()]);
    assert_eq!(world.systemd.listed().len(), 1, "all are remembered");
    change_in_silence(&world, "failed");
    assert_eq!(world.client.unit_state(&names[0]).await.unwrap().active_state, "failed");
    assert_eq!(words().await[0], Ok("failed".to_owned()));
    assert_eq!(world.systemd.listed().len(), 1, "it was read a moment ago");
}

/// The state as it is remembered, where it is.
async fn recent(world: &World) -> String {
    world.client.recent_state(&unit("ollama.service")).await.unwrap().active_state
}

/// Changes a unit, and tells nobody.
fn change_in_silence(world: &World, active_state: &str) {
    let unit = world.systemd.unit("ollama.service");
    world.systemd.set(FakeUnit { active_state: active_state.to_owned(), ..unit });
}

#[tokio::test]
async fn a_recent_state_is_remembered_until_systemd_says_otherwise() {
    let units = [FakeUnit::running("ollama.service"), FakeUnit::stopped("vllm.service")];
    let mut world = World::new(units).await;
    // Nobody watches: nothing is remembered.
    assert_eq!(recent(&world).await, "active");
    change_in_silence(&world, "failed");
    assert_eq!(recent(&world).await, "failed");
    let mut changes = world.client.changes().await.unwrap();
    change_in_silence(&world, "active");
    assert_eq!(recent(&world).await, "active");
    change_in_silence(&world, "failed");
    assert_eq!(recent(&world).await, "active");
    // To act by it, it is read.
    let read = world.client.unit_state(&unit("ollama.service")).await.unwrap();
    assert_eq!((read.active_state.as_str(), recent(&world).await.as_str()), ("failed", "failed"));
    world.systemd.change("ollama.service", "active").await;
    assert_eq!(changes.next().await, Ok("ollama.service".to_owned()));
    assert_eq!(recent(&world).await, "active");

    // A job, unit files, another systemd: told to nobody who asks for changes of units.
    for signal in ["JobNew", "JobRemoved", "UnitFilesChanged", "Reloading"] {
        change_in_silence(&world, signal);
        assert_ne!(recent(&world).await, signal);
        world.systemd.tell(signal, "ollama.service").await;
        world.systemd.change("vllm.service", "active").await;
        assert_eq!(changes.next().await, Ok("vllm.service".to_owned()));
        assert_eq!(recent(&world).await, signal);
    }
    world.systemd.go().await;
    change_in_silence(&world, "other");
    world.systemd.come_back().await;
    let told = tokio::spawn(async move { (changes.next().await, changes) });
    while !world.systemd.is_heard() {
        tokio::task::yield_now().await;
    }
    world.systemd.change("vllm.service", "active").await;
    let (_vllm, changes) = told.await.unwrap();
    assert_eq!(recent(&world).await, "other");
    // From here on nobody watches.
    drop(changes);
    change_in_silence(&world, "last");
    assert_eq!(recent(&world).await, "last");
}
