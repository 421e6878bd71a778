//! Tests of the errors of a call.

use super::*;

fn all() -> Vec<CallError> {
    let error = |name: &&str| {
        let retry = Some(Duration::from_millis(1500));
        CallError::from_dbus_name(&format!("{PREFIX}{name}"), (*name).to_owned(), retry)
    };
    NAMES.iter().map(|name| error(name).unwrap()).collect()
}

#[test]
fn every_name_is_an_error_with_that_name() {
    for (error, name) in all().into_iter().zip(NAMES) {
        assert_eq!(error.dbus_name(), format!("{PREFIX}{name}"));
        assert_eq!(error.message(), name);
        assert_eq!(error.to_string(), name);
        let limited = matches!(error, CallError::LimitExceeded { .. });
        assert_eq!(error.retry_after(), limited.then(|| Duration::from_millis(1500)));
    }
}

#[test]
fn a_name_that_is_not_of_the_set_is_no_error_of_ours() {
    for name in [
        "",
        "Failed",
        "org.aictl1.Error.",
        "org.aictl1.Error.failed",
        "org.aictl1.Error.Failed ",
        "org.aictl1.Error.Failed.More",
        "org.freedesktop.DBus.Error.Failed",
        "org.freedesktop.DBus.Error.NoReply",
    ] {
        assert_eq!(CallError::from_dbus_name(name, String::new(), None), None, "{name:?}");
    }
}

#[test]
fn exit_codes_are_those_of_the_design() {
    let codes: Vec<u8> = all().iter().map(CallError::exit_code).collect();
    assert_eq!(codes, [126, 126, 126, 127, 127, 126, 126, 2, 126, 124, 125, 1]);
}

#[test]
fn the_time_to_wait_is_told_and_never_too_short() {
    for (retry, told) in [
        (Duration::ZERO, "0.0 s"),
        (Duration::from_nanos(1), "0.1 s"),
        (Duration::from_millis(1), "0.1 s"),
        (Duration::from_millis(100), "0.1 s"),
        (Duration::from_nanos(100_000_001), "0.2 s"),
        (Duration::from_millis(101), "0.2 s"),
        (Duration::from_millis(59_999), "60.0 s"),
    ] {
        let error = CallError::limit_exceeded("too many calls", retry);
        assert_eq!(error.message(), format!("too many calls; try again in {told}"), "{retry:?}");
        assert_eq!(error.retry_after(), Some(retry));
    }
}

#[test]
fn a_missing_time_to_wait_is_none_at_all() {
    let name = CallError::limit_exceeded("", Duration::ZERO).dbus_name();
    let error = CallError::from_dbus_name(name, String::new(), None).unwrap();
    assert_eq!(error.retry_after(), Some(Duration::ZERO));
}
