//! How everything is: the document of `aictl status --json`.
//!
//! Unknown is `None` (`null`), never 0. Fields are only ever added.

use serde::{Deserialize, Serialize};

use crate::{
    gpu::Gpu,
    service::{Scope, Service},
};

#[cfg(test)]
mod tests;

/// How a service is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Its unit runs, and its server, if it has one, does what it is for.
    Active,
    /// Its unit runs or is about to, and something is wrong; the notes say what.
    Degraded,
    /// Its unit does not run.
    Inactive,
    /// Its unit failed.
    Failed,
    /// There is no such unit.
    NotInstalled,
}

impl Health {
    /// Every word.
    pub const ALL: [Self; 5] =
        [Self::Active, Self::Degraded, Self::Inactive, Self::Failed, Self::NotInstalled];

    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::NotInstalled => "not-installed",
        }
    }
}

/// A model that a server holds in memory, ready to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoadedModel {
    /// Its name, as the server knows it.
    pub name: String,
    /// Memory of GPUs that it takes, in bytes.
    pub vram_bytes: Option<u64>,
    /// Memory that it takes in all, of GPUs and of the host, in bytes.
    pub memory_bytes: Option<u64>,
    /// When the server will let go of it, as ISO 8601 in UTC.
    pub expires: Option<String>,
}

/// One service: what systemd, its server and the kernel say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceStatus {
    /// Its name in the catalogue.
    pub name: String,
    /// Its name for people.
    pub display: String,
    /// Its systemd unit.
    pub unit: String,
    /// Whose unit.
    pub scope: Scope,
    /// Whether systemd has the unit: `loaded`, `not-found`, `masked`, and more.
    pub load_state: Option<String>,
    /// systemd's state: `active`, `inactive`, `failed`, `activating`, and more.
    pub active_state: Option<String>,
    /// The state in detail: `running`, `dead`, `auto-restart`, and more.
    pub sub_state: Option<String>,
    /// The state of the unit's file: `enabled`, `disabled`, `static`, and more.
    pub enabled: Option<String>,
    /// The main process.
    pub main_pid: Option<u32>,
    /// Since when the unit is active, as ISO 8601 in UTC.
    pub since: Option<String>,
    /// For how long the unit has been active, in seconds.
    pub uptime_seconds: Option<u64>,
    /// How it is.
    pub health: Health,
    /// Whether something is wrong while it is not active.
    pub required: bool,
    /// The kind of its server: the one that answered, else the one that is expected.
    pub provider: Option<String>,
    /// Where its server was asked.
    pub endpoint: Option<String>,
    /// How long the server took to say that it is well, in milliseconds.
    pub latency_ms: Option<f64>,
    /// The server's version.
    pub version: Option<String>,
    /// The models that the server has.
    pub models: Option<Vec<String>>,
    /// Those of them that it holds in memory.
    pub loaded: Option<Vec<LoadedModel>>,
    /// Requests that the server is working on.
    pub requests_running: Option<u64>,
    /// CPU time in percent of one CPU, since the sample before or, in the first, over the unit's
    /// whole life.
    pub cpu_percent: Option<f64>,
    /// CPU time of all processes of the unit since it was started, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory of all processes of the unit, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads of the unit.
    pub tasks: Option<u64>,
    /// Memory of GPUs that all processes of the unit take, in bytes.
    pub vram_bytes: Option<u64>,
    /// How often systemd has restarted it by itself.
    pub restarts: Option<u32>,
    /// Why it is not well, and what else there is to know: each in one sentence with the next step.
    pub notes: Vec<String>,
}

impl ServiceStatus {
    /// A service of which nothing is known yet but its health.
    #[must_use]
    pub fn new(service: &Service, scope: Scope, health: Health) -> Self {
        Self {
            name: service.name.to_string(),
            display: service.display.clone(),
            unit: service.unit.to_string(),
            scope,
            load_state: None,
            active_state: None,
            sub_state: None,
            enabled: None,
            main_pid: None,
            since: None,
            uptime_seconds: None,
            health,
            required: service.required,
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
}

/// Whether there is a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HelperState {
    /// It runs.
    Running,
    /// It is installed, and is started when it is asked.
    Installed,
    /// It is not installed.
    Absent,
}

impl HelperState {
    /// The state as a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Installed => "installed",
            Self::Absent => "absent",
        }
    }
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HostStatus {
    /// Its name.
    pub hostname: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// CPUs that are online.
    pub cpus: Option<u32>,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Memory, in bytes.
    pub memory_total_bytes: Option<u64>,
    /// Memory that can be had without swapping, in bytes.
    pub memory_available_bytes: Option<u64>,
    /// Time since the boot, in seconds.
    pub uptime_seconds: Option<u64>,
    /// Whether there is a helper, if the bus says.
    pub helper: Option<HelperState>,
}

impl HostStatus {
    /// A machine of which nothing else is known yet.
    #[must_use]
    pub const fn new(helper: Option<HelperState>) -> Self {
        Self {
            hostname: None,
            kernel: None,
            cpus: None,
            load: None,
            memory_total_bytes: None,
            memory_available_bytes: None,
            uptime_seconds: None,
            helper,
        }
    }
}

/// Sums over all services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Totals {
    /// Services that are active.
    pub active: u32,
    /// Services that are degraded.
    pub degraded: u32,
    /// Services that are inactive.
    pub inactive: u32,
    /// Services that failed.
    pub failed: u32,
    /// Services that are not installed.
    pub not_installed: u32,
    /// Memory of all services of which it is known, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory of GPUs of all services of which it is known, in bytes.
    pub vram_bytes: Option<u64>,
}

impl Totals {
    /// The sums over `services`.
    #[must_use]
    pub fn of(services: &[ServiceStatus]) -> Self {
        let mut totals = Self::default();
        for service in services {
            let count = match service.health {
                Health::Active => &mut totals.active,
                Health::Degraded => &mut totals.degraded,
                Health::Inactive => &mut totals.inactive,
                Health::Failed => &mut totals.failed,
                Health::NotInstalled => &mut totals.not_installed,
            };
            *count = count.saturating_add(1);
            add(&mut totals.memory_bytes, service.memory_bytes);
            add(&mut totals.vram_bytes, service.vram_bytes);
        }
        totals
    }
}

/// Adds what is known to a sum, which is unknown as long as nothing is.
fn add(sum: &mut Option<u64>, value: Option<u64>) {
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or(0).saturating_add(value));
    }
}

/// The whole document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// The services, in the catalogue's order.
    pub services: Vec<ServiceStatus>,
    /// The GPUs.
    pub gpus: Vec<Gpu>,
    /// The machine.
    pub host: HostStatus,
    /// Sums over all services.
    pub totals: Totals,
    /// The names of the services that need someone to look at them.
    pub attention: Vec<String>,
    /// What is no single service's, each in one sentence with the next step.
    pub notes: Vec<String>,
}
