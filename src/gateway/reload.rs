//! Swap settings between requests; connections, counts and nonces live on; a bad file changes nothing.
