//! `aictl config`: what the configuration says, and what is wrong with it.

use std::path::Path;

use aictl_api::{
    config::{Config, Shown, schema},
    document::config::{Problems, Setting, Settings},
    exit,
};
use aictl_core::config_files::{self, LoadError, Trust};

use crate::{
    args::{Global, services::Config as Command},
    color::{Paint, Style},
    message,
};

/// Runs the command; returns the exit code.
pub fn main(global: &Global, command: &Command) -> u8 {
    let (printed, code) = match command {
        Command::Show => match config_files::load(global.config.as_deref(), Trust::Any) {
            Ok(config) => (show(global, &config), exit::OK),
            Err(error) => return message::fail(global, error.exit_code(), &error.to_string()),
        },
        Command::Check { file } => {
            let named = file.as_deref().or(global.config.as_deref());
            let problems = problems(named);
            let code = match (problems.is_empty(), named) {
                (true, _) => exit::OK,
                (false, None) => exit::FAILED,
                (false, Some(_)) => exit::USAGE,
            };
            (report(global, &problems), code)
        }
        Command::Schema => (message::print_json(&schema()), exit::OK),
    };
    match printed {
        Ok(()) => code,
        Err(error) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
    }
}

fn show(global: &Global, config: &Config) -> std::io::Result<()> {
    let rows = config.shown();
    if global.json {
        return message::print_json(&Settings {
            settings: rows.iter().map(Setting::from).collect(),
        });
    }
    message::print(&text(&rows, Paint::new(global.color, &std::io::stdout())))
}

/// A line for each key, as it could stand in a file.
fn text(rows: &[Shown], paint: Paint) -> String {
    let mut text = String::new();
    for Shown { key, value, place } in rows {
        let line = match value {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} is not set"),
        };
        text += &message::plain(&line);
        if let Some(place) = place {
            text += &paint.text(Style::Faint, &message::plain(&format!("  # {place}")));
        }
        text.push('\n');
    }
    text
}

/// What is wrong, in the words for the user.
fn problems(named: Option<&Path>) -> Vec<String> {
    let words = |result: Result<Config, Vec<LoadError>>| -> Vec<String> {
        result.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    };
    let mut problems = words(config_files::check(named, Trust::Any));
    if named.is_none() {
        // The helper is more careful with the system's files than who acts for nobody but himself.
        for problem in words(config_files::check(None, Trust::RootOnly)) {
            if !problems.contains(&problem) {
                problems.push(format!("the helper does not take it: {problem}"));
            }
        }
    }
    problems
}

fn report(global: &Global, problems: &[String]) -> std::io::Result<()> {
    problems.iter().for_each(message::error);
    if global.json {
        return message::print_json(&Problems { ok: problems.is_empty(), problems });
    }
    if problems.is_empty() && !global.quiet {
        return message::print("The configuration can be used.\n");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aictl_api::config::Place;

    use super::*;
    use crate::color::When;

    #[test]
    fn each_key_stands_as_in_a_file_with_its_place() {
        let shown = |key: &str, value: Option<&str>, line: Option<usize>| Shown {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            place: line.map(|line| Place { file: "/etc/a.toml".to_owned(), line }),
        };
        let rows = [
            shown("helper.idle-timeout", Some("\"60s\""), None),
            shown("sandbox.python", None, None),
            shown("audit.required", Some("true"), Some(3)),
        ];
        let paint = Paint::new(When::Never, &std::io::stdout());
        assert_eq!(
            text(&rows, paint),
            "helper.idle-timeout = \"60s\"\n# sandbox.python is not set\naudit.required = true  # \
             /etc/a.toml:3\n"
        );
        let document: Vec<_> = rows.iter().map(Setting::from).collect();
        assert_eq!(
            serde_json::to_value(document).unwrap()[2],
            serde_json::json!({
                "key": "audit.required", "value": "true",
                "place": { "file": "/etc/a.toml", "line": 3 },
            })
        );
    }
}
