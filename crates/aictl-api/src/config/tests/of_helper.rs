//! Tests of the tables of the helper.

use super::*;

#[test]
fn what_the_helper_does_has_the_documented_defaults() {
    let Config { helper, audit, .. } = Config::default();
    assert_eq!(helper.idle_timeout, Duration::from_secs(60));
    assert_eq!(helper.action_timeout, Duration::from_secs(90));
    assert_eq!(helper.calls_in_flight, 16);
    assert_eq!(helper.polkit_cache, Duration::from_secs(5));
    assert_eq!(helper.rate(RateClass::Read), Rate { per_minute: 600, burst: 100 });
    assert_eq!(helper.rate(RateClass::Change), Rate { per_minute: 60, burst: 10 });
    assert_eq!(helper.rate(RateClass::Run), Rate { per_minute: 600, burst: 100 });
    assert!(audit.required);
    let sandbox = Config::default().sandbox;
    assert_eq!((sandbox.runs(), sandbox.runs_per_user(), sandbox.queue_per_user()), (16, 4, 64));
    assert!(sandbox.warm());
}

#[test]
fn how_many_runs_there_may_be_is_set_alone_and_in_its_range() {
    let texts = [
        "sandbox.warm = false",
        "sandbox.runs = 256\nsandbox.queue-per-user = 0",
        "sandbox.runs-per-user = 1",
    ];
    let sandbox = config(&texts).unwrap().sandbox;
    assert_eq!((sandbox.runs(), sandbox.runs_per_user(), sandbox.queue_per_user()), (256, 1, 0));
    assert!(!sandbox.warm());
    for (text, range) in [
        ("sandbox.runs = 0", "1 to 256"),
        ("sandbox.runs-per-user = 65", "1 to 64"),
        ("sandbox.queue-per-user = 4097", "0 to 4096"),
    ] {
        let error = config(&[text]).unwrap_err().to_string();
        assert!(error.ends_with(&format!("is out of range: {range}")), "{error}");
    }
}

#[test]
fn each_key_of_the_helper_is_set_alone() {
    let texts = [
        "[helper]\nidle-timeout = \"1s\"\nread-rate = { per-minute = 1 }",
        "[helper]\naction-timeout = \"1h\"\ncalls-in-flight = 256\npolkit-cache = \"0\"\n[helper.read-rate]\nburst = 2\n\
         [helper.change-rate]\nper-minute = 3\nburst = 4\n[helper.run-rate]\nburst = 5\n[audit]\nrequired = false",
    ];
    let Config { helper, audit, .. } = config(&texts).unwrap();
    let expected = Helper {
        idle_timeout: Duration::from_secs(1),
        action_timeout: Duration::from_secs(3600),
        calls_in_flight: 256,
        polkit_cache: Duration::ZERO,
        read_rate: Rate { per_minute: 1, burst: 2 },
        change_rate: Rate { per_minute: 3, burst: 4 },
        run_rate: Rate { per_minute: 600, burst: 5 },
    };
    assert_eq!((helper, audit.required), (expected, false));
}

#[test]
fn every_error_of_the_helper_says_where_and_what_is_accepted() {
    for (text, message) in [
        (
            "helper.idle-timeout = \"999ms\"",
            "0.toml:1: helper.idle-timeout = \"999ms\": 999ms is out of range: 1s to 1h",
        ),
        (
            "helper.action-timeout = 90",
            "0.toml:1: helper.action-timeout = 90: an integer, where a time in quotes such as \
             \"30s\" is needed (1s to 1h)",
        ),
        (
            "helper.calls-in-flight = 0",
            "0.toml:1: helper.calls-in-flight = 0: 0 is out of range: 1 to 256",
        ),
        (
            "helper.polkit-cache = \"6s\"",
            "0.toml:1: helper.polkit-cache = \"6s\": 6s is out of range: 0 to 5s",
        ),
        (
            "helper.read-rate = 600",
            "0.toml:1: helper.read-rate = 600: an integer, where a table is needed",
        ),
        (
            "helper.read-rate = { per-minute = 0 }",
            "0.toml:1: helper.read-rate.per-minute = 0: 0 is out of range: 1 to 60000",
        ),
        (
            "helper.change-rate.burst = 10001",
            "0.toml:1: helper.change-rate.burst = 10001: 10001 is out of range: 1 to 10000",
        ),
        (
            "helper.change-rate.per-second = 1",
            "0.toml:1: helper.change-rate.per-second = 1: unknown key; known here: per-minute, \
             burst",
        ),
        (
            "helper.user = \"root\"",
            "0.toml:1: helper.user = \"root\": unknown key; known here: idle-timeout, \
             action-timeout, calls-in-flight, polkit-cache, read-rate, change-rate, run-rate",
        ),
        (
            "audit.required = 0",
            "0.toml:1: audit.required = 0: an integer, where true or false is needed",
        ),
        (
            "audit.require = false",
            "0.toml:1: audit.require = false: unknown key; did you mean required?",
        ),
    ] {
        assert_eq!(config(&[text]).unwrap_err().to_string(), message, "{text}");
    }
}
