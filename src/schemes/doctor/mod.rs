//! The doctor: what an honest caller did wrong whose signature does not match.
//!
//! In: a refused credential, once more. Out: the one [`Mistake`] of those that
//! signers make under which its signature would have matched, or nothing. Each
//! is checked with the key itself, so that a mistake is named only to somebody
//! who holds the secret; to a guesser nothing is said. It runs on the failure
//! path alone, only where `explain` allows, and only as often as [`budget`] says.
//!
//! It knows no scheme: each [offers](Offer) its text under the changes that the
//! doctor asks for, and the mistakes that its own callers make.

pub mod budget;
pub mod change;

mod mistakes;
mod secrets;
mod siblings;
mod signatures;

pub use budget::{Budget, Cost, Tries};
pub use change::{Case, Change};
pub use mistakes::Mistake;

use super::freshness::is_in_milliseconds;
use super::received::Received;
use super::{Presented, Refused, Why, hmac_auth};
use crate::apps::{Key, Registry, Scheme};
use crate::clock::Now;
use crate::crypto::{HmacKey, VerifyingKey, random};
use crate::route::Route;
use crate::secret::Secret;
use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

/// Bytes of a text that is tried in other ways: one that is longer costs too much.
pub const MAX_TEXT: usize = 16 * 1024;

/// What a scheme signs, and what its callers sign by mistake.
pub trait Offer {
    /// The text with `change` in the place of what was sent.
    fn under(&self, change: &Change<'_>) -> String;

    /// What only callers of this scheme get wrong, and the text it makes.
    fn own(&self) -> Vec<(Mistake, String)>;
}

/// A signature as it was presented: whose, of which text, and what else its text could be.
pub struct Sample<'s> {
    /// The scheme.
    pub scheme: Scheme,
    /// The key id it claims.
    pub key_id: Cow<'s, str>,
    /// The text as we see it.
    pub text: Vec<u8>,
    /// The signature.
    pub signature: Cow<'s, [u8]>,
    /// What else; nothing where the text arrives as it was signed.
    pub offer: Option<Box<dyn Offer + 's>>,
    /// Whether a signature of a text is a key's, where that is no matter of the key alone.
    pub by: Option<By<'s>>,
}

/// Whether the signature, last, of a text is this key's.
pub type By<'s> = Box<dyn Fn(&VerifyingKey, &[u8], &[u8]) -> bool + 's>;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The mistake.
    pub mistake: Mistake,
    /// The key that signed, where it is another than the one that was named.
    pub key: Option<Arc<str>>,
}

impl Finding {
    /// What the caller is told.
    pub fn hint(&self) -> String {
        match &self.key {
            Some(key) => format!("{} (`{key}`)", self.mistake.says()),
            None => self.mistake.says().to_owned(),
        }
    }
}

impl From<Mistake> for Finding {
    fn from(mistake: Mistake) -> Self {
        Self { mistake, key: None }
    }
}

/// What the caller did wrong whose credential was `refused`, if it is one of
/// the mistakes we know, and if it may be told.
pub fn examine(
    refused: &Refused,
    received: &Received<'_>,
    route: &Route,
    registry: &Registry,
    explain: bool,
    budget: &Budget,
    now: Now,
) -> Option<Finding> {
    // There only where some app may be told.
    let told = registry.told()?;
    let is_about_the_key = match refused {
        Refused::Skew { .. } => true,
        Refused::Rejected { why, .. } => !matches!(why, Why::Claim(_)),
        _ => false,
    };
    if !is_about_the_key {
        return None;
    }
    let presented = Presented::read(received, route).ok()?;
    let may_be_told = |key: Option<&Key>| explain || key.is_some_and(|key| key.app.explain);
    let is_of_such = |id: &str| may_be_told(registry.key(id).as_deref());
    // Else those who are told nothing in any case would use up what is there for others.
    if !presented.claims(route, registry, is_of_such) {
        return None;
    }
    // Before its texts are written: that alone is work which strangers can ask for.
    let opened = budget.open(now)?;
    let samples = presented.samples(received, route, registry);
    let told_of = samples.iter().filter_map(|sample| {
        let key = registry.key(&sample.key_id);
        let double = match key {
            Some(_) => None,
            // As much is done where no key has this id: a stopwatch learns nothing.
            None => Some(registry.double(&sample.key_id)),
        };
        may_be_told(key.as_deref()).then_some((sample, key, double))
    });
    let told_of: Vec<_> = told_of.collect();
    // For all of them together.
    let costs = told_of.iter().filter_map(|(sample, key, double)| {
        let verifying = key.as_ref().map(|key| &key.verifying);
        let verifying = verifying.or(double.as_deref());
        verifying.map(|key| sample.cost(key))
    });
    let mut tries = opened.grant(costs.max()?)?;
    told_of.iter().find_map(|(sample, key, double)| {
        let key = key.as_ref();
        let verifying = key.map(|key| &key.verifying).or(double.as_deref())?;
        if tries.take() && sample.holds(verifying) {
            return key
                .and_then(|key| held(refused, sample, key, route, now))
                .map(Into::into);
        }
        if matches!(refused, Refused::Skew { .. }) {
            return None;
        }
        // An id that no key has, and a key whose secret is not kept, cost as much as others.
        let nobodys = nobodys();
        let secret = key.and_then(|key| told.secret(&key.id)).or(Some(&nobodys));
        let others = key.map_or(&[][..], |key| told.keys_of(&key.app));
        let tries = &mut tries;
        diagnose(sample, received, verifying, secret, others, now, tries)
    })
}

/// Why a signature does not help that holds.
fn held(
    refused: &Refused,
    sample: &Sample<'_>,
    key: &Key,
    route: &Route,
    now: Now,
) -> Option<Mistake> {
    let why = match refused {
        Refused::Skew { theirs, .. } if is_in_milliseconds(*theirs) => {
            return Some(Mistake::Milliseconds);
        }
        Refused::Skew { .. } => return Some(Mistake::ClockOffset),
        Refused::Rejected { why, .. } => why,
        _ => return None,
    };
    // Of two credentials it may be the other one's key.
    match why {
        Why::KeyNotActive if !key.is_active(now.unix_seconds()) => Some(out_of_force(key, now)),
        Why::KeyNotForScheme if !key.schemes.contains(sample.scheme) => {
            Some(Mistake::KeyNotForScheme)
        }
        Why::WrongAlgorithm if !is_taken(sample, key, route) => Some(Mistake::AlgorithmNotTaken),
        Why::WrongAlgorithm => Some(Mistake::WrongAlgorithm),
        // Its text is in the form that most callers sign, which the route may not take.
        Why::WrongSignature if sample.scheme == Scheme::AwsSigv4 => Some(Mistake::FormNotTaken),
        _ => None,
    }
}

/// Whether callers of the route's dialect, if it is one of theirs, sign with keys like this one, whatever they name.
fn is_taken(sample: &Sample<'_>, key: &Key, route: &Route) -> bool {
    let of_dialect = route.dialect.filter(|_| sample.scheme == Scheme::HmacAuth);
    of_dialect.is_none_or(|dialect| hmac_auth::verify::is_of(dialect, key.algorithm()))
}

fn out_of_force(key: &Key, now: Now) -> Mistake {
    let seconds = now.unix_seconds();
    if key.not_before.is_some_and(|from| seconds < from) {
        Mistake::EarlyKey
    } else {
        Mistake::RetiredKey
    }
}

/// A secret that nobody has.
fn nobodys() -> Secret {
    let mut bytes = vec![0; crate::crypto::hmac::MIN_SECRET];
    random(&mut bytes);
    Secret::new(bytes)
}

/// The mistake under which `sample`, of `received`, is a signature by `key`, whose
/// secret is `secret`, or by one of `others`, keys of the same app.
pub fn diagnose(
    sample: &Sample<'_>,
    received: &Received<'_>,
    key: &VerifyingKey,
    secret: Option<&Secret>,
    others: &[Arc<Key>],
    now: Now,
    tries: &mut Tries,
) -> Option<Finding> {
    if sample.text.len() > MAX_TEXT {
        return None;
    }
    let (text, signature) = (&*sample.text, &*sample.signature);
    // Where it is made in another way there is one way to write it, which its reader holds to.
    if sample.by.is_none()
        && let Some(mistake) = signatures::rewritten(key, text, signature, || tries.take())
    {
        return Some(mistake.into());
    }
    if let Some(secret) = secret {
        let algorithm = key.algorithm();
        let is_by = |key: HmacKey| sample.is_by(&key.into(), text);
        let found = secrets::misread(secret, algorithm, is_by, || tries.take());
        if let Some(mistake) = found {
            return Some(mistake.into());
        }
    }
    let by_another = |tries: &mut Tries| {
        let others = others.iter().filter(|other| *other.id != *sample.key_id);
        siblings::find(sample, key, others, now, tries)
    };
    // Public keys have few tries, and there are more texts than that.
    let is_public = matches!(key, VerifyingKey::Public(_));
    if is_public && let Some(finding) = by_another(tries) {
        return Some(finding);
    }
    let holds = |text: &str| sample.is_by(key, text.as_bytes());
    let found = sample.find(received, |text| tries.take() && holds(text));
    match found {
        Some(mistake) => Some(mistake.into()),
        None if is_public => None,
        None => by_another(tries),
    }
}

impl Sample<'_> {
    /// What trying one text costs.
    const fn cost(&self, key: &VerifyingKey) -> Cost {
        match (key, &self.by) {
            (VerifyingKey::Public(_), _) => Cost::PublicKey,
            (VerifyingKey::Mac(_), Some(_)) => Cost::Derived,
            (VerifyingKey::Mac(_), None) => Cost::Secret,
        }
    }

    /// Whether the signature is this key's.
    pub fn holds(&self, key: &VerifyingKey) -> bool {
        self.is_by(key, &self.text)
    }

    /// Whether it is this key's, of `text`.
    fn is_by(&self, key: &VerifyingKey, text: &[u8]) -> bool {
        match &self.by {
            Some(by) => by(key, text, &self.signature),
            None => key.verify(text, &self.signature).is_some(),
        }
    }

    /// The first mistake that makes the text into one that `is_it`, which is asked once for each text.
    pub fn find(
        &self,
        received: &Received<'_>,
        mut is_it: impl FnMut(&str) -> bool,
    ) -> Option<Mistake> {
        let offer = self.offer.as_deref()?;
        let ours = String::from_utf8_lossy(&self.text);
        let own = std::iter::once_with(|| offer.own()).flatten();
        let changed = std::iter::once_with(|| change::changes(received)).flatten();
        let changed = changed.map(|(mistake, change)| (mistake, offer.under(&change)));
        // By hash: there may be many texts, and long ones.
        let (hasher, mut tried) = (RandomState::new(), HashSet::new());
        let mut is_new = |text: &str| tried.insert(hasher.hash_one(text));
        is_new(&ours);
        as_a_whole(&ours)
            .into_iter()
            .chain(own)
            .chain(changed)
            .find(|(_, text)| is_new(text) && is_it(text))
            .map(|(mistake, _)| mistake)
    }
}

/// What is done to a whole text.
fn as_a_whole(text: &str) -> Vec<(Mistake, String)> {
    let mut all = vec![
        (Mistake::TrailingNewline, format!("{text}\n")),
        (Mistake::CrLf, text.replace('\n', "\r\n")),
        (Mistake::CrLf, format!("{}\r\n", text.replace('\n', "\r\n"))),
        (Mistake::CrLf, format!("{text}\r")),
    ];
    if let Some(without) = text.strip_suffix('\n') {
        all.push((Mistake::NoTrailingNewline, without.to_owned()));
    }
    all
}

/// What `received` shows, as far as it can be read.
pub fn samples<'r>(
    received: &'r Received<'r>,
    route: &Route,
    registry: &'r Registry,
) -> Vec<Sample<'r>> {
    match Presented::read(received, route) {
        Ok(presented) => presented.samples(received, route, registry),
        Err(_) => Vec::new(),
    }
}
