//! What must be covered, the same for every scheme.
