//! How a request proves itself. All of a scheme, for signer and verifier,
//! lies in one place; a scheme never uses another.
//!
//! In: [`Received`] and the route it goes to. Out: [`Caller`], or [`Refused`].
//! This room never: reads a clock, opens a socket, remembers a request.

pub mod client_certificate;
pub mod coverage;
pub mod digest;
pub mod freshness;
pub mod hmac_auth;
pub mod http_signature;
pub mod received;
pub mod token;

mod authority;
mod caller;
mod signed;

pub mod explained;
mod verifier;

pub use caller::{Assurance, Caller, Proof, ProofId};
pub use explained::{Explained, SIGNATURE_BASE_DIGEST};
use received::Field;
pub use received::{Malformed, PublicUrl, Received, Surroundings};
pub use verifier::{NotVerified, Verifier};

use crate::apps::{Registry, Scheme};
use crate::clock::Now;
use crate::crypto::certificate::Certificate;
use crate::route::{Accept, Route};

/// The one credential that a request shows.
#[derive(Debug)]
pub enum Presented<'r> {
    /// HTTP message signatures.
    Signature(http_signature::Presented<'r>),
    /// A signature in the dialect of another gateway.
    HmacAuth(hmac_auth::Presented<'r>),
    /// A token.
    Token(token::Presented<'r>),
    /// The certificate of the connection.
    Certificate(&'r Certificate),
}

/// What credentials are verified by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'s> {
    /// Every key.
    pub registry: &'s Registry,
    /// The window of time.
    pub freshness: freshness::Freshness,
    /// What a token must hold.
    pub tokens: &'s token::Settings,
    /// Tokens that were verified before.
    pub verified: &'s token::Cache,
    /// Whether anyone may see the text that was verified against.
    pub explain: bool,
}

impl<'r> Presented<'r> {
    /// Finds the one credential of `received` that `route` accepts.
    ///
    /// # Errors
    /// [`Refused`]: none, two, one that cannot be read or is not accepted here.
    pub fn read(received: &Received<'r>, route: &Route) -> Result<Self, Refused> {
        if let Some(signature) = hmac_auth::Presented::read(received, route)? {
            return Self::alone(Self::HmacAuth(signature), received, route);
        }
        let has_signature =
            received.shows(Field::Signature) || received.shows(Field::SignatureInput);
        let signature = if has_signature {
            http_signature::Presented::read(received.fields())?
        } else {
            None
        };
        let token = token::read(received, route)?;
        let presented = match (signature, token) {
            (None, None) => return Self::of_connection(received, route),
            (Some(signature), None) => Self::Signature(signature),
            (None, Some(token)) => Self::Token(token),
            (Some(_), Some(_)) => {
                return Err(Refused::Malformed(
                    "the request shows a signature and a token; send one of them".to_owned(),
                ));
            }
        };
        let scheme = presented.scheme();
        match route.accept {
            Accept::Proven(accepted) if accepted.contains(scheme) => Ok(presented),
            _ => Err(Refused::NotAccepted(scheme)),
        }
    }

    /// `presented`, unless the request shows another credential too.
    fn alone(presented: Self, received: &Received<'r>, route: &Route) -> Result<Self, Refused> {
        let another = if received
            .fields()
            .contains_key(http_signature::SIGNATURE_INPUT)
        {
            "`Signature-Input`"
        } else if token::read(received, route)?.is_some() {
            "a token"
        } else {
            return Ok(presented);
        };
        Err(Refused::Malformed(format!(
            "the request shows a signature of `{}` and {another}; send one of them",
            presented.scheme()
        )))
    }

    /// What a request shows that shows nothing by itself. A certificate counts only
    /// then, and where the route accepts one: else it is a matter of transport.
    fn of_connection(received: &Received<'r>, route: &Route) -> Result<Self, Refused> {
        match (received.certificate(), route.accept) {
            (Some(certificate), Accept::Proven(accepted))
                if accepted.contains(Scheme::ClientCertificate) =>
            {
                Ok(Self::Certificate(certificate))
            }
            _ => Err(Refused::Missing),
        }
    }

    /// How it proves the request.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Signature(_) => Scheme::HttpSignature,
            Self::HmacAuth(_) => Scheme::HmacAuth,
            Self::Token(_) => Scheme::Token,
            Self::Certificate(_) => Scheme::ClientCertificate,
        }
    }

    /// The key id it names: claimed, not proven.
    pub fn claimed_key(&self) -> Option<String> {
        match self {
            Self::Signature(signature) => signature.claimed_key().map(str::to_owned),
            Self::HmacAuth(signature) => Some(signature.claimed_key().to_owned()),
            Self::Token(token) => token.claimed_key().map(|key| key.to_string()),
            Self::Certificate(certificate) => certificate.names().first().map(ToString::to_string),
        }
    }

    /// The caller that it proves.
    ///
    /// # Errors
    /// [`Refused`] says why it proves none.
    pub fn verify(
        &self,
        received: &Received<'_>,
        route: &Route,
        rules: Rules<'_>,
        now: Now,
    ) -> Result<Caller, Refused> {
        let signed = signed::Rules {
            registry: rules.registry,
            freshness: rules.freshness,
            explain: rules.explain,
        };
        match self {
            Self::Signature(signature) => {
                http_signature::verify(signature, received, route, signed, now)
            }
            Self::HmacAuth(signature) => hmac_auth::verify(signature, received, route, signed, now),
            Self::Token(token) => token::verify(
                token,
                received,
                route,
                rules.registry,
                rules.tokens,
                rules.verified,
                now,
            ),
            Self::Certificate(certificate) => {
                client_certificate::verify(certificate, rules.registry, now)
            }
        }
    }
}

/// Why a request is not let in for what it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It shows no credential at all.
    Missing,
    /// It shows one of a scheme that the route does not accept.
    NotAccepted(Scheme),
    /// What it shows cannot be read: where, what was found, what is accepted.
    Malformed(String),
    /// Unknown key, wrong signature, key not in force, algorithm not the
    /// key's: one word outside, `why` for the log, `hint` for an honest caller
    /// where it tells a guesser nothing.
    Rejected {
        /// For the log only.
        why: Why,
        /// The text we verified against, for callers that may see it.
        explained: Option<Box<Explained>>,
    },
    /// Parts that must be covered and are not, named as the caller would write them.
    Coverage(Vec<&'static str>),
    /// It covers something that the request does not carry.
    Absent(String),
    /// Its time is outside the window.
    Skew {
        /// Our time, Unix seconds.
        ours: i64,
        /// The caller's.
        theirs: i64,
    },
    /// It says itself that it is over.
    Expired {
        /// When it ended, Unix seconds.
        at: i64,
    },
    /// There is no body, and it shows the digest of one.
    Digest,
    /// A token is not bound to what it must be bound to.
    Binding,
    /// The proof holds, and its app is switched off.
    AppDisabled,
}

/// The true reason behind [`Refused::Rejected`]: for the access record, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No key has this id.
    UnknownKey,
    /// The signature does not match.
    WrongSignature,
    /// The key is not in force yet, or no longer.
    KeyNotActive,
    /// The key may not be used with this scheme.
    KeyNotForScheme,
    /// The algorithm named is not the key's.
    WrongAlgorithm,
    /// No app is known by the certificate.
    UnknownCertificate,
    /// The certificate is made out to names of several credentials.
    SeveralCertificates,
    /// A claim of the token does not hold.
    Claim(&'static str),
}

impl Why {
    /// The word in the access record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown-key",
            Self::WrongSignature => "wrong-signature",
            Self::KeyNotActive => "key-not-active",
            Self::KeyNotForScheme => "key-not-for-scheme",
            Self::WrongAlgorithm => "wrong-algorithm",
            Self::UnknownCertificate => "unknown-certificate",
            Self::SeveralCertificates => "several-certificates",
            Self::Claim(claim) => claim,
        }
    }
}
