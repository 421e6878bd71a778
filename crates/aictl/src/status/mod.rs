//! `aictl status`: how services are, what their servers have, and what they use.

mod document;
mod facts;
mod gather;
mod health;
mod plan;
mod select;
mod servers;
pub mod shown;
mod unix_socket;
pub mod watch;

use aictl_api::{
    config::{Config, status::Status as Settings},
    exit,
    status::Status,
};
use aictl_core::journal::read::LogLine;

use crate::{
    args::{Global, status::Status as Args},
    config, logs, message,
    runtime::{self, Stopped},
    table::Look,
};
use gather::Gatherer;
use select::{Wanted, no_such};
use watch::Watched;

/// Runs the command; returns the exit code.
pub fn main(global: &Global, args: &Args) -> u8 {
    let config = match config::load(global.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return message::fail(global, error.exit_code(), &error.to_string()),
    };
    let settings = match settings(&config) {
        Ok(settings) => settings,
        Err(error) => return message::fail(global, exit::USAGE, &error),
    };
    let mut unknown = Vec::new();
    let wanted = match args.services.as_slice() {
        [] if args.all => Wanted::All,
        [] => Wanted::Present,
        names => {
            let (wanted, missing) = Wanted::named(&config, names);
            unknown = missing.into_iter().map(|name| no_such(&config, name)).collect();
            wanted
        }
    };
    if wanted == Wanted::Named(Vec::new()) {
        return message::fail(global, exit::NOT_FOUND, &unknown.join("; "));
    }
    unknown.iter().for_each(message::error);
    let gatherer = Gatherer::new(global, &config, settings);
    let is_watched = args.watch.is_some();
    let mut page = Page { global, settings, wanted, unknown, is_watched, gatherer };
    match args.watch {
        Some(every) => watch::watch(global, every.unwrap_or(settings.refresh_interval), &mut page),
        None => once(global, &mut page),
    }
}

/// The settings of the commands that look: the configuration's, and over them the environment's.
///
/// # Errors
/// If a variable's value does not fit: what is wrong, for the user.
pub fn settings(config: &Config) -> Result<Settings, String> {
    config.status.with_environment(std::env::var_os).map_err(|error| error.to_string())
}

fn once(global: &Global, page: &mut Page<'_>) -> u8 {
    let seen = match runtime::run(page.look()) {
        Ok(seen) => seen,
        Err(stopped @ Stopped::Signal(_)) => return stopped.exit_code(),
        Err(stopped) => return message::fail(global, stopped.exit_code(), &stopped.to_string()),
    };
    if let Some(why) = page.gatherer.no_bus() {
        message::detail(global, why);
    }
    let printed = match global.json {
        true => message::print_json(&seen.status),
        false => message::print(&page.text(&seen, Look::of_stdout(global))),
    };
    if let Err(error) = printed {
        message::error(format_args!("the output cannot be written: {error}"));
        return exit::INTERNAL;
    }
    match page.unknown.is_empty() {
        true => document::exit_code(&seen.status.services),
        false => exit::NOT_FOUND,
    }
}

/// What is shown, once or again and again.
struct Page<'a> {
    global: &'a Global,
    settings: Settings,
    wanted: Wanted<'a>,
    /// What is to be said of names that no service has.
    unknown: Vec<String>,
    /// Whether it is shown again and again, where what was said before is soon gone.
    is_watched: bool,
    gatherer: Gatherer<'a>,
}

/// What one look has shown.
struct Seen {
    status: Status,
    /// The last lines of the log of the one service that is wanted.
    log: Vec<LogLine>,
}

impl Watched for Page<'_> {
    type Seen = Seen;

    async fn look(&mut self) -> Seen {
        // Programs have `aictl logs --json` for it.
        let one = self.wanted.one().filter(|_| !self.global.json);
        let log = last_lines(self.global, one.map(|one| one.name.as_ref()), self.settings);
        let (mut status, log) = tokio::join!(self.gatherer.look(&self.wanted), log);
        if self.global.json || self.is_watched {
            // Else people have read it already.
            status.notes.extend(self.unknown.iter().cloned());
        }
        let log = log.unwrap_or_else(|error| {
            // Where systemd cannot be asked, that has been said.
            if status.services.iter().any(|service| service.load_state.is_some()) {
                status.notes.push(format!("its log cannot be shown: {error}"));
            }
            Vec::new()
        });
        if status.services.is_empty() {
            status.notes.push(nothing_here());
        }
        Seen { status, log }
    }

    fn text(&self, seen: &Seen, look: Look) -> String {
        let Seen { status, log } = seen;
        match (self.wanted.one(), status.services.as_slice()) {
            (Some(_), [service]) => {
                shown::render_one(service, &status.gpus, &status.notes, log, look)
            }
            _ => shown::render(status, look),
        }
    }

    fn json(&self, seen: &Seen) -> String {
        serde_json::to_string(&seen.status).unwrap_or_default()
    }
}

/// The last lines of a service's log, if one is named and they come in time.
async fn last_lines(
    global: &Global,
    service: Option<&str>,
    settings: Settings,
) -> Result<Vec<LogLine>, String> {
    let Some(service) = service else { return Ok(Vec::new()) };
    let lines = logs::last_lines(global, service, settings.log_height);
    match tokio::time::timeout(settings.http_timeout, lines).await {
        Ok(lines) => lines,
        Err(_elapsed) => Err(format!("it did not come in time; `aictl logs {service}` waits")),
    }
}

/// What there is to say where nothing is shown.
fn nothing_here() -> String {
    format!(
        "none of the services that aictl knows is here: `aictl status --all` lists them all; one \
         with a unit of another name can be set in {}",
        aictl_api::config::FILE
    )
}
