//! A unit in full: its state, where its processes are, and how its main process ended.

use aictl_api::service::UnitName;
use zbus::OwnedVariant;

use super::{Properties, Systemd, SystemdError, UnitState};

/// What systemd says of a service unit, where [`UnitState`] is not enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// Its state.
    pub state: UnitState,
    /// Its control group, from the root of the hierarchy: `/system.slice/ollama.service`; `None`
    /// while it has none.
    pub control_group: Option<String>,
    /// How the main process ended last, as in waitid(2): 1 exited, 2 killed by a signal, 3 killed
    /// with a core dump; `None` while it runs, and if it never ran.
    pub exec_main_code: Option<i32>,
    /// Its exit code, or the number of the signal; `None` where [`Self::exec_main_code`] is.
    pub exec_main_status: Option<i32>,
    /// What systemd does where the kernel kills one of its processes for want of memory:
    /// `continue`, `stop`, `kill`; `None` where systemd does not say.
    pub oom_policy: Option<String>,
    /// Whether its file has changed since systemd read it.
    pub needs_daemon_reload: Option<bool>,
    /// When it last became active, by the clock that only goes forward: microseconds since boot;
    /// `None` if never.
    pub active_since_monotonic_usec: Option<u64>,
}

impl Systemd {
    /// The facts of the unit at this path. What an older systemd does not have is unknown.
    pub(super) async fn facts_at(
        &self,
        path: &str,
        unit: &UnitName,
    ) -> Result<UnitFacts, SystemdError> {
        let (stated, group, code, status, oom_policy) = tokio::join!(
            self.state_at(path, unit),
            self.service_property(path, "ControlGroup"),
            self.service_property(path, "ExecMainCode"),
            self.service_property(path, "ExecMainStatus"),
            self.service_property(path, "OOMPolicy"),
        );
        let (state, mut rest) = stated?;
        let code = known::<i32>(code.ok()).filter(|code| *code != 0);
        Ok(UnitFacts {
            state,
            control_group: known::<String>(group.ok()).filter(|group| !group.is_empty()),
            exec_main_code: code,
            exec_main_status: code.and_then(|_ended| known(status.ok())),
            oom_policy: known::<String>(oom_policy.ok()).filter(|policy| !policy.is_empty()),
            needs_daemon_reload: take(&mut rest, "NeedDaemonReload"),
            active_since_monotonic_usec: take(&mut rest, "ActiveEnterTimestampMonotonic")
                .filter(|usec| *usec != 0),
        })
    }
}

fn known<T: TryFrom<OwnedVariant>>(value: Option<OwnedVariant>) -> Option<T> {
    T::try_from(value?).ok()
}

fn take<T: TryFrom<OwnedVariant>>(properties: &mut Properties, name: &str) -> Option<T> {
    known(properties.remove(name))
}
