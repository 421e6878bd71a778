//! What is made of the answers that servers give, without sockets.

use std::time::Duration;

use aictl_api::{provider::Provider, status::LoadedModel};

use super::recorded::{self, Recorded, Route};
use crate::{
    Fact, Gap, GapReason, Reach, Report, Trouble,
    answers::{Answer, Answers, Ask, KeyUse},
    decide::{Step, decide},
};

/// Asks a recorded server as a real one is asked. `key`: whether there is one, and whether the
/// server takes it; `None` for a server without keys.
fn ask(server: &Recorded, expected: Option<Provider>, key: Key) -> Report {
    ask_with(expected, key.is_there(), |ask| Ok(answer(server, ask, key)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// The server wants none, and there is none.
    Open,
    /// It wants one, and there is none.
    Missing,
    /// It wants another.
    Wrong,
    /// It takes it.
    Right,
}

impl Key {
    const fn is_there(self) -> bool {
        matches!(self, Self::Wrong | Self::Right)
    }
}

pub(super) fn ask_with(
    expected: Option<Provider>,
    has_key: bool,
    server: impl Fn(Ask) -> Result<Answer, Trouble>,
) -> Report {
    let mut answers = Answers::default();
    // More rounds than any server takes.
    for _ in 0..8 {
        match decide(expected, has_key, &answers) {
            Step::Done(report) => return report,
            Step::Ask(asks) => {
                assert!(!asks.is_empty());
                for ask in asks {
                    assert!(has_key || ask.key != KeyUse::Always, "{ask:?}");
                    assert!(answers.get(ask.path).is_none(), "{ask:?} is asked twice");
                    answers.add(ask.path, server(ask));
                }
            }
        }
    }
    panic!("it asks without end: {answers:?}")
}

fn answer(server: &Recorded, ask: Ask, key: Key) -> Answer {
    let is_guarded = server.guarded.iter().any(|guarded| ask.path.starts_with(guarded));
    let is_refused = match key {
        Key::Open => false,
        Key::Missing | Key::Wrong => is_guarded,
        Key::Right => is_guarded && ask.key == KeyUse::Never,
    };
    let route = server.routes.iter().find(|(path, ..)| *path == ask.path);
    match is_refused {
        true => of(&server.refusal, server),
        false => of(route.unwrap_or(&server.otherwise), server),
    }
}

fn of(&(_, status, content_type, body): &Route, server: &Recorded) -> Answer {
    Answer {
        status,
        server: server.server.map(str::to_owned),
        content_type: Some(content_type.split(';').next().unwrap().to_owned()),
        redirect: None,
        body: body.into(),
        took: Duration::from_millis(7),
    }
}

fn loaded(names: &[&str]) -> Option<Vec<LoadedModel>> {
    let model = |name: &&str| LoadedModel { name: (*name).to_owned(), ..LoadedModel::default() };
    Some(names.iter().map(model).collect())
}

/// What each server tells.
fn facts(provider: Provider) -> Report {
    type Row = (
        Option<&'static str>,
        Option<&'static [&'static str]>,
        Option<Vec<LoadedModel>>,
        Option<u64>,
    );
    let in_vram = LoadedModel {
        name: "llama3.2:1b".to_owned(),
        vram_bytes: Some(2_196_584_448),
        memory_bytes: Some(2_196_584_448),
        expires: Some("2026-11-22T09:05:00Z".to_owned()),
    };
    let qwen: &[&str] = &["Qwen/Qwen3-8B"];
    let both: &[&str] = &["qwen2.5-7b-instruct", "text-embedding-nomic-embed-text-v1.5"];
    let lemonade: &[&str] =
        &["Llama-3.2-1B-Instruct-Hybrid", "nomic-embed-text-v1-GGUF", "Qwen3-0.6B-GGUF"];
    let (version, models, in_memory, requests_running): Row = match provider {
        Provider::Ollama => (
            Some("0.12.6"),
            Some(&["llama3.2:1b", "nomic-embed-text:latest"]),
            Some(vec![in_vram]),
            None,
        ),
        Provider::Vllm => (Some("0.11.0"), Some(qwen), loaded(qwen), Some(3)),
        Provider::LlamaServer => {
            (Some("b6900-1a2b3c4d"), Some(&["tiny"]), loaded(&["tiny"]), Some(2))
        }
        Provider::LlamaCppPython => (Some("0.3.16"), Some(&["/models/tiny.gguf"]), None, None),
        // Without a key, no models.
        Provider::Litellm => (Some("1.80.0"), None, None, None),
        Provider::Sglang => (
            Some("0.5.5"),
            Some(&["qwen/qwen2.5-0.5b-instruct"]),
            loaded(&["qwen/qwen2.5-0.5b-instruct"]),
            Some(2),
        ),
        Provider::LmStudio => (None, Some(both), loaded(&both[..1]), None),
        Provider::LocalAi => {
            (Some("v3.7.0 (9ecfdc5938)"), Some(&["gpt-4", "whisper-1"]), loaded(&["gpt-4"]), None)
        }
        Provider::TabbyApi => {
            (None, Some(&["qwen-exl3", "llama-exl2"]), loaded(&["qwen-exl3"]), None)
        }
        Provider::TextGenerationWebui => {
            (None, Some(&["mistral-7b.gguf"]), loaded(&["mistral-7b.gguf"]), None)
        }
        Provider::Lmdeploy => (None, Some(&["internlm2"]), loaded(&["internlm2"]), Some(1)),
        Provider::Koboldcpp => (
            Some("1.101"),
            Some(&["koboldcpp/llama-3-8b"]),
            loaded(&["koboldcpp/llama-3-8b"]),
            Some(1),
        ),
        Provider::WhisperCpp => (None, None, None, None),
        Provider::ComfyUi => (Some("0.3.60"), None, None, Some(1)),
        Provider::OpenWebUi => (Some("0.6.36"), None, None, None),
        Provider::Lemonade => (Some("9.3.3"), Some(lemonade), loaded(&lemonade[..2]), None),
        Provider::LlamaSwap => (Some("v170"), Some(&["llama", "qwen"]), loaded(&["llama"]), None),
        Provider::Tgi => (
            Some("3.3.6"),
            Some(&["HuggingFaceH4/zephyr-7b-beta"]),
            loaded(&["HuggingFaceH4/zephyr-7b-beta"]),
            Some(4),
        ),
    };
    let no_key = Gap { what: Fact::Models, why: GapReason::NoKey };
    Report {
        reach: Reach::Ready,
        provider: Some(provider),
        came: None,
        latency: Some(Duration::from_millis(7)),
        version: version.map(str::to_owned),
        models: models.map(|models| models.iter().map(|&model| model.to_owned()).collect()),
        loaded: in_memory,
        requests_running,
        gaps: if provider == Provider::Litellm { vec![no_key] } else { Vec::new() },
    }
}

#[test]
fn every_provider_has_a_recorded_server() {
    assert_eq!(recorded::ALL.map(|server| server.provider), Provider::ALL);
}

#[test]
fn every_expected_server_tells_its_facts() {
    for server in &recorded::ALL {
        let report = ask(server, Some(server.provider), Key::Open);
        assert_eq!(report, facts(server.provider));
    }
}

#[test]
fn every_server_is_known_by_its_answers() {
    for server in &recorded::ALL {
        let mut expected = facts(server.provider);
        if server.provider == Provider::Litellm {
            // Whoever is not known to be LiteLLM is asked for models without a key too.
            expected.models = Some(vec!["gpt-local".to_owned(), "claude-local".to_owned()]);
            expected.gaps.clear();
        }
        assert_eq!(ask(server, None, Key::Open), expected);
    }
}

#[test]
fn every_server_in_the_place_of_another_is_told_apart() {
    for server in &recorded::ALL {
        for expected in Provider::ALL.into_iter().filter(|&expected| expected != server.provider) {
            let report = ask(server, Some(expected), Key::Open);
            let other = Reach::Other(Some(server.provider));
            assert_eq!(report.reach, other, "{:?} instead of {expected:?}", server.provider);
            assert_eq!(report.provider, Some(server.provider));
        }
    }
}

#[test]
fn keys_are_missed_refused_and_taken() {
    for server in recorded::ALL.iter().filter(|server| !server.guarded.is_empty()) {
        let provider = server.provider;
        let table = [(Key::Missing, Reach::KeyNeeded), (Key::Wrong, Reach::KeyRefused)];
        for (key, reach) in table {
            let report = ask(server, Some(provider), key);
            // What it would refuse without a key is not asked for.
            let is_unasked = provider == Provider::Litellm && key == Key::Missing;
            let reach = if is_unasked { Reach::Ready } else { reach };
            assert_eq!(report.reach, reach, "{provider:?} {key:?}");
            assert_eq!(report.provider, Some(provider), "{provider:?} {key:?}");
        }
        let mut expected = facts(provider);
        if provider == Provider::Litellm {
            expected.models = Some(vec!["gpt-local".to_owned(), "claude-local".to_owned()]);
            expected.gaps.clear();
        }
        assert_eq!(ask(server, Some(provider), Key::Right), expected);
        // One that is not expected to be anything may have it too.
        assert_eq!(ask(server, None, Key::Right), expected);
    }
}

#[test]
fn loading_is_told_from_failure() {
    let loading_llama =
        r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
    let failed = r#"{"error":{"code":503,"message":"No slots","type":"unavailable_error"}}"#;
    let whisper = r#"{"status":"loading model"}"#;
    let alone = Reach::Trouble(Trouble::Status(503));
    let table = [
        (Provider::LlamaServer, 503, loading_llama, Reach::Loading(Some("Loading model".into()))),
        (Provider::LlamaServer, 503, failed, alone.clone()),
        (Provider::LlamaServer, 503, "", alone.clone()),
        (Provider::LlamaServer, 500, loading_llama, Reach::Trouble(Trouble::Status(500))),
        (Provider::WhisperCpp, 503, whisper, Reach::Loading(None)),
        (Provider::WhisperCpp, 503, "", alone.clone()),
        (Provider::Sglang, 503, "", Reach::Loading(None)),
        (Provider::LocalAi, 503, "", Reach::Loading(None)),
        (Provider::Vllm, 503, "", alone.clone()),
        (Provider::Tgi, 503, r#"{"error":"unhealthy","error_type":"healthcheck"}"#, alone.clone()),
        (Provider::Litellm, 503, r#"{"status":"unhealthy"}"#, alone),
    ];
    for (provider, status, body, reach) in table {
        let report = ask_with(Some(provider), false, |_| Ok(json(status, body)));
        assert_eq!(report.reach, reach, "{provider:?} {status} {body}");
        assert_eq!(report.gaps, [], "{provider:?} {status} {body}");
        assert_eq!(report.latency, None, "{provider:?} {status} {body}");
    }
}

fn json(status: u16, body: &str) -> Answer {
    Answer {
        status,
        server: None,
        content_type: Some("application/json".to_owned()),
        redirect: None,
        body: body.into(),
        took: Duration::from_millis(7),
    }
}

/// Asks a recorded server, some of whose paths answer otherwise.
fn ask_changed(server: &Recorded, changes: &[(&str, Result<Answer, Trouble>)]) -> Report {
    ask_with(Some(server.provider), false, |ask| {
        match changes.iter().find(|(path, _)| *path == ask.path) {
            Some((_, answer)) => answer.clone(),
            None => Ok(answer(server, ask, Key::Open)),
        }
    })
}

#[test]
fn a_fact_that_cannot_be_had_leaves_the_others() {
    let slow = Trouble::TooSlow(Duration::from_secs(3));
    let report = ask_changed(&recorded::VLLM, &[("/metrics", Err(slow.clone()))]);
    let mut expected = facts(Provider::Vllm);
    expected.requests_running = None;
    expected.gaps = vec![Gap { what: Fact::Requests, why: GapReason::Trouble(slow) }];
    assert_eq!(report, expected);
    assert_eq!(
        report.gaps[0].to_string(),
        "asked for its running requests: its answer did not end within 3 s"
    );

    let report = ask_changed(
        &recorded::OLLAMA,
        &[
            ("/api/tags", Ok(json(200, r#"{"models":"none"}"#))),
            ("/api/version", Ok(json(200, r#"{"version":12}"#))),
            ("/api/ps", Ok(json(500, "{}"))),
        ],
    );
    assert_eq!(report.reach, Reach::Ready);
    assert_eq!((report.version, report.models, report.loaded), (None, None, None));
    let gaps: Vec<String> = report.gaps.iter().map(Gap::to_string).collect();
    assert_eq!(
        gaps,
        [
            "asked for its version: its answer cannot be read: the JSON is of another shape",
            "asked for its models: its answer cannot be read: the JSON is of another shape",
            "asked for its loaded models: it answers with HTTP status 500",
        ]
    );

    // What is turned off is no gap.
    let off = json(501, r#"{"error":{"code":501,"message":"This server does not support slots"}}"#);
    let report = ask_changed(&recorded::LLAMA_SERVER, &[("/slots", Ok(off))]);
    assert_eq!((report.reach, report.requests_running, report.gaps), (Reach::Ready, None, vec![]));
}

#[test]
fn a_list_is_cut_and_says_so() {
    let many: Vec<String> = (0..100_000).map(|n| format!(r#"{{"name":"m{n}"}}"#)).collect();
    let body = format!(r#"{{"models":[{}]}}"#, many.join(","));
    let report = ask_changed(&recorded::OLLAMA, &[("/api/tags", Ok(json(200, &body)))]);
    let models = report.models.unwrap();
    assert_eq!((models.len(), models[999].as_str()), (1000, "m999"));
    assert_eq!(report.gaps[0].to_string(), "only the first 1000 of its models are shown");
}

#[test]
fn names_are_plain() {
    let body = r#"{"models":[{"name":"\u001b[2J\u202eevil\nname"},{"name":"\u0000"}]}"#;
    let report = ask_changed(&recorded::OLLAMA, &[("/api/tags", Ok(json(200, body)))]);
    assert_eq!(report.models.unwrap(), ["evil name"]);
}

#[test]
fn ollama_that_does_not_say_what_is_on_gpus_is_not_taken_to_have_said_nothing_is() {
    let body =
        r#"{"models":[{"name":"a","size":7,"size_vram":0},{"name":"b","size":8},{"name":"c"}]}"#;
    let report = ask_changed(&recorded::OLLAMA, &[("/api/ps", Ok(json(200, body)))]);
    let loaded: Vec<_> =
        report.loaded.unwrap().into_iter().map(|m| (m.vram_bytes, m.memory_bytes)).collect();
    assert_eq!(loaded, [(Some(0), Some(7)), (None, Some(8)), (None, None)]);
}

#[test]
fn a_llama_server_that_can_sleep_is_not_woken() {
    let asleep = r#"{"build_info":"b8000-1","is_sleeping":true}"#;
    let awake = r#"{"build_info":"b8000-1","is_sleeping":false}"#;
    let router = r#"{"role":"router","build_info":"b8000-1"}"#;
    let table: [(&str, &[&str], usize); 3] =
        [(asleep, &[], 0), (awake, &["/metrics"], 1), (router, &[], 1)];
    for (props, may_ask, in_memory) in table {
        let report = ask_with(Some(Provider::LlamaServer), false, |ask| {
            if matches!(ask.path, "/slots" | "/metrics") {
                assert!(may_ask.contains(&ask.path), "{} with {props}", ask.path);
                return Ok(json(200, "llamacpp:requests_processing 2\n"));
            }
            match ask.path {
                "/props" => Ok(json(200, props)),
                _ => Ok(answer(&recorded::LLAMA_SERVER, ask, Key::Open)),
            }
        });
        assert_eq!(report.reach, Reach::Ready, "{props}");
        assert_eq!(report.requests_running, (!may_ask.is_empty()).then_some(2), "{props}");
        assert_eq!(report.loaded.unwrap().len(), in_memory, "{props}");
    }
}

#[test]
fn a_llama_server_that_routes_tells_which_models_are_loaded() {
    let models = r#"{"object":"list","data":[
        {"id":"a","object":"model","owned_by":"llamacpp","status":{"value":"loaded","args":[]}},
        {"id":"b","object":"model","owned_by":"llamacpp","status":{"value":"unloaded"}}]}"#;
    let report = ask_changed(&recorded::LLAMA_SERVER, &[("/v1/models", Ok(json(200, models)))]);
    assert_eq!(report.models.unwrap(), ["a", "b"]);
    assert_eq!(report.loaded, loaded(&["a"]));
}

#[test]
fn old_and_new_names_of_paths_are_known() {
    let missing = Ok(json(404, r#"{"detail":"Not Found"}"#));
    let old = Ok(json(200, r#"{"model_path":"m","version":"0.4.6"}"#));
    let changes = [("/server_info", missing), ("/get_server_info", old)];
    let report = ask_changed(&recorded::SGLANG, &changes);
    assert_eq!(report.version.as_deref(), Some("0.4.6"));

    let gone = Ok(json(200, r#"{"error":"Unexpected endpoint or method. (GET /api/v0/models)"}"#));
    let new = Ok(json(
        200,
        r#"{"models":[
        {"type":"llm","key":"qwen","loaded_instances":[{"id":"qwen","config":{}},{"id":"qwen:2","config":{}}]},
        {"type":"llm","key":"gemma","loaded_instances":[]}]}"#,
    ));
    let changes = [("/api/v0/models", gone), ("/api/v1/models", new)];
    let report = ask_changed(&recorded::LMSTUDIO, &changes);
    assert_eq!(report.reach, Reach::Ready);
    assert_eq!(report.models.unwrap(), ["qwen", "gemma"]);
    assert_eq!(report.loaded, loaded(&["qwen", "qwen:2"]));
}

#[test]
fn nothing_loaded_is_known_and_not_unknown() {
    let none = |server: &Recorded, path, status, body| {
        ask_changed(server, &[(path, Ok(json(status, body)))])
    };
    let tabby = r#"{"detail":"No models are currently loaded."}"#;
    let reports = [
        none(&recorded::TABBYAPI, "/v1/model", 400, tabby),
        none(&recorded::KOBOLDCPP, "/api/v1/model", 200, r#"{"result":"inactive"}"#),
        none(
            &recorded::TEXT_GENERATION_WEBUI,
            "/v1/internal/model/info",
            200,
            r#"{"model_name":"None","lora_names":[]}"#,
        ),
        none(
            &recorded::LEMONADE,
            "/api/v1/health",
            200,
            r#"{"status":"ok","model_loaded":null,"all_models_loaded":[]}"#,
        ),
        none(&recorded::LLAMA_SWAP, "/running", 200, r#"{"running":[]}"#),
        none(&recorded::OLLAMA, "/api/ps", 200, r#"{"models":[]}"#),
        none(&recorded::LOCALAI, "/system", 200, r#"{"backends":[],"loaded_models":null}"#),
    ];
    for report in reports {
        assert_eq!((&report.reach, &report.loaded), (&Reach::Ready, &Some(vec![])), "{report:?}");
    }
}

#[test]
fn what_is_no_known_server_is_told_as_it_is() {
    let page = |status: u16| Answer {
        content_type: Some("text/html".to_owned()),
        ..json(status, "<html>It works!</html>")
    };
    let broken = Trouble::BadBody("it is not valid JSON");
    let shape = Trouble::BadBody("the JSON is of another shape");
    let host = Some("example.org".to_owned());
    let elsewhere = Answer { redirect: host.clone(), ..page(302) };
    let tls = Answer {
        content_type: Some("text/plain".to_owned()),
        ..json(400, "Client sent an HTTP request to an HTTPS server.\n")
    };
    let table = [
        (page(200), Reach::Other(None), Reach::Ready),
        (page(404), Reach::Other(None), Reach::Ready),
        (json(200, "{]"), Reach::Trouble(broken), Reach::Ready),
        (json(200, "[1]"), Reach::Trouble(shape), Reach::Ready),
        (page(500), Reach::Trouble(Trouble::Status(500)), Reach::Trouble(Trouble::Status(500))),
        (page(401), Reach::KeyNeeded, Reach::KeyNeeded),
        (page(403), Reach::KeyNeeded, Reach::KeyNeeded),
        (page(418), Reach::Trouble(Trouble::Status(418)), Reach::Ready),
        (
            elsewhere,
            Reach::Trouble(Trouble::Redirect { to: host.clone() }),
            Reach::Trouble(Trouble::Redirect { to: host }),
        ),
        (
            tls,
            Reach::Trouble(Trouble::Tls(crate::TlsTrouble::NeedsTls)),
            Reach::Trouble(Trouble::Tls(crate::TlsTrouble::NeedsTls)),
        ),
    ];
    for (answer, expected, unknown) in table {
        // One whose answer for its health is JSON of its own shape.
        let provider = Some(Provider::ComfyUi);
        let report = ask_with(provider, false, |_| Ok(answer.clone()));
        assert_eq!(report.reach, expected, "{answer:?}");
        let report = ask_with(None, false, |_| Ok(answer.clone()));
        assert_eq!(report.reach, unknown, "{answer:?}");
        assert_eq!((report.provider, report.models), (None, None), "{answer:?}");
    }
}

#[test]
fn any_server_with_models_tells_them() {
    let models =
        r#"{"object":"list","data":[{"id":"aphrodite","object":"model","owned_by":"pygmalion"}]}"#;
    let report = ask_with(None, false, |ask| {
        Ok(if ask.path == "/v1/models" { json(200, models) } else { json(404, "{}") })
    });
    assert_eq!((report.reach, report.provider), (Reach::Ready, None));
    assert_eq!(report.models.unwrap(), ["aphrodite"]);
    assert_eq!(report.latency, Some(Duration::from_millis(7)));
}

#[test]
fn a_fork_passes_for_what_it_is_expected_to_be() {
    let models = r#"{"object":"list","data":[{"id":"m","object":"model","owned_by":"fork"}]}"#;
    let changes = [("/v1/models", Ok(json(200, models))), ("/metrics", Ok(json(404, "")))];
    let report = ask_changed(&recorded::VLLM, &changes);
    assert_eq!((report.reach, report.provider), (Reach::Ready, Some(Provider::Vllm)));
    assert_eq!(report.version.as_deref(), Some("0.11.0"));
}

#[test]
fn nobody_there_is_asked_no_more() {
    for expected in [None, Some(Provider::Vllm)] {
        let report = ask_with(expected, false, |ask| {
            assert_ne!(ask.path, "/openapi.json");
            Err(Trouble::Refused)
        });
        assert_eq!(report, Report::bare(Reach::Trouble(Trouble::Refused), None));
    }
}

#[test]
fn litellm_is_never_asked_for_its_backends() {
    for expected in std::iter::once(None).chain(Provider::ALL.map(Some)) {
        for has_key in [false, true] {
            ask_with(expected, has_key, |ask| {
                // A plan's own `/health` is another server's; what is asked to find out comes
                // only after LiteLLM would have been known.
                let is_planned = expected.is_some_and(|expected| {
                    crate::plan::plan(expected).asks.iter().any(|plan| plan.path == "/health")
                });
                assert!(is_planned || ask.path != "/health", "{expected:?}");
                Ok(answer(&recorded::LITELLM, ask, Key::Open))
            });
        }
    }
}
