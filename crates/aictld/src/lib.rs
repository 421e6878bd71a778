//! The helper of aictl: does on the system bus what polkit allows its callers, on the services of
//! the catalogue and nothing else, and leaves a record of every call.
//!
//! It has no privilege of its own. Each call goes one way ([`gate`]); what it needs is in the
//! authorisation table of `aictl-api`, and what is not in there does not exist.

pub mod activity;
pub mod answer;
pub mod audit;
pub mod bus;
pub mod call;
pub mod caller;
mod descriptors;
pub mod dispatch;
pub mod events;
pub mod gate;
pub mod gpus;
pub mod helper;
pub mod journal;
pub mod lifetime;
pub mod limits;
pub mod logs;
pub mod peer;
pub mod place;
pub mod policy;
pub mod polkit;
pub mod porter;
pub mod request_id;
pub mod runs;
pub mod services;
pub mod standard;
mod stream;
pub mod wire;
