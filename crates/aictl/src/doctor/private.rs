//! What a report of a bug says to nobody: who its user is, what the machine is called, and what is
//! in the user's home.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use aictl_api::document::doctor::Report;
use aictl_core::redact::redact;
use nix::unistd::getuid;

use crate::users::Users;

/// What has to go, and what stands in its place.
#[derive(Debug, Default)]
pub struct Private {
    /// Whole paths below the home.
    paths: Vec<String>,
    home: Option<String>,
    words: Vec<(String, &'static str)>,
}

/// What stands for a path below the home.
const BELOW_HOME: &str = "~/...";
/// What everybody is called is nobody's secret.
const COMMON: [&str; 3] = ["root", "localhost", "(none)"];

impl Private {
    /// What is private about this process's user and machine; `paths` can stand in the report.
    pub fn of_this_process(paths: impl Iterator<Item = PathBuf>) -> Self {
        let uid = getuid().as_raw();
        let user = Users::of_this_machine().name(uid);
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let names = [Some(user), env::var("USER").ok(), env::var("LOGNAME").ok()];
        Self::new(env::home_dir().as_deref(), paths, names.into_iter().flatten(), host.trim(), uid)
    }

    fn new(
        home: Option<&Path>,
        paths: impl Iterator<Item = PathBuf>,
        names: impl Iterator<Item = String>,
        host: &str,
        uid: u32,
    ) -> Self {
        let home = home.filter(|home| home.is_absolute() && *home != Path::new("/"));
        let is_below = |path: &PathBuf| home.is_some_and(|home| path.starts_with(home));
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut paths: Vec<String> = paths.filter(is_below).map(|path| text(&path)).collect();
        // The longest first: a shorter one can be its beginning.
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        let short = host.split('.').next().unwrap_or_default().to_owned();
        let mut words: Vec<(String, &str)> = names.map(|name| (name, "USER")).collect();
        words.extend([(host.to_owned(), "HOST"), (short, "HOST")]);
        // Root's is no secret, and is what half of all knobs are set to.
        if uid != 0 {
            words.push((uid.to_string(), "UID"));
        }
        words.retain(|(word, _)| !word.is_empty() && !COMMON.contains(&word.as_str()));
        Self { paths, home: home.map(text), words }
    }

    /// Takes it out of all that a report says.
    pub fn hide_in(&self, report: &mut Report) {
        report.kernel = report.kernel.as_deref().map(|kernel| self.hide(kernel));
        for check in &mut report.checks {
            check.detail = self.hide(&check.detail);
            check.advice = check.advice.as_deref().map(|advice| self.hide(advice));
        }
    }

    fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for path in &self.paths {
            text = text.replace(path, BELOW_HOME);
        }
        if let Some(home) = &self.home {
            text = without_paths(&text, home);
        }
        for (word, instead) in &self.words {
            text = without_word(&text, word, instead);
        }
        redact(&text).into_owned()
    }
}

/// The text with [`BELOW_HOME`] for each path that begins with `home`, as far as no blank shows.
fn without_paths(text: &str, home: &str) -> String {
    let mut hidden = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(home) {
        hidden += before;
        let ends = |c: char| c.is_whitespace() || ":;,()'\"`".contains(c);
        let path = &behind[..behind.find(ends).unwrap_or(behind.len())];
        hidden += match path {
            "" | "/" => "~",
            // Or another directory, whose name begins alike: whose it is, who knows.
            _ => BELOW_HOME,
        };
        rest = &behind[path.len()..];
    }
    hidden + rest
}

/// The text with `instead` wherever `word` stands by itself.
fn without_word(text: &str, word: &str, instead: &str) -> String {
    let is_in_word = |c: char| c.is_alphanumeric();
    let mut hidden = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(word) {
        hidden += before;
        let alone = !hidden.ends_with(is_in_word) && !behind.starts_with(is_in_word);
        hidden += if alone { instead } else { word };
        rest = behind;
    }
    hidden + rest
}

#[cfg(test)]
mod tests {
    use aictl_api::document::doctor::{Check, CheckStatus};

    use super::*;

    fn private() -> Private {
        Private::new(
            Some(Path::new("/data/people/anna")),
            ["/data/people/anna/my secret/plan.toml", "/etc/aictl/aictl.toml"]
                .into_iter()
                .map(PathBuf::from),
            ["anna".to_owned(), String::new()].into_iter(),
            "atlas.example.org",
            1000,
        )
    }

    #[test]
    fn nothing_private_is_left() {
        for (text, expected) in [
            ("/usr/bin/python3", "/usr/bin/python3"),
            ("/data/people/anna/.venv/bin/python3 (on PATH)", "~/... (on PATH)"),
            ("/data/people/anna/my secret/plan.toml:3: no", "~/...:3: no"),
            ("`/data/people/anna`", "`~`"),
            ("/data/people/annabel/x", "~/..."),
            ("/etc/aictl/aictl.toml:3", "/etc/aictl/aictl.toml:3"),
            ("/home/bert/x cannot be read", "~/x cannot be read"),
            ("/run/user/1000/bus, 10001, 1000", "/run/user/UID/bus, 10001, UID"),
            (
                "/user.slice/user-1000.slice/user@1000.service",
                "/user.slice/user-UID.slice/user@UID.service",
            ),
            ("anna's, not joanna's", "USER's, not joanna's"),
            ("atlas and atlas.example.org", "HOST and HOST"),
            ("token=abcdef", "token=***"),
        ] {
            assert_eq!(private().hide(text), expected);
        }
    }

    #[test]
    fn the_whole_report_is_looked_through() {
        let text = "anna on atlas";
        let mut report = Report {
            version: "1",
            kernel: Some("6.18-atlas".to_owned()),
            checks: vec![Check::bad("config", CheckStatus::Missing, text, text)],
            healthy: true,
        };
        private().hide_in(&mut report);
        assert_eq!(report.kernel.as_deref(), Some("6.18-HOST"));
        assert_eq!(report.checks[0].detail, "USER on HOST");
        assert_eq!(report.checks[0].advice.as_deref(), Some("USER on HOST"));
    }

    #[test]
    fn what_is_no_secret_stays() {
        let nobody = Private::new(
            Some(Path::new("/")),
            ["/x".into()].into_iter(),
            ["root".to_owned()].into_iter(),
            "localhost",
            0,
        );
        let text = "user.max_user_namespaces is 0: root, /x on localhost";
        assert_eq!(nobody.hide(text), text);
    }
}
