//! Every input that fuzzing was ever given or found, through the same checks
//! as `fuzz/run`, in plain `cargo test`.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/admin_call.rs"]
mod admin_call;
#[path = "../../fuzz/src/answer.rs"]
mod answer;
#[path = "../../fuzz/src/api_key.rs"]
mod api_key;
#[path = "../../fuzz/src/aws_sigv4.rs"]
mod aws_sigv4;
#[path = "../../fuzz/src/client_attestation.rs"]
mod client_attestation;
#[path = "../../fuzz/src/config.rs"]
mod config;
#[path = "../../fuzz/src/curl_line.rs"]
mod curl_line;
#[path = "../../fuzz/src/dpop.rs"]
mod dpop;
#[path = "../../fuzz/src/form.rs"]
mod form;
#[path = "../../fuzz/src/forwarded.rs"]
mod forwarded;
#[path = "../../fuzz/src/frames.rs"]
mod frames;
#[path = "../../fuzz/src/gate.rs"]
mod gate;
#[path = "../../fuzz/src/har.rs"]
mod har;
#[path = "../../fuzz/src/head.rs"]
mod head;
#[path = "../../fuzz/src/hmac_auth.rs"]
mod hmac_auth;
#[path = "../../fuzz/src/key_service.rs"]
mod key_service;
#[path = "../../fuzz/src/key_set.rs"]
mod key_set;
#[path = "../../fuzz/src/proxy_header.rs"]
mod proxy_header;
#[path = "../../fuzz/src/signature_input.rs"]
mod signature_input;
#[path = "../../fuzz/src/target.rs"]
mod target;

#[path = "../../fuzz/src/token.rs"]
mod token;
#[path = "../../fuzz/src/webhook.rs"]
mod webhook;
#[path = "../../fuzz/src/wire.rs"]
mod wire;

#[test]
fn the_kept_calls_of_the_admin_api_hold() {
    replay("admin_call", admin_call::check);
}

#[test]
fn the_kept_answers_hold() {
    replay("answer", answer::check);
}

#[test]
fn the_kept_bodies_of_the_key_service_hold() {
    replay("key_service", key_service::check);
}

#[test]
fn the_kept_webhooks_hold() {
    replay("webhook", webhook::check);
}

#[test]
fn the_kept_static_keys_hold() {
    replay("api_key", api_key::check);
}

#[test]
fn the_kept_configurations_hold() {
    replay("config", config::check);
}

#[test]
fn the_kept_curl_lines_hold() {
    replay("curl_line", curl_line::check);
}

#[test]
fn the_kept_har_files_hold() {
    replay("har", har::check);
}

#[test]
fn the_kept_connections_hold() {
    replay("wire", wire::check);
}

#[test]
fn the_kept_tokens_hold() {
    replay("token", token::check);
}

#[test]
fn the_kept_attested_clients_hold() {
    replay("client_attestation", client_attestation::check);
}

#[test]
fn the_kept_forms_hold() {
    replay("form", form::check);
}

#[test]
fn the_kept_forwarded_fields_hold() {
    replay("forwarded", forwarded::check);
}

#[test]
fn the_kept_frames_hold() {
    replay("frames", frames::check);
}

#[test]
fn the_kept_dpop_proofs_hold() {
    replay("dpop", dpop::check);
}

#[test]
fn the_kept_signatures_of_awss_hold() {
    replay("aws_sigv4", aws_sigv4::check);
}

#[test]
fn the_kept_key_sets_hold() {
    replay("key_set", key_set::check);
}

#[test]
fn the_kept_signatures_of_other_dialects_hold() {
    replay("hmac_auth", hmac_auth::check);
}

#[test]
fn the_kept_signature_inputs_hold() {
    replay("signature_input", signature_input::check);
}

#[test]
fn the_kept_proxy_headers_hold() {
    replay("proxy_header", proxy_header::check);
}

#[test]
fn the_kept_request_heads_hold() {
    replay("target", target::check);
}

fn replay(name: &str, check: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut inputs = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        // Seen when a check fails: which input it was.
        eprintln!("{}", path.display());
        check(&fs::read(&path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", corpus.display());
}
