use super::*;
use crate::crypto::PrivateKey;
use crate::schemes::Surroundings;
use crate::secret::Secret;
use http::Request;
use serde_json::Value;

const CASES: &str = include_str!("../../../../tests/it/vectors/rfc9449/cases.json");

fn settings() -> Settings {
    Settings {
        freshness: Freshness::USUAL,
        nonce: false,
        nonces: Nonces::own(),
    }
}

fn checked(proof: &str, token: &str, method: &str, url: &str, now: i64) -> Result<Proven, Refused> {
    let uri: http::Uri = url.parse().unwrap();
    let request = Request::builder()
        .method(method)
        .uri(uri.path_and_query().unwrap().as_str())
        .header("host", uri.authority().unwrap().as_str());
    let (head, ()) = request.body(()).unwrap().into_parts();
    let around = Surroundings {
        http2: false,
        tls: uri.scheme_str() == Some("https"),
        has_body: false,
        public_url: None,
    };
    let received = Received::read(&head.method, &head.uri, &head.headers, around).unwrap();
    check(proof.as_bytes(), Some(token), &received, &settings(), now)
}

#[test]
fn the_proofs_of_the_standard_hold() {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let jkt = cases["jwk_thumbprint"]["jkt"].as_str().unwrap();
    for case in cases["proofs"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let (proof, token) = (text("proof"), text("access_token"));
        let (method, url) = (text("method"), text("uri"));
        let at = case["verify_at"].as_i64().unwrap();
        let result = checked(proof, token, method, url, at);
        if token.is_empty() {
            // Of a request for a token: it goes with none, which here is needed.
            assert_eq!(result.unwrap_err(), bad(Why::Proof("ath")));
            continue;
        }
        let proven = result.unwrap();
        assert_eq!(BASE64URL_NOPAD.encode(&proven.thumbprint), jkt);
        assert_eq!((proven.created, proven.last_second), (at, at + 300));
        let unbound = |why| Some(Refused::Binding(why));
        for (token, method, url, now, why) in [
            ("other", method, url, at, unbound(Unbound::OtherToken)),
            (token, "POST", url, at, unbound(Unbound::OtherMethod)),
            (
                token,
                method,
                "https://resource.example.org/other",
                at,
                unbound(Unbound::OtherUrl),
            ),
            (
                token,
                method,
                "http://resource.example.org/protectedresource",
                at,
                unbound(Unbound::OtherUrl),
            ),
            (
                token,
                method,
                url,
                at + 301,
                Some(Refused::Skew {
                    of: Timed::DpopProof,
                    ours: at + 301,
                    theirs: at,
                }),
            ),
            (
                token,
                method,
                url,
                at - 31,
                Some(Refused::Skew {
                    of: Timed::DpopProof,
                    ours: at - 31,
                    theirs: at,
                }),
            ),
            // The query is not proven.
            (
                token,
                method,
                "https://resource.example.org/protectedresource?x=1",
                at,
                None,
            ),
        ] {
            let result = checked(proof, token, method, url, now);
            assert_eq!(result.err(), why, "{method} {url} {now}");
        }
        // No byte of it can be another.
        for at_byte in (0..proof.len()).step_by(7) {
            let mut changed = proof.to_owned().into_bytes();
            changed[at_byte] = if changed[at_byte] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(checked(&changed, token, method, url, at).is_err());
        }
    }
}

#[test]
fn a_method_in_other_letters_is_another() {
    let pem =
        include_bytes!("../../../../tests/it/vectors/rfc9421/keys/test-key-ecc-p256.pem").to_vec();
    let key = PrivateKey::read(Algorithm::EcdsaP256Sha256, &Secret::new(pem)).unwrap();
    let (url, token, at) = ("https://api.example.com/orders", "t", 1_800_000_000);
    let shown = |method| {
        let claims = ProofClaims {
            method,
            url,
            token,
            iat: at,
            jti: "1",
            nonce: None,
        };
        checked(&sign_proof(&key, &claims), token, "GET", url, at)
    };
    assert!(shown("GET").is_ok());
    let refused = shown("get").unwrap_err();
    assert_eq!(refused, Refused::Binding(Unbound::OtherMethod));
}

#[test]
fn what_is_no_proof_is_malformed() {
    let url = "https://api.example.com/";
    let long = "a".repeat(MAX_PROOF + 1);
    for text in ["", "a", "a.b", "a.b.c.d", "!.!.!", "e30=.e30=.AA==", &long] {
        let refused = checked(text, "t", "GET", url, 0).unwrap_err();
        assert!(matches!(refused, Refused::Malformed(_)), "{text}");
    }
    for (header, what) in [
        ("{}", "typ"),
        (r#"{"typ":"JWT"}"#, "typ"),
        (r#"{"typ":"dpop+jwt"}"#, "alg"),
        (r#"{"typ":"dpop+jwt","alg":"none","jwk":{}}"#, "alg"),
        (
            r#"{"typ":"dpop+jwt","alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#,
            "alg",
        ),
        (r#"{"typ":"dpop+jwt","alg":"ES256"}"#, "jwk"),
        (r#"{"typ":"dpop+jwt","alg":"ES256","jwk":[]}"#, "jwk"),
        (
            r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}"#,
            "jwk",
        ),
        (
            r#"{"typ":"dpop+jwt","alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"AA"}}"#,
            "jwk",
        ),
        (
            r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#,
            "jwk",
        ),
        (r#"{"typ":"dpop+jwt","alg":"ES256","crit":[]}"#, "header"),
        (
            r#"{"typ":"dpop+jwt","alg":"ES256","jku":"https://example.com"}"#,
            "header",
        ),
    ] {
        let text = format!("{}.e30.AA", BASE64URL_NOPAD.encode(header.as_bytes()));
        let refused = checked(&text, "t", "GET", url, 0).unwrap_err();
        assert_eq!(refused, bad(Why::Proof(what)), "{header}");
    }
}
