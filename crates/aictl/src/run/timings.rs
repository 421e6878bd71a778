//! `aictl run --timings`: where the time of a run went, part by part.
//!
//! Every process measures its own parts, by the kernel's clock that never goes back, and tells
//! durations. What lies between them is what is left of the whole: so the parts add up to it.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use aictl_api::{record::RunTimes, run::RunTimings};
use nix::time::{ClockId, clock_gettime};

/// When this process began its work.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    begun: Instant,
    start: Option<Duration>,
}

impl Clock {
    /// Starts the clock: at the very begin of `main`.
    #[must_use]
    pub fn start() -> Self {
        // The start of a process is told to a hundredth of a second, which is of no use here. Until
        // `main` it waits for nothing but its own pages: the CPU time is as good as the time.
        let start = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok().map(Duration::from);
        Self { begun: Instant::now(), start }
    }
}

/// The moments in the life of a run, as this process sees them, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Moments {
    /// All is read that says what is to be run.
    pub prepared: Instant,
    /// There is a connection to the helper; `None` without a helper.
    pub connected: Option<Instant>,
    /// The record of the run is here.
    pub ended: Instant,
    /// All of its output is written.
    pub written: Instant,
}

/// Works out the parts, of what is known: `wall_us` and `times` are told by those who made the run.
#[must_use]
pub fn parts(clock: &Clock, moments: &Moments, wall_us: u64, times: RunTimes) -> RunTimings {
    let Moments { prepared, connected, ended, written } = *moments;
    let between = |from: Instant, to: Instant| micros(to.saturating_duration_since(from));
    let run = times.start_usec.map(|start| wall_us.saturating_sub(start));
    let helped = connected.map(|connected| between(connected, ended));
    let told = [times.authorised_usec, times.queued_usec, times.engine_usec];
    let told = told.into_iter().try_fold(0_u64, |sum, part| Some(sum.saturating_add(part?)));
    RunTimings {
        start_usec: clock.start.map(micros),
        arguments_usec: Some(between(clock.begun, prepared)),
        connection_usec: connected.map(|connected| between(prepared, connected)),
        authorisation_usec: times.authorised_usec,
        queue_usec: times.queued_usec,
        helper_usec: helped.zip(told).map(|(all, told)| all.saturating_sub(told)),
        handover_usec: times.engine_usec.map(|engine| engine.saturating_sub(wall_us)),
        sandbox_usec: match connected {
            Some(_) => times.start_usec,
            None => run.map(|run| between(prepared, ended).saturating_sub(run)),
        },
        run_usec: run,
        output_usec: Some(between(ended, written)),
        total_usec: clock
            .start
            .map(|start| micros(start).saturating_add(between(clock.begun, written))),
    }
}

/// The parts as a table, a line each.
#[must_use]
pub fn table(timings: &RunTimings) -> String {
    let lines = [
        ("start of aictl", timings.start_usec),
        ("command line, configuration, script", timings.arguments_usec),
        ("connection to the helper", timings.connection_usec),
        ("authorisation", timings.authorisation_usec),
        ("waiting for its turn", timings.queue_usec),
        ("helper: messages and records", timings.helper_usec),
        ("hand-over to the sandboxes", timings.handover_usec),
        ("start of the sandbox", timings.sandbox_usec),
        ("run", timings.run_usec),
        ("last output", timings.output_usec),
        ("total", timings.total_usec),
    ];
    let mut text = String::from("where the time went, in ms");
    for (name, micros) in lines {
        // What there was not on this way has no line.
        if let Some(micros) = micros {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {name:<36}{:>7}.{:03}", micros / 1000, micros % 1000);
        }
    }
    text
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begun: Instant, micros: u64) -> Instant {
        begun + Duration::from_micros(micros)
    }

    fn clock() -> Clock {
        Clock { begun: Instant::now(), start: Some(Duration::from_micros(400)) }
    }

    /// All parts but the whole.
    fn sum(timings: &RunTimings) -> u64 {
        let RunTimings {
            start_usec,
            arguments_usec,
            connection_usec,
            authorisation_usec,
            queue_usec,
            helper_usec,
            handover_usec,
            sandbox_usec,
            run_usec,
            output_usec,
            total_usec: _,
        } = *timings;
        let parts = [
            start_usec,
            arguments_usec,
            connection_usec,
            authorisation_usec,
            queue_usec,
            helper_usec,
            handover_usec,
            sandbox_usec,
            run_usec,
            output_usec,
        ];
        parts.into_iter().flatten().sum()
    }

    #[test]
    fn through_the_helper_the_parts_add_up_to_the_whole() {
        let clock = clock();
        let moments = Moments {
            prepared: at(clock.begun, 100),
            connected: Some(at(clock.begun, 300)),
            ended: at(clock.begun, 5_300),
            written: at(clock.begun, 5_350),
        };
        let times = RunTimes {
            authorised_usec: Some(600),
            queued_usec: Some(7),
            engine_usec: Some(4_000),
            start_usec: Some(1_000),
        };
        let timings = parts(&clock, &moments, 3_800, times);
        assert_eq!(
            timings,
            RunTimings {
                start_usec: Some(400),
                arguments_usec: Some(100),
                connection_usec: Some(200),
                authorisation_usec: Some(600),
                queue_usec: Some(7),
                helper_usec: Some(393),
                handover_usec: Some(200),
                sandbox_usec: Some(1_000),
                run_usec: Some(2_800),
                output_usec: Some(50),
                total_usec: Some(5_750),
            }
        );
        assert_eq!(Some(sum(&timings)), timings.total_usec);
    }

    #[test]
    fn without_a_helper_there_are_fewer_parts_which_add_up_too() {
        let clock = clock();
        let moments = Moments {
            prepared: at(clock.begun, 100),
            connected: None,
            ended: at(clock.begun, 5_100),
            written: at(clock.begun, 5_100),
        };
        let times = RunTimes { start_usec: Some(700), ..RunTimes::default() };
        let timings = parts(&clock, &moments, 4_700, times);
        assert_eq!(timings.sandbox_usec, Some(1_000), "with what was done before its clock began");
        assert_eq!(timings.run_usec, Some(4_000));
        assert_eq!([timings.connection_usec, timings.helper_usec, timings.queue_usec], [None; 3]);
        assert_eq!(Some(sum(&timings)), timings.total_usec);
        let table = table(&timings);
        assert!(table.contains("\n  run                                       4.000\n"), "{table}");
        assert!(table.ends_with("\n  total                                     5.500"), "{table}");
        assert!(!table.contains("helper"), "{table}");
    }

    #[test]
    fn what_others_do_not_tell_is_unknown_and_nothing_that_they_tell_overflows() {
        let clock = clock();
        let moments = Moments {
            prepared: clock.begun,
            connected: Some(clock.begun),
            ended: clock.begun,
            written: clock.begun,
        };
        let timings = parts(&clock, &moments, 1, RunTimes::default());
        for part in [timings.run_usec, timings.sandbox_usec, timings.helper_usec] {
            assert_eq!(part, None);
        }
        let most = Some(u64::MAX);
        let times = RunTimes {
            authorised_usec: most,
            queued_usec: most,
            engine_usec: most,
            start_usec: most,
        };
        let timings = parts(&clock, &moments, u64::MAX, times);
        assert_eq!((timings.run_usec, timings.helper_usec), (Some(0), Some(0)));
        assert!(table(&timings).lines().count() > 5);
    }
}
