//! What goes to the key service and back.

use super::{Asked, NoToken};
use crate::crypto::PrivateKey;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Bytes of an answer that are looked at.
pub const MAX_ANSWER: usize = 64 * 1024;
/// Bytes that a challenge may have.
const MAX_CHALLENGE: usize = 1024;
/// Bytes that a token may have.
const MAX_TOKEN: usize = 8 * 1024;

/// How a program sends requests.
pub trait Transport: Send + Sync {
    /// Sends `body`, which is `application/json`, to `path` (`challenge`, `token`, `enrol`) below the prefix of the
    /// key service, `https://api.example.com/.portcullis/`, and waits for the answer, with a time-out.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, String>;
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; no more than [`MAX_ANSWER`] bytes are wanted.
    pub body: Vec<u8>,
    /// `Retry-After`, in seconds, where it is there.
    pub retry_after: Option<u64>,
}

/// A challenge for `app`.
pub(super) fn challenge(transport: &dyn Transport, app: &str) -> Result<String, NoToken> {
    let answer = ask(transport, "challenge", &json!({ "app": app }))?;
    text(&answer, "challenge", MAX_CHALLENGE)
        .ok_or(NoToken::Nonsense("there is no `challenge` in it"))
}

/// A token for evidence, and how many seconds it lives. With `jwk` the key itself is to stand in it.
pub(super) fn token(
    transport: &dyn Transport,
    asked: &Asked<'_>,
    jwk: Option<&str>,
    evidence: &Value,
) -> Result<(String, u64), NoToken> {
    let mut body = json!({
        "app": asked.app,
        "challenge": asked.challenge,
        "evidence": evidence,
    });
    if let Some(pay) = asked.pay {
        body["pay"] = pay.into();
    }
    let jwk = jwk.and_then(|jwk| serde_json::from_str::<Value>(jwk).ok());
    match (asked.confirmation, jwk) {
        (_, Some(jwk)) => body["cnf"] = json!({ "jwk": jwk }),
        (Some(thumbprint), None) => body["cnf"] = json!({ "jkt": thumbprint }),
        (None, None) => {}
    }
    if let Some(scope) = asked.scope {
        body["scope"] = scope.into();
    }
    if let Some(typ) = asked.typ {
        body["typ"] = typ.into();
    }
    let answer = ask(transport, "token", &body)?;
    let token = text(&answer, "token", MAX_TOKEN);
    let life = answer.get("expires_in").and_then(Value::as_u64);
    match (token, life) {
        (Some(token), Some(life)) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok((token, life))
        }
        _ => Err(NoToken::Nonsense(
            "there is no `token` in it that lives for a time",
        )),
    }
}

/// Makes `key` the key of a new instance of `app`, by a code that whoever runs the gateway has given out for it. Gives
/// the instance's id; the same one again for the same code and key, as after an answer that was lost.
///
/// # Errors
/// [`NoToken`].
pub fn enrol(
    transport: &dyn Transport,
    app: &str,
    code: &str,
    key: &PrivateKey,
    build: &str,
) -> Result<String, NoToken> {
    let jwk: Value = serde_json::from_str(&key.public_jwk())
        .map_err(|_| NoToken::Evidence("the key has no public half".to_owned()))?;
    let body = json!({ "app": app, "code": code, "key": jwk, "build": build });
    let answer = ask(transport, "enrol", &body)?;
    text(&answer, "instance", MAX_CHALLENGE)
        .ok_or(NoToken::Nonsense("there is no `instance` in it"))
}

fn ask(transport: &dyn Transport, path: &str, body: &Value) -> Result<Map<String, Value>, NoToken> {
    let answer = transport
        .post(path, body.to_string().as_bytes())
        .map_err(NoToken::Unreachable)?;
    if answer.body.len() > MAX_ANSWER {
        return Err(NoToken::Nonsense("it is too long"));
    }
    let content = serde_json::from_slice::<Map<String, Value>>(&answer.body);
    if answer.status != 200 {
        let content = content.unwrap_or_default();
        return Err(NoToken::Refused {
            status: answer.status,
            code: text(&content, "code", 64),
            detail: text(&content, "detail", 1024),
            retry_after: answer.retry_after.map(Duration::from_secs),
        });
    }
    content.map_err(|_| NoToken::Nonsense("it is no JSON object"))
}

fn text(content: &Map<String, Value>, name: &str, most: usize) -> Option<String> {
    let text = content.get(name)?.as_str()?;
    (1..=most).contains(&text.len()).then(|| text.to_owned())
}
