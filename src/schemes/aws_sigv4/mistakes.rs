//! What callers sign by mistake, for the doctor: the canonical request with one thing in it as they take it.

use super::forms::{self, Forms, MAX_TRIED};
use super::read::Presented;
use super::verify::{keys_of, payloads};
use super::{EMPTY_SHA256, UNSIGNED_PAYLOAD, text};
use crate::apps::Scheme;
use crate::crypto::VerifyingKey;
use crate::route::{Part, Route, SigV4, SignedPath};
use crate::schemes::Refused;
use crate::schemes::doctor::{Case, Change, Form, Mistake, Offer, Sample};
use crate::schemes::received::Received;
use crate::schemes::signed::host_as_signed;
use data_encoding::{BASE64, HEXLOWER};
use std::borrow::Cow;

/// The signature, with its canonical request in every form that `route` takes, as where it is verified.
///
/// # Errors
/// There is none: it covers a field that is not there, or a body that is not read.
pub fn sample<'r>(
    presented: &Presented<'_>,
    received: &'r Received<'r>,
    route: &Route,
    unix_seconds: i64,
) -> Result<Sample<'r>, Refused> {
    let in_query = presented.in_query;
    let mut fields = Vec::new();
    text::write_fields(&mut fields, received, &presented.signed)?;
    let is_waived = route.waives(Part::Body, unix_seconds);
    let payloads = payloads(presented, received, is_waived)?;
    let taken = Forms::of(received, in_query, &route.sigv4);
    let not_taken = not_taken(received, in_query, &taken);
    let sent = received.query().unwrap_or_default();
    let mut all = Vec::new();
    let mut hashed = 0;
    for (path, query) in taken.all() {
        for payload in payloads.all() {
            if hashed > MAX_TRIED {
                break;
            }
            let mut whole = Vec::new();
            text::write_front(&mut whole, received, path, query);
            whole.extend_from_slice(&fields);
            whole.extend_from_slice(payload.as_bytes());
            hashed += whole.len();
            // Once for each payload is enough.
            let is_first = all.len() < payloads.all().count();
            let offer = Text {
                received,
                ours: String::from_utf8_lossy(&whole).into_owned(),
                in_query,
                has_path_as_sent: path == received.path().raw(),
                has_query_as_sent: query == sent && *query != *forms::sorted(sent),
                not_taken: if is_first {
                    not_taken.clone()
                } else {
                    Vec::new()
                },
            };
            all.push(Form {
                text: whole,
                offer: Some(Box::new(offer)),
            });
        }
    }
    let mut all = all.into_iter();
    let Form { text, offer } = all.next().unwrap_or_default();
    let credential = presented.credential.clone().into_owned();
    let time = presented.time.text.clone().into_owned();
    Ok(Sample {
        scheme: Scheme::AwsSigv4,
        key_id: credential.key_id().to_owned().into(),
        text,
        signature: presented.signature.to_vec().into(),
        offer,
        also: all.collect(),
        by: Some(Box::new(
            move |key: &VerifyingKey, texts: &[&[u8]], signature: &[u8]| {
                let day = keys_of(Some(key)).derive(credential.scope());
                texts.iter().fold(false, |any, canonical| {
                    let text = text::string_to_sign(&time, credential.scope_text(), &[*canonical]);
                    any | day.sign(&text).is(signature)
                })
            },
        )),
    })
}

/// Path and query in every form that signers give them and that is not `taken`.
fn not_taken(received: &Received<'_>, in_query: bool, taken: &Forms<'_>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for path in [SignedPath::EncodedAgain, SignedPath::AsSent] {
        let settings = SigV4 {
            path,
            plus_is_space: true,
            ..SigV4::default()
        };
        for form in Forms::of(received, in_query, &settings).all() {
            if taken.all().all(|one| one != form) {
                all.push((form.0.to_owned(), form.1.to_owned()));
            }
        }
    }
    all
}

/// A canonical request, and what it was made of.
struct Text<'r> {
    received: &'r Received<'r>,
    ours: String,
    in_query: bool,
    has_path_as_sent: bool,
    /// And not sorted.
    has_query_as_sent: bool,
    /// Path and query in other forms.
    not_taken: Vec<(String, String)>,
}

impl Offer for Text<'_> {
    fn under(&self, change: &Change<'_>) -> String {
        let mut lines = self.ours.splitn(4, '\n');
        let (_, path, query) = (lines.next(), lines.next(), lines.next());
        let rest = lines.next().unwrap_or_default();
        let method = change.method(self.received, Case::Upper);
        let path = match &change.path {
            None => Cow::Borrowed(path.unwrap_or_default()),
            Some(path) if self.has_path_as_sent => Cow::Borrowed(&**path),
            Some(path) => forms::encoded_again(path),
        };
        let query = match &change.query {
            // That of a presigned URL holds its proof too.
            Some(query) if !self.in_query => {
                let query = query.as_deref().unwrap_or_default();
                if self.has_query_as_sent {
                    Cow::Borrowed(query)
                } else {
                    forms::sorted(query)
                }
            }
            _ => Cow::Borrowed(query.unwrap_or_default()),
        };
        let host = host_as_signed(self.received);
        let (right, taken) = (format!("host:{host}\n"), change.authority(host));
        let rest = match rest.find(&right) {
            Some(at) if at == 0 || rest.as_bytes().get(at - 1) == Some(&b'\n') => {
                rest.replacen(&right, &format!("host:{taken}\n"), 1)
            }
            _ => rest.to_owned(),
        };
        format!("{method}\n{path}\n{query}\n{rest}")
    }

    fn own(&self) -> Vec<(Mistake, String)> {
        let mut parts = self.ours.splitn(4, '\n');
        let (Some(method), Some(fields)) = (parts.next(), parts.nth(2)) else {
            return Vec::new();
        };
        let Some((_, payload)) = fields.rsplit_once('\n') else {
            return Vec::new();
        };
        let front = self.ours.strip_suffix(payload).unwrap_or_default();
        let with = |payload: &str| format!("{front}{payload}");
        let mut all = vec![
            (Mistake::BodyUnsigned, with(UNSIGNED_PAYLOAD)),
            (Mistake::BodyAsEmpty, with(EMPTY_SHA256)),
            (
                Mistake::BodyHashInUpper,
                with(&payload.to_ascii_uppercase()),
            ),
        ];
        if let Ok(hash) = HEXLOWER.decode(payload.as_bytes()) {
            all.push((Mistake::BodyHashInBase64, with(&BASE64.encode(&hash))));
        }
        if let Some(hash) = self.received.body_hash() {
            all.push((Mistake::BodyHashDiffers, with(&HEXLOWER.encode(&hash))));
        }
        for (path, query) in &self.not_taken {
            let text = format!("{method}\n{path}\n{query}\n{fields}");
            all.push((Mistake::FormNotTaken, text));
        }
        all
    }
}
