//! gateway.toml → settings.
