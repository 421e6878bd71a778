//! How each kind of server is asked, and how its answers are read.

use aictl_api::{provider::Provider, status::LoadedModel};
use serde::de::DeserializeOwned;

use crate::{
    answers::{Answer, Answers, Ask},
    providers,
    report::{Fact, Gap, GapReason},
    shape::{List, MAX_ITEMS, Word},
    trouble::Trouble,
};

/// How one kind of server is asked.
pub(crate) struct Plan {
    /// What to ask, all at once; the first question is the one for its health.
    pub(crate) asks: &'static [Ask],
    /// What the answers are worth, once the one for its health says that all is well.
    pub(crate) looks: fn(&Answers) -> Looks,
    /// Whether an answer of failure says that the model is still being loaded.
    pub(crate) loading: fn(&Answer) -> Option<Loading>,
    /// What to ask then, if anything.
    pub(crate) later: fn(&Answers) -> Vec<Ask>,
    /// What the answers tell.
    pub(crate) facts: fn(&mut Reader<'_>) -> Facts,
}

/// That a model is still being loaded, and what the server says of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loading(pub(crate) Option<String>);

/// Whether answers are from the expected kind of server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Looks {
    /// They are.
    Like,
    /// They may be; nothing in them says so.
    Maybe,
    /// They are not.
    Unlike,
    /// They may be, but what they say cannot be used.
    Broken(Trouble),
}

impl Looks {
    /// [`Looks::Like`] or [`Looks::Maybe`].
    pub(crate) const fn like_or_maybe(like: bool) -> Self {
        if like { Self::Like } else { Self::Maybe }
    }

    /// Whether the content of an answer is JSON of shape `T` that is as it should be.
    pub(crate) fn json<T: DeserializeOwned>(
        answers: &Answers,
        path: &str,
        is_right: impl FnOnce(&T) -> bool,
    ) -> Self {
        let answer = match answers.get(path) {
            Some(Ok(answer)) if answer.is_ok() => answer,
            // That something else went wrong says nothing of who it is.
            Some(Err(_)) => return Self::Maybe,
            _ => return Self::Unlike,
        };
        match answer.json::<T>() {
            Ok(value) if is_right(&value) => Self::Like,
            Ok(_) => Self::Unlike,
            Err(trouble) if answer.means_json() => Self::Broken(trouble),
            Err(_) => Self::Unlike,
        }
    }
}

/// What a server told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) version: Option<String>,
    pub(crate) models: Option<Vec<String>>,
    pub(crate) loaded: Option<Vec<LoadedModel>>,
    pub(crate) requests_running: Option<u64>,
}

/// Reads answers, and notes what should be in them and is not.
pub(crate) struct Reader<'a> {
    pub(crate) answers: &'a Answers,
    pub(crate) gaps: Vec<Gap>,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(answers: &'a Answers) -> Self {
        Self { answers, gaps: Vec::new() }
    }

    /// The answer to a question, if the server did what it was asked. That it does not know the
    /// path, has that part turned off, or wants a key, is no gap: the first two are how it is, and
    /// the last is told of otherwise.
    pub(crate) fn answer(&mut self, path: &str, what: Fact) -> Option<&'a Answer> {
        match self.answers.get(path)? {
            Ok(answer) if answer.is_ok() => return Some(answer),
            Ok(Answer { status: 500 | 502..=599, .. }) | Err(_) => {}
            Ok(_) => return None,
        }
        let trouble = match self.answers.get(path)? {
            Ok(answer) => Trouble::Status(answer.status),
            Err(trouble) => trouble.clone(),
        };
        self.gap(what, trouble);
        None
    }

    /// The content of such an answer as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&mut self, path: &str, what: Fact) -> Option<T> {
        match self.answer(path, what)?.json() {
            Ok(value) => Some(value),
            Err(trouble) => {
                self.gap(what, trouble);
                None
            }
        }
    }

    /// The names in a list.
    pub(crate) fn names(&mut self, list: List<impl Into<Word>>, what: Fact) -> Vec<String> {
        if list.cut {
            self.gaps.push(Gap { what, why: GapReason::More(MAX_ITEMS) });
        }
        list.items.into_iter().filter_map(|item| item.into().get()).collect()
    }

    /// A gauge in Prometheus' text.
    pub(crate) fn gauge(&mut self, path: &str, name: &str) -> Option<u64> {
        crate::metrics::gauge(&self.answer(path, Fact::Requests)?.text(), name)
    }

    fn gap(&mut self, what: Fact, trouble: Trouble) {
        self.gaps.push(Gap { what, why: GapReason::Trouble(trouble) });
    }
}

/// Models that are all held in memory, as by servers that are started with them.
pub(crate) fn all_loaded(models: Option<&Vec<String>>) -> Option<Vec<LoadedModel>> {
    Some(models?.iter().cloned().map(loaded).collect())
}

/// A model in memory of which only the name is known.
pub(crate) fn loaded(name: String) -> LoadedModel {
    LoadedModel { name, ..LoadedModel::default() }
}

/// No answer says that a model is being loaded.
pub(crate) const fn never_loading(_: &Answer) -> Option<Loading> {
    None
}

/// While there is no more to say than "not now", a server is loading.
pub(crate) fn loading_if_unavailable(answer: &Answer) -> Option<Loading> {
    (answer.status == 503).then_some(Loading(None))
}

/// There is nothing else to ask.
pub(crate) const fn nothing_later(_: &Answers) -> Vec<Ask> {
    Vec::new()
}

/// How a kind of server is asked.
pub(crate) const fn plan(provider: Provider) -> &'static Plan {
    match provider {
        Provider::Ollama => &providers::ollama::PLAN,
        Provider::Vllm => &providers::vllm::PLAN,
        Provider::LlamaServer => &providers::llama_server::PLAN,
        Provider::LlamaCppPython => &providers::llama_cpp_python::PLAN,
        Provider::Litellm => &providers::litellm::PLAN,
        Provider::Sglang => &providers::sglang::PLAN,
        Provider::LmStudio => &providers::lmstudio::PLAN,
        Provider::LocalAi => &providers::localai::PLAN,
        Provider::TabbyApi => &providers::tabbyapi::PLAN,
        Provider::TextGenerationWebui => &providers::text_generation_webui::PLAN,
        Provider::Lmdeploy => &providers::lmdeploy::PLAN,
        Provider::Koboldcpp => &providers::koboldcpp::PLAN,
        Provider::WhisperCpp => &providers::whisper_cpp::PLAN,
        Provider::ComfyUi => &providers::comfyui::PLAN,
        Provider::OpenWebUi => &providers::open_webui::PLAN,
        Provider::Lemonade => &providers::lemonade::PLAN,
        Provider::LlamaSwap => &providers::llama_swap::PLAN,
        Provider::Tgi => &providers::tgi::PLAN,
    }
}
