//! Servers as they answer: each path of theirs that is asked for, in the shape that the named
//! version gives it, with names and numbers of our own.

use aictl_api::provider::Provider;

/// One kind of server.
#[derive(Clone, Copy)]
pub(super) struct Recorded {
    pub(super) provider: Provider,
    /// The header `Server` of every answer.
    pub(super) server: Option<&'static str>,
    pub(super) routes: &'static [Route],
    /// What it answers to every other path.
    pub(super) otherwise: Route,
    /// What needs a key if the server has any, as beginnings of paths.
    pub(super) guarded: &'static [&'static str],
    /// What it answers to those who have none.
    pub(super) refusal: Route,
}

/// Path, status, content type and content.
pub(super) type Route = (&'static str, u16, &'static str, &'static str);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const NOTHING: Route = ("", 404, TEXT, "404 page not found");
const NOT_FOUND: Route = ("", 404, JSON, r#"{"detail":"Not Found"}"#);
const FORBIDDEN: Route = ("", 401, JSON, r#"{"detail":"Invalid API key"}"#);

/// All of them.
pub(super) const ALL: [Recorded; 18] = [
    OLLAMA,
    VLLM,
    LLAMA_SERVER,
    LLAMA_CPP_PYTHON,
    LITELLM,
    SGLANG,
    LMSTUDIO,
    LOCALAI,
    TABBYAPI,
    TEXT_GENERATION_WEBUI,
    LMDEPLOY,
    KOBOLDCPP,
    WHISPER_CPP,
    COMFYUI,
    OPEN_WEBUI,
    LEMONADE,
    LLAMA_SWAP,
    TGI,
];

/// Ollama 0.12.
pub(super) const OLLAMA: Recorded = Recorded {
    provider: Provider::Ollama,
    server: None,
    routes: &[
        ("/", 200, TEXT, "Ollama is running"),
        ("/api/version", 200, JSON, r#"{"version":"0.12.6"}"#),
        (
            "/api/tags",
            200,
            JSON,
            r#"{"models":[
            {"name":"llama3.2:1b","model":"llama3.2:1b","modified_at":"2026-11-01T09:00:00.5+01:00",
             "size":1321098329,"digest":"baf6a787fdffd633537aa2eb51cfd54cb93ff08e28040095462bb63daf552878",
             "details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],
                        "parameter_size":"1.2B","quantization_level":"Q8_0"}},
            {"name":"nomic-embed-text:latest","model":"nomic-embed-text:latest",
             "modified_at":"2026-11-01T09:00:00.5+01:00","size":274302450,"digest":"0a10",
             "details":{"parent_model":"","format":"gguf","family":"nomic-bert","families":null,
                        "parameter_size":"137M","quantization_level":"F16"}}]}"#,
        ),
        (
            "/api/ps",
            200,
            JSON,
            r#"{"models":[
            {"name":"llama3.2:1b","model":"llama3.2:1b","size":2196584448,"digest":"baf6a787",
             "details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],
                        "parameter_size":"1.2B","quantization_level":"Q8_0"},
             "expires_at":"2026-11-22T10:05:00.123456789+01:00","size_vram":2196584448,
             "context_length":4096}]}"#,
        ),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[
            {"id":"llama3.2:1b","object":"model","created":1761984000,"owned_by":"library"},
            {"id":"nomic-embed-text:latest","object":"model","created":1761984000,"owned_by":"library"}]}"#,
        ),
    ],
    otherwise: NOTHING,
    guarded: &[],
    refusal: FORBIDDEN,
};

/// vLLM 0.11.
pub(super) const VLLM: Recorded = Recorded {
    provider: Provider::Vllm,
    server: Some("uvicorn"),
    routes: &[
        ("/health", 200, TEXT, ""),
        ("/version", 200, JSON, r#"{"version":"0.11.0"}"#),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[
            {"id":"Qwen/Qwen3-8B","object":"model","created":1763800000,"owned_by":"vllm",
             "root":"Qwen/Qwen3-8B","parent":null,"max_model_len":40960,
             "permission":[{"id":"modelperm-1","object":"model_permission","created":1763800000,
                            "allow_sampling":true,"organization":"*","group":null,"is_blocking":false}]}]}"#,
        ),
        (
            "/metrics",
            200,
            TEXT,
            "# HELP python_gc_objects_collected_total Objects collected during gc\n\
            # TYPE python_gc_objects_collected_total counter\n\
            python_gc_objects_collected_total{generation=\"0\"} 9211.0\n\
            # HELP vllm:num_requests_running Number of requests in model execution batches.\n\
            # TYPE vllm:num_requests_running gauge\n\
            vllm:num_requests_running{engine=\"0\",model_name=\"Qwen/Qwen3-8B\"} 3.0\n\
            # HELP vllm:num_requests_waiting Number of requests waiting to be processed.\n\
            # TYPE vllm:num_requests_waiting gauge\n\
            vllm:num_requests_waiting{engine=\"0\",model_name=\"Qwen/Qwen3-8B\"} 7.0\n",
        ),
        (
            "/openapi.json",
            200,
            JSON,
            r#"{"openapi":"3.1.0","info":{"title":"FastAPI","version":"0.1.0"}}"#,
        ),
    ],
    otherwise: NOT_FOUND,
    guarded: &["/v1"],
    refusal: ("", 401, JSON, r#"{"error":"Unauthorized"}"#),
};

/// llama.cpp's server, build 6900.
pub(super) const LLAMA_SERVER: Recorded = Recorded {
    provider: Provider::LlamaServer,
    server: Some("llama.cpp"),
    routes: &[
        ("/", 200, HTML, "<!doctype html><title>llama.cpp</title>"),
        ("/health", 200, JSON, r#"{"status":"ok"}"#),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"models":[{"name":"tiny","model":"tiny","modified_at":"","size":"",
             "digest":"","type":"model","description":"","tags":[""],"capabilities":["completion"],
             "parameters":"","details":{"parent_model":"","format":"gguf","family":"","families":[""],
             "parameter_size":"","quantization_level":""}}],
            "object":"list","data":[{"id":"tiny","object":"model","created":1763800000,
             "owned_by":"llamacpp","meta":{"vocab_type":2,"n_vocab":32000,"n_ctx_train":2048,
             "n_embd":64,"n_params":100000,"size":115000}}]}"#,
        ),
        (
            "/props",
            200,
            JSON,
            r#"{"default_generation_settings":{"id":0,"n_ctx":4096,
            "is_processing":false},"total_slots":4,"model_alias":"tiny","model_path":"/models/tiny.gguf",
            "modalities":{"vision":false,"audio":false},"endpoint_slots":true,"endpoint_props":false,
            "endpoint_metrics":false,"webui":true,"chat_template":"{{ x }}","bos_token":"<s>",
            "eos_token":"</s>","build_info":"b6900-1a2b3c4d"}"#,
        ),
        (
            "/slots",
            200,
            JSON,
            r#"[{"id":0,"n_ctx":4096,"speculative":false,"is_processing":true,
            "id_task":12,"params":{},"next_token":[]},{"id":1,"n_ctx":4096,"speculative":false,
            "is_processing":false},{"id":2,"is_processing":true},{"id":3,"is_processing":false}]"#,
        ),
        (
            "/api/tags",
            200,
            JSON,
            r#"{"models":[{"name":"tiny","model":"tiny"}],"object":"list","data":[]}"#,
        ),
    ],
    otherwise: (
        "",
        404,
        JSON,
        r#"{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}"#,
    ),
    guarded: &["/v1/models", "/props", "/slots", "/metrics"],
    refusal: (
        "",
        401,
        JSON,
        r#"{"error":{"code":401,"message":"Invalid API Key","type":"authentication_error"}}"#,
    ),
};

/// llama-cpp-python 0.3.16.
pub(super) const LLAMA_CPP_PYTHON: Recorded = Recorded {
    provider: Provider::LlamaCppPython,
    server: Some("uvicorn"),
    routes: &[
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"/models/tiny.gguf","object":"model",
            "owned_by":"me","permissions":[]}]}"#,
        ),
        (
            "/openapi.json",
            200,
            JSON,
            r#"{"openapi":"3.1.0","info":{"title":"🦙 llama.cpp Python API",
            "version":"0.3.16"},"paths":{"/v1/completions":{}}}"#,
        ),
    ],
    otherwise: NOT_FOUND,
    guarded: &["/v1"],
    refusal: FORBIDDEN,
};

/// LiteLLM 1.80.
pub(super) const LITELLM: Recorded = Recorded {
    provider: Provider::Litellm,
    server: Some("uvicorn"),
    routes: &[
        ("/", 200, HTML, "<html><title>LiteLLM API - Swagger UI</title></html>"),
        ("/health/liveliness", 200, JSON, r#""I'm alive!""#),
        (
            "/health/readiness",
            200,
            JSON,
            r#"{"status":"healthy","db":"Not connected","cache":null,
            "litellm_version":"1.80.0","success_callbacks":["sync_deployment_callback_on_success"],
            "use_aiohttp_transport":true,"last_updated":"2026-11-22T09:00:00"}"#,
        ),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"data":[
            {"id":"gpt-local","object":"model","created":1677610602,"owned_by":"openai"},
            {"id":"claude-local","object":"model","created":1677610602,"owned_by":"openai"}],
            "object":"list"}"#,
        ),
        (
            "/health",
            401,
            JSON,
            r#"{"error":{"message":"Authentication Error, No api key passed in."}}"#,
        ),
    ],
    otherwise: NOT_FOUND,
    guarded: &["/v1", "/model"],
    refusal: (
        "",
        401,
        JSON,
        r#"{"error":{"message":"Authentication Error, No api key passed in.",
        "type":"auth_error","param":"None","code":"401"}}"#,
    ),
};

/// SGLang 0.5.
pub(super) const SGLANG: Recorded = Recorded {
    provider: Provider::Sglang,
    server: Some("uvicorn"),
    routes: &[
        ("/health", 200, TEXT, ""),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"qwen/qwen2.5-0.5b-instruct",
            "object":"model","created":1763800000,"owned_by":"sglang",
            "root":"qwen/qwen2.5-0.5b-instruct","parent":null,"max_model_len":32768}]}"#,
        ),
        (
            "/server_info",
            200,
            JSON,
            r#"{"model_path":"qwen/qwen2.5-0.5b-instruct",
            "tokenizer_path":"qwen/qwen2.5-0.5b-instruct","host":"127.0.0.1","port":30000,
            "api_key":"sk-hidden","status":"ready","max_total_num_tokens":100000,
            "internal_states":[{"effective_max_running_requests_per_dp":48}],"version":"0.5.5"}"#,
        ),
        (
            "/metrics",
            200,
            TEXT,
            "# HELP sglang:num_running_reqs The number of running requests.\n\
            # TYPE sglang:num_running_reqs gauge\n\
            sglang:num_running_reqs{model_name=\"m\",tp_rank=\"0\",pp_rank=\"0\"} 2.0\n\
            sglang:num_running_reqs{model_name=\"m\",tp_rank=\"1\",pp_rank=\"0\"} 2.0\n\
            sglang:num_running_reqs_offline_batch{model_name=\"m\"} 9.0\n",
        ),
    ],
    otherwise: NOT_FOUND,
    guarded: &["/v1", "/server_info", "/get_server_info"],
    refusal: ("", 401, JSON, r#"{"error":"Unauthorized"}"#),
};

/// LM Studio 0.3.
pub(super) const LMSTUDIO: Recorded = Recorded {
    provider: Provider::LmStudio,
    server: None,
    routes: &[
        ("/lmstudio-greeting", 200, JSON, r#"{"lmstudio":true}"#),
        (
            "/api/v0/models",
            200,
            JSON,
            r#"{"data":[
            {"id":"qwen2.5-7b-instruct","object":"model","type":"llm","publisher":"lmstudio-community",
             "arch":"qwen2","compatibility_type":"gguf","quantization":"Q4_K_M","state":"loaded",
             "max_context_length":32768,"loaded_context_length":4096},
            {"id":"text-embedding-nomic-embed-text-v1.5","object":"model","type":"embeddings",
             "publisher":"nomic-ai","arch":"nomic-bert","compatibility_type":"gguf",
             "quantization":"Q4_0","state":"not-loaded","max_context_length":2048}],"object":"list"}"#,
        ),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"data":[{"id":"qwen2.5-7b-instruct","object":"model",
            "owned_by":"organization_owner"},{"id":"text-embedding-nomic-embed-text-v1.5",
            "object":"model","owned_by":"organization_owner"}],"object":"list"}"#,
        ),
    ],
    otherwise: ("", 200, JSON, r#"{"error":"Unexpected endpoint or method. (GET /x)"}"#),
    guarded: &["/api", "/v1"],
    refusal: (
        "",
        401,
        JSON,
        r#"{"error":{"message":"Invalid API token","type":"invalid_request_error"}}"#,
    ),
};

/// LocalAI 3.
pub(super) const LOCALAI: Recorded = Recorded {
    provider: Provider::LocalAi,
    server: None,
    routes: &[
        ("/", 200, HTML, "<!DOCTYPE html><title>LocalAI</title>"),
        ("/readyz", 200, TEXT, "OK"),
        ("/version", 200, JSON, r#"{"version":"v3.7.0 (9ecfdc5938)"}"#),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"gpt-4","object":"model"},
            {"id":"whisper-1","object":"model"}]}"#,
        ),
        (
            "/system",
            200,
            JSON,
            r#"{"backends":["llama-cpp","whisper"],"loaded_models":[{"id":"gpt-4"}]}"#,
        ),
        ("/api/version", 200, JSON, r#"{"version":"0.9.0"}"#),
        ("/api/tags", 200, JSON, r#"{"models":[{"name":"gpt-4:latest","model":"gpt-4:latest"}]}"#),
        ("/api/ps", 200, JSON, r#"{"models":[]}"#),
    ],
    otherwise: ("", 404, JSON, r#"{"error":{"code":404,"message":"Not Found","type":""}}"#),
    guarded: &["/v", "/api", "/system"],
    refusal: (
        "",
        401,
        JSON,
        r#"{"error":{"code":401,"message":"Authorization header missing","type":""}}"#,
    ),
};

/// TabbyAPI of 2025.
pub(super) const TABBYAPI: Recorded = Recorded {
    provider: Provider::TabbyApi,
    server: Some("uvicorn"),
    routes: &[
        ("/health", 200, JSON, r#"{"status":"healthy","issues":[]}"#),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"qwen-exl3","object":"model",
            "created":1763800000,"owned_by":"tabbyAPI","logging":null,"parameters":null},
            {"id":"llama-exl2","object":"model","created":1763800000,"owned_by":"tabbyAPI",
            "logging":null,"parameters":null}]}"#,
        ),
        (
            "/v1/model",
            200,
            JSON,
            r#"{"id":"qwen-exl3","object":"model","created":1763800000,
            "owned_by":"tabbyAPI","logging":null,"parameters":{"max_seq_len":32768}}"#,
        ),
        (
            "/openapi.json",
            200,
            JSON,
            r#"{"openapi":"3.1.0","info":{"title":"TabbyAPI","version":"0.1.0"}}"#,
        ),
    ],
    otherwise: NOT_FOUND,
    guarded: &["/v1"],
    refusal: ("", 401, JSON, r#"{"detail":"Please provide an API key"}"#),
};

/// Text Generation Web UI 3.
pub(super) const TEXT_GENERATION_WEBUI: Recorded = Recorded {
    provider: Provider::TextGenerationWebui,
    server: Some("uvicorn"),
    routes: &[
        (
            "/v1/internal/model/info",
            200,
            JSON,
            r#"{"model_name":"mistral-7b.gguf","lora_names":[],"loader":"llama.cpp"}"#,
        ),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"mistral-7b.gguf","object":"model",
            "created":0,"owned_by":"user"}]}"#,
        ),
        (
            "/openapi.json",
            200,
            JSON,
            r#"{"openapi":"3.1.0","info":{"title":"FastAPI","version":"0.1.0"}}"#,
        ),
    ],
    otherwise: NOT_FOUND,
    guarded: &["/v1"],
    refusal: ("", 401, JSON, r#"{"detail":"Unauthorized"}"#),
};

/// LMDeploy 0.10.
pub(super) const LMDEPLOY: Recorded = Recorded {
    provider: Provider::Lmdeploy,
    server: Some("uvicorn"),
    routes: &[
        ("/health", 200, TEXT, ""),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"internlm2","object":"model",
            "created":1763800000,"owned_by":"lmdeploy","root":"internlm2","parent":null,"permission":[]}]}"#,
        ),
        (
            "/metrics",
            200,
            TEXT,
            "# TYPE lmdeploy:num_requests_running gauge\n\
            lmdeploy:num_requests_running{engine=\"0\",model_name=\"internlm2\"} 1.0\n",
        ),
    ],
    otherwise: NOT_FOUND,
    guarded: &["/v1"],
    refusal: (
        "",
        401,
        JSON,
        r#"{"detail":{"error":{"message":"","type":"invalid_request_error",
        "param":null,"code":"invalid_api_key"}}}"#,
    ),
};

/// KoboldCpp 1.101.
pub(super) const KOBOLDCPP: Recorded = Recorded {
    provider: Provider::Koboldcpp,
    server: Some("ConcedoLlamaForKoboldServer/1.0 Python/3.11"),
    routes: &[
        ("/", 200, HTML, "<!DOCTYPE html><title>KoboldAI Lite</title>"),
        (
            "/api/extra/version",
            200,
            JSON,
            r#"{"result":"KoboldCpp","version":"1.101","protected":false,
            "llm":true,"txt2img":false,"vision":false,"audio":false,"transcribe":false,
            "multiplayer":false,"websearch":false,"tts":false,"embeddings":false,"savedata":false,
            "admin":0}"#,
        ),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"koboldcpp/llama-3-8b","object":"model",
            "created":1,"owned_by":"koboldcpp","permission":[],"root":"koboldcpp"}]}"#,
        ),
        ("/api/v1/model", 200, JSON, r#"{"result":"koboldcpp/llama-3-8b"}"#),
        (
            "/api/extra/perf",
            200,
            JSON,
            r#"{"last_process":0.1,"last_eval":2.5,"last_token_count":80,
            "last_seed":1,"total_gens":3,"stop_reason":1,"total_img_gens":0,"queue":2,"idle":0,
            "hordeexitcounter":-1,"uptime":120,"idletime":0,"quiet":false}"#,
        ),
        ("/api/version", 200, JSON, r#"{"version":"0.7.0"}"#),
        (
            "/api/tags",
            200,
            JSON,
            r#"{"models":[{"name":"koboldcpp","model":"koboldcpp/llama-3-8b:latest"}]}"#,
        ),
        ("/api/ps", 200, JSON, r#"{"models":[]}"#),
        (
            "/props",
            200,
            JSON,
            r#"{"chat_template":"","total_slots":1,
            "default_generation_settings":{"n_ctx":8192}}"#,
        ),
    ],
    otherwise: ("", 404, HTML, "Error 404"),
    guarded: &["/api/v1", "/v1", "/api/extra/perf"],
    refusal: (
        "",
        401,
        JSON,
        r#"{"detail":{"error":"Unauthorized","msg":"Authentication key is missing or invalid.","type":"unauthorized"}}"#,
    ),
};

/// The server of whisper.cpp 1.8.
pub(super) const WHISPER_CPP: Recorded = Recorded {
    provider: Provider::WhisperCpp,
    server: Some("whisper.cpp"),
    routes: &[
        ("/", 200, HTML, "<html><head><title>Whisper.cpp Server</title></head></html>"),
        ("/health", 200, JSON, r#"{"status":"ok"}"#),
    ],
    otherwise: ("", 404, TEXT, "File Not Found (/x)"),
    guarded: &[],
    refusal: FORBIDDEN,
};

/// ComfyUI 0.3.
pub(super) const COMFYUI: Recorded = Recorded {
    provider: Provider::ComfyUi,
    server: None,
    routes: &[
        ("/", 200, HTML, "<!doctype html><title>ComfyUI</title>"),
        (
            "/system_stats",
            200,
            JSON,
            r#"{"system":{"os":"posix","ram_total":67108864000,
            "ram_free":33554432000,"comfyui_version":"0.3.60","required_frontend_version":"1.26.13",
            "python_version":"3.12.3 (main)","pytorch_version":"2.8.0+cu128","embedded_python":false,
            "argv":["main.py"]},"devices":[{"name":"cuda:0 NVIDIA","type":"cuda","index":0,
            "vram_total":25757220864,"vram_free":24000000000,"torch_vram_total":0,"torch_vram_free":0}]}"#,
        ),
        (
            "/queue",
            200,
            JSON,
            r#"{"queue_running":[[4,"a1",{"3":{"inputs":{"text":"a cat"}}},{},["9"]]],
            "queue_pending":[[5,"b2",{},{},[]]]}"#,
        ),
    ],
    otherwise: ("", 404, TEXT, "404: Not Found"),
    guarded: &[],
    refusal: FORBIDDEN,
};

/// Open WebUI 0.6.
pub(super) const OPEN_WEBUI: Recorded = Recorded {
    provider: Provider::OpenWebUi,
    server: Some("uvicorn"),
    routes: &[
        ("/health", 200, JSON, r#"{"status":true}"#),
        ("/api/version", 200, JSON, r#"{"version":"0.6.36","deployment_id":""}"#),
    ],
    otherwise: ("", 200, HTML, "<!doctype html><html><title>Open WebUI</title></html>"),
    guarded: &[],
    refusal: FORBIDDEN,
};

/// Lemonade Server 9.3.
pub(super) const LEMONADE: Recorded = Recorded {
    provider: Provider::Lemonade,
    server: None,
    routes: &[
        (
            "/api/v1/health",
            200,
            JSON,
            r#"{"status":"ok","version":"9.3.3","websocket_port":9000,
            "model_loaded":"Llama-3.2-1B-Instruct-Hybrid","all_models_loaded":[
            {"model_name":"Llama-3.2-1B-Instruct-Hybrid","checkpoint":"amd/Llama-3.2-1B",
             "last_use":1732123456.789,"type":"llm","device":"gpu npu","recipe":"ryzenai-llm",
             "recipe_options":{"ctx_size":4096},"backend_url":"http://127.0.0.1:8001/v1"},
            {"model_name":"nomic-embed-text-v1-GGUF","checkpoint":"nomic-ai/nomic-embed-text-v1-GGUF:Q4_K_S",
             "last_use":1732123450.123,"type":"embedding","device":"gpu","recipe":"llamacpp",
             "recipe_options":{"ctx_size":8192},"backend_url":"http://127.0.0.1:8002/v1"}],
            "max_models":{"audio":1,"embedding":1,"image":1,"llm":1}}"#,
        ),
        (
            "/api/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[
            {"id":"Llama-3.2-1B-Instruct-Hybrid","object":"model","created":1744173590,
             "owned_by":"lemonade","checkpoint":"amd/Llama-3.2-1B","recipe":"ryzenai-llm"},
            {"id":"nomic-embed-text-v1-GGUF","object":"model","created":1744173590,
             "owned_by":"lemonade","checkpoint":"nomic-ai/nomic-embed-text-v1-GGUF:Q4_K_S","recipe":"llamacpp"},
            {"id":"Qwen3-0.6B-GGUF","object":"model","created":1744173590,"owned_by":"lemonade",
             "checkpoint":"unsloth/Qwen3-0.6B-GGUF:Q4_0","recipe":"llamacpp"}]}"#,
        ),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"Qwen3-0.6B-GGUF","object":"model",
             "created":1744173590,"owned_by":"lemonade"}]}"#,
        ),
    ],
    otherwise: (
        "",
        404,
        JSON,
        r#"{"error":{"message":"The requested endpoint does not exist","type":"not_found"}}"#,
    ),
    guarded: &["/api", "/v1"],
    refusal: ("", 401, JSON, r#"{"error":"Invalid or missing API key"}"#),
};

/// llama-swap, version 160 and later.
pub(super) const LLAMA_SWAP: Recorded = Recorded {
    provider: Provider::LlamaSwap,
    server: None,
    routes: &[
        ("/", 302, HTML, "<a href=\"/ui\">Found</a>."),
        ("/health", 200, TEXT, "OK"),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"data":[{"created":1763800000,"id":"llama","name":"llama 3.1 8B",
            "object":"model","owned_by":"llama-swap"},{"created":1763800000,"id":"qwen","object":"model",
            "owned_by":"llama-swap"}],"object":"list"}"#,
        ),
        (
            "/running",
            200,
            JSON,
            r#"{"running":[{"cmd":"llama-server --port 5800","description":"",
            "model":"llama","name":"llama 3.1 8B","proxy":"http://localhost:5800","state":"ready","ttl":0},
            {"cmd":"llama-server --port 5801","model":"qwen","proxy":"http://localhost:5801",
            "state":"starting","ttl":0}]}"#,
        ),
        (
            "/api/version",
            200,
            JSON,
            r#"{"build_date":"2025-10-01T00:00:00Z","commit":"abcdef","version":"v170"}"#,
        ),
    ],
    otherwise: NOTHING,
    guarded: &["/v1", "/running", "/api"],
    refusal: ("", 401, JSON, r#"{"error":"unauthorized: invalid api key"}"#),
};

/// Text Generation Inference 3.
pub(super) const TGI: Recorded = Recorded {
    provider: Provider::Tgi,
    server: None,
    routes: &[
        ("/health", 200, TEXT, ""),
        (
            "/info",
            200,
            JSON,
            r#"{"model_id":"HuggingFaceH4/zephyr-7b-beta","model_sha":"b70e0c9a",
            "model_pipeline_tag":"text-generation","max_concurrent_requests":128,"max_best_of":2,
            "max_stop_sequences":4,"max_input_tokens":4095,"max_total_tokens":4096,
            "validation_workers":2,"max_client_batch_size":4,"router":"text-generation-router",
            "version":"3.3.6","sha":"5739b5b088","docker_label":"sha-5739b5b"}"#,
        ),
        (
            "/v1/models",
            200,
            JSON,
            r#"{"object":"list","data":[{"id":"HuggingFaceH4/zephyr-7b-beta",
            "object":"model","created":0,"owned_by":"HuggingFaceH4/zephyr-7b-beta"}]}"#,
        ),
        (
            "/metrics",
            200,
            TEXT,
            "# TYPE tgi_batch_current_size gauge\ntgi_batch_current_size 4\n\n\
            # TYPE tgi_queue_size gauge\ntgi_queue_size 7\n",
        ),
    ],
    otherwise: ("", 404, TEXT, ""),
    // What is asked is for everybody.
    guarded: &[],
    refusal: FORBIDDEN,
};
