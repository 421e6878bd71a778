//! A script as it is handed over: sealed memory, copied once, so that what is hashed is what runs.

use std::{
    fmt::{self, Write as _},
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use sha2::{Digest, Sha256};

use crate::sys;

/// A script's text.
#[derive(Clone, PartialEq, Eq)]
pub struct Script(Vec<u8>);

/// No code in a log.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({} bytes, {})", self.0.len(), self.sha256())
    }
}

/// Why a descriptor is not a script.
#[derive(Debug)]
#[non_exhaustive]
pub enum ScriptError {
    /// It is not sealed memory: it could change while it is read, or block.
    NotSealed,
    /// It holds nothing.
    Empty,
    /// It is longer than the limit.
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// It holds NUL bytes, as programs and data do.
    Binary,
    /// It could not be read.
    Read(io::Error),
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSealed => write!(f, "the script is not a sealed memfd"),
            Self::Empty => write!(f, "the script is empty"),
            Self::TooLarge { size, limit } => {
                write!(f, "the script has {size} bytes, more than the limit of {limit}")
            }
            Self::Binary => {
                write!(f, "the script holds NUL bytes: it is no script, but a program or data")
            }
            Self::Read(error) => write!(f, "the script cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// A script of 1 to `limit` bytes, none of which is NUL.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn new(text: Vec<u8>, limit: u64) -> Result<Self, ScriptError> {
        check_size(text.len() as u64, limit)?;
        if text.contains(&0) { Err(ScriptError::Binary) } else { Ok(Self(text)) }
    }

    /// Copies such a script out of a sealed memfd.
    ///
    /// # Errors
    /// If the descriptor is anything else.
    pub fn from_memfd(fd: OwnedFd, limit: u64) -> Result<Self, ScriptError> {
        if !sys::is_sealed(fd.as_fd()) {
            return Err(ScriptError::NotSealed);
        }
        let file = File::from(fd);
        let size = file.metadata().map_err(ScriptError::Read)?.len();
        check_size(size, limit)?;
        let mut text = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut text, 0).map_err(ScriptError::Read)?;
        Self::new(text, limit)
    }

    /// Its SHA-256 in hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut sha256 = String::with_capacity(64);
        for byte in Sha256::digest(&self.0) {
            // Writing to a String cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        sha256
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

fn check_size(size: u64, limit: u64) -> Result<(), ScriptError> {
    match size {
        0 => Err(ScriptError::Empty),
        size if size > limit => Err(ScriptError::TooLarge { size, limit }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::sealed_memfd;

    #[test]
    fn only_sealed_memory_of_the_right_size_is_a_script() {
        let script = Script::from_memfd(sealed_memfd(b"abc").unwrap(), 3).unwrap();
        assert_eq!(
            script.sha256(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(format!("{script:?}").find("abc"), None);
        assert_eq!(script.text(), b"abc");
        assert_eq!(Script::new(b"abc".to_vec(), 3).unwrap(), script);
        assert!(matches!(Script::new(Vec::new(), 3), Err(ScriptError::Empty)));
        assert!(matches!(Script::new(b"abcd".to_vec(), 3), Err(ScriptError::TooLarge { .. })));
        assert!(matches!(Script::new(b"a\0".to_vec(), 3), Err(ScriptError::Binary)));
        let error = |fd, limit| Script::from_memfd(fd, limit).unwrap_err();
        assert!(matches!(error(sealed_memfd(b"").unwrap(), 3), ScriptError::Empty));
        assert!(matches!(
            error(sealed_memfd(b"abcd").unwrap(), 3),
            ScriptError::TooLarge { size: 4, limit: 3 }
        ));
        for path in ["/dev/zero", "/dev/null", "/proc/self/status", "/usr"] {
            let file = File::open(path).unwrap().into();
            assert!(matches!(error(file, 1 << 20), ScriptError::NotSealed), "{path}");
        }
        let (pipe, _writer) = nix::unistd::pipe().unwrap();
        assert!(matches!(error(pipe, 3), ScriptError::NotSealed));
    }
}
