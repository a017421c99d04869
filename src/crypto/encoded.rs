//! Keys as they lie in files: PEM (RFC 7468) around DER, read strictly.

use super::bad_key::BadKey;
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Bytes that a key's text may have: a private RSA key of the largest size has half of it.
const MAX_TEXT: usize = 8 * 1024;

/// One block of PEM.
pub(super) struct Pem<'t> {
    /// What its first line calls it, such as `PUBLIC KEY`.
    pub(super) label: &'t str,
    /// What is in it.
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// The text of a key, without white space around it.
pub(super) fn text(bytes: &[u8]) -> Result<&str, BadKey> {
    if bytes.len() > MAX_TEXT {
        return Err(BadKey::Unreadable("it is too long"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| BadKey::Unreadable("it is not text"))?;
    Ok(text.trim_ascii())
}

impl<'t> Pem<'t> {
    /// The one block of `text`. `None` when it is no PEM at all.
    pub(super) fn read(text: &'t str) -> Option<Result<Self, BadKey>> {
        let rest = text.strip_prefix("-----BEGIN ")?;
        let bad = if rest.starts_with("EC PARAMETERS-----") {
            "a block `EC PARAMETERS` stands in front of it; `openssl ecparam -genkey -noout` writes the key alone"
        } else {
            "its PEM is not one whole block of base64"
        };
        Some(Self::block(rest).ok_or(BadKey::Unreadable(bad)))
    }

    fn block(rest: &'t str) -> Option<Self> {
        let (label, rest) = rest.split_once("-----")?;
        let (body, end) = rest.split_once("-----END ")?;
        if end.strip_prefix(label) != Some("-----") {
            return None;
        }
        let mut joined = Zeroizing::new(Vec::with_capacity(body.len()));
        joined.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        let der = Zeroizing::new(BASE64.decode(&joined).ok()?);
        Some(Self { label, der })
    }
}

/// The kinds of key that an `AlgorithmIdentifier` names (RFC 5280, section 4.1.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ed25519,
    P256,
    P384,
    Rsa,
    /// RSA that may be used with PSS padding only.
    RsaPss,
}

impl Kind {
    /// What it is, in words.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "an Ed25519 key",
            Self::P256 => "a key on curve P-256",
            Self::P384 => "a key on curve P-384",
            Self::Rsa => "an RSA key",
            Self::RsaPss => "an RSA key for PSS only",
        }
    }
}

/// `SubjectPublicKeyInfo` (RFC 5280, section 4.1): the kind, and the key itself.
pub(super) fn subject_public_key(der: &[u8]) -> Result<(Kind, &[u8]), BadKey> {
    let (algorithm, key) = subject(der).ok_or(BROKEN)?;
    Ok((kind(algorithm)?, key))
}

/// Whether this is a public key, be it of a kind that is not known here.
pub(super) fn is_public_key(der: &[u8]) -> bool {
    subject(der).is_some() || rsa_public_key(der).is_ok()
}

/// Whether this is a certificate (RFC 5280, section 4.1), or asks for one.
pub(super) fn is_certificate(der: &[u8]) -> bool {
    let mut outer = Der(der);
    let read = (|| {
        let mut parts = Der(outer.value(SEQUENCE)?);
        parts.value(SEQUENCE)?;
        parts.value(SEQUENCE)?;
        parts.value(BIT_STRING)?;
        Some(parts.0.is_empty() && outer.0.is_empty())
    })();
    read == Some(true)
}

/// Whether this is a public key of SSH (RFC 4253, section 6.6), or a certificate of one: in front stands the name of
/// its kind, behind the name's length.
pub(super) fn is_ssh_public_key(key: &[u8]) -> bool {
    let name = key.split_first_chunk::<4>();
    let name = name.and_then(|(length, rest)| rest.get(..u32::from_be_bytes(*length) as usize));
    let kinds = [&b"ssh-"[..], b"ecdsa-sha2-", b"sk-"];
    name.is_some_and(|name| kinds.iter().any(|kind| name.starts_with(kind)))
}

fn subject(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Der(der);
    let mut info = Der(outer.value(SEQUENCE)?);
    let algorithm = info.value(SEQUENCE)?;
    let [0, key @ ..] = info.value(BIT_STRING)? else {
        return None;
    };
    (info.0.is_empty() && outer.0.is_empty()).then_some((algorithm, key))
}

/// `PrivateKeyInfo` (RFC 5958, section 2): the kind, and the key itself.
pub(super) fn private_key_info(der: &[u8]) -> Result<(Kind, &[u8]), BadKey> {
    let mut outer = Der(der);
    let read = (|| {
        let mut info = Der(outer.value(SEQUENCE)?);
        info.value(INTEGER)?;
        let algorithm = info.value(SEQUENCE)?;
        let key = info.value(OCTET_STRING)?;
        outer.0.is_empty().then_some((algorithm, key))
    })();
    let (algorithm, key) = read.ok_or(BROKEN)?;
    Ok((kind(algorithm)?, key))
}

/// `RSAPublicKey` (RFC 8017, appendix A.1.1): modulus and exponent, without leading zeros.
pub(super) fn rsa_public_key(der: &[u8]) -> Result<(&[u8], &[u8]), BadKey> {
    let mut outer = Der(der);
    let read = (|| {
        let mut key = Der(outer.value(SEQUENCE)?);
        let (modulus, exponent) = (key.natural()?, key.natural()?);
        (key.0.is_empty() && outer.0.is_empty()).then_some((modulus, exponent))
    })();
    read.ok_or(BROKEN)
}

/// A signature of ECDSA that is written as DER (RFC 3279, section 2.2.3), in the form that
/// HTTP signatures and tokens have: both numbers side by side, each of `size` bytes.
pub fn ecdsa_side_by_side(der: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut outer = Der(der);
    let mut both = Der(outer.value(SEQUENCE)?);
    let mut out = Vec::with_capacity(2 * size);
    for number in [both.natural()?, both.natural()?] {
        out.resize(out.len() + size.checked_sub(number.len())?, 0);
        out.extend(number);
    }
    Some(out)
}

/// The seed in the key of Ed25519 (RFC 8410, section 7).
pub(super) fn ed25519_seed(der: &[u8]) -> Result<&[u8], BadKey> {
    let mut outer = Der(der);
    let seed = outer.value(OCTET_STRING).filter(|_| outer.0.is_empty());
    seed.ok_or(BROKEN)
}

const BROKEN: BadKey = BadKey::Unreadable("what its PEM holds is not the DER of a key");

fn kind(algorithm: &[u8]) -> Result<Kind, BadKey> {
    /// id-Ed25519 (RFC 8410, section 3).
    const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];
    /// id-ecPublicKey and secp256r1 (RFC 5480, section 2.1.1).
    const P256: &[u8] = &[
        6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
    ];
    /// id-ecPublicKey and secp384r1.
    const P384: &[u8] = &[
        6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22,
    ];
    /// rsaEncryption, with the null that belongs to it (RFC 3279, section 2.3.1).
    const RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    /// id-RSASSA-PSS (RFC 4055, section 3.1).
    const RSA_PSS: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
    match algorithm {
        ED25519 => Ok(Kind::Ed25519),
        P256 => Ok(Kind::P256),
        P384 => Ok(Kind::P384),
        RSA => Ok(Kind::Rsa),
        RSA_PSS => Ok(Kind::RsaPss),
        _ if algorithm.starts_with(RSA_PSS) => Err(BadKey::Unreadable(
            "it is an RSA key whose parameters narrow what PSS may do; write it without them",
        )),
        _ => Err(BadKey::Unreadable(
            "it is a key of a kind, or on a curve, that is not known here",
        )),
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// What is left to read of some DER (X.690): lengths in their one form, in at most two bytes.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// The content of the next value, which has this tag.
    fn value(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (length, rest) = match self.0 {
            [found, length @ 0..=0x7f, rest @ ..] if *found == tag => (usize::from(*length), rest),
            [found, 0x81, length @ 0x80..=0xff, rest @ ..] if *found == tag => {
                (usize::from(*length), rest)
            }
            [found, 0x82, high @ 1..=0xff, low, rest @ ..] if *found == tag => {
                (usize::from(u16::from_be_bytes([*high, *low])), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }

    /// The next value, an integer above zero, without its leading zero.
    fn natural(&mut self) -> Option<&'d [u8]> {
        match self.value(INTEGER)? {
            [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => Some(rest),
            all @ [1..=0x7f, ..] => Some(all),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_is_read_in_its_one_form_only() {
        let ones = [1; 300];
        let long = |length: &[u8], count: usize| [&[4], length, &ones[..count]].concat();
        for (bytes, value) in [
            (long(&[3], 3), Some(3)),
            (long(&[0x81, 200], 200), Some(200)),
            (long(&[0x82, 1, 44], 300), Some(300)),
            (long(&[0x81, 3], 3), None),
            (long(&[0x82, 0, 200], 200), None),
            (long(&[0x80], 3), None),
            (long(&[4], 3), None),
            (vec![4], None),
            (vec![], None),
        ] {
            let found = Der(&bytes).value(OCTET_STRING).map(<[u8]>::len);
            assert_eq!(found, value, "{bytes:?}");
        }
        for (bytes, value) in [
            (&[2, 1, 5][..], Some(&[5][..])),
            (&[2, 2, 0, 0x80], Some(&[0x80])),
            (&[2, 2, 0, 5], None),
            (&[2, 1, 0], None),
            (&[2, 1, 0x80], None),
            (&[2, 0], None),
        ] {
            assert_eq!(Der(bytes).natural(), value, "{bytes:?}");
        }
    }

    #[test]
    fn pem_is_one_whole_block() {
        assert!(Pem::read("AAAA").is_none());
        for text in [
            "-----BEGIN A-----\nAAAA\n-----END B-----",
            "-----BEGIN A-----\nAAAA\n",
            "-----BEGIN A-----\nAAA\n-----END A-----",
            "-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN A-----\nAAAA\n-----END A-----",
            "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----",
        ] {
            assert!(Pem::read(text).unwrap().is_err(), "{text}");
        }
        // As `openssl ecparam -genkey` writes it.
        let two = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n\
                   -----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----";
        let told = Pem::read(two).unwrap().err().unwrap().to_string();
        assert!(told.contains("`EC PARAMETERS` stands in front"), "{told}");
        let pem = Pem::read("-----BEGIN A B-----\r\nAA\r\nAA\r\n-----END A B-----");
        let pem = pem.unwrap().unwrap();
        assert_eq!((pem.label, pem.der.as_slice()), ("A B", &[0, 0, 0][..]));
    }
}
