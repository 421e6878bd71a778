//! Taking secrets out of texts: the one redactor, for what services log, for what goes into error
//! messages, and for what aictl itself logs.
//!
//! It knows secrets by what stands before them (`password=`, `Bearer`), by how they begin (`sk-`),
//! and by where they stand (a URL's credentials and query). What it takes out is `***`; a home
//! directory is `~`. It would rather take out too much of a line than leave a secret in it, but
//! must leave what people look for in the logs of AI services, which are full of tokens that are
//! none.

use std::borrow::Cow;

/// The most bytes that are left of a text.
pub const MAX_TEXT: usize = 4096;
/// What is looked at of a text: more, since redacting can make it shorter.
const MAX_LOOKED_AT: usize = 4 * MAX_TEXT;
/// How far a rule looks ahead before it knows that something is a secret: a text that is full of
/// what almost is one must not be looked at again and again.
const AHEAD: usize = 256;
/// What stands in a secret's place.
const GONE: &str = "***";

/// The text without what looks like a secret, cut to [`MAX_TEXT`]. In a text with escape codes of
/// a terminal, see [`plain_text`](crate::plain_text::plain_text), secrets may not be found.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let looked_at = beginning(text, MAX_LOOKED_AT);
    let mut redacted = String::new();
    // Up to where the text is in `redacted`.
    let mut done = 0;
    let mut at = 0;
    while at < looked_at.len() {
        match find(looked_at, at) {
            Some(found) => {
                redacted += &looked_at[done..found.from];
                redacted += found.replacement;
                (done, at) = (found.to, found.to);
            }
            None => at += looked_at[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    let redacted = match done {
        0 => Cow::Borrowed(looked_at),
        _ => Cow::Owned(redacted + &looked_at[done..]),
    };
    if redacted.len() <= MAX_TEXT && looked_at.len() == text.len() {
        return redacted;
    }
    const MARK: &str = "…";
    Cow::Owned(beginning(&redacted, MAX_TEXT - MARK.len()).to_owned() + MARK)
}

/// The beginning of a text, in whole characters.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// Something to take out: these bytes of the text.
struct Found {
    from: usize,
    to: usize,
    replacement: &'static str,
}

impl Found {
    fn secret(from: usize, to: usize) -> Option<Self> {
        (to > from).then_some(Self { from, to, replacement: GONE })
    }
}

/// What has to go and shows by what stands at this place. Each rule looks at every character a
/// bounded number of times.
fn find(text: &str, at: usize) -> Option<Found> {
    let begins_word = !text[..at].ends_with(is_in_word);
    match text.as_bytes()[at] {
        b':' => url_credentials(text, at),
        b'?' => query(text, at),
        b'/' => home(text, at),
        b'-' if text[at..].starts_with("-----BEGIN ") => private_key(text, at),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' if begins_word => {
            known_token(text, at).or_else(|| after_scheme(text, at)).or_else(|| after_key(text, at))
        }
        _ => None,
    }
}

fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where what begins at `at` no longer fits.
fn end_of(text: &str, at: usize, fits: impl Fn(char) -> bool) -> usize {
    text[at..].find(|c| !fits(c)).map_or(text.len(), |length| at + length)
}

/// `SCHEME://USER:PASSWORD@HOST`
fn url_credentials(text: &str, at: usize) -> Option<Found> {
    let from = at + text[at..].strip_prefix("://").map(|_| 3)?;
    let to = end_of(text, from, |c| !c.is_whitespace() && !"/?#\"'<>`".contains(c));
    let length = text[from..to].rfind('@')?;
    Found::secret(from, from + length)
}

/// `?NAME=VALUE…` of a URL, or of a path in a log of requests.
fn query(text: &str, at: usize) -> Option<Found> {
    const MAX_NAME: usize = 64;
    let from = at + 1;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.%[]~".contains(c);
    let name = end_of(beginning(text, from + MAX_NAME), from, is_name);
    if !text[name..].starts_with(['=', '&']) || name == from {
        return None;
    }
    Found::secret(from, end_of(text, from, |c| !c.is_whitespace() && !"\"'<>`".contains(c)))
}

/// `/home/NAME`, `/var/home/NAME` and `/root`.
fn home(text: &str, at: usize) -> Option<Found> {
    if text[..at].ends_with(|c: char| is_in_word(c) || "-.~/".contains(c))
        && !text[..at].ends_with("://")
    {
        return None;
    }
    let is_name = |c: char| is_in_word(c) || "-.".contains(c) || !c.is_ascii();
    let rest = &text[at..];
    let to = if let Some(length) =
        ["/home/", "/var/home/"].iter().find(|path| rest.starts_with(**path)).map(|path| path.len())
    {
        let to = end_of(text, at + length, is_name);
        if to == at + length {
            return None;
        }
        to
    } else {
        let to = at + rest.strip_prefix("/root").map(|_| "/root".len())?;
        if text[to..].starts_with(is_name) {
            return None;
        }
        to
    };
    Some(Found { from: at, to, replacement: "~" })
}

/// The rest, after the beginning of a private key.
fn private_key(text: &str, at: usize) -> Option<Found> {
    let header = beginning(&text[at..], 64);
    header.contains("PRIVATE KEY-----").then_some(Found {
        from: at,
        to: text.len(),
        replacement: GONE,
    })
}

/// How the tokens of well-known services begin, and how many characters follow at least.
const KNOWN_TOKENS: [(&str, usize); 20] = [
    // OpenAI, Anthropic, LiteLLM and those who do as they do; also short ones that people set.
    ("sk-", 4),
    ("pk-lf-", 8),
    // Hugging Face.
    ("hf_", 20),
    ("api_org_", 20),
    // NVIDIA, Groq, Replicate, xAI, Perplexity, Together.
    ("nvapi-", 16),
    ("gsk_", 16),
    ("r8_", 16),
    ("xai-", 16),
    ("pplx-", 16),
    ("tgp_v1_", 16),
    // GitHub and GitLab.
    ("ghp_", 16),
    ("gho_", 16),
    ("ghs_", 16),
    ("github_pat_", 16),
    ("glpat-", 16),
    // Slack.
    ("xoxb-", 10),
    ("xoxp-", 10),
    // Amazon and Google.
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
];

fn known_token(text: &str, at: usize) -> Option<Found> {
    let is_token = |c: char| is_in_word(c) || "-.".contains(c);
    let rest = beginning(&text[at..], AHEAD);
    let word = &rest[..end_of(rest, 0, is_token)];
    let is_known = if word.starts_with("eyJ") {
        // A JSON web token: three parts, each base64.
        word.len() >= 20 && word.contains('.')
    } else {
        let (prefix, least) = KNOWN_TOKENS.iter().find(|(prefix, _)| word.starts_with(prefix))?;
        let token = word.split('.').next()?.strip_prefix(prefix)?;
        // sk-learn and hf_transfer are none.
        token.len() >= *least && token.contains(|c: char| c.is_ascii_digit())
    };
    if !is_known {
        return None;
    }
    let end = end_of(text, at, is_token);
    // A point at the end is a sentence's.
    Found::secret(at, at + text[at..end].trim_end_matches('.').len())
}

/// `Bearer TOKEN` and `Basic TOKEN`, wherever they stand.
fn after_scheme(text: &str, at: usize) -> Option<Found> {
    let scheme = ["bearer ", "basic "].iter().find(|scheme| {
        let word = text.as_bytes().get(at..at + scheme.len());
        word.is_some_and(|word| word.eq_ignore_ascii_case(scheme.as_bytes()))
    })?;
    let from = end_of(text, at + scheme.len(), |c| c == ' ');
    let to = end_of(text, from, |c| is_in_word(c) || "-._~+/=".contains(c));
    Found::secret(from, to).filter(|_| looks_random(&text[from..to]))
}

/// Whether a word is hardly one of a sentence.
fn looks_random(word: &str) -> bool {
    const LONGEST_WORD: usize = 20;
    word.len() >= 8
        && (word.len() > LONGEST_WORD
            || word.contains(|c: char| c.is_ascii_digit())
            || word.chars().skip(1).any(|c| c.is_ascii_uppercase()))
        && !word.bytes().all(|byte| byte.is_ascii_digit())
}

/// How sure a key makes that its value is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// Whatever the value is.
    Secret,
    /// Whatever follows up to the end of the line.
    SecretLine,
    /// If the value is not a number or a word of a sentence.
    Token,
}

/// Last parts of names whose value is a secret.
const SECRET: [&str; 21] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "pass",
    "pw",
    "secret",
    "secrets",
    "apikey",
    "api_key",
    "access_key",
    "access_key_id",
    "secret_key",
    "secret_access_key",
    "private_key",
    "master_key",
    "auth_key",
    "signing_key",
    "encryption_key",
    "credentials",
];
/// Names of headers whose whole value is a secret.
const SECRET_LINE: [&str; 4] = ["authorization", "proxy_authorization", "cookie", "set_cookie"];
/// What is before `_token` in names of a model's vocabulary.
const VOCABULARY: [&str; 22] = [
    "bos", "eos", "pad", "unk", "sep", "cls", "mask", "eot", "eog", "eom", "lf", "nl", "pre",
    "suf", "mid", "special", "stop", "start", "end", "image", "next", "per",
];

fn kind_of_key(key: &str) -> Option<Key> {
    const MAX_KEY: usize = 64;
    let key: String =
        key.get(key.len().saturating_sub(MAX_KEY)..)?.to_ascii_lowercase().replace(['-', '.'], "_");
    let ends_with = |word: &str| {
        key.strip_suffix(word).is_some_and(|before| before.is_empty() || before.ends_with('_'))
    };
    if SECRET_LINE.iter().any(|word| ends_with(word)) {
        return Some(Key::SecretLine);
    }
    if SECRET.iter().any(|word| ends_with(word)) {
        return Some(Key::Secret);
    }
    let before = key.strip_suffix("token").or_else(|| key.strip_suffix("jwt"))?;
    let before = before.strip_suffix('_').unwrap_or(before);
    let last = before.rsplit('_').next().unwrap_or(before);
    (!VOCABULARY.contains(&last)).then_some(Key::Token)
}

/// `KEY=VALUE`, `KEY: VALUE`, `"KEY": "VALUE"` and `--KEY VALUE`.
fn after_key(text: &str, at: usize) -> Option<Found> {
    let is_key = |c: char| is_in_word(c) || "-.".contains(c);
    // A name goes on over points and dashes, after which words begin: it is looked at once.
    let before = text[..at].trim_end_matches(['-', '.']);
    if before.len() < at && before.ends_with(is_in_word) {
        return None;
    }
    let end = end_of(text, at, is_key);
    let kind = kind_of_key(&text[at..end])?;
    let is_option = text[..at].ends_with("--");
    // The quote that ends the key, and what is between it and the value.
    let after_quote = after_quote_at(text, end);
    let separator = end_of(text, after_quote, |c| c == ' ');
    let (from, is_exact) = if text[separator..].starts_with([':', '=']) {
        let is_equals = text[separator..].starts_with('=');
        let from = end_of(text, separator, |c| ":=>".contains(c));
        let value = end_of(text, from, |c| c == ' ');
        (value, after_quote > end || (is_equals && value == from))
    } else if is_option && separator > after_quote && !text[separator..].starts_with('-') {
        (separator, true)
    } else {
        return None;
    };
    let quoted = after_quote_at(text, from);
    let quote = text[from..quoted].chars().next_back();
    let value = value_begins(text, quoted, quote);
    let is_secret = match kind {
        Key::SecretLine => true,
        Key::Secret => !is_nothing(value),
        Key::Token => is_token(value, is_exact || quote.is_some()),
    };
    // A shell's variables for directories are called like passwords.
    let is_directory = text[at..end].ends_with("PWD") && text[quoted..].starts_with('/');
    if !is_secret || is_directory {
        return None;
    }
    let to = match (quote, kind) {
        (Some(quote), _) => end_of_quoted(text, quoted, quote),
        (None, Key::SecretLine) => text.len(),
        (None, _) => end_of(text, quoted, |c| !c.is_whitespace()),
    };
    Found::secret(quoted, to)
}

/// Behind the quote at this place, if there is one; it may be escaped, as in a text within a text.
fn after_quote_at(text: &str, at: usize) -> usize {
    let escaped = end_of(text, at, |c| c == '\\');
    match text[escaped..].starts_with(['"', '\'', '`']) {
        true => escaped + 1,
        false => at,
    }
}

/// The value at this place, as far as it matters.
fn value_begins(text: &str, at: usize, quote: Option<char>) -> &str {
    let text = beginning(text, at + AHEAD);
    match quote {
        Some(quote) => &text[at..end_of_quoted(text, at, quote)],
        None => text[at..end_of(text, at, |c| !c.is_whitespace())]
            .trim_end_matches([',', ';', '}', ')', ']']),
    }
}

/// Whether a value says that there is none.
fn is_nothing(value: &str) -> bool {
    ["", GONE, "null", "None", "none", "true", "false"].contains(&value)
}

/// Whether the value of something that is called a token is a secret rather than a number, a part
/// of a vocabulary, or a word of a sentence; `is_exact` where it is written as values are.
fn is_token(value: &str, is_exact: bool) -> bool {
    const SHORTEST: usize = 6;
    !is_nothing(value)
        && value.len() >= SHORTEST
        && value.parse::<f64>().is_err()
        && !value.starts_with(['<', '['])
        && (is_exact || looks_random(value))
}

/// Where a quoted text ends: before its quote, which is escaped where the first one was, or at the
/// end of all.
fn end_of_quoted(text: &str, from: usize, quote: char) -> usize {
    let is_within_text = text[..from - quote.len_utf8()].ends_with('\\');
    let mut is_escaped = false;
    for (length, c) in text[from..].char_indices() {
        let at = from + length;
        if c == quote && !is_escaped {
            return at;
        }
        if c == '\\' && is_within_text && text[at + 1..].starts_with(quote) {
            return at;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests;
