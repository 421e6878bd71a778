//! What the journal has of a run.

use serde_json::{Value, json};

use crate::guest::{SCRIPT, Way, root, run, wait_for};

/// The runs that `aictl audit` tells of.
fn runs() -> Vec<Value> {
    let text = root(&["aictl", "--json", "audit", "-n", "50"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    let calls = document["calls"].as_array().unwrap().clone();
    calls.into_iter().filter(|call| !call["run"].is_null()).collect()
}

#[test]
fn a_run_is_recorded_with_its_hash_its_outcome_and_its_cost() {
    let script = "held = b'x' * (100 << 20)\nimport sys\nsys.exit(9)\n";
    let seen = run(Way::Helper, &[], script);
    assert_eq!(seen.exit_code, Some(9));
    let hash = root(&["sha256sum", SCRIPT])[..64].to_owned();
    let mut found = Vec::new();
    wait_for("the record of the run", || {
        found = runs().into_iter().filter(|call| call["run"]["code_sha256"] == *hash).collect();
        found.iter().any(|call| call["run"]["finished"] == true)
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    let call = &found[0];
    assert_eq!(call["method"], "org.aictl1.Sandbox.Run", "{call:#}");
    assert_eq!(call["caller_uid"], 1000, "{call:#}");
    assert_eq!(call["decision"], "allowed", "{call:#}");
    for (key, value) in [
        ("code_bytes", json!(script.len())),
        ("profile", json!("standard")),
        ("outcome", json!("exited")),
        ("exit_code", json!(9)),
        ("peak_memory_bytes", json!(seen.peak_memory)),
    ] {
        assert_eq!(call["run"][key], value, "{key}: {call:#}");
    }
    let cpu = call["run"]["cpu_usec"].as_u64();
    assert!(cpu.is_some_and(|usec| usec > 0), "{call:#}");
}
