//! What callers sign by mistake, for the doctor: the canonical request with one thing in it as they take it.

use super::forms::{self, Forms, MAX_TRIED};
use super::read::Presented;
use super::verify::{keys_of, payloads};
use super::{ALGORITHM, EMPTY_SHA256, UNSIGNED_PAYLOAD, X_AMZ_DATE, text};
use crate::apps::Scheme;
use crate::crypto::VerifyingKey;
use crate::route::{Part, Route, SigV4, SignedPath};
use crate::schemes::doctor::change::capitalized;
use crate::schemes::doctor::{Case, Change, Form, Mistake, Offer, Sample};
use crate::schemes::received::Received;
use crate::schemes::signed::host_as_signed;
use crate::schemes::{Refused, date};
use data_encoding::{BASE64, HEXLOWER};
use std::borrow::Cow;

/// Seconds between two looks at a clock. In each form that a route takes there are fewer tries than elsewhere.
const APART: [i64; 2] = [-1, 1];

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
    let credential = presented.credential.clone().into_owned();
    let time = presented.time.text.clone().into_owned();
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
                scope: credential.scope_text().to_owned(),
                time: presented.time.seconds,
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
    Ok(Sample {
        scheme: Scheme::AwsSigv4,
        key_id: credential.key_id().to_owned().into(),
        text,
        signature: presented.signature.to_vec().into(),
        offer,
        also: all.collect(),
        meant: None,
        by: Some(Box::new(
            move |key: &VerifyingKey, texts: &[&[u8]], signature: &[u8]| {
                let day = keys_of(Some(key)).derive(credential.scope());
                texts.iter().fold(false, |any, text| {
                    let of_hash = || text::string_to_sign(&time, credential.scope_text(), &[*text]);
                    let text = if is_to_sign(text) {
                        Cow::Borrowed(*text)
                    } else {
                        of_hash().into()
                    };
                    any | day.sign(&text).is(signature)
                })
            },
        )),
    })
}

/// Whether `text` is a string to sign by itself, and no canonical request whose hash one holds.
fn is_to_sign(text: &[u8]) -> bool {
    let behind = text.strip_prefix(ALGORITHM.as_bytes());
    behind.is_some_and(|rest| rest.starts_with(b"\n"))
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
    /// What stands behind the time in the string to sign.
    scope: String,
    /// When it was signed, Unix seconds.
    time: i64,
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
        let (Some(method), Some(path), Some(query), Some(fields)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
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
        self.at_other_times(&mut all);
        let marked = format!("{method}\n{path}\n?{query}\n{fields}");
        all.push((Mistake::QuestionMarkSigned, marked));
        if let Some((lines, list)) = fields.split_once("\n\n") {
            let front = format!("{method}\n{path}\n{query}\n");
            all.push((Mistake::EmptyLineMissing, format!("{front}{lines}\n{list}")));
            if query.is_empty() {
                let front = format!("{method}\n{path}\n");
                all.push((Mistake::EmptyLineMissing, format!("{front}{fields}")));
                all.push((Mistake::EmptyLineMissing, format!("{front}{lines}\n{list}")));
            }
            let lines = in_upper(lines, "\n");
            all.push((Mistake::NamesInUpper, format!("{front}{lines}\n\n{list}")));
            let names = list.strip_suffix(payload).unwrap_or_default();
            let list = format!("{}{payload}", in_upper(names, ";"));
            all.push((Mistake::NamesInUpper, format!("{front}{lines}\n\n{list}")));
        }
        for (path, query) in &self.not_taken {
            let text = format!("{method}\n{path}\n{query}\n{fields}");
            all.push((Mistake::FormNotTaken, text));
        }
        all
    }
}

impl Text<'_> {
    /// The strings to sign of callers that look at the clock twice: for all that is signed and then for what is sent,
    /// or for this text alone.
    fn at_other_times(&self, all: &mut Vec<(Mistake, String)>) {
        let line = |time: &str| format!("\n{X_AMZ_DATE}:{time}\n");
        let sent = line(&date::write_basic(self.time));
        for apart in APART {
            let time = date::write_basic(self.time.saturating_add(apart));
            for canonical in [&self.ours.replacen(&sent, &line(&time), 1), &self.ours] {
                let text = text::string_to_sign(&time, &self.scope, &[canonical.as_bytes()]);
                let text = String::from_utf8_lossy(&text).into_owned();
                all.push((Mistake::ClockTwice, text));
            }
        }
    }
}

/// `names`, each with what stands behind it up to the next `end`, as many write them: `content-type` as `Content-Type`.
fn in_upper(names: &str, end: &str) -> String {
    let each = names.split(end).map(|name| match name.split_once(':') {
        Some((name, value)) => format!("{}:{value}", capitalized(name)),
        None => capitalized(name),
    });
    let each: Vec<String> = each.collect();
    each.join(end)
}
