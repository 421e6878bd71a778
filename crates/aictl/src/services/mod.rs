//! `aictl start`, `stop`, `restart`, `reload`, `enable` and `disable`.

mod advice;
mod backend;
mod direct;
mod shown;

use std::{
    io::{self, IsTerminal},
    pin::pin,
    time::Duration,
};

use aictl_api::{
    authorisation::Verb, config::Config, document::actions::Actions, error::CallError, exit,
    record::ActionRecord, service::Scope,
};
use aictl_core::helper::ActOptions;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    agent::{self, Agent},
    args::{Global, services::Act},
    color::Paint,
    config, message,
    progress::{Progress, TICK},
    runtime,
};

pub use advice::{Circumstances, on_error};
pub use backend::{Backend, NoBackend, NoBus, Watch, connect_system_bus, system_bus};

use shown::{Acted, present};

/// How long to wait before saying that something is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// Who may be asked for a password on the user's behalf.
pub struct Asking {
    /// Ends with this value.
    agent: Option<Agent>,
    /// Why there is none, where there could be.
    pub no_agent: Option<String>,
    /// Whether polkit may ask.
    pub interactive: bool,
}

impl Asking {
    /// Brings polkit's agent for the terminal, where there is a terminal and someone to convince.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        // One's own service manager asks nobody.
        if global.user {
            return Self { agent: None, no_agent: None, interactive: false };
        }
        let (agent, no_agent) = match agent::wanted().then(Agent::start) {
            None => (None, None),
            Some(Ok(agent)) => (Some(agent), None),
            Some(Err(error)) => (None, Some(error.to_string())),
        };
        let terminal = io::stdin().is_terminal() || io::stderr().is_terminal();
        Self { interactive: agent.is_some() || terminal, agent, no_agent }
    }

    /// Ends the asking: what was to be allowed is.
    pub fn end(&mut self) {
        self.agent = None;
    }

    /// Whether the terminal may show a prompt at any time.
    fn may_prompt(&self) -> bool {
        self.agent.is_some()
    }
}

/// Runs the command; returns the exit code.
pub fn main(global: &Global, verb: Verb, act: &Act) -> u8 {
    let asking = Asking::new(global);
    let mut done = Vec::new();
    let ended = runtime::run(act_on_all(global, verb, act, &asking, &mut done));
    // Before anything else is said on the terminal.
    drop(asking);
    let worst = done.iter().map(Acted::exit_code).max().unwrap_or(exit::OK);
    let code = match ended {
        Ok(Ok(())) => worst,
        Ok(Err(NotBegun::Backend(error))) => {
            let (code, text) = no_backend(global, &error);
            return message::fail(global, code, &text);
        }
        Ok(Err(NotBegun::Output(error))) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
        Err(stopped @ runtime::Stopped::Signal(_)) => stopped.exit_code(),
        Err(stopped) => return message::fail(global, stopped.exit_code(), &stopped.to_string()),
    };
    if global.json {
        let document = Actions { actions: done.iter().map(Acted::entry).collect() };
        if let Err(error) = message::print_json(&document) {
            message::error(format_args!("the output cannot be written: {error}"));
            return exit::INTERNAL;
        }
    }
    code
}

/// Why the services after the last one that was attempted were not.
enum NotBegun {
    Backend(NoBackend),
    Output(io::Error),
}

/// The exit code and the words for the user where there is nobody to ask.
pub fn no_backend(global: &Global, error: &NoBackend) -> (u8, String) {
    match error {
        NoBackend::Config(error) => (error.exit_code(), error.to_string()),
        NoBackend::Bus(error) => {
            let scope = if global.user { Scope::User } else { Scope::System };
            let about = Circumstances {
                service: "",
                verb: None,
                config: None,
                scope,
                helper: false,
                no_agent: None,
            };
            let advice = on_error(error, about);
            (
                error.exit_code(),
                [Some(error.to_string()), advice]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("; "),
            )
        }
    }
}

async fn act_on_all(
    global: &Global,
    verb: Verb,
    act: &Act,
    asking: &Asking,
    done: &mut Vec<Acted>,
) -> Result<(), NotBegun> {
    let backend = match Backend::find(global, asking.interactive).await {
        Ok(backend) => backend,
        Err(error) => return not_known(global, verb, act, error, done),
    };
    let options = ActOptions { no_block: act.no_block, timeout: act.timeout };
    let (out, err) =
        (Paint::new(global.color, &io::stdout()), Paint::new(global.color, &io::stderr()));
    // Read when it is needed first.
    let mut config: Option<Option<Config>> = None;
    for (index, service) in act.services.iter().enumerate() {
        if act.services[..index].contains(service) {
            continue;
        }
        let result = one(global, &backend, verb, service, options, asking).await;
        let mut acted = Acted { service: service.clone(), verb, result, advice: None };
        if acted.exit_code() != exit::OK {
            let config = config.get_or_insert_with(|| backend.config(global));
            acted.advice = advice(global, &backend, &acted, config.as_ref(), asking);
        }
        if let Some(text) = acted.problem(err) {
            message::block(text);
        }
        let success = acted.success(out);
        done.push(acted);
        if let (Some(text), false, false) = (success, global.json, global.quiet) {
            message::print(&(text + "\n")).map_err(NotBegun::Output)?;
        }
    }
    Ok(())
}

/// Where there is nobody to ask, the catalogue that is here still tells a name that is no service.
fn not_known(
    global: &Global,
    verb: Verb,
    act: &Act,
    error: NoBackend,
    done: &mut Vec<Acted>,
) -> Result<(), NotBegun> {
    let err = Paint::new(global.color, &io::stderr());
    for (index, service) in act.services.iter().enumerate() {
        if act.services[..index].contains(service) {
            continue;
        }
        let Some((error, advice)) = no_such_service(global, service, &error) else { continue };
        let acted = Acted { service: service.clone(), verb, result: Err(error), advice };
        if let Some(text) = acted.problem(err) {
            message::block(text);
        }
        done.push(acted);
    }
    match act.services.iter().all(|service| done.iter().any(|acted| acted.service == *service)) {
        true => Ok(()),
        false => Err(NotBegun::Backend(error)),
    }
}

/// That there is no service of this name, where the message bus fails and the catalogue that is
/// here does not have it.
pub fn no_such_service(
    global: &Global,
    service: &str,
    error: &NoBackend,
) -> Option<(CallError, Option<String>)> {
    let NoBackend::Bus(_) = error else { return None };
    let config = config::load(global.config.as_deref()).ok()?;
    if config.services().get(service).is_some() {
        return None;
    }
    let error = CallError::NoSuchService("no such service in the catalogue".to_owned());
    let about = Circumstances {
        service,
        verb: None,
        config: Some(&config),
        scope: if global.user { Scope::User } else { Scope::System },
        helper: false,
        no_agent: None,
    };
    let advice = on_error(&error, about);
    Some((error, advice))
}

fn advice(
    global: &Global,
    backend: &Backend,
    acted: &Acted,
    config: Option<&Config>,
    asking: &Asking,
) -> Option<String> {
    let scope = if global.user { Scope::User } else { Scope::System };
    match &acted.result {
        Ok(_) => Some(advice::on_failure(&acted.service, scope)),
        Err(error) => on_error(
            error,
            Circumstances {
                service: &acted.service,
                verb: Some(acted.verb),
                config,
                scope,
                helper: matches!(backend, Backend::Helper(_)),
                no_agent: asking.no_agent.as_deref(),
            },
        ),
    }
}

/// Acts on one service, and says on a terminal what is being waited for.
async fn one(
    global: &Global,
    backend: &Backend,
    verb: Verb,
    service: &str,
    options: ActOptions,
    asking: &Asking,
) -> Result<ActionRecord, CallError> {
    let text = format!("{} {}", present(verb), message::plain(service));
    let mut progress = Progress::new(global, text);
    if !progress.is_shown() {
        return backend.act(verb, service, options).await;
    }
    // A prompt is not to be drawn over: it is answered once the unit begins to change.
    let mut begun = !asking.may_prompt();
    let mut watch = if begun { Watch::Blind } else { backend.watch(service).await };
    let start = Instant::now();
    let mut ticks = interval_at(start + PATIENCE, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut action = pin!(backend.act(verb, service, options));
    loop {
        tokio::select! {
            biased;
            result = &mut action => return result,
            () = watch.next() => begun = true,
            _ = ticks.tick() => if begun {
                progress.draw(start.elapsed());
            },
        }
    }
}
