//! Which of the places that threads write into side by side is whose.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of this thread: workers are numbered as they first ask.
pub(super) fn number() -> usize {
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

/// One for each worker, on cache lines of its own: nobody waits for a line that another one has just written.
#[derive(Debug)]
pub(super) struct Lanes<T>(Box<[Lane<T>]>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane<T>(T);

impl<T: Default> Lanes<T> {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Lane::default()).collect())
    }

    /// That of this thread.
    pub(super) fn own(&self) -> &T {
        &self.0[number() % self.0.len()].0
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|lane| &lane.0)
    }
}
