//! The little of an ELF file (elf(5)) that tells whether the sandbox can start it.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::unix::{ffi::OsStringExt, fs::FileExt},
    path::PathBuf,
};

/// What a file's first bytes say about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// A `#!` script.
    Script,
    /// Neither a script nor ELF.
    Other,
    /// ELF for another machine, or for 32 bits: its system calls would be killed.
    Foreign,
    /// ELF for this machine, with the loader that it asks the kernel for. A static program has
    /// none, nor has a header that is cut off or makes no sense: the kernel will refuse that one.
    Native(Option<PathBuf>),
}

/// `e_machine` of the programs that this build of aictl can run, if known.
const MACHINE: Option<u16> = if cfg!(target_arch = "x86_64") {
    Some(62)
} else if cfg!(target_arch = "aarch64") {
    Some(183)
} else if cfg!(target_arch = "riscv64") {
    Some(243)
} else {
    None
};

/// `p_type` of the program header that names the loader.
const PT_INTERP: u32 = 3;

/// More program headers than any linker writes (about 13).
const MOST_HEADERS: u16 = 64;

/// The size of a 64-bit program header.
const HEADER: u16 = 56;

/// Reads what kind of program `file` is.
pub(super) fn read(file: &File) -> io::Result<Program> {
    let head = bytes(file, 0, 64)?;
    if head.starts_with(b"#!") {
        return Ok(Program::Script);
    }
    if !head.starts_with(b"\x7fELF") {
        return Ok(Program::Other);
    }
    let (Some(class), Some(machine)) = (head.get(4), u16_at(&head, 18)) else {
        return Ok(Program::Native(None));
    };
    if *class != 2 || MACHINE.is_some_and(|ours| ours != machine) {
        return Ok(Program::Foreign);
    }
    Ok(Program::Native(loader(file, &head)?))
}

fn loader(file: &File, head: &[u8]) -> io::Result<Option<PathBuf>> {
    let (Some(offset), Some(size), Some(count)) =
        (u64_at(head, 32), u16_at(head, 54), u16_at(head, 56))
    else {
        return Ok(None);
    };
    if size != HEADER || count > MOST_HEADERS {
        return Ok(None);
    }
    let table = bytes(file, offset, usize::from(size) * usize::from(count))?;
    let interp = table.chunks(usize::from(size)).find(|entry| u32_at(entry, 0) == Some(PT_INTERP));
    let Some((offset, length)) =
        interp.and_then(|entry| Some((u64_at(entry, 8)?, u64_at(entry, 32)?)))
    else {
        return Ok(None);
    };
    let mut path = bytes(file, offset, usize::try_from(length).unwrap_or(usize::MAX).min(4096))?;
    path.truncate(path.iter().position(|&byte| byte == 0).unwrap_or(path.len()));
    Ok((!path.is_empty()).then(|| PathBuf::from(OsString::from_vec(path))))
}

/// Up to `most` bytes at `offset`; fewer where the file ends.
fn bytes(file: &File, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut all = vec![0; most];
    let mut length = 0;
    while let Some(free) = all.get_mut(length..).filter(|free| !free.is_empty()) {
        let at = offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        match file.read_at(free, at) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // EINVAL: an offset that no file can have.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    all.truncate(length);
    Ok(all)
}

fn array<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..)?.first_chunk().copied()
}

fn u16_at(from: &[u8], at: usize) -> Option<u16> {
    array(from, at).map(u16::from_ne_bytes)
}

fn u32_at(from: &[u8], at: usize) -> Option<u32> {
    array(from, at).map(u32::from_ne_bytes)
}

fn u64_at(from: &[u8], at: usize) -> Option<u64> {
    array(from, at).map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::{
        super::tree::{Tree, elf},
        *,
    };

    #[test]
    fn files_are_told_apart() {
        let tree = Tree::new();
        let dynamic = elf("/lib64/ld-linux-x86-64.so.2");
        let native = |loader: &str| Program::Native(Some(PathBuf::from(loader)));
        let with = |at: usize, value: &[u8]| {
            let mut file = dynamic.clone();
            file[at..at + value.len()].copy_from_slice(value);
            file
        };
        let table = [
            ("empty", vec![], Program::Other),
            ("text", b"print(1)\n".to_vec(), Program::Other),
            ("script", b"#!/bin/sh\n".to_vec(), Program::Script),
            ("cut off", b"\x7fELF".to_vec(), Program::Native(None)),
            ("dynamic", dynamic.clone(), native("/lib64/ld-linux-x86-64.so.2")),
            ("32 bits", with(4, &[1]), Program::Foreign),
            ("other machine", with(18, &9_u16.to_ne_bytes()), Program::Foreign),
            ("static", with(64, &1_u32.to_ne_bytes()), Program::Native(None)),
            ("headers far away", with(32, &u64::MAX.to_ne_bytes()), Program::Native(None)),
            ("odd headers", with(54, &7_u16.to_ne_bytes()), Program::Native(None)),
            ("no headers", with(54, &[0, 0]), Program::Native(None)),
            ("many headers", with(56, &u16::MAX.to_ne_bytes()), Program::Native(None)),
            ("loader far away", with(64 + 8, &u64::MAX.to_ne_bytes()), Program::Native(None)),
            ("long loader", with(64 + 32, &u64::MAX.to_ne_bytes()), {
                native("/lib64/ld-linux-x86-64.so.2")
            }),
        ];
        for (name, content, expected) in table {
            let path = tree.file(name, &content);
            assert_eq!(read(&File::open(path).unwrap()).unwrap(), expected, "{name}");
        }
        let own = File::open("/proc/self/exe").unwrap();
        assert!(matches!(read(&own).unwrap(), Program::Native(_)));
    }
}
