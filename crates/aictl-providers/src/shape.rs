//! Parts of JSON documents: bounded, whatever a server sends.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

use crate::text::word;

/// The most models, or other items of a list, that are kept.
pub(crate) const MAX_ITEMS: usize = 1000;

/// A word, as it may be shown; empty if nothing of it can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) String);

impl Word {
    /// The word, if there is one.
    pub(crate) fn get(self) -> Option<String> {
        Some(self.0).filter(|word| !word.is_empty())
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AWord;
        impl Visitor<'_> for AWord {
            type Value = Word;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E>(self, text: &str) -> Result<Word, E> {
                Ok(Word(word(text).unwrap_or_default()))
            }
        }
        deserializer.deserialize_str(AWord)
    }
}

/// A list, of which the first [`MAX_ITEMS`] are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// Whether there were more.
    pub(crate) cut: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), cut: false }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AList<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for AList<T> {
            type Value = List<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut list = List::default();
                while list.items.len() < MAX_ITEMS {
                    match seq.next_element()? {
                        Some(item) => list.items.push(item),
                        None => return Ok(list),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    list.cut = true;
                }
                Ok(list)
            }
            // What has nothing to list says `null` in some languages.
            fn visit_unit<E>(self) -> Result<List<T>, E> {
                Ok(List::default())
            }
        }
        deserializer.deserialize_any(AList(std::marker::PhantomData))
    }
}

/// The length of a list, of which nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ACount;
        impl<'de> Visitor<'de> for ACount {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(ACount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_bounded_and_words_plain() {
        let list: List<Word> = serde_json::from_str(r#"["a\u001b[31mb", "\u0000"]"#).unwrap();
        assert_eq!(list, List { items: vec![Word("ab".into()), Word(String::new())], cut: false });
        let many = format!("[{}0]", "0,".repeat(99_999));
        let list: List<u8> = serde_json::from_str(&many).unwrap();
        assert_eq!((list.items.len(), list.cut), (MAX_ITEMS, true));
        assert_eq!(serde_json::from_str::<Count>(&many).unwrap(), Count(100_000));
        let exactly = format!("[{}0]", "0,".repeat(MAX_ITEMS - 1));
        let list: List<u8> = serde_json::from_str(&exactly).unwrap();
        assert_eq!((list.items.len(), list.cut), (MAX_ITEMS, false));
        assert_eq!(serde_json::from_str::<List<u8>>("null").unwrap(), List::default());
        for wrong in ["7", "\"x\"", "{}", "[\"x\"]"] {
            assert!(serde_json::from_str::<List<u8>>(wrong).is_err(), "{wrong}");
        }
        for wrong in ["7", "{}", "null", "[]"] {
            assert!(serde_json::from_str::<Word>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_or_is_skipped_and_no_overflow() {
        let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert!(serde_json::from_str::<List<Word>>(&deep).is_err());
        let _ = serde_json::from_str::<Count>(&deep);
        let _ = serde_json::from_str::<serde_json::Value>(&deep).unwrap_err();
    }
}
