//! What is asked of the key service: the bodies, read once and strictly.

use super::Malformed;
use super::evidence::Shown;
use super::members::Members;
use crate::crypto::{Algorithm, PublicJwk, PublicKey};
use crate::schemes::token::attestation::ATTESTATION_TYPE;
use crate::schemes::token::sign::TYPE;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Serialize;
use std::borrow::Cow;

/// Bytes a body may have.
pub const MAX_BODY: usize = 32 * 1024;
/// Bytes an app's name may have.
const MAX_NAME: usize = 64;
/// Bytes of a challenge that are looked at.
const MAX_CHALLENGE: usize = 128;
/// Bytes a list of scopes may have.
const MAX_SCOPE: usize = 1024;
/// Bytes of a digest in base64.
const MAX_DIGEST: usize = 64;
/// Bytes a coordinate of a key may have in base64.
const MAX_COORDINATE: usize = 128;

/// A question for a challenge.
#[derive(Debug)]
pub(super) struct ForChallenge<'b> {
    pub(super) app: Cow<'b, str>,
}

impl<'b> ForChallenge<'b> {
    pub(super) fn read(body: &'b [u8]) -> Result<Self, Malformed> {
        let mut members = Members::read(body)?;
        let app = name(&mut members)?;
        members.end()?;
        Ok(Self { app })
    }
}

/// What kind of token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typ {
    /// One for our routes.
    Jwt,
    /// One that attests a client of OAuth.
    ClientAttestation,
}

impl Typ {
    const ALL: [Self; 2] = [Self::Jwt, Self::ClientAttestation];

    /// The `typ` in its header, and in the question.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jwt => TYPE,
            Self::ClientAttestation => ATTESTATION_TYPE,
        }
    }
}

/// A question for a token.
#[derive(Debug)]
pub(super) struct ForToken<'b> {
    pub(super) app: Cow<'b, str>,
    pub(super) challenge: Cow<'b, str>,
    pub(super) evidence: Shown<'b>,
    pub(super) pay: Option<Cow<'b, str>>,
    pub(super) cnf: Option<Bound<'b>>,
    pub(super) scope: Option<Cow<'b, str>>,
    pub(super) typ: Typ,
}

impl<'b> ForToken<'b> {
    pub(super) fn read(body: &'b [u8]) -> Result<Self, Malformed> {
        let mut members = Members::read(body)?;
        let app = name(&mut members)?;
        let challenge = members.required("challenge", MAX_CHALLENGE)?;
        let evidence = members.object("evidence", "evidence.")?;
        let evidence = Shown::read(evidence.ok_or_else(|| members.missing("evidence"))?)?;
        let pay = members.text("pay", MAX_DIGEST)?;
        if pay.as_deref().is_some_and(|pay| !is_digest(pay)) {
            return Err(members.wrong("pay", "the SHA-256 of an `Authorization` field in base64"));
        }
        let cnf = members
            .object("cnf", "cnf.")?
            .map(Bound::read)
            .transpose()?;
        let scope = members.text("scope", MAX_SCOPE)?;
        if scope.as_deref().is_some_and(|scope| !are_scopes(scope)) {
            return Err(members.wrong("scope", "names joined by single spaces"));
        }
        let typ = match members.text("typ", MAX_NAME)? {
            None => Typ::Jwt,
            Some(name) => {
                let known = Typ::ALL.into_iter().find(|one| one.name() == name);
                known.ok_or_else(|| {
                    let names = Typ::ALL.map(|one| format!("`{}`", one.name()));
                    members.wrong("typ", &format!("one of {}", names.join(", ")))
                })?
            }
        };
        members.end()?;
        if typ == Typ::ClientAttestation && !matches!(cnf, Some(Bound::Jwk(_))) {
            let message = "`cnf.jwk` is missing: an attestation holds the key of its client.";
            return Err(Malformed(message.to_owned()));
        }
        Ok(Self {
            app,
            challenge,
            evidence,
            pay,
            cnf,
            scope,
            typ,
        })
    }
}

pub(super) fn name<'b>(members: &mut Members<'b>) -> Result<Cow<'b, str>, Malformed> {
    let app = members.required("app", MAX_NAME)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if app.bytes().all(fits) {
        Ok(app)
    } else {
        Err(members.wrong("app", "a name of letters, digits, `-`, `_` and `.`"))
    }
}

fn is_digest(text: &str) -> bool {
    let decoded = BASE64
        .decode(text.as_bytes())
        .or_else(|_| BASE64URL_NOPAD.decode(text.as_bytes()));
    decoded.is_ok_and(|bytes| bytes.len() == 32)
}

fn are_scopes(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
    text.split(' ')
        .all(|name| (1..=64).contains(&name.len()) && name.bytes().all(fits))
}

/// `cnf`: the key that the token is to be bound to.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Bound<'b> {
    /// Its thumbprint (RFC 7638).
    Jkt(Cow<'b, str>),
    /// Itself, so that requests can be signed with it; its thumbprint stands beside it.
    Jwk(Public<'b>),
}

/// A public key, the members that are needed and no others.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Public<'b> {
    crv: Cow<'b, str>,
    kty: Cow<'b, str>,
    x: Cow<'b, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<Cow<'b, str>>,
    #[serde(skip)]
    thumbprint: String,
}

impl<'b> Bound<'b> {
    fn read(mut members: Members<'b>) -> Result<Self, Malformed> {
        let jkt = members.text("jkt", MAX_DIGEST)?;
        let jwk = members.object("jwk", "cnf.jwk.")?;
        let either = || Malformed("`cnf` has either a `jkt` or a `jwk`.".to_owned());
        let bound = match (jkt, jwk) {
            (Some(jkt), None) => {
                let digest = BASE64URL_NOPAD.decode(jkt.as_bytes());
                if !digest.is_ok_and(|digest| digest.len() == 32) {
                    return Err(members.wrong("jkt", "a thumbprint of RFC 7638 in base64url"));
                }
                Self::Jkt(jkt)
            }
            (None, Some(jwk)) => Self::Jwk(Public::read(jwk)?.0),
            _ => return Err(either()),
        };
        members.end()?;
        Ok(bound)
    }

    /// The key's thumbprint.
    pub(super) fn thumbprint(&self) -> &str {
        match self {
            Self::Jkt(thumbprint) => thumbprint,
            Self::Jwk(public) => &public.thumbprint,
        }
    }
}

impl<'b> Public<'b> {
    /// Reads a public key of Ed25519, P-256 or P-384, and what it verifies with.
    pub(super) fn read(mut jwk: Members<'b>) -> Result<(Self, PublicKey), Malformed> {
        const ALGORITHMS: [Algorithm; 3] = [
            Algorithm::Ed25519,
            Algorithm::EcdsaP256Sha256,
            Algorithm::EcdsaP384Sha384,
        ];
        let mut public = Self {
            thumbprint: String::new(),
            kty: jwk.required("kty", MAX_NAME)?,
            crv: jwk.required("crv", MAX_NAME)?,
            x: jwk.required("x", MAX_COORDINATE)?,
            y: jwk.text("y", MAX_COORDINATE)?,
        };
        // What people's libraries write beside it, and mean nothing by.
        for name in ["kid", "alg", "use", "key_ops", "ext"] {
            jwk.skip(name);
        }
        let key = PublicJwk {
            kty: &public.kty,
            crv: Some(&public.crv),
            x: Some(&public.x),
            y: public.y.as_deref(),
            n: None,
            e: None,
        };
        let suits = ALGORITHMS.into_iter().find(|one| key.suits(*one));
        let read = suits.and_then(|algorithm| key.key(algorithm).ok());
        let read = read.ok_or_else(|| {
            jwk.wrong(
                "x",
                "a coordinate of a public key of Ed25519, P-256 or P-384",
            )
        })?;
        jwk.end()?;
        public.thumbprint = BASE64URL_NOPAD.encode(read.thumbprint());
        Ok((public, read))
    }
}
