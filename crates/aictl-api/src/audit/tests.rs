//! Tests of the words of audit records.

use std::collections::BTreeSet;

use super::*;

#[test]
fn message_ids_are_unique_and_128_bits_in_hexadecimal() {
    assert_eq!(MESSAGE_IDS.iter().collect::<BTreeSet<_>>().len(), MESSAGE_IDS.len());
    for id in MESSAGE_IDS {
        let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        assert!(id.len() == 32 && id.chars().all(hexadecimal), "{id}");
    }
}

#[test]
fn words_lead_back_to_what_they_name() {
    assert_eq!(Decision::ALL.map(Decision::name), ["allowed", "denied", "invalid", "limited"]);
    assert_eq!(
        Outcome::ALL.map(Outcome::name),
        ["done", "refused", "failed", "timed-out", "cancelled"]
    );
    for decision in Decision::ALL {
        assert_eq!(Decision::from_name(decision.name()), Some(decision));
    }
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::from_name(outcome.name()), Some(outcome));
    }
    for word in ["", "Allowed", "allowed ", "done\0"] {
        assert_eq!((Decision::from_name(word), Outcome::from_name(word)), (None, None), "{word:?}");
    }
}
