//! DPoP proofs, rightly or wrongly made, signed by OpenSSL.

use super::pair::Pair;
use super::{Caller, Token, caller, now};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A good proof.
pub fn proof_of(pair: &Pair, method: &str, url: &str, token: &str) -> Token {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let claims = json!({
        "jti": format!("proof-{number}"),
        "htm": method,
        "htu": url,
        "iat": now(),
        "ath": BASE64URL_NOPAD.encode(&Sha256::digest(token)),
    });
    let header = json!({ "typ": "dpop+jwt", "alg": pair.jose, "jwk": bare(pair) });
    Token::of(header, claims).signed_by(signer(pair))
}

/// Who signs by this pair.
pub fn signer(pair: &Pair) -> Caller {
    caller().pair(pair.clone())
}

/// The JWK of a pair with the members that are needed.
pub fn bare(pair: &Pair) -> Value {
    let mut jwk = pair.jwk("");
    let members = jwk.as_object_mut().unwrap();
    members.retain(|name, _| !matches!(name.as_str(), "kid" | "alg" | "use"));
    jwk
}

/// What a token that is bound to this pair holds in `cnf.jkt`.
pub fn thumbprint(pair: &Pair) -> String {
    // Its members stand in the order of their names already.
    BASE64URL_NOPAD.encode(&Sha256::digest(bare(pair).to_string()))
}
