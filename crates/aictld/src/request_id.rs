//! Identifiers of calls.

use std::fs::File;

use aictl_sandbox::protocol::RequestId;

/// The kernel's source of random bytes.
const RANDOM: &str = "/dev/urandom";

/// Makes identifiers that nobody can guess: 32 hexadecimal digits.
#[derive(Debug)]
pub struct RequestIds(File);

impl RequestIds {
    /// Opens the source.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open() -> std::io::Result<Self> {
        File::open(RANDOM).map(Self)
    }

    /// A new identifier.
    ///
    /// # Errors
    /// If the kernel has no random bytes, which it always has.
    pub fn next(&self) -> std::io::Result<String> {
        RequestId::from_random(&self.0).map(String::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_different_and_hexadecimal() {
        let ids = RequestIds::open().unwrap();
        let (a, b) = (ids.next().unwrap(), ids.next().unwrap());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|byte| byte.is_ascii_hexdigit()), "{a}");
    }
}
