//! `examples/sign_request.rs`, as it stands: it reads secrets as the gateway does, and sends nothing that was meant for TLS.

use crate::harness::{Gateway, Setup, Upstream};
use portcullis::apps::made::{Kind, Printed};
use std::path::Path;

#[path = "../../examples/sign_request.rs"]
#[expect(dead_code, reason = "its `main` is for the shell")]
mod sign_request;

/// What it shows when it sends to `url` with the key in `file`.
fn sent(url: &str, file: &Path) -> Result<String, String> {
    let args = [
        url.to_owned(),
        "mobile-2026".into(),
        file.display().to_string(),
    ];
    let mut out = Vec::new();
    let ran = sign_request::run(&args, &mut out);
    ran.map_err(|why| why.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn a_secret_is_read_as_the_gateway_reads_it() {
    let made = Printed::new(Kind::Secret);
    let made = made.expose();
    for written in [
        "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n".to_owned(),
        format!("hex:{}\n", "5a".repeat(32)),
        format!("HEX:{}\n", "5a".repeat(32)),
        made.to_owned(),
        format!("{made}\n"),
        format!("{made}\r\n"),
    ] {
        let upstream = Upstream::start();
        let setup = Setup::before(&upstream);
        let file = setup.write_secret("mobile.key", written.as_bytes());
        let gateway = Gateway::start_now(setup);
        let url = format!("http://{}/orders", gateway.address());
        let told = sent(&url, &file).unwrap();
        assert!(told.starts_with("HTTP/1.1 200 "), "{written:?}: {told}");
        assert_eq!(upstream.only().body, b"{\"item\": 7}");
    }
}

#[test]
fn what_is_meant_for_tls_is_not_sent_in_clear() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let url = format!("https://{}/orders", upstream.address());
    let refused = sent(&url, &setup.path("mobile.key")).unwrap_err();
    assert!(refused.contains("`http://…`"), "{refused}");
    assert_eq!(upstream.connections(), 0);
}
