//! What every scheme has in common whose callers sign a text made of the
//! request: the order of the checks and what each says is one for all of them.

use super::authority::{normal_authority, without_own_port};
use super::digest::{BodyCheck, BodyProof, Digests};
use super::freshness::Freshness;
use super::received::{Field, Received};
use super::{Explained, Refused, Why};
use crate::apps::{Key, Registry, Scheme};
use crate::crypto::{Tag, VerifyingKey};
use http::header::{CONNECTION, COOKIE};
use std::cell::RefCell;
use std::sync::Arc;

/// What every request of a configuration is verified by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'s> {
    /// Every key.
    pub registry: &'s Registry,
    /// The window of time.
    pub freshness: Freshness,
    /// Whether anyone may see the text that was verified against.
    pub explain: bool,
}

pub(super) const fn rejected(why: Why) -> Refused {
    Refused::Rejected {
        why,
        explained: None,
    }
}

/// The host as signers write it: `Host` as it was sent. Where there is none, as over HTTP/2, they make one of
/// the URL, without the scheme's own port, which some clients leave in `:authority` all the same. That is as long
/// as it names what is matched and forwarded: where that is another, by `public_url`, it is what callers know.
pub(super) fn host_as_signed<'r>(received: &'r Received<'_>) -> &'r str {
    let sent = received.sent_authority();
    if normal_authority(received.scheme(), sent) != received.authority() {
        received.authority()
    } else if received.shows(Field::Host) {
        sent
    } else {
        without_own_port(received.scheme(), sent)
    }
}

/// What stands between two lines of `Cookie`, as they are forwarded (RFC 9113, section 8.2.3).
pub(super) const BETWEEN_COOKIES: &[u8] = b"; ";

/// What stands between two lines of the field `name` in a text that is signed: `usual`, but
/// between those of cookies, which are forwarded as one line. Signed text and forwarded bytes must
/// not differ, or `a=1, b` could be sent as two cookies.
pub(super) fn between_lines(name: &str, usual: &'static [u8]) -> &'static [u8] {
    if name == COOKIE.as_str() {
        BETWEEN_COOKIES
    } else {
        usual
    }
}

/// A field that `Connection` names ends here: none that was proven may be among them.
pub(super) fn check_connection(
    received: &Received<'_>,
    covers: impl Fn(&str) -> bool,
) -> Result<(), Refused> {
    if !received.shows(Field::Connection) {
        return Ok(());
    }
    for value in received.lines(CONNECTION.as_str()) {
        let named = value.to_str().unwrap_or_default().split(',').map(str::trim);
        for name in named {
            if covers(name) {
                return Err(Refused::Malformed(format!(
                    "`Connection` names the covered field `{name}`, which would not reach the upstream"
                )));
            }
        }
    }
    Ok(())
}

/// The key with this id and our tag, when `signature` is the key's, of what
/// `write` writes. An unknown key is checked against its double, which nobody
/// has: it costs what a known one costs and never matches.
pub(super) fn check_signature(
    rules: Rules<'_>,
    received: &Received<'_>,
    key_id: &str,
    signature: &[u8],
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Refused>,
) -> Result<(Arc<Key>, Tag), Refused> {
    if let Some(key) = rules.registry.key(key_id) {
        let both = (Some(&key), &key.verifying);
        let tag = check_by(rules, received, both, signature, write)?;
        return Ok((key, tag));
    }
    let double = rules.registry.double(key_id);
    let tag = check_by(rules, received, (None, &double), signature, write);
    // It gives no tag where there is no key.
    Err(tag.err().unwrap_or(rejected(Why::UnknownKey)))
}

/// As [`check_signature`], with a key at hand.
pub(super) fn check_by(
    rules: Rules<'_>,
    received: &Received<'_>,
    (key, verifying): (Option<&Arc<Key>>, &VerifyingKey),
    signature: &[u8],
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Refused>,
) -> Result<Tag, Refused> {
    thread_local! {
        /// One text at a time; the buffer is as large as the largest head.
        static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    TEXT.with_borrow_mut(|text| {
        text.clear();
        write(text)?;
        let tag = verifying.verify(text, signature);
        if let (Some(_), Some(tag)) = (key, tag) {
            return Ok(tag);
        }
        let why = match key {
            Some(_) => Why::WrongSignature,
            None => Why::UnknownKey,
        };
        let open = rules.explain || key.is_some_and(|key| key.app.explain);
        Err(Refused::Rejected {
            why,
            explained: open.then(|| Box::new(Explained::new(text, received))),
        })
    })
}

/// Whether a key whose signature holds may be used for `scheme` now.
pub(super) fn check_key(key: &Key, scheme: Scheme, seconds: i64) -> Result<(), Refused> {
    if !key.schemes.contains(scheme) {
        return Err(rejected(Why::KeyNotForScheme));
    }
    if !key.is_active(seconds) {
        return Err(rejected(Why::KeyNotActive));
    }
    if !key.app.is_enabled() {
        return Err(Refused::AppDisabled);
    }
    Ok(())
}

/// What covered digests say of the body. A digest of nothing is checked at once.
pub(super) fn body_proof(
    received: &Received<'_>,
    covered: Option<Digests>,
) -> Result<BodyProof, Refused> {
    match covered {
        Some(digests) if received.has_body() => Ok(BodyProof::Digests(digests)),
        Some(digests) => {
            BodyCheck::new(&BodyProof::Digests(digests))
                .finish()
                .map_err(|_| Refused::Digest)?;
            Ok(BodyProof::Empty)
        }
        None if received.has_body() => Ok(BodyProof::Unproven),
        None => Ok(BodyProof::Empty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::received::Surroundings;
    use http::{HeaderMap, HeaderValue, Method, Uri};

    #[test]
    fn a_host_is_signed_as_it_was_sent_without_a_port_that_only_a_url_has() {
        let told = |host: Option<&'static str>, target: &str| {
            let mut fields = HeaderMap::new();
            if let Some(host) = host {
                fields.insert("host", HeaderValue::from_static(host));
            }
            let (method, uri): (_, Uri) = (Method::GET, target.parse().unwrap());
            let around = Surroundings {
                tls: true,
                http2: host.is_none(),
                has_body: false,
                public_url: None,
            };
            let received = Received::read(&method, &uri, &fields, around).unwrap();
            host_as_signed(&received).to_owned()
        };
        for (sent, over_http2) in [
            ("api.example.com", "api.example.com"),
            ("API.example.com", "API.example.com"),
            ("API.example.com:443", "API.example.com"),
            ("api.example.com:8443", "api.example.com:8443"),
        ] {
            assert_eq!(told(None, &format!("https://{sent}/")), over_http2);
            assert_eq!(told(Some(sent), "/"), sent);
        }
    }
}
