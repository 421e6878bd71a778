//! Tests of keys.

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
    let wanted = [name("litellm"), name("open-webui")];
    let (keys, errors) = Keys::find(&wanted, &Catalogue::builtin(), &places);
    (keys, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn a_key_is_from_the_environment_or_from_the_file() {
    let dir = Dir::new();
    let path = dir.file("litellm = \"sk-file\"\nopen-webui = 'sk-web'\nvllm = \"x\"\n", 0o600);
    let (keys, errors) = find(&[("AICTL_KEY_LITELLM", "sk-env")], Some(path.clone()));
    assert_eq!(errors, Vec::<String>::new());
    let source = |service: &str| keys.source(&name(service)).cloned();
    assert_eq!(source("litellm"), Some(Source::Variable("AICTL_KEY_LITELLM".to_owned())));
    assert_eq!(source("open-webui"), Some(Source::File(path)));
    assert!(keys.get(&name("open-webui")).is_some() && source("vllm").is_none());
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
    let (keys, errors) = Keys::find(&[name("litellm")], &Catalogue::builtin(), &another);
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

/// Whose key would never be used.
#[test]
fn a_name_that_is_no_services_is_told_with_the_nearest_and_not_repeated() {
    let dir = Dir::new();
    let text = "litellm = 'sk-1'\n\nopen-webu = 'sk-2'\nsk-secretsecret = 'litellm'\ntgi = 'x'\n";
    let path = dir.file(text, 0o600);
    let (keys, errors) = find(&[], Some(path.clone()));
    assert!(keys.get(&name("litellm")).is_some() && keys.get(&name("open-webui")).is_none());
    let path = path.display();
    let expected = [
        format!("{path}:3: there is no such service; did you mean open-webui?"),
        format!("{path}:4: there is no such service: `aictl config show` has the names of all"),
    ];
    assert_eq!(errors, expected);
    // The catalogue knows no service that the configuration has taken out.
    let places = Places {
        variable: &|_| None,
        file: Some(dir.file("tgi = 'x'\n", 0o600)),
        uid: geteuid().as_raw(),
    };
    assert_eq!(Keys::find(&[], &Catalogue::empty(), &places).1, []);
    let many: String = (0..100).map(|n| format!("x{n} = 'x'\n")).collect();
    assert_eq!(find(&[], Some(dir.file(many, 0o600))).1.len(), MAX_STRANGE);
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
