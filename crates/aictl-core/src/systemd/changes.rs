//! Units whose state changes.

use zbus::{MatchRule, message::Type};

use super::{PROPERTIES, Systemd, SystemdError, UNIT, path, watch::Event, watch::Watch};

/// Tells of units that change, from when it was made until it is dropped. It must be asked again
/// and again: what is not taken off holds up the connection.
#[derive(Debug)]
pub struct Changes {
    systemd: Systemd,
    watch: Watch,
}

impl Systemd {
    /// Watches all units.
    ///
    /// # Errors
    /// If systemd cannot be asked for its signals.
    pub async fn changes(&self) -> Result<Changes, SystemdError> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface(PROPERTIES)
            .member("PropertiesChanged")
            .path_namespace(path::UNITS)
            .add_arg(UNIT)
            .build()?;
        let mut watch = Watch::new(self, rule).await?;
        watch.during(self.subscribe()).await?;
        Ok(Changes { systemd: self.clone(), watch })
    }
}

impl Changes {
    /// The name of the next unit whose state, or anything else about it, changed.
    ///
    /// # Errors
    /// [`SystemdError::NoBus`] if the connection ends.
    pub async fn next(&mut self) -> Result<String, SystemdError> {
        loop {
            match self.watch.next().await? {
                Event::Signal(message) => {
                    let header = message.header();
                    let unit = header.path().and_then(|path| path::unit_name(path.as_str()));
                    if let Some(unit) = unit {
                        return Ok(unit);
                    }
                }
                Event::Gone => {}
                Event::Back => {
                    let subscribed = self.watch.during(self.systemd.subscribe()).await;
                    // Any other error is that it is gone again, and will be back.
                    if let Err(error @ SystemdError::NoBus(_)) = subscribed {
                        return Err(error);
                    }
                }
            }
        }
    }
}
