//! What is made of the answers of real servers, as they are in tests/providers/recorded.

use std::{fs, path::Path, time::Duration};

use aictl_api::provider::Provider;

use super::shapes::ask_with;
use crate::{
    answers::{Answer, Ask, KeyUse},
    report::{GapReason, Reach, Report},
};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/providers/recorded");

/// Asks the recorded server; `key` is `key`, `wrong`, `nokey` or `loading`.
fn ask(provider: Provider, key: &str) -> Report {
    let has_key = matches!(key, "key" | "wrong");
    ask_with(Some(provider), has_key, |ask| {
        let shown = if ask.key == KeyUse::Never && has_key { "nokey" } else { key };
        Ok(recorded(provider.name(), shown, ask))
    })
}

/// The answer to a question. Where the key made no difference, there is one file.
fn recorded(server: &str, key: &str, ask: Ask) -> Answer {
    let path = match ask.path.trim_start_matches('/') {
        "" => "root".to_owned(),
        path => path.replace('/', "-"),
    };
    let read = |key: &str| {
        fs::read_to_string(Path::new(RECORDED).join(server).join(format!("{key}-{path}.http"))).ok()
    };
    let text = read(key).or_else(|| read("key")).unwrap_or_else(|| "HTTP/1.1 404\r\n\r\n".into());
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let header = |name: &str| {
        let lines = headers.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.split(';').next().unwrap().to_owned())
    };
    Answer {
        status: first.split(' ').nth(1).unwrap().parse().unwrap(),
        server: header("server"),
        content_type: header("content-type"),
        redirect: None,
        body: body.as_bytes().to_vec(),
        took: Duration::from_millis(7),
    }
}

#[test]
fn those_with_the_key_are_told_all() {
    for (provider, version, model, running) in [
        (Provider::LlamaServer, Some("b11669-Debian"), Some("/opt/tiny.gguf"), Some(0)),
        (Provider::LlamaCppPython, Some("0.3.36"), Some("/opt/tiny.gguf"), None),
        (Provider::Litellm, Some("1.106.2"), Some("tiny"), None),
        (Provider::WhisperCpp, None, None, None),
    ] {
        let report = ask(provider, "key");
        assert_eq!(report.reach, Reach::Ready, "{report:?}");
        assert_eq!(report.provider, Some(provider), "{report:?}");
        assert_eq!(report.version.as_deref(), version, "{report:?}");
        assert_eq!(report.models, model.map(|model| vec![model.to_owned()]), "{report:?}");
        assert_eq!(report.requests_running, running, "{report:?}");
        assert_eq!(report.gaps, [], "{report:?}");
    }
}

#[test]
fn those_without_it_are_told_so() {
    for (provider, missing, wrong) in [
        (Provider::LlamaServer, Reach::KeyNeeded, Reach::KeyRefused),
        (Provider::LlamaCppPython, Reach::KeyNeeded, Reach::KeyRefused),
        // It is ready, as it says to all; what else it has it is not asked for.
        (Provider::Litellm, Reach::Ready, Reach::KeyRefused),
    ] {
        let report = ask(provider, "nokey");
        assert_eq!(report.reach, missing, "{report:?}");
        let hides = report.gaps.iter().any(|gap| gap.why == GapReason::NoKey);
        assert_eq!(hides, provider == Provider::Litellm, "{report:?}");
        let report = ask(provider, "wrong");
        assert_eq!(report.reach, wrong, "{report:?}");
        assert_eq!(report.models, None, "{report:?}");
    }
}

#[test]
fn a_model_that_is_being_loaded_is_told() {
    let report = ask(Provider::LlamaServer, "loading");
    assert_eq!(report.reach, Reach::Loading(Some("Loading model".into())), "{report:?}");
}
