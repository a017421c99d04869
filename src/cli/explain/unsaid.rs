//! Credentials that are read only where it is said whose they are: a route says it, or an option where there is none.

use super::case::Case;
use super::ground::Gateway;
use crate::route::Sender;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, PROXY_AUTHORIZATION};

const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// What to say of a request that seems to show nothing, where it shows something that no option tells how to read.
pub(super) fn advice(case: Case<'_>) -> Option<String> {
    let Case {
        received, route, ..
    } = case;
    if case.ground.gateway != Gateway::Unknown {
        return None;
    }
    let fields = received.fields();
    if route.dialect.is_none() {
        let named = [AUTHORIZATION, PROXY_AUTHORIZATION, SIGNATURE];
        let mut values = named.iter().flat_map(|name| {
            let values = fields.get_all(name).iter();
            values.map(move |value| (name, dialects(name, value)))
        });
        let found = values.find_map(|(name, found)| Some((name, found?)));
        if let Some((name, dialects)) = found {
            return Some(format!(
                "`{}` looks like a signature of `hmac-auth`: say in which dialect it is to be read, `--dialect {dialects}`",
                crate::cli::curl::shown(name)
            ));
        }
    }
    if route.webhooks.is_none() {
        let signed = |sender: &&Sender| {
            let mut names = sender.proof_fields().iter();
            names.any(|name| fields.contains_key(*name))
        };
        let sender = Sender::ALL.iter().find(signed)?.name();
        return Some(format!(
            "this looks like a webhook: say whose, `--sender {sender}`, and the secret that it is signed with, `--secret file:PATH`"
        ));
    }
    None
}

/// The dialects that write a signature so.
fn dialects(name: &HeaderName, value: &HeaderValue) -> Option<&'static str> {
    let text = value.to_str().ok()?.trim_start();
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let has = |text: &str, parameter: &str| text.to_ascii_lowercase().contains(parameter);
    if *name == SIGNATURE {
        return has(text, "keyid=\"").then_some("cavage-12");
    }
    if word.eq_ignore_ascii_case("hmac") && has(rest, "username=") {
        return Some("kong");
    }
    let is_signature = word.eq_ignore_ascii_case("signature") && has(rest, "keyid=");
    is_signature.then_some("apisix` or `--dialect cavage-12")
}
