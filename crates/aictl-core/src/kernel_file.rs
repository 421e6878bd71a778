//! Files that the kernel writes while they are read, in /proc and /sys: small ones, whole.

use std::{fs, io::Read, path::Path};

use crate::plain_file;

/// The most that a file of one value holds: the kernel gives it one page (sysfs(5)).
pub(crate) const PAGE: usize = 4096;

/// What is in a file of at most `limit` bytes. `None` if it is not there, may not be read, is no
/// plain file, or holds more.
pub(crate) fn bytes(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let file = plain_file::open(path).ok()?;
    let mut bytes = Vec::with_capacity(limit.min(PAGE) + 1);
    file.take(u64::try_from(limit).ok()?.checked_add(1)?).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= limit).then_some(bytes)
}

/// As [`bytes`], as text, without blanks around it. What is no UTF-8 is replaced.
pub(crate) fn text(path: &Path, limit: usize) -> Option<String> {
    Some(String::from_utf8_lossy(&bytes(path, limit)?).trim().to_owned())
}

/// The last part of what a symbolic link points to, such as a driver's name.
pub(crate) fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_owned())
}

/// The names in a directory, sorted, the first `limit` that there are; empty if it cannot be
/// listed.
pub(crate) fn names(directory: &Path, limit: usize) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let names = entries.map_while(Result::ok).map(|entry| entry.file_name().into_string());
    let mut names: Vec<String> = names.filter_map(Result::ok).take(limit).collect();
    names.sort_unstable();
    names
}
