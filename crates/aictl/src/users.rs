//! Users, as this machine's passwd(5) names them. Users from elsewhere keep their numbers: asking
//! for them needs the C library's modules, which a program linked statically does not have.

use std::{collections::HashMap, fs};

/// The users of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// Reads them; there are none where they cannot be read.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::read(&fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    fn read(passwd: &str) -> Self {
        let mut users = HashMap::new();
        for line in passwd.lines() {
            let mut fields = line.split(':');
            let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
            // Of two names for one number, the first is the one that all programs show.
            if let Ok(uid) = uid.parse() {
                users.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Self(users)
    }

    /// The name of a user, or its number where it has none.
    #[must_use]
    pub fn name(&self, uid: u32) -> String {
        self.0.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// The user whom a word means: a name, or a number.
    #[must_use]
    pub fn uid(&self, word: &str) -> Option<u32> {
        let named = self.0.iter().filter(|(_, name)| *name == word).map(|(uid, _)| *uid).min();
        named.or_else(|| word.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names_and_numbers() {
        let users = Users::read(
            "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken\nodd:x:y:1::/:/x\n\
             alice:x:1000:1000:Alice:/home/alice:/bin/bash\n",
        );
        for (word, uid) in
            [("alice", Some(1000)), ("1000", Some(1000)), ("7", Some(7)), ("bob", None), ("", None)]
        {
            assert_eq!(users.uid(word), uid, "{word}");
        }
        for (uid, name) in [(0, "root"), (1000, "alice"), (7, "7")] {
            assert_eq!(users.name(uid), name);
        }
    }
}
