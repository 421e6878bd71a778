//! A key that a server wants.

use std::{fmt, net::SocketAddr, sync::Arc};

use hyper::header::HeaderValue;

/// A server's API key. It has no printable form: it goes into the `Authorization` header of a
/// request, and nowhere else.
#[derive(Clone)]
pub struct Key {
    header: HeaderValue,
    guard: Option<Guard>,
    /// The user whose servers may have it over a unix socket; `None`: all.
    uid: Option<u32>,
}

/// Says whether who has a connection may have the key: our own end of it, and the server's.
type Guard = Arc<dyn Fn(SocketAddr, SocketAddr) -> bool + Send + Sync>;

/// A text that cannot be a key: it is empty, or holds what a header cannot. It does not say what
/// the text was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKey;

impl Key {
    /// The most bytes of a key.
    pub const MAX: usize = 4096;

    /// A key from its text, without the white space around it.
    ///
    /// # Errors
    /// [`InvalidKey`] if nothing is left, or more than [`Key::MAX`] bytes, or anything but visible
    /// ASCII characters.
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        if text.is_empty() || text.len() > Self::MAX || !text.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(InvalidKey);
        }
        let mut header = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| InvalidKey)?;
        header.set_sensitive(true);
        Ok(Self { header, guard: None, uid: None })
    }

    /// The key, for those TCP connections alone that `may_have_it` says yes to: it is asked about
    /// each when it stands, with our own end of it and the server's. By then nobody else can take
    /// the server's place.
    #[must_use]
    pub fn guarded(
        self,
        may_have_it: impl Fn(SocketAddr, SocketAddr) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { guard: Some(Arc::new(may_have_it)), ..self }
    }

    /// The key, over unix sockets for servers of this user and of root alone: who listens when the
    /// connection stands need not be who had the socket's path before.
    #[must_use]
    pub fn for_user(self, uid: u32) -> Self {
        Self { uid: Some(uid), ..self }
    }

    /// Whether it may be sent over a unix socket to a server of this user.
    pub(crate) fn may_go_to(&self, server: u32) -> bool {
        self.uid.is_none_or(|uid| [0, uid].contains(&server))
    }

    /// Whether it may be sent over a connection with these ends.
    pub(crate) fn may_go(&self, own: SocketAddr, server: SocketAddr) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard(own, server))
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key is 1 to {} visible ASCII characters without spaces", Key::MAX)
    }
}

impl std::error::Error for InvalidKey {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_never_printed() {
        let key = Key::new(" sk-secret\n").unwrap();
        assert_eq!(key.header(), "Bearer sk-secret");
        assert_eq!(format!("{key:?}"), "Key(…)");
        assert!(!format!("{:?}", key.header()).contains("secret"));
        for bad in ["", " \n", "sk secret", "sk-\r\nX: y", "schlüssel", "a\0b", &"x".repeat(4097)]
        {
            assert_eq!(Key::new(bad).unwrap_err(), InvalidKey, "{bad:?}");
        }
        assert!(Key::new(&"x".repeat(Key::MAX)).is_ok());
    }

    #[test]
    fn a_key_for_a_users_servers_goes_to_no_other_users() {
        let key = Key::new("sk-secret").unwrap();
        assert!(key.may_go_to(1000));
        let key = key.for_user(1000);
        for (server, may) in [(1000, true), (0, true), (1001, false)] {
            assert_eq!(key.may_go_to(server), may, "{server}");
        }
    }
}
