//! The proof, read strictly: in `Authorization`, or in the query.

use super::credential::{Credential, SignedFields};
use super::payload::{LIKE_A_HASH, Payload, hex256, payload};
use super::{ALGORITHM, UNSIGNED_PAYLOAD};
use crate::apps::Scheme;
use crate::route::{Accept, Route};
use crate::schemes::Refused;
use crate::schemes::date;
use crate::schemes::received::{Field, Received};
use crate::schemes::words::{halves, words};
use http::HeaderValue;
use memchr::memmem;
use std::borrow::Cow;

/// Bytes that `Authorization` may have.
pub const MAX_FIELD: usize = 8 * 1024;
/// Parameters that the query of a request may have: they are sorted.
pub const MAX_PARAMETERS: usize = 256;
/// What every proof in `Authorization` of this family begins with.
const FRONT: &[u8] = b"AWS4-";
/// What the query of a presigned URL has for certain.
const SIGNATURE: &str = "X-Amz-Signature";
const CREDENTIAL: &str = "X-Amz-Credential";
/// What stands before each name where a URL was copied out of HTML as it is written there.
const AMP: &str = "amp;";

/// The signature that a request shows.
#[derive(Debug)]
pub struct Presented<'r> {
    /// Whether the query holds it: a presigned URL.
    pub in_query: bool,
    /// Key id and scope.
    pub credential: Credential<'r>,
    /// The fields that are signed.
    pub signed: SignedFields<'r>,
    /// The signature's bytes.
    pub signature: [u8; 32],
    /// When it was made.
    pub time: Time<'r>,
    /// `X-Amz-Expires`, of a presigned URL.
    pub expires: Option<u32>,
    /// What is signed of the body.
    pub payload: Payload<'r>,
}

/// A moment, as it is signed and as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time<'r> {
    /// `20150830T123600Z`.
    pub text: Cow<'r, str>,
    /// Unix seconds.
    pub seconds: i64,
}

/// Whether `value`, of `Authorization`, is a proof of this scheme.
pub fn is_proof(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split_at_checked(FRONT.len())
        .is_some_and(|(front, _)| front.eq_ignore_ascii_case(FRONT))
}

/// Whether `query` is that of a presigned URL.
pub fn is_presigned(query: &str) -> bool {
    // One look for what most queries do not have.
    memmem::find(query.as_bytes(), b"X-Amz-").is_some()
        && pairs(query).any(|(name, _)| {
            let plain = name.strip_prefix(AMP).unwrap_or(name);
            matches!(plain, SIGNATURE | CREDENTIAL)
        })
}

/// Names and values as they stand in a query; a name without `=` has an empty value.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    words(query, b'&').map(|pair| halves(pair, b'=').unwrap_or((pair, "")))
}

impl<'r> Presented<'r> {
    /// The signature that `received` shows; `None` where it shows none, or
    /// where `route` does not accept the scheme: it may be meant for the upstream.
    ///
    /// # Errors
    /// [`Refused::Malformed`] says what cannot be read.
    pub fn read(received: &Received<'r>, route: &Route) -> Result<Option<Self>, Refused> {
        let is_accepted = match route.accept {
            Accept::Proven(accepted) => accepted.contains(Scheme::AwsSigv4),
            Accept::Public => false,
        };
        if !is_accepted {
            return Ok(None);
        }
        let field = received.first(Field::Authorization);
        let field = field.filter(|value| is_proof(value));
        let query = received.query().filter(|query| is_presigned(query));
        let presented = match (field, query) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                Err("`Authorization` and the query both hold a signature; send one".to_owned())
            }
            (Some(value), None) => {
                Self::of_field(value, received).map_err(|why| format!("`Authorization`: {why}"))
            }
            (None, Some(query)) => {
                Self::of_query(query).map_err(|why| format!("the presigned URL: {why}"))
            }
        };
        let mut presented = presented.map_err(Refused::Malformed)?;
        let count = received.query().map_or(0, |query| {
            memchr::memchr_iter(b'&', query.as_bytes()).count()
        });
        if count >= MAX_PARAMETERS {
            return Err(Refused::Malformed(format!(
                "the query has more than {MAX_PARAMETERS} parameters, which are sorted to be signed"
            )));
        }
        if let Some(payload) = payload(received).map_err(Refused::Malformed)? {
            presented.payload = payload;
        }
        Ok(Some(presented))
    }

    fn of_field(value: &'r HeaderValue, received: &Received<'r>) -> Result<Self, String> {
        if value.len() > MAX_FIELD {
            return Err(format!("it has more than {MAX_FIELD} bytes"));
        }
        let text = value
            .to_str()
            .map_err(|_| "it holds a byte outside ASCII".to_owned())?;
        let (algorithm, text) = halves(text, b' ').unwrap_or((text, ""));
        check_algorithm(algorithm)?;
        let [credential, signed, signature] =
            parameters(text, ["Credential", "SignedHeaders", "Signature"])?;
        Ok(Self {
            in_query: false,
            credential: Credential::read(Cow::Borrowed(credential))?,
            signed: SignedFields::read(Cow::Borrowed(signed))?,
            signature: read_signature(signature)?,
            time: time_of(received)?,
            expires: None,
            payload: Payload::NotTold,
        })
    }

    fn of_query(query: &'r str) -> Result<Self, String> {
        const NAMES: [&str; 7] = [
            "X-Amz-Algorithm",
            CREDENTIAL,
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-SignedHeaders",
            SIGNATURE,
            "X-Amz-Content-Sha256",
        ];
        let mut values: [Option<&str>; 7] = [None; 7];
        for (name, value) in pairs(query) {
            // Signed as any other spelling of it is, and read by nobody.
            let is_respelled =
                name.contains('%') && decoded(name).is_some_and(|name| name.starts_with("X-Amz-"));
            if is_respelled {
                return Err(format!("`{}` is a name with escapes", cut(name)));
            }
            if let Some(plain) = name.strip_prefix(AMP)
                && plain.starts_with("X-Amz-")
            {
                return Err(format!(
                    "`&amp;` stands before `{}`, as in HTML: write `&` alone between parameters",
                    cut(plain)
                ));
            }
            if !name.starts_with("X-Amz-") {
                continue;
            }
            let slots = NAMES.into_iter().zip(&mut values);
            for (name, slot) in slots.filter(|(known, _)| *known == name) {
                if slot.replace(value).is_some() {
                    return Err(format!("`{name}` is there twice"));
                }
            }
        }
        let [
            algorithm,
            credential,
            date,
            expires,
            signed,
            signature,
            hash,
        ] = values;
        let needed = |value: Option<&'r str>, name: &str| {
            let value = value.filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| format!("`{name}` is needed"))?;
            decoded(value).ok_or_else(|| format!("`{name}` has a bad escape"))
        };
        check_algorithm(&needed(algorithm, "X-Amz-Algorithm")?)?;
        let date = needed(date, "X-Amz-Date")?;
        Ok(Self {
            in_query: true,
            credential: Credential::read(needed(credential, CREDENTIAL)?)?,
            signed: SignedFields::read(needed(signed, "X-Amz-SignedHeaders")?)?,
            signature: read_signature(&needed(signature, SIGNATURE)?)?,
            time: Time::read(date).ok_or_else(|| format!("`X-Amz-Date` {LIKE_A_MOMENT}"))?,
            expires: expires.map(read_expires).transpose()?,
            payload: match hash {
                None => Payload::NotTold,
                Some(UNSIGNED_PAYLOAD) => Payload::Unsigned,
                Some(hash) => Payload::hash(hash)
                    .ok_or_else(|| format!("`X-Amz-Content-Sha256` {LIKE_A_HASH}"))?,
            },
        })
    }

    /// The key id: claimed, not proven.
    pub fn claimed_key(&self) -> &str {
        self.credential.key_id()
    }
}

const LIKE_A_MOMENT: &str = "is not a moment like `20150830T123600Z`";

impl<'r> Time<'r> {
    fn read(text: Cow<'r, str>) -> Option<Self> {
        Some(Self {
            seconds: date::read_basic(&text)?,
            text,
        })
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), String> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(format!(
        "`{}` is not accepted; `{ALGORITHM}` is",
        cut(algorithm)
    ))
}

/// So much of a stranger's text as a message holds.
pub(super) fn cut(text: &str) -> &str {
    text.get(..40).unwrap_or(text)
}

fn read_signature(text: &str) -> Result<[u8; 32], String> {
    hex256(text).ok_or_else(|| "`Signature` is not 64 hexadecimal digits in lower case".to_owned())
}

fn read_expires(text: &str) -> Result<u32, String> {
    let is_number = (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds
        .filter(|_| is_number)
        .ok_or_else(|| "`X-Amz-Expires` is not a number of seconds, from 1 to 604800".to_owned())
}

/// `X-Amz-Date`, or else `Date`.
fn time_of<'r>(received: &Received<'r>) -> Result<Time<'r>, String> {
    if let Some(value) = received.first(Field::XAmzDate) {
        let time = value.to_str().ok().map(Cow::Borrowed);
        let time = time.and_then(Time::read);
        return time.ok_or_else(|| format!("`X-Amz-Date` {LIKE_A_MOMENT}"));
    }
    let Some(text) = received
        .first(Field::Date)
        .and_then(|value| value.to_str().ok())
    else {
        return Err("it needs `X-Amz-Date`, signed".to_owned());
    };
    let seconds = date::read_basic(text).or_else(|| date::read(text.as_bytes()));
    let seconds = seconds
        .ok_or_else(|| "`Date` is not a date like `Sun, 06 Nov 1994 08:49:37 GMT`".to_owned())?;
    Ok(Time {
        text: date::write_basic(seconds).into(),
        seconds,
    })
}

/// The values of `names`, of `name=value, name=value`: each once, and no other.
fn parameters<'r>(text: &'r str, names: [&str; 3]) -> Result<[&'r str; 3], String> {
    let mut values: [Option<&str>; 3] = [None; 3];
    let mut rest = Some(text);
    // What is behind the last of them is a part of no value.
    for number in 0..=names.len() {
        let Some(text) = rest else {
            break;
        };
        let both = halves(text, b',').filter(|_| number < names.len());
        let (part, more) = both.map_or((text, None), |(part, more)| (part, Some(more)));
        rest = more;
        let part = part.trim_matches([' ', '\t']);
        let (name, value) = halves(part, b'=')
            .ok_or_else(|| format!("`{}` is not like `NAME=VALUE`", cut(part)))?;
        let slot = names.iter().position(|known| *known == name);
        let slot = slot
            .and_then(|at| values.get_mut(at))
            .ok_or_else(|| format!("`{}` is not known", cut(name)))?;
        if slot.replace(value).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
    }
    let mut all = [""; 3];
    for ((value, slot), name) in values.into_iter().zip(&mut all).zip(names) {
        *slot = value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("`{name}` is needed"))?;
    }
    Ok(all)
}

/// `text` without percent-encoding; `None` where that is broken or is not ASCII.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = super::forms::decoded(text)?;
    let text = String::from_utf8(bytes).ok()?;
    text.bytes()
        .all(|byte| matches!(byte, 0x20..0x7f))
        .then_some(Cow::Owned(text))
}
