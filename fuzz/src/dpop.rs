//! DPoP proofs. In: a proof as a stranger may send it, beside a token that is bound to a key; or,
//! when the input starts with `{`, the claims of that token, which is signed first.

use super::gate;
use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::route::Bind;
use portcullis::schemes::{Received, token};
use std::time::Duration;

/// The key of the examples of RFC 9449, whose private half was never published.
const CLAIMS: &str = r#"{"exp":1800000300,"iat":1800000000,"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}"#;

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
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    let token = HeaderValue::try_from(sign(claims)).expect("base64url");
    fields.insert(token::PORTCULLIS_TOKEN, token);
    fields.insert(token::dpop::DPOP, proof);
    let uri = Uri::from_static("/orders?x=1");
    let received = Received::read(&Method::GET, &uri, &fields, gate::around(false))
        .expect("nothing but the proof is odd");
    let registry = gate::registry();
    let (life, skew) = (Duration::from_mins(15), Duration::from_secs(30));
    let settings = token::Settings::new(None, life, skew);
    let cache = token::Cache::new(1);
    let route = gate::route(Bind::None);
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
    // Nobody has the key, and what is bound to none goes with no proof.
    assert!(verified.is_err(), "a proof that nobody made passed");
}

fn sign(claims: &[u8]) -> String {
    let header = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, gate::KEY_ID);
    let mut text = BASE64URL_NOPAD.encode(header.as_bytes());
    text.push('.');
    text += &BASE64URL_NOPAD.encode(claims);
    let tag = gate::key().sign(text.as_bytes());
    text.push('.');
    text + &BASE64URL_NOPAD.encode(tag.as_bytes())
}
