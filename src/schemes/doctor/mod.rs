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

mod held;
mod mistakes;
mod secrets;
mod siblings;
mod signatures;

pub use budget::{Budget, Cost, Tries};
pub use change::{Case, Change};
pub use held::{dead_end, held};
pub use mistakes::Mistake;

use super::received::Received;
use super::{Presented, Refused, Timed, Why};
use crate::apps::{Key, Registry, Scheme};
use crate::clock::Now;
use crate::crypto::{HmacKey, VerifyingKey, random};
use crate::route::Route;
use crate::secret::Secret;
use held::out_of_force;
use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

/// Bytes of a text that is tried in other ways, in all its forms, or the first alone: what is longer costs too much.
pub const MAX_TEXT: usize = 16 * 1024;
/// The same for whoever has the key: dozens of such texts are made of one.
const MAX_TEXT_OF_ALL: usize = 4 * 1024 * 1024;

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
    /// The other forms of the text, where signers write one request in several that do as well.
    pub also: Vec<Form<'s>>,
    /// Whether a signature of a text is a key's, where that is no matter of the key alone.
    pub by: Option<By<'s>>,
    /// Whether it is this one that is refused, where another may stand beside it.
    pub meant: Option<Meant<'s>>,
}

/// One more form of a text.
#[derive(Default)]
pub struct Form<'s> {
    /// The text.
    pub text: Vec<u8>,
    /// What else it could be.
    pub offer: Option<Box<dyn Offer + 's>>,
}

/// Whether the signature, last, of one of these texts is this key's.
pub type By<'s> = Box<dyn Fn(&VerifyingKey, &[&[u8]], &[u8]) -> bool + 's>;

/// Whether a request may be refused so for what this very credential, which is this key's, says of itself.
pub type Meant<'s> = Box<dyn Fn(&Refused, &VerifyingKey) -> bool + 's>;

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
        // A proof beside a token has a time of its own.
        Refused::Skew { of, .. } => *of == Timed::Credential,
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
    let mut samples = presented.samples(received, route, registry, now);
    // Of a pair the token is opened first, and its algorithm is refused whoever signed. For other reasons it waits:
    // the key of an issuer outside is not here, and looking for it takes tries that the signature needs.
    if let Refused::Rejected {
        why: Why::WrongAlgorithm,
        ..
    } = refused
    {
        samples.sort_by_key(|sample| sample.scheme != Scheme::Token);
    }
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
        let found = diagnose(sample, received, verifying, secret, others, now, tries)?;
        Some(match key {
            Some(key) => dead_end(found, sample, key, route),
            None => found,
        })
    })
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
    if sample.text.len() > tries.longest() {
        return None;
    }
    let texts = sample.texts(sample.tried(tries.longest()));
    let (text, signature) = (&*sample.text, &*sample.signature);
    // Where it is made in another way there is one way to write it, which its reader holds to.
    if sample.by.is_none()
        && let Some(mistake) = signatures::rewritten(key, text, signature, || tries.take())
    {
        return Some(mistake.into());
    }
    if let Some(secret) = secret {
        let algorithm = key.algorithm();
        let is_by = |key: HmacKey| sample.is_by(&key.into(), &texts);
        let found = secrets::misread(secret, algorithm, is_by, || tries.take());
        if let Some(mistake) = found {
            return Some(mistake.into());
        }
        let is_bare = || is_by(HmacKey::without_aws4(secret));
        if sample.scheme == Scheme::AwsSigv4 && tries.take() && is_bare() {
            return Some(Mistake::Aws4Missing.into());
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
    let holds = |texts: &[&str]| {
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        sample.is_by(key, &texts)
    };
    match sample.find(received, tries, holds) {
        Some(mistake) => Some(mistake.into()),
        None if is_public => None,
        None => by_another(tries),
    }
}

impl Sample<'_> {
    /// What trying one text costs, in all its forms.
    fn cost(&self, key: &VerifyingKey) -> Cost {
        match (key, &self.by) {
            (VerifyingKey::Public(_), _) => Cost::PublicKey,
            (VerifyingKey::Mac(_), Some(_)) => {
                let forms = 1 + self.tried(MAX_TEXT).len();
                Cost::Derived(u32::try_from(forms).unwrap_or(u32::MAX))
            }
            (VerifyingKey::Mac(_), None) => Cost::Secret,
        }
    }

    /// The forms besides the first in which mistakes are tried: none where all are longer together than the `longest`.
    fn tried(&self, longest: usize) -> &[Form<'_>] {
        let all = self.texts(&self.also);
        let bytes: usize = all.iter().map(|text| text.len()).sum();
        if bytes > longest { &[] } else { &self.also }
    }

    /// The text, and those of `also`.
    fn texts<'t>(&'t self, also: &'t [Form<'_>]) -> Vec<&'t [u8]> {
        let also = also.iter().map(|form| &*form.text);
        std::iter::once(&*self.text).chain(also).collect()
    }

    /// The same with that form in front of which `rank` is the least.
    #[must_use]
    pub fn led_by(mut self, rank: impl Fn(&[u8]) -> usize) -> Self {
        let ranked = self.also.iter_mut().map(|form| (rank(&form.text), form));
        if let Some((best, form)) = ranked.min_by_key(|(found, _)| *found)
            && best < rank(&self.text)
        {
            std::mem::swap(&mut self.text, &mut form.text);
            std::mem::swap(&mut self.offer, &mut form.offer);
        }
        self
    }

    /// Whether the signature is this key's, in whatever form.
    pub fn holds(&self, key: &VerifyingKey) -> bool {
        self.is_by(key, &self.texts(&self.also))
    }

    /// Whether it is this key's, of one of `texts`.
    pub fn is_by(&self, key: &VerifyingKey, texts: &[&[u8]]) -> bool {
        match &self.by {
            Some(by) => by(key, texts, &self.signature),
            None => texts
                .iter()
                .any(|text| key.verify(text, &self.signature).is_some()),
        }
    }

    /// The first mistake that makes the text into the one that is looked for. A step of all forms is one of
    /// `tries`: it is taken before it is asked whether one of its texts `is_it`, each text once.
    pub fn find(
        &self,
        received: &Received<'_>,
        tries: &mut Tries,
        is_it: impl Fn(&[&str]) -> bool,
    ) -> Option<Mistake> {
        if self.text.len() > tries.longest() {
            return None;
        }
        // By hash: there may be many texts, and long ones.
        let (hasher, mut seen) = (RandomState::new(), HashSet::new());
        let mut is_new = |text: &str| seen.insert(hasher.hash_one(text));
        let also = self.tried(tries.longest()).iter();
        let also = also.map(|form| (&form.text, &form.offer));
        let mut ways = Vec::new();
        for (text, offer) in std::iter::once((&self.text, &self.offer)).chain(also) {
            let ours = String::from_utf8_lossy(text);
            is_new(&ours);
            let offer = offer.as_deref();
            ways.extend(offer.map(|offer| mistaken(self.scheme, &ours, offer, received)));
        }
        loop {
            let step: Vec<_> = ways.iter_mut().filter_map(Iterator::next).collect();
            if step.is_empty() {
                return None;
            }
            let new: Vec<_> = step.iter().filter(|(_, text)| is_new(text)).collect();
            let texts: Vec<&str> = new.iter().map(|(_, text)| &**text).collect();
            if !texts.is_empty() && tries.take() && is_it(&texts) {
                let right = new.iter().find(|(_, text)| is_it(&[text.as_str()]));
                return right.map(|(mistake, _)| *mistake);
            }
        }
    }
}

/// Each mistake of this scheme with the text that it makes of `ours`, the likeliest first.
fn mistaken<'o, 'r>(
    scheme: Scheme,
    ours: &str,
    offer: &'o dyn Offer,
    received: &'o Received<'r>,
) -> impl Iterator<Item = (Mistake, String)> + use<'o, 'r> {
    let own = std::iter::once_with(move || offer.own()).flatten();
    let changed = std::iter::once_with(move || change::changes(received)).flatten();
    let changed = changed.map(move |(mistake, change)| (mistake, offer.under(&change)));
    let whole = as_a_whole(ours).into_iter();
    let whole = whole.map(move |(mistake, text)| match scheme {
        // The lines are the body's, which is signed whatever they end in.
        Scheme::Webhook => (Mistake::BodyWrittenAnew, text),
        _ => (mistake, text),
    });
    whole.chain(own).chain(changed)
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
    now: Now,
) -> Vec<Sample<'r>> {
    match Presented::read(received, route) {
        Ok(presented) => presented.samples(received, route, registry, now),
        Err(_) => Vec::new(),
    }
}
