//! Which MACs and signatures were computed, for tests that hold what something costs; `blocks` tells
//! what SHA-256 took in for them. Elsewhere nobody counts.

/// A kind of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A MAC by HMAC.
    Mac,
    /// A signature, held against a public key.
    PublicKey,
}

/// Nobody counts.
#[cfg(not(test))]
pub(super) const fn done(_: Work, _: usize) {}

#[cfg(test)]
pub(super) use counted::done;

#[cfg(test)]
mod counted {
    use super::Work;
    use std::cell::RefCell;

    thread_local! {
        static DONE: RefCell<Vec<(Work, usize)>> = const { RefCell::new(Vec::new()) };
    }

    /// Notes it, with how many bytes it took.
    pub(in crate::crypto) fn done(work: Work, bytes: usize) {
        DONE.with_borrow_mut(|done| done.push((work, bytes)));
    }

    impl Work {
        /// What was done on this thread since the last call, in order.
        pub(crate) fn taken() -> Vec<(Self, usize)> {
            DONE.take()
        }
    }
}
