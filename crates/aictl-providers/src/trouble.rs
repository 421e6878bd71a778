//! Why a server's answer is none.

use std::{fmt, io, time::Duration};

/// What is wrong with a server that does not answer as it should. Its [`fmt::Display`] is one plain
/// sentence without a full stop, which names neither server nor endpoint: the caller knows both.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Nobody listens there.
    Refused,
    /// No byte of an answer came in this time.
    NoAnswer(Duration),
    /// The answer began, and did not end in this time.
    TooSlow(Duration),
    /// The connection was closed before the answer was complete.
    Closed,
    /// The answer, or its headers, is longer than this many bytes.
    TooLarge(usize),
    /// The server wants to be asked elsewhere; it is not.
    Redirect {
        /// The host that it names, or nothing if it names only another path of its own.
        to: Option<String>,
    },
    /// What came is not HTTP.
    NotHttp,
    /// TLS failed.
    Tls(TlsTrouble),
    /// An HTTP status that tells of a failure.
    Status(u16),
    /// The answer's content is not what this kind of server sends: what is wrong with it.
    BadBody(&'static str),
    /// Who took the connection may not have the key; nothing was asked.
    Stranger,
    /// The socket failed in another way.
    Io(io::ErrorKind),
}

/// Why TLS failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsTrouble {
    /// Nobody whom the system trusts has signed the certificate.
    NotTrusted,
    /// The certificate is a CA's own, which no server may use.
    CaCertificate,
    /// The certificate is past its time, or before it.
    Expired,
    /// The certificate is for other names.
    WrongName,
    /// The server does not speak TLS.
    NotTls,
    /// The server speaks TLS, and was asked without.
    NeedsTls,
    /// The system's certificates cannot be read, so nobody can be trusted.
    NoRoots,
    /// Another failure, in the words of the TLS library.
    Other(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("nobody listens there"),
            Self::NoAnswer(time) => write!(f, "no answer within {}", Seconds(*time)),
            Self::TooSlow(time) => write!(f, "its answer did not end within {}", Seconds(*time)),
            Self::Closed => f.write_str("it closed the connection before its answer was complete"),
            Self::TooLarge(most) => write!(f, "its answer is longer than {} KiB", most / 1024),
            Self::Redirect { to: Some(host) } => {
                write!(f, "it sends callers on to {host}, and redirects are not followed")
            }
            Self::Redirect { to: None } => {
                f.write_str("it sends callers on to another path, and redirects are not followed")
            }
            Self::NotHttp => f.write_str("what answers there does not speak HTTP"),
            Self::Tls(trouble) => trouble.fmt(f),
            Self::Status(status) => write!(f, "it answers with HTTP status {status}"),
            Self::BadBody(what) => write!(f, "its answer cannot be read: {what}"),
            Self::Stranger => f.write_str(
                "another program than the service took the connection, so that its key was not sent",
            ),
            Self::Io(io::ErrorKind::PermissionDenied) => {
                f.write_str("this user may not connect to its socket")
            }
            Self::Io(kind) => write!(f, "the connection failed: {kind}"),
        }
    }
}

impl std::error::Error for Trouble {}

impl fmt::Display for TlsTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTrusted => f.write_str(
                "its certificate is not trusted: add the certificate of the CA that signed it to \
                 the system's (update-ca-certificates)",
            ),
            Self::CaCertificate => f.write_str(
                "its certificate is a CA's own: give the server one that a CA has signed \
                 (CA:FALSE)",
            ),
            Self::Expired => {
                f.write_str("its certificate is not valid at this time: renew it, or set the clock")
            }
            Self::WrongName => f.write_str(
                "its certificate is for another host: name in the endpoint the host that it is for",
            ),
            Self::NotTls => {
                f.write_str("it does not speak TLS: write http:// in the endpoint, not https://")
            }
            Self::NeedsTls => {
                f.write_str("it speaks TLS: write https:// in the endpoint, not http://")
            }
            Self::NoRoots => f.write_str(
                "the system has no CA certificates: install its package ca-certificates",
            ),
            Self::Other(why) => write!(f, "TLS failed: {why}"),
        }
    }
}

/// A time as people read it.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_millis() == 0 {
            write!(f, "{} s", self.0.as_secs())
        } else {
            write!(f, "{} s", self.0.as_secs_f64())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_sentence() {
        let table = [
            (Trouble::NoAnswer(Duration::from_secs(3)), "no answer within 3 s"),
            (Trouble::TooSlow(Duration::from_millis(500)), "its answer did not end within 0.5 s"),
            (Trouble::TooLarge(4 << 20), "its answer is longer than 4096 KiB"),
            (Trouble::Status(500), "it answers with HTTP status 500"),
            (Trouble::BadBody("it is not JSON"), "its answer cannot be read: it is not JSON"),
            (
                Trouble::Redirect { to: Some("example.org".to_owned()) },
                "it sends callers on to example.org, and redirects are not followed",
            ),
            (
                Trouble::Tls(TlsTrouble::NotTls),
                "it does not speak TLS: write http:// in the endpoint, not https://",
            ),
        ];
        for (trouble, sentence) in table {
            assert_eq!(trouble.to_string(), sentence);
        }
    }
}
