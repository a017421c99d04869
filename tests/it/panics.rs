//! A request that breaks the gateway.
