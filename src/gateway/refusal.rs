//! The table of refusals.
