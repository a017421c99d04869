//! `instance-key`: a key that was enrolled signs the challenge, and all that is asked for with it.

use super::{Examined, Kind, MAX_INSTANCE, Question};
use crate::apps::{Evidence, MAX_BUILD};
use crate::crypto::{Algorithm, PublicKey, VerifyingKey, ecdsa_side_by_side};
use crate::mint::ask::{Public, Typ};
use crate::mint::members::Members;
use crate::mint::{Malformed, Reason};
use data_encoding::BASE64URL_NOPAD;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// The first line of what is signed: nothing else that such a key signs can be taken for it.
const CONTEXT: &str = "portcullis-instance-key-v1";
/// Bytes a signature may have in base64url: of P-256 in DER.
const MAX_SIGNATURE: usize = 128;
/// Bytes of a coordinate of P-256.
const COORDINATE: usize = 32;
/// Bytes of a signature: of Ed25519, or of P-256 side by side.
const SIDE_BY_SIDE: usize = 2 * COORDINATE;
/// Bytes that one of P-256 may have in DER, and the first of them.
const MAX_DER: usize = 72;
const DER_SEQUENCE: u8 = 0x30;

/// What the instance says of itself, and its signature.
#[derive(Debug)]
pub(in crate::mint) struct InstanceKey<'b> {
    instance: Cow<'b, str>,
    build: Cow<'b, str>,
    signature: Vec<u8>,
}

impl<'b> Kind<'b> for InstanceKey<'b> {
    const EVIDENCE: Evidence = Evidence::InstanceKey;

    fn read(members: &mut Members<'b>) -> Result<Self, Malformed> {
        Ok(Self {
            instance: members.required("instance", MAX_INSTANCE)?,
            build: members.required("build", MAX_BUILD)?,
            signature: signature(members)?,
        })
    }

    fn size(&self) -> usize {
        self.instance.len() + self.build.len() + self.signature.len()
    }

    fn examine(&self, question: &Question<'_>) -> Examined<'b> {
        let known = question.registry.instance(&self.instance);
        // It takes as long where there is none.
        let public = match &known {
            Some(known) => public(&known.public),
            None => public(nobody(&self.instance)),
        };
        let is_signed = public.is_some_and(|public| self.is_signed_by(&public, question));
        let verdict = match &known {
            None => Err(Reason::UnknownInstance),
            Some(known) if *known.app != *question.app => Err(Reason::UnknownInstance),
            Some(_) if !is_signed => Err(Reason::WrongSignature),
            Some(known) if !known.enabled => Err(Reason::RevokedInstance),
            Some(_) => Ok(None),
        };
        Examined {
            subject: Some(self.instance.clone()),
            instance: Some(self.instance.clone()),
            build: Some(self.build.clone()),
            tells_build: true,
            verdict,
        }
    }
}

impl InstanceKey<'_> {
    fn is_signed_by(&self, public: &PublicKey, question: &Question<'_>) -> bool {
        let mut signature = Cow::from(&self.signature);
        // What the keystores of phones give out.
        if public.algorithm() == Algorithm::EcdsaP256Sha256 && signature.len() != SIDE_BY_SIDE {
            signature = ecdsa_side_by_side(&signature, COORDINATE)
                .unwrap_or_default()
                .into();
        }
        let text = signed_text(&Signed {
            app: question.app,
            challenge: question.challenge,
            instance: &self.instance,
            build: &self.build,
            pay: question.pay,
            cnf: question.cnf,
            scope: question.scope,
            typ: (question.typ != Typ::Jwt).then(|| question.typ.name()),
        });
        let verifying = VerifyingKey::from(public.clone());
        verifying.verify(text.as_bytes(), &signature).is_some()
    }
}

/// A signature that can be one, whoever's: that it is written in another way is told.
fn signature(members: &mut Members<'_>) -> Result<Vec<u8>, Malformed> {
    let written = members.required("signature", MAX_SIGNATURE)?;
    let decoded = BASE64URL_NOPAD.decode(written.as_bytes()).ok();
    let signature = decoded.filter(|bytes| {
        let is_der = bytes.first() == Some(&DER_SEQUENCE) && bytes.len() <= MAX_DER;
        bytes.len() == SIDE_BY_SIDE || is_der
    });
    signature.ok_or_else(|| {
        members.wrong(
            "signature",
            "base64url without padding, of 64 bytes or of DER",
        )
    })
}

/// What an instance signs: nothing of a question can be taken out of it or put into another.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'s> {
    /// The app.
    pub app: &'s str,
    /// The challenge as it came.
    pub challenge: &'s str,
    /// The instance's id.
    pub instance: &'s str,
    /// Its build.
    pub build: &'s str,
    /// `pay` as it is sent.
    pub pay: Option<&'s str>,
    /// The thumbprint of the key in `cnf`.
    pub cnf: Option<&'s str>,
    /// `scope` as it is sent.
    pub scope: Option<&'s str>,
    /// `typ` as it is sent, where that is not `JWT`.
    pub typ: Option<&'s str>,
}

/// The text that is signed: a line for each member. None of them can hold a line's end. That of `typ` is there for
/// what is no token for our routes only.
pub fn signed_text(of: &Signed<'_>) -> String {
    let mut text = format!("{CONTEXT}\n");
    for (name, value) in [
        ("app", Some(of.app)),
        ("challenge", Some(of.challenge)),
        ("instance", Some(of.instance)),
        ("build", Some(of.build)),
        ("pay", of.pay),
        ("cnf", of.cnf),
        ("scope", of.scope),
    ] {
        let _ = writeln!(text, "{name}: {}", value.unwrap_or_default());
    }
    if let Some(typ) = of.typ {
        let _ = writeln!(text, "typ: {typ}");
    }
    text
}

/// The key of a JWK that was enrolled.
fn public(jwk: &str) -> Option<PublicKey> {
    let members = Members::read(jwk.as_bytes()).ok()?;
    Public::read(members).ok().map(|(_, key)| key)
}

/// The key of an instance that is not there: the same for the same id, of each kind for some.
fn nobody(id: &str) -> &'static str {
    /// Strangers cannot tell which id has which kind.
    static HASH: OnceLock<RandomState> = OnceLock::new();
    static KEYS: OnceLock<[String; 2]> = OnceLock::new();
    let keys = KEYS
        .get_or_init(|| [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519].map(PublicKey::dummy_jwk));
    let hash = HASH.get_or_init(RandomState::new).hash_one(id);
    &keys[usize::from(hash & 1 == 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{PssSalt, VerifyingKey};
    use serde_json::Value;

    #[test]
    fn the_text_and_its_signature_are_those_of_the_vectors() {
        let pem = include_str!("../../../tests/it/vectors/rfc9421/keys/test-key-ed25519.pub.pem");
        let key = PublicKey::read(Algorithm::Ed25519, pem.as_bytes(), PssSalt::Digest);
        let key = VerifyingKey::from(key.unwrap());
        let cases = include_str!("../../../tests/it/vectors/instance-key/cases.json");
        let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
        assert_eq!(cases.len(), 3);
        for case in &cases {
            let asked = |name: &str| case["asked"][name].as_str();
            let text = signed_text(&Signed {
                app: asked("app").unwrap(),
                challenge: asked("challenge").unwrap(),
                instance: asked("instance").unwrap(),
                build: asked("build").unwrap(),
                pay: asked("pay"),
                cnf: asked("cnf"),
                scope: asked("scope"),
                typ: asked("typ"),
            });
            assert_eq!(text, case["text"], "{}", case["name"]);
            let signature = case["signature"].as_str().unwrap();
            let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
            assert!(key.verify(text.as_bytes(), &signature).is_some());
        }
    }

    #[test]
    fn an_id_that_nobody_has_is_looked_at_with_a_key_of_a_kind_that_somebody_might_have() {
        let kinds: std::collections::HashSet<_> = (0..100)
            .map(|number| public(nobody(&number.to_string())).unwrap().algorithm())
            .collect();
        assert_eq!(kinds.len(), 2);
        assert!(std::ptr::eq(nobody("a"), nobody("a")));
    }
}
