//! What must hold of a stranger's bytes, one file a reader. The fuzz targets
//! call it, and `tests/it/fuzz_corpus.rs` includes the same files.

mod admin_call;
mod answer;
mod api_key;
mod aws_sigv4;
mod client_attestation;
mod config;
mod curl_line;
mod dpop;
mod form;
mod forwarded;
mod frames;
mod gate;
mod har;
mod head;
mod hmac_auth;
mod key_service;
mod key_set;
mod proxy_header;
mod signature_input;
mod target;
mod token;
mod webhook;
mod wire;

/// Calls of the admin API.
pub fn admin_call(bytes: &[u8]) {
    admin_call::check(bytes);
}

/// Answers of servers.
pub fn answer(bytes: &[u8]) {
    answer::check(bytes);
}

/// Configurations.
pub fn config(bytes: &[u8]) {
    config::check(bytes);
}

/// Request heads.
pub fn target(bytes: &[u8]) {
    target::check(bytes);
}

/// Signatures.
pub fn signature_input(bytes: &[u8]) {
    signature_input::check(bytes);
}

/// AWS Signature Version 4, and bodies in pieces.
pub fn aws_sigv4(bytes: &[u8]) {
    aws_sigv4::check(bytes);
}

/// Signatures in the dialects of other gateways.
pub fn hmac_auth(bytes: &[u8]) {
    hmac_auth::check(bytes);
}

/// DPoP proofs.
pub fn dpop(bytes: &[u8]) {
    dpop::check(bytes);
}

/// Attested clients of OAuth.
pub fn client_attestation(bytes: &[u8]) {
    client_attestation::check(bytes);
}

/// Forms that get members.
pub fn form(bytes: &[u8]) {
    form::check(bytes);
}

/// Static keys.
pub fn api_key(bytes: &[u8]) {
    api_key::check(bytes);
}

/// Bodies of the key service.
pub fn key_service(bytes: &[u8]) {
    key_service::check(bytes);
}

/// Key sets.
pub fn key_set(bytes: &[u8]) {
    key_set::check(bytes);
}

/// Webhooks.
pub fn webhook(bytes: &[u8]) {
    webhook::check(bytes);
}

/// Fields that tell whom a proxy speaks for.
pub fn forwarded(bytes: &[u8]) {
    forwarded::check(bytes);
}

/// HTTP/2 connections, by their frames.
pub fn frames(bytes: &[u8]) {
    frames::check(bytes);
}

/// PROXY headers.
pub fn proxy_header(bytes: &[u8]) {
    proxy_header::check(bytes);
}

/// Tokens.
pub fn token(bytes: &[u8]) {
    token::check(bytes);
}

/// Connections.
pub fn wire(bytes: &[u8]) {
    wire::check(bytes);
}

/// HAR files.
pub fn har(bytes: &[u8]) {
    har::check(bytes);
}

/// `curl` lines.
pub fn curl_line(bytes: &[u8]) {
    curl_line::check(bytes);
}
