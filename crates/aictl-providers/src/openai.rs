//! The list of models as OpenAI's interface has it, which most servers offer.

use serde::Deserialize;

use crate::{
    answers::{Answers, Ask},
    plan::Reader,
    report::Fact,
    shape::{List, Word},
};

/// Where it is.
pub(crate) const PATH: &str = "/v1/models";
/// The question for it.
pub(crate) const MODELS: Ask = Ask::keyed(PATH, Fact::Models).long();

/// The document.
#[derive(Debug, Deserialize)]
pub(crate) struct Models {
    pub(crate) data: List<Model>,
}

/// One model.
#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    pub(crate) id: Word,
    pub(crate) owned_by: Option<Word>,
    /// Of llama.cpp and llama-swap, which load models when they are needed.
    pub(crate) status: Option<ModelStatus>,
}

/// Whether a model is in memory.
#[derive(Debug, Deserialize)]
pub(crate) struct ModelStatus {
    pub(crate) value: Option<Word>,
}

impl From<Model> for Word {
    fn from(model: Model) -> Self {
        model.id
    }
}

/// The names of the models.
pub(crate) fn names(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let models: Models = reader.json(PATH, Fact::Models)?;
    Some(reader.names(models.data, Fact::Models))
}

/// Who owns the models, as the server says: what most servers put their own name into. `None` if
/// they do not agree.
pub(crate) fn owner(answers: &Answers) -> Option<String> {
    let models: Models = answers.json(PATH)?;
    let mut owners = models.data.items.into_iter().map(|model| model.owned_by);
    let first = owners.next()??;
    owners.all(|owner| owner.as_ref() == Some(&first)).then_some(first).and_then(Word::get)
}
