//! Jobs: starting and stopping units, and how that ends.
//!
//! The end of a job comes as a signal, which is listened for before the job is asked for. When
//! systemd is restarted meanwhile (`systemctl daemon-reexec`, or an update of it), its jobs go
//! on, but nobody repeats a signal that was missed: then the unit itself shows what became of it.

use std::time::Duration;

use aictl_api::{authorisation::Verb, record::JobResult, service::UnitName};
use tokio::time::timeout;
use zbus::{MatchRule, OwnedObjectPath, message::Type};

use super::{MANAGER, MANAGER_PATH, Systemd, SystemdError, UnitState, watch::Event, watch::Watch};

/// How a job gets along with others that are queued: as `systemctl` has it. Never the caller's.
const MODE: &str = "replace";

/// What a job does to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobVerb {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop it if it runs, and start it.
    Restart,
    /// Have it read its configuration again.
    Reload,
}

impl JobVerb {
    /// The job for a verb; `None` for those that are about unit files.
    #[must_use]
    pub const fn of(verb: Verb) -> Option<Self> {
        match verb {
            Verb::Start => Some(Self::Start),
            Verb::Stop => Some(Self::Stop),
            Verb::Restart => Some(Self::Restart),
            Verb::Reload => Some(Self::Reload),
            Verb::Enable | Verb::Disable => None,
        }
    }

    /// The method of systemd's manager.
    const fn member(self) -> &'static str {
        match self {
            Self::Start => "StartUnit",
            Self::Stop => "StopUnit",
            Self::Restart => "RestartUnit",
            Self::Reload => "ReloadUnit",
        }
    }
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// How it ended, or that it is queued.
    pub result: JobResult,
    /// The unit after that.
    pub state: UnitState,
}

impl Systemd {
    /// Has systemd do something to a unit, and waits until that is done or has failed, at most for
    /// `time` from when systemd took it on. A job that takes longer goes on without us; so does
    /// one whose future is dropped.
    ///
    /// # Errors
    /// [`SystemdError::TimedOut`] after that time; [`SystemdError::NotFound`],
    /// [`SystemdError::Alias`], [`SystemdError::Masked`] or [`SystemdError::AccessDenied`] before
    /// anything is done; else if systemd cannot be asked. That the job failed is an outcome.
    pub async fn job(
        &self,
        verb: JobVerb,
        unit: &UnitName,
        time: Duration,
    ) -> Result<JobOutcome, SystemdError> {
        let mut watch = Watch::new(self, [rule(unit)?]).await?;
        let before = async {
            self.subscribe().await?;
            self.checked(verb, unit).await
        };
        let before = watch.during(before).await?;
        let job = match watch.during(self.queue(verb, unit)).await {
            Ok(path) => Some(path.as_str().to_owned()),
            // systemd went away before it answered.
            Err(SystemdError::Lost) => None,
            Err(error) => return Err(error),
        };
        let end = self.end(verb, unit, &before, job, watch);
        let result = timeout(time, end).await.unwrap_or(Err(SystemdError::TimedOut(time)))?;
        Ok(JobOutcome { result, state: self.unit_state(unit).await? })
    }

    /// As [`Self::job`], but returns as soon as systemd has queued the job.
    ///
    /// # Errors
    /// As [`Self::job`].
    pub async fn job_no_block(
        &self,
        verb: JobVerb,
        unit: &UnitName,
    ) -> Result<JobOutcome, SystemdError> {
        self.checked(verb, unit).await?;
        let _job: OwnedObjectPath = self.queue(verb, unit).await?;
        Ok(JobOutcome { result: JobResult::Queued, state: self.unit_state(unit).await? })
    }

    /// The state of a unit that can be acted on.
    async fn checked(&self, verb: JobVerb, unit: &UnitName) -> Result<UnitState, SystemdError> {
        let state = self.unit_state(unit).await?;
        match verb {
            JobVerb::Stop => Ok(state),
            _ if state.load_state == "masked" => Err(SystemdError::Masked),
            JobVerb::Reload if !state.can_reload => Err(SystemdError::NotApplicable),
            _ => Ok(state),
        }
    }

    async fn queue(&self, verb: JobVerb, unit: &UnitName) -> Result<OwnedObjectPath, SystemdError> {
        self.authorised(verb.member(), &(unit.as_ref(), MODE)).await
    }

    /// Waits for the end of the job with this path, or, where systemd went away before it told the
    /// path, of what it made of the call.
    async fn end(
        &self,
        verb: JobVerb,
        unit: &UnitName,
        before: &UnitState,
        mut job: Option<String>,
        mut watch: Watch,
    ) -> Result<JobResult, SystemdError> {
        // systemd may be back already.
        let mut look = job.is_none();
        loop {
            if look {
                match watch.during(self.look(unit)).await {
                    Ok(now) => match after_restart(verb, before, &now, job.as_deref()) {
                        Turn::Wait(path) => job = Some(path),
                        Turn::Ended(by_its_state) => {
                            let told = std::iter::from_fn(|| watch.next_seen())
                                .find_map(|event| ended(&event, unit, job.as_deref()));
                            return Ok(told.unwrap_or(by_its_state));
                        }
                        Turn::Unknown => return Err(SystemdError::Lost),
                    },
                    // Not back yet, or gone again: it will be back, or the time runs out.
                    Err(SystemdError::Unavailable | SystemdError::Lost) => {}
                    Err(error) => return Err(error),
                }
            }
            let event = watch.next().await?;
            if let Some(result) = ended(&event, unit, job.as_deref()) {
                return Ok(result);
            }
            look = matches!(event, Event::Back);
        }
    }

    /// The unit as a systemd has it that was restarted, and will tell of its jobs.
    async fn look(&self, unit: &UnitName) -> Result<UnitState, SystemdError> {
        self.subscribe().await?;
        self.unit_state(unit).await
    }
}

fn rule(unit: &UnitName) -> Result<MatchRule<'static>, SystemdError> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .path(MANAGER_PATH)
        .interface(MANAGER)
        .member("JobRemoved")
        .arg(2, unit.as_ref())
        .build()?;
    Ok(rule.into_owned())
}

/// How this job ended, if the event says so.
fn ended(event: &Event, unit: &UnitName, job: Option<&str>) -> Option<JobResult> {
    let Event::Signal(message) = event else { return None };
    let body = message.body();
    let (_id, path, of_unit, result): (u32, OwnedObjectPath, &str, &str) =
        body.deserialize().ok()?;
    // The word for what has not ended is ours, not systemd's.
    let result = JobResult::from_name(result).filter(|result| *result != JobResult::Queued);
    (Some(path.as_str()) == job && of_unit == unit.as_ref())
        .then_some(result.unwrap_or(JobResult::Failed))
}

/// What follows from the state of a unit when systemd is back.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// Wait for the end of this job.
    Wait(String),
    /// It ended unseen, with this result.
    Ended(JobResult),
    /// Nobody can say.
    Unknown,
}

/// Decides how to go on with a job after systemd was restarted: `job` is its path, if systemd
/// told it; `before` the unit before it, and `now` the unit as the new systemd has it.
fn after_restart(verb: JobVerb, before: &UnitState, now: &UnitState, job: Option<&str>) -> Turn {
    let queued = now.job.map(|id| format!("{MANAGER_PATH}/job/{id}"));
    match (job, queued) {
        (Some(job), Some(queued)) if job != queued => Turn::Unknown,
        (_, Some(queued)) => Turn::Wait(queued),
        (Some(_), None) => Turn::Ended(verdict(verb, now)),
        (None, None) if has_changed(before, now) => Turn::Ended(verdict(verb, now)),
        (None, None) => Turn::Unknown,
    }
}

fn has_changed(before: &UnitState, now: &UnitState) -> bool {
    (now.changed_usec, &now.invocation) != (before.changed_usec, &before.invocation)
}

/// Whether a unit without a job is as the verb wants it.
fn verdict(verb: JobVerb, now: &UnitState) -> JobResult {
    let is_good = match (verb, now.active_state.as_str()) {
        (JobVerb::Stop, state) => matches!(state, "inactive" | "failed"),
        (JobVerb::Start | JobVerb::Restart | JobVerb::Reload, "active" | "reloading") => true,
        // What runs once and is done.
        (JobVerb::Start | JobVerb::Restart, "inactive") => now.result == "success",
        _ => false,
    };
    match is_good {
        true => JobResult::Done,
        false => JobResult::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(active_state: &str, result: &str, job: Option<u32>, changed_usec: u64) -> UnitState {
        UnitState {
            active_state: active_state.to_owned(),
            result: result.to_owned(),
            job,
            changed_usec,
            ..UnitState::default()
        }
    }

    #[test]
    fn a_job_is_found_again_or_judged_by_the_unit() {
        use JobResult::{Done, Failed};
        let ours = "/org/freedesktop/systemd1/job/7";
        let wait = || Turn::Wait(ours.to_owned());
        let before = unit("active", "success", None, 1);
        let table = [
            (JobVerb::Start, unit("activating", "success", Some(7), 2), Some(ours), wait()),
            (JobVerb::Start, unit("activating", "success", Some(7), 2), None, wait()),
            // Another job took its place: how ours ended is nowhere to be seen.
            (JobVerb::Start, unit("activating", "success", Some(8), 2), Some(ours), Turn::Unknown),
            (JobVerb::Start, unit("active", "success", None, 2), Some(ours), Turn::Ended(Done)),
            (JobVerb::Restart, unit("active", "success", None, 2), None, Turn::Ended(Done)),
            (JobVerb::Restart, unit("failed", "exit-code", None, 2), None, Turn::Ended(Failed)),
            // The call was never seen: nothing changed.
            (JobVerb::Restart, unit("active", "success", None, 1), None, Turn::Unknown),
        ];
        for (verb, now, job, expected) in table {
            assert_eq!(after_restart(verb, &before, &now, job), expected, "{verb:?} {now:?}");
        }
    }

    #[test]
    fn each_verb_has_states_that_it_wants() {
        use JobVerb::{Reload, Restart, Start, Stop};
        let table: [(&str, &str, &[JobVerb]); 7] = [
            ("active", "success", &[Start, Restart, Reload]),
            ("reloading", "success", &[Start, Restart, Reload]),
            ("inactive", "success", &[Start, Restart, Stop]),
            ("inactive", "exit-code", &[Stop]),
            ("failed", "exit-code", &[Stop]),
            ("activating", "exit-code", &[]),
            ("deactivating", "success", &[]),
        ];
        for (state, result, good) in table {
            for verb in [Start, Stop, Restart, Reload] {
                let expected = match good.contains(&verb) {
                    true => JobResult::Done,
                    false => JobResult::Failed,
                };
                let now = unit(state, result, None, 0);
                assert_eq!(verdict(verb, &now), expected, "{verb:?} {state} {result}");
            }
        }
    }
}
