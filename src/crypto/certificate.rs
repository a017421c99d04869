//! A certificate that a peer has shown, as far as it tells who it is.

use super::digest::sha256;
use std::fmt;

/// A certificate whose chain and possession were verified by whoever made this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    fingerprint: [u8; 32],
    names: Vec<Name>,
    not_before: i64,
    not_after: i64,
}

/// A name that a certificate is made out to (RFC 5280, section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A host, in lower case.
    Dns(Box<str>),
    /// Such as `spiffe://example.com/orders`, byte for byte.
    Uri(Box<str>),
    /// An address of mail, its domain in lower case.
    Email(Box<str>),
}

impl Certificate {
    /// A certificate of these bytes. Its times are Unix seconds, both of them within it.
    pub fn new(der: &[u8], names: Vec<Name>, not_before: i64, not_after: i64) -> Self {
        Self {
            fingerprint: sha256(&[der]),
            names,
            not_before,
            not_after,
        }
    }

    /// SHA-256 of all of it.
    pub const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// Who it is made out to.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// First second at which it holds, Unix time.
    pub const fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Last second at which it holds, Unix time.
    pub const fn not_after(&self) -> i64 {
        self.not_after
    }
}

impl Name {
    /// A host.
    pub fn dns(text: &str) -> Self {
        Self::Dns(text.to_ascii_lowercase().into())
    }

    /// A URI.
    pub fn uri(text: &str) -> Self {
        Self::Uri(text.into())
    }

    /// An address of mail.
    pub fn email(text: &str) -> Self {
        Self::Email(match text.rsplit_once('@') {
            Some((mailbox, domain)) => format!("{mailbox}@{}", domain.to_ascii_lowercase()).into(),
            None => text.into(),
        })
    }

    /// What a text that a person wrote means: a URI has a scheme, an address of mail an `@`.
    pub fn of_text(text: &str) -> Self {
        if text.contains(':') {
            Self::uri(text)
        } else if text.contains('@') {
            Self::email(text)
        } else {
            Self::dns(text)
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Dns(text) | Self::Uri(text) | Self::Email(text)) = self;
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_it_looks_like() {
        for (text, name) in [
            ("Orders.Example.com", Name::Dns("orders.example.com".into())),
            (
                "spiffe://example.com/Orders",
                Name::Uri("spiffe://example.com/Orders".into()),
            ),
            ("urn:uuid:1", Name::Uri("urn:uuid:1".into())),
            ("Ann@Example.com", Name::Email("Ann@example.com".into())),
        ] {
            assert_eq!(Name::of_text(text), name);
        }
    }
}
