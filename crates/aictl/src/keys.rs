//! The API keys of servers: from the user's environment, or from a file that is the user's alone.
//!
//! A key is never printed, and no message repeats a part of the file: a typing error can put a key
//! anywhere in there.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use aictl_api::{
    config::closest,
    service::{BUILTIN_NAMES, Catalogue, ServiceName},
};
use aictl_core::plain_file::{self, NotPlain};
use aictl_providers::Key;
use nix::unistd::geteuid;
use toml::de::{DeTable, DeValue};

use crate::message::plain;

/// The file's place below `$XDG_CONFIG_HOME`.
const FILE: &str = "aictl/keys.toml";
/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;
/// The most names in the file that are no service's and are told of.
const MAX_STRANGE: usize = 8;
/// What others than the owner may do with a file (chmod(1)).
const OTHERS: u32 = 0o077;
/// What the name of a variable with a key begins with.
const VARIABLE: &str = "AICTL_KEY_";

/// Where a key is from; its [`fmt::Display`] names the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This variable of the environment.
    Variable(String),
    /// This file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => f.write_str(&shown(path)),
        }
    }
}

/// Why a key, or a file of keys, is of no use; its [`fmt::Display`] is meant for the user, and has
/// nothing of what a file or a variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysError {
    /// The file is something else: what, with its article.
    Kind(PathBuf, &'static str),
    /// The file cannot be read.
    Unreadable(PathBuf, io::ErrorKind),
    /// The file belongs to this other user.
    Owner(PathBuf, u32),
    /// Others may read or write the file, whose mode this is.
    Mode(PathBuf, u32),
    /// The file is larger than any that is read.
    TooLarge(PathBuf),
    /// This line of the file is no line of TOML.
    Syntax(PathBuf, usize),
    /// What this line of the file sets is no text.
    NoText(PathBuf, usize),
    /// What this line of the file gives a key is no service; and the one that was probably meant.
    NoService(PathBuf, usize, Option<String>),
    /// The key in this place for the service of this name is none.
    NoKey(Source, String),
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unused = "no key of it is used";
        match self {
            Self::Kind(path, kind) => {
                write!(f, "{} is {kind}, not a file of keys", shown(path))
            }
            Self::Unreadable(path, why) => {
                write!(f, "{} cannot be read: {why}; {unused}", shown(path))
            }
            Self::Owner(path, uid) => {
                let path = shown(path);
                write!(f, "{path} belongs to uid {uid}, not to you: {unused}")
            }
            Self::Mode(path, mode) => {
                let path = shown(path);
                write!(
                    f,
                    "{path} has mode {mode:04o}, so that others may see or change your keys: {unused} \
                     until `chmod 600 {path}` mends that; change the keys if others have seen them"
                )
            }
            Self::TooLarge(path) => {
                write!(f, "{} is larger than {MAX_BYTES} bytes: {unused}", shown(path))
            }
            Self::Syntax(path, line) => {
                let path = shown(path);
                write!(f, "{path}:{line}: not valid TOML: {unused}; write SERVICE = \"KEY\"")
            }
            Self::NoText(path, line) => {
                let path = shown(path);
                write!(f, "{path}:{line}: not a text: {unused}; write SERVICE = \"KEY\"")
            }
            // The name as it stands there could be the key.
            Self::NoService(path, line, meant) => {
                write!(f, "{}:{line}: there is no such service", shown(path))?;
                match meant {
                    Some(meant) => write!(f, "; did you mean {meant}?"),
                    None => f.write_str(": `aictl config show` has the names of all"),
                }
            }
            Self::NoKey(source, service) => write!(
                f,
                "{source} has no usable key for {}: {}",
                plain(service),
                aictl_providers::InvalidKey
            ),
        }
    }
}

fn shown(path: &Path) -> String {
    plain(&path.display().to_string())
}

/// The keys of all services, and where the next one would be put.
#[derive(Debug, Default)]
pub struct Keys {
    keys: BTreeMap<String, (Key, Source)>,
    file: Option<PathBuf>,
}

/// Where to look for keys.
struct Places<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    file: Option<PathBuf>,
    uid: u32,
}

impl Keys {
    /// The keys of these services, and what is wrong with some of them, or with names that are none
    /// of the catalogue's.
    #[must_use]
    pub fn read<'a>(
        services: impl IntoIterator<Item = &'a ServiceName>,
        catalogue: &Catalogue,
    ) -> (Self, Vec<KeysError>) {
        let variable = |name: &str| env::var_os(name);
        let places = Places { variable: &variable, file: file(&variable), uid: geteuid().as_raw() };
        Self::find(services, catalogue, &places)
    }

    fn find<'a>(
        services: impl IntoIterator<Item = &'a ServiceName>,
        catalogue: &Catalogue,
        places: &Places<'_>,
    ) -> (Self, Vec<KeysError>) {
        let mut errors = Vec::new();
        let mut keys = BTreeMap::new();
        let mut add = |service: &str, text: &str, source: Source| match Key::new(text) {
            Ok(key) => drop(keys.insert(service.to_owned(), (key, source))),
            Err(_) => errors.push(KeysError::NoKey(source, service.to_owned())),
        };
        let mut in_file = BTreeMap::new();
        let mut of_file = Vec::new();
        if let Some(path) = &places.file {
            match read_file(path, places.uid) {
                Ok(found) => {
                    of_file = strange(path, &found, catalogue);
                    in_file = found;
                }
                Err(error) => of_file.push(error),
            }
        }
        for service in services {
            let name = service.as_ref();
            let variable = variable_of(name);
            // An empty one is as good as none.
            match (places.variable)(&variable).filter(|value| !value.is_empty()) {
                Some(value) => {
                    add(name, value.to_str().unwrap_or_default(), Source::Variable(variable));
                }
                None => {
                    if let (Some(written), Some(path)) = (in_file.get(name), &places.file) {
                        add(name, &written.text, Source::File(path.clone()));
                    }
                }
            }
        }
        errors.extend(of_file);
        (Self { keys, file: places.file.clone() }, errors)
    }

    /// The key of a service.
    #[must_use]
    pub fn get(&self, service: &ServiceName) -> Option<&Key> {
        self.keys.get(service.as_ref()).map(|(key, _)| key)
    }

    /// Where the key of a service is from.
    #[must_use]
    pub fn source(&self, service: &ServiceName) -> Option<&Source> {
        self.keys.get(service.as_ref()).map(|(_, source)| source)
    }

    /// How to give a service a key, as an imperative.
    #[must_use]
    pub fn how_to_give(&self, service: &ServiceName) -> String {
        let variable = variable_of(service.as_ref());
        match &self.file {
            Some(path) => format!(
                "set {variable}, or write {service} = \"KEY\" into {} (mode 0600)",
                shown(path)
            ),
            None => format!("set {variable}"),
        }
    }
}

/// The variable with the key of a service: `AICTL_KEY_OPEN_WEBUI` for `open-webui`.
fn variable_of(service: &str) -> String {
    format!("{VARIABLE}{}", service.to_ascii_uppercase().replace('-', "_"))
}

/// The user's file of keys (XDG Base Directory Specification); `None` for a user without a home.
fn file(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let directory =
        absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(directory.join(FILE))
}

/// What the file gives a service.
#[derive(Debug)]
struct Written {
    text: String,
    /// In which line, from 1.
    line: usize,
}

/// What a file gives those that are no services, in the order of its lines.
fn strange(
    path: &Path,
    found: &BTreeMap<String, Written>,
    catalogue: &Catalogue,
) -> Vec<KeysError> {
    // A service that the configuration takes out may come back: its key is no mistake.
    let known: Vec<&str> = catalogue.iter().map(|service| service.name.as_ref()).collect();
    let known = || known.iter().copied().chain(BUILTIN_NAMES.iter().copied());
    let mut strange: Vec<_> = found
        .iter()
        .filter(|(name, _)| !known().any(|known| known == name.as_str()))
        .map(|(name, written)| (written.line, closest(name, known()).map(str::to_owned)))
        .collect();
    strange.sort();
    strange.truncate(MAX_STRANGE);
    let error = |(line, meant)| KeysError::NoService(path.to_owned(), line, meant);
    strange.into_iter().map(error).collect()
}

/// What a file gives, by the names of services; nothing where there is no file.
fn read_file(path: &Path, uid: u32) -> Result<BTreeMap<String, Written>, KeysError> {
    let own = || path.to_owned();
    let unreadable = |error: io::Error| KeysError::Unreadable(own(), error.kind());
    let file = match plain_file::open(path) {
        Ok(file) => file,
        Err(NotPlain::Kind(kind)) => return Err(KeysError::Kind(own(), kind)),
        Err(NotPlain::Unreadable(error)) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => return Ok(BTreeMap::new()),
            _ => return Err(unreadable(error)),
        },
    };
    // Of the open file: its name may lead to another by now.
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.uid() != uid {
        return Err(KeysError::Owner(own(), metadata.uid()));
    }
    if metadata.mode() & OTHERS != 0 {
        return Err(KeysError::Mode(own(), metadata.mode() & 0o7777));
    }
    let mut text = String::new();
    match file.take(MAX_BYTES + 1).read_to_string(&mut text) {
        Ok(_) if text.len() as u64 > MAX_BYTES => return Err(KeysError::TooLarge(own())),
        Ok(_) => {}
        // Whose first bytes are no text is none as a whole.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(KeysError::Syntax(own(), 1));
        }
        Err(error) => return Err(unreadable(error)),
    }
    parse(&text).map_err(|(at, is_toml)| {
        let line = line(&text, at);
        if is_toml { KeysError::NoText(own(), line) } else { KeysError::Syntax(own(), line) }
    })
}

/// The line of the byte `at`, from 1.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Reads `service = "key"` lines. Where that fails: at which byte, and whether it is TOML at least.
fn parse(text: &str) -> Result<BTreeMap<String, Written>, (usize, bool)> {
    let table =
        DeTable::parse(text).map_err(|error| (error.span().map_or(0, |span| span.start), false))?;
    let mut keys = BTreeMap::new();
    for (name, value) in table.get_ref() {
        let DeValue::String(value) = value.get_ref() else {
            return Err((name.span().start, true));
        };
        let line = line(text, name.span().start);
        keys.insert(name.get_ref().to_string(), Written { text: value.to_string(), line });
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
