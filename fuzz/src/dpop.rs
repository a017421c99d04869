//! DPoP proofs. In: a proof as a stranger may send it, beside a token that is bound to a key; or,
//! when the input starts with `{`, the claims of that token, which is signed first.

use super::gate;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::route::Bind;
use portcullis::schemes::token;

/// The key of the examples of RFC 9449, whose private half was never published.
const CLAIMS: &str = r#"{"exp":1800000300,"iat":1800000000,"cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}"#;

/// What must hold of any proof.
pub(super) fn check(bytes: &[u8]) {
    let header = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, gate::KEY_ID);
    let Some([token, proof]) = gate::beside_proof(&header, CLAIMS, bytes) else {
        return;
    };
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("api.example.com"));
    fields.insert(token::PORTCULLIS_TOKEN, token);
    fields.insert(token::dpop::DPOP, proof);
    let uri = Uri::from_static("/orders?x=1");
    let passed = gate::takes_token(&Method::GET, &uri, &fields, &gate::route(Bind::None));
    // Nobody has the key, and what is bound to none goes with no proof.
    assert!(!passed, "a proof that nobody made passed");
}
