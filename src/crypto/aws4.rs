//! Keys of AWS Signature Version 4: of a secret, a day, a region and a service.
//!
//! Four HMACs lead from the secret to such a key, as much as all the rest of a
//! verification. The last few are kept; only one whose signature was found to
//! hold is, or strangers could push out those of honest callers.

use super::{Tag, blocks};
use ::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use zeroize::Zeroizing;

/// What stands before the secret.
const FRONT: &[u8] = b"AWS4";
/// What ends every scope.
pub const TERMINATION: &str = "aws4_request";
/// Keys that are kept of one secret: today's and yesterday's, of two regions or services.
const MAX_KEPT: usize = 4;

/// What such a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'s> {
    /// The day: `20150830`.
    pub date: &'s str,
    /// The region.
    pub region: &'s str,
    /// The service.
    pub service: &'s str,
}

/// The keys of one secret. Never prints.
pub struct DayKeys {
    root: Hmac<Sha256>,
    kept: RwLock<Vec<Kept>>,
}

struct Kept {
    date: Box<str>,
    region: Box<str>,
    service: Box<str>,
    key: DayKey,
}

/// A key for one day, region and service; wiped when it is dropped. Never prints.
#[derive(Clone)]
pub struct DayKey(Zeroizing<[u8; 32]>);

impl DayKeys {
    /// The keys of `secret`.
    pub(super) fn new(secret: &[u8]) -> Self {
        let mut whole = Zeroizing::new(Vec::with_capacity(FRONT.len() + secret.len()));
        whole.extend_from_slice(FRONT);
        whole.extend_from_slice(secret);
        Self::bare(&whole)
    }

    /// Those of one who leaves out what stands before the secret.
    pub(super) fn bare(secret: &[u8]) -> Self {
        Self {
            root: keyed(secret),
            kept: RwLock::default(),
        }
    }

    /// The key of `scope`, computed.
    pub fn derive(&self, scope: Scope<'_>) -> DayKey {
        let step = |mut mac: Hmac<Sha256>, text: &str| -> Zeroizing<[u8; 32]> {
            mac.update(text.as_bytes());
            blocks::of_tag(text.len());
            Zeroizing::new(mac.finalize().into_bytes().into())
        };
        let mut key = step(self.root.clone(), scope.date);
        for text in [scope.region, scope.service, TERMINATION] {
            key = step(keyed(&*key), text);
        }
        DayKey(key)
    }

    /// The key of `scope`, if it is kept.
    pub fn kept(&self, scope: Scope<'_>) -> Option<DayKey> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let one = kept.iter().find(|one| one.is_of(scope))?;
        Some(one.key.clone())
    }

    /// Keeps the key of `scope`, in place of the oldest of too many.
    pub fn keep(&self, scope: Scope<'_>, key: &DayKey) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.iter().any(|one| one.is_of(scope)) {
            return;
        }
        if kept.len() == MAX_KEPT {
            kept.remove(0);
        }
        kept.push(Kept {
            date: scope.date.into(),
            region: scope.region.into(),
            service: scope.service.into(),
            key: key.clone(),
        });
    }
}

impl Kept {
    fn is_of(&self, scope: Scope<'_>) -> bool {
        *self.date == *scope.date
            && *self.region == *scope.region
            && *self.service == *scope.service
    }
}

impl DayKey {
    /// The tag over `text`.
    pub fn sign(&self, text: &[u8]) -> Tag {
        let mut mac = keyed(&*self.0);
        mac.update(text);
        blocks::of_tag(text.len());
        Tag::of_digest(&mac.finalize().into_bytes().into())
    }

    /// For texts that begin alike: what they have in common is hashed once.
    pub fn begin(&self, front: &[u8]) -> Begun {
        let mut mac = keyed(&*self.0);
        mac.update(front);
        blocks::of_whole(front.len());
        Begun {
            mac,
            bytes: front.len(),
        }
    }
}

/// A tag in the making.
pub struct Begun {
    mac: Hmac<Sha256>,
    bytes: usize,
}

impl Begun {
    /// The tag over the text that ends so.
    pub fn end(&self, rest: &[u8]) -> Tag {
        let mut mac = self.mac.clone();
        mac.update(rest);
        blocks::of_rest(self.bytes, rest.len());
        blocks::of_outer();
        Tag::of_digest(&mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun(..)")
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    blocks::of_key();
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

impl fmt::Debug for DayKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DayKeys(..)")
    }
}

impl fmt::Debug for DayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DayKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn scope(date: &str) -> Scope<'_> {
        Scope {
            date,
            region: "us-east-1",
            service: "iam",
        }
    }

    #[test]
    fn the_key_is_the_one_that_the_documentation_prints() {
        let keys = DayKeys::new(SECRET);
        let key = keys.derive(scope("20150830"));
        assert_eq!(
            HEXLOWER.encode(&*key.0),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    #[test]
    fn the_last_few_are_kept_and_no_more() {
        let keys = DayKeys::new(SECRET);
        for day in 1..=9 {
            let date = format!("2015080{day}");
            let key = keys.derive(scope(&date));
            assert!(keys.kept(scope(&date)).is_none());
            keys.keep(scope(&date), &key);
            keys.keep(scope(&date), &key);
            let kept = keys.kept(scope(&date)).unwrap();
            assert_eq!(kept.sign(b"x").as_bytes(), key.sign(b"x").as_bytes());
        }
        assert_eq!(keys.kept.read().unwrap().len(), MAX_KEPT);
        assert!(keys.kept(scope("20150805")).is_none());
        assert!(keys.kept(scope("20150806")).is_some());
    }

    #[test]
    fn neither_secret_nor_key_prints() {
        let keys = DayKeys::new(SECRET);
        let key = keys.derive(scope("20150830"));
        assert_eq!(format!("{keys:?} {key:?}"), "DayKeys(..) DayKey(..)");
    }
}
