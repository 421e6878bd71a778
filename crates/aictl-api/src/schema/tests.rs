//! Tests of the schemas: what is written fits them, and what is not does not.

use serde::Serialize;
use serde_json::json;

use super::*;
use crate::{
    audit::Decision,
    authorisation::Verb,
    config::{Config, Settings},
    document::{
        self,
        actions::{Action, ActionError},
        audit::{self, Call},
        doctor::Check,
        failure::FailureText,
        logs::Line,
    },
    exit,
    gpu::{Gpu, GpuProcess, GpuState, Vendor},
    layer::Layer,
    record::JobResult,
    run::{Outcome, Refusal, RunTimings},
    service::{Catalogue, Scope},
    status::{Health, HelperState, HostStatus, LoadedModel, ServiceStatus, Totals},
};

/// What is wrong with `value`, by the words of JSON Schema that the schemas here use; a word that
/// is not known here is an error too.
fn faults(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let Value::Object(schema) = schema else { return Vec::new() };
    let mut found = Vec::new();
    for (word, rule) in schema {
        let good = match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" => true,
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                found.extend(faults(root, &root["$defs"][name], value, path));
                root["$defs"][name].is_object()
            }
            "type" => {
                let is = |word: &Value| match word.as_str().unwrap() {
                    "null" => value.is_null(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "string" => value.is_string(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    _ => false,
                };
                rule.as_array().map_or_else(|| is(rule), |words| words.iter().any(is))
            }
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minItems" => {
                value.as_array().is_none_or(|all| all.len() as u64 >= rule.as_u64().unwrap())
            }
            "maxItems" => {
                value.as_array().is_none_or(|all| all.len() as u64 <= rule.as_u64().unwrap())
            }
            // Only to be good by itself: nothing here reads it.
            "pattern" => rule.is_string(),
            "anyOf" | "oneOf" => {
                let fits = |one: &&Value| faults(root, one, value, path).is_empty();
                let count = rule.as_array().unwrap().iter().filter(fits).count();
                if word == "oneOf" { count == 1 } else { count > 0 }
            }
            "required" => {
                let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
                !value.is_object() || rule.as_array().unwrap().iter().all(has)
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let below = format!("{path}.{name}");
                    match rule.get(name) {
                        Some(rule) => found.extend(faults(root, rule, value, &below)),
                        None => found.push(format!("{below}: not in the schema")),
                    }
                }
                true
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(root, rule, value, &format!("{path}[{index}]")));
                }
                true
            }
            _ => false,
        };
        if !good {
            found.push(format!("{path}: {word} {rule}"));
        }
    }
    found
}

fn faults_of(document: &str, value: &impl Serialize) -> Vec<String> {
    let schema = of(document).unwrap();
    faults(&schema, &schema, &serde_json::to_value(value).unwrap(), document)
}

fn gpu() -> Gpu {
    Gpu {
        name: Some("a".to_owned()),
        memory_total_bytes: Some(u64::MAX),
        utilisation_percent: Some(12.5),
        throttling: Some(vec!["too hot".to_owned()]),
        processes: Some(vec![GpuProcess::new(u32::MAX)]),
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    }
}

fn service() -> ServiceStatus {
    let catalogue = Catalogue::builtin();
    ServiceStatus {
        models: Some(vec!["a".to_owned()]),
        loaded: Some(vec![LoadedModel { vram_bytes: Some(1), ..LoadedModel::default() }]),
        latency_ms: Some(0.5),
        ..ServiceStatus::new(catalogue.get("vllm").unwrap(), Scope::User, Health::NotInstalled)
    }
}

fn status() -> Status {
    let plain = ServiceStatus::new(
        Catalogue::builtin().get("vllm").unwrap(),
        Scope::System,
        Health::Active,
    );
    Status {
        services: vec![service(), plain],
        gpus: vec![gpu(), Gpu::new(1, Vendor::Amd, GpuState::Lost)],
        host: HostStatus {
            load: Some([0.0, 1.5, 2.0]),
            ..HostStatus::new(Some(HelperState::Installed))
        },
        totals: Totals { memory_bytes: Some(1), ..Totals::default() },
        attention: vec!["vllm".to_owned()],
        notes: Vec::new(),
    }
}

fn run(outcome: Outcome) -> RunReport {
    RunReport {
        request_id: "0".repeat(32),
        outcome,
        exit_code: Some(i32::from(exit::OK)),
        signal: None,
        message: None,
        stdout: String::new(),
        stderr: String::new(),
        stdout_truncated: false,
        stderr_truncated: true,
        result: Some(json!({ "any": [1, null] })),
        refusals: vec![Refusal {
            line: 1,
            column: 2,
            rule: "import".to_owned(),
            message: "no".to_owned(),
        }],
        wall_ms: 1.5,
        cpu_ms: 0.0,
        peak_memory_bytes: None,
        code_sha256: String::new(),
        profile: "standard".to_owned(),
        start: None,
        isolation: vec![Layer::UserNs, Layer::Landlock(7)],
        missing: vec![Layer::Landlock(0)],
        timings: Some(RunTimings { run_usec: Some(u64::MAX), ..RunTimings::default() }),
    }
}

#[test]
fn what_is_written_fits_its_schema() {
    assert_eq!(faults_of("status", &status()), Vec::<String>::new());
    let gpus = GpuReport { gpus: vec![gpu()], notes: vec!["a".to_owned()] };
    assert_eq!(faults_of("gpu", &gpus), Vec::<String>::new());
    for outcome in [Outcome::Exited, Outcome::OutOfMemory] {
        assert_eq!(faults_of("run", &run(outcome)), Vec::<String>::new());
    }
}

#[test]
fn what_the_other_commands_write_fits_its_schema_too() {
    let none = Vec::<String>::new();
    let line = Line { time: None, priority: 7, pid: Some(1), identifier: "a", message: "b" };
    assert_eq!(faults_of("logs", &Log { service: "vllm", lines: vec![line] }), none);
    let lines = json!({ "service": "vllm", "lines": [{ "time": null, "priority": 8, "pid": null,
        "identifier": "", "message": "" }] });
    assert_eq!(faults_of("logs", &lines), ["logs.lines[0].priority: maximum 7"]);
    let error = ActionError {
        name: "org.aictl1.Error.LimitExceeded",
        message: "a",
        retry_after_ms: Some(u64::MAX),
    };
    let action = |job_result, error| Action {
        service: "vllm",
        verb: Verb::Enable,
        ok: false,
        job_result,
        active_state: None,
        sub_state: Some("dead"),
        enabled: None,
        result: None,
        log: &[],
        request_id: None,
        error,
        advice: None,
    };
    let actions = vec![action(Some(JobResult::Queued), None), action(None, Some(error))];
    assert_eq!(faults_of("actions", &Actions { actions }), none);
    let call = |decision, result| Call {
        time: None,
        request_id: None,
        method: Some("a"),
        caller_uid: Some(0),
        caller: Some("root".to_owned()),
        caller_pid: None,
        caller_unit: None,
        service: None,
        unit: None,
        verb: None,
        decision,
        result,
        error: None,
        duration_usec: None,
        count: 1,
        finished: false,
        about_run: None,
        run: None,
    };
    let run = audit::Run {
        code_sha256: Some("ab"),
        code_bytes: None,
        profile: Some("strict"),
        arguments: Some(0),
        finished: true,
        outcome: Some(Outcome::TimedOut),
        exit_code: None,
        error: None,
        duration_usec: Some(1),
        cpu_usec: None,
        peak_memory_bytes: None,
    };
    let calls = vec![
        call(None, None),
        call(Some(Decision::Limited), Some(crate::audit::Outcome::TimedOut)),
        Call { run: Some(run), ..call(None, None) },
    ];
    assert_eq!(faults_of("audit", &Audit { calls }), none);
    let checks =
        vec![Check::ok("a", "b"), Check::bad("a", doctor::CheckStatus::Broken, "b", "mend it")];
    let report = doctor::Report { version: "1", kernel: None, checks, healthy: true };
    assert_eq!(faults_of("doctor", &report), none);
    let config = Config::try_from(Settings::parse("a.toml", "audit.required = true").unwrap());
    let shown = config.unwrap().shown();
    let settings = document::config::Settings { settings: shown.iter().map(Into::into).collect() };
    assert_eq!(faults_of("config-show", &settings), none);
    let problems = Problems { ok: false, problems: &["a".to_owned()] };
    assert_eq!(faults_of("config-check", &problems), none);
    let failure = Failure { error: FailureText { message: "a" }, exit_code: exit::INTERNAL };
    assert_eq!(faults_of("failure", &failure), none);
}

#[test]
fn what_is_not_so_written_does_not_fit() {
    let good = serde_json::to_value(status()).unwrap();
    for (pointer, value, fault) in [
        ("/services/0/health", json!("well"), "status.services[0].health: oneOf"),
        ("/services/0/scope", json!("global"), "status.services[0].scope: oneOf"),
        ("/services/0/latency_ms", json!("1"), "status.services[0].latency_ms: type"),
        ("/services/0/loaded/0", json!({}), "status.services[0].loaded[0]: required"),
        ("/services/0/notes", Value::Null, "status.services[0].notes: type"),
        ("/gpus/0/vendor", json!("NVIDIA"), "status.gpus[0].vendor: oneOf"),
        ("/gpus/0/processes/0/pid", json!(-1), "status.gpus[0].processes[0].pid: minimum"),
        ("/host/load", json!([1.0, 2.0]), "status.host.load: minItems"),
        ("/host/helper", json!("gone"), "status.host.helper: anyOf"),
        ("/totals", json!({ "more": 1 }), "status.totals.more: not in the schema"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        let found = faults_of("status", &bad);
        assert!(found.iter().any(|text| text.starts_with(fault)), "{pointer}: {found:?}");
    }
}

#[test]
fn every_document_has_a_schema_that_says_what_each_field_is() {
    /// Every field has a description, and none speaks of Rust.
    fn check(name: &str, schema: &Value) {
        if let Some(text) = schema.get("description").and_then(Value::as_str) {
            assert!(!text.contains("None") && !text.contains("Option"), "{name}: {text}");
            assert!(!text.contains("[`") && !text.contains("::"), "{name}: {text}");
        }
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(schema["description"].is_string(), "{name}.{field}");
            check(&format!("{name}.{field}"), schema);
        }
    }
    let mut names: Vec<&str> = DOCUMENTS.iter().map(|document| document.name).collect();
    for document in DOCUMENTS {
        let schema = of(document.name).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["title"], document.command);
        check(document.name, &schema);
        for (name, schema) in schema["$defs"].as_object().into_iter().flatten() {
            check(name, schema);
        }
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DOCUMENTS.len());
    assert!(of("").is_none() && of("Status").is_none() && of("config").is_none());
}
