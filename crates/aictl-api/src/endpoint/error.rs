//! Why a text is no endpoint.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{MAX_ENDPOINT, MAX_SOCKET};

/// Why a text is no endpoint; its [`fmt::Display`] is meant for the user, and repeats none of the
/// text but a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// It is empty.
    Empty,
    /// It is longer than [`MAX_ENDPOINT`].
    TooLong,
    /// It does not begin with `http://`, `https://` or `unix:`.
    Scheme,
    /// This character cannot stand in it.
    Character(char),
    /// It names a user, and perhaps a password.
    UserInfo,
    /// It has a query.
    Query,
    /// It has a fragment.
    Fragment,
    /// No host is named.
    NoHost,
    /// No port is named.
    NoPort,
    /// The port is no number from 1 to 65535.
    Port,
    /// What stands in brackets is no IPv6 address.
    Ipv6,
    /// An IPv4 address in a form that programs read in different ways: a single number, fewer
    /// than four, octal or hexadecimal ones.
    OddIpv4,
    /// The address is not this machine's own.
    Host(AddressKind),
    /// The host is a name that is not `localhost`.
    Name,
    /// The path holds `.` or `..`.
    Dots,
    /// The path has nothing between two `/`, or a socket's ends in one.
    EmptySegment,
    /// The socket's path does not begin with `/`.
    RelativeSocket,
    /// The socket's path is longer than [`MAX_SOCKET`].
    LongSocket,
}

/// What kind of address it is that is no loopback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressKind {
    /// Where clouds tell a machine its secrets.
    Metadata,
    /// On the same link only.
    LinkLocal,
    /// In a private network.
    Private,
    /// An IPv4 address within an IPv6 one.
    MappedIpv4,
    /// `0.0.0.0` or `::`, on which servers listen, and which nobody can ask.
    Unspecified,
    /// For many at once.
    Multicast,
    /// All else: on the internet.
    Public,
}

impl AddressKind {
    /// The kind of an IPv4 address that is no loopback address.
    pub(super) fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            // AWS, Azure, Google and most others; Alibaba; Oracle.
            [169, 254, 169, 254] | [100, 100, 100, 200] | [192, 0, 0, 192] => Self::Metadata,
            _ if address.is_link_local() => Self::LinkLocal,
            // The second for carriers, RFC 6598.
            _ if address.is_private() => Self::Private,
            [100, 64..=127, ..] => Self::Private,
            _ if address.is_unspecified() => Self::Unspecified,
            _ if address.is_multicast() || address.is_broadcast() => Self::Multicast,
            _ => Self::Public,
        }
    }

    /// The kind of an IPv6 address that is not `::1`.
    pub(super) fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            // AWS.
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Self::Metadata,
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unspecified,
            // Mapped, compatible, and translated (RFC 4291, section 2.5.5; RFC 6052).
            [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Self::MappedIpv4,
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            // The second is deprecated, RFC 3879.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Self::Private,
            [0xff00..=0xffff, ..] => Self::Multicast,
            _ => Self::Public,
        }
    }

    /// The kind in words, as in "HOST is …".
    const fn words(self) -> &'static str {
        match self {
            Self::Metadata => "a cloud's metadata address",
            Self::LinkLocal => "a link-local address",
            Self::Private => "an address of a private network",
            Self::MappedIpv4 => "an IPv4 address written as an IPv6 one",
            Self::Unspecified => "the address of no machine, on which servers listen",
            Self::Multicast => "an address of many machines",
            Self::Public => "a public address",
        }
    }
}

/// Whether each part between points is a number, decimal, octal or hexadecimal: what the C
/// library's inet_aton(3) would take for an address.
pub(super) fn looks_like_ipv4(text: &str) -> bool {
    text.split('.').all(|part| {
        let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
            Some(digits) => (digits, 16),
            None => (part, 10),
        };
        digits.chars().all(|c| c.is_digit(radix))
    })
}

/// What is accepted in the place of a host that is not.
const OWN: &str = "only this machine is asked: 127.0.0.1 or another of 127.0.0.0/8, [::1], \
                   localhost, or a unix socket";

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the endpoint is empty, where one such as http://127.0.0.1:8000 is needed",
            ),
            Self::TooLong => write!(f, "the endpoint is longer than {MAX_ENDPOINT} bytes"),
            Self::Scheme => f.write_str(
                "an endpoint begins with \"http://\", \"https://\" or \"unix:\", in small letters",
            ),
            Self::Character(found) => write!(f, "an endpoint cannot hold {found:?}"),
            Self::UserInfo => f.write_str(
                "an endpoint cannot name a user or a password; keys have a file of their own",
            ),
            Self::Query => f.write_str("an endpoint cannot have a query, from \"?\" on"),
            Self::Fragment => f.write_str("an endpoint cannot have a fragment, from \"#\" on"),
            Self::NoHost => f.write_str("no host is named, as in http://127.0.0.1:8000"),
            Self::NoPort => f.write_str("no port is named, as in http://127.0.0.1:8000"),
            Self::Port => f.write_str("the port must be a number from 1 to 65535"),
            Self::Ipv6 => f.write_str("no IPv6 address stands in the brackets; accepted is [::1]"),
            Self::OddIpv4 => f.write_str(
                "an IPv4 address is four decimal numbers from 0 to 255 without leading zeros",
            ),
            Self::Host(kind) => write!(f, "the host is {}; {OWN}", kind.words()),
            Self::Name => write!(f, "the host is a name that is not localhost; {OWN}"),
            Self::Dots => f.write_str("the path cannot hold \".\" or \"..\""),
            Self::EmptySegment => {
                f.write_str("the path has nothing between two \"/\" or after the last")
            }
            Self::RelativeSocket => f.write_str(
                "the path of a unix socket begins with \"/\", as in unix:/run/server.sock",
            ),
            Self::LongSocket => {
                write!(f, "the path of a unix socket has {MAX_SOCKET} bytes at most")
            }
        }
    }
}

impl std::error::Error for EndpointError {}
