//! Told to stop: what becomes of connections and requests, phase by phase.
