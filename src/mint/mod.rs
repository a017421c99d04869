//! The key service: a challenge, evidence that a genuine instance of an app answers it, a token.
//!
//! In: bodies of requests under `[tokens] prefix`. Out: challenges; tokens signed with the app's key, and for
//! who fails a *decoy*, which looks the same and opens nothing; the public halves of the keys. This room
//! never: tells whoever fails why; remembers a challenge before it is answered; signs with an app's key
//! what is not proven.

mod answer;
mod ask;
mod challenge;
mod doors;
mod enrol;
mod evidence;
mod keys;
mod members;
mod rates;
mod reason;
mod token;
mod told;

pub use answer::Judged;
pub use ask::MAX_BODY;
pub use challenge::LIFETIME as CHALLENGE_LIFETIME;
pub use doors::{Door, NoDoor};
pub use enrol::Enrolling;
pub use evidence::{MAX_EVIDENCE, Signed, signed_text};
pub use rates::{Rates, TokenRates};
pub use reason::Reason;

use crate::apps::made::Store;
use crate::apps::{Key, Minter, OnFailure, Registry, Scheme};
use crate::clock::{Now, whole_seconds};
use crate::crypto::{Algorithm, BadKey, HmacKey};
use crate::limit::app::Rate;
use crate::limit::{AppDebts, Debts};
use crate::replay::{self, Memory, Once, Recorded};
use crate::schemes;
use crate::secret::Secret;
use ask::{ForChallenge, ForToken, Typ};
use bytes::Bytes;
use challenge::{Answered, Challenges};
use evidence::{Examined, Question};
use reason::{Counts, Instead};
use serde_json::json;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use told::Told;

/// What `[tokens]` says of the key service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The path that it answers below, without a `/` at its end.
    pub prefix: Box<str>,
    /// What tokens name as their issuer.
    pub issuer: Box<str>,
    /// What tokens are for.
    pub audience: Option<Box<str>>,
    /// The longest life of a token.
    pub max_lifetime: Duration,
    /// How far ahead clocks may be.
    pub skew: Duration,
    /// What each address may ask for.
    pub rate: Option<Rate>,
    /// Tokens that apps and their instances may get.
    pub rates: TokenRates,
    /// Whether evidence may be none at all: only this machine reaches us, and the configuration says so.
    pub dev: bool,
}

impl Settings {
    /// How long beyond its last second something is remembered that passes once.
    fn slack(&self) -> i64 {
        whole_seconds(self.skew).saturating_mul(2)
    }
}

/// The body says something else than what is asked for, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// The body cannot be read.
    Malformed(Malformed),
    /// The evidence does not hold, and the app prefers an error.
    Rejected(Reason),
    /// The address has to wait.
    Peer(Duration),
    /// The app, or its instance, has to wait.
    Rate(Reason, Duration),
    /// What passes once cannot be remembered.
    Memory(replay::Refused),
}

impl From<Malformed> for No {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What is in force when something is asked.
#[derive(Clone, Copy)]
pub struct InForce<'f> {
    /// `[tokens]`.
    pub settings: &'f Settings,
    /// Apps and keys.
    pub registry: &'f Registry,
    /// Issuers outside.
    pub tokens: &'f schemes::token::Settings,
    /// What passed once, and does not again.
    pub memory: &'f dyn Memory,
    /// Where it is asked from; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// When it is asked.
    pub now: Now,
}

/// What outlives every reload: the secret that challenges are made with, what was answered, what was counted.
pub struct Service {
    /// What challenges are made with, where no key is shared with other gateways.
    own: HmacKey,
    seed: [u8; 32],
    answered: Arc<dyn Memory>,
    peers: OnceLock<Debts>,
    /// Of tokens: what apps, and what instances of them have got.
    apps: AppDebts,
    instances: OnceLock<Debts>,
    counts: Counts,
    told: Told,
    tells_all_keys: AtomicBool,
    store: Option<Arc<dyn Store>>,
}

impl Service {
    /// The service whose challenges are made with `secret`. `answered` remembers what was answered, rightly or
    /// not, as long as there is room.
    ///
    /// # Errors
    /// [`BadKey`]: the secret is too short.
    pub fn new(secret: &Secret, answered: Arc<dyn Memory>) -> Result<Self, BadKey> {
        Ok(Self {
            own: HmacKey::new(Algorithm::HmacSha256, secret)?,
            seed: crate::crypto::digest::sha256(&[b"portcullis seed", secret.expose()]),
            answered,
            peers: OnceLock::new(),
            apps: AppDebts::default(),
            instances: OnceLock::new(),
            counts: Counts::new(),
            told: Told::default(),
            tells_all_keys: AtomicBool::new(true),
            store: None,
        })
    }

    /// With the registry, in which instances enrol and failures are told.
    #[must_use]
    pub fn with_store(mut self, store: Option<Arc<dyn Store>>) -> Self {
        self.store = store;
        self
    }

    /// The registry, where there is one.
    pub const fn store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }

    /// Reads what an instance that wants to enrol sends.
    ///
    /// # Errors
    /// [`No::Malformed`].
    pub fn enrolling(&self, body: &[u8]) -> Result<Enrolling, No> {
        Ok(Enrolling::read(body)?)
    }

    /// Lets an address ask, before its body is read. Whatever comes of it counts the same: who is told that
    /// he has to wait learns nothing of what he was answered.
    ///
    /// # Errors
    /// [`No::Peer`].
    pub fn admit(&self, settings: &Settings, peer: Option<IpAddr>, now: Now) -> Result<(), No> {
        let Some(rate) = &settings.rate else {
            return Ok(());
        };
        let peers = self.peers.get_or_init(Debts::new);
        peers.admit_peer(peer, rate, now).map_err(No::Peer)
    }

    /// A challenge, for an app that there is or not.
    ///
    /// # Errors
    /// [`No::Malformed`].
    pub fn challenge(
        &self,
        body: &[u8],
        tokens: &schemes::token::Settings,
        now: Now,
    ) -> Result<Bytes, No> {
        let asked = ForChallenge::read(body)?;
        let challenges = self.challenges(tokens);
        let challenge = challenges.make(&asked.app, now.unix_seconds());
        let answer = json!({ "challenge": challenge, "expires_in": challenge::LIFETIME });
        Ok(answer.to_string().into())
    }

    /// By the key that all gateways have, where they have one: who asks may meet another of them next.
    fn challenges<'k>(&'k self, tokens: &'k schemes::token::Settings) -> Challenges<'k> {
        let shared = tokens.dpop.nonces.of_all();
        Challenges(shared.unwrap_or(&self.own))
    }

    /// A token, or a decoy.
    ///
    /// # Errors
    /// [`No`].
    pub fn judge(&self, body: &[u8], with: InForce<'_>) -> Result<Judged, No> {
        let asked = ForToken::read(body)?;
        let known = with.registry.minter(&asked.app);
        let double = || with.registry.minter_double(&asked.app);
        let double = if known.is_none() { double() } else { None };
        let (known, double) = (known.as_deref(), double.as_deref());
        let answered_like = known.or(double);
        let now = with.now.unix_seconds();
        // Each of these costs the same whatever it finds, and all of them are gone through.
        let challenges = self.challenges(with.tokens);
        let answered = challenges.check(&asked.challenge, &asked.app, now);
        let examined = asked.evidence.examine(&Question {
            minter: answered_like,
            app: &asked.app,
            challenge: &asked.challenge,
            pay: asked.pay.as_deref(),
            cnf: asked.cnf.as_ref().map(ask::Bound::thumbprint),
            scope: asked.scope.as_deref(),
            typ: asked.typ,
            registry: with.registry,
            settings: with.settings,
            tokens: with.tokens,
            peer: with.peer,
            now,
        });
        let proven = self.proven(known, &asked, answered, &examined, with);
        let refuses = answered_like.is_some_and(|one| one.policy.on_failure == OnFailure::Refuse);
        match proven {
            Err(Failed::No(no)) => Err(no),
            Err(Failed::Why(why)) => {
                let instead = if refuses {
                    Instead::Refusal
                } else {
                    Instead::Decoy
                };
                self.tell(&asked.app, why, instead, with.now);
                if refuses {
                    return Err(No::Rejected(why));
                }
                let made = Err((why, known.is_some()));
                Ok(self.answer(&asked, &examined, answered_like, made, with))
            }
            Ok((key, written)) => {
                self.counts.minted();
                if let (Some(store), Some(instance)) = (&self.store, &examined.instance) {
                    store.note_seen(instance, examined.build.as_deref(), now);
                }
                // Others may take its tokens, and never show them here.
                let registry = with.registry;
                registry.note_use(&key.id, key.made.as_deref(), Scheme::Token, now);
                let made = Ok((key, written));
                Ok(self.answer(&asked, &examined, answered_like, made, with))
            }
        }
    }

    /// The key that signs, where everything holds, was not used before, and may be had now. It is used up now.
    fn proven<'m>(
        &self,
        minter: Option<&'m Minter>,
        asked: &ForToken<'_>,
        answered: Result<Answered, Reason>,
        examined: &Examined<'_>,
        with: InForce<'_>,
    ) -> Result<(&'m Arc<Key>, Recorded), Failed> {
        let challenge = answered.map(|one| Once::new(one.id, one.made, one.until()));
        // Right or wrong, it is answered. Strangers may fill this memory: then only right answers count.
        let first = challenge.map(|one| self.answered.record(one, with.now));
        let is_first = first != Ok(Err(replay::Refused::Replayed));
        let minter = minter.ok_or(Reason::UnknownApp)?;
        if !minter.app.is_enabled() {
            return Err(Reason::AppDisabled.into());
        }
        let key = minter.key(with.now.unix_seconds()).ok_or(Reason::NoKey)?;
        let challenge = challenge?;
        let more = examined.verdict?;
        if asked.typ == Typ::ClientAttestation && minter.policy.client_id.is_none() {
            return Err(Reason::NoClient.into());
        }
        if !is_first {
            return Err(Reason::ReusedChallenge.into());
        }
        let used = |refused, why: Reason| match refused {
            replay::Refused::Replayed => Failed::Why(why),
            refused => Failed::No(No::Memory(refused)),
        };
        let record = |once: Once| with.memory.record_of(&key.app.name, once, with.now);
        let written =
            record(challenge).map_err(|refused| used(refused, Reason::ReusedChallenge))?;
        let shown_before = |refused| match refused {
            // No retry makes it younger.
            replay::Refused::MaybeReplayed => Failed::Why(Reason::OldAssertion),
            refused => used(refused, Reason::ReusedAssertion),
        };
        // Whoever has to wait comes again with the same assertion, so it is used up last. Whoever shows one that was
        // used is not told to wait: that would say that it holds.
        if let Some(more) = more {
            let looked = with.memory.look(more, with.now);
            looked.map_err(shown_before)?;
        }
        self.charge(key, examined, with).map_err(Failed::No)?;
        let Some(more) = more else {
            return Ok((key, written));
        };
        let written = record(more).map_err(|refused| {
            // Another showed it at the same time, or it cannot be recorded.
            self.take_back(key, examined, with);
            shown_before(refused)
        })?;
        Ok((key, written))
    }

    /// Tells whoever keeps the gateway why there is no token.
    fn tell(&self, app: &str, why: Reason, instead: Instead, now: Now) {
        self.counts.failed(why, instead);
        let store = self.store.as_deref();
        self.told.tell(store, app, why, instead, now);
    }

    /// What was answered, why, and how often: `minted`, `decoy`, `refused` or `limited`.
    pub fn counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.counts.all()
    }

    /// The public halves of the keys that sign tokens. Where there are more than are told, an event says so,
    /// once.
    pub fn keys(&self, registry: &Registry, now: Now) -> Bytes {
        let (keys, is_whole) = keys::public(registry, now.unix_seconds());
        let was_whole = self.tells_all_keys.swap(is_whole, Ordering::Relaxed);
        if was_whole && !is_whole {
            let told = keys::MAX_KEYS;
            tracing::warn!(told, "jwks.json leaves keys out: there are too many");
        }
        keys.into()
    }
}

/// Why nothing is signed.
enum Failed {
    Why(Reason),
    No(No),
}

impl From<Reason> for Failed {
    fn from(why: Reason) -> Self {
        Self::Why(why)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

#[cfg(test)]
mod tests;
