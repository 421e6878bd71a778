//! Which kind of server it is that answers.

use aictl_api::provider::Provider;

use crate::{
    answers::{Answers, Ask},
    openai,
    providers::{
        comfyui, koboldcpp, lemonade, litellm, llama_cpp_python, llama_server, llama_swap,
        lmstudio, localai, ollama, open_webui, openapi, sglang, tabbyapi, text_generation_webui,
        tgi, vllm, whisper_cpp,
    },
    report::Fact,
};

/// What to ask a server of which nothing is known, all at once. None of it makes a server work.
/// Since no question is asked twice, a key goes with what needs one at any of the servers.
pub(crate) const ASKS: &[Ask] = &[
    Ask::keyed("/", Fact::Identity).page(),
    openai::MODELS,
    Ask::public(litellm::LIVELINESS, Fact::Identity),
    Ask::keyed("/version", Fact::Identity),
    Ask::keyed("/api/version", Fact::Identity),
    Ask::public(koboldcpp::VERSION, Fact::Identity),
    Ask::public(comfyui::STATS, Fact::Identity),
    Ask::keyed(lemonade::HEALTH, Fact::Identity),
    Ask::keyed(llama_swap::RUNNING, Fact::Identity).long(),
    Ask::public(lmstudio::GREETING, Fact::Identity),
    Ask::keyed(localai::SYSTEM, Fact::Identity).long(),
    Ask::keyed(text_generation_webui::CURRENT, Fact::Identity),
    Ask::public(tgi::INFO, Fact::Identity),
];

/// What to ask if that did not tell. `/health` is not among the first, for LiteLLM's sake, and the
/// description of an interface is long.
pub(crate) const MORE_ASKS: &[Ask] =
    &[Ask::public("/health", Fact::Identity), Ask::public(openapi::PATH, Fact::Identity).long()];

/// Who it is, as far as the answers tell; the surest signs come first, since many servers offer
/// the interfaces of others too.
pub(crate) fn identify(answers: &Answers) -> Option<Provider> {
    type Sign = fn(&Answers) -> bool;
    const SIGNS: [(Provider, Sign); 13] = [
        (Provider::Koboldcpp, koboldcpp::signs),
        (Provider::WhisperCpp, whisper_cpp::signs),
        (Provider::LmStudio, lmstudio::signs),
        (Provider::Litellm, litellm::is_alive),
        (Provider::ComfyUi, comfyui::signs),
        (Provider::Lemonade, lemonade::signs),
        (Provider::LlamaSwap, llama_swap::signs),
        (Provider::TextGenerationWebui, text_generation_webui::signs),
        (Provider::Tgi, tgi::signs),
        (Provider::LocalAi, localai::signs),
        (Provider::TabbyApi, tabbyapi::signs),
        (Provider::Sglang, sglang::signs),
        (Provider::LlamaServer, llama_server::signs),
    ];
    let by_sign = SIGNS.into_iter().find(|(_, signs)| signs(answers)).map(|(provider, _)| provider);
    by_sign.or_else(|| by_owner(answers)).or_else(|| by_rest(answers))
}

/// By who owns the models.
fn by_owner(answers: &Answers) -> Option<Provider> {
    match openai::owner(answers)?.as_str() {
        "vllm" => Some(Provider::Vllm),
        "lmdeploy" => Some(Provider::Lmdeploy),
        "koboldcpp" => Some(Provider::Koboldcpp),
        "lemonade" => Some(Provider::Lemonade),
        "me" => Some(Provider::LlamaCppPython),
        _ => None,
    }
}

/// By what others might offer too.
fn by_rest(answers: &Answers) -> Option<Provider> {
    if ollama::greets(answers) {
        return Some(Provider::Ollama);
    }
    if vllm::refuses(answers) {
        return Some(Provider::Vllm);
    }
    if open_webui::signs(answers) {
        return Some(Provider::OpenWebUi);
    }
    let title = openapi::title(answers)?;
    let titles = [
        (llama_cpp_python::TITLE, Provider::LlamaCppPython),
        ("LiteLLM", Provider::Litellm),
        ("Text Generation Inference", Provider::Tgi),
        ("TabbyAPI", Provider::TabbyApi),
        ("Open WebUI", Provider::OpenWebUi),
    ];
    let found = titles.into_iter().find(|(part, _)| title.contains(part));
    found.map(|(_, provider)| provider)
}
