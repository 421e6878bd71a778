//! Tests of the table of the commands that look.

use super::{
    status::{Status, VARIABLES},
    *,
};

#[test]
fn what_the_commands_that_look_do_has_the_documented_defaults() {
    let expected = Status {
        http_timeout: Duration::from_secs(3),
        unit_timeout: Duration::from_secs(8),
        refresh_interval: Duration::from_secs(5),
        log_height: 12,
    };
    assert_eq!((Status::default(), Config::default().status), (expected, expected));
}

#[test]
fn each_key_of_status_is_set_alone_and_the_environment_goes_over_it() {
    let texts = [
        "[status]\nhttp-timeout = \"500ms\"\nlog-height = 50",
        "[status]\nhttp-timeout = \"30s\"\nunit-timeout = \"1s\"\nrefresh-interval = \"1m\"",
    ];
    let of_files = Status {
        http_timeout: Duration::from_secs(30),
        unit_timeout: Duration::from_secs(1),
        refresh_interval: Duration::from_secs(60),
        log_height: 50,
    };
    let status = config(&texts).unwrap().status;
    assert_eq!(status, of_files);
    assert_eq!(status.with_environment(|_| None), Ok(of_files));
    assert_eq!(status.with_environment(|_| Some("".into())), Ok(of_files));
    // A variable alone, and all of them.
    let http = |variable| (variable == "AICTL_HTTP_TIMEOUT").then(|| "0.5".into());
    assert_eq!(
        status.with_environment(http),
        Ok(Status { http_timeout: Duration::from_millis(500), ..of_files })
    );
    let values = ["10", "2.5s", "2", "5"];
    let all = |variable| {
        let index = VARIABLES.iter().position(|known| *known == variable)?;
        Some(values[index].into())
    };
    assert_eq!(
        status.with_environment(all),
        Ok(Status {
            http_timeout: Duration::from_secs(10),
            unit_timeout: Duration::from_millis(2500),
            refresh_interval: Duration::from_secs(2),
            log_height: 5,
        })
    );
}

#[test]
fn a_value_of_the_environment_that_does_not_fit_is_told_with_its_variable_and_range() {
    let long = "9".repeat(1 << 20);
    for (variable, value, message) in [
        ("AICTL_HTTP_TIMEOUT", "0.4", "0.4 is out of range: 500ms to 30s"),
        ("AICTL_HTTP_TIMEOUT", "31s", "31s is out of range: 500ms to 30s"),
        (
            "AICTL_HTTP_TIMEOUT",
            "abc",
            "\"abc\" is not a time such as 500ms, 5s, 2m or 1h (500ms to 30s)",
        ),
        ("AICTL_REFRESH_INTERVAL", "999ms", "999ms is out of range: 1s to 1m"),
        ("AICTL_UNIT_TIMEOUT", "0", "0 is out of range: 1s to 30s"),
        ("AICTL_LOG_HEIGHT", "4", "4 is out of range: 5 to 50"),
        ("AICTL_LOG_HEIGHT", "51", "51 is out of range: 5 to 50"),
        ("AICTL_LOG_HEIGHT", "-1", "\"-1\" is not a whole number (5 to 50)"),
        ("AICTL_LOG_HEIGHT", "5\u{1b}[2J", "\"5\\u{1b}[2J\" is not a whole number (5 to 50)"),
        ("AICTL_LOG_HEIGHT", &long, &format!("{}… is out of range: 5 to 50", "9".repeat(SHOWN))),
    ] {
        let read = |name| (name == variable).then(|| value.into());
        let error = Status::default().with_environment(read).unwrap_err();
        assert_eq!(error.to_string(), format!("{variable}: {message}"));
    }
    let not_utf8 = |name| {
        use std::os::unix::ffi::OsStringExt;
        (name == "AICTL_LOG_HEIGHT").then(|| std::ffi::OsString::from_vec(vec![b'5', 0xff]))
    };
    assert!(Status::default().with_environment(not_utf8).is_err());
}

#[test]
fn every_error_of_status_says_where_and_what_is_accepted() {
    for (text, message) in [
        (
            "status.http-timeout = \"100ms\"",
            "0.toml:1: status.http-timeout = \"100ms\": 100ms is out of range: 500ms to 30s",
        ),
        (
            "status.refresh-interval = 5",
            "0.toml:1: status.refresh-interval = 5: an integer, where a time in quotes such as \
             \"30s\" is needed (1s to 1m)",
        ),
        (
            "status.log-height = 100",
            "0.toml:1: status.log-height = 100: 100 is out of range: 5 to 50",
        ),
        (
            "status.timeout = \"1s\"",
            "0.toml:1: status.timeout = \"1s\": unknown key; known here: http-timeout, \
             unit-timeout, refresh-interval, log-height",
        ),
    ] {
        assert_eq!(config(&[text]).unwrap_err().to_string(), message, "{text}");
    }
}
