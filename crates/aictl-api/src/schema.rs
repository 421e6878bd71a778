//! The JSON Schemas of the documents that commands print with `--json`, from the types that they
//! are made of.
//!
//! A document of a later version may have more fields, and loses none: the schemas allow them.

use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::Value;

use crate::{
    document::{
        actions::Actions,
        audit::Audit,
        check::Check,
        config::{Problems, Settings},
        doctor,
        failure::Failure,
        logs::Log,
    },
    gpu::GpuReport,
    run::RunReport,
    status::Status,
};

#[cfg(test)]
mod tests;

/// A document that has a schema.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// Its name: that of the command that prints it.
    pub name: &'static str,
    /// The command line that prints it.
    pub command: &'static str,
    schema: fn() -> Schema,
}

/// Every document, in the order of the command line's help.
pub const DOCUMENTS: &[Document] = &[
    Document { name: "status", command: "aictl status --json", schema: schema::<Status> },
    Document { name: "gpu", command: "aictl gpu --json", schema: schema::<GpuReport> },
    Document { name: "logs", command: "aictl logs --json SERVICE", schema: schema::<Log<'static>> },
    Document {
        name: "actions",
        command: "aictl start|stop|restart|reload|enable|disable --json SERVICE…",
        schema: schema::<Actions<'static>>,
    },
    Document { name: "run", command: "aictl run --json SCRIPT", schema: schema::<RunReport> },
    Document {
        name: "check",
        command: "aictl check --json SCRIPT",
        schema: schema::<Check<'static>>,
    },
    Document { name: "audit", command: "aictl audit --json", schema: schema::<Audit<'static>> },
    Document { name: "doctor", command: "aictl doctor --json", schema: schema::<doctor::Report> },
    Document {
        name: "config-show",
        command: "aictl config show --json",
        schema: schema::<Settings<'static>>,
    },
    Document {
        name: "config-check",
        command: "aictl config check --json",
        schema: schema::<Problems<'static>>,
    },
    Document {
        name: "failure",
        command: "any command with --json that cannot do what it is for",
        schema: schema::<Failure<'static>>,
    },
];

/// The JSON Schema (draft 2020-12) of the document with this name; `None` if there is none.
#[must_use]
pub fn of(document: &str) -> Option<Value> {
    let document = DOCUMENTS.iter().find(|known| known.name == document)?;
    let mut schema = (document.schema)();
    schema.insert("title".to_owned(), document.command.into());
    Some(schema.to_value())
}

/// The schema of what a type is written as.
fn schema<T: JsonSchema>() -> Schema {
    // What reads a run's outcome here refuses fields that it does not know; others must not.
    let open = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            schema.remove("additionalProperties");
        }
    });
    let settings = SchemaSettings::draft2020_12().for_serialize().with_transform(open);
    settings.into_generator().into_root_schema_for::<T>()
}
