//! gateway.toml as written: every key, its default, its meaning.
//!
//! The comments here are the only documentation of a key: the reference page
//! and the schema for editors are made from them. A default is written as in the file.

mod api_keys;
mod body;
mod cors;
mod inject;
mod issuers;
mod plans;
mod sigv4;
mod upstreams;
mod webhook;

use super::addresses::{FileMode, Listen, ListenOrOff};
use super::beyond::Protocol;
use super::byte_rate::ByteRate;
use super::certificates::{ClientCertificates, Fingerprint};
use super::lists::{List, Named, OneOrMore, Several};
use super::read::At;
use super::secrets::{PublicReference, Reference, SecretFile};
use super::table::{Required, table};
use super::times::{Leeway, Moment, Period};
use super::values::{Count, KeyId, Name, Scope, Text, Workers};
use super::words::{Accepted, Asked, Limit};
use crate::apps::{Downgrade, Mode, Scheme};
use crate::crypto::Algorithm;
use crate::route::{Bind, Dialect, HostPattern, Part, PathEncoding, PathPattern, ReplayPolicy};
use crate::schemes::PublicUrl;
use crate::server::{Fields, Network};
use http::{HeaderName, Method};

pub(super) use api_keys::{ApiKey, ApiKeys};
pub(super) use body::Body;
pub(super) use cors::Cors;
pub(super) use inject::{Basic, Inject};
pub(super) use issuers::{ClaimedApp, Issuer, Tokens};
pub(super) use plans::{Better, Plan};
pub(super) use sigv4::SigV4;
pub(super) use upstreams::{Upstream, UpstreamTls};
pub(super) use webhook::Webhook;

table! {
    /// Everything that the gateway is told. Unknown keys are refused.
    pub struct File {
        /// Where callers come in, and how long they may take.
        pub server: Server = {},
        /// Health, readiness and metrics, on a listener of their own.
        pub admin: Admin = {},
        /// What must outlive the process.
        pub state: State = {},
        /// How old a proof may be.
        pub freshness: Freshness = {},
        /// Limits per client address (IPv6 by /64), before any cryptography.
        pub peers: Peers = {},
        /// How many requests may be in flight, and how many may wait to be.
        pub overload: Overload = {},
        /// What is asked of tokens.
        pub tokens: Tokens = {},
        /// Static keys, for callers that cannot prove themselves in a better way yet.
        pub api_keys: ApiKeys = {},
        /// The backends, by a name of your choice.
        pub upstreams: Named<Upstream> = {},
        /// Limits that apps can have, by a name of your choice.
        pub plans: Named<Plan> = {},
        /// Which requests go where. The most specific route wins, wherever it stands; a tie is an error.
        pub routes: List<Route> = [],
        /// Who may call, by a name of your choice.
        pub apps: Named<App> = {},
        /// Whose tokens are taken besides those that apps make, by a name of your choice.
        pub issuers: Named<Issuer> = {},
    }
}

table! {
    /// Where callers come in, and how long they may take.
    pub struct Server {
        /// Where to listen: one address or several. `localhost` means 127.0.0.1; `unix:PATH` is a Unix socket,
        /// relative to this file's folder. A socket that systemd hands over for one of them is taken as it is.
        pub listen: OneOrMore<At<Listen>> = "127.0.0.1:8080",
        /// Who may connect to a Unix socket: the mode of its file.
        pub socket_mode: FileMode = "0660",
        /// What callers take us for, and so what they sign: scheme and authority. Where it is not said,
        /// it is the listener's scheme and what the request names as its host.
        pub public_url: Option<At<PublicUrl>>,
        /// Speak TLS on every listener. The files are read again when they change.
        pub tls: Option<Tls>,
        /// Worker threads. `"auto"` is one for each core we may use.
        pub workers: Workers = "auto",
        /// Show every refused caller the text its signature was checked against, and the mistake that it made.
        /// For test installations.
        pub explain: bool = false,
        /// Proxies before us that are believed: addresses, networks, `"unix"`. What they tell in `forwarded`, or by
        /// `proxy_protocol`, is taken for the caller's address and scheme; what anyone else tells is dropped. The
        /// host is never told: `Host` counts, as it arrives, or `public_url`.
        pub trusted_proxies: List<At<Network>> = [],
        /// What of a trusted proxy's request tells whom it is from. Addresses are counted from the right; the first
        /// that is no trusted proxy is the caller's.
        pub forwarded: Fields = "x-forwarded-for",
        /// Every connection begins with a PROXY header, version 1 or 2, before TLS. Only trusted proxies may connect then.
        pub proxy_protocol: At<bool> = false,
        /// Connections at a time. More are closed at once.
        pub max_connections: Count = 10_000,
        /// Connections at a time from one address (IPv6 by /64). Those of trusted proxies and of Unix sockets are not
        /// counted, but where a PROXY header tells an address.
        pub max_connections_per_address: Count = 1_000,
        /// Who looks whether we live: addresses and networks. They may connect, 16 at a time, when there are
        /// `max_connections` already.
        pub health_checkers: List<At<Network>> = [],
        /// How long a TLS handshake may take.
        pub handshake_timeout: Period = "5s",
        /// How long the head of a request may take, from its first byte to its last.
        pub head_timeout: Period = "8s",
        /// How long a connection may wait for its next request.
        pub idle_timeout: Period = "60s",
        /// How long a caller may pause within a request's body.
        pub body_timeout: Period = "30s",
        /// How long a caller may take no byte of a response.
        pub write_timeout: Period = "30s",
        /// Bytes a second that a caller must at least send of a body, or take of a response, on average.
        pub min_rate: ByteRate = "1 KiB/s",
        /// How long a caller may be slower than `min_rate`.
        pub min_rate_grace: Period = "8s",
        /// What comes first when the gateway stops, before `drain_timeout` begins.
        pub drain: Drain = {},
        /// How long requests in flight, and tunnels, have when the gateway stops, once it accepts nothing more.
        pub drain_timeout: Period = "30s",
        /// Connections at a time that go on in another protocol, such as WebSocket. Each counts as a
        /// connection too, and as a request of its app in flight. Further ones get 503 `overloaded`.
        pub tunnels: Count = 10_000,
        /// How long such a connection may be without a byte either way.
        pub tunnel_idle_timeout: Period = "5m",
    }
}

table! {
    /// What a gateway that stops does before it accepts nothing more, and for how long.
    pub struct Drain {
        /// `/readyz` says 503, and all else is as ever: as long as a balancer takes to notice.
        pub not_ready: Leeway = "0s",
        /// Every answer tells its client to connect anew (`Connection: close`, GOAWAY), new connections are still
        /// taken: as long as clients leave a connection idle, so that none loses a request on an old one.
        pub goodbye: Leeway = "0s",
    }
}

table! {
    /// A certificate and its key.
    pub struct Tls {
        /// The certificate chain in PEM, leaf first.
        pub certificate: Required<At<SecretFile>>,
        /// Its private key in PEM.
        pub key: Required<At<SecretFile>>,
        /// Who signs the certificates of clients: certificates in PEM. Without it clients show none.
        pub client_ca: Option<At<SecretFile>>,
        /// Whether every client must show one, `"required"`, or may, `"optional"`. With `client_ca` it is `"required"`
        /// where it is not said.
        pub client: Option<At<ClientCertificates>>,
    }
}

table! {
    /// Health, readiness and metrics, on a listener of their own.
    pub struct Admin {
        /// Where to listen. Whoever reaches it is served: keep it on this machine or in a closed network.
        pub listen: At<ListenOrOff> = "127.0.0.1:9180",
    }
}

table! {
    /// What must outlive the process.
    pub struct State {
        /// The folder for it, relative to this file's folder.
        pub directory: Text = "state",
        /// How long to wait at the start for another gateway that still has the folder, and is about to end. Only
        /// where our sockets were handed over to us; else a folder in use is an error at once.
        pub wait: Period = "60s",
    }
}

table! {
    /// How old a proof may be, and how many are remembered so that none passes twice.
    pub struct Freshness {
        /// How old a proof may be when it arrives.
        pub window: Period = "5m",
        /// How far ahead a caller's clock may be.
        pub skew: Leeway = "30s",
        /// How many single-use proofs are remembered at a time. When so many are alive, further ones
        /// are refused with 503 `replay-store-full`; none is forgotten early.
        pub proofs: Count = 1_000_000,
    }
}

table! {
    /// Limits per client address (IPv6 by /64), before any cryptography. Who is over them gets 429 `peer-limited`.
    pub struct Peers {
        /// Refused requests that an address may cause.
        pub failures: Limit = { rate = "20/s", burst = 200 },
        /// Requests of any kind. Mind that many honest callers may share an address.
        pub rate: Limit = "off",
    }
}

table! {
    /// How many requests may be in flight, over all worker threads, and how many may wait to be. Who finds no
    /// room gets 503 `overloaded` with `Retry-After`.
    pub struct Overload {
        /// Requests in flight: admitted, and not answered to the end. Twice as many as there are when the backends
        /// are busiest and still quick keeps their latency below twice its normal.
        pub in_flight: Count = 1_024,
        /// How many may wait before a cap. Whoever came last goes first; when it is full the oldest is refused.
        pub queue: Count = 256,
        /// How long a request may wait.
        pub queue_timeout: Period = "500ms",
        /// How many more may be in flight on routes that say `reserved = true`.
        pub reserve: Count = 16,
    }
}

table! {
    /// Which requests go where, and what they must show to get there.
    pub struct Route {
        /// Its name in logs, metrics and `check`.
        pub name: Required<At<Name>>,
        /// Which host. Where it is not said, every host. A name goes before a pattern.
        pub host: Option<HostPattern>,
        /// Which paths: `/orders` is that path alone, `*` one segment, `/**` at the end the path and all below it.
        pub path: Required<At<PathPattern>>,
        /// Which methods. Where they are not said, every method.
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
        /// What passes only once. `"standard"`: a request with a nonce or an unsafe method; `"strict"`: every
        /// request; `"off"`: none, which is a waiver. What `"client-certificate"` proves cannot come again: nobody
        /// else can send on its connection.
        pub replay: At<ReplayPolicy> = "standard",
        /// What a token must be bound to. `"authorization"`: the request's `Authorization` field, by the claim `pay`;
        /// `"key"`: a key or a certificate, by the claim `cnf`, which a DPoP proof, a signature or the connection shows;
        /// `"dpop"`: a key that a DPoP proof shows. A token that is bound is held to it everywhere.
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
        /// Requests in flight on this route, besides the cap over all. What is not said has no cap of its own.
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
        /// says about it is replaced. Where it is not said, `OPTIONS` is a method like any other.
        pub cors: Option<Cors>,
        /// What is added on the way to the upstream: the backend's own credentials, so that no caller needs to have
        /// them. It replaces what a caller sends under the same name, and is added for callers that are proven, and on
        /// public routes; not for nobody where the route only observes.
        pub inject: Option<At<Inject>>,
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
    /// A program that may call.
    pub struct App {
        /// Its limits: a name in `[plans]`. Without one it has no limit.
        pub plan: Option<At<Name>>,
        /// What it may do.
        pub scopes: List<Scope> = [],
        /// `"refuse"`: once it was proven by something stronger, it may not fall back to something weaker
        /// (`"key"`, `"signed"`, `"attested"`, `"attested+signed"`), on no route. That is kept in `[state] directory`.
        pub downgrade: Downgrade = "allow",
        /// `"observe"`: what is asked of it once a request is proven to be its own – that it was not used before, scopes,
        /// assurance, downgrade, limits – is evaluated and recorded, and refuses nothing.
        pub mode: At<Mode> = "enforce",
        /// `false` refuses all its keys.
        pub enabled: bool = true,
        /// Show it, when it is refused, the text its signature was checked against, and the mistake that it made.
        pub explain: bool = false,
        /// Its keys. Two of them make it possible to change one without a refused request.
        pub keys: List<Key> = [],
        /// The certificates of clients that it is known by, on routes that accept `"client-certificate"`.
        pub certificates: List<Certificate> = [],
        /// Static keys that it is known by, on routes that accept `"api-key"`.
        pub api_keys: List<ApiKey> = [],
    }
}

table! {
    /// A certificate of a client, by which an app is known: by one of its names, or by all of it.
    pub struct Certificate {
        /// What it is called in logs and for the upstream. No key and no other certificate has the same.
        pub id: Required<At<KeyId>>,
        /// A name that it is made out to (subject alternative name): a URI such as `spiffe://example.com/orders`, a
        /// host, or an address of mail.
        pub name: Option<At<Text>>,
        /// SHA-256 of the certificate in DER, in hexadecimal digits, with or without `:` between bytes.
        pub sha256: Option<At<Fingerprint>>,
        /// The first day, or the first second, at which it may be used.
        pub not_before: Option<At<Moment>>,
        /// The first day, or the first second, at which it may no longer be used.
        pub not_after: Option<At<Moment>>,
        /// `false` refuses it.
        pub enabled: bool = true,
    }
}

table! {
    /// A key of an app.
    pub struct Key {
        /// What the caller puts into `keyid` or `kid`. No two keys have the same.
        pub id: Required<At<KeyId>>,
        /// The one algorithm it is used with. An `hmac-…` key is a `secret` that both sides have; of any other the
        /// caller keeps the private half, and the gateway has the `public_key`. Tokens are signed with `hmac-sha256`
        /// (`HS256`), `ed25519` (`EdDSA`), `ecdsa-p256-sha256` (`ES256`), `ecdsa-p384-sha384` (`ES384`),
        /// `rsa-pss-sha256` (`PS256`) or `rsa-v1_5-sha256` (`RS256`), requests with all but `rsa-pss-sha256`.
        pub algorithm: Required<At<Algorithm>>,
        /// Where the secret is: `env:NAME`, `file:PATH`, or `generated:PATH`, which is made at the first start.
        /// It holds `base64:…`, `hex:…`, or the bytes themselves; at least 32 of them. A path is relative to
        /// this file's folder.
        pub secret: Option<At<Reference>>,
        /// Where the public key is, `file:PATH` or `env:NAME`: in PEM, as `openssl pkey -pubout` writes it, or a JWK.
        /// An RSA key has 2048 to 4096 bits.
        pub public_key: Option<At<PublicReference>>,
        /// `true` takes a secret of 8 to 31 bytes that was made elsewhere: for neither `"http-signature"` nor `"token"`.
        pub weak_secret: At<bool> = false,
        /// `true` takes signatures of `rsa-pss-…` with the longest salt too, which Node's libraries use unless told
        /// otherwise. The standard has salts of 64 bytes (32 in `PS256`) only.
        pub any_salt: At<bool> = false,
        /// The first day, or the first second, at which it may be used.
        pub not_before: Option<At<Moment>>,
        /// The first day, or the first second, at which it may no longer be used.
        pub not_after: Option<At<Moment>>,
        /// `false` refuses it.
        pub enabled: bool = true,
        /// What it may prove. Where it is not said, every scheme but `"webhook"`, whose keys say that alone.
        pub schemes: Option<Several<Scheme>>,
        /// Whether somebody alone holds it who looks at an instance of the app before he makes it a token: such
        /// tokens are `"attested"`. It may prove tokens only, `schemes = ["token"]`.
        pub attests: At<bool> = false,
    }
}
