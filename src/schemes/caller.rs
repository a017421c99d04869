//! Who calls, once it is proven.

use super::digest::BodyProof;
use super::{PAIR, Refused};
pub use crate::apps::Assurance;
use crate::apps::Mode;
use crate::apps::{App, Certified, Key, Registry, Scheme, Scopes, StaticKey};
use crate::route::{Accept, Route};
use std::fmt;
use std::sync::Arc;

/// The verified who. Made only by a scheme's verification, or for a route
/// that `gateway.toml` says is public, or that refuses nobody.
#[derive(Debug)]
pub struct Caller(Proven);

#[derive(Debug)]
struct Proven {
    identity: Option<Identity>,
    assurance: Assurance,
    scopes: Scopes,
    proof: Option<Proof>,
    body: BodyProof,
}

#[derive(Debug)]
struct Identity {
    credential: Credential,
    scheme: Scheme,
    /// Of the token that was shown beside it.
    token_key: Option<Arc<Key>>,
    /// What that token proves by itself, where it alone names the key of the signature.
    alone: Option<Assurance>,
    /// The instance of its app whose token it showed.
    instance: Option<Arc<str>>,
}

#[derive(Debug)]
enum Credential {
    Key(Arc<Key>),
    Certificate(Arc<Certified>),
    Static(Arc<StaticKey>),
}

/// Who says that a rule is only observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The route: all that it asks of callers.
    Route,
    /// The app: what is asked of it once a request is proven to be its own.
    App,
}

impl Observed {
    /// The word in the access record.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::App => "app",
        }
    }
}

/// What makes a proof recognisable when it comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Key id and nonce, when the caller gave a nonce.
    pub nonce: Option<ProofId>,
    /// What was proven: the signed text under its key. Never the signature's
    /// bytes, which some algorithms let a stranger change.
    pub text: ProofId,
    /// Last second at which it would be accepted, Unix time.
    pub last_second: i64,
    /// Whether it says that second itself, whatever window is in force.
    pub says_its_end: bool,
    /// When it says it was made, Unix time.
    pub created: i64,
    /// Whether it is meant to be shown many times: a token.
    pub reusable: bool,
}

/// 128 bits that stand for a proof.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProofId(pub [u8; 16]);

impl ProofId {
    /// The first half of a longer digest or MAC.
    ///
    /// # Panics
    /// When there are fewer than 16 bytes: every digest we use has more.
    pub fn of(digest: &[u8]) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

impl fmt::Debug for ProofId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A MAC may stand in here: it is no secret any more, but no log needs it.
        f.write_str("ProofId(..)")
    }
}

impl Caller {
    /// A caller whose proof holds. Only schemes make one.
    pub(super) fn proven(
        key: Arc<Key>,
        scheme: Scheme,
        assurance: Assurance,
        scopes: Scopes,
        proof: Proof,
        body: BodyProof,
    ) -> Self {
        Self(Proven {
            identity: Some(Identity {
                credential: Credential::Key(key),
                scheme,
                token_key: None,
                alone: None,
                instance: None,
            }),
            assurance,
            scopes,
            proof: Some(proof),
            body,
        })
    }

    /// A caller whose certificate TLS has verified, and whom it stands for.
    /// Only that scheme makes one. It leaves no proof behind that could come again.
    pub(super) fn certified(known: Arc<Certified>, scheme: Scheme, assurance: Assurance) -> Self {
        Self(Proven {
            assurance,
            scopes: known.app.scopes.clone(),
            proof: None,
            body: BodyProof::Unproven,
            identity: Some(Identity {
                credential: Credential::Certificate(known),
                scheme,
                token_key: None,
                alone: None,
                instance: None,
            }),
        })
    }

    /// A caller who has shown a static key. Only that scheme makes one. Nothing of
    /// it could pass once only: the key comes with every request.
    pub(super) fn by_static_key(known: Arc<StaticKey>) -> Self {
        Self(Proven {
            assurance: Assurance::Key,
            scopes: known.app.scopes.clone(),
            proof: None,
            body: BodyProof::Unproven,
            identity: Some(Identity {
                credential: Credential::Static(known),
                scheme: Scheme::ApiKey,
                token_key: None,
                alone: None,
                instance: None,
            }),
        })
    }

    /// The same caller, proven by its token too, which may narrow what it may
    /// do; `None` where that is another app's. `is_named`: the token alone names its key.
    pub(super) fn with_token(mut self, token: &Self, is_named: bool) -> Option<Self> {
        let of_one_app = matches!((self.app(), token.app()), (Some(one), Some(other)) if one.index == other.index);
        if !of_one_app {
            return None;
        }
        self.0.assurance = self.assurance().and(token.assurance());
        self.0.scopes = self.scopes().narrowed(token.scopes().iter());
        let identity = self.0.identity.as_mut()?;
        identity.token_key = token.key().cloned();
        identity.instance = token.instance().cloned();
        identity.alone = is_named.then(|| token.assurance());
        Some(self)
    }

    /// Nobody in particular, whose credential does not hold, where the route refuses nobody for it.
    pub fn unproven(route: &Route, refused: &Refused) -> Option<Self> {
        // Of one whose body must come first nothing is known yet.
        let is_judged = !matches!(refused, Refused::Unread | Refused::Unbegun);
        (is_judged && route.mode == Mode::Observe).then(Self::nobody)
    }

    /// Who says that what is asked of this caller on `route`, now that it has got so far, is
    /// only observed: the route, or the app that it is proven to be. `None` where it is enforced.
    pub fn observed_on(&self, route: &Route) -> Option<Observed> {
        if route.mode == Mode::Observe {
            return Some(Observed::Route);
        }
        let app = self.app()?;
        (app.policy.mode == Mode::Observe).then_some(Observed::App)
    }

    /// Nobody in particular, where the route says that anyone may come.
    pub fn anonymous(route: &Route) -> Option<Self> {
        (route.accept == Accept::Public).then(Self::nobody)
    }

    fn nobody() -> Self {
        Self(Proven {
            identity: None,
            assurance: Assurance::None,
            scopes: Scopes::none(),
            proof: None,
            body: BodyProof::Unproven,
        })
    }

    /// The app, unless the route is public.
    pub fn app(&self) -> Option<&Arc<App>> {
        self.0.identity.as_ref().map(|one| match &one.credential {
            Credential::Key(key) => &key.app,
            Credential::Certificate(known) => &known.app,
            Credential::Static(known) => &known.app,
        })
    }

    /// The static key that it showed, if that is what it showed.
    pub fn static_key(&self) -> Option<&Arc<StaticKey>> {
        match &self.0.identity.as_ref()?.credential {
            Credential::Static(known) => Some(known),
            Credential::Key(_) | Credential::Certificate(_) => None,
        }
    }

    /// The id of its key or certificate, unless the route is public.
    pub fn key_id(&self) -> Option<&Arc<str>> {
        self.0.identity.as_ref().map(|one| match &one.credential {
            Credential::Key(key) => &key.id,
            Credential::Certificate(known) => &known.id,
            Credential::Static(known) => &known.id,
        })
    }

    /// The key it is proven by, unless that is a certificate or the route is public.
    pub(super) fn key(&self) -> Option<&Arc<Key>> {
        match &self.0.identity.as_ref()?.credential {
            Credential::Key(key) => Some(key),
            Credential::Certificate(_) | Credential::Static(_) => None,
        }
    }

    /// The same caller, of this instance of its app.
    pub(super) fn of_instance(mut self, instance: Option<Arc<str>>) -> Self {
        if let Some(identity) = &mut self.0.identity {
            identity.instance = instance;
        }
        self
    }

    /// The instance of its app whose token it showed, where that is known here.
    pub fn instance(&self) -> Option<&Arc<str>> {
        self.0.identity.as_ref()?.instance.as_ref()
    }

    /// How well its app as a whole is proven by it: a key that only its token names is that of one
    /// installation, and says nothing of others.
    pub fn assurance_of_app(&self) -> Assurance {
        let alone = self.0.identity.as_ref().and_then(|one| one.alone);
        alone.unwrap_or(self.0.assurance)
    }

    /// Tells `registry` that its keys were used, where they were made at run time; once a minute, not each time.
    pub fn note_use(&self, registry: &Registry, at: i64) {
        let Some(identity) = &self.0.identity else {
            return;
        };
        let (id, made) = match &identity.credential {
            Credential::Key(key) => (&key.id, &key.made),
            Credential::Static(key) => (&key.id, &key.made),
            Credential::Certificate(_) => return,
        };
        registry.note_use(id, made.as_deref(), identity.scheme, at);
        if let Some(key) = &identity.token_key {
            registry.note_use(&key.id, key.made.as_deref(), Scheme::Token, at);
        }
    }

    /// The scheme, unless the route is public.
    pub fn scheme(&self) -> Option<Scheme> {
        self.0.identity.as_ref().map(|identity| identity.scheme)
    }

    /// The name of its scheme, or of both, unless the route is public.
    pub fn scheme_name(&self) -> Option<&'static str> {
        let name = |one: &Identity| {
            if one.token_key.is_some() {
                PAIR
            } else {
                one.scheme.name()
            }
        };
        self.0.identity.as_ref().map(name)
    }

    /// Whether a token was part of its proof.
    pub fn shows_token(&self) -> bool {
        let one = self.0.identity.as_ref();
        one.is_some_and(|one| one.token_key.is_some() || one.scheme == Scheme::Token)
    }

    /// How well it is proven.
    pub fn assurance(&self) -> Assurance {
        self.0.assurance
    }

    /// What it may do: the app's scopes, or fewer.
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// How to recognise its proof.
    pub fn proof(&self) -> Option<&Proof> {
        self.0.proof.as_ref()
    }

    /// What it proved of the body.
    pub fn body(&self) -> &BodyProof {
        &self.0.body
    }
}
