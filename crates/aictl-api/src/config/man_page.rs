//! The manual page of the configuration, aictl.toml(5): the tables that read it, for those who
//! write it.

use serde_json::Value;

use super::{Config, DROP_INS, FILE, schema, services, status};
use crate::{
    authorisation::HOW_TO_GENERATE,
    roff::{Page, quoted},
    service::Catalogue,
};

/// A file that sets something in each table.
pub(super) const EXAMPLE: &str = r#"[sandbox.limits]
timeout = "1m"
memory = "1G"

[sandbox.max]
timeout = "10m"

[services.ollama]
required = true
verbs = ["start", "stop", "restart"]

[services.my-model]
unit = "my-model.service"
provider = "llama-server"
endpoint = "http://127.0.0.1:9000"

[status]
http-timeout = "2s"

[helper]
change-rate = { per-minute = 30, burst = 5 }

[log]
level = "warning"
"#;
/// The command lines that it takes to have a change in force.
pub(super) const COMMANDS: [&str; 3] = [
    "aictl config check",
    "systemctl restart aictl-polkit-rules.service",
    "systemctl try-reload-or-restart aictld.service",
];

/// The page, to be installed as /usr/share/man/man5/aictl.toml.5.
#[must_use]
pub fn page() -> String {
    let source = "crates/aictl-api/src/config";
    let mut page =
        Page::generated(source, HOW_TO_GENERATE, "aictl.toml", 5, "Configuration of aictl");
    page.section("NAME");
    page.text("aictl.toml - the configuration of aictl and of its helper");
    page.section("SYNOPSIS");
    page.request(&format!(".I {}", quoted(FILE)));
    page.request(".br");
    page.request(&format!(".I {}", quoted(&format!("{DROP_INS}/*.toml"))));
    page.section("DESCRIPTION");
    page.text(
        "None of these files is needed: each key has a built-in value, and a file that sets \
         nothing changes nothing. The files of the directory are read after the main one, in the \
         order of their names; where two files set the same key, the later one holds.",
    );
    page.paragraph(
        "The files are TOML, in UTF-8. A time is \"500ms\", \"5s\", \"2m\" or \"1h\"; a size is \
         \"64K\", \"256M\" or \"1G\" (powers of 1024), or a number of bytes. An unknown key, or a \
         value that does not fit, is an error, which names the file, the line, the key, the value \
         and what is accepted; aictl config check tells all of them at once.",
    );
    page.paragraph(
        "The helper accepts only files that belong to root, that nobody else can write and that \
         everybody can read, the directories above them included. It reads them when it starts and when it is reloaded. \
         While they are wrong, a helper that runs keeps to what it had, and one that starts offers \
         no service. A service that is added, taken out, or given other verbs changes what polkit \
         lets the helper do: aictl-polkit-rules.service writes that anew.",
    );
    let config = Config::default();
    let schema = schema();
    for (table, about) in tables(&schema) {
        page.section(&format!("[{table}]"));
        page.text(&sentence(about));
        if table == "services" {
            of_services(&mut page, &schema);
            continue;
        }
        let within = format!("{table}.");
        for shown in config.shown().iter().filter(|shown| shown.key.starts_with(&within)) {
            let about = description(&schema, &shown.key);
            let default = shown.value.as_ref().map(|value| format!("{} = {value}", shown.key));
            page.item(default.as_ref().unwrap_or(&shown.key), &sentence(about));
        }
    }
    page.section("ENVIRONMENT");
    page.text("For the command alone. A bare number is one of seconds.");
    for key in &status::KEYS {
        page.item(key.variable, &format!("Goes over status.{}.", key.spec.name));
    }
    page.section("FILES");
    page.item(
        "/usr/share/doc/aictl/examples/aictl.toml",
        "Every key with its built-in value, to copy from.",
    );
    page.section("EXAMPLES");
    page.text("A file that sets something in each table:");
    page.example(EXAMPLE.lines());
    page.paragraph("What has a change in force:");
    page.example(COMMANDS);
    page.section("SEE ALSO");
    page.text("aictl(1), aictld(8), org.aictl1(5), polkit(8)");
    page.into_text()
}

/// The tables of a file, with what they are for.
fn tables(schema: &Value) -> impl Iterator<Item = (&'static str, &str)> {
    super::TABLES.iter().map(|table| (*table, description(schema, table)))
}

/// What a key of the schema, named with its tables, is for; empty if it has no such key.
fn description<'a>(schema: &'a Value, key: &str) -> &'a str {
    let found = key.split('.').fold(schema, |table, name| &table["properties"][name]);
    found["description"].as_str().unwrap_or_default()
}

/// The services: what is built in, and what each can be given.
fn of_services(page: &mut Page, schema: &Value) {
    let names: Vec<String> =
        Catalogue::builtin().iter().map(|service| service.name.to_string()).collect();
    page.paragraph(&format!("Built in are: {}.", names.join(", ")));
    page.paragraph(
        "A service of your own has a name of a-z, 0-9 and \"-\", and needs a unit. One that is not \
         installed does no harm.",
    );
    let of_one = &schema["properties"]["services"]["additionalProperties"];
    for key in services::KEYS {
        let about = description(of_one, key);
        let words = of_one["properties"][key]["enum"].as_array();
        let words = words.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
        let words = match words[..] {
            [] => String::new(),
            _ => format!(" One of: {}.", words.join(", ")),
        };
        page.item(&format!("services.NAME.{key}"), &format!("{}{words}", sentence(about)));
    }
}

fn sentence(about: &str) -> String {
    format!("{}.", about.trim_end_matches('.'))
}
