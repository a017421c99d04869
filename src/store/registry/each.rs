//! All apps with their keys. To read their bytes costs less than to make
//! something of them, so that of many several threads do the latter.

use super::tables::{APPS, Fault, KEYS, KEYS_OF, decode};
use crate::apps::made::{AppRecord, KeyRecord};
use redb::{ReadTransaction, ReadableTableMetadata};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Apps that are handed over at a time.
const SOME: usize = 256;
/// What may wait to be understood.
const WAITING: usize = 16;
/// Threads that understand.
const MAX_THREADS: usize = 8;

/// An app and its keys as they are kept.
struct Kept {
    name: String,
    app: Vec<u8>,
    keys: Vec<(String, Vec<u8>)>,
}

type See<'s> = &'s (dyn Fn(AppRecord, Vec<KeyRecord>) + Sync);

/// Shows each of them, in no order.
pub(super) fn app(from: &ReadTransaction, see: See<'_>) -> Result<(), Fault> {
    if from.open_table(APPS)?.len()? <= SOME as u64 {
        let some = &mut |some: Vec<Kept>| understand(some, see).map(|()| true);
        return read(from, some);
    }
    thread::scope(|scope| {
        let (give, given) = sync_channel(WAITING);
        // Once no thread takes any more, nothing more is given.
        let given = Arc::new(Mutex::new(given));
        let count = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..count.min(MAX_THREADS))
            .map(|_| {
                let given = given.clone();
                scope.spawn(move || take(&given, see))
            })
            .collect();
        drop(given);
        let is_read = read(from, &mut |some| Ok(give.send(some).is_ok()));
        drop(give);
        for thread in threads {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        is_read
    })
}

fn take(given: &Mutex<Receiver<Vec<Kept>>>, see: See<'_>) -> Result<(), Fault> {
    loop {
        let some = {
            let given = given.lock().unwrap_or_else(PoisonError::into_inner);
            given.recv()
        };
        match some {
            Ok(some) => understand(some, see)?,
            Err(_) => return Ok(()),
        }
    }
}

fn understand(some: Vec<Kept>, see: See<'_>) -> Result<(), Fault> {
    for kept in some {
        let keys = kept.keys.iter().map(|(id, bytes)| decode(id, bytes));
        let keys = keys.collect::<Result<_, _>>()?;
        see(decode(&kept.name, &kept.app)?, keys);
    }
    Ok(())
}

/// Reads all, some at a time, for as long as they are wanted.
fn read(
    from: &ReadTransaction,
    give: &mut dyn FnMut(Vec<Kept>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let (apps, keys) = (from.open_table(APPS)?, from.open_table(KEYS)?);
    // Both are in the order of apps: one walk through each.
    let index = from.open_table(KEYS_OF)?;
    let mut places = index.range::<(&str, &str)>(..)?.peekable();
    let mut some = Vec::with_capacity(SOME);
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
                own.push((id.to_owned(), key.value().to_vec()));
            }
        }
        some.push(Kept {
            name: name.value().to_owned(),
            app: record.value().to_vec(),
            keys: own,
        });
        if some.len() == SOME && !give(std::mem::replace(&mut some, Vec::with_capacity(SOME)))? {
            return Ok(());
        }
    }
    give(some)?;
    Ok(())
}
