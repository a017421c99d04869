//! Groups of tokens: of apps, of issuers outside, and with DPoP.

use crate::gate::{self, Gate, Message, Pair};
use crate::judged::{bare_verification, judged};
use crate::requests;
use crate::turns::{Group, Kind, bare, keep};
use data_encoding::BASE64URL_NOPAD;
use portcullis::crypto::Algorithm;
use portcullis::crypto::digest::sha256;
use std::hint::black_box;

/// Tokens enough that none is still remembered when it comes again.
const TOKENS: usize = 64;

fn text_of_token(message: &Message) -> Vec<u8> {
    let text = message.fields["portcullis-token"].to_str().expect("text");
    let (signed, _) = text.rsplit_once('.').expect("three parts");
    signed.as_bytes().to_vec()
}

pub(crate) fn token(name: &str, algorithm: Algorithm) -> Group {
    let pair: &Pair = keep(Pair::new(algorithm));
    let gate: &Gate = keep(Gate::of(&[pair]));
    let key = pair.signing();
    let new = (0..TOKENS).map(|number| requests::with_token(pair.id(), &key, number));
    let seen = requests::with_token(pair.id(), &key, TOKENS);
    let bare = bare_verification(pair, text_of_token(&seen));
    let wrong = requests::with_token(pair.id(), &pair.wrong(), 0);
    let unknown = requests::with_token("nobody-at-al", &key, 0);
    // By itself: the others would push it out.
    let remembering: &Gate = keep(Gate::of(&[pair]));
    let cases = vec![
        judged("good, new", Kind::Good, gate, new),
        judged("wrong signature", Kind::Bad, gate, [wrong]),
        judged("unknown key", Kind::Bad, gate, [unknown]),
        judged("good, seen before", Kind::Other, remembering, [seen]),
    ];
    Group::of(name, Some(bare), cases)
}

pub(crate) fn issuer(name: &str, algorithm: Algorithm) -> Group {
    let pair: &Pair = keep(Pair::new(algorithm));
    let gate: &Gate = keep(gate::of_issuer(pair, "2027-01"));
    let remembering: &Gate = keep(gate::of_issuer(pair, "2027-01"));
    let key = pair.signing();
    let new = (0..TOKENS).map(|number| requests::with_token("2027-01", &key, number));
    let seen = requests::with_token("2027-01", &key, TOKENS);
    let bare = bare_verification(pair, text_of_token(&seen));
    let wrong = requests::with_token("2027-01", &pair.wrong(), 0);
    let unknown = requests::with_token("2027-02", &key, 0);
    let cases = vec![
        judged("good, new", Kind::Good, gate, new),
        judged("wrong signature", Kind::Bad, gate, [wrong]),
        judged("unknown `kid`", Kind::Bad, gate, [unknown]),
        judged("good, seen before", Kind::Other, remembering, [seen]),
    ];
    Group::of(name, Some(bare), cases)
}

pub(crate) fn dpop(name: &str) -> Group {
    let pair: &Pair = keep(Pair::new(Algorithm::HmacSha256));
    let holder: &Pair = keep(Pair::new(Algorithm::EcdsaP256Sha256));
    let gate: &Gate = keep(Gate::of(&[pair]));
    let key = pair.signing();
    let good = || requests::with_dpop(pair.id(), &key, holder, &holder.key);
    let shown = good();
    let proof = shown.fields["dpop"].to_str().expect("text").to_owned();
    let (signed, signature) = proof.rsplit_once('.').expect("three parts");
    let bare_proof = bare_verification(holder, signed.as_bytes().to_vec());
    let text = shown.fields["portcullis-token"].as_bytes().to_vec();
    let bare = bare("signature, and SHA-256 of the token", move || {
        (bare_proof.run)();
        sha256(&[black_box(&text)])
    });
    // Of the same length, and of something else.
    let other = holder.signing().sign(b"something else");
    let other = BASE64URL_NOPAD.encode(other.as_bytes());
    assert_eq!(other.len(), signature.len());
    let wrong = good();
    let mut fields = wrong.fields;
    fields.remove("dpop");
    let wrong = Message { fields, ..wrong }.with("dpop", &format!("{signed}.{other}"));
    let foreign = {
        let proof = requests::with_dpop(pair.id(), &key, holder, &holder.other);
        let proof = proof.fields["dpop"].to_str().expect("text").to_owned();
        let mut message = good();
        message.fields.remove("dpop");
        message.with("dpop", &proof)
    };
    let cases = vec![
        judged("good, token seen before", Kind::Good, gate, [good()]),
        judged("wrong signature", Kind::Bad, gate, [wrong]),
        judged(
            "of a key that the token is not bound to",
            Kind::Bad,
            gate,
            [foreign],
        ),
    ];
    Group::of(name, Some(bare), cases)
}
