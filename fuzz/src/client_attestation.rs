//! Attested clients of OAuth. In: the proof of an attestation's key as a stranger may send it; or, when
//! the input starts with `{`, the claims of the attestation, which is signed first.

use super::gate;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::route::{
    Bind, ClientAttestation, OAUTH_CLIENT_ATTESTATION, OAUTH_CLIENT_ATTESTATION_POP, Route,
};
use portcullis::schemes::{Received, token};
use std::time::Duration;

/// The key of the examples of the draft, whose private half was never published.
const CLAIMS: &str = r#"{"sub":"shop","exp":1800000300,"iat":1800000000,"cnf":{"jwk":{"kty":"EC","crv":"P-256","x":"VcKVNBZ4IaBAYW3jxM4w3TJFVA7myeUGQyGt-g_yvpQ","y":"f-E-hYE3TAWKwhVv9pej9NABs9SX9XsNO80x57jFTyU"}}}"#;

/// What must hold of any proof.
pub(super) fn check(bytes: &[u8]) {
    let is_claims = bytes.first() == Some(&b'{');
    let (claims, proof) = if is_claims {
        (bytes, &b"a.b.c"[..])
    } else {
        (CLAIMS.as_bytes(), bytes)
    };
    let Ok(proof) = HeaderValue::from_bytes(proof) else {
        return;
    };
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("login.example.com"));
    let attestation = HeaderValue::try_from(sign(claims)).expect("base64url");
    fields.insert(OAUTH_CLIENT_ATTESTATION, attestation);
    fields.insert(OAUTH_CLIENT_ATTESTATION_POP, proof);
    let uri = Uri::from_static("/oauth2/token");
    let received = Received::read(&Method::POST, &uri, &fields, gate::around(false))
        .expect("nothing but the proof is odd");
    let registry = gate::registry();
    let (life, skew) = (Duration::from_mins(15), Duration::from_secs(30));
    let settings = token::Settings::new(None, life, skew);
    let cache = token::Cache::new(1);
    let route = Route {
        token_fields: vec![OAUTH_CLIENT_ATTESTATION],
        client_attestation: Some(Box::new(ClientAttestation {
            audiences: vec!["https://as.example.com".into()],
            client_ids: Vec::new(),
            challenge: false,
        })),
        ..gate::route(Bind::None)
    };
    let Ok(Some(presented)) = token::read(&received, &route) else {
        return;
    };
    let verified = token::verify(
        &presented,
        &received,
        &route,
        &registry,
        &settings,
        &cache,
        gate::now(),
    );
    // Nobody has the key, and what is bound to none is no attestation.
    assert!(verified.is_err(), "a proof that nobody made passed");
}

fn sign(claims: &[u8]) -> String {
    let header = format!(
        r#"{{"typ":"oauth-client-attestation+jwt","alg":"HS256","kid":"{}"}}"#,
        gate::KEY_ID
    );
    let mut text = BASE64URL_NOPAD.encode(header.as_bytes());
    text.push('.');
    text += &BASE64URL_NOPAD.encode(claims);
    let tag = gate::key().sign(text.as_bytes());
    text.push('.');
    text + &BASE64URL_NOPAD.encode(tag.as_bytes())
}
