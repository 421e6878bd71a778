//! The replacement fields of a text that `str.format` is called on: they read attributes by name.

/// The attributes that a format string reads, with those of formats in formats.
pub fn attributes(format: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(format, 0, &mut found);
    found
}

/// Python itself follows no more than two levels.
const MAX_LEVELS: u8 = 4;

fn collect(format: &str, level: u8, found: &mut Vec<String>) {
    if level > MAX_LEVELS {
        return;
    }
    let mut rest = format;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        // At the top, two are one that stands for itself; within a format they are not.
        if level == 0 && rest.starts_with('{') {
            rest = &rest[1..];
            continue;
        }
        let (name, after) = rest.split_at(end_of_name(rest));
        names(name, found);
        let (format, after) = after.split_at(end_of_format(after));
        collect(format, level + 1, found);
        rest = after;
    }
}

/// Where a field's name ends: at a conversion, a format or the closing brace. What stands in square
/// brackets is a key, whatever it is.
fn end_of_name(field: &str) -> usize {
    let mut in_brackets = false;
    for (at, c) in field.char_indices() {
        match c {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            '!' | ':' | '}' if !in_brackets => return at,
            _ => {}
        }
    }
    field.len()
}

/// Where what follows a field's name ends: at the brace that closes the field, or with the text.
fn end_of_format(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The attributes in a field's name such as `0.a[b].c`. What stands in brackets is a key; yet where
/// brackets do not pair up, nothing is trusted to be one.
fn names(name: &str, found: &mut Vec<String>) {
    let mut outside = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('[') {
        outside.push_str(before);
        match after.split_once(']') {
            Some((_, after)) => rest = after,
            None => {
                outside.push_str(after);
                rest = "";
            }
        }
    }
    outside.push_str(rest);
    found.extend(outside.split('.').skip(1).map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_wherever_a_field_stands() {
        for (format, expected) in [
            ("", &[][..]),
            ("a.b", &[]),
            ("{}", &[]),
            ("{0}{1:>10.2f}", &[]),
            ("{{0.__class__}}", &[]),
            ("{{{0.a}}}", &["a"]),
            ("{0.__class__}", &["__class__"]),
            ("{x.a.b[c.d].e!r:>3}", &["a", "b", "e"]),
            ("{:{0.a}}", &["a"]),
            ("{0:{1:{2.a}}}", &["a"]),
            ("{0[a:b].c}", &["c"]),
            ("{0[{].c}", &["c"]),
            ("{0[}].c}", &["c"]),
            ("{0[!:].c}", &["c"]),
            ("{0!r:{1.a}}{2.b}", &["a", "b"]),
            ("{0.a", &["a"]),
            ("{0[a.b", &["b"]),
        ] {
            assert_eq!(attributes(format), expected, "{format}");
        }
        assert!(attributes(&"{".repeat(100_000)).is_empty());
    }
}
