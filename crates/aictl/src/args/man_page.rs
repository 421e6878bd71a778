//! The parts of aictl(1) that this table yields. The rest of man/aictl.1 is written by hand.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use aictl_api::roff::{Page, escape};
use clap::{Arg, ArgAction, Command, CommandFactory};

use super::Cli;

/// How a line begins behind which such a part stands, and the line at its end.
const BEGIN: &str = ".\\\" generated: ";
const END: &str = ".\\\" end";
const HOW_TO_GENERATE: &str = "AICTL_BLESS=1 cargo test -p aictl man_page";

/// The table, with what clap adds to it.
fn table() -> Command {
    let mut table = Cli::command();
    table.build();
    table
}

/// What stands behind `.\" generated: usage of run` and alike.
fn part(table: &Command, title: &str) -> String {
    let mut page = Page::default();
    match title.split_once(" of ") {
        Some(("usage", name)) => usage(&mut page, command(table, name)),
        Some(("options", "every command")) => {
            table.get_arguments().for_each(|arg| option(&mut page, arg));
        }
        Some(("options", name)) => {
            let own = command(table, name).get_arguments().filter(|arg| is_own(arg));
            own.for_each(|arg| option(&mut page, arg));
        }
        _ => panic!("{title}: neither \"usage of\" nor \"options of\" a command"),
    }
    page.into_text()
}

fn command<'a>(table: &'a Command, name: &str) -> &'a Command {
    table.find_subcommand(name).unwrap_or_else(|| panic!("there is no command {name}"))
}

/// Whether an option belongs to one command, and is not there for every one.
fn is_own(arg: &Arg) -> bool {
    !arg.is_global_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

/// The command line in short; of a command that has commands, each with what it does.
fn usage(page: &mut Page, command: &Command) {
    let below: Vec<_> =
        command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    for below in &below {
        let about = below.get_about().map(ToString::to_string).unwrap_or_default();
        page.tagged(&line(below), &sentence(&about));
    }
    if below.is_empty() {
        page.request(&line(command));
    }
}

fn line(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").expect("clap says so");
    let (name, rest) = usage.split_at(usage.find(['[', '<']).unwrap_or(usage.len()));
    format!("\\fB{}\\fP {}", escape(name.trim_end()), escape(rest).replace(['<', '>'], ""))
}

fn option(page: &mut Page, arg: &Arg) {
    let short = arg.get_short().map(|short| format!("\\fB\\-{short}\\fP"));
    let long = arg.get_long().map(|long| format!("\\fB{}\\fP", escape(&format!("--{long}"))));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let values = arg.get_value_names().unwrap_or_default();
    let values: Vec<String> =
        values.iter().map(|value| format!("\\fI{}\\fP", escape(value))).collect();
    let value = match arg.get_action() {
        ArgAction::Set | ArgAction::Append => values.join(" "),
        _ => String::new(),
    };
    let tag = match (names.is_empty(), value.is_empty()) {
        (true, _) => value,
        (false, true) => names.join(", "),
        (false, false) if arg.is_require_equals_set() => format!("{}[={value}]", names.join(", ")),
        (false, false) => format!("{} {value}", names.join(", ")),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default: Vec<_> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let takes_value = arg.get_action().takes_values();
    let default = match &default[..] {
        [default] if takes_value => format!(" [default: {default}]"),
        _ => String::new(),
    };
    let help = help.split(" (see more").next().unwrap_or_default();
    page.tagged(&tag, &sentence(&format!("{help}{default}")));
    let values = arg.get_possible_values().into_iter().filter(|_| takes_value);
    for value in values {
        let about = value.get_help().map(ToString::to_string).unwrap_or_default();
        page.line(&format!("{}: {}", value.get_name(), sentence(&about)));
    }
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', ']']) { text.to_owned() } else { format!("{text}.") }
}

/// The page with its generated parts anew, and the titles of these.
fn with_parts(page: &str) -> (String, BTreeSet<String>) {
    let table = table();
    let (mut made, mut titles) = (String::new(), BTreeSet::new());
    let mut within = false;
    for line in page.lines() {
        within &= line != END;
        if !within {
            made += line;
            made.push('\n');
        }
        if let Some(title) = line.strip_prefix(BEGIN) {
            assert!(!within, "{title}: in another part");
            made += &part(&table, title);
            titles.insert(title.to_owned());
            within = true;
        }
    }
    assert!(!within, "a part has no end");
    (made, titles)
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../man/aictl.1")
}

#[test]
fn the_manual_page_is_what_the_table_yields() {
    let committed = fs::read_to_string(path()).unwrap();
    let (made, titles) = with_parts(&committed);
    if env::var_os("AICTL_BLESS").is_some_and(|value| value == "1") {
        fs::write(path(), &made).unwrap();
    } else {
        assert!(
            committed == made,
            "man/aictl.1 is not what the table yields; to make it anew: {HOW_TO_GENERATE}"
        );
    }
    let table = table();
    let has = |title: String| titles.contains(&title);
    assert!(has("options of every command".to_owned()));
    for command in table.get_subcommands() {
        let name = command.get_name();
        // The verbs have one table, and one part for all of them.
        let twin = titles.iter().any(|title| {
            title.starts_with("options of ")
                && part(&table, title) == part(&table, &format!("options of {name}"))
        });
        assert!(has(format!("usage of {name}")) || name == "help", "{name} has no usage");
        assert!(twin || !command.get_arguments().any(is_own), "{name} has no options");
    }
}

/// The constants of [`aictl_api::exit`], each with an entry.
#[test]
fn the_manual_page_has_every_exit_code() {
    use aictl_api::exit;
    let page = fs::read_to_string(path()).unwrap();
    let section = page.split(".SH EXIT STATUS").nth(1).unwrap().split(".SH").next().unwrap();
    for code in [
        exit::OK,
        exit::FAILED,
        exit::USAGE,
        exit::NOT_ACTIVE,
        exit::TIMED_OUT,
        exit::INTERNAL,
        exit::REFUSED,
        exit::NOT_FOUND,
    ] {
        assert!(section.contains(&format!(".TP\n.B {code}\n")), "{code}");
    }
    assert!(section.contains(&format!(".TP\n.B {}+N\n", exit::SIGNAL_BASE)));
}
