//! The kinds of server, one module for each: what they are asked, and how their answers are read.
//! The answers in the tests are as the servers of the named versions give them.

pub(crate) mod comfyui;
pub(crate) mod koboldcpp;
pub(crate) mod lemonade;
pub(crate) mod litellm;
pub(crate) mod llama_cpp_python;
pub(crate) mod llama_server;
pub(crate) mod llama_swap;
pub(crate) mod lmdeploy;
pub(crate) mod lmstudio;
pub(crate) mod localai;
pub(crate) mod ollama;
pub(crate) mod open_webui;
pub(crate) mod openapi;
pub(crate) mod sglang;
pub(crate) mod tabbyapi;
pub(crate) mod text_generation_webui;
pub(crate) mod tgi;
pub(crate) mod vllm;
pub(crate) mod whisper_cpp;
