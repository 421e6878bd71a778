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

use aictl_api::service::ServiceName;
use aictl_core::plain_file::{self, NotPlain};
use aictl_providers::Key;
use nix::unistd::geteuid;
use toml::de::{DeTable, DeValue};

use crate::message::plain;

/// The file's place below `$XDG_CONFIG_HOME`.
const FILE: &str = "aictl/keys.toml";
/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;
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
    /// The keys of these services, and what is wrong with some of them.
    #[must_use]
    pub fn read<'a>(services: impl IntoIterator<Item = &'a ServiceName>) -> (Self, Vec<KeysError>) {
        let variable = |name: &str| env::var_os(name);
        let places = Places { variable: &variable, file: file(&variable), uid: geteuid().as_raw() };
        Self::find(services, &places)
    }

    fn find<'a>(
        services: impl IntoIterator<Item = &'a ServiceName>,
        places: &Places<'_>,
    ) -> (Self, Vec<KeysError>) {
        let mut errors = Vec::new();
        let mut keys = BTreeMap::new();
        let mut add = |service: &str, text: &str, source: Source| match Key::new(text) {
            Ok(key) => drop(keys.insert(service.to_owned(), (key, source))),
            Err(_) => errors.push(KeysError::NoKey(source, service.to_owned())),
        };
        let mut in_file = BTreeMap::new();
        let mut broken = None;
        if let Some(path) = &places.file {
            match read_file(path, places.uid) {
                Ok(found) => in_file = found,
                Err(error) => broken = Some(error),
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
                    if let (Some(text), Some(path)) = (in_file.get(name), &places.file) {
                        add(name, text, Source::File(path.clone()));
                    }
                }
            }
        }
        errors.extend(broken);
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

/// The texts of a file, by the names of services; none where there is no file.
fn read_file(path: &Path, uid: u32) -> Result<BTreeMap<String, String>, KeysError> {
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
        let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        if is_toml { KeysError::NoText(own(), line) } else { KeysError::Syntax(own(), line) }
    })
}

/// Reads `service = "key"` lines. Where that fails: at which byte, and whether it is TOML at least.
fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, bool)> {
    let table =
        DeTable::parse(text).map_err(|error| (error.span().map_or(0, |span| span.start), false))?;
    let mut keys = BTreeMap::new();
    for (name, value) in table.get_ref() {
        let DeValue::String(value) = value.get_ref() else {
            return Err((name.span().start, true));
        };
        keys.insert(name.get_ref().to_string(), value.to_string());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("aictl-keys-{}-{count}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
            let path = self.0.join("keys.toml");
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn name(name: &str) -> ServiceName {
        ServiceName::parse(name).unwrap()
    }

    /// The keys of two services by these variables and this file, and what is said of them.
    fn find(variables: &[(&str, &str)], file: Option<PathBuf>) -> (Keys, Vec<String>) {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
        };
        let places = Places { variable: &variable, file, uid: geteuid().as_raw() };
        let (keys, errors) = Keys::find(&[name("litellm"), name("open-webui")], &places);
        (keys, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_key_is_from_the_environment_or_from_the_file() {
        let dir = Dir::new();
        let path = dir.file("litellm = \"sk-file\"\nopen-webui = 'sk-web'\nelse = \"x\"\n", 0o600);
        let (keys, errors) = find(&[("AICTL_KEY_LITELLM", "sk-env")], Some(path.clone()));
        assert_eq!(errors, Vec::<String>::new());
        let source = |service: &str| keys.source(&name(service)).cloned();
        assert_eq!(source("litellm"), Some(Source::Variable("AICTL_KEY_LITELLM".to_owned())));
        assert_eq!(source("open-webui"), Some(Source::File(path)));
        assert!(keys.get(&name("open-webui")).is_some() && source("else").is_none());
        assert!(!format!("{keys:?}").contains("sk-"), "{keys:?}");
        // An empty variable is none, and no file is no error.
        let (keys, errors) = find(&[("AICTL_KEY_OPEN_WEBUI", "")], Some(dir.0.join("no")));
        assert!(keys.get(&name("open-webui")).is_none() && errors.is_empty());
        assert!(keys.how_to_give(&name("open-webui")).starts_with("set AICTL_KEY_OPEN_WEBUI, or"));
    }

    #[test]
    fn a_file_that_is_not_the_users_alone_gives_no_key() {
        let dir = Dir::new();
        for mode in [0o640, 0o604, 0o610, 0o660, 0o601, 0o622] {
            let path = dir.file("litellm = \"sk-secret\"\n", mode);
            let (keys, errors) = find(&[], Some(path));
            assert!(keys.get(&name("litellm")).is_none(), "{mode:o}");
            assert!(errors[0].contains(&format!("mode {mode:04o}")), "{errors:?}");
            assert!(errors[0].contains("chmod 600"), "{errors:?}");
        }
        for mode in [0o600, 0o400, 0o700] {
            let (keys, _) = find(&[], Some(dir.file("litellm = \"sk-secret\"\n", mode)));
            // Not even its owner may read a file of another mode, but root may.
            assert!(keys.get(&name("litellm")).is_some(), "{mode:o}");
        }
        let path = dir.file("litellm = \"sk-secret\"\n", 0o600);
        let another = Places {
            variable: &|_| None,
            file: Some(path.clone()),
            uid: geteuid().as_raw().wrapping_add(1),
        };
        let (keys, errors) = Keys::find(&[name("litellm")], &another);
        assert!(keys.get(&name("litellm")).is_none());
        assert!(matches!(errors[..], [KeysError::Owner(..)]), "{errors:?}");
        // A link is followed: what it leads to has to be the user's.
        let link = dir.0.join("link");
        symlink(&path, &link).unwrap();
        assert!(find(&[], Some(link)).0.get(&name("litellm")).is_some());
    }

    #[test]
    fn no_message_repeats_what_the_file_holds() {
        let dir = Dir::new();
        let huge = format!("litellm = \"sk-secret\"\n{}", "#".repeat(64 << 10));
        let long = format!("litellm = \"{}\"\n", "secret".repeat(1000));
        let table: [(&[u8], &str); 8] = [
            (b"# one\nlitellm = sk-secret\n", "keys.toml:2: not valid TOML"),
            (b"\nlitellm = 12345\n", "keys.toml:2: not a text"),
            (b"[litellm]\nkey = \"sk-secret\"\n", "keys.toml:1: not a text"),
            (b"litellm = \"sk-secret\"\nlitellm = \"sk-secret\"\n", "keys.toml:2: not valid TOML"),
            (b"litellm = \"sk secret\"\n", "keys.toml has no usable key for litellm"),
            (b"litellm = \"\xff-secret\"\n", "keys.toml:1: not valid TOML"),
            (huge.as_bytes(), "is larger than 65536 bytes"),
            (long.as_bytes(), "keys.toml has no usable key for litellm"),
        ];
        for (text, words) in table {
            let (keys, errors) = find(&[], Some(dir.file(text, 0o600)));
            assert!(keys.get(&name("litellm")).is_none(), "{words}");
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].contains(words), "{errors:?}");
            assert!(!errors[0].contains("secret") && !errors[0].contains("12345"), "{errors:?}");
        }
        let (_, errors) = find(&[("AICTL_KEY_LITELLM", "sk-\nsecret")], None);
        assert!(errors[0].contains("AICTL_KEY_LITELLM has no usable key"), "{errors:?}");
        assert!(!errors[0].contains("secret"), "{errors:?}");
        let (_, errors) = find(&[], Some(dir.0.clone()));
        assert!(errors[0].contains("is a directory, not a file of keys"), "{errors:?}");
    }

    #[test]
    fn the_file_is_below_the_users_configuration() {
        let place = |variables: &[(&str, &str)]| {
            let found = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            };
            file(&found).map(|path| path.display().to_string())
        };
        let home = ("HOME", "/home/anna");
        for (variables, expected) in [
            (&[home][..], Some("/home/anna/.config/aictl/keys.toml")),
            (&[home, ("XDG_CONFIG_HOME", "/c")], Some("/c/aictl/keys.toml")),
            // One that is not absolute is to be ignored.
            (&[home, ("XDG_CONFIG_HOME", "c")], Some("/home/anna/.config/aictl/keys.toml")),
            (&[("HOME", "")], None),
            (&[], None),
        ] {
            assert_eq!(place(variables).as_deref(), expected, "{variables:?}");
        }
    }
}
