use super::*;

const SEQUENCE: u32 = 7;

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(HEADER + body.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(ATTRIBUTE + value.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A struct inet_diag_msg with attributes.
fn body(address: &str, uid: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
    let address: SocketAddr = address.parse().unwrap();
    let (family, identity) = identity(address, address);
    let mut bytes = vec![family, TCP_LISTEN, 0, 0];
    bytes.extend(identity);
    bytes.extend([0; 12]);
    bytes.extend(uid.to_ne_bytes());
    bytes.extend(99_u32.to_ne_bytes());
    assert_eq!(bytes.len(), MESSAGE);
    bytes.extend(attributes.concat());
    bytes
}

fn socket(address: &str, uid: u32, group: Option<u64>) -> Vec<u8> {
    let group = group.map(|group| attribute(INET_DIAG_CGROUP_ID, &group.to_ne_bytes()));
    let others = vec![attribute(8, &[0]), attribute(INET_DIAG_SKV6ONLY, &[0])];
    let attributes: Vec<_> = others.into_iter().chain(group).collect();
    message(SOCK_DIAG_BY_FAMILY, 2, SEQUENCE, &body(address, uid, &attributes))
}

fn done() -> Vec<u8> {
    message(NLMSG_DONE, 2, SEQUENCE, &0_i32.to_ne_bytes())
}

fn failed(errno: i32) -> Vec<u8> {
    message(NLMSG_ERROR, 0, SEQUENCE, &(-errno).to_ne_bytes())
}

fn read(packets: &[Vec<u8>]) -> (Result<bool, DiagError>, Vec<Listener>) {
    let mut found = Vec::new();
    let is_last = read_packet(&packets.concat(), SEQUENCE, &mut found);
    (is_last, found.into_iter().map(|socket| socket.own).collect())
}

fn listener(address: &str, uid: u32, control_group: Option<u64>) -> Listener {
    let address = address.parse().unwrap();
    Listener { address, only_v6: false, uid, control_group }
}

#[test]
fn a_packet_holds_sockets_and_an_end() {
    let v4 = socket("127.0.0.1:11434", 1000, Some(4321));
    let v6 = socket("[::1]:8080", 0, Some(u64::MAX));
    let sockets = vec![
        listener("127.0.0.1:11434", 1000, Some(4321)),
        listener("[::1]:8080", 0, Some(u64::MAX)),
    ];
    assert_eq!(read(&[v4.clone(), v6.clone()]), (Ok(false), sockets.clone()));
    assert_eq!(read(&[v4.clone(), v6.clone(), done()]), (Ok(true), sockets.clone()));
    assert_eq!(read(&[]), (Ok(false), vec![]));
    assert_eq!(read(&[done()]), (Ok(true), vec![]));
    // What comes after the end, or is no answer to this question, does not count.
    let other = message(SOCK_DIAG_BY_FAMILY, 2, 6, &body("127.0.0.1:1", 0, &[]));
    assert_eq!(read(&[other.clone(), v4.clone(), other, v6, done(), v4]), (Ok(true), sockets));
    // The answer to a question about one socket.
    let one = message(SOCK_DIAG_BY_FAMILY, 0, SEQUENCE, &body("127.0.0.1:1", 3, &[]));
    assert_eq!(read(&[one]), (Ok(true), vec![listener("127.0.0.1:1", 3, None)]));
}

#[test]
fn the_root_group_and_none_are_no_group() {
    for group in [None, Some(0), Some(1)] {
        let (_, found) = read(&[socket("0.0.0.0:1", 0, group)]);
        assert_eq!(found, [listener("0.0.0.0:1", 0, None)]);
    }
}

#[test]
fn attributes_are_told_apart() {
    let only = attribute(INET_DIAG_SKV6ONLY | 0x8000, &[1]);
    let unknown = attribute(4000, b"what tomorrow brings");
    let group = attribute(INET_DIAG_CGROUP_ID, &7_u64.to_ne_bytes());
    let body = body("[::]:1", 0, &[unknown, only, group]);
    let (_, found) = read(&[message(SOCK_DIAG_BY_FAMILY, 2, SEQUENCE, &body)]);
    assert_eq!(found, [Listener { only_v6: true, ..listener("[::]:1", 0, Some(7)) }]);
}

#[test]
fn what_the_kernel_refuses_is_told() {
    assert_eq!(read(&[failed(2)]).0, Err(DiagError::System(Errno::ENOENT)));
    assert_eq!(read(&[failed(0)]).0, Ok(true));
    assert_eq!(read(&[failed(i32::MIN + 1)]).0, Err(DiagError::System(Errno::UnknownErrno)));
    let odd = message(NLMSG_ERROR, 0, SEQUENCE, &i32::MIN.to_ne_bytes());
    assert_eq!(read(&[odd]).0, Err(DiagError::System(Errno::UnknownErrno)));
    assert_eq!(read(&[message(NLMSG_ERROR, 0, SEQUENCE, &[])]).0, Err(DiagError::BadAnswer));
}

#[test]
fn wrong_lengths_are_a_bad_answer() {
    let with_length = |length: u32| {
        let mut bytes = socket("127.0.0.1:1", 0, Some(5));
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    };
    for length in [0, 1, 15, 16, 17, 87, 1 << 20, u32::MAX] {
        assert_eq!(read(&[with_length(length)]).0, Err(DiagError::BadAnswer), "{length}");
    }
    let short_group = attribute(INET_DIAG_CGROUP_ID, &[1, 2, 3]);
    let mut long = attribute(INET_DIAG_CGROUP_ID, &9_u64.to_ne_bytes());
    long[0] = 200;
    let mut empty = attribute(INET_DIAG_CGROUP_ID, &9_u64.to_ne_bytes());
    empty[0] = 0;
    for odd in [short_group, long, empty, vec![1], vec![4, 0, 1]] {
        let odd = body("127.0.0.1:1", 0, &[odd]);
        let message = message(SOCK_DIAG_BY_FAMILY, 2, SEQUENCE, &odd);
        assert_eq!(read(&[message]).0, Err(DiagError::BadAnswer), "{odd:?}");
    }
    let mut family = body("127.0.0.1:1", 0, &[]);
    family[0] = 1;
    let message = message(SOCK_DIAG_BY_FAMILY, 2, SEQUENCE, &family);
    assert_eq!(read(&[message]).0, Err(DiagError::BadAnswer));
}

/// Whatever is cut off or flipped: an answer or an error, without a panic and with an end.
#[test]
fn no_packet_is_too_odd() {
    let whole =
        [socket("127.0.0.1:1", 1, Some(3)), socket("[::]:2", 2, Some(4)), failed(13)].concat();
    for end in 0..whole.len() {
        let _read = read_packet(&whole[..end], SEQUENCE, &mut Vec::new());
    }
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap()
    };
    for _ in 0..200_000 {
        let mut packet = whole.clone();
        for _ in 0..=random() % 6 {
            let at = random() % packet.len();
            packet[at] = u8::try_from(random() % 256).unwrap();
        }
        packet.truncate(random() % (packet.len() + 1));
        let mut found = Vec::new();
        let _read = read_packet(&packet, SEQUENCE, &mut found);
        assert!(found.len() <= packet.len() / HEADER);
    }
}
