//! As much of JSON Schema (draft 2020-12) as the schemas of aictl use. A keyword that this does not
//! know is an error: nothing passes unlooked at.

#![allow(dead_code, reason = "every test file uses its own part")]

use serde_json::{Map, Value};

/// Keywords that say nothing of what is valid. Formats name the Rust types of numbers, whose ranges
/// are said by `minimum` and `maximum`.
const SILENT: [&str; 5] = ["$schema", "$defs", "title", "description", "format"];

/// What is wrong with `value`, each with its place; nothing if it is as the schema says. A field
/// that the schema does not name is wrong too: it would be one that nobody is told of.
pub fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check { root: schema, found: &mut found }.look(schema, value, "$");
    found
}

struct Check<'a> {
    root: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn wrong(&mut self, place: &str, what: impl std::fmt::Display) {
        self.found.push(format!("{place}: {what}"));
    }

    fn look(&mut self, schema: &Value, value: &Value, place: &str) {
        let Value::Object(schema) = schema else {
            return self.wrong(place, format!("no schema: {schema}"));
        };
        for (keyword, rule) in schema {
            self.keyword(keyword, rule, schema, value, place);
        }
    }

    fn keyword(
        &mut self,
        keyword: &str,
        rule: &Value,
        schema: &Map<String, Value>,
        value: &Value,
        place: &str,
    ) {
        match keyword {
            _ if SILENT.contains(&keyword) => {}
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !types.iter().any(|kind| is_a(value, kind.as_str().unwrap_or_default())) {
                    self.wrong(place, format!("{value} is no {rule}"));
                }
            }
            "const" if rule != value => self.wrong(place, format!("{value} is not {rule}")),
            "enum" if !rule.as_array().is_some_and(|all| all.contains(value)) => {
                self.wrong(place, format!("{value} is none of {rule}"));
            }
            "const" | "enum" => {}
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                self.wrong(place, format!("{value} is less than {rule}"));
            }
            "maximum" if value.as_f64() > rule.as_f64() && value.is_number() => {
                self.wrong(place, format!("{value} is more than {rule}"));
            }
            "minItems" if value.as_array().is_some_and(|items| items.len() < size(rule)) => {
                self.wrong(place, format!("fewer than {rule}"));
            }
            "maxItems" if value.as_array().is_some_and(|items| items.len() > size(rule)) => {
                self.wrong(place, format!("more than {rule}"));
            }
            "minimum" | "maximum" | "minItems" | "maxItems" => {}
            "pattern" => {
                let pattern = rule.as_str().unwrap_or_default();
                if value.as_str().is_some_and(|text| !matches_words(text, pattern)) {
                    self.wrong(place, format!("{value} does not match {pattern}"));
                }
            }
            "$ref" => {
                let name = rule.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
                let target = name.map_or(&Value::Null, |name| &self.root["$defs"][name]);
                self.look(target, value, place);
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.look(rule, item, &format!("{place}[{index}]"));
                }
            }
            "required" => {
                let Some(object) = value.as_object() else { return };
                for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if !object.contains_key(name) {
                        self.wrong(place, format!("{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    let inner = format!("{place}.{name}");
                    match rule.get(name) {
                        Some(rule) => self.look(rule, field, &inner),
                        None => self.wrong(&inner, "the schema does not name it"),
                    }
                }
            }
            "oneOf" | "anyOf" => {
                let fits = |rule: &&Value| {
                    let mut found = Vec::new();
                    Check { root: self.root, found: &mut found }.look(rule, value, place);
                    found.is_empty()
                };
                let fitting = rule.as_array().into_iter().flatten().filter(fits).count();
                if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                    self.wrong(place, format!("{value} fits {fitting} of {keyword}"));
                }
            }
            other => panic!("{place}: the keyword {other} is not known here: {schema:?}"),
        }
    }
}

/// Whether a text is one of the words of a pattern such as `^(a|b(-[0-9]+)?)$`.
fn matches_words(text: &str, pattern: &str) -> bool {
    let words = pattern.strip_prefix("^(").and_then(|rest| rest.strip_suffix(")$"));
    let words = words.unwrap_or_else(|| panic!("the pattern {pattern} is not known here"));
    words.split('|').any(|word| match word.strip_suffix("(-[0-9]+)?") {
        None => text == word,
        Some(word) => text.strip_prefix(word).is_some_and(|number| {
            let digits = number.strip_prefix('-').unwrap_or("no digit");
            number.is_empty() || digits.bytes().all(|byte| byte.is_ascii_digit())
        }),
    })
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the type {other} is not known here"),
    }
}

fn size(rule: &Value) -> usize {
    usize::try_from(rule.as_u64().unwrap_or_default()).unwrap_or(usize::MAX)
}
