//! `[tokens]` and `[issuers.NAME]` as written.

use super::CorsOfTokens;
use crate::apps::{Evidence, OnFailure};
use crate::config::lists::{List, OneOrMore, Several};
use crate::config::minted::{Build, PathPrefix};
use crate::config::outside::{KeySetAt, TokenAlgorithm};
use crate::config::read::At;
use crate::config::secrets::{Given, Reference, SecretFile};
use crate::config::table::{Required, table};
use crate::config::times::{Period, Seconds};
use crate::config::values::{KeyId, Name, Text};
use crate::config::words::Limit;
use http::HeaderName;

table! {
    /// What is asked of tokens.
    pub struct Tokens {
        /// What the claim `aud` must hold. Where it is not said, `aud` is not looked at.
        pub audience: Option<Text>,
        /// Fields a token may stand in; `"authorization"` means `Authorization: Bearer`.
        pub headers: Several<At<HeaderName>> = ["Portcullis-Token"],
        /// The longest life a token may have, from `iat` to `exp`.
        pub max_lifetime: Seconds = "15m",
        /// Whether a DPoP proof must hold a nonce of ours. A proof without one, or with one older than `[freshness]`
        /// `window`, is refused with a fresh one in `DPoP-Nonce`: no proof can be made ahead of time.
        pub dpop_nonce: bool = false,
        /// The secret by which such nonces, and challenges of attested clients and of the key service, are known again: one
        /// that all gateways of a fleet have, where a caller may meet another one at each request. Where it is not said, each
        /// makes one for itself, and takes nonces and challenges of no other.
        pub nonce_secret: Option<At<Reference>>,
        /// The path below which the key service answers, where an app has `tokens`, or may be made with some: unless
        /// `[state] registry` is `"off"`. No route may lie there.
        pub prefix: At<PathPrefix> = "/.portcullis",
        /// What tokens of the key service name as their issuer, in `iss`. Where it is not said, `public_url`; without
        /// that, `"portcullis"`.
        pub issuer: Option<Text>,
        /// What an address may ask the key service for, whatever comes of it. Who asks for more gets 429 `peer-limited`.
        pub rate: Limit = { rate = "10/s", burst = 100 },
        /// Tokens that each app may get, unless its plan says otherwise. Who asks for more, and has proven to be the app,
        /// gets 429 `rate-exceeded`.
        pub app_rate: Limit = "off",
        /// Tokens that each instance of an app, or each workload, may get, unless the app's plan says otherwise.
        pub instance_rate: Limit = { rate = "1/s", burst = 20 },
        /// Whose pages may ask the key service from a browser. Where it is not said, none: only programs can.
        pub cors: Option<CorsOfTokens>,
    }
}

table! {
    /// How an app gets tokens of the key service: whoever shows the evidence gets one, and no instance has a key that
    /// opens anything for long.
    pub struct AppTokens {
        /// The key that signs them, one of the app's that attest; of several the first that is in force. Where it is not
        /// said, every key of the app that attests and can sign: the one whose `not_before` is the latest, or that stands last.
        pub key: Option<OneOrMore<At<KeyId>>>,
        /// How long a token lives; at most `[tokens] max_lifetime`.
        pub lifetime: At<Seconds> = "5m",
        /// What is taken as evidence: `"oidc"`, a platform says which workload asks; `"dev"`, none at all, where only this
        /// machine can reach the gateway. `"instance-key"`, a key that was enrolled signs the challenge, is for apps of the
        /// registry.
        pub evidence: Required<Several<At<Evidence>>>,
        /// Builds that get tokens. Tokens of a build that is taken away hold no longer. None is every build; workloads
        /// have none.
        pub builds: List<Build> = [],
        /// What whoever fails gets: `"decoy"`, a token that looks like any other and opens nothing, or `"refuse"`, 403
        /// `evidence-rejected`.
        pub on_failure: OnFailure = "decoy",
        /// Which workloads are the app, for `"oidc"`.
        pub workloads: List<Workload> = [],
        /// What the app is called as a client of OAuth. Where it is said, the app may ask for client attestations in place
        /// of tokens: for routes with `client_attestation`, and authorization servers that take them.
        pub client_id: Option<At<Text>>,
    }
}

table! {
    /// A workload, by what its platform says of it.
    pub struct Workload {
        /// Who says so: a name in `[issuers]`.
        pub issuer: Required<At<Name>>,
        /// What all must hold of it. Anyone may get a token of a large platform: say whose it must be.
        pub claims: Required<Several<WorkloadClaim>>,
        /// Whether what the platform says is good for one token of ours. Kubernetes renews its projected tokens once in
        /// an hour or so only: with `false` one is good for many, for whoever has a copy too. One with our challenge as its
        /// `nonce` is good for that challenge anyway.
        pub single_use: bool = true,
    }
}

table! {
    /// A claim of a workload, and the values of it that are taken.
    pub struct WorkloadClaim {
        /// Its name, or those that lead to it: `["kubernetes.io", "namespace"]`.
        pub claim: Required<OneOrMore<Text>>,
        /// The value, letter by letter, or several. Where the claim is a list, one of them must stand in it.
        pub value: Required<OneOrMore<Text>>,
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
        pub secret: Option<Given>,
        /// Fields its tokens may stand in; `"authorization"` means `Authorization: Bearer`.
        pub headers: Several<At<HeaderName>> = ["authorization"],
        /// The app that all its tokens stand for. Where there is no registry, one that no app's `workloads` name has
        /// either `app` or `claim`; the tokens of one without are evidence only, and no route takes them.
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
        pub signature_secret: Option<Given>,
        /// Whether it looks at an instance of the app before it makes it a token, as App Check and Approov do: such
        /// tokens are `"attested"`. One that only knows a user or a password does not.
        pub attests: bool = false,
        /// The longest life of its tokens, from `iat` to `exp`.
        pub max_lifetime: Seconds = "1h",
        /// How often its keys are fetched.
        pub refresh: At<Period> = "1h",
        /// The shortest time from one fetch to the next. A token that names a key we do not have is refused, and its
        /// keys are fetched as soon as this allows; no flood of such tokens reaches the issuer more often. While
        /// fetches fail and nobody lacks a key it doubles, up to `refresh`, or to five times as long where there is no
        /// key that can be used.
        pub cooldown: At<Period> = "1m",
        /// How long keys are used that cannot be fetched again; no less than `refresh` and `cooldown` together.
        pub stale: At<Seconds> = "1d",
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
