//! GPUs, and what runs on them, as tables.

use aictl_api::gpu::{Gpu, GpuProcess, GpuState, Vendor};

use crate::{
    color::Style,
    table::{Cell, Column, KEPT, Look, Table, paragraph},
    units,
};

/// From this temperature on, in degrees Celsius, a GPU is hot: about where makers begin to slow
/// them down.
const HOT: f64 = 85.0;
/// From this part of its memory on, in percent, a GPU is full.
const FULL: u64 = 95;

/// One column, and what it tells of a GPU.
type Told = (Column, fn(&Gpu) -> Cell);

/// How everybody wants to see them: beside the services.
#[must_use]
pub fn brief(gpus: &[Gpu], look: Look) -> String {
    let mut columns = essential(gpus, look);
    columns.extend(throttled(gpus, look));
    table(&columns, gpus, look)
}

/// All that fits.
#[must_use]
pub fn full(gpus: &[Gpu], look: Look) -> String {
    let mut columns = essential(gpus, look);
    columns.extend(throttled(gpus, look));
    columns.extend([
        (Column::right("FAN", 6), fan as fn(&Gpu) -> Cell),
        (Column::right("CLOCK", 6), |gpu: &Gpu| megahertz(gpu.clock_graphics_mhz)),
        (Column::right("MEM CLOCK", 3), |gpu: &Gpu| megahertz(gpu.clock_memory_mhz)),
        (Column::left("PCIE", 4).full_before(2), pcie),
        (Column::left("ECC", 3), ecc),
        (Column::left("MIG", 2), |gpu: &Gpu| Cell::known(gpu.mig_enabled.map(on))),
        (Column::right("PROCESSES", 5), |gpu: &Gpu| {
            Cell::known(gpu.processes.as_ref().map(|list| list.len().to_string()))
        }),
        (Column::left("DRIVER", 3).cut(20, 10), driver),
        (Column::left("ADDRESS", 2), address),
        (Column::left("UUID", 1), |gpu: &Gpu| Cell::known(gpu.uuid.as_deref())),
    ]);
    table(&columns, gpus, look)
}

fn table(columns: &[Told], gpus: &[Gpu], look: Look) -> String {
    let mut table = Table::new(columns.iter().map(|(column, _)| column.clone()));
    for gpu in gpus {
        table.row(columns.iter().map(|(_, cell)| cell(gpu)));
    }
    table.render(look)
}

fn essential(gpus: &[Gpu], look: Look) -> Vec<Told> {
    let mut columns: Vec<Told> = vec![
        (Column::right("GPU", KEPT), |gpu| Cell::new(gpu.index.to_string())),
        (Column::left("NAME", KEPT).cut(24, 12).full_before(2), |gpu| name(gpu)),
    ];
    // That all are awake is nothing to be told, but for programs.
    if look.width.is_none() || gpus.iter().any(|gpu| gpu.state != GpuState::Awake) {
        columns.push((Column::left("STATE", KEPT), |gpu| state(gpu)));
    }
    let rest: [Told; 4] = [
        (Column::right("USE", 9), |gpu| {
            Cell::known(gpu.utilisation_percent.and_then(units::percent))
        }),
        (Column::right("MEMORY", 10).full_before(7), |gpu| memory(gpu)),
        (Column::right("TEMP", 8), |gpu| temperature(gpu)),
        (Column::right("POWER", 8).full_before(5), |gpu| power(gpu)),
    ];
    columns.extend(rest);
    columns
}

/// The column that says why GPUs are slowed down, where one is.
fn throttled(gpus: &[Gpu], look: Look) -> Option<Told> {
    let slow = |gpu: &Gpu| gpu.throttling.as_ref().is_some_and(|reasons| !reasons.is_empty());
    (look.width.is_none() || gpus.iter().any(slow))
        .then_some((Column::left("SLOWED BY", 7).cut(24, 10), throttling))
}

/// The name; without its maker's where there is little room.
fn name(gpu: &Gpu) -> Cell {
    let Some(name) = gpu.name.as_deref().filter(|name| !name.trim().is_empty()) else {
        return Cell::new(format!("{} GPU", gpu.vendor.display()));
    };
    Cell::new(name).short(short_name(gpu.vendor, name))
}

/// `NVIDIA GeForce RTX 4090` as `RTX 4090`: a name that still tells one from another.
fn short_name(vendor: Vendor, name: &str) -> &str {
    let words: &[&str] = match vendor {
        Vendor::Nvidia => &["NVIDIA ", "GeForce "],
        Vendor::Amd => &["Advanced Micro Devices, Inc. ", "AMD ", "[AMD/ATI] ", "Radeon "],
        Vendor::Intel => &["Intel Corporation ", "Intel(R) ", "Intel "],
    };
    let mut short = name.trim();
    for word in words {
        short = short.strip_prefix(word).unwrap_or(short);
    }
    if short.is_empty() { name } else { short }
}

fn state(gpu: &Gpu) -> Cell {
    Cell::new(gpu.state.name()).style(match gpu.state {
        GpuState::Awake => Style::Plain,
        GpuState::Sleeping => Style::Faint,
        GpuState::Lost => Style::Bad,
    })
}

fn memory(gpu: &Gpu) -> Cell {
    match (gpu.memory_used_bytes, gpu.memory_total_bytes) {
        (Some(used), Some(total)) => {
            let full = total > 0 && u128::from(used) * 100 >= u128::from(total) * u128::from(FULL);
            Cell::new(units::bytes_of(used, total)).short(units::bytes(used)).style(if full {
                Style::Warning
            } else {
                Style::Plain
            })
        }
        (Some(used), None) => Cell::new(units::bytes(used)),
        (None, Some(total)) => {
            Cell::new(format!("? of {}", units::round(&units::bytes(total)))).short("?")
        }
        (None, None) => Cell::unknown(),
    }
}

fn temperature(gpu: &Gpu) -> Cell {
    let hot = gpu.temperature_celsius.is_some_and(|degrees| degrees >= HOT);
    Cell::known(gpu.temperature_celsius.and_then(units::celsius)).style(if hot {
        Style::Warning
    } else {
        Style::Plain
    })
}

fn power(gpu: &Gpu) -> Cell {
    let Some(now) = gpu.power_watts.and_then(units::watts) else { return Cell::unknown() };
    let both = gpu.power_watts.zip(gpu.power_limit_watts);
    match both.and_then(|(now, limit)| units::watts_of(now, limit)) {
        Some(both) => Cell::new(both).short(now),
        None => Cell::new(now),
    }
}

fn throttling(gpu: &Gpu) -> Cell {
    match gpu.throttling.as_deref() {
        None => Cell::unknown(),
        Some([]) => Cell::new("nothing").style(Style::Faint),
        Some(reasons) => Cell::new(reasons.join(", ")).style(Style::Warning),
    }
}

fn fan(gpu: &Gpu) -> Cell {
    let percent = gpu.fan_percent.map(|percent| format!("{percent} %"));
    Cell::known(percent.or_else(|| gpu.fan_rpm.map(|turns| format!("{turns} rpm"))))
}

fn megahertz(clock: Option<u32>) -> Cell {
    Cell::known(clock.map(|clock| format!("{clock} MHz")))
}

/// `4.0 ×16`; with what the link could do, where that is more: `1.0 ×8 of 4.0 ×16`.
fn pcie(gpu: &Gpu) -> Cell {
    let link = |generation: Option<u32>, width: Option<u32>| match (generation, width) {
        (None, None) => None,
        (generation, width) => {
            let generation = generation.map(|generation| format!("gen {generation}"));
            let width = width.map(|width| format!("×{width}"));
            Some([generation, width].into_iter().flatten().collect::<Vec<_>>().join(" "))
        }
    };
    let now = link(gpu.pcie_generation, gpu.pcie_width);
    let best = link(gpu.pcie_generation_max, gpu.pcie_width_max);
    match (now, best) {
        (Some(now), Some(best)) if now != best => {
            // A link rests in a lower generation; lanes that are missing are missing.
            let narrow = gpu.pcie_width.zip(gpu.pcie_width_max).is_some_and(|(now, max)| now < max);
            let style = if narrow { Style::Warning } else { Style::Plain };
            Cell::new(format!("{now} of {best}")).short(now).style(style)
        }
        (now, _) => Cell::known(now),
    }
}

fn ecc(gpu: &Gpu) -> Cell {
    match (gpu.ecc_enabled, gpu.ecc_corrected, gpu.ecc_uncorrected) {
        (Some(false), ..) => Cell::new("off"),
        (_, _, Some(errors @ 1..)) => Cell::new(format!("{errors} uncorrected")).style(Style::Bad),
        (_, Some(errors @ 1..), _) => Cell::new(format!("{errors} corrected")),
        (Some(true), ..) => Cell::new("on"),
        (None, ..) => Cell::unknown(),
    }
}

const fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn driver(gpu: &Gpu) -> Cell {
    match (gpu.driver.as_deref(), gpu.driver_version.as_deref()) {
        (Some(driver), Some(version)) => Cell::new(format!("{driver} {version}")),
        (driver, version) => Cell::known(driver.or(version)),
    }
}

fn address(gpu: &Gpu) -> Cell {
    // Few machines have more than one PCI domain.
    let short = |address: &'_ str| address.strip_prefix("0000:").unwrap_or(address).to_owned();
    match gpu.pci_address.as_deref() {
        Some(address) => Cell::new(address).short(short(address)),
        None => Cell::unknown(),
    }
}

/// What runs on the GPUs: of each GPU, who takes the most of its memory first.
#[must_use]
pub fn processes(gpus: &[Gpu], look: Look) -> String {
    let mut table = Table::new([
        Column::right("GPU", KEPT),
        Column::right("PID", KEPT),
        Column::left("NAME", 7).cut(20, 8),
        Column::left("SERVICE", 9).cut(16, 6),
        Column::left("UNIT", 7).cut(24, 10),
        Column::right("MEMORY", 10),
    ]);
    for gpu in gpus {
        let mut processes: Vec<&GpuProcess> = gpu.processes.iter().flatten().collect();
        processes.sort_by_key(|process| (std::cmp::Reverse(process.memory_bytes), process.pid));
        for process in processes {
            table.row([
                Cell::new(gpu.index.to_string()),
                Cell::new(process.pid.to_string()),
                Cell::known(process.name.as_deref()),
                Cell::known(process.service.as_deref()),
                Cell::known(process.unit.as_deref()),
                Cell::known(process.memory_bytes.map(units::bytes)),
            ]);
        }
    }
    table.render(look)
}

/// What else there is to know of each GPU, and of all: a paragraph for each.
#[must_use]
pub fn notes(gpus: &[Gpu], others: &[String], look: Look) -> String {
    let mut text = String::new();
    for gpu in gpus {
        let style = match gpu.state {
            GpuState::Lost => Style::Bad,
            GpuState::Awake | GpuState::Sleeping => Style::Warning,
        };
        for note in &gpu.notes {
            text += &paragraph(&format!("GPU {}:", gpu.index), style, note, look);
        }
    }
    for note in others {
        text += &paragraph("note:", Style::Warning, note, look);
    }
    text
}

#[cfg(test)]
pub mod tests;
