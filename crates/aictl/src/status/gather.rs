//! Finding out everything at once: systemd, the kernel's counters, sockets, GPUs and the servers
//! themselves. Each source has a bounded time; what one does not say in it is unknown, and no
//! reason to wait.

use std::{collections::HashMap, path::Path, pin::pin, time::Duration};

use aictl_api::{
    config::{Config, FILE, status::Status as Settings},
    gpu::GpuReport,
    service::{Scope, Service, UnitName},
    status::{HostStatus, ServiceStatus, Status, Totals},
};
use aictl_core::{
    gpu::{self, nvml::NvmlProgram},
    helper::Helper,
    host_status::host_status,
    systemd::{Bus, Systemd, SystemdError, UnitFacts},
    unit_usage::{Roots, Usage, usage},
};
use nix::{time::ClockId, unistd::geteuid};
use tokio::{
    sync::OnceCell,
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};
use zbus::Connection;

use super::{
    document,
    facts::{Answer, Facts, GpuSight, Unit},
    health::unasked,
    select::{Wanted, is_shown},
};
use crate::{
    args::Global,
    keys::Keys,
    message,
    services::{NoBus, connect_system_bus},
};

/// What everything may take beyond the servers' time.
const SLACK: Duration = Duration::from_millis(90);
/// So much before its end, what hangs is given up.
const END: Duration = Duration::from_millis(10);
/// A share of CPU time over less time than this says nothing.
const SHORTEST: Duration = Duration::from_millis(100);
pub(super) const PROC: &str = "/proc";
const SYS: &str = "/sys";

/// Looks at services, again and again if wanted.
pub struct Gatherer<'a> {
    config: &'a Config,
    /// Where its settings are to be changed, for people to read.
    config_file: String,
    pub(super) settings: Settings,
    scope: Scope,
    embedded: bool,
    pub(super) keys: Keys,
    pub(super) roots: Roots,
    /// Away while it looks.
    gpus: Option<gpu::Reader>,
    /// The connection to the system's message bus, from look to look.
    system: OnceCell<Connection>,
    /// Why there was none at the last look.
    no_bus: OnceCell<NoBus>,
    /// That to the service manager who is asked.
    systemd: OnceCell<Systemd>,
    /// What was used when it was looked last: by the service's name, of that run of its unit.
    last: HashMap<String, Sample>,
}

/// How much CPU time a unit had used at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample {
    invocation: Option<String>,
    cpu: Duration,
    at: Instant,
}

impl<'a> Gatherer<'a> {
    /// One that has not looked yet.
    #[must_use]
    pub fn new(global: &Global, config: &'a Config, settings: Settings) -> Self {
        Self {
            config,
            config_file: match &global.config {
                Some(path) => message::plain(&path.to_string_lossy()),
                None => FILE.to_owned(),
            },
            settings,
            scope: if global.user { Scope::User } else { Scope::System },
            embedded: global.embedded,
            keys: Keys::default(),
            roots: Roots::host(),
            gpus: None,
            system: OnceCell::new(),
            no_bus: OnceCell::new(),
            systemd: OnceCell::new(),
            last: HashMap::new(),
        }
    }

    /// Looks once. It takes the servers' time and a little more, whatever hangs.
    pub async fn look(&mut self, wanted: &Wanted<'_>) -> Status {
        let deadline = Instant::now() + self.settings.http_timeout + SLACK;
        self.no_bus = OnceCell::new();
        let services = wanted.services(self.config);
        let names = services.iter().map(|service| &service.name);
        let (keys, errors) = Keys::read(names, self.config.services());
        self.keys = keys;
        let new_reader = || gpu::Reader::new(gpu::Sources::host(NvmlProgram::host()));
        let mut reader = self.gpus.take().unwrap_or_else(new_reader);
        let this = &*self;
        let (found, (gpus, gpu_trouble), host) = tokio::join!(
            this.find_out(&services, deadline),
            this.gpus(&mut reader, deadline),
            this.host(deadline),
        );
        self.gpus = Some(reader);
        let mut notes: Vec<String> = errors.iter().map(ToString::to_string).collect();
        notes.extend(found.trouble.iter().chain(&gpu_trouble).cloned());
        let sight = document::sight(gpus.as_ref());
        let mut gpus = gpus.unwrap_or_default();
        notes.append(&mut gpus.notes);
        self.name_processes(&mut gpus);
        let services = self.rows(&services, wanted, found, &gpus, sight);
        Status {
            totals: Totals::of(&services),
            attention: document::attention(&services),
            services,
            gpus: gpus.gpus,
            host,
            notes,
        }
    }

    /// The rows of those services that are shown.
    fn rows(
        &mut self,
        services: &[&Service],
        wanted: &Wanted<'_>,
        found: Found,
        gpus: &GpuReport,
        sight: GpuSight,
    ) -> Vec<ServiceStatus> {
        if found.is_cut_off {
            // The next look tries another connection.
            (self.system, self.systemd) = (OnceCell::new(), OnceCell::new());
        }
        let Found { units, answers, usages, read_at, .. } = found;
        let mut rows = Vec::new();
        for (((service, unit), answer), usage) in
            services.iter().zip(units).zip(answers).zip(usages)
        {
            let uptime = unit.facts().and_then(uptime);
            let cpu_percent = self.cpu_percent(service, &unit, usage.as_ref(), uptime, read_at);
            let vram_bytes = match unit.runs() {
                true => document::vram(gpus, service, self.scope, usage.as_ref()),
                false => None,
            };
            let facts = Facts {
                service,
                config_file: &self.config_file,
                scope: self.scope,
                unit,
                uptime,
                usage,
                cpu_percent,
                server: answer,
                vram_bytes,
                gpus: sight,
            };
            if is_shown(&facts, wanted) {
                let mut row = document::row(&facts);
                // Who names a service wants to know what is known of it.
                if matches!(wanted, Wanted::Named(_)) && row.notes.is_empty() {
                    row.notes.extend(unasked(&facts, self.is_absent()));
                }
                rows.push(row);
            }
        }
        rows
    }

    /// Says of each process on a GPU which service it is of.
    fn name_processes(&self, gpus: &mut GpuReport) {
        let uid = (self.scope == Scope::User).then(|| geteuid().as_raw());
        if uid.is_some() {
            // The helper names the system's services, which can be called as the user's are.
            let processes = gpus.gpus.iter_mut().filter_map(|gpu| gpu.processes.as_mut());
            processes.flatten().for_each(|process| process.service = None);
        }
        gpu::name_processes(gpus, Path::new(PROC), |owner| {
            // A user's unit may have the name of one of the machine's, or of another user's.
            let service = self.config.services().by_unit(&owner.unit)?;
            (owner.scope == self.scope && owner.uid == uid).then(|| service.name.to_string())
        });
    }

    /// CPU time in percent of one CPU: since the last look at this run of the unit, or else since
    /// the unit was started.
    fn cpu_percent(
        &mut self,
        service: &Service,
        unit: &Unit,
        usage: Option<&Usage>,
        uptime: Option<Duration>,
        at: Instant,
    ) -> Option<f64> {
        let name = service.name.to_string();
        let Some(cpu) = usage.and_then(|usage| usage.cpu) else {
            self.last.remove(&name);
            return None;
        };
        let invocation = unit.facts().and_then(|unit| unit.state.invocation.clone());
        let sample = Sample { invocation, cpu, at };
        let before = self.last.insert(name, sample.clone());
        let before = before.filter(|before| before.invocation == sample.invocation);
        match before {
            Some(before) => share(cpu.checked_sub(before.cpu)?, at.duration_since(before.at)),
            None => share(cpu, uptime?),
        }
    }

    /// Why the system's message bus could not be reached at the last look.
    pub(super) fn no_bus(&self) -> Option<&NoBus> {
        self.no_bus.get()
    }

    /// Whether there is no message bus of the system's at all.
    fn is_absent(&self) -> bool {
        self.no_bus.get().is_some_and(|error| error.is_absent)
    }

    /// The connection to the system's message bus.
    async fn bus(&self) -> Result<&Connection, String> {
        self.system
            .get_or_try_init(|| async {
                connect_system_bus().await.map_err(|error| {
                    let why = format!("the system's message bus: {}", error.brief);
                    // Who was first has said the same.
                    let _known = self.no_bus.set(error);
                    why
                })
            })
            .await
    }

    /// The service manager.
    async fn systemd(&self) -> Result<&Systemd, SystemdError> {
        self.systemd
            .get_or_try_init(|| async {
                match self.scope {
                    Scope::User => Systemd::connect(Bus::User).await,
                    Scope::System => {
                        self.bus().await.cloned().map(Systemd::on).map_err(SystemdError::NoBus)
                    }
                }
            })
            .await
    }

    async fn units(&self, units: &[UnitName]) -> Result<Vec<Unit>, SystemdError> {
        let facts = self.systemd().await?.unit_facts(units).await;
        // Where systemd cannot be asked at all, each has the same error.
        if let Some(Err(error)) = facts.first()
            && facts.iter().all(|facts| facts.as_ref().err() == Some(error))
            && is_of_systemd(error)
        {
            return Err(error.clone());
        }
        Ok(facts.into_iter().map(unit).collect())
    }

    /// Everything about services but GPUs.
    async fn find_out(&self, services: &[&Service], deadline: Instant) -> Found {
        let http = self.settings.http_timeout;
        let names: Vec<UnitName> = services.iter().map(|service| service.unit.clone()).collect();
        let patience = self.settings.unit_timeout.min(http);
        let mut asking = pin!(async {
            let told = timeout(patience, self.units(&names)).await;
            told.unwrap_or(Err(SystemdError::TimedOut(patience)))
        });
        // Where systemd is slow, the servers have half of the time at least.
        let early = timeout(http / 2, &mut asking).await.ok();
        let known = early.clone().and_then(Result::ok);
        let units = async {
            let told = match early {
                Some(told) => told,
                None => asking.await,
            };
            let read_at = Instant::now();
            let usages = self.usages(told.as_ref().ok(), deadline).await;
            (told, usages, read_at)
        };
        let servers = self.ask_servers(services, known.as_ref(), deadline);
        let ((answers, stuck), (told, usages, read_at)) = tokio::join!(servers, units);
        let mut trouble: Vec<String> = stuck.into_iter().collect();
        let is_cut_off = told.is_err();
        let units = told.unwrap_or_else(|error| {
            trouble.push(self.without_systemd(&error));
            vec![Unit::Unknown; services.len()]
        });
        let usages = if usages.is_empty() { vec![None; services.len()] } else { usages };
        Found { units, trouble, answers, usages, read_at, is_cut_off }
    }

    fn without_systemd(&self, error: &SystemdError) -> String {
        if self.scope == Scope::System && self.is_absent() {
            return "there is no systemd here: services are shown by what their servers say alone"
                .to_owned();
        }
        let (whose, advice) = match self.scope {
            Scope::User => (
                "your own service manager",
                "it runs where you are logged in, or after `loginctl enable-linger`",
            ),
            Scope::System => ("systemd", "`aictl doctor` says what is missing"),
        };
        let why = match error {
            SystemdError::TimedOut(time) => {
                format!("{whose} did not answer within {} s", time.as_secs_f64())
            }
            // Which bus, it says itself.
            SystemdError::NoBus(why) => format!("{whose} cannot be asked: {why}"),
            error => format!("{whose} cannot be asked: {error}"),
        };
        format!("{why}; services are shown by what their servers say alone; {advice}")
    }

    /// What each of these units uses; nothing where they are not known.
    async fn usages(&self, units: Option<&Vec<Unit>>, deadline: Instant) -> Vec<Option<Usage>> {
        let Some(units) = units else { return Vec::new() };
        let group = |unit: &Unit| unit.facts().and_then(|facts| facts.control_group.clone());
        let groups: Vec<_> = units.iter().map(group).collect();
        let roots = self.roots.clone();
        let read = move || groups.iter().map(|group| usage(&roots, group.as_ref()?)).collect();
        // Files of the kernel's are read by a thread: where many processes are summed up, others
        // need not wait.
        timeout_at(deadline, spawn_blocking(read))
            .await
            .ok()
            .and_then(Result::ok)
            .unwrap_or_default()
    }

    /// The GPUs, and what is wrong with asking for them; `None` if they did not answer in time.
    async fn gpus(
        &self,
        reader: &mut gpu::Reader,
        deadline: Instant,
    ) -> (Option<GpuReport>, Option<String>) {
        let mut trouble = None;
        // Where the bus is slow, the drivers have half of the time at least.
        let patience = self.settings.http_timeout / 2;
        if !self.embedded
            && let Ok(Some(helper)) = timeout(patience, self.running_helper()).await
        {
            match timeout_at(deadline, helper.gpus()).await {
                Ok(Ok(mut report)) => {
                    reader.add_own(&mut report, left(deadline)).await;
                    return (Some(report), None);
                }
                Ok(Err(error)) => {
                    trouble = Some(format!(
                        "the helper does not tell of the GPUs ({error}): they are shown as your own \
                         rights show them"
                    ));
                }
                Err(_elapsed) => {
                    return (None, Some("the helper did not tell of the GPUs in time".to_owned()));
                }
            }
        }
        match timeout_at(deadline, reader.read(left(deadline))).await {
            Ok(report) => (Some(report), trouble),
            Err(_elapsed) => (None, Some("the GPUs did not answer in time".to_owned())),
        }
    }

    /// The helper, if it runs: to start it takes longer than to do without it.
    async fn running_helper(&self) -> Option<Helper> {
        Helper::running(self.bus().await.ok()?).await.ok()?
    }

    async fn host(&self, deadline: Instant) -> HostStatus {
        let helper = async { Helper::state(self.bus().await.ok()?).await.ok() };
        let helper = timeout_at(deadline, helper).await.ok().flatten();
        host_status(Path::new(PROC), Path::new(SYS), helper)
    }
}

/// What was found out: for each service in its order, and what is wrong for all.
struct Found {
    units: Vec<Unit>,
    trouble: Vec<String>,
    answers: Vec<Answer>,
    usages: Vec<Option<Usage>>,
    /// When the usages were read.
    read_at: Instant,
    /// Whether systemd could not be asked.
    is_cut_off: bool,
}

fn unit(facts: Result<UnitFacts, SystemdError>) -> Unit {
    match facts {
        Ok(facts) => Unit::Known(Box::new(facts)),
        Err(SystemdError::NotFound) => Unit::NotFound,
        Err(SystemdError::Alias { id }) => Unit::Alias(id),
        Err(_) => Unit::Unknown,
    }
}

/// Whether the error is about systemd, and not about one unit.
fn is_of_systemd(error: &SystemdError) -> bool {
    !matches!(error, SystemdError::NotFound | SystemdError::Alias { .. })
}

/// What is left until what hangs is given up.
pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now() + END)
}

/// For how long a unit has been active.
fn uptime(facts: &UnitFacts) -> Option<Duration> {
    if !matches!(facts.state.active_state.as_str(), "active" | "reloading" | "refreshing") {
        return None;
    }
    let since = Duration::from_micros(facts.active_since_monotonic_usec?);
    let now = ClockId::CLOCK_MONOTONIC.now().ok()?;
    Duration::from(now).checked_sub(since)
}

/// A part of a time, in percent.
fn share(part: Duration, whole: Duration) -> Option<f64> {
    (whole >= SHORTEST).then(|| part.as_secs_f64() / whole.as_secs_f64() * 100.0)
}

#[cfg(test)]
mod tests {
    use aictl_api::gpu::{Gpu, GpuProcess, GpuState, Vendor};
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn a_service_of_the_systems_is_none_of_the_users() {
        let config = Config::default();
        for (line, expected) in [("status", Some("ollama")), ("--user status", None)] {
            let global = Cli::parse_from(["aictl"].into_iter().chain(line.split(' '))).global;
            let mut gpu = Gpu::new(0, Vendor::Nvidia, GpuState::Awake);
            let unit = Some("ollama.service".to_owned());
            let service = Some("ollama".to_owned());
            gpu.processes = Some(vec![GpuProcess { unit, service, ..GpuProcess::new(u32::MAX) }]);
            let mut report = GpuReport { gpus: vec![gpu], ..GpuReport::default() };
            Gatherer::new(&global, &config, config.status).name_processes(&mut report);
            let process = &report.gpus[0].processes.as_ref().unwrap()[0];
            assert_eq!(process.service.as_deref(), expected, "{line}");
        }
    }
}
