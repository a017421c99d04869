//! Whose way of signing `hmac-auth` takes on a route.

/// A way to sign with a shared secret, as another gateway or a draft has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Kong's `hmac-auth` plug-in.
    Kong,
    /// Apache APISIX's `hmac-auth` plug-in, from version 3.
    Apisix,
    /// draft-cavage-http-signatures-12.
    Cavage12,
}

impl Dialect {
    /// Every dialect, in the order they are documented.
    pub const ALL: [Self; 3] = [Self::Kong, Self::Apisix, Self::Cavage12];

    /// Its name in `dialect`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kong => "kong",
            Self::Apisix => "apisix",
            Self::Cavage12 => "cavage-12",
        }
    }
}
