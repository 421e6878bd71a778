//! The system call filter: `policy` is the written list, `filter` turns it into a program for the
//! kernel.

mod filter;
mod policy;

pub use filter::compile;
pub use policy::{Call, Case, Memory, Test, Verdict, calls};
