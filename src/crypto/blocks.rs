//! How many blocks of 64 bytes SHA-256 has taken in, for tests that hold what
//! something costs. Elsewhere nobody counts.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// What `run` gives, and the blocks that were hashed for it.
#[cfg(test)]
pub(crate) fn counted<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = COUNT.get();
    let value = run();
    (value, COUNT.get() - before)
}

/// The end of a text of so many bytes, its padding with it.
pub(super) fn of_text(bytes: usize) {
    // A one bit, and the length in eight bytes.
    of((bytes + 9).div_ceil(64));
}

/// As many of so many bytes as fill blocks.
pub(super) fn of_whole(bytes: usize) {
    of(bytes / 64);
}

/// The end of a text behind so many bytes, of which the whole blocks were taken in.
pub(super) fn of_rest(before: usize, bytes: usize) {
    of_text(before % 64 + bytes);
}

/// The two halves of a key of HMAC.
pub(super) fn of_key() {
    of(2);
}

/// The tag over so many bytes under a key that is ready.
pub(super) fn of_tag(bytes: usize) {
    of_text(bytes);
    of_outer();
}

/// What makes the inner hash a tag.
pub(super) fn of_outer() {
    of(1);
}

#[cfg(test)]
fn of(blocks: usize) {
    COUNT.set(COUNT.get() + blocks);
}

#[cfg(not(test))]
const fn of(_: usize) {}
