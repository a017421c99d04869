//! Words of what goes beyond requests and answers: pages of other origins, other protocols.

use super::gather::shown;
use super::values::{Refused, Word};
use crate::route::{BadOrigin, Origin};
use http::HeaderName;
use std::borrow::Cow;

/// The name of any field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldName(pub(super) HeaderName);

impl Word for FieldName {
    const TAKES: &'static str = "a field name: `\"Content-Type\"`";

    fn said(text: &str) -> Cow<'_, str> {
        text.to_ascii_lowercase().into()
    }

    fn parse(text: &str) -> Result<Self, Refused> {
        // A name by its characters, though no field has it.
        if text == "*" {
            return Err(Refused::new("is not a field name").hint(
                "say which: beside credentials browsers take `*` for a name, and never for `Authorization`",
            ));
        }
        let name = HeaderName::from_bytes(text.as_bytes());
        name.map(Self)
            .map_err(|_| Refused::new("is not a field name"))
    }
}

impl Word for Origin {
    const TAKES: &'static str =
        "an origin: `\"https://app.example\"`, `\"https://*.example\"`, or `\"*\"`";

    fn parse(text: &str) -> Result<Self, Refused> {
        Self::new(text).map_err(|bad| {
            let refused = Refused::new(format!("is not an origin: {bad}"));
            match (bad, text.trim_end_matches('/')) {
                (BadOrigin::Path, origin) if Self::new(origin).is_ok() => {
                    refused.hint(format!("`{}` is enough", shown(origin)))
                }
                _ => refused,
            }
        })
    }
}

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
