//! Listening sockets as /proc/net/tcp and tcp6 list them (proc_net_tcp(5)).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use super::{Listener, MAX_LISTENERS};
use crate::kernel_file;

/// The most bytes of such a file: it lists connections as well.
const MAX_FILE: usize = 16 << 20;
/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// Every listening socket; `None` if neither file can be read.
pub(super) fn listening(proc: &Path) -> Option<Vec<Listener>> {
    let read = |name: &str| kernel_file::text(&proc.join("net").join(name), MAX_FILE);
    let (v4, v6) = (read("tcp"), read("tcp6"));
    if v4.is_none() && v6.is_none() {
        return None;
    }
    let texts = [v4.unwrap_or_default(), v6.unwrap_or_default()];
    let lines = texts.iter().flat_map(|text| text.lines().skip(1));
    Some(lines.filter_map(read_line).take(MAX_LISTENERS).collect())
}

/// The socket of one line, if it listens.
fn read_line(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let address = read_address(fields.next()?)?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let uid = fields.nth(3)?.parse().ok()?;
    // Whether one of IPv6 takes IPv4 too is not told: it mostly does.
    Some(Listener { address, only_v6: false, uid, control_group: None })
}

/// An address with its port: the words of the address in the machine's own order of bytes.
fn read_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = ip.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_is_a_socket_if_it_listens() {
        let at = |address: &str, uid| {
            let address = address.parse().unwrap();
            Some(Listener { address, only_v6: false, uid, control_group: None })
        };
        let rest = "00000000:00000000 00:00000000 00000000";
        let v6 = "00000000000000000000000000000000:0000";
        let table = [
            (
                format!("0: 0100007F:1F90 00000000:0000 0A {rest} 1000 0 1"),
                at("127.0.0.1:8080", 1000),
            ),
            (format!("12: 00000000:07E8 00000000:0000 0A {rest} 0 0 1"), at("0.0.0.0:2024", 0)),
            (
                format!("0: 00000000000000000000000001000000:2CAA {v6} 0A {rest} 7 0 1"),
                at("[::1]:11434", 7),
            ),
            (
                format!("0: 0000000000000000FFFF00000100007F:0001 {v6} 0A {rest} 7 0 1"),
                at("[::ffff:127.0.0.1]:1", 7),
            ),
            // Connected.
            (format!("0: 0100007F:1F90 0100007F:1234 01 {rest} 1000 0 1"), None),
            (format!("0: 0100007F:1F90 00000000:0000 0A {rest} -1 0 1"), None),
            ("0: 0100007F:1F90 00000000:0000 0A".to_owned(), None),
            (format!("0: 0100007F 00000000:0000 0A {rest} 0 0 1"), None),
            (format!("0: 0100007G:0001 00000000:0000 0A {rest} 0 0 1"), None),
            (format!("0: 010000é:0001 00000000:0000 0A {rest} 0 0 1"), None),
            (String::new(), None),
        ];
        for (line, expected) in table {
            assert_eq!(read_line(&line), expected, "{line}");
        }
    }

    #[test]
    fn without_the_files_nothing_is_known() {
        assert_eq!(listening(Path::new("/nonexistent")), None);
    }
}
