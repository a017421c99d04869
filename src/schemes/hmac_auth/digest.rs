//! `Digest: SHA-256=BASE64` (RFC 3230), the field that these dialects cover.

use crate::crypto::DigestAlgorithm;
use crate::schemes::digest::{Digests, MAX_FIELD};
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName};

/// The field's name.
pub const DIGEST: HeaderName = HeaderName::from_static("digest");

/// Reads `Digest`; `None` when there is none. Every member of an algorithm
/// that is still safe counts, and there must be one. Of each algorithm there is
/// one at most: the body is hashed for each member.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn read(fields: &HeaderMap) -> Result<Option<Digests>, String> {
    let mut lines = fields.get_all(DIGEST).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err("the field `digest` is there more than once".to_owned());
    }
    if line.len() > MAX_FIELD {
        return Err(format!("`Digest` has more than {MAX_FIELD} bytes"));
    }
    let malformed = || "`Digest` is not like `SHA-256=BASE64`".to_owned();
    let mut digests: Vec<(DigestAlgorithm, Vec<u8>)> = Vec::with_capacity(1);
    for member in line.to_str().map_err(|_| malformed())?.split(',') {
        let (name, value) = member.trim().split_once('=').ok_or_else(malformed)?;
        let Some(algorithm) = algorithm(name) else {
            continue;
        };
        let bytes = BASE64.decode(value.as_bytes()).map_err(|_| malformed())?;
        if bytes.len() != algorithm.size() {
            return Err(format!(
                "`Digest`: `{}` has {} bytes, and this has {}; base64 of the bytes is accepted, not of their hexadecimal digits",
                algorithm.name(),
                algorithm.size(),
                bytes.len()
            ));
        }
        if digests.iter().any(|(known, _)| *known == algorithm) {
            return Err(format!("`Digest` has `{}` twice", algorithm.name()));
        }
        digests.push((algorithm, bytes));
    }
    if digests.is_empty() {
        return Err("`Digest` has neither `SHA-256` nor `SHA-512`".to_owned());
    }
    Ok(Some(digests.into_iter().collect()))
}

/// The `Digest` of `body`, SHA-256.
pub fn field_of(body: &[u8]) -> String {
    let digest = crate::crypto::digest::sha256(&[body]);
    format!("SHA-256={}", BASE64.encode(&digest))
}

/// RFC 3230, section 4.1.1: the names are in any case.
fn algorithm(name: &str) -> Option<DigestAlgorithm> {
    DigestAlgorithm::ALL
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::digest::{BodyCheck, BodyProof};
    use http::HeaderValue;

    fn told(value: &str) -> Result<Option<Digests>, String> {
        let mut fields = HeaderMap::new();
        fields.insert(DIGEST, HeaderValue::from_str(value).unwrap());
        read(&fields)
    }

    fn holds(value: &str, body: &[u8]) -> bool {
        let digests = told(value).unwrap().unwrap();
        let mut check = BodyCheck::new(&BodyProof::Digests(digests));
        check.update(body);
        check.finish().is_ok()
    }

    #[test]
    fn every_known_digest_must_match() {
        let body = b"{\"hello\": \"world\"}";
        let right = "X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
        let long = "WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==";
        assert_eq!(field_of(body), format!("SHA-256={right}"));
        for value in [
            format!("SHA-256={right}"),
            format!("sha-256={right}"),
            format!("SHA-512={long}"),
            format!("MD5=Sd/dVLAcvNLSq16eXua5uQ==, SHA-256={right},SHA-512={long}"),
        ] {
            assert!(holds(&value, body), "{value}");
            assert!(!holds(&value, b"{}"), "{value}");
        }
    }

    #[test]
    fn an_algorithm_stands_there_once() {
        let right = "X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
        let other = right.replacen('X', "Y", 1);
        for second in [right, &other] {
            let twice = told(&format!("SHA-256={right},sha-256={second}"));
            assert_eq!(twice, Err("`Digest` has `sha-256` twice".to_owned()));
        }
    }

    #[test]
    fn a_digest_that_proves_nothing_is_refused() {
        for value in [
            "",
            "SHA-256",
            "SHA-256=",
            "SHA-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
            "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE",
            "SHA-256=AAAA",
            "SHA-1=2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            "MD5=Sd/dVLAcvNLSq16eXua5uQ==",
            ",",
        ] {
            assert!(told(value).is_err(), "{value}");
        }
        assert_eq!(read(&HeaderMap::new()), Ok(None));
    }
}
