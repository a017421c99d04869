//! The gateway before a real upstream, over real sockets: one file a behaviour.
#![expect(
    clippy::unwrap_used,
    reason = "what does not hold ends the test, in its tools too"
)]

mod harness;

mod bodies;
mod config;
mod forwarding;
mod fuzz_corpus;
mod house;
mod rate_limits;
mod readme;
mod refusals;
mod replay;
mod scopes;
mod signed_requests;
mod tokens;
mod wire;
