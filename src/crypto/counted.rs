//! What tests count: signatures that are made and checked, on their thread. Elsewhere nothing is counted.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static SIGNED: Cell<u32> = const { Cell::new(0) };
    static VERIFIED: Cell<u32> = const { Cell::new(0) };
}

/// A signature is made.
pub(super) fn signs() {
    #[cfg(test)]
    SIGNED.set(SIGNED.get() + 1);
}

/// A signature is checked.
pub(super) fn verifies() {
    #[cfg(test)]
    VERIFIED.set(VERIFIED.get() + 1);
}

/// How many were made and checked since this was last asked.
#[cfg(all(test, feature = "gateway"))]
pub(crate) fn take() -> (u32, u32) {
    (SIGNED.take(), VERIFIED.take())
}
