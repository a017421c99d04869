//! The names of the ways to prove a request, and sets of them.

use crate::crypto::Algorithm;
use std::fmt;

/// How a request proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP Message Signatures, RFC 9421.
    HttpSignature,
    /// AWS Signature Version 4.
    AwsSigv4,
    /// A signature in the dialect of another gateway.
    HmacAuth,
    /// A short-lived JWT signed with an app's key.
    Token,
    /// The certificate of the connection.
    ClientCertificate,
    /// A static key, for callers that cannot do better yet.
    ApiKey,
    /// A webhook, signed in the way of who sends it.
    Webhook,
}

impl Scheme {
    /// Every scheme, in the order they are documented.
    pub const ALL: [Self; 7] = [
        Self::HttpSignature,
        Self::AwsSigv4,
        Self::HmacAuth,
        Self::Token,
        Self::ClientCertificate,
        Self::ApiKey,
        Self::Webhook,
    ];

    /// The name in `gateway.toml`, in logs and in `Portcullis-Scheme`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HttpSignature => "http-signature",
            Self::AwsSigv4 => "aws-sigv4",
            Self::HmacAuth => "hmac-auth",
            Self::Token => "token",
            Self::ClientCertificate => "client-certificate",
            Self::ApiKey => "api-key",
            Self::Webhook => "webhook",
        }
    }

    /// The scheme of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Whether a key of `algorithm` can prove it, on some route at least.
    pub const fn takes(self, algorithm: Algorithm) -> bool {
        match self {
            Self::HttpSignature => algorithm.is_for_requests(),
            Self::AwsSigv4 => matches!(algorithm, Algorithm::HmacSha256),
            Self::HmacAuth => {
                algorithm.is_mac()
                    || matches!(
                        algorithm,
                        Algorithm::Ed25519 | Algorithm::RsaPssSha512 | Algorithm::RsaV15Sha256
                    )
            }
            Self::Token => algorithm.is_for_tokens(),
            Self::Webhook => matches!(algorithm, Algorithm::HmacSha256 | Algorithm::Ed25519),
            Self::ClientCertificate | Self::ApiKey => false,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some of the schemes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SchemeSet(u16);

impl SchemeSet {
    /// All of them.
    pub const fn all() -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < Scheme::ALL.len() {
            bits |= Scheme::ALL[i].bit();
            i += 1;
        }
        Self(bits)
    }

    /// Those that a key may prove which does not say: all but those of certificates and of static keys,
    /// and webhooks, whose keys are for them alone.
    pub fn of_keys() -> Self {
        let keys = Scheme::ALL.into_iter();
        keys.filter(|scheme| {
            !matches!(
                scheme,
                Scheme::ClientCertificate | Scheme::ApiKey | Scheme::Webhook
            )
        })
        .collect()
    }

    /// These without those of which a short secret is not enough.
    #[must_use]
    pub const fn of_weak_keys(self) -> Self {
        Self(self.0 & !(Scheme::HttpSignature.bit() | Scheme::Token.bit()))
    }

    /// Whether `scheme` is one of them.
    pub const fn contains(self, scheme: Scheme) -> bool {
        self.0 & scheme.bit() != 0
    }

    /// Those that are in it, in documented order.
    pub fn iter(self) -> impl Iterator<Item = Scheme> {
        Scheme::ALL
            .into_iter()
            .filter(move |scheme| self.contains(*scheme))
    }
}

impl FromIterator<Scheme> for SchemeSet {
    fn from_iter<T: IntoIterator<Item = Scheme>>(schemes: T) -> Self {
        Self(schemes.into_iter().fold(0, |bits, one| bits | one.bit()))
    }
}

impl fmt::Debug for SchemeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::HmacKey;
    use crate::route::{Dialect, Sender};
    use crate::schemes::{hmac_auth, webhook};

    #[test]
    fn a_scheme_takes_an_algorithm_where_its_verifier_does_for_some_caller() {
        for algorithm in Algorithm::ALL {
            let mut dialects = Dialect::ALL.into_iter();
            let of_a_dialect = dialects.any(|one| hmac_auth::verify::is_of(one, algorithm));
            assert_eq!(
                Scheme::HmacAuth.takes(algorithm),
                of_a_dialect,
                "{algorithm}"
            );
            let mut senders = Sender::ALL.into_iter();
            let of_a_sender = senders.any(|one| webhook::verify::is_of(one, algorithm));
            assert_eq!(Scheme::Webhook.takes(algorithm), of_a_sender, "{algorithm}");
            let has_days = algorithm.is_mac() && HmacKey::dummy(algorithm).aws().is_some();
            assert_eq!(Scheme::AwsSigv4.takes(algorithm), has_days, "{algorithm}");
        }
    }
}
