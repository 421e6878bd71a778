//! `aictl gpu`: the GPUs, and who uses them.

pub mod table;

use std::{
    io::{self, IsTerminal},
    path::Path,
    time::Duration,
};

use aictl_api::{
    config::Config,
    error::CallError,
    exit,
    gpu::{GpuReport, GpuState},
    service::Scope,
};
use aictl_core::{
    gpu::{Reader, Sources, name_processes, nvml::NvmlProgram},
    helper::Helper,
};

use crate::{
    args::{Global, status::Gpu as Args},
    color::Style,
    config, message,
    runtime::{self, Stopped},
    services::system_bus,
    status,
    status::watch::{Watched, watch},
    table::{Look, paragraph},
};

/// How long the drivers may take; what they have not said by then is not known.
const LOOK_TIME: Duration = Duration::from_secs(5);
/// The kernel's processes.
const PROC: &str = "/proc";

/// Runs the command; returns the exit code.
pub fn main(global: &Global, args: &Args) -> u8 {
    let config = match config::load(global.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return message::fail(global, error.exit_code(), &error.to_string()),
    };
    let settings = match status::settings(&config) {
        Ok(settings) => settings,
        Err(error) => return message::fail(global, exit::USAGE, &error),
    };
    let mut page = Page { global, processes: args.processes, config: &config, source: None };
    match args.watch {
        Some(every) => watch(global, every.unwrap_or(settings.refresh_interval), &mut page),
        None => once(global, &mut page),
    }
}

fn once(global: &Global, page: &mut Page<'_>) -> u8 {
    let report = match runtime::run(page.look()) {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => return message::fail(global, error.exit_code(), &words(&error)),
        Err(stopped @ Stopped::Signal(_)) => return stopped.exit_code(),
        Err(stopped) => return message::fail(global, stopped.exit_code(), &stopped.to_string()),
    };
    let printed = match global.json {
        true => message::print_json(&report),
        false => message::print(&text(&report, page.processes, Look::of_stdout(global))),
    };
    match printed {
        Ok(()) => exit::OK,
        Err(error) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
    }
}

/// Why the helper does not tell, and what to do.
fn words(error: &CallError) -> String {
    let advice = match error {
        CallError::NotAuthorized(_) | CallError::InteractiveAuthorizationRequired(_) => {
            "polkit decides on org.aictl1.gpu.read; `aictl gpu --embedded` shows what your own \
             rights show"
        }
        CallError::LimitExceeded { .. } => return error.to_string(),
        _ => "`aictl doctor` says more; `aictl gpu --embedded` does without the helper",
    };
    format!("{error}; {advice}")
}

/// What is shown, once or again and again.
struct Page<'a> {
    global: &'a Global,
    processes: bool,
    config: &'a Config,
    /// Who is asked, from look to look.
    source: Option<Source>,
}

/// Who is asked.
enum Source {
    /// The helper, which sees the processes of all users on NVIDIA's GPUs; and who adds our own on
    /// others.
    Helper(Helper, Box<Reader>),
    /// The drivers themselves; with why it is not the helper, where that is odd.
    Drivers(Box<Reader>, Option<String>),
}

impl Source {
    /// The helper, where it is installed and wanted.
    ///
    /// # Errors
    /// If the bus does not say whether it is. A helper that does not answer is no reason to do
    /// without it: that shows with the first look.
    async fn find(global: &Global) -> Result<Self, CallError> {
        let reader = || Box::new(Reader::new(Sources::host(NvmlProgram::host())));
        let drivers = |why| Self::Drivers(reader(), why);
        if global.embedded {
            return Ok(drivers(None));
        }
        let connection = match system_bus().await {
            Ok(connection) => connection,
            // Where there is no bus, as in a container, there is no helper.
            Err(error) => {
                message::detail(global, error);
                let why = "the system's message bus cannot be reached, and with it no helper: the \
                           GPUs are shown as your own rights show them";
                return Ok(drivers(Some(why.to_owned())));
            }
        };
        match Helper::find(&connection).await? {
            Some(helper) => {
                let terminal = io::stdin().is_terminal() || io::stderr().is_terminal();
                Ok(Self::Helper(helper.interactive(terminal), reader()))
            }
            None => {
                message::detail(global, "no helper is installed: the drivers are asked themselves");
                Ok(drivers(None))
            }
        }
    }

    async fn look(&mut self, config: &Config) -> Result<GpuReport, CallError> {
        let (mut report, why) = match self {
            Self::Helper(helper, reader) => {
                let mut report = helper.gpus().await?;
                reader.add_own(&mut report, LOOK_TIME).await;
                (report, None)
            }
            Self::Drivers(reader, why) => (reader.read(LOOK_TIME).await, why.clone()),
        };
        name_processes(&mut report, Path::new(PROC), |owner| {
            // A user's unit may have the name of one of the machine's.
            let ours =
                config.services().by_unit(&owner.unit).filter(|_| owner.scope == Scope::System);
            ours.map(|service| service.name.to_string())
        });
        report.notes.extend(why);
        Ok(report)
    }
}

impl Watched for Page<'_> {
    type Seen = Result<GpuReport, CallError>;

    async fn look(&mut self) -> Self::Seen {
        let mut source = match self.source.take() {
            Some(source) => source,
            None => Source::find(self.global).await?,
        };
        let report = source.look(self.config).await;
        // One that failed is looked for anew.
        self.source = report.is_ok().then_some(source);
        report
    }

    fn text(&self, seen: &Self::Seen, look: Look) -> String {
        match seen {
            Ok(report) => text(report, self.processes, look),
            Err(error) => paragraph("aictl:", Style::Bad, &words(error), look),
        }
    }

    fn json(&self, seen: &Self::Seen) -> String {
        match seen {
            Ok(report) => serde_json::to_string(report).unwrap_or_default(),
            Err(error) => serde_json::json!({
                "error": { "message": words(error) }, "exit_code": error.exit_code(),
            })
            .to_string(),
        }
    }
}

/// The GPUs for people, with what runs on them if that is wanted.
fn text(report: &GpuReport, processes: bool, look: Look) -> String {
    let notes = table::notes(&report.gpus, &report.notes, look);
    if report.gpus.is_empty() {
        return look.text("No GPU was found.") + "\n" + &notes;
    }
    let mut parts = vec![table::full(&report.gpus, look)];
    if processes {
        let mut lists = report.gpus.iter().filter_map(|gpu| gpu.processes.as_ref());
        parts.push(match lists.any(|list| !list.is_empty()) {
            true => table::processes(&report.gpus, look),
            false => String::new(),
        });
        let mut said = String::new();
        for gpu in &report.gpus {
            let words = match (&gpu.processes, gpu.state) {
                (Some(list), _) if list.is_empty() && gpu.processes_hidden == Some(true) => {
                    "no process that you may see uses it"
                }
                (Some(list), _) if list.is_empty() => "no process uses it",
                (None, GpuState::Awake) => "its processes cannot be listed",
                (Some(_), _) | (None, GpuState::Sleeping | GpuState::Lost) => continue,
            };
            said += &paragraph(&format!("GPU {}:", gpu.index), Style::Plain, words, look);
        }
        parts.push(said);
    }
    parts.push(notes);
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

#[cfg(test)]
mod tests;
