//! `cargo xtask help`: the commands, on one screen.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::args::DEFAULT_RUNS;
use crate::bench::{GUARD_OVER_BARE, GUARD_OVER_BUBBLEWRAP, GUARD_OVERHEAD, SECTIONS};
use crate::failure::Failure;
use crate::test::TIERS;

/// The list of commands, with their options.
#[must_use]
pub fn text() -> String {
    let mut text = String::from(
        "usage: cargo xtask COMMAND

  build                      build the programs as they are shipped: in target/dist, linked
                             statically, which makes them start faster
  test [OPTIONS] [TIER…]     run the tests
      --strict               what could not be run is a failure (AICTL_TEST_STRICT=1 in the
                             environment does the same)
      --shipped              tiers of machines: with the programs as they are shipped
      --only WORD            tiers of machines: only the tests with this word in their names
      --seconds N            tier fuzz: how long for each target (default 10)
",
    );
    for tier in TIERS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:29}tier {}: {}", "", tier.name, tier.about);
    }
    let sections: Vec<&str> = SECTIONS.iter().map(|section| section.name).collect();
    let sections = sections.join(", ");
    let _ = write!(
        text,
        "  check                      format, lint, documentation, licences and sources
  bench [OPTIONS]            time `aictl run` beside bare python3, bubblewrap, firejail and
                             systemd-run, and `aictl status` beside what it replaces, in turns
      --only NAME            only this part, again for several: run, status; on a machine
                             that is booted for it:
                             {sections}
      --installed            all of them
      --runs N               how often each is timed (default {DEFAULT_RUNS})
      --json FILE            write the results as JSON (-: to standard output, no table)
      --install              install absent peers with apt-get (default when root)
      --no-install           install nothing
      --guard                fail if aictl run is over {GUARD_OVER_BARE} x bare, or over
                             {GUARD_OVER_BUBBLEWRAP} x bubblewrap, or adds more than
                             {GUARD_OVERHEAD} ms, or aictl status is late
  install [--destdir DIR]    build, and install on this machine (as root), or below DIR
  uninstall [--destdir DIR]  take away what install has put there
  dist [--rpm]               build, and make a Debian package in target/package (and one of rpm)
  help                       print this
"
    );
    text
}

/// Prints [`text`] on standard output.
pub fn print() -> Result<(), Failure> {
    std::io::stdout().write_all(text().as_bytes()).map_err(Failure::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_tier_is_listed_and_fits_a_terminal() {
        let text = text();
        for name in ["build", "test", "check", "bench", "install", "uninstall", "dist", "help"] {
            assert!(text.lines().any(|l| l.starts_with(&format!("  {name} "))), "{name}");
        }
        for tier in TIERS {
            assert!(text.contains(&format!("tier {}: ", tier.name)), "{}", tier.name);
        }
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
