//! The script: what each call answers.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::code::Code;

/// Where a script is that no environment variable names and that is not beside the library.
const FILE: &str = "/etc/fake-nvml.json";

/// What a call does.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It gives this.
    Value(Value),
    /// It fails.
    Error(Code),
    /// It does not return.
    Hang,
}

/// Finds and reads the script; `None` without one. Complains about one that is none.
pub fn read(library: Option<PathBuf>) -> Option<Value> {
    let beside = library.map(|path| {
        let mut name = path.into_os_string();
        name.push(".json");
        PathBuf::from(name)
    });
    let path = match std::env::var_os("FAKE_NVML") {
        Some(path) => PathBuf::from(path),
        None => beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(FILE)),
    };
    let text = fs::read(&path).ok()?;
    match serde_json::from_slice(&text) {
        Ok(script) => Some(script),
        Err(error) => {
            eprintln!("fake NVML: {}: {error}", path.display());
            None
        }
    }
}

/// What the call with `turns` calls of its kind before it does, by its entry in `calls`; `None` if
/// it has none.
pub fn answer(calls: &Value, call: &str, turns: usize) -> Option<Answer> {
    let entry = match calls.get(call)? {
        Value::Array(list) => list.get(turns).or(list.last())?,
        entry => entry,
    };
    if entry.get("hang").is_some() {
        return Some(Answer::Hang);
    }
    Some(match entry.get("error") {
        Some(error) => Answer::Error(code(error)),
        None => Answer::Value(entry.clone()),
    })
}

fn code(error: &Value) -> Code {
    let by_name = error.as_str().and_then(Code::from_name);
    let by_number = || error.as_u64().and_then(|code| u32::try_from(code).ok()).map(Code);
    by_name.or_else(by_number).unwrap_or_else(|| wrong(&format!("no error of NVML: {error}")))
}

/// Says what is wrong with the script, and gives what a call returns for it.
pub fn wrong(what: &str) -> Code {
    eprintln!("fake NVML: the script is wrong: {what}");
    Code::UNKNOWN
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_a_value_an_error_or_a_list_of_them() {
        let calls = json!({
            "Name": "X",
            "Temperature": [41, {"error": "GPU_IS_LOST"}, 43],
            "PowerUsage": {"error": 999},
            "EccMode": {"hang": true},
            "Nothing": [],
        });
        for (call, turns, want) in [
            ("Name", 0, Some(Answer::Value(json!("X")))),
            ("Name", 9, Some(Answer::Value(json!("X")))),
            ("Temperature", 0, Some(Answer::Value(json!(41)))),
            ("Temperature", 1, Some(Answer::Error(Code::GPU_IS_LOST))),
            ("Temperature", 2, Some(Answer::Value(json!(43)))),
            ("Temperature", 7, Some(Answer::Value(json!(43)))),
            ("PowerUsage", 0, Some(Answer::Error(Code::UNKNOWN))),
            ("EccMode", 0, Some(Answer::Hang)),
            ("Nothing", 0, None),
            ("UUID", 0, None),
        ] {
            assert_eq!(answer(&calls, call, turns), want, "{call} {turns}");
        }
    }
}
