//! The state of a unit, from its properties.

use std::collections::HashMap;

use zbus::{OwnedObjectPath, OwnedVariant};

use super::SystemdError;

/// Properties by name, as `Properties.GetAll` answers them.
pub(super) type Properties = HashMap<String, OwnedVariant>;

/// What systemd knows about a service unit. States are systemd's own words (systemctl(1)), which
/// newer versions add to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// Whether the unit file was read: `loaded`, `not-found`, `bad-setting`, `error`, `masked`.
    pub load_state: String,
    /// `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`, …
    pub active_state: String,
    /// Finer, by the kind of unit: `running`, `exited`, `auto-restart`, …
    pub sub_state: String,
    /// Whether it starts at boot: `enabled`, `disabled`, `static`, `masked`, …; empty where
    /// systemd does not say.
    pub enabled: String,
    /// The main process; 0 if there is none.
    pub main_pid: u32,
    /// When it last became active: microseconds since 1970; 0 if never.
    pub since_usec: u64,
    /// When its state last changed: microseconds since 1970; 0 if never.
    pub changed_usec: u64,
    /// How often systemd restarted it by itself.
    pub restarts: u32,
    /// What became of it: `success`, `exit-code`, `signal`, `timeout`, `oom-kill`, …
    pub result: String,
    /// The job that waits or runs; `None` if there is none.
    pub job: Option<u32>,
    /// The run of the unit that this is or was, as the journal has it in
    /// `_SYSTEMD_INVOCATION_ID`: 32 hexadecimal digits; `None` if it never ran.
    pub invocation: Option<String>,
    /// Whether it can be reloaded.
    pub can_reload: bool,
}

/// Of a service's own interface these are asked for one by one: all of them together would have
/// systemd read the unit's memory and I/O counters.
pub(super) const SERVICE_PROPERTIES: [&str; 3] = ["MainPID", "NRestarts", "Result"];

impl UnitState {
    /// Takes it out of the properties of interface `Unit`, and [`SERVICE_PROPERTIES`] in their
    /// order; the unit's own name comes along.
    pub(super) fn take(
        unit: &mut Properties,
        service: [OwnedVariant; 3],
    ) -> Result<(String, Self), SystemdError> {
        let mut take = |name: &'static str| unit.remove(name).ok_or_else(|| bad(name));
        let [main_pid, restarts, result] = service;
        let (job, _): (u32, OwnedObjectPath) = value("Job", take("Job")?)?;
        let invocation: Vec<u8> = value("InvocationID", take("InvocationID")?)?;
        let state = Self {
            load_state: value("LoadState", take("LoadState")?)?,
            active_state: value("ActiveState", take("ActiveState")?)?,
            sub_state: value("SubState", take("SubState")?)?,
            enabled: value("UnitFileState", take("UnitFileState")?)?,
            main_pid: value("MainPID", main_pid)?,
            since_usec: value("ActiveEnterTimestamp", take("ActiveEnterTimestamp")?)?,
            changed_usec: value("StateChangeTimestamp", take("StateChangeTimestamp")?)?,
            restarts: value("NRestarts", restarts)?,
            result: value("Result", result)?,
            job: (job != 0).then_some(job),
            invocation: (!invocation.is_empty())
                .then(|| invocation.iter().map(|byte| format!("{byte:02x}")).collect()),
            can_reload: value("CanReload", take("CanReload")?)?,
        };
        Ok((value("Id", take("Id")?)?, state))
    }
}

fn value<T>(name: &'static str, variant: OwnedVariant) -> Result<T, SystemdError>
where
    T: TryFrom<OwnedVariant>,
{
    T::try_from(variant).map_err(|_other_type| bad(name))
}

fn bad(name: &str) -> SystemdError {
    SystemdError::BadReply(format!("property {name}"))
}
