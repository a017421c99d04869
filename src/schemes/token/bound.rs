//! What a token is bound to: `cnf` (RFC 7800), a key that it names, or its issuer's.
//!
//! Whoever shows such a token proves that it has the key: by DPoP, by a signature of the request,
//! or by the certificate of its connection. A member of `cnf` that we cannot check refuses the token.

use super::dpop::{self, DPOP, Proven};
use super::json::Json;
use super::jwk::Jwk;
use super::{Presented, Settings, rejected};
use crate::crypto::{Algorithm, HmacKey, PublicKey, VerifyingKey};
use crate::route::{Bind, Route};
use crate::schemes::received::Field;
use crate::schemes::{Caller, Received, Refused, Unbound, Why};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD};
use std::borrow::Cow;

/// A token's binding.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// The thumbprint of the key (`cnf.jkt`, or that of `cnf.jwk`).
    pub(super) thumbprint: Option<[u8; 32]>,
    /// SHA-256 of the certificate (`cnf.x5t#S256`, RFC 8705).
    certificate: Option<[u8; 32]>,
    /// The key itself, where the token or its issuer gives it: signatures of requests are by it.
    pub(super) key: Option<VerifyingKey>,
}

const NO_CNF: Refused = rejected(Why::Claim("cnf"));

impl Bound {
    /// Reads `cnf`.
    pub(super) fn read(value: &Json<'_>) -> Result<Self, Refused> {
        let Json::Object(members) = value else {
            return Err(NO_CNF);
        };
        let mut bound = Self::default();
        for (name, value) in members {
            match (&**name, value) {
                ("jkt", Json::Text(text)) => bound.set_thumbprint(digest("cnf.jkt", text)?)?,
                ("jwk", Json::Object(members)) => bound.set_key(members)?,
                ("x5t#S256", Json::Text(text)) => {
                    bound.certificate = Some(digest("cnf.x5t#S256", text)?);
                }
                _ => return Err(NO_CNF),
            }
        }
        if bound.thumbprint.is_none() && bound.certificate.is_none() {
            return Err(NO_CNF);
        }
        Ok(bound)
    }

    fn set_thumbprint(&mut self, thumbprint: [u8; 32]) -> Result<(), Refused> {
        match self.thumbprint.replace(thumbprint) {
            Some(other) if other != thumbprint => Err(NO_CNF),
            _ => Ok(()),
        }
    }

    fn set_key(&mut self, members: &[(Cow<'_, str>, Json<'_>)]) -> Result<(), Refused> {
        const NO_KEY: Refused = rejected(Why::Claim("cnf.jwk"));
        let jwk = Jwk::read(members).ok_or(NO_KEY)?;
        if jwk.is_private {
            return Err(NO_KEY);
        }
        // Of an RSA key no one algorithm follows, unless it says so: DPoP proofs name their own.
        let (algorithm, is_plain) = match jwk.algorithm.map(Algorithm::from_jose_name) {
            Some(Some(algorithm)) => (Some(algorithm), true),
            Some(None) => (None, false),
            None => {
                let all = [
                    Algorithm::EcdsaP256Sha256,
                    Algorithm::EcdsaP384Sha384,
                    Algorithm::Ed25519,
                    Algorithm::RsaV15Sha256,
                ];
                let fitting = all.into_iter().find(|algorithm| jwk.key.suits(*algorithm));
                (fitting, fitting != Some(Algorithm::RsaV15Sha256))
            }
        };
        let key = jwk.key.key(algorithm.ok_or(NO_KEY)?).map_err(|_| NO_KEY)?;
        self.set_thumbprint(*key.thumbprint())?;
        self.key = is_plain.then(|| key.into());
        Ok(())
    }

    /// Bound to a key on P-256 that an issuer names in a claim of its own: a public key in DER, in base64.
    pub(super) fn to_key_of_claim(text: &str) -> Result<Self, Refused> {
        let bad = || rejected(Why::Claim("signature_key"));
        let der = BASE64
            .decode(text.as_bytes())
            .or_else(|_| BASE64_NOPAD.decode(text.as_bytes()))
            .or_else(|_| BASE64URL_NOPAD.decode(text.as_bytes()))
            .map_err(|_| bad())?;
        let key = PublicKey::of_der(Algorithm::EcdsaP256Sha256, &der).map_err(|_| bad())?;
        Ok(Self {
            thumbprint: Some(*key.thumbprint()),
            certificate: None,
            key: Some(key.into()),
        })
    }

    /// Bound to a secret that all who get tokens of an issuer share.
    pub(super) fn to_secret(secret: &HmacKey) -> Self {
        Self {
            thumbprint: None,
            certificate: None,
            key: Some(secret.clone().into()),
        }
    }

    pub(super) fn check_certificate(&self, received: &Received<'_>) -> Result<(), Refused> {
        let Some(wanted) = &self.certificate else {
            return Ok(());
        };
        match received.certificate() {
            Some(shown) if shown.fingerprint() == wanted => Ok(()),
            _ => Err(Refused::Binding(Unbound::Certificate)),
        }
    }
}

/// Checks that who shows a token has what it is bound to, and that it is bound as the route demands.
/// Gives the DPoP proof, which passes once. `signer` is whoever has signed the request as well.
pub(super) fn check(
    bound: Option<&Bound>,
    presented: &Presented<'_>,
    signer: Option<&Caller>,
    received: &Received<'_>,
    route: &Route,
    settings: &Settings,
    now: i64,
) -> Result<Option<Proven>, Refused> {
    let unbound = |why| Err(Refused::Binding(why));
    let shows_proof = received.shows(Field::Dpop);
    let Some(bound) = bound else {
        let wants_key = matches!(route.bind, Bind::Key | Bind::Dpop);
        return if shows_proof || presented.as_dpop || wants_key {
            unbound(Unbound::NotBound)
        } else {
            Ok(None)
        };
    };
    bound.check_certificate(received)?;
    if let Some(signer) = signer {
        if shows_proof {
            return Err(Refused::Malformed(
                "the request shows a DPoP proof and a signature; send one of them".to_owned(),
            ));
        }
        return match is_signed_by(bound, signer) {
            false => unbound(Unbound::Signature),
            true if route.bind == Bind::Dpop || presented.as_dpop => unbound(Unbound::NoProof),
            true => Ok(None),
        };
    }
    match (shows_proof, &bound.thumbprint) {
        (true, Some(thumbprint)) => {
            if presented.in_authorization && !presented.as_dpop {
                return unbound(Unbound::AsBearer);
            }
            let field = received
                .fields()
                .get(DPOP)
                .map_or(&[][..], |f| f.as_bytes());
            let proven = dpop::check(field, Some(presented.text), received, &settings.dpop, now)?;
            if proven.thumbprint != *thumbprint {
                return unbound(Unbound::OtherKey);
            }
            Ok(Some(proven))
        }
        (true, None) => unbound(Unbound::NotBound),
        (false, Some(_))
            if bound.key.is_none() || route.bind == Bind::Dpop || presented.as_dpop =>
        {
            unbound(Unbound::NoProof)
        }
        (false, Some(_)) => unbound(Unbound::NoProofOrSignature),
        (false, None) if bound.key.is_some() => unbound(Unbound::NoSignature),
        (false, None) if route.bind == Bind::Dpop || presented.as_dpop => unbound(Unbound::NoProof),
        (false, None) => Ok(None),
    }
}

/// Whether the request is signed by the key that the token is bound to, if it is bound to one.
fn is_signed_by(bound: &Bound, signer: &Caller) -> bool {
    let Some(key) = signer.key() else {
        return false;
    };
    match (&bound.thumbprint, key.verifying.public()) {
        (Some(wanted), Some(public)) => public.thumbprint() == wanted,
        (Some(_), None) => false,
        // By its issuer's secret, which is what such a signature was verified with, or by none.
        (None, _) => true,
    }
}

/// What a member of that name holds.
fn digest(name: &'static str, text: &str) -> Result<[u8; 32], Refused> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| rejected(Why::Claim(name)))
}
