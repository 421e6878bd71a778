//! Changes to a Python text that keep its words whole: what libFuzzer makes up byte by byte is hardly
//! ever a program.

/// Words and signs that are put in.
const WORDS: [&str; 98] = [
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
    "match",
    "case",
    "type",
    "_",
    "x",
    "y",
    "eval",
    "__class__",
    "format",
    "json",
    "0",
    "1.5e3",
    "0xff",
    "0o7",
    "1_000",
    "2j",
    "''",
    "\"\"\"\"\"\"",
    "b'a'",
    "f'{x}'",
    "f'{x!r:>{y}}'",
    "f\"{x['a']}\"",
    "rf'\\{x}'",
    "t'{x}'",
    "u'a'",
    "'\\N{DIGIT ONE}'",
    "'\\x41'",
    "\u{ff45}val",
    "\u{b5}",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ":=",
    ".",
    "...",
    ";",
    "@",
    "=",
    "->",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "%",
    "&",
    "|",
    "^",
    "~",
    "<",
    "<=",
    "==",
    "!=",
    "<<=",
    "\\\n",
    "\n",
    "\n    ",
];

/// A generator that gives the same for the same seed (Numerical Recipes' constants).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % most.max(1)
    }
}

/// What a character belongs to: words, spaces, and each sign by itself.
fn kind(c: char) -> u8 {
    match c {
        '\n' => 0,
        ' ' | '\t' => 1,
        c if c.is_alphanumeric() || c == '_' => 2,
        _ => 3,
    }
}

/// The pieces of a text: words, runs of spaces, and signs.
fn split(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let now = kind(c);
        if last.is_some_and(|last| last != now || now == 3 || now == 0) {
            pieces.push(&text[start..at]);
            start = at;
        }
        last = Some(now);
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

/// Changes a text by one to four of its pieces.
#[must_use]
pub fn change(text: &str, seed: u32) -> String {
    let mut random = Random(u64::from(seed) | 1 << 40);
    let mut pieces = split(text);
    for _ in 0..=random.below(4) {
        let at = random.below(pieces.len() + 1);
        let there = at < pieces.len();
        match random.below(7) {
            0 if there => {
                pieces.remove(at);
            }
            1 if there => pieces[at] = WORDS[random.below(WORDS.len())],
            2 if there => {
                let other = random.below(pieces.len());
                pieces.swap(at, other);
            }
            3 if there => {
                // A part of it once more, somewhere else.
                let end = (at + 1 + random.below(8)).min(pieces.len());
                let part = pieces[at..end].to_vec();
                let to = random.below(pieces.len() + 1);
                pieces.splice(to..to, part);
            }
            4 if there => {
                let [open, close] =
                    [["(", ")"], ["[", "]"], ["{", "}"], ["f'{", "}'"]][random.below(4)];
                let end = (at + 1 + random.below(6)).min(pieces.len());
                pieces.insert(end, close);
                pieces.insert(at, open);
            }
            5 => {
                pieces.insert(at, WORDS[random.below(WORDS.len())]);
            }
            _ => {
                pieces.splice(at..at, [" ", WORDS[random.below(WORDS.len())], " "]);
            }
        }
    }
    pieces.concat()
}

/// Puts a changed text in the place of libFuzzer's input; returns its length, or `None` if it does
/// not fit or the input is no text.
#[must_use]
pub fn change_in_place(data: &mut [u8], size: usize, most: usize, seed: u32) -> Option<usize> {
    let changed = change(str::from_utf8(data.get(..size)?).ok()?, seed);
    let fits = changed.len() <= most;
    data.get_mut(..changed.len()).filter(|_| fits)?.copy_from_slice(changed.as_bytes());
    Some(changed.len())
}
