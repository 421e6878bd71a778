//! The command line of `aictl completions`.

use clap::{Args, ValueEnum};

/// What follows the help of `aictl completions`.
pub const COMPLETIONS_HELP: &str = "\
Debian's package brings all three, where the shells look for them. Without it:

  aictl completions bash > ~/.local/share/bash-completion/completions/aictl
  aictl completions zsh > DIRECTORY/_aictl        (a directory of $fpath)
  aictl completions fish > ~/.config/fish/completions/aictl.fish

Of services, those that are built in are completed.";

/// `aictl completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// A shell that can be helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash(1)
    Bash,
    /// zsh(1)
    Zsh,
    /// fish(1)
    Fish,
}
