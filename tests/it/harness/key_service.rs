//! The key service as an app calls it, without a line of the library.

use super::{Gateway, Request, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The app `phone`, which gets its tokens of the key service; `tokens` are lines of its table.
pub fn phone(tokens: &str) -> String {
    format!(
        "[apps.phone]\nscopes = [\"orders\", \"read\"]\nkeys = [{{ id = \"phone-tokens\", algorithm = \"hmac-sha256\", \
         secret = \"file:other.key\", schemes = [\"token\"], attests = true }}]\n[apps.phone.tokens]\n{tokens}\n"
    )
}

/// A question to it.
pub fn post(door: &str, body: &Value) -> Request {
    Request::new("POST", &format!("/.portcullis/{door}"))
        .field("Content-Type", "application/json")
        .body(body.to_string())
}

/// Asks a gateway's.
pub fn ask(address: SocketAddr, door: &str, body: &Value) -> Response {
    post(door, body).to(address).send_to(address)
}

/// A challenge for this app.
pub fn challenge(address: SocketAddr, app: &str) -> String {
    let answer = ask(address, "challenge", &json!({ "app": app }));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["expires_in"], 60);
    answer["challenge"].as_str().unwrap().to_owned()
}

/// What is asked for a token of `app`, by this evidence.
pub fn question(address: SocketAddr, app: &str, evidence: &Value) -> Value {
    json!({ "app": app, "challenge": challenge(address, app), "evidence": evidence })
}

/// The token that is answered with.
pub fn token(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

/// Calls with a token, and with the `Authorization` of a user.
pub fn call(gateway: &Gateway, token: &str, user: Option<&str>) -> Response {
    let mut request = gateway
        .request("GET", "/orders/7")
        .field("Portcullis-Token", token);
    if let Some(user) = user {
        request = request.field("Authorization", user);
    }
    gateway.send(&request)
}
