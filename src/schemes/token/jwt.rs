//! Reading and verifying a JWT.
