//! A case of the corpus: a script, and what its first lines say about it.

use std::{collections::BTreeMap, fs, path::Path};

use aictl_api::{layer::Layer, run::RunReport};
use serde_json::Value;

/// Words in `stopped-by` and `off` beside the names of layers: what sandboxd itself watches.
pub const WATCHES: [&str; 3] = ["watch", "wall", "output"];

/// One attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The file's name.
    pub name: String,
    /// What it tries.
    pub attack: String,
    /// What stops it: names of layers and of [`WATCHES`].
    pub stopped_by: Vec<String>,
    /// How the attack is made to succeed.
    pub off: Off,
    /// Options of `aictl run`.
    pub options: Vec<String>,
    /// What must be seen.
    pub expect: Expect,
    /// Whether the script gets the list of system calls as its second argument.
    pub wants_syscalls: bool,
    /// How many times it runs; all of them have the same run id.
    pub rounds: u32,
    /// The line of output at which aictl itself is killed.
    pub kill_at: Option<String>,
    /// The line that another run of the script has said, which is there at the same time.
    pub beside: Option<String>,
}

/// How the test of the test makes the attack succeed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Off {
    /// Layers to leave off.
    pub layers: Vec<String>,
    /// Whether the script is told to do what must be noticed by itself.
    pub control: bool,
    /// Whether there is no safe way.
    pub none: bool,
}

/// What must be seen for an attack to count as contained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// Accepted outcomes.
    outcomes: Vec<String>,
    /// Fields of the report that must have this value, as JSON.
    fields: BTreeMap<String, Value>,
    /// Fields of the report that must hold this text.
    holds: BTreeMap<String, String>,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            outcomes: vec!["exited".to_owned()],
            fields: BTreeMap::new(),
            holds: BTreeMap::new(),
        }
    }
}

impl Expect {
    fn parse(text: &str) -> Result<Self, String> {
        let mut expect = Self::default();
        for word in text.split_whitespace() {
            if let Some((field, part)) = word.split_once('~') {
                expect.holds.insert(field.to_owned(), part.to_owned());
            } else if let Some(("outcome", list)) = word.split_once('=') {
                expect.outcomes = list.split('|').map(str::to_owned).collect();
            } else if let Some((field, value)) = word.split_once('=') {
                let value = serde_json::from_str(value).map_err(|e| format!("{word}: {e}"))?;
                expect.fields.insert(field.to_owned(), value);
            } else {
                return Err(format!("{word:?} is neither FIELD=JSON nor FIELD~TEXT"));
            }
        }
        let known: Vec<Value> = [
            "exited",
            "signaled",
            "timed-out",
            "out-of-memory",
            "output-limit",
            "process-limit",
            "refused",
            "cancelled",
        ]
        .map(Value::from)
        .into();
        match expect.outcomes.iter().find(|outcome| !known.contains(&(**outcome).clone().into())) {
            Some(outcome) => Err(format!("{outcome:?} is no outcome")),
            None => Ok(expect),
        }
    }

    /// Why a report is not what was expected; `None` if it is.
    pub fn unmet(&self, report: &Value) -> Option<String> {
        let text = |field: &str| report.get(field).and_then(Value::as_str).unwrap_or_default();
        let outcome = text("outcome");
        if !self.outcomes.iter().any(|expected| expected == outcome) {
            return Some(format!("outcome {outcome}, expected {}", self.outcomes.join(" or ")));
        }
        if outcome == "exited" {
            if !text("stdout").lines().any(|line| line.starts_with("CONTAINED")) {
                return Some("no line says CONTAINED".to_owned());
            }
            if !self.fields.contains_key("exit_code") && report["exit_code"] != 0 {
                return Some(format!("exit code {}", report["exit_code"]));
            }
        }
        for (field, value) in &self.fields {
            // A run that was ended for its outcome has no exit code.
            if field == "exit_code" && outcome != "exited" {
                continue;
            }
            if report.get(field) != Some(value) {
                return Some(format!("{field} is not {value}"));
            }
        }
        if let Some(line) = text("aictl_stderr").lines().find(|line| !is_of_aictl(line)) {
            return Some(format!("aictl's stderr holds a line of the script's: {line:?}"));
        }
        self.holds
            .iter()
            .find(|(field, part)| !text(field).contains(part.as_str()))
            .map(|(field, part)| format!("{field} does not hold {part:?}"))
    }
}

/// Whether a line on aictl's own stderr is such as aictl writes.
fn is_of_aictl(line: &str) -> bool {
    line.starts_with("aictl: ") && !line.chars().any(char::is_control)
}

/// What an attack got, in its own words.
pub fn escaped(report: &Value) -> Option<&str> {
    ["stdout", "stderr"]
        .into_iter()
        .filter_map(|stream| report.get(stream)?.as_str())
        .flat_map(str::lines)
        // A flood before it may not have ended its line.
        .find_map(|line| line.find("ESCAPED ").and_then(|at| line.get(at..)))
}

/// Why a document of `aictl run --json` contradicts itself or the exit code; `None` if it does not.
pub fn inconsistent(report: &Value, exit_code: Option<i32>) -> Option<String> {
    match serde_json::from_value::<RunReport>(report.clone()) {
        Err(error) => Some(format!("not a report: {error}")),
        Ok(parsed) => {
            let code = i32::from(parsed.outcome.exit_code(parsed.exit_code, parsed.signal));
            (Some(code) != exit_code)
                .then(|| format!("aictl's exit code is {exit_code:?}, the report means {code}"))
        }
    }
}

fn known_layers(words: &str) -> Result<Vec<String>, String> {
    words
        .split_whitespace()
        .map(|word| {
            let layer = Layer::ALL.iter().any(|layer| layer.name() == word);
            if layer || WATCHES.contains(&word) {
                Ok(word.to_owned())
            } else {
                Err(format!("{word:?} is no layer"))
            }
        })
        .collect()
}

impl Off {
    fn parse(text: &str) -> Result<Self, String> {
        let (words, reason) = text.split_once('(').unwrap_or((text, ""));
        let mut off = Self::default();
        let mut layers = Vec::new();
        for word in words.split_whitespace() {
            match word {
                "none" => off.none = true,
                "control" => off.control = true,
                other => layers.push(other),
            }
        }
        off.layers = known_layers(&layers.join(" "))?;
        if (off.none || off.control) && reason.len() < 10 {
            return Err("none and control need a reason in brackets".to_owned());
        }
        if off.none == (off.control || !off.layers.is_empty()) {
            return Err("either none, or control, or layers".to_owned());
        }
        Ok(off)
    }
}

impl Case {
    /// Reads the first lines of a script.
    ///
    /// # Errors
    /// If they are not as `attacks/README.md` says.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
            let (key, value) = line.split_once(": ").ok_or(format!("{name}: what is {line:?}?"))?;
            if fields.insert(key, value.trim()).is_some() {
                return Err(format!("{name}: {key} stands there twice"));
            }
        }
        let at = |key: &str| {
            let key = key.to_owned();
            move |error: String| format!("{name}: {key}: {error}")
        };
        let mut take = |key: &str| fields.remove(key);
        let need = |value: Option<&str>, key: &str| {
            value.map(str::to_owned).ok_or(format!("{name}: {key} is missing"))
        };
        let case = Self {
            name: name.to_owned(),
            attack: need(take("attack"), "attack")?,
            stopped_by: known_layers(&need(take("stopped-by"), "stopped-by")?)
                .map_err(at("stopped-by"))?,
            off: Off::parse(&need(take("off"), "off")?).map_err(at("off"))?,
            options: take("run")
                .map_or_else(Vec::new, |text| text.split_whitespace().map(str::to_owned).collect()),
            expect: Expect::parse(take("expect").unwrap_or_default()).map_err(at("expect"))?,
            wants_syscalls: match take("args") {
                None => false,
                Some("syscalls") => true,
                Some(other) => return Err(format!("{name}: args: {other:?}")),
            },
            rounds: take("runs")
                .map_or(Ok(1), str::parse)
                .map_err(|e: std::num::ParseIntError| format!("{name}: runs: {e}"))?,
            kill_at: take("kill").map(str::to_owned),
            beside: take("beside").map(str::to_owned),
        };
        match fields.keys().next() {
            Some(key) => Err(format!("{name}: {key:?} is no field")),
            None if case.stopped_by.is_empty() => Err(format!("{name}: stopped by nothing")),
            None => Ok(case),
        }
    }
}

/// Every case in a directory, by name.
///
/// # Errors
/// If a file cannot be read, or is no case; all of them are named.
pub fn load(directory: &Path) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    let mut errors = Vec::new();
    for entry in fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".py") && !name.ends_with(".sh") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|e| format!("{name}: {e}"))?;
        match Case::parse(&name, &text) {
            Ok(case) => cases.push(case),
            Err(error) => errors.push(error),
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    if errors.is_empty() { Ok(cases) } else { Err(errors.join("\n")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HEAD: &str = "# attack: tries\n# stopped-by: seccomp watch\n# off: seccomp\n";

    #[test]
    fn the_first_lines_of_a_script_are_read() {
        let text = format!(
            "{HEAD}# run: --memory 64M --timeout 3s\n# expect: outcome=out-of-memory|exited\n\
             import os\n# off: wall\n"
        );
        let case = Case::parse("a.py", &text).unwrap();
        assert_eq!(case.attack, "tries");
        assert_eq!(case.stopped_by, ["seccomp", "watch"]);
        assert_eq!(case.off, Off { layers: vec!["seccomp".to_owned()], ..Off::default() });
        assert_eq!(case.options, ["--memory", "64M", "--timeout", "3s"]);
        assert_eq!(case.expect.outcomes, ["out-of-memory", "exited"]);
        assert_eq!((case.rounds, case.wants_syscalls), (1, false));
        assert_eq!((case.kill_at, case.beside), (None, None));
    }

    #[test]
    fn what_is_wrong_in_the_first_lines_is_said() {
        for (text, word) in [
            ("import os\n".to_owned(), "attack is missing"),
            (HEAD.replace("# off: seccomp\n", ""), "off is missing"),
            (HEAD.replace("seccomp watch", "seccomp dogs"), "\"dogs\" is no layer"),
            (HEAD.replace("off: seccomp", "off: none"), "need a reason"),
            (HEAD.replace("off: seccomp", "off: "), "off"),
            (HEAD.replace("off: seccomp", "off: none seccomp (it is not safe)"), "either"),
            (format!("{HEAD}# off: wall\n"), "twice"),
            (format!("{HEAD}# of: wall\n"), "no field"),
            (format!("{HEAD}# note\n"), "what is"),
            (format!("{HEAD}# expect: outcome=dead\n"), "no outcome"),
            (format!("{HEAD}# expect: exit_code=x\n"), "exit_code=x"),
            (format!("{HEAD}# expect: fine\n"), "neither"),
            (format!("{HEAD}# runs: two\n"), "runs"),
        ] {
            let error = Case::parse("a.py", &text).unwrap_err();
            assert!(error.contains(word), "{error:?} for {text:?}");
        }
    }

    #[test]
    fn a_report_is_held_against_what_is_expected() {
        let good = json!({"outcome": "exited", "exit_code": 0, "stdout": "x\nCONTAINED EPERM\n",
                          "stderr": "too long", "result": null});
        let with = |field: &str, value: Value| {
            let mut report = good.clone();
            report[field] = value;
            report
        };
        for (expect, report, met) in [
            ("", good.clone(), true),
            ("outcome=exited result=null stderr~long", good.clone(), true),
            ("stderr~short", good.clone(), false),
            ("result=null", with("result", json!(1)), false),
            ("", with("stdout", json!("fine\n")), false),
            ("", with("exit_code", json!(1)), false),
            ("exit_code=7", with("exit_code", json!(7)), true),
            ("exit_code=7", good.clone(), false),
            ("outcome=timed-out", good.clone(), false),
            ("outcome=timed-out|exited", with("outcome", json!("timed-out")), true),
            ("", with("outcome", json!("signaled")), false),
            ("", with("aictl_stderr", json!("aictl: one\naictl: two\n")), true),
            ("", with("aictl_stderr", json!("aictl: one\ntwo\n")), false),
            ("", with("aictl_stderr", json!("aictl: one\u{1b}[2J\n")), false),
            ("outcome=signaled signal=31", with("outcome", json!("signaled")), false),
        ] {
            let unmet = Expect::parse(expect).unwrap().unmet(&report);
            assert_eq!(unmet.is_none(), met, "{expect:?} {report}: {unmet:?}");
        }
    }

    #[test]
    fn an_escape_is_heard_on_both_streams() {
        for (report, heard) in [
            (json!({"stdout": "CONTAINED x\n", "stderr": ""}), None),
            (json!({"stdout": "a\nESCAPED with b\n", "stderr": ""}), Some("ESCAPED with b")),
            (json!({"stdout": "", "stderr": "xxxESCAPED c"}), Some("ESCAPED c")),
            (json!({}), None),
        ] {
            assert_eq!(escaped(&report), heard);
        }
    }
}
