//! Every row of how a service can be.

use std::time::Duration;

use aictl_api::{
    endpoint::Endpoint,
    provider::Provider,
    service::{Catalogue, Scope, Service},
    status::{Health, LoadedModel},
};
use aictl_core::{
    systemd::{UnitFacts, UnitState},
    unit_usage::Usage,
};
use aictl_providers::{Fact, Gap, GapReason, Reach, Report, Trouble};

use super::*;
use crate::{keys::Source, status::facts::Answer};

fn service(name: &str) -> Service {
    Catalogue::builtin().get(name).unwrap().clone()
}

/// A unit in this state.
fn unit(active: &str, sub: &str) -> UnitFacts {
    let state = UnitState {
        load_state: "loaded".to_owned(),
        active_state: active.to_owned(),
        sub_state: sub.to_owned(),
        result: "success".to_owned(),
        ..UnitState::default()
    };
    UnitFacts { state, ..UnitFacts::default() }
}

fn failed(result: &str, code: i32, status: i32) -> UnitFacts {
    let mut unit = unit("failed", "failed");
    unit.state.result = result.to_owned();
    UnitFacts { exec_main_code: Some(code), exec_main_status: Some(status), ..unit }
}

fn known(unit: UnitFacts) -> Unit {
    Unit::Known(Box::new(unit))
}

fn running() -> Unit {
    known(unit("active", "running"))
}

fn report(reach: Reach) -> Report {
    Report {
        reach,
        provider: None,
        came: None,
        latency: None,
        version: None,
        models: None,
        loaded: None,
        requests_running: None,
        gaps: Vec::new(),
    }
}

fn no_key() -> KeyUse {
    KeyUse::None("set AICTL_KEY_X".to_owned())
}

fn source() -> Source {
    Source::Variable("AICTL_KEY_X".to_owned())
}

fn asked(reach: Reach) -> Option<Asked> {
    Some(Asked {
        endpoint: Endpoint::on_port(11434).unwrap(),
        report: report(reach),
        listener: Listener::Own,
        key: no_key(),
    })
}

/// Ollama with that unit and server, an hour after it was started.
fn facts<'a>(service: &'a Service, unit: Unit, asked: Option<Asked>) -> Facts<'a> {
    Facts {
        service,
        config_file: "/etc/aictl/aictl.toml",
        scope: Scope::System,
        unit,
        uptime: Some(Duration::from_secs(3600)),
        usage: None,
        cpu_percent: None,
        server: Answer { asked, ..Answer::default() },
        vram_bytes: None,
        gpus: GpuSight::None,
    }
}

/// That it is so, and that the only note, if there is one, has these words.
#[track_caller]
fn is(facts: &Facts<'_>, expected: Health, words: &[&str]) {
    let (found, notes) = health(facts);
    assert_eq!(found, expected, "{notes:?}");
    assert_eq!(notes.is_empty(), words.is_empty(), "{notes:?}");
    assert!(notes.len() <= 1, "{notes:?}");
    for word in words {
        assert!(notes[0].contains(word), "{word}: {notes:?}");
    }
    for note in notes {
        assert!(!note.ends_with('.') && !note.contains('\n'), "{note}");
    }
}

#[test]
fn a_unit_that_runs_with_a_server_that_answers_is_active() {
    let ollama = service("ollama");
    for active in ["active", "reloading", "refreshing"] {
        is(&facts(&ollama, known(unit(active, "running")), None), Health::Active, &[]);
    }
    is(&facts(&ollama, running(), asked(Reach::Ready)), Health::Active, &[]);
    let server = Answer { elsewhere: "192.168.1.5:11434".parse().ok(), ..Answer::default() };
    let elsewhere = Facts { server, ..facts(&ollama, running(), None) };
    is(&elsewhere, Health::Active, &["it listens on 192.168.1.5:11434", "loopback"]);
    let mut changed = unit("active", "running");
    changed.needs_daemon_reload = Some(true);
    let words = ["`systemctl daemon-reload`, then `aictl restart ollama`"];
    is(&facts(&ollama, known(changed), None), Health::Active, &words);
}

#[test]
fn a_unit_that_failed_says_how_and_what_to_do() {
    let ollama = service("ollama");
    for (unit, words) in [
        (failed("exit-code", 1, 1), &["exit code 1: `aictl logs ollama` says why"][..]),
        (failed("exit-code", 1, 203), &["ExecStart=) cannot be run", "`aictl restart ollama`"]),
        (failed("exit-code", 1, 217), &["User=) does not exist"]),
        (failed("signal", 2, 9), &["killed by signal 9 (SIGKILL)"]),
        (failed("core-dump", 3, 11), &["killed by signal 11 (SIGSEGV)"]),
        (failed("signal", 2, 200), &["killed by signal 200: "]),
        (failed("oom-kill", 2, 9), &["the kernel killed it for want of memory", "MemoryMax="]),
        (
            failed("start-limit-hit", 1, 1),
            &["too often", "`systemctl reset-failed ollama.service`"],
        ),
        (failed("timeout", 2, 15), &["not ready in the time", "TimeoutStartSec="]),
        (failed("watchdog", 2, 6), &["WatchdogSec="]),
        (failed("protocol", 1, 0), &["did not tell systemd that it is ready"]),
        (failed("resources", 0, 0), &["`systemctl status ollama.service`"]),
        (failed("something-new", 0, 0), &["it failed (something-new)"]),
    ] {
        let facts = facts(&ollama, known(unit), None);
        is(&facts, Health::Failed, words);
        let user = Facts { scope: Scope::User, ..facts };
        let (_, notes) = health(&user);
        assert!(notes[0].contains("--user "), "{notes:?}");
    }
    let mut broken = unit("inactive", "dead");
    broken.state.load_state = "bad-setting".to_owned();
    let words = ["cannot use its unit file (bad-setting)", "`systemctl status ollama.service`"];
    is(&facts(&ollama, known(broken), None), Health::Failed, &words);
}

#[test]
fn a_unit_that_does_not_run_is_news_only_if_it_should() {
    let ollama = service("ollama");
    let required = Service { required: true, ..ollama.clone() };
    let dead = || known(unit("inactive", "dead"));
    is(&facts(&ollama, dead(), None), Health::Inactive, &[]);
    is(&facts(&required, dead(), None), Health::Inactive, &["is required: `aictl start ollama`"]);
    let stopping = known(unit("deactivating", "stop-sigterm"));
    is(&facts(&ollama, stopping, None), Health::Inactive, &["being stopped"]);
    let mut masked = unit("inactive", "dead");
    masked.state.load_state = "masked".to_owned();
    let words = ["masked", "`systemctl unmask ollama.service`"];
    is(&facts(&required, known(masked), None), Health::Inactive, &words);

    is(&facts(&ollama, Unit::NotFound, None), Health::NotInstalled, &[]);
    let words = ["there is no unit ollama.service", "[services.ollama]"];
    is(&facts(&required, Unit::NotFound, None), Health::NotInstalled, &words);
    let alias = Unit::Alias("ssh.service".to_owned());
    let words = ["only another name of ssh.service", "`unit` of [services.ollama]"];
    is(&facts(&ollama, alias, None), Health::NotInstalled, &words);

    // Somebody started the server by hand.
    for unit in [dead(), Unit::NotFound] {
        let (_, notes) = health(&facts(&ollama, unit.clone(), asked(Reach::Ready)));
        assert!(notes[0].contains("answers at http://127.0.0.1:11434 all the same"), "{notes:?}");
        for other in [Reach::Trouble(Trouble::Refused), Reach::KeyNeeded, Reach::Other(None)] {
            assert!(health(&facts(&ollama, unit.clone(), asked(other))).1.is_empty());
        }
    }
}

#[test]
fn a_unit_that_starts_again_and_again_is_degraded() {
    let ollama = service("ollama");
    is(&facts(&ollama, known(unit("activating", "start")), None), Health::Degraded, &["starting"]);
    let loading = facts(&ollama, known(unit("activating", "start")), asked(Reach::Loading(None)));
    is(&loading, Health::Degraded, &["loading its model"]);
    let waits = |sub: &str, restarts| {
        let mut unit = failed("exit-code", 1, 1);
        unit.state.active_state = "activating".to_owned();
        unit.state.sub_state = sub.to_owned();
        unit.state.restarts = restarts;
        known(unit)
    };
    let words = ["again and again", "7 times", "exit code 1", "`aictl logs ollama` says why"];
    is(&facts(&ollama, waits("auto-restart", 7), None), Health::Degraded, &words);
    let words = ["exit code 1; `aictl logs ollama` says why", "has ended, and systemd is about to"];
    is(&facts(&ollama, waits("auto-restart", 0), None), Health::Degraded, &words);
    let words = ["has ended once more, and systemd is about to", "(once before)"];
    is(&facts(&ollama, waits("auto-restart-queued", 1), None), Health::Degraded, &words);
    // Why it ends stands in systemd's word for it, and not in what became of its process.
    for (result, words) in [
        ("oom-kill", "the kernel killed it for want of memory; let it use less"),
        ("watchdog", "no sign of life for longer than WatchdogSec= says; `aictl logs ollama`"),
        (
            "timeout",
            "not ready in the time that its unit gives it; `aictl logs ollama` says why; a",
        ),
        ("success", "it ended with exit code 1"),
    ] {
        let Unit::Known(mut unit) = waits("auto-restart", 7) else { unreachable!() };
        unit.state.result = result.to_owned();
        is(&facts(&ollama, Unit::Known(unit), None), Health::Degraded, &["7 times", words]);
    }
    // Between two waits it is the same.
    is(&facts(&ollama, waits("start", 3), None), Health::Degraded, &["again and again"]);
    is(&facts(&ollama, waits("start", 0), None), Health::Degraded, &["it is starting"]);

    let restarted = |restarts, uptime| {
        let mut unit = unit("active", "running");
        unit.state.restarts = restarts;
        let uptime = Some(Duration::from_secs(uptime));
        Facts { uptime, ..facts(&ollama, known(unit), asked(Reach::Ready)) }
    };
    is(&restarted(3, 20), Health::Degraded, &["restarted it 3 times", "`aictl logs ollama`"]);
    is(&restarted(2, 20), Health::Active, &[]);
    is(&restarted(100, 3600), Health::Active, &[]);
}

#[test]
fn a_process_that_the_kernel_has_killed_is_told_of() {
    let ollama = service("ollama");
    for (oom_kills, words) in [
        (
            Some(1),
            &[
                "since it started",
                "killed a process of it once for want of memory",
                "MemoryMax=",
                "then `aictl restart ollama`",
            ][..],
        ),
        (Some(4), &["4 times"]),
        (Some(0), &[]),
        (None, &[]),
    ] {
        let usage = Some(Usage { oom_kills, ..Usage::default() });
        let facts = Facts { usage, ..facts(&ollama, running(), asked(Reach::Ready)) };
        let expected = if words.is_empty() { Health::Active } else { Health::Degraded };
        is(&facts, expected, words);
    }
}

#[test]
fn a_server_that_does_not_do_what_it_is_for_is_degraded() {
    let ollama = service("ollama");
    let time = Duration::from_secs(3);
    for (reach, words) in [
        (Reach::Loading(None), &["loading its model: `aictl status --watch ollama`"][..]),
        (Reach::Loading(Some("42 %".to_owned())), &["loading its model (42 %)"]),
        (
            Reach::Other(Some(Provider::Vllm)),
            &["vLLM answers at http://127.0.0.1:11434, not Ollama"],
        ),
        (Reach::Other(None), &["another program answers", "[services.ollama]"]),
        (Reach::Trouble(Trouble::Refused), &["nobody listens at http://127.0.0.1:11434"]),
        (Reach::Trouble(Trouble::NoAnswer(time)), &["no answer within 3 s; `aictl logs ollama`"]),
        (Reach::Trouble(Trouble::Status(500)), &["HTTP status 500"]),
        (Reach::Trouble(Trouble::NotHttp), &["does not speak HTTP"]),
    ] {
        is(&facts(&ollama, running(), asked(reach)), Health::Degraded, words);
    }
    // Which is no wonder at first.
    let young = Facts {
        uptime: Some(Duration::from_secs(5)),
        ..facts(&ollama, running(), asked(Reach::Trouble(Trouble::Refused)))
    };
    is(&young, Health::Degraded, &["does not listen at http://127.0.0.1:11434 yet"]);
    // One that listens when it has loaded its model takes longer.
    let vllm = service("vllm");
    for (uptime, words) in [
        (300, &["may still be loading its model: `aictl status --watch vllm`"][..]),
        (1000, &["nobody listens at http://127.0.0.1:11434; `aictl logs vllm` says why"]),
    ] {
        let young = Facts {
            uptime: Some(Duration::from_secs(uptime)),
            ..facts(&vllm, running(), asked(Reach::Trouble(Trouble::Refused)))
        };
        is(&young, Health::Degraded, words);
    }
    // What came is told, and no log says why another program answers.
    let mut page = asked(Reach::Other(None)).unwrap();
    page.report.came = Some("it sent a web page");
    let facts_of = |asked| facts(&ollama, running(), Some(asked));
    is(&facts_of(page), Health::Degraded, &["not Ollama (it sent a web page): set `endpoint`"]);
    let (_, notes) = health(&facts_of(asked(Reach::Trouble(Trouble::NotHttp)).unwrap()));
    assert!(!notes[0].contains("aictl logs"), "{notes:?}");
    let alone = facts(&ollama, Unit::Unknown, asked(Reach::Trouble(Trouble::Status(500))));
    let configured = Service { endpoint: Endpoint::on_port(1), ..ollama.clone() };
    let (found, notes) = health(&Facts { service: &configured, ..alone });
    assert_eq!(found, Health::Degraded);
    assert!(!notes[0].contains("aictl logs"), "nobody can be asked for one: {notes:?}");
    let named =
        Facts { config_file: "/tmp/a.toml", ..facts_of(asked(Reach::Other(None)).unwrap()) };
    is(&named, Health::Degraded, &["[services.ollama] in /tmp/a.toml to where"]);
}

#[test]
fn a_server_that_fails_at_a_part_of_what_it_is_for_is_degraded() {
    let ollama = service("ollama");
    let time = Duration::from_secs(3);
    let well = |note| (Health::Active, note);
    let ill = |note| (Health::Degraded, note);
    for (what, trouble, (expected, words)) in [
        (
            Fact::Models,
            Trouble::Status(500),
            ill("models: it answers with HTTP status 500; `aictl logs"),
        ),
        (
            Fact::Loaded,
            Trouble::NoAnswer(time),
            ill("loaded models: no answer within 3 s; `aictl logs"),
        ),
        (Fact::Version, Trouble::Closed, ill("; `aictl logs ollama` says why")),
        (Fact::Models, Trouble::TooSlow(time), ill("did not end within 3 s; `aictl logs")),
        // What it does not have, and what is only of interest.
        (Fact::Models, Trouble::Status(404), well("models: it answers with HTTP status 404")),
        (Fact::Loaded, Trouble::Status(501), well("HTTP status 501")),
        (Fact::Version, Trouble::BadBody("the JSON is of another shape"), well("its version: ")),
        (Fact::Requests, Trouble::Status(500), well("running requests: it answers with")),
    ] {
        let mut asked = asked(Reach::Ready).unwrap();
        asked.report.gaps = vec![Gap { what, why: GapReason::Trouble(trouble) }];
        is(&facts(&ollama, running(), Some(asked)), expected, &[words]);
    }
}

#[test]
fn a_port_that_another_unit_has_is_named_with_that_unit() {
    let ollama = service("ollama");
    let taken = |unit: &str, reach| {
        let listener = Listener::Other { unit: unit.to_owned(), mine: false };
        Some(Asked { listener, ..asked(reach).unwrap() })
    };
    let words = ["port 11434 is taken by comfyui.service", "`endpoint` of [services.ollama]"];
    for reach in [Reach::Ready, Reach::Other(None), Reach::Trouble(Trouble::NotHttp)] {
        is(&facts(&ollama, running(), taken("comfyui.service", reach)), Health::Degraded, &words);
    }
    // Containers listen by the program that runs them.
    for unit in ["docker.service", "docker-0123.scope", "libpod-0123.scope"] {
        is(&facts(&ollama, running(), taken(unit, Reach::Ready)), Health::Active, &[]);
    }
    // One that has ended may have done so for that.
    let squatter = || Some((11434, "squatter.service".to_owned()));
    let server = || Answer { taken: squatter(), ..Answer::default() };
    let dead = Facts { server: server(), ..facts(&ollama, known(failed("exit-code", 1, 1)), None) };
    let (found, notes) = health(&dead);
    assert_eq!((found, notes.len()), (Health::Failed, 2), "{notes:?}");
    assert!(
        notes[1].contains("port 11434") && notes[1].contains("by squatter.service"),
        "{notes:?}"
    );
    let stopped = known(unit("inactive", "dead"));
    is(&Facts { server: server(), ..facts(&ollama, stopped, None) }, Health::Inactive, &[]);
    // Without systemd nobody knows whose the port should be.
    let facts = facts(&ollama, Unit::Unknown, taken("session-1.scope", Reach::Ready));
    is(&facts, Health::Active, &[]);
}

#[test]
fn a_key_that_is_wanted_refused_or_withheld_is_told_with_what_to_do() {
    let ollama = service("ollama");
    let keyed = |reach, key, listener| Some(Asked { key, listener, ..asked(reach).unwrap() });
    let stranger = Listener::Other { unit: "docker.service".to_owned(), mine: false };
    let nobody_knows = Listener::Unknown { mine: false };
    for (asked, words) in [
        (keyed(Reach::KeyNeeded, no_key(), Listener::Own), &["has a key: set AICTL_KEY_X"][..]),
        (
            keyed(Reach::KeyRefused, KeyUse::Sent(source()), Listener::Own),
            &["refuses the key of AICTL_KEY_X"],
        ),
        (
            keyed(Reach::KeyNeeded, KeyUse::Withheld(source()), stranger),
            &["key of AICTL_KEY_X was not sent", "port 11434 belongs to docker.service"],
        ),
        (
            keyed(Reach::KeyNeeded, KeyUse::Withheld(source()), nobody_knows),
            &["whether port 11434 belongs to ollama.service cannot be told"],
        ),
    ] {
        is(&facts(&ollama, running(), asked), Health::Degraded, words);
    }
    // One that needs the key for a part of what it knows is well.
    let mut hides = asked(Reach::Ready).unwrap();
    hides.report.gaps = vec![Gap { what: Fact::Models, why: GapReason::NoKey }];
    is(
        &facts(&ollama, running(), Some(hides)),
        Health::Active,
        &["its models only to who has a key"],
    );
}

#[test]
fn a_model_that_fell_back_to_the_processor_is_told_of_where_there_is_a_gpu() {
    let ollama = service("ollama");
    let model = |name: &str, vram_bytes| LoadedModel {
        name: name.to_owned(),
        vram_bytes,
        ..LoadedModel::default()
    };
    let loaded = |models: &[LoadedModel]| {
        let mut asked = asked(Reach::Ready).unwrap();
        asked.report.loaded = Some(models.to_vec());
        Some(asked)
    };
    let slow = [model("llama3", Some(0))];
    for (models, gpus, expected, words) in [
        (
            &slow[..],
            GpuSight::Some,
            Health::Degraded,
            &["llama3 runs on the CPU, not on the GPU"][..],
        ),
        (&slow, GpuSight::Broken, Health::Degraded, &["`aictl gpu` says why"]),
        (&slow, GpuSight::None, Health::Active, &["llama3 runs on the CPU"]),
        (&[model("a", Some(1))], GpuSight::Some, Health::Active, &[]),
        (&[model("a", None)], GpuSight::Some, Health::Active, &[]),
        (&[], GpuSight::Some, Health::Active, &[]),
        (
            &[model("a", Some(0)), model("b", Some(9)), model("c", Some(0))],
            GpuSight::Some,
            Health::Degraded,
            &["a and 1 more run on the CPU"],
        ),
    ] {
        let facts = Facts { gpus, ..facts(&ollama, running(), loaded(models)) };
        is(&facts, expected, words);
    }
    // Others do not say where they compute.
    let vllm = service("vllm");
    let facts = Facts { gpus: GpuSight::Some, ..facts(&vllm, running(), loaded(&slow)) };
    is(&facts, Health::Active, &[]);
}

#[test]
fn without_systemd_the_server_is_all_there_is() {
    let ollama = service("ollama");
    let required = Service { required: true, ..ollama.clone() };
    let endpoint = Endpoint::on_port(11434);
    let configured = Service { endpoint, ..ollama.clone() };
    let refused = || asked(Reach::Trouble(Trouble::Refused));
    let silent = || asked(Reach::Trouble(Trouble::NoAnswer(Duration::from_secs(3))));
    for (service, asked, expected, words) in [
        (&ollama, asked(Reach::Ready), Health::Active, &[][..]),
        (&ollama, asked(Reach::Loading(None)), Health::Degraded, &["loading"]),
        (&ollama, refused(), Health::Inactive, &[]),
        (&required, refused(), Health::Inactive, &["nobody listens at http://127.0.0.1:11434"]),
        // Whoever has a usual port may be anybody.
        (&ollama, silent(), Health::Inactive, &[]),
        (&ollama, asked(Reach::Other(None)), Health::Inactive, &[]),
        (&configured, silent(), Health::Degraded, &["no answer within 3 s"]),
        (&configured, asked(Reach::Other(None)), Health::Degraded, &["another program"]),
        (&ollama, None, Health::Inactive, &[]),
    ] {
        is(&facts(service, Unit::Unknown, asked), expected, words);
    }
}
