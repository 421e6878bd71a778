//! The isolation layers of a sandbox, and the words for them in `isolation` and `missing`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One layer of isolation around a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// A user namespace of its own (user_namespaces(7)).
    UserNs,
    /// A process-id namespace of its own: no process outside can be seen or signalled.
    PidNs,
    /// A mount namespace of its own, with a fresh root file system.
    MountNs,
    /// A network namespace of its own, without any interface that is up.
    NetNs,
    /// System V IPC and POSIX message queues of its own.
    IpcNs,
    /// A host name of its own.
    UtsNs,
    /// Limits and accounting by a control group (cgroups(7), version 2).
    Cgroup,
    /// Landlock, with the ABI version that the kernel offers (landlock(7)).
    Landlock(u8),
    /// A system call filter (seccomp(2)).
    Seccomp,
    /// Resource limits of each process (getrlimit(2)).
    Rlimits,
    /// No privilege can be gained by executing a file (PR_SET_NO_NEW_PRIVS), and none is left:
    /// all capabilities are dropped.
    NoNewPrivs,
}

impl Layer {
    /// Every layer, in the order in which they are built; Landlock with ABI 0.
    pub const ALL: [Self; 11] = [
        Self::UserNs,
        Self::PidNs,
        Self::MountNs,
        Self::NetNs,
        Self::IpcNs,
        Self::UtsNs,
        Self::Cgroup,
        Self::Landlock(0),
        Self::Seccomp,
        Self::Rlimits,
        Self::NoNewPrivs,
    ];

    /// The layer's name without a version, as used in `missing`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UserNs => "user-ns",
            Self::PidNs => "pid-ns",
            Self::MountNs => "mount-ns",
            Self::NetNs => "net-ns",
            Self::IpcNs => "ipc-ns",
            Self::UtsNs => "uts-ns",
            Self::Cgroup => "cgroup",
            Self::Landlock(_) => "landlock",
            Self::Seccomp => "seccomp",
            Self::Rlimits => "rlimits",
            Self::NoNewPrivs => "no-new-privs",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Landlock(abi) if *abi > 0 => write!(f, "landlock-{abi}"),
            other => f.write_str(other.name()),
        }
    }
}

/// A text that names no layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLayer(String);

impl fmt::Display for UnknownLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an isolation layer", self.0)
    }
}

impl std::error::Error for UnknownLayer {}

impl std::str::FromStr for Layer {
    type Err = UnknownLayer;

    fn from_str(text: &str) -> Result<Self, UnknownLayer> {
        if let Some(abi) = text.strip_prefix("landlock-") {
            return abi.parse().map(Self::Landlock).map_err(|_| UnknownLayer(text.to_owned()));
        }
        Self::ALL
            .into_iter()
            .find(|layer| layer.name() == text)
            .ok_or_else(|| UnknownLayer(text.to_owned()))
    }
}

impl Serialize for Layer {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Layer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Layer".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let words = Self::ALL.map(|layer| match layer {
            Self::Landlock(_) => "landlock(-[0-9]+)?",
            layer => layer.name(),
        });
        schemars::json_schema!({
            "description": "A layer of isolation around a run.",
            "type": "string",
            "pattern": format!("^({})$", words.join("|")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_survives_a_round_trip_as_text() {
        for layer in Layer::ALL.into_iter().chain([Layer::Landlock(7)]) {
            assert_eq!(layer.to_string().parse(), Ok(layer));
        }
        assert_eq!(Layer::Landlock(7).to_string(), "landlock-7");
        for text in ["", "seccomp ", "landlock-", "landlock-x", "LANDLOCK", "landlock-999"] {
            assert!(text.parse::<Layer>().is_err(), "{text:?}");
        }
    }
}
