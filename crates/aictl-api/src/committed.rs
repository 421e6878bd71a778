//! Files of the repository that are generated from the tables of this crate.

use std::{env, fs, path::Path};

use crate::authorisation::HOW_TO_GENERATE;

/// Holds the committed file at `path` against `generated`; with AICTL_BLESS=1, writes it.
pub fn assert_committed(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if env::var_os("AICTL_BLESS").is_some_and(|value| value == "1") {
        fs::write(&file, generated).expect("the file can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == generated,
        "{path} is not what the table yields; to make it anew: {HOW_TO_GENERATE}"
    );
}
