//! `curl`, for what a hand-written client would get wrong: HTTP/2 and TLS.

use super::{Request, Response};
use std::io::Write;
use std::process::{Command, Stdio};

/// Sends a request by `curl` with more arguments; its address is where it goes.
pub fn curl(request: &Request, address: std::net::SocketAddr, more: &[&str]) -> Response {
    let url = format!(
        "{}://{}{}",
        request.scheme, request.authority, request.target
    );
    let (host, port) = request.authority.rsplit_once(':').unwrap_or((
        &request.authority,
        if request.scheme == "https" {
            "443"
        } else {
            "80"
        },
    ));
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--path-as-is", "--noproxy", "*"])
        .args(["--max-time", "30", "--dump-header", "-", "--no-buffer"])
        .args(["--request", &request.method])
        .args([
            "--connect-to",
            &format!("{host}:{port}:{}:{}", address.ip(), address.port()),
        ])
        .args(more);
    for (name, value) in &request.fields {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    if request.method == "HEAD" {
        command.arg("--head");
    }
    if request.body.is_some() {
        command.args(["--data-binary", "@-"]);
        if request.value("content-type").is_none() {
            command.args(["--header", "Content-Type:"]);
        }
        command.args(["--header", "Expect:"]);
    }
    let mut child = command
        .arg(&url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl is needed");
    let mut input = child.stdin.take().unwrap();
    if let Some(body) = &request.body {
        let _ = input.write_all(body);
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = output.stdout;
    let end = super::raw::find(&text, b"\r\n\r\n").unwrap_or_else(|| {
        panic!(
            "curl got no answer: {}",
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let head = String::from_utf8_lossy(&text[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .expect("a status");
    Response {
        status,
        fields: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body: text[end + 4..].to_vec(),
        complete: output.status.success(),
    }
}

/// As [`curl`], over HTTP/2 without TLS.
pub fn h2c(request: &Request, address: std::net::SocketAddr) -> Response {
    curl(request, address, &["--http2-prior-knowledge"])
}
