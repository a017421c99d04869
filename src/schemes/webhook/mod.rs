//! Webhooks: what services send of their own accord, each signed in the way of
//! its sender, and all over the body.
//!
//! `read` takes the fields apart, each sender in a file of its own, `verify`
//! holds them against policy, time and the body, `sign` makes them. No sender
//! signs method, path or query, and none names its key: so the route says whose
//! keys are tried, a webhook is a `POST`, and has no query unless the route says
//! so. The body is what is signed: it is taken in first, and nobody is proven
//! before its end.

pub mod github;
pub mod mistakes;
pub mod read;
pub mod sign;
pub mod slack;
pub mod standard;
pub mod stripe;
pub mod verify;

pub use super::signed::Rules;
pub use crate::route::Sender;
pub use read::Presented;
pub use verify::verify;
