//! Many units at once: one question finds them all, and only those that there are cost more.

use std::{future::Future, time::Instant};

use aictl_api::service::UnitName;
use tokio::task::JoinSet;
use zbus::OwnedObjectPath;

use super::{NOT_FOUND, Systemd, SystemdError, UnitFacts, UnitState};

/// A unit as `ListUnitsByNames` tells it (org.freedesktop.systemd1(5)): its own name, description,
/// load state, active state, sub state, the unit that it follows, path; the job's id, type, path.
type Row =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

impl Systemd {
    /// The facts of units, each in the place of its name. One that vanishes while it is asked for
    /// is [`SystemdError::NotFound`], as one that never was; the others are not troubled by it.
    ///
    /// Where systemd cannot be asked at all, that is the error of each.
    pub async fn unit_facts(&self, units: &[UnitName]) -> Vec<Result<UnitFacts, SystemdError>> {
        self.of_each(units, async |systemd, path, unit| systemd.facts_at(&path, &unit).await).await
    }

    /// The states of units, each in the place of its name; of each what [`Self::recent_state`] is.
    pub async fn recent_states(&self, units: &[UnitName]) -> Vec<Result<UnitState, SystemdError>> {
        let now = Instant::now();
        let mut states: Vec<_> = units.iter().map(|unit| self.recent.get(unit, now)).collect();
        let unknown: Vec<usize> = (0..units.len()).filter(|at| states[*at].is_none()).collect();
        let names: Vec<UnitName> = unknown.iter().map(|at| units[*at].clone()).collect();
        let tickets: Vec<_> = names.iter().map(|unit| self.recent.ask(unit, now)).collect();
        let said = self
            .of_each(&names, async |systemd, path, unit| {
                systemd.state_at(&path, &unit).await.map(|(state, _rest)| state)
            })
            .await;
        for (((at, unit), ticket), said) in unknown.into_iter().zip(&names).zip(tickets).zip(said) {
            if let Some(ticket) = ticket {
                self.recent.answer(unit, &ticket, &said);
            }
            states[at] = Some(said);
        }
        // Each has been told or asked for.
        states.into_iter().map(|state| state.unwrap_or(Err(SystemdError::Lost))).collect()
    }

    /// What `ask` says of each unit that there is, all asked at once.
    async fn of_each<T, F>(
        &self,
        units: &[UnitName],
        ask: impl Fn(Self, String, UnitName) -> F,
    ) -> Vec<Result<T, SystemdError>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, SystemdError>> + Send + 'static,
    {
        let paths = match self.find(units).await {
            Ok(paths) => paths,
            Err(error) => return units.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut asking = JoinSet::new();
        let mut answers = Vec::with_capacity(units.len());
        for (index, (unit, path)) in units.iter().zip(paths).enumerate() {
            answers.push(match path {
                Ok(path) => {
                    let answer = ask(self.clone(), path.to_string(), unit.clone());
                    asking.spawn(async move { (index, answer.await) });
                    Err(SystemdError::Lost)
                }
                Err(error) => Err(error),
            });
        }
        while let Some(answer) = asking.join_next().await {
            if let Ok((index, answer)) = answer {
                answers[index] = answer;
            }
        }
        answers
    }

    /// Where each unit stands on the bus.
    async fn find(
        &self,
        units: &[UnitName],
    ) -> Result<Vec<Result<OwnedObjectPath, SystemdError>>, SystemdError> {
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = units.iter().map(AsRef::as_ref).collect();
        let rows: Vec<Row> = self.manager("ListUnitsByNames", &(names,)).await?;
        if rows.len() != units.len() {
            return Err(SystemdError::BadReply("the list of units".to_owned()));
        }
        let paths = units.iter().zip(rows).map(|(unit, row)| {
            let (id, _, load_state, _, _, _, path, ..) = row;
            if load_state == NOT_FOUND {
                Err(SystemdError::NotFound)
            } else if id != unit.as_ref() {
                Err(SystemdError::Alias { id })
            } else {
                Ok(path)
            }
        });
        Ok(paths.collect())
    }
}
