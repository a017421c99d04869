//! The words of enumerations in records: those of `gateway.toml`.

use crate::apps::{Downgrade, Mode, Scheme};
use crate::crypto::Algorithm;
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;

macro_rules! word {
    ($kind:ty, $known:expr) => {
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(from)?;
                let mut known = IntoIterator::into_iter($known);
                known
                    .find(|known: &$kind| known.name() == text)
                    .ok_or_else(|| {
                        let known: Vec<_> = IntoIterator::into_iter($known)
                            .map(|one: $kind| one.name())
                            .collect();
                        D::Error::custom(format!("expected one of {}", known.join(", ")))
                    })
            }
        }
    };
}

word!(Algorithm, Algorithm::ALL);
word!(Scheme, Scheme::ALL);
word!(Mode, [Mode::Enforce, Mode::Observe]);
word!(Downgrade, [Downgrade::Allow, Downgrade::Refuse]);
