//! The documents that commands print with `--json`, beside those of a run, the status and the
//! GPUs, which have modules of their own.
//!
//! They borrow what they show, since they are only written. Unknown is `None` (`null`), never 0.
//! Fields are only ever added.

pub mod actions;
pub mod audit;
pub mod check;
pub mod config;
pub mod doctor;
pub mod failure;
pub mod logs;

#[cfg(test)]
mod tests;
