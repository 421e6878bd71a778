//! AppArmor on this machine: whether it is on, and whether it can have our profile.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::debian;

/// The installed profile; see apparmor.d(5).
pub(super) const PROFILE: &str = "/etc/apparmor.d/aictl";
/// A name that the profile defines.
const NAME: &str = "aictl";
/// What loads profiles.
pub(super) const PARSER: &str = "apparmor_parser";
/// Whoever may write to it can load profiles: root, where AppArmor is on.
const LOAD: &str = "/sys/kernel/security/apparmor/.replace";
/// The names of those that are loaded, one a line, each with its mode.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// What becomes of the installed profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// AppArmor is off, or it is not there: the file lies in wait.
    Waits,
    /// It can be loaded.
    Loads,
    /// The parser is older than its language, and would complain of it at every boot.
    Goes,
}

/// Asks this machine. The file is in its place.
pub(super) fn fate() -> Fate {
    let parses = debian::is_installed(PARSER).then(|| {
        let mut parser = Command::new(PARSER);
        parser.args(["--skip-kernel-load", "--skip-cache", PROFILE]).env_remove("LD_LIBRARY_PATH");
        parser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        parser.status().is_ok_and(|status| status.success())
    });
    decide(parses, Path::new(LOAD).exists())
}

/// `parses`: whether the parser takes it, if there is one; `on`: whether AppArmor is.
fn decide(parses: Option<bool>, on: bool) -> Fate {
    match (parses, on) {
        (Some(false), _) => Fate::Goes,
        (Some(true), true) => Fate::Loads,
        (None, _) | (Some(true), false) => Fate::Waits,
    }
}

/// Whether the profile is loaded on this machine.
pub(super) fn is_loaded() -> bool {
    debian::is_installed(PARSER)
        && Path::new(PROFILE).exists()
        && fs::read_to_string(LOADED).is_ok_and(|list| lists(&list))
}

fn lists(loaded: &str) -> bool {
    loaded.lines().any(|line| line.split(" (").next() == Some(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_parser_takes_stays_and_is_loaded_where_apparmor_is_on() {
        for (parses, on, fate) in [
            (None, false, Fate::Waits),
            (None, true, Fate::Waits),
            (Some(true), false, Fate::Waits),
            (Some(true), true, Fate::Loads),
            (Some(false), false, Fate::Goes),
            (Some(false), true, Fate::Goes),
        ] {
            assert_eq!(decide(parses, on), fate, "{parses:?} {on}");
        }
    }

    #[test]
    fn a_profile_is_known_by_its_whole_name() {
        for (list, is_there) in [
            ("", false),
            ("aictl (unconfined)\n", true),
            ("chrome (unconfined)\naictl (enforce)\n", true),
            ("aictl-sandboxd (unconfined)\n", false),
            ("not aictl (complain)\n", false),
        ] {
            assert_eq!(lists(list), is_there, "{list:?}");
        }
    }
}
