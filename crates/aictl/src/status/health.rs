//! How a service is, in one word, and why: judged from what was found out, and from nothing else.

use std::{fmt::Display, time::Duration};

use aictl_api::{
    provider::Provider,
    service::{Scope, Service},
    status::Health,
};
use aictl_core::systemd::{UnitFacts, UnitState};
use aictl_providers::{Fact, GapReason, Reach, Trouble};
use nix::sys::signal::Signal;

use super::facts::{Asked, Facts, GpuSight, KeyUse, Listener, Unit};

/// A server may take so long until it listens before that is odd.
const STARTING: Duration = Duration::from_secs(60);
/// And one that listens only when it has loaded its model: that of a large one takes minutes.
const LOADING: Duration = Duration::from_secs(900);
/// So many restarts by systemd are a loop, if the last is not longer ago than [`SETTLED`].
const MANY_RESTARTS: u32 = 3;
/// A unit that has been active for so long has left its loop of restarts.
const SETTLED: Duration = Duration::from_secs(300);
/// What can be done about a want of memory.
const USE_LESS: &str =
    "let it use less (a smaller model or context), or more (MemoryMax= of its unit)";
/// systemd's codes of what became of a main process (waitid(2)).
const EXITED: i32 = 1;
/// Exit codes by which systemd says that it could not even run the program (systemd.exec(5)).
const NOT_RUN: [(i32, &str); 6] = [
    (200, "its working directory (WorkingDirectory=) is not there"),
    (203, "its program (ExecStart=) cannot be run: is it installed where the unit says?"),
    (216, "its group (Group=) does not exist"),
    (217, "its user (User=) does not exist"),
    (226, "a part of its sandbox (such as ReadWritePaths=) cannot be set up"),
    (238, "its state directory (StateDirectory=) cannot be made"),
];

/// How the service is, and what there is to know about it: sentences with the next step.
#[must_use]
pub fn health(facts: &Facts<'_>) -> (Health, Vec<String>) {
    let mut found = Found { facts, health: Health::Active, notes: Vec::new() };
    match &facts.unit {
        Unit::Known(unit) => found.unit(unit),
        Unit::NotFound => found.no_unit(),
        Unit::Alias(id) => {
            let Service { name, unit, .. } = facts.service;
            found.is(
                Health::NotInstalled,
                format!(
                    "{unit} is only another name of {id}: set `unit` of [services.{name}] in \
                     {} to that",
                    facts.config_file
                ),
            );
        }
        Unit::Unknown => found.server_alone(),
    }
    (found.health, found.notes)
}

/// What there is to know of a service that does not answer, and that nobody could be asked about.
#[must_use]
pub fn unasked(facts: &Facts<'_>, is_absent: bool) -> Option<String> {
    let (Unit::Unknown, unit) = (&facts.unit, &facts.service.unit) else { return None };
    let nobody = match (facts.scope, is_absent) {
        (Scope::System, true) => format!("there is no systemd to ask about {unit}"),
        (Scope::System, false) => format!("systemd cannot be asked about {unit}"),
        (Scope::User, _) => format!("your own service manager cannot be asked about {unit}"),
    };
    Some(match &facts.server.asked {
        None => nobody,
        Some(Asked { endpoint, report, .. }) => match report.reach {
            Reach::Trouble(Trouble::Refused) => {
                format!("nobody listens at {endpoint}, and {nobody}")
            }
            Reach::Other(_) | Reach::Trouble(_) => {
                format!("what listens at {endpoint} does not answer as it would, and {nobody}")
            }
            _ => return None,
        },
    })
}

/// What has been found so far.
struct Found<'a> {
    facts: &'a Facts<'a>,
    health: Health,
    notes: Vec<String>,
}

impl Found<'_> {
    /// It is so, for this reason.
    fn is(&mut self, health: Health, note: impl Into<String>) {
        self.health = health;
        self.notes.push(note.into());
    }

    /// It runs, but.
    fn degraded(&mut self, note: impl Into<String>) {
        self.is(Health::Degraded, note);
    }

    fn name(&self) -> &str {
        self.facts.service.name.as_ref()
    }

    /// A command line of ours about the service.
    fn aictl(&self, words: &str) -> String {
        let user = if self.facts.scope == Scope::User { "--user " } else { "" };
        format!("`aictl {user}{words} {}`", self.name())
    }

    /// A command line of systemctl's about the unit.
    fn systemctl(&self, words: &str) -> String {
        let user = if self.facts.scope == Scope::User { "--user " } else { "" };
        format!("`systemctl {user}{words} {}`", self.facts.service.unit)
    }

    fn logs(&self) -> String {
        format!("{} says why", self.aictl("logs"))
    }

    /// Where it may stand why its server does not answer as it should; nothing where that is said
    /// already, or there is no log.
    fn why(&self, trouble: &Trouble) -> String {
        let is_in_log = *trouble == Trouble::Refused || is_of_server(trouble);
        match &self.facts.unit {
            Unit::Known(_) if is_in_log => format!("; {}", self.logs()),
            _ => String::new(),
        }
    }

    /// There is a unit.
    fn unit(&mut self, unit: &UnitFacts) {
        let state = &unit.state;
        match state.active_state.as_str() {
            "failed" => {
                self.failed(unit);
                self.taken();
            }
            "inactive" | "deactivating" => self.not_running(state),
            "activating"
                if state.sub_state.starts_with("auto-restart")
                    || state.restarts >= MANY_RESTARTS =>
            {
                self.restarting(unit);
                self.taken();
            }
            "activating" => self.starting(),
            _ => self.running(unit),
        }
        if unit.needs_daemon_reload == Some(true) {
            let user = if self.facts.scope == Scope::User { "--user " } else { "" };
            self.notes.push(format!(
                "its unit file has changed since systemd read it: `systemctl {user}daemon-reload`, \
                 then {}",
                self.aictl("restart")
            ));
        }
    }

    fn running(&mut self, unit: &UnitFacts) {
        let state = &unit.state;
        let is_young = self.facts.uptime.is_none_or(|uptime| uptime < SETTLED);
        if state.restarts >= MANY_RESTARTS && is_young {
            let note = format!(
                "systemd has restarted it {}, the last time not long ago: {}",
                times(state.restarts.into()),
                self.logs()
            );
            self.degraded(note);
        }
        if let Some(kills @ 1..) = self.facts.usage.as_ref().and_then(|usage| usage.oom_kills) {
            self.degraded(format!(
                "since it started, the kernel has killed a process of it {} for want of memory: \
                 {USE_LESS}, then {}",
                times(kills),
                self.aictl("restart")
            ));
        }
        self.server();
    }

    /// It is on its way; what it does not do yet is no news.
    fn starting(&mut self) {
        let watch = self.aictl("status --watch");
        self.degraded(format!("it is starting: {watch} shows when it has"));
        if let Some(asked) = &self.facts.server.asked
            && matches!(asked.report.reach, Reach::Loading(_))
        {
            self.notes.clear();
            self.reach(asked);
        }
    }

    /// systemd waits before it starts it again, or is just doing that.
    fn restarting(&mut self, unit: &UnitFacts) {
        let why = match (unit.exec_main_code, unit.state.result.as_str()) {
            (None, "success" | "") => None,
            _ => Some(end(unit)),
        };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let restarts = unit.state.restarts;
        // The one that is on its way is not among them yet.
        let what = match restarts {
            0 => "it has ended, and systemd is about to start it again".to_owned(),
            1..MANY_RESTARTS => format!(
                "it has ended once more, and systemd is about to start it again ({} before)",
                times(restarts.into())
            ),
            _ => format!(
                "it ends again and again, and systemd restarts it ({} so far)",
                times(restarts.into())
            ),
        };
        let next = self.next(unit);
        self.degraded(format!("{what}{why}; {next}"));
    }

    /// It does not run, perhaps since another unit has its port.
    fn taken(&mut self) {
        if let Some((port, unit)) = &self.facts.server.taken {
            let Service { name, .. } = self.facts.service;
            self.notes.push(format!(
                "port {port}, which it uses unless it is told otherwise, is taken by {unit}: have \
                 one of the two listen on another port, and set `endpoint` of [services.{name}] in \
                 {} if that is this one",
                self.facts.config_file
            ));
        }
    }

    fn failed(&mut self, unit: &UnitFacts) {
        let (why, next) = (end(unit), self.next(unit));
        let then = match unit.state.result.as_str() {
            "start-limit-hit" => {
                format!("; then {} and {}", self.systemctl("reset-failed"), self.aictl("restart"))
            }
            "oom-kill" => format!(", then {}", self.aictl("restart")),
            "exit-code" | "signal" | "core-dump" => {
                format!(", and {} tries again", self.aictl("restart"))
            }
            _ => String::new(),
        };
        self.is(Health::Failed, format!("{why}: {next}{then}"));
    }

    /// What can be done about the end of a unit.
    fn next(&self, unit: &UnitFacts) -> String {
        match unit.state.result.as_str() {
            "oom-kill" => USE_LESS.to_owned(),
            "timeout" => {
                format!("{}; a large model may need a longer TimeoutStartSec=", self.logs())
            }
            "resources" => format!("{} says what", self.systemctl("status")),
            _ => self.logs(),
        }
    }

    fn not_running(&mut self, state: &UnitState) {
        self.health = Health::Inactive;
        if state.active_state == "deactivating" {
            self.notes.push("it is being stopped".to_owned());
        } else if state.load_state == "masked" {
            let note = format!(
                "its unit is masked, so that nothing can start it: {} allows it again",
                self.systemctl("unmask")
            );
            self.notes.push(note);
        } else if state.load_state != "loaded" && !state.load_state.is_empty() {
            let note = format!(
                "systemd cannot use its unit file ({}): {} says why",
                state.load_state,
                self.systemctl("status")
            );
            self.is(Health::Failed, note);
        } else if self.facts.service.required {
            let note =
                format!("it does not run, and is required: {} starts it", { self.aictl("start") });
            self.notes.push(note);
        }
        self.answers_anyway();
    }

    fn no_unit(&mut self) {
        self.health = Health::NotInstalled;
        let Service { name, unit, required, .. } = self.facts.service;
        if *required {
            let note = format!(
                "there is no unit {unit}, and it is required: install it, or set `unit` of \
                 [services.{name}] in {}",
                self.facts.config_file
            );
            self.notes.push(note);
        }
        self.answers_anyway();
    }

    /// Its unit does not run: whoever answers was started in another way.
    fn answers_anyway(&mut self) {
        let Some(asked) = &self.facts.server.asked else { return };
        if is_it(&asked.report.reach) {
            let note = format!(
                "a server answers at {} all the same: it was not started by {}, and is not aictl's \
                 to start or stop",
                asked.endpoint, self.facts.service.unit
            );
            self.notes.push(note);
        }
    }

    /// Nothing is known of its unit: what its server says is all that there is.
    fn server_alone(&mut self) {
        let configured = self.facts.service.endpoint.is_some();
        match &self.facts.server.asked {
            None => self.health = Health::Inactive,
            Some(asked) => match &asked.report.reach {
                Reach::Trouble(Trouble::Refused) => {
                    self.health = Health::Inactive;
                    if self.facts.service.required {
                        let note = format!("nobody listens at {}", asked.endpoint);
                        self.notes.push(note);
                    }
                }
                // Whoever has a usual port may be anybody.
                Reach::Other(_) | Reach::Trouble(_) if !configured => {
                    self.health = Health::Inactive;
                }
                _ => self.server(),
            },
        }
    }

    /// Its unit runs: so should its server.
    fn server(&mut self) {
        if let Some(address) = self.facts.server.elsewhere {
            self.notes.push(format!(
                "its server is not asked: it listens on {address}, and aictl asks nothing but this \
                 machine's loopback addresses"
            ));
        }
        let Some(asked) = &self.facts.server.asked else { return };
        self.reach(asked);
        for gap in &asked.report.gaps {
            match &gap.why {
                // Said already, or to be said in another way.
                GapReason::NoKey => {}
                GapReason::Trouble(trouble)
                    if gap.what != Fact::Requests && is_of_server(trouble) =>
                {
                    let next = self.why(trouble);
                    self.degraded(format!("{gap}{next}"));
                }
                _ => self.notes.push(gap.to_string()),
            }
        }
        self.key(asked);
        self.on_the_processor(asked);
    }

    fn reach(&mut self, asked: &Asked) {
        let Asked { endpoint, report, listener, .. } = asked;
        let service = self.facts.service;
        let expected = service.provider.map_or("its server", Provider::display);
        if let (Listener::Other { unit, .. }, Unit::Known(_)) = (listener, &self.facts.unit)
            && !forwards(unit)
            && !matches!(report.reach, Reach::Trouble(Trouble::Refused))
        {
            self.degraded(format!(
                "{} is taken by {unit}: have one of the two listen on another port, or set \
                 `endpoint` of [services.{}] in {}",
                place(endpoint),
                service.name,
                self.facts.config_file
            ));
            return;
        }
        match &report.reach {
            Reach::Ready | Reach::KeyNeeded | Reach::KeyRefused => {}
            Reach::Loading(words) => {
                let words = words.as_ref().map(|words| format!(" ({words})")).unwrap_or_default();
                self.degraded(format!(
                    "its server is still loading its model{words}: {} shows when it is done",
                    self.aictl("status --watch")
                ));
            }
            Reach::Other(who) => {
                let who = who.map_or("another program", Provider::display);
                self.degraded(format!(
                    "{who} answers at {endpoint}, not {expected}{}: set `endpoint` of \
                     [services.{}] in {} to where it listens",
                    report.came.map(|came| format!(" ({came})")).unwrap_or_default(),
                    service.name,
                    self.facts.config_file
                ));
            }
            Reach::Trouble(Trouble::Refused) => {
                let loads_first = service.provider.is_some_and(loads_first);
                let time = if loads_first { LOADING } else { STARTING };
                let is_young = self.facts.uptime.is_none_or(|uptime| uptime < time);
                self.degraded(match is_young {
                    true => format!(
                        "it does not listen at {endpoint} yet{}: {} shows when it does",
                        if loads_first { ", and may still be loading its model" } else { "" },
                        self.aictl("status --watch")
                    ),
                    false => format!(
                        "nobody listens at {endpoint}{}; if it listens elsewhere, set `endpoint` of \
                         [services.{}] in {}",
                        self.why(&Trouble::Refused),
                        service.name,
                        self.facts.config_file
                    ),
                });
            }
            Reach::Trouble(trouble) => {
                let next = self.why(trouble);
                self.degraded(format!("asked at {endpoint}: {trouble}{next}"));
            }
        }
    }

    fn key(&mut self, asked: &Asked) {
        let needs = asked.report.reach == Reach::KeyNeeded;
        let hides = asked.report.gaps.iter().any(|gap| gap.why == GapReason::NoKey);
        let note = match (&asked.report.reach, &asked.key) {
            (Reach::KeyRefused, KeyUse::Sent(source)) => {
                format!("its server refuses the key of {source}: put the right one there")
            }
            (Reach::KeyRefused, _) => "its server refuses the key".to_owned(),
            (_, KeyUse::None(how)) if needs || hides => {
                let what = if needs { "anything" } else { "its models" };
                format!("its server tells {what} only to who has a key: {how}")
            }
            (_, KeyUse::Withheld(source)) if needs || hides => {
                let place = place(&asked.endpoint);
                let unit = &self.facts.service.unit;
                let whose = match &asked.listener {
                    Listener::Other { unit: other, .. } => {
                        format!("{place} belongs to {other}, not to {unit}")
                    }
                    _ => format!("whether {place} belongs to {unit} cannot be told"),
                };
                format!(
                    "its key of {source} was not sent, since {whose}: start the server by that \
                     unit, or run it as your own user"
                )
            }
            _ => return,
        };
        match asked.report.reach {
            Reach::KeyNeeded | Reach::KeyRefused => self.degraded(note),
            _ => self.notes.push(note),
        }
    }

    /// Ollama computes on the processor, and says nothing, where it cannot use a GPU.
    fn on_the_processor(&mut self, asked: &Asked) {
        let provider = asked.report.provider.or(self.facts.service.provider);
        if provider != Some(Provider::Ollama) || !matches!(asked.report.reach, Reach::Ready) {
            return;
        }
        let loaded = asked.report.loaded.iter().flatten();
        let slow: Vec<_> = loaded.filter(|model| model.vram_bytes == Some(0)).collect();
        let [first, others @ ..] = slow.as_slice() else { return };
        let models = match others.len() {
            0 => format!("{} runs", first.name),
            more => format!("{} and {more} more run", first.name),
        };
        match self.facts.gpus {
            GpuSight::Some => {
                let note = format!(
                    "{models} on the CPU, not on the GPU: Ollama found no room or no usable driver \
                     there; {}, and {} tries again",
                    self.logs(),
                    self.aictl("restart")
                );
                self.degraded(note);
            }
            GpuSight::Broken => {
                let note = format!(
                    "{models} on the CPU, since the GPU does not work: `aictl gpu` says why; then {}",
                    self.aictl("restart")
                );
                self.degraded(note);
            }
            // There is nothing to be done.
            GpuSight::None | GpuSight::Unknown => {
                self.notes.push(format!("{models} on the CPU"));
            }
        }
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

/// How a unit ended, as a sentence without its end, by systemd's word for it (systemd.exec(5),
/// `$SERVICE_RESULT`).
fn end(unit: &UnitFacts) -> String {
    match unit.state.result.as_str() {
        "start-limit-hit" => {
            "it ended too often in too short a time, and systemd has given up".to_owned()
        }
        "oom-kill" => "the kernel killed it for want of memory".to_owned(),
        "timeout" => "it was not ready in the time that its unit gives it".to_owned(),
        "watchdog" => "it gave no sign of life for longer than WatchdogSec= says".to_owned(),
        "protocol" => {
            "it did not tell systemd that it is ready in the way that its unit says".to_owned()
        }
        "resources" => "systemd could not give it what it needs".to_owned(),
        "exit-code" | "signal" | "core-dump" => ending(unit),
        // It ended well, and should not have ended.
        "success" => ending(unit),
        result => format!("it failed ({result})"),
    }
}

/// How the main process ended, as a sentence without its end.
fn ending(unit: &UnitFacts) -> String {
    match (unit.exec_main_code, unit.exec_main_status) {
        (Some(EXITED), Some(status)) => {
            let not_run = NOT_RUN.iter().find(|(code, _)| *code == status);
            not_run.map_or_else(
                || format!("it ended with exit code {status}"),
                |(_, why)| (*why).to_owned(),
            )
        }
        (Some(_), Some(signal)) => {
            let name = Signal::try_from(signal).map(|signal| format!(" ({signal})"));
            format!("it was killed by signal {signal}{}", name.unwrap_or_default())
        }
        _ => format!("it failed ({})", unit.state.result),
    }
}

/// Whether it is the service that answers: who only wants a key may be anybody.
pub const fn is_it(reach: &Reach) -> bool {
    matches!(reach, Reach::Ready | Reach::Loading(_))
}

/// Whether this is something that a server does when it is not well, and not when it is asked for
/// what it does not have.
const fn is_of_server(trouble: &Trouble) -> bool {
    /// What it does not have, and never will (RFC 9110, 15.6.2).
    const NOT_IMPLEMENTED: u16 = 501;
    match trouble {
        Trouble::NoAnswer(_) | Trouble::TooSlow(_) | Trouble::Closed => true,
        Trouble::Status(status) => *status >= 500 && *status != NOT_IMPLEMENTED,
        _ => false,
    }
}

/// Whether servers of this kind load their model before they listen.
const fn loads_first(provider: Provider) -> bool {
    use Provider::{Lmdeploy, Sglang, Tgi, Vllm};
    matches!(provider, Vllm | Sglang | Lmdeploy | Tgi)
}

/// Whether this unit listens on behalf of containers, so that a service whose unit starts a
/// container may be behind it.
pub fn forwards(unit: &str) -> bool {
    const ENGINES: [&str; 4] =
        ["docker.service", "containerd.service", "podman.service", "k3s.service"];
    const SCOPES: [&str; 3] = ["docker-", "libpod-", "crio-"];
    ENGINES.contains(&unit)
        || unit.ends_with(".scope") && SCOPES.iter().any(|prefix| unit.starts_with(prefix))
}

/// What is fought for: a port, or another endpoint.
fn place(endpoint: &aictl_api::endpoint::Endpoint) -> String {
    match endpoint {
        aictl_api::endpoint::Endpoint::Tcp(tcp) => format!("port {}", tcp.port()),
        endpoint @ aictl_api::endpoint::Endpoint::Unix(_) => (endpoint as &dyn Display).to_string(),
    }
}

#[cfg(test)]
mod tests;
