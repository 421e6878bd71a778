//! Ollama.

use aictl_api::status::LoadedModel;
use jiff::{Timestamp, Unit};
use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    plan::{Facts, Looks, Plan, Reader, never_loading, nothing_later},
    report::Fact,
    shape::{List, Word},
};

/// It has no keys itself: one is for a proxy before it, which wants it everywhere.
pub(crate) const PLAN: Plan = Plan {
    asks: &[
        Ask::keyed("/", Fact::Health).page(),
        Ask::keyed("/api/version", Fact::Version),
        Ask::keyed("/api/tags", Fact::Models).long(),
        Ask::keyed("/api/ps", Fact::Loaded).long(),
    ],
    looks,
    loading: never_loading,
    later: nothing_later,
    facts,
};

/// How it greets.
const GREETING: &[u8] = b"Ollama is running";

#[derive(Deserialize)]
struct Version {
    version: Word,
}

#[derive(Deserialize)]
struct Tags {
    models: List<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: Word,
}

#[derive(Deserialize)]
struct Running {
    models: List<RunningModel>,
}

#[derive(Deserialize)]
struct RunningModel {
    name: Word,
    /// All of its memory, in bytes.
    size: Option<u64>,
    /// The part of it that is on GPUs.
    size_vram: Option<u64>,
    expires_at: Option<Word>,
}

impl From<Tag> for Word {
    fn from(tag: Tag) -> Self {
        tag.name
    }
}

/// Whether it greets as Ollama does.
pub(crate) fn greets(answers: &Answers) -> bool {
    answers.ok("/").is_some_and(|answer| answer.body.trim_ascii_start().starts_with(GREETING))
}

fn looks(answers: &Answers) -> Looks {
    match (greets(answers), answers.json::<Version>("/api/version")) {
        (true, _) => Looks::Like,
        // Others offer its interface too, and have another page for people.
        (false, Some(_)) => Looks::Maybe,
        (false, None) => Looks::Unlike,
    }
}

fn facts(reader: &mut Reader<'_>) -> Facts {
    let version = reader.json::<Version>("/api/version", Fact::Version);
    let tags = reader.json::<Tags>("/api/tags", Fact::Models);
    let running = reader.json::<Running>("/api/ps", Fact::Loaded);
    Facts {
        version: version.and_then(|version| version.version.get()),
        models: tags.map(|tags| reader.names(tags.models, Fact::Models)),
        loaded: running.map(|running| {
            running.models.items.into_iter().filter_map(RunningModel::loaded).collect()
        }),
        requests_running: None,
    }
}

impl RunningModel {
    fn loaded(self) -> Option<LoadedModel> {
        Some(LoadedModel {
            name: self.name.get()?,
            vram_bytes: self.size_vram,
            memory_bytes: self.size,
            expires: self.expires_at.and_then(|time| utc(&time.0)),
        })
    }
}

/// A time with any offset in UTC, to the second.
fn utc(time: &str) -> Option<String> {
    let time: Timestamp = time.parse().ok()?;
    Some(time.round(Unit::Second).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_to_the_second() {
        let table = [
            ("2026-11-22T10:38:31.83753-07:00", Some("2026-11-22T17:38:32Z")),
            ("2318-03-04T00:11:22.123456789+01:00", Some("2318-03-03T23:11:22Z")),
            ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            ("soon", None),
            ("2026-11-22T10:38:31", None),
        ];
        for (time, expected) in table {
            assert_eq!(utc(time).as_deref(), expected, "{time}");
        }
    }
}
