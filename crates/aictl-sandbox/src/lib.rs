//! The sandbox: the isolation engine, the protocol between `aictl-sandboxd` and its clients, and
//! the client.
//!
//! `aictl-sandboxd` takes one job over a unix socket ([`protocol`]), and turns it into one outcome.
//! Who may run what, and how often, is decided by those who call it. Where it is not installed,
//! a program makes the sandbox itself ([`embedded`]), with its own rights.

pub mod activation;
pub mod client;
pub mod embedded;
pub mod interpreter;
pub mod protocol;
pub mod sandboxd;

mod apart;
mod engine;
mod identity;
mod socket;
mod stage;
mod static_check;
mod sys;
mod warm;
mod weaken;

pub use apart::Apart;
pub use engine::{Copy as TemplateCopy, Original as TemplateOriginal, Script, ScriptError};
pub use sys::{
    ProcessInfo, cloexec_from, ignore_signal, ignores_signal, is_sealed, process_info,
    sealed_memfd, stdout_was_closed, take_no_descriptors, without_blocked_signals,
};
