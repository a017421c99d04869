//! Tokens, rightly or wrongly made, without a line of the library.

use super::setup::{SECRET, SECRET_512};
use super::{Caller, now};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A JWT in the making.
#[derive(Clone, Debug)]
pub struct Token {
    header: Value,
    claims: Value,
    signer: Caller,
}

impl Token {
    /// A good one, for five minutes from [`now`] on, with key `mobile-2026`.
    pub fn new() -> Self {
        let iat = now();
        Self::of(
            json!({ "alg": "HS256", "typ": "JWT", "kid": "mobile-2026" }),
            json!({ "iat": iat, "exp": iat + 300 }),
        )
    }

    /// One of this header and these claims.
    pub fn of(header: Value, claims: Value) -> Self {
        Self {
            header,
            claims,
            signer: Caller::new("mobile-2026", SECRET),
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

    /// A member of the header set.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    /// Without a member of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    /// Bound to a value of `Authorization`.
    pub fn paying(self, authorization: &str) -> Self {
        self.claim("pay", BASE64.encode(&Sha256::digest(authorization)))
    }

    /// Signed with another secret.
    pub fn signed_with(mut self, secret: &[u8]) -> Self {
        self.signer = self.signer.secret(secret);
        self
    }

    /// Signed by another caller.
    pub fn signed_by(mut self, caller: Caller) -> Self {
        self.signer = caller;
        self
    }

    /// Signed by HMAC-SHA-512 with the key of that algorithm.
    pub fn sha512(mut self) -> Self {
        self.signer = Caller::sha512().secret(SECRET_512);
        self
    }

    /// The three parts.
    pub fn text(&self) -> String {
        self.text_of(&self.header.to_string(), &self.claims.to_string())
    }

    /// The three parts of a header and claims as they stand.
    pub fn text_of(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", part(header), part(claims));
        let mac = self.signer.mac(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac))
    }

    /// The header as text.
    pub fn header_text(&self) -> String {
        self.header.to_string()
    }

    /// The claims as text.
    pub fn claims_text(&self) -> String {
        self.claims.to_string()
    }
}

/// Base64url without padding.
pub fn part(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}
