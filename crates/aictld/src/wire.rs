//! What is looked at of a message before zbus reads it: its header's fields (D-Bus specification,
//! "Message Format"), and by them whether it may have descriptors and long arguments.

use aictl_api::authorisation::Interface;
use aictl_core::header_fields::{UNIX_FDS, descriptors, fields};

use crate::call::{MAX_BODY, MAX_RUN_BODY};

/// The most descriptors that come with a call to run a script: the script.
pub const MAX_RUN_DESCRIPTORS: usize = 1;

/// The fields that are looked at.
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;

/// Whether the text in the field with this code is `text`.
fn is_text(header: &[u8], endian: u8, code: u8, text: &str) -> bool {
    fields(header, endian).any(|field| {
        // Its length goes before it, and a zero after it.
        let range = field.value.start + 4..field.value.end - 1;
        field.code == code && field.kind == b's' && header.get(range) == Some(text.as_bytes())
    })
}

/// Whether a call with these fields has a script run: the one that has descriptors.
#[must_use]
pub fn is_run(header: &[u8], endian: u8) -> bool {
    is_text(header, endian, INTERFACE, Interface::Sandbox.name())
        && is_text(header, endian, MEMBER, "Run")
}

/// The most bytes of the arguments of a call with these fields.
#[must_use]
pub fn most_bytes(header: &[u8], endian: u8) -> usize {
    if is_run(header, endian) { MAX_RUN_BODY } else { MAX_BODY }
}

/// Whether the descriptors that came with a call are as many as it says and may have.
#[must_use]
pub fn may_have(header: &[u8], endian: u8, came: usize) -> bool {
    came <= MAX_RUN_DESCRIPTORS && descriptors(header, endian) == came && is_run(header, endian)
}

/// Has the header's fields say that no descriptors come with the message: zbus ends a connection
/// on which fewer come than a message says.
pub fn forget_descriptors(header: &mut [u8], endian: u8) {
    let said: Vec<_> = fields(header, endian)
        .filter(|field| field.code == UNIX_FDS && field.kind == b'u')
        .map(|field| field.value)
        .collect();
    for value in said {
        if let Some(value) = header.get_mut(value) {
            value.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use zbus::{Fd, Message, wire::Endian};

    use super::*;
    use aictl_core::peer::{START, lengths};

    fn header(interface: &str, member: &str, endian: Endian, descriptors: usize) -> (Vec<u8>, u8) {
        let null = std::fs::File::open("/dev/null").unwrap();
        let body: Vec<Fd<'_>> = (0..descriptors).map(|_| Fd::from(&null)).collect();
        let call = Message::method_call("/org/aictl1", member).interface(interface).endian(endian);
        let message = call.build(&body).unwrap();
        let start: [u8; START] = message.data()[..START].try_into().unwrap();
        let (fields, _) = lengths(start).unwrap();
        (message.data()[START..START + fields].to_vec(), start[0])
    }

    #[test]
    fn only_a_call_to_run_a_script_may_have_descriptors_and_only_as_many_as_it_says() {
        for endian in [Endian::Little, Endian::Big] {
            let (run, order) = header("org.aictl1.Sandbox", "Run", endian, 1);
            assert!(is_run(&run, order));
            assert_eq!(most_bytes(&run, order), MAX_RUN_BODY);
            for (came, may) in [(0, false), (1, true), (2, false), (3, false)] {
                assert_eq!(may_have(&run, order, came), may, "{came}");
            }
            let (many, order) = header("org.aictl1.Sandbox", "Run", endian, 2);
            assert!(!may_have(&many, order, 2));
            let (none, order) = header("org.aictl1.Sandbox", "Run", endian, 0);
            assert!(may_have(&none, order, 0) && !may_have(&none, order, 1));
            for (interface, member) in [
                ("org.aictl1.Sandbox", "Wait"),
                ("org.aictl1.Sandbox", "Runs"),
                ("org.aictl1.Services", "Run"),
            ] {
                let (other, order) = header(interface, member, endian, 1);
                assert!(!may_have(&other, order, 1), "{interface} {member}");
                assert_eq!(most_bytes(&other, order), MAX_BODY);
            }
        }
    }

    #[test]
    fn descriptors_are_forgotten_in_either_byte_order() {
        for endian in [Endian::Little, Endian::Big] {
            let (mut run, order) = header("org.aictl1.Sandbox", "Run", endian, 1);
            forget_descriptors(&mut run, order);
            assert!(!may_have(&run, order, 1) && may_have(&run, order, 0));
        }
    }

    #[test]
    fn odd_fields_are_left_as_they_are_and_say_nothing() {
        for odd in [
            &b""[..],
            b"\x09\x01u",
            b"\x09\x01u\0\x01",
            b"\x09\x02uu\x01\0\0\0",
            b"\x01\x01s\0\xff\xff\xff\xff",
            b"\x02\x01s\0\0\0\0\0",
        ] {
            let mut fields = odd.to_vec();
            forget_descriptors(&mut fields, b'l');
            assert_eq!(fields, odd);
            assert!(!is_run(odd, b'l') && !may_have(odd, b'l', 1));
        }
    }
}
