//! One request from start to end; the only room that knows the order, and
//! the status of a refusal.

pub mod refusal;
