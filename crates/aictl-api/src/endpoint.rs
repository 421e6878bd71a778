//! Endpoints: where a server is asked. Only this machine: a loopback address, `localhost`, or a
//! unix socket.
//!
//! No other [`Endpoint`] can exist, so that whoever holds one may connect to it. A name is never
//! resolved: `localhost` stands for `127.0.0.1` and `::1`, whatever the resolver would say.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

mod error;

#[cfg(test)]
mod tests;

pub use error::{AddressKind, EndpointError};

/// The most bytes of an endpoint's text.
pub const MAX_ENDPOINT: usize = 512;
/// The most bytes of a unix socket's path: `sun_path` without its NUL (unix(7)).
pub const MAX_SOCKET: usize = 107;

/// What the text of a unix socket's endpoint begins with.
const UNIX: &str = "unix:";
/// What an endpoint may hold beside letters and digits: what stands for itself in a URL's path
/// (RFC 3986, section 3.3), and the brackets of an IPv6 address. No `%`: nothing is decoded here,
/// so nothing can hide behind it.
const PUNCTUATION: &str = "-._~!$&'()*+,;=:@/[]";

/// Where a server is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Over TCP.
    Tcp(TcpEndpoint),
    /// Over a unix socket, by HTTP without TLS.
    Unix(UnixEndpoint),
}

/// A server's place on a loopback address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpEndpoint {
    scheme: Scheme,
    host: Host,
    port: u16,
    path: String,
}

/// A server's place on a unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnixEndpoint {
    socket: String,
}

/// How a server is spoken to over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Which of the machine's own addresses; its [`fmt::Display`] is as in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address of 127.0.0.0/8.
    V4(Ipv4Addr),
    /// The address `::1`.
    V6,
    /// `localhost`: `127.0.0.1`, and then `::1`.
    Localhost,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6 => f.write_str("[::1]"),
            Self::Localhost => f.write_str("localhost"),
        }
    }
}

impl TcpEndpoint {
    /// How the server is spoken to.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Which address.
    #[must_use]
    pub const fn host(&self) -> Host {
        self.host
    }

    /// The port; never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as in a `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl UnixEndpoint {
    /// The socket's path: absolute, and not longer than the kernel takes.
    #[must_use]
    pub fn socket(&self) -> &str {
        &self.socket
    }
}

impl Endpoint {
    /// Reads an endpoint: `http://127.0.0.1:8000`, `https://[::1]:8443/prefix`,
    /// `http://localhost:4000` or `unix:/run/server.sock`.
    ///
    /// # Errors
    /// If the text is not exactly such an endpoint; nothing is trimmed, folded, decoded or
    /// resolved, but one `/` at the end of a URL counts as none.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        // First, so that a text of any size costs nothing.
        if text.len() > MAX_ENDPOINT {
            return Err(EndpointError::TooLong);
        }
        if text.is_empty() {
            return Err(EndpointError::Empty);
        }
        if let Some(socket) = text.strip_prefix(UNIX) {
            return unix(socket);
        }
        for (scheme, prefix) in [(Scheme::Http, "http://"), (Scheme::Https, "https://")] {
            if let Some(rest) = text.strip_prefix(prefix) {
                return tcp(scheme, rest);
            }
        }
        Err(EndpointError::Scheme)
    }

    /// The server on this port of `127.0.0.1`, by HTTP; `None` for port 0.
    #[must_use]
    pub const fn on_port(port: u16) -> Option<Self> {
        match port {
            0 => None,
            port => {
                let host = Host::V4(Ipv4Addr::LOCALHOST);
                Some(Self::Tcp(TcpEndpoint {
                    scheme: Scheme::Http,
                    host,
                    port,
                    path: String::new(),
                }))
            }
        }
    }

    /// The server behind a listening socket with this address, by HTTP: one that listens on all
    /// addresses is asked on the loopback one. `None` if it cannot be reached on such.
    #[must_use]
    pub fn of_listener(address: SocketAddr) -> Option<Self> {
        let host = match address.ip().to_canonical() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Host::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V4(address) if address.is_loopback() => Host::V4(address),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED | Ipv6Addr::LOCALHOST) => Host::V6,
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        match address.port() {
            0 => None,
            port => Some(Self::Tcp(TcpEndpoint {
                scheme: Scheme::Http,
                host,
                port,
                path: String::new(),
            })),
        }
    }

    /// What stands before the paths that are asked for: empty, or `/` and more without a `/` at
    /// its end.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Tcp(tcp) => &tcp.path,
            Self::Unix(_) => "",
        }
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp(TcpEndpoint { scheme: Scheme::Https, .. }))
    }

    /// The addresses to connect to, in the order in which to try them: all of them loopback; none
    /// for a unix socket.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let Self::Tcp(tcp) = self else { return Vec::new() };
        let hosts: &[IpAddr] = match tcp.host {
            Host::V4(address) => &[IpAddr::V4(address)],
            Host::V6 => &[IpAddr::V6(Ipv6Addr::LOCALHOST)],
            Host::Localhost => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        };
        hosts.iter().map(|host| SocketAddr::new(*host, tcp.port)).collect()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(TcpEndpoint { scheme, host, port, path }) => {
                write!(f, "{}://{host}:{port}{path}", scheme.name())
            }
            Self::Unix(UnixEndpoint { socket }) => write!(f, "{UNIX}{socket}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text)
    }
}

/// Reads what follows `unix:`.
fn unix(socket: &str) -> Result<Endpoint, EndpointError> {
    only_known_characters(socket)?;
    if !socket.starts_with('/') {
        return Err(EndpointError::RelativeSocket);
    }
    if socket.len() > MAX_SOCKET {
        return Err(EndpointError::LongSocket);
    }
    check_segments(socket)?;
    Ok(Endpoint::Unix(UnixEndpoint { socket: socket.to_owned() }))
}

/// Reads what follows `http://` or `https://`.
fn tcp(scheme: Scheme, rest: &str) -> Result<Endpoint, EndpointError> {
    // Before anything is cut: what one reader takes for the host, another may not.
    if rest.contains('?') {
        return Err(EndpointError::Query);
    }
    if rest.contains('#') {
        return Err(EndpointError::Fragment);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(EndpointError::UserInfo);
    }
    only_known_characters(rest)?;
    // The brackets of an IPv6 address hold colons of their own.
    let (host, port) = match authority.rfind(']') {
        Some(end) => authority.split_at(end + 1),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let host = parse_host(host)?;
    let port = parse_port(port)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.contains(['[', ']']) {
        return Err(EndpointError::Character('['));
    }
    check_segments(path)?;
    Ok(Endpoint::Tcp(TcpEndpoint { scheme, host, port, path: path.to_owned() }))
}

/// The first character that no endpoint holds is an error.
fn only_known_characters(text: &str) -> Result<(), EndpointError> {
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !PUNCTUATION.contains(*c)) {
        Some(found) => Err(EndpointError::Character(found)),
        None => Ok(()),
    }
}

/// Refuses `.`, `..` and nothing between two `/` or after the last, of a path that is empty or
/// begins with `/`.
fn check_segments(path: &str) -> Result<(), EndpointError> {
    for segment in path.strip_prefix('/').into_iter().flat_map(|path| path.split('/')) {
        match segment {
            "" => return Err(EndpointError::EmptySegment),
            "." | ".." => return Err(EndpointError::Dots),
            _ => {}
        }
    }
    Ok(())
}

/// Reads a port with the `:` before it.
fn parse_port(text: &str) -> Result<u16, EndpointError> {
    let Some(digits) = text.strip_prefix(':').filter(|digits| !digits.is_empty()) else {
        return Err(if text.is_empty() || text == ":" {
            EndpointError::NoPort
        } else {
            EndpointError::Port
        });
    };
    // The standard library would take a sign and leading zeros.
    if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.starts_with('0') {
        return Err(EndpointError::Port);
    }
    digits.parse().map_err(|_| EndpointError::Port)
}

/// Reads a host, which must be this machine.
fn parse_host(text: &str) -> Result<Host, EndpointError> {
    if text.is_empty() {
        return Err(EndpointError::NoHost);
    }
    if text == "localhost" {
        return Ok(Host::Localhost);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return match address.ok_or(EndpointError::Ipv6)? {
            Ipv6Addr::LOCALHOST => Ok(Host::V6),
            address => Err(EndpointError::Host(AddressKind::of_v6(address))),
        };
    }
    // Exactly four decimal numbers without leading zeros.
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return if address.is_loopback() {
            Ok(Host::V4(address))
        } else {
            Err(EndpointError::Host(AddressKind::of_v4(address)))
        };
    }
    if error::looks_like_ipv4(text) {
        return Err(EndpointError::OddIpv4);
    }
    Err(EndpointError::Name)
}
