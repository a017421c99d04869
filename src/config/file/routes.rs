//! `[[routes]]` as written.

use super::{Body, Cors, Inject, SigV4, Webhook};
use crate::apps::Mode;
use crate::config::beyond::Protocol;
use crate::config::lists::{List, OneOrMore, Several};
use crate::config::read::At;
use crate::config::table::{Required, table};
use crate::config::times::Moment;
use crate::config::values::{Count, Name, Scope, Text};
use crate::config::words::{Accepted, Asked};
use crate::route::{Bind, Dialect, HostPattern, Part, PathEncoding, PathPattern, ReplayPolicy};
use http::{HeaderName, Method};

table! {
    /// Which requests go where, and what they must show to get there.
    pub struct Route {
        /// Its name in logs, metrics and `check`. Not `none`: so metrics call requests that no
        /// route takes.
        pub name: Required<At<Name>>,
        /// Which host: a name, or `*.` before one for names of one label more. Where it is not said, every host. It goes
        /// before `path`: a name before a pattern, and a pattern before a route of every host, however specific their
        /// paths are. Where `[server] public_url` is said, its host is every request's.
        pub host: Option<At<HostPattern>>,
        /// Which paths: `/orders` is that path alone, `*` one segment, `/**` at the end the path and all below it. The more
        /// specific goes first among routes of the same `host` alone. An escape of what can stand plain is the plain
        /// character: `/jobs%3Acancel` is `/jobs:cancel`. A `;` is written plain.
        pub path: Required<At<PathPattern>>,
        /// Which methods; with `GET` goes `HEAD`, unless a route of the same host and path lists it. Where they are
        /// not said, every method. Those that are not listed go to a less specific route, where one takes them: `check`
        /// warns where that one asks for less, by what it accepts, `mode`, `scopes`, `assurance`, `bind`,
        /// `replay = "off"` or `waive`.
        pub methods: Option<Several<Method>>,
        /// The upstream it leads to.
        pub upstream: Required<At<Name>>,
        /// What a caller may prove itself with. `["public"]` alone lets anyone in, unproven. `"client-certificate"`
        /// counts for requests that show nothing else. Of several any one lets in, and a request shows one;
        /// `"token+http-signature"` asks for both, of one app, and the signature covers the token. `"api-key"`, a
        /// static key, is for migration only.
        pub accept: Required<Several<At<Accepted>>>,
        /// `"observe"`: whatever is asked of callers here is evaluated and recorded, and refuses nobody; who is not
        /// proven passes as nobody. Heads, peers and the limits on bodies are as ever.
        pub mode: At<Mode> = "enforce",
        /// How well a caller must be proven: `"signed"`, it signed this very request; `"attested"`, a token of
        /// somebody who attests; `"attested+signed"`, both. Where it is not said, whatever is accepted is enough.
        pub assurance: Option<At<Asked>>,
        /// What a caller must be allowed to do: all of these.
        pub scopes: List<Scope> = [],
        /// How long bodies may be, and when they are checked.
        pub body: Body = {},
        /// What passes only once. `"standard"`: a request with a nonce or an unsafe method, and one that asks for a
        /// protocol of `upgrade`, unless a token proves it; `"strict"`: every request; `"off"`: none, which is a waiver.
        /// What `"client-certificate"` proves cannot come again: nobody else can send on its connection.
        pub replay: At<ReplayPolicy> = "standard",
        /// What a token must be bound to. `"authorization"`: the request's `Authorization` field, by the claim `pay`;
        /// `"key"`: a key or a certificate, by the claim `cnf`, which a DPoP proof, a signature or the connection shows;
        /// `"dpop"`: a key that a DPoP proof shows. A token that is bound is held to it wherever what it is bound to is shown.
        pub bind: At<Bind> = "none",
        /// In whose way callers sign on a route that accepts `"hmac-auth"`: as for Kong's or for Apache APISIX's
        /// plug-in of that name, or after draft-cavage-http-signatures-12.
        pub dialect: Option<At<Dialect>>,
        /// Whose webhooks are taken on a route that accepts `"webhook"`.
        pub webhook: Option<At<Webhook>>,
        /// What is taken of callers on a route that accepts `"aws-sigv4"`.
        pub sigv4: Option<At<SigV4>>,
        /// Parts of a request that a proof need not cover, each until a date.
        pub waive: List<Waiver> = [],
        /// `"legacy"` lets `//` and `%2F` in a path pass, for backends that were built on them.
        pub path_encoding: PathEncoding = "strict",
        /// Whether the upstream sees the proof too.
        pub keep_proof: bool = false,
        /// Requests in flight on this route, besides the cap over all. What is not said has no cap of its own. Given by
        /// a reload where there was none, it counts from then on.
        pub in_flight: Option<Count>,
        /// For health checks of a balancer: such requests may use the reserve of `[overload]`, and do not wait.
        pub reserved: bool = false,
        /// Fields a token may stand in, in place of those of `[tokens]`.
        pub token_headers: Option<Several<At<HeaderName>>>,
        /// Whose tokens are taken besides those that apps make: names in `[issuers]`. Where it is not said, those of
        /// every issuer; `[]` is of none.
        pub issuers: Option<List<At<Name>>>,
        /// Protocols that a request may switch its HTTP/1.1 connection to: `["websocket"]`. The request that asks
        /// is proven and counted like any other; what passes thereafter is not looked at. None: `Upgrade` is
        /// taken off.
        pub upgrade: List<Protocol> = [],
        /// Whose pages may call from a browser. Preflights are answered here, without a proof; what the upstream
        /// says about it is replaced. Pages of other origins than these and ours are refused a protocol of
        /// `upgrade`. Where it is not said, `OPTIONS` is a method like any other.
        pub cors: Option<Cors>,
        /// What is added on the way to the upstream: the backend's own credentials, so that no caller needs to have
        /// them. It replaces what a caller sends under the same name, and is added for callers that are proven, and on
        /// public routes; not for nobody where the route only observes.
        pub inject: Option<At<Inject>>,
        /// Takes a token and its proof as OAuth clients show them that are attested, in `OAuth-Client-Attestation` and
        /// `OAuth-Client-Attestation-PoP` or `DPoP` (draft-ietf-oauth-attestation-based-client-auth-09): on a route
        /// that accepts `"token"`.
        pub client_attestation: Option<At<ClientAttestation>>,
    }
}

table! {
    /// A part of a request that a proof need not cover.
    pub struct Waiver {
        /// Which part.
        pub part: Required<At<Part>>,
        /// The first day, or the first second, at which it must be covered again.
        pub until: Required<Moment>,
        /// Why, for whoever reads `check`.
        pub reason: Required<Text>,
    }
}

table! {
    /// What is asked of attested clients of OAuth.
    pub struct ClientAttestation {
        /// What `aud` of their proofs must be: the issuer identifier of the authorization server behind the route, or
        /// the resource identifier of the backend. One, or several in a row.
        pub audience: Required<OneOrMore<At<Text>>>,
        /// Which clients, by `sub` of the attestation. Where it is not said, any whose key is known.
        pub client_id: Option<OneOrMore<At<Text>>>,
        /// Whether a proof must hold a challenge of ours, not older than `[freshness]` `window`: one without is refused
        /// with a fresh one in `OAuth-Client-Attestation-Challenge`. A `DPoP` proof needs a nonce of ours then.
        pub challenge: bool = false,
    }
}
