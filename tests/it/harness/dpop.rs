//! DPoP proofs, rightly or wrongly made, signed by OpenSSL.

use super::now;
use super::pair::Pair;
use super::token::part;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A proof in the making.
#[derive(Clone, Debug)]
pub struct Proof {
    header: Value,
    claims: Value,
    pair: Pair,
}

impl Proof {
    /// A good one.
    pub fn of(pair: &Pair, method: &str, url: &str, token: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            header: json!({ "typ": "dpop+jwt", "alg": pair.jose, "jwk": bare(pair) }),
            claims: json!({
                "jti": format!("proof-{number}"),
                "htm": method,
                "htu": url,
                "iat": now(),
                "ath": BASE64URL_NOPAD.encode(&Sha256::digest(token)),
            }),
            pair: pair.clone(),
        }
    }

    /// With a claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    /// Without a claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    /// With a member of the header.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// Without a member of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    /// Signed by another pair than the header says.
    pub fn signed_by(mut self, pair: &Pair) -> Self {
        self.pair = pair.clone();
        self
    }

    /// The three parts.
    pub fn text(&self) -> String {
        let signed = format!(
            "{}.{}",
            part(&self.header.to_string()),
            part(&self.claims.to_string())
        );
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }
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
