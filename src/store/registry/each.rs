//! All apps with their keys. To read their bytes costs less than to make
//! something of them, so that of many several threads do the latter.

use super::tables::{APPS, Fault, KEYS, KEYS_OF, decode};
use crate::apps::made::Whole;
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

/// Some apps, each followed by its keys, as they are kept: in one piece, since what one thread makes
/// and another takes apart costs both.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    records: Vec<Place>,
    apps: usize,
}

struct Place {
    is_app: bool,
    /// Where in the bytes the name or id ends, and the record behind it.
    id: usize,
    record: usize,
}

type See<'s> = &'s (dyn Fn(&[Whole]) + Sync);

/// Shows each of them, in no order.
pub(super) fn app(from: &ReadTransaction, see: See<'_>) -> Result<(), Fault> {
    if from.open_table(APPS)?.len()? <= SOME as u64 {
        let some = &mut |some: Kept| understand(&some, see).map(|()| true);
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

fn take(given: &Mutex<Receiver<Kept>>, see: See<'_>) -> Result<(), Fault> {
    loop {
        let some = {
            let given = given.lock().unwrap_or_else(PoisonError::into_inner);
            given.recv()
        };
        match some {
            Ok(some) => understand(&some, see)?,
            Err(_) => return Ok(()),
        }
    }
}

fn understand(some: &Kept, see: See<'_>) -> Result<(), Fault> {
    let mut apps: Vec<Whole> = Vec::with_capacity(some.apps);
    let mut begin = 0;
    for place in &some.records {
        let id = String::from_utf8_lossy(&some.bytes[begin..place.id]);
        let record = &some.bytes[place.id..place.record];
        begin = place.record;
        if place.is_app {
            apps.push((decode(&id, record)?, Vec::new()));
        } else if let Some((_, keys)) = apps.last_mut() {
            keys.push(decode(&id, record)?);
        }
    }
    see(&apps);
    Ok(())
}

impl Kept {
    fn add(&mut self, is_app: bool, id: &str, record: &[u8]) {
        self.apps += usize::from(is_app);
        self.bytes.extend_from_slice(id.as_bytes());
        let id = self.bytes.len();
        self.bytes.extend_from_slice(record);
        let record = self.bytes.len();
        self.records.push(Place { is_app, id, record });
    }
}

/// Reads all, some at a time, for as long as they are wanted.
fn read(
    from: &ReadTransaction,
    give: &mut dyn FnMut(Kept) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let (apps, keys) = (from.open_table(APPS)?, from.open_table(KEYS)?);
    // Both are in the order of apps: one walk through each.
    let index = from.open_table(KEYS_OF)?;
    let mut places = index.range::<(&str, &str)>(..)?.peekable();
    let mut some = Kept::default();
    for app in apps.range::<&str>(..)? {
        if some.apps == SOME && !give(std::mem::take(&mut some))? {
            return Ok(());
        }
        let (name, record) = app?;
        some.add(true, name.value(), record.value());
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
                some.add(false, id, key.value());
            }
        }
    }
    give(some)?;
    Ok(())
}
