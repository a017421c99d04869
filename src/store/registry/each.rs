//! All apps with their keys, for whoever takes them in at the start.

use super::tables::{APPS, Fault, KEYS, KEYS_OF, decode};
use crate::apps::made::Whole;
use redb::ReadTransaction;

/// Apps that are shown at a time.
const SOME: usize = 256;

type See<'s> = &'s mut dyn FnMut(&[Whole]);

/// Shows each of them, by name.
pub(super) fn app(from: &ReadTransaction, see: See<'_>) -> Result<(), Fault> {
    let (apps, keys) = (from.open_table(APPS)?, from.open_table(KEYS)?);
    // Both are in the order of apps: one walk through each.
    let index = from.open_table(KEYS_OF)?;
    let mut places = index.range::<(&str, &str)>(..)?.peekable();
    let mut some: Vec<Whole> = Vec::with_capacity(SOME);
    for app in apps.range::<&str>(..)? {
        let (name, record) = app?;
        let mut own = Vec::new();
        while let Some(place) = places.next_if(|place| {
            let owner = place
                .as_ref()
                .map(|(place, _)| place.value().0 <= name.value());
            owner.unwrap_or(true)
        }) {
            let (place, _) = place?;
            let (owner, id) = place.value();
            if owner == name.value()
                && let Some(key) = keys.get(id)?
            {
                own.push(decode(id, key.value())?);
            }
        }
        some.push((decode(name.value(), record.value())?, own));
        if some.len() == SOME {
            see(&some);
            some.clear();
        }
    }
    see(&some);
    Ok(())
}
