//! The digest of a body, whole or while it streams (`Content-Digest`, RFC 9530).

use super::aws_sigv4::chunked::Chunks;
use crate::crypto::{DigestAlgorithm, Hasher};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName};
use sfv::{Dictionary, ListEntry, Parser};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The field's name.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// Bytes a digest field may have.
pub const MAX_FIELD: usize = 8 * 1024;

/// What a caller proved of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyProof {
    /// That there is none.
    Empty,
    /// Its digests: every one must match.
    Digests(Digests),
    /// Each of its pieces, or what comes behind them.
    Chunked(Arc<Chunks>),
    /// Nothing: a token, a public route, or a waiver.
    Unproven,
}

/// The digests that a `Content-Digest` names, of algorithms we accept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests(Vec<(DigestAlgorithm, Vec<u8>)>);

/// Why a `Content-Digest` cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDigest {
    /// No dictionary of byte sequences, or over a bound.
    #[error("`Content-Digest` is not like `sha-256=:BASE64:`")]
    Malformed,
    /// Of a length that its algorithm does not have.
    #[error(
        "`Content-Digest`: `{}` has {} bytes, and this has {found}; base64 of the bytes is accepted, not of their hexadecimal digits",
        algorithm.name(), algorithm.size()
    )]
    Length {
        /// The algorithm that is named.
        algorithm: DigestAlgorithm,
        /// Bytes that were found.
        found: usize,
    },
    /// No member of an algorithm that is still safe.
    #[error("`Content-Digest` has neither `sha-256` nor `sha-512`")]
    NoneKnown,
}

/// The body is not the one whose digest was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body does not match its digest")]
pub struct Mismatch;

/// A body's digests in the making.
#[derive(Debug)]
pub struct BodyCheck(Vec<(Hasher, Vec<u8>)>);

impl Digests {
    /// Reads `Content-Digest`; `None` when there is none.
    ///
    /// # Errors
    /// [`BadDigest`] when it is there and cannot be used.
    pub fn read(fields: &HeaderMap) -> Result<Option<Self>, BadDigest> {
        let mut lines = fields.get_all(CONTENT_DIGEST).iter();
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        if lines.next().is_some() || line.len() > MAX_FIELD {
            return Err(BadDigest::Malformed);
        }
        if let Some(digest) = one_sha256(line.as_bytes()) {
            return Ok(Some(Self(vec![(DigestAlgorithm::Sha256, digest)])));
        }
        let dictionary: Dictionary = Parser::new(line.as_bytes())
            .parse()
            .map_err(|_| BadDigest::Malformed)?;
        let mut digests = Vec::with_capacity(1);
        for (name, member) in &dictionary {
            let ListEntry::Item(item) = member else {
                return Err(BadDigest::Malformed);
            };
            let bytes = item
                .bare_item
                .as_byte_sequence()
                .ok_or(BadDigest::Malformed)?;
            if let Some(algorithm) = DigestAlgorithm::from_name(name.as_str()) {
                if bytes.len() != algorithm.size() {
                    return Err(BadDigest::Length {
                        algorithm,
                        found: bytes.len(),
                    });
                }
                digests.push((algorithm, bytes.to_vec()));
            }
        }
        if digests.is_empty() {
            return Err(BadDigest::NoneKnown);
        }
        Ok(Some(Self(digests)))
    }

    /// These and those of `other`: every one must match.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The `Content-Digest` of `body`, SHA-256.
    pub fn field_of(body: &[u8]) -> String {
        let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
        hasher.update(body);
        format!("sha-256=:{}:", BASE64.encode(&hasher.finish()))
    }
}

/// What nearly all callers send, `sha-256=:BASE64:`, without the general parser.
fn one_sha256(line: &[u8]) -> Option<Vec<u8>> {
    let text = line.strip_prefix(b"sha-256=:")?.strip_suffix(b":")?;
    let digest = BASE64.decode(text).ok()?;
    (digest.len() == DigestAlgorithm::Sha256.size()).then_some(digest)
}

impl FromIterator<(DigestAlgorithm, Vec<u8>)> for Digests {
    fn from_iter<T: IntoIterator<Item = (DigestAlgorithm, Vec<u8>)>>(all: T) -> Self {
        Self(all.into_iter().collect())
    }
}

impl BodyCheck {
    /// Starts the check that `proof` asks for.
    pub fn new(proof: &BodyProof) -> Self {
        let digests = match proof {
            BodyProof::Digests(digests) => digests.0.as_slice(),
            BodyProof::Empty | BodyProof::Chunked(_) | BodyProof::Unproven => &[],
        };
        Self(
            digests
                .iter()
                .map(|(algorithm, expected)| (Hasher::new(*algorithm), expected.clone()))
                .collect(),
        )
    }

    /// Whether there is nothing to check.
    pub const fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        for (hasher, _) in &mut self.0 {
            hasher.update(bytes);
        }
    }

    /// Whether the body, now complete, is the one that was meant.
    ///
    /// # Errors
    /// [`Mismatch`] when any digest differs.
    pub fn finish(self) -> Result<(), Mismatch> {
        let all = self.0.into_iter().fold(true, |all, (hasher, expected)| {
            all & bool::from(hasher.finish().ct_eq(&expected))
        });
        if all { Ok(()) } else { Err(Mismatch) }
    }
}
