//! HMAC with its key state kept ready: one clone a request instead of two
//! hash blocks.

use super::aws4::DayKeys;
use super::key_form::KeyForm;
use super::work::{Work, done};
use super::{Algorithm, BadKey, blocks, is_equal};
use crate::secret::Secret;
use ::hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use std::fmt;
use std::sync::Arc;

/// The shortest secret that may sign, in bytes (RFC 7518, section 3.2 asks the same of HS256).
pub const MIN_SECRET: usize = 32;
/// The shortest that may verify where it is said to be weak, taken over from elsewhere.
pub const MIN_WEAK_SECRET: usize = 8;

/// A key bound to one HMAC algorithm. Never prints.
#[derive(Clone)]
pub struct HmacKey {
    state: State,
    /// Where it is one of HMAC with SHA-256.
    aws: Option<Arc<DayKeys>>,
    is_weak: bool,
}

#[derive(Clone)]
enum State {
    Sha256(Box<Hmac<Sha256>>),
    Sha512(Box<Hmac<Sha512>>),
}

/// The secret is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret of {found} bytes is too short; at least {needed} are needed")]
pub struct WeakSecret {
    /// How many bytes it has.
    pub found: usize,
    /// How many it needs: [`MIN_SECRET`] or [`MIN_WEAK_SECRET`].
    pub needed: usize,
}

impl HmacKey {
    /// Binds `secret` to `algorithm`.
    ///
    /// # Errors
    /// [`BadKey`] when the secret is shorter than [`MIN_SECRET`], or is a key of
    /// another kind: what is public must never be taken for a secret.
    pub fn new(algorithm: Algorithm, secret: &Secret) -> Result<Self, BadKey> {
        Self::of(algorithm, secret, MIN_SECRET)
    }

    /// Binds `secret` to `algorithm`, one that was taken over from elsewhere and
    /// may be short. Such a key proves neither `http-signature` nor `token`.
    ///
    /// # Errors
    /// As [`HmacKey::new`], but it is too short below [`MIN_WEAK_SECRET`] only.
    pub fn weak(algorithm: Algorithm, secret: &Secret) -> Result<Self, BadKey> {
        let mut key = Self::of(algorithm, secret, MIN_WEAK_SECRET)?;
        key.is_weak = secret.len() < MIN_SECRET;
        Ok(key)
    }

    /// A key of HMAC with SHA-256 of a secret that nobody else computes with. What stands around it is a part of
    /// it, be it a JWK or the text of a private key: what was made under the whole holds under nothing else.
    ///
    /// # Errors
    /// [`BadKey`]: it is too short, or a public key.
    pub fn of_ours(secret: &Secret) -> Result<Self, BadKey> {
        let algorithm = Algorithm::HmacSha256;
        match KeyForm::of(secret.expose()) {
            Some(KeyForm::Other {
                form,
                is_private: false,
            }) => Err(BadKey::KeyAsSecret { form, algorithm }),
            _ => Self::long_enough(algorithm, secret, MIN_SECRET),
        }
    }

    /// Whether its secret is shorter than [`MIN_SECRET`].
    pub const fn is_weak(&self) -> bool {
        self.is_weak
    }

    fn of(algorithm: Algorithm, secret: &Secret, shortest: usize) -> Result<Self, BadKey> {
        if !algorithm.is_mac() {
            return Err(BadKey::NoMac(algorithm));
        }
        match KeyForm::of(secret.expose()) {
            None => Self::long_enough(algorithm, secret, shortest),
            Some(KeyForm::SecretAsJwk) => Err(BadKey::SecretAsJwk(algorithm)),
            Some(KeyForm::Other { form, .. }) => Err(BadKey::KeyAsSecret { form, algorithm }),
        }
    }

    fn long_enough(algorithm: Algorithm, secret: &Secret, shortest: usize) -> Result<Self, BadKey> {
        if secret.len() < shortest {
            return Err(BadKey::Weak(WeakSecret {
                found: secret.len(),
                needed: shortest,
            }));
        }
        Ok(Self::unchecked(algorithm, secret.expose()))
    }

    /// A key of fresh random bytes that nobody knows: what an unknown key id
    /// is checked against, so that it costs what a known one costs. For an
    /// algorithm that is no MAC it is one of HMAC with SHA-256.
    pub fn dummy(algorithm: Algorithm) -> Self {
        let mut bytes = [0; MIN_SECRET];
        super::random(&mut bytes);
        Self::unchecked(algorithm, &bytes)
    }

    /// The key that a caller has who reads its secret wrongly, however short it
    /// is then: to recognise the mistake, never to let anything pass.
    pub fn misread(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        (algorithm.is_mac() && !secret.is_empty()).then(|| Self::unchecked(algorithm, secret))
    }

    /// The same of a caller of AWS's who derives its keys from the secret alone.
    pub fn without_aws4(secret: &Secret) -> Self {
        Self {
            aws: Some(Arc::new(DayKeys::bare(secret.expose()))),
            ..Self::unchecked(Algorithm::HmacSha256, secret.expose())
        }
    }

    fn unchecked(algorithm: Algorithm, secret: &[u8]) -> Self {
        let any = "HMAC takes a key of any length";
        match algorithm {
            Algorithm::HmacSha512 => Self {
                state: State::Sha512(Box::new(Hmac::new_from_slice(secret).expect(any))),
                aws: None,
                is_weak: false,
            },
            _ => Self {
                state: State::Sha256(Box::new(Hmac::new_from_slice(secret).expect(any))),
                aws: Some(Arc::new(DayKeys::new(secret))),
                is_weak: false,
            },
        }
    }

    /// The algorithm this key is bound to.
    pub const fn algorithm(&self) -> Algorithm {
        match self.state {
            State::Sha256(_) => Algorithm::HmacSha256,
            State::Sha512(_) => Algorithm::HmacSha512,
        }
    }

    /// The keys that AWS Signature Version 4 makes of the secret, where it may be used so.
    pub fn aws(&self) -> Option<&DayKeys> {
        self.aws.as_deref()
    }

    /// As [`HmacKey::aws`], to be held on to.
    pub fn shared_aws(&self) -> Option<Arc<DayKeys>> {
        self.aws.clone()
    }

    /// The tag over `text`.
    pub fn sign(&self, text: &[u8]) -> Tag {
        self.sign_parts(&[text])
    }

    /// The tag over `parts`, one after another.
    pub fn sign_parts(&self, parts: &[&[u8]]) -> Tag {
        done(Work::Mac, parts.iter().map(|part| part.len()).sum());
        let mut tag = Tag {
            bytes: [0; 64],
            len: 0,
        };
        match &self.state {
            State::Sha256(state) => {
                let mut mac = (**state).clone();
                for part in parts {
                    mac.update(part);
                }
                blocks::of_tag(parts.iter().map(|part| part.len()).sum());
                tag.fill(&mac.finalize().into_bytes());
            }
            State::Sha512(state) => {
                let mut mac = (**state).clone();
                for part in parts {
                    mac.update(part);
                }
                tag.fill(&mac.finalize().into_bytes());
            }
        }
        tag
    }

    /// The tag over `text` when it equals `presented`, compared in constant
    /// time over the full length. The tag handed back is our own.
    pub fn verify(&self, text: &[u8], presented: &[u8]) -> Option<Tag> {
        let tag = self.sign(text);
        tag.is(presented).then_some(tag)
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HmacKey({})", self.algorithm())
    }
}

/// By what a signed text is known again: its MAC under a shared key, its digest
/// under a public one – never the signature as it was presented, which a stranger
/// may be able to spell in another way. Never prints: until it was compared, a MAC is the answer.
#[derive(Clone, Copy)]
pub struct Tag {
    bytes: [u8; 64],
    len: usize,
}

impl Tag {
    /// The tag of a text that a public key has verified.
    pub(super) fn of_digest(digest: &[u8; 32]) -> Self {
        let mut tag = Self {
            bytes: [0; 64],
            len: 0,
        };
        tag.fill(digest);
        tag
    }

    /// Whether it is `presented`, compared in constant time over the full length.
    pub fn is(&self, presented: &[u8]) -> bool {
        is_equal(self.as_bytes(), presented)
    }

    /// The tag's bytes: 32 or 64 of them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn fill(&mut self, bytes: &[u8]) {
        self.len = bytes.len();
        self.bytes[..bytes.len()].copy_from_slice(bytes);
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};

    #[test]
    fn a_short_secret_is_refused_and_an_empty_one_too() {
        for len in [0, 1, 31] {
            let secret = Secret::new(vec![7; len]);
            assert_eq!(
                HmacKey::new(Algorithm::HmacSha256, &secret).unwrap_err(),
                BadKey::Weak(WeakSecret {
                    found: len,
                    needed: MIN_SECRET
                })
            );
        }
    }

    #[test]
    fn a_secret_that_is_said_to_be_weak_may_be_short_but_not_so_short() {
        for (length, is_weak) in [(8, true), (31, true), (32, false)] {
            let key = HmacKey::weak(Algorithm::HmacSha256, &Secret::new(vec![7; length])).unwrap();
            assert_eq!(key.is_weak(), is_weak);
        }
        for length in [0, 7] {
            let secret = Secret::new(vec![7; length]);
            assert!(HmacKey::weak(Algorithm::HmacSha256, &secret).is_err());
        }
    }

    #[test]
    fn a_public_key_is_never_taken_for_a_secret() {
        let pem = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-rsa.pub.pem");
        let jwk = include_str!("../../tests/it/vectors/rfc9421/keys.json");
        let jwk: serde_json::Value = serde_json::from_str(jwk).unwrap();
        let jwk = jwk["test-key-ed25519"]["jwk"].to_string();
        let der = |pem: &str| {
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            BASE64.decode(body.as_bytes()).unwrap()
        };
        let ed25519 = include_str!("../../tests/it/vectors/rfc9421/keys/test-key-ed25519.pub.pem");
        // Of a kind that is not known here: id-X25519 (RFC 8410, section 3).
        let mut unknown = der(ed25519);
        unknown[8] = 0x6e;
        let lines: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
        // An outline of one: what is to be signed, the algorithm, a signature.
        let certificate = vec![0x30, 7, 0x30, 0, 0x30, 0, 3, 1, 0];
        let ssh = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], &[7; 32]].concat();
        let ssh = BASE64.encode(&ssh);
        for (text, form) in [
            (pem.into(), "in PEM"),
            (format!("\n {pem}").into(), "in PEM"),
            (format!("\u{feff}{pem}").into(), "in PEM"),
            (format!("# of the caller\n{pem}").into(), "in PEM"),
            (jwk.clone().into_bytes(), "as a JWK"),
            (format!("\u{feff}\r\n{jwk}\n").into(), "as a JWK"),
            (format!(r#"{{"keys":[{jwk}]}}"#).into(), "as a JWK"),
            (BASE64URL_NOPAD.encode(jwk.as_bytes()).into(), "as a JWK"),
            (BASE64.encode(pem.as_bytes()).into(), "in PEM"),
            (der(pem), "in DER"),
            (der(ed25519), "in DER"),
            (unknown, "in DER"),
            (lines.concat().into(), "in DER"),
            (format!(" {}\r\n", lines.join("\r\n")).into(), "in DER"),
            (BASE64URL.encode(&der(pem)).into(), "in DER"),
            (BASE64URL_NOPAD.encode(&der(ed25519)).into(), "in DER"),
            (BASE64.encode(&certificate).into(), "in a certificate"),
            (certificate, "in a certificate"),
            (
                format!("ssh-ed25519 {ssh} me@here\n").into(),
                "as OpenSSH writes it",
            ),
            (
                format!("here ssh-ed25519 {ssh}").into(),
                "as OpenSSH writes it",
            ),
            (ssh.into(), "as OpenSSH writes it"),
        ] {
            let algorithm = Algorithm::HmacSha256;
            assert_eq!(
                HmacKey::new(algorithm, &Secret::new(text.clone())).unwrap_err(),
                BadKey::KeyAsSecret { form, algorithm },
                "{}",
                text.escape_ascii()
            );
        }
        for secret in [
            r#"{"a secret":"that happens to be JSON"}"#,
            "ssh-ed25519 is the first word of this secret",
            "MCowBQYDK2VwAyEA-is-how-a-public-key-begins",
            &BASE64.encode(&[7; 32]),
        ] {
            let secret = Secret::new(secret.into());
            assert!(HmacKey::new(Algorithm::HmacSha256, &secret).is_ok());
        }
        let secret = Secret::new(vec![7; 32]);
        assert_eq!(
            HmacKey::new(Algorithm::Ed25519, &secret).unwrap_err(),
            BadKey::NoMac(Algorithm::Ed25519)
        );
    }

    #[test]
    fn a_private_key_is_a_secret_where_it_is_ours_alone() {
        let lines = "A".repeat(64);
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n");
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","d":"{lines}"}}"#);
        for text in [BASE64.encode(pem.as_bytes()), format!("\n{pem}"), pem, jwk] {
            let secret = Secret::new(text.clone().into());
            let made = HmacKey::new(Algorithm::HmacSha256, &secret);
            assert!(matches!(made, Err(BadKey::KeyAsSecret { .. })), "{text}");
            let made = HmacKey::of_ours(&secret).unwrap();
            let whole = HmacKey::unchecked(Algorithm::HmacSha256, text.as_bytes());
            assert!(made.sign(b"text").is(whole.sign(b"text").as_bytes()));
        }
    }

    #[test]
    fn a_jwk_around_a_secret_is_none_but_where_it_is_ours_alone() {
        let oct = |k: &str| format!(r#"{{"kty":"oct","k":"{k}"}}"#);
        let jwk = oct(&"A".repeat(43));
        for text in [&jwk, &BASE64.encode(jwk.as_bytes())] {
            let secret = Secret::new(text.clone().into());
            for algorithm in Algorithm::MACS {
                let bad = BadKey::SecretAsJwk(algorithm);
                assert_eq!(HmacKey::new(algorithm, &secret).unwrap_err(), bad);
                assert_eq!(HmacKey::weak(algorithm, &secret).unwrap_err(), bad);
            }
            let made = HmacKey::of_ours(&secret).unwrap();
            let whole = HmacKey::unchecked(Algorithm::HmacSha256, text.as_bytes());
            assert!(made.sign(b"text").is(whole.sign(b"text").as_bytes()));
        }
        // Beside a public key it is not what is meant.
        let both = format!(r#"{{"keys":[{jwk},{{"kty":"EC"}}]}}"#);
        for (text, form) in [
            (&*both, "as a JWK"),
            ("-----BEGIN PUBLIC KEY-----", "in PEM"),
        ] {
            let algorithm = Algorithm::HmacSha256;
            let bad = BadKey::KeyAsSecret { form, algorithm };
            let made = HmacKey::of_ours(&Secret::new(text.into()));
            assert_eq!(made.unwrap_err(), bad);
        }
        let short = Secret::new(oct("AAAA").into());
        let made = HmacKey::of_ours(&short);
        assert!(matches!(made.unwrap_err(), BadKey::Weak(_)));
    }

    #[test]
    fn a_tag_verifies_and_a_shortened_or_changed_one_does_not() {
        for algorithm in Algorithm::MACS {
            let key = HmacKey::new(algorithm, &Secret::new(vec![7; 32])).unwrap();
            let tag = key.sign(b"text");
            assert!(key.verify(b"text", tag.as_bytes()).is_some());
            assert!(key.verify(b"texT", tag.as_bytes()).is_none());
            assert!(key.verify(b"text", &tag.as_bytes()[..16]).is_none());
            assert!(key.verify(b"text", b"").is_none());
        }
    }

    #[test]
    fn keys_and_tags_do_not_print() {
        let key = HmacKey::new(
            Algorithm::HmacSha256,
            &Secret::new(b"canary-canary-canary-canary-canary".to_vec()),
        )
        .unwrap();
        assert_eq!(
            format!("{key:?} {:?}", key.sign(b"")),
            "HmacKey(hmac-sha256) Tag(32 bytes)"
        );
    }

    /// Wycheproof's cases. Where a case asks for a shortened tag, the tag's
    /// front is compared, and the key must refuse it all the same.
    fn wycheproof(algorithm: Algorithm, file: &str) {
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let hex = |text: &serde_json::Value| {
            let text = text.as_str().unwrap();
            data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
        };
        let mut checked = 0;
        for group in file["testGroups"].as_array().unwrap() {
            for case in group["tests"].as_array().unwrap() {
                let key = HmacKey::unchecked(algorithm, &hex(&case["key"]));
                let (text, tag) = (hex(&case["msg"]), hex(&case["tag"]));
                let ours = key.sign(&text);
                let is_valid = case["result"] == "valid";
                assert_eq!(ours.as_bytes().starts_with(&tag), is_valid, "{case}");
                let is_whole = tag.len() == ours.as_bytes().len();
                assert_eq!(
                    key.verify(&text, &tag).is_some(),
                    is_valid && is_whole,
                    "{case}"
                );
                checked += 1;
            }
        }
        assert_eq!(Some(checked), file["numberOfTests"].as_u64());
    }

    #[test]
    fn wycheproof_cases_of_hmac_sha256_hold() {
        wycheproof(
            Algorithm::HmacSha256,
            include_str!("../../tests/it/vectors/wycheproof/hmac_sha256_test.json"),
        );
    }

    #[test]
    fn wycheproof_cases_of_hmac_sha512_hold() {
        wycheproof(
            Algorithm::HmacSha512,
            include_str!("../../tests/it/vectors/wycheproof/hmac_sha512_test.json"),
        );
    }
}
