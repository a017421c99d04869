//! The key service: a challenge, evidence that a genuine instance of an app answers it, a token.
//!
//! In: bodies of requests under `[tokens] prefix`. Out: challenges; tokens signed with the app's key, and for
//! who fails a *decoy*, which looks the same and opens nothing; the public halves of the keys. This room
//! never: tells whoever fails why; remembers a challenge before it is answered; signs with an app's key
//! what is not proven.

mod ask;
mod challenge;
mod doors;
mod enrol;
mod evidence;
mod keys;
mod members;
mod reason;
mod token;
mod told;

pub use ask::MAX_BODY;
pub use challenge::LIFETIME as CHALLENGE_LIFETIME;
pub use doors::{Door, NoDoor};
pub use enrol::Enrolling;
pub use evidence::{MAX_EVIDENCE, Signed, signed_text};
pub use reason::Reason;

use crate::apps::made::Store;
use crate::apps::{Key, LIFETIME, Minter, OnFailure, Registry, nobody};
use crate::clock::Now;
use crate::crypto::BadKey;
use crate::limit::Debts;
use crate::limit::app::Rate;
use crate::replay::{self, Memory, Recorded};
use crate::schemes;
use crate::secret::Secret;
use ask::{ForChallenge, ForToken};
use bytes::Bytes;
use challenge::{Answered, Challenges};
use evidence::{Examined, Once, Question};
use reason::Counts;
use serde_json::json;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use token::Claims;
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
    /// Tokens that each app may get.
    pub app_rate: Option<Rate>,
    /// Tokens that each instance, or workload, may get.
    pub instance_rate: Option<Rate>,
    /// Whether evidence may be none at all: only this machine reaches us, and the configuration says so.
    pub dev: bool,
}

impl Settings {
    /// How long beyond its last second something is remembered that passes once.
    fn slack(&self) -> i64 {
        i64::try_from(self.skew.as_secs() * 2).unwrap_or(i64::MAX)
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
    Rate(Duration),
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
    /// When it is asked.
    pub now: Now,
}

/// An answer to evidence.
#[derive(Debug)]
pub struct Judged {
    /// What is sent, once `unwritten` is written down.
    pub body: Bytes,
    /// What was used up by it.
    pub unwritten: Option<Recorded>,
    /// The app, as it was named.
    pub app: Arc<str>,
    /// The key that signed, or why it is a decoy.
    pub made: Result<Arc<Key>, Reason>,
}

/// What outlives every reload: the secret that challenges are made with, what was answered, what was counted.
pub struct Service {
    challenges: Challenges,
    seed: [u8; 32],
    answered: Arc<dyn Memory>,
    peers: OnceLock<Debts>,
    proven: OnceLock<Debts>,
    counts: Counts,
    told: Told,
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
            challenges: Challenges::new(secret)?,
            seed: crate::crypto::digest::sha256(&[b"portcullis seed", secret.expose()]),
            answered,
            peers: OnceLock::new(),
            proven: OnceLock::new(),
            counts: Counts::new(),
            told: Told::default(),
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
    pub fn challenge(&self, body: &[u8], now: Now) -> Result<Bytes, No> {
        let asked = ForChallenge::read(body)?;
        let challenge = self.challenges.make(&asked.app, now.unix_seconds());
        let answer = json!({ "challenge": challenge, "expires_in": challenge::LIFETIME });
        Ok(answer.to_string().into())
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
        let answered = self.challenges.check(&asked.challenge, &asked.app, now);
        let examined = asked.evidence.examine(&Question {
            minter: answered_like,
            app: &asked.app,
            challenge: &asked.challenge,
            pay: asked.pay.as_deref(),
            cnf: asked.cnf.as_ref().map(ask::Bound::thumbprint),
            scope: asked.scope.as_deref(),
            registry: with.registry,
            settings: with.settings,
            tokens: with.tokens,
            now,
        });
        let proven = self.proven(known, answered, &examined, with);
        if let Ok((key, ..)) = &proven {
            self.charge(key, &examined, with)?;
        }
        let refuses = answered_like.is_some_and(|one| one.policy.on_failure == OnFailure::Refuse);
        match proven {
            Err(Failed::Memory(why)) => Err(No::Memory(why)),
            Err(Failed::Why(why)) => {
                self.counts.failed(why, !refuses);
                let store = self.store.as_deref();
                self.told.tell(store, &asked.app, why, refuses, with.now);
                if refuses {
                    return Err(No::Rejected(why));
                }
                Ok(self.answer(&asked, &examined, answered_like, Err(why), with))
            }
            Ok((key, written)) => {
                self.counts.minted();
                if let (Some(store), Some(instance)) = (&self.store, &examined.instance) {
                    store.note_seen(instance, now);
                }
                let made = Ok((key, written));
                Ok(self.answer(&asked, &examined, answered_like, made, with))
            }
        }
    }

    /// The key that signs, where everything holds and was not used before. It is used up now.
    fn proven<'m>(
        &self,
        minter: Option<&'m Minter>,
        answered: Result<Answered, Reason>,
        examined: &Examined<'_>,
        with: InForce<'_>,
    ) -> Result<(&'m Arc<Key>, Recorded), Failed> {
        let record = |memory: &dyn Memory, once: Once| {
            memory.record(once.id, once.made, once.until, with.now)
        };
        let challenge = answered.map(|one| Once {
            id: one.id,
            made: one.made,
            until: one.until(),
        });
        // Right or wrong, it is answered. Strangers may fill this memory: then only right answers count.
        let first = challenge.map(|one| record(&*self.answered, one));
        let is_first = first != Ok(Err(replay::Refused::Replayed));
        let minter = minter.ok_or(Reason::UnknownApp)?;
        if !minter.app.is_enabled() {
            return Err(Reason::AppDisabled.into());
        }
        let key = minter.key(with.now.unix_seconds()).ok_or(Reason::NoKey)?;
        let challenge = challenge?;
        let more = examined.verdict?;
        if !is_first {
            return Err(Reason::ReusedChallenge.into());
        }
        let used = |refused, why: Reason| match refused {
            replay::Refused::Replayed => Failed::Why(why),
            refused => Failed::Memory(refused),
        };
        let mut written = record(with.memory, challenge)
            .map_err(|refused| used(refused, Reason::ReusedChallenge))?;
        if let Some(more) = more {
            written = record(with.memory, more)
                .map_err(|refused| used(refused, Reason::ReusedAssertion))?;
        }
        Ok((key, written))
    }

    /// Counts a token against its app and its instance, now that both are proven.
    fn charge(&self, key: &Key, examined: &Examined<'_>, with: InForce<'_>) -> Result<(), No> {
        let app = &*key.app.name;
        let subject = examined.subject.as_deref();
        let proven = || self.proven.get_or_init(Debts::new);
        if let (Some(rate), Some(subject)) = (&with.settings.instance_rate, subject) {
            let whose = (app, Some(subject));
            proven().admit(whose, rate, with.now).map_err(No::Rate)?;
        }
        if let Some(rate) = &with.settings.app_rate {
            let whose = (app, None::<&str>);
            proven().admit(whose, rate, with.now).map_err(No::Rate)?;
        }
        Ok(())
    }

    /// The token, or what looks like it.
    fn answer(
        &self,
        asked: &ForToken<'_>,
        examined: &Examined<'_>,
        minter: Option<&Minter>,
        made: Result<(&Arc<Key>, Recorded), Reason>,
        with: InForce<'_>,
    ) -> Judged {
        let InForce { settings, now, .. } = with;
        let now = now.unix_seconds();
        let lifetime = minter.map_or(LIFETIME, |minter| minter.policy.lifetime);
        let lifetime = lifetime.min(settings.max_lifetime).as_secs();
        let mut claims = Claims {
            jti: token::fresh_name(),
            iss: &settings.issuer,
            sub: examined.subject.as_deref().unwrap_or(&asked.app),
            aud: settings.audience.as_deref(),
            iat: now,
            exp: now.saturating_add(i64::try_from(lifetime).unwrap_or(i64::MAX)),
            // Of what an app may do, a guesser learns nothing: he is promised whatever he asked for.
            scope: asked.scope.as_deref().map(str::to_owned),
            build: examined.build.as_deref(),
            instance: examined.instance.as_deref(),
            pay: asked.pay.as_deref(),
            cnf: asked.cnf.as_ref(),
        };
        let (token, unwritten, made) = match made {
            Ok((key, written)) => {
                claims.scope = token::narrowed(&key.app.scopes, asked.scope.as_deref());
                let signer = key.signer.as_deref().unwrap_or_else(|| nobody());
                let token = token::real(key, signer, &claims);
                (token, Some(written), Ok(key.clone()))
            }
            Err(why) => {
                let key = minter.and_then(|one| one.key(now).or(one.keys.first()));
                let signer = key.and_then(|key| key.signer.as_deref());
                let is_own = minter.is_some_and(|minter| *minter.app.name == *asked.app);
                let id = match key.filter(|_| is_own) {
                    Some(key) => key.id.clone(),
                    None => token::key_id_of_nobody(&asked.app, &self.seed).into(),
                };
                let token = token::decoy(&id, signer.unwrap_or_else(|| nobody()), &claims);
                (token, None, Err(why))
            }
        };
        let answer = json!({ "token": token, "expires_in": lifetime });
        Judged {
            body: answer.to_string().into(),
            unwritten,
            app: (*asked.app).into(),
            made,
        }
    }

    /// What was answered, why, and how often: `minted`, `decoy` or `refused`.
    pub fn counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.counts.all()
    }

    /// The public halves of the keys that sign tokens.
    pub fn keys(registry: &Registry, now: Now) -> Bytes {
        keys::public(registry, now.unix_seconds()).into()
    }
}

/// Why nothing is signed.
enum Failed {
    Why(Reason),
    Memory(replay::Refused),
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
