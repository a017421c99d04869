//! From records to an app with its keys, ready for look-ups.

use super::{Held, Honey};
use crate::apps::made::{AppRecord, KeyRecord, MasterKey, Material};
use crate::apps::{
    App, FIRST_MADE, Key, KeyHash, Made, MadeKey, Minter, PlanInForce, Policy, Scheme, SchemeSet,
    Signer, StaticKey, TokenPolicy, Uses,
};
use crate::crypto::{HmacKey, PrivateKey, PssSalt, PublicKey, SigningKey, VerifyingKey};
use data_encoding::HEXLOWER_PERMISSIVE;
use std::sync::Arc;

/// Where an app stands among the others.
pub(super) struct Place {
    pub(super) plan: Option<Arc<PlanInForce>>,
    /// Its number among the limits, which stays its own.
    pub(super) slot: usize,
    pub(super) number: u64,
    /// Where it is counted how often it shows static keys.
    pub(super) uses: Arc<Uses>,
}

/// What an app is built with that is not in its records.
pub(super) struct With<'w> {
    pub(super) master: &'w MasterKey,
    pub(super) place: Place,
    /// What it was, if it was.
    pub(super) before: Option<&'w Held>,
}

/// The app and its keys. A key that cannot be used is left out, and told of.
pub(super) fn held(record: &AppRecord, keys: &[KeyRecord], with: &With<'_>) -> Held {
    let app = Arc::new(App {
        name: record.name.as_str().into(),
        index: FIRST_MADE + with.place.slot,
        scopes: record.scopes.iter().map(String::as_str).collect(),
        enabled: record.enabled,
        explain: record.explain,
        policy: Policy {
            downgrade: record.downgrade,
            mode: record.mode,
            ..Policy::default()
        },
        tokens: record
            .tokens
            .as_ref()
            .map(|policy| Arc::new(followed(policy, keys))),
        made: Some(Made {
            plan: with.place.plan.clone(),
            number: with.place.number,
        }),
    });
    let mut held = Held {
        app,
        slot: with.place.slot,
        keys: Vec::new(),
        statics: Vec::new(),
        honey: Vec::new(),
        minter: None,
    };
    for record in keys {
        if let Err(why) = add(&mut held, record, with) {
            let (key, app) = (&record.id, &record.app);
            tracing::error!(%key, %app, why, "a key of the registry cannot be used");
        }
    }
    held.minter = Minter::new(&held.app, held.keys.iter()).map(Arc::new);
    held
}

fn add(held: &mut Held, record: &KeyRecord, with: &With<'_>) -> Result<(), String> {
    let id: Arc<str> = record.id.as_str().into();
    if let Material::Static { hash } = &record.material {
        let hash = HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).ok();
        let hash = hash.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let hash = KeyHash(hash.ok_or("its hash is none")?);
        if record.honey {
            held.honey.push(Arc::new(Honey::shown(id, hash)));
            return Ok(());
        }
        held.statics
            .push(Arc::new(of_static(held, record, hash, with)));
        return Ok(());
    }
    if record.honey {
        held.honey.push(Arc::new(Honey::named(id)));
        return Ok(());
    }
    let (verifying, signer) = opened(record, with.master)?;
    let before = with.before.and_then(|before| {
        let mut keys = before.keys.iter();
        keys.find(|key| *key.id == *record.id)?.made.as_deref()
    });
    let (not_before, not_after) = dates(record);
    held.keys.push(Arc::new(Key {
        id,
        app: held.app.clone(),
        schemes: schemes(record, &verifying),
        verifying,
        not_before,
        not_after,
        enabled: true,
        attests: record.attests,
        signer,
        made: Some(Box::new(made(record, before))),
    }));
    Ok(())
}

fn of_static(held: &Held, record: &KeyRecord, hash: KeyHash, with: &With<'_>) -> StaticKey {
    let before = with.before.and_then(|before| {
        let mut keys = before.statics.iter();
        keys.find(|key| *key.id == *record.id)?.made.as_deref()
    });
    let (not_before, not_after) = dates(record);
    StaticKey {
        id: record.id.as_str().into(),
        app: held.app.clone(),
        hash,
        not_before,
        not_after,
        enabled: true,
        uses: with.place.uses.clone(),
        made: Some(Box::new(made(record, before))),
    }
}

fn made(record: &KeyRecord, before: Option<&MadeKey>) -> MadeKey {
    let made = MadeKey::new(record.life.draining);
    if let Some(before) = before {
        made.goes_on(before);
    }
    made
}

/// The first second at which it may be used, and the first at which it may no longer be.
fn dates(record: &KeyRecord) -> (Option<i64>, Option<i64>) {
    if record.life.is_revoked() {
        // Over at every second, and never one that is still to come: nobody is told of its public half either.
        return (None, Some(i64::MIN));
    }
    let ends = [record.life.retired, record.not_after];
    let begins = record.life.active.unwrap_or(i64::MAX);
    (Some(begins), ends.into_iter().flatten().min())
}

/// As for keys of `gateway.toml`.
fn schemes(record: &KeyRecord, verifying: &VerifyingKey) -> SchemeSet {
    let said = record.schemes.as_ref();
    let said = said.map_or_else(SchemeSet::of_keys, |list| list.iter().copied().collect());
    if verifying.mac().is_some_and(HmacKey::is_weak) {
        return said.of_weak_keys();
    }
    if record.attests {
        // Who holds it makes tokens, and nothing else.
        return said.iter().filter(|one| *one == Scheme::Token).collect();
    }
    said
}

fn opened(
    record: &KeyRecord,
    master: &MasterKey,
) -> Result<(VerifyingKey, Option<Arc<Signer>>), String> {
    let bad = |why: crate::crypto::BadKey| why.to_string();
    let (verifying, signs): (VerifyingKey, Option<SigningKey>) = match &record.material {
        Material::Secret { algorithm, sealed } => {
            let secret = master.open(&record.id, sealed);
            let secret = secret.map_err(|why| why.to_string())?;
            let key = HmacKey::new(*algorithm, &secret).map_err(bad)?;
            (key.clone().into(), Some(key.into()))
        }
        Material::Public {
            algorithm,
            public,
            any_salt,
        } => {
            let salt = if *any_salt {
                PssSalt::Any
            } else {
                PssSalt::Digest
            };
            let key = PublicKey::read(*algorithm, public.as_bytes(), salt);
            (key.map_err(bad)?.into(), None)
        }
        Material::Pair {
            algorithm,
            public,
            sealed,
        } => {
            let public = PublicKey::read(*algorithm, public.as_bytes(), PssSalt::Digest);
            let secret = master.open(&record.id, sealed);
            let secret = secret.map_err(|why| why.to_string())?;
            let private = PrivateKey::read(*algorithm, &secret).map_err(bad)?;
            (
                public.map_err(bad)?.into(),
                Some(SigningKey::Private(private)),
            )
        }
        Material::Static { .. } => return Err("it is a static key".to_owned()),
    };
    let signs = signs.filter(|_| record.attests);
    let signer = signs.map(Signer::new).transpose().map_err(bad)?;
    Ok((verifying, signer.map(Arc::new)))
}

/// A key that follows one which the policy names signs before it.
fn followed(policy: &TokenPolicy, keys: &[KeyRecord]) -> TokenPolicy {
    let mut policy = policy.clone();
    // Each turn finds the keys that follow those of the one before: no more turns than keys.
    for _ in keys {
        let known = policy.keys.clone();
        for key in keys {
            let before = key.rotated_from.as_deref();
            let place = known.iter().position(|id| Some(&**id) == before);
            if let Some(place) = place
                && !policy.keys.iter().any(|id| **id == *key.id)
            {
                policy.keys.insert(place, key.id.as_str().into());
            }
        }
        if policy.keys.len() == known.len() {
            break;
        }
    }
    policy
}
