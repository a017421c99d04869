//! The gateway before a real upstream, over real sockets: one file a behaviour.
#![expect(
    clippy::unwrap_used,
    reason = "what does not hold ends the test, in its tools too"
)]

mod harness;

mod admin;
mod admin_api;
mod admin_registry;
mod api_keys;
mod attacks;
mod aws_sigv4;
mod balance;
mod bodies;
mod cli;
mod cli_explain;
mod cli_issuers;
mod cli_pairs;
mod cli_registry;
mod cli_vectors;
mod cli_webhooks;
mod client_attestation;
mod config;
mod cors;
mod doctor;
mod doctor_webhooks;
mod doors;
mod dpop;
mod drain;
mod forwarding;
mod fuzz_corpus;
mod grpc;
mod grpc_refusals;
mod hardening;
mod hmac_auth;
mod house;
mod http2;
mod inject;
mod interop;
mod interop_aws;
mod interop_dpop;
mod interop_hmac;
mod interop_pairs;
mod interop_restic;
mod interop_webhooks;
mod issuers;
mod key_service;
mod lying_upstreams;
mod memory;
mod mutual_tls;
mod observe;
mod overload;
mod panics;
mod policy;
mod proxy_protocol;
mod public_keys;
mod rate_limits;
mod readiness;
mod readme;
mod refusals;
mod reload;
mod replay;
mod rolling_restart;
mod scopes;
mod shutdown;
mod sidecar;
mod signed_requests;
mod slow_clients;
mod streaming;
mod tls;
mod tokens;
mod upgrades;
mod upstreams;
mod vectors;
mod webhooks;
mod wire;
