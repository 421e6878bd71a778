//! `aictl status` beside what it replaces, and beside the servers that it asks.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::servers::{Answers, Manner, Server};
use super::{REST, write};
use crate::debian::{self, Need};
use crate::failure::Failure;
use crate::json;
use crate::stats::{self, Summary};
use crate::table;

/// `--guard`: the most that `aictl status` may take beyond the slowest server, in milliseconds.
/// Generous, since a loaded machine must not fail a build; the aim is 25.
const GUARD_BEYOND_SERVER: f64 = 50.0;
/// `--guard`: the most that it may take beyond the time that it gives to servers that hang. The aim
/// is 100.
const GUARD_BEYOND_TIMEOUT: f64 = 200.0;
/// The time that it gives them here: the least that can be set.
const TIMEOUT: Duration = Duration::from_millis(500);
const TIMEOUT_VARIABLE: &str = "AICTL_HTTP_TIMEOUT=500ms";
/// Each of these rounds waits for [`TIMEOUT`].
const MOST_HANGING_ROUNDS: u32 = 20;

const STATUS: &str = "aictl status, five services";
const BEYOND_SERVER: &str = "  beyond the slowest of the five servers";
const CURL: &str = "curl, once for each of the five";
const HANGING: &str = "aictl status, two of the five hang";
const BEYOND_TIMEOUT: &str = "  beyond the 500 ms that it waits for them";

static CURL_NEED: [Need; 1] = [Need { program: "curl", package: "curl" }];

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// A service: its name, what its server says, and how long that takes for each answer.
struct Service {
    name: &'static str,
    /// What a person would ask for with curl.
    path: &'static str,
    answers: Answers,
    milliseconds: u64,
}

/// The five, as their servers answer.
const SERVICES: [Service; 5] = [
    Service {
        name: "ollama",
        path: "/api/ps",
        answers: &[
            ("/", TEXT, "Ollama is running"),
            ("/api/version", JSON, r#"{"version":"0.12.6"}"#),
            ("/api/tags", JSON, r#"{"models":[{"name":"tiny:latest","size":115712}]}"#),
            ("/api/ps", JSON, r#"{"models":[]}"#),
        ],
        milliseconds: 1,
    },
    Service {
        name: "vllm",
        path: "/v1/models",
        answers: &[
            ("/health", TEXT, ""),
            ("/version", JSON, r#"{"version":"0.11.0"}"#),
            ("/v1/models", JSON, r#"{"object":"list","data":[{"id":"tiny","owned_by":"vllm"}]}"#),
            ("/metrics", TEXT, "# vllm\nvllm:num_requests_running 0.0\n"),
        ],
        milliseconds: 5,
    },
    Service {
        name: "llamacpp-python",
        path: "/v1/models",
        answers: &[
            (
                "/openapi.json",
                JSON,
                r#"{"openapi":"3.1.0","info":{"title":"🦙 llama.cpp Python API","version":"0.3.36"}}"#,
            ),
            ("/v1/models", JSON, r#"{"object":"list","data":[{"id":"tiny","owned_by":"me"}]}"#),
        ],
        milliseconds: 10,
    },
    Service {
        name: "tgi",
        path: "/info",
        answers: &[
            ("/health", TEXT, ""),
            (
                "/info",
                JSON,
                r#"{"model_id":"tiny","version":"3.3.6","max_concurrent_requests":128}"#,
            ),
            ("/v1/models", JSON, r#"{"object":"list","data":[{"id":"tiny","owned_by":"tiny"}]}"#),
        ],
        milliseconds: 20,
    },
    Service {
        name: "litellm",
        path: "/health/readiness",
        answers: &[
            ("/health/liveliness", JSON, r#""I'm alive!""#),
            ("/health/readiness", JSON, r#"{"status":"healthy","db":"Not connected"}"#),
            ("/v1/models", JSON, r#"{"data":[{"id":"tiny","owned_by":"openai"}],"object":"list"}"#),
        ],
        milliseconds: 40,
    },
];

/// What was measured: rows of samples in milliseconds.
#[derive(Debug, Default)]
pub struct Results {
    rows: Vec<(&'static str, Vec<f64>)>,
    not_measured: Vec<(&'static str, String)>,
}

/// Measures in `directory`, where it may write.
///
/// # Errors
/// A failure if `aictl status` does not see what there is.
pub fn measure(
    aictl: &Path,
    directory: &Path,
    runs: u32,
    install: bool,
) -> Result<Results, Failure> {
    let five = Five::start(directory, "healthy.toml", 0)?;
    let hanging = Five::start(directory, "hanging.toml", 2)?;
    five.prove(aictl, 5)?;
    hanging.prove(aictl, 3)?;
    let curl = debian::provide(&CURL_NEED, install);
    let curl = curl.first().map_or(Ok(()), |missing| Err(missing.to_string()));

    let (mut status, mut beyond, mut curls) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=runs {
        five.forget();
        let took = time(&mut [five.status(aictl)])?;
        let slowest = five.slowest().ok_or_else(|| failed("the servers were not asked"))?;
        let curled = match curl {
            Ok(()) => Some(time(&mut five.curls())?),
            Err(_) => None,
        };
        // The first round does not count.
        if round > 0 {
            status.push(milliseconds(took));
            beyond.push(milliseconds(took) - milliseconds(slowest));
            curls.extend(curled.map(milliseconds));
        }
    }
    let (mut waited, mut late) = (Vec::new(), Vec::new());
    for _ in 0..runs.min(MOST_HANGING_ROUNDS) {
        let took = time(&mut [hanging.status(aictl)])?;
        waited.push(milliseconds(took));
        late.push(milliseconds(took) - milliseconds(TIMEOUT));
    }
    let mut results =
        Results { rows: vec![(STATUS, status), (BEYOND_SERVER, beyond)], not_measured: Vec::new() };
    match curl {
        Ok(()) => results.rows.push((CURL, curls)),
        Err(why) => results.not_measured.push((CURL, why)),
    }
    results.rows.extend([(HANGING, waited), (BEYOND_TIMEOUT, late)]);
    let elsewhere = "only where systemd runs: `cargo xtask test machine --shipped --only beside`";
    results.not_measured.push(("systemctl show, once for each of the five", elsewhere.to_owned()));
    results.not_measured.push(("nvidia-smi", "its driver is not here".to_owned()));
    Ok(results)
}

impl Results {
    /// The table, and what is not in it.
    pub fn text(&self) -> String {
        let cells = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let mut rows = vec![cells(["", "median ms", "p95 ms", "min ms"])];
        for (name, samples) in &self.rows {
            if let Some(Summary { median, p95, min }) = stats::summary(samples) {
                let ms = |value: f64| format!("{value:.2}");
                rows.push(cells([name, &ms(median), &ms(p95), &ms(min)]));
            }
        }
        let mut text = table::render(&rows);
        if let Some(ratio) = self.over_curl() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n{STATUS}: {ratio:.2} x the time of {CURL}");
        }
        for (name, why) in &self.not_measured {
            let _ = writeln!(text, "{name}: not measured: {why}");
        }
        text
    }

    /// The rows as a JSON array.
    pub fn json(&self) -> String {
        let row = |(name, samples): &(&str, Vec<f64>)| {
            let Summary { median, p95, min } = stats::summary(samples)?;
            Some(format!(
                r#"{{"name":{},"median_ms":{},"p95_ms":{},"min_ms":{}}}"#,
                json::string(name.trim_start()),
                json::number(median),
                json::number(p95),
                json::number(min)
            ))
        };
        format!("[{}]", self.rows.iter().filter_map(row).collect::<Vec<_>>().join(","))
    }

    /// What the guard has to say.
    pub fn guard(&self) -> Vec<String> {
        let judge = |name: &str, limit: f64| match self.median(name) {
            None => Some(format!("no time for `{}`", name.trim_start())),
            Some(ms) if ms > limit => Some(format!(
                "aictl status takes {ms:.0} ms {}; at most {limit} is allowed",
                name.trim_start()
            )),
            Some(_) => None,
        };
        let server = judge(BEYOND_SERVER, GUARD_BEYOND_SERVER);
        server.into_iter().chain(judge(BEYOND_TIMEOUT, GUARD_BEYOND_TIMEOUT)).collect()
    }

    fn samples(&self, name: &str) -> Option<&[f64]> {
        self.rows.iter().find(|(row, _)| *row == name).map(|(_, samples)| samples.as_slice())
    }

    fn median(&self, name: &str) -> Option<f64> {
        stats::summary(self.samples(name)?).map(|summary| summary.median)
    }

    fn over_curl(&self) -> Option<f64> {
        stats::paired_ratio(self.samples(STATUS)?, self.samples(CURL)?)
    }
}

/// Five servers, and a configuration that names their addresses.
struct Five {
    servers: Vec<Server>,
    config: String,
}

impl Five {
    /// Starts them; the last `hanging` of them never answer.
    fn start(directory: &Path, file: &str, hanging: usize) -> Result<Self, Failure> {
        let mut text = String::new();
        let mut servers = Vec::new();
        for (number, service) in SERVICES.iter().enumerate() {
            let delay = Duration::from_millis(service.milliseconds);
            let hangs = number + hanging >= SERVICES.len();
            let manner = if hangs { Manner::Never } else { Manner::After(delay) };
            let server = Server::start(service.answers, manner)
                .map_err(|error| failed(&format!("no server can be started: {error}")))?;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "[services.{}]\nendpoint = \"http://{}\"",
                service.name, server.address
            );
            servers.push(server);
        }
        let config = directory.join(file);
        write(&config, &text)?;
        Ok(Self { servers, config: config.display().to_string() })
    }

    /// The command that is timed.
    fn status(&self, aictl: &Path) -> Command {
        let mut command = plain("env");
        command.arg(TIMEOUT_VARIABLE).arg(aictl).args(["status", "--embedded", "--json"]);
        command.args(["--config", &self.config]).args(SERVICES.map(|service| service.name));
        command
    }

    /// What a person would type instead.
    fn curls(&self) -> Vec<Command> {
        let curl = |(server, service): (&Server, &Service)| {
            let mut command = plain("curl");
            command.args(["--silent", "--show-error", "--fail", "--max-time", "3"]);
            command.arg(format!("http://{}{}", server.address, service.path));
            command
        };
        self.servers.iter().zip(&SERVICES).map(curl).collect()
    }

    /// That `aictl status` sees so many servers that are well.
    fn prove(&self, aictl: &Path, well: usize) -> Result<(), Failure> {
        let mut command = self.status(aictl);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = output.map_err(|error| failed(&error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let seen = text.lines().filter(|line| line.trim() == r#""health": "active","#).count();
        let compact = text.matches(r#""health":"active""#).count();
        if seen.max(compact) == well {
            return Ok(());
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(failed(&format!("it was to see {well} servers that are well: {text}{errors}")))
    }

    fn forget(&self) {
        for server in &self.servers {
            let _busy = server.take_busy();
        }
    }

    /// How long the slowest was asked.
    fn slowest(&self) -> Option<Duration> {
        self.servers.iter().filter_map(Server::take_busy).max()
    }
}

/// A command with nothing of our environment.
fn plain(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs the commands one after the other: from before the start of the first to the end of the
/// last.
fn time(commands: &mut [Command]) -> Result<Duration, Failure> {
    std::thread::sleep(REST);
    let start = Instant::now();
    for command in commands {
        let status = command.status().map_err(|error| failed(&error.to_string()))?;
        if !status.success() {
            return Err(failed(&format!("{command:?} ended with {status}")));
        }
    }
    Ok(start.elapsed())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn failed(why: &str) -> Failure {
    Failure::Row { row: STATUS, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(beyond: f64, late: f64) -> Results {
        Results {
            rows: vec![
                (STATUS, vec![50.0, 60.0, 50.0]),
                (BEYOND_SERVER, vec![beyond]),
                (CURL, vec![100.0, 100.0, 100.0]),
                (BEYOND_TIMEOUT, vec![late]),
            ],
            not_measured: vec![("x", "absent".to_owned())],
        }
    }

    #[test]
    fn the_table_and_the_json() {
        let results = results(8.0, 20.0);
        assert_eq!(
            results.text(),
            "                                            median ms  p95 ms  min ms
aictl status, five services                     50.00   60.00   50.00
  beyond the slowest of the five servers         8.00    8.00    8.00
curl, once for each of the five                100.00  100.00  100.00
  beyond the 500 ms that it waits for them      20.00   20.00   20.00

aictl status, five services: 0.50 x the time of curl, once for each of the five
x: not measured: absent
"
        );
        let json = results.json();
        assert!(json.starts_with(r#"[{"name":"aictl status, five services","median_ms":50.000"#));
    }

    #[test]
    fn the_guard() {
        for (beyond, late, breaches) in
            [(25.0, 100.0, 0), (101.0, 100.0, 1), (25.0, 401.0, 1), (500.0, 500.0, 2)]
        {
            let got = results(beyond, late).guard();
            assert_eq!(got.len(), breaches, "{beyond} {late}: {got:?}");
        }
        // What was not measured was not guarded.
        assert_eq!(Results::default().guard().len(), 2);
    }
}
