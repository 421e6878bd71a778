//! Tests of endpoints: what is one, and what must never be.

use super::{AddressKind as K, EndpointError as E, *};

#[test]
fn what_is_an_endpoint_is_written_back_in_one_form() {
    let longest = format!("unix:/{}", "s".repeat(MAX_SOCKET - 1));
    for (text, written, addresses) in [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://127.0.0.2:1", "http://127.0.0.2:1", "127.0.0.2:1"),
        ("http://127.255.255.254:65535", "http://127.255.255.254:65535", "127.255.255.254:65535"),
        ("https://[::1]:8443/prefix", "https://[::1]:8443/prefix", "[::1]:8443"),
        ("https://[0:0:0:0:0:0:0:1]:1/a/b/", "https://[::1]:1/a/b", "[::1]:1"),
        ("http://[::0001]:1", "http://[::1]:1", "[::1]:1"),
        ("http://[::0.0.0.1]:1", "http://[::1]:1", "[::1]:1"),
        ("http://localhost:4000", "http://localhost:4000", "127.0.0.1:4000 [::1]:4000"),
        ("http://localhost:4000/...", "http://localhost:4000/...", "127.0.0.1:4000 [::1]:4000"),
        ("http://127.0.0.1:1/a@b:c", "http://127.0.0.1:1/a@b:c", "127.0.0.1:1"),
        (
            "http://127.0.0.1:1/~x/-._!$&'()*+,;=",
            "http://127.0.0.1:1/~x/-._!$&'()*+,;=",
            "127.0.0.1:1",
        ),
        ("unix:/run/server.sock", "unix:/run/server.sock", ""),
        ("unix:/a", "unix:/a", ""),
        ("unix:/run/user/1000/..hidden/x@1:2.sock", "unix:/run/user/1000/..hidden/x@1:2.sock", ""),
        (&longest, &longest, ""),
    ] {
        let endpoint = Endpoint::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(endpoint.to_string(), written, "{text}");
        assert_eq!(written.parse(), Ok(endpoint.clone()), "{text}");
        let of: Vec<String> = endpoint.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(of.join(" "), addresses, "{text}");
        assert!(endpoint.addresses().iter().all(|address| address.ip().is_loopback()), "{text}");
    }
}

#[test]
fn what_is_no_endpoint_is_refused_and_told_why() {
    let huge = format!("http://127.0.0.1:80/{}", "a".repeat(64 << 10));
    let long = format!("http://127.0.0.1:80/{}", "a".repeat(MAX_ENDPOINT - 19));
    let long_socket = format!("unix:/{}", "s".repeat(MAX_SOCKET));
    for (text, error) in [
        // Numbers that inet_aton(3) takes for 127.0.0.1, and other forms of addresses.
        ("http://0x7f.1:80", E::OddIpv4),
        ("http://0x7f000001:80", E::OddIpv4),
        ("http://0X7F.0.0.1:80", E::OddIpv4),
        ("http://2130706433:80", E::OddIpv4),
        ("http://017700000001:80", E::OddIpv4),
        ("http://0177.0.0.1:80", E::OddIpv4),
        ("http://127.0.0.01:80", E::OddIpv4),
        ("http://127.1:80", E::OddIpv4),
        ("http://127.0.1:80", E::OddIpv4),
        ("http://127.0.0.1.:80", E::OddIpv4),
        ("http://127.0.0.1.1:80", E::OddIpv4),
        ("http://127.0.0.256:80", E::OddIpv4),
        ("http://0:80", E::OddIpv4),
        ("http://[127.0.0.1]:80", E::Ipv6),
        ("http://[::ffff:127.0.0.1]:80", E::Host(K::MappedIpv4)),
        ("http://[::ffff:7f00:1]:80", E::Host(K::MappedIpv4)),
        ("http://[::127.0.0.1]:80", E::Host(K::MappedIpv4)),
        ("http://[64:ff9b::7f00:1]:80", E::Host(K::MappedIpv4)),
        ("http://[::1%25lo]:80", E::Character('%')),
        ("http://[::1%lo]:80", E::Character('%')),
        ("http://[::1:80", E::Ipv6),
        ("http://::1:80", E::NoHost),
        ("http://[]:80", E::Ipv6),
        ("http://[::1]x:80", E::Port),
        ("http://x[::1]:80", E::Name),
        ("http://[[::1]]:80", E::Ipv6),
        // Addresses of others.
        ("http://169.254.169.254:80/latest/meta-data", E::Host(K::Metadata)),
        ("http://100.100.100.200:80", E::Host(K::Metadata)),
        ("http://192.0.0.192:80", E::Host(K::Metadata)),
        ("http://[fd00:ec2::254]:80", E::Host(K::Metadata)),
        ("http://169.254.1.1:80", E::Host(K::LinkLocal)),
        ("http://[fe80::1]:80", E::Host(K::LinkLocal)),
        ("http://10.0.0.1:80", E::Host(K::Private)),
        ("http://172.16.0.1:80", E::Host(K::Private)),
        ("http://192.168.1.1:80", E::Host(K::Private)),
        ("http://100.64.0.1:80", E::Host(K::Private)),
        ("http://[fd12::1]:80", E::Host(K::Private)),
        ("http://[fec0::1]:80", E::Host(K::Private)),
        ("http://0.0.0.0:80", E::Host(K::Unspecified)),
        ("http://[::]:80", E::Host(K::Unspecified)),
        ("http://224.0.0.1:80", E::Host(K::Multicast)),
        ("http://255.255.255.255:80", E::Host(K::Multicast)),
        ("http://[ff02::1]:80", E::Host(K::Multicast)),
        ("http://8.8.8.8:80", E::Host(K::Public)),
        ("http://128.0.0.1:80", E::Host(K::Public)),
        ("http://126.255.255.255:80", E::Host(K::Public)),
        ("http://[2001:4860:4860::8888]:80", E::Host(K::Public)),
        ("http://[::2]:80", E::Host(K::MappedIpv4)),
        ("http://[1::1]:80", E::Host(K::Public)),
        // Names, which are never asked about.
        ("http://example.com:80", E::Name),
        ("http://localhost.evil.com:80", E::Name),
        ("http://127.0.0.1.nip.io:80", E::Name),
        ("http://localhost.:80", E::Name),
        ("http://localhost.localdomain:80", E::Name),
        ("http://ip6-localhost:80", E::Name),
        ("http://LOCALHOST:80", E::Name),
        ("http://metadata.google.internal:80", E::Name),
        ("http://-:80", E::Name),
        ("http://l\u{43e}calhost:80", E::Character('\u{43e}')),
        ("http://127\u{3002}0\u{3002}0\u{3002}1:80", E::Character('\u{3002}')),
        ("http://\u{ff11}27.0.0.1:80", E::Character('\u{ff11}')),
        // Users, and what one reader takes for the host and another does not.
        ("http://127.0.0.1@evil:80", E::UserInfo),
        ("http://user:secret@127.0.0.1:80", E::UserInfo),
        ("http://@127.0.0.1:80", E::UserInfo),
        ("http://127.0.0.1:80@evil:80/", E::UserInfo),
        ("http://127.0.0.1:80?@evil:80/", E::Query),
        ("http://127.0.0.1:80#@evil:80/", E::Fragment),
        ("http://127.0.0.1:80\\@evil:80/", E::UserInfo),
        ("http://127.0.0.1:80\\evil", E::Character('\\')),
        ("http:\\\\127.0.0.1:80", E::Scheme),
        ("http://127.0.0.1:80/a?b=c", E::Query),
        ("http://127.0.0.1:80/a#b", E::Fragment),
        // Ports.
        ("http://127.0.0.1", E::NoPort),
        ("http://127.0.0.1/", E::NoPort),
        ("http://127.0.0.1:", E::NoPort),
        ("http://127.0.0.1:/", E::NoPort),
        ("http://[::1]", E::NoPort),
        ("http://localhost", E::NoPort),
        ("http://127.0.0.1:0", E::Port),
        ("http://127.0.0.1:00", E::Port),
        ("http://127.0.0.1:080", E::Port),
        ("http://127.0.0.1:+80", E::Port),
        ("http://127.0.0.1:-80", E::Port),
        ("http://127.0.0.1:65536", E::Port),
        ("http://127.0.0.1:99999999999999999999", E::Port),
        ("http://127.0.0.1:0x50", E::Port),
        ("http://127.0.0.1:80:80", E::Port),
        ("http://127.0.0.1:http", E::Port),
        ("http://:80", E::NoHost),
        ("http://", E::NoHost),
        ("http:///etc/passwd", E::NoHost),
        // Schemes.
        ("", E::Empty),
        ("127.0.0.1:80", E::Scheme),
        ("localhost", E::Scheme),
        ("//127.0.0.1:80", E::Scheme),
        ("http:127.0.0.1:80", E::Scheme),
        ("http:/127.0.0.1:80", E::Scheme),
        ("HTTP://127.0.0.1:80", E::Scheme),
        ("Https://127.0.0.1:80", E::Scheme),
        (" http://127.0.0.1:80", E::Scheme),
        ("file:///etc/passwd", E::Scheme),
        ("ftp://127.0.0.1:21", E::Scheme),
        ("gopher://127.0.0.1:70", E::Scheme),
        ("ws://127.0.0.1:80", E::Scheme),
        ("http+unix://%2frun%2fx.sock", E::Scheme),
        ("UNIX:/run/x", E::Scheme),
        // Paths.
        ("http://127.0.0.1:80/../x", E::Dots),
        ("http://127.0.0.1:80/a/..", E::Dots),
        ("http://127.0.0.1:80/a/../", E::Dots),
        ("http://127.0.0.1:80/./x", E::Dots),
        ("http://127.0.0.1:80//evil:80/x", E::EmptySegment),
        ("http://127.0.0.1:80//", E::EmptySegment),
        ("http://127.0.0.1:80/a//", E::EmptySegment),
        ("http://127.0.0.1:80/a//b", E::EmptySegment),
        ("http://127.0.0.1:80/%2e%2e/x", E::Character('%')),
        ("http://127.0.0.1:80/[", E::Character('[')),
        ("http://%31%32%37.0.0.1:80", E::Character('%')),
        // What would break a line of HTTP, or a reader's.
        ("http://127.0.0.1:80/a b", E::Character(' ')),
        ("http://127.0.0.1:80/ HTTP/1.1\r\nHost: evil", E::Character(' ')),
        ("http://127.0.0.1:80/\r\nX: y", E::Character('\r')),
        ("http://127.0.0.1:80\n", E::Character('\n')),
        ("http://127.0.0.1:80\0", E::Character('\0')),
        ("http://127.0.0.1\t:80", E::Character('\t')),
        ("http://127.0.0.1:80/\u{1b}[2J", E::Character('\u{1b}')),
        ("http://127.0.0.1:80/\u{202e}x", E::Character('\u{202e}')),
        ("http://127.0.0.1:80/\u{e9}", E::Character('\u{e9}')),
        ("http://127.0.0.1:80/\"", E::Character('"')),
        ("http://127.0.0.1:80/<x>", E::Character('<')),
        // Sockets.
        ("unix:", E::RelativeSocket),
        ("unix:run/x.sock", E::RelativeSocket),
        ("unix:./x.sock", E::RelativeSocket),
        ("unix:@abstract", E::RelativeSocket),
        ("unix:~/x.sock", E::RelativeSocket),
        ("unix:\0abstract", E::Character('\0')),
        ("unix:///run/x.sock", E::EmptySegment),
        ("unix:/run//x.sock", E::EmptySegment),
        ("unix:/run/", E::EmptySegment),
        ("unix:/", E::EmptySegment),
        ("unix:/run/../etc/x", E::Dots),
        ("unix:/run/./x", E::Dots),
        ("unix:/run/..", E::Dots),
        ("unix:/run/x\n", E::Character('\n')),
        ("unix:/run/x\0y", E::Character('\0')),
        ("unix:/run/x?y", E::Character('?')),
        ("unix:/run/%2e%2e/x", E::Character('%')),
        (&long_socket, E::LongSocket),
        (&long, E::TooLong),
        (&huge, E::TooLong),
    ] {
        assert_eq!(Endpoint::parse(text), Err(error), "{:?}", text.get(..60).unwrap_or(text));
    }
}

#[test]
fn why_a_text_is_none_is_told_on_one_line_of_plain_characters() {
    let of_hosts = [
        ("http://10.0.0.1:80", "an address of a private network"),
        ("http://169.254.0.1:80", "a link-local address"),
        ("http://169.254.169.254:80", "a cloud's metadata address"),
        ("http://1.1.1.1:80", "a public address"),
        ("http://[::ffff:7f00:1]:80", "an IPv4 address written as an IPv6 one"),
        ("http://0.0.0.0:80", "the address of no machine, on which servers listen"),
        ("http://224.0.0.1:80", "an address of many machines"),
        ("http://example.com:80", "a name that is not localhost"),
    ];
    for (text, words) in of_hosts {
        assert_eq!(
            Endpoint::parse(text).unwrap_err().to_string(),
            format!(
                "the host is {words}; only this machine is asked: 127.0.0.1 or another of \
                 127.0.0.0/8, [::1], localhost, or a unix socket"
            )
        );
    }
    for found in ['\u{1b}', '\u{202e}', '\n', '\0', '"'] {
        let text = E::Character(found).to_string();
        assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)), "{text:?}");
    }
}

#[test]
fn the_parts_of_an_endpoint_are_those_of_its_text() {
    let Endpoint::Tcp(tcp) = Endpoint::parse("https://[::1]:8443/a/").unwrap() else { panic!() };
    assert_eq!((tcp.scheme(), tcp.host(), tcp.port()), (Scheme::Https, Host::V6, 8443));
    assert_eq!(tcp.authority(), "[::1]:8443");
    let endpoint = Endpoint::Tcp(tcp);
    assert_eq!((endpoint.path(), endpoint.is_tls()), ("/a", true));
    let Endpoint::Unix(unix) = Endpoint::parse("unix:/run/x").unwrap() else { panic!() };
    assert_eq!(unix.socket(), "/run/x");
    let endpoint = Endpoint::Unix(unix);
    assert_eq!((endpoint.path(), endpoint.is_tls()), ("", false));
    let plain = Endpoint::parse("http://localhost:80").unwrap();
    assert_eq!((plain.path(), plain.is_tls()), ("", false));
}

#[test]
fn ports_and_listeners_are_asked_on_loopback_addresses() {
    assert_eq!(Endpoint::on_port(0), None);
    let on_port = Endpoint::on_port(8000).unwrap();
    assert_eq!(on_port.to_string(), "http://127.0.0.1:8000");
    for (listener, endpoint) in [
        ("0.0.0.0:8000", Some("http://127.0.0.1:8000")),
        ("127.0.0.1:8000", Some("http://127.0.0.1:8000")),
        ("127.0.0.53:53", Some("http://127.0.0.53:53")),
        ("[::]:8000", Some("http://[::1]:8000")),
        ("[::1]:8000", Some("http://[::1]:8000")),
        ("192.168.1.5:8000", None),
        ("169.254.169.254:80", None),
        ("[fe80::1]:8000", None),
        ("[::ffff:127.0.0.1]:8000", Some("http://127.0.0.1:8000")),
        ("[::ffff:10.0.0.1]:8000", None),
        ("127.0.0.1:0", None),
        ("[::]:0", None),
    ] {
        let found = Endpoint::of_listener(listener.parse().unwrap());
        assert_eq!(found.as_ref().map(ToString::to_string).as_deref(), endpoint, "{listener}");
        if let Some(found) = found {
            assert_eq!(Endpoint::parse(&found.to_string()), Ok(found), "{listener}");
        }
    }
}

#[test]
fn whatever_is_put_together_from_parts_is_refused_or_is_loopback_and_comes_back() {
    let heads = ["http://", "https://", "unix:", "file:", "", "HTTP://"];
    let hosts = [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.0.0.1",
        "[::ffff:127.0.0.1]",
        "0x7f.1",
        "evil",
        "",
        "127.0.0.1@evil",
        "[",
        "]",
        "[::1]]",
        "localhost.",
    ];
    let ports = [":80", ":", "", ":0", ":65536", ":80@", ":8\n0", ":[80]"];
    let tails =
        ["", "/", "/a", "/..", "//a", "/a/", "?a", "#a", "/%2e", "/\u{202e}", "@evil", "\\a"];
    let mut accepted = 0;
    for head in heads {
        for host in hosts {
            for port in ports {
                for tail in tails {
                    let text = format!("{head}{host}{port}{tail}");
                    let Ok(endpoint) = Endpoint::parse(&text) else { continue };
                    accepted += 1;
                    let written = endpoint.to_string();
                    assert_eq!(Endpoint::parse(&written).as_ref(), Ok(&endpoint), "{text:?}");
                    assert!(written.bytes().all(|b| b.is_ascii_graphic()), "{text:?}");
                    let addresses = endpoint.addresses();
                    assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{text:?}");
                    assert_eq!(addresses.is_empty(), matches!(endpoint, Endpoint::Unix(_)));
                }
            }
        }
    }
    // Two schemes, three hosts, one port, and what may follow it: "", "/", "/a", "/a/"; unix:/a.
    assert_eq!(accepted, 2 * 3 * 4 + 1);
}
