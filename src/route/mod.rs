//! Host, method and path → [`Route`].
//!
//! In: the path as received, once checked ([`Path`]). Out: the one most
//! specific route, or which of the two noes: no route, or not that method.
//! This room never: rewrites a target, looks at a credential.

mod client_attestation;
mod cors;
mod dialect;
mod inject;
mod key_places;
mod path;
mod pattern;
mod readings;
mod sigv4;
mod table;
mod takers;
mod webhook;

pub use client_attestation::{
    ClientAttestation, OAUTH_CLIENT_ATTESTATION, OAUTH_CLIENT_ATTESTATION_POP,
};
pub use cors::{BadOrigin, Cors, Origin};
pub use dialect::Dialect;
pub use inject::{Inject, InjectedField, InjectedPair};
pub use key_places::{KeyPlaces, KeyWord};
pub use path::{Ambiguous, Path, PathEncoding};
pub use pattern::{BadPattern, HostPattern, PathPattern};
pub use sigv4::{SigV4, SignedPath};
pub use table::{Left, NoRoute, Others, Table, Tie};
pub use takers::{IssuerSet, MAX_ISSUERS, Takers};
pub use webhook::{Sender, Webhooks};

use crate::apps::{Assurance, Mode, Scheme, SchemeSet, Scopes};
use std::sync::Arc;

/// Bytes a body may have, unless the route says otherwise.
pub const DEFAULT_BODY_LIMIT: u64 = 10 * 1024 * 1024;

/// Where a request may go, and what it must show to get there.
#[derive(Debug)]
pub struct Route {
    /// Its name in logs, metrics and `check`.
    pub name: Arc<str>,
    /// Its place in the table; rooms that keep something per route keep it by this number.
    pub index: usize,
    /// Which hosts it answers for; `None` is every host.
    pub host: Option<HostPattern>,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; empty is every method.
    pub methods: Vec<http::Method>,
    /// Place of its upstream in the list of upstreams.
    pub upstream: usize,
    /// What a caller may prove itself with.
    pub accept: Accept,
    /// Whether a token and an HTTP message signature let in together, of one app.
    pub pair: bool,
    /// How well a caller must be proven.
    pub assurance: Assurance,
    /// Whether what it asks of callers is enforced.
    pub mode: Mode,
    /// What a caller must be allowed to do.
    pub scopes: Scopes,
    /// How bodies are bounded and checked.
    pub body: BodyPolicy,
    /// What passes only once.
    pub replay: ReplayPolicy,
    /// What a token must be bound to.
    pub bind: Bind,
    /// Whose way of signing `hmac-auth` takes; `None` where it is not accepted.
    pub dialect: Option<Dialect>,
    /// What `aws-sigv4` takes, where it is accepted.
    pub sigv4: SigV4,
    /// Parts that need not be covered, each until a date.
    pub waivers: Vec<Waiver>,
    /// How strictly a path is read.
    pub path_encoding: PathEncoding,
    /// Whether the upstream gets to see the proof headers.
    pub keep_proof: bool,
    /// How many requests may be in flight on it.
    pub in_flight: Option<u32>,
    /// Whether it may use what is kept back for health checks.
    pub reserved: bool,
    /// Fields a token may stand in, lower case. `authorization` means Bearer.
    pub token_fields: Vec<http::HeaderName>,
    /// Fields that tokens stand in on other routes: they open those, and are nothing for this one's upstream.
    pub foreign_token_fields: Vec<http::HeaderName>,
    /// Whose webhooks it takes; `None` where it takes none.
    pub webhooks: Option<Webhooks>,
    /// Where a static key stands; `None` where no app can have any.
    pub key_places: Option<Arc<KeyPlaces>>,
    /// Whose tokens, by the places of `token_fields`; apps' alone where there is none.
    pub token_takers: Vec<Takers>,
    /// Protocols that a request may switch to.
    pub upgrade: Vec<Box<str>>,
    /// What browsers are told; `None` is nothing.
    pub cors: Option<Cors>,
    /// What is added on the way to the upstream; `None` is nothing.
    pub inject: Option<Box<Inject>>,
    /// What is asked of attested clients of OAuth, where their fields are taken.
    pub client_attestation: Option<Box<ClientAttestation>>,
}

/// Who may pass a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Anyone. Said so in `gateway.toml`.
    Public,
    /// Whoever proves itself by one of these.
    Proven(SchemeSet),
}

/// How a route treats bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPolicy {
    /// Bytes a body may have.
    pub limit: u64,
    /// When its digest is checked.
    pub verify: BodyVerify,
}

/// When a body's digest is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyVerify {
    /// Whole, before the upstream hears of the request.
    BeforeForwarding,
    /// As it streams; the end is held back until the digest matches.
    WhileForwarding,
}

/// What passes only once (design, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayPolicy {
    /// Requests with a nonce, with an unsafe method, or that ask for another protocol.
    Standard,
    /// Every request.
    Strict,
    /// None. A waiver.
    Off,
}

/// What a token must be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// Nothing.
    None,
    /// The `Authorization` field of the request, by the `pay` claim.
    Authorization,
    /// A key or a certificate, shown by a DPoP proof, a signature or the connection.
    Key,
    /// A key, shown by a DPoP proof.
    Dpop,
}

/// A part that a route's callers need not cover until a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// Which part.
    pub part: Part,
    /// First second at which it no longer waives, Unix time.
    pub until: i64,
    /// Why, for whoever reads `check`.
    pub reason: String,
}

/// A part of a request that every proof must cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The method.
    Method,
    /// Host and port.
    Authority,
    /// The path.
    Path,
    /// The query, if there is one.
    Query,
    /// The `Authorization` field, if there is one.
    Authorization,
    /// The body, if there is one, by its digest.
    Body,
}

impl Part {
    /// Every part, in the order they are documented.
    pub const ALL: [Self; 6] = [
        Self::Method,
        Self::Authority,
        Self::Path,
        Self::Query,
        Self::Authorization,
        Self::Body,
    ];

    /// Its name in `waive`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Authority => "authority",
            Self::Path => "path",
            Self::Query => "query",
            Self::Authorization => "authorization",
            Self::Body => "body",
        }
    }

    /// The part of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

impl Route {
    /// A route for every host, path and method that accepts every scheme and
    /// asks for no scope: what one starts from.
    pub fn any(name: &str) -> Self {
        Self {
            name: name.into(),
            index: 0,
            host: None,
            path: PathPattern::any(),
            methods: Vec::new(),
            upstream: 0,
            accept: Accept::Proven(SchemeSet::all()),
            pair: false,
            assurance: Assurance::None,
            mode: Mode::Enforce,
            scopes: Scopes::none(),
            body: BodyPolicy {
                limit: DEFAULT_BODY_LIMIT,
                verify: BodyVerify::BeforeForwarding,
            },
            replay: ReplayPolicy::Standard,
            bind: Bind::None,
            dialect: None,
            sigv4: SigV4::default(),
            waivers: Vec::new(),
            path_encoding: PathEncoding::Strict,
            keep_proof: false,
            in_flight: None,
            reserved: false,
            token_fields: vec![http::HeaderName::from_static("portcullis-token")],
            foreign_token_fields: Vec::new(),
            webhooks: None,
            key_places: None,
            token_takers: Vec::new(),
            upgrade: Vec::new(),
            cors: None,
            inject: None,
            client_attestation: None,
        }
    }

    /// Bytes of a body that are taken in where its proof cannot be checked before: of a webhook, or of a request
    /// that is signed as AWS's are.
    pub fn hold(&self, of_webhook: bool) -> u64 {
        let webhooks = self.webhooks.as_ref().filter(|_| of_webhook);
        let hold = webhooks.map_or(self.sigv4.hold, |webhooks| webhooks.hold);
        hold.min(self.body.limit)
    }

    /// Whether a caller may prove itself by `scheme`.
    pub const fn accepts(&self, scheme: Scheme) -> bool {
        match self.accept {
            Accept::Public => false,
            Accept::Proven(schemes) => schemes.contains(scheme),
        }
    }

    /// Whose tokens may stand in the field at this place of `token_fields`.
    pub fn takers(&self, place: usize) -> Takers {
        self.token_takers.get(place).copied().unwrap_or(Takers::OWN)
    }

    /// Whether `part` need not be covered at `unix_seconds`.
    pub fn waives(&self, part: Part, unix_seconds: i64) -> bool {
        self.waivers
            .iter()
            .any(|waiver| waiver.part == part && unix_seconds < waiver.until)
    }
}
