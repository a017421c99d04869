//! What the tests count: signatures that were made and checked, on their thread. Elsewhere nothing is counted.

#[cfg(not(test))]
mod nothing {
    /// A signature is made.
    pub(in crate::crypto) const fn signs() {}

    /// A signature is checked.
    pub(in crate::crypto) const fn verifies() {}
}
#[cfg(not(test))]
pub(super) use nothing::{signs, verifies};

#[cfg(test)]
mod numbers {
    use std::cell::Cell;

    thread_local! {
        static SIGNED: Cell<u32> = const { Cell::new(0) };
        static VERIFIED: Cell<u32> = const { Cell::new(0) };
    }

    pub(in crate::crypto) fn signs() {
        SIGNED.set(SIGNED.get() + 1);
    }

    pub(in crate::crypto) fn verifies() {
        VERIFIED.set(VERIFIED.get() + 1);
    }

    /// How many were made and checked since this was last asked.
    pub(crate) fn take() -> (u32, u32) {
        (SIGNED.take(), VERIFIED.take())
    }
}
#[cfg(test)]
pub(super) use numbers::{signs, verifies};

#[cfg(test)]
pub(crate) use numbers::take;
