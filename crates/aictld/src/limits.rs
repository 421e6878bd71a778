//! How many calls, and how fast: per uid, with the clock passed in.
//!
//! A rate is a token bucket, kept as the one moment at which it will be full again. A full bucket
//! says nothing that an absent one does not, so full ones are forgotten when room is needed; where
//! none is full, a new uid is refused, and nothing grows.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aictl_api::{authorisation::RateClass, config::Rate};

/// The most buckets that are kept.
pub const MAX_BUCKETS: usize = 4096;
/// The most calls at one time, of all callers together.
pub const MAX_CALLS: usize = 1024;
/// When to try again where only the end of another call makes room: nobody knows when that is.
pub const WAIT_FOR_ANOTHER: Duration = Duration::from_secs(1);

/// What one uid may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls at one time.
    pub calls_in_flight: u32,
    /// The rate of the call's class.
    pub rate: Rate,
}

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The uid has so many calls at one time already.
    InFlight,
    /// All callers together have too many calls at one time.
    AllInFlight,
    /// The uid's calls of this class come too fast; after this time one more can come.
    Rate(Duration),
    /// Too many users are calling for one more to be counted.
    Users,
}

impl Over {
    /// After what time a call can succeed.
    #[must_use]
    pub const fn retry_after(self) -> Duration {
        match self {
            Self::Rate(wait) => wait,
            Self::InFlight | Self::AllInFlight | Self::Users => WAIT_FOR_ANOTHER,
        }
    }

    /// The limit, in words for the user.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::InFlight => "too many of your calls are still going on",
            Self::AllInFlight | Self::Users => "the helper is busy",
            Self::Rate(_) => "your calls come too fast",
        }
    }
}

/// How long one token takes to come back.
fn interval(rate: Rate) -> Duration {
    Duration::from_secs(60) / rate.per_minute.max(1)
}

/// The counts of all callers.
#[derive(Debug, Default)]
pub struct Limits {
    /// Never an entry of 0.
    in_flight: HashMap<u32, u32>,
    calls: usize,
    /// When each bucket is full.
    full_at: HashMap<(u32, RateClass), Instant>,
}

impl Limits {
    /// Lets a call in, which [`Limits::done`] must end.
    ///
    /// # Errors
    /// If it is over a limit; nothing is counted then.
    pub fn admit(
        &mut self,
        uid: u32,
        class: RateClass,
        allowance: Allowance,
        now: Instant,
    ) -> Result<(), Over> {
        let mine = self.in_flight.get(&uid).copied().unwrap_or(0);
        if mine >= allowance.calls_in_flight {
            return Err(Over::InFlight);
        }
        if self.calls >= MAX_CALLS {
            return Err(Over::AllInFlight);
        }
        self.take_token((uid, class), allowance.rate, now)?;
        self.in_flight.insert(uid, mine + 1);
        self.calls += 1;
        Ok(())
    }

    /// A call of this uid has ended.
    pub fn done(&mut self, uid: u32) {
        if let Some(mine) = self.in_flight.get_mut(&uid) {
            *mine -= 1;
            self.calls -= 1;
            if *mine == 0 {
                self.in_flight.remove(&uid);
            }
        }
    }

    /// How many calls there are at this time.
    #[must_use]
    pub const fn calls(&self) -> usize {
        self.calls
    }

    fn take_token(&mut self, key: (u32, RateClass), rate: Rate, now: Instant) -> Result<(), Over> {
        if !self.full_at.contains_key(&key) && self.full_at.len() >= MAX_BUCKETS {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= MAX_BUCKETS {
                return Err(Over::Users);
            }
        }
        // A rate that was made faster in between must not be held up by an older, slower one.
        let slowest = now + interval(rate) * rate.burst.max(1);
        let full_at = self.full_at.get(&key).map_or(now, |full_at| (*full_at).clamp(now, slowest));
        // With the last token in hand the bucket is full after `burst - 1` intervals at most.
        let latest = now + interval(rate) * (rate.burst.max(1) - 1);
        if full_at > latest {
            return Err(Over::Rate(full_at - latest));
        }
        self.full_at.insert(key, full_at + interval(rate));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ALLOWANCE: Allowance =
        Allowance { calls_in_flight: 2, rate: Rate { per_minute: 60, burst: 3 } };
    const READ: RateClass = RateClass::Read;

    /// A call that ends at once.
    fn call(limits: &mut Limits, uid: u32, now: Instant) -> Result<(), Over> {
        limits.admit(uid, READ, ALLOWANCE, now)?;
        limits.done(uid);
        Ok(())
    }

    #[test]
    fn a_burst_then_one_for_each_interval_and_the_time_to_wait_is_exact() {
        let mut limits = Limits::default();
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(call(&mut limits, 1000, start), Ok(()));
        }
        assert_eq!(call(&mut limits, 1000, start), Err(Over::Rate(SECOND)));
        let almost = start + SECOND - Duration::from_nanos(1);
        assert_eq!(call(&mut limits, 1000, almost), Err(Over::Rate(Duration::from_nanos(1))));
        assert_eq!(call(&mut limits, 1000, start + SECOND), Ok(()));
        assert_eq!(call(&mut limits, 1000, start + SECOND), Err(Over::Rate(SECOND)));
        // Refused calls cost nothing, and a rest fills the bucket, but never above the burst.
        let later = start + 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(call(&mut limits, 1000, later), Ok(()));
        }
        assert_eq!(call(&mut limits, 1000, later), Err(Over::Rate(SECOND)));
    }

    #[test]
    fn each_uid_and_each_class_has_its_own_bucket() {
        let mut limits = Limits::default();
        let now = Instant::now();
        while call(&mut limits, 1000, now).is_ok() {}
        assert_eq!(call(&mut limits, 1001, now), Ok(()));
        assert_eq!(limits.admit(1000, RateClass::Change, ALLOWANCE, now), Ok(()));
    }

    #[test]
    fn calls_in_flight_are_counted_per_uid_and_in_all() {
        let mut limits = Limits::default();
        let now = Instant::now();
        let wide = Allowance { calls_in_flight: 2, rate: Rate { per_minute: 60000, burst: 10000 } };
        assert_eq!(limits.admit(1, READ, wide, now), Ok(()));
        assert_eq!(limits.admit(1, RateClass::Change, wide, now), Ok(()));
        assert_eq!(limits.admit(1, READ, wide, now), Err(Over::InFlight));
        assert_eq!(limits.admit(2, READ, wide, now), Ok(()));
        limits.done(1);
        assert_eq!(limits.admit(1, READ, wide, now), Ok(()));
        assert_eq!(limits.calls(), 3);
        let all = Allowance { calls_in_flight: u32::MAX, ..wide };
        for _ in 3..MAX_CALLS {
            assert_eq!(limits.admit(3, READ, all, now), Ok(()));
        }
        assert_eq!(limits.admit(4, READ, all, now), Err(Over::AllInFlight));
        limits.done(3);
        assert_eq!(limits.admit(4, READ, all, now), Ok(()));
        // An end without a beginning changes nothing.
        limits.done(99);
        assert_eq!(limits.calls(), MAX_CALLS);
    }

    #[test]
    fn nothing_grows_however_many_users_there_are() {
        let mut limits = Limits::default();
        let now = Instant::now();
        let users = u32::try_from(MAX_BUCKETS).unwrap();
        for uid in 0..users {
            assert_eq!(call(&mut limits, uid, now), Ok(()));
        }
        // All are still filling: a new user is refused, a known one is not.
        assert_eq!(call(&mut limits, users, now), Err(Over::Users));
        assert_eq!(call(&mut limits, 7, now), Ok(()));
        assert_eq!(limits.full_at.len(), MAX_BUCKETS);
        // One second later all but that one are full, and forgotten.
        assert_eq!(call(&mut limits, users, now + SECOND), Ok(()));
        assert_eq!(limits.full_at.len(), 2);
        assert!(limits.in_flight.is_empty());
    }

    #[test]
    fn a_rate_made_faster_holds_at_once() {
        let mut limits = Limits::default();
        let now = Instant::now();
        let slow = Allowance { calls_in_flight: 1, rate: Rate { per_minute: 1, burst: 5 } };
        while limits.admit(1, READ, slow, now).is_ok() {
            limits.done(1);
        }
        assert_eq!(call(&mut limits, 1, now), Err(Over::Rate(SECOND)));
    }

    #[test]
    fn every_limit_says_when_to_try_again() {
        for over in [Over::InFlight, Over::AllInFlight, Over::Users, Over::Rate(SECOND)] {
            assert!(over.retry_after() > Duration::ZERO, "{over:?}");
            assert!(!over.what().is_empty());
        }
    }
}
