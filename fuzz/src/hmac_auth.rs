//! Signatures of `hmac-auth`, and the text that is signed. In: a head. What it
//! shows is verified as it came, in every dialect, and once more with the
//! signature that our key makes of it, so that what lies behind the signature
//! is reached too.

use super::{gate, head};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use portcullis::route::{Bind, Dialect, Route};
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::hmac_auth::{Presented, Rules, date, text, verify};
use portcullis::schemes::{Caller, Received, Refused, Why};

/// What must hold of any head.
pub(super) fn check(bytes: &[u8]) {
    let Some((method, uri, mut fields)) = head::read(bytes) else {
        return;
    };
    if let Some(at) = fields
        .get("date")
        .and_then(|value| date::read(value.as_bytes()))
    {
        assert_eq!(date::read(date::write(at).as_bytes()), Some(at.max(0)));
    }
    for dialect in Dialect::ALL {
        let route = Route {
            dialect: Some(dialect),
            ..gate::route(Bind::None)
        };
        assert!(
            !matches!(verdict(&method, &uri, &fields, &route), Some(Ok(_))),
            "a signature that nobody made passed"
        );
        let Some((name, value)) = signed(&method, &uri, &fields, &route) else {
            continue;
        };
        let before = fields.insert(name.clone(), value);
        match verdict(&method, &uri, &fields, &route) {
            Some(Ok(caller)) => {
                let proof = caller.proof().expect("a signature is a proof");
                assert!(proof.last_second >= gate::NOW);
                // What was covered by the proof cannot be changed.
                let other = if method == Method::PUT {
                    Method::PATCH
                } else {
                    Method::PUT
                };
                let changed = verdict(&other, &uri, &fields, &route);
                assert!(!matches!(changed, Some(Ok(_))));
            }
            Some(Err(Refused::Rejected { why, .. })) => assert_ne!(why, Why::WrongSignature),
            Some(Err(_)) => {}
            None => unreachable!("what was read once reads again"),
        }
        if let Some(value) = before {
            fields.insert(name, value);
        }
    }
}

fn verdict(
    method: &Method,
    uri: &Uri,
    fields: &HeaderMap,
    route: &Route,
) -> Option<Result<Caller, Refused>> {
    let received = received(method, uri, fields)?;
    let presented = Presented::read(&received, route).ok()??;
    let registry = gate::registry();
    let rules = Rules {
        registry: &registry,
        freshness: Freshness::USUAL,
        explain: true,
    };
    Some(verify(&presented, &received, route, rules, gate::now()))
}

fn received<'r>(method: &'r Method, uri: &'r Uri, fields: &'r HeaderMap) -> Option<Received<'r>> {
    let has_body = fields.contains_key("content-length");
    Received::read(method, uri, fields, gate::around(has_body)).ok()
}

/// The proof's field anew, with what our key makes of its text in place of its signature.
fn signed(
    method: &Method,
    uri: &Uri,
    fields: &HeaderMap,
    route: &Route,
) -> Option<(HeaderName, HeaderValue)> {
    let received = received(method, uri, fields)?;
    let presented = Presented::read(&received, route).ok()??;
    let mut out = Vec::new();
    text::write(&mut out, &received, &presented.input).ok()?;
    let first = usize::from(route.dialect == Some(Dialect::Apisix));
    let lines = out.split(|byte| *byte == b'\n').count();
    // Nothing in a request can add a line.
    let items = presented.input.items().count();
    assert_eq!(lines, (items + first).max(1) + first);
    assert_eq!(items, presented.input.names().count());
    let name = if presented.in_authorization {
        "authorization"
    } else if fields.contains_key("proxy-authorization") && route.dialect == Some(Dialect::Kong) {
        "proxy-authorization"
    } else {
        "signature"
    };
    let value = fields.get(name)?.to_str().ok()?;
    let old = BASE64.encode(&presented.signature);
    let (front, rest) = value.rsplit_once(&format!("\"{old}\""))?;
    let tag = BASE64.encode(gate::key().sign(&out).as_bytes());
    let value = format!("{front}\"{tag}\"{rest}");
    Some((
        HeaderName::from_static(name),
        HeaderValue::try_from(value).ok()?,
    ))
}
