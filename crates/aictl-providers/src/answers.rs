//! What is asked of a server, and what it answered.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::{report::Fact, trouble::Trouble};

/// The most bytes of an answer that says little.
const SHORT: usize = 256 << 10;
/// The most bytes of an answer that lists something.
const LONG: usize = 1 << 20;
/// As much of a page for people as is looked at.
const PAGE: usize = 64 << 10;

/// One question: a path, and what asking it is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) path: &'static str,
    pub(crate) what: Fact,
    pub(crate) key: KeyUse,
    pub(crate) size: Size,
}

/// Whether a key goes with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// Never: everybody is answered.
    Never,
    /// If there is one.
    IfThere,
    /// Always: without one the question is not asked, since the server would log an error.
    Always,
}

/// How much of an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// All of it; more than this many bytes are an error.
    All(usize),
    /// This many bytes from its beginning.
    Beginning(usize),
}

impl Ask {
    /// A question that everybody is answered.
    pub(crate) const fn public(path: &'static str, what: Fact) -> Self {
        Self { path, what, key: KeyUse::Never, size: Size::All(SHORT) }
    }

    /// A question that needs a key if the server has any.
    pub(crate) const fn keyed(path: &'static str, what: Fact) -> Self {
        Self { path, what, key: KeyUse::IfThere, size: Size::All(SHORT) }
    }

    /// A question that is not asked without a key.
    pub(crate) const fn only_with_key(path: &'static str, what: Fact) -> Self {
        Self { path, what, key: KeyUse::Always, size: Size::All(SHORT) }
    }

    /// The same, with a long answer.
    pub(crate) const fn long(self) -> Self {
        Self { size: Size::All(LONG), ..self }
    }

    /// The same, of which the beginning is enough.
    pub(crate) const fn page(self) -> Self {
        Self { size: Size::Beginning(PAGE), ..self }
    }
}

/// An answer: any that is HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header `Server`.
    pub(crate) server: Option<String>,
    /// The content's type, without parameters.
    pub(crate) content_type: Option<String>,
    /// Where a redirect goes: a host, or nothing for another path of the same.
    pub(crate) redirect: Option<String>,
    pub(crate) body: Vec<u8>,
    /// From the beginning of the connection to the end of the answer.
    pub(crate) took: Duration,
}

impl Answer {
    /// Whether the server did what it was asked.
    pub(crate) const fn is_ok(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Whether the server wants a key, or another one. LiteLLM looks for a key that is not its
    /// master key in a database, and says no more than that it has none.
    pub(crate) fn wants_key(&self) -> bool {
        match self.status {
            401 | 403 => true,
            400 => self.text().contains("\"no_db_connection\""),
            _ => false,
        }
    }

    /// The content as text, with what is not UTF-8 replaced.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The content as JSON, whatever the status.
    ///
    /// # Errors
    /// [`Trouble::BadBody`].
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        use serde_json::error::Category;
        serde_json::from_slice(&self.body).map_err(|error| {
            Trouble::BadBody(match error.classify() {
                _ if self.is_page() => "it is a page for people",
                Category::Eof if self.body.is_empty() => "it is empty",
                Category::Eof => "the JSON ends too early",
                Category::Syntax | Category::Io => "it is not valid JSON",
                Category::Data => "the JSON is of another shape",
            })
        })
    }

    /// Whether the content is HTML.
    pub(crate) fn is_page(&self) -> bool {
        self.content_type.as_deref() == Some("text/html")
            || self.body.trim_ascii_start().starts_with(b"<")
    }

    /// Whether the content means to be JSON.
    pub(crate) fn means_json(&self) -> bool {
        self.content_type.as_deref() == Some("application/json")
            || matches!(self.body.trim_ascii_start().first(), Some(b'{' | b'['))
    }
}

/// All answers so far, by path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers(Vec<(&'static str, Result<Answer, Trouble>)>);

impl Answers {
    /// Adds one.
    pub(crate) fn add(&mut self, path: &'static str, answer: Result<Answer, Trouble>) {
        self.0.push((path, answer));
    }

    /// What came of a question; `None` if it was not asked.
    pub(crate) fn get(&self, path: &str) -> Option<&Result<Answer, Trouble>> {
        self.0.iter().find(|(asked, _)| *asked == path).map(|(_, answer)| answer)
    }

    /// The answer to a question that was asked and answered by HTTP.
    pub(crate) fn answer(&self, path: &str) -> Option<&Answer> {
        self.get(path)?.as_ref().ok()
    }

    /// The answer to a question, if the server did what it was asked.
    pub(crate) fn ok(&self, path: &str) -> Option<&Answer> {
        self.answer(path).filter(|answer| answer.is_ok())
    }

    /// The content of such an answer as JSON of a certain shape.
    pub(crate) fn json<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.ok(path)?.json().ok()
    }

    /// Every answer by HTTP.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Answer> {
        self.0.iter().filter_map(|(_, answer)| answer.as_ref().ok())
    }

    /// How many bytes were answered.
    pub(crate) fn size(&self) -> usize {
        self.all().map(|answer| answer.body.len()).sum()
    }

    /// Whether something was asked, and nothing answered by HTTP.
    pub(crate) fn is_dead(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, answer)| answer.is_err())
    }

    /// Those of `asks` that are still to be asked.
    pub(crate) fn lack(&self, asks: &[Ask], has_key: bool) -> Vec<Ask> {
        let mut lacking: Vec<Ask> = Vec::new();
        for ask in asks {
            let may = has_key || ask.key != KeyUse::Always;
            let is_new =
                self.get(ask.path).is_none() && lacking.iter().all(|other| other.path != ask.path);
            if may && is_new {
                lacking.push(*ask);
            }
        }
        lacking
    }
}
