//! What a request says of its body: a hash, or a word in place of one.

use super::read::cut;
use super::{UNSIGNED_PAYLOAD, X_AMZ_CONTENT_SHA256, X_AMZ_DECODED_LENGTH, X_AMZ_TRAILER};
use crate::crypto::checksum::Checksum;
use crate::schemes::received::Received;
use data_encoding::HEXLOWER;
use http::HeaderName;
use std::borrow::Cow;
use std::iter;

pub(super) const LIKE_A_HASH: &str =
    "is neither 64 hexadecimal digits in lower case nor a word that is known";

/// What is signed of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'r> {
    /// Its hash, as it is told: 64 hexadecimal digits.
    Hash(&'r str, [u8; 32]),
    /// Its hash, which is not told.
    NotTold,
    /// Nothing.
    Unsigned,
    /// Each of its pieces, or what comes behind it.
    Chunked(Chunked<'r>),
}

/// A body in pieces, each with a head of its own (`aws-chunked`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunked<'r> {
    /// The word in place of the hash.
    pub word: &'r str,
    /// Whether each piece has a signature.
    pub is_signed: bool,
    /// The checksum that comes behind it, where fields do.
    pub trailer: Option<Trailer>,
    /// How long it is without the heads.
    pub length: u64,
}

/// What comes behind a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// A checksum.
    Checksum(Checksum),
    /// Fields that no one has announced; they are signed.
    Any,
}

impl<'r> Payload<'r> {
    /// What `text` says of a body without pieces, if it is a hash.
    pub(super) fn hash(text: &'r str) -> Option<Self> {
        Some(Self::Hash(text, hex256(text)?))
    }
}

/// The 32 bytes of 64 hexadecimal digits, lower case.
pub(super) fn hex256(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 2 * out.len() {
        return None;
    }
    HEXLOWER.decode_mut(text.as_bytes(), &mut out).ok()?;
    Some(out)
}

/// What may stand for the body in the last line of a canonical request: one word, or two where signers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payloads<'p> {
    first: Cow<'p, str>,
    second: Option<&'static str>,
    lacks_hash: bool,
}

impl<'p> Payloads<'p> {
    pub(super) const fn new(first: Cow<'p, str>, second: Option<&'static str>) -> Self {
        Self {
            first,
            second,
            lacks_hash: false,
        }
    }

    /// That of an unsigned body, as long as the other, the hash of a signed one, is not known.
    pub(super) const fn without_hash() -> Self {
        Self {
            first: Cow::Borrowed(UNSIGNED_PAYLOAD),
            second: None,
            lacks_hash: true,
        }
    }

    /// Whether the body's hash may stand there too, and is not known.
    pub(super) const fn lacks_hash(&self) -> bool {
        self.lacks_hash
    }

    /// The likeliest.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// The least likely.
    pub fn last(&self) -> &str {
        self.second.unwrap_or(&self.first)
    }

    /// Each.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        iter::once(&*self.first).chain(self.second)
    }
}

/// What the fields say of the body; `None` where they say nothing.
pub(super) fn payload<'r>(received: &Received<'r>) -> Result<Option<Payload<'r>>, String> {
    let Some(word) = single(received, &X_AMZ_CONTENT_SHA256)? else {
        return Ok(None);
    };
    let chunked = |is_signed, trailer| {
        let length = single(received, &X_AMZ_DECODED_LENGTH)?;
        let length = length
            .filter(|text| (1..=15).contains(&text.len()))
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| {
                format!("`{word}` needs `X-Amz-Decoded-Content-Length`, a number of bytes")
            })?;
        Ok(Some(Payload::Chunked(Chunked {
            word,
            is_signed,
            trailer,
            length,
        })))
    };
    match word {
        UNSIGNED_PAYLOAD => Ok(Some(Payload::Unsigned)),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => chunked(true, None),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
            chunked(true, Some(trailer(received)?.unwrap_or(Trailer::Any)))
        }
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => {
            let Some(trailer @ Trailer::Checksum(_)) = trailer(received)? else {
                return Err(unchecked(word, single(received, &X_AMZ_TRAILER)?));
            };
            chunked(false, Some(trailer))
        }
        hash => Payload::hash(hash)
            .map(Some)
            .ok_or_else(|| format!("`X-Amz-Content-Sha256: {}` {LIKE_A_HASH}", cut(hash))),
    }
}

/// What `X-Amz-Trailer` announces: a checksum, if it is one that we know.
fn trailer(received: &Received<'_>) -> Result<Option<Trailer>, String> {
    let Some(names) = single(received, &X_AMZ_TRAILER)? else {
        return Ok(None);
    };
    let mut sums = names.split(',').map(str::trim).filter_map(|name| {
        let known = Checksum::ALL.into_iter();
        known
            .clone()
            .find(|kind| kind.field().eq_ignore_ascii_case(name))
    });
    match (sums.next(), sums.next()) {
        (Some(_), Some(_)) => Err("`X-Amz-Trailer` announces two checksums".to_owned()),
        (Some(sum), None) => Ok(Some(Trailer::Checksum(sum))),
        (None, _) => Ok(Some(Trailer::Any)),
    }
}

/// What is wrong where nothing that is announced could show whether an unsigned body is whole.
fn unchecked(word: &str, announced: Option<&str>) -> String {
    let found = match announced {
        Some(names) => {
            let names = cut(names);
            format!("`X-Amz-Trailer: {names}` names no checksum that is checked here")
        }
        None => format!("`{word}` needs `X-Amz-Trailer`, which names the checksum behind the body"),
    };
    let usual = Checksum::Crc32.field();
    format!("{found}: `{usual}`, or of `crc32c`, `crc64nvme`, `sha1`, `sha256`, `sha512`")
}

/// The one value of a field.
fn single<'r>(received: &Received<'r>, name: &HeaderName) -> Result<Option<&'r str>, String> {
    let mut lines = received.lines(name.as_str());
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(format!("the field `{name}` is there more than once"));
    }
    let text = line.to_str().map(str::trim);
    text.map(Some)
        .map_err(|_| format!("the field `{name}` holds a byte outside ASCII"))
}
