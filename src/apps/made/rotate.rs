//! A new key in place of an old one, in one step: what has to change, as a
//! pure function of what there is.

use super::life::{KeyState, Life};
use super::records::{KeyRecord, Material, Record, Revision};
use super::store::{Change, Expect};

/// How long the old key still proves what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// So many seconds.
    Seconds(u32),
    /// Not at all: somebody else has it. No clock that is set back revives it.
    Panic,
}

/// Why a key cannot be followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRotated {
    /// It is pending, draining, or retired.
    #[error("the key is {}: only one that is active is followed by another", .0.name())]
    State(KeyState),
    /// It is a honey key.
    #[error("the key is a honey key: nobody has it who would come with one that follows it")]
    Honey,
    /// It ends before the new one could be of use.
    #[error("the key has expired, and a key that follows it would have too: make another")]
    Expired,
    /// The new one has its id.
    #[error("the new key has the id of the old one")]
    SameId,
    /// The new one is used in another way.
    #[error("the new key is of another kind")]
    OtherKind,
}

/// The changes that put a new key, with `id` and `material`, in place of `old` at `now`. It inherits what it may
/// prove, and when it expires; what it may do and how much belong to its app. The old one
/// drains from `now` on and is retired when the overlap is over, or at once.
///
/// # Errors
/// [`NotRotated`].
pub fn rotate(
    old: &KeyRecord,
    id: String,
    material: Material,
    overlap: Overlap,
    now: i64,
) -> Result<Vec<Change>, NotRotated> {
    if old.honey {
        return Err(NotRotated::Honey);
    }
    let state = old.life.state(now);
    let may = match overlap {
        Overlap::Seconds(_) => state == KeyState::Active,
        // Of one that drains already, others may have got hold too.
        Overlap::Panic => matches!(state, KeyState::Active | KeyState::Draining),
    };
    if !may {
        return Err(NotRotated::State(state));
    }
    if old.not_after.is_some_and(|end| now >= end) {
        return Err(NotRotated::Expired);
    }
    if id == old.id {
        return Err(NotRotated::SameId);
    }
    if old.material.algorithm().is_some() != material.algorithm().is_some() {
        return Err(NotRotated::OtherKind);
    }
    let ended = match overlap {
        Overlap::Seconds(seconds) => {
            let end = now.saturating_add(i64::from(seconds));
            let end = old.life.retired.map_or(end, |known| known.min(end));
            old.life.drain(now, Some(end), now)
        }
        Overlap::Panic => old.life.revoke(now),
    };
    let old_life = ended.map_err(|_| NotRotated::State(state))?;
    let new = KeyRecord {
        id,
        app: old.app.clone(),
        material,
        schemes: old.schemes.clone(),
        life: Life::active_from(now),
        not_after: old.not_after,
        honey: false,
        attests: old.attests,
        made_at: now,
        rotated_from: Some(old.id.clone()),
        revision: Revision::default(),
    };
    let old = KeyRecord {
        life: old_life,
        ..old.clone()
    };
    let expected = Expect::Revision(old.revision);
    Ok(vec![
        Change::Put(Record::Key(new), Expect::Absent),
        Change::Put(Record::Key(old), expected),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::Scheme;

    fn key(id: &str, life: Life) -> KeyRecord {
        KeyRecord {
            id: id.to_owned(),
            app: "mobile".to_owned(),
            material: material(),
            schemes: Some(vec![Scheme::HttpSignature]),
            life,
            not_after: Some(1_000),
            honey: false,
            attests: false,
            made_at: 0,
            rotated_from: None,
            revision: Revision(7),
        }
    }

    fn material() -> Material {
        Material::Static {
            hash: "00".repeat(32),
        }
    }

    fn rotated(old: &KeyRecord, overlap: Overlap, now: i64) -> Result<[KeyRecord; 2], NotRotated> {
        let changes = rotate(old, "new".to_owned(), material(), overlap, now)?;
        let [
            Change::Put(Record::Key(new), Expect::Absent),
            Change::Put(Record::Key(old), Expect::Revision(Revision(7))),
        ] = &changes[..]
        else {
            panic!("{changes:?}")
        };
        Ok([new.clone(), old.clone()])
    }

    #[test]
    fn the_new_key_inherits_and_at_each_second_of_the_overlap_both_may_be_used() {
        let old = key("old", Life::active_from(5));
        let [new, old] = rotated(&old, Overlap::Seconds(60), 100).unwrap();
        assert_eq!(
            (new.schemes.as_deref(), new.not_after, &*new.app),
            (Some(&[Scheme::HttpSignature][..]), Some(1_000), "mobile")
        );
        assert_eq!(new.rotated_from.as_deref(), Some("old"));
        for at in 100..160 {
            assert_eq!(new.life.state(at), KeyState::Active);
            assert_eq!(old.life.state(at), KeyState::Draining);
        }
        assert_eq!(old.life.state(160), KeyState::Retired);
    }

    #[test]
    fn in_a_panic_the_old_key_is_retired_and_stays_so_when_the_clock_is_set_back() {
        for life in [
            Life::active_from(5),
            Life::active_from(5).drain(50, None, 50).unwrap(),
        ] {
            let [new, old] = rotated(&key("old", life), Overlap::Panic, 100).unwrap();
            assert_eq!(new.life.state(100), KeyState::Active);
            for at in [5, 60, 99, 100] {
                assert_eq!(old.life.state(at), KeyState::Retired);
            }
            let again = rotated(&old, Overlap::Panic, 99);
            assert_eq!(again.unwrap_err(), NotRotated::State(KeyState::Retired));
        }
    }

    #[test]
    fn an_overlap_never_makes_a_key_last_longer() {
        let life = Life {
            retired: Some(120),
            ..Life::active_from(5)
        };
        let [_, old] = rotated(&key("old", life), Overlap::Seconds(600), 100).unwrap();
        assert_eq!(old.life.retired, Some(120));
    }

    #[test]
    fn only_an_active_key_that_somebody_has_is_followed_by_another() {
        let draining = Life::active_from(5).drain(50, None, 50).unwrap();
        let hour = Overlap::Seconds(3_600);
        for (life, overlap, state) in [
            (Life::default(), hour, KeyState::Pending),
            (Life::default(), Overlap::Panic, KeyState::Pending),
            (draining, hour, KeyState::Draining),
            (
                draining.revoke(60).unwrap(),
                Overlap::Panic,
                KeyState::Retired,
            ),
        ] {
            let refused = rotated(&key("old", life), overlap, 100);
            assert_eq!(refused.unwrap_err(), NotRotated::State(state));
        }
        let fresh = key("old", Life::active_from(5));
        assert_eq!(
            rotated(&fresh, hour, 1_000).unwrap_err(),
            NotRotated::Expired
        );
        let honey = KeyRecord {
            honey: true,
            ..fresh.clone()
        };
        for overlap in [hour, Overlap::Panic] {
            let refused = rotated(&honey, overlap, 100);
            assert_eq!(refused.unwrap_err(), NotRotated::Honey);
        }
        let same = rotate(&fresh, "old".to_owned(), material(), hour, 100);
        assert_eq!(same.unwrap_err(), NotRotated::SameId);
    }
}
