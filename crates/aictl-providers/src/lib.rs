//! Asking the servers of AI models how they are: one HTTP client, and what it knows of each kind of
//! server.
//!
//! It asks loopback addresses and unix sockets only, since no other [`Endpoint`] exists; it
//! resolves no name, follows no redirect and knows no proxy. What servers send is untrusted: it is
//! bounded in size, number and time, and made plain before it is handed on.
//!
//! [`Endpoint`]: aictl_api::endpoint::Endpoint

mod answers;
mod decide;
#[cfg(feature = "fuzzing")]
mod fuzz;
mod identify;
mod key;
mod metrics;
mod openai;
mod plan;
mod probe;
mod providers;
mod report;
mod request;
mod shape;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod trouble;

#[cfg(feature = "fuzzing")]
pub use fuzz::fuzz;
pub use key::{InvalidKey, Key};
pub use probe::{Target, probe};
pub use report::{Fact, Gap, GapReason, Reach, Report};
pub use trouble::{TlsTrouble, Trouble};
