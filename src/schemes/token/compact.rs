//! A signed text in its compact form (RFC 7515, section 7.1): of tokens, and of the proofs that go with them.

use crate::schemes::Refused;
use data_encoding::BASE64URL_NOPAD;

/// Its three parts, encoded as they stand.
pub(super) struct Parts<'t> {
    pub(super) header: &'t str,
    pub(super) claims: &'t str,
    pub(super) signature: &'t str,
    /// What is signed: header and claims.
    pub(super) signed: &'t str,
}

/// Takes it apart; `malformed` says of whose text it is.
pub(super) fn parts(text: &str, malformed: fn(&str) -> Refused) -> Result<Parts<'_>, Refused> {
    let not_compact = || not_compact(malformed);
    let (signed, signature) = text.rsplit_once('.').ok_or_else(not_compact)?;
    let (header, claims) = signed.split_once('.').ok_or_else(not_compact)?;
    if claims.contains('.') {
        return Err(not_compact());
    }
    Ok(Parts {
        header,
        claims,
        signature,
        signed,
    })
}

/// The same of a proof, which is at most `most` bytes long.
pub(super) fn parts_of_proof(
    proof: &[u8],
    most: usize,
    malformed: fn(&str) -> Refused,
) -> Result<Parts<'_>, Refused> {
    if proof.len() > most {
        return Err(malformed("is too long"));
    }
    let text = std::str::from_utf8(proof).map_err(|_| not_compact(malformed))?;
    parts(text, malformed)
}

/// What a part holds.
pub(super) fn decode(part: &str, malformed: fn(&str) -> Refused) -> Result<Vec<u8>, Refused> {
    BASE64URL_NOPAD
        .decode(part.as_bytes())
        .map_err(|_| malformed("has a part that is not strict base64url without padding"))
}

fn not_compact(malformed: fn(&str) -> Refused) -> Refused {
    malformed("is not three parts in base64url joined by `.`")
}
