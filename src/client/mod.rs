//! For those who call.
