//! The words that every part of aictl shares: exit codes, limits, isolation layers, and the JSON
//! documents that users see.
//!
//! Nothing here does I/O. A value that exists is valid: what comes from outside is parsed once
//! into these types, and handed on as such.

pub mod audit;
pub mod authorisation;
#[cfg(test)]
mod committed;
pub mod config;
pub mod document;
pub mod endpoint;
pub mod error;
pub mod exit;
pub mod gpu;
pub mod layer;
pub mod limits;
pub mod provider;
pub mod record;
pub mod roff;
pub mod run;
#[cfg(feature = "schema")]
pub mod schema;
pub mod service;
pub mod status;
pub mod strict;
