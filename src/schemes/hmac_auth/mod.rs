//! Signatures in the dialects of Kong, of Apache APISIX, and of
//! draft-cavage-http-signatures-12: for callers that have them already.
//!
//! `read` takes the field apart, `text` writes what is signed, `verify` holds
//! it against policy, time and key, `sign` makes the field. What the three
//! leave to the caller is demanded here all the same: a time, the target, and
//! the body's digest are covered, and what is covered is there, once.

pub mod coverage;
pub mod digest;
pub mod mistakes;
pub mod read;
pub mod sign;
pub mod text;
pub mod verify;

mod parameters;

#[cfg(test)]
mod tests;

pub use super::date;
pub use super::signed::Rules;
pub use crate::route::Dialect;
pub use coverage::challenge;
pub use read::{Presented, is_proof};
pub use verify::verify;
