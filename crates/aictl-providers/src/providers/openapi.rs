//! The description of a server's interface, which many offer.

use serde::Deserialize;

use crate::{answers::Answers, shape::Word};

pub(crate) const PATH: &str = "/openapi.json";

/// Its beginning.
#[derive(Deserialize)]
pub(crate) struct Document {
    pub(crate) info: Info,
}

/// What is described.
#[derive(Deserialize)]
pub(crate) struct Info {
    pub(crate) title: Word,
    pub(crate) version: Word,
}

/// What the interface is called.
pub(crate) fn title(answers: &Answers) -> Option<String> {
    answers.json::<Document>(PATH)?.info.title.get()
}
