//! Arguments and dispatch.

pub mod check;
pub mod serve;
mod watch;
