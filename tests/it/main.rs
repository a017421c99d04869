//! The gateway before a real upstream, over real sockets: one file a behaviour.

mod harness;

mod bodies;
mod forwarding;
mod rate_limits;
mod refusals;
mod replay;
mod scopes;
mod signed_requests;
mod tokens;
mod wire;
