//! How everything is, for people: what is wrong comes first.

use aictl_api::{
    gpu::Gpu,
    service::Scope,
    status::{Health, HostStatus, LoadedModel, ServiceStatus, Status},
};
use aictl_core::journal::read::LogLine;

use crate::{
    color::Style,
    gpu::table as gpus,
    table::{Cell, Column, Fields, KEPT, Look, Part, Table, cut, flow, paragraph},
    time::Moment,
    units,
};

/// The most models of one service that are listed for people.
const LISTED: usize = 30;
/// The most names of models in one cell.
const MODELS: usize = 3;
/// What stands between sums.
const SEPARATOR: &str = " · ";

/// All services, with their GPUs: a summary, a table, and what there is to know.
#[must_use]
pub fn render(status: &Status, look: Look) -> String {
    let services = in_order(&status.services);
    let mut parts = vec![summary(status, look) + &host(&status.host, look)];
    if !services.is_empty() {
        parts.push(table(&services, look));
    }
    let mut notes = String::new();
    for service in &services {
        for note in &service.notes {
            notes += &paragraph(&format!("{}:", service.name), style(service), note, look);
        }
    }
    for note in &status.notes {
        notes += &paragraph("note:", Style::Warning, note, look);
    }
    parts.push(notes);
    if !status.gpus.is_empty() {
        parts.push(gpus::brief(&status.gpus, look));
        parts.push(gpus::notes(&status.gpus, &[], look));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// One service in full, with its last log lines.
#[must_use]
pub fn render_one(
    service: &ServiceStatus,
    gpus: &[Gpu],
    notes: &[String],
    log: &[LogLine],
    look: Look,
) -> String {
    let facts = title(service, look) + &facts(service, gpus, notes).render(look);
    match log_lines(log, look) {
        lines if lines.is_empty() => facts,
        lines => format!("{facts}\n{lines}"),
    }
}

/// What needs a look first; beyond that, the order that they come in.
fn in_order(services: &[ServiceStatus]) -> Vec<&ServiceStatus> {
    let mut services: Vec<&ServiceStatus> = services.iter().collect();
    services.sort_by_key(|service| match service.health {
        Health::Failed => 0,
        Health::Inactive | Health::NotInstalled if service.required => 1,
        Health::Degraded => 2,
        Health::Active => 3,
        Health::Inactive => 4,
        Health::NotInstalled => 5,
    });
    services
}

const fn style(service: &ServiceStatus) -> Style {
    match service.health {
        Health::Active => Style::Good,
        Health::Degraded => Style::Warning,
        Health::Failed => Style::Bad,
        Health::Inactive | Health::NotInstalled if service.required => Style::Bad,
        Health::Inactive | Health::NotInstalled => Style::Faint,
    }
}

/// A sign for those who look at the shape of things.
const fn mark(health: Health) -> &'static str {
    match health {
        Health::Active => "●",
        Health::Degraded => "!",
        Health::Failed => "✗",
        Health::Inactive => "○",
        Health::NotInstalled => "-",
    }
}

/// `5 services: 3 active, 1 degraded, 1 failed · memory 12.1 GiB · VRAM 14.2 of 24 GiB`
#[must_use]
pub fn summary(status: &Status, look: Look) -> String {
    let totals = &status.totals;
    let mut parts = Vec::new();
    let counts = [
        (totals.active, "active", Style::Good),
        (totals.degraded, "degraded", Style::Warning),
        (totals.failed, "failed", Style::Bad),
        (totals.inactive, "inactive", Style::Plain),
        (totals.not_installed, "not installed", Style::Plain),
    ];
    let all = units::count(status.services.len(), "service", "services");
    let some: Vec<_> = counts.into_iter().filter(|(count, ..)| *count > 0).collect();
    let colon = if some.is_empty() { "" } else { ":" };
    parts.push(Part { separator: "", text: all + colon, style: Style::Plain });
    for (index, (count, word, style)) in some.into_iter().enumerate() {
        let separator = if index == 0 { " " } else { ", " };
        parts.push(Part { separator, text: format!("{count} {word}"), style });
    }
    let memory =
        totals.memory_bytes.map(|bytes| format!("memory {}", units::round(&units::bytes(bytes))));
    let vram = vram(status).map(|vram| format!("VRAM {vram}"));
    for text in [memory, vram].into_iter().flatten() {
        parts.push(Part { separator: SEPARATOR, text, style: Style::Plain });
    }
    flow(&parts, look)
}

/// The memory of all GPUs that have their own, as far as they tell; else what the services take.
fn vram(status: &Status) -> Option<String> {
    let own = status.gpus.iter().filter(|gpu| gpu.memory_shared != Some(true));
    let known = own.filter_map(|gpu| gpu.memory_used_bytes.zip(gpu.memory_total_bytes));
    let sum =
        known.reduce(|sum, next| (sum.0.saturating_add(next.0), sum.1.saturating_add(next.1)));
    let services = || Some(units::round(&units::bytes(status.totals.vram_bytes?)));
    sum.map(|(used, total)| units::round(&units::bytes_of(used, total))).or_else(services)
}

/// `box · 16 CPUs, load 0.52 · memory 12 of 64 GiB in use · up 3 d 4 h`
fn host(host: &HostStatus, look: Look) -> String {
    let cpus = host.cpus.map(|cpus| units::count(cpus as usize, "CPU", "CPUs"));
    let load = host.load.filter(|load| load[0].is_finite());
    let load = load.map(|load| format!("load {:.2}", load[0]));
    let cpus = [load, cpus].into_iter().flatten().collect::<Vec<_>>().join(" on ");
    let memory = host.memory_total_bytes.zip(host.memory_available_bytes).map(|(total, free)| {
        let used = units::bytes_of(total.saturating_sub(free), total);
        format!("host memory {}", units::round(&used))
    });
    let up = host.uptime_seconds.map(|seconds| format!("up {}", units::duration(seconds)));
    let texts = [host.hostname.clone(), Some(cpus), memory, up].into_iter().flatten();
    let parts: Vec<Part> = texts
        .filter(|text| !text.is_empty())
        .map(|text| Part { separator: SEPARATOR, text, style: Style::Faint })
        .collect();
    if parts.is_empty() { String::new() } else { flow(&parts, look) }
}

/// One column, and what it tells of a service.
type Told = (Column, fn(&ServiceStatus) -> Cell);

fn table(services: &[&ServiceStatus], look: Look) -> String {
    let terminal = look.width.is_some();
    let any = |is: fn(&ServiceStatus) -> bool| services.iter().any(|service| is(service));
    let mut columns: Vec<Told> = Vec::new();
    if terminal {
        // Who reads words with a program has no use for signs.
        columns.push((Column::left("", KEPT).close(), |service| {
            Cell::new(mark(service.health)).style(style(service))
        }));
    }
    columns.push((Column::left("NAME", KEPT).cut(24, 10), |service| {
        let down = matches!(service.health, Health::Inactive | Health::NotInstalled);
        let quiet = down && !service.required;
        Cell::new(service.name.as_str()).style(if quiet { Style::Faint } else { Style::Plain })
    }));
    columns.push((Column::left("HEALTH", KEPT), |service| {
        Cell::new(service.health.name()).style(style(service))
    }));
    let first: [Told; 8] = [
        (Column::right("UP", 6).full_before(4), uptime),
        (Column::right("LATENCY", 8), |service| {
            Cell::known(service.latency_ms.and_then(units::millis))
        }),
        (Column::left("MODELS", 7).cut(24, 12), models),
        (Column::right("REQUESTS", 5), |service| {
            Cell::known(service.requests_running.map(|count| count.to_string()))
        }),
        (Column::right("CPU", 8), |service| {
            Cell::known(service.cpu_percent.and_then(units::percent))
        }),
        (Column::right("MEMORY", 9), |service| Cell::known(service.memory_bytes.map(units::bytes))),
        (Column::right("VRAM", 10), |service| Cell::known(service.vram_bytes.map(units::bytes))),
        (Column::right("TASKS", 1), |service| {
            Cell::known(service.tasks.map(|count| count.to_string()))
        }),
    ];
    columns.extend(first);
    // That nothing was ever restarted is nothing to be told, but for programs.
    if !terminal || any(|service| service.restarts.is_some_and(|count| count > 0)) {
        columns.push((Column::right("RESTARTS", 6), restarts));
    }
    let last: [Told; 4] = [
        (Column::left("VERSION", 3).cut(12, 8), |service| Cell::known(service.version.as_deref())),
        (Column::left("ENDPOINT", 4).full_before(1), endpoint),
        (Column::right("PID", 2), |service| {
            Cell::known(service.main_pid.map(|pid| pid.to_string()))
        }),
        (Column::left("AT BOOT", 1), |service| Cell::known(service.enabled.as_deref())),
    ];
    columns.extend(last);
    // Most units have the name of their service, and few are required.
    if !terminal || any(|service| service.unit.strip_suffix(".service") != Some(&service.name)) {
        columns.push((Column::left("UNIT", 1), |service| Cell::new(service.unit.as_str())));
    }
    if !terminal || any(|service| service.required) {
        columns.push((Column::left("REQUIRED", 1), |service| {
            Cell::new(if service.required { "yes" } else { "no" })
        }));
    }
    let mut table = Table::new(columns.iter().map(|(column, _)| column.clone()));
    for service in services {
        table.row(columns.iter().map(|(_, cell)| cell(service)));
    }
    table.render(look)
}

fn uptime(service: &ServiceStatus) -> Cell {
    match service.uptime_seconds {
        Some(seconds) => Cell::new(units::duration(seconds)).short(units::short_duration(seconds)),
        None => Cell::unknown(),
    }
}

fn restarts(service: &ServiceStatus) -> Cell {
    let style = if service.restarts > Some(0) { Style::Warning } else { Style::Plain };
    Cell::known(service.restarts.map(|count| count.to_string())).style(style)
}

/// The endpoint; of the usual ones the port alone where there is little room.
fn endpoint(service: &ServiceStatus) -> Cell {
    let Some(endpoint) = service.endpoint.as_deref() else { return Cell::unknown() };
    let hosts = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let port = hosts.iter().find_map(|host| endpoint.strip_prefix(host));
    let shown = Cell::new(endpoint);
    match port.filter(|port| port.starts_with(':')) {
        Some(port) => shown.short(port.trim_end_matches('/')),
        None => shown,
    }
}

/// The models that are loaded, else those that there are.
fn models(service: &ServiceStatus) -> Cell {
    let installed = service.models.as_ref().map(Vec::len);
    match (service.loaded.as_deref(), service.models.as_deref()) {
        (Some([]), _) => match installed {
            Some(all @ 1..) => Cell::new(format!("none of {all} loaded")).short("none loaded"),
            _ => Cell::new("none loaded"),
        },
        (Some(loaded), _) => {
            let names = names(loaded.iter().map(|model| model.name.as_str()));
            match installed {
                Some(all) if all > loaded.len() => {
                    Cell::new(format!("{names} ({} of {all})", loaded.len())).short(names)
                }
                _ => Cell::new(names),
            }
        }
        (None, Some([])) => Cell::new("none"),
        (None, Some(models)) => Cell::new(names(models.iter().map(String::as_str))),
        (None, None) => Cell::unknown(),
    }
}

/// The first names, and how many more there are.
fn names<'a>(all: impl ExactSizeIterator<Item = &'a str> + Clone) -> String {
    let more = all.len().saturating_sub(MODELS);
    let text = all.take(MODELS).collect::<Vec<_>>().join(", ");
    if more == 0 { text } else { format!("{text} +{more}") }
}

/// The names of models, where there is room for more of them.
fn listed<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = all.len().saturating_sub(LISTED);
    let text = all.take(LISTED).collect::<Vec<_>>().join(", ");
    if more == 0 { text } else { format!("{text} and {more} more (--json has them all)") }
}

/// `● ollama (Ollama) is active`
fn title(service: &ServiceStatus, look: Look) -> String {
    let style = style(service);
    let name = match service.display.as_str() {
        "" => service.name.clone(),
        display if display == service.name => service.name.clone(),
        display => format!("{} ({display})", service.name),
    };
    let mut parts = Vec::new();
    if look.width.is_some() {
        parts.push(Part { separator: "", text: mark(service.health).to_owned(), style });
    }
    parts.push(Part { separator: " ", text: name + " is", style: Style::Plain });
    parts.push(Part { separator: " ", text: service.health.name().replace('-', " "), style });
    flow(&parts, look)
}

/// What is known of a service: what is wrong first.
fn facts(service: &ServiceStatus, gpus: &[Gpu], notes: &[String]) -> Fields {
    let mut fields = Fields::default();
    let about_it = service.notes.iter().map(|note| (note, style(service)));
    let others = notes.iter().map(|note| (note, Style::Warning));
    for (note, style) in about_it.chain(others) {
        fields.styled("note", note.as_str(), style);
    }
    fields.add("unit", unit(service));
    if service.required {
        fields.add("required", "yes");
    }
    let since = service
        .since
        .as_deref()
        .map(|since| Moment::from_iso(since).map_or_else(|| since.to_owned(), Moment::local));
    let long = service.uptime_seconds.map(units::duration);
    fields.known(
        "since",
        match (since, long) {
            (Some(since), Some(long)) => Some(format!("{since}, for {long}")),
            (since, long) => since.or(long.map(|long| format!("{long} ago"))),
        },
    );
    fields.known("main pid", service.main_pid.map(|pid| pid.to_string()));
    let server = [service.provider.clone(), service.version.clone()];
    let server = server.into_iter().flatten().collect::<Vec<_>>().join(" ");
    fields.known("server", Some(server).filter(|server| !server.is_empty()));
    fields.known(
        "endpoint",
        service.endpoint.as_ref().map(|endpoint| {
            match service.latency_ms.and_then(units::millis) {
                Some(latency) => format!("{endpoint}, answered in {latency}"),
                None => endpoint.clone(),
            }
        }),
    );
    fields.known("requests", service.requests_running.map(|count| format!("{count} running")));
    let seconds = service.cpu_seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let cpu = [
        service.cpu_percent.and_then(units::percent).map(|percent| format!("{percent} of one CPU")),
        // Saturates, which is right.
        seconds.map(|seconds| format!("{} in all", units::duration(seconds as u64))),
    ];
    let cpu = cpu.into_iter().flatten().collect::<Vec<_>>().join(", ");
    fields.known("CPU", Some(cpu).filter(|cpu| !cpu.is_empty()));
    fields.known("memory", service.memory_bytes.map(units::bytes));
    fields.known("VRAM", service.vram_bytes.map(units::bytes));
    fields.known("tasks", service.tasks.map(|count| count.to_string()));
    if let Some(count @ 1..) = service.restarts {
        fields.styled("restarts", count.to_string(), Style::Warning);
    }
    if let Some(models) = &service.models {
        let text = match models.as_slice() {
            [] => "none".to_owned(),
            models => listed(models.iter().map(String::as_str)),
        };
        fields.add("models", text);
    }
    let mut name = "loaded";
    match service.loaded.as_deref() {
        None => {}
        Some([]) => fields.add(name, "none"),
        Some(loaded) => {
            for model in loaded.iter().take(LISTED) {
                fields.add(std::mem::take(&mut name), loaded_model(model));
            }
            if let Some(more @ 1..) = loaded.len().checked_sub(LISTED) {
                fields.add("", format!("and {more} more (--json has them all)"));
            }
        }
    }
    let mut name = "on GPUs";
    for (gpu, process) in gpus
        .iter()
        .flat_map(|gpu| gpu.processes.iter().flatten().map(move |process| (gpu.index, process)))
    {
        // Not by the unit's name: a user's unit may have the same.
        if process.service.as_deref() == Some(&service.name) {
            let memory = process.memory_bytes.map(units::bytes);
            let words =
                [Some(format!("GPU {gpu}: pid {}", process.pid)), process.name.clone(), memory];
            let words = words.into_iter().flatten().collect::<Vec<_>>().join(", ");
            fields.add(std::mem::take(&mut name), words);
        }
    }
    fields
}

/// `ollama.service: loaded, active (running), enabled`
fn unit(service: &ServiceStatus) -> String {
    let state = match (service.active_state.as_deref(), service.sub_state.as_deref()) {
        (Some(active), Some(sub)) if !sub.is_empty() => Some(format!("{active} ({sub})")),
        (active, _) => active.map(str::to_owned),
    };
    let enabled = service.enabled.as_deref().filter(|enabled| !enabled.is_empty());
    let words = [service.load_state.clone(), state, enabled.map(str::to_owned)];
    let words = words.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let of = match service.scope {
        Scope::System => "",
        Scope::User => " of your own service manager",
    };
    match words.as_str() {
        "" => format!("{}{of}", service.unit),
        words => format!("{}{of}: {words}", service.unit),
    }
}

/// `llama3.2:3b: VRAM 2.1 GiB, memory 2.4 GiB in all, until 12:04:10`
fn loaded_model(model: &LoadedModel) -> String {
    let until = model.expires.as_deref().map(|until| {
        let until = Moment::from_iso(until).map_or_else(|| until.to_owned(), Moment::local);
        format!("until {until}")
    });
    let facts = [
        model.vram_bytes.map(|bytes| format!("VRAM {}", units::bytes(bytes))),
        model.memory_bytes.map(|bytes| format!("{} in all", units::bytes(bytes))),
        until,
    ];
    let facts = facts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    match facts.as_str() {
        "" => model.name.clone(),
        facts => format!("{}: {facts}", model.name),
    }
}

/// The last lines of a log, each cut to one line of the terminal: `aictl logs` has them whole.
fn log_lines(log: &[LogLine], look: Look) -> String {
    let mut text = String::new();
    for line in log {
        let style = match line.priority {
            0..=3 => Style::Bad,
            4 => Style::Warning,
            7 => Style::Faint,
            _ => Style::Plain,
        };
        let time = Moment::from_micros(line.time_usec).local();
        let pid = line.pid.map_or(String::new(), |pid| format!("[{pid}]"));
        let whole = look.text(&format!("{} {}{pid}: {}", time, line.identifier, line.message));
        let shown = match look.width {
            Some(width) => cut(&whole, width.into(), look.ellipsis()),
            None => whole,
        };
        // The time is the same length in every line, and all of one byte a character.
        match shown.strip_prefix(&time) {
            Some(rest) => {
                text += &look.paint.text(Style::Faint, &time);
                text += &look.paint.text(style, rest);
            }
            None => text += &shown,
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
