use super::*;
use crate::schemes::freshness::Freshness;
use crate::schemes::token::dpop::nonce::Nonces;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

const CASES: &str = include_str!("../../../../tests/it/vectors/client-attestation/cases.json");

fn settings() -> dpop::Settings {
    dpop::Settings {
        freshness: Freshness::USUAL,
        nonce: false,
        nonces: Nonces::own(),
    }
}

fn cases() -> Value {
    serde_json::from_str(CASES).unwrap()
}

fn key_of(cases: &Value) -> PublicKey {
    let jwk = cases["client_key"].to_string();
    let salt = crate::crypto::PssSalt::Digest;
    PublicKey::read(Algorithm::EcdsaP256Sha256, jwk.as_bytes(), salt).unwrap()
}

fn told(audience: &str) -> ClientAttestation {
    ClientAttestation {
        audiences: vec!["https://another.example".into(), audience.into()],
        client_ids: Vec::new(),
        challenge: false,
    }
}

fn checked(proof: &str, audience: &str, now: i64) -> Result<Proven, Refused> {
    let key = key_of(&cases());
    pop(proof.as_bytes(), &key, &told(audience), &settings(), now)
}

#[test]
fn the_proofs_of_the_draft_hold_for_their_audience_and_time() {
    let cases = cases();
    let at = cases["verify_at"].as_i64().unwrap();
    let mut ids = Vec::new();
    for case in cases["proofs"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap();
        let (proof, audience) = (text("proof"), text("audience"));
        let proven = checked(proof, audience, at).unwrap();
        assert_eq!((proven.created, proven.last_second), (at, at + 300));
        assert_eq!(proven.thumbprint, *key_of(&cases).thumbprint());
        ids.push(proven.id);
        for (audience, now, why) in [
            (
                "https://other.example.com",
                at,
                Refused::Binding(Unbound::OtherAudience),
            ),
            (
                audience,
                at + 301,
                Refused::Skew {
                    of: Timed::Pop,
                    ours: at + 301,
                    theirs: at,
                },
            ),
            (
                audience,
                at - 31,
                Refused::Skew {
                    of: Timed::Pop,
                    ours: at - 31,
                    theirs: at,
                },
            ),
        ] {
            assert_eq!(checked(proof, audience, now).unwrap_err(), why);
        }
        // Its challenge is not one of ours.
        let asking = ClientAttestation {
            challenge: true,
            ..told(audience)
        };
        let refused = pop(proof.as_bytes(), &key_of(&cases), &asking, &settings(), at);
        assert_eq!(refused.unwrap_err(), Refused::Binding(Unbound::Challenge));
        for at_byte in (0..proof.len()).step_by(5) {
            let mut changed = proof.to_owned().into_bytes();
            changed[at_byte] = if changed[at_byte] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(checked(&changed, audience, at).is_err());
        }
    }
    // One `jti` passes once, whatever else a proof says.
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn what_is_no_proof_is_malformed_or_rejected() {
    let long = "a".repeat(MAX_PROOF + 1);
    for text in ["", "a", "a.b", "a.b.c.d", "!.!.!", "e30=.e30=.AA==", &long] {
        let refused = checked(text, "x", 0).unwrap_err();
        assert!(matches!(refused, Refused::Malformed(_)), "{text}");
    }
    for (header, what) in [
        ("{}", "typ"),
        (r#"{"typ":"JWT","alg":"ES256"}"#, "typ"),
        (r#"{"typ":7,"alg":"ES256"}"#, "typ"),
        (r#"{"typ":"dpop+jwt","alg":"ES256"}"#, "typ"),
        (
            r#"{"typ":"oauth-client-attestation+jwt","alg":"ES256"}"#,
            "typ",
        ),
        (r#"{"typ":"oauth-client-attestation-pop+jwt"}"#, "alg"),
        (
            r#"{"typ":"oauth-client-attestation-pop+jwt","alg":"none"}"#,
            "alg",
        ),
        (
            r#"{"typ":"oauth-client-attestation-pop+jwt","alg":"HS256"}"#,
            "alg",
        ),
        (
            r#"{"typ":"oauth-client-attestation-pop+jwt","alg":"ES384"}"#,
            "alg",
        ),
        (
            r#"{"typ":"oauth-client-attestation-pop+jwt","alg":"ES256","jwk":{}}"#,
            "header",
        ),
        (
            r#"{"typ":"oauth-client-attestation-pop+jwt","alg":"ES256","crit":[]}"#,
            "header",
        ),
    ] {
        let text = format!("{}.e30.AA", BASE64URL_NOPAD.encode(header.as_bytes()));
        assert_eq!(checked(&text, "x", 0).unwrap_err(), bad(what), "{header}");
    }
    let header =
        r#"{"typ":"application/oauth-client-attestation-pop+jwt","alg":"ES256","kid":"x"}"#;
    let text = format!("{}.e30.AA", BASE64URL_NOPAD.encode(header.as_bytes()));
    assert_eq!(checked(&text, "x", 0).unwrap_err(), rejected(Why::WrongPop));
}

#[test]
fn a_type_may_have_its_front_and_nothing_else() {
    for (text, holds) in [
        ("oauth-client-attestation+jwt", true),
        ("OAuth-Client-Attestation+JWT", true),
        ("application/oauth-client-attestation+jwt", true),
        ("text/oauth-client-attestation+jwt", false),
        ("xoauth-client-attestation+jwt", false),
        ("oauth-client-attestation-pop+jwt", false),
        ("JWT", false),
        ("", false),
        ("ä", false),
    ] {
        assert_eq!(is_typ(text), holds, "{text}");
    }
}
