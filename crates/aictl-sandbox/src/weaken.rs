//! Layers that a test has switched off, to prove that an attack then works.
//!
//! Only a build with the feature `weaken` has such a switch. In every other build [`off`] is
//! constantly false, and neither the name of the variable nor the code behind it exists.

/// Whether the layer called `name` is switched off.
#[cfg(not(feature = "weaken"))]
#[must_use]
pub const fn off(_name: &str) -> bool {
    false
}

/// Whether the layer called `name` is switched off by the environment variable `AICTL_WEAKEN`.
#[cfg(feature = "weaken")]
#[must_use]
pub fn off(name: &str) -> bool {
    std::env::var("AICTL_WEAKEN")
        .is_ok_and(|list| list.split(',').any(|layer| layer.trim() == name))
}
