//! The libraries that are linked into the programs, and their licences, which want to be passed on
//! with them.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::output_of;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// What stands above the list.
const HEAD: &str = "\
The programs of aictl contain Rust's standard library (MIT or Apache-2.0) and these libraries. Each
is listed with its version, licence and home; OR lets the reader choose. The texts that came with
them are below, each once.
";

/// How the names of files with the texts of licences begin.
const TEXTS: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// A library.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Library {
    name: String,
    version: String,
    licence: String,
    home: String,
}

/// The list, a library a line, in the order of their names, and the texts of their licences.
///
/// # Errors
/// A failure if cargo cannot tell.
pub fn list(workspace: &Workspace) -> Result<String, Failure> {
    let mut command = workspace.cargo(&["tree", "--locked", "--workspace", "--edges", "normal"]);
    command.args(["--exclude", "aictl-tests", "--exclude", "xtask"]);
    command.args(["--exclude", "aictl-fakes", "--exclude", "aictl-fake-nvml"]);
    command.args(["--prefix", "none", "--format", "{p}|{l}|{r}"]);
    let libraries = libraries(&output_of(command, "cargo tree")?);
    let sources = sources();
    let mut text = String::from(HEAD);
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for Library { name, version, licence, home } in &libraries {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{name} {version}: {licence}\n  {home}");
        for found in texts_of(&sources, &format!("{name}-{version}")) {
            texts.entry(found).or_default().push(name);
        }
    }
    for (found, mut names) in texts {
        names.dedup();
        let line = "=".repeat(100);
        let _ = write!(text, "\n\n{line}\nWith {}:\n\n{found}", names.join(", "));
    }
    Ok(text + "\n")
}

/// The libraries among the lines of `cargo tree`, each once.
fn libraries(tree: &str) -> Vec<Library> {
    let mut libraries: Vec<Library> = tree.lines().filter_map(library).collect();
    libraries.sort();
    libraries.dedup();
    libraries
}

/// A library of others that is a part of programs.
fn library(package: &str) -> Option<Library> {
    let mut parts = package.strip_suffix(" (*)").unwrap_or(package).splitn(3, '|');
    let (name, licence, home) = (parts.next()?, parts.next()?, parts.next()?);
    let (name, version) = name.split_once(" v")?;
    // What comes from a path is ours, and what is marked as proc-macro runs in the compiler.
    (!version.contains('(')).then(|| Library {
        name: name.to_owned(),
        version: version.to_owned(),
        licence: licence.replace('/', " OR "),
        home: home.to_owned(),
    })
}

/// Where cargo keeps the sources of libraries, those of each registry in a directory.
fn sources() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    let registries = home.map(|home| home.join("registry/src")).and_then(|d| fs::read_dir(d).ok());
    registries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The texts of the licences of a library.
fn texts_of(sources: &[PathBuf], name: &str) -> Vec<String> {
    let directories = sources.iter().map(|registry| registry.join(name));
    let mut files: Vec<PathBuf> = directories
        .flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten())
        .filter(|entry| is_text(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files.iter().filter_map(|path| fs::read_to_string(path).ok()).map(|text| plain(&text)).collect()
}

/// Whether a file holds the text of a licence.
fn is_text(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    TEXTS.iter().any(|start| name.starts_with(start)) && !name.ends_with(".RS")
}

/// The text with what makes no difference made alike.
fn plain(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_others_are_listed_once() {
        let tree = "aictl v0.1.0 (/w/crates/aictl)|Apache-2.0|\n\
                    zbus v6.2.0|MIT|https://z\nserde_derive v1.0.0 (proc-macro)|MIT|\n\
                    bitflags v2.1.0|MIT/Apache-2.0|\nzbus v6.2.0|MIT|https://z (*)\n\n";
        let library = |name: &str, version: &str, licence: &str, home: &str| Library {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
            home: home.to_owned(),
        };
        let want = [
            library("bitflags", "2.1.0", "MIT OR Apache-2.0", ""),
            library("zbus", "6.2.0", "MIT", "https://z"),
        ];
        assert_eq!(libraries(tree), want);
    }

    #[test]
    fn texts_of_licences_are_known_by_their_names() {
        for (name, want) in [
            ("LICENSE", true),
            ("LICENSE-MIT", true),
            ("license-apache.txt", true),
            ("COPYING.md", true),
            ("licence.rs", false),
            ("README.md", false),
        ] {
            assert_eq!(is_text(name), want, "{name}");
        }
        assert_eq!(plain("\r\n MIT \r\n\r\n(c)\n\n"), " MIT\n\n(c)");
    }
}
