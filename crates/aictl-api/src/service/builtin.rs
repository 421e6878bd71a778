//! The services that aictl knows without any configuration.

use super::{SUFFIX, Service, ServiceName, UnitName, Verbs};
use crate::provider::Provider;

/// A row: name, provider, and the unit's name without `.service` where the project's own packages
/// or installer call it otherwise than the service.
type Row = (&'static str, Provider, Option<&'static str>);

/// The table, in the order in which services are shown.
const TABLE: [Row; 18] = [
    ("ollama", Provider::Ollama, None),
    ("vllm", Provider::Vllm, None),
    ("llamacpp-python", Provider::LlamaCppPython, None),
    ("llama-cpp-native", Provider::LlamaServer, None),
    ("litellm", Provider::Litellm, None),
    ("sglang", Provider::Sglang, None),
    ("lmstudio", Provider::LmStudio, None),
    ("localai", Provider::LocalAi, Some("local-ai")),
    ("tabbyapi", Provider::TabbyApi, None),
    ("text-generation-webui", Provider::TextGenerationWebui, None),
    ("lmdeploy", Provider::Lmdeploy, None),
    ("koboldcpp", Provider::Koboldcpp, None),
    ("whisper-cpp", Provider::WhisperCpp, None),
    ("comfyui", Provider::ComfyUi, None),
    ("open-webui", Provider::OpenWebUi, None),
    ("lemonade", Provider::Lemonade, Some("lemond")),
    ("llama-swap", Provider::LlamaSwap, None),
    ("tgi", Provider::Tgi, None),
];

/// The names of the table.
pub const NAMES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = TABLE[index].0;
        index += 1;
    }
    names
};

/// The services of the table: every verb is allowed, and none is required.
pub(super) fn services() -> Vec<Service> {
    let service = |(name, provider, unit): &Row| Service {
        // Names of the table are good by its test.
        name: ServiceName((*name).to_owned()),
        display: provider.display().to_owned(),
        unit: UnitName(format!("{}{SUFFIX}", unit.unwrap_or(name))),
        verbs: Verbs::ALL,
        required: false,
        provider: Some(*provider),
        endpoint: None,
    };
    TABLE.iter().map(service).collect()
}
