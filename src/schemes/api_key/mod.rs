//! Static keys, for callers that cannot do better yet.
//!
//! `read` finds the key in the request, `verify` looks its hash up. Such a key
//! proves no part of the request and no time, and whoever reads it has it: so
//! it is told as deprecated in every answer, counted per app, and never forwarded.

pub mod read;
pub mod verify;

#[cfg(test)]
mod tests;

pub use read::{Place, Presented, challenges, without_key};
pub use verify::verify;
