//! The names of the ways to prove a request, and sets of them.

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
}

impl Scheme {
    /// Every scheme, in the order they are documented.
    pub const ALL: [Self; 6] = [
        Self::HttpSignature,
        Self::AwsSigv4,
        Self::HmacAuth,
        Self::Token,
        Self::ClientCertificate,
        Self::ApiKey,
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
        }
    }

    /// The scheme of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
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

    /// Those that a key may prove: all but those of certificates and of static keys.
    pub fn of_keys() -> Self {
        let keys = Scheme::ALL.into_iter();
        keys.filter(|scheme| !matches!(scheme, Scheme::ClientCertificate | Scheme::ApiKey))
            .collect()
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
