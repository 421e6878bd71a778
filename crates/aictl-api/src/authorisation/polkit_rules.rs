//! The polkit rules of one machine: what systemd lets the helper's user do (polkit(8), "Writing
//! authorization rules").
//!
//! systemd asks polkit whether user `aictl` may do `verb` to `unit`. The rules say yes for exactly
//! the pairs that the catalogue allows, and no for all else, so that no wider rule of an
//! administrator that comes after them holds for that user.

use super::{HELPER_USER, Verb};
use crate::service::{Catalogue, Service};

#[cfg(test)]
mod tests;

/// Where the rules are installed. Rules are read in the order of the files' names, those in `/etc`
/// before those in `/usr` of the same name.
pub const FILE: &str = "/etc/polkit-1/rules.d/50-aictl.rules";

/// The text of the file: JavaScript of the fifth edition, which is what polkit's engine knows.
#[must_use]
pub fn rules(catalogue: &Catalogue) -> String {
    let rows: Vec<String> = pairs(catalogue).iter().map(|(unit, verbs)| row(unit, verbs)).collect();
    let rows = rows.join(",\n");
    let user = literal(HELPER_USER);
    format!(
        r#"// What the helper of aictl, which runs as user {HELPER_USER}, may have systemd do. Made by
// aictl-polkit-rules from the services in /etc/aictl/aictl.toml and /etc/aictl/aictl.toml.d:
// change those, for this file is written anew.

polkit.addRule(function (action, subject) {{
    var units = {{
{rows}
    }};

    // Names such as "constructor" are found in every object: only its own count.
    function own(object, name) {{
        return Object.prototype.hasOwnProperty.call(object, name);
    }}

    if (subject.user !== {user}) {{
        return polkit.Result.NOT_HANDLED;
    }}
    // Its own actions are for others to ask for; what holds for them holds for it too.
    if (action.id.indexOf("org.aictl1.") === 0) {{
        return polkit.Result.NOT_HANDLED;
    }}
    if (action.id === "org.freedesktop.systemd1.manage-units") {{
        var unit = action.lookup("unit");
        var verb = action.lookup("verb");
        if (typeof unit === "string" && typeof verb === "string" &&
            own(units, unit) && own(units[unit], verb) && units[unit][verb] === true) {{
            return polkit.Result.YES;
        }}
    }}
    // Not left to the rules that follow: one for more people or more units would hold here too.
    return polkit.Result.NO;
}});
"#
    )
}

/// Each unit with the verbs that systemd is to allow on it.
fn pairs(catalogue: &Catalogue) -> Vec<(String, Vec<Verb>)> {
    let mut pairs = Vec::new();
    for Service { unit, verbs, .. } in catalogue {
        let of_jobs = |verb: &Verb| !matches!(verb, Verb::Enable | Verb::Disable);
        let own: Vec<Verb> = verbs.iter().filter(of_jobs).collect();
        if !own.is_empty() {
            pairs.push((unit.to_string(), own));
        }
        // polkit is told no unit when one is enabled: a unit that does only that is started.
        let jobs = verbs.iter().filter_map(|verb| unit.unit_file_job(verb));
        pairs.extend(jobs.map(|job| (job.to_string(), vec![Verb::Start])));
    }
    pairs
}

fn row(unit: &str, verbs: &[Verb]) -> String {
    let verbs: Vec<_> =
        verbs.iter().map(|verb| format!("{}: true", literal(verb.name()))).collect();
    format!("        {}: {{ {} }}", literal(unit), verbs.join(", "))
}

/// `text` as a literal. JSON allows two characters in a text that JavaScript does not, U+2028 and
/// U+2029; the alphabet of units has neither.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
