//! `aictl completions`: the script by which a shell completes command lines of aictl.

use aictl_api::{exit, schema::DOCUMENTS, service::BUILTIN_NAMES};
use clap::{Arg, Command, CommandFactory, ValueHint, builder::PossibleValuesParser};
use clap_complete::{Generator, Shell as Known};

use crate::{
    args::{
        Cli,
        completions::{Completions, Shell},
    },
    message,
};

/// Runs the command; returns the exit code.
pub fn main(args: &Completions) -> u8 {
    let printed = script(args.shell).and_then(|script| message::print(&script));
    match printed {
        Ok(()) => exit::OK,
        Err(error) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
    }
}

/// The script for a shell.
fn script(shell: Shell) -> std::io::Result<String> {
    let generator = match shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    let mut command = with_values(Cli::command());
    command.set_bin_name("aictl");
    command.build();
    let mut script = Vec::new();
    generator.try_generate(&command, &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// The command line with what its values may be, as far as that is known without looking.
fn with_values(command: Command) -> Command {
    let command = command.mut_args(with_value);
    command.mut_subcommands(with_values)
}

fn with_value(arg: Arg) -> Arg {
    match (arg.get_id().as_str(), arg.get_long()) {
        ("services" | "service", _) => arg.value_parser(PossibleValuesParser::new(BUILTIN_NAMES)),
        ("document", _) => {
            let names = DOCUMENTS.iter().map(|document| document.name).chain(["config"]);
            arg.value_parser(PossibleValuesParser::new(names))
        }
        ("script" | "file", _) | (_, Some("config")) => arg.value_hint(ValueHint::FilePath),
        (_, Some("python")) => arg.value_hint(ValueHint::ExecutablePath),
        (_, Some("caller")) => arg.value_hint(ValueHint::Username),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn each_shell_is_told_of_every_command_and_of_what_is_known_of_values() {
        for shell in Shell::value_variants() {
            let script = script(*shell).unwrap();
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell:?}: {}", command.get_name());
            }
            for word in ["aictl", "ollama", "llama-cpp-native", "strict", "work-size", "memory"] {
                assert!(script.contains(word), "{shell:?}: {word}");
            }
        }
    }

    #[test]
    fn nothing_else_is_a_value_of_its_own() {
        let command = with_values(Cli::command());
        let restart = command.find_subcommand("restart").unwrap();
        let services = restart.get_arguments().find(|arg| arg.get_id() == "services").unwrap();
        assert_eq!(services.get_possible_values().len(), BUILTIN_NAMES.len());
        let run = command.find_subcommand("run").unwrap();
        let script = run.get_arguments().find(|arg| arg.get_id() == "script").unwrap();
        assert_eq!(script.get_value_hint(), ValueHint::FilePath);
        assert!(script.get_possible_values().is_empty());
    }
}
