//! HTTP Message Signatures, RFC 9421: all that a request can carry.
//!
//! `read` takes the two fields apart, `base` writes the text that is signed,
//! `verify` holds it against policy, time and key, `sign` makes both fields.

pub mod base;
pub mod component;
pub mod mistakes;
pub mod read;
pub mod sign;
pub mod structured;
pub mod verify;

mod class;
mod cursor;
mod spare;

#[cfg(test)]
mod tests;

pub use super::signed::Rules;
pub use read::{Presented, SIGNATURE, SIGNATURE_INPUT};
pub use verify::{component_for, verify, verify_by};
