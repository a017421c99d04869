//! An issuer outside: it serves its keys, and signs tokens by OpenSSL.

use super::pair::{Pair, pairs};
use super::{Caller, Token, Upstream, now};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What `iss` of its tokens is.
pub const ISS: &str = "https://issuer.example/";
/// What `aud` of its tokens is.
pub const AUD: &str = "https://api.example";

/// A running issuer.
pub struct Issuer {
    server: Upstream,
    says: Arc<Mutex<(u16, String)>>,
}

impl Issuer {
    /// Serves this key set.
    pub fn start(set: &Value) -> Self {
        let says = Arc::new(Mutex::new((200, set.to_string())));
        let said = says.clone();
        let server = Upstream::answering(move |_, wire| {
            let (status, body) = said.lock().unwrap().clone();
            wire.answer(status, &[], body.as_bytes());
        });
        Self { server, says }
    }

    /// Where its keys are.
    pub fn url(&self) -> String {
        format!("http://{}/keys?v=1", self.server.address())
    }

    /// Serves another key set from now on.
    pub fn serve(&self, set: &Value) {
        self.say(200, &set.to_string());
    }

    /// Answers so from now on.
    pub fn say(&self, status: u16, body: &str) {
        *self.says.lock().unwrap() = (status, body.to_owned());
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.server.heard().len()
    }

    /// What it was asked for.
    pub fn heard(&self, number: usize) -> String {
        self.server.got(number).head
    }
}

/// A set of these keys.
pub fn set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

/// A set of a key for each algorithm of tokens that has pairs.
pub fn every_key() -> Value {
    let pairs = pairs().into_iter().filter_map(|pair| {
        let jose = pair.jose?;
        Some(pair.jwk(jose))
    });
    set(&pairs.collect::<Vec<_>>())
}

/// The section of an issuer of the app `mobile`, whose keys are at `jwks`.
pub fn section(jwks: &str, more: &str) -> String {
    let algorithms = if more.contains("algorithms =") {
        ""
    } else {
        "algorithms = [\"ES256\", \"ES384\", \"EdDSA\", \"PS256\", \"RS256\"]\n"
    };
    let whose = if more.starts_with("claim =") {
        ""
    } else {
        "app = \"mobile\"\n"
    };
    format!(
        "[issuers.outside]\nissuer = \"{ISS}\"\naudience = \"{AUD}\"\njwks = \"{jwks}\"\n{algorithms}{whose}{more}\n"
    )
}

/// A good token of it, signed with the pair of P-256 for an hour.
pub fn token() -> Token {
    signed("ecdsa-p256-sha256")
}

/// As [`token`], signed with the pair of this algorithm.
pub fn signed(algorithm: &str) -> Token {
    let pair = Pair::of(algorithm);
    let jose = pair.jose.unwrap();
    Token::new()
        .header("alg", jose)
        .header("kid", jose)
        .claim("exp", now() + 3_600)
        .claim("iss", ISS)
        .claim("aud", AUD)
        .claim("sub", "someone")
        .signed_by(Caller::new("outside", &[]).pair(pair))
}
