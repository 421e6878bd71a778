//! Tests of the records' keys and words.

use std::collections::BTreeSet;

use super::*;
use crate::{
    gpu::{Gpu, GpuProcess, GpuState, Vendor},
    strict::Rule,
};

#[test]
fn keys_are_unique_and_of_their_form() {
    let of_gpus = [&gpu_key::FIELDS[..], &gpu_process_key::FIELDS];
    let of_runs = [&run_key::FIELDS[..], &finding_key::FIELDS, &listed_run_key::FIELDS];
    for fields in [&service_key::FIELDS[..], &action_key::FIELDS, &health_key::FIELDS]
        .into_iter()
        .chain(of_gpus)
        .chain(of_runs)
    {
        let keys: Vec<&str> = fields.iter().map(|field| field.key).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:?}");
        let good = |key: &&str| {
            key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
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
    let rule = finding_key::FIELDS[2].about;
    assert!(Rule::ALL.iter().all(|word| rule.contains(word.name())), "{rule}");
    assert!(Outcome::ALL.iter().all(|word| run_key::FIELDS[0].about.contains(word.name())));
    let (vendor, state) = (gpu_key::FIELDS[1].about, gpu_key::FIELDS[2].about);
    assert!(Vendor::ALL.iter().all(|word| vendor.contains(word.name())), "{vendor}");
    assert!(GpuState::ALL.iter().all(|word| state.contains(word.name())), "{state}");
}

/// The contract, written out a second time: keys may become more, and never fewer.
#[test]
fn the_keys_are_those_of_the_interface() {
    let signatures = |fields: &[Field]| -> String {
        fields.iter().map(|field| field.signature).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(signatures(&service_key::FIELDS), "s s s s b as s s s s u t u s");
    assert_eq!(signatures(&action_key::FIELDS), "s s s s s as s");
    assert_eq!(signatures(&health_key::FIELDS), "s u t s u b b b s u");
    assert_eq!(
        signatures(&gpu_key::FIELDS),
        "u s s s s s s s t t b d d d d d u u u u u u u u as b t t b aa{sv} b as"
    );
    assert_eq!(signatures(&gpu_process_key::FIELDS), "u s s s t");
    assert_eq!(signatures(&run_key::FIELDS), "s i i s b b s s t t t t t t t s s s as as aa{sv} s");
    assert_eq!(signatures(&finding_key::FIELDS), "u u s s s");
    assert_eq!(finding_key::ALL.join(" "), "line column rule message instead");
    assert_eq!(signatures(&listed_run_key::FIELDS), "s u s s s s t");
    assert_eq!(
        run_key::ALL.join(" "),
        "outcome exit_code signal message stdout_truncated stderr_truncated result result_error \
         wall_usec authorised_usec queued_usec engine_usec start_usec cpu_usec peak_memory_bytes \
         code_sha256 profile start isolation missing refusals request_id"
    );
    assert_eq!(
        listed_run_key::ALL.join(" "),
        "run caller_uid state runtime profile code_sha256 age_usec"
    );
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
        "version pid uptime_usec config config_generation journal polkit systemd sandbox calls_in_flight"
    );
}

/// The keys of a JSON object, in its order.
fn keys_of(document: &impl Serialize) -> Vec<String> {
    let text = serde_json::to_string(document).unwrap();
    // Not by way of a map, which has an order of its own.
    let keys = text.split(['{', ',']).filter_map(|part| part.strip_prefix('"')?.split_once("\":"));
    keys.map(|(key, _)| key.to_owned()).collect()
}

#[test]
fn a_record_of_a_gpu_has_a_key_for_each_field_of_the_document() {
    assert_eq!(keys_of(&Gpu::new(0, Vendor::Nvidia, GpuState::Awake)), gpu_key::ALL);
    assert_eq!(keys_of(&GpuProcess::new(1)), gpu_process_key::ALL);
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
