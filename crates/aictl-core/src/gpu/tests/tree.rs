//! Trees of /sys and /proc, from texts whose form tests/gpu/README tells.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::super::{Lists, Sources, nvml::NvmlProgram};

pub(super) const ALL: [(&str, &str); 7] = [
    ("rx7900", include_str!("../../../tests/gpu/rx7900.tree")),
    ("strix-halo", include_str!("../../../tests/gpu/strix-halo.tree")),
    ("arc-a770", include_str!("../../../tests/gpu/arc-a770.tree")),
    ("intel-igpu", include_str!("../../../tests/gpu/intel-igpu.tree")),
    ("arc-b580", include_str!("../../../tests/gpu/arc-b580.tree")),
    ("laptop", include_str!("../../../tests/gpu/laptop.tree")),
    ("two-equal", include_str!("../../../tests/gpu/two-equal.tree")),
];

/// A directory that stands for the root, and is removed in the end.
#[derive(Debug)]
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) fn new(name: &str) -> Self {
        let (_, text) = ALL.iter().find(|(known, _)| *known == name).expect("a known tree");
        Self::of(&entries(text))
    }

    pub(super) fn of(entries: &[Entry]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tree = Self(env::temp_dir().join(format!("aictl-gpu-{}-{number}", process::id())));
        fs::create_dir_all(&tree.0).expect("a directory");
        for entry in entries {
            let path = tree.path(&entry.path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            match &entry.kind {
                Kind::File(bytes) => fs::write(path, bytes).expect("a file"),
                Kind::Link(target) => symlink(target, path).expect("a link"),
                Kind::Directory => fs::create_dir_all(path).expect("a directory"),
            }
        }
        tree
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).expect("a file");
    }

    pub(super) fn remove(&self, path: &str) {
        let path = self.path(path);
        let removed = match path.symlink_metadata().expect("what is to be removed").is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        };
        removed.expect("what can be removed");
    }

    pub(super) fn sources(&self) -> Sources {
        Sources {
            sys: self.path("sys"),
            proc: self.path("proc"),
            dev: self.path("dev"),
            nvml: NvmlProgram { program: self.path("none"), library: None },
            lists: Lists {
                amd: vec![self.path("usr/share/libdrm/amdgpu.ids")],
                all: vec![
                    self.path("usr/share/misc/pci.ids"),
                    self.path("usr/share/hwdata/pci.ids"),
                ],
            },
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// One thing in a tree.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    File(Vec<u8>),
    Link(String),
    Directory,
}

pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut base = String::new();
    let mut entries = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(directory) = line.strip_prefix('[') {
            directory.strip_suffix(']').expect("a bracket").clone_into(&mut base);
            continue;
        }
        let (path, kind) = if let Some((path, target)) = line.split_once(" -> ") {
            (path, Kind::Link(target.to_owned()))
        } else if let Some((path, bytes)) = line.split_once(" ~ ") {
            (path, Kind::File(binary(bytes)))
        } else if let Some((path, text)) = line.split_once(" = ") {
            let text = text.replace("\\n", "\n").replace("\\t", "\t") + "\n";
            (path, Kind::File(text.into_bytes()))
        } else {
            (line.strip_suffix('/').unwrap_or_else(|| panic!("an entry: {line}")), Kind::Directory)
        };
        let path = Path::new(&base).join(path).into_os_string().into_string().expect("text");
        entries.push(Entry { path, kind });
    }
    entries
}

fn binary(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_ascii_whitespace() {
        match word.strip_prefix('*') {
            Some(length) => bytes.resize(length.parse().expect("a length"), 0),
            None => bytes.push(u8::from_str_radix(word, 16).expect("a byte")),
        }
    }
    bytes
}
