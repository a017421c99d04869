//! `Signature-Input`, and the text that is signed. In: a head. What it shows
//! is verified as it came, and once more with the signature that our key
//! makes of it, so that what lies behind the signature is reached too.

use super::{gate, head};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderValue, Method, Uri};
use portcullis::route::Bind;
use portcullis::schemes::freshness::Freshness;
use portcullis::schemes::http_signature::read::{Candidate, Input};
use portcullis::schemes::http_signature::{Presented, Rules, SIGNATURE, base, verify};
use portcullis::schemes::{Caller, Received, Refused, Why};

/// What must hold of any head with signatures.
pub(super) fn check(bytes: &[u8]) {
    let Some((method, uri, mut fields)) = head::read(bytes) else {
        return;
    };
    assert!(
        !matches!(verdict(&method, &uri, &fields), Some(Ok(_))),
        "a signature that nobody made passed"
    );
    let Some(signed) = signatures(&method, &uri, &fields) else {
        return;
    };
    fields.insert(SIGNATURE, signed);
    match verdict(&method, &uri, &fields) {
        Some(Ok(_)) => {
            // What was covered by the proof cannot be changed.
            let other = if method == Method::PUT {
                Method::PATCH
            } else {
                Method::PUT
            };
            assert!(!matches!(verdict(&other, &uri, &fields), Some(Ok(_))));
        }
        Some(Err(Refused::Rejected { why, .. })) => assert_ne!(why, Why::WrongSignature),
        Some(Err(_)) => {}
        None => unreachable!("what was read once reads again"),
    }
}

fn verdict(method: &Method, uri: &Uri, fields: &HeaderMap) -> Option<Result<Caller, Refused>> {
    let received = received(method, uri, fields)?;
    let presented = Presented::read(&received).ok()??;
    let registry = gate::registry();
    let rules = Rules {
        registry: &registry,
        freshness: Freshness::USUAL,
        explain: true,
    };
    let route = gate::route(Bind::None);
    Some(verify(&presented, &received, &route, rules, gate::now()))
}

fn received<'r>(method: &'r Method, uri: &'r Uri, fields: &'r HeaderMap) -> Option<Received<'r>> {
    let has_body = fields.contains_key("content-length");
    Received::read(method, uri, fields, gate::around(has_body)).ok()
}

/// `Signature` anew: each label with what our key makes of its text.
fn signatures(method: &Method, uri: &Uri, fields: &HeaderMap) -> Option<HeaderValue> {
    let received = received(method, uri, fields)?;
    let presented = Presented::read(&received).ok()??;
    let mut value = Vec::new();
    for candidate in presented.candidates() {
        canonical_form_is_stable(&candidate.input);
        let text = text_of(candidate, &received);
        let tag = gate::key().sign(&text);
        let label = candidate.label();
        value.push(format!("{label}=:{}:", BASE64.encode(tag.as_bytes())));
    }
    HeaderValue::try_from(value.join(", ")).ok()
}

/// The canonical form of a canonical form is itself, and says the same.
fn canonical_form_is_stable(input: &Input<'_>) {
    let mut once = Vec::new();
    base::write_parameters(&mut once, input);
    let text = std::str::from_utf8(&once).expect("it is ASCII");
    let again = Input::read(text).expect("what was read once reads again");
    assert_eq!(again.text, Some(&*once), "what we write is canonical");
    if let Some(as_it_stands) = input.text {
        assert_eq!(as_it_stands, once, "what is copied is canonical");
    }
    assert_eq!(again, *input);
    let mut twice = Vec::new();
    base::write_parameters(&mut twice, &again);
    assert_eq!(once, twice);
}

/// The signed text: one line a component, and one more. Nothing in a request can add a line.
fn text_of(candidate: &Candidate<'_>, received: &Received<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    if base::write(&mut text, received, &candidate.input).is_ok() {
        let lines = text.split(|byte| *byte == b'\n').count();
        assert_eq!(lines, candidate.input.components.len() + 1);
    }
    text
}
