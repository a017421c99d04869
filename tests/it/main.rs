//! The gateway before a real upstream, over real sockets: one file a behaviour.
#![expect(
    clippy::unwrap_used,
    reason = "what does not hold ends the test, in its tools too"
)]

mod harness;

mod admin;
mod bodies;
mod cli;
mod config;
mod doors;
mod forwarding;
mod fuzz_corpus;
mod house;
mod interop;
mod mutual_tls;
mod proxy_protocol;
mod rate_limits;
mod readme;
mod refusals;
mod reload;
mod replay;
mod scopes;
mod shutdown;
mod signed_requests;
mod tls;
mod tokens;
mod vectors;
mod wire;
