//! The little JSON (RFC 8259) that the bench writes.

use std::fmt::Write as _;

/// `text` as a JSON string, with its quotes.
#[must_use]
pub fn string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\t' => json.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// `value` as a JSON number with three digits after the point; null if it is not finite.
#[must_use]
pub fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.3}") } else { "null".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_numbers() {
        for (text, want) in [
            ("", r#""""#),
            ("bare python3 -I", r#""bare python3 -I""#),
            ("a\"b\\c\n\t\u{1}é", "\"a\\\"b\\\\c\\n\\t\\u0001é\""),
        ] {
            assert_eq!(string(text), want);
        }
        for (value, want) in
            [(1.0, "1.000"), (0.12345, "0.123"), (f64::INFINITY, "null"), (f64::NAN, "null")]
        {
            assert_eq!(number(value), want);
        }
    }
}
