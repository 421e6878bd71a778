//! The system call filter: `policy` is the written list, `filter` turns it into programs for the
//! kernel, when this crate is built.

#[cfg(test)]
mod filter;
mod policy;

use seccompiler::sock_filter;

#[cfg(test)]
use policy::{Call, Case, Test, Verdict};
pub use policy::{Memory, calls};

include!(concat!(env!("OUT_DIR"), "/filters.rs"));

/// The programs for a list, which together are the list: the first takes the kernel long to install,
/// and leaves open the calls with which a process takes on what is still missing; the last closes
/// those.
#[derive(Clone, Copy)]
pub struct Filters {
    /// The whole list, but for two calls.
    pub first: &'static [sock_filter],
    /// Those two.
    pub last: &'static [sock_filter],
}

impl Filters {
    /// The programs of the list for `memory`.
    #[must_use]
    pub const fn of(memory: Memory) -> Self {
        match memory {
            Memory::Counted => Self { first: &FIRST_COUNTED, last: &LAST_COUNTED },
            Memory::Watched => Self { first: &FIRST_WATCHED, last: &LAST_WATCHED },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_what_the_list_says() {
        for memory in [Memory::Counted, Memory::Watched] {
            let filters = Filters::of(memory);
            assert_eq!(filters.first, filter::first(calls(memory)).unwrap());
            assert_eq!(filters.last, filter::last(calls(memory)).unwrap());
        }
    }
}
