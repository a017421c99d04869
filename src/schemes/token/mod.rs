//! Tokens: short-lived JWTs signed with an app's key.

pub mod binding;
pub mod jwt;
