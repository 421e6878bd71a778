//! What came of an action on a service: for people, and as JSON.

use aictl_api::{
    authorisation::Verb,
    document::actions::{Action, ActionError},
    error::CallError,
    exit,
    record::{ActionRecord, JobResult},
};

use crate::{
    color::{Paint, Style},
    message::plain,
};

/// What came of one verb on one service.
#[derive(Debug)]
pub struct Acted {
    /// The service, as the user named it.
    pub service: String,
    /// What was to be done.
    pub verb: Verb,
    /// What came of it.
    pub result: Result<ActionRecord, CallError>,
    /// What the user can do about it.
    pub advice: Option<String>,
}

/// The most characters of a service's name that a message repeats.
const SHOWN: usize = 80;
/// States of a unit file that nothing enables or disables: it has no `[Install]` section, or is
/// made anew at each boot.
const NO_INSTALL: [&str; 3] = ["static", "generated", "transient"];

/// What went wrong with a job, or with what came after it; `None` if nothing did.
fn failure(verb: Verb, record: &ActionRecord) -> Option<&'static str> {
    Some(match (record.job_result, verb) {
        (JobResult::Queued, _) => return None,
        (JobResult::Done, Verb::Start | Verb::Restart | Verb::Reload)
            if record.active_state == "failed" =>
        {
            "it failed as soon as it had started"
        }
        (JobResult::Done, Verb::Enable) if NO_INSTALL.contains(&record.enabled.as_str()) => {
            "its unit says nothing about when to start: it has no [Install] section"
        }
        (JobResult::Done, _) => return None,
        (JobResult::Failed, _) => "it failed",
        (JobResult::Canceled, _) => "another action took its place",
        (JobResult::Timeout, _) => "the unit's own time for it was up",
        (JobResult::Dependency, _) => "a unit that it needs failed",
        (JobResult::Skipped, _) => "it does not apply to the unit as it is",
    })
}

/// The verb when it is done.
const fn past(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "started",
        Verb::Stop => "stopped",
        Verb::Restart => "restarted",
        Verb::Reload => "reloaded",
        Verb::Enable => "enabled",
        Verb::Disable => "disabled",
    }
}

/// The verb while it is being done.
pub const fn present(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "starting",
        Verb::Stop => "stopping",
        Verb::Restart => "restarting",
        Verb::Reload => "reloading",
        Verb::Enable => "enabling",
        Verb::Disable => "disabling",
    }
}

impl Acted {
    /// The exit code that belongs to it.
    pub fn exit_code(&self) -> u8 {
        match &self.result {
            Ok(record) if failure(self.verb, record).is_none() => exit::OK,
            Ok(_) => exit::FAILED,
            Err(error) => error.exit_code(),
        }
    }

    /// The service's name as it can stand in a message: a user can name anything.
    fn name(&self) -> String {
        let name: String = plain(&self.service).chars().take(SHOWN).collect();
        if name.len() < self.service.len() && name.chars().count() == SHOWN {
            return name + "…";
        }
        name
    }

    /// The line for standard output, if all is well.
    pub fn success(&self, paint: Paint) -> Option<String> {
        let record = self.result.as_ref().ok()?;
        if failure(self.verb, record).is_some() {
            return None;
        }
        let (service, state) = (self.name(), state(record));
        let style = match record.active_state.as_str() {
            "active" => Style::Good,
            "failed" => Style::Bad,
            _ => Style::Plain,
        };
        let state = paint.text(style, &state);
        Some(match (record.job_result, self.verb) {
            (JobResult::Queued, verb) => {
                format!("{service}: {} is queued; now {state}", verb.name())
            }
            (_, verb @ (Verb::Enable | Verb::Disable)) => {
                let enabled = plain(&record.enabled);
                format!("{service} {}: {enabled} at boot; now {state}", past(verb))
            }
            (_, verb) => format!("{service} {}: {state}", past(verb)),
        })
    }

    /// The lines for standard error, if all is not well: what happened, why, the end of the log,
    /// and what to do.
    pub fn problem(&self, paint: Paint) -> Option<String> {
        let service = self.name();
        let mut text = match &self.result {
            Ok(record) => {
                let failure = failure(self.verb, record)?;
                let result = match record.result.as_str() {
                    "" | "success" => String::new(),
                    result => format!(", result {}", plain(result)),
                };
                format!(
                    "{service} was not {}: {failure}; now {}{result}",
                    past(self.verb),
                    state(record)
                )
            }
            Err(error) => {
                format!("{service} was not {}: {}", past(self.verb), plain(error.message()))
            }
        };
        text = paint.text(Style::Bad, &text);
        for line in self.result.iter().flat_map(|record| &record.log) {
            text += &format!("\n  | {}", paint.text(Style::Faint, &plain(line)));
        }
        if let Some(advice) = &self.advice {
            text += &format!("\n  → {}", plain(advice));
        }
        Some(text)
    }

    /// The entry in the document.
    pub fn entry(&self) -> Action<'_> {
        let record = self.result.as_ref().ok();
        let known = |text: fn(&ActionRecord) -> &String| {
            record.map(text).map(String::as_str).filter(|text| !text.is_empty())
        };
        Action {
            service: &self.service,
            verb: self.verb,
            ok: self.exit_code() == exit::OK,
            job_result: record.map(|record| record.job_result),
            active_state: known(|record| &record.active_state),
            sub_state: known(|record| &record.sub_state),
            enabled: known(|record| &record.enabled),
            result: known(|record| &record.result),
            log: record.map(|record| record.log.as_slice()).unwrap_or_default(),
            request_id: known(|record| &record.request_id),
            error: self.result.as_ref().err().map(|error| ActionError {
                name: error.dbus_name(),
                message: error.message(),
                retry_after_ms: error
                    .retry_after()
                    .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            }),
            advice: self.advice.as_deref(),
        }
    }
}

/// `active (running)`
fn state(record: &ActionRecord) -> String {
    let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { plain(text) };
    match record.sub_state.as_str() {
        "" => known(&record.active_state),
        sub => format!("{} ({})", known(&record.active_state), plain(sub)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::color::When;

    fn plain_paint() -> Paint {
        Paint::new(When::Never, &std::io::stdout())
    }

    fn record(job_result: JobResult, active: &str, sub: &str) -> ActionRecord {
        ActionRecord {
            job_result,
            active_state: active.to_owned(),
            sub_state: sub.to_owned(),
            result: "success".to_owned(),
            ..ActionRecord::default()
        }
    }

    fn acted(verb: Verb, result: Result<ActionRecord, CallError>) -> Acted {
        Acted { service: "ollama".to_owned(), verb, result, advice: None }
    }

    /// What is said on either stream, and the exit code.
    fn said(acted: &Acted) -> (String, u8) {
        let paint = plain_paint();
        let (success, problem) = (acted.success(paint), acted.problem(paint));
        assert_ne!(success.is_some(), problem.is_some(), "{acted:?}");
        (success.or(problem).unwrap(), acted.exit_code())
    }

    #[test]
    fn each_end_has_its_words_and_its_exit_code() {
        use JobResult::{Canceled, Dependency, Done, Failed, Queued, Skipped, Timeout};
        let enabled = |job, enabled: &str| ActionRecord {
            enabled: enabled.to_owned(),
            ..record(job, "inactive", "dead")
        };
        let failed =
            ActionRecord { result: "exit-code".to_owned(), ..record(Failed, "failed", "failed") };
        for (verb, record, words, code) in [
            (
                Verb::Restart,
                record(Done, "active", "running"),
                "ollama restarted: active (running)",
                0,
            ),
            (Verb::Stop, record(Done, "inactive", "dead"), "ollama stopped: inactive (dead)", 0),
            // What was stopped may have failed at it: it is stopped all the same.
            (Verb::Stop, record(Done, "failed", "failed"), "ollama stopped: failed (failed)", 0),
            (
                Verb::Start,
                record(Queued, "activating", "start"),
                "ollama: start is queued; now activating (start)",
                0,
            ),
            (
                Verb::Start,
                record(Done, "failed", "failed"),
                "ollama was not started: it failed as soon as it had started; now failed (failed)",
                1,
            ),
            (
                Verb::Start,
                failed,
                "ollama was not started: it failed; now failed (failed), result exit-code",
                1,
            ),
            (
                Verb::Reload,
                record(Skipped, "inactive", "dead"),
                "ollama was not reloaded: it does not apply to the unit as it is; now inactive \
                 (dead)",
                1,
            ),
            (
                Verb::Start,
                record(Canceled, "inactive", "dead"),
                "ollama was not started: another action took its place; now inactive (dead)",
                1,
            ),
            (
                Verb::Start,
                record(Dependency, "inactive", ""),
                "ollama was not started: a unit that it needs failed; now inactive",
                1,
            ),
            (
                Verb::Stop,
                record(Timeout, "", ""),
                "ollama was not stopped: the unit's own time for it was up; now unknown",
                1,
            ),
            (
                Verb::Enable,
                enabled(Done, "enabled"),
                "ollama enabled: enabled at boot; now inactive (dead)",
                0,
            ),
            (
                Verb::Disable,
                enabled(Done, "disabled"),
                "ollama disabled: disabled at boot; now inactive (dead)",
                0,
            ),
            (
                Verb::Enable,
                enabled(Done, "static"),
                "ollama was not enabled: its unit says nothing about when to start: it has no \
                 [Install] section; now inactive (dead)",
                1,
            ),
            (
                Verb::Disable,
                enabled(Done, "static"),
                "ollama disabled: static at boot; now inactive (dead)",
                0,
            ),
        ] {
            assert_eq!(said(&acted(verb, Ok(record))), (words.to_owned(), code), "{verb:?}");
        }
    }

    #[test]
    fn an_error_is_followed_by_what_to_do() {
        let mut acted = acted(Verb::Stop, Err(CallError::no_such_service()));
        acted.advice = Some("did you mean ollama?".to_owned());
        acted.service = "olama\x1b]0;\u{202e}".to_owned();
        let words = "olama]0; was not stopped: no such service in the catalogue\n  → did you \
                     mean ollama?";
        assert_eq!(said(&acted), (words.to_owned(), 127));
    }

    #[test]
    fn the_log_stands_under_what_failed_and_cannot_touch_the_terminal() {
        let mut failed = record(JobResult::Failed, "failed", "failed");
        failed.log = vec!["one\x1b[2J".to_owned(), "two\rthree".to_owned()];
        let (text, _) = said(&acted(Verb::Start, Ok(failed)));
        let expected = "ollama was not started: it failed; now failed (failed)\n  | one\n  | \
                        twothree";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_document_has_everything_and_null_where_nothing_is_known() {
        let mut ok = record(JobResult::Done, "active", "running");
        ok.request_id = "abc".to_owned();
        let ok = acted(Verb::Restart, Ok(ok));
        assert_eq!(
            serde_json::to_value(ok.entry()).unwrap(),
            serde_json::json!({
                "service": "ollama", "verb": "restart", "ok": true, "job_result": "done",
                "active_state": "active", "sub_state": "running", "enabled": null,
                "result": "success", "log": [], "request_id": "abc", "error": null,
                "advice": null,
            })
        );
        let error = CallError::limit_exceeded("too many", Duration::from_millis(1500));
        let limited = acted(Verb::Stop, Err(error));
        assert_eq!(
            serde_json::to_value(limited.entry()).unwrap(),
            serde_json::json!({
                "service": "ollama", "verb": "stop", "ok": false, "job_result": null,
                "active_state": null, "sub_state": null, "enabled": null, "result": null,
                "log": [], "request_id": null, "advice": null,
                "error": {
                    "name": "org.aictl1.Error.LimitExceeded",
                    "message": "too many; try again in 1.5 s", "retry_after_ms": 1500,
                },
            })
        );
    }
}
