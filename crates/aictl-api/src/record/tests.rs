//! Tests of the records' keys and words.

use std::collections::BTreeSet;

use super::*;

#[test]
fn keys_are_unique_and_of_their_form() {
    for keys in [&service_key::ALL[..], &action_key::ALL, &health_key::ALL] {
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:?}");
        let good = |key: &&str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(keys.iter().all(good), "{keys:?}");
    }
}

/// The contract, written out a second time: keys may become more, and never fewer.
#[test]
fn the_keys_are_those_of_the_interface() {
    assert_eq!(
        service_key::ALL.join(" "),
        "name display unit scope required verbs load_state active_state sub_state enabled main_pid \
         since_usec restarts result"
    );
    assert_eq!(
        action_key::ALL.join(" "),
        "job_result active_state sub_state enabled result log request_id"
    );
    assert_eq!(
        health_key::ALL.join(" "),
        "version pid uptime_usec config config_generation journal polkit systemd calls_in_flight"
    );
}

#[test]
fn the_words_of_a_job_lead_back_to_it() {
    assert_eq!(
        JobResult::ALL.map(JobResult::name).join(" "),
        "done failed canceled timeout dependency skipped queued"
    );
    for result in JobResult::ALL {
        assert_eq!(JobResult::from_name(result.name()), Some(result));
        assert_eq!(
            result.is_success(),
            matches!(result, JobResult::Done | JobResult::Queued),
            "{result:?}"
        );
    }
    assert_eq!(JobResult::from_name("Done"), None);
    assert_eq!(JobResult::default(), JobResult::Failed);
}
