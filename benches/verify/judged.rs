//! Cases in which a gate judges what is shown.

use crate::gate::{Gate, Message, Pair};
use crate::turns::{Bare, Case, Kind, bare, case, keep};
use portcullis::crypto::VerifyingKey;
use portcullis::schemes::Received;
use std::cell::Cell;
use std::hint::black_box;

/// The verification of `messages`, one after the other, which all pass or do not.
pub(crate) fn judged(
    name: &'static str,
    kind: Kind,
    gate: &'static Gate,
    messages: impl IntoIterator<Item = Message>,
) -> Case {
    let all: Vec<Received<'_>> = messages
        .into_iter()
        .map(|message| keep(message).received())
        .collect();
    for received in &all {
        let verdict = gate.judge(received);
        assert_eq!(verdict.is_ok(), kind != Kind::Bad, "{name}: {verdict:?}");
    }
    let next = Cell::new(0);
    case(name, kind, move || {
        let at = next.get();
        next.set(if at + 1 == all.len() { 0 } else { at + 1 });
        gate.judge(black_box(&all[at]))
    })
}

/// The signature of `text` by `key`, verified and nothing else.
pub(crate) fn bare_verification(pair: &Pair, text: Vec<u8>) -> Bare {
    let key = pair.signing();
    let signature = key.sign(&text).as_bytes().to_vec();
    let key = key.verifying().expect("it is a key");
    assert!(key.verify(&text, &signature).is_some());
    let name = if pair.algorithm.is_mac() {
        "HMAC"
    } else {
        "signature"
    };
    bare(name, move || match &key {
        // Without the digest of the text, by which it is known again.
        VerifyingKey::Public(key) => key.verify(black_box(&text), &signature),
        VerifyingKey::Mac(key) => key.verify(black_box(&text), &signature).is_some(),
    })
}
