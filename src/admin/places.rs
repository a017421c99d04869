//! Places for connections. When all are taken the connection that has been idle longest gives its place up: whoever
//! asks whether we live is not kept waiting by those who ask nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All places.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    many: usize,
    taken: Mutex<Taken>,
    /// Rung when a place is free, or may be had from one that is idle.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    /// Counts what happens: the lower a number, the longer ago.
    last: u64,
    by_number: BTreeMap<u64, One>,
}

#[derive(Debug)]
struct One {
    is_answered: bool,
    /// When it was last anything but idle.
    active: u64,
    given_up: CancellationToken,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    all: Places,
    number: u64,
    given_up: CancellationToken,
}

/// An answer in the making: while there is one the place is kept.
#[derive(Debug)]
pub(super) struct Answering(Arc<Place>);

impl Places {
    pub(super) fn new(many: usize) -> Self {
        Self(Arc::new(Shared {
            many,
            taken: Mutex::default(),
            freed: Notify::new(),
        }))
    }

    /// A place, and whether another connection has given it up. Waits while all connections are answered.
    pub(super) async fn take(&self) -> (Place, bool) {
        loop {
            // From here on no bell is missed.
            let freed = self.0.freed.notified();
            if let Some(taken) = self.try_take() {
                return taken;
            }
            freed.await;
        }
    }

    fn try_take(&self) -> Option<(Place, bool)> {
        let mut taken = self.taken();
        let is_full = taken.by_number.len() >= self.0.many;
        if is_full {
            let idle = taken.by_number.iter().filter(|(_, one)| !one.is_answered);
            let (longest, _) = idle.min_by_key(|(_, one)| one.active)?;
            let longest = *longest;
            if let Some(one) = taken.by_number.remove(&longest) {
                one.given_up.cancel();
            }
        }
        let number = taken.count();
        let given_up = CancellationToken::new();
        let one = One {
            is_answered: false,
            active: number,
            given_up: given_up.clone(),
        };
        taken.by_number.insert(number, one);
        drop(taken);
        let all = self.clone();
        let place = Place {
            all,
            number,
            given_up,
        };
        Some((place, is_full))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        let taken = self.0.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    const fn count(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Place {
    /// Waits until the place is somebody else's.
    pub(super) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// A request has come, whole.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.is_answered(true);
        Answering(self.clone())
    }

    fn is_answered(&self, is: bool) {
        let mut taken = self.all.taken();
        let active = taken.count();
        if let Some(one) = taken.by_number.get_mut(&self.number) {
            (one.is_answered, one.active) = (is, active);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.taken().by_number.remove(&self.number);
        self.all.0.freed.notify_one();
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.is_answered(false);
        self.0.all.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    /// What there is without waiting.
    fn now(places: &Places) -> Option<(Arc<Place>, bool)> {
        let mut taking = Box::pin(places.take());
        match taking
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready((place, of_another)) => Some((Arc::new(place), of_another)),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_connection_that_has_been_idle_longest_gives_its_place_up() {
        let places = Places::new(3);
        let [first, second, third] = std::array::from_fn(|_| now(&places).unwrap());
        assert!(!first.1 && !second.1 && !third.1);
        // The first has asked something since.
        drop(first.0.answering());
        let (fourth, of_another) = now(&places).unwrap();
        assert!(of_another && second.0.given_up.is_cancelled());
        for kept in [&first.0, &third.0, &fourth] {
            assert!(!kept.given_up.is_cancelled());
        }
        // What it does with its end takes no place of another's.
        drop(second.0.answering());
        drop(second);
        drop(third);
        assert!(!now(&places).unwrap().1);
    }

    #[tokio::test]
    async fn no_answer_is_cut_and_whoever_comes_waits_for_the_first_that_is_out() {
        let places = Places::new(2);
        let (first, second) = (now(&places).unwrap().0, now(&places).unwrap().0);
        let (answer, _other) = (first.answering(), second.answering());
        assert!(now(&places).is_none());
        let (taken, ()) = tokio::join!(places.take(), async { drop(answer) });
        assert!(taken.1 && first.given_up.is_cancelled() && !second.given_up.is_cancelled());
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_is_taken_by_whoever_waits() {
        let places = Places::new(1);
        let (first, _) = now(&places).unwrap();
        let answer = first.answering();
        let (taken, ()) = tokio::join!(places.take(), async {
            drop(first);
            drop(answer);
        });
        assert!(!taken.1);
    }
}
