//! What senders sign by mistake, for the doctor: another text before the body, or another body.

use super::read::{Message, Presented};
use crate::apps::{Key, Scheme};
use crate::crypto::VerifyingKey;
use crate::crypto::digest::sha256;
use crate::route::Sender;
use crate::schemes::doctor::{Change, Mistake, Offer, Sample};
use crate::schemes::received::Received;
use data_encoding::HEXLOWER;
use std::borrow::Cow;
use std::sync::Arc;

/// Signs that stand between the parts of a text where another belongs.
const SEPARATORS: [&str; 9] = [".", ":", "", "\n", "|", ",", "-", " ", "&"];

/// The webhook under each of the `keys` that may have signed it; nothing while its body is not read, or where it is
/// longer than the `longest` of which something is told.
pub fn samples<'r>(
    presented: &Presented<'r>,
    received: &Received<'r>,
    keys: &'r [Arc<Key>],
    longest: usize,
) -> Vec<Sample<'r>> {
    let body = match received.body() {
        Some(body) => body,
        None if received.has_body() => return Vec::new(),
        None => b"",
    };
    // Each key would have a copy.
    if body.len() > longest {
        return Vec::new();
    }
    let one = |key: &'r Arc<Key>| sample(presented, body, Cow::Borrowed(&*key.id));
    keys.iter().take(super::verify::MAX_KEYS).map(one).collect()
}

/// The webhook with this body, as one that the key of that id has signed.
fn sample<'r>(presented: &Presented<'r>, body: &'r [u8], key_id: Cow<'r, str>) -> Sample<'r> {
    let Message {
        id,
        time,
        front,
        macs,
        pairs,
    } = presented.message.clone();
    let text = [front.as_bytes(), body].concat();
    let offer = Text {
        sender: presented.sender,
        id: id.unwrap_or_default(),
        time: time.map(|time| time.to_string()).unwrap_or_default(),
        front,
        body: String::from_utf8_lossy(body),
    };
    let first = macs.first().or(pairs.first());
    Sample {
        scheme: Scheme::Webhook,
        key_id,
        text,
        signature: first.cloned().unwrap_or_default().into(),
        offer: Some(Box::new(offer)),
        also: Vec::new(),
        meant: None,
        // Any of them is enough, as where it is verified.
        by: Some(Box::new(
            move |key: &VerifyingKey, texts: &[&[u8]], _: &[u8]| {
                let tried = match key {
                    VerifyingKey::Mac(_) => &macs,
                    VerifyingKey::Public(_) => &pairs,
                };
                let all = texts
                    .iter()
                    .flat_map(|text| tried.iter().map(move |one| (text, one)));
                all.fold(false, |any, (text, one)| {
                    any | key.verify(text, one).is_some()
                })
            },
        )),
    }
}

/// What a webhook's text is made of.
struct Text<'r> {
    sender: Sender,
    id: &'r str,
    time: String,
    front: String,
    body: Cow<'r, str>,
}

impl Offer for Text<'_> {
    /// Nothing of the request but its body stands in it.
    fn under(&self, _: &Change<'_>) -> String {
        format!("{}{}", self.front, self.body)
    }

    fn own(&self) -> Vec<(Mistake, String)> {
        let mut all = Vec::with_capacity(32);
        self.fronts(&mut all);
        for (mistake, body) in bodies(&self.body) {
            all.push((mistake, format!("{}{body}", self.front)));
        }
        all
    }
}

impl Text<'_> {
    fn fronts(&self, all: &mut Vec<(Mistake, String)>) {
        let Self { id, time, body, .. } = self;
        let mut push = |mistake, text: String| all.push((mistake, text));
        // The sign that each one has is among them, and makes the right text: that one is passed over.
        match self.sender {
            Sender::Github => return,
            Sender::StandardWebhooks => {
                push(Mistake::IdMissing, format!("{time}.{body}"));
                push(Mistake::TimeMissing, format!("{id}.{body}"));
                push(Mistake::FrontInOtherOrder, format!("{time}.{id}.{body}"));
                for sign in SEPARATORS {
                    push(Mistake::Separator, format!("{id}{sign}{time}{sign}{body}"));
                    push(Mistake::Separator, format!("{id}.{time}{sign}{body}"));
                }
            }
            Sender::Stripe => {
                push(Mistake::Separator, format!("t={time}.{body}"));
                for sign in SEPARATORS {
                    push(Mistake::Separator, format!("{time}{sign}{body}"));
                }
            }
            Sender::Slack => {
                push(Mistake::VersionMissing, format!("{time}:{body}"));
                for sign in SEPARATORS {
                    push(Mistake::Separator, format!("v0{sign}{time}{sign}{body}"));
                }
                push(Mistake::Separator, format!("v0={time}:{body}"));
            }
        }
        push(Mistake::BodyAlone, body.to_string());
    }
}

/// What is signed in the place of a body.
fn bodies(body: &str) -> Vec<(Mistake, String)> {
    let hash = HEXLOWER.encode(&sha256(&[body.as_bytes()]));
    let mut all = vec![
        (Mistake::BodyMissing, String::new()),
        (Mistake::BodyAsObject, "[object Object]".to_owned()),
        (Mistake::BodyAsObject, format!("b'{body}'")),
        (Mistake::BodyAsObject, "undefined".to_owned()),
        (Mistake::BodyHashed, hash),
    ];
    let other = |spaced| (Mistake::BodyWrittenAnew, written_anew(body, spaced));
    all.extend([other(false), other(true)]);
    all
}

/// JSON with no white space between its parts, or with one space behind `,` and `:`, as Python has it.
fn written_anew(json: &str, spaced: bool) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    let (mut in_text, mut escaped) = (false, false);
    for c in json.chars() {
        if in_text {
            out.push(c);
            (in_text, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        if !c.is_ascii_whitespace() {
            out.push(c);
            in_text = c == '"';
            if spaced && matches!(c, ',' | ':') {
                out.push(' ');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_anew_outside_of_its_texts() {
        let json = "{ \"a, b\":\n [1,2 ,\"\\\" : x\"] }\n";
        assert_eq!(written_anew(json, false), "{\"a, b\":[1,2,\"\\\" : x\"]}");
        assert_eq!(written_anew(json, true), "{\"a, b\": [1, 2, \"\\\" : x\"]}");
        assert_eq!(written_anew("", true), "");
    }
}
