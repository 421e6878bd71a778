//! NVIDIA's own library, on a machine without its driver. Run by `cargo xtask test nvidia`, which
//! fetches the library.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{env, path::PathBuf};

use common::{program, report};

/// Where the library is.
const LIBRARY: &str = "AICTL_TEST_NVIDIA_LIBRARY";

fn library() -> PathBuf {
    env::var_os(LIBRARY).expect("`cargo xtask test nvidia` says where the library is").into()
}

#[test]
fn without_a_driver_it_says_so() {
    let output = program().arg("--library").arg(library()).output().unwrap();
    let report = report(&output);
    assert!(report.gpus.is_empty());
    let [note] = &report.notes[..] else { panic!("{report:?}") };
    assert!(
        note.starts_with("NVIDIA's driver is not loaded: `modprobe nvidia` loads it"),
        "{note}"
    );
}

#[test]
fn it_is_found_by_the_name_that_the_linker_knows() {
    let library = library();
    let output = program().env("LD_LIBRARY_PATH", library.parent().unwrap()).output().unwrap();
    let report = report(&output);
    assert!(report.notes[0].starts_with("NVIDIA's driver is not loaded"), "{:?}", report.notes);
}
