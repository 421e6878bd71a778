//! The JSON Schema of a configuration file, from the tables that read it.
//!
//! What a schema cannot say, such as the range of a time in quotes, stands in its descriptions;
//! reading the file has the last word.

use serde_json::{Map, Value, json};

use super::{
    Log, LogFormat, LogLevel, helper, log,
    sandbox::{COUNTS, show},
    status, strict as strict_table,
};
use crate::{
    authorisation::Verb,
    endpoint::MAX_ENDPOINT,
    limits::{self, LimitSpec, Unit},
    provider::Provider,
    service::{MAX_DISPLAY, MAX_SERVICE_NAME, MAX_UNIT_NAME},
    strict::{IMPORTS, LIMITS as LIMITS_OF_STRICT, MAX_IMPORTS},
};

/// What each limit is, in the order of [`limits::ALL`]; the words of the example file.
pub(super) const LIMITS: [&str; limits::ALL.len()] = [
    "Time from start to end",
    "CPU time of all processes of the run together",
    "Memory of all processes of the run together",
    "Processes and threads at one time",
    "Bytes kept of standard output, and as many of standard error",
    "Size of /work, and as much for /tmp",
    "Size of the script",
];

/// The JSON Schema (draft 2020-12) of a configuration file.
#[must_use]
pub fn schema() -> Value {
    let properties = [
        ("sandbox", sandbox()),
        ("services", services()),
        ("status", status()),
        ("helper", helper()),
        ("log", log()),
        ("audit", audit()),
    ];
    let mut schema = table("The configuration of aictl", properties);
    if let Value::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    }
    schema
}

fn table<K: Into<String>>(about: &str, properties: impl IntoIterator<Item = (K, Value)>) -> Value {
    let properties: Map<String, Value> =
        properties.into_iter().map(|(key, value)| (key.into(), value)).collect();
    json!({
        "type": "object",
        "description": about,
        "additionalProperties": false,
        "properties": properties,
    })
}

/// A value of `spec` that is `default` where none is set.
fn number(about: &str, spec: &LimitSpec, default: u64) -> Value {
    let range = spec.range_text();
    let whole = json!({ "type": "integer", "minimum": spec.min, "maximum": spec.max });
    let text = |units: &str| json!({ "type": "string", "pattern": format!("^[0-9]+(\\.[0-9]+)?({units})?$") });
    let kinds = match spec.unit {
        Unit::Time => vec![text("ms|s|m|min|h")],
        Unit::Bytes => vec![text("K|KiB|M|MiB|G|GiB"), whole],
        Unit::Count => vec![whole, json!({ "type": "string", "pattern": "^[0-9]+$" })],
    };
    let default: Value = match spec.unit {
        Unit::Count => default.into(),
        _ => show(spec, default).into(),
    };
    json!({ "description": format!("{about} ({range})"), "anyOf": kinds, "default": default })
}

fn sandbox() -> Value {
    let limits = |value: fn(&LimitSpec) -> u64| {
        let rows = limits::ALL.iter().zip(LIMITS);
        rows.map(|(spec, about)| (spec.name, number(about, spec, value(spec)))).collect::<Vec<_>>()
    };
    let python = json!({
        "type": "string",
        "description": "The Python that runs scripts, as an absolute path; with it they run without \
                        the helper, which has one of its own",
        "pattern": "^/",
    });
    let warm = json!({
        "type": "boolean",
        "description": "Whether runs through the helper get interpreters that wait for them",
        "default": true,
    });
    let counts = COUNTS.iter().map(|(spec, about)| (spec.name, number(about, spec, spec.default)));
    table(
        "Sandboxed runs",
        [("python", python), ("warm", warm)].into_iter().chain(counts).chain([
            (
                "limits",
                table("What a run gets that asks for nothing else", limits(|spec| spec.default)),
            ),
            ("max", table("The most that a run may ask for", limits(|spec| spec.max))),
            ("strict", strict()),
        ]),
    )
}

fn strict() -> Value {
    let imports = json!({
        "type": "array",
        "description": "The modules that a script may import, with the public ones below each",
        "items": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$" },
        "maxItems": MAX_IMPORTS,
        "default": IMPORTS,
    });
    let limits = LIMITS_OF_STRICT.iter().zip(strict_table::ABOUT);
    let limits = limits.map(|(spec, about)| (spec.name, number(about, spec, spec.default)));
    table(
        "What the profile strict leaves to a script",
        [("imports", imports)].into_iter().chain(limits),
    )
}

fn services() -> Value {
    let service = table(
        "One service; what is not set is as built in, or for a service of your own as described",
        [
            (
                "unit",
                json!({
                    "type": "string",
                    "description": "Its systemd unit; a service of your own needs one",
                    "pattern": "^[A-Za-z0-9:_\\\\][A-Za-z0-9:_.\\\\@-]*\\.service$",
                    "maxLength": MAX_UNIT_NAME,
                }),
            ),
            (
                "display",
                json!({
                    "type": "string",
                    "description": "Its name for people; else the service's name",
                    "minLength": 1,
                    "maxLength": MAX_DISPLAY,
                }),
            ),
            (
                "verbs",
                json!({
                    "type": "array",
                    "description": "What may be done to it; else everything",
                    "items": { "enum": Verb::ALL.map(Verb::name) },
                    "uniqueItems": true,
                }),
            ),
            (
                "required",
                json!({
                    "type": "boolean",
                    "description": "Whether something is wrong while it is not active",
                    "default": false,
                }),
            ),
            (
                "provider",
                json!({
                    "description": "The kind of its server; else found out by asking, or as built in",
                    "enum": Provider::NAMES,
                }),
            ),
            (
                "endpoint",
                json!({
                    "type": "string",
                    "description": "Where its server is asked: this machine only, or a unix socket; \
                                    else where its unit listens, or on the provider's usual ports",
                    "pattern": "^(https?://(127(\\.[0-9]{1,3}){3}|\\[[0:]*:0*1\\]|localhost):[1-9][0-9]{0,4}(/.*)?|unix:/.+)$",
                    "maxLength": MAX_ENDPOINT,
                }),
            ),
            (
                "enabled",
                json!({
                    "type": "boolean",
                    "description": "Whether there is this service; false takes it out",
                    "default": true,
                }),
            ),
        ],
    );
    json!({
        "type": "object",
        "description": "The services by their names, over the built-in ones",
        "propertyNames": {
            "pattern": "^[a-z0-9][a-z0-9-]*$",
            "maxLength": MAX_SERVICE_NAME,
        },
        "additionalProperties": service,
    })
}

fn status() -> Value {
    let keys = status::KEYS.iter().map(|key| {
        let about = format!("{}; the variable {} goes over it", key.about, key.variable);
        (key.spec.name, number(&about, &key.spec, key.spec.default))
    });
    table("What aictl status and its like do", keys)
}

fn helper() -> Value {
    let within = |table: &'static str| {
        helper::KEYS
            .iter()
            .filter(move |key| key.table == table)
            .map(|key| (key.spec.name, number(key.about, &key.spec, key.spec.default)))
    };
    let rate = |name: &'static str, about: &str| (name, table(about, within(name)));
    table(
        "The helper, aictld",
        within("").chain([
            rate("read-rate", "How fast calls of one user may come that only look"),
            rate("change-rate", "How fast calls of one user may come that act"),
            rate("run-rate", "How fast one user may have scripts run"),
        ]),
    )
}

fn log() -> Value {
    let words = |about: &str, words: &[&str], default: &str| {
        let about = format!("{about}. One of: {}", words.join(", "));
        json!({ "description": about, "enum": words, "default": default })
    };
    let [level, format] = log::ABOUT;
    let Log { level: default_level, format: default_format } = Log::default();
    let values = [
        words(level, &LogLevel::ALL.map(LogLevel::name), default_level.name()),
        words(format, &LogFormat::ALL.map(LogFormat::name), default_format.name()),
    ];
    let about = "What the helper writes to the journal beside the records of calls";
    table(about, log::KEYS.into_iter().zip(values))
}

fn audit() -> Value {
    let required = json!({
        "type": "boolean",
        "description": "Whether a call is refused whose record the journal does not take",
        "default": true,
    });
    table("The record of every call in the journal", [("required", required)])
}
