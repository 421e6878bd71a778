//! Units whose state changes.

use zbus::{MatchRule, Message, message::Type};

use super::{
    MANAGER, MANAGER_PATH, PROPERTIES, Systemd, SystemdError, UNIT, path, watch::Event,
    watch::Watch,
};

/// Signals of systemd's manager after which a state that was read before may be another: all
/// about jobs, since a unit that was just loaded and has changed is told as a new one only; unit
/// files were changed, or are all read again. Of units that are loaded or dropped
/// (`UnitNew`, `UnitRemoved`) we hear nothing: a question about one that does not run does both.
const MANAGER_SIGNALS: [&str; 4] = ["JobNew", "JobRemoved", "UnitFilesChanged", "Reloading"];

/// Tells of units that change, from when it was made until it is dropped. It must be asked again
/// and again: what is not taken off holds up the connection. Meanwhile
/// [`Systemd::recent_state`] has its answers from memory.
#[derive(Debug)]
pub struct Changes {
    systemd: Systemd,
    watch: Watch,
}

/// What a signal says.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// This unit has changed.
    Changed(String),
    /// A job on this unit began or ended.
    Job(String),
    /// All units may be others now.
    All,
}

impl Systemd {
    /// Watches all units.
    ///
    /// # Errors
    /// If systemd cannot be asked for its signals.
    pub async fn changes(&self) -> Result<Changes, SystemdError> {
        let changed = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface(PROPERTIES)
            .member("PropertiesChanged")
            .path_namespace(path::UNITS)
            .add_arg(UNIT)
            .build()?;
        let mut rules = Vec::new();
        for member in MANAGER_SIGNALS {
            let of_manager = MatchRule::builder()
                .msg_type(Type::Signal)
                .path(MANAGER_PATH)
                .interface(MANAGER)
                .member(member);
            rules.push(of_manager.build()?);
        }
        rules.push(changed);
        let mut watch = Watch::new(self, rules).await?;
        watch.during(self.subscribe()).await?;
        self.recent.start_over(true);
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
                Event::Signal(message) => match News::read(&message) {
                    Some(News::Changed(unit)) => {
                        self.systemd.recent.forget(&unit);
                        return Ok(unit);
                    }
                    Some(News::Job(unit)) => self.systemd.recent.forget(&unit),
                    Some(News::All) | None => self.systemd.recent.forget_all(),
                },
                Event::Gone => self.systemd.recent.start_over(false),
                Event::Back => {
                    // Until it sends its signals again.
                    self.systemd.recent.start_over(false);
                    match self.watch.during(self.systemd.subscribe()).await {
                        Ok(()) => self.systemd.recent.start_over(true),
                        Err(error @ SystemdError::NoBus(_)) => return Err(error),
                        // It is gone again, and will be back.
                        Err(_) => {}
                    }
                }
            }
        }
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.systemd.recent.start_over(false);
    }
}

impl News {
    /// What a signal of systemd's says; `None` if it is none that we know.
    fn read(message: &Message) -> Option<Self> {
        let header = message.header();
        let body = message.body();
        match header.member()?.as_str() {
            "PropertiesChanged" => path::unit_name(header.path()?.as_str()).map(Self::Changed),
            "JobNew" => {
                let (_id, _job, unit): (u32, zbus::ObjectPath<'_>, String) =
                    body.deserialize().ok()?;
                Some(Self::Job(unit))
            }
            "JobRemoved" => {
                let (_id, _job, unit, _result): (u32, zbus::ObjectPath<'_>, String, &str) =
                    body.deserialize().ok()?;
                Some(Self::Job(unit))
            }
            "UnitFilesChanged" | "Reloading" => Some(Self::All),
            _ => None,
        }
    }
}
