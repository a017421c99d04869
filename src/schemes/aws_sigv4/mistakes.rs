//! What callers sign by mistake, for the doctor: the canonical request with one thing in it as they take it.

use super::forms::{self, Forms};
use super::read::Presented;
use super::verify::{keys_of, payloads};
use super::{EMPTY_SHA256, UNSIGNED_PAYLOAD, text};
use crate::apps::Scheme;
use crate::crypto::VerifyingKey;
use crate::route::{SigV4, SignedPath};
use crate::schemes::doctor::{Case, Change, Mistake, Offer, Sample};
use crate::schemes::received::Received;
use crate::schemes::signed::host_as_signed;
use data_encoding::{BASE64, HEXLOWER};
use std::borrow::Cow;

/// The service whose callers sign paths as they are sent.
const S3: &str = "s3";

/// The signature, if it has a text: the first of its forms.
pub fn sample<'r>(presented: &Presented<'r>, received: &'r Received<'r>) -> Option<Sample<'r>> {
    let mut out = Vec::new();
    let forms = Forms::of(received, presented.in_query, &SigV4::default());
    let (path, query) = forms.all().next()?;
    text::write_front(&mut out, received, path, query);
    text::write_fields(&mut out, received, &presented.signed).ok()?;
    let payloads = payloads(presented, received, false).ok()?;
    out.extend_from_slice(payloads.first().as_bytes());
    Some(sample_of(presented, received, out))
}

/// The signature, with this canonical request.
pub fn sample_of<'r>(
    presented: &Presented<'_>,
    received: &'r Received<'r>,
    text: Vec<u8>,
) -> Sample<'r> {
    let credential = presented.credential.clone().into_owned();
    let time = presented.time.text.clone().into_owned();
    let offer = Text {
        received,
        ours: String::from_utf8_lossy(&text).into_owned(),
        in_query: presented.in_query,
        is_as_sent: credential.scope().service == S3,
    };
    Sample {
        scheme: Scheme::AwsSigv4,
        key_id: credential.key_id().to_owned().into(),
        text,
        signature: presented.signature.to_vec().into(),
        offer: Some(Box::new(offer)),
        by: Some(Box::new(move |key: &VerifyingKey, canonical, signature| {
            let day = keys_of(Some(key)).derive(credential.scope());
            let text = text::string_to_sign(&time, credential.scope_text(), &[canonical]);
            day.sign(&text).is(signature)
        })),
    }
}

/// A canonical request, and what it was made of.
struct Text<'r> {
    received: &'r Received<'r>,
    ours: String,
    in_query: bool,
    is_as_sent: bool,
}

impl Offer for Text<'_> {
    fn under(&self, change: &Change<'_>) -> String {
        let mut lines = self.ours.splitn(4, '\n');
        let (_, path, query) = (lines.next(), lines.next(), lines.next());
        let rest = lines.next().unwrap_or_default();
        let method = change.method(self.received, Case::Upper);
        let path = match &change.path {
            None => Cow::Borrowed(path.unwrap_or_default()),
            Some(path) if self.is_as_sent => Cow::Borrowed(&**path),
            Some(path) => forms::encoded_again(path),
        };
        let query = match &change.query {
            // That of a presigned URL holds its proof too.
            Some(query) if !self.in_query => {
                forms::sorted(query.as_deref().unwrap_or_default()).into_owned()
            }
            _ => query.unwrap_or_default().to_owned(),
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
        // Under any form that is known, be it one that the route does not take.
        let anything = SigV4 {
            path: SignedPath::Any,
            plus_is_space: true,
            ..SigV4::default()
        };
        let forms = Forms::of(self.received, self.in_query, &anything);
        for (path, query) in forms.all() {
            let text = format!("{method}\n{path}\n{query}\n{fields}");
            all.push((Mistake::FormNotTaken, text));
        }
        all
    }
}
