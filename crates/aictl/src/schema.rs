//! `aictl schema`: the JSON Schemas of what programs are told.

use aictl_api::{
    config::{self, closest},
    exit,
    schema::{self, DOCUMENTS},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    args::{Global, status::Schema},
    message,
    table::{Cell, Column, KEPT, Look, Table},
};

/// The configuration's files, whose schema has a command of its own.
const CONFIG: Entry =
    Entry { name: "config", command: "the configuration's files, as `aictl config schema`" };

/// A document that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Entry {
    name: &'static str,
    /// What prints it.
    command: &'static str,
}

/// The document of `aictl schema --json`.
#[derive(Debug, Serialize)]
struct List {
    documents: Vec<Entry>,
}

/// Runs the command; returns the exit code.
pub fn main(global: &Global, args: &Schema) -> u8 {
    let printed = match args.document.as_deref() {
        Some(name) => match of(name) {
            Some(schema) => message::print_json(&schema),
            None => return message::fail(global, exit::USAGE, &unknown(name)),
        },
        None if global.json => message::print_json(&List { documents: entries() }),
        None => message::print(&table(&entries(), Look::of_stdout(global))),
    };
    match printed {
        Ok(()) => exit::OK,
        Err(error) => {
            message::error(format_args!("the output cannot be written: {error}"));
            exit::INTERNAL
        }
    }
}

/// The schema of a document; `None` if there is no such document.
fn of(name: &str) -> Option<Value> {
    if name == CONFIG.name { Some(config::schema()) } else { schema::of(name) }
}

fn entries() -> Vec<Entry> {
    let documents =
        DOCUMENTS.iter().map(|known| Entry { name: known.name, command: known.command });
    documents.chain([CONFIG]).collect()
}

fn unknown(name: &str) -> String {
    let entries = entries();
    match closest(name, entries.iter().map(|entry| entry.name)) {
        Some(meant) => format!("there is no such document: did you mean {meant}?"),
        None => {
            let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
            format!("there is no such document: name one of {}", names.join(", "))
        }
    }
}

fn table(entries: &[Entry], look: Look) -> String {
    let mut table =
        Table::new([Column::left("DOCUMENT", KEPT), Column::left("PRINTED BY", KEPT).wrap(30, 10)]);
    for entry in entries {
        table.row([Cell::new(entry.name), Cell::new(entry.command)]);
    }
    table.render(look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::shown;

    #[test]
    fn the_list_is_a_table() {
        insta::assert_snapshot!(shown(|look| table(&entries(), look)));
    }

    #[test]
    fn each_document_of_the_list_has_a_schema() {
        for entry in entries() {
            let schema = of(entry.name).unwrap();
            assert!(schema["properties"].is_object(), "{}", entry.name);
        }
        for (name, expected) in [
            ("statsu", "did you mean status?"),
            ("xyzzy-and-more", "name one of status, gpu"),
            ("", "name one of"),
        ] {
            assert!(of(name).is_none());
            assert!(unknown(name).contains(expected), "{}", unknown(name));
        }
    }
}
