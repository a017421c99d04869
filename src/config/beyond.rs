//! Words of what goes beyond requests and answers: other protocols.

use super::values::{Refused, Word};

/// A protocol that a connection may switch to, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protocol(pub(super) Box<str>);

impl Word for Protocol {
    const TAKES: &'static str = "a protocol: `\"websocket\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        /// HTTP in another form, which would bring requests that nobody checks, and what belongs to one hop.
        const NEVER: [&str; 4] = ["h2c", "h2", "http", "tls"];
        let lower = text.to_ascii_lowercase();
        let (name, version) = match lower.split_once('/') {
            Some((name, version)) => (name, Some(version)),
            None => (&*lower, None),
        };
        let is_token = |text: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            !text.is_empty() && text.len() <= 32 && text.bytes().all(fits)
        };
        if !is_token(name) || !version.is_none_or(is_token) {
            return Err(Refused::new("is not a protocol"));
        }
        if NEVER.contains(&name) {
            return Err(Refused::new("is never switched to")
                .hint("requests in it would reach the upstream without a proof"));
        }
        Ok(Self(lower.into()))
    }
}
