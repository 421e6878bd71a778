//! What shows only between two looks: drivers count energy and idle time, and never say how much
//! there is of it now.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    pci::Address,
    value::{self, float},
};

/// The counters have steps of about a millisecond: over less than this, they tell nothing.
const SHORTEST: Duration = Duration::from_millis(100);

/// What the counters of a GPU were at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Energy used up so far, in millionths of a joule.
    pub(super) energy: Option<u64>,
    /// Time that each of its parts has slept so far, in milliseconds.
    pub(super) idle: BTreeMap<String, u64>,
}

/// What two looks at a GPU show together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Between {
    /// The power drawn on average, in watts.
    pub(super) watts: Option<f64>,
    /// How much of the time its busiest part was awake, in percent.
    pub(super) busy: Option<f64>,
}

/// The last look at each GPU.
#[derive(Debug, Default)]
pub(super) struct Looks(BTreeMap<Address, (Instant, Counters)>);

impl Looks {
    /// What shows since the look before, which this one takes the place of; nothing at first.
    pub(super) fn next(&mut self, gpu: Address, now: Instant, counters: Counters) -> Between {
        match self.0.get(&gpu) {
            Some((before, _)) if now.saturating_duration_since(*before) < SHORTEST => {
                Between::default()
            }
            before => {
                let between = before.map(|(then, before)| {
                    between(before, &counters, now.saturating_duration_since(*then))
                });
                self.0.insert(gpu, (now, counters));
                between.unwrap_or_default()
            }
        }
    }

    /// Forgets a GPU: it sleeps or is gone, and then its counters may begin anew.
    pub(super) fn forget(&mut self, gpu: Address) {
        self.0.remove(&gpu);
    }
}

fn between(before: &Counters, after: &Counters, time: Duration) -> Between {
    // A counter that went back began anew.
    let energy = || after.energy?.checked_sub(before.energy?);
    let awake = |(part, idle): (&String, &u64)| {
        let idle = idle.checked_sub(*before.idle.get(part)?)?;
        // Both clocks have their steps: a part can seem to have slept longer than there was time.
        let share = float(idle) / (time.as_secs_f64() * 1e3);
        Some((1.0 - share).clamp(0.0, 1.0) * 100.0)
    };
    Between {
        watts: energy().and_then(|energy| {
            let seconds = time.as_secs_f64();
            value::plausible_watts(float(energy) / 1e6 / seconds)
        }),
        busy: after.idle.iter().filter_map(awake).reduce(f64::max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: Address = Address { domain: 0, bus: 3, device: 0, function: 0 };

    fn counters(energy: Option<u64>, idle: &[(&str, u64)]) -> Counters {
        let idle = idle.iter().map(|(part, time)| ((*part).to_owned(), *time)).collect();
        Counters { energy, idle }
    }

    #[test]
    fn two_looks_show_power_and_use() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut looks = Looks::default();
        let mut look = |time, energy, idle: &[(&str, u64)]| {
            let between = looks.next(GPU, at(time), counters(energy, idle));
            (between.watts, between.busy)
        };
        assert_eq!(look(0, Some(1_000_000), &[("gt0", 10), ("gt1", 500)]), (None, None));
        // 100 J and 0.5 s of sleep in 2 s; the other part slept all the time.
        assert_eq!(
            look(2000, Some(101_000_000), &[("gt0", 510), ("gt1", 2500)]),
            (Some(50.0), Some(75.0))
        );
        // Too soon: the look does not count.
        assert_eq!(look(2050, Some(900_000_000), &[("gt0", 510)]), (None, None));
        assert_eq!(look(3000, Some(101_000_000), &[("gt0", 1600)]), (Some(0.0), Some(0.0)));
        // Begun anew, not there, and there again.
        assert_eq!(look(4000, Some(5), &[("gt0", 3)]), (None, None));
        assert_eq!(look(5000, None, &[]), (None, None));
        assert_eq!(look(6000, Some(7), &[("gt0", 4)]), (None, None));
        assert_eq!(look(7000, Some(3_000_007), &[("gt0", 4)]), (Some(3.0), Some(100.0)));
        // More than there can be.
        assert_eq!(look(8000, Some(u64::MAX), &[("gt0", u64::MAX)]), (None, Some(0.0)));
    }

    #[test]
    fn each_gpu_has_looks_of_its_own() {
        let start = Instant::now();
        let mut looks = Looks::default();
        let other = Address { bus: 4, ..GPU };
        assert_eq!(looks.next(GPU, start, counters(Some(0), &[])), Between::default());
        let later = start + Duration::from_secs(1);
        assert_eq!(looks.next(other, later, counters(Some(9), &[])), Between::default());
        looks.forget(GPU);
        assert_eq!(looks.next(GPU, later, counters(Some(9), &[])), Between::default());
    }
}
