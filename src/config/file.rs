//! gateway.toml as written: every key, its default, its meaning.
//!
//! The comments here are the only documentation of a key: the reference page
//! and the schema for editors are made from them. A default is written as in the file.

mod admin;
mod api_keys;
mod body;
mod cors;
mod inject;
mod issuers;
mod plans;
mod routes;
mod sigv4;
mod state;
mod upstreams;
mod webhook;

use super::addresses::{FileMode, Listen};
use super::byte_rate::ByteRate;
use super::certificates::{ClientCertificates, Fingerprint};
use super::lists::{List, Named, OneOrMore, Several};
use super::read::At;
use super::secrets::{PublicReference, Reference, SecretFile};
use super::table::{Required, table};
use super::times::{Leeway, Moment, Period, Seconds, SecondsOrNone};
use super::values::{Count, KeyId, Name, Scope, Text, Workers};
use super::words::Limit;
use crate::apps::{Downgrade, Mode, Scheme};
use crate::crypto::Algorithm;
use crate::schemes::PublicUrl;
use crate::server::{Fields, Network};

pub(super) use admin::Admin;
pub(super) use api_keys::{ApiKey, ApiKeys};
pub(super) use body::Body;
pub(super) use cors::{Cors, CorsOfTokens};
pub(super) use inject::{Basic, Inject};
pub(super) use issuers::{AppTokens, ClaimedApp, Issuer, Tokens};
pub(super) use plans::{Better, Plan};
pub(super) use routes::{ClientAttestation, Route, Waiver};
pub(super) use sigv4::SigV4;
pub(super) use state::State;
pub(super) use upstreams::{Upstream, UpstreamTls};
pub(super) use webhook::Webhook;

table! {
    /// Everything that the gateway is told. Unknown keys are refused.
    pub struct File {
        /// Where callers come in, and how long they may take.
        pub server: Server = {},
        /// Health, readiness, metrics and the admin API, on a listener of their own.
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
        /// Which requests go where. The most specific route wins, wherever it stands; a tie is an error. The host is looked
        /// at first, whatever the paths: a name goes before a pattern, a pattern before a route without `host`. Then the
        /// path, one segment after the other: one that is said before `*`, and `/**` last. Then `methods`: a route that
        /// lists some before one that does not. So `/**` of one host goes before `/admin/**` without `host`: what is
        /// guarded there is guarded on that host only by a route of it; `check` warns where the one asks for less than the
        /// other and both lead to one upstream. Callers name the host as they like: where routes of several hosts lead to a
        /// backend that does not tell hosts apart, the one that asks for least guards it.
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
        /// `[::]` is every address, those of IPv4 too unless one of them with the same port stands beside it.
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
        pub forwarded: At<Fields> = "x-forwarded-for",
        /// Every connection begins with a PROXY header, version 1 or 2, before TLS. Only trusted proxies may connect then.
        /// Version 1 tells the address alone, version 2 the scheme too where the proxy adds it: `PP2_TYPE_SSL`, as by
        /// `send-proxy-v2-ssl`.
        pub proxy_protocol: At<bool> = false,
        /// Connections at a time. More are closed at once.
        pub max_connections: Count = 10_000,
        /// Connections at a time from one address (IPv6 by /64). Those of trusted proxies and of Unix sockets are not
        /// counted, but where a PROXY header tells an address; nor are those of `health_checkers`. Where it is not
        /// said, a quarter of `max_connections`, also of what the start lowers that to for want of open files: at
        /// least 16, at most 1,000.
        pub max_connections_per_address: Option<At<Count>>,
        /// Who looks whether we live: addresses and networks. They may connect, 16 at a time, when there are
        /// `max_connections` already, and `max_connections_per_address` does not hold them: name single addresses, not
        /// a network that callers are in too. Where a PROXY header tells whom a connection is from, that one is meant,
        /// or a proxy that speaks for itself (`LOCAL`).
        pub health_checkers: List<At<Network>> = [],
        /// How long a TLS handshake may take.
        pub handshake_timeout: Period = "5s",
        /// How long the head of a request may take, from its first byte to its last. Over HTTP/2 its
        /// connection ends then. A PROXY header may take as long from the moment that its connection is accepted.
        pub head_timeout: Period = "8s",
        /// How long a connection may wait for its next request.
        pub idle_timeout: Period = "60s",
        /// How long a caller may pause within a request's body, where `min_rate` does not end it sooner: at its
        /// beginning that is after `min_rate_grace`. Neither holds streams of gRPC, which have `idle_timeout` of their
        /// upstream.
        pub body_timeout: Period = "30s",
        /// How long a caller may take no byte of a response; over HTTP/2 of each. What it takes is seen in steps of 64 KiB.
        pub write_timeout: Period = "30s",
        /// Bytes a second that a caller must at least send of a body, or take of a response, on average; over HTTP/2
        /// of each.
        pub min_rate: ByteRate = "1 KiB/s",
        /// How long a caller may be slower than `min_rate`.
        pub min_rate_grace: Period = "8s",
        /// What comes first when the gateway stops, before `drain_timeout` begins.
        pub drain: At<Drain> = {},
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
        /// Who signs the certificates of clients: certificates of authorities (`CA:TRUE`) in PEM. One that is over counts
        /// for nothing. Revocation lists are not read. Without it clients show none.
        pub client_ca: Option<At<SecretFile>>,
        /// Whether every client must show one, `"required"`, or may, `"optional"`. With `client_ca` it is `"required"`
        /// where it is not said.
        pub client: Option<At<ClientCertificates>>,
    }
}

table! {
    /// How old a proof may be, and how many are remembered so that none passes twice.
    pub struct Freshness {
        /// How old a proof may be when it arrives. Proofs tell their time in whole seconds.
        pub window: At<Seconds> = "5m",
        /// How far ahead a caller's clock may be.
        pub skew: SecondsOrNone = "30s",
        /// How many single-use proofs are remembered at a time. When so many are alive, further ones
        /// are refused with 503 `replay-store-full`; none is forgotten early. One app alone gets
        /// seven eighths of it in the long run.
        pub proofs: Count = 1_000_000,
    }
}

table! {
    /// Limits per client address (IPv6 by /64), before any cryptography. Who is over them gets 429 `peer-limited`.
    pub struct Peers {
        /// Refused requests that an address may cause. `"50/s"` alone allows 50 at once, which is less than the
        /// default's `burst`: to allow more, say both.
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
        /// are busiest and still quick keeps their latency below twice its normal. Where any route asks for a proof,
        /// half of them at most are of callers without one.
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
        /// How it gets tokens of the key service. Where it is not said, it gets none.
        pub tokens: Option<At<AppTokens>>,
    }
}

table! {
    /// A certificate of a client, by which an app is known: by one of its names, or by all of it.
    pub struct Certificate {
        /// What it is called in logs and for the upstream. No key and no other certificate has the same.
        pub id: Required<At<KeyId>>,
        /// A name that it is made out to (subject alternative name), of 100 at most: a URI such as
        /// `spiffe://example.com/orders`, a host, or an address of mail.
        pub name: Option<At<Text>>,
        /// SHA-256 of the certificate in DER, in hexadecimal digits, with or without `:` between bytes. It counts before
        /// a `name`: with `enabled = false` it refuses one that was stolen, and others of its name pass.
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
        /// It holds `base64:…`, `hex:…`, or the bytes themselves; at least 32 of them. A newline behind those is one of
        /// them too, but behind a key that a gateway has made. A path is relative to this file's folder.
        pub secret: Option<At<Reference>>,
        /// Where the public key is, `file:PATH` or `env:NAME`: in PEM, as `openssl pkey -pubout` writes it, or a JWK.
        /// An RSA key has 2048 to 4096 bits.
        pub public_key: Option<At<PublicReference>>,
        /// Where the private key is, `file:PATH` or `env:NAME`, in place of `public_key`: in PEM or as a JWK, not encrypted. For
        /// keys that the key service signs tokens with, which attest; an RSA key has 2048, 3072 or 4096 bits.
        pub private_key: Option<At<PublicReference>>,
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
