//! What was found out, as the document that programs read and that the tables are made of.

use std::time::Duration;

use aictl_api::{
    exit,
    gpu::{Gpu, GpuProcess, GpuReport, GpuState, Vendor},
    service::{Scope, Service},
    status::{Health, ServiceStatus},
};
use aictl_core::unit_usage::Usage;

use super::{
    facts::{Facts, GpuSight, Unit},
    health::health,
};
use crate::time::Moment;

/// The row of a service.
#[must_use]
pub fn row(facts: &Facts<'_>) -> ServiceStatus {
    let Facts { service, scope, unit, usage, server, .. } = facts;
    let (health, notes) = health(facts);
    let mut row = ServiceStatus::new(service, *scope, health);
    row.notes = notes;
    match unit {
        Unit::Known(unit) => {
            let state = &unit.state;
            row.load_state = word(&state.load_state);
            row.active_state = word(&state.active_state);
            row.sub_state = word(&state.sub_state);
            row.enabled = word(&state.enabled);
            row.main_pid = Some(state.main_pid).filter(|pid| *pid != 0);
            row.restarts = Some(state.restarts);
        }
        Unit::NotFound => row.load_state = Some("not-found".to_owned()),
        Unit::Alias(_) | Unit::Unknown => {}
    }
    if facts.uptime.is_some() {
        let since = unit.facts().map(|unit| unit.state.since_usec).filter(|usec| *usec != 0);
        row.since = since.and_then(|usec| Moment::from_micros(usec).iso());
        row.uptime_seconds = facts.uptime.map(|uptime| uptime.as_secs());
    }
    row.provider = service.provider.map(|provider| provider.name().to_owned());
    if let Some(asked) = &server.asked {
        row.endpoint = Some(asked.endpoint.to_string());
        let report = &asked.report;
        if let Some(provider) = report.provider {
            row.provider = Some(provider.name().to_owned());
        }
        row.latency_ms = report.latency.map(millis);
        row.version = report.version.clone();
        row.models = report.models.clone();
        row.loaded = report.loaded.clone();
        row.requests_running = report.requests_running;
    }
    if let Some(Usage { cpu, memory_bytes, tasks, .. }) = usage {
        row.cpu_seconds = cpu.map(|cpu| round(cpu.as_secs_f64(), 1e6));
        row.memory_bytes = *memory_bytes;
        row.tasks = *tasks;
    }
    row.cpu_percent = facts.cpu_percent.map(|percent| round(percent, 100.0));
    row.vram_bytes = facts.vram_bytes;
    row
}

/// A word of systemd's, which says nothing by an empty one.
fn word(word: &str) -> Option<String> {
    (!word.is_empty()).then(|| crate::message::plain(word))
}

fn millis(time: Duration) -> f64 {
    round(time.as_secs_f64() * 1000.0, 1000.0)
}

/// The number with only so many parts of one.
fn round(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

/// Whether something is wrong: it is required and does not do what it is for.
fn is_missed(service: &ServiceStatus) -> bool {
    service.required && service.health != Health::Active
}

/// The names of the services that somebody should look at.
#[must_use]
pub fn attention(services: &[ServiceStatus]) -> Vec<String> {
    let wrong = |service: &&ServiceStatus| {
        is_missed(service) || matches!(service.health, Health::Failed | Health::Degraded)
    };
    services.iter().filter(wrong).map(|service| service.name.clone()).collect()
}

/// The exit code for these services.
#[must_use]
pub fn exit_code(services: &[ServiceStatus]) -> u8 {
    if services.iter().any(is_missed) { exit::NOT_ACTIVE } else { exit::OK }
}

/// Whether a process on a GPU is the service's: by its control group's processes, and where those
/// are not known by the unit's name, which a user's unit can share with one of the machine's.
#[must_use]
pub fn is_of(process: &GpuProcess, service: &Service, scope: Scope, usage: Option<&Usage>) -> bool {
    match usage.map(|usage| usage.pids.as_slice()).filter(|pids| !pids.is_empty()) {
        Some(pids) => pids.binary_search(&process.pid).is_ok(),
        None => scope == Scope::System && process.unit.as_deref() == Some(service.unit.as_ref()),
    }
}

/// The memory of GPUs that a service takes, in bytes; `None` if no GPU tells.
#[must_use]
pub fn vram(
    gpus: &GpuReport,
    service: &Service,
    scope: Scope,
    usage: Option<&Usage>,
) -> Option<u64> {
    let (mut sum, mut is_complete) = (None, !gpus.gpus.is_empty());
    for gpu in &gpus.gpus {
        is_complete &= gpu.processes_hidden != Some(true);
        let Some(processes) = &gpu.processes else {
            // What sleeps does nothing for anybody.
            is_complete &= gpu.state == GpuState::Sleeping;
            continue;
        };
        for process in processes.iter().filter(|process| is_of(process, service, scope, usage)) {
            match process.memory_bytes {
                Some(bytes) => sum = Some(sum.unwrap_or(0_u64).saturating_add(bytes)),
                None => is_complete = false,
            }
        }
    }
    sum.or(is_complete.then_some(0))
}

/// What a report says of the machine's GPUs as a whole; `None` for one that did not come.
#[must_use]
pub fn sight(gpus: Option<&GpuReport>) -> GpuSight {
    let Some(GpuReport { gpus, notes }) = gpus else { return GpuSight::Unknown };
    let mut computing = gpus.iter().filter(|gpu| computes(gpu)).peekable();
    // Where there is no GPU, they say why; else those about NVIDIA's do.
    let is_trouble = |note: &String| gpus.is_empty() || note.contains("NVIDIA");
    let is_broken = computing.peek().is_some() || notes.iter().any(is_trouble);
    match computing.any(|gpu| gpu.state != GpuState::Lost) {
        true => GpuSight::Some,
        false if is_broken => GpuSight::Broken,
        false => GpuSight::None,
    }
}

/// Whether models are expected to run there: the GPU in a processor mostly only draws, and for
/// Intel's hardly a server is built.
fn computes(gpu: &Gpu) -> bool {
    match gpu.vendor {
        Vendor::Nvidia => true,
        Vendor::Amd => gpu.memory_shared != Some(true),
        Vendor::Intel => false,
    }
}

#[cfg(test)]
mod tests {
    use aictl_api::service::Catalogue;

    use super::*;

    fn service(name: &str) -> Service {
        Catalogue::builtin().get(name).unwrap().clone()
    }

    /// A process, its unit, and its memory.
    type Row<'a> = (u32, Option<&'a str>, Option<u64>);

    fn gpu(state: GpuState, processes: Option<&[Row<'_>]>) -> Gpu {
        let mut gpu = Gpu::new(0, Vendor::Nvidia, state);
        gpu.processes = processes.map(|processes| {
            let process = |(pid, unit, memory_bytes): &Row<'_>| {
                let unit = unit.map(str::to_owned);
                GpuProcess { unit, memory_bytes: *memory_bytes, ..GpuProcess::new(*pid) }
            };
            processes.iter().map(process).collect()
        });
        gpu
    }

    #[test]
    fn memory_of_gpus_is_that_of_all_processes_of_the_unit() {
        let ollama = service("ollama");
        let (unit, other) = (Some("ollama.service"), Some("vllm.service"));
        let usage = |pids: &[u32]| Some(Usage { pids: pids.to_vec(), ..Usage::default() });
        let two = [(7, unit, Some(10)), (8, other, Some(5))];
        let child = [(9, None, Some(3))];
        let silent = [(7, unit, None)];
        use GpuState::{Awake, Lost, Sleeping};
        let hidden = Gpu { processes_hidden: Some(true), ..gpu(Awake, Some(&two)) };
        for (gpus, scope, usage, expected) in [
            (vec![], Scope::System, None, None),
            (vec![gpu(Awake, Some(&two))], Scope::System, None, Some(10)),
            // Its own group counts, children included, whatever the unit of a process is said to be.
            (
                vec![gpu(Awake, Some(&two)), gpu(Awake, Some(&child))],
                Scope::System,
                usage(&[1, 7, 9]),
                Some(13),
            ),
            (vec![gpu(Awake, Some(&two))], Scope::System, usage(&[1]), Some(0)),
            // A user's unit of the same name is another one.
            (vec![gpu(Awake, Some(&two))], Scope::User, None, Some(0)),
            (vec![gpu(Awake, None)], Scope::System, usage(&[7]), None),
            (vec![gpu(Lost, None)], Scope::System, usage(&[7]), None),
            (vec![gpu(Sleeping, None)], Scope::System, usage(&[7]), Some(0)),
            (vec![gpu(Awake, Some(&silent))], Scope::System, usage(&[7]), None),
            (
                vec![gpu(Awake, Some(&silent)), gpu(Awake, Some(&two))],
                Scope::System,
                usage(&[7]),
                Some(10),
            ),
            (vec![gpu(Awake, None), gpu(Awake, Some(&two))], Scope::System, usage(&[1]), None),
            // What may not be looked at may be its.
            (vec![hidden.clone()], Scope::System, usage(&[1]), None),
            (vec![hidden], Scope::System, usage(&[7]), Some(10)),
        ] {
            let report = GpuReport { gpus, notes: Vec::new() };
            assert_eq!(vram(&report, &ollama, scope, usage.as_ref()), expected, "{report:?}");
        }
    }

    #[test]
    fn a_required_service_that_does_not_do_what_it_is_for_is_an_exit_code() {
        let row = |name: &str, health, required| {
            let service = Service { required, ..service(name) };
            ServiceStatus::new(&service, Scope::System, health)
        };
        use Health::{Active, Degraded, Failed, Inactive, NotInstalled};
        let healthy = [row("ollama", Active, true), row("vllm", Inactive, false)];
        assert_eq!((attention(&healthy), exit_code(&healthy)), (vec![], exit::OK));
        let unwell = [
            row("ollama", Degraded, false),
            row("vllm", Failed, false),
            row("tgi", NotInstalled, false),
        ];
        let names = ["ollama", "vllm"].map(str::to_owned).to_vec();
        assert_eq!((attention(&unwell), exit_code(&unwell)), (names, exit::OK));
        for health in [Degraded, Inactive, Failed, NotInstalled] {
            let missed = [row("vllm", Active, false), row("ollama", health, true)];
            let expected = (vec!["ollama".to_owned()], exit::NOT_ACTIVE);
            assert_eq!((attention(&missed), exit_code(&missed)), expected, "{health:?}");
        }
    }

    #[test]
    fn a_machine_without_gpus_is_not_one_whose_gpus_do_not_work() {
        use GpuState::{Awake, Lost, Sleeping};
        let report = |states: &[GpuState], notes: &[&str]| GpuReport {
            gpus: states.iter().map(|state| gpu(*state, None)).collect(),
            notes: notes.iter().map(ToString::to_string).collect(),
        };
        for (report, expected) in [
            (None, GpuSight::Unknown),
            (Some(report(&[], &[])), GpuSight::None),
            (Some(report(&[], &["The driver is of another version."])), GpuSight::Broken),
            (Some(report(&[Lost], &[])), GpuSight::Broken),
            (Some(report(&[Lost, Awake], &[])), GpuSight::Some),
            (Some(report(&[Sleeping], &["Something."])), GpuSight::Some),
        ] {
            assert_eq!(sight(report.as_ref()), expected, "{report:?}");
        }
    }

    #[test]
    fn a_gpu_that_only_draws_is_none_that_a_model_should_be_on() {
        let drawing = [(Vendor::Intel, Some(true)), (Vendor::Amd, Some(true))];
        for (gpus, note, expected) in [
            (&drawing[..], "Processes of other users cannot be looked at.", GpuSight::None),
            (&drawing[..], "NVIDIA's driver is not loaded.", GpuSight::Broken),
            (&[(Vendor::Amd, Some(false))], "", GpuSight::Some),
            // The DGX Spark's has no memory of its own either.
            (&[(Vendor::Nvidia, Some(true))], "", GpuSight::Some),
        ] {
            let of = |(vendor, memory_shared): &(Vendor, Option<bool>)| Gpu {
                memory_shared: *memory_shared,
                ..Gpu::new(0, *vendor, GpuState::Awake)
            };
            let report =
                GpuReport { gpus: gpus.iter().map(of).collect(), notes: vec![note.to_owned()] };
            assert_eq!(sight(Some(&report)), expected, "{report:?}");
        }
    }
}
