//! Text by the columns that it takes on a terminal: how wide it is, cut short, and on several lines.
//!
//! A character of Chinese takes two columns, an accent of its own none; none is torn from what it
//! belongs to.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// How many columns a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, or as much of its beginning as leaves room for `ellipsis` in `max` columns.
#[must_use]
pub fn cut(text: &str, max: usize, ellipsis: &str) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    match max.checked_sub(width(ellipsis)) {
        Some(room) => split(text, room).0.trim_end().to_owned() + ellipsis,
        None => split(text, max).0.trim_end().to_owned(),
    }
}

/// The text on lines of at most `max` columns, at least one line. Lines end between words, and
/// within a word that is longer than a line. A command in backquotes is one word as long as it
/// fits on a line: it is there to be copied.
#[must_use]
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    fill(text, max, max)
}

/// The same, with another width for the first line.
#[must_use]
pub fn fill(text: &str, first: usize, others: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // The line, and its width: looked at anew for each word, a text of many would take for ever.
    let (mut line, mut used) = (String::new(), 0);
    for mut word in words(text, first.min(others)) {
        let max = |lines: &Vec<String>| if lines.is_empty() { first } else { others };
        if !line.is_empty() {
            let wider = used + 1 + width(word);
            if wider <= max(&lines) {
                line.push(' ');
                line.push_str(word);
                used = wider;
                continue;
            }
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > max(&lines) {
            let (head, tail) = split(word, max(&lines));
            if head.is_empty() {
                break;
            }
            lines.push(head.to_owned());
            word = tail;
        }
        line.push_str(word);
        used = width(word);
    }
    lines.push(line);
    lines
}

/// The words of a text; what stands in backquotes is one, if it is no wider than `max`.
fn words(text: &str, max: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (mut word, mut tail) = rest.split_at(end);
        if word.matches('`').count() == 1
            && let Some(close) = tail.find('`')
        {
            let after = tail.get(close..).unwrap_or_default();
            let more = after.find(char::is_whitespace).unwrap_or(after.len());
            let (whole, behind) = rest.split_at(end + close + more);
            if width(whole) <= max {
                (word, tail) = (whole, behind);
            }
        }
        words.push(word);
        rest = tail.trim_start();
    }
    words
}

/// Splits a text where its beginning takes as many columns as it can, and no more than `max`.
fn split(text: &str, max: usize) -> (&str, &str) {
    let mut end = 0;
    for (start, cluster) in text.grapheme_indices(true) {
        let next = start + cluster.len();
        // As a whole: what stands together can take less room than its parts.
        if text.get(..next).is_none_or(|head| width(head) > max) {
            break;
        }
        end = next;
    }
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_many_words_takes_no_longer_for_each_of_them() {
        // As many as a server's names of models can have: quadratic, it takes minutes.
        let text = "a ".repeat(128 << 10);
        let start = std::time::Instant::now();
        assert_eq!(wrap(&text, usize::MAX), [text.trim_end()]);
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn what_is_cut_fits_and_says_so() {
        for (text, max, expected) in [
            ("ollama", 6, "ollama"),
            ("ollama", 5, "olla…"),
            ("ollama", 1, "…"),
            ("ollama", 0, ""),
            ("a b c", 4, "a b…"),
            ("a bcd", 3, "a…"),
            ("通义千问", 8, "通义千问"),
            ("通义千问", 7, "通义千…"),
            ("通义千问", 6, "通义…"),
            // An accent of its own, and a family: none is torn apart.
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("👩‍👩‍👧x👩‍👩‍👧", 4, "👩‍👩‍👧x…"),
            ("", 3, ""),
        ] {
            let text = cut(text, max, "…");
            assert_eq!(text, expected);
            assert!(width(&text) <= max, "{text}");
        }
        assert_eq!(cut("ollama", 4, ".."), "ol..");
        assert_eq!(cut("ollama", 1, ".."), "o");
    }

    #[test]
    fn lines_end_between_words() {
        for (text, max, expected) in [
            ("", 5, &[""][..]),
            ("  ", 5, &[""]),
            ("one two three", 7, &["one two", "three"]),
            ("one two three", 13, &["one two three"]),
            ("onetwothree x", 4, &["onet", "woth", "ree", "x"]),
            ("a onetwothree", 4, &["a", "onet", "woth", "ree"]),
            ("通义千问 x", 5, &["通义", "千问", "x"]),
            // No room for even one: better too wide than for ever.
            ("通义", 1, &["通义"]),
        ] {
            assert_eq!(wrap(text, max), expected, "{text} {max}");
        }
        for (max, expected) in [
            (30, &["see `aictl logs x`, or ask"][..]),
            (19, &["see `aictl logs x`,", "or ask"]),
            (18, &["see", "`aictl logs x`, or", "ask"]),
            (15, &["see", "`aictl logs x`,", "or ask"]),
            (14, &["see `aictl", "logs x`, or", "ask"]),
        ] {
            assert_eq!(wrap("see `aictl logs x`, or ask", max), expected, "{max}");
        }
        assert_eq!(wrap("an odd ` one", 6), ["an odd", "` one"]);
        assert_eq!(fill("one two three fourfive", 9, 5), ["one two", "three", "fourf", "ive"]);
    }
}
