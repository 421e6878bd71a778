//! Providers: the kinds of server that serve AI models, or a face for them.

#[cfg(test)]
mod tests;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Ollama.
    Ollama,
    /// vLLM's OpenAI-compatible server.
    Vllm,
    /// The server of llama.cpp.
    LlamaServer,
    /// The server of llama-cpp-python.
    LlamaCppPython,
    /// LiteLLM's proxy.
    Litellm,
    /// SGLang's server.
    Sglang,
    /// LM Studio.
    LmStudio,
    /// LocalAI.
    LocalAi,
    /// TabbyAPI.
    TabbyApi,
    /// Text Generation Web UI.
    TextGenerationWebui,
    /// LMDeploy's API server.
    Lmdeploy,
    /// KoboldCpp.
    Koboldcpp,
    /// The server of whisper.cpp.
    WhisperCpp,
    /// ComfyUI.
    ComfyUi,
    /// Open WebUI.
    OpenWebUi,
    /// Lemonade Server.
    Lemonade,
    /// llama-swap.
    LlamaSwap,
    /// Hugging Face's Text Generation Inference.
    Tgi,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 18] = [
        Self::Ollama,
        Self::Vllm,
        Self::LlamaServer,
        Self::LlamaCppPython,
        Self::Litellm,
        Self::Sglang,
        Self::LmStudio,
        Self::LocalAi,
        Self::TabbyApi,
        Self::TextGenerationWebui,
        Self::Lmdeploy,
        Self::Koboldcpp,
        Self::WhisperCpp,
        Self::ComfyUi,
        Self::OpenWebUi,
        Self::Lemonade,
        Self::LlamaSwap,
        Self::Tgi,
    ];

    /// The names of all, in the order of [`Provider::ALL`].
    pub const NAMES: [&str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = Self::ALL[index].name();
            index += 1;
        }
        names
    };

    /// The provider as a word, for the configuration and for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::LlamaServer => "llama-server",
            Self::LlamaCppPython => "llama-cpp-python",
            Self::Litellm => "litellm",
            Self::Sglang => "sglang",
            Self::LmStudio => "lmstudio",
            Self::LocalAi => "localai",
            Self::TabbyApi => "tabbyapi",
            Self::TextGenerationWebui => "text-generation-webui",
            Self::Lmdeploy => "lmdeploy",
            Self::Koboldcpp => "koboldcpp",
            Self::WhisperCpp => "whisper-cpp",
            Self::ComfyUi => "comfyui",
            Self::OpenWebUi => "open-webui",
            Self::Lemonade => "lemonade",
            Self::LlamaSwap => "llama-swap",
            Self::Tgi => "tgi",
        }
    }

    /// The provider as its own project writes it.
    #[must_use]
    pub const fn display(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::Vllm => "vLLM",
            Self::LlamaServer => "llama.cpp",
            Self::LlamaCppPython => "llama-cpp-python",
            Self::Litellm => "LiteLLM",
            Self::Sglang => "SGLang",
            Self::LmStudio => "LM Studio",
            Self::LocalAi => "LocalAI",
            Self::TabbyApi => "TabbyAPI",
            Self::TextGenerationWebui => "Text Generation Web UI",
            Self::Lmdeploy => "LMDeploy",
            Self::Koboldcpp => "KoboldCpp",
            Self::WhisperCpp => "whisper.cpp",
            Self::ComfyUi => "ComfyUI",
            Self::OpenWebUi => "Open WebUI",
            Self::Lemonade => "Lemonade Server",
            Self::LlamaSwap => "llama-swap",
            Self::Tgi => "Text Generation Inference",
        }
    }

    /// The provider that `word` names.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == word)
    }

    /// The ports that the server listens on if nobody chose another, the likeliest first; several
    /// providers share some, so a port names no provider.
    #[must_use]
    pub const fn ports(self) -> &'static [u16] {
        match self {
            Self::Ollama => &[11434],
            Self::Vllm | Self::LlamaCppPython => &[8000],
            // It is moving from the one to the other.
            Self::LlamaServer => &[8080, 9931],
            Self::Litellm => &[4000],
            Self::Sglang => &[30000],
            Self::LmStudio => &[1234],
            Self::LocalAi | Self::WhisperCpp | Self::LlamaSwap => &[8080],
            Self::TabbyApi | Self::TextGenerationWebui => &[5000],
            Self::Lmdeploy => &[23333],
            Self::Koboldcpp => &[5001],
            Self::ComfyUi => &[8188],
            // By itself, and as its documentation publishes the container's port.
            Self::OpenWebUi => &[8080, 3000],
            // Older versions listen on 8000.
            Self::Lemonade => &[13305, 8000],
            // By itself, and as its documentation publishes the container's port.
            Self::Tgi => &[3000, 8080],
        }
    }
}
