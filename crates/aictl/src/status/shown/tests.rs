//! The table of services as people see it, at the widths of their terminals.

use aictl_api::{
    gpu::{Gpu, GpuState, Vendor},
    service::Scope,
    status::{HelperState, LoadedModel, Totals},
};

use super::*;
use crate::table::{
    tests::{plain, shown},
    width,
};

const GIB: u64 = 1 << 30;

fn service(name: &str, health: Health) -> ServiceStatus {
    ServiceStatus {
        name: name.to_owned(),
        display: name.to_owned(),
        unit: format!("{name}.service"),
        scope: Scope::System,
        load_state: None,
        active_state: None,
        sub_state: None,
        enabled: None,
        main_pid: None,
        since: None,
        uptime_seconds: None,
        health,
        required: false,
        provider: None,
        endpoint: None,
        latency_ms: None,
        version: None,
        models: None,
        loaded: None,
        requests_running: None,
        cpu_percent: None,
        cpu_seconds: None,
        memory_bytes: None,
        tasks: None,
        vram_bytes: None,
        restarts: None,
        notes: Vec::new(),
    }
}

fn names(all: &[&str]) -> Option<Vec<String>> {
    Some(all.iter().map(|name| (*name).to_owned()).collect())
}

fn ollama() -> ServiceStatus {
    ServiceStatus {
        display: "Ollama".to_owned(),
        load_state: Some("loaded".to_owned()),
        active_state: Some("active".to_owned()),
        sub_state: Some("running".to_owned()),
        enabled: Some("enabled".to_owned()),
        main_pid: Some(4242),
        since: Some("2026-11-19T04:00:10.000000Z".to_owned()),
        uptime_seconds: Some(273_610),
        provider: Some("ollama".to_owned()),
        endpoint: Some("http://127.0.0.1:11434".to_owned()),
        latency_ms: Some(3.21),
        version: Some("0.13.1".to_owned()),
        models: names(&["llama3.2:3b", "qwen2.5-coder:7b", "nomic-embed-text:latest"]),
        loaded: Some(vec![LoadedModel {
            name: "llama3.2:3b".to_owned(),
            vram_bytes: Some(7 * GIB + GIB * 4 / 10),
            memory_bytes: Some(8 * GIB),
            expires: Some("2026-11-22T08:04:10Z".to_owned()),
        }]),
        cpu_percent: Some(12.3),
        cpu_seconds: Some(33_660.0),
        memory_bytes: Some(GIB + GIB / 5),
        tasks: Some(34),
        vram_bytes: Some(7 * GIB + GIB * 4 / 10),
        restarts: Some(0),
        ..service("ollama", Health::Active)
    }
}

fn vllm() -> ServiceStatus {
    ServiceStatus {
        display: "vLLM".to_owned(),
        enabled: Some("disabled".to_owned()),
        main_pid: Some(990),
        uptime_seconds: Some(95),
        provider: Some("vllm".to_owned()),
        endpoint: Some("http://127.0.0.1:8000".to_owned()),
        models: None,
        cpu_percent: Some(287.0),
        memory_bytes: Some(9 * GIB),
        vram_bytes: Some(6 * GIB),
        tasks: Some(212),
        restarts: Some(4),
        notes: vec![
            "its server is still loading the model: look again in a minute, or at `aictl logs \
             vllm`"
                .to_owned(),
            "systemd has restarted it 4 times by itself: `aictl logs vllm` says why it ended"
                .to_owned(),
        ],
        ..service("vllm", Health::Degraded)
    }
}

fn litellm() -> ServiceStatus {
    ServiceStatus {
        display: "LiteLLM".to_owned(),
        required: true,
        enabled: Some("enabled".to_owned()),
        restarts: Some(5),
        notes: vec![
            "it ended with exit code 1, five times too fast for systemd to start it again: see \
             `aictl logs litellm`, then `aictl restart litellm`"
                .to_owned(),
        ],
        ..service("litellm", Health::Failed)
    }
}

fn lmdeploy() -> ServiceStatus {
    ServiceStatus {
        uptime_seconds: Some(4320),
        endpoint: Some("http://127.0.0.1:23333".to_owned()),
        latency_ms: Some(0.84),
        version: Some("0.11.0".to_owned()),
        models: names(&["internlm/internlm3-8b-instruct"]),
        requests_running: Some(3),
        cpu_percent: Some(0.4),
        memory_bytes: Some(3 * GIB),
        tasks: Some(71),
        restarts: Some(0),
        main_pid: Some(5150),
        enabled: Some("enabled".to_owned()),
        ..service("lmdeploy", Health::Active)
    }
}

fn status(services: Vec<ServiceStatus>, gpus: Vec<Gpu>) -> Status {
    Status {
        totals: Totals::of(&services),
        services,
        gpus,
        host: HostStatus {
            hostname: Some("atlas".to_owned()),
            kernel: Some("6.12.0".to_owned()),
            cpus: Some(16),
            load: Some([2.5, 1.0, 0.5]),
            memory_total_bytes: Some(64 * GIB),
            memory_available_bytes: Some(40 * GIB),
            uptime_seconds: Some(1_209_600),
            ..HostStatus::new(Some(HelperState::Running))
        },
        attention: Vec::new(),
        notes: Vec::new(),
    }
}

fn gpu() -> Gpu {
    Gpu {
        name: Some("NVIDIA GeForce RTX 4090".to_owned()),
        memory_total_bytes: Some(24 * GIB),
        memory_used_bytes: Some(15_247_462_400),
        utilisation_percent: Some(87.0),
        temperature_celsius: Some(64.0),
        power_watts: Some(312.4),
        power_limit_watts: Some(450.0),
        throttling: Some(Vec::new()),
        processes: Some(vec![
            aictl_api::gpu::GpuProcess {
                name: Some("ollama_llama_server".to_owned()),
                unit: Some("ollama.service".to_owned()),
                service: Some("ollama".to_owned()),
                memory_bytes: Some(7 * GIB + GIB * 4 / 10),
                ..aictl_api::gpu::GpuProcess::new(4243)
            },
            // Of another user's unit, which has the same name.
            aictl_api::gpu::GpuProcess {
                name: Some("stranger".to_owned()),
                unit: Some("ollama.service".to_owned()),
                ..aictl_api::gpu::GpuProcess::new(1)
            },
        ]),
        ..Gpu::new(0, Vendor::Nvidia, GpuState::Awake)
    }
}

#[test]
fn a_typical_day() {
    let inactive = ServiceStatus {
        enabled: Some("disabled".to_owned()),
        ..service("comfyui", Health::Inactive)
    };
    let services = vec![inactive, litellm(), lmdeploy(), ollama(), vllm()];
    insta::assert_snapshot!(shown(|look| render(&status(services.clone(), vec![gpu()]), look)));
}

#[test]
fn all_is_well() {
    let services = vec![lmdeploy(), ollama()];
    insta::assert_snapshot!(shown(|look| render(&status(services.clone(), Vec::new()), look)));
}

#[test]
fn all_failed() {
    let failed = |name| ServiceStatus {
        notes: vec![format!("it was killed for using too much memory: see `aictl logs {name}`")],
        ..service(name, Health::Failed)
    };
    let mut status = status(vec![failed("ollama"), failed("vllm"), litellm()], Vec::new());
    status.notes.push("systemd did not answer in time: states are not known".to_owned());
    insta::assert_snapshot!(shown(|look| render(&status, look)));
}

#[test]
fn nothing_installed() {
    let mut services: Vec<_> = ["ollama", "vllm", "llamacpp-python", "llama-cpp-native"]
        .map(|name| service(name, Health::NotInstalled))
        .into();
    services[1].required = true;
    services[1].notes.push("it is required, and there is no vllm.service: install vLLM".to_owned());
    insta::assert_snapshot!(shown(|look| render(&status(services.clone(), Vec::new()), look)));
}

#[test]
fn names_of_all_lengths_and_scripts() {
    let long = ServiceStatus {
        name: "a-service-with-a-name-as-long-as-the-catalogue-allows-it-to-be-x".to_owned(),
        models: names(&[
            "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8-with-a-very-long-name",
            "通义千问-2.5-7B-指令",
            "👩‍🚀 astro\u{301}naut",
            "x",
            "y",
        ]),
        version: Some("v2.11.0rc1+cu129.dirty.20261122".to_owned()),
        endpoint: Some("unix:/run/a-service-with-a-long-name/server.sock".to_owned()),
        notes: vec!["通义千问 模型 已 加载 到 处理器 而 不是 显卡 所以 速度 很 慢 请 检查 驱动 程序 然后 重新 启动 服务".to_owned()],
        ..lmdeploy()
    };
    let odd = ServiceStatus {
        models: names(&["a\x1b[2Jb\u{202e}c\nd"]),
        version: Some("1.0\r\n\x1b]0;title\x07".to_owned()),
        ..ollama()
    };
    let status = status(vec![long, ServiceStatus { loaded: None, ..odd }], vec![gpu()]);
    insta::assert_snapshot!(shown(|look| render(&status, look)));
}

#[test]
fn one_service_in_full() {
    let line = |priority, message: &str| LogLine {
        time_usec: 1_795_345_200_000_000,
        priority,
        pid: Some(4242),
        identifier: "ollama".to_owned(),
        message: message.to_owned(),
    };
    let log = [
        line(6, "Listening on 127.0.0.1:11434 (version 0.13.1)"),
        line(
            4,
            "no compatible GPU discovered, and what follows is much longer than any line of a \
                 terminal that is eighty columns wide, or even one of a hundred and twenty",
        ),
        line(3, "llama runner process has terminated: \x1b[31mexit status 2\x1b[0m"),
    ];
    let mut one = ollama();
    one.restarts = Some(2);
    one.health = Health::Degraded;
    one.required = true;
    one.notes = vec![
        "llama3.2:3b is loaded without VRAM: ollama fell back to the CPU. See `aictl logs ollama`, \
         then `aictl restart ollama`"
            .to_owned(),
    ];
    let text = shown(|look| render_one(&one, &[gpu()], &[], &log, look));
    // Times are shown in the zone of whoever runs this.
    let until = one.loaded.iter().flatten().filter_map(|model| model.expires.as_deref());
    let times = one.since.as_deref().into_iter().chain(until).filter_map(Moment::from_iso);
    let times = times.chain([Moment::from_micros(log[0].time_usec)]);
    let text = times.fold(text, |text, time| text.replace(&time.local(), "2026-11-22 TIME OF"));
    insta::assert_snapshot!(text);
}

#[test]
fn one_service_of_which_little_is_known() {
    let one = ServiceStatus { scope: Scope::User, ..service("vllm", Health::NotInstalled) };
    let text = render_one(&one, &[], &["systemd does not answer".to_owned()], &[], plain(Some(80)));
    assert_eq!(
        text,
        "- vllm is not installed\n  note  systemd does not answer\n  unit  vllm.service of your own \
         service manager\n"
    );
}

#[test]
fn what_needs_a_look_comes_first() {
    let required = |health| ServiceStatus { required: true, ..service("required", health) };
    let services = [
        service("absent", Health::NotInstalled),
        service("down", Health::Inactive),
        service("up", Health::Active),
        service("ill", Health::Degraded),
        required(Health::Inactive),
        service("dead", Health::Failed),
        service("fine", Health::Active),
    ];
    let order: Vec<_> = in_order(&services).iter().map(|service| service.name.as_str()).collect();
    assert_eq!(order, ["dead", "required", "ill", "up", "fine", "down", "absent"]);
}

#[test]
fn no_line_is_too_wide_for_any_terminal() {
    let services = vec![litellm(), lmdeploy(), ollama(), vllm()];
    let status = status(services, vec![gpu()]);
    for columns in 20..220 {
        let one = render_one(&status.services[2], &status.gpus, &[], &[], plain(Some(columns)));
        for line in render(&status, plain(Some(columns))).lines().chain(one.lines()) {
            // What belongs together is not broken; nothing of it is as long as this.
            assert!(width(line) <= usize::from(columns.max(34)), "{columns}: {line}");
        }
    }
}

#[test]
fn the_sum_of_gpus_is_of_those_that_tell_and_have_memory_of_their_own() {
    let shared = Gpu { memory_shared: Some(true), ..gpu() };
    let silent = Gpu { memory_used_bytes: None, ..gpu() };
    for (gpus, services, expected) in [
        (vec![gpu(), gpu(), silent.clone(), shared.clone()], Vec::new(), Some("28.4 of 48 GiB")),
        (vec![shared, silent], vec![ollama()], Some("7.4 GiB")),
        (Vec::new(), vec![litellm()], None),
    ] {
        assert_eq!(vram(&status(services, gpus)).as_deref(), expected);
    }
}

#[test]
fn models_are_those_that_are_ready_else_those_that_there_are() {
    let cell = |models, loaded: Option<&[&str]>| {
        let loaded = loaded.map(|names| {
            let model =
                |name: &&str| LoadedModel { name: (*name).to_owned(), ..LoadedModel::default() };
            names.iter().map(model).collect()
        });
        super::models(&ServiceStatus { models, loaded, ..service("x", Health::Active) })
    };
    for (models, loaded, expected) in [
        (None, None, Cell::unknown()),
        (names(&[]), None, Cell::new("none")),
        (names(&["a"]), None, Cell::new("a")),
        (names(&["a", "b", "c", "d", "e"]), None, Cell::new("a, b, c +2")),
        (names(&["a", "b"]), Some(&[][..]), Cell::new("none of 2 loaded").short("none loaded")),
        (None, Some(&[]), Cell::new("none loaded")),
        (names(&["a", "b"]), Some(&["b"]), Cell::new("b (1 of 2)").short("b")),
        (names(&["a"]), Some(&["a"]), Cell::new("a")),
    ] {
        assert_eq!(cell(models, loaded), expected);
    }
}

#[test]
fn of_many_models_so_many_are_listed() {
    let names: Vec<String> = (0..LISTED + 2).map(|n| format!("m{n}")).collect();
    let all = |count: usize| listed(names.iter().take(count).map(String::as_str));
    assert_eq!(all(2), "m0, m1");
    assert!(all(LISTED).ends_with("m28, m29"), "{}", all(LISTED));
    assert!(all(LISTED + 2).ends_with("m29 and 2 more (--json has them all)"));
}
