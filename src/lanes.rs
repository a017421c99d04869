//! Places that threads write into side by side.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One place for each worker, on cache lines of its own: nobody waits for a line that another one has just written.
#[derive(Debug)]
pub struct Lanes<T>(Box<[Lane<T>]>);

#[derive(Debug)]
#[repr(align(128))]
struct Lane<T>(T);

impl<T> Lanes<T> {
    /// For so many workers; more share.
    pub fn new(workers: usize, mut make: impl FnMut() -> T) -> Self {
        Self((0..workers.max(1)).map(|_| Lane(make())).collect())
    }

    /// That of the worker with this number.
    pub fn of(&self, worker: usize) -> &T {
        &self.0[worker % self.0.len()].0
    }

    /// That of this thread.
    pub fn own(&self) -> &T {
        self.of(number())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|lane| &lane.0)
    }
}

/// The number of this thread: threads are numbered as they first ask.
pub fn number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.get().unwrap_or_else(|| {
        let number = THREADS.fetch_add(1, Ordering::Relaxed);
        OWN.set(Some(number));
        number
    })
}
