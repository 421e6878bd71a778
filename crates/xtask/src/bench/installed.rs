//! What is measured of the installed helper, inside of a machine that is booted for it: the sections
//! are in `tests/bench/root`, and what they print is read here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Stdio;

use crate::failure::Failure;
use crate::json;
use crate::machine::{self, Machine};
use crate::stats::{self, Summary};
use crate::table;
use crate::workspace::Workspace;

/// Runs a section inside of the machine.
const MEASURE: [&str; 3] = ["python3", "-I", "/usr/local/lib/bench/measure.py"];
/// At the machine's own screen and keyboard, whom polkit lets have scripts run: as in
/// tests/machine/machine.rs.
const AT_THE_DESK: [&str; 10] = [
    "systemd-run",
    "--quiet",
    "--pipe",
    "--wait",
    "--collect",
    "--uid=anna",
    "--property=PAMName=login",
    "--setenv=XDG_SEAT=seat0",
    "--setenv=XDG_SESSION_TYPE=tty",
    "--",
];

/// Who runs a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    AnnaAtTheDesk,
    Root,
}

/// How often, how many, or for how many seconds.
#[derive(Debug, Clone, Copy)]
enum Count {
    /// As often as the user says.
    Rounds,
    Of(u32),
}

/// A part of a section.
#[derive(Debug)]
struct Step {
    who: Who,
    /// What `measure.py` calls it.
    name: &'static str,
    count: Count,
    /// What its figures' names begin with here.
    prefix: &'static str,
}

/// What is measured together.
#[derive(Debug)]
pub struct Section {
    /// Its name on the command line, and in JSON.
    pub name: &'static str,
    /// What it is, in the table.
    about: &'static str,
    steps: &'static [Step],
    /// Whether its rows were timed in turns, and the first is what the others are compared with.
    in_turns: bool,
    guards: &'static [Guard],
}

/// The most or the least that a section may come to: wide, to catch a real loss and not a busy
/// minute.
#[derive(Debug)]
struct Guard {
    of: Of,
    limit: Limit,
}

/// What a guard looks at.
#[derive(Debug)]
enum Of {
    /// A row, as a multiple of the first one.
    Row(&'static str),
    /// A figure.
    Figure(&'static str),
    /// A figure, as a multiple of another one.
    Quotient(&'static str, &'static str),
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

use Count::{Of as Fixed, Rounds};
use Limit::{AtLeast, AtMost};
use Who::{AnnaAtTheDesk, Root};

const fn step(who: Who, name: &'static str, count: Count) -> Step {
    Step { who, name, count, prefix: "" }
}

/// All sections, in the order in which they are measured.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "warm",
        about: "aictl run through the helper, beside bare Python and others",
        steps: &[step(AnnaAtTheDesk, "warm", Rounds)],
        in_turns: true,
        guards: &[
            Guard { of: Of::Row("aictl run"), limit: AtMost(1.8) },
            // Of at least as many runs: whatever else fails to be warm goes on, cold.
            Guard { of: Of::Figure("started_warm"), limit: AtLeast(10.0) },
        ],
    },
    Section {
        name: "imports",
        about: "the same for a script that imports json, re, datetime, collections, dataclasses",
        steps: &[step(AnnaAtTheDesk, "imports", Rounds)],
        in_turns: true,
        guards: &[Guard { of: Of::Row("aictl run"), limit: AtMost(1.8) }],
    },
    Section {
        name: "throughput",
        about: "runs a second, of 1, 2, 4 and 16 clients at one time",
        steps: &[step(AnnaAtTheDesk, "throughput", Fixed(4))],
        in_turns: false,
        guards: &[Guard {
            of: Of::Quotient("aictl_runs_a_second_4", "bare_runs_a_second_4"),
            limit: AtLeast(0.3),
        }],
    },
    Section {
        name: "long",
        about: "10,000 runs in a row, two at one time",
        steps: &[
            Step { prefix: "before_", ..step(Root, "memory", Fixed(1)) },
            step(AnnaAtTheDesk, "long", Fixed(10_000)),
            Step { prefix: "after_", ..step(Root, "memory", Fixed(1)) },
        ],
        in_turns: false,
        guards: &[
            Guard { of: Of::Figure("last_tenth_over_first"), limit: AtLeast(0.6) },
            Guard {
                of: Of::Quotient("after_sandboxd_alone_kib", "before_sandboxd_alone_kib"),
                limit: AtMost(1.5),
            },
        ],
    },
    Section {
        name: "queue",
        about: "200 runs at once; the bus lets one user have 256 connections",
        steps: &[step(AnnaAtTheDesk, "queue", Fixed(200))],
        in_turns: false,
        guards: &[Guard { of: Of::Figure("failed"), limit: AtMost(0.0) }],
    },
    Section {
        name: "ten",
        about: "runs of nine users, alone and at once, without and beside a tenth's thousand",
        steps: &[step(Root, "ten", Fixed(10))],
        in_turns: false,
        guards: &[
            Guard {
                of: Of::Quotient("one_beside_the_flood_p95_ms", "lone_p95_ms"),
                limit: AtMost(2.0),
            },
            Guard {
                of: Of::Quotient("nine_beside_the_flood_p95_ms", "lone_p95_ms"),
                limit: AtMost(2.0),
            },
            // There was a flood, from before the others came until they had gone.
            Guard { of: Of::Figure("flood_accepted"), limit: AtLeast(1000.0) },
            Guard { of: Of::Figure("still_waiting_at_the_end"), limit: AtLeast(1.0) },
            Guard {
                of: Of::Quotient("nine_beside_the_flood_p95_ms", "nine_p95_ms"),
                limit: AtMost(2.0),
            },
        ],
    },
    Section {
        name: "unit",
        about: "stop and start of a unit, as root",
        steps: &[step(Root, "unit", Rounds)],
        in_turns: true,
        guards: &[Guard { of: Of::Row("aictl stop, start"), limit: AtMost(4.0) }],
    },
    Section {
        name: "first",
        about: "the first run after the helper has gone, as root, and the next",
        steps: &[step(Root, "first", Fixed(10))],
        in_turns: true,
        guards: &[Guard { of: Of::Row("the first run"), limit: AtMost(40.0) }],
    },
    Section {
        name: "memory",
        about: "memory after a run, in KiB (PSS)",
        steps: &[step(Root, "memory", Fixed(1))],
        in_turns: false,
        guards: &[Guard { of: Of::Figure("sandboxd_kib"), limit: AtMost(45_000.0) }],
    },
    Section {
        name: "idle",
        about: "what a minute without a call costs",
        steps: &[step(Root, "idle", Fixed(60))],
        in_turns: false,
        guards: &[Guard { of: Of::Figure("cpu_ms_an_hour"), limit: AtMost(2_000.0) }],
    },
];

/// What a section has come to.
#[derive(Debug, Default, PartialEq)]
pub struct Measured {
    /// Each row's milliseconds, in their order.
    rows: Vec<(String, Vec<f64>)>,
    /// The numbers of their own.
    figures: Vec<(String, f64)>,
    /// What was not measured, and why.
    notes: Vec<String>,
}

/// All sections that were measured.
#[derive(Debug, Default)]
pub struct Results(Vec<(&'static Section, Measured)>);

/// Boots a machine with everything installed as it is shipped, and measures the sections of these
/// names.
///
/// # Errors
/// A failure if there is no machine, or if a section fails.
pub fn measure(workspace: &Workspace, names: &[&str], runs: u32) -> Result<Results, Failure> {
    let wanted = SECTIONS.iter().filter(|section| names.contains(&section.name));
    let wanted: Vec<&'static Section> = wanted.collect();
    machine::use_for_bench(workspace, |machine| {
        let measured = wanted.iter().map(|section| {
            eprintln!("measuring: {}", section.about);
            Ok((*section, of_section(machine, section, runs)?))
        });
        measured.collect::<Result<_, _>>().map(Results)
    })
}

fn of_section(machine: &Machine, section: &Section, runs: u32) -> Result<Measured, Failure> {
    let mut measured = Measured::default();
    for step in section.steps {
        let count = match step.count {
            Rounds => runs,
            Fixed(count) => count,
        };
        let count = count.to_string();
        let words = [&MEASURE[..], &[step.name, &count]].concat();
        let argv = match step.who {
            AnnaAtTheDesk => [&AT_THE_DESK[..], &words].concat(),
            Root => words,
        };
        let mut command = machine.command(&argv);
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command
            .output()
            .map_err(|source| Failure::Start { program: "nsenter".to_owned(), source })?;
        if !output.status.success() {
            let what = format!("the bench's section {} failed: {}", section.name, output.status);
            return Err(Failure::Machine(what));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        measured.take(&text, step.prefix).map_err(|line| {
            Failure::Machine(format!("the section {} printed {line:?}", section.name))
        })?;
    }
    Ok(measured)
}

impl Measured {
    /// Reads what a step has printed; the error is the line that cannot be read.
    fn take(&mut self, text: &str, prefix: &str) -> Result<(), String> {
        for line in text.lines() {
            let wrong = |_| line.to_owned();
            match *line.splitn(3, '\t').collect::<Vec<_>>().as_slice() {
                ["row", name, samples] => {
                    let samples = samples.split_whitespace().map(str::parse);
                    let samples: Vec<f64> = samples.collect::<Result<_, _>>().map_err(wrong)?;
                    self.rows.push((format!("{prefix}{name}"), samples));
                }
                ["figure", key, value] => {
                    let value: f64 = value.trim().parse().map_err(wrong)?;
                    self.figures.push((format!("{prefix}{key}"), value));
                }
                ["note", what] => self.notes.push(what.to_owned()),
                _ => return Err(line.to_owned()),
            }
        }
        Ok(())
    }

    fn figure(&self, key: &str) -> Option<f64> {
        self.figures.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// A row as a multiple of the first, round by round.
    fn over_first(&self, name: &str) -> Option<f64> {
        let (_, first) = self.rows.first()?;
        let (_, samples) = self.rows.iter().find(|(row, _)| row == name)?;
        (samples.len() == first.len()).then(|| stats::paired_ratio(samples, first)).flatten()
    }

    fn value(&self, of: &Of) -> Option<f64> {
        match of {
            Of::Row(name) => self.over_first(name),
            Of::Figure(key) => self.figure(key),
            Of::Quotient(key, over) => Some(self.figure(key)? / self.figure(over)?),
        }
    }

    fn text(&self, section: &Section) -> String {
        let cells = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let mut text = format!("{}: {}\n", section.name, section.about);
        let mut rows = Vec::new();
        if !self.rows.is_empty() {
            rows.push(cells(&["", "median ms", "p95 ms", "p99 ms", "min ms", "x first"]));
        }
        for (name, samples) in &self.rows {
            let Some(Summary { median, p95, min }) = stats::summary(samples) else { continue };
            let p99 = stats::percentile(samples, 99).unwrap_or(f64::NAN);
            let ratio = self.over_first(name).filter(|_| section.in_turns);
            let ms = |value: f64| format!("{value:.2}");
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}"));
            rows.push(cells(&[name, &ms(median), &ms(p95), &ms(p99), &ms(min), &ratio]));
        }
        text += &table::render(&rows);
        let figures = self.figures.iter().map(|(key, value)| {
            let value = format!("{value:.3}");
            let value = value.trim_end_matches('0').trim_end_matches('.');
            cells(&[&key.replace('_', " "), value])
        });
        text += &table::render(&figures.collect::<Vec<_>>());
        for note in &self.notes {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "not measured: {note}");
        }
        text
    }

    fn json(&self, section: &Section) -> String {
        let rows = self.rows.iter().filter_map(|(name, samples)| {
            let Summary { median, p95, min } = stats::summary(samples)?;
            let ratio = self.over_first(name).filter(|_| section.in_turns);
            Some(format!(
                r#"{{"name":{},"median_ms":{},"p95_ms":{},"p99_ms":{},"min_ms":{},"ratio_to_first":{}}}"#,
                json::string(name),
                json::number(median),
                json::number(p95),
                json::number(stats::percentile(samples, 99)?),
                json::number(min),
                json::number(ratio.unwrap_or(f64::NAN)),
            ))
        });
        let rows: Vec<String> = rows.collect();
        let figures: BTreeMap<&str, f64> =
            self.figures.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let figures: Vec<String> = figures
            .iter()
            .map(|(key, value)| format!("{}:{}", json::string(key), json::number(*value)))
            .collect();
        let notes: Vec<String> = self.notes.iter().map(|note| json::string(note)).collect();
        format!(
            r#"{{"rows":[{}],"figures":{{{}}},"not_measured":[{}]}}"#,
            rows.join(","),
            figures.join(","),
            notes.join(",")
        )
    }

    /// What the guards of its section have to say against it.
    fn guard(&self, section: &Section) -> Vec<String> {
        let judge = |Guard { of, limit }: &Guard| {
            let what = match of {
                Of::Row(name) => format!("{name}, as a multiple of the first row"),
                Of::Figure(key) => key.replace('_', " "),
                Of::Quotient(key, over) => format!("{key} over {over}").replace('_', " "),
            };
            let (is_good, bound): (fn(f64, f64) -> bool, _) = match limit {
                AtMost(_) => (|value, limit| value <= limit, "at most"),
                AtLeast(_) => (|value, limit| value >= limit, "at least"),
            };
            let (AtMost(limit) | AtLeast(limit)) = *limit;
            match self.value(of) {
                // A guard that has not looked must not pass.
                None => Some(format!("{}: {what}: not measured", section.name)),
                Some(value) if !is_good(value, limit) => Some(format!(
                    "{}: {what}: {value:.3}, which has to be {bound} {limit}",
                    section.name
                )),
                Some(_) => None,
            }
        };
        section.guards.iter().filter_map(judge).collect()
    }
}

impl Results {
    /// The tables.
    pub fn text(&self) -> String {
        let texts = self.0.iter().map(|(section, measured)| measured.text(section));
        texts.collect::<Vec<_>>().join("\n")
    }

    /// One JSON object, a field for each section.
    pub fn json(&self) -> String {
        let sections = self.0.iter().map(|(section, measured)| {
            format!("{}:{}", json::string(section.name), measured.json(section))
        });
        format!("{{{}}}", sections.collect::<Vec<_>>().join(","))
    }

    /// What the guards have to say.
    pub fn guard(&self) -> Vec<String> {
        self.0.iter().flat_map(|(section, measured)| measured.guard(section)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "row\tbare\t10.0 20.0 10.0\nrow\taictl run\t4 8 5\nfigure\tfast\t2.5\n\
                          figure\tslow\t5\nnote\tnsjail: it is not installed\n";

    fn measured() -> Measured {
        let mut measured = Measured::default();
        measured.take(OUTPUT, "").unwrap();
        measured
    }

    fn section(guards: &'static [Guard]) -> Section {
        Section { name: "s", about: "about", steps: &[], in_turns: true, guards }
    }

    #[test]
    fn what_a_step_prints_is_read_and_shown() {
        let text = measured().text(&section(&[]));
        assert_eq!(
            text,
            "s: about
           median ms  p95 ms  p99 ms  min ms  x first
bare           10.00   20.00   20.00   10.00    1.000
aictl run       5.00    8.00    8.00    4.00    0.400
fast  2.5
slow    5
not measured: nsjail: it is not installed
"
        );
        assert_eq!(Results(vec![]).json(), "{}", "and of nothing there is nothing");
        assert!(measured().json(&section(&[])).starts_with(
            r#"{"rows":[{"name":"bare","median_ms":10.000,"p95_ms":20.000,"p99_ms":20.000,"min_ms":10.000,"ratio_to_first":1.000}"#
        ));
        for wrong in ["row\tx", "row\tx\tfast", "figure\tx\t", "odd"] {
            assert_eq!(Measured::default().take(wrong, ""), Err(wrong.to_owned()));
        }
    }

    #[test]
    fn a_guard_says_what_is_over_and_what_it_has_not_seen() {
        const GOOD: &[Guard] = &[
            Guard { of: Of::Row("aictl run"), limit: AtMost(0.4) },
            Guard { of: Of::Figure("fast"), limit: AtLeast(2.5) },
            Guard { of: Of::Quotient("slow", "fast"), limit: AtMost(2.0) },
        ];
        const BAD: &[Guard] = &[
            Guard { of: Of::Row("aictl run"), limit: AtMost(0.39) },
            Guard { of: Of::Figure("fast"), limit: AtLeast(2.6) },
            Guard { of: Of::Quotient("slow", "fast"), limit: AtMost(1.9) },
            Guard { of: Of::Row("no such row"), limit: AtMost(9.0) },
            Guard { of: Of::Figure("no such figure"), limit: AtLeast(0.0) },
        ];
        assert_eq!(measured().guard(&section(GOOD)), Vec::<String>::new());
        let said = measured().guard(&section(BAD));
        assert_eq!(said.len(), BAD.len(), "{said:#?}");
        assert!(said[0].contains("0.400") && said[0].contains("at most 0.39"), "{said:#?}");
        assert!(said[3].ends_with("not measured"), "{said:#?}");
    }

    /// A section in which this is worth so much.
    fn measured_as(of: &Of, value: f64) -> Measured {
        let mut measured = Measured::default();
        match of {
            Of::Row(name) => {
                let row = |name: &str, value| (name.to_owned(), vec![value]);
                measured.rows = vec![row("the first", 1.0), row(name, value)];
            }
            Of::Figure(key) => measured.figures = vec![((*key).to_owned(), value)],
            Of::Quotient(key, over) => {
                let figure = |key: &str, value| (key.to_owned(), value);
                measured.figures = vec![figure(key, value), figure(over, 1.0)];
            }
        }
        measured
    }

    #[test]
    fn each_guard_lets_its_limit_pass_and_nothing_beyond() {
        for section in SECTIONS {
            for guard in section.guards {
                let (limit, beyond) = match guard.limit {
                    AtMost(limit) => (limit, limit + 0.01),
                    AtLeast(limit) => (limit, limit - 0.01),
                };
                let said = |value| {
                    let said = measured_as(&guard.of, value).guard(section);
                    said.iter().filter(|line| !line.ends_with("not measured")).count()
                };
                assert_eq!((said(limit), said(beyond)), (0, 1), "{guard:?}");
            }
        }
    }

    #[test]
    fn sections_have_names_of_their_own_and_each_has_a_guard() {
        for section in SECTIONS {
            assert_eq!(SECTIONS.iter().filter(|other| other.name == section.name).count(), 1);
            assert!(!section.guards.is_empty() && !section.steps.is_empty(), "{}", section.name);
        }
    }
}
