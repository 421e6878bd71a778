//! Unit files: what starts at boot.

use aictl_api::service::UnitName;

use super::{Systemd, SystemdError, UnitState};

/// What is done to a unit file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitFileVerb {
    /// Have the unit start at boot.
    Enable,
    /// Have the unit no longer start at boot.
    Disable,
}

/// A change to the file system: its kind, the link, and what it leads to.
type Change = (String, String, String);

impl Systemd {
    /// Enables or disables a unit, lasting, and has systemd read its files again. Returns the
    /// unit's state after it, whose `enabled` says what came of it: a unit without an `[Install]`
    /// section stays `static`.
    ///
    /// # Errors
    /// If there is no such unit, the caller may not do that, or systemd cannot do it.
    pub async fn set_enabled(
        &self,
        verb: UnitFileVerb,
        unit: &UnitName,
    ) -> Result<UnitState, SystemdError> {
        // Found, and by its own name.
        self.unit_state(unit).await?;
        let units = &[unit.as_ref()][..];
        let (lasting, never_replace) = (false, false);
        match verb {
            UnitFileVerb::Enable => {
                let body = (units, lasting, never_replace);
                let _made: (bool, Vec<Change>) = self.authorised("EnableUnitFiles", &body).await?;
            }
            UnitFileVerb::Disable => {
                let _made: Vec<Change> =
                    self.authorised("DisableUnitFiles", &(units, lasting)).await?;
            }
        }
        let () = self.authorised("Reload", &()).await?;
        self.unit_state(unit).await
    }
}
