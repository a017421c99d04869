//! Arguments and dispatch.

pub mod check;
