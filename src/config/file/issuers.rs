//! `[tokens]` and `[issuers.NAME]` as written.

use crate::config::lists::{List, OneOrMore, Several};
use crate::config::outside::{KeySetAt, TokenAlgorithm};
use crate::config::read::At;
use crate::config::secrets::{Reference, SecretFile};
use crate::config::table::{Required, table};
use crate::config::times::Period;
use crate::config::values::{Name, Text};
use http::HeaderName;

table! {
    /// What is asked of tokens.
    pub struct Tokens {
        /// What the claim `aud` must hold. Where it is not said, `aud` is not looked at.
        pub audience: Option<Text>,
        /// Fields a token may stand in; `"authorization"` means `Authorization: Bearer`.
        pub headers: Several<At<HeaderName>> = ["Portcullis-Token"],
        /// The longest life a token may have, from `iat` to `exp`.
        pub max_lifetime: Period = "15m",
        /// Whether a DPoP proof must hold a nonce of ours. A proof without one, or with one older than `[freshness]`
        /// `window`, is refused with a fresh one in `DPoP-Nonce`: no proof can be made ahead of time.
        pub dpop_nonce: bool = false,
    }
}

table! {
    /// Whose tokens are taken besides those that apps make: a provider of OpenID Connect, Firebase App Check, Approov.
    pub struct Issuer {
        /// What the claim `iss` of its tokens is, letter by letter. Only with `secret` it may be left out.
        pub issuer: Option<At<Text>>,
        /// What the claim `aud` must be, or list: one of these. Only with `secret` it may be left out.
        pub audience: Option<OneOrMore<At<Text>>>,
        /// What its tokens are signed with; no other algorithm is taken, whatever a token or a key set says. A key
        /// that does not name its algorithm is for the first of them that it can be used with.
        pub algorithms: Required<Several<At<TokenAlgorithm>>>,
        /// Where its public keys are, a JWK Set: `https://…`, or `file:PATH`, which is read again when it changes.
        /// `http://…` only on this machine.
        pub jwks: Option<At<KeySetAt>>,
        /// Where the secret is that its tokens are signed with, for `HS256`: `env:NAME` or `file:PATH`, as for a key.
        pub secret: Option<At<Reference>>,
        /// Fields its tokens may stand in; `"authorization"` means `Authorization: Bearer`.
        pub headers: Several<At<HeaderName>> = ["authorization"],
        /// The app that all its tokens stand for.
        pub app: Option<At<Name>>,
        /// The claim that tells which app a token stands for, by `apps`: a name, or those that lead to it
        /// (`["realm_access", "roles"]`). Its value is a text, or a list of texts.
        pub claim: Option<At<OneOrMore<Text>>>,
        /// Which values of that claim stand for which app. A token with another value is refused, and one whose list
        /// names two apps.
        pub apps: List<ClaimedApp> = [],
        /// The claim that narrows the scopes of the app, a name or those that lead to it: a text, names joined by
        /// spaces, or a list of texts. A token without it may do nothing then. Where it is not said, a token may do
        /// what its app may.
        pub scope_claim: Option<OneOrMore<Text>>,
        /// The claim that holds the public key of the app's installation, on P-256, in DER and base64: `"ipk"` of Approov.
        /// A token with it needs a signature of the request by that key, on a route that accepts
        /// `"token+http-signature"`.
        pub signature_key: Option<Text>,
        /// Where the secret is that requests with its tokens are signed with by HMAC-SHA-256, where these name no key:
        /// Approov's account message signing. On routes that accept `"token+http-signature"`.
        pub signature_secret: Option<At<Reference>>,
        /// Whether it looks at an instance of the app before it makes it a token, as App Check and Approov do: such
        /// tokens are `"attested"`. One that only knows a user or a password does not.
        pub attests: bool = false,
        /// The longest life of its tokens, from `iat` to `exp`.
        pub max_lifetime: Period = "1h",
        /// How often its keys are fetched.
        pub refresh: At<Period> = "1h",
        /// The shortest time from one fetch to the next. A token that names a key we do not have is refused, and its
        /// keys are fetched as soon as this allows; no flood of such tokens reaches the issuer more often. While
        /// fetches fail it doubles, up to `refresh`.
        pub cooldown: At<Period> = "1m",
        /// How long keys are used that cannot be fetched again.
        pub stale: At<Period> = "1d",
        /// The authorities whose certificates are trusted where its keys are, in PEM. Where they are not said, those
        /// of the system.
        pub ca: Option<At<SecretFile>>,
    }
}

table! {
    /// A value of a claim, and the app that it stands for.
    pub struct ClaimedApp {
        /// The value, letter by letter.
        pub value: Required<At<Text>>,
        /// The app.
        pub app: Required<At<Name>>,
    }
}
