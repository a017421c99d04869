//! How a request proves itself. All of a scheme, for signer and verifier,
//! lies in one place; a scheme never uses another.
//!
//! In: [`Received`] and the route it goes to. Out: [`Caller`], or [`Refused`].
//! This room never: reads a clock, opens a socket, remembers a request.

pub mod api_key;
pub mod aws_sigv4;
pub mod client_certificate;
pub mod coverage;
pub mod date;
pub mod digest;
pub mod doctor;
pub mod freshness;
pub mod hmac_auth;
pub mod http_signature;
pub mod received;
pub mod token;
pub mod webhook;

pub(crate) mod authority;
mod base64;
mod caller;
mod presented;
mod signed;

pub mod explained;
mod verifier;
mod words;

#[cfg(test)]
mod tests;

pub use caller::{Assurance, Caller, Observed, Proof, ProofId};
pub use explained::{Explained, SIGNATURE_BASE_DIGEST};
pub use presented::{Credential, PAIR, Presented, Rules};
pub use received::{Malformed, PublicUrl, Received, Surroundings};
pub use verifier::{NotVerified, Verifier};

use crate::apps::{Scheme, SchemeSet};
use crate::route::{Bind, KeyPlaces, Route};
use http::HeaderName;
use std::borrow::Cow;
use std::sync::Arc;

/// Why a request is not let in for what it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It shows no credential at all.
    Missing,
    /// The same on a route that accepts this.
    Nothing(Box<Wanted>),
    /// It shows one of a scheme that the route does not accept.
    NotAccepted(Scheme),
    /// It shows one of a token and a signature, and the route asks for both.
    Alone(Scheme),
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
    Coverage(Vec<Cow<'static, str>>),
    /// Parts of a webhook that no sender signs, where they must not be.
    NobodySigns(Vec<Cow<'static, str>>),
    /// The field of the token that stands beside a signature, which does not cover it.
    TokenNotCovered(HeaderName),
    /// It covers something that the request does not carry.
    Absent(String),
    /// Its time is outside the window.
    Skew {
        /// What has that time.
        of: Timed,
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
    /// The hash of the body is a part of what is signed, and no field tells it: it has to be read first.
    Unread,
    /// A body would have to be covered, and is not; that there is one only its first byte shows, since no length is told.
    Unbegun,
    /// A token is not bound to what it must be bound to.
    Binding(Unbound),
    /// A token and a signature hold, of two apps.
    OtherApp,
    /// The proof holds, and its app is switched off.
    AppDisabled,
}

/// What says when it was made. A token and the proof of its key each do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// The credential itself.
    Credential,
    /// A DPoP proof.
    DpopProof,
    /// The proof of an attestation's key.
    Pop,
}

/// What a route accepts, and where it looks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What lets in by itself.
    pub schemes: SchemeSet,
    /// Whether a token and a signature do together.
    pub pair: bool,
    /// The fields that a token may stand in.
    pub token_fields: Vec<HeaderName>,
    /// Whether a token must be bound to a key that a DPoP proof shows.
    pub is_bound: bool,
    /// Where a static key may stand.
    pub key_places: Option<Arc<KeyPlaces>>,
}

impl Wanted {
    /// What `route` accepts, which lets `schemes` in.
    fn on(route: &Route, schemes: SchemeSet) -> Self {
        Self {
            schemes,
            pair: route.pair,
            token_fields: route.token_fields.clone(),
            is_bound: route.bind == Bind::Dpop,
            key_places: route.key_places.clone(),
        }
    }
}

impl Refused {
    /// Whether no key has what was shown, or claimed.
    pub const fn is_unknown_key(&self) -> bool {
        matches!(
            self,
            Self::Rejected {
                why: Why::UnknownKey,
                ..
            }
        )
    }

    /// The same, with what stands in the fields that `route` takes tokens and keys from digested.
    fn veiled_on(mut self, route: &Route) -> Self {
        if let Self::Rejected {
            explained: Some(explained),
            ..
        } = &mut self
        {
            explained.base = explained::veiled_on(&explained.base, route);
        }
        self
    }

    /// Parts that must be covered and are not.
    pub fn coverage<T: Into<Cow<'static, str>>>(names: impl IntoIterator<Item = T>) -> Self {
        Self::Coverage(names.into_iter().map(Into::into).collect())
    }
}

/// What a token is not bound to, or what is missing that it is bound to. Told only to who shows a
/// token that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// The `Authorization` of the request, by `pay`.
    Authorization,
    /// The certificate of the connection.
    Certificate,
    /// It is bound to nothing, where something is shown or demanded that it must be bound to.
    NotBound,
    /// There is no DPoP proof.
    NoProof,
    /// There is neither a DPoP proof nor a signature of the request.
    NoProofOrSignature,
    /// There is no signature of the request.
    NoSignature,
    /// The DPoP proof is by another key.
    OtherKey,
    /// The DPoP proof is for another token.
    OtherToken,
    /// The DPoP proof is for another method.
    OtherMethod,
    /// The DPoP proof is for another URL.
    OtherUrl,
    /// The DPoP proof holds no nonce of ours, or an old one.
    Nonce,
    /// The signature of the request is by another key.
    Signature,
    /// A token with a DPoP proof stands behind `Bearer`.
    AsBearer,
    /// There is no proof of the key of an attestation.
    NoPop,
    /// The proof of an attestation's key is for another audience.
    OtherAudience,
    /// The proof of an attestation's key holds no challenge of ours, or an old one.
    Challenge,
}

impl Unbound {
    /// Whether something is missing, rather than wrong.
    pub const fn is_missing(self) -> bool {
        matches!(
            self,
            Self::NoProof
                | Self::NoProofOrSignature
                | Self::NoSignature
                | Self::Nonce
                | Self::NoPop
                | Self::Challenge
        )
    }
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
    /// The signature of a DPoP proof does not match the key in it.
    WrongProof,
    /// A member of a DPoP proof does not hold.
    Proof(&'static str),
    /// The signature of the proof of an attestation's key does not match.
    WrongPop,
    /// A member of that proof does not hold.
    Pop(&'static str),
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
            Self::WrongProof => "wrong-dpop-signature",
            Self::Proof(_) => "bad-dpop-proof",
            Self::WrongPop => "wrong-pop-signature",
            Self::Pop(_) => "bad-pop",
        }
    }
}
