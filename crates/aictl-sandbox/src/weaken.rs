//! Layers that a test has switched off, to prove that an attack then works.
//!
//! Only a build with the feature `weaken` has such a switch. In every other build [`off`] is
//! constantly false, and neither the name of the variable nor the code behind it exists.

use std::ffi::CStr;

use crate::engine::Grant;

/// What Landlock grants where the mount namespace is switched off, and there is no root but the
/// host's: what the new one would hold of it, and nothing to write to.
#[cfg(not(feature = "weaken"))]
pub const HOST: [(&CStr, Grant); 0] = [];

/// What Landlock grants where the mount namespace is switched off, and there is no root but the
/// host's: what the new one would hold of it, and nothing to write to.
#[cfg(feature = "weaken")]
pub const HOST: [(&CStr, Grant); 8] = [
    (c"/usr", Grant::ReadExecute),
    (c"/bin", Grant::ReadExecute),
    (c"/lib", Grant::ReadExecute),
    (c"/lib64", Grant::ReadExecute),
    (c"/etc/ld.so.cache", Grant::Read),
    (c"/proc", Grant::Read),
    (c"/dev/null", Grant::Device),
    (c"/dev/urandom", Grant::Device),
];

/// Reads what is switched off, before the environment is forgotten.
#[cfg(not(feature = "weaken"))]
pub const fn load() {}

/// Whether the layer called `name` is switched off.
#[cfg(not(feature = "weaken"))]
#[must_use]
pub const fn off(_name: &str) -> bool {
    false
}

#[cfg(feature = "weaken")]
static SWITCHED_OFF: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();

/// Reads what is switched off from the environment variable `AICTL_WEAKEN`.
#[cfg(feature = "weaken")]
pub fn load() {
    SWITCHED_OFF.get_or_init(|| {
        let list = std::env::var("AICTL_WEAKEN").unwrap_or_default();
        list.split(',').map(|layer| layer.trim().to_owned()).collect()
    });
}

/// Whether the layer called `name` is switched off.
#[cfg(feature = "weaken")]
#[must_use]
pub fn off(name: &str) -> bool {
    load();
    SWITCHED_OFF.get().is_some_and(|list| list.iter().any(|layer| layer == name))
}
