//! Keys that sign tokens here, and the look-up of them by app.

use super::kinds::Kinds;
use super::{App, Key, Scheme, TokenPolicy};
use crate::crypto::{Algorithm, BadKey, HmacKey, SigningKey};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The half of a key that signs, and a key that nobody has, which costs the same to sign with.
#[derive(Debug)]
pub struct Signer {
    signs: SigningKey,
    decoy: SigningKey,
}

impl Signer {
    /// Of a key whose tokens are made here.
    ///
    /// # Errors
    /// [`BadKey`]: an RSA key of a size that no decoy can be made of.
    pub fn new(signs: SigningKey) -> Result<Self, BadKey> {
        let decoy = signs.double()?;
        Ok(Self { signs, decoy })
    }

    /// What signs tokens.
    pub const fn signs(&self) -> &SigningKey {
        &self.signs
    }

    fn without_secret(&self) -> Self {
        Self {
            signs: self.decoy.clone(),
            decoy: self.decoy.clone(),
        }
    }

    /// What signs those that open nothing.
    pub const fn decoy(&self) -> &SigningKey {
        &self.decoy
    }
}

/// An app that gets tokens of the key service.
#[derive(Clone, Debug)]
pub struct Minter {
    /// The app.
    pub app: Arc<App>,
    /// How it gets them.
    pub policy: Arc<TokenPolicy>,
    /// The keys that may sign, the one to take first before others.
    pub keys: Vec<Arc<Key>>,
}

/// Whether tokens are signed with it: one whose algorithm is none of tokens, or that may prove none, would make
/// such as nobody takes.
fn signs(key: &Key) -> bool {
    key.attests
        && key.signer.is_some()
        && key.algorithm().is_for_tokens()
        && key.schemes.contains(Scheme::Token)
}

impl Minter {
    /// The app with its policy, and those of `keys` that are its own and may sign; `None` where it gets no tokens.
    pub fn new<'k>(app: &Arc<App>, keys: impl Iterator<Item = &'k Arc<Key>>) -> Option<Self> {
        let policy = app.tokens.clone()?;
        let own = keys.filter(|key| key.app.name == app.name && signs(key));
        let mut own: Vec<_> = own.cloned().collect();
        if policy.keys.is_empty() {
            own.reverse();
            own.sort_by_key(|key| std::cmp::Reverse(key.not_before));
        } else {
            let place = |key: &Arc<Key>| policy.keys.iter().position(|id| **id == *key.id);
            own.retain(|key| place(key).is_some());
            own.sort_by_key(place);
        }
        Some(Self {
            app: app.clone(),
            policy,
            keys: own,
        })
    }

    /// The keys whose public half is told at `unix_seconds`: those that sign then or later.
    pub fn published(&self, unix_seconds: i64) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.iter().filter(move |key| {
            let lasts = key.not_after.is_none_or(|until| unix_seconds < until);
            key.enabled && self.app.is_enabled() && lasts && !key.algorithm().is_mac()
        })
    }

    /// The key that signs at `unix_seconds`, if any may: one that drains only where there is no other.
    pub fn key(&self, unix_seconds: i64) -> Option<&Arc<Key>> {
        let active = || self.keys.iter().filter(|key| key.is_active(unix_seconds));
        let lasting = active().find(|key| !key.is_draining(unix_seconds));
        lasting.or_else(|| active().next())
    }
}

/// Every app of a configuration that gets tokens of the key service.
#[derive(Debug, Default)]
pub(super) struct Minters {
    by_app: HashMap<Arc<str>, Arc<Minter>>,
    pub(super) stand_ins: StandIns,
}

impl Minters {
    pub(super) fn new(apps: &[Arc<App>], keys: &[Arc<Key>]) -> Self {
        let mut own: HashMap<&str, Vec<&Arc<Key>>> = HashMap::new();
        for key in keys {
            own.entry(&*key.app.name).or_default().push(key);
        }
        let minters = apps.iter().filter_map(|app| {
            let keys = own.get(&*app.name).map_or(&[][..], Vec::as_slice);
            Minter::new(app, keys.iter().copied())
        });
        let mut all = Self::default();
        for minter in minters {
            all.stand_ins.add(&minter);
            all.by_app.insert(minter.app.name.clone(), Arc::new(minter));
        }
        all
    }

    pub(super) fn of(&self, app: &str) -> Option<&Arc<Minter>> {
        self.by_app.get(app)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Minter>> {
        let mut all: Vec<_> = self.by_app.values().collect();
        all.sort_unstable_by_key(|minter| &minter.app.name);
        all.into_iter()
    }
}

/// What apps are answered like that are not there: of each kind of those that are one, without their secrets.
#[derive(Clone, Debug, Default)]
pub struct StandIns(Kinds<Minter>);

impl StandIns {
    /// One more app of the kind of `minter`.
    pub(super) fn add(&mut self, minter: &Minter) {
        if !minter.keys.is_empty() {
            self.0
                .add(|one| one.is_like(minter), || minter.without_secrets());
        }
    }

    /// One less.
    pub fn remove(&mut self, minter: &Minter) {
        self.0.remove(|one| one.is_like(minter));
    }

    /// The same one for the same name, as long as the process and the kinds of its apps stay.
    pub(super) fn of(&self, others: Option<&Self>, app: &str) -> Option<Arc<Minter>> {
        let others = others.map(|others| &others.0);
        self.0.of(others, app).cloned()
    }
}

impl Minter {
    /// Whether whoever fails here and there gets answers of one shape, at one cost.
    fn is_like(&self, other: &Self) -> bool {
        let keys = self.keys.iter().zip(&other.keys);
        self.policy.lifetime == other.policy.lifetime
            && self.policy.on_failure == other.policy.on_failure
            && self.keys.len() == other.keys.len()
            && keys.into_iter().all(|(one, other)| {
                let ends = (one.not_before, one.not_after);
                // Dates matter where there is a choice.
                one.verifying.costs_as(&other.verifying)
                    && (self.keys.len() == 1 || ends == (other.not_before, other.not_after))
            })
    }

    /// Nothing of the app's own is held on to, its plan for one: it may be gone tomorrow.
    fn without_secrets(&self) -> Self {
        let app = Arc::new(App {
            scopes: self.app.scopes.clone(),
            tokens: self.app.tokens.clone(),
            ..App::new(self.app.name.clone())
        });
        let keys = self.keys.iter().map(|key| {
            Arc::new(Key {
                id: key.id.clone(),
                app: app.clone(),
                verifying: key.verifying.double(),
                not_before: key.not_before,
                not_after: key.not_after,
                enabled: key.enabled,
                schemes: key.schemes,
                attests: key.attests,
                signer: key
                    .signer
                    .as_ref()
                    .map(|signer| Arc::new(signer.without_secret())),
                made: None,
            })
        });
        let keys = keys.collect();
        Self {
            app,
            policy: self.policy.clone(),
            keys,
        }
    }
}

/// What signs for an app that is not there, where no other is: nobody's key.
pub fn nobody() -> &'static Signer {
    static NOBODY: OnceLock<Signer> = OnceLock::new();
    NOBODY.get_or_init(|| Signer {
        signs: HmacKey::dummy(Algorithm::HmacSha256).into(),
        decoy: HmacKey::dummy(Algorithm::HmacSha256).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::{Evidence, LIFETIME, OnFailure};
    use crate::secret::Secret;

    fn app(keys: &[&str]) -> Arc<App> {
        let policy = TokenPolicy {
            keys: keys.iter().map(|id| Box::from(*id)).collect(),
            lifetime: LIFETIME,
            evidence: vec![Evidence::Dev],
            builds: Vec::new(),
            on_failure: OnFailure::Decoy,
            workloads: Vec::new(),
            client_id: None,
        };
        Arc::new(App {
            tokens: Some(Arc::new(policy)),
            ..App::new("mobile")
        })
    }

    fn key(id: &str, app: &Arc<App>, algorithm: Algorithm, scheme: Scheme) -> Arc<Key> {
        let mac = HmacKey::new(algorithm, &Secret::new(vec![7; 64])).unwrap();
        let signer = Signer::new(mac.clone().into()).unwrap();
        Arc::new(Key {
            schemes: [scheme].into_iter().collect(),
            attests: true,
            signer: Some(Arc::new(signer)),
            ..Key::new(id, app.clone(), mac)
        })
    }

    #[test]
    fn only_a_key_whose_algorithm_is_of_tokens_and_that_may_prove_them_signs() {
        let cases: [(&[&str], Option<&str>); 3] = [
            (&[], Some("signs")),
            (&["sha512", "requests", "signs"], Some("signs")),
            (&["sha512", "requests"], None),
        ];
        for (named, signs) in cases {
            let app = app(named);
            let keys = [
                key("signs", &app, Algorithm::HmacSha256, Scheme::Token),
                key("sha512", &app, Algorithm::HmacSha512, Scheme::Token),
                key(
                    "requests",
                    &app,
                    Algorithm::HmacSha256,
                    Scheme::HttpSignature,
                ),
            ];
            let minter = Minter::new(&app, keys.iter()).unwrap();
            let ids: Vec<&str> = minter.keys.iter().map(|key| &*key.id).collect();
            assert_eq!(ids, signs.into_iter().collect::<Vec<_>>());
            assert_eq!(minter.key(0).map(|key| &*key.id), signs);
        }
    }
}
