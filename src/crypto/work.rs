//! What was done of cryptography: counted in tests, to show that no and no cost alike.

/// A kind of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// A MAC by HMAC, of so many bytes.
    Mac,
    /// A key of HMAC made ready.
    Keying,
    /// A SHA-256, of so many bytes.
    Hash,
    /// A signature held against a public key, of so many bytes.
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
