//! GPUs as callers see them: one look for all who ask at the same time, and for those who ask right
//! after it, so that no number of calls has more than one look under way.

use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aictl_api::{
    gpu::{GpuProcess, GpuReport},
    service::Catalogue,
};
use aictl_core::{
    dbus_records,
    gpu::{Reader, Sources, nvml::NvmlProgram},
    systemd::Systemd,
};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    task::JoinSet,
    time::{self, Instant},
};

use crate::answer::Fields;

/// How long one look may take.
const LOOK_TIME: Duration = Duration::from_secs(5);
/// How long what was seen counts.
const MAX_AGE: Duration = Duration::from_secs(1);
/// The most processes whose units systemd is asked for.
const MAX_UNITS: usize = 512;

/// One look at all GPUs.
pub type Look = Pin<Box<dyn Future<Output = GpuReport> + Send>>;

/// The GPUs of this machine.
pub struct Gpus {
    look: Box<dyn Fn() -> Look + Send + Sync>,
    state: Mutex<State>,
}

/// What is known.
#[derive(Debug, Default)]
enum State {
    /// Nothing that still counts.
    #[default]
    Unknown,
    /// A look is under way; it tells all who wait.
    Looking(watch::Receiver<Option<Arc<GpuReport>>>),
    /// What a look that began then has seen.
    Seen(Instant, Arc<GpuReport>),
}

impl fmt::Debug for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpus").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Gpus {
    /// Those that the drivers tell of.
    #[must_use]
    pub fn system() -> Self {
        let sources = Sources::host(NvmlProgram::host());
        let reader = Arc::new(AsyncMutex::new(Reader::new(sources)));
        Self::new(move || {
            let reader = Arc::clone(&reader);
            Box::pin(async move { reader.lock().await.read(LOOK_TIME).await })
        })
    }

    /// Those that `look` sees.
    #[must_use]
    pub fn new(look: impl Fn() -> Look + Send + Sync + 'static) -> Self {
        Self { look: Box::new(look), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole whatever its last user did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a look saw that began at most `MAX_AGE` ago, or is under way now: that one goes on
    /// even if all who wait for it are gone, and is not begun anew for the next.
    pub async fn report(self: &Arc<Self>, systemd: Option<&Systemd>) -> Arc<GpuReport> {
        let mut result = match self.begin(systemd) {
            Ok(report) => return report,
            Err(result) => result,
        };
        match result.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(report)) => Arc::clone(report),
            _ => Arc::new(GpuReport {
                gpus: Vec::new(),
                notes: vec!["The GPUs could not be looked at: try again.".to_owned()],
            }),
        }
    }

    /// What is known; or else where to wait for it.
    fn begin(
        self: &Arc<Self>,
        systemd: Option<&Systemd>,
    ) -> Result<Arc<GpuReport>, watch::Receiver<Option<Arc<GpuReport>>>> {
        let now = Instant::now();
        let mut state = self.state();
        match &*state {
            State::Seen(at, report) if now.duration_since(*at) < MAX_AGE => {
                return Ok(Arc::clone(report));
            }
            // Of one that has no sender any more, nothing will come.
            State::Looking(result) if result.has_changed().is_ok() => return Err(result.clone()),
            _ => {}
        }
        let (sender, result) = watch::channel(None);
        *state = State::Looking(result.clone());
        drop(state);
        let (gpus, systemd) = (Arc::clone(self), systemd.cloned());
        tokio::spawn(async move {
            let mut report = (gpus.look)().await;
            if let Some(systemd) = systemd {
                // What it has not said in time is unknown.
                let _late = time::timeout(LOOK_TIME, find_units(&systemd, &mut report)).await;
            }
            let report = Arc::new(report);
            *gpus.state() = State::Seen(now, Arc::clone(&report));
            sender.send_replace(Some(report));
        });
        Err(result)
    }
}

fn processes(report: &mut GpuReport) -> impl Iterator<Item = &mut GpuProcess> {
    report.gpus.iter_mut().filter_map(|gpu| gpu.processes.as_mut()).flatten()
}

/// Has systemd say what is hidden from us: the units of other users' processes.
async fn find_units(systemd: &Systemd, report: &mut GpuReport) {
    let unknown: BTreeSet<u32> = processes(report)
        .filter(|process| process.unit.is_none())
        .map(|process| process.pid)
        .take(MAX_UNITS)
        .collect();
    let mut asking = JoinSet::new();
    for pid in unknown {
        let systemd = systemd.clone();
        asking.spawn(async move { (pid, systemd.unit_of_pid(pid).await) });
    }
    while let Some(answer) = asking.join_next().await {
        let Ok((pid, Ok(Some(unit)))) = answer else { continue };
        for process in processes(report).filter(|process| process.pid == pid) {
            process.unit.get_or_insert_with(|| unit.clone());
        }
    }
}

/// The records of a report, and what there is to say beside them. The units are the system's: the
/// catalogue knows their services.
#[must_use]
pub fn records(report: &GpuReport, catalogue: &Catalogue) -> (Vec<Fields>, Vec<String>) {
    let mut report = report.clone();
    for process in processes(&mut report) {
        let service = process.unit.as_deref().and_then(|unit| catalogue.by_unit(unit));
        process.service = service.map(|service| service.name.to_string());
    }
    (report.gpus.iter().map(dbus_records::gpu_fields).collect(), report.notes)
}

#[cfg(test)]
mod tests;
