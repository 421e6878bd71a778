//! What the keeper of the warm interpreters does next: a decision, made from what it sees.

use std::time::Duration;

/// Without a run for so long, none waits any more.
pub const IDLE: Duration = Duration::from_secs(600);
/// After word that memory is short, none is started for so long.
pub const PRESSURE: Duration = Duration::from_secs(30);
/// A template whose copies nobody has needed for so long ends.
pub const TEMPLATE_IDLE: Duration = Duration::from_secs(60);
/// A burst of runs is over when none has needed a copy for so long.
pub const BURST: Duration = Duration::from_secs(1);
/// How many copies are made in advance in a burst: a run need not wait for its own to be made.
pub const SPARE: usize = 2;
/// Copies share the layout of their address space and their hash seed: no more than so many do.
pub const COPIES: u32 = 1000;
/// While runs come faster than this one after the other, the machine is left to them.
pub const CALM: Duration = Duration::from_millis(40);
/// How long after the first failure it is tried again; each time twice as long.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// How long at the most.
const RETRY_MOST: Duration = Duration::from_secs(120);

/// What the keeper sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// How many are to wait.
    pub wanted: usize,
    /// How many do.
    pub waiting: usize,
    /// How long ago a run asked for one; `None` if none ever did.
    pub asked: Option<Duration>,
    /// How long ago there was word that memory is short.
    pub pressure: Option<Duration>,
    /// How often in a row none could be started, and how long ago the last time was.
    pub failed: Option<(u32, Duration)>,
    /// How long ago a run found none waiting; `None` if none ever did, or where there are no
    /// templates.
    pub missed: Option<Duration>,
    /// How many copies the template has made, where there is one.
    pub copies: Option<u32>,
    /// How many copies wait.
    pub spare: usize,
    /// How many runs wait for a copy of their own.
    pub copying: usize,
    /// As for [`Self::failed`], of templates.
    pub template_failed: Option<(u32, Duration)>,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Starts one.
    Start,
    /// Ends all that wait, and the template.
    Drain,
    /// Starts a template, in the place of the one that there may be.
    StartTemplate,
    /// Ends the template.
    EndTemplate,
    /// Has the template make a copy.
    Copy,
    /// Ends the copies that wait.
    EndCopies,
    /// Looks again after this time, or when something has changed.
    Wait(Duration),
    /// Waits until something has changed.
    WaitForChange,
}

/// What is to be done in `situation`.
#[must_use]
pub fn next(situation: &Situation) -> Next {
    let &Situation { waiting, asked, pressure, .. } = situation;
    let Some(asked) = asked else { return Next::WaitForChange };
    let short_of_memory = pressure.and_then(|ago| PRESSURE.checked_sub(ago));
    if asked >= IDLE || short_of_memory.is_some() {
        let any = waiting > 0 || situation.spare > 0 || situation.copies.is_some();
        return match (any, short_of_memory) {
            (true, _) => Next::Drain,
            (false, Some(left)) if asked < IDLE => Next::Wait(left),
            (false, _) => Next::WaitForChange,
        };
    }
    sooner(next_of_template(situation), next_of_waiting(situation, asked))
}

/// What is to be done about the template.
fn next_of_template(situation: &Situation) -> Next {
    let Some(missed) = situation.missed else { return Next::WaitForChange };
    let left = TEMPLATE_IDLE.checked_sub(missed).filter(|left| !left.is_zero());
    let burst = BURST.checked_sub(missed).filter(|left| !left.is_zero());
    match (situation.copies, left) {
        // Of one that is no more.
        (None, _) if situation.spare > 0 => Next::EndCopies,
        (None, None) => Next::WaitForChange,
        (Some(_), None) => Next::EndTemplate,
        (Some(..COPIES), Some(left)) => match (burst, situation.spare) {
            // Where runs wait already, the template has enough to do.
            (Some(until), ..SPARE) if situation.copying > 0 => Next::Wait(until),
            (Some(_), ..SPARE) => Next::Copy,
            (Some(until), _) => Next::Wait(until),
            (None, 0) => Next::Wait(left),
            (None, _) => Next::EndCopies,
        },
        (None | Some(_), Some(_)) => match blocked(situation.template_failed) {
            Some(left) => Next::Wait(left),
            None => Next::StartTemplate,
        },
    }
}

/// What is to be done about those that wait.
fn next_of_waiting(situation: &Situation, asked: Duration) -> Next {
    if situation.waiting >= situation.wanted {
        return Next::Wait(IDLE - asked);
    }
    if let Some(left) = blocked(situation.failed) {
        return Next::Wait(left);
    }
    match CALM.checked_sub(asked) {
        Some(left) if !left.is_zero() => Next::Wait(left),
        _ => Next::Start,
    }
}

/// What comes first of two.
fn sooner(one: Next, other: Next) -> Next {
    match (one, other) {
        (Next::Wait(one), Next::Wait(other)) => Next::Wait(one.min(other)),
        (Next::WaitForChange, other) | (Next::Wait(_), other @ (Next::Start | Next::Drain)) => {
            other
        }
        (one, _) => one,
    }
}

/// How long it is not tried again after so many failures in a row, of which the last was so long
/// ago.
fn blocked(failed: Option<(u32, Duration)>) -> Option<Duration> {
    let left = failed.and_then(|(times, ago)| retry_after(times).checked_sub(ago));
    left.filter(|left| !left.is_zero())
}

/// How long after the last of `times` failures in a row it is tried again.
fn retry_after(times: u32) -> Duration {
    let doubled = 1u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    RETRY_FIRST.saturating_mul(doubled).min(RETRY_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_in_each_situation() {
        let ms = Duration::from_millis;
        let s = Duration::from_secs;
        let calm = Situation {
            wanted: 2,
            waiting: 0,
            asked: Some(s(1)),
            pressure: None,
            failed: None,
            missed: None,
            copies: None,
            spare: 0,
            copying: 0,
            template_failed: None,
        };
        let burst = Situation { asked: Some(ms(1)), missed: Some(ms(1)), ..calm };
        let full = Situation { waiting: 2, ..calm };
        let table = [
            ("nobody has asked", Situation { asked: None, ..calm }, Next::WaitForChange),
            ("one is missing", calm, Next::Start),
            ("one of two is missing", Situation { waiting: 1, ..calm }, Next::Start),
            ("none is missing", full, Next::Wait(s(599))),
            ("none is wanted", Situation { wanted: 0, ..calm }, Next::Wait(s(599))),
            ("runs come fast", Situation { asked: Some(ms(5)), ..calm }, Next::Wait(CALM - ms(5))),
            ("no longer", Situation { asked: Some(CALM), ..calm }, Next::Start),
            ("idle", Situation { asked: Some(IDLE), ..full }, Next::Drain),
            ("idle and drained", Situation { asked: Some(IDLE), ..calm }, Next::WaitForChange),
            ("memory is short", Situation { pressure: Some(s(1)), ..full }, Next::Drain),
            ("and drained", Situation { pressure: Some(s(1)), ..calm }, Next::Wait(s(29))),
            (
                "and idle",
                Situation { pressure: Some(s(1)), asked: Some(IDLE), ..calm },
                Next::WaitForChange,
            ),
            ("memory was short", Situation { pressure: Some(s(31)), ..full }, Next::Wait(s(599))),
            ("failed", Situation { failed: Some((1, ms(400))), ..calm }, Next::Wait(ms(600))),
            ("failed long ago", Situation { failed: Some((1, s(1))), ..calm }, Next::Start),
            ("fails always", Situation { failed: Some((9, s(20))), ..calm }, Next::Wait(s(100))),
            ("none waits in a burst", burst, Next::StartTemplate),
            ("a template is there", Situation { copies: Some(0), ..burst }, Next::Copy),
            ("one copy waits", Situation { copies: Some(1), spare: 1, ..burst }, Next::Copy),
            (
                "but runs wait for theirs",
                Situation { copies: Some(1), copying: 1, ..burst },
                Next::Wait(CALM - ms(1)),
            ),
            (
                "enough do",
                Situation { copies: Some(2), spare: 2, ..burst },
                Next::Wait(CALM - ms(1)),
            ),
            (
                "enough do, and no run comes",
                Situation { copies: Some(2), spare: 2, missed: Some(ms(400)), ..full },
                Next::Wait(ms(600)),
            ),
            (
                "they are not needed any more",
                Situation { copies: Some(2), spare: 2, missed: Some(BURST), ..full },
                Next::EndCopies,
            ),
            (
                "nor when an interpreter is missing",
                Situation { copies: Some(2), spare: 1, missed: Some(BURST), ..calm },
                Next::EndCopies,
            ),
            ("it is old", Situation { copies: Some(COPIES), ..burst }, Next::StartTemplate),
            (
                "no template starts",
                Situation { template_failed: Some((1, ms(990))), ..burst },
                Next::Wait(ms(10)),
            ),
            (
                "after the burst",
                Situation { copies: Some(7), missed: Some(s(9)), ..full },
                Next::Wait(s(51)),
            ),
            (
                "after the burst, one is missing",
                Situation { copies: Some(7), missed: Some(s(9)), ..calm },
                Next::Start,
            ),
            (
                "long after the burst",
                Situation { copies: Some(7), missed: Some(TEMPLATE_IDLE), ..full },
                Next::EndTemplate,
            ),
            ("and ended", Situation { missed: Some(TEMPLATE_IDLE), ..full }, Next::Wait(s(599))),
            (
                "memory is short in a burst",
                Situation { pressure: Some(s(1)), copies: Some(7), ..burst },
                Next::Drain,
            ),
            (
                "memory is short, and copies wait",
                Situation { pressure: Some(s(1)), spare: 1, ..burst },
                Next::Drain,
            ),
            (
                "copies wait whose template is gone",
                Situation { spare: 1, ..burst },
                Next::EndCopies,
            ),
            ("has always failed", Situation { failed: Some((99, s(120))), ..calm }, Next::Start),
        ];
        for (what, situation, expected) in table {
            assert_eq!(next(&situation), expected, "{what}");
        }
    }
}
