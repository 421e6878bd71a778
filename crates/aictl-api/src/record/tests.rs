//! Tests of the records' keys and words.

use std::collections::BTreeSet;

use super::*;

#[test]
fn keys_are_unique_and_of_their_form() {
    for fields in [&service_key::FIELDS[..], &action_key::FIELDS, &health_key::FIELDS] {
        let keys: Vec<&str> = fields.iter().map(|field| field.key).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:?}");
        let good = |key: &&str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(keys.iter().all(good), "{keys:?}");
        assert!(fields.iter().all(|field| field.about.ends_with('.')), "{fields:?}");
    }
}

#[test]
fn what_is_said_of_words_is_so() {
    let about = action_key::FIELDS[0].about;
    assert!(JobResult::ALL.iter().all(|result| about.contains(result.name())), "{about}");
    assert!(health_key::FIELDS[3].about.contains(CONFIG_OK));
    assert!(Scope::ALL.iter().all(|scope| service_key::FIELDS[3].about.contains(scope.name())));
}

/// The contract, written out a second time: keys may become more, and never fewer.
#[test]
fn the_keys_are_those_of_the_interface() {
    let signatures = |fields: &[Field]| -> String {
        fields.iter().map(|field| field.signature).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(signatures(&service_key::FIELDS), "s s s s b as s s s s u t u s");
    assert_eq!(signatures(&action_key::FIELDS), "s s s s s as s");
    assert_eq!(signatures(&health_key::FIELDS), "s u t s u b b b u");
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
