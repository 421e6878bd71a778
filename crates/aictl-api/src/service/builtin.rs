//! The services that aictl knows without any configuration.

use super::{SUFFIX, Service, ServiceName, UnitName, Verbs};

/// A row: name, name for people, and the unit's name without `.service` where the project's own
/// packages or installer call it otherwise than the service.
type Row = (&'static str, &'static str, Option<&'static str>);

/// The table, in the order in which services are shown.
const TABLE: [Row; 18] = [
    ("ollama", "Ollama", None),
    ("vllm", "vLLM", None),
    ("llamacpp-python", "llama-cpp-python", None),
    ("llama-cpp-native", "llama.cpp", None),
    ("litellm", "LiteLLM", None),
    ("sglang", "SGLang", None),
    ("lmstudio", "LM Studio", None),
    ("localai", "LocalAI", Some("local-ai")),
    ("tabbyapi", "TabbyAPI", None),
    ("text-generation-webui", "Text Generation Web UI", None),
    ("lmdeploy", "LMDeploy", None),
    ("koboldcpp", "KoboldCpp", None),
    ("whisper-cpp", "whisper.cpp", None),
    ("comfyui", "ComfyUI", None),
    ("open-webui", "Open WebUI", None),
    ("lemonade", "Lemonade Server", Some("lemond")),
    ("llama-swap", "llama-swap", None),
    ("tgi", "Text Generation Inference", None),
];

/// The names of the table.
pub(crate) const NAMES: [&str; TABLE.len()] = {
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
    let service = |(name, display, unit): &Row| Service {
        // Names of the table are good by its test.
        name: ServiceName((*name).to_owned()),
        display: (*display).to_owned(),
        unit: UnitName(format!("{}{SUFFIX}", unit.unwrap_or(name))),
        verbs: Verbs::ALL,
        required: false,
    };
    TABLE.iter().map(service).collect()
}
