//! What holds of every scheme.

mod alike;
